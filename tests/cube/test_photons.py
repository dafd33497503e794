import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from astro_lpalm import EventCube
from astro_lpalm.cube import Photons

SHAPE = 5, 13, 17
EDGES = np.arange(1, 7) * u.keV


def wcs():
    found = WCS(naxis=2)
    found.wcs.ctype, found.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1e-3, 1e-3]
    return found


def pair(masked, mean=0.3):
    """The same cube of an array and of photons."""
    rng = np.random.default_rng(0)
    data, mask = rng.poisson(mean, SHAPE), rng.random(SHAPE[1:]) < 0.2
    options = {"energy_edges": EDGES, "wcs": wcs(), "mask": mask if masked else None}
    return EventCube(data, **options), EventCube(Photons.of(data), **options)


@pytest.mark.parametrize("masked", [False, True])
def test_photons_are_the_counts_of_the_array(masked):
    rng, (laid_out, sparse) = np.random.default_rng(1), pair(masked)
    assert sparse.is_sparse
    assert not laid_out.is_sparse
    X, images, labels = laid_out.matrix(), rng.normal(size=(2, laid_out.counts.shape[1])), None
    rows, labels = rng.normal(size=(3, 5)), rng.integers(0, 7, X.shape[1])
    for counts in (laid_out.counts, sparse.counts):
        assert counts.shape == X.shape
        assert_array_equal(counts.matrix(), X)
        assert_array_equal(counts[2], X[2])
        assert_allclose(counts.spectrum(), X.sum(axis=1))
        assert_allclose(counts.image(), X.sum(axis=0))
        assert_allclose(counts.project(rows), rows @ X)
        assert counts.project(rows.astype(np.float32)).dtype == np.float32
        assert_allclose(counts.moments(images), X @ images.T)
        assert_allclose(counts.squares(), np.sum(X**2))
        assert_allclose(counts.sums(labels), [np.bincount(labels, row, 7) for row in X])
        assert_array_equal(counts.of_pixels(np.array([1, 5, 9])).matrix(), X[:, [1, 5, 9]])
        assert counts.n_negative() == 0
    assert_array_equal(sparse.data, laid_out.data)
    assert_array_equal(sparse.image(), laid_out.image())
    assert_array_equal(sparse.planes(slice(1, 3)), laid_out.planes(slice(1, 3)))
    assert repr(sparse) == repr(laid_out)[:-1] + ", kept as photons>"


@pytest.mark.parametrize("masked", [False, True])
def test_what_is_made_of_photons_has_photons(masked):
    laid_out, sparse = pair(masked)
    for of_array, of_photons in (
        (laid_out[1:3, 2:9, 3:], sparse[1:3, 2:9, 3:]),
        (laid_out.rebin([2, 4, 6] * u.keV), sparse.rebin([2, 4, 6] * u.keV)),
        (EventCube.merge([laid_out, laid_out]), EventCube.merge([sparse, sparse])),
        (laid_out.with_exposure(np.ones(SHAPE[1:])), sparse.with_exposure(np.ones(SHAPE[1:]))),
    ):
        assert of_photons.is_sparse
        assert_array_equal(of_photons.data, of_array.data)
    assert not EventCube.merge([laid_out, sparse]).is_sparse


def test_masked_photons_are_not_merged_where_another_cube_fills_the_gap():
    laid_out, sparse = (each.with_exposure(np.ones(SHAPE[1:]) * u.s) for each in pair(True))
    assert_array_equal(EventCube.merge([sparse, sparse]).data, EventCube.merge([laid_out, laid_out]).data)


def test_photons_drawn_again_are_as_many_on_average():
    sparse = pair(False)[1]
    rng = np.random.default_rng(0)
    drawn = [sparse.redrawn(rng).image().sum() for _ in range(50)]
    assert abs(np.mean(drawn) - sparse.image().sum()) < 4 * np.sqrt(sparse.image().sum() / 50)
    assert np.std(drawn) > 0


@pytest.mark.parametrize("mean", [0.01, 0.5])
@pytest.mark.parametrize("brightest", [3, 300, 40_000])
def test_cubes_of_photons_are_written_and_read(tmp_path, mean, brightest):
    sparse = pair(True, mean)[1]
    data = sparse.data
    data[2, ~sparse.mask] = 0
    data[2, 5, 5] = brightest
    sparse = EventCube(Photons.of(data), energy_edges=EDGES, wcs=wcs(), mask=sparse.mask, meta={"OBS_ID": "7"})
    sparse.write(tmp_path / "cube.fits")
    again = EventCube.read(tmp_path / "cube.fits")
    assert again.is_sparse == (mean < 0.05)
    assert_array_equal(again.data, data)
    assert_array_equal(again.mask, sparse.mask)
    assert_allclose(again.energy_edges, EDGES)
    assert again.meta["OBS_ID"] == "7"
    with fits.open(tmp_path / "cube.fits") as hdulist:  # as another program would read it
        assert_array_equal(hdulist["COUNTS"].data, data)
        assert hdulist["COUNTS"].header["CTYPE1"] == "RA---TAN"


def test_nothing_is_left_to_work_on():
    with pytest.raises(ValueError, match="the cube is zero everywhere"):
        EventCube(Photons.of(np.zeros(SHAPE, dtype=int)), energy_edges=EDGES, wcs=wcs())


def test_what_is_no_photons():
    with pytest.raises(ValueError, match="sparse matrix of whole numbers.*shape \\(5, 7\\) and type int64"):
        Photons(csr_array(np.ones((5, 7), dtype=np.int64)), SHAPE)
    with pytest.raises(ValueError, match="type float64"):
        Photons.of(np.ones(SHAPE))


def events(n, side):
    rng = np.random.default_rng(0)
    columns = [
        fits.Column(name, "E", coord_type=kind, coord_ref_value=value, coord_ref_point=side / 2, coord_inc=step * 1e-3,
                    coord_unit="deg", array=rng.uniform(0.5, side + 0.5, n))
        for name, kind, value, step in (("X", "RA---TAN", 150, -1), ("Y", "DEC--TAN", 2, 1))
    ]  # fmt: skip
    columns.append(fits.Column("ENERGY", "E", unit="keV", array=rng.uniform(0.4, 7.2, n)))
    return fits.BinTableHDU.from_columns(columns, name="EVENTS")


@pytest.mark.parametrize("region", [False, True])
def test_events_are_binned_alike(region, tmp_path):
    bounds = (0.5, 40.5, 0.5, 30.5)
    options = {"bounds": bounds, "n_energy": 10}
    if region:
        path = tmp_path / "region.reg"
        path.write_text("image\ncircle(20,15,9)\n")
        options["region"] = path
    hdu = events(3000, 50)
    laid_out, sparse = (EventCube.from_events(hdu, sparse=each, **options) for each in (False, True))
    assert sparse.is_sparse
    assert_array_equal(sparse.data, laid_out.data)


def test_large_cubes_that_are_mostly_empty_keep_photons(caplog):
    hdu = events(500, 600)
    with caplog.at_level(logging.INFO):
        cube = EventCube.from_events(hdu, bounds=(0.5, 600.5, 0.5, 600.5))
    assert cube.is_sparse
    assert "the cube keeps photons, not an array" in caplog.text
    assert not EventCube.from_events(hdu, bounds=(0.5, 60.5, 0.5, 60.5)).is_sparse
