"""Separations of observations as they are: with exposure maps, gaps and a background."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm import EventCube, separate
from astro_lpalm.forward import ExpectedBackground
from astro_lpalm.results import Separation

from . import toy
from .test_pipeline import Ideal, stack

# Data on which the diagnostics warn, as they ought to; what is tested here is something else.
untrusted = pytest.mark.filterwarnings("ignore::astro_lpalm.trust.diagnostics.SeparationWarning")

SHAPE = (28, 33)
# A line on a slope: neither of the toy's bumps, nor a mixture of them.
SPECTRUM = 0.2 + np.exp(-0.5 * ((np.arange(12) - 5.5) / 0.6) ** 2)


def exposure_map(kind="gaps"):
    """Vignetting, a step between two chips, a shallow gap, bad columns and, unless it is to be "open", deep gaps."""
    y, x = np.indices(SHAPE)
    exposure = 1 - 0.4 * ((x - 12) ** 2 + (y - 10) ** 2) / 800
    exposure[:, 22:] *= 0.5
    exposure[17:19] *= 0.3
    exposure[:, 5] *= 0.6
    if kind == "gaps":
        exposure[8] = exposure[:, 14] = 0
    return 50 * exposure * u.ks


def observed(exposure, background=0.0, seed=0, images=None, **options):
    """Counts through an exposure map, of the toy's images at full exposure, and a background like it."""
    relative = (exposure / exposure.max()).value
    A = toy.spectra() / toy.spectra().sum(axis=0)
    mean = np.einsum("ik,kyx->iyx", A, toy.images() if images is None else images) * relative
    mean += background * (SPECTRUM / SPECTRUM.sum())[:, None, None] * relative / relative.sum()
    data = mean if seed is None else np.random.default_rng(seed).poisson(mean)
    return EventCube(data, energy_edges=toy.EDGES, wcs=toy.wcs(), exposure=exposure, **options)


def flat_sky(exposure, background=0.0):
    return observed(exposure, background, seed=None, images=np.full((2, *SHAPE), 40.0))


# Exposure


@untrusted
def test_edges_of_the_exposure_are_no_details():
    exposure = exposure_map()
    solver = Ideal(toy.spectra())
    separate(flat_sky(exposure), solver)
    assert np.abs(solver.seen).max() < 1e-4  # standard deviations of their noise
    separate(flat_sky(exposure, background=1e4), solver)
    assert np.abs(solver.seen).max() < 1e-4
    counts = flat_sky(exposure)
    separate(EventCube(counts.data, energy_edges=toy.EDGES, wcs=toy.wcs(), mask=counts.mask), solver)
    assert np.abs(solver.seen).max() > 1


@untrusted
@pytest.mark.parametrize("transform", ["starlet", "db4", "db4-stationary"])
def test_details_have_unit_noise_whatever_the_exposure(transform):
    exposure = exposure_map("open")
    solver, squares = Ideal(toy.spectra()), []
    for seed in range(30):
        sky = observed(exposure, seed=seed, images=np.full((2, *SHAPE), 200.0))
        separate(sky, solver, transform=transform)
        squares.append((solver.seen.sum(axis=0) ** 2)[: SHAPE[0] * SHAPE[1]])
    noise = np.sqrt(np.mean(squares, axis=0))
    if transform != "starlet":
        return  # it only has to work: details without a place have no exposure
    assert noise.mean() == pytest.approx(1, abs=0.05)
    # Where the exposure is half as large, the noise of what is divided by it must not look larger.
    noise = noise.reshape(SHAPE)
    assert noise[:, 25:].mean() == pytest.approx(noise[:, 8:20].mean(), rel=0.08)


def test_images_are_counts_and_flux():
    exposure = exposure_map()
    result = separate(observed(exposure, seed=None), Ideal(toy.spectra()))
    kept = exposure > 0
    share = (exposure / exposure.max()).value
    truth = toy.images()
    assert_allclose(stack(result)[:, kept], (truth * share)[:, kept], atol=1e-5 * truth.max())
    for image, true in zip(result.flux_images.values(), truth):
        assert image.unit == u.count / u.ks
        assert_allclose(image.data[kept], true[kept] / exposure.max().value, atol=1e-5 * truth.max() / 50)
        assert_array_equal(np.isnan(image.data), ~kept)
        assert_array_equal(image.mask, ~kept)
    with pytest.raises(ValueError, match="the cube has no exposure map"):
        separate(toy.cube(), Ideal(toy.spectra())).flux_images["component_1"]


