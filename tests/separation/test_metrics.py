import numpy as np
import pytest

from astro_lpalm.separation import Factorization, align, nmse, spectral_angle


def test_nmse_of_stacks(rng):
    truth, estimate = rng.normal(size=(2, 4, 3, 10))
    expected = [np.linalg.norm(e - s) ** 2 / np.linalg.norm(s) ** 2 for e, s in zip(estimate, truth)]
    np.testing.assert_allclose(nmse(estimate, truth), expected)
    assert nmse(estimate[0], truth[0]) == pytest.approx(expected[0])


def test_nmse_errors():
    with pytest.raises(ValueError, match="must be the same"):
        nmse([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="zero everywhere"):
        nmse([1.0], [0.0])


def test_align_undoes_order_sign_and_scale(mixture, rng):
    X, A, S = mixture
    factors = np.array([2.0, -0.5, -3.0])
    shuffled = Factorization((A / factors)[:, [2, 0, 1]], (S * factors[:, np.newaxis])[[2, 0, 1]], n_iter=4)
    aligned = align(shuffled, A)
    np.testing.assert_allclose(aligned.spectra, A)
    np.testing.assert_allclose(aligned.sources, S)
    np.testing.assert_allclose(aligned.spectra @ aligned.sources, X)
    assert aligned.n_iter == 4


def test_align_takes_an_empty_component(mixture):
    _, A, S = mixture
    empty = A.copy()
    empty[:, 1] = 0
    aligned = align(Factorization(empty, S), A)
    np.testing.assert_array_equal(aligned.spectra[:, 1], 0)
    assert np.isfinite(aligned.sources).all()


def test_align_errors(mixture):
    _, A, S = mixture
    with pytest.raises(ValueError, match="but the true ones have"):
        align(Factorization(A, S), A[:, :2])


def test_spectral_angle_ignores_scale(rng):
    A = rng.random((8, 3))
    np.testing.assert_allclose(spectral_angle(5 * A, A), 0, atol=1e-7)
    assert spectral_angle([[1.0], [0.0]], [[0.0], [1.0]])[0] == pytest.approx(np.pi / 2)
