"""Examples to learn from: data X made of known spectra A and sources S."""

import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import astropy.units as u
import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from .._memory import check_memory
from .._names import check_component_names
from .._text import shown
from ..data import read_components_file
from ..sources import SourceLibrary
from ..spectra import ModelComponent, ParametricSpectra, SpectralLibrary, SpectralPrior
from .synthesis import CHECKS, PART, Synthesis

__all__ = ["TrainingSet"]

# What a components file may say under [training]: how the set is made, with defaults, and how it is learned.
_SYNTHESIS = {
    "n_samples": 2000,
    "n_pixels": 500,
    "snr_db": (10.0, 40.0),
    "noise": "counts",
    "sources": "pixels",
    "correlation": (0.0, 1.0),
}
_TRAINING = ("n_layers", "epochs", "batch_size", "learning_rate", "patience")
_EMULATION = 1e-3  # relative error of tabulated spectra
_RANK = 10  # principal vectors that are known of each component
# What whole numbers may be. Memory says how many examples and pixels, and examples how large a batch.
_WHOLE_NUMBERS = {"n_samples": (1, None), "n_pixels": (1, None), "n_layers": (1, 1000), "epochs": (1, 10**6),
                  "batch_size": (1, None), "patience": (1, None)}  # fmt: skip


@dataclass(frozen=True)
class TrainingSet:
    """N examples of X = A S + noise.

    Attributes
    ----------
    X : `~numpy.ndarray`, shape (N, m, t)
        Data, m energies by t pixels.
    A : `~numpy.ndarray`, shape (N, m, n)
        Mixing matrices, a unit-norm spectrum in each column.
    S : `~numpy.ndarray`, shape (N, n, t)
        Sources.
    component_names : tuple of str
    energy_edges : `~astropy.units.Quantity`, shape (m + 1,), or None
        The energy bins of the rows of X, where they are known.
    prior : `~astro_lpalm.spectra.SpectralPrior`
        What is known of each component's spectra, for the refinement; see `astro_lpalm.separation.refine`.
    description : dict of str to str
        How the set was made; it goes into the header of a model that was trained on it.
    library : `~astro_lpalm.spectra.SpectralLibrary`, optional
        Where the mixing matrices were drawn from.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm import TrainingSet
    >>> rng = np.random.default_rng(0)
    >>> A, S = rng.random((10, 5, 2)), rng.laplace(size=(10, 2, 30))
    >>> training_set = TrainingSet.from_arrays(A @ S, A, S, component_names=["thermal", "nonthermal"])
    >>> training_set
    <TrainingSet: 10 examples of thermal, nonthermal; 5 energies, 30 pixels>
    >>> training_set.prior.mean.shape
    (2, 5)
    """

    X: np.ndarray
    A: np.ndarray
    S: np.ndarray
    component_names: tuple
    energy_edges: u.Quantity | None = None
    prior: SpectralPrior | None = None
    description: dict | None = None
    library: SpectralLibrary | None = None

    @cached_property
    def physics(self):
        """Spectra as functions of physical parameters, a `~astro_lpalm.spectra.ParametricSpectra`, or None.

        Tabulated to a thousandth when first asked for, some 20 s for a thermal plasma; those of plasma out of
        equilibrium are made anew each time. None where there is no library, a component is made of samples, or its
        spectra change too abruptly to be tabulated, which is warned of.
        """
        if self.library is None or not all(isinstance(each, ModelComponent) for each in self.library.components):
            return None
        found = ParametricSpectra.from_library(self.library, tolerance=_EMULATION)
        if not found.can_be_kept:
            msg = (
                f"the spectra of {', '.join(found.exact_components)} change too abruptly with their parameters to be "
                "tabulated, so the model will not fit physical parameters; narrower ranges may help."
            )
            warnings.warn(msg, AstropyUserWarning, stacklevel=3)
            return None
        return found

    def __len__(self):
        return len(self.X)

    def __repr__(self):
        (m, t), names = self.X.shape[1:], ", ".join(self.component_names)
        return f"<TrainingSet: {len(self)} examples of {names}; {m} energies, {t} pixels>"

    @classmethod
    def from_arrays(cls, X, A, S, *, component_names=None, energy_edges=None, prior=None, description=None):
        """Make a training set of anybody's matrices.

        Parameters
        ----------
        X, A, S : array_like, shapes (N, m, t), (N, m, n) and (N, n, t)
            Data, mixing matrices and sources. They are kept in single precision.
        component_names : sequence of str, optional
            By default ``component_1``, ``component_2``, ...
        energy_edges : `~astropy.units.Quantity`, shape (m + 1,), optional
        prior : `~astro_lpalm.spectra.SpectralPrior`, optional
            What is known of the spectra; by default how those of A, of unit norm, are distributed.
        description : dict, optional
            See the attributes of the class.

        Returns
        -------
        `TrainingSet`

        Raises
        ------
        ValueError
            If the shapes do not belong together, a value is not finite, or a row of S is zero everywhere.

        Examples
        --------
        >>> import numpy as np
        >>> from astro_lpalm.training import TrainingSet
        >>> A, S = np.ones((10, 5, 2)), np.ones((10, 2, 30))
        >>> len(TrainingSet.from_arrays(A @ S, A, S))
        10
        """
        X, A, S = (np.ascontiguousarray(array, dtype=np.float32) for array in (X, A, S))
        shapes = f"X {X.shape}, A {A.shape}, S {S.shape}"
        if not (X.ndim == A.ndim == S.ndim == 3 and len(X) == len(A) == len(S) > 0):
            msg = f"X, A and S must be stacks of the same number of matrices, but their shapes are {shapes}."
            raise ValueError(msg)
        if X.shape[1:] != (A.shape[1], S.shape[2]) or A.shape[2] != S.shape[1]:
            msg = f"expected X (N, m, t), A (N, m, n) and S (N, n, t), but the shapes are {shapes}."
            raise ValueError(msg)
        for name, array in (("X", X), ("A", A), ("S", S)):
            if not np.isfinite(array).all():
                msg = f"{name} has values that are NaN or infinite (in single precision)."
                raise ValueError(msg)
        empty = np.argwhere(~S.any(axis=2))
        if len(empty):
            msg = f"source {empty[0][1]} of sample {empty[0][0]} is zero everywhere; leave such samples out."
            raise ValueError(msg)
        n = A.shape[2]
        names = tuple(component_names) if component_names is not None else tuple(f"component_{k + 1}" for k in range(n))
        if len(names) != n:
            msg = f"component_names is {names}, but A has {n} columns; give one name for each."
            raise ValueError(msg)
        names = check_component_names(names)
        if energy_edges is not None:
            energy_edges = u.Quantity(energy_edges).to(u.keV, equivalencies=u.spectral())
            if energy_edges.shape != (X.shape[1] + 1,):
                msg = f"energy_edges has {energy_edges.size} values, but {X.shape[1]} energies need {X.shape[1] + 1}."
                raise ValueError(msg)
        prior = _prior_of(A) if prior is None else prior
        return cls(X, A, S, names, energy_edges, prior, dict(description or {}))

    @classmethod
    def synthesize(
        cls,
        spectra_library,
        source_library,
        n_samples,
        snr_db,
        seed,
        *,
        n_pixels=500,
        noise="counts",
        sources="pixels",
        correlation=(0.0, 1.0),
        rank=_RANK,
        client=None,
        progress=True,
    ):
        """Make a training set from a library of spectra and a library of sources.

        Parameters
        ----------
        spectra_library : `~astro_lpalm.spectra.SpectralLibrary`
            Where the mixing matrices are drawn from.
        source_library : `~astro_lpalm.sources.SourceLibrary`
            Where the sources are drawn from, with the same component names.
        n_samples : int
            Number of examples N.
        snr_db : float or (float, float)
            Signal-to-noise ratio ``20 log10(||A S|| / ||noise||)`` in decibels: one, or a range to draw from.
        seed : int or `numpy.random.Generator`
            The same seed gives the same set.
        n_pixels : int
            Number of pixels t of each example.
        noise : {"counts", "white"}
            Whether the noise variance of an energy is proportional to the signal's share in it, as photon counting
            has it, or the same at all energies.
        sources : {"pixels", "images"}
            Whether sources are independent pixels (`SourceLibrary.draw <astro_lpalm.sources.SourceLibrary.draw>`) or
            details of images that may be bright in the same places (`SourceLibrary.draw_details
            <astro_lpalm.sources.SourceLibrary.draw_details>`).
        correlation : float or (float, float)
            How alike such images are: from 0 (independent) to 1, or a range within.
        rank : int
            Number of principal vectors of each component that a model trained on this set will know.
        client : ``dask.distributed.Client``, optional
            A Dask cluster, whose workers draw the examples. Each hundred has a seed of its own, so that the set is
            the same, whoever draws it. What a lost worker had drawn is drawn again.
        progress : bool
            Whether to show progress where standard error is a terminal.

        Returns
        -------
        `TrainingSet`

        Raises
        ------
        ValueError
            If the libraries name different components, or a number is out of range.

        Examples
        --------
        >>> from astro_lpalm import TrainingSet
        >>> from astro_lpalm.sources import SourceLibrary
        >>> from astro_lpalm.spectra import SpectralLibrary
        >>> spectra, sources = (library.from_file("pwn-acis") for library in (SpectralLibrary, SourceLibrary))
        >>> TrainingSet.synthesize(spectra, sources, 4, snr_db=20, seed=0, n_pixels=50, progress=False)
        <TrainingSet: 4 examples of nonthermal, thermal; 65 energies, 50 pixels>
        """
        names = list(spectra_library.component_names)
        if list(source_library.component_names) != names:
            msg = (
                f"the spectra are of {names}, but the sources of {list(source_library.component_names)}; "
                "both libraries must have the same components in the same order."
            )
            raise ValueError(msg)
        if n_samples < 2 or n_pixels < 2:
            msg = f"n_samples is {n_samples} and n_pixels {n_pixels}; at least 2 of each are needed."
            raise ValueError(msg)
        each = len(spectra_library.energy_edges) - 1 + len(names)  # numbers for a pixel
        check_memory("n_pixels", n_pixels, 16 * each * min(n_samples, PART))  # with noise, in part in double precision
        check_memory("n_samples", n_samples, 5 * each * n_pixels)  # with what checks take
        synthesis = Synthesis(spectra_library, source_library, n_pixels, snr_db, noise, sources, correlation)
        X, A, S, prior = synthesis.draw(n_samples, seed, rank, client=client, progress=progress)
        low, high = synthesis.snr_db
        description = {
            "N_SAMPLE": n_samples,
            "N_PIXEL": n_pixels,
            "SNR_LOW": float(low),
            "SNR_HIGH": float(high),
            "NOISE": noise,
            "SOURCES": sources,
        }
        drawn = cls.from_arrays(
            X,
            A,
            S,
            component_names=names,
            energy_edges=spectra_library.energy_edges,
            prior=prior,
            description=description,
        )
        return replace(drawn, library=spectra_library)

    @classmethod
    def from_file(cls, path, *, seed=0, **settings):
        """Synthesize the training set that a components file describes.

        Parameters
        ----------
        path : str or `os.PathLike`
            A TOML file with the tables of `astro_lpalm.spectra.SpectralLibrary.from_file` and
            `astro_lpalm.sources.SourceLibrary.from_file`, and optionally ``[training]`` with any of ``n_samples``,
            ``n_pixels``, ``snr_db``, ``noise``, ``sources`` and ``correlation`` (see `synthesize`), ``n_layers``,
            ``epochs``, ``batch_size``, ``learning_rate`` and ``patience`` (see `train`).
        seed : int or `numpy.random.Generator`
        **settings
            Settings of `synthesize` that take the place of the file's, and its ``client`` and ``progress``.

        Returns
        -------
        training_set : `TrainingSet`
        settings : dict
            The file's settings for `train`.

        Raises
        ------
        OSError, ValueError
            If the file cannot be read, or a key or value in it is not allowed.
        """
        path, tables = read_components_file(path)
        table = tables.get("training", {})
        try:
            _check_training_table(table)
        except ValueError as error:
            msg = f"'{path}', training: {error}"
            raise ValueError(msg) from error
        synthesis = _SYNTHESIS | {key: value for key, value in table.items() if key in _SYNTHESIS} | settings
        spectra, sources = SpectralLibrary.from_file(path), SourceLibrary.from_file(path)
        try:
            training_set = cls.synthesize(spectra, sources, seed=seed, **synthesis)
        except ValueError as error:
            msg = f"'{path}', synthesis of its training set: {error}"
            raise ValueError(msg) from error
        return training_set, {key: value for key, value in table.items() if key in _TRAINING}


