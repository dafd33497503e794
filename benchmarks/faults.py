"""Simulated observations with and without faults, for the benchmark of the diagnostics.

Good observations, of 64 x 64 pixels and spectra within the library of snr-acis: remnants of 3 to 300 counts a pixel;
skies of cases/worlds.py, components overlapping or not, at 30 and 300; remnants under an exposure map with a gap; and
with a background that is declared. Faults are put on remnants of 10 to 300 counts a pixel, with up to half of the
synchrotron emission where the plasma is. Their strengths, evenly distributed:

- missing component: 5 to 20 % of the counts are of gas of kT 0.2 to 0.4 keV, or of a line at 3 to 5.5 keV, in a blob
  or a shell; or the object is another one, a cluster of galaxies of kT 5 to 8 keV, or a nebula of 0.2 to 0.4 keV;
- varying spectrum: kT of the plasma by a factor of up to 1.4 to 2 either way, its velocity by 1000 to 2000 km/s, or
  the photon index by 0.3 to 0.6, in smooth maps;
- gain: energies shifted by 25 to 100 eV, or stretched by 1 to 3 %;
- area: 20 to 40 % wrong, as a step at 2.1 keV (the iridium edge of the mirror) or a bump of 0.5 keV; a slope from end
  to end is not among them: absorption and photon index take it up without a trace;
- background: 10 to 40 % of the counts, even over the field, flat in counts per keV or rising to both ends, as
  particles are;
- point source: 2 to 8 % of the counts, a power law of index 0.8 to 2 in a spot of 0.5 to 1 pixel standard deviation;
- psf: a blur of 0.3 pixels at the lowest energy, rising to 1 to 3 pixels at the highest;
- open split: all components have the same image, and 0.08 to 0.3 counts a pixel, 300 to 1300 in all: only spectra of
  few counts tell them apart.
"""

import os
from dataclasses import dataclass
from functools import cache

import astropy.units as u
import numpy as np
from fluxes import TRUTH, load_worlds, with_own_spectra
from remnants import SHARES, cube_of
from scipy.ndimage import gaussian_filter

from astro_lpalm import EventCube
from astro_lpalm.demo import remnant_images
from astro_lpalm.forward import ExpectedBackground
from astro_lpalm.spectra import EmissionLine, ModelComponent, ParametricSpectra, SpectralLibrary, Synchrotron, Thermal

CAUSES = "missing", "varying", "gain", "area", "background", "point", "psf", "split"
WORLDS = "separate", "overlap:0.1", "overlap:0.3", "overlap:0.6", "casa"
SIZE = 64


@dataclass
class Observation:
    """A simulated observation, what is wrong with it, and the counts that its components have."""

    cube: EventCube
    cause: str
    detail: str
    counts: np.ndarray
    background: object = None
    place: tuple = ()


@cache
def physics(shift=0.0, stretch=0.0):
    """Exact spectra of snr-acis whose energies are read too high by ``shift`` (keV) and a part ``stretch``."""
    edges = SpectralLibrary.from_file("snr-acis").energy_edges.to_value("keV")
    library = SpectralLibrary.from_file("snr-acis", energy_edges=(edges - shift) / (1 + stretch) * u.keV)
    return ParametricSpectra.from_library(library)


def extra(model, nh, **values):
    """Spectrum of unit sum of a model that is not among the components."""
    library = SpectralLibrary.from_file("snr-acis")
    component = ModelComponent("extra", model, {name: (value, value) for name, value in values.items()})
    made = SpectralLibrary([component], library.energy_edges, response=library.response, nh=[nh, nh]).draw(1, 0)[
        0, :, 0
    ]
    return made / made.sum()


def field(rng, scale=8.0):
    """Smooth map from -1 to 1."""
    found = gaussian_filter(rng.normal(size=(SIZE, SIZE)), scale, mode="wrap")
    return 2 * (found - found.min()) / np.ptp(found) - 1


def blob(y, x, width):
    """Round image that sums to one."""
    rows, columns = np.indices((SIZE, SIZE))
    image = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2))
    return image / image.sum()


def cluster():
    """Image of a cluster of galaxies, a beta model."""
    rows, columns = np.indices((SIZE, SIZE)) - SIZE / 2
    image = (1 + (rows**2 + columns**2) / 8.0**2) ** -1.5
    return image / image.sum()


def images_of(rng, names, overlap=0.0):
    """Images of components that sum to one, some of the synchrotron emission where the plasma is."""
    images = remnant_images(SIZE, rng)
    images["synchrotron"] = (1 - overlap) * images["synchrotron"] + overlap * images["thermal"]
    return np.stack([images[name] for name in names])


