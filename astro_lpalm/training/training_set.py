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
from ..forward import Mix
from ..sources import SourceLibrary
from ..spectra import ModelComponent, ParametricSpectra, SpectralLibrary, SpectralPrior

__all__ = ["TrainingSet", "add_noise"]

_NOISES = ("counts", "white")
_SOURCES = ("pixels", "images")
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
_DEGREES = 16  # of correlation in a range
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

        Returns
        -------
        `TrainingSet`

        Raises
        ------
        ValueError
            If the libraries name different components, or a number is out of range.
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
        m, n = len(spectra_library.energy_edges) - 1, len(names)
        each = 16 * (m + n)  # bytes for a pixel: data and noise in single, sources and images in double precision
        check_memory("n_pixels", n_pixels, 2 * each)
        check_memory("n_samples", n_samples, n_pixels * each)
        low, high = _snr_range(snr_db)
        rng = np.random.default_rng(seed)
        A = spectra_library.draw(n_samples, rng)
        S = _draw_sources(source_library, n_samples, n_pixels, rng, sources, correlation)
        snr = rng.uniform(low, high, size=n_samples)
        X = add_noise(A, S, snr, rng, noise=noise)
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
            prior=spectra_library.statistics(min(rank, A.shape[1])),
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
            Settings of `synthesize` that take the place of the file's.

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
        if key in _CHECKS:
            _CHECKS[key](value)


def _prior_of(A):
    # Of few examples only the directions in which most of them differ can be told.
    spectra = A.astype(float)
    norms = np.linalg.norm(spectra, axis=1, keepdims=True)
    rank = max(1, min(_RANK, len(A) // 10, A.shape[1]))
    return SpectralPrior.of_draws(spectra / np.where(norms > 0, norms, 1.0), rank)


def _draw_sources(library, n_samples, n_pixels, rng, kind, correlation):
    _check_sources(kind)
    if kind == "pixels":
        return library.draw(n_samples, n_pixels, rng)
    degrees = np.linspace(*_correlation_range(correlation), min(n_samples, _DEGREES))
    sizes = [len(part) for part in np.array_split(np.arange(n_samples), len(degrees))]
    drawn = [library.draw_details(size, n_pixels, rng, correlation=value) for size, value in zip(sizes, degrees)]
    return rng.permutation(np.concatenate(drawn))


def _correlation_range(correlation):
    low, high = _range(correlation)
    if not 0 <= low <= high <= 1:
        msg = f"correlation = {shown(correlation)} is not a number from 0 to 1, or a range [low, high] of them."
        raise ValueError(msg)
    return low, high


def _range(value):
    """Lowest and highest of a range, or the same number twice; NaN where it is neither."""
    try:
        values = np.asarray(value)
        low, high = np.broadcast_to(values.astype(float), 2)
    except (TypeError, ValueError):
        return np.nan, np.nan
    return (low, high) if values.dtype.kind in "iuf" else (np.nan, np.nan)


def _snr_range(snr_db):
    # the lowest and the highest of a range of decibels, or the same number twice
    low, high = _range(snr_db)
    if not -100 <= low <= high <= 200:
        msg = f"snr_db = {shown(snr_db)} is not a number of decibels or a range [low, high] of them, such as [10, 40]."
        raise ValueError(msg)
    return low, high


def add_noise(A, S, snr_db, seed, *, noise="white"):
    """Mix sources and add Gaussian noise of exactly the wanted signal-to-noise ratio.

    Parameters
    ----------
    A : array_like, shape (N, m, n)
        Mixing matrices.
    S : array_like, shape (N, n, t)
        Sources.
    snr_db : array_like, shape () or (N,)
        ``20 log10(||A S|| / ||noise||)`` of each example.
    seed : int or `numpy.random.Generator`
    noise : {"white", "counts"}
        See `TrainingSet.synthesize`.

    Returns
    -------
    `~numpy.ndarray`, shape (N, m, t)
        In single precision.

    Raises
    ------
    ValueError
        If ``noise`` is not one of the two.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.training import add_noise
    >>> A, S = np.ones((1, 5, 2)), np.ones((1, 2, 30))
    >>> X = add_noise(A, S, snr_db=20, seed=0)
    >>> round(float(np.linalg.norm(A @ S) / np.linalg.norm(X - A @ S)), 3)
    10.0
    """
    _check_noise(noise)
    rng = np.random.default_rng(seed)
    A, S = np.asarray(A, dtype=np.float32), np.asarray(S, dtype=np.float32)
    X = Mix(A).forward(S)
    disturbance = rng.standard_normal(X.shape, dtype=np.float32)
    if noise == "counts":
        # The photons at an energy are in proportion to the spectra, each weighed with the strength of its source.
        share = A @ np.linalg.norm(S, axis=2, keepdims=True)
        disturbance *= np.sqrt(share)
    ratio = 10.0 ** (-np.broadcast_to(snr_db, len(X)) / 20.0)
    signal, present = (np.linalg.norm(array.reshape(len(X), -1), axis=1) for array in (X, disturbance))
    return X + disturbance * (ratio * signal / present).astype(np.float32)[:, np.newaxis, np.newaxis]


def _check_noise(noise):
    if noise not in _NOISES:
        msg = f"noise is {shown(noise)}, but must be one of {', '.join(map(repr, _NOISES))}."
        raise ValueError(msg)


def _check_sources(sources):
    if sources not in _SOURCES:
        msg = f"sources is {shown(sources)}, but must be one of {', '.join(map(repr, _SOURCES))}."
        raise ValueError(msg)


_CHECKS = {
    "snr_db": _snr_range,
    "noise": _check_noise,
    "sources": _check_sources,
    "correlation": _correlation_range,
}
