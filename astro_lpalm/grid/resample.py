"""Images of other tools brought to the pixels of a cube."""

import os
import re
import warnings
from itertools import product

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs.utils import pixel_to_pixel, proj_plane_pixel_area
from scipy.ndimage import map_coordinates

from .._files import read_image
from .._headers import header_text
from .sky import celestial_cards, celestial_wcs

__all__ = ["image_unit", "masked_at", "open_image", "resampled"]

_ROUNDING = 1e-6  # pixels


def open_image(image, what):
    """Read a 2-D image and its header.

    Parameters
    ----------
    image : str, `os.PathLike` or image HDU
        A FITS file, of which the first 2-D image is taken (or ``"file.fits[EXTENSION]"``), or an HDU.
    what : str
        What it is, for messages.

    Returns
    -------
    data : `~numpy.ndarray` of float64, shape (ny, nx)
    header : `~astropy.io.fits.Header`

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If the image is not two-dimensional.
    """
    if isinstance(image, str | os.PathLike):
        data, header = read_image(image)
        if data.size == 0:
            msg = f"{what} has no pixels: its shape is {data.shape}."
            raise ValueError(msg)
        return data, header
    if not isinstance(image, fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU):
        msg = f"{what} must be a FITS file's name, an image HDU or an array, not {type(image).__name__}."
        raise TypeError(msg)
    if image.header["NAXIS"] != 2:
        msg = f"{what} must be a two-dimensional image, but the HDU '{image.name}' has {image.header['NAXIS']} axes."
        raise ValueError(msg)
    return np.array(image.data, dtype=float), image.header


def image_unit(header, what):
    """Give the unit of an image, dimensionless where its header has none."""
    text = header_text(header, "BUNIT", what)
    plain = re.sub(r"\bsec(ond)?s?\b", "s", re.sub(r"\b(count|photon)s\b", r"\1", text))
    try:
        return u.Unit(plain)
    except ValueError as error:
        msg = f"{what} is in {text!r} (BUNIT), which is no unit that is known; write 's' or 'cm2 s' there."
        raise ValueError(msg) from error


def resampled(data, header, wcs, shape, what):
    """Interpolate an image at a cube's pixels.

    Bilinear at the pixels' centres; where the image is finer than the cube, the mean of as many points in each pixel
    as there are pixels of the image. An image that is linear over the sky stays so, exactly.

    Parameters
    ----------
    data : `~numpy.ndarray` of float64, shape (any, any)
        The image. NaN counts as zero, as does everything beyond its edges.
    header : `~astropy.io.fits.Header`
        With its celestial WCS. An image without one must be on the cube's grid, and is taken as it is, with a warning.
    wcs : `~astropy.wcs.WCS`
        The cube's.
    shape : tuple of int
        Of the cube's images.
    what : str
        What it is, for messages.

    Returns
    -------
    image : `~numpy.ndarray` of float64, shape (ny, nx)

    Raises
    ------
    ValueError
        If the image has no place on the sky, or lies elsewhere.

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        If the image has no celestial WCS, and is taken by its shape.
    """
    data = np.where(np.isnan(data), 0.0, data)
    corners, side = _laid_over(data.shape, header, wcs, shape, what)
    if corners is None:
        return data
    total = np.zeros(shape)
    for x, y, inside in _points(corners, side, data.shape, header, wcs, what):
        total += np.where(inside, map_coordinates(data, [y, x], order=1, mode="nearest"), 0.0)
    return total / side**2


def masked_at(data, header, wcs, shape, what):
    """Tell which of a cube's pixels a mask image (nonzero or NaN = excluded) touches; parameters as in `resampled`."""
    excluded = data != 0
    corners, side = _laid_over(data.shape, header, wcs, shape, what)
    if corners is None:
        return excluded
    touched = np.zeros(shape, dtype=bool)
    for x, y, inside in _points(corners, side, data.shape, header, wcs, what):
        row, column = (np.clip(np.rint(v), 0, n - 1).astype(int) for v, n in zip((y, x), data.shape))
        touched |= inside & excluded[row, column]
    return touched


def _laid_over(image_shape, header, wcs, shape, what):
    """Positions of the pixels' corners in the image, None on the same grid; how many of its pixels lie along one."""
    image_wcs = celestial_wcs(celestial_cards(header))
    if image_wcs is None:
        if image_shape == tuple(shape):
            msg = (
                f"{what} has no celestial WCS, but as many pixels as the cube: it is taken to be on the very same; "
                "write the WCS to its header."
            )
            warnings.warn(msg, AstropyUserWarning, stacklevel=4)
            return None, 1
        msg = (
            f"{what} has no celestial WCS and shape {image_shape}, while the cube's images have {tuple(shape)}; add "
            "the WCS to its header."
        )
        raise ValueError(msg)
    here = np.array(np.meshgrid(np.arange(shape[1] + 1) - 0.5, np.arange(shape[0] + 1) - 0.5))
    corners = np.array(pixel_to_pixel(wcs, image_wcs, *here))
    if image_shape == tuple(shape) and np.abs(corners - here).max() < _ROUNDING:
        return None, 1
    ratio = np.sqrt(proj_plane_pixel_area(wcs) / proj_plane_pixel_area(image_wcs))
    if not ratio <= max(image_shape):
        msg = f"{what} is smaller than a pixel of the cube: {image_shape}, {ratio:.3g} of which lie along one."
        raise ValueError(msg)
    return corners, max(1, int(np.ceil(ratio - _ROUNDING)))


def _points(corners, side, image_shape, header, wcs, what):
    """Walk through side x side points of every pixel: their positions in the image, and whether they are in it."""
    overlap = False
    offsets = (np.arange(side) + 0.5) / side
    for p, q in product(offsets, offsets):
        # Sky projections are linear over a pixel, to far less than what an exposure is known to.
        left = (1 - q) * corners[:, :-1, :-1] + q * corners[:, 1:, :-1]
        right = (1 - q) * corners[:, :-1, 1:] + q * corners[:, 1:, 1:]
        x, y = (1 - p) * left + p * right
        inside = np.ones(x.shape, dtype=bool)
        for values, n in ((x, image_shape[1]), (y, image_shape[0])):
            inside &= (values > -0.5 - _ROUNDING) & (values < n - 0.5 + _ROUNDING)  # not where NaN
        overlap |= inside.any()
        yield np.where(inside, x, 0.0), np.where(inside, y, 0.0), inside
    if not overlap:
        ny, nx = (n - 1 for n in corners.shape[1:])
        middle = wcs.pixel_to_world((nx - 1) / 2, (ny - 1) / 2)
        image_wcs = celestial_wcs(celestial_cards(header))
        elsewhere = image_wcs.pixel_to_world((image_shape[1] - 1) / 2, (image_shape[0] - 1) / 2)
        msg = (
            f"{what}, around {elsewhere.icrs.to_string(precision=4)} (RA, Dec in degrees), does not overlap with the "
            f"cube, around {middle.icrs.to_string(precision=4)}."
        )
        raise ValueError(msg)
