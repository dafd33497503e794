"""Images and maps of ours beside those of SUSHI: prints the errors of both on the same photons, and what they took.

    python benchmarks/sushi.py CHECKOUT [--iterations 10000] [--step 1e-5] [--seeds 0 ...] [--side 48] [--counts 400]
                               [--json PATH]

CHECKOUT is a copy of https://github.com/JMLascar/SUSHI (Lascar, Bobin & Acero 2024, A&A 686, A259), whose program runs
as it is, with the steps, regularization and first guess of its tutorial; beside this package it needs jax,
scikit-learn, ipywidgets and tqdm. ``--iterations 0`` leaves it out, and tells ours alone.

The toy is of the kind of its tutorial's: the near half of a remnant from 3 to 8.48 keV in 375 bins, with a thermal
plasma whose temperature and velocity differ from pixel to pixel, and a synchrotron component, whose photon index does.
Both tools know the spectra: SUSHI gets, in place of what it would learn, a fine table of the spectra that the photons
are drawn from. "ours, free" fits absorption, abundances, line width and cut-off as well, which the others know.

Errors of images are NMSE, those of fluxes relative, and those of maps rms, weighted by the true images; the last line
has those of the true means, where there are no maps. Rows of ours are of ``smooth_images``; those of "ours, unbiased"
of ``images``, which have no prior. SUSHI's rows are of so many iterations. Seconds are of the processor, for all
threads; what jax takes for its threads is not small, so run it on one core:

    XLA_FLAGS=--xla_cpu_multi_thread_eigen=false OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/sushi.py CHECKOUT
"""

import argparse
import importlib
import json
import os
import pickle
import sys
import tempfile
import time
import types
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning
from remnants import cube_of

from astro_lpalm import separate
from astro_lpalm.model import Model
from astro_lpalm.separation import Factorization, nmse
from astro_lpalm.spectra import ParametricSpectra, SpectralLibrary

PROGRAM = "SUSHI_PCANN_linked_params"
NAMES = "thermal", "synchrotron"


class Map(NamedTuple):
    """A parameter that differs from pixel to pixel: its range, a wider one that no map leaves, and the first guess.

    ``component`` is a number; the first guess is in standard deviations of a parameter that is uniform in its range.
    """

    component: int
    name: str
    span: tuple
    wider: tuple
    first: float


MAPS = {
    "kT": Map(0, "kT", (0.8, 6.0), (0.4, 12.0), 0.0),
    "velocity": Map(0, "velocity", (-10000.0, 10000.0), (-15000.0, 15000.0), 0.16),
    "photon_index": Map(1, "photon_index", (1.0, 4.0), (-1.0, 6.0), 0.5),
}  # the first guesses are the tutorial's
RANGES, WIDER = ({label: getattr(each, kind) for label, each in MAPS.items()} for kind in ("span", "wider"))
KNOWN = {"nh": "0.6", "sigma": "1000.0", "abundance": "5.0", "cutoff": "100.0"}
FREE = {"nh": "[0.3, 1.2]", "sigma": "[500.0, 2000.0]", "abundance": "[2.0, 10.0]", "cutoff": "[30.0, 300.0]"}
N_NODES, N_VECTORS = {1: 513, 2: 193}, 48  # of the tables, for one or two parameters
# Settings of the program, from its tutorial.
TUTORIAL = {"J": 2, "kmad": 1, "stop": np.nan, "Cost_function": "Poisson"}


def components(ranges, others):
    """Make a library of the two components."""
    kT, velocity, index = (list(ranges[name]) for name in MAPS)
    elements = "\n".join(f"{element} = {others['abundance']}" for element in ("S", "Ar", "Ca", "Fe"))
    return SpectralLibrary.from_text(f"""
[energy]
range = [3.0, 8.48]
n_bins = 375
[response]
instrument = "acis-s"
[absorption]
nh = {others["nh"]}
[[components]]
name = "thermal"
model = "Thermal"
[components.parameters]
kT = {{ range = {kT}, scale = "log" }}
velocity = {velocity}
sigma = {others["sigma"]}
{elements}
[[components]]
name = "synchrotron"
model = "Synchrotron"
[components.parameters]
photon_index = {index}
cutoff = {others["cutoff"]}
""")


