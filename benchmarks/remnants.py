"""Simulated remnants for the benchmarks: what the components of snr-acis send into each pixel, and cubes of counts."""

import numpy as np
from astropy.wcs import WCS

from astro_lpalm import EventCube
from astro_lpalm.demo import remnant_images

SHARES = {"synchrotron": 0.3125, "thermal": 0.625, "iron_red": 0.0375, "iron_blue": 0.025}


def remnant_sources(names, size, counts, seed):
    """Make the expected counts of each component in each pixel, all of them ``counts`` a pixel in the mean.

    Returns
    -------
    `~numpy.ndarray`, shape (n, size, size)
    """
    images = remnant_images(size, seed)
    return counts * size**2 * np.stack([SHARES[name] * images[name] for name in names])


def cube_of(data, energy_edges):
    """Put counts (m, size, size) on a sky of pixels of one arcsecond."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1 / 3600, 1 / 3600]
    return EventCube(data.astype(np.float32), energy_edges=energy_edges, wcs=wcs)
