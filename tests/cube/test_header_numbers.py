"""Numbers in the headers of images and event lists: as text, without a value, and as what is none."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm import EventCube
from astro_lpalm.grid import ebounds_hdu, read_ebounds
from astro_lpalm.grid.energies import read_spectral_axis
from astro_lpalm.grid.sky import celestial_cards

from .. import toy


@pytest.mark.parametrize("key", ["CRVAL1", "CRPIX2", "CDELT1"])
@pytest.mark.parametrize("from_file", [False, True])
def test_sky_coordinates_of_an_image(tmp_path, key, from_file):
    hdulist = toy.cube().to_hdulist()
    hdulist[0].header[key] = str(hdulist[0].header[key])
    cube = EventCube.from_hdu(hdulist)
    if from_file:
        hdulist.writeto(tmp_path / "cube.fits")
        cube = EventCube.read(tmp_path / "cube.fits")
    assert cube.wcs.wcs.compare(toy.cube().wcs.wcs)
    assert isinstance(cube.to_hdulist()[0].header[key], float)


def test_sky_coordinates_that_are_no_numbers(tmp_path):
    hdulist = toy.cube().to_hdulist()
    hdulist[0].header["CRVAL1"] = "east"
    hdulist.writeto(tmp_path / "cube.fits")
    with pytest.raises(ValueError, match=r"cube.fits': .*CRVAL1 is 'east', but must be a finite number"):
        EventCube.read(tmp_path / "cube.fits")
    image = fits.PrimaryHDU(np.ones((28, 33)), fits.Header({"CTYPE1": "RA---TAN", "CRVAL1": "east"}))
    image.writeto(tmp_path / "map.fits")
    for use in (toy.cube().with_exposure, toy.cube().with_mask):
        with pytest.raises(ValueError, match=r"map.fits': .*CRVAL1 is 'east', but must be a finite number"):
            use(tmp_path / "map.fits")


def test_undefined_cards_are_absent():
    header = fits.Header({"CTYPE1": "RA---TAN", "CROTA2": None, "CRVAL1": 3.0})
    assert list(celestial_cards(header)) == ["CTYPE1", "CRVAL1"]


@pytest.mark.parametrize("key", ["TCRVL", "TCDLT", "TCRPX"])
def test_event_list(events, tmp_path, key):
    grid = {"bin_factor": 4, "energy": (1, 5) * u.keV, "n_energy": 4, "bounds": (4080, 4120, 4090, 4120)}
    expected = EventCube.from_events(events, **grid)
    key += str(events.columns.names.index("x") + 1)
    events.writeto(tmp_path / "events.fits")  # from here on as bytes: astropy would make numbers of texts
    content = (tmp_path / "events.fits").read_bytes()
    card = next(
        content[at : at + 80] for at in range(0, len(content), 80) if content[at : at + 8].strip() == key.encode()
    )
    number = card[10:].split(b"/")[0].strip()
    as_text, as_word = (card[:10] + value.ljust(70) for value in (b"'" + number + b"'", b"'east'"))
    (tmp_path / "text.fits").write_bytes(content.replace(card, as_text))
    cube = EventCube.from_events(tmp_path / "text.fits", **grid)
    np.testing.assert_array_equal(cube.data, expected.data)
    assert cube.wcs.wcs.compare(expected.wcs.wcs)
    (tmp_path / "word.fits").write_bytes(content.replace(card, as_word))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Invalid keyword for column")  # so does astropy say it
        with pytest.raises(ValueError, match=f"word.fits': {key} is 'east', but must be a finite number"):
            EventCube.from_events(tmp_path / "word.fits", **grid)


def test_third_axis():
    header = fits.Header({"NAXIS3": 2, "CTYPE3": "ENERGY", "CUNIT3": "keV", "CRVAL3": "1.0", "CDELT3": "5D-1"})
    np.testing.assert_allclose(read_spectral_axis(header).value, [1.25, 1.75, 2.25])
    header["CDELT3"] = "wide"
    with pytest.raises(ValueError, match="CDELT3 is 'wide', but must be a finite number"):
        read_spectral_axis(header)


@pytest.mark.parametrize(
    ("unit", "factor"), [("KeV", 1), ("KEV", 1), ("kev", 1), ("ev", 1e3), ("EV", 1e3), ("MeV", 1e-3)]
)
def test_spellings_of_units_of_energy(unit, factor):
    columns = [fits.Column(name, "D", unit=unit, array=values) for name, values in (
        ("E_MIN", np.array([1, 2]) * factor), ("E_MAX", np.array([2, 4]) * factor),
    )]  # fmt: skip
    np.testing.assert_allclose(read_ebounds(fits.BinTableHDU.from_columns(columns, name="EBOUNDS")).value, [1, 2, 4])


def test_units_that_are_none():
    hdu = ebounds_hdu([1, 2, 4] * u.keV)
    hdu.columns["E_MIN"].unit = "parsec"
    with pytest.raises(ValueError, match=r"the unit of E_MIN in 'EBOUNDS' is 'parsec', which is not one of energy"):
        read_ebounds(hdu)
