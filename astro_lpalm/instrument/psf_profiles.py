"""Forms of point spread functions: the King profile, images, and what becomes of these on pixels of another size."""

import math

import numpy as np
from scipy.ndimage import convolve1d

from .._memory import check_memory

__all__ = ["encircled_by_gaussian", "encircled_by_king", "king_image", "king_reach", "regridded"]

_ROUNDING = 1e-6  # pixels
_OUTSIDE = 1e-3  # part of a King profile that may be cut off
_MOST_CORES = 60.0  # core radii at which it is cut off at the latest
_FINE = 3  # samples of a King profile in the radius of half its height, at least


def encircled_by_gaussian(radius, sigma):
    """Give the part of a round Gaussian's photons that land within a radius."""
    return -np.expm1(-0.5 * (radius / sigma) ** 2)


def encircled_by_king(radius, core, slope):
    """Give the part of a King profile's photons that land within a radius, all of them within `king_reach`."""
    reach = king_reach(core, slope)
    return _within(np.minimum(radius, reach) / core, slope) / _within(reach / core, slope)


def king_reach(core, slope):
    """Give the radius at which a King profile is cut off: 99.9 % are inside, or it is 60 core radii."""
    cores = np.sqrt(np.expm1(np.minimum(-np.log(_OUTSIDE) / (slope - 1), 100.0)))
    return core * np.minimum(cores, _MOST_CORES)


def king_image(core, slope):
    """Make the image of a King profile.

    Parameters
    ----------
    core : float
        Core radius, in the pixels of what is blurred.
    slope : float

    Returns
    -------
    kernel : `~numpy.ndarray`, shape (side, side)
        For photons that start anywhere in their pixels, as `regridded` gives it.
    """
    half_height = core * math.sqrt(2 ** (1 / slope) - 1)
    n = max(math.ceil(_FINE / half_height), 1)  # samples in a pixel
    reach = king_reach(core, slope)
    half = math.ceil(n * reach)
    check_memory("number of samples of the psf's King profile", (2 * half + 1) ** 2, 32)
    squares = (np.arange(-half, half + 1) / n) ** 2
    radii = squares + squares[:, np.newaxis]
    samples = np.where(radii <= reach**2, (1 + radii / core**2) ** -slope, 0.0)
    # Not only from sample to sample, but from anywhere around one to anywhere around another: to fourth order.
    for axis in (0, 1):
        samples = convolve1d(samples, [1 / 12, 10 / 12, 1 / 12], axis=axis, mode="constant")
    return regridded(samples, 1 / n)


def regridded(image, ratio):
    """Bring an image of displacements to other pixels, from anywhere in one of which photons start.

    Parameters
    ----------
    image : `~numpy.ndarray`, shape (ky, kx)
        Sides of an odd number of pixels.
    ratio : float
        Side of its pixels in those that are wanted.

    Returns
    -------
    `~numpy.ndarray`, shape (new_ky, new_kx)
        With all its photons.
    """
    halves = [_new_half(side, ratio) for side in image.shape]
    check_memory("number of pixels of the psf on the images", (2 * halves[0] + 1) * (2 * halves[1] + 1), 8)
    down, across = (_weights(side, half, ratio) for side, half in zip(image.shape, halves))
    return down @ image @ across.T


def _within(cores, slope):
    return -np.expm1((1 - slope) * np.log1p(cores**2))


def _new_half(side, ratio):
    """Pixels on either side of the middle one that displacements in pixels of a ratio to them reach."""
    return max(math.ceil((side // 2) * ratio + max(ratio, 1.0) - _ROUNDING) - 1, 0)


def _weights(side, half, ratio):
    """Weights, (2 half + 1, side), that bring displacements in pixels of a ratio to those of one."""
    widest = max(ratio, 1.0)
    new, old = np.arange(-half, half + 1), np.arange(side) - side // 2
    weights = np.maximum(1 - np.abs(new[:, np.newaxis] - ratio * old) / widest, 0)
    return weights / weights.sum(axis=0)
