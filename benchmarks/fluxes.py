"""Bias and errors of fluxes and parameters where components overlap: prints tables.

    python benchmarks/fluxes.py [--seeds 10] [--worlds separate casa ...] [--own] [--fix-cutoff] [--today]

Skies are those of cases/worlds.py beside ASTRO_LPALM_DATA, seen through the components of snr-acis. For each kind: the
bias of every component's flux above 2 % of the counts (mean and scatter over the seeds), the Fisher bound at the truth,
and the pulls (error over stated error, mean and scatter) of fluxes and of parameters that the data decide. With --own,
counts are drawn again with this package's spectra for the same parameters: the spectra of worlds.py take absorption at
the middle of bins of 10 eV, which differs by 7 % below 0.6 keV. With --fix-cutoff, the synchrotron's cutoff is known:
its true value is the end of its range, which no estimate within the range can be centred on. With --today, next to it
is what `separate` finds.
"""

import argparse
import importlib.util
import json
import os
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from astro_lpalm import load_model, separate
from astro_lpalm.forward import block_sums, count_blocks
from astro_lpalm.separation import fit_parameters
from astro_lpalm.spectra import ParametricSpectra, SpectralLibrary

WORLDS = "separate", "overlap:0.1", "overlap:0.3", "overlap:0.6", "casa"
TRUTH = {
    "": {"nh": 1.2},
    "synchrotron": {"photon_index": 2.6, "cutoff": 1000.0},
    "thermal": {"kT": 1.5, "ionization": 0.75, "O": 1, "Ne": 0.5, "Mg": 0.5, "Si": 5, "S": 5, "Ar": 5, "Ca": 5}
    | {"Fe": 0.5, "velocity": 0, "sigma": 1000},
    "iron_red": {"energy": 6.65, "velocity": 4000, "sigma": 1500},
    "iron_blue": {"energy": 6.65, "velocity": -4000, "sigma": 1500},
}
SHOWN = "kT", "photon_index", "nh", "velocity", "ionization", "Si", "Fe"


def load_worlds():
    """Load cases/worlds.py."""
    path = Path(os.environ["ASTRO_LPALM_DATA"]).parent / "cases" / "worlds.py"
    spec = importlib.util.spec_from_file_location("worlds", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.world


def _matrix(planes):
    planes = np.asarray(planes, dtype=float)
    return planes.reshape(len(planes), -1)


def with_own_spectra(world, model, theta, seed):
    """Draw the counts of a world again, with the spectra of a model."""
    spectra = model.spectra(theta)
    images = [
        image * spectrum.sum() / image.sum() for image, spectrum in zip(world.images.values(), world.spectra.values())
    ]
    expected = np.einsum("mk,kyx->myx", spectra, images)
    counts = np.random.default_rng([seed, 5]).poisson(expected)
    named = dict(zip(world.spectra, (spectra * np.sum(images, (1, 2))).T))
    return replace(world, counts=counts, images=dict(zip(world.images, images)), spectra=named)


def one(world, model, theta):
    """Fit one world: a dict of arrays."""
    blocks = count_blocks(world.counts.sum(axis=0), fewest=1e4, n_most=32)
    counts = block_sums(_matrix(world.counts), blocks)
    start = time.perf_counter()
    fit = fit_parameters(counts, model)
    seconds = time.perf_counter() - start
    true = np.array([spectrum.sum() for spectrum in world.spectra.values()])
    images = block_sums(_matrix(list(world.images.values())), blocks)
    shapes = np.array([spectrum / spectrum.sum() for spectrum in world.spectra.values()]).T
    bound = fit_parameters(shapes @ images, model, theta, n_rounds=0)
    values = np.array([TRUTH[each.component][each.name] for each in model.parameters])
    pulls = np.where(fit.undecided, np.nan, (fit.values - values) / fit.errors)
    return {
        "bias": fit.fluxes / true - 1,
        "bound": bound.flux_errors / true,
        "pull": (fit.fluxes - true) / fit.flux_errors,
        "parameter_pull": pulls,
        "parameter_error": fit.errors,
        "seconds": seconds,
        "rounds": fit.n_iter,
        "converged": fit.converged,
        "goodness": fit.goodness,
    }


def today(world, model):
    """Bias of the fluxes that `separate` finds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)
        result = separate(world.cube(), model, progress=False)
    found = np.array([np.nansum(result.images[name].data) for name in world.images])
    return found / [image.sum() for image in world.images.values()] - 1


def spread(values, scale=1.0):
    """Format mean and scatter of columns."""
    values = scale * np.asarray(values, dtype=float)
    cells = []
    for column in values.T:
        known = column[np.isfinite(column)]
        cells.append(
            f"{known.mean():+6.2f} +-{known.std(ddof=1):5.2f}" if len(known) > len(column) / 2 else " undecided   "
        )
    return "  ".join(cells)


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--worlds", nargs="+", default=list(WORLDS))
    parser.add_argument("--counts", nargs="+", type=float, default=[300, 30])
    parser.add_argument("--tolerance", type=float, default=1e-3, help="of the emulator; 0 for exact spectra")
    parser.add_argument("--own", action="store_true")
    parser.add_argument("--fix-cutoff", action="store_true")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--today", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    make_world = load_worlds()
    library = SpectralLibrary.from_file("snr-acis")
    if options.fix_cutoff:
        first, *others = library.components
        known = replace(first, priors=first.priors | {"cutoff": TRUTH["synchrotron"]["cutoff"]})
        library = SpectralLibrary([known, *others], library.energy_edges, response=library.response, nh=library.nh)
    model = ParametricSpectra.from_library(library, tolerance=options.tolerance or None)
    theta = model.scaled([TRUTH[each.component][each.name] for each in model.parameters])
    solver = load_model("snr-acis") if options.today else None
    shown = [
        k for k, each in enumerate(model.parameters) if each.name in SHOWN and not each.component.startswith("iron")
    ]
    shown += [
        k for k, each in enumerate(model.parameters) if each.component.startswith("iron") and each.name == "sigma"
    ]
    print("fluxes of", ", ".join(model.component_names), "in per cent; pulls of", end=" ")
    print(", ".join(f"{model.parameters[k].component} {model.parameters[k].name}".strip() for k in shown))
    kept = []
    for kind in options.worlds:
        for counts in options.counts:
            rows, before = [], []
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                world = make_world(kind, counts=counts, seed=seed)
                if options.own:
                    world = with_own_spectra(world, model, theta, seed)
                rows.append(one(world, model, theta))
                if options.today:
                    before.append(today(world, solver))
            table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
            kept.append({"world": kind, "counts": counts} | {name: column.tolist() for name, column in table.items()})
            seconds, rounds = table["seconds"].mean(), table["rounds"].mean()
            print(f"{kind}, {counts:g} counts a pixel: {seconds:.2f} s, {rounds:.0f} rounds", end=", ")
            print(f"converged {table['converged'].mean():.0%}, chi-square {table['goodness'].mean():.3f}")
            if options.today:
                print("   flux today   ", spread(before, 100))
            print("   flux         ", spread(table["bias"], 100))
            print("   Fisher bound ", "  ".join(f"{value:6.2f}        " for value in 100 * table["bound"].mean(axis=0)))
            print("   flux pulls   ", spread(table["pull"]))
            print("   pulls        ", spread(table["parameter_pull"][:, shown]), flush=True)
            if options.json:
                options.json.write_text(json.dumps(kept))


if __name__ == "__main__":
    main()
