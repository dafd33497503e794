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
from .._memory import physical_memory
from .energies import describe_grid

__all__ = ["ACIS_CHANNEL", "ACIS_OVERFLOW", "EventList", "count_events", "read_events"]

logger = logging.getLogger(__name__)

ACIS_CHANNEL = 14.6 * u.eV
"""Width of a PI channel of Chandra's ACIS: channel c holds (c - 1) to c times this energy."""

ACIS_OVERFLOW = 1024
"""The last PI channel of ACIS, which holds every energy above it."""

# Rows handled at once: temporaries stay in the processor's cache, and small beside any list that is worth the trouble.
_CHUNK = 1 << 15


@dataclass
class EventList:
    """The columns of an event list that a cube needs.

    Attributes
    ----------
    x, y : `~numpy.ndarray`, shape (n_events,)
        Sky pixel coordinates, as the list has them.
    energy : `~numpy.ndarray`, shape (n_events,)
        Energies in ``energy_unit``; infinite for events of the overflow channel in a list without energies.
    energy_unit : `~astropy.units.Unit`
    overflow_energy : float
        Where the overflow channel begins, in ``energy_unit``; infinite where the list is not one of ACIS.
    header : mapping
        The table's header.
    names : tuple of str
        Names of the X and Y columns, in the list's own case.
    columns : tuple of int
        Their positions in the table, from 1.
    moved : bool
        Whether the positions are in the sky pixels of another observation.
    """

    x: np.ndarray
    y: np.ndarray
    energy: np.ndarray
    energy_unit: u.UnitBase
    overflow_energy: float
    header: fits.Header | dict
    names: tuple
    columns: tuple
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
        bounds = []
        for column, values in zip(self.columns, (self.x, self.y)):
            # A column of whole numbers gives the pixels' centres.
            margin = 0.5 if values.dtype.kind in "iu" else 0.0
            bounds += [
                float(self.header.get(f"TLMIN{column}", -np.inf)) - margin,
                float(self.header.get(f"TLMAX{column}", np.inf)) + margin,
            ]
        return bounds

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
        event is the centre of its PI channel, as Chandra's ACIS defines them, and the overflow channel has none. An
        energy column without a unit is taken as eV.

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
        If there is no event table, no X or Y, no energy and no PI, no event, or an energy that is NaN or negative.
    """
    with _opened(events) as (table, where):
        header, names, units = _describe(table)
        found = {key: _find(names, key) for key in ("X", "Y", "ENERGY", "PI")}
        _check_columns(found, names, header, where)
        wanted = [found["X"], found["Y"], found["ENERGY"] or found["PI"]]
        x, y, energy = _read_columns(table, wanted, where if isinstance(events, str | os.PathLike) else None)
        header = header.copy()
    if len(x) == 0:
        msg = f"{where} holds no events."
        raise ValueError(msg)
    unit = u.eV
    if found["ENERGY"] is None:
        energy = _energies_of_channels(energy, where)
    else:
        unit = u.Unit(units[found["ENERGY"]] or unit)
        _check_energies(energy, unit, where)
    # With energies at hand PI need not be read: these events are the ones above its last but one channel.
    has_overflow = found["PI"] is not None and _is_acis(header)
    overflow_energy = ((ACIS_OVERFLOW - 1) * ACIS_CHANNEL).to_value(unit) if has_overflow else np.inf
    columns = tuple(names.index(name) + 1 for name in wanted[:2])
    return EventList(x, y, energy, unit, overflow_energy, header, tuple(wanted[:2]), columns)


def count_events(events, grid, energy_edges, mask=None):
    """Count events into a cube, each at most once.

    Parameters
    ----------
    events : EventList
        The events.
    grid : `~astro_lpalm.cube.sky.SkyGrid`
        The image's pixels; an event on an edge belongs to the pixel above it.
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,)
        Energy bins; an event on an edge belongs to the bin above it.
    mask : `~numpy.ndarray` of bool, shape (ny, nx), optional
        Pixels to leave empty, True = excluded.

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
    flat = _empty_cells(shape)
    one = np.int32(1)  # of the cells' own type: add.at is ten times slower when it has to convert
    index_type = np.int32 if flat.size < 2**31 else np.intp
    bin_of = _energy_bins(edges)
    has_nan = np.isnan(events.x.min()) or np.isnan(events.y.min())
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
        f"in the overflow channel PI {ACIS_OVERFLOW}": n_overflow,
        "outside the energy range": n_energy - n_overflow,
        "without a position (NaN)": n_nowhere,
        "outside the image": n_left_out - n_energy - n_nowhere,
        "outside the region": n_region,
    }
    _report(len(events.x), reasons, energy_edges, grid)
    return cube


