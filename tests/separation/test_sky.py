import dataclasses

import numpy as np
import pytest

from astro_lpalm import load_model
from astro_lpalm.forward import BackgroundCounts, block_sums, count_blocks, least_squares
from astro_lpalm.instrument import BlurTerm
from astro_lpalm.instrument.blur import GaussianBlur
from astro_lpalm.results import parameter_table
from astro_lpalm.separation import ImageBlur, SkyData, SkyFitter, fit_parameters
from astro_lpalm.separation.sky_data import SkyLevel

SHAPE = (32, 36)
KT = 2  # of pwn-acis


@pytest.fixture(scope="module")
def physics():
    return load_model("pwn-acis").physics


class Sky:
    """A nebula on a shell of plasma, whose temperature may change from left to right."""

    def __init__(
        self, physics, amplitude=0.0, total=1e6, seed=0, shape=SHAPE, exposure=None, background=0.0, blur=None
    ):
        y, x = (np.indices(shape) - np.reshape(shape, (2, 1, 1)) / 2) / np.reshape(shape, (2, 1, 1))
        nebula = np.exp(-0.5 * ((y - 0.05) ** 2 + (x + 0.1) ** 2) / 0.12**2) + 0.03
        shell = np.exp(-0.5 * ((np.hypot(y, x) - 0.3) / 0.1) ** 2) * (1 + 0.6 * np.sin(3 * np.arctan2(y, x))) + 0.05
        self.images = np.stack([total / 2 * each / each.sum() for each in (nebula, shell)])
        self.theta = np.full((*shape, len(physics.parameters)), 0.5)
        self.theta[..., KT] += 2 * amplitude * x
        self.physics, self.kept = physics, np.ones(shape, dtype=bool)
        spectra = physics.spectra(self.theta.reshape(-1, self.theta.shape[-1]))
        channels = np.einsum("tmn,nt->nmt", spectra, self.images.reshape(2, -1))
        expected = channels.sum(axis=0)
        self.blur = None
        if blur is not None:
            wide = [np.pad(plane.reshape(shape), 8, mode="reflect") for plane in expected]  # the sky goes on
            expected = np.stack([GaussianBlur(blur).blur(plane)[8:-8, 8:-8].ravel() for plane in wide])
            term = BlurTerm(np.ones(len(expected)), None, GaussianBlur(blur))
            self.blur = lambda pitch, shape, margin=0: ImageBlur(
                [dataclasses.replace(term, kernel=GaussianBlur(blur / pitch))], shape
            )
        self.exposure = exposure
        if exposure is not None:
            expected = expected * exposure.ravel()
        self.background = None
        if background:
            share = np.full(expected.shape[1], 1 / expected.shape[1])
            self.background = BackgroundCounts.separable(np.full(len(expected), background / len(expected)), share)
            expected = expected + self.background.matrix()
        self.counts = np.random.default_rng(seed).poisson(expected).astype(np.float32)
        image = self.counts.sum(axis=0).reshape(shape)
        self.blocks = count_blocks(image, n_most=32, fewest=1e4).reshape(shape)

    @property
    def fluxes(self):
        return self.images.sum(axis=(1, 2))

    def data(self):
        counts = self.counts.reshape(len(self.counts), *self.kept.shape)[:, self.kept]
        background = None if self.background is None else self.background.of_pixels(np.flatnonzero(self.kept))
        return SkyData(counts, self.kept, self.exposure, background, self.blur)

    def fit(self, fitter=None, data=None, **settings):
        data = data or self.data()
        floor = None if data.background is None else data.background.sums(self.blocks[self.kept])
        sums = block_sums(data.counts, self.blocks[self.kept])
        physical = fit_parameters(sums, self.physics, background=floor, free_background=[data.free])
        given = {"physics": self.physics, "physical": physical} | settings
        return physical, (fitter or SkyFitter())([data], physical.spectra, physical.fluxes, self.blocks, **given)

    def moved(self, change):
        """Give this sky with its pixels in another order."""
        other = object.__new__(Sky)
        other.__dict__.update(self.__dict__)
        other.counts = change(self.counts.reshape(-1, *self.kept.shape)).reshape(len(self.counts), -1)
        for name in ("kept", "blocks", "images"):
            setattr(other, name, np.ascontiguousarray(change(getattr(self, name))))
        return other


def distance(found, truth):
    return np.sum((found - truth) ** 2, axis=(1, 2)) / np.sum(truth**2, axis=(1, 2))


@pytest.fixture(scope="module")
def even(physics):
    sky = Sky(physics)
    return sky, *sky.fit(vary=True, n_samples=3)


@pytest.fixture(scope="module")
def uneven(physics):
    sky = Sky(physics, -0.4)
    return sky, *sky.fit(vary=True)


