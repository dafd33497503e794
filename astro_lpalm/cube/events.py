"""Event lists: finding their columns, selecting events and counting them into a cube."""

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Table

from .._files import open_fits
from .._headers import header_number, header_text
from .._memory import physical_memory
from ..grid.energies import describe_grid
from ..missions import find
from .event_checks import good_times, warn_of_flags, warn_of_other_tables, warn_of_times
from .event_energies import check_energy_columns, event_energies

__all__ = ["EventList", "count_events", "read_events"]

logger = logging.getLogger(__name__)

# Rows handled at once: temporaries stay in the processor's cache, and small beside any list that is worth the trouble.
_CHUNK = 1 << 15

# Floating-point positions of fewer events may be whole numbers by chance, or by somebody's hand.
_FEWEST_WHOLE = 100

# What a list is, which some missions' files say in the primary header alone.
_OF_THE_FILE = ("TELESCOP", "INSTRUME", "OBS_ID", "EXPOSURE", "CONTENT")


@dataclass
class EventList:
    """The columns of an event list that a cube needs.

    Attributes
    ----------
    x, y : `~numpy.ndarray`, shape (n_events,)
        Sky pixel coordinates, as the list has them.
    energy : `~numpy.ndarray`, shape (n_events,)
        Energies in ``energy_unit``; infinite for events of the overflow channel in a list without energies, and NaN
        for those that have none (TNULL).
    energy_unit : `~astropy.units.Unit`
    overflow_energy : float
        Where the overflow channel begins, in ``energy_unit``; infinite where there is none, or no PI.
    overflow_channel : int or None
    header : mapping
        The table's header, with what only the primary one says of the observation.
    names : tuple of str
        Names of the X and Y columns, in the list's own case.
    columns : tuple of int
        Their positions in the table, from 1.
    where : str
        How to call the list in messages.
    moved : bool
        Whether the positions are in the sky pixels of another observation.
    """

    x: np.ndarray
    y: np.ndarray
    energy: np.ndarray
    energy_unit: u.UnitBase
    overflow_energy: float
    overflow_channel: int | None
    header: fits.Header | dict
    names: tuple
    columns: tuple
    where: str
    moved: bool = False

    def chunks(self):
        """Slices that walk through the list."""
        return (slice(start, start + _CHUNK) for start in range(0, len(self.x), _CHUNK))

    def image_bounds(self):
        """Bounds of the whole sky image, from TLMIN and TLMAX of the two columns.

        Returns
        -------
        bounds : list of 4 float
            x0, x1, y0, y1; infinite where the header does not say, or speaks of other pixels.
        """
        if self.moved:
            return [-np.inf, np.inf, -np.inf, np.inf]
        limits = [
            header_number(self.header, f"{key}{column}", self.where, default=default)
            for column in self.columns
            for key, default in (("TLMIN", -np.inf), ("TLMAX", np.inf))
        ]
        return self.edges_of(limits)

    def edges_of(self, limits):
        """Edges of the image that limits of X and Y stand for: a column of whole numbers gives the pixels' centres.

        Parameters
        ----------
        limits : sequence of 4 float
            x0, x1, y0, y1.

        Returns
        -------
        edges : list of 4 float
            The same where the columns have fractions; those of the outermost whole pixels within them otherwise.
        """
        whole = [self.x.dtype.kind in "iu"] * 2 + [self.y.dtype.kind in "iu"] * 2
        snapped = [np.floor(v) + 0.5 if upper else np.ceil(v) - 0.5 for v, upper in zip(limits, (False, True) * 2)]
        return [float(new if is_whole else given) for is_whole, new, given in zip(whole, snapped, limits)]

    def whole_axes(self):
        """Tell for X and Y whether the positions are whole numbers: all events of a sky pixel lie in its centre."""
        if self.moved:
            return False, False
        return tuple(v.dtype.kind in "iu" or (len(v) >= _FEWEST_WHOLE and _all_whole(v)) for v in (self.x, self.y))

    def extent(self, energy_range, bounds):
        """Find the extent of the events within an energy range and an image.

        Parameters
        ----------
        energy_range : tuple of float
            In ``energy_unit``.
        bounds : sequence of 4 float
            x0, x1, y0, y1.

        Returns
        -------
        extent : tuple of 4 float, or None
            x0, x1, y0, y1 of the outermost events; None where there is none.
        """
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        for part in self.chunks():
            x, y, energy = self.x[part], self.y[part], self.energy[part]
            kept = (energy >= energy_range[0]) & (energy < energy_range[1])
            kept &= (x >= bounds[0]) & (x <= bounds[1]) & (y >= bounds[2]) & (y <= bounds[3])
            if kept.any():
                position = np.stack([x[kept], y[kept]])
                np.minimum(low, position.min(axis=1), out=low)
                np.maximum(high, position.max(axis=1), out=high)
        return (low[0], high[0], low[1], high[1]) if np.isfinite(low).all() else None


