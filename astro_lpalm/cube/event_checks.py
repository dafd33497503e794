"""What an event list says of itself, against what is done with it: warnings with numbers, and with what to do."""

import logging
import re
import warnings

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from .._headers import header_number, header_text
from ..grid.energies import describe_grid
from ..grid.units import energy_unit

__all__ = [
    "describe_empty_bins",
    "good_times",
    "warn_of_bins",
    "warn_of_flags",
    "warn_of_other_tables",
    "warn_of_times",
]

logger = logging.getLogger(__name__)

_ROUNDING = 1e-3  # seconds, of times that some tools write in single precision or as text

# Bins at the ends of a spectrum are empty by a filter, not by chance, if they are so many, and this part of all, and
# the two next to them hold this many counts: even a steep spectrum, or the threshold of a detector, thins out first.
_LEAST_BINS, _LEAST_SHARE, _LEAST_COUNTS = 2, 0.1, 20
_PART_OF_BIN = 0.01  # by which a filter may cut into a bin: those in channels, for instance, seldom meet its edge


def warn_of_other_tables(tables, where):
    """Warn of tables of events other than the first of a file.

    Parameters
    ----------
    tables : list of `~astropy.io.fits.BinTableHDU`
        All, beginning with the one that is read.
    where : str
        The file, for messages.
    """
    if len(tables) > 1:
        n_events = [table.header.get("NAXIS2") for table in tables]
        msg = (
            f"{where} has {len(tables)} tables of events, with {', '.join(map(str, n_events))} events: only the first "
            f"is read, and {sum(n_events[1:])} events are left out. To add them up as several observations, give the "
            "HDUs as a list, events=[hdulist[1], ...]."
        )
        warnings.warn(msg, AstropyUserWarning, stacklevel=2)


def good_times(hdulist, where):
    """Read the good time intervals of a file, those of all its GTI tables.

    Parameters
    ----------
    hdulist : `~astropy.io.fits.HDUList` or list
    where : str
        The file, for messages.

    Returns
    -------
    intervals : list of tuple
        CCD (or None where a table does not say), start and stop, both arrays in seconds, counted from TIMEZERO.

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        If a table cannot be read.
    """
    found = []
    for hdu in hdulist:
        try:
            if isinstance(hdu, fits.BinTableHDU | fits.TableHDU) and _is_gti(hdu):
                found.append(_intervals(hdu, where))
        except Exception as error:  # of a dozen kinds, from whatever a damaged table leads astropy to
            msg = (
                f"{where}: the good time intervals of table {hdu.name} cannot be read "
                f"({' '.join(str(error).split())}): whether events lie in them is not known. Get a fresh copy."
            )
            warnings.warn(msg, AstropyUserWarning, stacklevel=2)
    return [each for each in found if each[1].size]


def _intervals(hdu, where):
    zero = header_number(hdu.header, "TIMEZERO", where, default=0.0)
    columns = {name.upper(): name for name in hdu.columns.names}
    start, stop = (np.asarray(hdu.data[columns[key]], dtype=float).ravel() + zero for key in ("START", "STOP"))
    known = np.isfinite(start) & np.isfinite(stop)
    return header_number(hdu.header, "CCD_ID", where, kind=int), start[known], stop[known]


def _is_gti(hdu):
    is_named = re.match(r"(STD)?GTI", hdu.name.upper()) or str(hdu.header.get("HDUCLAS1", "")).strip().upper() == "GTI"
    return bool(is_named) and {"START", "STOP"} <= {name.upper() for name in hdu.columns.names}


def warn_of_times(times, ccds, intervals, header, where):
    """Warn of events outside the good time intervals.

    Parameters
    ----------
    times, ccds : `~numpy.ndarray`, shape (n_events,), or None
        The columns TIME, and CCD_ID where there is one: ACIS has a table of intervals for each CCD.
    intervals : list of tuple
        As `good_times` gives them.
    header : mapping
        Of the events.
    where : str
        The list, for messages.
    """
    if times is None or not intervals or times.ndim != 1 or times.dtype.kind not in "iuf":
        return
    seconds, good = header_number(header, "EXPOSURE", where), sum((stop - start).sum() for _, start, stop in intervals)
    if seconds is not None and seconds > good + _ROUNDING:  # of all CCDs together: more than any of them can have
        logger.info("%s: EXPOSURE is %g s, but the good time intervals (GTI) add up to %g s", where, seconds, good)
    # The time of an event is that of the frame it was read in, TIMEDEL long.
    tolerance = max(header_number(header, "TIMEDEL", where, default=0.0) / 2, _ROUNDING)
    times = times + header_number(header, "TIMEZERO", where, default=0.0)
    if ccds is None or any(number is None for number, _, _ in intervals):
        outside = ~_inside(times, intervals, tolerance)
    else:
        outside = np.zeros(times.size, dtype=bool)
        for ccd in np.unique(ccds):
            own = [each for each in intervals if each[0] == ccd]
            rows = ccds == ccd
            outside[rows] = ~_inside(times[rows], own or intervals, tolerance)
    outside &= np.isfinite(times)
    if outside.any():
        msg = (
            f"{where}: {np.count_nonzero(outside)} of {times.size} events are outside the good time intervals (GTI) of "
            "the file, which EXPOSURE is the length of; they are counted all the same. Remove them, with CIAO by "
            "dmcopy 'evt.fits[EVENTS][@evt.fits[GTI]]'."
        )
        warnings.warn(msg, AstropyUserWarning, stacklevel=2)


