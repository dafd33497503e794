import numpy as np
import pytest

from astro_lpalm.separation import Factorization, align, nmse, sdr, spectral_angle


def test_nmse_of_stacks(rng):
    truth, estimate = rng.normal(size=(2, 4, 3, 10))
    expected = [np.linalg.norm(e - s) ** 2 / np.linalg.norm(s) ** 2 for e, s in zip(estimate, truth)]
    np.testing.assert_allclose(nmse(estimate, truth), expected)
    assert nmse(estimate[0], truth[0]) == pytest.approx(expected[0])


def test_figures_of_each_component(rng):
    truth, estimate = rng.normal(size=(2, 3, 50))
    expected = [np.linalg.norm(e - s) ** 2 / np.linalg.norm(s) ** 2 for e, s in zip(estimate, truth)]
    np.testing.assert_allclose(nmse(estimate, truth, axis=1), expected)
    np.testing.assert_allclose(nmse(estimate.T, truth.T, axis=0), expected)
    np.testing.assert_allclose(sdr(estimate, truth), -10 * np.log10(expected))
    np.testing.assert_allclose(sdr(estimate.T, truth.T, axis=0), sdr(estimate, truth))
    assert sdr(estimate, truth, axis=None) == pytest.approx(-10 * np.log10(nmse(estimate, truth)))


def test_sdr_of_known_distortion(rng):
    truth = rng.normal(size=(2, 100))
    distortion = rng.normal(size=(2, 100))
    distortion *= np.linalg.norm(truth, axis=1, keepdims=True) / np.linalg.norm(distortion, axis=1, keepdims=True)
    np.testing.assert_allclose(sdr(truth + distortion * [[0.1], [1e-3]], truth), [20, 60])
    np.testing.assert_array_equal(sdr(truth, truth), np.inf)
    with pytest.raises(ValueError, match="zero everywhere"):
        sdr([[1.0], [1.0]], [[1.0], [0.0]])


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


@pytest.mark.parametrize("sign", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_align_leaves_what_is_not_open(mixture, sign, scale):
    X, _, S = mixture
    A = np.linalg.qr(X)[0][:, :3]
    X = A @ S
    factors = np.array([2.0, -0.5 if sign else 0.5, 3.0])
    shuffled = Factorization((A * factors)[:, [2, 0, 1]], (S / factors[:, np.newaxis])[[2, 0, 1]], converged=False)
    aligned = align(shuffled, A, sign=sign, scale=scale)
    kept = 1 if scale else np.abs(factors)
    np.testing.assert_allclose(aligned.spectra, A * kept)
    np.testing.assert_allclose(aligned.spectra @ aligned.sources, X, atol=1e-12)
    assert not aligned.converged


def test_align_without_signs_does_not_match_the_opposite():
    truth = np.eye(3)[:, :2]
    found = Factorization(np.array([[-1.0, 0.6], [0.0, 0.0], [0.0, 0.8]]), np.ones((2, 4)))
    assert align(found, truth).spectra[0, 0] == 1
    np.testing.assert_array_equal(align(found, truth, sign=False, scale=False).spectra, found.spectra[:, ::-1])
    opposite = Factorization(-2 * truth[:, :1], np.ones((1, 4)))
    np.testing.assert_array_equal(align(opposite, truth[:, :1], sign=False).spectra, -truth[:, :1])


def test_align_finds_the_best_assignment_not_the_nearest_first():
    # The nearest first would give the first true spectrum its best match, and leave the second the worst.
    truth = np.array([[1.0, 0.8], [0.0, 0.6]])
    spectra = np.array([[np.cos(0.2), np.cos(1.2)], [np.sin(0.2), -np.sin(1.2)]])
    aligned = align(Factorization(spectra, np.ones((2, 1))), truth)
    np.testing.assert_allclose(np.abs(aligned.spectra), np.abs(spectra[:, ::-1]))


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
