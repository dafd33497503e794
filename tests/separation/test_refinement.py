import importlib

import numpy as np
import pytest
from astropy.utils.exceptions import AstropyUserWarning

from astro_lpalm.forward import least_squares
from astro_lpalm.separation import Factorization, Refinement, nmse, refine
from astro_lpalm.spectra import SpectralPrior

from .conftest import make_mixture

# "refine" and its module have other names, but the package exports only the function.
refinement = importlib.import_module("astro_lpalm.separation.refinement")


def start_near(A, rng, distance=0.02):
    return Factorization(A + distance * rng.standard_normal(A.shape), None)


def library_about(A, rng, rank=3, spread=0.1):
    """A library in which A was drawn, and that library's mean and principal vectors."""
    m, n = A.shape
    principal = np.stack([np.linalg.qr(rng.standard_normal((m, rank)))[0].T for _ in range(n)])
    coefficients = spread * rng.standard_normal((n, rank))
    mean = A.T - np.einsum("kr,krm->km", coefficients, principal)
    return SpectralPrior(mean=mean, principal=principal, spread=np.full((n, rank), spread), remainder=np.zeros((n, m)))


def test_truth_is_a_fixed_point_without_noise(mixture, rng):
    X, A, S = mixture
    found = refine(X, Factorization(A, None))
    assert found.converged
    np.testing.assert_allclose(found.spectra, A, atol=1e-10)
    np.testing.assert_allclose(found.sources, S, atol=1e-8)


def test_last_sources_are_unbiased(rng):
    # They are linear in X, S = V X, with V A = I: a least squares solution, with no threshold left in it.
    X, A, _ = make_mixture(rng, snr_db=20)
    found = refine(X, start_near(A, rng))
    V = np.linalg.lstsq(X.T, found.sources.T, rcond=None)[0].T
    np.testing.assert_allclose(V @ X, found.sources, atol=1e-10)
    np.testing.assert_allclose(V @ found.spectra, np.eye(3), atol=1e-8)


def test_sparsity_beats_the_starting_point(rng):
    X, A, S = make_mixture(rng, t=2000, snr_db=25)
    start = start_near(A, rng)
    found = refine(X, start)
    assert nmse(found.spectra, A) < 0.1 * nmse(start.spectra, A)
    oracle = np.linalg.lstsq(A, X, rcond=None)[0]
    assert nmse(found.sources, S) < 1.1 * nmse(oracle, S)


def test_library_helps(rng):
    X, A, S = make_mixture(rng, t=300, snr_db=10)
    library, start = library_about(A, rng), start_near(A, rng)
    assert nmse(refine(X, start, library).spectra, A) < 0.5 * nmse(refine(X, start).spectra, A)


def bright_together(rng, t=20000):
    """Sources whose moduli are correlated, as those of maps of one remnant are."""
    envelope = rng.gamma(0.3, size=t)
    return rng.laplace(size=(3, t)) * np.sqrt(envelope) * (0.3 + rng.gamma(0.3, size=(3, t)))


def test_library_tells_sources_apart_that_are_bright_together(rng):
    # Without noise, mixtures of the true columns fit as well as these themselves: thresholds prefer some mixture.
    _, A, _ = make_mixture(rng)
    S = bright_together(rng)
    X, start, library = A @ S, start_near(A, rng), library_about(A, rng, spread=0.02)
    error = nmse(refine(X, start, library).spectra, A)
    assert error < 0.3 * nmse(refine(X, start, library, leakage=0.0, correlated_leakage=0.0).spectra, A)


def test_leakage(rng):
    independent = rng.laplace(size=(3, 20000)) * np.array([[1.0], [1.0], [10.0]])
    np.testing.assert_allclose(refinement._leakage(independent, 1e-3, 0.01), 1e-3 * (1 - np.eye(3)), atol=1e-4)
    S = bright_together(rng)
    leakage = refinement._leakage(S * np.array([[1.0], [1.0], [10.0]]), 1e-3, 0.01)
    assert np.all(np.diag(leakage) == 0)
    plain = refinement._leakage(S, 1e-3, 0.01)
    assert leakage[2, 0] - 1e-3 == pytest.approx(10 * (plain[2, 0] - 1e-3))  # from strong to weak
    assert leakage[0, 2] - 1e-3 == pytest.approx(0.1 * (plain[0, 2] - 1e-3))
    assert leakage[1, 0] > 1.5e-3
    assert np.all(np.isfinite(refinement._leakage(np.zeros((3, 50)), 1e-3, 0.01)))