def read_events(events):
    """Read what a cube needs of an event list.

    Parameters
    ----------
    events : str, `os.PathLike`, `~astropy.io.fits.HDUList`, table HDU or `~astropy.table.Table`
        An event list with columns X, Y and ENERGY or PI, in any order and case. Without ENERGY, the energy of an
        event is the centre of its PI channel, as the mission defines them (see
        `astro_lpalm.missions`), and an overflow channel has none.
        Of several tables of events the first is read. Of a single table HDU, the primary header and the good time
        intervals are not known.

    Returns
    -------
    events : EventList
        Native arrays. A file is read piece by piece, so that other columns take no memory.

    Raises
    ------
    FileNotFoundError, OSError
        If the file does not exist, is not FITS or is truncated.
    TypeError
        If ``events`` is something else.
    ValueError
        If there is no event table, no X or Y, or they are no numbers; no energy, and no PI of an instrument that is
        known; no event, or an energy that is NaN or negative.

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        If there are other tables of events, events outside the good time intervals or with status bits set, or an
        energy column without a unit.
    """
    path = events if isinstance(events, str | os.PathLike) else None
    with _opened(events) as (table, hdulist, where):
        header, names, units = _describe(table, hdulist, where)
        found = {key: _find(names, key) for key in ("X", "Y", "ENERGY", "PI", "TIME", "CCD_ID", "STATUS")}
        mission = find(header, where)
        _check_columns(found, names, mission, header, where)
        intervals = good_times(hdulist, where) if found["TIME"] else []
        kinds = ["X", "Y", "ENERGY" if found["ENERGY"] else "PI"]
        judged = (["TIME", "CCD_ID"] if intervals else []) + ["STATUS"]
        kinds += [key for key in judged if found[key]]
        columns = dict(zip(kinds, _columns(table, [found[key] for key in kinds], path, where)))
        missing = {key: _without_value(table, found[key], columns[key], where) for key in kinds[:3]}
    if len(columns["X"]) == 0:
        msg = f"{where} holds no events."
        raise ValueError(msg)
    _check_numbers({found[key]: columns[key] for key in kinds[:3]}, where)
    warn_of_times(columns.get("TIME"), columns.get("CCD_ID"), intervals, header, where)
    warn_of_flags(columns.get("STATUS"), mission, header, where)
    x, y = (
        columns[key] if missing[key] is None else np.where(missing[key], np.nan, columns[key]) for key in ("X", "Y")
    )
    kind = kinds[2]
    energy, unit = event_energies(columns[kind], missing[kind], kind, units[found[kind]], mission, where)
    # With energies at hand PI need not be read: these events are the ones above its last but one channel.
    has_channels = found["PI"] is not None and mission is not None
    overflow = (mission.overflow_energy.to_value(unit), mission.overflow) if has_channels else (np.inf, None)
    sky = found["X"], found["Y"]
    return EventList(x, y, energy, unit, *overflow, header, sky, tuple(names.index(n) + 1 for n in sky), where)


