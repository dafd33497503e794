"""Exposure maps: times, or effective areas times times, of each pixel."""

import astropy.units as u
import numpy as np

from ..grid.resample import image_unit, open_image, resampled

__all__ = ["checked_exposure", "read_exposure", "unexposed"]

# Below this fraction of the largest exposure a pixel holds too little to be worth its noise, and is masked.
_LEAST_EXPOSURE = 0.01


def unexposed(exposure):
    """Tell the pixels whose exposure is too small a fraction of the largest."""
    return exposure.value < _LEAST_EXPOSURE * exposure.value.max()


def checked_exposure(exposure, shape):
    """Give the exposure of a cube's images as a Quantity of float64.

    Parameters
    ----------
    exposure : `~astropy.units.Quantity`, array_like or None
        A time, an area times a time (with or without CIAO's count / photon), or plain relative numbers.
    shape : tuple of int
        Of an image.

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
    exposure = u.Quantity(exposure, dtype=float)
    if exposure.shape != tuple(shape):
        msg = f"exposure has shape {exposure.shape}, but the cube's images have {tuple(shape)}."
        raise ValueError(msg)
    accepted = (u.s, u.cm**2 * u.s, u.cm**2 * u.s * u.count / u.photon, u.dimensionless_unscaled)
    if not any(exposure.unit.is_equivalent(unit) for unit in accepted):
        msg = (
            f"exposure is in {exposure.unit}; give a time (s), an effective area times a time (cm2 s), or relative "
            "numbers without a unit."
        )
        raise ValueError(msg)
    values = exposure.value
    if not np.isfinite(values).all() or values.min() < 0 or not values.any():
        msg = (
            f"exposure must be finite, not negative, and not zero everywhere; it has {np.sum(~np.isfinite(values))} "
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
    what = "the exposure map"
    data, header = open_image(exposure, what)
    unit = image_unit(header, what)
    checked_exposure(np.where(np.isnan(data), 0.0, data) * unit, data.shape)  # an average could hide what is wrong
    return checked_exposure(resampled(data, header, wcs, shape, what) * unit, shape)
