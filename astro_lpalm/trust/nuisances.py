"""What a response or a background may do to expected counts, as parameters to fit beside those of the spectra."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import BSpline, CubicSpline

__all__ = ["Ages", "Area", "Background", "Gain", "KnownSpectra", "spline_basis"]

_N_SPLINES = 8
_WIDER = 1.0  # ranges, beyond each end
_LEAST = 1e-12
_N_AGES = 3  # principal vectors
_UNMAPPED = 0.5  # standard deviations of local spectra over the field, by which their mean may be off
_LEFT = 0.01  # of the variance of local spectra, which is left out
_OPEN = 1e-2  # inverse variance of parameters of which nothing is known, against directions without any effect


def spline_basis(x, n=_N_SPLINES):
    """Cubic B-splines over the range of increasing numbers, (m,): shape (m, n), their sum 1 everywhere."""
    knots = np.linspace(x[0], x[-1], n - 2)
    return BSpline(np.concatenate([[x[0]] * 3, knots, [x[-1]] * 3]), np.eye(n), 3)(x)


@dataclass(frozen=True)
class KnownSpectra:
    """Spectra of parameters about those that a separation has found, of its physics or its library.

    Attributes
    ----------
    physics : object or None
        With ``jacobian(theta)``, such as `~astro_lpalm.spectra.ParametricSpectra`.
    spectra, derivatives : `~numpy.ndarray`, shape (m, n), (m, n, p)
        Those found, of unit sum; used where there is no physics.
    start, low, high : `~numpy.ndarray`, shape (p + r,)
    names : list of (str, str), p of them
        Component and parameter; the latter is empty where a library's principal vectors are the parameters.
    moves : `~numpy.ndarray`, shape (m, n, r)
        What the spectra may move by besides, along the last r parameters: as maps have them differ over the field, but
        by half as much at most. A map is smoother than the sky, so that its spectra have not quite the right mean.
    """

    physics: object
    spectra: np.ndarray
    derivatives: np.ndarray
    start: np.ndarray
    low: np.ndarray
    high: np.ndarray
    names: list
    moves: np.ndarray

    @classmethod
    def of(cls, fit, names, physical=None, physics=None, prior=None):
        """Take the parameters of a physical fit, or else a library's principal vectors, or none."""
        spectra = fit.mixing / fit.mixing.sum(axis=0)
        m, n = spectra.shape
        moves = np.zeros((m, n, 0)) if fit.local is None else _variations(fit)
        ends = np.full(moves.shape[2], _UNMAPPED)
        if physical is not None and physics is not None:
            low, high = np.asarray(physics.bounds, dtype=float)
            start, low, high = np.r_[physical.theta, 0 * ends], np.r_[low, -ends], np.r_[high, ends]
            labels = [(each.component, each.name) for each in physics.parameters]
            return cls(physics, physical.spectra, None, start, low, high, labels, moves)
        rank = 0 if prior is None else prior.principal.shape[1]
        derivatives = np.zeros((m, n, n * rank))
        for k in range(n if rank else 0):
            change = (prior.principal[k] * prior.spread[k][:, np.newaxis]).T / np.sum(fit.mixing[:, k])
            derivatives[:, k, k * rank : (k + 1) * rank] = change - spectra[:, [k]] * change.sum(axis=0)
        zero, wide = np.zeros(n * rank), np.full(n * rank, 10.0)
        start, low, high = np.r_[zero, 0 * ends], np.r_[-wide, -ends], np.r_[wide, ends]
        labels = [(name, "") for name in names for _ in range(rank)]
        return cls(None, spectra, derivatives, start, low, high, labels, moves)

    def inside(self, x):
        """Give the parameters that have a name, within their ranges, (p,)."""
        p = len(self.names)
        return np.clip(x[:p], self.low[:p], self.high[:p])

    def jacobian(self, x):
        """Spectra (m, n) and derivatives (m, n, p + r); beyond the ranges, they go on along a straight line."""
        x, moved = np.split(x, [len(self.names)])
        if self.physics is None:
            spectra, derivatives, beyond = self.spectra, self.derivatives, x
        else:
            inside = self.inside(x)
            spectra, derivatives = self.physics.jacobian(inside)
            beyond = x - inside
        if beyond.any() or moved.any():
            spectra = np.maximum(spectra + derivatives @ beyond + self.moves @ moved, _LEAST)
        return spectra, np.concatenate([derivatives, self.moves], axis=2)

    def at_limit(self, x, part=1e-4):
        """Whether parameters that have a name are at an end of their ranges, (p + r,)."""
        span = part * (self.high - self.low)
        return ((x < self.low + span) | (x > self.high - span)) & (np.arange(len(x)) < len(self.names))

    def alone(self, blocks):
        """Make the model that `~astro_lpalm.trust.misfit.refit` takes, without anything else."""
        return lambda x: (*self.jacobian(x), blocks.background, None)

    def wider(self, x):
        """Bounds in which the parameters that are at a limit may go beyond it."""
        free, span = self.at_limit(x), _WIDER * (self.high - self.low)
        return np.where(free, self.low - span, self.low), np.where(free, self.high + span, self.high)


