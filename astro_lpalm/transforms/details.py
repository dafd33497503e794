"""The details of a stack of images as the matrix that a solver takes, and back."""

import numpy as np

__all__ = ["detail_matrix", "replace_details"]


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
        Standard deviation of the noise in the details of each scale, such as the transform's ``photon_noise`` gives;
        by default that of white noise of unit variance in the images.

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


def _is_masked(detail, mask):
    # The details of an undecimated transform lie on the pixels of the images; others have no pixels to leave out.
    return mask is not None and detail.shape[1:] == mask.shape


def _unmasked(detail, mask):
    return detail[:, ~mask] if _is_masked(detail, mask) else detail.reshape(len(detail), -1)
