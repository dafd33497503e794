import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm.cube import EventCube


def make_events(x, y, *, energy=None, pi=None, names=("time", "x", "y", "energy", "pi"), sky_format="E", unit="eV"):
    """An event list in Chandra's layout; the columns are those of ``names`` that have values, in that order."""
    values = {"time": np.arange(len(x)), "x": x, "y": y, "energy": energy, "pi": pi}
    formats = {"time": "D", "x": sky_format, "y": sky_format, "energy": "E", "pi": "J"}
    units = {"energy": unit}
    sky = {"x": ("RA---TAN", 228.4753161, -0.00013666666666667), "y": ("DEC--TAN", -59.14006548, 0.00013666666666667)}
    columns = []
    for name in names:
        key = name.lower()
        if values[key] is not None:
            column = fits.Column(name, formats[key], unit=units.get(key), array=values[key])
            if key in sky:
                column.coord_type, column.coord_ref_value, column.coord_inc = sky[key]
                column.coord_ref_point, column.coord_unit = 4096.5, "deg"
            columns.append(column)
    hdu = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    header = hdu.header
    for number, column in enumerate(columns, start=1):
        if column.name.lower() in sky:
            header[f"TLMIN{number}"], header[f"TLMAX{number}"] = 0.5, 8192.5
    header["TELESCOP"], header["INSTRUME"], header["OBJECT"] = "CHANDRA", "ACIS", "SIMULATED"
    header["EXPOSURE"], header["DATE-OBS"], header["RADECSYS"] = 1000.0, "2000-08-14T09:59:15", "ICRS"
    header["EQUINOX"] = 2000.0
    return hdu


@pytest.fixture
def events():
    """Ten thousand events around sky pixel 4096, 4100, some outside every limit."""
    generator = np.random.default_rng(1)
    n = 10_000
    energy = generator.uniform(200, 9000, n).astype(np.float32)
    return make_events(
        generator.normal(4096, 12, n), generator.normal(4100, 9, n), energy=energy, pi=np.floor(energy / 14.6) + 1
    )


@pytest.fixture
def cube(events):
    return EventCube.from_events(
        events, energy=(1, 5) * u.keV, n_energy=8, bounds=(4080, 4120, 4090, 4120), bin_factor=2
    )
