"""Cubes whose counts stay where they are stored are those of the same counts in memory."""

import logging
import pickle
import tracemalloc
from functools import partial

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm import EventCube
from astro_lpalm.cube import Photons, Planes, planes, stored

from .test_photons import EDGES, SHAPE, wcs

MASK = np.random.default_rng(2).random(SHAPE[1:]) < 0.2
EXPOSURE = np.linspace(0.5, 1, SHAPE[2]) * np.ones(SHAPE[1:]) * u.s


class Stored:
    """An array that refuses to give more than so many planes at once, and counts them."""

    def __init__(self, array, most=2, chunks=None):
        self.array, self.most, self.shape, self.dtype, self.n_read = array, most, array.shape, array.dtype, 0
        if chunks is not None:
            self.chunks = chunks

    def __getitem__(self, item):
        found = self.array[item]
        assert found.ndim == 3
        assert len(found) <= self.most
        self.n_read += len(found)
        return found


@pytest.fixture(autouse=True)
def _two_planes_at_once(monkeypatch):
    monkeypatch.setattr(planes, "_DEPTH", 2)


def counts(dtype=np.int32, mean=3.0, seed=0):
    return np.random.default_rng(seed).poisson(mean, SHAPE).astype(dtype)


def pair(dtype=np.int32, **options):
    """The same cube in memory and elsewhere."""
    data, options = counts(dtype), {"energy_edges": EDGES, "wcs": wcs(), **options}
    return EventCube(data, **options), EventCube(Stored(data), **options)


def assert_same(found, expected):
    assert found.is_lazy
    assert_array_equal(found.pixel_mask, expected.pixel_mask)
    assert_array_equal(found.matrix(), expected.matrix())
    assert_array_equal(found.image(), expected.image())
    assert_allclose(found.energy_edges, expected.energy_edges)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
@pytest.mark.parametrize("mask", [None, MASK])
def test_products_are_those_of_the_array(mask, dtype):
    rng, (whole, lazy) = np.random.default_rng(1), pair(dtype, mask=mask)
    X = whole.matrix()
    rows, images, labels = rng.normal(size=(3, 5)), rng.normal(size=(2, X.shape[1])), rng.integers(0, 7, X.shape[1])
    found = lazy.counts
    assert found.shape == X.shape
    assert_array_equal(found.matrix(), X)
    assert_array_equal(found[2], X[2])
    assert_array_equal(found.spectrum(), X.sum(axis=1))
    assert_array_equal(found.image(), X.sum(axis=0))
    assert_allclose(found.project(rows), rows @ X)
    assert found.project(rows.astype(np.float32)).dtype == np.float32
    assert_allclose(found.moments(images), X @ images.T)
    assert_allclose(found.squares(), np.sum(X**2))
    assert_array_equal(found.sums(labels), whole.counts.sums(labels))
    assert_array_equal(found.merged(labels, 9).matrix(), whole.counts.merged(labels, 9).matrix())
    assert_array_equal(found.of_pixels(np.array([1, 5, 9])).matrix(), X[:, [1, 5, 9]])
    assert found.n_negative() == 0
    assert_array_equal(lazy.data, whole.data)
    assert_array_equal(lazy.planes(slice(1, 3)), whole.planes(slice(1, 3)))
    assert_array_equal(lazy.photons.matrix.toarray(), whole.photons.matrix.toarray()) if dtype == np.int32 else None
    assert repr(lazy) == repr(whole)[:-1] + ", read plane by plane>"
    assert lazy._repr_html_() == whole._repr_html_()


def test_sums_are_read_once():
    source = Stored(counts())
    cube = EventCube(source, energy_edges=EDGES, wcs=wcs(), mask=MASK)
    (
        cube.counts.spectrum(),
        cube.counts.image(),
        cube.image(),
        cube.counts.squares(),
        cube.counts.n_negative(),
        repr(cube),
    )
    cube.with_mask(np.zeros(SHAPE[1:])).rebin(EDGES)
    assert source.n_read == SHAPE[0]
    cube.image()[:] = 0  # a copy
    assert_array_equal(cube.image(), counts().sum(axis=0))


def test_what_is_made_of_planes_has_planes():
    whole, lazy = pair(mask=MASK)
    assert_same(lazy[1:4, 2:9, 3:], whole[1:4, 2:9, 3:])
    assert_same(lazy[1:4][1:], whole[2:4])
    assert_same(lazy.rebin(EDGES[[0, 1, 4]]), whole.rebin(EDGES[[0, 1, 4]]))
    assert_same(lazy.with_mask(MASK[::-1]), whole.with_mask(MASK[::-1]))
    assert_same(lazy.with_exposure(EXPOSURE), whole.with_exposure(EXPOSURE))
    again, other = (lazy.redrawn(np.random.default_rng(seed)) for seed in (0, 1))
    assert_array_equal(again.data, again.data)  # drawn anew each time, and yet the same
    assert (again.data != other.data).any()
    assert abs(again.counts.spectrum().sum() / whole.counts.spectrum().sum() - 1) < 0.1


