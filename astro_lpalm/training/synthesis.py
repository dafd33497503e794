"""Examples of X = A S + noise, drawn part by part, here or by the workers of a cluster."""

from dataclasses import dataclass

import numpy as np

from .._cluster import run_each
from .._progress import Progress
from .._text import shown
from ..forward import Mix
from ..sources import SourceLibrary
from ..spectra import SpectralLibrary

__all__ = ["CHECKS", "PART", "Synthesis", "add_noise"]

_NOISES = ("counts", "white")
_SOURCES = ("pixels", "images")
_DEGREES = 16  # of correlation in a range
PART = 100  # examples drawn at once: they stay in the processor's cache, and have some for every worker


@dataclass(frozen=True)
class Synthesis:
    """How examples are drawn; a class, so that other processes can have it.

    Parameters
    ----------
    spectra : `~astro_lpalm.spectra.SpectralLibrary`
    library : `~astro_lpalm.sources.SourceLibrary`
    n_pixels : int
    snr_db : float or (float, float)
    noise, sources : str
    correlation : float or (float, float)
        See `TrainingSet.synthesize`.

    Raises
    ------
    ValueError
        If one of the last four is not what it may be.
    """

    spectra: SpectralLibrary
    library: SourceLibrary
    n_pixels: int
    snr_db: tuple
    noise: str
    sources: str
    correlation: tuple

    def __post_init__(self):
        for name, check in CHECKS.items():
            object.__setattr__(self, name, check(getattr(self, name)))

    def __call__(self, task):
        """Draw n examples with a seed of their own, in single precision; or without one the statistics, of rank n."""
        n, seed = task
        if seed is None:
            return self.spectra.statistics(n)
        rng = np.random.default_rng(seed)
        A = self.spectra.draw(n, rng)
        S = self._draw_sources(n, rng)
        X = add_noise(A, S, rng.uniform(*self.snr_db, size=n), rng, noise=self.noise)
        return X, A.astype(np.float32), S.astype(np.float32)

    def draw(self, n_samples, seed, rank, *, client=None, progress=True):
        """Draw all examples, and find the statistics of the spectra.

        Parameters
        ----------
        n_samples : int
        seed : int or `numpy.random.Generator`
        rank : int
            Number of principal vectors.
        client, progress
            See `TrainingSet.synthesize`.

        Returns
        -------
        X, A, S : `~numpy.ndarray`, shapes (N, m, t), (N, m, n) and (N, n, t)
        statistics : `~astro_lpalm.spectra.SpectralPrior`
        """
        m, n, t = len(self.spectra.energy_edges) - 1, len(self.spectra.component_names), self.n_pixels
        whole = [np.empty((n_samples, *shape), dtype=np.float32) for shape in ((m, t), (m, n), (n, t))]
        parts = np.array_split(np.arange(n_samples), -(-n_samples // PART))
        # Seeds rather than generators: a part that is drawn a second time, as its worker was lost, is the same.
        seeds = np.random.default_rng(seed).bit_generator.seed_seq.spawn(len(parts))
        # First what takes longest: many spectra without sources.
        tasks = [(min(rank, m), None), *((len(part), own) for part, own in zip(parts, seeds))]
        meter = Progress(len(parts), "training set", show=progress)
        done = run_each(self, tasks, client)
        statistics = next(done)
        for part, drawn in zip(parts, done):
            for array, values in zip(whole, drawn):
                array[part] = values
            meter.step()
        return *whole, statistics

    def _draw_sources(self, n, rng):
        if self.sources == "pixels":
            return self.library.draw(n, self.n_pixels, rng)
        degrees = np.linspace(*self.correlation, min(n, _DEGREES))
        drawn = [
            self.library.draw_details(len(part), self.n_pixels, rng, correlation=degree)
            for part, degree in zip(np.array_split(np.arange(n), len(degrees)), degrees)
        ]
        return rng.permutation(np.concatenate(drawn))


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


def _correlation_range(correlation):
    low, high = _range(correlation)
    if not 0 <= low <= high <= 1:
        msg = f"correlation = {shown(correlation)} is not a number from 0 to 1, or a range [low, high] of them."
        raise ValueError(msg)
    return low, high


def _snr_range(snr_db):
    # the lowest and the highest of a range of decibels, or the same number twice
    low, high = _range(snr_db)
    if not -100 <= low <= high <= 200:
        msg = f"snr_db = {shown(snr_db)} is not a number of decibels or a range [low, high] of them, such as [10, 40]."
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


def _check_noise(noise):
    if noise not in _NOISES:
        msg = f"noise is {shown(noise)}, but must be one of {', '.join(map(repr, _NOISES))}."
        raise ValueError(msg)
    return noise


def _check_sources(sources):
    if sources not in _SOURCES:
        msg = f"sources is {shown(sources)}, but must be one of {', '.join(map(repr, _SOURCES))}."
        raise ValueError(msg)
    return sources


# What a setting may be: an error, or its value, of a range the lowest and the highest.
CHECKS = {
    "snr_db": _snr_range,
    "noise": _check_noise,
    "sources": _check_sources,
    "correlation": _correlation_range,
}