def test_nothing_varies_on_an_even_sky_and_images_are_smooth(even):
    sky, physical, fit = even
    assert fit.fields == []
    assert fit.converged
    assert fit.maps.shape == fit.map_errors.shape == fit.undecided.shape == (0, *SHAPE)
    assert fit.physical is physical
    simple = least_squares(sky.counts, physical.spectra, sky.counts.sum(axis=1)).reshape(fit.images.shape)
    assert np.all(distance(fit.images, sky.images) < 0.5 * distance(simple, sky.images))
    pulls = (fit.images - sky.images) / fit.image_errors
    assert np.all(np.abs(np.sqrt(np.mean(pulls**2, axis=(1, 2))) - 0.9) < 0.35)
    np.testing.assert_allclose(fit.images.sum(), sky.counts.sum(), rtol=0.01)
    np.testing.assert_allclose(fit.images.sum(axis=(1, 2)), sky.fluxes, rtol=0.02)
    expected = np.tensordot(fit.basis, fit.coefficients * fit.images[fit.owners], 1)
    assert abs(expected.sum() / sky.counts.sum() - 1) < 0.01
    np.testing.assert_allclose(fit.basis, physical.spectra, rtol=1e-5)


def test_samples_scatter_by_the_errors(even):
    _, _, fit = even
    images, maps = fit.samples
    assert images.shape == (3, 2, *SHAPE)
    assert maps.shape == (3, 0, *SHAPE)
    scatter = (images - fit.images) / fit.image_errors
    assert np.all(np.abs(scatter.std(axis=(0, 2, 3)) - 0.9) < 0.3)


def test_what_varies_is_found_and_fluxes_are_right_again(uneven):
    sky, physical, fit = uneven
    assert fit.fields == [(1, KT)]
    assert fit.converged
    truth = sky.theta[..., KT]
    there = ~fit.undecided[0]
    assert there.mean() > 0.8
    assert np.corrcoef(fit.maps[0][there], truth[there])[0, 1] > 0.97
    pulls = (fit.maps[0] - truth)[there] / fit.map_errors[0][there]
    assert np.sqrt(np.mean(pulls**2)) < 2
    bias = np.abs(physical.fluxes - sky.fluxes)
    assert np.all(bias > 0.08 * sky.fluxes)
    assert np.all(np.abs(fit.physical.fluxes - sky.fluxes) < 3 * fit.physical.flux_errors)
    assert np.all(fit.physical.flux_errors < 0.01 * sky.fluxes)
    np.testing.assert_allclose(fit.images.sum(axis=(1, 2)), fit.physical.fluxes, rtol=0.015)
    assert physical.misfit > 50
    assert fit.physical.misfit < 5
    assert np.all(distance(fit.images, sky.images) < 0.002)
    # the spectrum of all is that of the local ones
    np.testing.assert_allclose(fit.coefficients.shape, (len(fit.owners), *SHAPE))
    expected = np.tensordot(fit.basis, fit.coefficients * fit.images[fit.owners], 1).sum(axis=(1, 2))
    np.testing.assert_allclose(
        expected, sky.counts.sum(axis=1), rtol=0.03, atol=5 * sky.counts.sum(axis=1).max() ** 0.5
    )


def test_amplitudes_follow_the_maps(uneven, even, physics):
    sky, _, fit = uneven
    theta = sky.theta.reshape(-1, sky.theta.shape[-1])
    amplitudes = sky.images[1].ravel() / physics.rates(theta)[..., 1].sum(axis=1)
    truth = np.array([amplitudes.sum(), amplitudes @ physics.energy_flux(theta)[:, 1]])
    # of the maps as they are in truth
    mean = np.average(sky.theta[..., KT], weights=sky.images[1])
    known = dataclasses.replace(fit.physical, theta=np.where(np.arange(theta.shape[1]) == KT, mean, 0.5))
    true = dataclasses.replace(fit, physical=known, images=sky.images, maps=sky.theta[np.newaxis, ..., KT])
    by_means = (
        sky.fluxes[1] / physics.rates(known.theta)[:, 1].sum() * np.array([1, physics.energy_flux(known.theta)[1]])
    )
    factors = true.local_brightness(physics, sky.kept)
    np.testing.assert_array_equal(factors[:, 0], 1)
    np.testing.assert_allclose(by_means * factors[:, 1], truth, rtol=5e-3)
    assert np.all(by_means < 0.9 * truth)
    # and of those that were found
    table = parameter_table(fit.physical, physics, np.ones(2), fit.local_brightness(physics, sky.kept))[-2:]
    assert table["parameter"].tolist() == ["amplitude", "flux"]
    errors = 0.5 * (table["error_low"] + table["error_high"])
    assert np.all(np.abs(table["value"] - truth) < 3 * errors)
    assert np.all(errors < 0.1 * truth)
    _, _, constant = even
    np.testing.assert_array_equal(constant.local_brightness(physics, sky.kept), 1)


