"""Small things that the tests of the whole journey are made of."""

import astropy.units as u
import numpy as np
import torch
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from astro_lpalm import EventCube
from astro_lpalm.model import Model
from astro_lpalm.separation import UnrolledPALM
from astro_lpalm.simulate import simulate_events
from astro_lpalm.spectra import SpectralPrior

EDGES = np.linspace(1, 4, 13) * u.keV
NAMES = ("soft", "hard")
CENTER = SkyCoord(350.866, 58.815, unit="deg")
COMPONENTS = """
[energy]
range = [1.0, 4.0]
n_bins = 12
[response]
instrument = "acis-s"
[[components]]
name = "soft"
model = "Synchrotron"
[components.parameters]
photon_index = [3.5, 4.5]
[components.source]
fraction = 0.5
shape = 0.5
[[components]]
name = "hard"
model = "Synchrotron"
[components.parameters]
photon_index = [0.5, 1.0]
[components.source]
fraction = 0.5
shape = 0.5
[training]
n_samples = 40
n_pixels = 60
epochs = 2
batch_size = 6
"""


def spectra(n=2, m=12):
    """Overlapping bumps on a floor, columns of unit norm."""
    energies = np.linspace(0, 1, m)[:, np.newaxis]
    A = 0.1 + np.exp(-(((energies - np.linspace(0.2, 0.8, n)) / 0.25) ** 2))
    return A / np.linalg.norm(A, axis=0)


def images(n=2, shape=(28, 33)):
    """Blobs at different places, with structure at the finest scale, which sum to about 1e5 counts each."""
    rng = np.random.default_rng(5)
    y, x = np.indices(shape)
    planes = []
    for k in range(n):
        row, column = (0.5 + 0.25 * np.array([np.sin(2.4 * k), np.cos(2.4 * k)])) * shape
        blob = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 50) * rng.gamma(0.5, size=shape)
        planes.append(1e5 * blob / blob.sum())
    return np.array(planes)


def wcs():
    coordinates = WCS(naxis=2)
    coordinates.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    coordinates.wcs.crval = [350.85, 58.81]
    coordinates.wcs.crpix = [16.5, 14.0]
    coordinates.wcs.cdelt = [-4.1e-4, 4.1e-4]
    return coordinates


def cube(n=2, seed=0, **options):
    """Counts of `images` with `spectra`; the expected ones, which are no whole numbers, where the seed is None."""
    A = spectra(n) / spectra(n).sum(axis=0)
    data = np.einsum("ik,kyx->iyx", A, images(n))
    if seed is not None:
        data = np.random.default_rng(seed).poisson(data).astype(np.int32)
    return EventCube(data, **{"energy_edges": EDGES, "wcs": wcs()} | options)


def events(share=1.0):
    """Event list of the photons of `images` with `spectra`, or of a share of them."""
    return simulate_events(images() * share, spectra(), EDGES, center=CENTER, pixel_scale=1 * u.arcsec, seed=0)


def prior(n=2, rank=2):
    """What there is to know of `spectra` when they are a little uncertain."""
    rng = np.random.default_rng(6)
    draws = spectra(n).T[:, np.newaxis] + 0.02 * rng.standard_normal((n, 200, 12))
    mean = draws.mean(axis=1)
    principal = np.linalg.svd(draws - mean[:, np.newaxis], full_matrices=False)[2][:, :rank]
    spread = np.full((n, rank), 0.02)
    return SpectralPrior(mean, principal, spread, np.full((n, 12), 0.02))


def model(n=2, **options):
    """Model whose network is PALM unrolled, with weights that an untrained one would not have."""
    network = UnrolledPALM("lista-cp", "ista-ll", 3).initialize(spectra(n))
    rng = np.random.default_rng(7)
    for parameter in network.parameters():
        parameter.data *= torch.as_tensor(1 + 0.1 * rng.standard_normal(parameter.shape), dtype=parameter.dtype)
    names = NAMES if n == 2 else [f"number_{k}" for k in range(n)]
    settings = {"component_names": names, "energy_edges": EDGES, "prior": prior(n), "name": "toy"}
    return Model(network, **settings | options)
