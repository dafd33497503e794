"""Files of point spread functions: each layout that is known, and what is said of others."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.instrument import PSF

RNG = np.random.default_rng(0)
STACK = RNG.random((3, 2, 5, 7))  # energies, off-axis angles
SCALE = {"CTYPE1": "DETX", "CTYPE2": "DETY", "CDELT1": 0.5, "CDELT2": 0.5, "CUNIT1": "arcsec", "CUNIT2": "arcsec"}
SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1 / 7200, "CDELT2": 1 / 7200,
       "CRPIX1": 4, "CRPIX2": 3, "CRVAL1": 83.6, "CRVAL2": 22.0}  # fmt: skip
ENERGY = {"CTYPE3": "ENERGY", "CUNIT3": "keV", "CRPIX3": 1.0, "CRVAL3": 0.5, "CDELT3": 2.0}
THETA = {"CTYPE4": "THETA", "CUNIT4": "arcmin", "CRPIX4": 1.0, "CRVAL4": 0.0, "CDELT4": 5.0}


def image(values, cards, name="PSF"):
    return fits.ImageHDU(values, fits.Header(cards), name=name)


def energies(values, name="ENERGIES", column="ENERGY", unit="eV"):
    return fits.BinTableHDU.from_columns([fits.Column(column, "D", unit=unit, array=values)], name=name)


@pytest.fixture
def write(tmp_path):
    def function(*hdus):
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "psf.fits", overwrite=True)
        return tmp_path / "psf.fits"

    return function


@pytest.mark.parametrize("place", [SCALE, SKY])
def test_a_stack_over_energy(write, place):
    psf = PSF.read(write(image(STACK[:, 0], place | ENERGY)))
    assert_array_equal(psf.profile, STACK[:, 0])
    assert_allclose(psf.energies.to_value(u.keV), [0.5, 2.5, 4.5])
    assert psf.pixel_scale.to_value(u.arcsec) == pytest.approx(0.5)
    assert psf.off_axis is None
    falling = PSF.read(write(image(STACK[::-1, 0], place | ENERGY | {"CRVAL3": 4.5, "CDELT3": -2.0})))
    assert_array_equal(falling.profile, psf.profile)
    assert_allclose(falling.energies.value, psf.energies.value)


def test_a_stack_whose_energies_are_a_table(write):
    psf = PSF.read(write(image(STACK[:, 0], SCALE), energies([500, 1500, 4000])))
    assert_allclose(psf.energies.to_value(u.keV), [0.5, 1.5, 4])
    columns = [fits.Column(n, "D", unit="keV", array=e) for n, e in (("E_MIN", [1, 2, 4]), ("E_MAX", [2, 4, 8]))]
    bounds = fits.BinTableHDU.from_columns(columns, name="EBOUNDS")
    assert_allclose(PSF.read(write(image(STACK[:, 0], SCALE | ENERGY), bounds)).energies.value, [1.5, 3, 6])


def test_a_stack_over_energy_and_angle(write):
    axis = SkyCoord(1, 2, unit="deg")
    for hdus in (
        [image(STACK.swapaxes(0, 1), SCALE | ENERGY | THETA)],
        [image(STACK.swapaxes(0, 1), SCALE | ENERGY), energies([0, 300], "THETAS", "THETA", "arcsec")],
    ):
        psf = PSF.read(write(*hdus), axis=axis)
        assert_array_equal(psf.profile, STACK)
        assert_allclose(psf.off_axis.to_value(u.arcmin), [0, 5])
        assert_allclose(psf.energies.to_value(u.keV), [0.5, 2.5, 4.5])
        assert psf.axis is axis


def library(keys, order=(3, 0, 5, 1, 4, 2)):
    """Six images, in disorder, of which ``keys(energy, angle)`` gives the cards."""
    cells = [(e, t) for e in range(3) for t in range(2)]
    return [image(STACK[e, t], SCALE, f"P{k}") for k in order for e, t in [cells[k]]], [
        keys([0.5, 1.5, 4.0][cells[k][0]], 5.0 * cells[k][1]) for k in order
    ]


LIBRARIES = {
    "keV": lambda e, t: {"ENERGY": (e, "[keV] energy"), "THETA": t, "PHI": 90.0},
    "eV": lambda e, t: {"ENERGY": (1000 * e, "Energy in eV"), "THETA": (t, "Off-axis angle in arcmin")},
    "OGIP": lambda e, t: {"ENERG_LO": 0.9 * e, "ENERG_HI": 1.1 * e, "THETA": t},
    "ENERGY comes first": lambda e, t: {"ENERGY": (e, "[keV]"), "ENERG_LO": 1.0, "ENERG_HI": 1.0, "THETA": t},
    "arcsec": lambda e, t: {"ENERG_LO": (900 * e, "[eV]"), "ENERG_HI": (1100 * e, "[eV]"), "THETA": (60 * t, "arcsec")},
    "degrees": lambda e, t: {"ENERGY": (e, "[keV]"), "THETA": (t / 60, "in degrees")},
}


@pytest.mark.parametrize("keys", LIBRARIES.values(), ids=LIBRARIES)
def test_a_library_of_images(write, keys):
    hdus, cards = library(keys)
    for hdu, each in zip(hdus, cards):
        hdu.header.update(each)
    psf = PSF.read(write(*hdus))
    assert_array_equal(psf.profile, STACK)
    assert_allclose(psf.energies.to_value(u.keV), [0.5, 1.5, 4])
    assert_allclose(psf.off_axis.to_value(u.arcmin), [0, 5], atol=1e-12)
    assert psf.pixel_scale.to_value(u.arcsec) == pytest.approx(0.5)
    one = PSF.read(f"{write(*hdus)}[P3]")
    assert_array_equal(one.profile, STACK[1, 1])
    assert one.energies is one.off_axis is None


def test_a_library_over_one_of_both(write):
    by_energy = [image(STACK[e, 0], SCALE | {"ENERG_LO": e + 1, "ENERG_HI": e + 1, "THETA": 3.0}) for e in range(3)]
    psf = PSF.read(write(*by_energy))
    assert_array_equal(psf.profile, STACK[:, 0])
    assert psf.off_axis is None
    by_angle = [image(STACK[0, t], SCALE | {"THETA": 3.0 * t}) for t in range(2)]
    psf = PSF.read(write(*by_angle))
    assert_array_equal(psf.profile, STACK[0])
    assert psf.energies is None


def test_of_images_that_tell_no_energy_the_first(write):
    path = write(image(STACK[0, 0], SCALE), image(STACK[1, 0], SCALE, "OTHER"))
    with pytest.warns(AstropyUserWarning, match=r"holds 2 images \('PSF', 'OTHER'\), none of which tells its energy"):
        psf = PSF.read(path)
    assert_array_equal(psf.profile, STACK[0, 0])
    assert_array_equal(PSF.read(f"{path}[OTHER]").profile, STACK[1, 0])  # and no warning


def with_keys(*cards, sides=(5, 7)):
    return [image(RNG.random(sides), SCALE | each, f"P{k}") for k, each in enumerate(cards)]


ONE, TWO = {"ENERG_LO": 1.0, "ENERG_HI": 1.0}, {"ENERG_LO": 2.0, "ENERG_HI": 2.0}


@pytest.mark.parametrize(
    ("hdus", "message"),
    [
        ([], "there is no two-dimensional image of a psf, nor a stack"),
        ([image(STACK[:, 0], SCALE)], r"3 planes along axis 3 \(CTYPE3='', CUNIT3=''\), of which the energy is not kn"),
        ([image(STACK[:, 0], SCALE | ENERGY | {"CUNIT3": "m"})], "CUNIT3='m'.*the energy is not known: add a table EN"),
        ([image(STACK[:, 0], SCALE | ENERGY | {"CTYPE3": "ENER-LOG"})], "CTYPE3='ENER-LOG'.*is not known"),
        ([image(STACK, SCALE | ENERGY)], "2 planes along axis 3|3 planes along axis 4.*off-axis angle is not known"),
        ([image(STACK[None], SCALE)], "there are 1 images, of 5 axes; a psf is one image of 2 axes, 3"),
        ([image(STACK[:, 0], SCALE | ENERGY)] * 2, "there are 2 images, of 3, 3 axes; a psf is one"),
        ([image(STACK[:, 0], SCALE), energies([1, 2])], "has 3 planes along axis 3, but the table has 2 of the energy"),
        ([image(STACK[:, 0], SCALE), energies([1, 2, 3], unit=None)], "table ENERGIES must have a column ENERGY with"),
        ([image(STACK[:, 0], SCALE), energies([1, 2, 3], column="E")], "table ENERGIES must have a column ENERGY with"),
        ([image(STACK[:, 0], SCALE), energies([1, 2, 2])], "energies=.* must increase"),
        ([image(STACK[:, 0], ENERGY)], "so how large its pixels are is not known; give pixel_scale"),
        (with_keys(ONE, {}), "the psf's image 'P1' does not tell its energy, and others do: give each image a keyword"),
        (with_keys(ONE, {"ENERGY": 1500.0}), r"'P1': ENERGY = 1500 has no unit; write it into the card's comment"),
        (with_keys(ONE, ONE), "2 images are of 1 energies and 1 off-axis angles; there must be one for each pair"),
        (with_keys(ONE | {"THETA": 0.0}, ONE | {"THETA": 2.0}, TWO | {"THETA": 0.0}), "3 images are of 2 energies and"),
        (with_keys(ONE | {"THETA": 0.0}, TWO), r"'P1' does not tell its off-axis angle \(THETA\), and others do"),
        (with_keys(ONE | {"PHI": 0.0}, ONE | {"PHI": 90.0}), r"of several azimuths \(PHI\), which are not told apart"),
        (with_keys(ONE, TWO | {"CDELT1": 1.0, "CDELT2": 1.0}), "different pixel scales, 0.5 arcsec and 1.0 arcsec"),
        (with_keys(ONE) + with_keys(TWO, sides=(5, 5)), r"different shapes, \(5, 7\) and \(5, 5\)"),
        (with_keys(ONE, {"ENERG_LO": "soft", "ENERG_HI": 2.0}), "ENERG_LO is 'soft', but must be a finite number"),
        (with_keys(ONE, TWO, sides=(4, 5)), "has no pixel in the middle"),
    ],
)
def test_layouts_that_are_not_known(write, hdus, message):
    path = write(*hdus)
    with pytest.raises(ValueError, match=f"(?s)psf.fits.*({message})"):
        PSF.read(path)
