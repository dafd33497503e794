from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm import EventCube, separate
from astro_lpalm.forward import (
    BackgroundCounts,
    ExpectedBackground,
    Fit,
    ForwardModel,
    demixing_matrix,
    expected_counts,
)
from astro_lpalm.separation import Factorization
from astro_lpalm.spectra import SpectralPrior
from astro_lpalm.trust.resampling import resample

from .. import toy

separate = partial(separate, smooth=False)  # smooth images have no part in what is tested here


@pytest.fixture(scope="module")
def cube():
    return toy.cube()


class Ideal:
    """A solver that knows the spectra."""

    def separate(self, X):
        return Factorization(toy.spectra(), np.linalg.pinv(toy.spectra()) @ X)


def fit_of(cube, spectra, background=None):
    """What least squares makes of a cube for known spectra."""
    forward = ForwardModel(~cube.pixel_mask, background=None if background is None else BackgroundCounts.of(background))
    net = forward.net(cube.matrix(), dtype=float)
    variance = expected_counts(
        spectra, cube.matrix().sum(axis=1), 0.0 if background is None else background.sum(axis=1)
    )
    return Fit(cube, forward, spectra, demixing_matrix(spectra, variance) @ net)


def propagated(cube, spectra, counts):
    """Variance of what weighted least squares makes of counts, in closed form."""
    weighted = spectra / cube.matrix().mean(axis=1)[:, np.newaxis]
    solve = np.linalg.solve(weighted.T @ spectra, weighted.T) * spectra.sum(axis=0)[:, np.newaxis]
    return solve**2 @ counts


def test_known_spectra_leave_the_photon_noise(cube):
    # The total of each component errs as the propagated Poisson noise says; all its bins go together.
    result = separate(cube, Ideal(), n_resamplings=200, progress=False)
    sigma = np.sqrt(propagated(cube, toy.spectra(), cube.matrix().sum(axis=1)))
    expected = toy.spectra() / toy.spectra().sum(axis=0) * sigma
    assert_allclose(result.spectra_uncertainty, expected, rtol=0.15)


def test_images_have_the_noise_of_the_counts_to_be_expected(cube):
    result = separate(cube, Ideal(), n_resamplings=2, progress=False)
    truth = propagated(cube, toy.spectra(), toy.cube(seed=None).matrix())
    found = np.stack([result.image_uncertainty[name][~cube.pixel_mask] for name in result.names])
    assert_allclose(np.mean(found**2, axis=1), truth.mean(axis=1), rtol=0.05)
    bright = truth > np.median(truth)
    assert np.median(np.abs(found[bright] / np.sqrt(truth[bright]) - 1)) < 0.15


def test_a_bias_counts(cube):
    # Spectra that come out wrong in each resampling, always in the same way, have no scatter but are uncertain.
    off = toy.spectra() + 0.1
    off /= np.linalg.norm(off, axis=0)
    fit = fit_of(cube, toy.spectra())
    errors = resample(fit, lambda drawn, rng: (off, 1.0), 4, progress=False).spectra
    small = resample(fit, lambda drawn, rng: (toy.spectra(), 1.0), 4, progress=False).spectra
    assert np.all(errors.max(axis=0) > 10 * small.max(axis=0))


def test_a_bin_without_counts_is_not_certain(cube):
    # Whatever is known of a spectrum, one count more or less cannot be told.
    A = toy.spectra()
    A[:3, 0] = 0
    errors = resample(fit_of(cube, A), lambda drawn, rng: (A, 1.0), 4, progress=False).spectra
    assert_array_equal(errors[:3, 0], 1)
    assert np.all(errors[3:, 0] > 1)


def test_same_seed_same_uncertainty(cube):
    model = toy.model()
    once, again, other = (
        separate(cube, model, n_resamplings=2, seed=seed, progress=False).spectra_uncertainty for seed in (1, 1, 2)
    )
    assert_array_equal(once, again)
    assert not np.array_equal(once, other)


