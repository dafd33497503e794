"""Statistics of maps of the sky, and images drawn with them."""

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr, ndtri

__all__ = ["ImageStatistics"]

# Upper edges (cycles per pixel) of bands of spatial frequency, an octave wide but for the first, which begins at 0.
_BANDS = 2.0 ** -np.arange(7, 0, -1)
# From this band on, components are compared by their images; below it by fields without zeros, since at large scales
# it is the outlines of the emission that they share.
_FIRST_FINE_BAND = 2
_NODES = np.linspace(-5.0, 5.0, 201)  # of a normal variable, where the distribution of values is tabulated

# What stands in for reference images, from maps of Cassiopeia A (those of Fahes et al. 2022): power per frequency in
# each band, and the correlation of two components in it.
_TYPICAL_POWER = (3000.0, 50.0, 6.5, 1.0, 0.13, 0.013, 0.001)
_TYPICAL_CORRELATION = (0.7, 0.4, 0.3, 0.2, 0.15, 0.1, 0.1)
_CONTRAST = 0.45  # over the shape of the details: the standard deviation of the logarithm of bright values


@dataclass(frozen=True)
class ImageStatistics:
    """What images of n components have in common with reference images.

    A draw maps correlated Gaussian random fields, one for each component, to the distribution of values of its
    reference image. The fields have the power of the references, and their correlation between components, in bands of
    spatial frequency.

    Parameters
    ----------
    levels : `~numpy.ndarray`, shape (n, 201)
        Quantiles of the values of each component at the cumulative probabilities of a normal variable from -5 to 5.
    power : `~numpy.ndarray`, shape (n, 7)
        Mean power of each component's field per frequency: bands below 1/128 cycles per pixel, from there to 1/64, and
        so on up to the highest frequencies. Only ratios count.
    correlation : `~numpy.ndarray`, shape (7, n, n)
        Correlation of the components' fields in each band.
    """

    levels: np.ndarray
    power: np.ndarray
    correlation: np.ndarray

    @classmethod
    def of_images(cls, images):
        """Measure images.

        Parameters
        ----------
        images : `~numpy.ndarray`, shape (n, ny, nx)
            Images of the n components of one object, none of them constant.

        Returns
        -------
        statistics : `ImageStatistics`
        """
        images = np.maximum(images, 0.0)
        fields = fft.rfft2(np.stack([_without_zeros(image) for image in images]))
        own = fft.rfft2(images / images.std(axis=(1, 2), keepdims=True))
        band = _band_of(images.shape[1:])
        n = len(images)
        power, correlation = np.empty((n, len(_BANDS))), np.empty((len(_BANDS), n, n))
        for b in reversed(range(len(_BANDS))):
            if not (band == b).any():  # too small an image for scales so large
                power[:, b] = power[:, b + 1] * _TYPICAL_POWER[b] / _TYPICAL_POWER[b + 1]
                correlation[b] = correlation[b + 1]
                continue
            power[:, b] = (np.abs(fields[:, band == b]) ** 2).mean(axis=1)
            inside = (fields if b < _FIRST_FINE_BAND else own)[:, band == b]
            covariance = (inside @ inside.conj().T).real
            width = np.sqrt(np.maximum(np.diag(covariance), np.finfo(float).tiny))
            correlation[b] = covariance / np.outer(width, width)
        levels = np.quantile(images.reshape(len(images), -1), ndtr(_NODES), axis=1).T
        return cls(levels, power, correlation)

    @classmethod
    def typical(cls, fractions, shapes):
        """Make up statistics from those of the details: a remnant's, with lognormal brightness.

        Parameters
        ----------
        fractions, shapes : sequence of float
            Of each component's details; see `GeneralizedGaussian`.

        Returns
        -------
        statistics : `ImageStatistics`
        """
        n = len(fractions)
        levels = [
            np.expm1(np.maximum(_CONTRAST / shape * (_NODES - ndtri(1 - fraction)), 0.0))
            for fraction, shape in zip(np.minimum(fractions, 1 - 1e-6), shapes)
        ]
        alike = np.asarray(_TYPICAL_CORRELATION)[:, np.newaxis, np.newaxis]
        return cls(np.array(levels), np.tile(_TYPICAL_POWER, (n, 1)), alike + (1 - alike) * np.eye(n))

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
            Not negative. They go on at the opposite border.
        """
        n_components = len(self.levels)
        spectra = fft.rfft2(rng.standard_normal((n, n_components, *shape), dtype=np.float32))
        band = _band_of(shape)
        for b, measured in enumerate(self.correlation):
            inside = band == b
            mixed = (1 - correlation) * np.eye(n_components) + correlation * measured
            factor = np.sqrt(self.power[:, [b]]) * _square_root(mixed)
            spectra[..., inside] = factor.astype(np.float32) @ spectra[..., inside]
        spectra[..., 0, 0] = 0.0
        fields = fft.irfft2(spectra, shape)
        fields /= fields.std(axis=(2, 3), keepdims=True)
        for k, levels in enumerate(self.levels):
            fields[:, k] = np.interp(fields[:, k], _NODES, levels)
        return fields


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


def _band_of(shape):
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, np.newaxis], np.fft.rfftfreq(shape[1]))
    band = np.minimum(np.searchsorted(_BANDS, frequency, side="right"), len(_BANDS) - 1)
    band[0, 0] = -1  # the mean belongs to none
    return band


def _square_root(matrix):
    # Symmetric, so that no component comes first; a correlation may be singular.
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
