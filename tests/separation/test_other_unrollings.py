"""Unrollings that the paper names without comparing, against the iterations that they are unrolled from."""

import numpy as np
import pytest
import torch

from astro_lpalm.separation import UnrolledPALM
from astro_lpalm.separation.other_updates import least_coherent

from .conftest import make_mixture
from .test_unrolled import soft


def power_of(X):
    """Root mean power of a pixel, which thresholds are relative to."""
    return np.linalg.norm(X) / np.sqrt(X.shape[1])


def meets_the_lasso(X, A, S, penalty):
    """Whether S minimizes ||X - A S||^2 / 2 + penalty |S|: A^T (X - A S) is in penalty * sign(S)."""
    correlation = A.T @ (X - A @ S) / penalty
    active = np.abs(S) > 1e-6 * np.abs(S).max()
    assert 0.05 < np.mean(~active) < 0.95
    np.testing.assert_allclose(correlation[active], np.sign(S[active]), atol=1e-4)
    assert np.abs(correlation).max() < 1 + 1e-4
    return True


def plain_admm(X, A, rho, threshold, step):
    """ADMM as it stands, with a threshold and a step for each iteration."""
    inverse = np.linalg.inv(A.T @ A + rho * np.eye(A.shape[1]))
    z = u = np.zeros((A.shape[1], X.shape[1]))
    for theta, eta in zip(threshold, step):
        x = inverse @ (A.T @ X + rho * (z - u))
        z = soft(x + u, theta)
        u = u + eta * (x - z)
    return z


@pytest.mark.parametrize("s_update", ["admm", "admm-llt"])
def test_admm_is_admm_before_it_is_trained(s_update, rng):
    X, A, _ = make_mixture(rng, t=5000, snr_db=20)  # more pixels than a block
    network = UnrolledPALM(s_update, "known", 6).initialize(A).double()
    with torch.no_grad():
        network.theta[:, 0] = torch.linspace(0.01, 0.05, 6)
        network.s_part.step *= torch.linspace(0.8, 1.2, 6)
    theta, step = network.theta[:, 0].detach().numpy() * power_of(X), network.s_part.step.detach().numpy()
    expected = plain_admm(X, A, 0.1 * np.linalg.norm(A, 2) ** 2, theta, step)
    np.testing.assert_allclose(network.separate(X, spectra=A).sources, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize(("s_update", "follows"), [("admm", False), ("admm-llt", True)])
def test_admm_reaches_the_lasso_solution(s_update, follows, rng):
    X, A, _ = make_mixture(rng, t=50, snr_db=20)
    network = UnrolledPALM(s_update, "known", 500).initialize(A).double()
    rho = 0.1 * np.linalg.norm(A, 2) ** 2
    with torch.no_grad():
        network.theta[:, 0] = 0.1 / rho
    assert meets_the_lasso(X, A, network.separate(X, spectra=A).sources, 0.1 * power_of(X))
    # With other spectra only matrices that are made of them lead there.
    Y, B, _ = make_mixture(rng, t=50, snr_db=20)
    found = network.separate(Y, spectra=B).sources
    if follows:
        assert meets_the_lasso(Y, B, found, 0.1 * power_of(Y))
    else:
        np.testing.assert_array_equal(found, network.separate(Y, spectra=A).sources)


@pytest.mark.parametrize("shape", [(5, 12), (12, 5)])
def test_weights_of_least_coherence(shape, rng):
    # The Lagrange conditions: the gradient A A^T w of |A^T w|^2 / 2 is along a_i, and w^T a_i is one. The problem is
    # convex, so that nothing nearby with such a diagonal is less coherent.
    A = rng.normal(size=shape)
    W = least_coherent(torch.as_tensor(A)[None])[0].numpy()
    np.testing.assert_allclose(np.diag(W.T @ A), 1.0)
    gradient = A @ A.T @ W
    along = (gradient * A).sum(axis=0) / (A**2).sum(axis=0)
    np.testing.assert_allclose(gradient, along * A, atol=1e-10)
    if shape[0] > shape[1]:
        np.testing.assert_allclose(W.T @ A, np.eye(shape[1]), atol=1e-12)
    else:
        assert np.linalg.norm(W.T @ A) < np.linalg.norm(A.T @ A / (A**2).sum(axis=0)[:, np.newaxis])


def test_alista_starts_as_least_squares_and_follows_its_equation(rng):
    X, A, _ = make_mixture(rng, snr_db=20)
    network = UnrolledPALM("alista", "known", 4).initialize(A).double()
    with torch.no_grad():
        network.theta[:] = 0.0
    exact = np.linalg.lstsq(A, X, rcond=None)[0]
    np.testing.assert_allclose(network.separate(X, spectra=A).sources, exact, atol=1e-10)
    with torch.no_grad():
        network.theta[:, 0] = torch.linspace(0.01, 0.05, 4)
        network.s_part.step[:] = torch.linspace(0.5, 0.9, 4)
    W, S = np.linalg.pinv(A).T, 0.0 * exact
    for theta, step in zip(network.theta[:, 0].detach(), network.s_part.step.detach()):
        S = soft(S + float(step) * W.T @ (X - A @ S), float(theta) * power_of(X))
    np.testing.assert_allclose(network.separate(X, spectra=A).sources, S, atol=1e-10)


def test_deep_nmf_is_semi_nmf_before_it_is_trained(rng):
    # The update of Ding, Li and Jordan for signed spectra F, whose sources H are non-negative.
    X, A, _ = make_mixture(rng, snr_db=20)
    network = UnrolledPALM("deep-nmf", "known", 8).initialize(A).double()
    with torch.no_grad():
        network.theta[:, 0] = torch.linspace(0.01, 0.05, 8)
    F = np.hstack([A, -A])
    C, G = F.T @ X, F.T @ F
    H = np.tile(np.abs(A.T @ X).mean(axis=0), (6, 1))
    errors = []
    for theta in network.theta[:, 0].detach().numpy() * power_of(X):
        H = H * np.sqrt((np.maximum(C, 0) + np.maximum(-G, 0) @ H) / (np.maximum(-C, 0) + np.maximum(G, 0) @ H + theta))
        errors.append(np.linalg.norm(X - F @ H))
    found = network.separate(X, spectra=A).sources
    np.testing.assert_allclose(found, H[:3] - H[3:], atol=1e-6 * np.abs(found).max())
    assert errors[-1] < 0.5 * errors[0]


def test_deep_nmf_reaches_the_lasso_solution(rng):
    X, A, _ = make_mixture(rng, t=50, snr_db=20)
    X[:, 7] = 0.0  # a pixel without anything
    network = UnrolledPALM("deep-nmf", "known", 4000).initialize(A).double()
    with torch.no_grad():
        network.theta[:, 0] = 0.1
    found = network.separate(X, spectra=A).sources
    assert not found[:, 7].any()
    assert meets_the_lasso(X, A, found, 0.1 * power_of(X))


def test_weights_of_deep_nmf_are_never_negative(rng):
    X, A, _ = make_mixture(rng, snr_db=20)
    network = UnrolledPALM("deep-nmf", "known", 3).initialize(A).double()
    mirrored = network.copy()
    with torch.no_grad():
        mirrored.s_part.W *= -1
    expected = network.separate(X, spectra=A).sources
    np.testing.assert_array_equal(mirrored.separate(X, spectra=A).sources, expected)