def test_blind_components_keep_their_order(cube):
    class Shuffled(Ideal):
        calls = 0

        def separate(self, X):
            Shuffled.calls += 1
            found = super().separate(X)
            order = [0, 1] if Shuffled.calls % 2 else [1, 0]
            return Factorization(-found.spectra[:, order], -found.sources[order])

    shuffled = separate(cube, Shuffled(), n_resamplings=4, progress=False).spectra_uncertainty
    assert_allclose(shuffled, separate(cube, Ideal(), n_resamplings=4, progress=False).spectra_uncertainty, rtol=1e-4)


def test_masked_pixels_and_background_are_no_photons_of_the_components(cube):
    mask = np.zeros(cube.data.shape[1:], dtype=bool)
    mask[:5] = True
    data = np.where(mask, np.nan, cube.data)
    masked = EventCube(data, energy_edges=toy.EDGES, wcs=toy.wcs(), mask=mask)
    background = np.full((len(data), np.count_nonzero(~mask)), 3.0)
    found = toy.spectra(), 1.0
    fit = fit_of(masked, toy.spectra(), background)
    errors = resample(fit, lambda *_: found, 3, background, progress=False)
    images = errors.images
    assert errors.amplitude == 0
    assert np.isfinite(errors.spectra).all()
    assert images.shape == (2, np.count_nonzero(~mask))
    expected = propagated(masked, toy.spectra(), np.full((len(data), 1), 3.0))
    assert np.all(images.min(axis=1) ** 2 > 0.9 * expected[:, 0])


def test_a_free_background_leaves_more_open(cube):
    # Its amplitude is found anew each time, and what it takes the components do not have.
    level = 0.05 * cube.data.mean()
    data = np.random.default_rng(3).poisson(cube.data + level)
    observed = EventCube(data, energy_edges=toy.EDGES, wcs=toy.wcs())
    options = {"n_resamplings": 60, "progress": False}
    counts = np.full(len(data), level * data[0].size)
    fixed = separate(observed, Ideal(), background=counts, **options)
    free = separate(observed, Ideal(), background=ExpectedBackground(counts, free=True), **options)
    once = separate(observed, Ideal(), background=ExpectedBackground(counts, free=True))
    error = free.diagnostics.meta["background_amplitude_error"]
    assert abs(free.diagnostics.meta["background_amplitude"] - 1) < 3 * error
    # The spectra are known, so that only the photons count, as in the error that goes without resampling.
    assert error == pytest.approx(once.diagnostics.meta["background_amplitude_error"], rel=0.3)
    assert np.all(free.spectra_uncertainty.sum(axis=0) > 1.3 * fixed.spectra_uncertainty.sum(axis=0))


def test_perturbed_means_scatter_like_the_library():
    principal = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 3)))[0].T[np.newaxis]
    library = SpectralPrior(
        mean=np.ones((1, 12)), principal=principal, spread=np.array([[0.3, 0.2, 0.1]]), remainder=np.full((1, 12), 0.05)
    )
    rng = np.random.default_rng(1)
    means = np.stack([library.perturbed(rng).mean[0] for _ in range(4000)])
    expected = (principal[0].T * library.spread[0] ** 2) @ principal[0] + 0.05**2 * np.eye(12)
    assert_allclose(np.cov(means.T), expected, atol=0.006)
    assert_allclose(means.mean(axis=0), 1.0, atol=0.02)


def test_refuses_what_cannot_be_drawn_again(cube):
    with pytest.raises(ValueError, match="n_resamplings is 1, but a spread takes at least 2"):
        separate(cube, Ideal(), n_resamplings=1)
    data = cube.data.copy()
    data[0, 0, 0] = -1
    negative = EventCube(data, energy_edges=toy.EDGES, wcs=toy.wcs())
    with pytest.raises(ValueError, match="negative values.*give the background separately"):
        separate(negative, Ideal(), n_resamplings=3)
