"""Separations of cubes that stay where they are stored are those of the same counts in memory."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm import EventCube, separate
from astro_lpalm._memory import array_on_disk
from astro_lpalm.cube import planes
from astro_lpalm.forward import ExpectedBackground
from astro_lpalm.results import Separation
from astro_lpalm.results._plot_sky import misfit_plane
from astro_lpalm.results.report.panels import residual_panels
from astro_lpalm.separator import Separator, search

from . import toy
from .cube.test_planes import Stored

separate = partial(separate, smooth=False, progress=False)
SHAPE = 28, 33
MASK = np.zeros(SHAPE, dtype=bool)
MASK[4:8, 10:16] = True
FEW = 4 * 8 * SHAPE[0] * SHAPE[1]  # bytes of four planes of the twelve
EXPOSURE = np.linspace(0.5, 1, SHAPE[1]) * np.ones(SHAPE)


def pair(level=0, **options):
    """The same cube in memory and elsewhere, of so many background counts a cell."""
    data = toy.cube().data + np.random.default_rng(1).poisson(level, (12, *SHAPE)).astype(np.int32)
    options = {"energy_edges": toy.EDGES, "wcs": toy.wcs(), **options}
    return EventCube(data, **options), EventCube(Stored(data, most=4), **options)


def background(free=False, counts=4620.0):
    return ExpectedBackground(np.full(12, counts), free=free)


def close(found, expected):
    """To a millionth of the largest value."""
    assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.nanmax(np.abs(expected)))


def assert_same(found, expected):
    assert found.cube.is_lazy
    close(found.sources, expected.sources)
    close(found.mixing, expected.mixing)
    close(found.spectra_uncertainty, expected.spectra_uncertainty)
    for name in found.names:
        close(found.image_uncertainty[name], expected.image_uncertainty[name])
    assert found.diagnostics.meta.keys() == expected.diagnostics.meta.keys()
    for key, value in expected.diagnostics.meta.items():
        assert found.diagnostics.meta[key] == pytest.approx(value, rel=1e-5), key
    assert_allclose(found.residuals.data, expected.residuals.data, atol=1e-6 * expected.cube.planes(slice(12)).max())
    close(found.model_cube().data, expected.model_cube().data)


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ({}, {}),
        ({"mask": MASK}, {"n_resamplings": 2}),
        ({"mask": MASK, "exposure": EXPOSURE}, {"background": background(free=True)}),
        ({}, {"background": background(), "transform": "db4"}),
    ],
)
def test_results_are_the_same_and_nothing_is_laid_out(options, given, tmp_path, monkeypatch):
    cubes = pair(5 if "background" in given else 0, **options)
    expected = separate(cubes[0], toy.model(), **given)
    with monkeypatch.context() as patch:
        patch.setattr(planes, "physical_memory", lambda: FEW)
        found = separate(cubes[1], toy.model(), **given)
        found.write(tmp_path / "components.fits")
    assert_same(found, expected)
    with fits.open(tmp_path / "components.fits", checksum=True) as hdulist:  # warnings are errors
        hdulist.verify("exception")
        assert_allclose(hdulist["RESIDUAL"].data, expected.residuals.data, atol=1e-3)
        assert ("BACKGROUND_IMAGE" in hdulist) == ("background" in given)
    for memmap in (None, True):
        again = Separation.read(tmp_path / "components.fits", memmap=memmap)
        assert again.cube.is_lazy == bool(memmap)
        assert_array_equal(again.cube.pixel_mask, found.cube.pixel_mask)
        assert_allclose(again.cube.matrix(), found.cube.matrix(), atol=1e-3)
        assert_allclose(again.sources, found.sources, rtol=1e-6, atol=1e-4)
        assert_allclose(np.asarray(again.residuals.data), expected.residuals.data, atol=1e-3)


@pytest.mark.parametrize("given", [{"n_samples": 2}, {"background": background()}])
def test_smooth_images_are_the_same_and_the_cube_is_on_disk(given, monkeypatch):
    cubes = pair(5 if "background" in given else 0, mask=MASK, exposure=EXPOSURE)
    expected = separate(cubes[0], toy.model(), smooth=True, **given)
    with monkeypatch.context() as patch:
        patch.setattr(planes, "physical_memory", lambda: FEW)
        found = separate(cubes[1], toy.model(), smooth=True, **given)
    assert_same(found, expected)
    for name, smooth in expected.smooth_images.items():  # steps are cut short: how far they go hangs on last digits
        change = np.abs(found.smooth_images[name].data - smooth.data) / smooth.uncertainty.array
        assert np.nanmean(change) < 0.05


def test_no_room_on_disk_is_said():
    def rows():
        raise OSError(28, "No space left on device")
        yield

    with pytest.raises(ValueError, match=r"there is no room in '.*' for 1.86e-09 GiB: No space left.* set TMPDIR"):
        array_on_disk(rows(), (1, 1), np.float16)


def test_what_a_separation_reads():
    cube = pair(mask=MASK)[1]
    result = separate(cube, toy.model())
    source = cube._data.read.array
    assert source.n_read <= 20 * len(cube.energy_edges[1:])  # docs/large_fields.rst
    before = source.n_read
    result.residuals.data[3]
    assert source.n_read == before + 1


def test_many_details_are_thinned_alike(monkeypatch):
    monkeypatch.setattr(planes, "physical_memory", lambda: FEW)
    details = [Separator(n_details=300).details(cube, SimpleNamespace(background=None)) for cube in pair(mask=MASK)]
    assert details[0].shape[1] < SHAPE[0] * SHAPE[1]
    assert_array_equal(*details)


def test_the_background_of_a_blank_field_stays_where_it_is(tmp_path, monkeypatch):
    whole, lazy = pair(5)
    blank = np.random.default_rng(2).poisson(5, whole.shape)
    blank, stored = (EventCube(each, energy_edges=toy.EDGES, wcs=toy.wcs()) for each in (blank, Stored(blank, most=4)))
    expected = separate(whole, toy.model(), background=ExpectedBackground(blank, scale=1))
    with monkeypatch.context() as patch:
        patch.setattr(planes, "physical_memory", lambda: FEW)
        found = separate(lazy, toy.model(), background=ExpectedBackground(stored, scale=1))
        found.write(tmp_path / "components.fits")
    assert_same(found, expected)
    with fits.open(tmp_path / "components.fits") as hdulist:
        assert_array_equal(hdulist["BACKGROUND_MODEL"].data, blank.data)
    with monkeypatch.context() as patch:
        patch.setattr(planes, "physical_memory", lambda: FEW)
        again = Separation.read(tmp_path / "components.fits", memmap=True)
        assert_allclose(again.background.project(np.eye(12)[2:4]), blank.matrix()[2:4])
    assert_allclose(again.cube.matrix(), whole.matrix(), atol=1e-3)


def test_the_journey_of_a_file(tmp_path):
    whole = pair(mask=MASK)[0]
    whole.write(tmp_path / "cube.fits")
    found = separate(EventCube.read(tmp_path / "cube.fits", memmap=True), toy.model())
    assert_same(found, separate(whole, toy.model()))
    with pytest.raises(FileExistsError):
        found.write(tmp_path / "cube.fits")
    separate(whole, toy.model()).write(tmp_path / "components.fits.gz")
    with pytest.raises(ValueError, match=r"components.fits.gz.*read from the file one by one: it is compressed"):
        Separation.read(tmp_path / "components.fits.gz", memmap=True)


def test_what_lays_the_cube_out_says_so(monkeypatch):
    cube = pair()[1]
    monkeypatch.setattr(search, "physical_memory", lambda: 1000)
    with pytest.raises(ValueError, match=r"smooth images of a cube of \(12, 28, 33\) take .* give smooth=False"):
        separate(cube, toy.model(), smooth=True)


def test_plots_and_reports_lay_nothing_out(monkeypatch, tmp_path):
    expected, found = (separate(each, toy.model()) for each in pair(mask=MASK))
    monkeypatch.setattr(planes, "physical_memory", lambda: FEW)
    assert_allclose(misfit_plane(found)[0], misfit_plane(expected)[0], atol=1e-4)
    for one, other in zip(residual_panels(found), residual_panels(expected)):
        assert_allclose(one.values, other.values, atol=1e-4)
    found.plot(tmp_path / "components.png")
    assert "Separation" in found._repr_html_()
