import tracemalloc

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS
from numpy.testing import assert_allclose

from astro_lpalm.cube import EventCube
from astro_lpalm.forward import BackgroundCounts, Fit, ForwardModel, LocalSpectra
from astro_lpalm.trust.errors import (
    _least_squares,
    photon_noise,
    reduced_chi_square,
    spectrum_errors,
)

N = 3


def fit(shape=(24, 30), m=12, background=None, empty=False, alike=False):
    rng = np.random.default_rng(0)
    A, S = rng.random((m, N)), 5 * rng.gamma(0.5, size=(N, *shape))
    if empty:
        S[1] = 0
    if alike:
        A[:, 2] = A[:, 1]
    mask = np.zeros(shape, dtype=bool)
    mask[3, 4:9] = True
    S = S[:, ~mask]
    counts = None
    if background == "separable":
        counts = BackgroundCounts.separable(300 * rng.random(m), np.full(S.shape[1], 1 / S.shape[1]))
    elif background == "blank field":
        counts = BackgroundCounts.of(rng.poisson(3, (m, S.shape[1]))).scaled(0.4)
    forward = ForwardModel(~mask, background=counts)
    data = np.zeros((m, *shape), dtype=np.int32)
    data[:, ~mask] = forward.draw(A, S, 1)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1 / 3600, 1 / 3600]
    cube = EventCube(data, energy_edges=np.arange(1, m + 2) * u.keV, wcs=wcs, mask=mask)
    noise = rng.normal(size=S.shape) * (S != 0)
    return Fit(cube, forward, A, S + 0.5 * noise)


def laid_out(fit):
    """The same with all counts and expected counts as matrices."""
    X, S, P = fit.cube.matrix().astype(float), fit.images, fit.demixing
    expected = np.maximum(fit.expected(), 0)
    background = 0 if fit.forward.background is None else fit.forward.background.matrix()
    left = P @ (X - background) - S
    noise = S.shape[1] * (P * expected.mean(axis=1)) @ P.T - left @ left.T
    used = S.any(axis=1)
    solve = _least_squares(S[used], noise[np.ix_(used, used)])
    variance = np.ones(fit.mixing.shape)
    variance[:, used] = np.maximum(S[used].sum(axis=1) ** 2 * (expected @ (solve**2).T), 1)
    return np.sqrt(variance)


@pytest.mark.parametrize("background", [None, "separable", "blank field"])
@pytest.mark.parametrize("options", [{}, {"empty": True}, {"alike": True}])
def test_row_by_row_is_as_laid_out(background, options):
    made = fit(background=background, **options)
    assert_allclose(spectrum_errors(made), laid_out(made), rtol=1e-9)


def test_memory_does_not_grow_with_the_energies():
    made = fit((120, 130), m=60, background="separable")
    row = 8 * made.images.shape[1]
    tracemalloc.start()
    try:
        spectrum_errors(made)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (5 * N + 4) * row  # of 60 rows that a cube has


def local_fit(seed, shape=(40, 50), m=12, scale=20.0):
    """Counts of two components whose spectra change by a lot over the field, and their images of least squares."""
    rng = np.random.default_rng(seed)
    energy = np.linspace(0, 1, m)[:, np.newaxis]
    basis = np.exp(-(((energy - [0.2, 0.5, 0.6, 0.9]) / 0.2) ** 2))
    basis /= basis.sum(axis=0)
    across = np.tile(np.linspace(0, 1, shape[1]), shape[0])
    local = LocalSpectra(basis, np.array([across, 1 - across, across**2, 1 - across**2]), np.array([0, 0, 1, 1]))
    counts = scale * np.stack([1 + np.cos(6 * across), np.ones(across.size)]) * rng.gamma(3, 1 / 3, across.size)
    background = BackgroundCounts.separable(np.ones(m), np.full(across.size, 0.2))
    X = rng.poisson(local.expected(counts, background)).astype(np.float32)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1 / 3600, 1 / 3600]
    cube = EventCube(X.reshape(m, *shape), energy_edges=np.arange(1, m + 2) * u.keV, wcs=wcs)
    forward = ForwardModel(np.ones(shape, dtype=bool), background=background)
    mixing = local.totals(counts) / counts.sum(axis=1)
    variance = Fit(cube, forward, mixing, counts).variance
    return Fit(cube, forward, mixing, local.least_squares(X - background.matrix(), variance), local), counts


def test_local_spectra_leave_residuals_of_noise():
    fits = [local_fit(seed)[0] for seed in range(10)]
    assert np.mean([reduced_chi_square(fit) for fit in fits]) == pytest.approx(1, abs=0.015)
    one = fits[0]
    assert reduced_chi_square(Fit(one.cube, one.forward, one.mixing, one.demixing @ one.cube.matrix())) > 1.05


def test_photon_noise_of_local_spectra():
    fits = [local_fit(seed) for seed in range(12)]
    pulls = [(fit.images - counts) / np.sqrt(photon_noise(fit)) for fit, counts in fits]
    left, right = np.split(np.array(pulls).reshape(12, 2, 40, 50), 2, axis=3)
    assert_allclose([left.std(axis=(0, 2, 3)), right.std(axis=(0, 2, 3))], 1, atol=0.05)
    # The noise of the field's spectra is another: components are told apart where the field's are not, and otherwise.
    fit = fits[0][0]
    ratio = photon_noise(Fit(fit.cube, fit.forward, fit.mixing, fit.images)) / photon_noise(fit)
    assert ratio.max() / ratio.min() > 1.3


def test_photon_noise_of_the_same_spectrum_everywhere():
    made = fit(background="separable")
    t, owners = made.images.shape[1], np.arange(N)
    local = LocalSpectra(made.mixing / made.mixing.sum(axis=0), np.ones((N, t)), owners)
    same = Fit(made.cube, made.forward, made.mixing, made.images, local)
    assert_allclose(photon_noise(same), photon_noise(made), rtol=1e-4)
    assert reduced_chi_square(same) == pytest.approx(reduced_chi_square(made), rel=1e-9)
    assert_allclose(spectrum_errors(same), spectrum_errors(made), rtol=1e-9)
