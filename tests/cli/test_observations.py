import shutil

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal

from astro_lpalm import EventCube
from astro_lpalm.results import Separation

from .. import toy
from .conftest import run


@pytest.fixture
def exposure(here):
    hdu = fits.ImageHDU(np.full((28, 33), 5.0), toy.wcs().to_header())
    hdu.header["BUNIT"] = "s"
    hdu.writeto(here / "exposure.fits")
    return here / "exposure.fits"


GRID = ("--energy", 1, 4, "--n-energy", 12)


def test_several_lists(files, here):
    events = files / "events.fits"
    assert run("bin", events, *GRID, "-o", "one.fits", "--quiet") == 0
    one = EventCube.read("one.fits")
    hdu = fits.ImageHDU(np.full(one.data.shape[1:], 5.0), one.celestial_header())
    hdu.header["BUNIT"] = "s"
    hdu.writeto("exposure.fits")
    maps = ("--exposure", "exposure.fits", "exposure.fits")
    other = shutil.copy(events, "other.fits")
    assert run("bin", events, other, *GRID, *maps, "-o", "two.fits", "--quiet") == 0
    two = EventCube.read("two.fits")
    assert_array_equal(two.data, 2 * one.data)
    assert_array_equal(two.exposure, np.full(one.data.shape[1:], 10.0) * u.s)
    assert two.meta["EXPOSURE"] == 2 * one.meta["EXPOSURE"]
    assert run("bin", events, "--like", "one.fits", "--exposure", "exposure.fits", "-o", "like.fits", "--quiet") == 0
    assert_array_equal(EventCube.read("like.fits").data, one.data)


def test_mask(files, here):
    (here / "source.reg").write_text('fk5\ncircle(350.866, 58.815, 3")\n')
    assert run("bin", files / "events.fits", *GRID, "--mask", "source.reg", "-o", "cube.fits", "--quiet") == 0
    assert 0 < EventCube.read("cube.fits").mask.sum() < 300


def test_background(files, exposure):
    with_exposure = EventCube.read(files / "cube.fits").with_exposure(exposure)
    with_exposure.write("cube.fits")
    EventCube(
        np.full((12, 28, 33), 0.5), energy_edges=toy.EDGES, wcs=toy.wcs(), meta=fits.Header({"EXPOSURE": 1.0})
    ).write("blank.fits")
    how = ("--background", "blank.fits", "--background-scale", 0.2)
    assert run("separate", "cube.fits", files / "model.fits", *how, "-o", "components.fits", "--quiet") == 0
    result = Separation.read("components.fits")
    assert result.background.spectrum().sum() == pytest.approx(0.1 * 12 * 28 * 33, rel=1e-5)
    assert result.flux_images["soft"].unit == u.count / u.s


def test_what_cannot_be_done(files, exposure, fails):
    events = files / "events.fits"
    fails("2 event lists; give a list of as many exposure maps", "bin", events, events, *GRID, "--exposure", exposure,
          "-o", "x.fits")  # fmt: skip
    fails("need --background, the file", "separate", files / "cube.fits", files / "model.fits", "--free-background",
          "-o", "x.fits")  # fmt: skip
    fails("there is no file 'none.fits'", "bin", events, "--like", "none.fits", "-o", "x.fits")