def test_library_without_spread_is_an_order(mixture, rng):
    X, A, _ = mixture
    library = library_about(A, rng)
    library.spread[:] = 0.0
    mean = np.maximum(library.mean.T, 0)
    np.testing.assert_allclose(
        refine(X, start_near(A, rng), library).spectra, mean / np.linalg.norm(mean, axis=0), rtol=1e-6
    )


def test_remainder_stands_for_the_vectors_left_out(rng):
    # One vector of three is known, and the rest only by their variance: better than taking the rest to be zero.
    X, A, _ = make_mixture(rng, t=1000, snr_db=25)
    whole, start = library_about(A, rng), start_near(A, rng)
    rest = np.einsum("kr,krm->km", whole.spread[:, 1:] ** 2, whole.principal[:, 1:] ** 2) ** 0.5
    errors = []
    for remainder in (0 * rest, rest):
        short = SpectralPrior(whole.mean, whole.principal[:, :1], whole.spread[:, :1], remainder)
        errors.append(nmse(refine(X, start, short).spectra, A))
    assert errors[1] < 0.2 * errors[0]


def test_noise_that_differs_between_energies(rng):
    # Half of the energies are far noisier: weighing them down must beat the plain pseudo-inverse with the true A.
    X, A, S = make_mixture(rng, t=3000)
    deviation = np.where(np.arange(len(A)) % 2, 0.3, 0.003)[:, np.newaxis]
    X = X + deviation * rng.standard_normal(X.shape)
    found = refine(X, start_near(A, rng))
    weighted = np.linalg.lstsq(A / deviation, X / deviation, rcond=None)[0]
    assert nmse(found.sources, S) < 1.2 * nmse(weighted, S) < 0.1 * nmse(np.linalg.lstsq(A, X, rcond=None)[0], S)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_scale(factor, rng):
    X, A, _ = make_mixture(rng, snr_db=20)
    library, start = library_about(A, rng), start_near(A, rng)
    once, scaled = refine(X, start, library), refine(factor * X, start, library)
    np.testing.assert_allclose(scaled.spectra, once.spectra, atol=1e-9)
    np.testing.assert_allclose(scaled.sources, factor * once.sources, atol=1e-9 * factor * np.abs(once.sources).max())


def test_component_below_the_noise_keeps_its_spectrum(rng):
    X, A, S = make_mixture(rng, t=2000)
    X = A[:, :2] @ S[:2] + 0.01 * rng.standard_normal(X.shape)
    found = refine(X, Factorization(A, None))
    assert np.isfinite(found.spectra).all()
    assert np.isfinite(found.sources).all()
    assert nmse(found.spectra[:, :2], A[:, :2]) < 1e-3


def test_precision_follows_the_data(mixture, rng):
    X, A, _ = mixture
    found = refine(X.astype(np.float32), start_near(A, rng))
    assert found.spectra.dtype == found.sources.dtype == np.float32


def test_rows_without_a_variance_weigh_least(mixture):
    # As in an energy where a background was over-subtracted: it must not outweigh the others.
    X, A, S = mixture
    variance = np.ones(len(A))
    variance[3] = -0.1
    spoiled = X.copy()
    spoiled[3] += 0.5
    expected = np.linalg.lstsq(A, spoiled, rcond=None)[0]
    np.testing.assert_allclose(least_squares(spoiled, A, variance), expected, atol=1e-10)


def test_distance_from_the_library(rng):
    _, A, _ = make_mixture(rng)
    library = library_about(A, rng, spread=0.005)
    for k, mean in enumerate(library.mean):
        mean /= np.linalg.norm(mean)
        library.principal[k] -= np.outer(library.principal[k] @ mean, mean)
        library.principal[k] = np.linalg.svd(library.principal[k], full_matrices=False)[2]
    assert np.all(library.distance(5 * library.mean.T) < 1e-10)
    # Two sigma along each of three principal vectors; the norm hardly changes.
    shifted = library.mean + 2 * np.einsum("kr,krm->km", library.spread, library.principal)
    shifted[1] = library.mean[1]
    distance = library.distance(shifted.T)
    np.testing.assert_allclose(distance[[0, 2]], 2, rtol=0.05)
    assert distance[1] < 1e-10
    # Across, where the library knows no spread, errors of 1e-4 at each of the energies are let pass.
    across = rng.standard_normal(20)
    across -= library.principal[0].T @ (library.principal[0] @ across)
    across -= library.mean[0] * (library.mean[0] @ across)
    away = library.mean.T.copy()
    away[:, 0] += 0.01 * across / np.linalg.norm(across)
    assert library.distance(away)[0] == pytest.approx(0.01 / (1e-4 * np.sqrt(20)) / np.sqrt(3), rel=0.1)