def test_gaps_and_edges_leave_no_outline():
    exposure = exposure_map()
    kept = exposure > 0
    share = (exposure / exposure.max()).value
    beside = np.zeros(SHAPE, dtype=bool)
    beside[[7, 9, 16, 17, 18, 19]] = beside[:, [4, 5, 6, 13, 15, 21, 22]] = True
    beside &= kept
    # A smooth sky: all that has edges is the exposure.
    y, x = np.indices(SHAPE)
    images = 300 * np.exp(-0.5 * np.array([(x - 10) ** 2 + (y - 14) ** 2, (x - 24) ** 2 + (y - 12) ** 2]) / 8**2)
    model = toy.model()
    for seed in range(3):
        result = separate(observed(exposure, seed=seed, images=images), model)
        for name, truth in zip(toy.NAMES, images):
            error = result.flux_images[name].data * exposure.max().value - truth
            # Noise per pixel goes as one over the root of the exposure.
            pulls = error * np.sqrt(share / images.sum(axis=0))
            width = pulls[kept & ~beside].std() / np.sqrt(beside.sum())
            assert abs(pulls[beside].mean() - pulls[kept & ~beside].mean()) < 4 * width
        assert result.diagnostics.meta["reduced_chi_square"] == pytest.approx(1, abs=0.05)


def test_relative_exposure_scales_nothing():
    exposure = exposure_map()
    absolute, relative = (
        observed(each, seed=1) for each in (exposure, (exposure / exposure.max()).to(u.dimensionless_unscaled))
    )
    one, two = separate(absolute, toy.model()), separate(relative, toy.model())
    assert_array_equal(one.mixing, two.mixing)
    assert two.flux_images["soft"].unit == u.count
    assert_allclose(one.flux_images["soft"].data * 50, two.flux_images["soft"].data, rtol=1e-12)


def test_uniform_exposure_changes_nothing():
    plain = toy.cube()
    exposed = EventCube(plain.data, energy_edges=toy.EDGES, wcs=toy.wcs(), exposure=np.full(SHAPE, 7.0) * u.s)
    one, two = separate(plain, toy.model()), separate(exposed, toy.model())
    assert_allclose(one.mixing, two.mixing, rtol=1e-5)
    assert_allclose(one.sources, two.sources, rtol=1e-3, atol=1e-3 * one.sources.max())


# Background


@untrusted
@pytest.mark.parametrize("form", ["spectrum", "cube", "file", "expected"])
def test_known_background_is_no_part_of_the_images(form, tmp_path):
    exposure = exposure_map()
    sky = observed(exposure, 2e5, seed=None)
    share = (exposure / exposure.sum()).value
    counts = 2e5 * SPECTRUM / SPECTRUM.sum()
    blank = EventCube(
        3 * counts[:, None, None] * share, energy_edges=toy.EDGES, wcs=toy.wcs(), exposure=exposure,
        meta=fits.Header({"EXPOSURE": 30.0}),
    )  # fmt: skip
    sky.meta["EXPOSURE"] = 10.0
    blank.write(tmp_path / "blank.fits")
    background = {
        "spectrum": counts, "cube": blank, "file": tmp_path / "blank.fits",
        "expected": ExpectedBackground(blank, scale=1 / 3),
    }[form]  # fmt: skip
    found = separate(sky, Ideal(toy.spectra()), background=background)
    truth, kept = toy.images() * (exposure / exposure.max()).value, exposure > 0
    assert_allclose(stack(found)[:, kept], truth[:, kept], atol=1e-4 * truth.max())
    assert_allclose(found.background.spectrum(), counts, rtol=1e-6)
    assert np.nanmax(np.abs(found.residuals.data)) < 1e-4 * truth.max()
    assert_allclose(found.model_cube().data[:, kept], sky.data[:, kept], atol=1e-4 * truth.max())
    assert found.diagnostics["counts"].value.sum() == pytest.approx(truth.sum(), rel=1e-5)
    without = separate(sky, Ideal(toy.spectra()))
    assert without.diagnostics["counts"].value.sum() > 1.5 * truth[:, kept].sum()


@untrusted
def test_background_stays_in_the_noise():
    sky = observed(exposure_map(), 2e5, seed=3)
    counts = 2e5 * SPECTRUM / SPECTRUM.sum()
    found = separate(sky, Ideal(toy.spectra()), background=counts)
    X, A = sky.matrix(), toy.spectra()
    weighted = A / X.mean(axis=1)[:, None]
    share = (sky.exposure.value / sky.exposure.value.sum())[~sky.mask]
    expected = np.linalg.solve(A.T @ weighted, weighted.T @ (X - np.outer(counts, share)))
    assert_allclose(found.sources, expected, rtol=1e-3, atol=1e-3 * expected.max())
    assert found.diagnostics.meta["reduced_chi_square"] == pytest.approx(1, abs=0.05)
    assert separate(sky, Ideal(toy.spectra())).diagnostics.meta["reduced_chi_square"] > 1.5


