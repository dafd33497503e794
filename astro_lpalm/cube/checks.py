"""What an `EventCube` is made of, checked."""

import numpy as np
from astropy.wcs import WCS

from ..instrument.exposure import unexposed

__all__ = ["check_values", "checked_mask", "checked_wcs", "native"]


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