@pytest.mark.parametrize("exposure", [None, EXPOSURE])
def test_merging(exposure):
    options = {"mask": MASK, "exposure": exposure}
    whole, lazy = pair(**options)
    for others in (counts(np.int16, seed=5), Photons.of(counts(seed=5)), Stored(counts(seed=5))):
        options = {"energy_edges": EDGES, "wcs": wcs(), "mask": MASK[::-1], "exposure": exposure}
        other = EventCube(others, **options)
        expected = EventCube.merge([whole, EventCube(other.data, **options)])
        assert_same(EventCube.merge([lazy, other]), expected)
        assert_same(EventCube.merge([other, lazy]), expected)


def test_validation():
    options = {"energy_edges": EDGES, "wcs": wcs()}
    bad, mask = counts(float), np.zeros(SHAPE[1:], dtype=bool)
    bad[2, 3, 4], mask[3, 4] = np.nan, True
    with pytest.raises(ValueError, match=r"1 unmasked pixels hold NaN.*mask=~np.isfinite\(sum\(data\)\)"):
        EventCube(Stored(bad), **options)
    assert_array_equal(mask, ~np.isfinite(sum(bad)))
    assert EventCube(Stored(bad), mask=mask, **options).is_lazy
    with pytest.raises(ValueError, match="zero everywhere, outside the mask"):
        EventCube(Stored(np.where(mask, 1, 0) * np.ones(SHAPE, dtype=int)), mask=mask, **options)
    assert EventCube(Stored(counts() - 1), **options).counts.n_negative() == np.sum(counts() == 0)
    for data in (counts()[0], counts(complex), counts() > 1):
        with pytest.raises(ValueError, match="three dimensions, .*, of integers or floating"):
            EventCube(Stored(data), **options)
    with pytest.raises(ValueError, match="6 edges"):
        EventCube(Stored(counts()), energy_edges=EDGES[1:], wcs=wcs())


def test_what_does_not_fit_in_memory_is_not_laid_out(monkeypatch):
    cube = pair()[1]
    monkeypatch.setattr(planes, "physical_memory", lambda: 1000)
    for lay_out in (lambda: cube.data, cube.matrix, cube.to_hdulist):
        with pytest.raises(
            ValueError, match=r"shape \(5, 13, 17\) takes .* more than there is memory: take cube.planes"
        ):
            lay_out()


@pytest.mark.parametrize("depth", [2, 4])
def test_chunks_are_read_whole_and_once(depth):
    source = Stored(counts(), most=depth, chunks=(depth, 5, 5))
    cube = EventCube(source, energy_edges=EDGES, wcs=wcs())
    assert source.n_read == SHAPE[0]
    assert_array_equal(np.stack([cube.planes(slice(k, k + 1))[0] for k in range(SHAPE[0])]), counts())
    assert source.n_read <= 2 * SHAPE[0]
    assert_array_equal(pickle.loads(pickle.dumps(cube)).data, counts())


def test_chunks_of_too_many_energies_are_warned_of(monkeypatch):
    monkeypatch.setattr(planes, "_AT_ONCE", 2 * counts()[0].nbytes)
    with pytest.warns(AstropyUserWarning, match=r"chunks of 5 energies, .* read 3 times.*rechunk\(\(1, -1, -1\)\)"):
        cube = EventCube(Stored(counts(), chunks=(5, 4, 4)), energy_edges=EDGES, wcs=wcs())
    assert_array_equal(cube.data, counts())


def test_dask_arrays_and_memory_maps(tmp_path):
    np.save(tmp_path / "counts.npy", counts())
    mapped = EventCube(np.load(tmp_path / "counts.npy", mmap_mode="r"), energy_edges=EDGES, wcs=wcs())
    assert_same(mapped, pair()[0])
    assert_same(mapped.with_exposure(EXPOSURE), pair()[0].with_exposure(EXPOSURE))
    arrays = pytest.importorskip("dask.array", reason="dask, of the extra 'distributed', is not installed")
    chunked = arrays.from_array(counts(), chunks=(2, 8, 8))
    assert_same(EventCube(chunked, energy_edges=EDGES, wcs=wcs(), mask=MASK), pair(mask=MASK)[0])
    assert_same(EventCube(chunked + 0, energy_edges=EDGES, wcs=wcs())[1:], pair()[0][1:])


