import numpy as np
import pytest

from astro_lpalm.separation import AMCA, GMCA, align, nmse

from .conftest import make_mixture


def sparse_mixture(rng, A, t=4000, fraction=0.1, noise=0.01):
    S = rng.laplace(size=(A.shape[1], t)) * (rng.random((A.shape[1], t)) < fraction)
    return A @ S + noise * rng.standard_normal((len(A), t)), S


def error(solver, X, A):
    return nmse(align(solver.separate(X), A).spectra, A)


@pytest.fixture(params=[GMCA, AMCA])
def kind(request):
    return request.param


@pytest.mark.parametrize("orthogonal", [True, False])
@pytest.mark.parametrize("settings", [{}, {"soft": True}, {"soft": False}, {"threshold": 1}])
def test_sparse_sources_are_recovered(rng, kind, orthogonal, settings):
    A = np.linalg.qr(rng.standard_normal((20, 3)))[0] if orthogonal else make_mixture(rng)[1]
    X, S = sparse_mixture(rng, A)
    found = align(kind(3, **settings).separate(X), A)
    assert nmse(found.spectra, A) < 2e-3
    oracle = nmse(np.linalg.lstsq(A, X, rcond=None)[0], S)
    assert nmse(found.sources, S) < 1.5 * oracle + 2e-3


def test_disjoint_sources_are_recovered_exactly(rng):
    # Without noise and with no pixel in two sources, the truth is a fixed point.
    _, A, _ = make_mixture(rng)
    S = np.zeros((3, 3000))
    for k in range(3):
        S[k, 300 * k : 300 * (k + 1)] = rng.laplace(size=300)
    assert error(GMCA(3, n_iter=200), A @ S, A) < 1e-20


def test_adaptive_weights_help_where_sources_are_correlated(rng):
    # Bobin et al. (2015): all sources share a few of their strongest pixels.
    errors = []
    for _ in range(5):
        A = np.abs(rng.standard_normal((20, 3)))
        A /= np.linalg.norm(A, axis=0)
        _, S = sparse_mixture(rng, A)
        S[:, :80] += 3 * np.abs(rng.laplace(size=80))
        X = A @ S + 0.01 * rng.standard_normal((20, 4000))
        errors.append([error(solver, X, A) for solver in (GMCA(3), GMCA(3, soft=True), AMCA(3))])
    hard, soft, adaptive = np.median(errors, axis=0)
    assert adaptive < 1e-3
    assert adaptive < 0.05 * min(hard, soft)


def test_weights_of_the_samples(rng):
    # The A step, written down as it stands, with pixels in which all sources are zero.
    X, A, S = make_mixture(rng, snr_db=20)
    assert np.any(~S.any(axis=0))
    q = 0.55  # half way from 1 to 0.1
    activity = np.sum(np.abs(S / S.std(axis=1, keepdims=True)) ** q, axis=0) ** (1 / q) / len(S)
    weights = 1 / np.where(activity > 0, activity, np.median(activity[activity > 0]))
    W = np.diag(weights / weights.max())
    expected = X @ W @ S.T @ np.linalg.inv(S @ W @ S.T)
    expected *= np.sign(expected.sum(axis=0)) / np.linalg.norm(expected, axis=0)
    found = AMCA(3)._fit_spectra(X, S, X @ X.T, 0.5)
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("soft", [False, True])
def test_as_many_coefficients_as_said(rng, soft):
    X, _, _ = make_mixture(rng, t=3001, snr_db=20)
    found = GMCA(3, fraction=0.3, threshold=2, soft=soft, unbiased=False).separate(X)
    S = np.linalg.pinv(found.spectra) @ X
    for row, source in zip(S, found.sources):
        noise = 1.4826 * np.median(np.abs(row - np.median(row)))
        count = int(0.3 * np.count_nonzero(np.abs(row) > 2 * noise))
        limit = np.sort(np.abs(row))[-count]
        expected = row - np.clip(row, -limit, limit) if soft else np.where(np.abs(row) >= limit, row, 0)
        np.testing.assert_allclose(source, expected, atol=1e-10)


def test_last_sources_are_unbiased(rng, kind):
    X, _, _ = make_mixture(rng, snr_db=20)
    found = kind(3).separate(X)
    np.testing.assert_allclose(found.sources, np.linalg.lstsq(found.spectra, X, rcond=None)[0], atol=1e-10)
    thresholded = kind(3, unbiased=False).separate(X)
    np.testing.assert_array_equal(thresholded.spectra, found.spectra)
    assert np.mean(thresholded.sources == 0) > 0.5


def test_non_negative(rng, kind):
    X, A, _ = make_mixture(rng, t=2000, snr_db=5)
    assert kind(3).separate(X).spectra.min() < 0
    found = kind(3, non_negative=True).separate(X)
    assert found.spectra.min() >= 0
    np.testing.assert_allclose(np.linalg.norm(found.spectra, axis=0), 1)
    assert nmse(align(found, A).spectra, A) < 0.1


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-8), (np.float32, 1e-3)])
@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_scale_and_precision(rng, kind, dtype, tolerance, factor):
    X, _, _ = make_mixture(rng, t=2000, snr_db=20)
    once, scaled = kind(3).separate(X), kind(3).separate((X * factor).astype(dtype))
    assert scaled.spectra.dtype == scaled.sources.dtype == dtype
    np.testing.assert_allclose(scaled.spectra, once.spectra, atol=tolerance)
    np.testing.assert_allclose(scaled.sources / factor, once.sources, atol=20 * tolerance)