def _variations(fit):
    """Principal vectors of how the local spectra of each component differ over the field, (m, n, r).

    Of the size of one standard deviation, weighted with the counts.
    """
    local, found = fit.local, []
    for k, amount in enumerate(np.maximum(fit.images, 0.0)):
        own = local.owners == k
        if np.count_nonzero(own) == 1:  # the same everywhere
            continue
        basis, coefficients = local.basis[:, own].astype(float), local.coefficients[own]
        weight = amount / max(amount.sum(), _LEAST)
        mean = coefficients @ weight
        noise = np.sqrt(np.maximum(basis @ mean, _LEAST))[:, np.newaxis]
        values, vectors = np.linalg.eigh((coefficients * weight) @ coefficients.T - np.outer(mean, mean))
        differences = basis / noise @ (vectors * np.sqrt(np.maximum(values, 0.0)))
        left, sizes, _ = np.linalg.svd(differences, full_matrices=False)
        share = np.cumsum((sizes**2)[::-1])[::-1] / max(np.sum(sizes**2), _LEAST)  # from this one on
        for vector, size in zip(left.T[share > _LEFT], sizes[share > _LEFT]):
            found.append(np.zeros((len(basis), len(fit.images))))
            found[-1][:, k] = noise[:, 0] * vector * size
    return np.stack(found, axis=2) if found else np.zeros((len(local.basis), len(fit.images), 0))


@dataclass(frozen=True)
class Gain:
    """Energies read too high: all of them by the first parameter (keV), and by the second one's part of each."""

    edges: np.ndarray
    low = np.array([-0.15, -0.05])
    high = np.array([0.15, 0.05])
    precision = np.array([0.05, 0.015]) ** -2.0

    @cached_property
    def _cumulative(self):
        m = len(self.edges) - 1
        return CubicSpline(self.edges, np.vstack([np.zeros(m), np.cumsum(np.eye(m), axis=0)]), bc_type="natural")

    def moved(self, y):
        """Give the matrix (m, m) that moves spectra, and its derivatives (m, m, 2)."""
        at = np.clip((self.edges - y[0]) / (1 + y[1]), self.edges[0], self.edges[-1])
        density = self._cumulative(at, 1) * ((at > self.edges[0]) & (at < self.edges[-1]))[:, np.newaxis] / (1 + y[1])
        slopes = np.stack([-density, -density * at[:, np.newaxis]], axis=-1)
        return np.diff(self._cumulative(at), axis=0), np.diff(slopes, axis=0)

    def beside(self, known, blocks):
        """Make a model of the spectra's parameters and these."""
        p = len(known.start)

        def model(x):
            A, D = known.jacobian(x[:p])
            M, slopes = self.moved(x[p:])
            own = np.einsum("ijq,jk->ikq", slopes, A)
            moved = np.einsum("ij,jkp->ikp", M, D, optimize=True)
            return np.maximum(M @ A, _LEAST), np.concatenate([moved, own], axis=2), blocks.background, None

        return model