def scene(rng, counts, overlap=0.0):
    """Parameters within the middle nine tenths of their ranges, and images with the counts of each component."""
    model = physics()
    theta = rng.uniform(0.05, 0.95, len(model.parameters))
    names = model.component_names
    images = images_of(rng, names, overlap)
    return theta, counts * SIZE**2 * np.array([SHARES[name] for name in names])[:, np.newaxis, np.newaxis] * images


def mixed(spectra, images):
    """Mix spectra (m, n) and images (n, y, x)."""
    return np.tensordot(spectra, images, 1)


def place(theta, name, value):
    """Set one scaled parameter, ``component.name``."""
    component, _, key = name.rpartition(".")
    keys = [(each.component, each.name) for each in physics().parameters]
    theta = theta.copy()
    theta[keys.index((component, key))] = value
    return theta


def _energies():
    edges = SpectralLibrary.from_file("snr-acis").energy_edges.to_value("keV")
    return 0.5 * (edges[1:] + edges[:-1])


def _missing(rng, theta, images):
    kind = rng.choice(["cool gas", "line", "cluster", "cool nebula"])
    expected = mixed(physics().spectra(theta), images)
    total, nh = expected.sum(), rng.uniform(0.5, 1.5)
    if kind == "cluster":
        metals = dict.fromkeys(["O", "Ne", "Mg", "Si", "S", "Ar", "Ca", "Fe"], 0.3)
        plasma = extra(Thermal, nh, kT=rng.uniform(5, 8), **metals)
        nucleus = extra(Synchrotron, nh, photon_index=rng.uniform(1.5, 1.9))
        spectra, parts = np.column_stack([plasma, nucleus]), np.stack([0.9 * cluster(), 0.1 * blob(32, 32, 3)])
        return kind, total * mixed(spectra, parts), ()
    gas = extra(Thermal, nh, kT=rng.uniform(0.2, 0.4))
    if kind == "cool nebula":
        return kind, total * mixed(gas[:, None], images_of(rng, ["thermal"])), ()
    spectrum = gas if kind == "cool gas" else extra(EmissionLine, nh, energy=rng.uniform(3, 5.5), sigma=1500.0)
    image = blob(*rng.uniform(16, 48, 2), rng.uniform(5, 10)) if rng.random() < 0.5 else images_of(rng, ["thermal"])[0]
    return kind, expected + rng.uniform(0.05, 0.2) * total * mixed(spectrum[:, None], image[None]), ()


def _varying(rng, theta, images):
    name, low, high = [
        ("thermal.kT", 1.4, 2.0),
        ("thermal.velocity", 1e3, 2e3),
        ("synchrotron.photon_index", 0.3, 0.6),
    ][rng.integers(3)]
    model, strength = physics(), rng.uniform(low, high)
    each = next(p for p in model.parameters if f"{p.component}.{p.name}" == name)
    middle = {"kT": 1.5, "velocity": 0.0, "photon_index": 2.6}[each.name]
    levels = np.linspace(-1, 1, 17)
    values = middle * strength**levels if each.name == "kT" else middle + strength * levels
    spectra = model.spectra(np.array([place(theta, name, each.scaled(value)) for value in values]))
    at = (field(rng) + 1) * 8
    below = np.minimum(at.astype(int), 15)
    k = model.component_names.index(each.component)
    local = spectra[below, :, k] * (1 - at + below)[..., None] + spectra[below + 1, :, k] * (at - below)[..., None]
    others = np.delete(images, k, axis=0)
    return name, mixed(np.delete(spectra[0], k, axis=1), others) + np.moveaxis(local * images[k][..., None], -1, 0), ()


def _gain(rng, theta, images):
    sign = rng.choice([-1, 1])
    shift, stretch = (
        (sign * rng.uniform(0.025, 0.1), 0.0) if rng.random() < 0.5 else (0.0, sign * rng.uniform(0.01, 0.03))
    )
    spectra = physics.__wrapped__(shift, stretch).spectra(theta)
    return f"{1e3 * shift:.0f} eV, {stretch:.1%}", mixed(spectra, images), ()


def _area(rng, theta, images):
    energy, kind = _energies(), rng.choice(["step", "bump"])
    size = rng.choice([-1, 1]) * rng.uniform(0.2, 0.4)
    shape = {
        "step": (energy > 2.1) - 0.5,
        "bump": np.exp(-(((energy - rng.uniform(1.2, 4)) / 0.5) ** 2) / 2),
    }[kind]
    return f"{kind} {size:.0%}", (1 + size * shape)[:, None, None] * mixed(physics().spectra(theta), images), ()


