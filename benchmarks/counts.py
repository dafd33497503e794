"""Errors of spectra and images from few counts and many: prints tables and writes their figures as JSON.

    python benchmarks/counts.py [--seeds 10] [--cases remnant-64 ...] [--json PATH]

Counts are drawn from simulated remnants, or from images drawn with the statistics of maps of Cassiopeia A, with
spectra that are draws from the library of the packaged model snr-acis. The mean number of counts in a pixel, summed
over energy, is from 1 to 1000. Next to the pipeline without and with `refine_counts` are GMCA on the same details,
aligned with the truth; `refine_counts` started at the true spectra, as no network could do; the library's mean spectra;
and the spectra of the largest likelihood for the true images (nothing known of the spectra). Figures are NMSE(A), its
median and mean over the seeds, then NMSE(S) of the images.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning
from remnants import cube_of, remnant_sources

from astro_lpalm import load_model
from astro_lpalm.forward import ForwardModel, count_blocks, expected_counts, least_squares
from astro_lpalm.separation import GMCA, Factorization, align, nmse, poisson_sources, refine_counts
from astro_lpalm.separator import Separator
from astro_lpalm.sources import SourceLibrary
from astro_lpalm.spectra import SpectralLibrary

LEVELS = (1, 3, 10, 30, 100, 300, 1000)
CASES = ("remnant-64", "remnant-240", "drawn-128")
ORACLE_SIDE = 32  # blocks along each side in which the oracle knows the images
METHODS = ("GMCA", "Gaussian", "Poisson", "Poisson, true start", "library mean", "true images")


def make_images(case, A, names, seed):
    """Make images of the components in counts, one count a pixel in the mean: (n, size, size)."""
    kind, size = case.split("-")
    size = int(size)
    if kind == "remnant":
        return remnant_sources(names, size, 1.0, seed)
    S = SourceLibrary.from_file("snr-acis").draw_images(1, (size, size), seed=seed)[0]
    S *= A.sum(axis=0)[:, np.newaxis, np.newaxis]
    return S / S.sum(axis=0).mean()


def details(counts, model):
    """Make the matrix that the pipeline gives to the solver."""
    cube = cube_of(counts, model.energy_edges)
    return Separator().details(cube, ForwardModel(~cube.pixel_mask))


def likeliest_spectra(counts, S, A):
    """Find the spectra of the largest Poisson likelihood for known images, by expectation maximization."""
    side = counts.shape[1] // (counts.shape[1] // ORACLE_SIDE) * (counts.shape[1] // ORACLE_SIDE)
    step = counts.shape[1] // ORACLE_SIDE
    Y, S = (
        each[:, :side, :side].reshape(len(each), side // step, step, -1, step).sum(axis=(2, 4)).reshape(len(each), -1)
        for each in (counts.astype(float), S)
    )
    # X^T = S^T A^T: the spectra are the sources of the transposed problem.
    A = poisson_sources(Y.T, S.T, n_rounds=500).T
    return A / np.linalg.norm(A, axis=0)


def one(case, level, seed, model, A):
    """Errors of every method on one simulation."""
    S = level * make_images(case, A, model.component_names, seed)
    counts = np.random.default_rng(seed).poisson(np.tensordot(A / A.sum(axis=0), S, 1)).astype(np.float32)
    S = (S / A.sum(axis=0)[:, np.newaxis, np.newaxis]).reshape(len(S), -1)
    matrix, X = details(counts, model), counts.reshape(len(counts), -1)
    spectra, seconds = {}, {}
    found = model.separate(matrix)
    spectra["Gaussian"] = found.spectra
    start = time.perf_counter()
    blocks = count_blocks(counts.sum(axis=0))
    spectra["Poisson"] = refine_counts(X, found, model.prior, blocks=blocks).spectra
    seconds["seconds"] = time.perf_counter() - start
    spectra["Poisson, true start"] = refine_counts(X, Factorization(A, None), model.prior, blocks=blocks).spectra
    spectra["GMCA"] = align(GMCA(len(S)).separate(matrix), A).spectra
    spectra["library mean"] = model.prior.mean.T
    spectra["true images"] = likeliest_spectra(counts, S.reshape(-1, *counts.shape[1:]), A)
    row = {name: float(nmse(spectra[name], A)) for name in METHODS}
    images = {"Gaussian": spectra["Gaussian"], "Poisson": spectra["Poisson"], "true spectra": A}
    for name, known in images.items():
        variance = expected_counts(known, X.sum(axis=1, dtype=float))
        row[f"images, {name}"] = float(nmse(least_squares(X, known, variance), S))
    if case.endswith("-64"):
        row["images, not negative"] = float(nmse(poisson_sources(X, spectra["Poisson"]), S))
    return row | seconds


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--cases", nargs="+", default=list(CASES))
    parser.add_argument("--levels", nargs="+", type=float, default=list(LEVELS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore", AstropyUserWarning)  # spectra of few counts may leave their library
    model = load_model("snr-acis")
    spectra = SpectralLibrary.from_file("snr-acis").draw(options.seeds, seed=2024)
    spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
    results = []
    for case in options.cases:
        rows = []
        for level in options.levels:
            figures = [one(case, level, seed, model, A) for seed, A in enumerate(spectra)]
            results += [{"case": case, "level": level, "seed": seed} | each for seed, each in enumerate(figures)]
            rows.append({"counts a pixel": level} | summary(figures))
        table = Table(rows=rows)
        for name in table.colnames[1:]:
            table[name].info.format = ".1e"
        print(case, *table.pformat(max_lines=-1, max_width=-1), sep="\n", flush=True)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))


def summary(figures):
    """Take median and mean of each figure over the seeds."""
    row = {}
    for name in figures[0]:
        values = [each[name] for each in figures]
        row |= {name: float(np.median(values))} | ({f"{name}, mean": float(np.mean(values))} if name in METHODS else {})
    return row


if __name__ == "__main__":
    main()
