"""Spectra where components overlap: prints what the step on counts makes of those of the details, and what it made.

    python benchmarks/overlap.py DIRECTORY [--draws 9] [--levels 1 4 ...] [--seed 14] [--json PATH]

DIRECTORY holds the authors' spectra.fits and sources.fits (arXiv:2112.05694). Each draw has test spectra, which the
library does not hold, and the four maps of Cassiopeia A in a window of 240 x 240 pixels at random, each as bright as
chance has it. Counts are Poisson, from 1 to 1000 a pixel in the mean: 54 runs. There is no network: the details'
refinement starts at the library's mean spectra. Figures are medians of NMSE(A) after the details, after
`refine_counts`, and after it with a given sparsity on 256 blocks, as it was before (--sparsity 0.1); "worse" is how
many of the draws are worse than after the details, by more than 2 %.
"""

import argparse
import json
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning
from remnants import cube_of

from astro_lpalm.forward import ForwardModel, count_blocks
from astro_lpalm.reproduce import read_maps, read_spectra
from astro_lpalm.separation import Factorization, nmse, refine, refine_counts
from astro_lpalm.separator import Separator
from astro_lpalm.spectra import SpectralPrior

LEVELS = (1, 4, 16, 64, 250, 1000)
STEPS = "details", "counts", "before"
SIDE, RANK, SCATTER = 240, 20, 0.5


def make_world(maps, spectra, seed):
    """Draw spectra of unit norm, (m, n), and images of one count a pixel in the mean, (n, side, side)."""
    rng = np.random.default_rng(seed)
    A = spectra[rng.integers(len(spectra))]
    y, x = rng.integers(0, maps.shape[1] - SIDE + 1, 2)
    S = maps[:, y : y + SIDE, x : x + SIDE] / maps.sum(axis=(1, 2), keepdims=True)
    S = S * np.exp(SCATTER * rng.standard_normal((len(maps), 1, 1)))
    return A, S / S.sum(axis=0).mean()


def one(A, S, prior, seed, sparsity):
    """Give the errors of the steps on one draw."""
    counts = np.random.default_rng(seed).poisson(np.tensordot(A / A.sum(axis=0), S, 1)).astype(np.float32)
    cube = cube_of(counts, np.linspace(0.5, 7.0, len(A) + 1) * u.keV)
    X, image = counts.reshape(len(A), -1), counts.sum(axis=0)
    found = refine(Separator().details(cube, ForwardModel(~cube.pixel_mask)), Factorization(prior.mean.T, None), prior)
    now = refine_counts(X, found, prior, blocks=count_blocks(image))
    before = refine_counts(X, found, prior, blocks=count_blocks(image, per_root=0), sparsity=sparsity)
    return {name: float(nmse(each.spectra, A)) for name, each in zip(STEPS, (found, now, before))}


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--draws", type=int, default=9)
    parser.add_argument("--levels", nargs="+", type=float, default=list(LEVELS))
    parser.add_argument("--seed", type=int, default=14)
    parser.add_argument("--sparsity", type=float, default=0.1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore", AstropyUserWarning)  # spectra of few counts may leave their library
    spectra, training, test = read_spectra(options.directory)
    maps, prior = read_maps(options.directory), SpectralPrior.of_draws(spectra[training], RANK)
    rows, results = [], []
    for level in options.levels:
        found = []
        for draw in range(options.draws):
            A, S = make_world(maps, spectra[test], [options.seed, draw])
            found.append(one(A, level * S, prior, [options.seed, draw, int(level)], options.sparsity))
            results.append({"level": level, "draw": draw} | found[-1])
        columns = {name: np.array([each[name] for each in found]) for name in found[0]}
        row = {"counts a pixel": level} | {name: float(np.median(values)) for name, values in columns.items()}
        for name in ("counts", "before"):
            row[f"{name} worse"] = int(np.sum(columns[name] > 1.02 * columns["details"]))
        rows.append(row)
    table = Table(rows=rows)
    for name in STEPS:
        table[name].info.format = ".1e"
    print(*table.pformat(max_lines=-1, max_width=-1), sep="\n")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
