"""XSPEC table models: spectra tabulated on a grid of parameters, interpolated for any number of draws at once."""

import math
import re
import warnings

import astropy.units as u
import numpy as np
from astropy.modeling import Parameter
from astropy.utils.exceptions import AstropyUserWarning

from ._table_file import read_table_file
from .base import photon_flux_density
from .user_model import ExternalModel, allowed_name

__all__ = ["TableModel", "read_table_model"]

_ROUNDING = 1e-6  # relative: files keep energies as float32


class TableModel(ExternalModel):
    """Base of the models that `read_table_model` makes: spectra interpolated between those of a file.

    Attributes
    ----------
    source_file : `pathlib.Path`
        The file.
    names_in_file : dict
        What the file calls each of its parameters, by the name that it has here.
    methods : dict
        "linear", "logarithmic" or "additional" by parameter.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from astropy.io import fits
    >>> from astropy.table import Table
    >>> from astro_lpalm.spectra import TableModel, read_table_model
    >>> primary = fits.PrimaryHDU()
    >>> primary.header.update(HDUCLAS1="XSPEC TABLE MODEL", MODLNAME="flat", ADDMODEL=True, REDSHIFT=False)
    >>> level = {"NAME": ["log level"], "METHOD": [0], "INITIAL": [1.0], "DELTA": [0.1], "MINIMUM": [1.0]}
    >>> level |= {"BOTTOM": [1.0], "TOP": [2.0], "MAXIMUM": [2.0], "NUMBVALS": [2], "VALUE": [[1.0, 2.0]]}
    >>> parameters = fits.BinTableHDU(Table(level), name="PARAMETERS")
    >>> parameters.header.update(NINTPARM=1, NADDPARM=0)
    >>> energies = fits.BinTableHDU(Table({"ENERG_LO": [1.0, 2.0], "ENERG_HI": [2.0, 3.0]}), name="ENERGIES")
    >>> spectra = fits.BinTableHDU(Table({"PARAMVAL": [1.0, 2.0], "INTPSPEC": [[1.0, 1], [2, 2]]}), name="SPECTRA")
    >>> with TemporaryDirectory() as folder:
    ...     fits.HDUList([primary, parameters, energies, spectra]).writeto(f"{folder}/flat.mod")
    ...     Flat = read_table_model(f"{folder}/flat.mod")
    >>> issubclass(Flat, TableModel), Flat.names_in_file, Flat.methods
    (True, {'log_level': 'log level'}, {'log_level': 'linear'})
    """

    source_file = None
    names_in_file = {}  # noqa: RUF012
    methods = {}  # noqa: RUF012
    _table = None
    _exponential = False
    _told = frozenset()

    @classmethod
    def density(cls, energy, *parameters):
        """Photon flux density (or factor) of plain arrays, constant within each bin of the table."""
        draws, shape = cls._draws(parameters)
        stretch, scale = cls._shift(draws, math.prod(shape))
        at = energy * stretch.reshape(shape)
        steps, values = cls._steps(draws, len(stretch), energy, np.min(at), np.max(at))
        if cls._table.additive:
            values = values * (stretch * scale)[:, None]
        return cls._pick(values, np.searchsorted(steps, at, side="right"), shape)

    @classmethod
    def integral(cls, edges, *parameters):
        """Photon flux (or factor, integrated) between edges, shape (m,), or (n, m) for parameters of shape (n, 1)."""
        draws, shape = cls._draws(parameters)
        stretch, scale = cls._shift(draws, math.prod(shape))
        steps, values = cls._steps(draws, len(stretch), edges, edges[0] * stretch.min(), edges[-1] * stretch.max())
        result = np.empty((len(values), len(edges) - 1))
        stretches, which = np.unique(stretch, return_inverse=True)
        for k, factor in enumerate(stretches):
            same = which == k if len(stretches) > 1 else slice(None)
            result[same] = _integrate_steps(steps, values[same], edges * factor)
        return (result * scale[:, None]).reshape(*shape[:-1], len(edges) - 1)

    @classmethod
    def _shift(cls, draws, n):
        """Energy in the table over the energy seen, and what an integral over the former is multiplied with."""
        redshifted = 1 + draws["redshift"] if cls._table.redshift else np.ones(n)
        stretch = redshifted / draws["energy_scale"] if cls._table.energy_scale else redshifted
        return stretch, 1 / (redshifted if cls._table.additive else stretch)

    @classmethod
    def _steps(cls, draws, n, asked, low, high):
        """Edges of the table's bins from ``low`` to ``high``, and the value in each, below all and above all."""
        table = cls._table
        cls._tell_outside(asked, low, high)
        first = np.clip(np.searchsorted(table.edges, low, side="right") - 1, 0, len(table.edges) - 2)
        last = np.clip(np.searchsorted(table.edges, high, side="right"), first + 1, len(table.edges) - 1)
        values = np.zeros((n, last - first + 2))
        inside = values[:, 1:-1]
        _interpolate(table, [draws[name] for name in cls.names_in_file], inside, slice(first, last))
        if cls._exponential:
            np.exp(-inside, out=inside)
        if table.additive:
            inside *= draws["amplitude"][:, None] / np.diff(table.edges[first : last + 1])
        else:
            values[:, 0], values[:, -1] = cls._beyond()
        return table.edges[first : last + 1], values

    @classmethod
    def _beyond(cls):
        if cls._table.additive:
            return 0.0, 0.0
        return tuple(1.0 if limit is None else limit for limit in (cls._table.below, cls._table.above))

    @classmethod
    def _tell_outside(cls, asked, low, high):
        edges = cls._table.edges
        beyond = (bool(low < edges[0] * (1 - _ROUNDING)), bool(high > edges[-1] * (1 + _ROUNDING)))
        grid = (np.size(asked), *beyond)  # the grids of many redshifts are one in all but the energies
        if not any(beyond) or grid in cls._told:
            return
        below, above = cls._beyond()
        msg = (
            f"{cls.origin} is tabulated from {edges[0]:g} to {edges[-1]:g} keV and was asked for {low:g} to {high:g} "
            f"keV; it is taken as {below:g} below and {above:g} above its energies."
        )
        warnings.warn(msg, AstropyUserWarning, stacklevel=5)
        cls._told = cls._told | {grid}


