import tracemalloc

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS
from numpy.testing import assert_allclose

from astro_lpalm.cube import EventCube
from astro_lpalm.forward import BackgroundCounts, Fit, ForwardModel
from astro_lpalm.trust.errors import _least_squares, spectrum_errors

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
