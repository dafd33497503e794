"""Tables of OGIP files, with errors that name the file."""

import re
from contextlib import contextmanager

import astropy.units as u
import numpy as np
from astropy.io import fits

from .._files import open_fits
from .._headers import header_number, header_text
from ..grid.units import energy_unit

__all__ = ["OGIPTable", "describe_tables", "find_tables", "open_tables"]

_LARGEST = 2**31  # of any number of channels or groups
_CONTIGUOUS = 1e-2  # of a bin's width: how far it may begin from the end of the one before


class OGIPTable:
    """A table of an OGIP file; its errors name the file.

    Parameters
    ----------
    hdu : `~astropy.io.fits.BinTableHDU`
    path : str or `os.PathLike`
        The file, for messages.
    """

    def __init__(self, hdu, path):
        self.hdu = hdu
        self.path = path
        self.header = hdu.header
        self.where = f"'{path}', table {hdu.name or 'without a name'}"
        self._scaling = _take_scaling(hdu.columns, hdu.header, self.where)
        self._number = {str(name).upper(): i for i, name in enumerate(hdu.columns.names, start=1)}

    def error(self, text):
        """Make a ValueError that names the file and the table."""
        return ValueError(f"{self.where}: {text}")

    def __contains__(self, name):
        return name in self._number

    def column(self, name):
        """Values of a column as the file has them."""
        number = self._number_of(name)
        try:
            return self.hdu.data.field(number - 1)
        except Exception as error:  # numpy's and astropy's kinds, from whatever a damaged table leads them to
            text = f"the column {name} cannot be read ({error}); get a fresh copy."
            raise self.error(text) from error

    def _number_of(self, name):
        if name not in self:
            text = f"there is no column {name}, only {', '.join(self.hdu.columns.names)}."
            raise self.error(text)
        return self._number[name]

    def numbers(self, name, dtype=float):
        """Values of a column with one number a row."""
        values = np.asarray(self.column(name))
        if values.dtype == object or values.size != len(values):
            text = f"the column {name} must have one number a row; its format is {self.format(name)}."
            raise self.error(text)
        return self._cast(name, values.reshape(len(values)), dtype)

    def ragged(self, name, lengths, dtype=float):
        """Concatenate the first ``lengths[i]`` values of row i; the column may have rows of any kind."""
        values = self.column(name)
        if values.dtype == object:
            held = np.array([len(row) for row in values])
        else:
            values = np.asarray(values).reshape(len(lengths), -1)
            held = np.full(len(lengths), values.shape[1])
        if np.any(held < lengths):
            row = int(np.argmax(held < lengths))
            text = f"{name} of row {row + 1} has {held[row]} values, not {lengths[row]}; get a fresh copy."
            raise self.error(text)
        if values.dtype == object:
            values = np.concatenate([row[:n] for row, n in zip(values, lengths)])
            if self._number[name] in self._scaling:
                scale, zero = self._scaling[self._number[name]]
                values = self._cast(name, values, float) * scale + zero
        else:
            values = values[np.arange(values.shape[1]) < lengths[:, None]]
        return self._cast(name, values, dtype)

    def _cast(self, name, values, dtype):
        if values.dtype.kind not in "iuf":
            text = f"the column {name} must have numbers; its format is {self.format(name)}."
            raise self.error(text)
        if dtype is int and not np.all((np.abs(values) < _LARGEST) & (values == np.floor(values))):
            text = f"the column {name} must have whole numbers."
            raise self.error(text)
        with np.errstate(invalid="ignore"):  # damaged values may be signalling NaN: they become ordinary ones
            return values.astype(dtype)

    def edges(self, low, high):
        """Edges (keV) of the contiguous bins that two columns give the lower and upper energies of."""
        lower, upper = self._energies(low), self._energies(high)
        if lower.size == 0:
            text = "there are no rows."
            raise self.error(text)
        with np.errstate(invalid="ignore"):  # infinities: they are not finite, and said to be so
            good = np.isfinite(lower) & np.isfinite(upper) & (lower >= 0) & (upper > lower)
            good[1:] &= np.abs(lower[1:] - upper[:-1]) <= _CONTIGUOUS * (upper - lower)[1:]
        if not good.all():
            row = int(good.argmin())
            after = f", after {lower[row - 1]:.6g} to {upper[row - 1]:.6g}" if row else ""
            text = (
                f"{low} to {high} of row {row + 1} is {lower[row]:.6g} to {upper[row]:.6g} keV{after}: energies must "
                "be finite, increase with the row and leave no gap; get a fresh copy."
            )
            raise self.error(text)
        return np.append(lower, upper[-1])

    def _energies(self, name):
        values = self.numbers(name)
        unit = energy_unit(self.unit(name) or "keV")
        if unit is None:
            text = f"the unit of {name} is {self.unit(name)!r}, which is not one of energy (keV, eV, MeV)."
            raise self.error(text)
        return values * unit.to(u.keV)

    def keyword(self, key, default, dtype=int):
        """Value of a keyword, a number."""
        try:
            return header_number(self.header, key, self.where, default=default, kind=dtype)
        except ValueError as error:
            text = f"{key} is {self.header.get(key)!r}, and must be a number."
            raise self.error(text) from error

    def first_channel(self, name):
        """TLMIN of a column of channel numbers, or None."""
        return self.keyword(f"TLMIN{self._number[name]}", None) if name in self else None

    def unit(self, name):
        """Say the unit of a column as the file spells it, "" where there is none."""
        return header_text(self.header, f"TUNIT{self._number_of(name)}", self.where)

    def format(self, name):
        """Say the format of a column as the file spells it."""
        return self.header.get(f"TFORM{self._number_of(name)}")


def _take_scaling(columns, header, where):
    """Take TSCALn and TZEROn away from variable-length columns, before astropy reads them.

    They make unsigned numbers of signed ones, but astropy scales the first row alone (its issue 8194).
    """
    taken = {}
    for number, column in enumerate(columns, start=1):
        keys = {f"TSCAL{number}": 1.0, f"TZERO{number}": 0.0}
        if re.match(r"[01]?[PQ]", str(column.format)) and set(keys) & set(header):
            taken[number] = [header_number(header, key, where, default=default) for key, default in keys.items()]
            column.bscale = column.bzero = None
    return taken


@contextmanager
def open_tables(path):
    """Open a FITS file, with errors that name it where a header turns out damaged later."""
    with open_fits(path) as hdulist:
        try:
            yield hdulist
        except fits.VerifyError as error:
            msg = f"cannot read '{path}' ({error}): a header is damaged; get a fresh copy."
            raise OSError(msg) from error


def find_tables(hdulist, path, hduclas1, hduclas2, names):
    """Find tables by HDUCLAS1 and HDUCLAS2 (None for any) or, where none has them, by their names."""
    tables = [hdu for hdu in hdulist if isinstance(hdu, fits.BinTableHDU)]

    def classes(hdu):
        return tuple(header_text(hdu.header, key, f"'{path}'").upper() for key in ("HDUCLAS1", "HDUCLAS2"))

    found = [hdu for hdu in tables if classes(hdu) == (hduclas1, hduclas2 or classes(hdu)[1])]
    found = found or [hdu for hdu in tables if hdu.name.strip().upper() in names]
    return [OGIPTable(hdu, path) for hdu in found]


def describe_tables(hdulist):
    """List the tables of a file, for messages."""
    names = [hdu.name or "one without a name" for hdu in hdulist if isinstance(hdu, fits.BinTableHDU)]
    return f"its tables are {', '.join(names)}" if names else "there are no tables in it"