@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "i8", "f4", "f8", "u2", "u4"])
def test_files_are_read_plane_by_plane(kind, tmp_path):
    path, again = tmp_path / "cube.fits", tmp_path / "again.fits"
    whole = EventCube(counts(kind), energy_edges=EDGES, wcs=wcs(), mask=MASK, exposure=EXPOSURE)
    whole.write(path)
    found = EventCube.read(path, memmap=True)
    assert_same(found, EventCube.read(path))
    assert found.data.dtype == np.dtype(kind)
    assert_array_equal(found.exposure, whole.exposure)
    found.write(again)
    with fits.open(again, checksum=True) as hdulist:  # warnings are errors
        hdulist.verify("exception")
        assert_array_equal(hdulist[0].data, counts())
        assert "DATASUM" in hdulist[0].header
    assert_same(EventCube.read(again, memmap=True), whole)
    assert_array_equal(pickle.loads(pickle.dumps(found)).data, counts())


def test_wavelengths_are_read_in_the_order_of_energies(tmp_path):
    header = wcs().to_header()
    header.update({"CTYPE3": "WAVE", "CUNIT3": "Angstrom", "CRPIX3": 1, "CRVAL3": 2, "CDELT3": 1})
    fits.PrimaryHDU(counts(), header).writeto(tmp_path / "cube.fits")
    expected = EventCube.read(tmp_path / "cube.fits")
    assert_array_equal(expected.data, counts()[::-1])
    assert_same(EventCube.read(tmp_path / "cube.fits", memmap=True), expected)


def test_large_files_stay_where_they_are(tmp_path, monkeypatch, caplog):
    path = tmp_path / "cube.fits"
    pair()[0].write(path)
    assert not EventCube.read(path).is_lazy
    monkeypatch.setattr(stored, "physical_memory", lambda: 4 * counts().nbytes - 1)
    with caplog.at_level(logging.INFO, logger="astro_lpalm"):
        cube = EventCube.read(path)
    assert cube.is_lazy
    assert "stay in the file, and are read plane by plane" in caplog.text
    assert not EventCube.read(path, memmap=False).is_lazy
    pair()[0].with_mask(MASK).write(path, overwrite=True)
    with pytest.raises(OSError, match=r"cube.fits' has changed since the cube was read from it; read it again"):
        cube.planes(slice(0, 1))


def test_files_that_cannot_be_read_plane_by_plane(tmp_path, monkeypatch):
    cube, path = pair()[0], tmp_path / "cube.fits"
    cube.write(tmp_path / "cube.fits.gz")
    hdulist = cube.to_hdulist()
    hdulist[0].header["BLANK"] = -1
    hdulist.writeto(path)
    packed = fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(cube.data, cube.to_hdulist()[0].header), hdulist[1]])
    packed.writeto(tmp_path / "packed.fits")
    for name, why in (("cube.fits.gz", "compressed, or a pipe"), ("cube.fits", "BLANK"), ("packed.fits", "funpack")):
        with pytest.raises(ValueError, match=rf"{name}.*cannot be read from the file one by one: .*{why}"):
            EventCube.read(tmp_path / name, memmap=True)
        assert not EventCube.read(tmp_path / name).is_lazy
    pair()[1].write(tmp_path / "other.fits.gz")  # whole before it is compressed
    assert_array_equal(EventCube.read(tmp_path / "other.fits.gz").data, cube.data)
    assert {each.name for each in tmp_path.iterdir()} == {"cube.fits", "cube.fits.gz", "packed.fits", "other.fits.gz"}
    monkeypatch.setattr("astro_lpalm.cube.compressed.physical_memory", lambda: 1000)
    with pytest.raises(ValueError, match="compressed image of .* is full, and larger than memory; unpack it"):
        EventCube.read(tmp_path / "packed.fits")
    monkeypatch.setattr(stored, "physical_memory", lambda: 1000)
    with pytest.raises(ValueError, match="cannot be read from the file one by one: it is compressed"):
        EventCube.read(tmp_path / "cube.fits.gz")


def test_products_take_the_memory_of_few_planes():
    source = Planes((80, 120, 120), np.int32, partial(_made, (120, 120)))
    X, plane = source.counts(), 8 * 120 * 120
    X.spectrum()
    rows, images = np.ones((2, 80), dtype=np.float32), np.ones((2, 120 * 120), dtype=np.float32)
    labels = np.arange(120 * 120) // 100
    for product in (X.spectrum, lambda: X.project(rows), lambda: X.moments(images), lambda: X.sums(labels), X.image):
        tracemalloc.start()
        product()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10 * plane


def _made(sides, start, stop):
    return np.full((stop - start, *sides), 3, dtype=np.int32)


def test_planes_have_no_steps():
    assert_array_equal(np.asarray(Planes.of(Stored(counts()))[::-1]), counts()[::-1])
    assert_array_equal(Planes.of(Stored(counts()))[-1], counts()[-1])
    with pytest.raises(ValueError, match="with a step of 2"):
        Planes.of(Stored(counts()))[::2]