@pytest.mark.parametrize("solver", ["ideal", "model"])
def test_free_amplitude_within_its_error(solver):
    guess = ExpectedBackground(4e3 * SPECTRUM / SPECTRUM.sum(), free=True)
    pulls = []
    for seed in range(12):
        sky = observed(exposure_map(), 1e4, seed=seed)
        found = separate(sky, Ideal(toy.spectra()) if solver == "ideal" else toy.model(), background=guess)
        meta = found.diagnostics.meta
        assert meta["background_amplitude_error"] < 0.1
        pulls.append((meta["background_amplitude"] - 2.5) / meta["background_amplitude_error"])
        assert found.background.spectrum().sum() == pytest.approx(meta["background_amplitude"] * 4e3)
    assert np.abs(pulls).max() < 3.5
    assert abs(np.mean(pulls)) < 3 / np.sqrt(12)


def test_a_blank_field_with_a_free_amplitude():
    rng = np.random.default_rng(8)
    exposure = exposure_map()
    blank = EventCube(
        rng.poisson(20 * SPECTRUM[:, None, None] * np.linspace(0, 2, SHAPE[1]) * np.ones((SHAPE[0], 1))),
        energy_edges=toy.EDGES, wcs=toy.wcs(),
    )  # fmt: skip
    clean = observed(exposure, seed=None)
    sky = clean._with(data=rng.poisson(clean.data + 0.3 * blank.data))
    found = separate(sky, Ideal(toy.spectra()), background=ExpectedBackground(blank, scale=1, free=True))
    meta = found.diagnostics.meta
    assert abs(meta["background_amplitude"] - 0.3) < 3.5 * meta["background_amplitude_error"] < 0.05


@untrusted
def test_warnings_of_a_free_amplitude():
    exposure = exposure_map()
    free = ExpectedBackground(1e3 * SPECTRUM / SPECTRUM.sum(), free=True)
    sky = observed(exposure, seed=None)
    less = sky.data - 5 * (SPECTRUM / SPECTRUM.sum())[:, None, None] * (exposure / exposure.max()).value
    with pytest.warns(AstropyUserWarning, match=r"the background's amplitude is -\S+ \+- \S+: it is taken as zero"):
        found = separate(sky._with(data=less), Ideal(toy.spectra()), background=free)
    assert found.diagnostics.meta["background_amplitude"] == 0
    # All that tells it from a mixture is a faint line.
    mixture = 1e3 * toy.spectra().sum(axis=1) + 10 * SPECTRUM
    share = (exposure / exposure.sum()).value
    sky = sky._with(data=np.random.default_rng(1).poisson(sky.data + mixture[:, None, None] * share))
    with pytest.warns(AstropyUserWarning, match="its spectrum is much like a mixture of the components'"):
        separate(sky, Ideal(toy.spectra()), background=ExpectedBackground(mixture, free=True))


def test_background_larger_than_the_data():
    cube = toy.cube()
    with pytest.warns(AstropyUserWarning, match=r"the background has 2 times the counts of the cube: check its scale"):
        separate(cube, Ideal(toy.spectra()), background=2 * cube.data.sum(axis=(1, 2)))


def test_background_of_other_energies():
    with pytest.raises(ValueError, match="the background's spectrum has 5 bins, but the cube"):
        separate(toy.cube(), toy.model(), background=np.ones(5))


# Files


@pytest.mark.parametrize("unit", [u.s, u.cm**2 * u.s, u.one])
def test_written_and_read(tmp_path, unit):
    exposure = exposure_map().value * unit
    found = separate(observed(exposure, 1e4), toy.model(), background=1e4 * SPECTRUM / SPECTRUM.sum())
    found.write(tmp_path / "components.fits")
    again = Separation.read(tmp_path / "components.fits")
    assert_array_equal(again.cube.exposure, exposure)
    assert_allclose(again.background, found.background, rtol=1e-6)
    assert_allclose(again.sources, found.sources, rtol=1e-5, atol=1e-5 * found.sources.max())
    assert_allclose(again.residuals.data, found.residuals.data, atol=1e-3)
    assert again.diagnostics.meta["reduced_chi_square"] == pytest.approx(
        found.diagnostics.meta["reduced_chi_square"], rel=1e-4
    )
    with fits.open(tmp_path / "components.fits") as hdulist:
        flux = hdulist["soft_FLUX"]
        assert_allclose(flux.data, found.flux_images["soft"].data, rtol=1e-6)
        assert u.Unit(flux.header["BUNIT"]) == u.count / unit
        assert WCS(flux.header).wcs.compare(WCS(hdulist["soft"].header).wcs)
        assert hdulist["BACKGROUND_MODEL"].shape == (12, *SHAPE)
        added = {hdu.name for hdu in hdulist}
    separate(toy.cube(), toy.model()).write(tmp_path / "plain.fits")
    with fits.open(tmp_path / "plain.fits") as hdulist:
        plain = {hdu.name for hdu in hdulist}
    assert added - plain == {"SOFT_FLUX", "HARD_FLUX", "EXPOSURE", "BACKGROUND_MODEL"}
    assert plain < added
