import numpy as np
import pytest
from scipy.optimize import minimize

from astro_lpalm.separation import ISTA, PALM, align, nmse

from .conftest import make_mixture


def soft(values, threshold):
    return np.sign(values) * np.maximum(np.abs(values) - threshold, 0)


def plain_palm(X, A, threshold, n_iter):
    """Equation (6), written down as it stands."""
    S = np.linalg.pinv(A) @ X
    for _ in range(n_iter):
        g = 1 / (1.01 * np.linalg.norm(A, 2) ** 2)
        S = soft(S + g * A.T @ (X - A @ S), threshold * g)
        A = A + (X - A @ S) @ S.T / (1.01 * np.linalg.norm(S, 2) ** 2)
        A = A / np.maximum(np.linalg.norm(A, axis=0), 1)
    return A, S


def lasso_by_quasi_newton(x, A, threshold):
    """The minimum of 1/2 ||x - A s||^2 + threshold ||s||_1, from s = p - q with p, q >= 0."""
    n = A.shape[1]

    def objective(parts):
        residual = A @ (parts[:n] - parts[n:]) - x
        gradient = A.T @ residual
        return 0.5 * residual @ residual + threshold * parts.sum(), np.r_[gradient, -gradient] + threshold

    options = {"ftol": 0, "gtol": 1e-10, "maxiter": 10_000}
    found = minimize(
        objective, np.zeros(2 * n), jac=True, method="L-BFGS-B", bounds=[(0, None)] * 2 * n, options=options
    )
    return found.x[:n] - found.x[n:]


@pytest.fixture
def start(mixture, rng):
    _, A, _ = mixture
    return A + 0.05 * rng.standard_normal(A.shape)


def test_is_equation_6(rng, start):
    X, _, _ = make_mixture(rng, t=5000, snr_db=20)  # more pixels than a block
    found = PALM(start, threshold=0.05, max_iter=30).separate(X)
    A, S = plain_palm(X, start, 0.05, 30)
    np.testing.assert_allclose(found.spectra, A, rtol=1e-10)
    np.testing.assert_allclose(found.sources, S, atol=1e-10 * np.abs(S).max())
    objective = 0.5 * np.linalg.norm(X - A @ S) ** 2 + 0.05 * np.abs(S).sum()
    assert found.history["objective"][-1] == pytest.approx(objective, rel=1e-10)
    A_before, S_before = plain_palm(X, start, 0.05, 29)
    moved = max(np.linalg.norm(A - A_before), np.linalg.norm(S - S_before))
    assert found.history["change"][-1] == pytest.approx(moved, rel=1e-6)
    assert found.n_iter == len(found.history["objective"]) == 30
    assert not found.converged


@pytest.mark.parametrize("threshold", [0.0, 1e-3, 0.1, 2.0])
@pytest.mark.parametrize("far", [False, True])
def test_objective_never_rises(rng, start, threshold, far):
    X, _, _ = make_mixture(rng, snr_db=20)
    start = rng.standard_normal(start.shape) * 10 if far else start
    objective = PALM(start, threshold=threshold, max_iter=300).separate(X).history["objective"]
    assert np.diff(objective).max() < 1e-14 * np.linalg.norm(X) ** 2
    assert objective[-1] < objective[0]


def test_fixed_point(rng, start):
    X, _, _ = make_mixture(rng, snr_db=20)
    threshold = 0.2
    found = PALM(start, threshold=threshold).separate(X)
    assert found.converged
    assert found.history["change"][-1] <= 1e-7 < found.history["change"][-2]
    A, S = found.spectra, found.sources
    gradient = A.T @ (X - A @ S)
    active = S != 0
    assert 0.1 < active.mean() < 0.9
    np.testing.assert_allclose(gradient[active], threshold * np.sign(S[active]), atol=1e-6)
    assert np.abs(gradient[~active]).max() <= threshold + 1e-6
    # A column is shorter than 1 and cannot be improved, or has norm 1 and would only be improved by being longer.
    gradient = (X - A @ S) @ S.T
    np.testing.assert_allclose(np.linalg.norm(A, axis=0), 1, atol=1e-9)
    along = np.sum(gradient * A, axis=0)
    assert np.all(along > 0)
    np.testing.assert_allclose(gradient, A * along, atol=1e-4 * np.linalg.norm(X) ** 2 / X.shape[1])


def test_two_iterations_at_least(mixture, start):
    X, _, _ = mixture
    found = PALM(start, tolerance=np.inf).separate(X)
    assert found.n_iter == 2
    assert found.converged


