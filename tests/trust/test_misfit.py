import numpy as np
import pytest
from numpy.testing import assert_allclose

from astro_lpalm.trust.misfit import BlockCounts, Misfit, refit


def blocks(expected, rng=None):
    b = expected.shape[1]
    counts = expected if rng is None else rng.poisson(expected).astype(float)
    return BlockCounts(counts, np.zeros_like(counts), np.ones(b), np.full(b, 0.5), np.full(b, 0.5), np.arange(b))


@pytest.fixture(scope="module")
def mixture():
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(30), 2).T, rng.uniform(500, 5000, (2, 40))


def test_true_spectra_leave_noise(mixture):
    A, S = mixture
    found = Misfit(blocks(A @ S, np.random.default_rng(1)), A, np.zeros((30, 40)))
    freedom = 28 * 40
    assert abs(np.sum(found.residual**2) - freedom) < 5 * np.sqrt(2 * freedom)
    assert abs(found.deviance - freedom) < 5 * np.sqrt(2 * freedom)
    assert_allclose(found.counts(), S.sum(axis=1), rtol=0.05)


def test_without_noise_nothing_is_left(mixture):
    A, S = mixture
    found = Misfit(blocks(A @ S), A, np.zeros((30, 40)))
    assert_allclose(found.residual, 0, atol=1e-8)
    assert_allclose(found.sources.T, S, rtol=1e-8)


def test_a_direction_explains_what_was_added_along_it(mixture):
    A, S = mixture
    more = np.zeros((30, 40))
    more[7] = 0.03 * S.sum(axis=0)
    found = Misfit(blocks(A @ S + more), A, np.zeros((30, 40)))
    freed = found.freed(np.zeros((found.residual.size, 0)))
    drop, n, size = freed.explained(found.directions(more.T[..., np.newaxis]))
    assert n == 1
    assert_allclose(drop, freed.chi_square, rtol=1e-6)
    assert size[0] == pytest.approx(1, rel=1e-6)
    other = found.freed(found.directions(more.T[..., np.newaxis]))
    assert other.chi_square < 1e-6 * freed.chi_square


def test_noise_explains_as_much_as_there_are_directions(mixture):
    A, S = mixture
    drops = []
    for seed in range(40):
        found = Misfit(blocks(A @ S, np.random.default_rng(seed)), A, np.zeros((30, 40)))
        T = np.random.default_rng(seed + 100).normal(size=(40, 30, 5)) * np.sqrt(found.expected)[..., np.newaxis]
        drops.append(found.freed(np.zeros((1200, 0))).explained(found.directions(T))[0])
    assert np.mean(drops) == pytest.approx(5, abs=2)


def test_refit_finds_parameters_within_bounds(mixture):
    A, S = mixture
    tilt = np.linspace(-1, 1, 30)[:, np.newaxis]

    def model(x):
        spectra = A * np.exp(x[0] * tilt)
        return spectra, (spectra * tilt)[..., np.newaxis], np.zeros((30, 40)), None

    data = blocks(A * np.exp(0.4 * tilt) @ S)
    x, found, _ = refit(data, model, np.zeros(1), np.full(1, -1.0), np.full(1, 1.0), np.full(1, 1e-6))
    assert x[0] == pytest.approx(0.4, abs=1e-3)
    assert np.sum(found.residual**2) < 1e-2
    x, *_ = refit(data, model, np.zeros(1), np.full(1, -1.0), np.full(1, 0.25), np.full(1, 1e-6))
    assert x[0] == pytest.approx(0.25)


def test_sources_that_would_be_negative_are_not_expected(mixture):
    A, S = mixture
    S = S * np.array([[1.0], [-0.2]]) * (np.arange(40) % 2) + S * (np.arange(40) % 2 == 0)
    found = Misfit(blocks(np.maximum(A @ S, 0)), A, np.zeros((30, 40)))
    assert (found.sources < 0).any()
    assert (found.expected > 0).all()
