"""Skies for compare.py, whose truth is known, observed by this package's simulator and by soxs.

    python benchmarks/skies.py [--seeds 3] [--side 64] [--levels 30 300]

prints how far the two simulators are from each other, in all and in bands of energy: the same fluxes, spectra of
photons and response, which soxs reads from files. Images are set against the expected one, as chi square of a pixel.
``pip install soxs`` is all that is needed: none of its own data are.

``remnant`` has the components of the packaged snr-acis, their parameters drawn from its components file, in images that
overlap. In ``varying``, that of cases/worlds.py beside ASTRO_LPALM_DATA, and in ``toy``, that of sushi.py, temperature,
velocity and photon index differ from pixel to pixel.
"""

import argparse
import contextlib
import tempfile
import warnings
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise

import astropy.units as u
import numpy as np
import sushi
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from fluxes import TRUTH, load_worlds
from remnants import remnant_sources

from astro_lpalm import EventCube
from astro_lpalm.instrument import Response
from astro_lpalm.missions import approximate_response
from astro_lpalm.simulate import Observation
from astro_lpalm.spectra import ParametricSpectra, SpectralLibrary

CENTER, PIXEL, EXPOSURE = SkyCoord(350.866, 58.815, unit="deg"), 1 * u.arcsec, 50 * u.ks
BANDS = (0.5, 1.0, 2.0, 4.0, 7.0)  # keV
WORLDS = "remnant", "soxs", "varying", "toy"


@dataclass
class Sky:
    """An observation, and the truth of it.

    Attributes
    ----------
    names : tuple of str
    counts : `~numpy.ndarray`, shape (m, side, side)
    energy_edges : `~numpy.ndarray`, shape (m + 1,)
        In keV.
    images : `~numpy.ndarray`, shape (n, side, side)
        Expected counts of each component.
    spectra : `~numpy.ndarray`, shape (m, n)
        Of each component, over the field; columns that sum to one.
    known : dict of str to dict of str to float
        Parameters of each component that are the same everywhere, and ``nh`` of all.
    maps : dict of str to `~numpy.ndarray`, shape (side, side)
        Parameters that are not.
    """

    names: tuple
    counts: np.ndarray
    energy_edges: np.ndarray
    images: np.ndarray
    spectra: np.ndarray
    known: dict
    maps: dict = field(default_factory=dict)


def make_sky(world, level, seed, side):
    """Make one of `WORLDS`, of so many counts a pixel in the mean."""
    if world in ("varying", "toy"):
        return (_varying if world == "varying" else _toy)(level, seed, side)
    observation, known = _remnant(level, seed, side)
    cube = observed_by_soxs(observation, seed) if world == "soxs" else observed(observation, seed)
    return Sky(
        observation.component_names, cube.data, cube.energy_edges.value, observation.images, observation.spectra, known
    )


def _remnant(level, seed, side):
    library, rng = SpectralLibrary.from_file("snr-acis"), np.random.default_rng([seed, 19])
    response = approximate_response(library.energy_edges)
    true = response.energy_edges
    unfolded = SpectralLibrary(
        library.components, true, response=Response(np.eye(len(true) - 1), true, true), nh=library.nh,
        absorption=library.absorption,
    )  # fmt: skip
    drawn = unfolded.draw_parameters(1, deepcopy(rng))
    photons = unfolded.draw(1, rng)[0]
    seconds_per_count = photons.sum(axis=0) / response.fold(photons.T).sum(axis=1) / EXPOSURE.to_value(u.s)
    images = remnant_sources(library.component_names, side, level, seed) * seconds_per_count[:, np.newaxis, np.newaxis]
    observation = Observation(
        images * u.photon / (u.cm**2 * u.s), photons, response=response, center=CENTER, pixel_scale=PIXEL,
        exposure=EXPOSURE, component_names=library.component_names,
    )  # fmt: skip
    observation.photons, observation.fluxes, observation.response = photons, images, response  # what soxs starts from
    return observation, {
        name: {key: float(value[0]) for key, value in drawn[name].items()} for name in library.component_names
    } | {"nh": float(drawn["nh"][0])}


def _varying(level, seed, side):
    world = load_worlds()("varying", counts=level, seed=seed, n=side)
    spectra = np.stack([spectrum / spectrum.sum() for spectrum in world.spectra.values()], axis=1)
    known = {"nh": TRUTH[""]["nh"]} | {name: TRUTH[name] for name in world.images}
    images = np.stack(list(world.images.values()))
    return Sky(tuple(world.images), world.counts, world.edges, images, spectra, known, world.maps)


