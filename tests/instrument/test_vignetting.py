"""Exposure that differs with energy."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from numpy.testing import assert_allclose

from astro_lpalm import Instrument
from astro_lpalm.instrument import ExposureMaps

from .test_instrument import SHAPE, plane

EDGES = np.array([0.5, 1.5, 3.5, 7]) * u.keV
ENERGIES = [1, 2, 6] * u.keV


def planes():
    x = np.linspace(0, 1, SHAPE[1]) * np.ones((SHAPE[0], 1))
    return np.stack([1 - lost * x**2 for lost in (0.2, 0.3, 0.5)])


def header(unit="s", **cards):
    found = plane().to_header()
    axis = {"CTYPE3": "ENERGY", "CUNIT3": "keV", "CRVAL3": 1.0, "CRPIX3": 1.0, "CDELT3": 2.0}
    found.update(axis | {"BUNIT": unit} | cards)
    return found


def expected(exposure, vignetting):
    return exposure * np.tensordot(vignetting.energies, vignetting.places, 1)


def test_exposure_of_pixels_and_bins():
    maps = ExposureMaps(3e4 * planes() * u.s, ENERGIES)
    exposure, vignetting = maps.on(plane(), SHAPE, EDGES)
    assert_allclose(exposure, 3e4 * planes().mean(axis=0) * u.s)
    # linear between the energies, averaged over bins, the nearest one beyond them
    fine = np.linspace(0.5, 7, 6501)
    fine = 0.5 * (fine[1:] + fine[:-1])
    between = np.stack([np.interp(fine, ENERGIES.value, column) for column in planes().reshape(3, -1).T], axis=1)
    bins = [between[(fine > low) & (fine < high)].mean(axis=0) for low, high in zip(EDGES.value, EDGES.value[1:])]
    found = expected(exposure, vignetting).value.reshape(3, -1)
    assert_allclose(found, 3e4 * np.array(bins), rtol=2e-3)
    assert repr(maps) == "<ExposureMaps: 3 maps from 1 to 6 keV>"
    instrument = Instrument(exposure=maps)
    assert "exposure of 3 maps from 1 to 6 keV" in repr(instrument)
    assert_allclose(instrument.exposure_on(plane(), SHAPE), exposure)
    assert_allclose(instrument.vignetting_on(plane(), SHAPE, EDGES).places, vignetting.places)
    assert Instrument(exposure=5 * u.ks).vignetting_on(plane(), SHAPE, EDGES) is None


def test_maps_in_area_are_relative_to_their_largest_values():
    areas = np.array([400, 300, 100])[:, np.newaxis, np.newaxis]
    exposure, vignetting = ExposureMaps(3e4 * areas * planes() * u.cm**2 * u.s, ENERGIES).on(plane(), SHAPE, EDGES)
    assert exposure.unit == u.cm**2 * u.s
    times, relative = ExposureMaps(planes(), ENERGIES).on(plane(), SHAPE, EDGES)
    found, wanted = expected(exposure.value, vignetting), expected(times.value, relative)
    assert_allclose(found / exposure.value.max(), wanted / times.value.max(), rtol=1e-6)


def test_where_there_is_no_exposure():
    maps = planes()
    maps[:, :, 3] = 0
    exposure, vignetting = ExposureMaps(maps, ENERGIES).on(plane(), SHAPE, EDGES)
    assert np.all(exposure[:, 3] == 0)
    assert np.isfinite(vignetting.places).all()


def test_one_file_for_each_energy(tmp_path):
    files, cards = [tmp_path / f"{number}.fits" for number in range(3)], plane().to_header()
    cards["BUNIT"] = "s"
    for path, each in zip(files, planes()):
        fits.writeto(path, 3e4 * each, cards)
    assert_allclose(ExposureMaps(files, ENERGIES).exposures_on(plane(), SHAPE), 3e4 * planes() * u.s)


def test_a_stack_is_read(tmp_path):
    path = tmp_path / "stack.fits"
    fits.writeto(path, 3e4 * planes(), header())
    for maps in (ExposureMaps.read(path), Instrument(exposure=path).exposure):
        assert_allclose(maps.energies, [1, 3, 5] * u.keV)
        assert_allclose(maps.exposures_on(plane(), SHAPE), 3e4 * planes() * u.s)


def test_energies_of_a_table_may_be_in_any_order(tmp_path):
    table = fits.BinTableHDU(Table({"ENERGY": [6000, 1000, 2000] * u.eV}), name="ENERGIES")
    cards = header()
    del cards["CTYPE3"]
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(planes()[[2, 0, 1]], cards), table]
    fits.HDUList(hdus).writeto(tmp_path / "stack.fits")
    maps = ExposureMaps.read(tmp_path / "stack.fits")
    assert_allclose(maps.energies, ENERGIES)
    assert_allclose(maps.exposures_on(plane(), SHAPE).value, planes())


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"CTYPE3": "VELO"}, "stack.fits.*of which the energy is not known: add a table ENERGIES"),
        ({"CUNIT3": "m"}, "stack.fits"),
        ({"unit": "erg"}, "stack.fits.*is in erg; give a time"),
    ],
)
def test_stacks_that_do_not_tell(tmp_path, cards, message):
    fits.writeto(tmp_path / "stack.fits", planes(), header(**cards))
    with pytest.raises(ValueError, match=message):
        Instrument(exposure=tmp_path / "stack.fits")


def test_wrong_input_is_told(tmp_path):
    with pytest.raises(ValueError, match="there are 3 exposure maps at 2 energies; give one energy for each map"):
        ExposureMaps(planes(), [1, 2] * u.keV)
    with pytest.raises(ValueError, match="energies=.* must increase from 0 or more"):
        ExposureMaps(planes(), [2, 1, 6] * u.keV)
    with pytest.raises(ValueError, match="different units, , s; give all in one"):
        ExposureMaps([planes()[0] * u.s, planes()[1]], [1, 2] * u.keV)
    with pytest.raises(ValueError, match="exposure must be finite, not negative"):
        ExposureMaps(-planes(), ENERGIES)
    fits.writeto(tmp_path / "flat.fits", planes()[0], plane().to_header())
    with pytest.raises(ValueError, match="flat.fits.*there are 0 images of three axes"):
        ExposureMaps.read(tmp_path / "flat.fits")
