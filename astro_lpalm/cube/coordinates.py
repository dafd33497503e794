"""Coordinates of a cube's pixels: on the sky, on sky and energy together, and what becomes of them in a slice."""

import copy
import re
import warnings

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from .._headers import header_number
from ..grid.energies import linear_axis_cards
from ..grid.sky import celestial_cards, celestial_wcs

__all__ = ["celestial_header", "full_wcs", "moved_coordinates", "whole_slices"]

# A card of an axis' coordinates, in any system (the physical P too), and the pixel of reference that goes with it.
_AXIS = re.compile(r"(CTYPE|CRPIX|CRVAL|CDELT)(?P<axis>[123])(?P<system>[A-Z]?)")
# IRAF's way to write the physical system.
_IRAF_AXIS = re.compile(r"(LTV|LTM)(?P<axis>[123])(_[123])?")


def celestial_header(meta, wcs):
    """Give the cards of an image; see `EventCube.celestial_header`."""
    header, of_header = _header_wcs(meta)
    if of_header is not None and of_header.wcs.compare(wcs.wcs):
        return header
    header = wcs.to_header(relax=True)
    header.remove("WCSAXES", ignore_missing=True)
    return header


def _header_wcs(meta):
    header = celestial_cards(fits.Header(meta or {}))
    # The physical WCS alone is no place on the sky.
    return header, celestial_wcs(header) if "CTYPE1" in header else None


def full_wcs(cube):
    """Make the three-dimensional WCS of a cube; see `EventCube.wcs3d`."""
    edges = cube.energy_edges
    joules, shape = edges.to_value(u.J), cube.shape  # wcslib would convert keV with fewer digits
    header, tables = cube.celestial_header(), None
    header["CTYPE3"], header["CUNIT3"], header["CRPIX3"] = "ENER", "J", 0.5
    header["CRVAL3"], header["CDELT3"] = joules[0], (joules[-1] - joules[0]) / cube.n_energy
    if not linear_axis_cards(edges):  # not uniform: FITS's tabulated axis, by the number of the edge
        header["CTYPE3"], header["CRVAL3"], header["CDELT3"] = "ENER-TAB", 1.0, 1.0
        header["PS3_0"], header["PS3_1"], header["PV3_3"] = "ENERGIES", "ENERGY", 1
        n = joules.size
        column = fits.Column("ENERGY", f"{n}D", unit="J", dim=f"(1,{n})", array=joules.reshape(1, n, 1))
        tables = fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column], name="ENERGIES")])
    if "CD1_1" in header:  # a missing CD3_3 would mean zero
        header["CD3_3"] = header["CDELT3"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)  # as of `celestial_wcs`
        wcs = WCS(header, tables)
    wcs.array_shape = shape
    return wcs


def whole_slices(item, shape):
    """Check what is in the brackets of ``cube[...]``.

    Parameters
    ----------
    item : slice, Ellipsis or tuple of these
        Of (energy, y, x).
    shape : tuple of int
        Of the cube.

    Returns
    -------
    slices : tuple of 3 slice
        From 0 or more, without a step, and not empty.

    Raises
    ------
    TypeError
        If something is not a slice of whole numbers.
    IndexError
        If there are more than three slices.
    ValueError
        If a step is not 1, or nothing is left.
    """
    parts = item if isinstance(item, tuple) else (item,)
    for part in parts:
        if isinstance(part, int | np.integer):
            msg = (
                f"the index {part} would drop an axis of the cube; {part}:{part + 1 or ''} keeps it, and "
                "cube.data[...] gives the numbers alone."
            )
            raise TypeError(msg)
        if not isinstance(part, slice) and part is not Ellipsis:
            msg = (
                "a cube takes slices of (energy, y, x), as in cube[10:20, 5:50, 8:40], "
                f"not {type(part).__name__}; mask pixels with with_mask."
            )
            raise TypeError(msg)
    n_ellipses = parts.count(Ellipsis)
    if n_ellipses > 1 or len(parts) - n_ellipses > 3:
        msg = (
            f"a cube has three axes, (energy, y, x), but was given {len(parts) - n_ellipses} slices and {n_ellipses} "
            "ellipses (...); give at most three, and one."
        )
        raise IndexError(msg)
    at = parts.index(Ellipsis) if n_ellipses else len(parts)
    missing = (slice(None),) * (3 - len(parts) + n_ellipses)
    parts = parts[:at] + missing + parts[at + n_ellipses :]
    return tuple(_whole_slice(*each) for each in zip(("energy", "y", "x"), parts, shape))


def _whole_slice(name, part, length):
    if part.step not in (None, 1):
        way = "rebin adds up energy bins" if name == "energy" else "bin the events again for larger pixels"
        msg = f"a slice in {name} has a step of {part.step}, but must keep all that lies between its ends; {way}."
        raise ValueError(msg)
    try:
        start, stop, _ = part.indices(length)
    except TypeError as error:
        way = " rebin takes energies, as in cube.rebin([1, 2, 3] * u.keV)." if name == "energy" else ""
        msg = f"a slice in {name} goes from {part.start!r} to {part.stop!r}, but must be in whole numbers.{way}"
        raise TypeError(msg) from error
    if stop <= start:
        ends = ":".join("" if end is None else str(end) for end in (part.start, part.stop))
        msg = f"the slice {ends} in {name} is empty: the cube has {length} there, 0 to {length - 1}."
        raise ValueError(msg)
    return slice(start, stop)


def moved_coordinates(cube, slices):
    """Give the WCS and the header of a part of a cube.

    Parameters
    ----------
    cube : EventCube
    slices : tuple of 3 slice
        From `whole_slices`.

    Returns
    -------
    wcs : `~astropy.wcs.WCS`
    meta : `~astropy.io.fits.Header` or mapping
        A copy, in which the pixels of reference of all coordinate systems have moved.
    """
    meta, wcs = copy.deepcopy(cube.meta), cube.wcs[slices[1:]]
    for key in _reference_keys(meta):
        axis = int(re.search("[123]", key)[0])
        if start := slices[3 - axis].start:
            meta[key] = header_number(meta, key, "the cube's header", default=0.0) - start
    before, after = (_header_wcs(each)[1] for each in (cube.meta, meta))
    if before is not None and before.wcs.compare(cube.wcs.wcs):
        wcs.wcs.crpix = after.wcs.crpix  # a card may hold a digit less: the two must agree to the last
    return wcs, meta


def _reference_keys(meta):
    keys = {f"CRPIX{found['axis']}{found['system']}" for key in meta if (found := _AXIS.fullmatch(str(key)))}
    return keys | {f"LTV{found['axis']}" for key in meta if (found := _IRAF_AXIS.fullmatch(str(key)))}
