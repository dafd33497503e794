import astropy.units as u
import numpy as np
import pytest

from astro_lpalm.training import TrainingSet, add_noise


def make_training_set(n_samples=48, m=12, n=2, t=60, seed=0):
    """Bumps that move a little, and sparse sources."""
    rng = np.random.default_rng(seed)
    energies = np.linspace(0, 1, m)[:, np.newaxis]
    centers = np.array([0.3, 0.7]) + 0.05 * rng.standard_normal((n_samples, 1, n))
    A = np.exp(-(((energies - centers) / 0.15) ** 2))
    A /= np.linalg.norm(A, axis=1, keepdims=True)
    S = rng.laplace(size=(n_samples, n, t)) * (rng.random((n_samples, n, t)) < 0.4)
    S /= np.linalg.norm(S, axis=2, keepdims=True)
    X = add_noise(A, S, 30.0, rng)
    edges = np.linspace(1, 5, m + 1) * u.keV
    return TrainingSet.from_arrays(X, A, S, component_names=["low", "high"], energy_edges=edges)


@pytest.fixture(scope="session")
def training_set():
    return make_training_set()
