"""Fully constrained least squares of all pixels at once next to a solver called pixel by pixel.

    python benchmarks/fcls.py [--pixels N] [--json PATH]

The loop calls scipy.optimize.nnls with the sum as an additional row of weight 1e5. It is timed on a part of the pixels,
and its time scaled to all of them. Both are timed in turns, and the fastest of several rounds is kept. A ratio is the
time of the loop over the time of FCLS.
"""

import argparse
import json
import time

import numpy as np
from scipy.optimize import nnls

from astro_lpalm.separation import FCLS

N_ENERGIES = 65
N_COMPONENTS = (2, 3, 4, 5, 6, 8)
N_LOOP = 5000
HEAVY = 1e5


def make_data(rng, n, t):
    """Mixtures with noise of which about a quarter to a half of the abundances are zero."""
    A = rng.random((N_ENERGIES, n))
    A /= np.linalg.norm(A, axis=0)
    return A @ rng.dirichlet(np.full(n, 0.5), t).T + 0.03 * rng.standard_normal((N_ENERGIES, t)), A


def plain_loop(X, A):
    """One pixel after the other."""
    heavy = np.vstack([A, np.full(A.shape[1], HEAVY)])
    return np.transpose([nnls(heavy, np.append(x, HEAVY))[0] for x in X.T])


def measure(n, t, rounds):
    """Seconds of both for all pixels, and the largest difference of their abundances."""
    X, A = make_data(np.random.default_rng(n), n, t)
    part = X[:, :N_LOOP]
    seconds = [np.inf, np.inf]
    for _ in range(rounds):
        for k, function in enumerate((lambda: FCLS().separate(X, A).sources, lambda: plain_loop(part, A))):
            start = time.perf_counter()
            found = function()
            seconds[k] = min(seconds[k], time.perf_counter() - start)
    all_at_once, loop = seconds[0], seconds[1] * t / part.shape[1]
    difference = float(np.abs(FCLS().separate(part, A).sources - found).max())
    return {"seconds": all_at_once, "loop_seconds": loop, "ratio": loop / all_at_once, "difference": difference}


def main():
    """Print the table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="PATH", help="write the results to this file too")
    parser.add_argument("--pixels", type=int, default=100_000, help="number of pixels (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds to take the fastest of (default %(default)s)")
    options = parser.parse_args()

    results = {n: measure(n, options.pixels, options.rounds) for n in N_COMPONENTS}
    print(f"abundances of {options.pixels} pixels of {N_ENERGIES} energies, float64")
    print(f"the loop ran on {min(N_LOOP, options.pixels)} of them, its time is scaled\n")
    print(f"{'components':>10}{'FCLS, ms':>12}{'loop, ms':>12}{'ratio':>8}{'largest difference':>22}")
    for n, row in results.items():
        milliseconds = f"{1e3 * row['seconds']:12.1f}{1e3 * row['loop_seconds']:12.0f}"
        print(f"{n:10}{milliseconds}{row['ratio']:8.1f}{row['difference']:22.1e}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"pixels": options.pixels, "energies": N_ENERGIES, "results": results}, file, indent=2)


if __name__ == "__main__":
    main()
