"""Where the keywords of a list's columns put its events, next to what astropy makes of the same table."""

import numpy as np
import pytest
from astropy.wcs import WCS

from astro_lpalm.cube import EventCube

from .conftest import make_events


@pytest.fixture
def source():
    """Events around one place of the sky, 30 sky pixels from the pixel of reference."""
    generator, n = np.random.default_rng(1), 2000
    hdu = make_events(
        generator.normal(4126, 1, n), generator.normal(4080, 1, n), energy=generator.uniform(500, 7000, n)
    )
    for key in ("DATE-OBS", "RADECSYS", "EQUINOX"):  # astropy warns of them in a table
        del hdu.header[key]
    return hdu


@pytest.mark.parametrize(
    "cards",
    [
        {},
        {"RADE{x}": "FK4", "EQUI{x}": 1950.0},
        {"RADE{y}": "FK4", "EQUI{y}": 1950.0, "RADE{x}": "FK4", "EQUI{x}": 1950.0},
        {"RADE{x}": "FK5", "EQUI{x}": 1975.0},
        {"LONP{x}": 120.0},
        {"LONP{x}": 75.0, "LONP{y}": 75.0},
        {"TCROT{y}": 30.0},
        {"TCTYP{x}": "GLON-SIN", "TCTYP{y}": "GLAT-SIN"},
    ],
)
def test_events_are_where_astropy_sees_them(source, cards):
    x, y = (source.columns.names.index(name) + 1 for name in "xy")
    source.header.update({key.format(x=x, y=y): value for key, value in cards.items()})
    cube = EventCube.from_events(source)
    wcs = WCS(source.header, keysel=["pixel"], colsel=[x, y]).celestial
    expected = wcs.pixel_to_world(*(source.data[name].mean(dtype=float) - 1 for name in "xy"))
    image = cube.image()
    row, column = np.indices(image.shape)
    found = cube.wcs.pixel_to_world(*((place * image).sum() / image.sum() for place in (column, row)))
    assert found.icrs.separation(expected.icrs).arcsec < 0.1


@pytest.mark.parametrize("keys", [["TCRVL{y}"], ["TCDLT{x}"], ["TCRPX{x}", "TCRPX{y}"]])
def test_half_of_a_place_is_none(source, keys):
    x, y = (source.columns.names.index(name) + 1 for name in "xy")
    keys = [key.format(x=x, y=y) for key in keys]
    for key in keys:
        del source.header[key]
    with pytest.raises(ValueError, match=f"does not say where its sky columns are: {', '.join(keys)} missing"):
        EventCube.from_events(source)