def gaussian_field(shape, slope, rng):
    """Draw a field of unit variance in three dimensions."""
    k = np.sqrt(sum(each**2 for each in np.meshgrid(*(np.fft.fftfreq(side) for side in shape), indexing="ij")))
    k[0, 0, 0] = np.inf
    field = np.fft.ifftn(np.fft.fftn(rng.standard_normal(shape)) * k ** (-slope / 2)).real
    return field / field.std()


def remnant(side, counts, seed):
    """Make images, (2, side, side), of so many counts a pixel in the disc, and maps by name.

    Both are seen through the near half of a shell whose gas is clumpy and the cooler the denser, and expands in
    proportion to the radius; the synchrotron emission comes from a thin layer at the shock.
    """
    rng = np.random.default_rng(seed)
    shape = side // 2, side, side
    z, y, x = np.meshgrid(*(np.arange(n) + 0.5 - (0 if n < side else side / 2) for n in shape), indexing="ij")
    z, y, x = (each / (0.44 * side) for each in (z, y, x))
    radius = np.sqrt(x**2 + y**2 + z**2)
    density = np.exp(0.4 * gaussian_field(shape, 3.0, rng))
    thermal = density**2 * np.exp(-0.5 * ((radius - 0.8) / 0.1) ** 2) * (radius < 1)
    synchrotron = np.exp(0.6 * gaussian_field(shape, 3.0, rng) - 0.5 * ((radius - 0.95) / 0.04) ** 2) * (radius < 1)
    local = {
        "kT": 2.2 / density * np.exp(1.5 * (radius - 0.8)),
        "velocity": -5000.0 * z,
        "photon_index": 2.5 + 0.35 * gaussian_field(shape, 4.0, rng) + 0.3 * x,
    }
    disc = np.hypot(x[0], y[0]) < 1
    images = np.stack([each.sum(axis=0) * disc for each in (thermal, synchrotron)])
    maps = {}
    for name, (k, *_) in MAPS.items():
        weight = (thermal, synchrotron)[k] + 1e-12
        maps[name] = np.clip((weight * local[name]).sum(axis=0) / weight.sum(axis=0), *RANGES[name])
    shares = np.array([0.6, 0.4]) / images.sum(axis=(1, 2))
    return images * (shares * counts * disc.sum())[:, np.newaxis, np.newaxis], maps


def expected(physics, images, maps, *, each=False):
    """Make the counts that the images and maps lead to, (m, side, side), or of each component, (2, m, side, side)."""
    values = np.stack([maps[parameter.name].ravel() for parameter in physics.parameters], axis=-1)
    spectra = physics.spectra(physics.scaled(values))
    found = np.einsum("tmn,nt->nmt", spectra, images.reshape(2, -1)).reshape(2, -1, *images.shape[1:])
    return found if each else found.sum(axis=0)


class _Means:
    """In place of a network: the mean of what is known of each component."""

    def __init__(self, prior):
        self.prior = prior

    def separate(self, _):
        return Factorization(self.prior.mean.T, None)


def ours(cube, library):
    """Separate by this package; give the result, maps by name, and seconds."""
    prior = library.statistics(20)
    model = Model(
        _Means(prior), component_names=library.component_names, energy_edges=library.energy_edges,
        prior=prior, physics=ParametricSpectra.from_library(library),
    )  # fmt: skip
    start = time.process_time()
    result = separate(cube, model, maps=list(MAPS), progress=False)
    seconds = time.process_time() - start
    maps = {name: result.parameter_maps[NAMES[each.component]][name].data for name, each in MAPS.items()}
    return result, maps, seconds


