"""Exposure maps: times, or effective areas times times, of each pixel."""

import astropy.units as u
import numpy as np
from astropy.io import fits

from ..grid.resample import image_unit, open_image, resampled
from ..grid.sky import celestial_cards

__all__ = ["checked_exposure", "open_exposure", "read_exposure", "unexposed"]

_WHAT = "the exposure map"
# Below this fraction of the largest exposure a pixel holds too little to be worth its noise, and is masked.
_LEAST_EXPOSURE = 0.01


def unexposed(exposure):
    """Tell the pixels whose exposure is too small a fraction of the largest."""
    return exposure.value < _LEAST_EXPOSURE * exposure.value.max()


def checked_exposure(exposure, shape, *, what="exposure", where="the cube's images"):
    """Give the exposure of images as a Quantity of float64.

    Parameters
    ----------
    exposure : `~astropy.units.Quantity`, array_like or None
        A time, an area times a time (with or without CIAO's count / photon), or plain relative numbers.
    shape : tuple of int
        Of an image.
    what, where : str
        What it is and what it belongs to, for messages.

    Returns
    -------
    exposure : `~astropy.units.Quantity`, shape (ny, nx), or None
        In the unit in which it was given.

    Raises
    ------
    ValueError
        If the shape or the unit is another, or a value is negative or not finite, or all are zero.
    """
    if exposure is None:
        return None
    try:
        exposure = u.Quantity(exposure, dtype=float)
    except (TypeError, ValueError) as error:
        msg = f"{what} must be numbers, with or without a unit: {error}."
        raise ValueError(msg) from error
    if exposure.shape != tuple(shape):
        msg = f"{what} has shape {exposure.shape}, but {where} have {tuple(shape)}."
        raise ValueError(msg)
    accepted = (u.s, u.cm**2 * u.s, u.cm**2 * u.s * u.count / u.photon, u.dimensionless_unscaled)
    if not any(exposure.unit.is_equivalent(unit) for unit in accepted):
        msg = (
            f"{what} is in {exposure.unit}; give a time (s), an effective area times a time (cm2 s), or relative "
            "numbers without a unit."
        )
        raise ValueError(msg)
    values = exposure.value
    if not np.isfinite(values).all() or values.min() < 0 or not values.any():
        msg = (
            f"{what} must be finite, not negative, and not zero everywhere; it has {np.sum(~np.isfinite(values))} "
            f"values that are not finite and {np.sum(values < 0)} that are negative."
        )
        raise ValueError(msg)
    return exposure


def read_exposure(exposure, wcs, shape):
    """Bring an exposure map to a cube's pixels.

    Parameters
    ----------
    exposure : `~astropy.units.Quantity`, array_like, str, `os.PathLike` or image HDU
        See `astro_lpalm.cube.EventCube.with_exposure`.
    wcs : `~astropy.wcs.WCS`
        The cube's.
    shape : tuple of int
        Of the cube's images.

    Returns
    -------
    exposure : `~astropy.units.Quantity`, shape (ny, nx)
    """
    if isinstance(exposure, list | tuple | np.ndarray):
        return checked_exposure(exposure, shape)
    image = open_exposure(exposure)
    data = resampled(image.data, image.header, wcs, shape, _WHAT)
    return checked_exposure(data * image_unit(image.header, _WHAT), shape)


def open_exposure(exposure):
    """Read an exposure map as it is, and check what it holds.

    Parameters
    ----------
    exposure : str, `os.PathLike` or image HDU
        A FITS file, ``"file.fits[EXTENSION]"``, or an HDU.

    Returns
    -------
    `~astropy.io.fits.ImageHDU`
        With the cards that place it on the sky, and its unit. NaN is zero.

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError, ValueError
        If it is something else, or no exposure.
    """
    data, header = open_image(exposure, _WHAT)
    data = np.where(np.isnan(data), 0.0, data)
    checked_exposure(data * image_unit(header, _WHAT), data.shape)  # an average could hide what is wrong
    cards = celestial_cards(header)
    if "BUNIT" in header:
        cards["BUNIT"] = header["BUNIT"]
    return fits.ImageHDU(data, cards)
