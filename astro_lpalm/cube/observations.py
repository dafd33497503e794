"""Several observations of one field: their events on common sky pixels, their counts and headers as those of one."""

from dataclasses import replace

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.wcs.utils import pixel_to_pixel

from .energies import describe_grid
from .sky import is_wcs_card

__all__ = ["add_up", "merge_headers", "move_events", "same_energies", "same_grid"]

_ROUNDING = 1e-6  # pixels

# Cards of a merged observation that are not simply those which all observations have in common.
_TOTALS = ("EXPOSURE", "LIVETIME", "ONTIME")
_FIRST = ("DATE-OBS", "DATE-BEG", "MJD-OBS", "MJD-BEG", "TSTART")
_LAST = ("DATE-END", "MJD-END", "TSTOP")


def move_events(events, own_wcs, wcs):
    """Give events positions in the sky pixels of another observation.

    Parameters
    ----------
    events : `~astro_lpalm.cube.events.EventList`
    own_wcs, wcs : `~astropy.wcs.WCS`
        Of the events' own sky pixels and of the wanted ones.

    Returns
    -------
    events : `~astro_lpalm.cube.events.EventList`
        The very same where their pixels are the wanted ones already. Events that have no place there get NaN.
    """
    # The corners tell whether the planes are the same: then positions need not go over the sky, which rounds them.
    corners = [np.array([np.nanmin(v), np.nanmax(v)], dtype=float) - 1 for v in (events.x, events.y)]
    here = np.array(np.meshgrid(*corners)).reshape(2, -1)
    if np.abs(np.array(pixel_to_pixel(own_wcs, wcs, *here)) - here).max() < _ROUNDING:
        return events
    known = np.isfinite(events.x) & np.isfinite(events.y)
    x, y = np.full((2, len(events.x)), np.nan)
    moved = pixel_to_pixel(own_wcs, wcs, events.x[known] - 1.0, events.y[known] - 1.0)
    x[known], y[known] = (values + 1 for values in moved)
    return replace(events, x=x, y=y, moved=True)


def merge_headers(headers):
    """Make one header of those of several observations.

    Parameters
    ----------
    headers : list of `~astropy.io.fits.Header`
        Of cubes on the same pixels.

    Returns
    -------
    header : `~astropy.io.fits.Header`
        The coordinates, and the cards that have the same value everywhere. EXPOSURE, LIVETIME and ONTIME are added
        up, where all have them; dates run from the first beginning to the last end; HISTORY says what was merged.
    """
    first = headers[0]
    merged = fits.Header()
    for card in first.cards:
        key = card.keyword
        if key in ("HISTORY", "COMMENT", ""):
            continue
        values = [header[key] for header in headers if key in header]
        if key in _TOTALS + _FIRST + _LAST:
            if len(values) == len(headers):
                total = sum if key in _TOTALS else min if key in _FIRST else max
                merged[key] = (total(values), card.comment)
        elif is_wcs_card(key) or (len(values) == len(headers) and all(value == values[0] for value in values)):
            merged.append(card)
    for header in headers:
        for line in header.get("HISTORY", []):
            merged.add_history(line)
    merged.add_history(f"merged from {len(headers)} observations:")
    for header in headers:
        merged.add_history(_describe(header))
    return merged


def _describe(header):
    said = [f"{key} {header[key]}" for key in ("OBS_ID", "DATE-OBS", "EXPOSURE") if key in header]
    return "    " + (", ".join(said) or "an observation without OBS_ID, DATE-OBS and EXPOSURE")