def test_threshold_that_leaves_nothing(mixture, start):
    X, _, _ = mixture
    found = PALM(start, threshold=1e6).separate(X)
    np.testing.assert_array_equal(found.sources, 0)
    assert found.converged
    assert np.isfinite(found.spectra).all()
    assert found.history["objective"][-1] == pytest.approx(0.5 * np.linalg.norm(X) ** 2)


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_palm_scale(mixture, start, factor):
    X, _, _ = mixture
    once = PALM(start, threshold=0.1, tolerance=0, max_iter=200).separate(X)
    scaled = PALM(start, threshold=0.1 * factor, tolerance=0, max_iter=200).separate(X * factor)
    np.testing.assert_allclose(scaled.spectra, once.spectra, atol=1e-9)
    np.testing.assert_allclose(scaled.sources, factor * once.sources, atol=1e-8 * factor)


def test_single_precision(mixture, start):
    X, _, _ = mixture
    kept = start.copy()
    found = PALM(start, threshold=0.1, max_iter=200).separate(X.astype(np.float32))
    assert found.spectra.dtype == found.sources.dtype == np.float32
    double = PALM(start, threshold=0.1, max_iter=200).separate(X)
    np.testing.assert_allclose(found.spectra, double.spectra, atol=1e-4)
    np.testing.assert_array_equal(start, kept)


def test_palm_of_the_paper(protocol):
    # Table 1: median NMSE(S) 0.0176, after a median of 2011 iterations. Most of it is wrong signs: PALM often finds a
    # source with the opposite one. With these made good it comes closer.
    solver = PALM(protocol.training.A[123], threshold=2e-3, max_iter=2500)
    errors, n_iter = [], []
    for k in np.linspace(0, 149, 9).astype(int):
        found = solver.separate(protocol.X[k].astype(float))
        errors.append(nmse(align(found, protocol.A[k], scale=False).sources, protocol.S[k]))
        n_iter.append(found.n_iter)
    assert 0.003 < np.median(errors) < 0.0176
    assert 400 < np.median(n_iter) < 2500


def test_progress_does_not_write_where_there_is_no_terminal(mixture, start, capsys):
    PALM(start, threshold=0.1, max_iter=3, progress=True).separate(mixture[0])
    assert capsys.readouterr() == ("", "")


def test_palm_errors(mixture, start):
    X, _, _ = mixture
    with pytest.raises(ValueError, match="threshold is -1, but must not be negative"):
        PALM(start, threshold=-1)
    with pytest.raises(ValueError, match="tolerance is nan"):
        PALM(start, tolerance=np.nan)
    with pytest.raises(ValueError, match="max_iter is 1, but must be a whole number of at least 2"):
        PALM(start, max_iter=1)
    with pytest.raises(ValueError, match=r"start must be a matrix .* shape \(3,\)"):
        PALM(start[0])
    with pytest.raises(ValueError, match="column 1 of start is zero"):
        PALM(start * [1, 0, 1])
    with pytest.raises(ValueError, match="spectra has 19 energies"):
        PALM(start[:-1]).separate(X)


def test_is_equation_3(rng, mixture):
    _, A, _ = mixture
    X, _, _ = make_mixture(rng, t=5000, snr_db=20)
    S, lipschitz = np.zeros((3, 5000)), 1.01 * np.linalg.norm(A, 2) ** 2
    changes = []
    for _ in range(25):
        before = S
        S = soft(S + A.T @ (X - A @ S) / lipschitz, 0.01 / lipschitz)
        changes.append(np.linalg.norm(S - before))
    found = ISTA(threshold=0.01).separate(X, A)
    np.testing.assert_allclose(found.sources, S, atol=1e-12)
    np.testing.assert_allclose(found.history["change"], changes)
    np.testing.assert_array_equal(found.spectra, A)
    assert found.n_iter == 25


def test_ista_reaches_the_lasso(rng):
    X, A, _ = make_mixture(rng, t=30, snr_db=10)
    found = ISTA(threshold=0.3, n_iter=5000).separate(X, A).sources
    expected = np.stack([lasso_by_quasi_newton(x, A, 0.3) for x in X.T], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert 0.1 < np.mean(found == 0) < 0.9


def test_ista_with_orthonormal_spectra_is_a_threshold(rng):
    A = np.linalg.qr(rng.standard_normal((8, 3)))[0]
    X = rng.standard_normal((8, 50))
    found = ISTA(threshold=0.5, n_iter=50).separate(X, spectra=A)
    np.testing.assert_allclose(found.sources, soft(A.T @ X, 0.5), atol=1e-12)


def test_ista_precision(mixture):
    X, A, _ = mixture
    found = ISTA().separate(X.astype(np.float32), A)
    assert found.spectra.dtype == found.sources.dtype == np.float32


def test_ista_errors(mixture):
    X, A, _ = mixture
    with pytest.raises(ValueError, match="threshold is -0.1"):
        ISTA(threshold=-0.1)
    with pytest.raises(ValueError, match=r"n_iter is 2\.5, but must be a whole number of at least 1"):
        ISTA(n_iter=2.5)
    with pytest.raises(ValueError, match="spectra has 19 energies"):
        ISTA().separate(X, A[:-1])
