"""Remnants as the packaged model sees them, for tests of what is to be trusted."""

import numpy as np
import pytest
from astropy.wcs import WCS

from astro_lpalm import EventCube, load_model

SIZE = 64
SHARES = {"synchrotron": 0.31, "thermal": 0.63, "iron_red": 0.035, "iron_blue": 0.025}


@pytest.fixture(scope="module")
def model():
    return load_model("snr-acis")


@pytest.fixture(scope="module")
def energies(model):
    edges = model.energy_edges.to_value("keV")
    return (edges[1:] + edges[:-1]) / 2


def observe(expected, model, seed=0):
    """Draw the counts of a sky of one arcsecond a pixel."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1 / 3600, 1 / 3600]
    data = np.random.default_rng(seed).poisson(expected).astype(np.float32)
    return EventCube(data, energy_edges=model.energy_edges, wcs=wcs)