@dataclass(frozen=True)
class Area:
    """An effective area that is wrong by a smooth factor: its logarithm, in B-splines over the logarithm of energy."""

    edges: np.ndarray
    low = np.full(_N_SPLINES, -1.0)
    high = np.full(_N_SPLINES, 1.0)
    precision = np.full(_N_SPLINES, 0.2**-2.0)

    @cached_property
    def basis(self):
        """The splines, (m, q)."""
        return spline_basis(np.log(0.5 * (self.edges[1:] + self.edges[:-1])))

    def beside(self, known, blocks):
        """Make a model of the spectra's parameters and these."""
        p = len(known.start)

        def model(x):
            A, D = known.jacobian(x[:p])
            factor = np.exp(self.basis @ x[p:])[:, np.newaxis]
            own = (factor * A)[..., np.newaxis] * self.basis[:, np.newaxis]
            return factor * A, np.concatenate([factor[..., np.newaxis] * D, own], axis=2), blocks.background, None

        return model


@dataclass(frozen=True)
class Ages:
    """Spectra of a plasma in equilibrium that was heated only lately: principal vectors of the change of one component.

    Attributes
    ----------
    component : int
    basis : `~numpy.ndarray`, shape (m, q)
        Of the size that changes typically have.
    """

    component: int
    basis: np.ndarray
    low = np.full(_N_AGES, -10.0)
    high = np.full(_N_AGES, 10.0)
    precision = np.full(_N_AGES, _OPEN)

    @classmethod
    def of(cls, known, names, x):
        """Make one for each component that is in equilibrium; none where the physics has not such spectra."""
        ages_of = getattr(known.physics, "spectra_of_ages", None)
        if ages_of is None:
            return []
        spectra, found = known.jacobian(x)[0], []
        for name, young in ages_of(known.inside(x)).items():
            k = names.index(name)
            change = (young / young.sum(axis=1, keepdims=True) - spectra[:, k] / spectra[:, k].sum()).T
            noise = np.sqrt(np.maximum(spectra[:, [k]], _LEAST))
            vectors, sizes, _ = np.linalg.svd(change / noise, full_matrices=False)
            scale = spectra[:, k].sum() * sizes[:_N_AGES] / np.sqrt(change.shape[1])
            found.append(cls(k, noise * vectors[:, :_N_AGES] * scale))
        return found

    def slopes(self, A):
        """Differentiate all spectra, (m, n, q)."""
        slopes = np.zeros((*A.shape, self.basis.shape[1]))
        slopes[:, self.component] = self.basis
        return slopes

    def beside(self, known, blocks):
        """Make a model of the spectra's parameters and these."""
        p = len(known.start)

        def model(x):
            A, D = known.jacobian(x[:p])
            slopes = self.slopes(A)
            return np.maximum(A + slopes @ x[p:], _LEAST), np.concatenate([D, slopes], axis=2), blocks.background, None

        return model


@dataclass(frozen=True)
class Background:
    """A background that follows the exposure: its counts over those of the field, in B-splines over energy."""

    edges: np.ndarray
    low = np.zeros(_N_SPLINES)
    high = np.full(_N_SPLINES, 30.0)
    precision = np.full(_N_SPLINES, _OPEN)

    def counts(self, blocks):
        """Give the expected counts of each parameter's unit, (m, b, q)."""
        basis = spline_basis(0.5 * (self.edges[1:] + self.edges[:-1])) * np.diff(self.edges)[:, np.newaxis]
        share = blocks.exposure / blocks.exposure.sum()
        return blocks.counts.sum() / basis.sum() * share[:, np.newaxis] * basis[:, np.newaxis]

    def beside(self, known, blocks):
        """Make a model of the spectra's parameters and these."""
        p, counts = len(known.start), self.counts(blocks)

        def model(x):
            A, D = known.jacobian(x[:p])
            slopes = np.concatenate([D, np.zeros((*A.shape, _N_SPLINES))], axis=2)
            own = np.concatenate([np.zeros((*blocks.counts.shape, p)), counts], axis=2)
            return A, slopes, blocks.background + counts @ x[p:], own

        return model
