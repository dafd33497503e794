"""A separation with spectra that differ from pixel to pixel, smooth images and maps of parameters."""

import numpy as np
from scipy.ndimage import gaussian_filter

from astro_lpalm.forward import LocalSpectra
from astro_lpalm.results import ParameterMap, Separation


def with_maps(result, parameters=(("thermal", "kT", "keV"), ("thermal", "velocity", "km / s"))):
    """Give the components of a separation a second basis spectrum, smooth images and maps of these parameters."""
    cube, n, t = result.cube, *result.sources.shape
    mean = result.mixing / result.mixing.sum(axis=0)
    change = np.gradient(mean, axis=0)
    change -= mean * change.sum(axis=0)  # of no counts
    y, x = np.nonzero(~cube.pixel_mask)
    across = (x - x.mean()) / np.ptp(x)
    coefficients = np.concatenate([np.ones((n, t)), 0.2 * across * np.arange(1, n + 1)[:, np.newaxis]])
    local = LocalSpectra(np.concatenate([mean, change], axis=1), coefficients, np.tile(np.arange(n), 2))
    images = result.fit.component_counts
    smooth = np.stack([gaussian_filter(np.nan_to_num(plane), 1)[~cube.pixel_mask] for plane in cube.image_of(images)])
    maps = []
    for number, (component, parameter, unit) in enumerate(parameters):
        values = {"keV": 0.7 + 0.2 * across, "": 2.3 + 0.5 * across}.get(unit, 1000 * across)
        undecided = y < 2 if number == 0 else np.zeros(t, dtype=bool)
        maps.append(ParameterMap(component, parameter, unit, values, 0.02 + np.abs(0.05 * values), undecided))
    given = {"background": result.background, "local": local, "smooth": (smooth, np.sqrt(smooth)), "maps": maps}
    return Separation(cube, result.mixing, result.sources, result.names, **given)
