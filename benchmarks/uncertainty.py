"""How often the truth lies within the uncertainty, and what fifty resamplings of a large cube cost.

    python benchmarks/uncertainty.py [--remnants N] [--resamplings N] [--size N] [--counts N [N ...]] [--no-parameters]
                                     [--json PATH]

Remnants with spectra from the library of snr-acis are simulated and separated. For the spectra, the share of energy
bins in which the true counts of a component lie within one standard deviation, of the bins that hold more than 1 % of
those of its brightest; for the images, the share of pixels that hold more than 1 % of the brightest. 68 % is ideal.
With --resamplings 0 the errors are those that follow from the curvature of the likelihood; with --no-parameters the
model has no physical parameters, and spectra are refined on the counts instead. The last line is the time that one
separation of 346 x 346 x 65 takes with fifty resamplings.
"""

import argparse
import json
import time
import warnings

import numpy as np
from astropy.table import Table
from remnants import cube_of, remnant_sources

from astro_lpalm import load_model, separate
from astro_lpalm.spectra import SpectralLibrary
from astro_lpalm.trust import SeparationWarning

FAINT = 0.01


def simulate(model, size, counts, seed):
    """Make a remnant's cube, and the counts of each component in each energy bin and in each pixel."""
    A = SpectralLibrary.from_file("snr-acis").draw(1, seed)[0]
    A = A / A.sum(axis=0)
    S = remnant_sources(model.component_names, size, counts, seed)
    data = np.random.default_rng([seed, 1]).poisson(np.tensordot(A, S, 1))
    S = S.reshape(len(S), -1)
    return cube_of(data, model.energy_edges), A * S.sum(axis=1), S


def covered(found, truth, error):
    """Share of the values that are not faint and lie within one standard deviation of the truth."""
    used = truth > FAINT * truth.max()
    return np.mean(np.abs(found - truth)[used] < error[used])


def measure(model, size, counts, n_remnants, n_resamplings):
    """Measure the coverage of spectra and images, for each component."""
    rows = []
    for seed in range(n_remnants):
        cube, spectra, images = simulate(model, size, counts, seed)
        result = separate(cube, model, n_resamplings=n_resamplings, seed=seed, progress=False)
        found = result.mixing * result.sources.sum(axis=1)
        rows.append(
            [
                (
                    covered(found[:, k], spectra[:, k], result.spectra_uncertainty[:, k]),
                    covered(result.images[name].data.ravel(), images[k], result.image_uncertainty[name].ravel()),
                )
                for k, name in enumerate(result.names)
            ]
        )
    return np.mean(rows, axis=0)


def main():
    """Print the table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--remnants", type=int, default=20, help="at each exposure (default %(default)s)")
    parser.add_argument("--resamplings", type=int, default=20, help="of each (default %(default)s)")
    parser.add_argument("--size", type=int, default=96, help="pixels along a side (default %(default)s)")
    parser.add_argument("--counts", type=float, nargs="+", default=[10, 100], help="mean counts a pixel")
    parser.add_argument("--no-parameters", action="store_true", help="leave the physical parameters out of the model")
    parser.add_argument("--json", metavar="PATH", help="write the results to this file too")
    options = parser.parse_args()
    warnings.simplefilter("ignore", SeparationWarning)
    model = load_model("snr-acis")
    if options.no_parameters:
        model.physics = None
    rows = []
    for counts in options.counts:
        coverage = measure(model, options.size, counts, options.remnants, options.resamplings)
        for name, (spectrum, image) in zip(model.component_names, coverage):
            rows.append((counts, name, float(spectrum), float(image)))
    table = Table(rows=rows, names=("counts a pixel", "component", "spectrum within 1 sigma", "image within 1 sigma"))
    for name in table.colnames[2:]:
        table[name].info.format = ".2f"
    print("\n".join(table.pformat(max_lines=-1)))
    cube, _, _ = simulate(model, 346, 30, 0)
    start = time.perf_counter()
    separate(cube, model, n_resamplings=50, progress=False)
    seconds = time.perf_counter() - start
    print(f"\n346 x 346 x 65 with 50 resamplings: {seconds:.1f} s")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"rows": rows, "seconds_of_50": seconds}, file, indent=2)


if __name__ == "__main__":
    main()
