"""What is in an XSPEC table model file: the format of OGIP memo 92-009 (Arnaud 1995, version 1.2.0)."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from .._files import open_fits
from .._headers import header_number, header_text
from ..instrument.ogip_table import describe_tables, find_tables

__all__ = ["TableFile", "TableParameter", "read_table_file"]

_VALUES_AT_ONCE = 1 << 20  # copied and checked together: a table may be larger than half the memory
_KEV = {"": 1.0, "kev": 1.0, "ev": 1e-3}
_ROUNDING = 1e-6  # relative: files keep energies as float32
_MISMATCH = 1e-3  # of a bin or grid step: how far apart two float32 of the same number may be


@dataclass(frozen=True, eq=False)
class TableParameter:
    """A row of the PARAMETERS extension; ``grid`` is None for an additional parameter."""

    name: str
    unit: str
    initial: float
    low: float
    high: float
    frozen: bool
    logarithmic: bool
    grid: np.ndarray | None


@dataclass(frozen=True, eq=False)
class TableFile:
    """A table model; ``spectra``: (1 + additional parameters, grid points, bins), the last parameter the fastest."""

    path: Path
    name: str
    additive: bool
    redshift: bool
    energy_scale: bool
    below: float | None
    above: float | None
    parameters: list
    edges: np.ndarray
    spectra: np.ndarray


def read_table_file(path):
    """Read and check a table model file.

    Parameters
    ----------
    path : str or `os.PathLike`
        The file, gzipped or not.

    Returns
    -------
    table : TableFile

    Raises
    ------
    OSError
        If there is no such file, or it is not FITS.
    ValueError
        If it is no table model, or one that contradicts itself.
    """
    path = Path(path)
    with open_fits(path) as hdulist:
        header = hdulist[0].header
        _check_kind(header, path)
        parameters = _read_parameters(_table(hdulist, "PARAMETERS", "PARAMETERS", path))
        edges = _read_edges(_table(hdulist, "ENERGIES", "ENERGIES", path))
        spectra = _read_spectra(_table(hdulist, "SPECTRA", "MODEL SPECTRA", path), parameters, len(edges) - 1)
        limits = [header_number(header, key, f"'{path}'") for key in ("LOELIMIT", "HIELIMIT")]
        below, above = (limit if limit is not None and limit >= 0 else None for limit in limits)  # negative: not set
        return TableFile(
            path=path,
            name=header_text(header, "MODLNAME", f"'{path}'"),
            additive=_flag(header, "ADDMODEL"),
            redshift=_flag(header, "REDSHIFT"),
            energy_scale=_flag(header, "ESCALE"),
            below=below,
            above=above,
            parameters=parameters,
            edges=edges,
            spectra=spectra,
        )


def _check_kind(header, path):
    kind = header_text(header, "HDUCLAS1", f"'{path}'")
    if kind.upper() != "XSPEC TABLE MODEL":
        msg = f"'{path}' is no table model: HDUCLAS1 of its primary header is {kind!r}, not 'XSPEC TABLE MODEL'."
        raise ValueError(msg)
    if "ADDMODEL" not in header:
        msg = f"'{path}' does not say whether it is additive or multiplicative: its primary header has no ADDMODEL."
        raise ValueError(msg)
    for key in ("NXFLTEXP", "NNPTFILE"):  # several spectra for each grid point; weights of a neural network
        if (number := header_number(header, key, f"'{path}'", default=1)) not in (0, 1):
            msg = f"'{path}' has {key} = {number:g}; only tables of one spectrum for each grid point can be read."
            raise ValueError(msg)
    unit = header_text(header, "MODLUNIT", f"'{path}'")
    if _flag(header, "ADDMODEL") and ("kev" in unit.lower() or "erg" in unit.lower()):
        msg = (
            f"'{path}': MODLUNIT is {unit!r}, but the format has photons/cm^2/s in each bin, and its "
            "spectra are taken as such."
        )
        warnings.warn(msg, AstropyUserWarning, stacklevel=4)


def _flag(header, key):
    return header_text(header, key, "the table model").upper() in ("T", "TRUE", "YES", "1")


def _table(hdulist, name, hduclas2, path):
    found = find_tables(hdulist, path, "XSPEC TABLE MODEL", hduclas2, (name,))
    if len(found) != 1:
        msg = f"'{path}' has {len(found) or 'no'} {name} tables, and a table model has one: {describe_tables(hdulist)}."
        raise ValueError(msg)
    return found[0]


def _decimal(values):
    """Take the float32 next to 0.1 for 0.1, as whoever wrote the file and whoever reads it do."""
    return np.array([float(str(value)) for value in np.ravel(values)])


def _read_parameters(table):
    n_interpolated, n_additional = (table.keyword(key, 0) for key in ("NINTPARM", "NADDPARM"))
    names = [str(name).strip() for name in table.column("NAME")]
    if len(names) != n_interpolated + n_additional:
        text = (
            f"there are {len(names)} parameters, but NINTPARM and NADDPARM announce {n_interpolated} interpolated and "
            f"{n_additional} additional ones."
        )
        raise table.error(text)
    numbers = {key: _decimal(table.column(key)) for key in ("INITIAL", "DELTA", "MINIMUM", "MAXIMUM")}
    method, n_values = (table.numbers(key, int) for key in ("METHOD", "NUMBVALS"))
    parameters, left = [], n_interpolated
    for i, name in enumerate(names):
        # additional parameters may stand anywhere: they have no values, or a negative method, or come last
        interpolated = left > 0 and method[i] >= 0 and n_values[i] > 0
        left -= interpolated
        grid = _grid(table, i, n_values[i], name) if interpolated else None
        low, high = (float(numbers[key][i]) for key in ("MINIMUM", "MAXIMUM"))
        if interpolated:  # beyond its grid a table knows nothing
            low, high = float(max(low, grid[0])), float(min(high, grid[-1]))
        parameter = TableParameter(
            name=name,
            unit=str(table.column("UNITS")[i]).strip() if "UNITS" in table else "",
            initial=_initial(table, name, numbers["INITIAL"][i], low, high),
            low=low,
            high=high,
            frozen=bool(numbers["DELTA"][i] < 0),
            logarithmic=bool(interpolated and method[i] == 1),
            grid=grid,
        )
        parameters.append(parameter)
    if left:
        text = (
            f"NINTPARM is {n_interpolated}, but only {n_interpolated - left} have tabulated values (NUMBVALS above 0)."
        )
        raise table.error(text)
    return parameters


def _grid(table, row, n_values, name):
    values = _decimal(np.atleast_1d(table.column("VALUE")[row])[:n_values])  # what follows is padding
    if len(values) < n_values or not np.all(np.isfinite(values)):
        text = f"{name!r} must have {n_values} tabulated values (NUMBVALS); VALUE has {values}."
        raise table.error(text)
    return np.unique(values)  # some files repeat one; spectra are found by PARAMVAL, whatever the order


def _initial(table, name, initial, low, high):
    if not (low <= high and np.isfinite(initial)):
        text = (
            f"{name!r} has no range: MINIMUM to MAXIMUM must overlap its VALUEs, and INITIAL ({initial:g}) be a number."
        )
        raise table.error(text)
    if not low <= initial <= high:
        msg = f"'{table.path}': INITIAL of {name!r} is {initial:g}, outside {low:g} to {high:g}; the nearer is taken."
        warnings.warn(msg, AstropyUserWarning, stacklevel=5)
    return float(np.clip(initial, low, high))


def _read_edges(table):
    unit = table.unit("ENERG_LO")
    if unit.lower() not in _KEV:
        text = f"the unit of ENERG_LO is {unit!r}; a table model has its energies in keV."
        raise table.error(text)
    low, high = (table.numbers(name) * _KEV[unit.lower()] for name in ("ENERG_LO", "ENERG_HI"))
    edges = np.append(low, high[-1:])
    good = (high >= low) & (low >= 0) & (high < np.inf)
    good[1:] &= np.abs(low[1:] - high[:-1]) <= _MISMATCH * (high - low)[1:] + _ROUNDING * low[1:]
    good[1:] &= low[1:] >= low[:-1]
    if not good.all() or len(edges) == 0 or not edges[0] < edges[-1]:
        row = int(np.argmin(good)) if len(good) else 0
        text = f"energies must be numbers that increase and leave no gap; row {row + 1} of {len(low)} does not follow."
        raise table.error(text)
    # Bins narrower than float32 can tell have edges that are equal: they share the room up to the next.
    distinct, first = np.unique(edges, return_index=True)
    room = np.append(distinct, 2 * distinct[-1] - distinct[-2])
    return np.interp(np.arange(len(edges)), np.append(first, len(edges)), room)


def _read_spectra(table, parameters, m):
    n_additional = sum(p.grid is None for p in parameters)
    columns = [table.column(name) for name in ["INTPSPEC"] + [f"ADDSP{i + 1:03d}" for i in range(n_additional)]]
    for column in columns:
        if column.dtype == object or column.size != len(column) * m or not len(column):
            text = f"spectra must have {m} values each, one for each energy bin; their table has shape {column.shape}."
            raise table.error(text)
    rows = _rows_in_order(table, [p for p in parameters if p.grid is not None], columns)
    spectra = np.empty((len(columns), len(rows), m), dtype=columns[0].dtype.newbyteorder("="))
    step = max(_VALUES_AT_ONCE // m, 1)
    for column, ordered in zip(columns, spectra):
        for start in range(0, len(rows), step):
            part = ordered[start : start + step]
            part[:] = column[rows[start : start + step]].reshape(-1, m)
            finite = np.isfinite(part).all(axis=1)
            if not finite.all():
                text = f"the spectrum of row {rows[start + int(np.argmin(finite))] + 1} has values that are not finite."
                raise table.error(text)
    return spectra


def _rows_in_order(table, interpolated, columns):
    """Row of the spectrum of each grid point, the last parameter changing fastest."""
    n_rows, shape = len(columns[0]), tuple(len(p.grid) for p in interpolated)
    values = np.reshape(table.column("PARAMVAL"), (n_rows, -1)) if interpolated else np.zeros((n_rows, 0))
    if values.shape[1] != len(interpolated):
        text = f"PARAMVAL has {values.shape[1]} values in a row, for {len(interpolated)} interpolated parameters."
        raise table.error(text)
    points = np.zeros(n_rows, dtype=int)
    for parameter, column in zip(interpolated, values.T.astype(float)):
        grid = parameter.grid
        nearest = np.searchsorted((grid[1:] + grid[:-1]) / 2, column)
        steps = np.pad(np.diff(grid), 1, constant_values=np.inf if len(grid) > 1 else 1.0)
        near = np.abs(column - grid[nearest]) <= _MISMATCH * np.minimum(steps[1:], steps[:-1])[nearest]
        if not near.all():
            row = int(np.argmin(near))
            text = f"row {row + 1} is for {parameter.name!r} = {column[row]:g}, which is not among its VALUEs {grid}."
            raise table.error(text)
        points = points * len(grid) + nearest
    rows = np.full(int(np.prod(shape)), -1)
    rows[points] = np.arange(n_rows)
    if rows.min() < 0:
        at = np.unravel_index(int(np.argmin(rows)), shape)
        missing = ", ".join(f"{p.name} = {p.grid[i]:g}" for p, i in zip(interpolated, at))
        text = f"the grid of {' x '.join(map(str, shape))} spectra is not complete: there is none for {missing}."
        raise table.error(text)
    for again in np.flatnonzero(rows[points] != np.arange(n_rows)):
        last = rows[points[again]]
        if not all(np.array_equal(column[again], column[last]) for column in columns):
            text = f"rows {again + 1} and {last + 1} are for the same parameters, but not the same."
            raise table.error(text)
    return rows
