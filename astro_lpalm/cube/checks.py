"""What an `EventCube` is made of, checked."""

import astropy.units as u
import numpy as np
from astropy.wcs import WCS

__all__ = ["check_values", "checked_exposure", "checked_mask", "checked_wcs", "native", "unexposed"]

# Below this fraction of the largest exposure a pixel holds too little to be worth its noise, and is masked.
_LEAST_EXPOSURE = 0.01


def native(data):
    """Make an array in native byte order, of integers or floating-point numbers, without a copy where possible."""
    data = np.asanyarray(data)
    if np.ma.isMaskedArray(data):
        msg = "data is a masked array; pass data=array.data and mask=array.mask."
        raise ValueError(msg)
    if data.dtype.kind not in "iuf":
        msg = f"data must be integers or floating-point numbers, not {data.dtype}."
        raise ValueError(msg)
    return np.asarray(data, dtype=data.dtype.newbyteorder("="))


def checked_mask(mask, shape, exposure=None):
    """Give the mask of a cube's images, in which pixels without exposure are masked too; None where nothing is."""
    if mask is not None:
        mask = np.asarray(mask)
        if mask.shape == shape:
            mask = mask.any(axis=0)
        if mask.shape != shape[1:]:
            msg = f"mask has shape {mask.shape}, but the cube needs {shape[1:]} or {shape}."
            raise ValueError(msg)
        mask = mask.astype(bool)
    if exposure is not None and unexposed(exposure).any():
        mask = unexposed(exposure) if mask is None else mask | unexposed(exposure)
    if mask is not None and mask.all():
        msg = "every pixel is masked, so there is nothing to work on (True means excluded)."
        raise ValueError(msg)
    return mask


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


def check_values(data, mask):
    """Refuse what no solver can use; what masked pixels hold does not matter."""
    if data.size == 0:
        msg = f"the cube is empty: its shape is {data.shape}."
        raise ValueError(msg)
    kept = np.ones(data.shape[1:], dtype=bool) if mask is None else ~mask
    if data.dtype.kind == "f":
        bad = np.zeros_like(kept)
        for plane in data:
            bad |= ~np.isfinite(plane)
        n_bad = np.count_nonzero(bad & kept)
        if n_bad:
            msg = f"{n_bad} unmasked pixels hold NaN or infinity; exclude them with mask=~np.isfinite(data)."
            raise ValueError(msg)
    if not any(plane[kept].any() for plane in data):
        msg = "the cube is zero everywhere" + (", outside the mask." if mask is not None else ".")
        raise ValueError(msg)


def checked_wcs(wcs):
    """Give the celestial part of a WCS."""
    if not isinstance(wcs, WCS) or not wcs.has_celestial:
        msg = f"wcs must be a celestial astropy WCS, such as RA---TAN, DEC--TAN, not {wcs!r}."
        raise ValueError(msg)
    return wcs if wcs.naxis == 2 else wcs.celestial