def read_table_model(path, *, exponential=False):
    """Make a model of an XSPEC table model file (OGIP memo 92-009).

    Interpolated parameters are taken linearly or logarithmically (METHOD 0 or 1) between their tabulated values, the
    spectra linearly, as XSPEC does; between two values one of which is zero, a logarithmic parameter is linear too.
    The spectrum of each additional parameter is multiplied with its value and added. Within a bin of the table the
    photons (or the factor) are spread evenly, so that rebinning conserves them.

    Parameters
    ----------
    path : str or `os.PathLike`
        The file, gzipped or not. Its spectra are kept in memory once, as they are in the file, float32 as a rule.
    exponential : bool
        Whether a multiplicative table is of optical depths, so that the factor is exp(-value): XSPEC's etable. Files
        do not say so.

    Returns
    -------
    model : type
        A subclass of `TableModel`, itself a `SpectralModel`, with the parameters of the file, their INITIAL values
        (fixed where DELTA is negative), units, and bounds: MINIMUM to MAXIMUM within the tabulated values. An
        additive one is in photon / (cm2 s keV) and has an ``amplitude`` before them, a multiplicative one is a
        factor. ``energy_scale`` and ``redshift`` come after them where the header asks for these (ESCALE, REDSHIFT).

    Raises
    ------
    OSError
        If there is no such file, or it is not FITS.
    ValueError
        If it is no table model, lacks an extension or column, or its parameters, energies and spectra do not belong
        together or are not finite; says which. Later, when the model is evaluated: if a parameter is out of range.

    Warns
    -----
    astropy.utils.exceptions.AstropyUserWarning
        If INITIAL is outside the range, or units are not those of the format. Later, once for each grid of energies:
        if it reaches beyond the table, where an additive table is zero, and a multiplicative one is LOELIMIT below
        and HIELIMIT above, or 1 where these are not given.

    Notes
    -----
    A name that Python or astropy cannot use is changed: what is not a letter, a digit or an underscore becomes an
    underscore ("log nH" is ``log_nH``), a first digit gets ``p_`` before it, and a name in use otherwise an underscore
    behind it (``lambda_``). ``names_in_file`` has the original ones.

    A model can be sent to another process (pickled), with its whole table: the file is not read again.

    Examples
    --------
    A table of two spectra, flat from 1 to 3 keV, with 1 and 2 photons / (cm2 s) in each keV:

    >>> from tempfile import TemporaryDirectory
    >>> from astropy.io import fits
    >>> from astropy.table import Table
    >>> from astro_lpalm.spectra import integrate, read_table_model
    >>> primary = fits.PrimaryHDU()
    >>> primary.header.update(HDUCLAS1="XSPEC TABLE MODEL", MODLNAME="flat", ADDMODEL=True, REDSHIFT=False)
    >>> level = {"NAME": ["level"], "METHOD": [0], "INITIAL": [1.0], "DELTA": [0.1], "MINIMUM": [1.0], "BOTTOM": [1.0]}
    >>> level |= {"TOP": [2.0], "MAXIMUM": [2.0], "NUMBVALS": [2], "VALUE": [[1.0, 2.0]]}
    >>> parameters = fits.BinTableHDU(Table(level), name="PARAMETERS")
    >>> parameters.header.update(NINTPARM=1, NADDPARM=0)
    >>> energies = fits.BinTableHDU(Table({"ENERG_LO": [1.0, 2.0], "ENERG_HI": [2.0, 3.0]}), name="ENERGIES")
    >>> spectra = fits.BinTableHDU(Table({"PARAMVAL": [1.0, 2.0], "INTPSPEC": [[1.0, 1], [2, 2]]}), name="SPECTRA")
    >>> with TemporaryDirectory() as folder:
    ...     fits.HDUList([primary, parameters, energies, spectra]).writeto(f"{folder}/flat.mod")
    ...     Flat = read_table_model(f"{folder}/flat.mod")
    >>> Flat.param_names
    ('amplitude', 'level')
    >>> print(integrate(Flat(level=1.5), [1, 1.5, 3]))
    [0.75 2.25] ph / (s cm2)
    """
    table = read_table_file(path)
    if exponential and table.additive:
        msg = f"'{path}' is an additive table; exponential=True is for multiplicative ones."
        raise ValueError(msg)
    _tell_useless_limits(table)
    return _make_model(table, exponential)


