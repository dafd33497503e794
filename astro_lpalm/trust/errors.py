"""Errors of component spectra and images: photon noise, through least squares, and what the spectra leave open."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.ndimage import gaussian_filter

from ..forward.least_squares import demixing_matrix, expected_counts, floored, weighted_inverse
from ..transforms import Starlet

__all__ = [
    "Errors",
    "by_spectra",
    "image_rows",
    "least_squares_errors",
    "photon_noise",
    "posterior_errors",
    "prior_errors",
    "reduced_chi_square",
    "region_errors",
    "residual_share",
    "spectrum_errors",
    "variance_inflation",
]

# Counts that there should be under a smoothing filter to tell how many a pixel can expect; and the pixels under that
# which leads to each starlet scale, none for the image itself.
_COUNTS_TO_TELL = 100.0
_PIXELS = (1, 13, 60, 250, 1000)
_AT_A_TIME = 4096  # pixels whose expected counts, of local spectra, are laid out;
_BACKGROUNDS = 64  # and of so many times as many the background, which may have to be read for it
_AT_ONCE = 4  # images, which may be large;
_AT_ONCE_OF_PLANES = 8  # and of a cube that all of is read to make any
_EDGE_WIDTH = 1.0  # pixels, over which smooth images are compared with those without a prior
_LEAST_SHARE = 1e-3  # of the variance that the spectra bring to an image: smaller parts are left out


@dataclass(frozen=True)
class Errors:
    """How well components are known.

    Attributes
    ----------
    images : `~numpy.ndarray`, shape (n, t)
        Standard deviation of the counts of each component in each unmasked pixel, summed over the energies.
    covariance : `~numpy.ndarray`, shape (n, m, m)
        Of the counts of each component in the energy bins, summed over the field.
    amplitude : float, or `~numpy.ndarray`, shape (o,)
        Standard deviation of the background's amplitude; of several observations, of each.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.trust import Errors
    >>> errors = Errors(images=np.ones((1, 4)), covariance=np.array([[[9.0, -2.0], [-2.0, 4.0]]]))
    >>> errors.spectra, errors.counts
    (array([[3.],
           [2.]]), array([3.]))
    """

    images: np.ndarray
    covariance: np.ndarray
    amplitude: float | np.ndarray = 0.0

    @property
    def spectra(self):
        """Standard deviation of the counts of each component in each energy bin, (m, n); not less than one count.

        A spectrum that its library holds near zero comes out there each time; one count more or less cannot be told.
        """
        return np.sqrt(np.maximum(np.diagonal(self.covariance, axis1=1, axis2=2), 1.0)).T

    @property
    def counts(self):
        """Standard deviation of the counts of each component, all in all, (n,)."""
        return np.sqrt(np.maximum(self.covariance.sum(axis=(1, 2)), 0.0))


def posterior_errors(fit, posterior, amplitude=0.0):
    """Errors from the curvature of the likelihood or the posterior probability about the spectra.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`
    posterior : object
        With ``directions`` (q, m, n) and ``counts_covariance`` (n, m, m), such as a
        `~astro_lpalm.separation.PhysicalFit` or `~astro_lpalm.separation.LibraryErrors`.
    amplitude : float or `~numpy.ndarray`
        Standard deviation of the background's amplitude.

    Returns
    -------
    Errors
        Images have the photon noise of each pixel, and that by which they move with the spectra: with local ones, as
        the images of the field's spectra do.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.forward import Fit, ForwardModel
    >>> from astro_lpalm.separation import library_errors
    >>> from astro_lpalm.spectra import SpectralPrior
    >>> from astro_lpalm.trust import posterior_errors
    >>> A, S = np.array([[0.6, 0.1], [0.3, 0.3], [0.1, 0.6]]), 100.0 * np.indices((8, 8)).reshape(2, -1)
    >>> counts = (A @ S).reshape(3, 8, 8)
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> cube = EventCube(counts, energy_edges=[0.5, 1, 2, 7] * u.keV, wcs=wcs)
    >>> fit = Fit(cube, ForwardModel(~cube.pixel_mask), A, S)
    >>> prior = SpectralPrior.of_draws(A + 0.01 * np.random.default_rng(0).normal(size=(50, 3, 2)), rank=2)
    >>> errors = posterior_errors(fit, library_errors(cube.matrix(), A, prior))
    >>> errors.spectra.shape, errors.images.shape
    ((3, 2), (2, 64))
    """
    rows = image_rows(fit.mixing, fit.demixing)
    totals = fit.mixing.sum(axis=0)  # directions are of spectra of unit sum
    moved = [_rows_of(fit, fit.mixing + totals * direction) - rows for direction in posterior.directions]
    noise = photon_noise(fit)
    at_once = _AT_ONCE_OF_PLANES if fit.cube.is_lazy else _AT_ONCE
    for own, moves in zip(noise, np.swapaxes(moved, 0, 1)):
        own += by_spectra(moves, lambda axes: fit.forward.project(axes, fit.cube.counts), at_once)
    return Errors(np.sqrt(noise), posterior.counts_covariance, amplitude)


def by_spectra(moves, project, at_once=_AT_ONCE):
    """Find the variance of an image that moves together with the spectra.

    Parameters
    ----------
    moves : `~numpy.ndarray`, shape (q, m)
        Independent ways in which what makes the image of the data moves.
    project : callable
        Makes images, (k, t), by such rows, (k, m).
    at_once : int
        How many of them are made at once: images may be large, and so may what they are made of.

    Returns
    -------
    `~numpy.ndarray`, shape (t,)
    """
    # Few combinations of the energies hold nearly all of how the image can move.
    _, sizes, axes = np.linalg.svd(moves, full_matrices=False)
    kept = sizes**2 > _LEAST_SHARE * np.sum(sizes**2)
    variance, axes = 0.0, (sizes[kept, np.newaxis] * axes[kept]).astype(np.float32)
    for start in range(0, len(axes), at_once):
        for image in project(axes[start : start + at_once]):
            variance = variance + image**2
    return variance


def least_squares_errors(fit):
    """Errors where nothing is known of the spectra but the data: photon noise, of spectra for images taken as known.

    What else may leave the spectra open, as the ways of a blind solver do, is not in them.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`

    Returns
    -------
    Errors

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.forward import Fit, ForwardModel
    >>> from astro_lpalm.trust import least_squares_errors
    >>> A, S = np.array([[0.6, 0.1], [0.3, 0.3], [0.1, 0.6]]), 100.0 * np.indices((8, 8)).reshape(2, -1)
    >>> counts = (A @ S).reshape(3, 8, 8)
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> cube = EventCube(counts, energy_edges=[0.5, 1, 2, 7] * u.keV, wcs=wcs)
    >>> fit = Fit(cube, ForwardModel(~cube.pixel_mask), A, S)
    >>> least_squares_errors(fit).spectra.round()
    array([[166., 135.],
           [140., 140.],
           [135., 166.]])
    """
    covariance = np.array([np.diag(variance) for variance in spectrum_errors(fit).T ** 2])
    return Errors(np.sqrt(photon_noise(fit)), covariance)


def _rows_of(fit, mixing):
    """Find what makes images of the data for other spectra, which need not be of unit norm."""
    background = 0.0 if fit.forward.background is None else fit.forward.background.spectrum()
    return image_rows(mixing, demixing_matrix(mixing, expected_counts(mixing, fit.counts, background)))


def image_rows(spectra, solve):
    """Give the matrix, (n, m), that makes images, in counts summed over the energies, of the data."""
    return (spectra.sum(axis=0)[:, np.newaxis] * solve).astype(np.float32)


def photon_noise(fit):
    """Estimate the variance of the counts of each component's image from those that each pixel can expect.

    The images are smoothed for it, where counts are few: the number observed in a pixel says little of its own
    variance.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`
        With local spectra, images are those of `~astro_lpalm.forward.LocalSpectra.least_squares`, with the weights of
        the field.

    Returns
    -------
    `~numpy.ndarray`, shape (n, t)
    """
    background, sources = fit.forward.background, _smoothed(fit)
    # Where nothing was seen, there may still be what the widest filter would have seen as less than a count. Counts
    # from which more was subtracted than there is are below zero, their variance is not.
    seen = np.maximum(fit.counts, 0.0)
    least = seen / max(seen.sum(), 1.0) / _PIXELS[-1]
    if fit.local is not None:
        return _local_noise(fit, sources * fit.mixing.sum(axis=0)[:, np.newaxis], least)
    weights = image_rows(fit.mixing, fit.demixing) ** 2
    noise, mixing = np.empty(sources.shape, dtype=np.float32), fit.mixing.astype(np.float32)
    least = least.astype(np.float32)[:, np.newaxis]
    for start in range(0, sources.shape[1], _AT_A_TIME):
        pixels = np.s_[start : start + _AT_A_TIME]
        noise[:, pixels] = weights @ np.maximum(mixing @ sources[:, pixels], least)
    return noise if background is None else noise + background.project(weights)


def _local_noise(fit, counts, least):
    noise = np.empty(counts.shape, dtype=np.float32)
    for pixels, local, expected in _local_counts(fit, counts, least[:, np.newaxis]):
        noise[:, pixels] = local.noise(expected, fit.variance)
    return noise


def _local_counts(fit, counts, least=-np.inf):
    """Walk through parts of the field: pixels, their spectra, and expected counts, those of components not below."""
    background, wide = fit.forward.background, _BACKGROUNDS * _AT_A_TIME
    for start in range(0, counts.shape[1], _AT_A_TIME):
        if background is not None and start % wide == 0:
            floor = background.of_pixels(np.s_[start : start + wide]).matrix(np.float32)
        pixels = np.s_[start : start + _AT_A_TIME]
        local = fit.local.of_pixels(pixels)
        expected = np.maximum(local.expected(counts[:, pixels]), least)
        if background is not None:
            expected += floor[:, start % wide : start % wide + _AT_A_TIME]
        yield pixels, local, expected


def _smoothed(fit):
    """Smooth the images, (n, t), in each pixel over as few others as hold enough counts."""
    sources, kept = fit.images.astype(np.float32, copy=False), fit.forward.kept
    masked, n_scales = None if kept.all() else ~kept, min(len(_PIXELS) - 1, Starlet().largest_n_scales(min(kept.shape)))

    def levels(values):
        """Yield smoother and smoother ones, from the coarsest to the image itself."""
        plane = np.zeros(kept.shape, dtype=np.float32)
        plane[kept] = values
        if n_scales:
            details, smooth = Starlet(n_scales).forward(plane, masked)
            while details:
                yield smooth[kept]
                smooth += details.pop()
        yield values

    # The next smoother image says which pixels have enough: by their own noise the brighter ones would be chosen.
    level, pixels, found = np.zeros(sources.shape[1], dtype=np.int8), _PIXELS[n_scales::-1], None
    for number, values in enumerate(levels(fit.mixing.sum(axis=0).astype(np.float32) @ sources)):
        if number:
            enough = found * pixels[number] >= _COUNTS_TO_TELL
            level[enough] = number
            values = np.where(enough, values, found)
        found = values
    chosen = np.empty_like(sources)
    for row, out in zip(sources, chosen):
        for number, values in enumerate(levels(row)):
            np.copyto(out, values, where=level == number)
    return chosen


def prior_errors(fit, noise, smooth):
    """Find where smooth images are not what the data say, for their errors.

    The difference from images without a prior, averaged over a few pixels, is noise of a known size, or what is too
    sharp for the prior.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`
        Of images without a prior.
    noise : `~numpy.ndarray`, shape (n, t)
        Their standard deviations.
    smooth : `~numpy.ndarray`, shape (n, t)
        Counts of the smooth images.

    Returns
    -------
    `~numpy.ndarray`, shape (n, t)
        Standard deviations, zero where the difference is no more than noise.

    Examples
    --------
    Smooth images of a prior that is wrong in the first component, by 10 %:

    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.forward import Fit, ForwardModel
    >>> from astro_lpalm.trust import least_squares_errors, prior_errors
    >>> A, S = np.array([[0.6, 0.1], [0.3, 0.3], [0.1, 0.6]]), 100.0 * np.indices((8, 8)).reshape(2, -1)
    >>> counts = (A @ S).reshape(3, 8, 8)
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> cube = EventCube(counts, energy_edges=[0.5, 1, 2, 7] * u.keV, wcs=wcs)
    >>> fit = Fit(cube, ForwardModel(~cube.pixel_mask), A, S)
    >>> smooth = fit.component_counts * [[0.9], [1.0]]
    >>> prior_errors(fit, least_squares_errors(fit).images, smooth).max(axis=1).round()
    array([64.,  0.])
    """
    kept = fit.forward.kept

    def averaged(values, width):
        image = np.zeros(kept.shape)
        image[kept] = values
        return gaussian_filter(image, width, mode="constant")[kept]

    inside = averaged(1.0, _EDGE_WIDTH)
    narrower = _EDGE_WIDTH / np.sqrt(2)  # the square of a Gaussian
    found = []
    for difference, deviation in zip(fit.component_counts - smooth, noise):
        mean = averaged(difference, _EDGE_WIDTH) / inside
        variance = averaged(deviation**2, narrower) / (4 * np.pi * _EDGE_WIDTH**2) / inside**2
        found.append(np.sqrt(np.maximum(mean**2 - variance, 0.0)))
    return np.array(found)


def spectrum_errors(fit):
    """Photon noise of the component spectra in each energy bin, for images taken as known.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`

    Returns
    -------
    `~numpy.ndarray`, shape (m, n)
        Standard deviations in counts, at least that of one count; see the Notes of
        `~astro_lpalm.results.Separation.write_pha`.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.forward import Fit, ForwardModel
    >>> from astro_lpalm.trust import spectrum_errors
    >>> A, S = np.array([[0.6, 0.1], [0.3, 0.3], [0.1, 0.6]]), 100.0 * np.indices((8, 8)).reshape(2, -1)
    >>> counts = (A @ S).reshape(3, 8, 8)
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> cube = EventCube(counts, energy_edges=[0.5, 1, 2, 7] * u.keV, wcs=wcs)
    >>> fit = Fit(cube, ForwardModel(~cube.pixel_mask), A, S)
    >>> fit.component_spectra()
    array([[13440.,  2240.],
           [ 6720.,  6720.],
           [ 2240., 13440.]])
    >>> spectrum_errors(fit).round()
    array([[166., 135.],
           [140., 140.],
           [135., 166.]])
    """
    sources = fit.images
    used = sources.any(axis=1)
    variance = np.ones(fit.mixing.shape)
    if used.any():
        squares = _least_squares(sources[used], _noise_of_sources(fit)[np.ix_(used, used)]) ** 2
        # Row by row, as everything here: counts and expected counts of all energies would be two cubes in double.
        spread = np.array([squares @ np.maximum(expected, 0) for _, expected in fit.rows()])
        variance[:, used] = np.maximum(sources[used].sum(axis=1) ** 2 * spread, 1)
    return np.sqrt(variance)


def _noise_of_sources(fit):
    """Scalar products of the noise that the sources hold, shape (n, n).

    In S = P X it has the covariance P V P^T; where S is smoother than that, P X - S is the part it did not take up.
    """
    sources, solve = fit.images, fit.demixing
    mean = np.empty(len(fit.mixing))
    left = (solve @ fit.mixing - np.eye(len(sources))) @ sources  # and P of the residuals: together P X - S
    for energy, (data, expected) in enumerate(fit.rows()):
        mean[energy] = np.maximum(expected, 0).mean()
        residual = data - expected
        for part, weight in zip(left, solve[:, energy]):
            part += weight * residual
    return sources.shape[1] * (solve * mean) @ solve.T - left @ left.T


def _least_squares(sources, noise):
    """Solve for spectra by least squares, shape (n, t), as if the sources had only the scalar products of their signal.

    Sources that were fitted to pixels of few counts are mostly noise, which would make them look as if they told the
    components apart well.
    """
    sources = sources.astype(float)  # in single precision, rounding would leave products that no sources have
    whole = sources @ sources.T
    scale = whole + 1e-10 * np.trace(whole) * np.eye(len(whole))
    values, vectors = eigh(whole - noise, scale)
    # No direction gains from the correction, and none loses more than the fluctuations of noise allow to be told.
    values = np.clip(values, np.sqrt(2 / sources.shape[1]), 1)
    return (vectors / np.sqrt(values)) @ (vectors.T @ sources)


def region_errors(fit, inside, spectra_uncertainty=None):
    """Uncertainty of the component spectra in a region.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`
    inside : `~numpy.ndarray` of bool, shape (t,)
        The pixels of the region.
    spectra_uncertainty : `~numpy.ndarray`, shape (m, n), optional
        Of the spectra of the field, where they are known better than by `spectrum_errors`.

    Returns
    -------
    `~numpy.ndarray`, shape (m, n)
        Standard deviations in counts: that of the brightness, from the photons in the region, and that of the spectrum
        itself, from the whole field.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.forward import Fit, ForwardModel
    >>> from astro_lpalm.trust import region_errors
    >>> A, S = np.array([[0.6, 0.1], [0.3, 0.3], [0.1, 0.6]]), 100.0 * np.indices((8, 8)).reshape(2, -1)
    >>> counts = (A @ S).reshape(3, 8, 8)
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> cube = EventCube(counts, energy_edges=[0.5, 1, 2, 7] * u.keV, wcs=wcs)
    >>> fit = Fit(cube, ForwardModel(~cube.pixel_mask), A, S)
    >>> region_errors(fit, np.arange(64) < 16).round()
    array([[37., 35.],
           [19., 45.],
           [ 8., 69.]])
    """
    mixing, sources = fit.mixing, fit.images
    here = np.array([np.maximum(expected[inside], 0).sum() for _, expected in fit.rows()])
    brightness = np.sqrt(fit.demixing**2 @ here)
    whole = spectrum_errors(fit) if spectra_uncertainty is None else spectra_uncertainty
    total, here = sources.sum(axis=1), sources[:, inside].sum(axis=1)
    share = np.divide(here, total, out=np.zeros_like(total), where=total != 0)
    return np.hypot(mixing * brightness, whole * share)


def variance_inflation(mixing, variance):
    """How many times the variance of a component's brightness grows since the others are not known.

    Parameters
    ----------
    mixing : `~numpy.ndarray`, shape (m, n)
    variance : `~numpy.ndarray`, shape (m,)
        Of the data in each energy bin.

    Returns
    -------
    `~numpy.ndarray`, shape (n,)
        The variance inflation factor of regression, 1 for spectra that are orthogonal to each other.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.trust import variance_inflation
    >>> variance_inflation(np.array([[1.0, 0.9], [0.0, 0.1]]), np.ones(2)).round(1)
    array([82., 82.])
    """
    alone = (mixing**2 / floored(variance)[:, np.newaxis]).sum(axis=0)
    together = np.diag(weighted_inverse(mixing, variance)[1])
    return np.maximum(alone * together, 1)


def reduced_chi_square(fit):
    """Compare the squares of the residuals with what Poisson noise leaves of them.

    See the Notes of `~astro_lpalm.results.Separation`.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`
        With local spectra, residuals are what these leave, where images are those of
        `~astro_lpalm.forward.LocalSpectra.least_squares`.

    Returns
    -------
    float or None
        None where as many spectra as energies fit anything, so that nothing is left to compare.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.forward import Fit, ForwardModel, least_squares
    >>> from astro_lpalm.trust import reduced_chi_square
    >>> A, S = np.array([[0.6, 0.1], [0.3, 0.3], [0.1, 0.6]]), 100.0 * np.indices((32, 32)).reshape(2, -1)
    >>> counts = np.random.default_rng(0).poisson(A @ S).reshape(3, 32, 32)
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> cube = EventCube(counts, energy_edges=[0.5, 1, 2, 7] * u.keV, wcs=wcs)
    >>> fit = Fit(cube, ForwardModel(~cube.pixel_mask), A, least_squares(cube.matrix(), A, (A @ S).sum(axis=1)))
    >>> round(reduced_chi_square(fit), 1)
    1.0
    """
    squares = fit.residual_squares
    if fit.local is None:
        expected = residual_share(fit.mixing, fit.variance) @ fit.expected_spectrum()
    else:
        parts = _local_counts(fit, fit.component_counts)
        expected = sum(local.residual_squares(counts, fit.variance).sum() for _, local, counts in parts)
    if fit.mixing.shape[0] <= fit.mixing.shape[1] or expected <= 0:
        return None
    return float(squares / expected)


def residual_share(mixing, variance):
    """Share of the noise of each energy that weighted least-squares sources leave to the residuals, shape (m,).

    Of data X the residuals are R X, and the squares of noise of variance V add up to the sum of R_ik^2 V_k.

    Parameters
    ----------
    mixing : `~numpy.ndarray`, shape (m, n)
    variance : `~numpy.ndarray`, shape (m,)
        Of the data in each energy bin, up to a factor, which the sources were weighted with.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.trust import residual_share
    >>> residual_share(np.array([[1.0], [1.0]]), np.array([1.0, 1.0])).round(3)
    array([0.5, 0.5])
    """
    R = np.eye(len(mixing)) - mixing @ demixing_matrix(mixing, variance)
    return (R**2).sum(axis=0)