def count_events(events, grid, energy_edges, mask=None, place=""):
    """Count events into a cube, each at most once.

    Parameters
    ----------
    events : EventList
        The events.
    grid : `~astro_lpalm.grid.SkyGrid`
        The image's pixels; an event on an edge belongs to the pixel above it.
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,)
        Energy bins; an event on an edge belongs to the bin above it.
    mask : `~numpy.ndarray` of bool, shape (ny, nx), optional
        Pixels to leave empty, True = excluded.
    place : str
        Where the events lie, for messages, if they are far from the image.

    Returns
    -------
    cube : `~numpy.ndarray` of int32, shape (n, ny, nx)

    Raises
    ------
    ValueError
        If the cube does not fit in memory, or no event is selected.
    """
    # Rounded so that an edge of 1.2 keV is 1200 eV, not 1200.0000000000002.
    edges = np.round(energy_edges.to_value(events.energy_unit), 9)
    shape = (edges.size - 1, grid.ny, grid.nx)
    flat = _empty_cells(shape, place)
    one = np.int32(1)  # of the cells' own type: add.at is ten times slower when it has to convert
    index_type = np.int32 if flat.size < 2**31 else np.intp
    bin_of = _energy_bins(edges)
    has_nan = np.isnan(events.x.min()) or np.isnan(events.y.min())
    n_missing = np.count_nonzero(np.isnan(events.energy)) if np.isnan(events.energy.min()) else 0
    n_overflow = n_energy = n_nowhere = 0
    for part in events.chunks():
        # Positions in units of bins and pixels; those from 0 to the number of bins or pixels are inside. They are
        # found in double precision, whatever that of the columns.
        position = [
            bin_of(events.energy[part]),
            np.subtract(events.y[part], grid.y0, dtype=float),
            np.subtract(events.x[part], grid.x0, dtype=float),
        ]
        if grid.bin_factor != 1:
            position[1] /= grid.bin_factor
            position[2] /= grid.bin_factor
        inside = [(values >= 0) & (values < n) for values, n in zip(position, shape)]
        left_out = ~(inside[0] & inside[1] & inside[2])
        with np.errstate(invalid="ignore"):  # what cannot be converted is left out
            index = position[0].astype(index_type)
            for values, n in zip(position[1:], shape[1:]):
                index *= n
                index += values.astype(index_type)
            if has_nan:
                n_nowhere += np.count_nonzero(np.isnan(position[1] + position[2]) & inside[0])
        np.copyto(index, flat.size - 1, where=left_out)
        np.add.at(flat, index, one)
        n_energy += left_out.size - np.count_nonzero(inside[0])
        n_overflow += np.count_nonzero((events.energy[part] >= events.overflow_energy) & ~inside[0])
    n_left_out = int(flat[-1])
    cube = flat[:-1].reshape(shape)
    n_region = 0
    if mask is not None:
        for plane in cube:
            n_region += int(plane[mask].sum())
            plane[mask] = 0
    reasons = {
        f"in the overflow channel PI {events.overflow_channel}": n_overflow,
        "without an energy (TNULL)": n_missing,
        "outside the energy range": n_energy - n_overflow - n_missing,
        "without a position (NaN)": n_nowhere,
        "outside the image": n_left_out - n_energy - n_nowhere,
        "outside the region": n_region,
    }
    _report(events, reasons, energy_edges, grid, place)
    return cube


def _report(events, left_out, energy_edges, grid, place):
    """Log how many events were counted, and why the others were not; refuse an empty cube."""
    reasons, n_events = ", ".join(f"{n} {reason}" for reason, n in left_out.items() if n) or "none", len(events.x)
    n_counted = n_events - sum(left_out.values())
    if n_counted == 0:
        msg = (
            f"{events.where}: none of the {n_events} events is selected by {describe_grid(energy_edges)} and "
            f"{grid.nx} x {grid.ny} pixels from x = {grid.x0:.6g}, y = {grid.y0:.6g}; left out: {reasons}. "
            f"{place or 'Widen the energy range, the bounds or the region.'}"
        )
        raise ValueError(msg)
    logger.info("%d of %d events counted; left out: %s", n_counted, n_events, reasons)


