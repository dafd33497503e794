import tracemalloc
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS
from numpy.testing import assert_allclose

from astro_lpalm.cube import EventCube
from astro_lpalm.forward import BackgroundCounts, Fit, ForwardModel, LocalSpectra, demixing_matrix, floored
from astro_lpalm.forward import local as module

M, T = 20, 300
OWNERS = np.array([1, 0, 0, 1, 1, 2])


def made(t=T, m=M, dtype=float, seed=0):
    """Spectra of three components, of two, three and one basis spectra whose order is mixed up."""
    rng = np.random.default_rng(seed)
    energy = np.linspace(0, 1, m)[:, np.newaxis]
    basis = np.exp(-(((energy - [0.5, 0.2, 0.35, 0.6, 0.8, 0.95]) / 0.1) ** 2))
    coefficients = rng.random((6, t)) + 0.1
    for k in range(3):
        coefficients[OWNERS == k] /= basis[:, OWNERS == k].sum(axis=0) @ coefficients[OWNERS == k]
    return LocalSpectra(basis, coefficients.astype(dtype), OWNERS)


def in_pixel(local, j):
    parts = local.basis * local.coefficients[:, j]
    return np.stack([parts[:, local.owners == k].sum(axis=1) for k in range(local.shape[1])], axis=1)


def counts_of(local, seed=1):
    return np.random.default_rng(seed).gamma(0.5, 50.0, size=local.shape[1:])


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 64)


def test_expected_counts_are_those_of_each_pixel():
    local, background = made(), BackgroundCounts.separable(np.arange(M), np.full(T, 0.1))
    counts = counts_of(local)
    expected = np.stack([in_pixel(local, j) @ counts[:, j] for j in range(T)], axis=1)
    assert_allclose(local.expected(counts), expected)
    assert_allclose(local.expected(counts, background), expected + background.matrix())
    assert_allclose(local.totals(counts).sum(axis=1), expected.sum(axis=1))
    assert_allclose(local.totals(counts).sum(axis=0), counts.sum(axis=1))
    one = np.zeros_like(counts)
    one[1] = counts[1]
    assert_allclose(local.totals(counts)[:, 1], local.expected(one).sum(axis=1))
    some = np.arange(T) % 7 == 2
    assert_allclose(local.of_pixels(some).expected(counts[:, some]), expected[:, some])


@pytest.mark.parametrize("dtype", [float, np.float32])
def test_least_squares_is_that_of_each_pixel(small_chunks, dtype):
    local = made(dtype=dtype)
    X = np.random.default_rng(2).poisson(local.expected(counts_of(local))).astype(np.float32)
    variance = X.sum(axis=1)
    variance[3] = 0.0
    found = local.least_squares(X, variance)
    expected = [demixing_matrix(in_pixel(local, j), variance) @ X[:, j] for j in range(T)]
    assert_allclose(found, np.transpose(expected), rtol=1e-8, atol=1e-8)


def test_noise_is_that_of_each_pixel(small_chunks):
    local = made()
    lam, variance = local.expected(counts_of(local)) + 0.3, np.linspace(1, 30, M)
    expected = [demixing_matrix(in_pixel(local, j), variance) ** 2 @ lam[:, j] for j in range(T)]
    assert_allclose(local.noise(lam, variance), np.transpose(expected), rtol=1e-8)


def test_squares_of_residuals_are_those_of_each_pixel(small_chunks):
    local = made()
    lam, variance = local.expected(counts_of(local)) + 0.3, np.linspace(1, 30, M)
    expected = []
    for j in range(T):
        spectra = in_pixel(local, j)
        left = np.eye(M) - spectra @ demixing_matrix(spectra, variance)
        expected.append((left**2).sum(axis=0) @ lam[:, j])
    assert_allclose(local.residual_squares(lam, variance), expected, rtol=1e-8)


def test_noise_is_how_the_counts_scatter():
    local, rng = made(t=40), np.random.default_rng(3)
    lam = local.expected(counts_of(local)) + 1.0
    variance = lam.mean(axis=1)
    draws = np.array([local.least_squares(rng.poisson(lam), variance) for _ in range(800)])
    assert_allclose(draws.mean(axis=0), local.least_squares(lam, variance), atol=5 * draws.std(axis=0).max() / 28)
    assert_allclose(draws.var(axis=0) / local.noise(lam, variance), 1, atol=0.25)


def test_the_same_spectrum_everywhere_gives_the_images_of_a_field():
    local = made()
    same = LocalSpectra(local.basis, np.repeat(local.coefficients[:, :1], T, axis=1), OWNERS)
    mixing = in_pixel(local, 0)
    unit = mixing / np.linalg.norm(mixing, axis=0)
    X = np.random.default_rng(4).poisson(same.expected(counts_of(local)))
    variance = X.sum(axis=1)
    images = demixing_matrix(unit, variance) @ X * unit.sum(axis=0)[:, np.newaxis]
    assert_allclose(same.least_squares(X, variance), images, rtol=1e-8, atol=1e-8)
    assert_allclose(same.solve(same.rows(variance) @ X, variance), images, rtol=1e-8, atol=1e-8)
    assert_allclose(same.totals(images), unit / unit.sum(axis=0) * images.sum(axis=1))


