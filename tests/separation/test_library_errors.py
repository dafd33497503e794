from dataclasses import replace

import numpy as np
import pytest

from astro_lpalm.separation import LibraryErrors, library_errors
from astro_lpalm.separation.descent import profile_sources
from astro_lpalm.spectra import SpectralPrior

E = np.linspace(0, 1, 20)


def draws(rng, total=400):
    """A power law, a plasma and a line, each with numbers of its own: never near zero."""
    a, b, c, d = rng.standard_normal((4, total, 1))
    power = (1 + E) ** -(3 + 0.3 * a)
    plasma = np.exp(-E * (2 + 0.2 * b)) * (1 + 0.5 * np.exp(-((E - 0.4) ** 2) / 0.005) * (1 + 0.1 * c)) + 0.05
    line = 0.1 + np.exp(-((E - 0.7 - 0.01 * d) ** 2) / 0.01)
    spectra = np.stack([power, plasma, line], axis=2)
    return spectra / np.linalg.norm(spectra, axis=1, keepdims=True)


PRIOR = SpectralPrior.of_draws(draws(np.random.default_rng(0)), 3)


def world(seed, counts=1e6):
    """Draw overlapping components from the prior: counts of 32 blocks, unit-sum spectra, sources."""
    rng = np.random.default_rng([seed, 3])
    p = PRIOR.mean.T + np.einsum("kij,kj->ik", PRIOR.factors(), rng.standard_normal((3, 20)))
    p /= p.sum(axis=0)
    both = rng.gamma(1.0, size=32)
    S = np.stack([0.7 * rng.gamma(1.0, size=32) + 0.3 * both, both, 0.8 * rng.gamma(0.5, size=32) + 0.2 * both])
    S *= counts * np.array([[0.3], [0.6], [0.1]]) / S.sum(axis=1, keepdims=True)
    return rng.poisson(p @ S).astype(float), p, S


def most_probable(Y):
    """Spectra, by Gauss-Newton steps on the very definition: all sources and spectra as unknowns."""
    factors, z = PRIOR.factors(), np.zeros((3, 20))
    m, n, b = 20, 3, Y.shape[1]
    A = PRIOR.mean.T
    for _ in range(8):
        S, _ = profile_sources(Y, A, np.zeros_like(Y))
        weight = 1 / np.sqrt(A @ S)
        of_z = np.einsum("kij,kb->ibkj", factors, S).reshape(m, b, n * m)
        of_s = np.einsum("ik,bc->ibkc", A, np.eye(b)).reshape(m, b, n * b)
        jacobian = np.concatenate([of_z, of_s], axis=2) * weight[..., np.newaxis]
        known = np.hstack([np.eye(n * m), np.zeros((n * m, n * b))])
        design = np.vstack([jacobian.reshape(m * b, -1), known])
        step = np.linalg.lstsq(design, np.append(((Y - A @ S) * weight).ravel(), -z.ravel()), rcond=None)[0]
        z = z + step[: n * m].reshape(n, m)
        A = PRIOR.mean.T + np.einsum("kij,kj->ik", factors, z)
    return A


def test_intervals_hold_the_truth_where_sources_overlap():
    inside, pulls = [], []
    for seed in range(40):
        Y, p, S = world(seed)
        found = library_errors(Y, most_probable(Y), PRIOR)
        error = found.fluxes * found.spectra - p * S.sum(axis=1)
        inside.append(np.abs(error) < np.sqrt(np.einsum("kii->ik", found.counts_covariance)))
        pulls.append((found.fluxes - S.sum(axis=1)) / found.flux_errors)
    assert 0.6 < np.mean(inside) < 0.76
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 0.5)
    assert np.all((np.std(pulls, axis=0) > 0.75) & (np.std(pulls, axis=0) < 1.25))


def test_what_is_given_goes_together():
    Y, p, S = world(1)
    found = library_errors(Y, 7 * p, PRIOR)
    assert isinstance(found, LibraryErrors)
    np.testing.assert_allclose(found.spectra, p)
    ways = found.directions
    np.testing.assert_allclose(np.einsum("qik,qjk->kij", ways, ways), found.spectra_covariance, atol=1e-5 * ways.max())
    sizes = np.sum(ways**2, axis=(1, 2))
    assert np.all(np.diff(sizes) <= 1e-12 * sizes[0])
    np.testing.assert_allclose(found.spectra_covariance.sum(axis=1), 0, atol=1e-12)  # of unit sum
    np.testing.assert_allclose(found.counts_covariance.sum(axis=(1, 2)), np.diag(found.flux_covariance), rtol=1e-6)
    assert found.flux_covariance[0, 1] < 0  # what one has the other has not
    np.testing.assert_allclose(found.fluxes.sum(), Y.sum(), rtol=2e-3)


def test_narrower_library_leaves_smaller_errors():
    Y, p, S = world(2, counts=1e7)
    wide = library_errors(Y, p, PRIOR)
    narrow = library_errors(Y, p, replace(PRIOR, spread=PRIOR.spread / 3, remainder=PRIOR.remainder / 3))
    assert np.all(wide.prior_share[:2] > 0.3)
    assert wide.prior_share[2] < 0.2  # the line is like nothing else
    assert np.all(narrow.flux_errors[:2] < 0.8 * wide.flux_errors[:2])
    assert narrow.flux_errors[2] < wide.flux_errors[2]
    assert np.all((narrow.prior_share > 0) & (narrow.prior_share < 1))


def test_more_counts_leave_less_and_background_adds_noise():
    Y, p, S = world(3)
    first, more = library_errors(p @ S, p, PRIOR), library_errors(100 * (p @ S), p, PRIOR)
    assert np.all(more.flux_errors / 100 < first.flux_errors)
    behind = library_errors(p @ S + 1e4, p, PRIOR, background=1e4)
    np.testing.assert_allclose(behind.fluxes, first.fluxes, rtol=1e-6)
    assert np.all(behind.flux_errors > first.flux_errors)


def test_empty_blocks_and_absent_components():
    Y, p, S = world(4)
    S[2] = 0
    Y = np.hstack([p @ S, np.zeros((20, 3))])
    found = library_errors(Y, p, PRIOR)
    np.testing.assert_allclose(found.fluxes[2], 0, atol=1e-3 * Y.sum())
    assert np.isfinite(found.counts_covariance).all()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"counts": -np.ones((20, 5))}, "counts has values that are negative"),
        ({"counts": np.zeros((20, 5))}, "zero"),
        ({"spectra": -np.ones((20, 3))}, "spectra has values that are negative"),
        ({"spectra": np.eye(20, 3) * [1, 1, 0]}, "spectrum 3 is zero"),
        ({"spectra": np.ones((20, 2))}, "library's spectra"),
        ({"background": np.ones((3, 5))}, r"background has shape \(3, 5\)"),
        ({"background": np.nan}, "background has values"),
    ],
)
def test_says_what_is_wrong(change, match):
    given = {"counts": np.ones((20, 5)), "spectra": np.ones((20, 3)), "prior": PRIOR}
    with pytest.raises(ValueError, match=match):
        library_errors(**given | change)
