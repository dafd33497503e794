"""Low-level reading of the tables of OGIP response and spectrum files.

The formats are those of the OGIP memos CAL/GEN/92-002 and 92-002a (George et al.: ARF and RMF) and OGIP/92-007
(Arnaud, George and Tennant: PHA), and what real files make of them.
"""

from contextlib import contextmanager
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.io import fits
from scipy.sparse import csr_array

from .._files import open_fits
from .._headers import header_number, header_text
from ..grid.units import energy_unit

__all__ = ["OGIPTable", "RedistributionMatrix", "describe_tables", "find_tables", "open_tables", "read_arf", "read_rmf"]

# HDUCLAS2 of a table, the extension names that older files have instead, and what it is.
_KINDS = {
    "SPECRESP": (("SPECRESP",), "effective area (ARF)"),
    "RSP_MATRIX": (("MATRIX", "SPECRESP MATRIX", "RSP_MATRIX"), "redistribution matrix (RMF)"),
    "EBOUNDS": (("EBOUNDS",), "table of channel energies (EBOUNDS)"),
}
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


@dataclass(frozen=True)
class RedistributionMatrix:
    """What an RMF holds.

    Attributes
    ----------
    matrix : `~scipy.sparse.csr_array`
        Shape (n_true, n_channel).
    energy_edges, channel_edges : array
        In keV.
    first_channel : int
        The number of the first channel.
    content : str
        HDUCLAS3: "REDIST" (probabilities), "FULL" (times the area), "DETECTOR" (times part of it) or "" (not said).
    """

    matrix: csr_array
    energy_edges: np.ndarray
    channel_edges: np.ndarray
    first_channel: int
    content: str


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


def read_arf(path):
    """Read an effective area.

    Parameters
    ----------
    path : str or `os.PathLike`
        An ARF, gzipped or not.

    Returns
    -------
    energy_edges, area : array
        keV, shape (n_true + 1,), and cm2, shape (n_true,).

    Raises
    ------
    OSError
        If there is no such file, or it is not FITS or truncated.
    ValueError
        If it is not an ARF, or what it holds is not an effective area; names the file.
    """
    with open_tables(path) as hdulist:
        table = _the_table(hdulist, path, "SPECRESP")
        edges, area = table.edges("ENERG_LO", "ENERG_HI"), table.numbers("SPECRESP")
        unit = table.unit("SPECRESP")
    try:
        area *= u.Unit(unit or "cm2").to(u.cm**2)
    except (ValueError, u.UnitsError) as error:
        text = f"the unit of SPECRESP is {unit!r}, which is not one of area."
        raise table.error(text) from error
    _check_non_negative(table, "SPECRESP", area, np.arange(area.size), edges)
    return edges, area


def read_rmf(path):
    """Read a redistribution matrix and the energies of its channels.

    Channel c is column c - TLMIN, TLMIN that of F_CHAN, or else of CHANNEL in EBOUNDS. Where neither says, it is the
    first CHANNEL of EBOUNDS, 1 in nearly every file (as other programs assume then), so that the two tables agree.

    Parameters
    ----------
    path : str or `os.PathLike`
        An RMF, gzipped or not.

    Returns
    -------
    redistribution : RedistributionMatrix

    Raises
    ------
    OSError
        If there is no such file, or it is not FITS or truncated.
    ValueError
        If it is not an RMF, or its tables are damaged or do not fit together; names the file.
    """
    with open_tables(path) as hdulist:
        table, ebounds = (_the_table(hdulist, path, kind) for kind in ("RSP_MATRIX", "EBOUNDS"))
        channel_edges, channels = _read_channels(table, ebounds)
        declared = [table.first_channel("F_CHAN"), ebounds.first_channel("CHANNEL"), channels[0]]
        first_channel = next(int(number) for number in declared if number is not None)
        energy_edges = table.edges("ENERG_LO", "ENERG_HI")
        matrix = _read_matrix(table, energy_edges, first_channel, channels.size)
        content = header_text(table.header, "HDUCLAS3", table.where).upper()
        if not content and table.hdu.name.strip().upper() == "SPECRESP MATRIX":
            content = "FULL"
    return RedistributionMatrix(matrix, energy_edges, channel_edges, first_channel, content)