class Sushi:
    """SUSHI's program, and exact spectra in the place of those it learns.

    Parameters
    ----------
    path : `~pathlib.Path`
        Of the checkout.
    physics : `~astro_lpalm.spectra.ParametricSpectra`
        Its parameters go as far as ``wider`` of the maps.
    maps : dict of str to Map
        What is free, by different names.
    """

    def __init__(self, path, physics, maps=MAPS):
        folder = path / "code"
        if not (folder / f"{PROGRAM}.py").is_file():
            msg = f"{path} is no checkout of SUSHI: it has no code/{PROGRAM}.py. Clone github.com/JMLascar/SUSHI."
            raise SystemExit(msg)
        os.environ["JAX_ENABLE_X64"] = "True"  # as in the tutorial, and before jax is imported
        sys.path.insert(0, str(folder))
        try:
            self.program = importlib.import_module(PROGRAM)
        except ImportError as error:
            msg = f"SUSHI needs {error.name}: install jax, scikit-learn, ipywidgets and tqdm beside this package."
            raise SystemExit(msg) from error
        _compile_once(self.program)
        self.models = []
        for k in range(len(physics.component_names)):
            free = {label: each for label, each in maps.items() if each.component == k}
            spread = [(np.geomspace if each.name == "kT" else np.linspace)(*each.span) for each in free.values()]
            scales = np.array([each.mean() for each in spread]), np.array([each.std() for each in spread])
            first = [each.first for each in free.values()]
            model = _table(physics, k, list(free.values()), scales)
            self.models.append({"model": model, "param_names": list(free), "first_param": first, "params_cnst": scales})

    def run(self, counts, n, step, report, amplitude_step=1):
        """Go through n iterations; ``report(images, maps, iterations, seconds)`` is called nine times on the way.

        Then ``spectra`` are those of the field, (m, n), and ``cost`` is that after each iteration so far.
        """
        save = max((n - 1) // 9, 1)
        with tempfile.TemporaryDirectory() as folder:
            stem, start = str(Path(folder) / "result"), time.process_time()

            def loop():
                for i in range(n):
                    yield i
                    if i % save == 0 and i:  # the program has just written what it has
                        seconds = time.process_time() - start
                        report(*self._read(Path(f"{stem}_{i}.p"), counts.shape[1:]), i + 1, seconds)

            self.program.trange = lambda *_, **__: _Loop(loop())
            self.program.SUSHI(
                counts, *self.models, component_names=[f"{k}" for k in range(len(self.models))], niter=n,
                intermediate_save=True, save=save, file_name=stem, alpha_T=step or None, alpha_A=amplitude_step,
                **TUTORIAL,
            )  # fmt: skip

    def _read(self, path, shape):
        found = pickle.loads(path.read_bytes())
        path.unlink()
        spectra = [np.asarray(found["XRec"][f"{k}"]).sum(axis=0) for k in range(len(self.models))]
        self.spectra, self.cost = np.transpose(spectra), np.asarray(found["Likelihood"])
        theta, first, maps = np.asarray(found["Theta"]), 0, {}
        for model in self.models:
            for name, mean, deviation in zip(model["param_names"], *model["params_cnst"]):
                maps[name] = (mean + deviation * theta[:, first]).reshape(shape)
                first += 1
        return np.asarray(found["Amplitude"]).reshape(-1, *shape), maps


def _compile_once(program):
    """Keep jax from compiling the program's steps anew whenever another number of pixels is bright enough for them.

    The same numbers come out: faint pixels are named by as many indices each time, and bright ones picked by NumPy.
    """
    import jax

    if isinstance(program.np, types.SimpleNamespace):
        return

    class Details(np.ndarray):
        @property
        def at(self):
            return jax.numpy.asarray(self).at

    def everywhere(condition):  # indices out of bounds are left out
        rows, *others = np.indices(condition.shape)
        return np.where(condition, rows, len(condition)), *others

    def numpy(where):
        names = {name: getattr(jax.numpy, name) for name in dir(jax.numpy)}
        return types.SimpleNamespace(**names | {"where": where})

    forward = jax.jit(program.Starlet_Forward2D, static_argnames=("J", "M", "N"))

    def details(image, **sizes):
        coarse, found = forward(image, **sizes)
        return coarse, np.asarray(found).view(Details)

    program.Starlet_Forward2D, program.np, program.jnp = details, numpy(everywhere), numpy(np.asarray)


class _Loop:
    """What SUSHI's loop takes for a progress bar."""

    def __init__(self, turns):
        self.turns = turns

    def __iter__(self):
        return iter(self.turns)

    def set_description(self, _):
        pass

    def refresh(self):
        pass


def _table(physics, k, free, scales):
    """Make the function of parameters, (t, q) in standard deviations, that gives spectra of unit sum, (t, m).

    The spectra at the nodes of a fine grid are sums of some vectors; their coefficients are interpolated linearly.
    """
    import jax.numpy as jnp
    from jax import jit

    parameters = [(each.component, each.name) for each in physics.parameters]
    n, logarithmic = N_NODES[len(free)], np.array([each.name == "kT" for each in free])
    ends = np.array([each.wider for each in free])
    ends[logarithmic] = np.log(ends[logarithmic])
    nodes = np.stack(np.meshgrid(*(np.linspace(*each, n) for each in ends), indexing="ij"), axis=-1)
    nodes[..., logarithmic] = np.exp(nodes[..., logarithmic])
    theta = np.full((nodes[..., 0].size, len(parameters)), 0.5)
    for each, values in zip(free, np.moveaxis(nodes, -1, 0)):
        place = parameters.index((physics.component_names[k], each.name))
        theta[:, place] = physics.parameters[place].scaled(values.ravel())
    table = np.concatenate([physics.spectra(part)[..., k] for part in np.array_split(theta, 64)])  # (N, m)
    weight = np.sqrt(np.maximum(table.mean(axis=0), 1e-12))  # a line has nothing elsewhere
    vectors = np.linalg.eigh((table / weight).T @ (table / weight))[1][:, -N_VECTORS:]
    coefficients = jnp.asarray(((table / weight) @ vectors).reshape(*nodes.shape[:-1], -1))
    basis = jnp.asarray((vectors * weight[:, np.newaxis]).T)
    mean, deviation = scales

    @jit
    def spectra(scaled):
        values = mean + deviation * scaled
        values = jnp.where(logarithmic, jnp.log(jnp.maximum(values, 1e-3)), values)
        places = jnp.clip((values - ends[:, 0]) / (ends[:, 1] - ends[:, 0]), 0.0, 1.0) * (n - 1)
        first = jnp.clip(jnp.floor(places), 0, n - 2).astype(int)
        found = 0.0
        for corner in np.ndindex(*(2,) * len(free)):
            share = jnp.prod(jnp.where(np.array(corner), places - first, 1 - places + first), axis=1)
            found += share[:, np.newaxis] * coefficients[tuple((first + np.array(corner)).T)]
        return jnp.maximum(found @ basis, 1e-12)

    return spectra


def score(images, maps, truth):
    """Set images and maps against the truth."""
    true_images, _ = truth
    row = {f"nmse {name}": float(nmse(found, true)) for name, found, true in zip(NAMES, images, true_images)}
    for name, found, true in zip(NAMES, images, true_images):
        row[f"flux {name}"] = float(found.sum() / true.sum() - 1)
    return row | map_errors(maps, truth)


def map_errors(maps, truth):
    """Give the rms error of each map, weighted with the component's image."""
    images, true = truth
    return {name: _rms(maps[name], true[name], images[each.component]) for name, each in MAPS.items() if name in maps}


def _rms(found, true, weight):
    return float(np.sqrt((weight * (found - true) ** 2).sum() / weight.sum()))


def no_maps(truth):
    """How far the true means are from the maps."""
    images, maps = truth
    return map_errors(
        {name: np.average(maps[name], weights=images[each.component]) for name, each in MAPS.items()}, truth
    )


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--iterations", type=int, default=10000)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of the photons")
    parser.add_argument(
        "--step", type=float, default=1e-5, help="of SUSHI's maps (default: the tutorial's; 0: its own)"
    )
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--counts", type=float, default=400.0, help="a pixel, in the mean")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore", AstropyUserWarning)
    physics = ParametricSpectra.from_library(components(WIDER, KNOWN))
    sushi = Sushi(options.checkout, physics) if options.iterations else None
    truth = remnant(options.side, options.counts, seed=0)
    mean = expected(physics, *truth)
    rows = []

    def report(method, seed, images, maps, seconds):
        rows.append({"method": method, "seed": seed} | score(images, maps, truth) | {"seconds": seconds})
        print(*(f"{value:.3g}" if isinstance(value, float) else value for value in rows[-1].values()), flush=True)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1))

    for seed in options.seeds:
        counts = np.random.default_rng(seed).poisson(mean).astype(float)
        for method, others in ("ours", KNOWN), ("ours, free", FREE):
            library = components(RANGES, others)
            result, maps, seconds = ours(cube_of(counts, library.energy_edges), library)
            unbiased, smooth = (
                np.stack([each[name].data for name in NAMES]) for each in (result.images, result.smooth_images)
            )
            report(f"{method}, unbiased", seed, unbiased, maps, seconds)
            report(method, seed, smooth, maps, seconds)
        if sushi:

            def follow(images, maps, n, seconds, seed=seed):
                report(f"SUSHI, {n}", seed, images, maps, seconds)

            sushi.run(counts, options.iterations, options.step, follow)
    table = Table(rows=rows)
    for name in table.colnames[2:]:
        table[name].info.format = ".3g"
    print("", *table.pformat(max_lines=-1, max_width=-1), sep="\n")
    print("no maps:", *(f"{name} {value:.3g}" for name, value in no_maps(truth).items()))


if __name__ == "__main__":
    main()
