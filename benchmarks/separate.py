"""Separating a cube, everything included, next to the method as it is written down.

    python benchmarks/separate.py [--sizes] [--published-starlet] [--cases NAME ...] [--threads N] [--json PATH]

The cube is a simulated remnant of 65 energies and 346 x 346 pixels. The plain way is one's own transcription: a starlet
image by image, equation (8) of arXiv:2112.05694 in double precision with the residual A S - X formed twice a layer,
pinv(A) X for the coarse part, no refinement. With --published-starlet its filter is a loop over pixels, as in the
authors' program (a minute or two). --sizes adds other sizes of the cube, and the network and the refinement alone for
other numbers of energies, components and layers. "learned solver" is what the plain way is, too: details, network and
images, without parameters, errors and diagnostics. Every line runs in a process of its own: seconds are those of the
processor, so that other programs do not count, of the fastest of three calls, and "times less" is how much less that is
than the plain way with the starlet by pixel; memory is the highest resident size above that before the first call, in
cubes of single precision.
"""

import argparse
import json
import multiprocessing
import os
import time
from copy import copy

import numpy as np
import torch
from remnants import cube_of, remnant_sources
from scipy.ndimage import convolve1d

from astro_lpalm import load_model, separate
from astro_lpalm.forward import ExpectedBackground, ForwardModel
from astro_lpalm.separation import LPALM, Factorization, refine
from astro_lpalm.separator import Separator

TAPS = np.array([1, 4, 6, 4, 1]) / 16
BY_PIXEL = "plain, starlet by pixel"
COUNTS = 3.2e6 / 240**2  # a pixel, as the demo has them
BACKGROUND = 5e3  # counts at each energy of a flat one, a twentieth of all


def make_cube(size, model, background=0.0):
    """Make counts of a remnant with spectra of the model's, and as many of a flat background at every energy."""
    S = remnant_sources(model.component_names, size, COUNTS, 0)
    A = model.physics.spectra(np.full(len(model.physics.parameters), 0.5))
    expected = np.tensordot(A, S, 1) + background / size**2
    return cube_of(np.random.default_rng(0).poisson(expected), model.energy_edges)


def filter_by_pixel(image, taps):
    """One pixel after the other, as the authors' program does it, along the last axis."""
    padded = np.pad(image, ((0, 0), (2, 2)), mode="reflect")
    out = np.empty_like(image)
    for row, values in zip(out, padded):
        for x in range(len(row)):
            row[x] = np.sum(taps * values[x : x + 5])
    return out


def plain(cube, model, by_pixel):
    """Equation (8) with the weights of the model, in double precision."""
    data = cube.data.astype(float)
    coarse = np.empty_like(data)
    for smooth, image in zip(coarse, data):
        if by_pixel:
            smooth[:] = filter_by_pixel(filter_by_pixel(image, TAPS).T, TAPS).T
        else:
            smooth[:] = convolve1d(convolve1d(image, TAPS, axis=0, mode="mirror"), TAPS, axis=1, mode="mirror")
    X = (data - coarse).reshape(len(data), -1)
    network = model.network.copy().double()
    W, L = network.s_part.W.detach().numpy(), network.a_part.L.detach().numpy()
    scale, noise = (float(value) for value in network.measure(torch.from_numpy(X)[None]))
    thresholds = network.theta.detach().numpy() @ [scale, noise]
    m, n = W.shape[1:]
    A, S = np.full((m, n), m**-0.5), np.zeros((n, X.shape[1]))
    for k in range(len(W)):
        S = S + W[k].T @ (X - A @ S)
        S = np.sign(S) * np.maximum(np.abs(S) - max(thresholds[k], 0), 0)
        A = A - (A @ S - X) @ S.T / (L[k] * max(np.linalg.norm(S @ S.T), 1e-300))
        A = A / np.maximum(np.linalg.norm(A, axis=0), 1)
    return A, S + np.linalg.pinv(A) @ coarse.reshape(m, -1)


def matrix_case(m, n, t, n_layers):
    """Make data, network and starting point for the solvers alone."""
    rng = np.random.default_rng(0)
    A = np.exp(-((np.linspace(0, 1, m)[:, None] - np.linspace(0.1, 0.9, n)) ** 2) / 0.02) + 0.1
    A /= np.linalg.norm(A, axis=0)
    S = rng.laplace(size=(n, t)) * (rng.random((n, t)) < 0.3)
    X = (A @ S + 0.02 * rng.standard_normal((m, t))).astype(np.float32)
    return X, LPALM(n_layers).initialize(A).float(), Factorization(A + 0.01, None)


