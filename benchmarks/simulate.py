"""Time and memory of simulating an event list, next to the plain simulation that one would write.

    python benchmarks/simulate.py [--json PATH]

The plain one draws with `numpy.random.Generator.choice`: for each component the pixel and the channel of every event,
then a random order and an `astropy.table.Table`. Both draw four components in 1024 channels, without a point spread
function, and the package also with one, an exposure map and a background. Each run is in a process of its own, so that
its peak memory is its own; they go in turns, and the fastest of several is kept.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table

SIDE, CHANNELS, COMPONENTS = 346, 1024, 4


def truth(n_events):
    """Images of expected counts and spectra."""
    rng = np.random.default_rng(0)
    images = rng.gamma(0.3, size=(COMPONENTS, SIDE, SIDE))
    return images * n_events / images.sum(), rng.gamma(1.0, size=(CHANNELS, COMPONENTS))


def plain(n_events):
    """Draw each property of the events by `choice`."""
    images, spectra = truth(n_events)
    rng = np.random.default_rng(1)
    parts = []
    for image, spectrum in zip(images, spectra.T):
        n = rng.poisson(image.sum())
        pixel = rng.choice(image.size, size=n, p=image.ravel() / image.sum())
        channel = rng.choice(CHANNELS, size=n, p=spectrum / spectrum.sum())
        y, x = np.divmod(pixel, SIDE)
        energy = 14.6 * (channel + rng.random(n))
        parts.append((x + rng.random(n), y + rng.random(n), energy, channel + 1))
    order = rng.permutation(sum(len(part[0]) for part in parts))
    x, y, energy, pi = (np.concatenate(values)[order] for values in zip(*parts))
    when = np.sort(rng.uniform(0, 50_000, len(x)))
    table = Table({"time": when, "x": x.astype("f4"), "y": y.astype("f4"), "energy": energy.astype("f4"), "pi": pi})
    return fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(table, name="EVENTS")])


def package(n_events, **options):
    """Draw with `simulate_events`."""
    from astro_lpalm.simulate import simulate_events

    images, spectra = truth(n_events)
    edges = np.arange(CHANNELS + 1) * 14.6 * u.eV
    center = SkyCoord(350.866, 58.815, unit="deg")
    return simulate_events(images, spectra, edges, center=center, pixel_scale=0.984 * u.arcsec, seed=1, **options)


def observed(n_events):
    """Draw with everything that an observation has."""
    from astro_lpalm.simulate import ParticleBackground

    exposure = np.linspace(0.8, 1.2, SIDE) * np.ones((SIDE, 1))
    return package(n_events, psf=0.8 * u.arcsec, exposure_map=exposure, background=ParticleBackground(1.0))


def measure(simulate, n_events):
    """Time a simulation and the writing of its file; its peak memory is taken above that of a small one."""
    simulate(1000)  # what is loaded on first use
    before = peak_memory()
    started = time.perf_counter()
    events = simulate(n_events)
    seconds = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        events.writeto(Path(directory) / "events.fits")
        written = time.perf_counter() - started
    return {
        "seconds": seconds,
        "write_seconds": written,
        "events": len(events["EVENTS"].data),
        "peak_mb": (peak_memory() - before) / 1e6,
        "table_mb": events["EVENTS"].data.nbytes / 1e6,
    }


def peak_memory():
    """Peak resident memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def in_own_process(function, *arguments):
    """Run a function in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def main():
    """Print the table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000, help="expected events (default: 10 million)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds to take the fastest of (default: %(default)s)")
    parser.add_argument("--json", metavar="PATH", help="write the results to this file too")
    options = parser.parse_args()
    contestants = {
        "numpy.random.Generator.choice": plain,
        "simulate_events": package,
        "simulate_events, PSF, map, background": observed,
    }
    best = {}
    for _ in range(options.rounds):
        for name, function in contestants.items():
            result = in_own_process(measure, function, options.events)
            if name not in best or result["seconds"] < best[name]["seconds"]:
                best[name] = result
    slowest = best["numpy.random.Generator.choice"]["seconds"]
    print(f"{options.events:.3g} expected events of {COMPONENTS} components, {SIDE}^2 pixels, {CHANNELS} channels")
    print(f"\n{'':40}{'events':>10}{'s':>8}{'ratio':>8}{'write s':>9}{'peak MB':>9}{'table MB':>10}")
    for name, row in best.items():
        row["ratio"] = slowest / row["seconds"]
        print(f"{name:40}{row['events']:10}{row['seconds']:8.2f}{row['ratio']:8.1f}{row['write_seconds']:9.2f}"
              f"{row['peak_mb']:9.0f}{row['table_mb']:10.0f}")  # fmt: skip
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"expected": options.events, "results": best}, file, indent=2)


if __name__ == "__main__":
    main()