def _make_model(table, exponential):
    parameters, units, names = {}, {}, {}
    if table.additive:
        parameters["amplitude"] = Parameter(default=1.0, bounds=(0, None), description="times the tabulated photons")
    own = {"amplitude", "redshift", "energy_scale"} if table.additive else {"redshift", "energy_scale"}
    for row in table.parameters:
        name = _identifier(row.name, own | set(names))
        names[name] = row.name
        units[name] = _unit(row.unit)
        about = f"{row.name!r}, {row.unit}" if row.unit else repr(row.name)
        fixed = row.frozen or row.low == row.high
        parameters[name] = Parameter(default=row.initial, bounds=(row.low, row.high), fixed=fixed, description=about)
    if table.energy_scale:
        parameters["energy_scale"] = Parameter(
            default=1.0, fixed=True, bounds=(1e-5, 100), description="of the energies"
        )
    if table.redshift:
        parameters["redshift"] = Parameter(default=0.0, fixed=True, bounds=(-0.99, None), description="redshift")
    attributes = {
        "__module__": __name__,
        "__doc__": _description(table, names),
        "origin": f"'{table.path}'",
        "source_file": table.path,
        "names_in_file": names,
        "methods": {name: _method(row) for name, row in zip(names, table.parameters)},
        "parameter_units": {name: unit for name, unit in units.items() if unit is not None},
        "output_unit": photon_flux_density if table.additive else u.dimensionless_unscaled,
        "_table": table,
        "_exponential": exponential,
        "_made_by": (_make_model, (table, exponential)),
        **parameters,
    }
    return type(TableModel)(_identifier(table.name or table.path.name.split(".")[0], set()), (TableModel,), attributes)


