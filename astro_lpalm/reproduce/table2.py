"""Table 2: spectra found in realistic mixtures, whose details are shuffled so that sources are independent.

Its lines are one image, the others by what was learned or fitted for that one, and the others with a fit for each.
"""

from dataclasses import dataclass, field

import numpy as np

from ..forward import least_squares
from ..separation import DNMF, MNNBU, Factorization, SNMFNet, align, nmse
from .common import BLIND, ORACLE, REALISTIC, REALISTIC_REFINED, realistic_errors
from .experiment import Experiment, Row
from .methods import Network
from .plots import plot_bars
from .samples import shuffled_samples

__all__ = []

_TOLERANCE = 1e-6
_MAX_ITER = 100_000
_QUICK_EPOCHS = 5
_LEAST_SUM = 1e-3  # of sources of unit norm: below it, noise is nearly all there is
# How many images are used by default of the paper's 149 and 20: fits to one of the latter take minutes.
_N_OTHERS, _N_RETRAINED, _MOST_RETRAINED = 30, 3, 20


@dataclass(frozen=True)
class Fitted:
    """A network that is fitted to the pixels of one image, unsupervised.

    The sources, which such networks want to sum to one in each pixel, are those of least squares with the spectra.

    Attributes
    ----------
    solver : type
    unit_sum : bool
        Whether sources have to sum to one. Then each pixel is divided by the sum of its true sources, and those where
        it is next to nothing are left out.
    choices : tuple of dict
        Options of its constructor, of which those count that are best on the first image.
    refit : bool
        Whether it is fitted to each image, not only to the first.
    """

    solver: type
    unit_sum: bool = False
    choices: tuple = ({},)
    refit: bool = False

    def settings(self, workspace):
        """Return what decides the row."""
        return {
            "solver": self.solver.__name__,
            "unit_sum": self.unit_sum,
            "choices": [self._options(c, workspace) for c in self.choices],
        }

    def prepare(self, workspace):
        """Fit it to the first image, or only choose by that."""
        fitted, (chosen, *others) = None, self.choices
        if others or not self.refit:
            chosen, fitted = workspace.once(self.solver, lambda: self._choose(workspace))

        def separate(sample):
            if self.refit:
                found = self._solver(sample, chosen, workspace).separate(self._pixels(sample))
            else:
                found = fitted.separate(self._pixels(sample))
            spectra = align(found, sample.A).spectra
            return Factorization(spectra, least_squares(sample.X, spectra), n_iter=found.n_iter)

        return separate, chosen

    def _choose(self, workspace):
        sample, fits = workspace.samples(shuffled_samples)[0], []
        for choice in self.choices:
            fitted = self._solver(sample, choice, workspace).fit(self._pixels(sample))
            error = nmse(align(fitted.separate(self._pixels(sample)), sample.A).spectra, sample.A)
            fits.append((error, choice, fitted))
        _, choice, fitted = min(fits, key=lambda fit: fit[0])
        return choice, fitted

    def _pixels(self, sample):
        if not self.unit_sum:
            return sample.cube
        total = sample.images.sum(axis=0)
        bright = total > _LEAST_SUM
        return sample.cube[:, bright] / total[bright]

    def _solver(self, sample, choice, workspace):
        options = self._options(choice, workspace)
        return self.solver(sample.A.shape[1], **options, progress=workspace.progress)

    def _options(self, choice, workspace):
        options = {"seed": workspace.seed}
        return options | choice | ({"epochs": _QUICK_EPOCHS} if workspace.quick else {})


@dataclass(frozen=True)
class FirstSpectra:
    """The true spectra of the first image for all others: what generalizing has to beat."""

    def settings(self, workspace):
        """Return what decides the row."""
        return {}

    def prepare(self, workspace):
        """Take the spectra."""
        spectra = workspace.samples(shuffled_samples)[0].A
        return lambda sample: Factorization(spectra, least_squares(sample.X, spectra)), {}


