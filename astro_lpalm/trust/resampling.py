"""Uncertainty of a separation: how much its components move when the photons are drawn again."""

import numpy as np

from .._progress import Progress
from ..forward import BackgroundCounts, ForwardModel, demixing_matrix, expected_counts
from ..transforms import Starlet

__all__ = ["check_photons", "resample"]

# Counts that an image should have under its smoothing filter to tell how many a pixel can expect; and the pixels under
# the filter that leads to each starlet scale, none for the image itself.
_COUNTS_TO_TELL = 100.0
_PIXELS = (1, 13, 60, 250)


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


def resample(cube, spectra, find, n_resamplings, background=None, amplitude=1.0, *, seed=0, progress=True):
    """Find the uncertainty of component spectra and images by drawing the observation again and again.

    Each time, the number of photons in each pixel and energy bin is drawn from a Poisson distribution about the one
    observed, and the spectra are found anew. Their root mean square distance from those of the observation itself is
    the uncertainty of the spectra: so a bias that noise brings counts as well as the scatter. Images have that of the
    spectra, and besides it the photon noise of each pixel, which follows from the least squares that makes them and
    the smoothed images: in a pixel of few counts the number observed says little of its own variance.

    Parameters
    ----------
    cube : `~astro_lpalm.cube.EventCube`
    spectra : `~numpy.ndarray`, shape (m, n)
        Those found in the cube itself.
    find : callable
        Takes a cube and a `numpy.random.Generator`, returns spectra, (m, n), in the same order and of unit norm, and
        the amplitude of the background.
    n_resamplings : int
        At least 2; the relative error of the result is about ``1 / sqrt(2 n_resamplings)``.
    background : `~astro_lpalm.forward.BackgroundCounts` or `~numpy.ndarray`, shape (m, t), optional
        Expected counts of no component, but for a factor.
    amplitude : float
        That factor, as it was found for the cube itself.
    seed : int or `numpy.random.Generator`
    progress : bool
        Whether to show progress on a terminal.

    Returns
    -------
    spectra_uncertainty : `~numpy.ndarray`, shape (m, n)
        Standard deviation of the counts of each component in each energy bin, summed over the field; not less than
        one count, as a spectrum that its library holds near zero comes out there each time.
    image_uncertainty : `~numpy.ndarray`, shape (n, t)
        Standard deviation of the counts of each component in each unmasked pixel, summed over the energies.
    amplitude_uncertainty : float
        Standard deviation of the background's amplitude.

    Raises
    ------
    ValueError
        If there are fewer than two resamplings, or the cube has values that are no counts.
    """
    X = cube.matrix(dtype=np.float32)
    check_photons(X, n_resamplings)
    rng = np.random.default_rng(seed)
    if background is None:
        background = BackgroundCounts.separable(np.zeros(len(X)), np.zeros(X.shape[1]))
    background = BackgroundCounts.of(background)
    total, below = X.sum(axis=1, dtype=float), background.spectrum()
    solve = _demixing(spectra, total, amplitude * below)
    net = ForwardModel(~cube.pixel_mask, background=background.scaled(amplitude)).net(X)
    counts = spectra * (solve @ (total - amplitude * below))
    images = _image_rows(spectra, solve) @ net
    of_spectra, of_images, of_amplitude = np.zeros(counts.shape), np.zeros(images.shape, dtype=np.float32), 0.0
    meter = Progress(n_resamplings, "resampling", show=progress)
    for _ in range(n_resamplings):
        drawn = rng.poisson(X)
        A, other = find(cube.with_matrix(drawn), rng)
        totals = drawn.sum(axis=1)
        again = _demixing(A, totals, other * below)
        rows, more = _image_rows(A, again), other - amplitude
        of_spectra += (A * (again @ (totals - other * below)) - counts) ** 2
        of_images += (rows @ net - np.float32(more) * background.project(rows) - images) ** 2
        of_amplitude += more**2
        meter.step()
    noise = _photon_noise(cube, spectra, solve, net, background.scaled(amplitude))
    of_spectra = np.sqrt(np.maximum(of_spectra / n_resamplings, 1.0))
    of_images = np.sqrt(of_images / n_resamplings + noise)
    return of_spectra, of_images, float(np.sqrt(of_amplitude / n_resamplings))


def _demixing(spectra, counts, background):
    return demixing_matrix(spectra, expected_counts(spectra, counts, background))


def _image_rows(spectra, solve):
    # What makes images of counts, summed over the energies, of the data.
    return (spectra.sum(axis=0)[:, np.newaxis] * solve).astype(np.float32)


def _photon_noise(cube, spectra, solve, net, background):
    # Variance of the counts of each component's image, (n, t), from those that each pixel can expect.
    mask = cube.pixel_mask
    counts = net.sum(dtype=float) / net.shape[1]
    n_scales = sum(counts * pixels < _COUNTS_TO_TELL for pixels in _PIXELS)
    sources = solve.astype(np.float32) @ net
    if n_scales:
        scales = Starlet(min(n_scales, Starlet().largest_n_scales(min(mask.shape))))
        _, smooth = scales.forward(np.nan_to_num(cube.image_of(sources)), mask if mask.any() else None)
        sources = smooth[:, ~mask]
    expected = np.maximum(spectra.astype(np.float32) @ sources.astype(np.float32), 0.0)
    weights = _image_rows(spectra, solve) ** 2
    return weights @ expected + background.project(weights)