def test_named_parameters_vary(uneven, physics):
    sky, _, found = uneven
    _, fit = sky.fit(vary={KT: 0.25}, n_samples=2)
    assert fit.fields == [(1, KT)]
    np.testing.assert_allclose(fit.physical.fluxes, found.physical.fluxes, rtol=5e-3)
    assert (fit.maps - found.maps).std() < 0.02
    assert fit.samples[1].shape == (2, 1, *SHAPE)
    assert 0 <= fit.samples[1].min() <= fit.samples[1].max() <= 1
    _, again = sky.fit(vary={KT: 0.25}, n_samples=2)
    np.testing.assert_array_equal(again.maps, fit.maps)
    np.testing.assert_array_equal(again.samples[0], fit.samples[0])
    _, other = sky.fit(SkyFitter(seed=1), vary={KT: 0.25}, n_samples=1)
    np.testing.assert_array_equal(other.maps, fit.maps)
    assert not np.array_equal(other.samples[0][0], fit.samples[0][0])


@pytest.mark.parametrize(
    "change",
    [lambda a: a[..., ::-1], lambda a: a[..., ::-1, :], lambda a: np.swapaxes(a, -1, -2)],
    ids=["left right", "up down", "transposed"],
)
def test_it_does_not_matter_how_the_image_lies(uneven, change):
    sky, _, fit = uneven
    _, moved = sky.moved(change).fit(vary=True)
    assert moved.fields == fit.fields
    np.testing.assert_allclose(moved.physical.fluxes, fit.physical.fluxes, rtol=1e-3)
    scale = change(fit.images).max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(moved.images / scale, change(fit.images) / scale, atol=3e-3)
    np.testing.assert_allclose(moved.maps, change(fit.maps), atol=5e-3)


def test_coarse_pixels_first_come_to_the_same_end(uneven):
    sky, _, fit = uneven
    _, coarse = sky.fit(SkyFitter(coarsest=16), vary=True)
    assert coarse.converged
    assert coarse.fields == fit.fields
    np.testing.assert_allclose(coarse.physical.fluxes, fit.physical.fluxes, rtol=0.01)
    assert (coarse.maps - fit.maps).std() < 0.01
    assert np.all(distance(coarse.images, fit.images) < 1e-3)


def test_exposure_scales_images(physics):
    sky = Sky(physics, total=2e5)
    _, whole = sky.fit()
    sky.exposure = np.full(SHAPE, 0.5)
    _, half = sky.fit()
    assert whole.converged
    assert half.converged
    np.testing.assert_allclose(half.images, 2 * whole.images, rtol=0.02)
    np.testing.assert_allclose(half.images.sum(), 2 * whole.images.sum(), rtol=2e-3)


def test_exposure_mask_background_and_blur_are_taken_into_account(physics):
    exposure = np.tile(np.linspace(0.4, 1.0, SHAPE[1]), (SHAPE[0], 1))
    sky = Sky(physics, total=1e6, exposure=exposure, background=2e5, blur=1.0)
    sky.kept[10:13, :20] = False
    sky.blocks = np.where(sky.kept, sky.blocks, -1)
    _, fit = sky.fit()
    np.testing.assert_allclose(fit.images.sum(axis=(1, 2)), sky.fluxes, rtol=0.05)
    assert np.all(distance(fit.images, sky.images) < 0.02)
    pulls = (fit.images - sky.images) / fit.image_errors
    bright = sky.images > np.median(sky.images, axis=(1, 2), keepdims=True)  # the dark is not as even as it is expected
    assert np.all(np.sqrt(np.mean(pulls**2, axis=(1, 2), where=bright)) < 1.5)
    sky.blur = None
    _, blurred = sky.fit()
    assert np.all(distance(blurred.images, sky.images) > 1.5 * distance(fit.images, sky.images))


def test_amplitude_of_the_background_follows_the_maps(physics):
    sky = Sky(physics, -0.4, total=4e5, background=1e5)
    data = sky.data()
    data = dataclasses.replace(data, background=data.background.scaled(1 / 1.2))
    physical, free = sky.fit(data=dataclasses.replace(data, free=True), vary={KT: 0.25}, n_samples=2)
    _, fixed = sky.fit(data=data, vary={KT: 0.25}, n_samples=2)
    (amplitude,), (error,) = free.physical.background_amplitude, free.physical.background_error
    assert abs(amplitude - 1.2) < 3 * error < 0.1
    assert abs(physical.background_amplitude[0] - 1.2) > 2 * abs(amplitude - 1.2)  # by one spectrum for all places
    off = [(fit.physical.fluxes - sky.fluxes) / fit.physical.flux_errors for fit in (free, fixed)]
    assert np.all(np.abs(off[0]) < 3)
    assert np.max(np.abs(off[1])) > 5
    assert np.all(distance(free.images, sky.images) < 0.5 * distance(fixed.images, sky.images).max())
    np.testing.assert_allclose(free.images.sum(axis=(1, 2)), sky.fluxes, rtol=0.02)
    dark = sky.images[0] < 0.3 * sky.images[0].mean()  # where the background is most of it
    assert free.image_errors[0][dark].mean() > 1.02 * fixed.image_errors[0][dark].mean()
    assert np.isfinite(free.samples[0]).all()


