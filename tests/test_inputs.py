"""What a separation takes for cube, background and solver, and whom the warnings about them point at."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from numpy.testing import assert_array_equal

from astro_lpalm import EventCube, Instrument, load_model, separate
from astro_lpalm.forward import ExpectedBackground
from astro_lpalm.inputs import (
    as_background,
    as_cube,
    as_observations,
    as_solver,
    on_common_bins,
    read_background,
    warn_of_exposure,
    warn_of_mission,
)
from astro_lpalm.missions import approximate_response
from astro_lpalm.trust import SeparationWarning

from . import toy
from .test_pipeline import Ideal


@pytest.fixture(scope="module")
def cube():
    return toy.cube()


# Cubes


def test_a_cube_is_taken_as_it_is(cube):
    assert as_cube(cube) is cube


@pytest.mark.parametrize("bad", [None, 3, np.zeros((12, 9, 9))])
def test_cube_of_another_kind(bad):
    with pytest.raises(TypeError, match=f"3-D image HDU or an HDUList, not {type(bad).__name__}"):
        as_cube(bad)


# Solvers


@pytest.mark.parametrize("bad", [None, 3, object(), np.zeros((12, 2))])
def test_model_of_another_kind(bad):
    with pytest.raises(TypeError, match=f"model is of type {type(bad).__name__}, but must be a model, the name"):
        as_solver(bad)


def test_a_device_that_the_solver_has_no_use_for_is_refused():
    with pytest.raises(TypeError, match=r"device is 'cpu', but a Ideal has no method to\(device\); leave device out"):
        as_solver(Ideal(toy.spectra()), "cpu")


@pytest.mark.parametrize("value", [-50000, 0.0])
def test_exposures_that_are_none(cube, tmp_path, value):
    bad = EventCube(cube.data, energy_edges=toy.EDGES, wcs=toy.wcs(), meta={"EXPOSURE": value})
    said = f"the cube's header: EXPOSURE is {value!r}, and must be a positive number of seconds"
    bad.write(tmp_path / "bad.fits")
    for given, message in ((bad, f"^{said}"), (bad.to_hdulist(), said), (tmp_path / "bad.fits", f"bad.fits': {said}")):
        with pytest.raises(ValueError, match=message):
            as_cube(given)


@pytest.mark.parametrize(
    ("largest", "header", "warned"),
    [
        (1 * u.s, {"EXPOSURE": 2e4}, True),
        (20 * u.s, {"EXPOSURE": 2e4}, True),  # ks that are said to be s
        (40 * u.ks, {"EXPOSURE": 2e4}, True),
        (21 * u.ks, {"EXPOSURE": 2e4}, False),
        (5 * u.ks, {"EXPOSURE": 2e4}, False),
        (1 * u.s, {}, False),
        (1 * u.one, {"EXPOSURE": 2e4}, False),
        (8e6 * u.cm**2 * u.s, {"EXPOSURE": 2e4}, False),
    ],
)
def test_an_exposure_map_that_is_not_of_the_exposure_time(largest, header, warned, recwarn):
    exposure = np.linspace(0.5, 1, 81).reshape(9, 9) * largest
    warn_of_exposure(
        EventCube(np.ones((2, 9, 9)), energy_edges=[1, 2, 3] * u.keV, wcs=toy.wcs(), meta=header, exposure=exposure)
    )
    assert [each.category for each in recwarn.list] == [SeparationWarning] * warned
    assert not warned or "but EXPOSURE of the cube's header is 20000 s" in str(recwarn[0].message)


@pytest.mark.parametrize(
    ("header", "warned"),
    [
        ({"TELESCOP": "XMM", "INSTRUME": "EMOS2"}, True),
        ({"TELESCOP": "CHANDRA", "INSTRUME": "ACIS"}, False),
        ({"TELESCOP": "XMM", "INSTRUME": "EPN", "ORIGIN": "astro_lpalm"}, False),
        ({"TELESCOP": "ATHENA"}, False),
        ({}, False),
    ],
)
def test_a_cube_of_another_telescope_is_warned_of(header, warned, recwarn):
    model = load_model("snr-acis")
    cube = EventCube(np.ones((65, 9, 9)), energy_edges=model.energy_edges, wcs=toy.wcs(), meta=header)
    warn_of_mission(cube, Ideal(toy.spectra()), None)
    warn_of_mission(cube, model, Instrument(response=approximate_response([0.5, 1, 7], "epic-mos")))
    assert not recwarn.list
    warn_of_mission(cube, model, None)
    assert [each.category for each in recwarn.list] == [SeparationWarning] * warned
    assert not warned or "EPIC MOS, the components of model 'snr-acis' are seen by Chandra" in str(recwarn[0].message)


def test_files_that_are_not_there(cube):
    with pytest.raises(FileNotFoundError, match="there is no file 'missing.fits'"):
        as_cube("missing.fits")
    with pytest.raises(FileNotFoundError, match="'missing.fits' is neither a file nor a packaged model"):
        as_solver("missing.fits")
    with pytest.raises(FileNotFoundError, match="there is no file 'none.pi'"):
        as_background("none.pi", cube)


# Backgrounds


def test_a_background_is_taken_as_it_is(cube):
    background = ExpectedBackground(np.ones(12))
    assert as_background(background, cube) is background
    assert as_background(None, cube) is None


def test_background_of_another_kind(cube):
    with pytest.raises(ValueError, match="no energy|EBOUNDS|energ"):
        as_background(fits.ImageHDU(np.ones_like(cube.data)), cube)
    with pytest.raises(TypeError, match="a background must be a cube or counts in energy bins, not object"):
        as_background(object(), cube)


def test_every_kind_of_blank_field(cube, tmp_path):
    sky = EventCube(cube.data, energy_edges=toy.EDGES, wcs=toy.wcs(), meta={"EXPOSURE": 10.0})
    path = tmp_path / "blank.fits"
    sky.write(path)
    for blank in (sky, path, str(path), sky.to_hdulist(), sky.to_hdulist()[0]):
        assert_array_equal(as_background(blank, sky).expected(sky), sky.matrix())
    found = read_background(path, sky, scale=0.5, free=True)
    assert (found.scale, found.free) == (0.5, True)
    assert_array_equal(found.expected(sky), 0.5 * sky.matrix())


def test_background_of_a_pha_file(cube, tmp_path):
    channel, counts = np.arange(1, 1025), np.full(1024, 7)
    columns = [fits.Column("CHANNEL", "J", array=channel), fits.Column("COUNTS", "J", array=counts)]
    hdu = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    hdu.header.update({"TELESCOP": "CHANDRA", "INSTRUME": "ACIS", "EXPOSURE": 4000.0, "BACKSCAL": 1e-6})
    hdu.header.update({"HDUCLASS": "OGIP", "HDUCLAS1": "SPECTRUM", "DETCHANS": 1024, "TLMIN1": 1})
    hdu.writeto(tmp_path / "background.pi")
    found = read_background(tmp_path / "background.pi", cube, scale=0.5, free=True)
    assert (found.scale, found.free) == (0.5, True)
    # Channels of 14.6 eV, seven counts in each, in twelve bins of 250 eV.
    assert found.expected(cube).spectrum().sum() == pytest.approx(0.5 * 7 * 3000 / 14.6, rel=0.01)


# Energies


@pytest.mark.parametrize(
    ("edges", "described"),
    [
        (np.linspace(5, 8, 13), "12 bins from 5 to 8 keV"),  # do not meet
        (np.linspace(2, 5, 13), "12 bins from 2 to 5 keV"),  # overlap
        (np.linspace(1, 4, 11), "10 bins from 1 to 4 keV"),  # the same range, other bins
        (np.linspace(1.1, 4.1, 13), r"12 bins from 1\.1 to 4\.1 keV"),
    ],
)
def test_energies_that_do_not_fit_are_both_printed(edges, described):
    bad = EventCube(np.ones((len(edges) - 1, 28, 33)), energy_edges=edges * u.keV, wcs=toy.wcs())
    with pytest.raises(ValueError, match=rf"do not nest.*{described}.*12 bins from 1 to 4 keV"):
        on_common_bins(bad, toy.model())


# Warnings


def filtered():
    data = toy.cube().data.copy()
    data[5:] = 0
    return EventCube(data, energy_edges=toy.EDGES, wcs=toy.wcs())


def other_bins():
    edges = np.linspace(0.6, 6.9, 48) * u.keV
    spectra = load_model("pwn-acis").through(Instrument(), edges).physics.spectra(np.full(10, 0.45))
    expected = np.einsum("ik,kyx->iyx", spectra, toy.images())
    return EventCube(np.random.default_rng(0).poisson(expected), energy_edges=edges, wcs=toy.wcs())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: (filtered(), toy.model()), "7 of 12 bins are empty"),
        (lambda: (other_bins(), load_model("pwn-acis")), "the model's bins are not the cube's"),
        (
            lambda: (toy.cube(), Ideal(toy.spectra()), None, 2 * toy.cube().data.sum(axis=(1, 2))),
            "the background has 2 times the counts",
        ),
    ],
    ids=["empty bins", "other bins", "background"],
)
def test_warnings_point_at_the_line_that_calls(given, message):
    cube, model, instrument, background = (*given(), None, None)[:4]
    with pytest.warns(AstropyUserWarning) as said:
        separate(cube, model, instrument=instrument, background=background)
    (which,) = [each for each in said if message in str(each.message)]
    assert which.filename == __file__


def test_a_cube_that_is_named_twice(tmp_path):
    (tmp_path / "cube.fits").touch()
    with pytest.warns(AstropyUserWarning, match="cube.fits' are one file: its photons count twice"):
        as_observations([tmp_path / "cube.fits", "other.fits", f"{tmp_path}/./cube.fits"])
