"""The details of a stack of images as the matrix that a solver takes."""

import numpy as np

__all__ = ["detail_matrix"]

_BLOCK = 4  # images transformed at once: all scales of these are in memory together,
_PIXELS = 1 << 24  # and pixels of these, if they are more than one


def detail_matrix(transform, images, mask=None, noise=None, *, stride=1, dtype=None):
    """Transform images and lay their details out as a matrix, a row for each image.

    Details are divided by their noise, so that a row's noise is the same in all of its columns. Mixtures of images
    become the same mixtures of rows.

    Parameters
    ----------
    transform : `Starlet`, `Wavelet` or alike
    images : `~numpy.ndarray`, shape (k, ny, nx), or object
        What is no array has its shape and slices of it; and may have ``thinned(transform, part, stride, mask)``, which
        gives the thinned details of a slice of images.
    mask : `~numpy.ndarray` of bool, shape (ny, nx), optional
        True where a pixel is excluded.
    noise : list of float or `~numpy.ndarray`, optional
        Standard deviation of the noise in the details of each scale, such as the transform's ``photon_noise`` gives;
        by default that of white noise of unit variance in the images. Maps are of all pixels, or of the thinned ones.
    stride : int
        Take every so manieth pixel along both axes from an undecimated transform, and twice as many at its finest
        scale: at the others details are smooth, and neighbours tell much the same. 1 takes all.
    dtype : dtype, optional
        Of the matrix; by default that of the details.

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
    >>> detail_matrix(Starlet(2), np.zeros((3, 16, 16)), stride=4).shape
    (3, 80)
    """
    matrix, shape = None, images.shape[1:]
    step = min(max(_PIXELS // max(shape[0] * shape[1], 1), 1), _BLOCK)
    noise = transform.noise if noise is None else noise
    for start in range(0, len(images), step):
        part = slice(start, start + step)
        if stride > 1 and hasattr(images, "thinned") and hasattr(transform, "thinned"):
            details = images.thinned(transform, part, stride, mask)
        elif stride > 1 and hasattr(transform, "thinned"):
            details = transform.thinned(images[part], shape, stride, mask)
        else:
            details = transform.forward(images[part], mask)[0]
        parts = [
            _thinned(detail, level, mask, max(stride // 2, 1) if scale == 0 else stride, shape)
            for scale, (detail, level) in enumerate(zip(details, noise))
        ]
        if matrix is None:
            matrix = np.empty((len(images), sum(part.shape[1] for part in parts)), dtype=dtype or parts[0].dtype)
        np.concatenate(parts, axis=1, out=matrix[part], casting="same_kind")
    return matrix


def _thinned(detail, level, mask, step, shape):
    # The details of an undecimated transform lie on the pixels of the images; others have no pixels to leave out.
    thinned = tuple(-(-side // step) for side in shape)
    if detail.shape[1:] not in (shape, thinned):
        return (detail / level).reshape(len(detail), -1)
    level, grid = np.asarray(level, dtype=detail.dtype), np.s_[::step, ::step]
    level = level if level.shape == thinned else np.broadcast_to(level, shape)[grid]
    detail = (detail if detail.shape[1:] == thinned else detail[(slice(None), *grid)]) / level
    return detail.reshape(len(detail), -1) if mask is None else detail[:, ~mask[grid]]