def test_two_observations_that_do_not_see_the_same_blocks(physics):
    first, second = Sky(physics, total=3e5), Sky(physics, total=3e5, seed=1)
    second.kept[:, 20:] = False
    first.kept[:3] = False
    blocks = first.blocks
    spectra = physics.spectra(first.theta[0, 0])
    data = [first.data(), second.data()]
    fit = SkyFitter()(data, np.concatenate([spectra, spectra]), first.fluxes, blocks)
    assert fit.converged
    np.testing.assert_allclose(fit.images.sum(axis=(1, 2)), first.fluxes, rtol=0.02)
    seen = fit.image_errors[:, 5:, :15].mean() / fit.images[:, 5:, :15].mean()
    once = fit.image_errors[:, 5:, 21:].mean() / fit.images[:, 5:, 21:].mean()
    assert seen < once


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (3, 5)])
def test_thin_and_small_images(physics, shape):
    sky = Sky(physics, total=1e5, shape=shape)
    physical, fit = sky.fit(vary=True)
    assert fit.images.shape == (2, *shape)
    for each in (fit.images, fit.image_errors):
        assert np.isfinite(each).all()
        assert each.min() >= 0
    np.testing.assert_allclose(fit.images.sum(), sky.counts.sum(), rtol=0.02)


def test_component_that_is_nowhere(physics):
    sky = Sky(physics, total=2e5)
    spectra = physics.spectra(sky.theta[0, 0])
    rng = np.random.default_rng(1)
    sky.counts = rng.poisson(spectra[:, :1] * 2 * sky.images[0].reshape(1, -1)).astype(np.float32)
    sky.images[1] = 0
    physical, fit = sky.fit(vary=True)
    assert fit.fields == []
    assert np.isfinite(fit.images).all()
    assert np.isfinite(fit.image_errors).all()
    assert fit.images[1].sum() < 0.05 * fit.images[0].sum()
    _, mapped = sky.fit(vary={KT: 0.2})  # a map of what is not there: nothing is decided
    assert np.isfinite(mapped.maps).all()
    assert np.isfinite(mapped.physical.spectra).all()
    assert mapped.undecided.mean() > 0.9
    assert np.all(mapped.images[1].sum() < 0.05 * mapped.images[0].sum())


def test_blocks_of_coarse_pixels_are_those_of_most_of_their_pixels(physics):
    blocks = np.array([[0, 0, 1, 1, 2], [1, 0, 1, 2, 2], [3, 3, 3, 3, 3]])
    data = SkyData(np.ones((2, 15), dtype=np.float32), np.ones((3, 5), dtype=bool))
    level = SkyLevel([data], blocks, 2, None)
    assert level.blocks[0].tolist() == [0, 1, 2, 3, 3, 3]
    assert level.n_blocks == 4
    (seen,) = level.seen(np.ones((2, 1)), [1.0])
    assert seen.counts[0].tolist() == [4, 4, 2, 2, 2, 1]
    assert seen.exposure.tolist() == [1, 1, 0.5, 0.5, 0.5, 0.25]


def test_wrong_input_is_told(even, physics):
    sky, physical, _ = even
    given = [sky.data()], physical.spectra, physical.fluxes, sky.blocks
    with pytest.raises(ValueError, match="vary asks for maps of parameters, but there are none; give physics"):
        SkyFitter()(*given, vary=True)
    with pytest.raises(ValueError, match=r"vary has the parameters \[0\], which no component has alone"):
        SkyFitter()(*given, physics=physics, physical=physical, vary={0: 0.1, KT: 0.1})
    with pytest.raises(ValueError, match="4 parameters of component 1 are to vary; at most 3"):
        SkyFitter()(*given, physics=physics, physical=physical, vary=dict.fromkeys(range(2, 6), 0.1))
    with pytest.raises(ValueError, match="coarsest is 0, but must be positive"):
        SkyFitter(coarsest=0)
    with pytest.raises(ValueError, match="counts has 5 columns, but kept has 6 observed pixels"):
        SkyData(np.ones((3, 5)), np.ones((2, 3), dtype=bool))
