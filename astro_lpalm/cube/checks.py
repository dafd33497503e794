"""What an `EventCube` is made of, checked."""

import warnings

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS

from ..grid.energies import describe_grid
from ..grid.nesting import difference, find_edges
from ..instrument.exposure import unexposed
from .planes import Planes

__all__ = ["check_values", "checked_mask", "checked_wcs", "native", "nested_edges", "warn_of_lost_counts"]

# Share of the counts beyond an exposure map from which on it is taken for that of another observation.
_SUSPICIOUS = 0.01


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
    kept, sums, whole = np.ones(data.shape[1:], dtype=bool) if mask is None else ~mask, None, "data"
    if isinstance(data, Planes):
        sums, whole = data.sums(mask), "sum(data)"  # plane by plane; the sums are asked for later, too
        n_bad = sums.n_bad
    elif data.dtype.kind == "f":
        bad = np.zeros_like(kept)
        for plane in data:
            bad |= ~np.isfinite(plane)
        n_bad = np.count_nonzero(bad & kept)
    else:
        n_bad = 0
    if n_bad:
        msg = (
            f"{n_bad} unmasked pixels hold NaN or infinity; exclude them with mask=~np.isfinite({whole}), or in the "
            "file by an image extension MASK (not zero = excluded)."
        )
        raise ValueError(msg)
    if sums.squares == 0 if sums else not any(plane[kept].any() for plane in data):
        msg = "the cube is zero everywhere" + (", outside the mask." if mask is not None else ".")
        raise ValueError(msg)


def checked_wcs(wcs):
    """Give the celestial part of a WCS."""
    if not isinstance(wcs, WCS) or not wcs.has_celestial:
        msg = f"wcs must be a celestial astropy WCS, such as RA---TAN, DEC--TAN, not {wcs!r}."
        raise ValueError(msg)
    return wcs if wcs.naxis == 2 else wcs.celestial


def nested_edges(new, old):
    """Find each of the new edges of energy bins (keV) among the old: their indices."""
    if differs := difference(new.value, old.value):
        msg = (
            f"the energy grids do not nest: the cube has {describe_grid(old)}, asked for were {describe_grid(new)}, of "
            f"which {differs}. Every new edge must be one of the cube's; make the cube again with these energy_edges."
        )
        raise ValueError(msg)
    return find_edges(new.value, old.value)[0]


def warn_of_lost_counts(cube, exposure):
    """Warn where many of a cube's counts lie in pixels that an exposure map would mask."""
    counts = cube.image()
    counts[cube.pixel_mask] = 0
    lost = counts[unexposed(exposure)].sum() / counts.sum()
    if lost > _SUSPICIOUS:
        msg = (
            f"{lost:.1%} of the counts lie in pixels with less than 1 % of the largest exposure, and are masked; "
            "check that the exposure map is that of this observation."
        )
        warnings.warn(msg, AstropyUserWarning, stacklevel=3)
