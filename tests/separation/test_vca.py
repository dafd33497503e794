import numpy as np
import pytest

from astro_lpalm.separation import VCA


def make_pure(rng, m=30, n=4, t=600):
    """Mixtures with one pure pixel for each spectrum, and where these are."""
    A = rng.random((m, n))
    S = rng.dirichlet(np.ones(n), t).T
    pure = rng.choice(t, n, replace=False)
    S[:, pure] = np.eye(n)
    return A @ S, A, S, pure


def measured_snr(X, n):
    t = X.shape[1]
    mean = X.mean(axis=1, keepdims=True)
    U = np.linalg.svd((X - mean) @ (X - mean).T / t)[0][:, :n]
    power, inside = np.sum(X**2) / t, np.sum((U.T @ (X - mean)) ** 2) / t + np.sum(mean**2)
    return 10 * np.log10((inside - n / len(X) * power) / (power - inside))


def orthogonal_noise(rng, A, S, deviation):
    """Noise of zero mean with nothing along A or S, which leaves the leading singular vectors as they are."""
    N = rng.standard_normal((len(A), S.shape[1]))
    rows = np.linalg.qr(np.vstack([S, np.ones(S.shape[1])]).T)[0]
    columns = np.linalg.qr(A)[0]
    N -= (N @ rows) @ rows.T
    N -= columns @ (columns.T @ N)
    return deviation * N


@pytest.mark.parametrize("seed", range(5))
def test_finds_pure_pixels_exactly(seed, rng):
    X, A, S, pure = make_pure(rng)
    found = VCA(4, seed=seed).separate(X)
    assert set(found.history["pixel"]) == set(pure)
    order = S[:, found.history["pixel"]].argmax(axis=0)
    np.testing.assert_allclose(found.spectra, A[:, order], atol=1e-12)
    np.testing.assert_allclose(found.sources, S[order], atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_finds_pure_pixels_in_much_noise(seed, rng):
    X, A, S, pure = make_pure(rng, m=400)
    X = X + orthogonal_noise(rng, A, S, 0.3)
    assert measured_snr(X, 4) < 15 + 10 * np.log10(4)
    found = VCA(4, seed=seed).separate(X)
    assert set(found.history["pixel"]) == set(pure)
    np.testing.assert_allclose(found.spectra, A[:, S[:, found.history["pixel"]].argmax(axis=0)], atol=1e-10)


def test_brightness_does_not_matter_in_little_noise(rng):
    X, A, S, pure = make_pure(rng)
    brightness = rng.uniform(0.1, 10, X.shape[1])
    X = X * brightness + orthogonal_noise(rng, A, S, 1e-4)
    assert measured_snr(X, 4) > 15 + 10 * np.log10(4)
    assert set(VCA(4).separate(X).history["pixel"]) == set(pure)


def test_all_pixels_the_same():
    # Nothing but one point: no direction is of use, and no number is invalid.
    X = np.tile([[1.0], [2.0], [3.0]], 5)
    found = VCA(2).separate(X)
    assert np.isfinite(found.spectra).all()
    np.testing.assert_allclose(found.spectra @ found.sources, X)


def test_one_component(rng):
    spectrum = rng.random((10, 1))
    found = VCA(1).separate(spectrum @ np.ones((1, 20)))
    np.testing.assert_allclose(found.spectra, spectrum)
    noise = VCA(1).separate(rng.standard_normal((10, 50)))  # less signal than noise
    assert np.isfinite(noise.spectra).all()
    np.testing.assert_array_equal(noise.sources, 1)


def test_empty_pixels(rng):
    X, _, _, pure = make_pure(rng)
    X[:, np.setdiff1d(np.arange(50), pure)] = 0
    assert set(VCA(4).separate(X).history["pixel"]) == set(pure)


def test_seed_and_precision(rng):
    X = rng.random((8, 200)).astype(np.float32)
    once, again = VCA(3, seed=5).separate(X), VCA(3, seed=5).separate(X)
    np.testing.assert_array_equal(once.spectra, again.spectra)
    assert once.spectra.dtype == once.sources.dtype == np.float32


def test_bad_settings(rng):
    with pytest.raises(ValueError, match="n_components is 0"):
        VCA(0)
    with pytest.raises(ValueError, match=r"shape \(3, 9\), too small for 4 components"):
        VCA(4).separate(rng.random((3, 9)))