@dataclass(frozen=True)
class LISTAThenSpectra(Network):
    """LISTA, which finds no spectra, and then the spectra that fit its sources."""

    options: dict = field(default_factory=lambda: dict(_LISTA))

    def prepare(self, workspace):
        """Train it."""
        find_sources, notes = super().prepare(workspace)

        def separate(sample):
            sources = find_sources(sample).sources
            spectra, n_iter = fit_spectra(sample.X, sources)
            return Factorization(spectra, sources, n_iter)

        return separate, notes


_LISTA = {"training": "realistic", "s_update": "lista", "a_update": "known", "loss": "sources"}


def fit_spectra(X, S):
    """Find the spectra of norm 1 at most for known sources, by projected gradient from zero.

    Parameters
    ----------
    X, S : `~numpy.ndarray`, shapes (m, t) and (n, t)

    Returns
    -------
    spectra : `~numpy.ndarray`, shape (m, n)
    n_iter : int
    """
    P, C = (X @ S.T).astype(float), (S @ S.T).astype(float)
    step = 1.0 / (1.01 * np.linalg.norm(C, 2))
    A = np.zeros_like(P)
    n_iter, change = 0, np.inf
    while change >= _TOLERANCE and n_iter < _MAX_ITER:
        moved = A + step * (P - A @ C)
        moved /= np.maximum(np.linalg.norm(moved, axis=0), 1.0)
        n_iter, change, A = n_iter + 1, np.linalg.norm(moved - A), moved
    return A, n_iter


def _line(line, figures, **settings):
    # The rows of one line of the table; figures are the paper's, by method.
    return tuple(
        Row(
            f"{name}, {line}",
            method,
            paper={"nmse_a_median": figures[name]} if name in figures else {},
            kind=kind,
            labels={"line": line},
            **settings,
        )
        for name, method, kind in _METHODS[line]
    )


def _fitted(refit):
    penalties = tuple({"penalty": value} for value in (0.0, 1.0, 2.0))
    rivals = {
        "MNNBU": Fitted(MNNBU, unit_sum=True, refit=refit),
        "SNMF-Net": Fitted(SNMFNet, unit_sum=True, refit=refit),
        "DNMF": Fitted(DNMF, choices=penalties, refit=refit),
    }
    return [(name, method, "paper") for name, method in rivals.items()]


_TRAINED = [
    ("LISTA", LISTAThenSpectra(), "paper"),
    ("LPALM", REALISTIC, "paper"),
    ("LPALM refined", REALISTIC_REFINED, "ours"),
    *((row.name, row.method, row.kind) for row in (*BLIND, ORACLE)),
]
_METHODS = {
    "one image": _fitted(False) + _TRAINED,
    "others": [*_fitted(False), *_TRAINED, ("spectra of the one image", FirstSpectra(), "ours")],
    "retrained": _fitted(True),
}
_ONE = {"MNNBU": 0.0962, "SNMF-Net": 0.27, "DNMF": 0.0466, "LISTA": 0.0067, "LPALM": 2e-4}
_OTHERS = {"MNNBU": 0.4785, "SNMF-Net": 0.3053, "DNMF": 0.5469, "LISTA": 0.0088, "LPALM": 9e-4}
_RETRAINED = {"MNNBU": 0.3181, "SNMF-Net": 0.3073, "DNMF": 0.0922}

EXPERIMENT = Experiment(
    name="table2",
    title="Table 2: spectra in realistic mixtures, details shuffled",
    figure="nmse_a",
    samples=shuffled_samples,
    rows=(
        *_line("one image", _ONE, most=1),
        *_line("others", _OTHERS, first=1, n_samples=_N_OTHERS),
        *_line("retrained", _RETRAINED, first=1, n_samples=_N_RETRAINED, most=_MOST_RETRAINED),
    ),
    plot=plot_bars,
    measure=realistic_errors,
)
