"""Uncertainty of a separation: how much its components move when the photons are drawn again."""

from dataclasses import dataclass

import numpy as np

from .._cluster import run_each
from .._progress import Progress
from ..forward import BackgroundCounts, demixing_matrix, expected_counts
from .errors import Errors, by_spectra, image_rows, photon_noise

__all__ = ["check_photons", "resample"]


def check_photons(X, n_resamplings):
    """Find out before a long computation whether the photons can be drawn again so often.

    Parameters
    ----------
    X : `~astro_lpalm.cube.Counts`
    n_resamplings : int

    Raises
    ------
    ValueError
        If there are fewer than two resamplings, or X has values that are no counts.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.cube import counts_of
    >>> from astro_lpalm.trust import check_photons
    >>> check_photons(counts_of(np.ones((3, 2, 2))), n_resamplings=1)
    Traceback (most recent call last):
        ...
    ValueError: n_resamplings is 1, but a spread takes at least 2 (50 give it to 10 %).
    """
    if n_resamplings < 2:
        msg = f"n_resamplings is {n_resamplings}, but a spread takes at least 2 (50 give it to 10 %)."
        raise ValueError(msg)
    if X.n_negative():
        msg = (
            "the cube has negative values, so it is no counts that could be drawn again; take the cube from which "
            "nothing was subtracted, and give the background separately."
        )
        raise ValueError(msg)


def resample(
    fit,
    find,
    n_resamplings,
    background=None,
    amplitude=1.0,
    *,
    blocks=None,
    seed=0,
    progress=True,
    client=None,
):
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
        Takes what was drawn and a `numpy.random.Generator`, returns spectra, (m, n), in the same order and of unit
        norm, and the amplitude of the background.
    n_resamplings : int
        At least 2; the relative error of the result is about ``1 / sqrt(2 n_resamplings)``.
    background : `~astro_lpalm.forward.BackgroundCounts` or `~numpy.ndarray`, shape (m, t), optional
        Expected counts of no component, but for a factor.
    amplitude : float
        That factor, as it was found for the observation itself.
    blocks : array_like of int, shape (t,), optional
        Where the spectra are found in the counts of blocks, these alone are drawn: the sum of Poisson numbers is
        one. Then ``find`` takes such counts, (m, number of blocks), and otherwise a cube.
    seed : int or `numpy.random.Generator`
        Each draw has a generator of its own, so that errors do not hang on who computes it.
    progress : bool
        Whether to show progress on a terminal.
    client : ``dask.distributed.Client``, optional
        Whose workers find the spectra.

    Returns
    -------
    Errors

    Raises
    ------
    ValueError
        If there are fewer than two resamplings, or the cube has values that are no counts.

    Examples
    --------
    Spectra that are known, so that only the images change:

    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.forward import Fit, ForwardModel
    >>> from astro_lpalm.trust import resample
    >>> A, S = np.array([[0.6, 0.1], [0.3, 0.3], [0.1, 0.6]]), 100.0 * np.indices((8, 8)).reshape(2, -1)
    >>> counts = np.random.default_rng(0).poisson(A @ S).reshape(3, 8, 8)
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> cube = EventCube(counts, energy_edges=[0.5, 1, 2, 7] * u.keV, wcs=wcs)
    >>> fit = Fit(cube, ForwardModel(~cube.pixel_mask), A, S)
    >>> def find(cube, rng):
    ...     return A / np.linalg.norm(A, axis=0), 1.0
    >>> resample(fit, find, 100, progress=False).counts.round(-1)
    array([190., 200.])
    """
    X, background = fit.cube.counts, None if background is None else BackgroundCounts.of(background)
    check_photons(X, n_resamplings)
    below = np.zeros(X.shape[0]) if background is None else background.spectrum()
    counts = fit.mixing * (fit.demixing @ (fit.counts - amplitude * below))
    rows = image_rows(fit.mixing, fit.demixing)
    m, n = counts.shape
    covariance, moves, of_amplitude = np.zeros((n, m, m)), [], 0.0
    draw = _Draw(fit.cube if blocks is None else X.sums(blocks), find)
    meter = Progress(n_resamplings, "resampling", show=progress)
    for A, other, totals in run_each(draw, np.random.default_rng(seed).spawn(n_resamplings), client):
        again, more = demixing_matrix(A, expected_counts(A, totals, other * below)), other - amplitude
        moved = A * (again @ (totals - other * below)) - counts
        covariance += np.einsum("ik,jk->kij", moved, moved)
        found = image_rows(A, again)
        # of the image, which is rows (X - amplitude B): by those that the counts and those that the background meets
        moves.append(np.hstack([found - rows, amplitude * (found - rows) + more * found]))
        of_amplitude += more**2
        meter.step()

    def project(axes):
        image = X.project(np.ascontiguousarray(axes[:, :m]))
        return image if background is None else image - background.project(np.ascontiguousarray(axes[:, m:]))

    images = photon_noise(fit)
    for image, own in zip(images, np.swapaxes(moves, 0, 1)):
        image += by_spectra((own if background is not None else own[:, :m]) / np.sqrt(n_resamplings), project)
    return Errors(np.sqrt(images), covariance / n_resamplings, float(np.sqrt(of_amplitude / n_resamplings)))


@dataclass(frozen=True)
class _Draw:
    """Draws photons and finds the spectra; a class, so that other processes can have it."""

    observed: object
    find: object

    def __call__(self, rng):
        if isinstance(self.observed, np.ndarray):
            drawn = rng.poisson(self.observed).astype(float)
            totals = drawn.sum(axis=1)
        else:
            drawn = self.observed.redrawn(rng)
            totals = drawn.counts.spectrum()
        return *self.find(drawn, rng), totals
