"""Reading of OGIP response files.

The formats are those of the OGIP memos CAL/GEN/92-002 and 92-002a (George et al.: ARF and RMF), and what real files
make of them.
"""

from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from scipy.sparse import csr_array

from .._headers import header_text
from .ogip_table import describe_tables, find_tables, open_tables

__all__ = ["RedistributionMatrix", "read_arf", "read_channels", "read_rmf"]

# HDUCLAS2 of a table, the extension names that older files have instead, and what it is.
_KINDS = {
    "SPECRESP": (("SPECRESP",), "effective area (ARF)"),
    "RSP_MATRIX": (("MATRIX", "SPECRESP MATRIX", "RSP_MATRIX"), "redistribution matrix (RMF)"),
    "EBOUNDS": (("EBOUNDS",), "table of channel energies (EBOUNDS)"),
}
_MATRIX = "RESPONSE", "RSP_MATRIX", _KINDS["RSP_MATRIX"][0]
_SAME = 1e-6  # relative: edges of the grids of two tables that are one edge, in single precision


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

    A response may be in several matrices that add up (CAL/GEN/92-002a, and XRISM's: a fine one for the lines' core, a
    coarse one for what is far from it). Their sum is on the energies of all of them.

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
        tables = _the_tables(hdulist, path, "RSP_MATRIX")
        channel_edges, first_channel = _read_ebounds(hdulist, path, tables)
        blocks, contents = [], []
        for table in tables:
            energy_edges = table.edges("ENERG_LO", "ENERG_HI")
            own = table.first_channel("F_CHAN")
            first = first_channel if own is None else own
            blocks.append((energy_edges, _read_matrix(table, energy_edges, first, channel_edges.size - 1)))
            content = header_text(table.header, "HDUCLAS3", table.where).upper()
            is_full = not content and table.hdu.name.strip().upper() == "SPECRESP MATRIX"
            contents.append("FULL" if is_full else content)
    if len(set(contents)) > 1:
        msg = f"'{path}' holds matrices of different contents (HDUCLAS3): {', '.join(contents)}; they cannot be added."
        raise ValueError(msg)
    energy_edges, matrix = blocks[0] if len(blocks) == 1 else _sum_of_blocks(blocks)
    return RedistributionMatrix(matrix, energy_edges, channel_edges, first_channel, contents[0])


def read_channels(path):
    """Read the energies of channels from an RMF, or from that which a PHA file names.

    Parameters
    ----------
    path : str or `os.PathLike`
        A file with a table EBOUNDS, or a PHA file with RESPFILE, which is looked for beside it.

    Returns
    -------
    first_channel : int
    channel_edges : array
        In keV, shape (n_channel + 1,).

    Raises
    ------
    OSError
        If there is no such file, or it is not FITS or truncated.
    ValueError
        If there is no EBOUNDS in it, nor a name of a file that has it, or it is damaged; names the file.
    """
    with open_tables(path) as hdulist:
        if not find_tables(hdulist, path, "RESPONSE", "EBOUNDS", _KINDS["EBOUNDS"][0]):
            spectra = find_tables(hdulist, path, "SPECTRUM", None, ("SPECTRUM",))
            named = [header_text(each.header, "RESPFILE", each.where) for each in spectra]
            named = [name for name in named if name and name.lower() != "none"]
            if named:
                return read_channels(Path(path).parent / named[0])
        channel_edges, first_channel = _read_ebounds(hdulist, path, find_tables(hdulist, path, *_MATRIX))
    return first_channel, channel_edges


def _sum_of_blocks(blocks):
    """Add up matrices on the energies of all: a row holds for every photon of its bin, and so for parts of the bin."""
    merged = np.sort(np.concatenate([edges for edges, _ in blocks]))
    merged = merged[np.append(True, np.diff(merged) > _SAME * merged[1:])]
    centre, total = 0.5 * (merged[1:] + merged[:-1]), 0.0
    for edges, matrix in blocks:
        row = np.searchsorted(edges, centre) - 1
        inside = np.flatnonzero((row >= 0) & (row < edges.size - 1))
        spread = csr_array((np.ones(inside.size), (inside, row[inside])), shape=(centre.size, edges.size - 1))
        total = total + spread @ matrix
    return merged, csr_array(total)


def _the_table(hdulist, path, kind):
    found = _the_tables(hdulist, path, kind)
    if len(found) > 1:
        msg = f"'{path}' holds {len(found)} tables that are each a {_KINDS[kind][1]}; give a file with one."
        raise ValueError(msg)
    return found[0]


def _the_tables(hdulist, path, kind):
    names, what = _KINDS[kind]
    found = find_tables(hdulist, path, "RESPONSE", kind, names)
    if found:
        return found
    other = {"SPECRESP": "RSP_MATRIX", "RSP_MATRIX": "SPECRESP"}.get(kind)
    swapped = ""
    if other and find_tables(hdulist, path, "RESPONSE", other, _KINDS[other][0]):
        swapped = f" It holds the {_KINDS[other][1]}: call Response.read(arf, rmf), in this order."
    msg = f"'{path}' holds no {what}: {describe_tables(hdulist)}.{swapped}"
    raise ValueError(msg)


def _read_ebounds(hdulist, path, matrices):
    """Edges (keV) of the channels and the number of the first, whom the matrices have a say in."""
    ebounds = _the_table(hdulist, path, "EBOUNDS")
    edges = ebounds.edges("E_MIN", "E_MAX")
    n_channels = edges.size - 1
    channels = ebounds.numbers("CHANNEL", int) if "CHANNEL" in ebounds else np.arange(1, n_channels + 1)
    if np.any(np.diff(channels) != 1):
        row = int(np.argmax(np.diff(channels) != 1)) + 1
        text = f"CHANNEL of row {row + 1} is {channels[row]}, after {channels[row - 1]}; channels must be consecutive."
        raise ebounds.error(text)
    announced = max([table.keyword("DETCHANS", n_channels) for table in matrices], default=n_channels)
    if n_channels < announced:
        text = f"there are {n_channels} channels, and {announced} (DETCHANS) in the matrix; get a fresh copy."
        raise ebounds.error(text)
    declared = [table.first_channel("F_CHAN") for table in matrices]
    declared += [ebounds.first_channel("CHANNEL"), channels[0]]
    return edges, next(int(number) for number in declared if number is not None)


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
