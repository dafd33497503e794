import numpy as np
import pytest


def make_mixture(rng, m=20, n=3, t=400, snr_db=None):
    """Smooth non-negative unit-norm spectra, sparse sources, and their mixture."""
    energies = np.linspace(0, 1, m)[:, np.newaxis]
    A = np.exp(-(((energies - np.linspace(0.2, 0.8, n)) / 0.15) ** 2)) + 0.2 * rng.random((m, n))
    A /= np.linalg.norm(A, axis=0)
    S = rng.laplace(size=(n, t)) * (rng.random((n, t)) < 0.3)
    X = A @ S
    if snr_db is not None:
        noise = rng.standard_normal(X.shape)
        X = X + noise * np.linalg.norm(X) / np.linalg.norm(noise) * 10 ** (-snr_db / 20)
    return X, A, S


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def mixture(rng):
    return make_mixture(rng)


@pytest.fixture(scope="session")
def protocol(shared_data):
    """The data of section 3.1 of Fahes et al. (ICLR 2022, arXiv:2112.05694)."""
    from astro_lpalm.reproduce import read_protocol

    return read_protocol(shared_data / "casa")
