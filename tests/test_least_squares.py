import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.forward.least_squares import demixing_matrix, expected_counts, floored, weighted_inverse

ENERGY = np.linspace(0, 1, 30)[:, np.newaxis]
A = np.exp(-(((ENERGY - [0.2, 0.5, 0.7]) / 0.2) ** 2))


def test_solution_and_covariance_are_those_of_the_normal_equations():
    variance = np.linspace(1, 9, 30)
    demixing, covariance = weighted_inverse(A, variance)
    normal = A.T / variance @ A
    assert_allclose(covariance, np.linalg.inv(normal), rtol=1e-8)
    assert_allclose(demixing, np.linalg.solve(normal, A.T / variance), rtol=1e-6, atol=1e-10)
    assert_array_equal(demixing_matrix(A, variance), demixing)
    assert_allclose(demixing_matrix(A), np.linalg.pinv(A), atol=1e-12)


def test_spectra_that_are_the_same_share_their_source():
    twice = np.column_stack([A, A[:, 0] * (1 + 1e-14)])
    once, shared = demixing_matrix(A), demixing_matrix(twice)
    assert_allclose(shared[[0, 3]], once[[0, 0]] / 2, rtol=1e-6, atol=1e-8)


def test_no_variance_is_below_the_floor():
    assert_allclose(floored([4.0, 1e-9, 0.0, -1.0]), [4.0, 4e-4, 4.0, 4.0])
    assert_array_equal(floored([0.0, -1.0]), 1)


@pytest.mark.parametrize("counts", [3, 30, 300, 3000])
@pytest.mark.parametrize("share", [[0.5, 0.4, 0.1], [1, 0, 0]])
def test_all_counts_are_shared_out(counts, share):
    rng = np.random.default_rng(counts)
    p = A / A.sum(axis=0)
    for _ in range(20):
        x = rng.poisson(counts * p @ share)
        expected = expected_counts(A, x)
        fit = A @ demixing_matrix(A, expected) @ x
        assert expected.min() >= 0
        assert fit.sum() == pytest.approx(x.sum(), rel=1e-3)


def test_expected_counts_are_those_of_the_largest_likelihood():
    x = np.random.default_rng(0).poisson(5000 * (A / A.sum(axis=0)) @ [0.5, 0.4, 0.1])
    expected = expected_counts(A, x)
    assert_allclose(A.T @ (x / expected - 1), 0, atol=1e-2 * np.sqrt(x.sum()))


def test_background_and_signs():
    background = np.full(30, 7.0)
    x = A @ [50.0, 20.0, 30.0] + background
    assert_allclose(expected_counts(A, x, background), x, rtol=1e-10)
    assert_allclose(expected_counts(A * [1, -1, 1], x, background), x, rtol=1e-10)
    assert_allclose(expected_counts(A, background, background), background, rtol=1e-10)
