"""Statistics of maps of the sky, and images drawn with them."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from scipy import fft
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.special import gammaln, ndtri

from ..transforms import Starlet
from .generalized_gaussian import _shape_of_moments

__all__ = ["ImageStatistics"]

_N_SCALES = 3  # the finest ones, over which correlations are averaged
_SMOOTHING = 0.8  # pixels, standard deviation: what a point spread function leaves of the finest structure
_TRANSITION = 0.37  # from outlines to texture, in cycles per pixel times the root of the side: see `_field_spectra`
_BORDER = 1.25  # fields are periodic, so images are cut from larger ones
# Matching: images small enough to be drawn in a moment, and enough of them to average over
_SIDE, _N_DRAWS, _ROUNDS, _STEP = 128, 32, 6, 1.5
_LARGEST = 0.95  # correlation of two fields
_CONTRASTS = (0.02, 3.0)  # below, brightness rises in a straight line; above, single pixels outshine the rest
# Mean figures of the maps of Cassiopeia A of Fahes et al. (2022).
_TYPICAL_SLOPE, _TYPICAL_DETAILS, _TYPICAL_MODULI = 3.0, 0.13, 0.2


@dataclass(frozen=True, eq=False)
class ImageStatistics:
    """What images of n components have in common with maps of the sky.

    A draw makes a Gaussian random field for each component, whose power falls with spatial frequency, cuts it off where
    the wanted fraction is left, and gives what is left the ranks of a lognormal distribution. The fields of the
    components are correlated, at low frequencies, which decide about the outlines of the emission, and at high ones,
    which make its texture. The two degrees, and the contrast, are such that the details of drawn images have the
    statistics below; they are found by drawing, when they are first needed.

    Parameters
    ----------
    fractions : array_like, shape (n,)
        Fraction of the finest starlet details that are not zero, in each image.
    shapes : array_like, shape (n,)
        Shape of the generalized Gaussian that describes these; see `GeneralizedGaussian`.
    slopes : array_like, shape (n,)
        The power of a field falls as its spatial frequency to the power of minus this.
    details : array_like, shape (n, n)
        Correlation of the details of two components, the mean of the three finest starlet scales.
    moduli : array_like, shape (n, n)
        The same of the moduli of the details: how far two components are bright in the same places.

    Examples
    --------
    >>> from astro_lpalm.sources import ImageStatistics
    >>> ImageStatistics.typical(fractions=[0.8, 0.4], shapes=[0.4, 0.5]).moduli
    array([[1. , 0.2],
           [0.2, 1. ]])
    """

    fractions: np.ndarray
    shapes: np.ndarray
    slopes: np.ndarray
    details: np.ndarray
    moduli: np.ndarray

    def __post_init__(self):
        for name in ("fractions", "shapes", "slopes", "details", "moduli"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=float))

    @classmethod
    def typical(cls, fractions, shapes):
        """Make up what is not known from maps of Cassiopeia A.

        Parameters
        ----------
        fractions, shapes : sequence of float
            Of each component's details; see `GeneralizedGaussian`.

        Returns
        -------
        statistics : `ImageStatistics`
        """
        n = len(fractions)
        degrees = [degree + (1 - degree) * np.eye(n) for degree in (_TYPICAL_DETAILS, _TYPICAL_MODULI)]
        return cls(fractions, shapes, np.full(n, _TYPICAL_SLOPE), *degrees)

    @classmethod
    def of_images(cls, images, fractions, shapes, mask=None):
        """Measure reference images.

        Parameters
        ----------
        images : `~numpy.ndarray`, shape (n, ny, nx)
            Images of the n components of one object, none of them constant.
        fractions, shapes : sequence of float
            Of each component's details, which were fitted before.
        mask : `~numpy.ndarray` of bool, shape (ny, nx), optional
            True for pixels to leave out.

        Returns
        -------
        statistics : `ImageStatistics`
        """
        kept = np.ones(images.shape[1:], dtype=bool) if mask is None else ~mask
        starlet = Starlet()
        starlet = Starlet(min(_N_SCALES, starlet.largest_n_scales(min(images.shape[1:]))))
        details, moduli = _degrees([each[np.newaxis][..., kept] for each in starlet.forward(images, mask)[0]])
        return cls(fractions, shapes, [_slope_of(np.where(kept, image, 0.0)) for image in images], details, moduli)

    def draw(self, n, shape, rng, correlation=1.0):
        """Draw images.

        Parameters
        ----------
        n : int
            Number of draws.
        shape : (int, int)
            Shape (ny, nx) of the images.
        rng : `numpy.random.Generator`
        correlation : float
            Degree of the correlation between components, from 0 (none) to 1 (as measured).

        Returns
        -------
        images : `~numpy.ndarray` of float32, shape (n, n_components, ny, nx)
            Not negative, and none all zeros.

        Raises
        ------
        ValueError
            If a shape is 2 or more: images of no contrast at all have details of shape 2.

        Warns
        -----
        `~astropy.utils.exceptions.AstropyUserWarning`
            If no contrast gives the details of a component their shape, to 20 %: the edges of emission keep those of
            images with zeros from shapes far above 0.6.
        """
        return self._images(n, shape, rng, correlation, *self._matched)

    def _images(self, n, shape, rng, correlation, contrasts, outlines, texture):
        size = tuple(fft.next_fast_len(int(np.ceil(_BORDER * side)), real=True) for side in shape)
        identity = np.eye(len(contrasts))
        degrees = [identity + correlation * (each - identity) for each in (outlines, texture)]
        factors = _field_spectra(self.slopes, size, *degrees, _TRANSITION / np.sqrt(min(shape)))
        spectra = fft.rfft2(rng.standard_normal((n, len(contrasts), *size), dtype=np.float32))
        images = fft.irfft2(np.einsum("ijyx,njyx->niyx", factors, spectra), size)[..., : shape[0], : shape[1]].copy()
        for k, (fraction, contrast) in enumerate(zip(self.fractions, contrasts)):
            _give_brightness(images[:, k], fraction, contrast)
        return images

    @cached_property
    def _matched(self):
        """Contrasts, and correlations of the fields, with which draws have the statistics wanted of them."""
        if (flat := self.shapes >= 2).any():
            msg = (
                f"images cannot be drawn for components of shapes {self.shapes[flat]}: details of images have shapes "
                "below 2, that of noise; the source's shape, or its reference image, is noise."
            )
            raise ValueError(msg)
        contrasts, outlines, texture = _contrast(self.shapes), self.moduli.copy(), self.details.copy()
        for _ in range(_ROUNDS):
            correlations = [_nearest_correlation(each) for each in (outlines, texture)]
            images = self._images(_N_DRAWS, (_SIDE, _SIDE), np.random.default_rng(0), 1.0, contrasts, *correlations)
            drawn = Starlet(_N_SCALES).forward(images)[0]
            details, moduli = _degrees([each.reshape(*each.shape[:2], -1) for each in drawn])
            texture = np.clip(texture + _STEP * (self.details - details), -_LARGEST, _LARGEST)
            outlines = np.clip(outlines + _STEP * (self.moduli - moduli), -_LARGEST, _LARGEST)
            found = np.array([_shape_of(each) for each in np.moveaxis(drawn[0], 1, 0)])
            contrasts, used = np.clip(contrasts * found / self.shapes, *_CONTRASTS), contrasts
        if (far := np.abs(found / self.shapes - 1) > 0.2).any():
            msg = (
                f"images whose details have shapes of {self.shapes[far]} in fractions of {self.fractions[far]} cannot "
                f"be drawn; the nearest, of shapes {np.round(found[far], 2)}, are."
            )
            warnings.warn(msg, AstropyUserWarning, stacklevel=4)
        return used, *correlations


def _shape_of(details):
    modulus = np.abs(details[details != 0], dtype=float)
    return _shape_of_moments(modulus / modulus.mean())


def _contrast(shapes):
    # Details of exp(contrast * field) are nearly Gaussian with a lognormal amplitude. Their (E|x|)**2 / E(x**2), which
    # is 2 / pi * exp(-contrast**2), is set equal to that of the generalized Gaussian.
    log_ratio = 2 * gammaln(2 / shapes) - gammaln(1 / shapes) - gammaln(3 / shapes)
    return np.sqrt(np.log(2 / np.pi) - log_ratio)


def _field_spectra(slopes, size, outlines, texture, transition):
    """Factors (n, n, ky, kx) that turn the transforms of white noise into those of correlated fields of unit power.

    Outlines of the emission scale with the image, texture with the pixel: the frequency where the one correlation goes
    over into the other is in between, which keeps the correlation of details the same for images of 64 to 350 pixels.
    """
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, np.newaxis], np.fft.rfftfreq(size[1]))
    low = 1 / (1 + (frequency / transition) ** 2)[..., np.newaxis, np.newaxis]
    roots = np.moveaxis(_square_root(low * outlines + (1 - low) * texture), (2, 3), (0, 1))
    frequency[0, 0] = np.inf  # the mean does not matter
    smoothing = np.exp(-0.5 * (2 * np.pi * _SMOOTHING * frequency) ** 2)
    amplitude = np.stack([frequency ** (-slope / 2) for slope in slopes]) * smoothing
    amplitude *= np.sqrt(1 / np.sum(amplitude**2, axis=(1, 2), keepdims=True))
    return (roots * amplitude[:, np.newaxis]).astype(np.float32)


def _give_brightness(fields, fraction, contrast):
    """Turn fields (n, ny, nx) into images in place: zeros where they are low, lognormal values that begin at zero."""
    fields /= fields.std(axis=(1, 2), keepdims=True)
    # A starlet detail of the finest scale is not zero where there is emission within two pixels.
    near = maximum_filter(fields, (1, 5, 5), mode="mirror").reshape(len(fields), -1)
    threshold = near.shape[1] - max(1, round(fraction * near.shape[1]))
    lowest = np.partition(near, threshold, axis=1)[:, threshold]
    lowest = np.nextafter(lowest, np.float32(-np.inf))  # so that where it is reached is not zero
    if threshold:
        np.maximum(fields - lowest[:, np.newaxis, np.newaxis], 0.0, out=fields)
        np.expm1(contrast * fields, out=fields)
    else:
        np.exp(contrast * fields, out=fields)


def _degrees(details):
    """Correlation of details, and of their moduli, from arrays (n, n_components, pixels), one a scale; (n, n) each."""
    means = []
    for change in (np.asarray, np.abs):
        matrices = []
        for scale in details:
            values = change(scale)
            values = values - values.mean(axis=2, keepdims=True)
            values /= np.linalg.norm(values, axis=2, keepdims=True)
            matrices.append((values @ np.swapaxes(values, 1, 2)).mean(axis=0))
        means.append(np.mean(matrices, axis=0))
    return means


def _slope_of(image):
    """Slope of the power of the field that would give this image, at frequencies below those of its smoothing."""
    side = min(image.shape)
    edges = np.geomspace(2 / side, 0.1, 9)
    frequency = np.hypot(np.fft.fftfreq(image.shape[0])[:, np.newaxis], np.fft.rfftfreq(image.shape[1]))
    power = np.abs(fft.rfft2(_without_zeros(image))) ** 2
    bands = [(frequency >= low) & (frequency < high) for low, high in pairwise(edges)]
    if side < 64 or not all(band.any() for band in bands):
        return _TYPICAL_SLOPE  # too small to tell
    center = np.sqrt(edges[1:] * edges[:-1])
    level = np.log([power[band].mean() for band in bands]) + (2 * np.pi * _SMOOTHING * center) ** 2
    return -np.polyfit(np.log(center), level, 1)[0]


def _without_zeros(image):
    # Ranks made quantiles of a normal distribution. Ties, which are the zeros outside the emission, are told apart by
    # what is around them, near before far.
    keys, smooth = [image.ravel()], image
    for scale in 2.0 ** np.arange(8):
        smooth = gaussian_filter(smooth, scale, mode="nearest")
        keys.append(smooth.ravel())
    order = np.lexsort(keys[::-1])
    rank = np.empty(order.size)
    rank[order] = np.arange(order.size)
    return ndtri((rank + 0.5) / order.size).reshape(image.shape)


def _nearest_correlation(matrix):
    # Off the diagonal as given, as far as the matrix can then be a correlation: symmetric, not negative, diagonal of 1.
    root = _square_root(matrix - np.diag(np.diag(matrix)) + np.eye(len(matrix)))
    nearest = root @ root
    width = np.sqrt(np.diag(nearest))
    return nearest / np.outer(width, width)


def _square_root(matrices):
    # Symmetric, so that no component comes first; a correlation may be singular.
    values, vectors = np.linalg.eigh(matrices)
    return (vectors * np.sqrt(np.maximum(values, 0.0))[..., np.newaxis, :]) @ np.swapaxes(vectors, -1, -2)