def _interpolate(table, values, into, bins):
    """Write the spectra at the parameters' ``values`` (one array for each, of one value a draw) into (n, n_bins)."""
    corners = [(np.zeros(len(into), dtype=int), np.ones(len(into)))]  # row of the table, and its weight
    factors = [1.0]
    for parameter, value in zip(table.parameters, values):
        if parameter.grid is None:
            factors.append(value)
            continue
        n, (lower, fraction) = len(parameter.grid), _bracket(parameter, value)
        corners = [
            (row * n + np.minimum(lower + upper, n - 1), weight * (fraction if upper else 1 - fraction))
            for row, weight in corners
            for upper in (0, 1)
        ]
    into[:] = 0.0
    for row, weight in corners:
        for spectra, factor in zip(table.spectra, factors):
            share = weight * factor
            if share.any():
                into += share[:, None] * spectra[row, bins]


def _bracket(parameter, value):
    """Index of the tabulated value below each value, and how far it is from there to the next, from 0 to 1."""
    grid = parameter.grid
    if len(grid) == 1:
        return np.zeros(len(value), dtype=int), np.zeros(len(value))
    value = np.clip(value, grid[0], grid[-1])  # rounding; anything further off has been refused
    lower = np.clip(np.searchsorted(grid, value, side="right") - 1, 0, len(grid) - 2)
    first, second = grid[lower], grid[lower + 1]
    fraction = (value - first) / (second - first)
    if parameter.logarithmic:
        ratio = first * second > 0  # real files start a logarithmic grid at zero
        fraction[ratio] = np.log(value[ratio] / first[ratio]) / np.log(second[ratio] / first[ratio])
    # the float32 of a tabulated value is that value: a millionth of a bright spectrum would drown a faint one
    fraction[np.abs(value - first) <= _ROUNDING * np.abs(first)] = 0.0
    fraction[np.abs(value - second) <= _ROUNDING * np.abs(second)] = 1.0
    return lower, fraction


def _integrate_steps(steps, values, edges):
    """Integrate step functions, (n, len(steps) + 1) values from below all steps to above them, between the edges."""
    split = np.union1d(edges, steps[(steps > edges[0]) & (steps < edges[-1])])
    pieces = values[:, np.searchsorted(steps, split[:-1], side="right")] * np.diff(split)
    return np.add.reduceat(pieces, np.searchsorted(split, edges[:-1]), axis=-1)


def _identifier(text, taken):
    name = re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_") or "parameter"
    name = f"p_{name}" if name[0].isdigit() else name
    while name in taken or not allowed_name(name):
        name += "_"
    return name


def _unit(text):
    """Find the unit of a parameter; None where there is none, or none that astropy knows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)  # that it is not written as astropy would
        try:
            unit = u.Unit(text)
        except (ValueError, TypeError):
            return None
    return None if unit.is_equivalent(u.dimensionless_unscaled) else unit


def _method(parameter):
    if parameter.grid is None:
        return "additional"
    return "logarithmic" if parameter.logarithmic else "linear"


def _description(table, names):
    kind = "Additive" if table.additive else "Multiplicative"
    lines = [f"{kind} table model '{table.name}' of '{table.path}', {table.edges[0]:g} to {table.edges[-1]:g} keV.", ""]
    for name, row in zip(names, table.parameters):
        about = f"{row.low:g} to {row.high:g} {row.unit}".strip()
        lines.append(f"{name} ({row.name!r}): {about}, {_method(row)}")
    return "\n".join(lines)


def _tell_useless_limits(table):
    if table.additive and (table.below or table.above):
        msg = (
            f"'{table.path}' is additive and has LOELIMIT or HIELIMIT, photons in a bin of no stated width; it is "
            "taken as zero beyond its energies."
        )
        warnings.warn(msg, AstropyUserWarning, stacklevel=3)
