"""PALM and GMCA next to what one would run without them, and to the baselines of a newcomer.

    python benchmarks/classical.py [--clone DIRECTORY] [--pixels N] [--rounds N] [--json PATH]

One X of 65 energies and 100 000 pixels: four non-negative sparse sources, white noise at 30 dB. PALM is timed next to
equation (6) of arXiv:2112.05694 written down in NumPy as it stands, from the same start, with the same stopping test
after each iteration; their results are compared. GMCA is timed next to pyGMCALab, DIRECTORY being a work tree of
https://github.com/jbobin/pyGMCALab, or else next to a transcription. Both sides have the same precision. Seconds are
medians, ratios are medians over rounds in which both were timed one after the other. The second table has whole runs,
with NMSE(A) after order, signs and norms were made good: FastICA and NMF are those of scikit-learn, where it is there.
"""

import argparse
import importlib
import json
import sys
import time
import types
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np

from astro_lpalm.separation import AMCA, GMCA, PALM, Factorization, align, nmse

THRESHOLD = 1e-5  # of PALM, for sources of unit norm in 100 000 pixels
FEW, MANY = 2, 22  # iterations: what the second run takes longer is what twenty of them take


def make_mixture(n_pixels):
    """Make X, A, S, and a start that is near A."""
    rng = np.random.default_rng(0)
    energies = np.linspace(0, 1, 65)[:, np.newaxis]
    A = np.exp(-(((energies - np.linspace(0.1, 0.9, 4)) / 0.15) ** 2)) + 0.1 * rng.random((65, 4))
    A /= np.linalg.norm(A, axis=0)
    S = rng.exponential(size=(4, n_pixels)) * (rng.random((4, n_pixels)) < 0.1)
    S /= np.linalg.norm(S, axis=1, keepdims=True)
    X = A @ S
    noise = rng.standard_normal(X.shape)
    X += noise * np.linalg.norm(X) / np.linalg.norm(noise) * 10 ** (-30 / 20)
    return X, A, A + 0.05 * rng.standard_normal(A.shape)


def plain_palm(X, A, n_iter):
    """Equation (6) as it stands."""
    S = np.linalg.pinv(A) @ X
    for k in range(n_iter):
        S_before, A_before = S, A
        g = 1 / (1.01 * np.linalg.norm(A, 2) ** 2)
        S = S + g * A.T @ (X - A @ S)
        S = np.sign(S) * np.maximum(np.abs(S) - THRESHOLD * g, 0)
        h = 1 / (1.01 * np.linalg.norm(S, 2) ** 2)
        A = A + h * (X - A @ S) @ S.T
        A = A / np.maximum(np.linalg.norm(A, axis=0), 1)
        if k > 0 and max(np.linalg.norm(S - S_before), np.linalg.norm(A - A_before)) <= 1e-7:
            break
    return Factorization(A, S)


def plain_gmca(X, n_iter):
    """GMCA with library functions for medians and sorting."""
    A = np.linalg.eigh(X @ X.T)[1][:, :-5:-1]
    for k in range(n_iter):
        S = np.linalg.pinv(A) @ X
        for row in S:
            noise = np.median(np.abs(row - np.median(row))) / 0.6745
            present = np.sort(np.abs(row[np.abs(row) > 3 * noise]))[::-1]
            limit = present[max(int((k + 1) / n_iter * len(present) / 2), 20) - 1]
            row[np.abs(row) < limit] = 0
        A = X @ S.T @ np.linalg.inv(S @ S.T)
        A = A / np.linalg.norm(A, axis=0)
    return Factorization(A, np.linalg.pinv(A) @ X)


def pygmcalab(clone, name):
    """Load "gmca" or "amca" of a clone of pyGMCALab, whose packages import in the way of Python 2."""
    for package_name in ("pyGMCA", "pyGMCA.bss", f"pyGMCA.bss.{name}", "pyGMCA.common"):
        package = sys.modules[package_name] = types.ModuleType(package_name)
        package.__path__ = [str(Path(clone, *package_name.split(".")))]
    theirs = getattr(importlib.import_module(f"pyGMCA.bss.{name}.{name}"), name.upper())

    def separate(X, n, **settings):
        # It knows the NumPy of its time.
        with mock.patch.object(np, "int", int, create=True):
            return theirs(X, n=n, **settings)

    return separate


def gmca_of(clone):
    """Make GMCA of a clone of pyGMCALab a function of X and the number of iterations, which it counts from 1."""
    theirs = pygmcalab(clone, "gmca")

    def separate(X, n_iter):
        found = theirs(X, 4, nmax=n_iter + 1)
        return Factorization(found["mixmat"], found["sources"])

    return separate