def _check_training_table(table):
    if not isinstance(table, dict):
        msg = f"{shown(table)} is no table; write [training] and its keys below."
        raise ValueError(msg)
    for key, value in table.items():
        if key not in (*_SYNTHESIS, *_TRAINING):
            msg = f"unknown key {shown(key)}; allowed are {', '.join((*_SYNTHESIS, *_TRAINING))}."
            raise ValueError(msg)
        if key in _WHOLE_NUMBERS:
            low, high = _WHOLE_NUMBERS[key]
            if type(value) is not int or value < low or (high is not None and value > high):
                most = f" to {high}" if high else " or more"
                msg = f"{key} = {shown(value)} is not a positive whole number; give one of {low}{most}."
                raise ValueError(msg)
        if key == "learning_rate" and (type(value) not in (int, float) or not 0 < value <= 1):
            msg = f"{key} = {shown(value)} is not a positive number; give one up to 1 (3e-3 suits most training sets)."
            raise ValueError(msg)
        if key in CHECKS:
            CHECKS[key](value)


def _prior_of(A):
    # Of few examples only the directions in which most of them differ can be told.
    spectra = A.astype(float)
    norms = np.linalg.norm(spectra, axis=1, keepdims=True)
    rank = max(1, min(_RANK, len(A) // 10, A.shape[1]))
    return SpectralPrior.of_draws(spectra / np.where(norms > 0, norms, 1.0), rank)
