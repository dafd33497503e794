import numpy as np
import pytest

from astro_lpalm.forward import background_amplitude
from astro_lpalm.forward.least_squares import expected_counts

from .. import toy

SPECTRUM = np.exp(-0.5 * ((np.arange(12) - 5.5) / 0.7) ** 2) + 0.2


def field(rng, background=0.5, counts=3.0):
    """Sources that leave most pixels to the background, their spectra, and what is expected of both."""
    A = toy.spectra() / toy.spectra().sum(axis=0)
    S = rng.gamma(0.3, counts / 0.3, size=(2, 600))
    B = np.outer(SPECTRUM / SPECTRUM.sum(), background * np.linspace(0.5, 1.5, 600))
    return A, S, B


def test_joint_fit_is_that_of_the_normal_equations():
    A, S, B = field(np.random.default_rng(0), 5.0, 30.0)
    A, S, B = A, S[:, :20], B[:, :20]
    X = A @ S + 1.3 * B
    X *= np.random.default_rng(1).uniform(0.9, 1.1, X.shape)
    weights = np.geomspace(1, 1e5, 20)  # none alike
    variance = expected_counts(np.column_stack([A, B.sum(axis=1)]), X.sum(axis=1))
    # one long least squares problem: 40 sources and the amplitude
    scale = 1 / np.sqrt(np.outer(variance, weights))
    design = np.zeros((12, 20, 41))
    for j in range(20):
        design[:, j, 2 * j : 2 * j + 2] = A
    design[:, :, 40] = B
    solution = np.linalg.lstsq((design * scale[..., None]).reshape(240, 41), (X * scale).ravel(), rcond=None)[0]
    assert background_amplitude(X, A, B, weights)[0] == pytest.approx(solution[40], rel=1e-8)


def test_error_is_the_scatter_and_there_is_no_bias():
    rng = np.random.default_rng(2)
    A, S, B = field(rng)
    mean = A @ S + B
    expected = np.full(600, mean.sum(axis=0).mean())
    found = np.array([background_amplitude(rng.poisson(mean), A, B, expected) for _ in range(400)])
    scatter = found[:, 0].std()
    assert abs(found[:, 0].mean() - 1) < 4 * scatter / 20
    assert found[:, 1].mean() == pytest.approx(scatter, rel=0.12)


def test_blank_field_of_few_counts_a_pixel_does_not_lower_the_amplitude():
    rng = np.random.default_rng(3)
    A, S, B = field(rng)
    expected = (A @ S + B).sum(axis=0).mean() * np.ones(600)
    blanks = rng.poisson(20 * B, size=(20, *B.shape)) / 20  # 10 counts a pixel, in 12 energies
    found = [background_amplitude(A @ S + B, A, blank, expected)[0] for blank in blanks]
    assert np.mean(found) == pytest.approx(1, abs=0.02)  # 0.5 where pixels are not summed


def test_unsuitable_arguments():
    A, S, B = field(np.random.default_rng(0))
    X = A @ S + B
    ones = np.ones(600)
    with pytest.raises(ValueError, match=r"background has shape \(12, 5\) and expected \(600,\)"):
        background_amplitude(X, A, B[:, :5], ones)
    with pytest.raises(ValueError, match="the latter positive"):
        background_amplitude(X, A, B, 0 * ones)
    with pytest.raises(ValueError, match="spectrum is a mixture of the components'"):
        background_amplitude(X, np.eye(12), B, ones)