def paired(ours, theirs, rounds):
    """Time iterations of two functions in turns; return median seconds of each, and the median of the ratios."""
    seconds = np.zeros((rounds, 2))
    for row in seconds:
        for side, function in enumerate((ours, theirs)):
            for n_iter, factor in ((FEW, -1), (MANY, 1)):
                start = time.perf_counter()
                function(n_iter)
                row[side] += factor * (time.perf_counter() - start) / (MANY - FEW)
    ratio = float(np.median(seconds[:, 1] / seconds[:, 0]))
    return {"seconds": float(np.median(seconds[:, 0])), "other": float(np.median(seconds[:, 1])), "ratio": ratio}


def iterations(X, start, gmca, rounds):
    """Time PALM and GMCA by iteration, in double and in single precision."""
    for dtype in ("float64", "float32"):
        data, A = X.astype(dtype), start.astype(dtype)

        def palm(n_iter, data=data, A=A):
            return PALM(A, threshold=THRESHOLD, max_iter=n_iter).separate(data)

        plain = partial(plain_palm, data, A)
        found, expected = palm(MANY).sources, plain(MANY).sources
        difference = float(np.abs(found - expected).max() / np.abs(expected).max())
        yield {"what": "PALM", "precision": dtype, "difference": difference, "target": 5} | paired(palm, plain, rounds)

        def blind(n_iter, data=data):
            return GMCA(4, n_iter=n_iter).separate(data)

        times = paired(blind, partial(gmca, data), rounds)
        yield {"what": "GMCA", "precision": dtype, "difference": None, "target": 3} | times


def baselines():
    """Name what scikit-learn has, as functions of X, or None where it is not installed."""
    try:
        from sklearn.decomposition import NMF, FastICA
    except ImportError:
        return {"FastICA": None, "NMF": None}

    def ica(X):
        solver = FastICA(4, whiten="unit-variance", random_state=0)
        S = solver.fit_transform(X.T).T
        return Factorization(solver.mixing_, S)

    def nmf(X):
        solver = NMF(4, init="nndsvda", max_iter=500, random_state=0)
        S = solver.fit_transform(np.maximum(X, 0).T).T  # noise below zero has no place in it
        return Factorization(solver.components_.T, S)

    return {"FastICA": ica, "NMF": nmf}


def whole_runs(X, A, gmca, name):
    """Run each to its end once."""
    methods = {
        "GMCA": GMCA(4).separate,
        "GMCA, non-negative": GMCA(4, non_negative=True).separate,
        "AMCA": AMCA(4).separate,
        f"GMCA, {name}": lambda X: gmca(X, 100),
    } | baselines()
    for what, method in methods.items():
        if method is None:
            yield {"what": what, "seconds": None, "nmse_a": None}
            continue
        start = time.perf_counter()
        found = method(X)
        seconds = time.perf_counter() - start
        yield {"what": what, "seconds": seconds, "nmse_a": float(nmse(align(found, A).spectra, A))}


def main():
    """Print the tables, and write them as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clone", metavar="DIRECTORY", type=Path, help="a work tree of pyGMCALab")
    parser.add_argument("--pixels", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7, help="paired repetitions (default %(default)s)")
    parser.add_argument("--json", metavar="PATH", help="write the results to this file too")
    options = parser.parse_args()
    X, A, start = make_mixture(options.pixels)
    gmca, name = (gmca_of(options.clone), "pyGMCALab") if options.clone else (plain_gmca, "transcription")

    print(f"milliseconds an iteration, {len(X)} x {options.pixels}; GMCA next to: {name}\n")
    print(f"{'':20}{'here':>10}{'other':>10}{'ratio':>8}{'target':>8}{'difference':>12}")
    rows = []
    for row in iterations(X, start, gmca, options.rounds):
        rows.append(row)
        difference = "" if row["difference"] is None else f"{row['difference']:.0e}"
        times = f"{1e3 * row['seconds']:10.1f}{1e3 * row['other']:10.1f}{row['ratio']:8.1f}"
        print(f"{row['what'] + ', ' + row['precision']:20}{times}{row['target']:8}{difference:>12}")
    print(f"\n{'whole runs, float64':30}{'seconds':>10}{'NMSE(A)':>12}")
    runs = []
    for run in whole_runs(X, A, gmca, name):
        runs.append(run)
        figures = "not installed" if run["seconds"] is None else f"{run['seconds']:10.1f}{run['nmse_a']:12.1e}"
        print(f"{run['what']:30}{figures:>22}")
    if options.json:
        report = {"shape": X.shape, "other_gmca": name, "iterations": rows, "runs": runs}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)


if __name__ == "__main__":
    main()