def _energy_bins(edges):
    """Make the function that tells energies' positions in the bins, from 0 to the number of bins."""
    n_bins = edges.size - 1
    width = (edges[-1] - edges[0]) / n_bins
    if np.ptp(np.diff(edges)) > 1e-6 * width:
        return lambda energy: np.searchsorted(edges, energy, side="right") - 1

    def bin_of(energy):
        # A division is twenty times faster than a search. It may be rounded below an edge that the energy lies on.
        position = np.subtract(energy, edges[0], dtype=float)
        position /= width
        position += 1e-9
        return position

    return bin_of


def _empty_cells(shape, place):
    """Make the cells of a cube, and a last one for events that are left out."""
    n_cells = int(np.prod(shape, dtype=object))
    msg = (
        f"a cube of {shape[0]} energies and {shape[2]} x {shape[1]} pixels takes {4 * n_cells / 2**30:.3g} GiB, more "
        "than there is memory; use a larger bin_factor or pixel_scale, smaller bounds or size, or fewer energies."
        f"{' ' * bool(place)}{place}"
    )
    if 4 * n_cells > physical_memory():
        raise ValueError(msg)
    try:
        return np.zeros(n_cells + 1, dtype=np.int32)
    except (MemoryError, ValueError) as error:
        raise ValueError(msg) from error


@contextmanager
def _opened(events):
    """Find the event table, the file that it is in, where that is known, and how to call it in messages."""
    if isinstance(events, str | os.PathLike):
        with open_fits(events) as hdulist:
            yield _event_table(hdulist, f"'{events}'"), hdulist, f"'{events}'"
    elif isinstance(events, fits.HDUList):
        name = events.filename()
        where = f"'{name}'" if name else "the HDUList"
        yield _event_table(events, where), events, where
    elif isinstance(events, fits.BinTableHDU | fits.TableHDU):
        yield events, [], f"the table '{events.name}'"
    elif isinstance(events, Table):
        yield events, [], "the table"
    else:
        msg = f"events must be a FITS file's name, an HDUList, a table HDU or a Table, not {type(events).__name__}."
        raise TypeError(msg)


def _event_table(hdulist, where):
    tables = [hdu for hdu in hdulist if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]
    named = [hdu for hdu in tables if hdu.name.upper() == "EVENTS"]
    found = named + [hdu for hdu in tables if hdu not in named and hdu.header.get("HDUCLAS1") == "EVENTS"]
    if found:
        warn_of_other_tables([hdu for hdu in found if hdu is found[0] or _has_sky(hdu)], where)
        return found[0]
    if len(hdulist) and _is_closed(hdulist[0]):
        msg = f"{where} was closed before its tables were read; give the file's name, or keep it open."
        raise ValueError(msg)
    names = ", ".join(hdu.name or "(unnamed)" for hdu in hdulist)
    msg = (
        f"{where} has no EVENTS table: its extensions are {names}. Give an event list, such as acis_evt2.fits (a "
        "compressed one may be truncated)."
    )
    raise ValueError(msg)


def _has_sky(hdu):
    return hdu.header.get("NAXIS2") != 0 and {"X", "Y"} <= {name.upper() for name in hdu.columns.names}


def _describe(table, hdulist, where):
    if isinstance(table, Table):
        header = {str(key).upper(): value for key, value in table.meta.items()}
        return header, list(table.colnames), {name: table[name].unit for name in table.colnames}
    header = table.header.copy()
    for key in _OF_THE_FILE if len(hdulist) else ():
        if not header_text(header, key, where) and header_text(hdulist[0].header, key, where):
            header[key] = hdulist[0].header[key]
    return header, list(table.columns.names), {column.name: column.unit for column in table.columns}