def _inside(times, intervals, tolerance):
    start, stop = (np.concatenate([each[i] for each in intervals]) for i in (1, 2))
    order = np.argsort(start)
    # Of all intervals that have begun, the one that ends last.
    last = np.searchsorted(start[order], times + tolerance, side="right") - 1
    return (last >= 0) & (times - tolerance <= np.maximum.accumulate(stop[order])[last])


def warn_of_flags(flags, column, mission, header, where):
    """Warn of events that processing has flagged, where flags mean harm and in lists that say to be of level 1.

    Parameters
    ----------
    flags : `~numpy.ndarray`, shape (n_events, ...), or None
        Bits, bytes or whole numbers.
    column : str
        What their column is called.
    mission : `~astro_lpalm.missions.Mission` or None
        What the list is from, where that is known.
    header : mapping
        Of the events.
    where : str
        The list, for messages.
    """
    if flags is None or flags.dtype.kind not in "iub":
        return
    is_level_1 = header_text(header, "CONTENT", where).upper() == "EVT1"
    is_judged = mission is not None and mission.flags_are_bad
    if not is_level_1 and not is_judged:
        return  # some missions have bits that mean no harm
    mask = mission.bad_flags if is_judged else None
    if mask is not None and flags.ndim == 1 and flags.dtype.kind in "iu":
        flags = flags.astype(np.int64) & mask
    flagged = flags.reshape(len(flags), -1).any(axis=1)
    if flagged.any():
        level = ", and CONTENT is EVT1: a list of level 1, that nothing was left out of" if is_level_1 else ""
        remedy = f", {mission.flag_remedy}" if is_judged and mission.flag_remedy else ""
        msg = (
            f"{where}: {column} bits are set for {np.count_nonzero(flagged)} of {flagged.size} events{level}. They are "
            f"counted all the same, though bad pixels, cosmic rays and the like are no photons. Remove them{remedy}."
        )
        warnings.warn(msg, AstropyUserWarning, stacklevel=2)


def warn_of_bins(events, counts, energy_edges):
    """Warn of energy bins that a list has no events in, since it was filtered.

    Parameters
    ----------
    events : `~astro_lpalm.cube.events.EventList`
    counts : `~numpy.ndarray`, shape (n,)
        Of the list, in each bin.
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,)
    """
    empty = describe_empty_bins(counts)
    cards, low, high = _energy_filter(events)
    edges = energy_edges.to_value(u.keV)
    margin = _PART_OF_BIN * np.diff(edges)
    cut = np.count_nonzero((edges[:-1] < low - margin) | (edges[1:] > high + margin))
    if not empty and not cut:
        return
    said = [empty] if empty else []
    if cut:
        said.append(f"The header says {', '.join(cards)}: {cut} of {counts.size} bins are partly or wholly outside.")
    msg = (
        f"{events.where}: {' '.join(said)} There are {describe_grid(energy_edges)}; take bins within the energies that "
        "the list has, or a list that was not filtered."
    )
    warnings.warn(msg, AstropyUserWarning, stacklevel=2)


def describe_empty_bins(counts):
    """Say how many energy bins at the ends of a spectrum are empty, where that is no matter of chance.

    Parameters
    ----------
    counts : array_like, shape (n,)

    Returns
    -------
    text : str
        Empty where there is nothing to say.

    Examples
    --------
    >>> from astro_lpalm.cube.event_checks import describe_empty_bins
    >>> describe_empty_bins([0, 0, 60, 80, 50, 40, 0])
    '2 of 7 bins are empty: was the list filtered in energy?'
    >>> describe_empty_bins([90, 60, 20, 4, 1, 0, 0])
    ''
    """
    counts = np.asarray(counts)
    filled = np.flatnonzero(counts)
    if filled.size == 0:
        return ""
    first, last = filled[0], filled[-1]
    n_empty = 0
    for n, edge in ((first, counts[first : first + 2]), (counts.size - 1 - last, counts[max(last - 1, 0) : last + 1])):
        is_many = n >= max(_LEAST_BINS, _LEAST_SHARE * counts.size)
        n_empty += n if is_many and edge.sum() >= _LEAST_COUNTS else 0
    return f"{n_empty} of {counts.size} bins are empty: was the list filtered in energy?" if n_empty else ""


def _energy_filter(events):
    """Find what the data subspace of CIAO (DSTYPn, DSVALn) says of energies: cards, and the range in keV."""
    header, where, cards, low, high = events.header, events.where, [], 0.0, np.inf
    mission = events.mission
    for key in header:
        found = re.fullmatch(r"DSTYP(\d+)", key)
        kind = header_text(header, key, where).lower() if found else ""
        is_known = mission is not None and not mission.no_energies
        if kind not in ("energy", "pi") or (kind == "pi" and not is_known):
            continue
        number = found[1]
        # Each CCD may have a component of its own, 2DSVAL3 and so on: together they hold what any of them does.
        values = {k: header_text(header, k, where) for k in header if re.fullmatch(rf"\d*DSVAL{number}", k)}
        ranges = [_range(part) for value in values.values() for part in value.split(",")]
        if not ranges or None in ranges:
            continue
        start, stop = min(first for first, _ in ranges), max(last for _, last in ranges)
        if kind == "pi":
            start, stop = mission.lower_edges([start, stop + 1]).to_value(u.keV)
        else:
            unit = energy_unit(header_text(header, f"DSUNIT{number}", where)) or events.energy_unit
            start, stop = (value * unit.to(u.keV) for value in (start, stop))
        low, high = max(low, start), min(high, stop)
        cards += [f"{key} = '{kind}', {k} = '{value}'" for k, value in values.items()]
    return cards, low, high


def _range(text):
    try:
        first, last = (part.strip() for part in text.split(":"))
        return float(first or "-inf"), float(last or "inf")
    except ValueError:  # TABLE, a name: not a range of numbers
        return None