def _toy(level, seed, side):
    library = sushi.components(sushi.WIDER, sushi.KNOWN)
    physics = ParametricSpectra.from_library(library)
    images, maps = sushi.remnant(side, level, seed)
    means = sushi.expected(physics, images, maps, each=True)
    counts = np.random.default_rng([seed, 19]).poisson(means.sum(axis=0))
    spectra = means.sum(axis=(2, 3)).T / images.sum(axis=(1, 2))
    return Sky(sushi.NAMES, counts, library.energy_edges.value, images, spectra, {}, maps)


def observed(observation, seed):
    """Draw an event list by this package, and bin it."""
    events = observation.draw(seed)
    side = observation.images.shape[1]
    edges = observation.energy_edges
    return EventCube.from_events(events, energy_edges=edges, center=CENTER, size=side * PIXEL, pixel_scale=PIXEL)


def observed_by_soxs(observation, seed):
    """Have soxs draw an event list of the same fluxes through the same response, and bin it."""
    import soxs

    soxs.utils.mylog.setLevel("ERROR")
    side, edges = observation.images.shape[1], observation.response.energy_edges.to_value(u.keV)
    center = [CENTER.ra.deg, CENTER.dec.deg]
    name = f"astro_lpalm_{side}"
    specification = {
        "name": name, "arf": "area.arf", "rmf": "redistribution.rmf", "bkgnd": None, "num_pixels": 2 * side,
        "fov": 2 * side * PIXEL.to_value("arcmin"), "chips": [["Box", 0, 0, 2 * side, 2 * side]], "focal_length": 10.0,
        "aimpt_coords": [0.0, 0.0], "dither": False, "psf": ["gaussian", 1e-3], "imaging": True, "grating": False,
    }  # fmt: skip
    if name not in soxs.instrument_registry:
        soxs.add_instrument_to_registry(specification)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # soxs looks for other responses here
        observation.response.write("area.arf", "redistribution.rmf")
        catalog = soxs.SimputCatalog.make_empty("sky.simput")
        for k, component in enumerate(observation.component_names):
            share = observation.photons[:, k] / observation.photons[:, k].sum() / np.diff(edges)
            spectrum = soxs.Spectrum(edges, share * observation.fluxes[k].sum())
            image = fits.ImageHDU(observation.fluxes[k] / observation.fluxes[k].sum(), observation.wcs.to_header())
            catalog.append(soxs.SimputSpectrum.from_spectrum(component, spectrum, *center, imhdu=image), quiet=True)
        soxs.instrument_simulator(
            "sky.simput", "events.fits", EXPOSURE.to_value(u.s), name, center, instr_bkgnd=False, foreground=False,
            ptsrc_bkgnd=False, no_dither=True, subpixel_res=True, prng=seed,
        )  # fmt: skip
        return EventCube.from_events(
            "events.fits", energy_edges=observation.energy_edges, ebounds="redistribution.rmf", center=CENTER,
            size=side * PIXEL, pixel_scale=PIXEL,
        )  # fmt: skip


def agreement(level, seed, side):
    """Compare both simulators: counts of soxs over ours, less one, by band and in all; then the images."""
    observation, _ = _remnant(level, seed, side)
    cubes = [each(observation, seed).data for each in (observed, observed_by_soxs)]
    ours, theirs = (cube.sum(axis=(1, 2)) for cube in cubes)
    low = observation.energy_edges.to_value(u.keV)[:-1] + 1e-6
    row = {}
    for first, last in [*pairwise(BANDS), (BANDS[0], BANDS[-1])]:
        a, b = (int(each[(low >= first) & (low < last)].sum()) for each in (ours, theirs))
        row[f"{first:g}-{last:g} keV"] = f"{100 * (b / a - 1):+.2f} %"
    mean = observation.images.sum(axis=0)
    for name, cube in zip(("ours", "soxs"), cubes):
        row[f"image of {name}"] = f"{np.sum((cube.sum(axis=0) - mean) ** 2) / mean.sum():.3f}"
    return row


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--levels", nargs="+", type=float, default=[30, 300])
    options = parser.parse_args()
    warnings.simplefilter("ignore", AstropyUserWarning)
    for level in options.levels:
        for seed in range(options.seeds):
            row = agreement(level, seed, options.side)
            print(f"{level:g} a pixel, seed {seed}:", *(f"{name} {value};" for name, value in row.items()))


if __name__ == "__main__":
    main()
