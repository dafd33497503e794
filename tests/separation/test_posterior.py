import numpy as np
import pytest

from astro_lpalm.forward import least_squares
from astro_lpalm.separation import nmse, posterior_mean

from .conftest import make_mixture


def collinear_mixture(rng, t=1000):
    """Two spectra that are much alike, and sparse sources: least squares blows the noise up."""
    A = np.abs(rng.standard_normal((20, 1))) + 0.2 * np.abs(rng.standard_normal((20, 3)))
    A /= np.linalg.norm(A, axis=0)
    S = rng.laplace(size=(3, t)) * (rng.random((3, t)) < 0.1)
    return A @ S + 0.05 * rng.standard_normal((20, t)), A, S


def test_sparsity_beats_least_squares(rng):
    X, A, S = collinear_mixture(rng)
    assert nmse(posterior_mean(X, A), S) < 0.4 * nmse(least_squares(X, A), S)


def test_one_normal_source_has_the_wiener_estimate(rng):
    # One source, normal: the posterior mean is s V / (V + C), whatever mixture of normals stands for the prior.
    a = rng.random((30, 1))
    S = 2.0 * rng.standard_normal((1, 20_000))
    X = a @ S + rng.standard_normal((30, 20_000))
    wiener = least_squares(X, a) * 4.0 / (4.0 + 1.0 / np.sum(a**2))
    assert nmse(posterior_mean(X, a, np.ones(30)), wiener) < 1e-3


def test_noiseless_data_give_the_sources_back(mixture):
    X, A, S = mixture
    assert nmse(posterior_mean(X, A), S) < 1e-6


def test_measured_variance_serves_as_well_as_the_true_one(rng):
    X, A, S = collinear_mixture(rng)
    told = posterior_mean(X, A, np.full(20, 0.05**2))
    assert nmse(posterior_mean(X, A), S) < 1.1 * nmse(told, S)


def test_noise_that_differs_between_energies_is_weighed(rng):
    X, A, S = collinear_mixture(rng)
    sigma = np.where(np.arange(20) < 10, 0.5, 0.01)
    X = A @ S + sigma[:, np.newaxis] * rng.standard_normal(X.shape)
    assert nmse(posterior_mean(X, A, sigma**2), S) < 0.2 * nmse(posterior_mean(X, A, np.ones(20)), S)


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_follows_the_scale_of_the_data(rng, factor):
    X, A, _ = collinear_mixture(rng, t=200)
    np.testing.assert_allclose(posterior_mean(factor * X, A), factor * posterior_mean(X, A), rtol=1e-6)


def test_blocks_do_not_show(rng, monkeypatch):
    X, A, _ = make_mixture(rng, t=300, snr_db=20)
    expected = posterior_mean(X, A)
    monkeypatch.setattr("astro_lpalm.separation.posterior._BLOCK", 7)
    np.testing.assert_allclose(posterior_mean(X, A), expected, rtol=1e-10)


def test_keeps_single_precision_and_what_was_never_learned_from(rng, monkeypatch):
    # Weights come from some of the pixels; a far brighter one among the others must not come out as NaN.
    X, A, S = make_mixture(rng, t=300, snr_db=20)
    S[:, 1] = 1e3
    X[:, 1] += A @ S[:, 1]
    monkeypatch.setattr("astro_lpalm.separation.posterior._N_LEARNING", 100)
    found = posterior_mean(X.astype(np.float32), A.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 1], S[:, 1], rtol=0.01)


def test_refuses_what_it_cannot_use(rng):
    X = rng.random((20, 30))
    with pytest.raises(ValueError, match="spectra has 11 columns.*ten at the most"):
        posterior_mean(X, rng.random((20, 11)))
    with pytest.raises(ValueError, match="variance must hold a positive number for each of the 20 energies"):
        posterior_mean(X, rng.random((20, 2)), np.zeros(20))
    with pytest.raises(ValueError, match="spectra has 3 energies"):
        posterior_mean(X, rng.random((3, 2)))
