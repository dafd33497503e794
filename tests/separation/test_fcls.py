import itertools

import numpy as np
import pytest
from scipy.optimize import nnls

from astro_lpalm.separation import FCLS, fcls, nonnegative_least_squares
from astro_lpalm.separation.fcls import solve_moments


def make_problem(rng, n, m=12, t=300):
    # Pixels in the simplex of the spectra, outside it in every direction, and none at all.
    A = rng.random((m, n))
    X = A @ rng.dirichlet(np.full(n, 0.5), t).T + 0.3 * rng.standard_normal((m, t))
    X[:, :3] = 0.0
    X[:, 3:6] *= 1e4
    return X, A


def enumerate_faces(x, A, unit_sum):
    """The best of the least squares solutions on all faces that are feasible, by an independent route."""
    n = A.shape[1]
    best = np.inf if unit_sum else np.linalg.norm(x)
    for count in range(1, n + 1):
        for face in itertools.combinations(range(n), count):
            part = A[:, face]
            if unit_sum:
                rest = np.linalg.lstsq(part[:, 1:] - part[:, :1], x - part[:, 0], rcond=None)[0]
                s = np.append(1 - rest.sum(), rest)
            else:
                s = np.linalg.lstsq(part, x, rcond=None)[0]
            if s.min() >= 0:
                best = min(best, np.linalg.norm(x - part @ s))
    return best


@pytest.mark.parametrize("n", [1, 2, 4, 7])
def test_optimality_conditions_of_every_pixel(n, rng):
    X, A = make_problem(rng, n)
    S = FCLS().separate(X, spectra=A).sources
    np.testing.assert_allclose(S.sum(axis=0), 1, atol=1e-12)
    assert S.min() >= 0
    # The slope of the error is the same for all components that are present, and no less for the others.
    slope = A.T @ (A @ S - X)
    scale = np.linalg.norm(A) * (np.linalg.norm(X, axis=0) + np.linalg.norm(A))
    common = np.where(S > 0, slope, -np.inf).max(axis=0)
    assert np.all(np.where(S > 0, common - slope, 0) < 1e-12 * scale)
    assert np.all(slope > common - 1e-12 * scale)
    if n > 1:
        assert 0.1 < np.mean(S == 0) < 0.9


@pytest.mark.parametrize("n", [1, 2, 4, 7])
def test_agrees_with_a_heavy_row(n, rng):
    X, A = make_problem(rng, n, t=100)
    X = X[:, 6:]
    heavy = np.vstack([A, np.full(n, 1e4)])  # more would cost digits
    expected = np.transpose([nnls(heavy, np.append(x, 1e4))[0] for x in X.T])
    np.testing.assert_allclose(FCLS().separate(X, A).sources, expected, atol=1e-7)


@pytest.mark.parametrize("n", [1, 2, 4, 7])
def test_without_the_sum(n, rng):
    X, A = make_problem(rng, n, t=100)
    expected = np.transpose([nnls(A, x)[0] for x in X.T])
    found = nonnegative_least_squares(X, A)
    np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max())
    assert found.min() >= 0
    np.testing.assert_array_equal(found[:, :3], 0)


@pytest.mark.parametrize("difference", [1e-3, 1e-7, 1e-12, 0.0])
@pytest.mark.parametrize("unit_sum", [True, False])
def test_spectra_that_are_nearly_alike(difference, unit_sum, rng):
    X, A = make_problem(rng, 4, t=60)
    X = X[:, 6:]
    A[:, 2] = A[:, 1] + difference * rng.standard_normal(len(A))
    A[:, 3] = 0.5 * (A[:, 0] + A[:, 1]) + difference * rng.standard_normal(len(A))
    S = FCLS().separate(X, A).sources if unit_sum else nonnegative_least_squares(X, A)
    assert S.min() >= 0
    if unit_sum:
        np.testing.assert_allclose(S.sum(axis=0), 1, atol=1e-12)
    best = [enumerate_faces(x, A, unit_sum) for x in X.T]
    np.testing.assert_allclose(np.linalg.norm(X - A @ S, axis=0), best, rtol=1e-9)


def test_nearly_alike_spectra_are_told_apart(rng):
    # Normal equations would square the difference of 1e-7 to rounding.
    A = rng.random((12, 3))
    A[:, 2] = A[:, 1] + 1e-7 * rng.standard_normal(12)
    S = rng.dirichlet([1, 1, 1], 200).T
    np.testing.assert_allclose(FCLS().separate(A @ S, A).sources, S, atol=1e-6)


def test_more_spectra_than_energies(rng):
    A = rng.random((3, 6))
    X = rng.random((3, 40))
    found = nonnegative_least_squares(X, A)
    np.testing.assert_allclose(np.linalg.norm(X - A @ found, axis=0), [nnls(A, x)[1] for x in X.T], atol=1e-10)


def test_many_spectra(rng):
    X, A = make_problem(rng, 20, m=30, t=50)
    expected = np.transpose([nnls(A, x)[0] for x in X.T])
    np.testing.assert_allclose(nonnegative_least_squares(X, A), expected, atol=1e-9 * np.abs(expected).max())
    with pytest.raises(ValueError, match="63 columns, but at most 62"):
        FCLS().separate(rng.random((70, 2)), rng.random((70, 63)))


def test_blocks_do_not_matter(monkeypatch, rng):
    X, A = make_problem(rng, 4)
    whole = FCLS().separate(X, A).sources
    monkeypatch.setattr(fcls, "_BLOCK", 7)
    np.testing.assert_allclose(FCLS().separate(X, A).sources, whole, atol=1e-12)


def test_from_moments(rng):
    X, A = make_problem(rng, 4)
    X = X[:, 6:]
    np.testing.assert_allclose(solve_moments(A.T @ A, A.T @ X), nonnegative_least_squares(X, A), atol=1e-9)
    # A component that is absent, and two that are the same: any solution, but not a worse one.
    A[:, 0], A[:, 2] = 0, A[:, 1]
    best = np.linalg.norm(X - A @ nonnegative_least_squares(X, A), axis=0)
    found = solve_moments(A.T @ A, A.T @ X)
    np.testing.assert_allclose(np.linalg.norm(X - A @ found, axis=0), best, rtol=1e-9)
    assert found.min() >= 0


def test_precision_follows_the_data(rng):
    X, A = make_problem(rng, 3)
    found = FCLS().separate(X.astype(np.float32), A)
    assert found.sources.dtype == found.spectra.dtype == np.float32
    np.testing.assert_allclose(found.sources, FCLS().separate(X, A).sources, atol=1e-5)


def test_bad_data(rng):
    X, A = make_problem(rng, 3)
    with pytest.raises(ValueError, match="spectra has 11 energies"):
        FCLS().separate(X, A[:-1])
    with pytest.raises(ValueError, match="NaN or infinite"):
        nonnegative_least_squares(X, np.where(A == A.max(), np.inf, A))
