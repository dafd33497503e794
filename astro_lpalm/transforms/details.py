"""The details of a stack of images as the matrix that a solver takes, and back."""

import numpy as np

from .starlet import Starlet

__all__ = ["detail_matrix", "photon_noise", "replace_details"]

# Noise is taken to be that of at least so many counts under the kernel of a scale: fewer say little about their mean.
_LEAST_COUNTS = 10.0


def detail_matrix(transform, images, mask=None, noise=None):
    """Transform images and lay their details out as a matrix, a row for each image.

    Details are divided by their noise, so that a row's noise is the same in all of its columns. Mixtures of images
    become the same mixtures of rows.

    Parameters
    ----------
    transform : `Starlet`, `Wavelet` or alike
    images : `~numpy.ndarray`, shape (k, ny, nx)
    mask : `~numpy.ndarray` of bool, shape (ny, nx), optional
        True where a pixel is excluded.
    noise : list of float or `~numpy.ndarray`, optional
        Standard deviation of the noise in the details of each scale, such as `photon_noise` gives; by default that of
        white noise of unit variance in the images.

    Returns
    -------
    `~numpy.ndarray`, shape (k, t)
        Details of unmasked pixels, the finest scale first.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.transforms import Starlet, detail_matrix
    >>> detail_matrix(Starlet(2), np.zeros((3, 16, 16))).shape
    (3, 512)
    """
    details, _ = transform.forward(images, mask)
    parts = []
    for detail, level in zip(details, transform.noise if noise is None else noise):
        detail /= level
        parts.append(_unmasked(detail, mask))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def replace_details(transform, images, matrix, mask=None, noise=None):
    """Give images other details, laid out as `detail_matrix` does.

    Parameters
    ----------
    transform : `Starlet`, `Wavelet` or alike
    images : `~numpy.ndarray`, shape (k, ny, nx)
        Images of which only the coarse part is kept.
    matrix : `~numpy.ndarray`, shape (k, t)
    mask : `~numpy.ndarray` of bool, shape (ny, nx), optional
    noise : list of float or `~numpy.ndarray`, optional
        What `detail_matrix` was given.

    Returns
    -------
    `~numpy.ndarray`, shape (k, ny, nx)
    """
    details, coarse = transform.forward(images, mask)
    start = 0
    for detail, level in zip(details, transform.noise if noise is None else noise):
        size = _unmasked(detail, mask).shape[1]
        part = matrix[:, start : start + size]
        if _is_masked(detail, mask):
            detail[:, ~mask] = part
        else:
            detail[...] = part.reshape(detail.shape)
        detail *= level
        start += size
    return transform.inverse(details, coarse)


def photon_noise(transform, counts, mask=None):
    """Estimate the photon noise in the details of an image of counts.

    Counts have the variance of their mean, which the image smoothed over the extent of the details stands for.

    Parameters
    ----------
    transform : `Starlet`, `Wavelet` or alike
    counts : `~numpy.ndarray`, shape (ny, nx)
        Image of counts.
    mask : `~numpy.ndarray` of bool, shape (ny, nx), optional

    Returns
    -------
    list of `~numpy.ndarray`, shape (ny, nx), or list of float
        Standard deviation at each scale: a map for a starlet, whose details lie on pixels, ``transform.noise`` for
        others.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.transforms import Starlet, photon_noise
    >>> counts = np.full((20, 20), 25.0)
    >>> transform = Starlet(2)
    >>> [bool(np.allclose(map, 5 * level)) for map, level in zip(photon_noise(transform, counts), transform.noise)]
    [True, True]
    """
    if not isinstance(transform, Starlet):
        return list(transform.noise)
    details, smooth = transform.forward(np.asarray(counts, dtype=float), mask)
    maps = []
    # The details of a scale extend over twice its smoothing: they go with the next coarser image, if there is one.
    for level, next_detail in zip(transform.noise[::-1], [0.0, *details[:0:-1]]):
        maps.append(level * np.sqrt(np.maximum(smooth, _LEAST_COUNTS * level**2)))
        smooth = smooth + next_detail
    return maps[::-1]


def _is_masked(detail, mask):
    # The details of an undecimated transform lie on the pixels of the images; others have no pixels to leave out.
    return mask is not None and detail.shape[1:] == mask.shape


def _unmasked(detail, mask):
    return detail[:, ~mask] if _is_masked(detail, mask) else detail.reshape(len(detail), -1)
