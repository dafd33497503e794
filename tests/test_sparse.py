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

from . import skies, toy

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
    monkeypatch.setattr(Photons, "__array__", _few_planes(4))
    monkeypatch.setattr("astro_lpalm.cube.counts.PhotonCounts.matrix", _few_pixels)
    separate(sparse, toy.model(), n_resamplings=2)


def test_the_background_of_a_blank_field_is_kept_as_photons(monkeypatch, tmp_path):
    blank, results = np.random.default_rng(4).poisson(25, (12, *SHAPE)), []
    for cube, each in zip(pair(5), (blank, Photons.of(blank))):
        blank = EventCube(each, energy_edges=toy.EDGES, wcs=toy.wcs())
        if cube.is_sparse:
            monkeypatch.setattr(Photons, "__array__", _few_planes(4))
            monkeypatch.setattr("astro_lpalm.cube.counts.PhotonCounts.matrix", _few_pixels)
        results.append(separate(cube, toy.model(), background=ExpectedBackground(blank, scale=0.2, free=True)))
    expected, found = results
    same(found.sources, expected.sources)
    same(found.diagnostics.meta["background_amplitude"], expected.diagnostics.meta["background_amplitude"])
    found.write(tmp_path / "components.fits")
    monkeypatch.undo()
    again = Separation.read(tmp_path / "components.fits")
    assert_allclose(again.background.matrix(), expected.background.matrix(), rtol=1e-6)


@pytest.mark.parametrize("given", [{}, {"background": background(False)}, {"instrument": Instrument(psf=5 * u.arcsec)}])
def test_smooth_images_are_those_of_the_same_counts_laid_out(given, monkeypatch):
    def smooth():
        result = separate(pair(5 if "background" in given else 0)[1], toy.model(), smooth=True, **given)
        return np.array([each.data for each in result.smooth_images.values()])

    expected = smooth()  # so few pixels are laid out
    monkeypatch.setattr(sky_data, "_MANY", 0)
    monkeypatch.setattr("astro_lpalm.cube.counts.PhotonCounts.matrix", _few_pixels)
    assert_allclose(smooth(), expected, rtol=1e-6)


def _few_planes(most):
    lay_out = Photons.__array__

    def few_planes(self, dtype=None, copy=None):
        assert len(self) <= most
        return lay_out(self, dtype)

    return few_planes


def _few_pixels(self, dtype=float):
    """Lay out blocks and few pixels, as diagnostics do, but not an image."""
    assert self.shape[1] < SHAPE[0] * SHAPE[1]
    return self.photons.astype(dtype).toarray()


def test_smooth_images_say_what_they_would_take(monkeypatch):
    monkeypatch.setattr(search, "physical_memory", lambda: 1000)
    with pytest.raises(ValueError, match=r"smooth images of a cube of \(12, 28, 33\) take .* give smooth=False"):
        separate(pair()[1], toy.model(), smooth=True)


def backgrounds(kind):
    """Give the level of each observation's background, in counts a cell, and what is said of it."""
    levels = {"": (0, 0), "spectra": (0.3, 0.2), "blank field": (0, 0.2)}[kind]
    spectra = [level * seen.sum() * np.ones(65) for level, seen in zip(levels, skies.gaps())]
    if kind == "spectra":
        return levels, [ExpectedBackground(spectra[0] / 1.1, free=True), ExpectedBackground(spectra[1])]
    blank = np.random.default_rng(2).poisson(20, (65, skies.SIDE, skies.SIDE)) * skies.gaps()[1]
    blank = EventCube(blank, energy_edges=skies.EDGES, wcs=toy.wcs())
    return levels, [None, ExpectedBackground(blank, scale=0.01) if kind else None]


@pytest.mark.parametrize(("kind", "smooth"), [("", False), ("spectra", False), ("blank field", False), ("", True)])
def test_several_observations_are_the_same(kind, smooth, monkeypatch, tmp_path):
    levels, background = backgrounds(kind)
    blurs, options = ((0, 2 / 2.3548 / 1.476), {"psf": 2 * u.arcsec}) if smooth else ((0, 0), {})
    cubes = skies.observe(2, background=levels, blurs=blurs)
    given = {"instrument": skies.instruments(**options), "background": background, "smooth": smooth}
    expected = separate(cubes, skies.model(), **given)
    few = partial(EventCube, energy_edges=skies.EDGES, wcs=toy.wcs())
    cubes = [few(Photons.of(each.data), exposure=each.exposure, meta=each.meta) for each in cubes]
    monkeypatch.setattr(sky_data, "_MANY", 0)
    monkeypatch.setattr("astro_lpalm.cube.counts.PhotonCounts.matrix", _few_pixels)
    monkeypatch.setattr(Photons, "__array__", _few_planes(8))
    found = separate(cubes, skies.model(), **given)
    assert found.cube.is_sparse
    same(found.parameters["value"], expected.parameters["value"])
    for one, other in ((found.images, expected.images), (found.smooth_images or {}, expected.smooth_images or {})):
        for name, image in one.items():
            same(image.data, other[name].data)
    for name, errors in found.image_uncertainty.items():
        same(errors, expected.image_uncertainty[name])
    for name in expected.diagnostics.meta:
        same(found.diagnostics.meta[name], expected.diagnostics.meta[name])
    if found.background is not None:
        same(found.background.spectrum(), expected.background.spectrum())
        same(found.background.matrix(), expected.background.matrix())
    found.write(tmp_path / "components.fits")
    monkeypatch.undo()
    again = Separation.read(tmp_path / "components.fits")
    assert_allclose(again.residuals.data, expected.residuals.data, atol=1e-3)


def same(found, expected):
    assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.nanmax(np.abs(expected)))
