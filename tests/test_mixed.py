"""Observations whose cubes are kept as photons, laid out, or stored, together: as all of them laid out."""

from functools import partial
from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm import EventCube, separate
from astro_lpalm.cube import Photons, planes
from astro_lpalm.forward import ExpectedBackground
from astro_lpalm.results import Separation

from . import skies, toy
from .cube.test_planes import Stored
from .test_sparse import _few_pixels, _few_planes, same

separate = partial(separate, smooth=False, progress=False)
MASK = np.zeros((skies.SIDE, skies.SIDE), dtype=bool)
MASK[4:8, 10:16] = True
KINDS = {"photons": Photons.of, "array": np.asarray, "stored": partial(Stored, most=4)}


def observed(kinds):
    """Give three cubes, and a blank field for the first and the last one, all of these kinds."""
    first, second = skies.observe(2, background=(0.1, 0))
    third = skies.observe(3, background=(0, 0.2), exposures=(skies.gaps()[0], np.ones(MASK.shape)))[1]
    third.meta["OBS_ID"] = "3"
    cubes, blanks, rng = [], [], np.random.default_rng(2)
    for cube, level, kind in zip((first, second, third), (0.1, None, 0.2), kinds):
        keep = partial(EventCube, energy_edges=skies.EDGES, wcs=toy.wcs())
        mask = MASK if cube is second else None
        cubes.append(keep(KINDS[kind](cube.data), exposure=cube.exposure, meta=cube.meta, mask=mask))
        blank = None
        if level is not None:
            exposure = cube.exposure.value / cube.exposure.value.max()
            blank = keep(KINDS[kind](rng.poisson(100 * level, cube.shape) * (exposure > 0)))
            blank = ExpectedBackground(blank, scale=0.01, free=level == 0.2)
        blanks.append(blank)
    return cubes, blanks


def separated(kinds, **options):
    cubes, blanks = observed(kinds)
    instruments = skies.instruments()
    return separate(cubes, skies.model(), instrument=[*instruments, instruments[1]], background=blanks, **options)


@pytest.fixture(scope="module")
def expected():
    return separated(["array"] * 3)


@pytest.mark.parametrize(
    "kinds", [*permutations(KINDS), ("photons", "photons", "array"), ("photons", "photons", "photons")]
)
def test_results_are_the_same_and_nothing_is_laid_out(expected, kinds, monkeypatch, tmp_path):
    monkeypatch.setattr("astro_lpalm.cube.counts.PhotonCounts.matrix", _few_pixels)
    monkeypatch.setattr(Photons, "__array__", _few_planes(4))
    monkeypatch.setattr(planes, "physical_memory", lambda: 4 * 8 * MASK.size)  # four planes of the 65
    found = separated(kinds)
    assert (found.cube.is_sparse, found.cube.is_lazy) == (set(kinds) == {"photons"}, "stored" in kinds)
    same(found.parameters["value"], expected.parameters["value"])
    for name, image in found.images.items():
        same(image.data, expected.images[name].data)
        same(found.image_uncertainty[name], expected.image_uncertainty[name])
    for name in expected.diagnostics.meta:
        same(found.diagnostics.meta[name], expected.diagnostics.meta[name])
    same(found.background.spectrum(), expected.background.spectrum())
    same(found.background.matrix(), expected.background.matrix())
    found.write(tmp_path / "components.fits")
    monkeypatch.undo()
    assert_array_equal(found.cube.matrix(), expected.cube.matrix())
    again = Separation.read(tmp_path / "components.fits")
    assert_allclose(again.background.matrix(), expected.background.matrix(), rtol=1e-6)
    assert_allclose(again.residuals.data, expected.residuals.data, atol=1e-3)


def test_smooth_images_are_the_same_and_nothing_is_laid_out(monkeypatch):
    expected = separated(["array"] * 3, smooth=True)
    monkeypatch.setattr("astro_lpalm.cube.counts.PhotonCounts.matrix", _few_pixels)
    monkeypatch.setattr("astro_lpalm.separation.sky_data._MANY", 0)
    monkeypatch.setattr(Photons, "__array__", _few_planes(4))
    monkeypatch.setattr(planes, "physical_memory", lambda: 4 * 8 * MASK.size)
    found = separated(["photons", "array", "stored"], smooth=True)
    off = (found.parameters["value"] - expected.parameters["value"]) / expected.parameters["error_high"]
    assert np.abs(off).max() < 0.1
    for name, smooth in expected.smooth_images.items():  # steps are cut short: how far they go hangs on last digits
        change = np.abs(found.smooth_images[name].data - smooth.data) / smooth.uncertainty.array
        assert np.nanmean(change) < 0.05


def test_what_joint_separations_read():
    cubes, blanks = observed(["stored"] * 3)
    sources = [each._data.read.array for each in [*cubes, *(each.counts for each in blanks if each is not None)]]
    before, instruments = [each.n_read for each in sources], skies.instruments()
    separate(cubes, skies.model(), instrument=[*instruments, instruments[1]], background=blanks)
    assert max((each.n_read - n) / 65 for each, n in zip(sources, before)) <= 20  # docs/large_fields.rst


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_sums_of_cubes(first, second):
    cubes = observed([first, second, "array"])[0][:2]
    whole = EventCube.merge(observed(["array"] * 3)[0][:2])
    before = [each.data.copy() for each in cubes]
    found = EventCube.merge(cubes)
    assert found.is_sparse == (first == second == "photons")
    assert found.is_lazy == ("stored" in (first, second))
    assert_array_equal(found.data, whole.data)
    assert found.data.dtype == whole.data.dtype
    assert_array_equal(found.pixel_mask, whole.pixel_mask)
    for cube, data in zip(cubes, before):
        assert_array_equal(cube.data, data)