def test_what_leaves_the_library_is_not_trusted(rng):
    X, A, S = make_mixture(rng, t=5000)
    library = library_about(A, rng, spread=0.002)
    X = (A + 0.1 * np.eye(20)[:, :3]) @ S  # spectra that no component has
    start = Factorization(A, None)
    with pytest.warns(AstropyUserWarning, match=r"refinement took component 1 \(\d+ sigma\).* out of the range"):
        found = refine(X, start, library)
    np.testing.assert_array_equal(found.spectra, A)
    np.testing.assert_allclose(found.sources, np.linalg.lstsq(A, X, rcond=None)[0], atol=0.2 * np.abs(S).max())
    assert not found.converged
    assert library.distance(refine(X, start, library, farthest=np.inf).spectra).max() > 10  # without a warning


def test_settings(rng):
    X, A, _ = make_mixture(rng, snr_db=20)
    start = start_near(A, rng)
    refined = Refinement(n_rounds=2, threshold=2.0)(X, start)
    assert refined.n_iter == 2
    np.testing.assert_array_equal(refined.spectra, refine(X, start, n_rounds=2, threshold=2.0).spectra)
    assert nmse(refine(X, start).spectra, A) < nmse(refine(X, start, threshold=0.0).spectra, A)


@pytest.mark.parametrize(
    ("name", "value"), [("threshold", -1.0), ("leakage", np.nan), ("n_rounds", 2.5), ("tolerance", "low")]
)
def test_bad_settings(mixture, name, value):
    X, A, _ = mixture
    with pytest.raises(ValueError, match=f"{name} is '?{value}'?, but must be a .*number from zero up"):
        refine(X, Factorization(A, None), **{name: value})


def test_most_probable_spectrum_survives_tiny_noise(rng):
    # The covariances span 20 orders of magnitude, more than a matrix of doubles can be solved with; the same formula
    # with rational numbers is the reference.
    from fractions import Fraction

    m, r = 6, 2
    library = library_about(np.abs(rng.standard_normal((m, 2))), rng, rank=r)
    library.remainder[:] = 1e-9
    noise = 10.0 ** np.linspace(-20, -16, m)
    others = 1e-3 * rng.standard_normal((m, 1))
    spectrum = library.mean[0] + 0.05 * library.principal[0][0] + 2 * others[:, 0] + np.sqrt(noise)

    def exact(array):
        return np.vectorize(Fraction)(array)

    basis = exact(library.principal[0].T * library.spread[0])
    prior = basis @ basis.T + np.diag(exact(library.remainder[0]) ** 2)
    total = prior + np.diag(exact(noise)) + exact(others) @ exact(others).T
    rows = np.column_stack([total, exact(spectrum) - exact(library.mean[0])])
    for i in range(m):  # elimination without rounding
        rows[i] = rows[i] / rows[i, i]
        for j in set(range(m)) - {i}:
            rows[j] = rows[j] - rows[j, i] * rows[i]
    expected = (exact(library.mean[0]) + prior @ rows[:, -1]).astype(float)
    found = refinement._most_probable(spectrum, noise, others, library, 0)
    np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-9)


def test_a_spectrum_that_is_wanted_nowhere_stays_as_it_was():
    # Data in which the second component is negative, as that of another object may come out.
    A = np.array([[1.0, 0.2], [0.5, 0.4], [0.2, 1.0]])
    A /= np.linalg.norm(A, axis=0)
    rng = np.random.default_rng(0)
    S = rng.laplace(size=(2, 3000))
    X = (A[:, [0]] @ S[:1] - 0.5 * A[:, [1]] @ np.abs(S[:1])).astype(np.float32)
    sharp = SpectralPrior(-A.T, np.zeros((2, 1, 3)), np.zeros((2, 1)), np.full((2, 3), 1e-6))
    found = refinement.refine(X, Factorization(A, None), sharp, farthest=np.inf)
    assert np.isfinite(found.spectra).all()
    np.testing.assert_allclose(np.linalg.norm(found.spectra, axis=0), 1, rtol=1e-5)