def highest_resident_size():
    """Read the highest resident size of this process, in bytes."""
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def measure(what, arguments, threads, pipe):
    """Time one case in this process, and send what came out."""
    torch.set_num_threads(threads)
    if what == "network" or what == "refinement":
        X, network, factorization = matrix_case(*arguments)
        one_cube = X.nbytes
        call = (lambda: network.separate(X)) if what == "network" else (lambda: refine(X, factorization))
        rounds = 3
    else:
        model = load_model("snr-acis")
        flat = ExpectedBackground(np.full(len(model.energy_edges) - 1, BACKGROUND), free=what == "free background")
        cube = make_cube(arguments[0], model, BACKGROUND if "background" in what else 0.0)
        bare = copy(model)
        bare.physics = None
        one_cube = cube.data.size * np.dtype(np.float32).itemsize
        calls = {
            "separate": lambda: separate(cube, model),
            "without smooth images": lambda: separate(cube, model, smooth=False),
            "learned solver": lambda: Separator(refine=False, smooth=False).find(cube, model, ForwardModel.of(cube)),
            "without parameters": lambda: separate(cube, bare),
            "without refinement": lambda: separate(cube, model, refine=False),
            "flat background": lambda: separate(cube, model, background=flat),
            "free background": lambda: separate(cube, model, background=flat),
            "plain": lambda: plain(cube, model, False),
            BY_PIXEL: lambda: plain(cube, model, True),
        }
        call, rounds = calls[what], 1 if what == BY_PIXEL else 3
    with open("/proc/self/clear_refs", "w") as file:  # Linux: forget the highest resident size so far
        file.write("5")
    before = highest_resident_size()
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    pipe.send({"seconds": min(seconds), "cubes": (highest_resident_size() - before) / one_cube})


def run(what, arguments, threads):
    """Run one case in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=measure, args=(what, arguments, threads, theirs))
    process.start()
    theirs.close()
    result = ours.recv()
    process.join()
    return result


def main():
    """Print the table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", action="store_true", help="add how time and memory grow")
    parser.add_argument("--published-starlet", action="store_true", help="add the plain way with a starlet by pixel")
    parser.add_argument("--cases", nargs="+", metavar="NAME", help="these lines alone")
    parser.add_argument("--threads", type=int, default=1, help="threads (default %(default)s)")
    parser.add_argument("--json", metavar="PATH", help="write the results to this file too")
    options = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # of the processes that are begun from here on
    cases = ["separate", "without smooth images", "learned solver", "without parameters", "without refinement"]
    cases += ["flat background", "free background", "plain", *[BY_PIXEL] * options.published_starlet]
    cases = [(what, (346,)) for what in options.cases or cases]
    if options.sizes:
        cases += [("separate", (size,)) for size in (173, 692)]
        base = (65, 4, 50_000, 25)
        for index, values in enumerate(((130,), (8,), (200_000, 1_000_000), (50,))):
            cases += [("network", base)] if index == 0 else []
            cases += [("network", (*base[:index], value, *base[index + 1 :])) for value in values]
        cases += [("refinement", base), ("refinement", (65, 4, 200_000, 25))]

    print("cube: pixels along a side (65 energies); network, refinement: energies, components, pixels, layers\n")
    print(f"{'':24}{'size':>20}{'seconds':>10}{'memory (cubes)':>17}")
    rows = []
    for what, arguments in cases:
        rows.append({"what": what, "size": arguments} | run(what, arguments, options.threads))
        seconds, cubes = rows[-1]["seconds"], rows[-1]["cubes"]
        print(f"{what:24}{' x '.join(map(str, arguments)):>20}{seconds:10.3f}{cubes:17.1f}", flush=True)
    published = [row["seconds"] for row in rows if row["what"] == BY_PIXEL]
    for row in rows:
        if published and row["size"] == (346,) and row["what"] != BY_PIXEL:
            row["times less"] = published[0] / row["seconds"]
            print(f"{row['what']}: {row['times less']:.0f} times less than {BY_PIXEL}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()
