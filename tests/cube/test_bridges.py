import sys
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import NDData, StdDevUncertainty
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.cube import EventCube
from astro_lpalm.cube.bridges import from_gammapy, from_ndcube, to_gammapy, to_ndcube

EDGES = [1, 1.5, 2.5, 4, 5] * u.keV


@pytest.fixture
def masked(cube):
    mask = np.zeros(cube.data.shape[1:], dtype=bool)
    mask[:2, 3:7] = True
    return cube.rebin(EDGES).with_mask(mask)


@pytest.fixture
def image(masked):
    plane = np.where(masked.pixel_mask, np.nan, masked.data.sum(axis=0))
    return NDData(
        plane, unit=u.count, wcs=masked.wcs, mask=masked.pixel_mask, uncertainty=StdDevUncertainty(plane**0.5)
    )


def assert_same_cube(cube, expected):
    assert isinstance(cube, EventCube)
    kept = ~expected.pixel_mask
    assert_array_equal(cube.data[:, kept], expected.data[:, kept])
    assert_array_equal(cube.pixel_mask, expected.pixel_mask)
    assert_allclose(cube.energy_edges.value, expected.energy_edges.value, rtol=1e-12)
    sky = [each.wcs.pixel_to_world([0, 7], [3, 5]) for each in (cube, expected)]
    assert_allclose(sky[0].separation(sky[1]).arcsec, 0, atol=1e-6)


def test_gammapy(masked, image):
    pytest.importorskip("gammapy.maps", exc_type=ImportError)
    made = to_gammapy(masked)
    assert made.unit == u.count
    assert made.geom.axes.names == ["energy"]
    assert_allclose(made.geom.axes["energy"].edges.to_value("keV"), EDGES.value)
    # What gammapy reads off its map at a place and an energy is what was counted there.
    position = masked.wcs.pixel_to_world(9, 6)
    assert made.get_by_coord({"skycoord": position, "energy": 3 * u.keV})[0] == masked.data[2, 6, 9]
    assert made.geom.pixel_scales[0].to_value("arcsec") == pytest.approx(0.984)
    assert np.nansum(made.data) == masked.matrix().sum()
    assert_same_cube(from_gammapy(made), masked)
    flat = to_gammapy(image)
    assert flat.get_by_coord(position)[0] == image.data[6, 9]
    assert_array_equal(from_gammapy(flat).data, image.data)
    assert_array_equal(from_gammapy(flat).mask, image.mask)
    with pytest.raises(TypeError, match="expected a gammapy WcsNDMap, not ndarray"):
        from_gammapy(masked.data)


def test_gammapy_with_another_axis():
    maps = pytest.importorskip("gammapy.maps", exc_type=ImportError)
    axis = maps.MapAxis.from_edges([0, 1, 2], name="phase")
    other = maps.WcsNDMap(maps.WcsGeom.create(npix=(4, 3), axes=[axis]))
    with pytest.raises(ValueError, match="the map has the axes .*phase.*; expected one of energy"):
        from_gammapy(other)


def test_ndcube(cube, masked, image):
    pytest.importorskip("ndcube")
    made = to_ndcube(cube)
    position, energy = cube.wcs.pixel_to_world(9, 6), np.linspace(1.25, 4.75, 8)
    assert_allclose(made.axis_world_coords("em.energy")[0].to_value("keV"), energy)
    there = made.wcs.world_to_array_index(*made.wcs.pixel_to_world(9, 6, 2))
    assert there == (2, 6, 9)
    assert made.wcs.celestial.pixel_to_world(9, 6).separation(position).arcsec < 1e-6
    assert_same_cube(from_ndcube(made), cube)
    del made.meta["energy_edges"]
    assert_same_cube(from_ndcube(made), cube)
    made = masked.to_ndcube()
    assert made.mask.shape == made.data.shape
    assert_allclose(made.axis_world_coords("em.energy")[0].to_value("keV"), [1.25, 2, 3.25, 4.5])
    assert_allclose(made[1:3].axis_world_coords("em.energy")[0].to_value("keV"), [2, 3.25])
    assert_same_cube(from_ndcube(made), masked)
    del made.meta["energy_edges"]
    assert_same_cube(from_ndcube(made), masked)
    assert_same_cube(from_ndcube(to_ndcube(cube[2:5, 3:9, 4:15])), cube[2:5, 3:9, 4:15])
    flat = to_ndcube(image)
    again = from_ndcube(flat)
    assert_array_equal(again.data, image.data)
    assert_array_equal(again.uncertainty.array, image.uncertainty.array)
    with pytest.raises(ValueError, match=r"expected an NDCube of \(energy, y, x\)"):
        from_ndcube(type(flat)(np.zeros((2, 2, 2, 2)), wcs=flat.wcs.sub(["longitude", "latitude", 0, 0])))


@pytest.mark.parametrize("is_set", [False, True])
def test_energies_of_a_wcs_that_is_in_kev_until_it_is_set(is_set):
    wcs = WCS(naxis=3)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN", "ENER"], ["deg", "deg", "keV"]
    wcs.wcs.cdelt, wcs.wcs.crval, wcs.wcs.crpix = [-0.001, 0.001, 0.5], [0, 0, 1], [1, 1, 0.5]
    if is_set:
        wcs.wcs.set()  # it is in J from now on
    made = SimpleNamespace(data=np.ones((2, 4, 6)), wcs=wcs, unit=u.count, mask=None, meta=None)
    assert_allclose(from_ndcube(made).energy_edges.to_value("keV"), [1, 1.5, 2])


@pytest.mark.parametrize(("convert", "package"), [(to_gammapy, "gammapy"), (to_ndcube, "ndcube")])
def test_packages_that_are_not_installed(cube, monkeypatch, convert, package):
    for name in (package, f"{package}.maps"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"this needs {package}, .*pip install 'astro_lpalm\[bridges\]'"):
        convert(cube)