def add_up(cubes):
    """Add cubes on the same pixels.

    Parameters
    ----------
    cubes : iterable of `~astro_lpalm.cube.EventCube`

    Returns
    -------
    data : `~numpy.ndarray`, shape (n, ny, nx)
    exposure : `~astropy.units.Quantity`, shape (ny, nx), or None
    mask : `~numpy.ndarray` of bool, shape (ny, nx)
    headers : list of `~astropy.io.fits.Header`
    first : `~astro_lpalm.cube.EventCube`

    Notes
    -----
    With exposures, a masked pixel adds neither counts nor exposure, so that one observation fills the gaps of
    another. Without, nothing could make up for the counts that it lacks, and it is masked in the sum.
    """
    first, headers = None, []
    for cube in cubes:
        headers.append(fits.Header(cube.meta or {}))
        excluded, exposure = cube.pixel_mask, _absolute_exposure(cube)
        if exposure is not None:
            exposure[excluded] = 0
        if first is None:
            first, total, mask = cube, exposure, excluded
            # Narrow integers could overflow; floating-point numbers keep their type.
            wide = cube.data.dtype.kind == "f" or cube.data.dtype.itemsize > 4
            data = np.array(cube.data, dtype=cube.data.dtype if wide else np.int32)
            if exposure is not None:
                data[:, excluded] = 0
            continue
        _check_same(first, cube, len(headers))
        if (total is None) != (exposure is None):
            msg = (
                f"cube {len(headers)} has {'no ' if exposure is None else 'an '}exposure map, unlike those before it; "
                "give all of them one, or none."
            )
            raise ValueError(msg)
        if data.dtype != np.result_type(data, cube.data):
            data = data.astype(np.result_type(data, cube.data))
        if exposure is None:
            data += cube.data
            mask |= excluded
        else:
            data += np.where(excluded, cube.data.dtype.type(0), cube.data)
            total = _add_exposures(total, exposure, len(headers))
            mask &= excluded
    if first is None:
        msg = "there are no cubes to merge; give at least one."
        raise ValueError(msg)
    return data, total, mask, headers, first


def _absolute_exposure(cube):
    """Give a cube's exposure; a relative one times its exposure time, without which it cannot be added to others."""
    exposure = cube.exposure
    if exposure is None or exposure.unit != u.dimensionless_unscaled:
        return exposure
    time = cube.meta.get("EXPOSURE")
    return exposure if time is None else exposure * (float(time) * u.s)


def _add_exposures(total, exposure, number):
    try:
        if total.unit == exposure.unit == u.dimensionless_unscaled:
            msg = (
                "relative exposure maps can only be added with the exposure times (EXPOSURE in the cubes' headers); "
                "give them the unit s or cm2 s."
            )
            raise ValueError(msg)
        return total + exposure
    except u.UnitConversionError as error:
        msg = (
            f"the exposure of cube {number} is in '{exposure.unit}' and that of the ones before it in '{total.unit}'; "
            "give all in the same kind of unit."
        )
        raise ValueError(msg) from error


def _check_same(first, cube, number):
    if not same_grid(first, cube):
        msg = (
            f"cube {number} is on another pixel grid than the first: {cube!r}, {first!r}. Bin its events with "
            "like=the first cube."
        )
        raise ValueError(msg)
    if not same_energies(first, cube):
        msg = (
            f"cube {number} has {describe_grid(cube.energy_edges)}, the first {describe_grid(first.energy_edges)}; "
            "bin both with the same energy_edges."
        )
        raise ValueError(msg)


def same_energies(cube, other):
    """Tell whether two cubes have the same energy bins, to a millionth of a bin."""
    one, two = cube.energy_edges.value, other.energy_edges.value
    return one.size == two.size and bool((np.abs(one - two) <= 1e-6 * np.diff(one).min()).all())


def same_grid(cube, other):
    """Tell whether two cubes have the same pixels, to a millionth of a pixel."""
    ny, nx = cube.data.shape[1:]
    if other.data.shape[1:] != (ny, nx):
        return False
    corners = np.array(np.meshgrid([0.0, nx - 1.0], [0.0, ny - 1.0])).reshape(2, -1)
    found = np.array(pixel_to_pixel(cube.wcs, other.wcs, *corners))
    return bool((np.abs(found - corners) < _ROUNDING).all())
