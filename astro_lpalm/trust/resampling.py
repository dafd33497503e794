"""Uncertainty of a separation: how much its components move when the photons are drawn again."""

import numpy as np

from .._progress import Progress
from ..forward import BackgroundCounts, ForwardModel, demixing_matrix, expected_counts
from .errors import Errors, image_rows, photon_noise

__all__ = ["check_photons", "resample"]


def check_photons(X, n_resamplings):
    """Find out before a long computation whether the photons can be drawn again so often.

    Parameters
    ----------
    X : `~numpy.ndarray`
    n_resamplings : int

    Raises
    ------
    ValueError
        If there are fewer than two resamplings, or X has values that are no counts.
    """
    if n_resamplings < 2:
        msg = f"n_resamplings is {n_resamplings}, but a spread takes at least 2 (50 give it to 10 %)."
        raise ValueError(msg)
    if X.min() < 0:
        msg = (
            "the cube has negative values, so it is no counts that could be drawn again; take the cube from which "
            "nothing was subtracted, and give the background separately."
        )
        raise ValueError(msg)


def resample(fit, find, n_resamplings, background=None, amplitude=1.0, *, seed=0, progress=True):
    """Find the errors of component spectra and images by drawing the observation again and again.

    Each time, the number of photons in each pixel and energy bin is drawn from a Poisson distribution about the one
    observed, and the spectra are found anew. Their mean products of differences from those of the observation itself
    are the covariance of the spectra: so a bias that noise brings counts as well as the scatter. Images have the error
    of the spectra, and besides it the photon noise of each pixel.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`
        What was found in the observation itself.
    find : callable
        Takes a cube and a `numpy.random.Generator`, returns spectra, (m, n), in the same order and of unit norm, and
        the amplitude of the background.
    n_resamplings : int
        At least 2; the relative error of the result is about ``1 / sqrt(2 n_resamplings)``.
    background : `~astro_lpalm.forward.BackgroundCounts` or `~numpy.ndarray`, shape (m, t), optional
        Expected counts of no component, but for a factor.
    amplitude : float
        That factor, as it was found for the observation itself.
    seed : int or `numpy.random.Generator`
    progress : bool
        Whether to show progress on a terminal.

    Returns
    -------
    Errors

    Raises
    ------
    ValueError
        If there are fewer than two resamplings, or the cube has values that are no counts.
    """
    X = fit.cube.matrix(dtype=np.float32)
    check_photons(X, n_resamplings)
    rng = np.random.default_rng(seed)
    if background is None:
        background = BackgroundCounts.separable(np.zeros(len(X)), np.zeros(X.shape[1]))
    background = BackgroundCounts.of(background)
    below = background.spectrum()
    net = ForwardModel(fit.forward.kept, background=background.scaled(amplitude)).net(X)
    counts = fit.mixing * (fit.demixing @ (fit.counts - amplitude * below))
    images = image_rows(fit.mixing, fit.demixing) @ net
    m, n = counts.shape
    covariance, of_images, of_amplitude = np.zeros((n, m, m)), np.zeros(images.shape, dtype=np.float32), 0.0
    meter = Progress(n_resamplings, "resampling", show=progress)
    for _ in range(n_resamplings):
        drawn = rng.poisson(X)
        A, other = find(fit.cube.with_matrix(drawn), rng)
        totals = drawn.sum(axis=1)
        again = demixing_matrix(A, expected_counts(A, totals, other * below))
        rows, more = image_rows(A, again), other - amplitude
        moved = A * (again @ (totals - other * below)) - counts
        covariance += np.einsum("ik,jk->kij", moved, moved)
        of_images += (rows @ net - np.float32(more) * background.project(rows) - images) ** 2
        of_amplitude += more**2
        meter.step()
    images = np.sqrt(of_images / n_resamplings + photon_noise(fit))
    return Errors(images, covariance / n_resamplings, float(np.sqrt(of_amplitude / n_resamplings)))