def _the_table(hdulist, path, kind):
    names, what = _KINDS[kind]
    found = find_tables(hdulist, path, "RESPONSE", kind, names)
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        msg = f"'{path}' holds {len(found)} tables that are each a {what}; give a file with one."
        raise ValueError(msg)
    other = {"SPECRESP": "RSP_MATRIX", "RSP_MATRIX": "SPECRESP"}.get(kind)
    swapped = ""
    if other and find_tables(hdulist, path, "RESPONSE", other, _KINDS[other][0]):
        swapped = f" It holds the {_KINDS[other][1]}: call Response.read(arf, rmf), in this order."
    msg = f"'{path}' holds no {what}: {describe_tables(hdulist)}.{swapped}"
    raise ValueError(msg)


def _read_channels(table, ebounds):
    """Edges (keV) and numbers of the channels."""
    edges = ebounds.edges("E_MIN", "E_MAX")
    n_channels = edges.size - 1
    channels = ebounds.numbers("CHANNEL", int) if "CHANNEL" in ebounds else np.arange(1, n_channels + 1)
    if np.any(np.diff(channels) != 1):
        row = int(np.argmax(np.diff(channels) != 1)) + 1
        text = f"CHANNEL of row {row + 1} is {channels[row]}, after {channels[row - 1]}; channels must be consecutive."
        raise ebounds.error(text)
    announced = table.keyword("DETCHANS", n_channels)
    if n_channels < announced:
        text = f"there are {n_channels} channels, and {announced} (DETCHANS) in the matrix; get a fresh copy."
        raise ebounds.error(text)
    return edges, channels


def _read_matrix(table, energy_edges, first_channel, n_channels):
    """Sparse matrix (n_true, n_channel) of the groups of channels that each row holds."""
    n_true = energy_edges.size - 1
    n_groups = table.numbers("N_GRP", int)
    if np.any(n_groups < 0):
        text = f"N_GRP of row {int(np.argmax(n_groups < 0)) + 1} is negative."
        raise table.error(text)
    row = np.repeat(np.arange(n_true), n_groups)
    column, n_column = (table.ragged(name, n_groups, int) for name in ("F_CHAN", "N_CHAN"))
    column = column - first_channel
    bad = (n_column < 0) | ((n_column > 0) & ((column < 0) | (column + n_column > n_channels)))
    if bad.any():
        first = int(bad.argmax())
        start = column[first] + first_channel
        text = (
            f"row {row[first] + 1} has channels {start} to {start + n_column[first] - 1}, but EBOUNDS only "
            f"{n_channels}, from {first_channel} on; the two tables are not of one response."
        )
        raise table.error(text)
    per_row = np.bincount(row, weights=n_column, minlength=n_true).astype(int)
    values = table.ragged("MATRIX", per_row)
    _check_non_negative(table, "MATRIX", values, np.repeat(np.arange(n_true), per_row), energy_edges)
    # Channels of all values at once: those of a group go up from its first, and `begins` is where it begins among all.
    begins = np.cumsum(n_column) - n_column
    columns = np.repeat(column - begins, n_column) + np.arange(values.size)
    matrix = csr_array((values, columns, np.append(0, np.cumsum(per_row))), shape=(n_true, n_channels))
    matrix.sum_duplicates()
    return matrix


def _check_non_negative(table, name, values, row, edges):
    bad = ~((values >= 0) & np.isfinite(values))
    if bad.any():
        first = int(bad.argmax())
        low, high = edges[row[first] : row[first] + 2]
        text = f"{name} is {values[first]:g} at {low:.6g} to {high:.6g} keV (row {row[first] + 1}); it cannot be."
        raise table.error(text)