def test_components_that_are_alike_in_a_pixel_share_its_counts():
    basis = np.array([[0.6, 0.1], [0.3, 0.1], [0.1, 0.8]])
    basis, owners = np.column_stack([basis, basis]), np.array([0, 0, 1, 1])
    # Alike in the first pixel; told apart in the second.
    coefficients = np.array([[0.3, 0.9], [0.7, 0.1], [0.3, 0.2], [0.7, 0.8]])
    local = LocalSpectra(basis, coefficients, owners)
    X = local.expected([[30.0, 30.0], [10.0, 10.0]])
    assert_allclose(local.least_squares(X, X.sum(axis=1)), [[20, 30], [20, 10]], rtol=1e-2)
    noise = local.noise(X, X.sum(axis=1))
    assert np.isfinite(noise).all()
    assert (noise > 0).all()


def test_least_squares_makes_no_second_cube():
    local = made(t=60_000, m=100, dtype=np.float32)
    X = np.ones((100, 60_000), dtype=np.float32)
    tracemalloc.start()
    try:
        local.least_squares(X, np.ones(100))
        local.noise(X, np.ones(100))
        local.residual_squares(X, np.ones(100))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.6 * X.nbytes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"basis": np.ones(3)}, r"basis must be a matrix, but its shape is \(3,\)"),
        ({"coefficients": np.full((6, T), np.nan)}, "coefficients has 1800 values that are NaN"),
        ({"coefficients": np.ones((5, T))}, r"must be \(6, pixels\) and \(6,\)"),
        ({"owners": np.array([0, 0, 1, 1, 3, 3])}, "owners must number the components from 0"),
        ({"owners": OWNERS.astype(float)}, "owners must number the components from 0"),
        ({"owners": np.array([0, 0, 0, 1, 1, 2])}, "the spectrum of component . in pixel .* must sum to one"),
    ],
)
def test_what_does_not_fit(changes, message):
    local = made()
    given = {name: getattr(local, name) for name in ("basis", "coefficients", "owners")}
    with pytest.raises(ValueError, match=message):
        LocalSpectra(**given | changes)


def test_what_does_not_fit_the_spectra():
    local = made()
    with pytest.raises(ValueError, match=r"counts has shape \(2, 300\); expected \(3, 300\)"):
        local.totals(np.ones((2, T)))
    with pytest.raises(ValueError, match=r"net has shape \(20, 9\); expected \(20, 300\)"):
        local.least_squares(np.ones((M, 9)), np.ones(M))
    with pytest.raises(ValueError, match=r"variance has shape \(3,\); expected \(20,\)"):
        local.least_squares(np.ones((M, T)), np.ones(3))
    with pytest.raises(ValueError, match=r"expected has shape \(20, 9\); it must be \(20, 300\)"):
        local.noise(np.ones((M, 9)), np.ones(M))


def test_arrays_cannot_be_changed_but_are_not_copied():
    coefficients = np.ones((1, 5))
    local = LocalSpectra(np.full((4, 1), 0.25), coefficients, np.zeros(1, dtype=int))
    with pytest.raises(ValueError, match="read-only"):
        local.coefficients[0] = 2
    assert np.shares_memory(local.coefficients, coefficients)


def test_fit_with_local_spectra():
    local, mask = made(t=298), np.zeros((15, 20), dtype=bool)
    mask[2, 3:5] = True
    counts, sums = counts_of(local), np.array([2.0, 1.0, 0.5])
    mixing = local.totals(counts) / counts.sum(axis=1) * sums
    background = BackgroundCounts.separable(np.arange(M), np.full(298, 0.1))
    data = np.zeros((M, 15, 20))
    data[:, ~mask] = local.expected(counts, background)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1 / 3600, 1 / 3600]
    cube = EventCube(data, energy_edges=np.arange(1, M + 2) * u.keV, wcs=wcs, mask=mask)
    forward = ForwardModel(~mask, background=background)
    fit = Fit(cube, forward, mixing, counts / sums[:, np.newaxis], local)
    assert_allclose(fit.component_counts, counts)
    assert_allclose(fit.expected(), data[:, ~mask])
    assert_allclose(fit.expected_spectrum(), data.sum(axis=(1, 2)))
    assert_allclose(fit.component_spectra(np.arange(298) < 9), local.of_pixels(np.s_[:9]).totals(counts[:, :9]))
    without = Fit(cube, forward, mixing, fit.images)
    assert_allclose(without.component_spectra(), fit.component_spectra())
    assert np.abs(without.expected() - data[:, ~mask]).max() > 1  # the spectra do differ
    assert_allclose(without.demixing, fit.demixing)
    assert_allclose(floored(fit.variance), fit.variance)
    assert_allclose(fit.with_images().images, fit.images)
    laid_out = BackgroundCounts.of(background.matrix())
    for each in (None, background, laid_out):
        own = replace(fit, forward=ForwardModel(~mask, background=each))
        same = own.about_means()
        assert same.local is None
        assert_allclose(same.expected(), own.expected(), rtol=1e-5)
        assert_allclose(same.residual_squares, own.residual_squares, rtol=1e-5, atol=1e-3)