def _background(rng, theta, images):
    energy, expected, share = _energies(), mixed(physics().spectra(theta), images), rng.uniform(0.1, 0.4)
    kind = rng.choice(["flat", "particles"])
    spectrum = np.ones_like(energy) if kind == "flat" else 1 + 2 * np.exp(-energy / 0.5) + (energy / 7) ** 3
    return (
        f"{kind} {share:.0%}",
        expected + share * expected.sum() / SIZE**2 * (spectrum / spectrum.sum())[:, None, None],
        (),
    )


def _point(rng, theta, images):
    expected, share, where = mixed(physics().spectra(theta), images), rng.uniform(0.02, 0.08), rng.uniform(16, 48, 2)
    spectrum = extra(Synchrotron, rng.uniform(0.5, 2), photon_index=rng.uniform(0.8, 2))
    spot = blob(*where, rng.uniform(0.5, 1.0))
    return f"{share:.0%}", expected + share * expected.sum() * mixed(spectrum[:, None], spot[None]), tuple(where)


def _psf(rng, theta, images):
    expected, widest = mixed(physics().spectra(theta), images), rng.uniform(1.0, 3.0)
    widths = np.interp(_energies(), [0.5, 7], [0.3, widest])
    return f"{widest:.1f} pixels", np.stack([gaussian_filter(plane, w) for plane, w in zip(expected, widths)]), ()


def _split(rng, theta, images):
    return (
        "",
        mixed(physics().spectra(theta), images.sum(axis=(1, 2))[:, None, None] * images.sum(axis=0) / images.sum()),
        (),
    )


_MAKERS = dict(zip(CAUSES, (_missing, _varying, _gain, _area, _background, _point, _psf, _split)))


def faulty(cause, seed):
    """Draw an observation with a fault."""
    rng = np.random.default_rng([seed, CAUSES.index(cause), 14])
    counts = 10 ** (rng.uniform(-1.1, -0.5) if cause == "split" else rng.uniform(1, 2.5))
    theta, images = scene(rng, counts, rng.uniform(0, 0.5))
    detail, expected, where = _MAKERS[cause](rng, theta, images)
    cube = cube_of(rng.poisson(expected), SpectralLibrary.from_file("snr-acis").energy_edges)
    return Observation(cube, cause, detail, images.sum(axis=(1, 2)), place=where)


def good(kind, seed):
    """Draw an observation without a fault: "remnant", "world", "exposure" or "background"."""
    rng = np.random.default_rng([seed, ord(kind[0]), 15])
    edges = SpectralLibrary.from_file("snr-acis").energy_edges
    if kind == "world":
        name, counts, model = WORLDS[seed % len(WORLDS)], (30, 300)[seed // len(WORLDS) % 2], physics()
        theta = model.scaled([TRUTH[each.component][each.name] for each in model.parameters])
        world = with_own_spectra(load_worlds()(name, counts=counts, seed=seed, n=SIZE), model, theta, seed)
        total = np.array([image.sum() for image in world.images.values()])
        return Observation(world.cube(), "", f"{name} {counts}", total)
    library = SpectralLibrary.from_file("snr-acis")
    A = library.draw(1, rng)[0]
    names, counts = library.component_names, 10 ** rng.uniform(np.log10(3), np.log10(300))
    images = counts * SIZE**2 * np.array([SHARES[name] for name in names])[:, None, None] * images_of(rng, names)
    expected = mixed(A / A.sum(axis=0), images)
    cube, background = cube_of(rng.poisson(expected), edges), None
    if kind == "exposure":
        exposure = 1 - 0.3 * np.hypot(*(np.indices((SIZE, SIZE)) / SIZE - 0.5))
        exposure[:, 20:23] *= 0.1
        cube = under_exposure(cube_of(rng.poisson(exposure * expected), edges), exposure)
        images = exposure * images
    elif kind == "background":
        spectrum = (1 + 2 * np.exp(-_energies() / 0.5)) * rng.uniform(0.1, 0.4) * expected.sum() / 65
        background = ExpectedBackground(spectrum)
        cube = cube_of(rng.poisson(expected + spectrum[:, None, None] / SIZE**2), edges)
    return Observation(cube, "", f"{kind} {counts:.0f}", images.sum(axis=(1, 2)), background)


def under_exposure(cube, exposure):
    """Give a cube an exposure map."""
    return EventCube(cube.data, energy_edges=cube.energy_edges, wcs=cube.wcs, exposure=exposure)


def has_worlds():
    """Whether the skies of cases/worlds.py are there."""
    return "ASTRO_LPALM_DATA" in os.environ
