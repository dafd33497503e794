"""Several observations of one field: their events on common sky pixels, their counts and headers as those of one."""

import logging
import warnings
from dataclasses import replace

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs.utils import pixel_to_pixel

from .._headers import exposure_time, header_number, header_text
from ..grid.energies import describe_grid
from ..grid.nesting import difference
from ..grid.sky import is_wcs_card
from .photons import Photons
from .planes import Planes, wide

__all__ = ["add_up", "field_of", "merge_headers", "move_events", "same_grid", "say_where"]

logger = logging.getLogger(__name__)

_ROUNDING = 1e-6  # pixels

# Cards of a merged observation that are not simply those which all observations have in common.
_TOTALS = ("EXPOSURE", "LIVETIME", "ONTIME")
_FIRST = ("DATE-OBS", "DATE-BEG", "MJD-OBS", "MJD-BEG", "TSTART")
_LAST = ("DATE-END", "MJD-END", "TSTOP")

# What tells an observation: one may be cut in several parts (OBI_NUM), and several instruments may share one.
_IDENTITY = ("TELESCOP", "INSTRUME", "DETNAM", "OBS_ID", "OBI_NUM", "TSTART")

_ENOUGH = 5000  # events, to know what field they are of


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

    Notes
    -----
    Where positions are whole numbers, events are first spread over their sky pixels, always in the same way: points
    of one grid would make a pattern on another.
    """
    # The corners tell whether the planes are the same: then positions need not go over the sky, which rounds them.
    corners = [np.array([np.nanmin(v), np.nanmax(v)], dtype=float) - 1 for v in (events.x, events.y)]
    here = np.array(np.meshgrid(*corners)).reshape(2, -1)
    if np.abs(np.array(pixel_to_pixel(own_wcs, wcs, *here)) - here).max() < _ROUNDING:
        return events
    known = np.isfinite(events.x) & np.isfinite(events.y)
    x, y = np.full((2, len(events.x)), np.nan)
    generator = np.random.default_rng(0)
    here = [
        values[known] - 1.0 + (generator.uniform(-0.5, 0.5, np.count_nonzero(known)) if is_whole else 0.0)
        for values, is_whole in zip((events.x, events.y), events.whole_axes())
    ]
    if any(events.whole_axes()):
        logger.info("%s: events are spread over their sky pixels, which are not those of the image", events.where)
        events = replace(events, history=(*events.history, "events spread over their sky pixels"))
    moved = pixel_to_pixel(own_wcs, wcs, *here)
    x[known], y[known] = (values + 1 for values in moved)
    return replace(events, x=x, y=y, moved=True)


def field_of(events, wcs):
    """Find where the events of a list are on the sky.

    Parameters
    ----------
    events : `~astro_lpalm.cube.events.EventList`
    wcs : `~astropy.wcs.WCS`
        Of its sky pixels.

    Returns
    -------
    center : `~astropy.coordinates.SkyCoord`
        Median position; NaN where no event has one.
    radius : `~astropy.coordinates.Angle`
        Around it, that of all but a few of the events.
    """
    some = slice(None, None, max(1, len(events.x) // _ENOUGH))
    known = np.isfinite(events.x[some]) & np.isfinite(events.y[some])
    x, y = (values[some][known].astype(float) - 1 for values in (events.x, events.y))
    if not x.size:
        return SkyCoord(np.nan, np.nan, unit="deg"), 0 * u.deg
    center = wcs.pixel_to_world(np.median(x), np.median(y))
    return center, np.nanpercentile(wcs.pixel_to_world(x, y).separation(center), 99)


def say_where(field, other, of_other, gap=0 * u.deg):
    """Say how far the events of a list are from another field, where the two do not overlap.

    Parameters
    ----------
    field, other : tuple of `~astropy.coordinates.SkyCoord` and `~astropy.coordinates.Angle`
        Centre and radius.
    of_other : str
        What the other is, for messages.
    gap : `~astropy.units.Quantity`
        How much sky there may be between fields of one mosaic.

    Returns
    -------
    text : str
        Empty where they overlap, or lie within the gap.
    """
    (center, radius), (other_center, other_radius) = field, other
    distance = center.separation(other_center)
    if not distance > radius + other_radius + gap:
        return ""
    return (
        f"Its events lie around RA, Dec = {center.icrs.to_string(precision=4)}, {distance.to_value(u.deg):.4g} deg "
        f"from {of_other}: is it of another field of the sky?"
    )


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
        if key in _TOTALS + _FIRST + _LAST:
            values = [_read(header, key, f"cube {number}") for number, header in enumerate(headers, start=1)]
            if None not in values:
                total = sum if key in _TOTALS else min if key in _FIRST else max
                merged[key] = (total(values), card.comment)
            continue
        values = [header[key] for header in headers if key in header]
        if is_wcs_card(key) or (len(values) == len(headers) and all(value == values[0] for value in values)):
            merged.append(card)
    for header in headers:
        for line in header.get("HISTORY", []):
            merged.add_history(line)
    merged.add_history(f"merged from {len(headers)} observations:")
    for header in headers:
        merged.add_history(_describe(header))
    return merged


def _read(header, key, where):
    """Read a time: one that is added up must be positive; None where there is none."""
    if key in _TOTALS:
        return exposure_time(header, where, key)
    return header_text(header, key, where) or None if key.startswith("DATE") else header_number(header, key, where)


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
    first, headers, seen = None, [], {}
    for cube in cubes:
        headers.append(fits.Header(cube.meta or {}))
        _warn_if_seen(seen, headers[-1], cube, len(headers))
        excluded, exposure = cube.pixel_mask, _absolute_exposure(cube)
        if exposure is not None:
            exposure[excluded] = 0
        if first is None:
            first, total, mask = cube, exposure, excluded
            data = _added(None, cube, None if exposure is None else excluded)
            continue
        _check_same(first, cube, len(headers))
        if (total is None) != (exposure is None):
            msg = (
                f"cube {len(headers)} has {'no ' if exposure is None else 'an '}exposure map, unlike those before it; "
                "give all of them one, or none."
            )
            raise ValueError(msg)
        data = _added(data, cube, None if exposure is None else excluded)
        if exposure is None:
            mask |= excluded
        else:
            total = _add_exposures(total, exposure, len(headers))
            mask &= excluded
    if first is None:
        msg = "there are no cubes to merge; give at least one."
        raise ValueError(msg)
    return data, total, mask, headers, first


def _added(total, cube, excluded):
    """Add the counts of a cube, none in excluded pixels, to a total, if there is one: photons, planes, or an array."""
    more = cube._data
    if excluded is not None:
        more = (Planes.of(more) if isinstance(more, np.ndarray) else more).without(excluded)
    parts = [more] if total is None else [total, more]
    if all(isinstance(each, Photons) for each in parts):
        return sum(parts[1:], start=parts[0])
    if cube.is_lazy or isinstance(total, Planes):
        parts = [Planes.of(each) for each in parts]
        return sum(parts[1:], start=parts[0])
    dtype = np.result_type(*(wide(each.dtype) for each in parts))
    if isinstance(total, np.ndarray):
        total, parts = total.astype(dtype, copy=False), [more]
    else:
        total = np.zeros(more.shape, dtype)
    for each in parts:  # plane by plane, so that photons are not laid out beside their sum
        for plane, own in zip(total, each):
            plane += own
    return total


def _warn_if_seen(seen, header, cube, number):
    """Warn of an observation that is there twice, with as many counts each time."""
    if not header_text(header, "OBS_ID", f"cube {number}"):
        return
    counts = int(cube.image().sum())
    identity = (*(header_text(header, key, f"cube {number}") for key in _IDENTITY), counts)
    before = seen.setdefault(identity, number)
    if before != number:
        msg = (
            f"observations {before} and {number} are the same one: OBS_ID {header['OBS_ID']}, of equal instrument, "
            f"TSTART and number of counts ({counts}). Counts and EXPOSURE are added up all the same; give it once."
        )
        warnings.warn(msg, AstropyUserWarning, stacklevel=2)


def _absolute_exposure(cube):
    """Give a cube's exposure; a relative one times its exposure time, without which it cannot be added to others."""
    exposure = cube.exposure
    if exposure is None or exposure.unit != u.dimensionless_unscaled:
        return exposure
    time = exposure_time(cube.meta, "the cube's header")
    return exposure if time is None else exposure * (time * u.s)


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
    if differs := difference(cube.energy_edges.value, first.energy_edges.value, same=True):
        msg = (
            f"cube {number} has {describe_grid(cube.energy_edges)}, the first {describe_grid(first.energy_edges)}: "
            f"{differs}; bin both with the same energy_edges."
        )
        raise ValueError(msg)


def same_grid(cube, other):
    """Tell whether two cubes have the same pixels, to a millionth of a pixel."""
    ny, nx = cube.shape[1:]
    if other.shape[1:] != (ny, nx):
        return False
    corners = np.array(np.meshgrid([0.0, nx - 1.0], [0.0, ny - 1.0])).reshape(2, -1)
    found = np.array(pixel_to_pixel(cube.wcs, other.wcs, *corners))
    return bool((np.abs(found - corners) < _ROUNDING).all())
