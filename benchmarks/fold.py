"""Folding of many spectra through a response next to folding them one by one.

    python benchmarks/fold.py [ARF RMF] [--json PATH]

Without files, the response is synthetic: as many true bins and channels as Chandra's ACIS has, and as full a matrix.
Everything is timed in one run, in turns, and the fastest of several rounds is kept. A ratio is the time of the plain
loop over the time of the line.
"""

import argparse
import json
import time

import numpy as np

from astro_lpalm.instrument import Response


def synthetic_response():
    """Bins of 10 eV and channels of 14.6 eV; a Gaussian peak, and a flat tail of 3 % down to channel 10."""
    true, channels = np.linspace(0.3, 11, 1071), 0.0146 * np.arange(1025)
    energy, centre = 0.5 * (true[1:] + true[:-1])[:, None], 0.5 * (channels[1:] + channels[:-1])
    sigma = 0.04 * np.sqrt(0.3 + 0.2 * energy)
    peak = np.exp(-0.5 * ((centre - energy) / sigma) ** 2)
    tail = (centre < energy) & (np.arange(1024) >= 10)
    matrix = np.where(peak > 1e-6, 0.97 * peak / peak.sum(axis=1, keepdims=True), 0.0) + tail * 0.03 / 400
    return Response(400 * matrix, true, channels)


def groups_of(matrix):
    """Row, first channel and values of each run of channels, as an RMF lists them."""
    groups = []
    for row in range(matrix.shape[0]):
        part = slice(*matrix.indptr[row : row + 2])
        breaks = np.flatnonzero(np.diff(matrix.indices[part]) > 1) + 1
        runs = zip(np.split(matrix.indices[part], breaks), np.split(matrix.data[part], breaks))
        groups += [(row, channels[0], values) for channels, values in runs if channels.size]
    return groups


def plain_loop(flux, groups, n_channel):
    """One spectrum after the other, one group of channels after the other."""
    rate = np.zeros((len(flux), n_channel))
    for photons, counts in zip(flux, rate):
        for row, first, values in groups:
            counts[first : first + len(values)] += photons[row] * values
    return rate


def fastest_times(contestants, rounds):
    """Seconds of the fastest round of each contestant."""
    seconds = dict.fromkeys(contestants, np.inf)
    for _ in range(rounds):
        for name, function in contestants.items():
            start = time.perf_counter()
            function()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def main():
    """Print the table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="ARF RMF", help="a real response (default: a synthetic one)")
    parser.add_argument("--json", metavar="PATH", help="write the results to this file too")
    parser.add_argument("--rounds", type=int, default=3, help="rounds to take the fastest of (default %(default)s)")
    parser.add_argument("--spectra", type=int, default=1000, help="how many to fold (default %(default)s)")
    options = parser.parse_args()
    if len(options.files) not in (0, 2):
        parser.error("give both an ARF and an RMF, or neither")

    response = Response.read(*options.files) if options.files else synthetic_response()
    n_true, n_channel = response.matrix.shape
    flux = np.random.default_rng(0).random((options.spectra, n_true))
    dense, groups = response.matrix.toarray(), groups_of(response.matrix)
    contestants = {
        "plain loop over groups of channels": lambda: plain_loop(flux, groups, n_channel),
        "dense matrix, one by one": lambda: np.stack([spectrum @ dense for spectrum in flux]),
        "dense matrix, all at once": lambda: flux @ dense,
        "Response.fold, one by one": lambda: np.stack([response.fold(spectrum) for spectrum in flux]),
        "Response.fold, all at once": lambda: response.fold(flux),
    }
    if options.files:
        contestants["Response.read"] = lambda: Response.read(*options.files)
    expected, found = plain_loop(flux[:50], groups, n_channel), response.fold(flux[:50])
    difference = float(np.max(np.abs(found - expected)) / expected.max())
    fill = response.matrix.nnz / dense.size
    seconds = fastest_times(contestants, options.rounds)
    slowest = seconds["plain loop over groups of channels"]

    print(f"{options.spectra} spectra through {n_true} true bins x {n_channel} channels, {fill:.0%} of them filled")
    print(f"largest difference from the plain loop: {difference:.1e} of the peak\n")
    print(f"{'':40}{'ms':>10}{'ratio':>8}")
    for name, value in seconds.items():
        ratio = "" if name == "Response.read" else f"{slowest / value:.1f}"
        print(f"{name:40}{1e3 * value:10.1f}{ratio:>8}")
    if options.json:
        results = {name: {"seconds": value, "ratio": slowest / value} for name, value in seconds.items()}
        report = {"n_spectra": options.spectra, "shape": [n_true, n_channel], "fill": fill}
        report |= {"largest_difference": difference, "results": results}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)


if __name__ == "__main__":
    main()