def test_order_of_pixels_and_sign_do_not_matter(rng, kind):
    X, _, _ = make_mixture(rng, t=2001, snr_db=20)
    kept, order = X.copy(), rng.permutation(2001)
    once, permuted = kind(3).separate(X), kind(3).separate(X[:, order])
    np.testing.assert_array_equal(X, kept)
    np.testing.assert_allclose(permuted.spectra, once.spectra, atol=1e-8)
    np.testing.assert_allclose(permuted.sources, once.sources[:, order], atol=1e-6)
    np.testing.assert_allclose(kind(3).separate(-X).spectra, once.spectra, atol=1e-8)
    assert np.all(once.spectra.sum(axis=0) > 0)


def test_pixels_and_energies_without_data(rng, kind):
    X, A, _ = make_mixture(rng, t=2000, snr_db=20)
    X[4], X[:, 100:300] = 0, 0
    found = kind(3).separate(X)
    np.testing.assert_array_equal(found.sources[:, 100:300], 0)
    np.testing.assert_allclose(found.spectra[4], 0, atol=1e-12)
    A[4] = 0
    assert nmse(align(found, A).spectra, A) < 1e-2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("non_negative", [False, True])
@pytest.mark.parametrize("n_real", [1, 2])
def test_more_components_than_there_are(rng, kind, dtype, non_negative, n_real):
    # Ties, sources of zeros and ones, and a component that nothing is left for.
    _, A, _ = make_mixture(rng)
    X = A[:, :n_real] @ (rng.random((n_real, 500)) < 0.1)
    found = kind(3, non_negative=non_negative).separate(X.astype(dtype))
    assert np.isfinite(found.spectra).all()
    assert np.isfinite(found.sources).all()
    np.testing.assert_allclose(np.linalg.norm(found.spectra, axis=0), 1, rtol=1e-5)
    if not non_negative:
        assert nmse(found.spectra @ found.sources, X) < (1e-24 if dtype == np.float64 else 1e-10)
    np.testing.assert_array_equal(found.sources[n_real:], 0)
    np.testing.assert_allclose(found.spectra[:, n_real:].T @ X * (not non_negative), 0, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("non_negative", [False, True])
@pytest.mark.parametrize("n_real", [2, 3])
def test_rounding_decides_nothing(kind, dtype, non_negative, n_real):
    # Another order of energies and pixels rounds other sums, as other processors do. Each value is there many times.
    # Only the order of the components, which the method leaves open, may change.
    tolerance = 1e-10 if dtype == np.float64 else 1e-4
    for seed in range(3):
        rng = np.random.default_rng(seed)
        _, A, _ = make_mixture(rng)
        X = (A[:, :n_real] @ (rng.random((n_real, 500)) < 0.1)).astype(dtype)
        solver = kind(3, non_negative=non_negative)
        once = solver.separate(X)
        for _ in range(2):
            rows, columns = rng.permutation(20), rng.permutation(500)
            again = align(solver.separate(X[rows][:, columns]), once.spectra[rows])
            np.testing.assert_allclose(again.spectra[:, :n_real], once.spectra[rows, :n_real], atol=tolerance)
            np.testing.assert_allclose(again.sources, once.sources[:, columns], atol=10 * tolerance)


@pytest.mark.parametrize("lost", ["absent", "repeated"])
def test_a_source_that_is_lost_starts_anew(rng, kind, lost):
    _, A, S = make_mixture(rng)
    X = A @ S
    left = S.copy()
    left[1] = 0 if lost == "absent" else -2 * S[0]
    found = kind(3)._fit_spectra(X, left, X @ X.T, 0.0)
    others = S[[0, 2]]
    weighted = kind(3)._weigh(left, 0.0)[[0, 2]]
    fitted = X @ weighted.T @ np.linalg.inv(others @ weighted.T)
    expected = np.linalg.svd(X - fitted @ np.linalg.lstsq(fitted, X, rcond=None)[0])[0][:, 0]
    np.testing.assert_allclose(found[:, [0, 2]], fitted / np.linalg.norm(fitted, axis=0), atol=1e-10)
    np.testing.assert_allclose(found[:, 1], expected * np.sign(expected.sum()), atol=1e-10)


def test_gmca_of_the_literature(protocol):
    # Median NMSE(S) and NMSE(A) of blind GMCA on section 3.1: 1.8e-3 and 1.2e-3 as published, 5.2e-4 and 2.7e-4 with a
    # tuned threshold.
    for settings, error_s, error_a in (({}, 1.8e-3, 1.2e-3), ({"threshold": 0}, 5.2e-4, 2.7e-4)):
        errors = []
        for k in np.linspace(0, 149, 25).astype(int):
            found = align(GMCA(4, **settings).separate(protocol.X[k].astype(float)), protocol.A[k])
            errors.append([nmse(found.sources, protocol.S[k]), nmse(found.spectra, protocol.A[k])])
        assert np.all(np.median(errors, axis=0) < [error_s, error_a])
        assert np.max(errors) < 0.05


def test_errors(mixture):
    X, _, _ = mixture
    with pytest.raises(ValueError, match="n_components is 0, but must be a whole number"):
        GMCA(0)
    with pytest.raises(ValueError, match="n_iter is 0"):
        AMCA(2, n_iter=0)
    with pytest.raises(ValueError, match="threshold is -1, but must not be negative"):
        GMCA(2, threshold=-1)
    with pytest.raises(ValueError, match="fraction is 2, but must be above 0"):
        GMCA(2, fraction=2)
    with pytest.raises(ValueError, match="exponent is 0, but must be above 0"):
        AMCA(2, exponent=0)
    with pytest.raises(ValueError, match=r"shape \(20, 2\), too small for 3 components"):
        GMCA(3).separate(X[:, :2])
