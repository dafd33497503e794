"""Separations of photons are those of the same counts laid out."""

from functools import partial

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm import EventCube, Instrument, separate
from astro_lpalm.cube import Photons
from astro_lpalm.forward import ExpectedBackground
from astro_lpalm.results import Separation
from astro_lpalm.separation import sky_data
from astro_lpalm.separator import search

from . import toy

separate = partial(separate, smooth=False, progress=False)
SHAPE = 28, 33
MASK = np.zeros(SHAPE, dtype=bool)
MASK[4:8, 10:16] = True
EXPOSURE = np.linspace(0.5, 1, SHAPE[1]) * np.ones(SHAPE)


def pair(level=0, **options):
    """The same cube of an array and of photons, of so many background counts a cell."""
    data = toy.cube().data + np.random.default_rng(1).poisson(level, (12, *SHAPE)).astype(np.int32)
    options = {"energy_edges": toy.EDGES, "wcs": toy.wcs(), **options}
    return EventCube(data, **options), EventCube(Photons.of(data), **options)


def background(free):
    return ExpectedBackground(np.full(12, 4620.0), free=free)


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ({}, {}),
        ({"mask": MASK}, {"n_resamplings": 2}),
        ({"mask": MASK, "exposure": EXPOSURE}, {"background": background(True)}),
        ({}, {"background": background(False), "transform": "db4"}),
    ],
)
def test_results_are_the_same(options, given, tmp_path):
    level = 5 if "background" in given else 0
    expected, found = (separate(each, toy.model(), **given) for each in pair(level, **options))
    assert found.cube.is_sparse
    assert_allclose(found.sources, expected.sources, rtol=1e-4, atol=1e-4 * np.abs(expected.sources).max())
    assert_allclose(found.mixing, expected.mixing, atol=1e-5)
    assert_allclose(found.spectra_uncertainty, expected.spectra_uncertainty, rtol=1e-4)
    for name in found.names:
        assert_allclose(found.image_uncertainty[name], expected.image_uncertainty[name], rtol=1e-3)
    assert found.diagnostics.meta.keys() == expected.diagnostics.meta.keys()
    assert_allclose(found.residuals.data, expected.residuals.data, atol=1e-3)
    found.write(tmp_path / "components.fits")
    again = Separation.read(tmp_path / "components.fits")
    assert again.cube.is_sparse == (again.cube.photons.n_filled < 0.05 * again.cube.photons.size)
    assert_array_equal(again.cube.matrix(), found.cube.matrix())
    assert_allclose(again.residuals.data, found.residuals.data, atol=1e-3)
    with fits.open(tmp_path / "components.fits") as hdulist:
        assert "RESIDUAL" not in hdulist
        assert_array_equal(hdulist["COUNTS"].data[:, ~found.cube.pixel_mask], found.cube.matrix())


def test_no_step_lays_photons_out(monkeypatch):
    sparse = pair()[1]
    lay_out = Photons.__array__

    def few_planes(self, dtype=None, copy=None):
        assert len(self) <= 4
        return lay_out(self, dtype)

    monkeypatch.setattr(Photons, "__array__", few_planes)
    monkeypatch.setattr("astro_lpalm.cube.counts.PhotonCounts.matrix", _few_pixels)
    separate(sparse, toy.model(), n_resamplings=2)


@pytest.mark.parametrize("given", [{}, {"background": background(False)}, {"instrument": Instrument(psf=5 * u.arcsec)}])
def test_smooth_images_are_those_of_the_same_counts_laid_out(given, monkeypatch):
    def smooth():
        result = separate(pair(5 if "background" in given else 0)[1], toy.model(), smooth=True, **given)
        return np.array([each.data for each in result.smooth_images.values()])

    expected = smooth()  # so few pixels are laid out
    monkeypatch.setattr(sky_data, "_MANY", 0)
    monkeypatch.setattr("astro_lpalm.cube.counts.PhotonCounts.matrix", _few_pixels)
    assert_allclose(smooth(), expected, rtol=1e-6)


def _few_pixels(self, dtype=float):
    """Lay out blocks and few pixels, as diagnostics do, but not an image."""
    assert self.shape[1] < SHAPE[0] * SHAPE[1]
    return self.photons.astype(dtype).toarray()


def test_smooth_images_say_what_they_would_take(monkeypatch):
    monkeypatch.setattr(search, "physical_memory", lambda: 1000)
    with pytest.raises(ValueError, match=r"smooth images of a cube of \(12, 28, 33\) take .* give smooth=False"):
        separate(pair()[1], toy.model(), smooth=True)
