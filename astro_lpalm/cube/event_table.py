"""The table of events of a file: finding it, what its headers say, and its columns as plain arrays."""

import os
from contextlib import contextmanager

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Table

from .._files import open_fits
from .._headers import header_number, header_text
from .event_checks import warn_of_other_tables

__all__ = ["check_numbers", "describe_table", "find_column", "opened_table", "read_columns", "without_value"]

# Rows read at once: temporaries stay small beside any list that is worth the trouble.
_CHUNK = 1 << 15

# What a list is, which some missions' files say in the primary header alone.
_OF_THE_FILE = ("TELESCOP", "INSTRUME", "OBS_ID", "EXPOSURE", "CONTENT")


@contextmanager
def opened_table(events):
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


def describe_table(table, hdulist, where):
    """Give the header, with what only the primary one says of the observation, and the names and units of columns."""
    if isinstance(table, Table):
        header = {str(key).upper(): value for key, value in table.meta.items()}
        return header, list(table.colnames), {name: table[name].unit for name in table.colnames}
    header = table.header.copy()
    for key in _OF_THE_FILE if len(hdulist) else ():
        if not header_text(header, key, where) and header_text(hdulist[0].header, key, where):
            header[key] = hdulist[0].header[key]
    return header, list(table.columns.names), {column.name: column.unit for column in table.columns}


def find_column(names, key):
    """Find a column whatever its case; an exact match comes first."""
    return next((name for name in names if name == key), next((name for name in names if name.upper() == key), None))


def read_columns(table, names, path, where):
    """Read columns as native, contiguous arrays, the only copies that are made.

    From a file they are read piece by piece, so that other columns take no memory.
    """
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


def check_numbers(columns, where):
    """Refuse columns, given by name, that do not hold one number for each event."""
    for name, values in columns.items():
        if values.ndim != 1 or values.dtype.kind not in "iuf":
            held = (
                f"{values.dtype.name}, shape {values.shape[1:]} in each row" if values.ndim > 1 else values.dtype.name
            )
            msg = f"{where}: the column {name} must hold one number for each event, but it holds {held}."
            raise ValueError(msg)


def without_value(table, name, values, where):
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


def _read_columns(table, names, path):
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
