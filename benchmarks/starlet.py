"""The starlet's forward transform next to the plain convolution that one would write.

    python benchmarks/starlet.py [--json PATH]

Everything is timed in one run, in turns, and the fastest of several rounds is kept. A ratio is the time of the plain
loop over the time of the line.
"""

import argparse
import json
import time

import numpy as np
import torch
from scipy.ndimage import convolve, convolve1d

from astro_lpalm.transforms import Starlet

TAPS = np.array([1, 4, 6, 4, 1], dtype=np.float32) / 16
SHAPE = (65, 346, 346)


def plain_loop(cube):
    """One scale: a full 5 x 5 kernel, one image after the other."""
    kernel = np.outer(TAPS, TAPS)
    coarse = np.stack([convolve(image, kernel, mode="mirror") for image in cube])
    return [cube - coarse], coarse


def separable(cube):
    """One scale: scipy's one-dimensional convolution along both axes of the cube."""
    coarse = convolve1d(convolve1d(cube, TAPS, axis=1, mode="mirror"), TAPS, axis=2, mode="mirror")
    return [cube - coarse], coarse


def fastest_times(contestants, cube, rounds):
    """Seconds of the fastest round of each contestant."""
    seconds = dict.fromkeys(contestants, np.inf)
    for _ in range(rounds):
        for name, function in contestants.items():
            start = time.perf_counter()
            function(cube)
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def main():
    """Print the table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="PATH", help="write the results to this file too")
    parser.add_argument("--rounds", type=int, default=5, help="rounds to take the fastest of (default %(default)s)")
    options = parser.parse_args()

    cube = np.random.default_rng(0).standard_exponential(SHAPE, dtype=np.float32)
    mask = np.hypot(*np.ogrid[-173:173, -173:173]) > 160
    tensor = torch.from_numpy(cube)
    contestants = {
        "scipy.ndimage.convolve, image by image": plain_loop,
        "scipy.ndimage.convolve1d, both axes": separable,
        "Starlet": Starlet().forward,
        "Starlet, with a mask": lambda cube: Starlet().forward(cube, mask),
        "Starlet, torch": lambda cube: Starlet().forward(tensor),
    }
    expected = plain_loop(cube)[0][0]
    found = [np.asarray(Starlet().forward(images)[0][0]) for images in (cube, tensor)]
    difference = max(float(np.abs(detail - expected).max()) for detail in found)
    seconds = fastest_times(contestants, cube, options.rounds)
    slowest = seconds["scipy.ndimage.convolve, image by image"]

    print(f"forward starlet of {' x '.join(map(str, SHAPE))} float32, one scale")
    print(f"largest difference from the plain loop: {difference:.1e}\n")
    print(f"{'':40}{'ms':>8}{'ratio':>8}")
    for name, value in seconds.items():
        print(f"{name:40}{1e3 * value:8.1f}{slowest / value:8.1f}")
    if options.json:
        results = {name: {"seconds": value, "ratio": slowest / value} for name, value in seconds.items()}
        report = {"shape": SHAPE, "largest_difference": difference, "results": results}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)


if __name__ == "__main__":
    main()
