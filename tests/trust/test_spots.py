import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS

from astro_lpalm import EventCube
from astro_lpalm.forward import Fit, ForwardModel
from astro_lpalm.trust.spots import blurred, brightest_spot, whitened

EDGES = np.linspace(1, 4, 21) * u.keV
A = np.exp(-((np.linspace(0, 1, 20)[:, np.newaxis] - np.array([0.2, 0.8])) ** 2) / 0.08)
A /= A.sum(axis=0)


def fitted(more=0.0, bright=1.0, seed=0):
    """A fit of true spectra to counts of two gradients, one pixel of them brighter, and something more."""
    rows, columns = np.indices((40, 40))
    images = np.stack([20 + rows, 60 - columns]).astype(float)
    images[0, 11, 30] *= bright
    data = np.random.default_rng(seed).poisson(np.tensordot(A, images, 1) + more)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1 / 3600, 1 / 3600]
    cube = EventCube(data.astype(np.float32), energy_edges=EDGES, wcs=wcs)
    forward = ForwardModel(~cube.pixel_mask)
    fit = Fit(cube, forward, A, np.zeros((2, 1600)))
    return Fit(cube, forward, A, fit.demixing @ cube.matrix())


@pytest.mark.parametrize("bright", [1, 100])
def test_noise_is_no_spot(bright):
    assert brightest_spot(whitened(fitted(bright=bright))).drop < 60


def test_a_spot_of_another_spectrum_is_found():
    more = np.zeros((20, 40, 40))
    more[9:11, 25, 8] = 60
    spot = brightest_spot(whitened(fitted(more)))
    assert (spot.y, spot.x) == (25, 8)
    assert spot.gain > spot.drop > 60


def test_masked_pixels_are_no_spots():
    more = np.zeros((20, 40, 40))
    more[9:11, 25, 8] = 60
    fit = fitted(more)
    mask = np.zeros((40, 40), dtype=bool)
    mask[23:28, 6:11] = True
    cube = fit.cube.with_mask(mask)
    masked = Fit(cube, ForwardModel(~cube.pixel_mask), A, fit.images[:, ~mask.ravel()])
    assert brightest_spot(whitened(masked)).drop < 60


def test_noise_is_no_blur():
    assert blurred(whitened(fitted()))[0] < 50
