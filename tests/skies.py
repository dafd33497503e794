"""Two observations of one sky, by unlike instruments: what tests of joint separations are made of."""

import astropy.units as u
import numpy as np
from scipy.ndimage import gaussian_filter

from astro_lpalm import EventCube, Instrument, load_model
from astro_lpalm.missions import approximate_response

from . import toy

EDGES = np.linspace(0.5, 7, 66) * u.keV
SIDE = 40
SECONDS = 3e4, 2e4
AMPLITUDES = 6e-3, 7e-2  # of pwn-acis: 4e4 and 8e4 counts in the first observation
THETA = np.full(10, 0.45)


def model():
    """Give the model of the sky."""
    return load_model("pwn-acis")


def instruments(**options):
    """Give the instrument of each observation."""
    return [None, Instrument(response=approximate_response(EDGES, "epic-mos"), **options)]


def shapes(width=2.0):
    """Give the images of the two components, of unit sum: a shell of so many pixels, and what is in the middle."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    shell = np.exp(-0.5 * ((np.hypot(x, y) - 12) / width) ** 2)
    middle = np.exp(-(x**2 + y**2) / 50)
    shell, middle = shell / shell.sum(), middle / middle.sum()
    return np.stack([0.5 * shell + 0.5 * middle, middle])


def gaps():
    """Give the relative exposure of each: rows and columns that are missing, as the roll has turned them."""
    y, x = np.mgrid[:SIDE, :SIDE]
    upright, turned = np.ones((2, SIDE, SIDE))
    upright[:, 12:14] = 0
    turned[(x + y) // 2 == 20] = 0
    turned[:8] = 0.4
    return upright, turned


def observe(seed=0, seconds=SECONDS, exposures=None, kT=None, blurs=(0.0, 0.0), background=(0.0, 0.0), width=2.0):
    """Draw the two cubes.

    ``kT`` (ny, nx) are scaled temperatures, instead of one for all; ``blurs`` standard deviations in pixels;
    ``background`` counts in each bin of each pixel.
    """
    rng, cubes = np.random.default_rng(seed), []
    there = model().through(instruments()[1])
    for number, physics in enumerate((model().physics, there.physics)):
        theta = np.tile(THETA, (SIDE, SIDE, 1))
        if kT is not None:
            theta[..., 2] = kT
        rates = physics.rates(theta[0, 0] if kT is None else theta).astype(float)
        images = shapes(width) * np.array(AMPLITUDES)[:, np.newaxis, np.newaxis] * seconds[number]
        expected = np.einsum("ik,kyx->iyx" if kT is None else "yxik,kyx->iyx", rates, images)
        if blurs[number]:
            expected = gaussian_filter(expected, (0, blurs[number], blurs[number]), mode="constant")
        exposure = (gaps() if exposures is None else exposures)[number]
        counts = rng.poisson((expected + background[number]) * exposure)
        header = {"OBS_ID": f"{number + 1}", "EXPOSURE": seconds[number]}
        unit = seconds[number] * u.s
        cubes.append(EventCube(counts, energy_edges=EDGES, wcs=toy.wcs(), exposure=exposure * unit, meta=header))
    return cubes