def _report(n_events, left_out, energy_edges, grid):
    """Log how many events were counted, and why the others were not; refuse an empty cube."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count) or "none"
    n_counted = n_events - sum(left_out.values())
    if n_counted == 0:
        msg = (
            f"none of the {n_events} events is selected by {describe_grid(energy_edges)} and {grid.nx} x {grid.ny} "
            f"pixels from x = {grid.x0:.6g}, y = {grid.y0:.6g}; left out: {reasons}. Widen the energy range, "
            "the bounds or the region."
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


def _empty_cells(shape):
    """Make the cells of a cube, and a last one for events that are left out."""
    n_cells = int(np.prod(shape, dtype=object))
    msg = (
        f"a cube of {shape[0]} energies and {shape[2]} x {shape[1]} pixels takes {4 * n_cells / 2**30:.3g} GiB, more "
        "than there is memory; use a larger bin_factor or pixel_scale, smaller bounds or size, or fewer energies."
    )
    if 4 * n_cells > physical_memory():
        raise ValueError(msg)
    try:
        return np.zeros(n_cells + 1, dtype=np.int32)
    except (MemoryError, ValueError) as error:
        raise ValueError(msg) from error


@contextmanager
def _opened(events):
    """Find the event table, and how to call it in messages."""
    if isinstance(events, str | os.PathLike):
        with open_fits(events) as hdulist:
            yield _event_table(hdulist, f"'{events}'"), f"'{events}'"
    elif isinstance(events, fits.HDUList):
        yield _event_table(events, "the HDUList"), "the HDUList"
    elif isinstance(events, fits.BinTableHDU | fits.TableHDU):
        yield events, f"the table '{events.name}'"
    elif isinstance(events, Table):
        yield events, "the table"
    else:
        msg = f"events must be a FITS file's name, an HDUList, a table HDU or a Table, not {type(events).__name__}."
        raise TypeError(msg)


def _event_table(hdulist, where):
    tables = [hdu for hdu in hdulist if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]
    for matches in (lambda hdu: hdu.name.upper() == "EVENTS", lambda hdu: hdu.header.get("HDUCLAS1") == "EVENTS"):
        for hdu in tables:
            if matches(hdu):
                return hdu
    names = ", ".join(hdu.name or "(unnamed)" for hdu in hdulist)
    msg = (
        f"{where} has no EVENTS table: its extensions are {names}. Give an event list, such as acis_evt2.fits (a "
        "compressed one may be truncated)."
    )
    raise ValueError(msg)


def _describe(table):
    if isinstance(table, Table):
        header = {str(key).upper(): value for key, value in table.meta.items()}
        return header, list(table.colnames), {name: table[name].unit for name in table.colnames}
    return table.header, list(table.columns.names), {column.name: column.unit for column in table.columns}


def _find(names, key):
    """Find a column whatever its case; an exact match comes first."""
    return next((name for name in names if name == key), next((name for name in names if name.upper() == key), None))


def _check_columns(found, names, header, where):
    listing = f"its columns are {', '.join(names)}."
    if found["X"] is None or found["Y"] is None:
        msg = f"{where} has no sky coordinates X and Y: {listing}"
        raise ValueError(msg)
    if found["ENERGY"] is None and found["PI"] is None:
        msg = f"{where} has neither ENERGY nor PI: {listing}"
        raise ValueError(msg)
    if found["ENERGY"] is None and not _is_acis(header):
        msg = (
            f"{where} has no ENERGY, and what energy a PI channel of {header.get('TELESCOP', '')} "
            f"{header.get('INSTRUME', '')} has is not known here (only that of Chandra ACIS is); add a column ENERGY "
            "in eV."
        )
        raise ValueError(msg)


def _is_acis(header):
    """Tell whether a list is one of Chandra's ACIS; one that does not say is taken for it."""
    telescope, instrument = (str(header.get(key, "")).strip().upper() for key in ("TELESCOP", "INSTRUME"))
    return telescope in ("", "CHANDRA") and instrument in ("", "ACIS")


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


def _check_energies(energy, unit, where):
    if not unit.is_equivalent(u.eV):
        msg = f"{where}: the unit of ENERGY is {unit}, which is not one of energy; expected eV or keV."
        raise ValueError(msg)
    _check_range(energy, 0, np.inf, f"{where}: ENERGY", "finite and not negative")


def _energies_of_channels(channel, where):
    """Give events the energies of their PI channels' centres, in eV; the overflow channel has none."""
    _check_range(channel, 1, ACIS_OVERFLOW + 1, f"{where}: PI", f"a channel from 1 to {ACIS_OVERFLOW}")
    logger.info("%s has no ENERGY: the energy of an event is the centre of its PI channel", where)
    energy = channel.astype(np.float32)
    energy -= 0.5
    energy *= ACIS_CHANNEL.to_value(u.eV)
    energy[channel == ACIS_OVERFLOW] = np.inf
    return energy


def _check_range(values, low, high, name, expected):
    # NaN makes both comparisons false
    if not (values.min() >= low and values.max() < high):
        n_bad = np.count_nonzero(~((values >= low) & (values < high)))
        msg = f"{name} is not {expected} for {n_bad} of {len(values)} events; remove these events from the list."
        raise ValueError(msg)
