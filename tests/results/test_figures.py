"""Figures compared with what they were when someone last looked at them; CONTRIBUTING says how to renew them."""

import astropy.units as u
import matplotlib as mpl
import numpy as np
import pytest

from astro_lpalm.cube import EventCube
from astro_lpalm.results import Separation

from .local import with_maps

SIDE = 48
EDGES = np.linspace(0.5, 7, 27) * u.keV
# Letters are drawn differently by each minor version of matplotlib.
BASELINE_VERSION = "3.11."
pytestmark = pytest.mark.skipif(
    not mpl.__version__.startswith(BASELINE_VERSION), reason=f"the figures are of matplotlib {BASELINE_VERSION}x"
)
compare = pytest.mark.mpl_image_compare(baseline_dir="baseline", style="default", savefig_kwargs={"dpi": 80})


@pytest.fixture
def remnant(make_separation):
    """Function that makes a remnant of n components: a shell, a nebula in its middle, lobes; without noise."""

    def remnant(n, **kwargs):
        y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
        radius, angle = np.hypot(x, y) / SIDE, np.arctan2(y, x)
        images = [np.exp(-0.5 * ((radius - 0.38) / 0.03) ** 2), np.exp(-((radius / 0.15) ** 2))]
        images += [(1 + np.cos(angle - k)) * np.exp(-0.5 * ((radius - 0.28) / 0.06) ** 2) for k in (0.5, 2, 4, 5.5)]
        energy = (EDGES[1:] + EDGES[:-1]).value / 2
        mixing = np.stack([energy**-slope for slope in (2.5, 1.5)] + [
            energy**-4.0 + 2 * np.exp(-0.5 * ((energy - line) / 0.15) ** 2) for line in (1.8, 2.5, 4, 6.4)
        ], axis=1)[:, :n]  # fmt: skip
        mask = np.zeros((SIDE, SIDE), dtype=bool)
        mask[30:33, :20] = True
        sources = 60 * np.array(images)[:n, ~mask]
        counts = np.zeros((len(energy), SIDE, SIDE))
        counts[:, ~mask] = mixing @ sources * (1 + 0.05 * np.cos(3 * energy))[:, np.newaxis]
        like = make_separation().cube
        cube = EventCube(counts, energy_edges=EDGES, wcs=like.wcs, mask=mask, meta=like.meta)
        names = ["synchrotron", "nebula", "silicon", "sulphur", "calcium", "iron"][:n]
        return Separation(cube, mixing, sources, names, **kwargs)

    return remnant


@compare
def test_page(remnant):
    return remnant(4).plot()


@compare
def test_column(remnant):
    return remnant(3).plot(width=88 * u.mm)


@compare
def test_column_of_one_component(remnant):
    return remnant(1).plot(width=88 * u.mm)


@compare
def test_spectra_of_six_components_with_uncertainty(remnant):
    uncertainty = 0.2 * np.abs(remnant(6).spectra["silicon"].value[:, np.newaxis] * np.ones(6)) + 50
    return remnant(6, spectra_uncertainty=uncertainty).plot(panels="spectra", width=88 * u.mm)


@compare
def test_composite_and_misfit(remnant):
    return remnant(6).plot(panels=["composite", "misfit"], width=120 * u.mm)


MAPS = [("silicon", "kT", "keV"), ("silicon", "velocity", "km / s"), ("synchrotron", "photon_index", "")]


@compare
def test_maps(remnant):
    return with_maps(remnant(4), MAPS).plot(kind="maps")


@compare
def test_maps_of_a_column(remnant):
    return with_maps(remnant(1), MAPS[2:]).plot(kind="maps", width=88 * u.mm)
