"""Cubes that other programs made: where their energies are, and what they do with axes."""

import astropy.units as u
import numpy as np
import pytest
from astropy import constants
from astropy.io import fits

from astro_lpalm.cube import EventCube

EDGES = np.linspace(0.5, 7, 9)
COUNTS = np.random.default_rng(4).poisson(3, (8, 6, 7))


def image(data=COUNTS, **cards):
    header = fits.Header()
    header["CTYPE1"], header["CRVAL1"], header["CRPIX1"], header["CDELT1"] = "RA---TAN", 83.6, 4.0, -0.001
    header["CTYPE2"], header["CRVAL2"], header["CRPIX2"], header["CDELT2"] = "DEC--TAN", 22.0, 3.5, 0.001
    header["CUNIT1"] = header["CUNIT2"] = "deg"
    header.update(cards)
    return fits.PrimaryHDU(data, header)


def bands(edges=EDGES, name="BANDS", unit="keV", form="D"):
    columns = [
        fits.Column("CHANNEL", "I", array=np.arange(len(edges) - 1)),
        fits.Column("ENERGY", form, unit=unit, array=np.sqrt(edges[1:] * edges[:-1])),
        fits.Column("E_MIN", form, unit=unit, array=edges[:-1]),
        fits.Column("E_MAX", form, unit=unit, array=edges[1:]),
    ]
    return fits.BinTableHDU.from_columns(columns, name=name)


@pytest.mark.parametrize(("name", "unit", "scale"), [("BANDS", "keV", 1), ("MAP_BANDS", "TeV", 1e-9)])
@pytest.mark.parametrize("form", ["D", "E"])
def test_bands_of_gammapy(tmp_path, name, unit, scale, form):
    uneven = np.geomspace(0.5, 7, 9)
    hdulist = fits.HDUList([image(BANDSHDU=name, WCSSHAPE="(7,6,8)"), bands(uneven * scale, name, unit, form)])
    hdulist.writeto(tmp_path / "map.fits")
    for cube in (EventCube.from_hdu(hdulist), EventCube.read(tmp_path / "map.fits")):
        np.testing.assert_allclose(cube.energy_edges.to_value(u.keV), uneven, rtol=1e-6)
        np.testing.assert_array_equal(cube.data, COUNTS)
    # EBOUNDS goes first
    hdulist.append(bands(EDGES, "EBOUNDS"))
    np.testing.assert_allclose(EventCube.from_hdu(hdulist).energy_edges.value, EDGES)
    hdulist = fits.HDUList([image(BANDSHDU="GONE"), bands()])
    with pytest.raises(ValueError, match="no EBOUNDS table and its third axis .* pass energy_edges"):
        EventCube.from_hdu(hdulist)
    assert EventCube.from_hdu(hdulist, energy_edges=EDGES * u.keV).data.shape == COUNTS.shape


def linear_axis(ctype, unit, values):
    """A linear third axis, from the values at the edges of its pixels."""
    step = (values[-1] - values[0]) / (len(values) - 1)
    return {"CTYPE3": ctype, "CUNIT3": unit, "CRPIX3": 0.5, "CRVAL3": values[0], "CDELT3": step}


def test_linear_axes_of_energy():
    for ctype, unit, scale in (("ENERGY", "keV", 1), ("ENER", "eV", 1e3), ("ENER", "J", (1 * u.keV).to_value(u.J))):
        cube = EventCube.from_hdu(image(**linear_axis(ctype, unit, EDGES * scale)))
        np.testing.assert_allclose(cube.energy_edges.value, EDGES, rtol=1e-12)
        falling = EventCube.from_hdu(image(COUNTS[::-1], **linear_axis(ctype, unit, EDGES[::-1] * scale)))
        np.testing.assert_allclose(falling.energy_edges.value, EDGES, rtol=1e-12)
        np.testing.assert_array_equal(falling.data, COUNTS)


def test_linear_axes_of_frequency_and_wavelength():
    h, c = constants.h.to_value(u.keV * u.s), constants.c.to_value(u.m / u.s)
    cube = EventCube.from_hdu(image(**linear_axis("FREQ", "Hz", EDGES / h)))
    np.testing.assert_allclose(cube.energy_edges.value, EDGES, rtol=1e-6)
    wavelength = np.linspace(h * c / 7, h * c / 0.5, 9)
    cube = EventCube.from_hdu(image(**linear_axis("WAVE", "m", wavelength)))
    np.testing.assert_allclose(cube.energy_edges.value, (h * c / wavelength)[::-1], rtol=1e-6)
    np.testing.assert_array_equal(cube.data, COUNTS[::-1])


def test_logarithmic_and_tabulated_axes():
    logarithmic = {"CTYPE3": "ENER-LOG", "CUNIT3": "keV", "CRPIX3": 0.5, "CRVAL3": 0.5}
    step = 0.5 * np.log(14) / 8  # FITS paper III, equation 5: E = E_0 exp(s / E_0)
    cube = EventCube.from_hdu(image(**logarithmic, CDELT3=step))
    np.testing.assert_allclose(cube.energy_edges.value, np.geomspace(0.5, 7, 9), rtol=1e-6)
    edges = np.array([0.5, 0.7, 1, 1.5, 2, 3, 4, 5.5, 7])
    cards = {"CTYPE3": "ENER-TAB", "CUNIT3": "keV", "CRPIX3": 0.5, "CRVAL3": 1.0, "CDELT3": 1.0}
    cards |= {"PS3_0": "ENERGIES", "PS3_1": "EDGE", "PV3_3": 1}
    column = fits.Column("EDGE", "9D", unit="keV", dim="(1,9)", array=edges.reshape(1, 9, 1))
    hdulist = fits.HDUList([image(**cards), fits.BinTableHDU.from_columns([column], name="ENERGIES")])
    cube = EventCube.from_hdu(hdulist)
    np.testing.assert_allclose(cube.energy_edges.value, edges, rtol=1e-6)
    with pytest.raises(ValueError, match="is not a linear or tabulated axis"):
        EventCube.from_hdu(hdulist[0])  # without the table


def test_a_fourth_axis_of_one_pixel(tmp_path):
    hdu = image(COUNTS[None], CTYPE4="STOKES", CRVAL4=1.0, CRPIX4=1.0, CDELT4=1.0, **linear_axis("ENER", "keV", EDGES))
    cube = EventCube.from_hdu(hdu)
    np.testing.assert_array_equal(cube.data, COUNTS)
    cube.write(tmp_path / "cube.fits")
    again = EventCube.read(tmp_path / "cube.fits")
    np.testing.assert_array_equal(again.data, COUNTS)
    assert "CTYPE4" not in again.meta
    with pytest.raises(ValueError, match=r"a cube is a 3-D image .* \(2, 8, 6, 7\)"):
        EventCube.from_hdu(image(np.stack([COUNTS] * 2), **linear_axis("ENER", "keV", EDGES)))


def test_the_axis_is_kept_for_grids_that_are_uniform_within_rounding():
    rounded = np.linspace(0.4964, 7.0372, 9).astype(np.float32).astype(float)
    cube = EventCube.from_hdu(image(), energy_edges=rounded * u.keV)
    hdulist = cube.to_hdulist()
    assert hdulist[0].header["CTYPE3"] == "ENERGY"
    np.testing.assert_array_equal(EventCube.from_hdu(hdulist).energy_edges.value, rounded)  # EBOUNDS is the authority
    uneven = rounded.copy()
    uneven[3] += 0.002
    assert "CTYPE3" not in EventCube.from_hdu(image(), energy_edges=uneven * u.keV).to_hdulist()[0].header