def _find(names, key):
    """Find a column whatever its case; an exact match comes first."""
    return next((name for name in names if name == key), next((name for name in names if name.upper() == key), None))


def _check_columns(found, names, mission, header, where):
    listing = f"its columns are {', '.join(names)}."
    if found["X"] is None or found["Y"] is None:
        msg = f"{where} has no sky coordinates X and Y: {listing}"
        raise ValueError(msg)
    check_energy_columns(found["ENERGY"] is not None, found["PI"] is not None, names, mission, header, where)


def _columns(table, names, path, where):
    try:
        return _read_columns(table, names, path)
    except (OSError, ValueError) as error:
        if path is None and not isinstance(table, Table) and _is_closed(table):
            msg = (
                f"the file of {where} was closed before the column{'s' * (len(names) > 1)} {', '.join(names)} could be "
                "read; give the file's name, or keep it open until the events are counted."
            )
            raise ValueError(msg) from error
        raise


def _is_closed(hdu):
    file = (hdu.fileinfo() or {}).get("file")
    return file is not None and file.closed


def _check_numbers(columns, where):
    for name, values in columns.items():
        if values.ndim != 1 or values.dtype.kind not in "iuf":
            held = (
                f"{values.dtype.name}, shape {values.shape[1:]} in each row" if values.ndim > 1 else values.dtype.name
            )
            msg = f"{where}: the column {name} must hold one number for each event, but it holds {held}."
            raise ValueError(msg)


def _without_value(table, name, values, where):
    """Tell which events have no value in a column of whole numbers, where there are any (FITS standard, TNULLn)."""
    if isinstance(table, Table):
        column = table[name]
        missing = np.ma.getmaskarray(column) if np.ma.isMaskedArray(column) and column.dtype.kind in "iu" else None
    elif isinstance(table, fits.TableHDU) or table.columns.dtype[name].kind not in "iu":
        missing = None
    else:
        column, number = table.columns[name], table.columns.names.index(name) + 1
        null = header_number(table.header, f"TNULL{number}", where, kind=int)
        # It is the stored number, before scaling.
        missing = None if null is None else values == null * (column.bscale or 1) + (column.bzero or 0)
    return missing if missing is not None and missing.any() else None


def _all_whole(values):
    # The first ones tell in nearly every list.
    return all(bool((part[np.isfinite(part)] % 1 == 0).all()) for part in (values[:_FEWEST_WHOLE], values))


def _read_columns(table, names, path):
    """Read columns as native, contiguous arrays, the only copies that are made."""
    if isinstance(table, Table):
        return [_plain(table[name]) for name in names]
    dtype = table.columns.dtype.newbyteorder(">")  # astropy gives it in native order
    scaled = any(
        table.columns[name].bscale not in ("", None) or table.columns[name].bzero not in ("", None) for name in names
    )
    if path is None or scaled or isinstance(table, fits.TableHDU):
        return [_plain(table.data[name]) for name in names]
    n_rows = table.header["NAXIS2"]
    arrays = [np.empty(n_rows, dtype[name].newbyteorder("=")) for name in names]
    info = table.fileinfo()
    info["file"].seek(info["datLoc"])
    for start in range(0, n_rows, _CHUNK):
        count = min(_CHUNK, n_rows - start)
        try:
            raw = info["file"].read(count * dtype.itemsize)
            rows = np.frombuffer(raw, dtype=dtype, count=count)
        except (OSError, EOFError, ValueError) as error:
            msg = (
                f"{path} is truncated: its header announces {n_rows} events, but it ends before event {start + count}."
            )
            raise OSError(msg) from error
        for name, array in zip(names, arrays):
            array[start : start + count] = rows[name]
    return arrays


def _plain(column):
    """Make a native array of a column; missing values become NaN."""
    if isinstance(column, u.Quantity):
        column = column.value
    if np.ma.isMaskedArray(column):
        column = column.astype(float).filled(np.nan) if np.ma.is_masked(column) else column.data
    values = np.asarray(column)
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
