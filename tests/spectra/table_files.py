"""Table model files as the tests need them."""

import itertools
import math

import numpy as np
from astropy.io import fits

from astro_lpalm._files import write_fits
from astro_lpalm.spectra.table_model import read_table_model

ENERGIES = np.array([0.5, 1.0, 1.5, 2.5, 4.0, 8.0])


def make_table(parameters, spectrum, *, edges=ENERGIES, additive=True, energy_type="E", shuffle=None, **keys):
    """HDUs of a table: ``parameters`` (name, method, values), METHOD None for an additional one."""
    primary = fits.PrimaryHDU()
    primary.header.update(HDUCLASS="OGIP", HDUCLAS1="XSPEC TABLE MODEL", MODLNAME="made up", ADDMODEL=additive)
    primary.header.update(REDSHIFT=False, MODLUNIT="photons/cm^2/s")
    primary.header.update({key: value for key, value in keys.items() if key.isupper()})
    tabulated = [values for _, method, values in parameters if method is not None]
    longest = max([1, *map(len, tabulated)])
    rows = []
    for name, method, values in parameters:
        start = values[0] if method is None else (values[0] + values[-1]) / 2
        count = 0 if method is None else len(values)
        padded = np.pad(values if method is not None else [], (0, longest - count), constant_values=-7)
        rows.append((name, method or 0, start, 0.1, min(values), min(values), max(values), max(values), count, padded))
    formats = ["20A", "J", *"EEEEEE", "J", f"{longest}E"]
    names = ["NAME", "METHOD", "INITIAL", "DELTA", "MINIMUM", "BOTTOM", "TOP", "MAXIMUM", "NUMBVALS", "VALUE"]
    columns = [fits.Column(n, f, array=list(a)) for n, f, a in zip(names, formats, zip(*rows))]
    if "units" in keys:
        columns.append(fits.Column("UNITS", "12A", array=keys["units"]))
    listed = fits.BinTableHDU.from_columns(columns, name="PARAMETERS")
    listed.header.update(NINTPARM=len(tabulated), NADDPARM=len(parameters) - len(tabulated))
    bounds = [
        fits.Column("ENERG_LO", energy_type, array=edges[:-1]),
        fits.Column("ENERG_HI", energy_type, array=edges[1:]),
    ]
    points = np.array(list(itertools.product(*tabulated))).reshape(math.prod(map(len, tabulated)), -1)
    if shuffle is not None:
        points = points[np.random.default_rng(shuffle).permutation(len(points))]
    columns = [fits.Column("PARAMVAL", f"{len(tabulated)}E", array=points)] if tabulated else []
    parts = np.array([np.atleast_2d(spectrum(*point)) for point in points])
    for k, name in enumerate(["INTPSPEC", "ADDSP001", "ADDSP002"][: parts.shape[1]]):
        columns.append(fits.Column(name, f"{parts.shape[2]}E", array=parts[:, k]))
    hdus = [primary, listed, fits.BinTableHDU.from_columns(bounds, name="ENERGIES")]
    return fits.HDUList([*hdus, fits.BinTableHDU.from_columns(columns, name="SPECTRA")])


def read_made(tmp_path, *args, **kwargs):
    path = tmp_path / "made.mod"
    write_fits(make_table(*args, **kwargs), path, overwrite=True)
    return read_table_model(path)


def ramp(*point):
    return (1 + np.arange(5.0)) * (1 + sum(point))
