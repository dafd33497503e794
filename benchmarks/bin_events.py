"""Time and memory of binning an event list, next to the least that the job can take.

The least is to read the columns as native arrays, and one `numpy.bincount` over indices computed beforehand. Each
measurement runs in a process of its own, so that its peak memory is its own.
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
from astropy.io import fits

N_ENERGY, SIDE = 65, 346
FIRST = 4096.5 - SIDE / 2
BOUNDS = (FIRST, FIRST + SIDE, FIRST, FIRST + SIDE)
# The columns of a small Chandra list: 32 bytes an event, of which 12 are read.
ROW = np.dtype(
    [("time", ">f8"), ("ccd_id", ">i2"), ("x", ">f4"), ("y", ">f4"), ("pha", ">i4"), ("energy", ">f4"), ("pi", ">i4"),
     ("grade", ">i2")]
)  # fmt: skip


def make_list(path, n_events):
    """Write an event list, a Gaussian source over a flat field, a million events at a time."""
    generator = np.random.default_rng(0)
    template = fits.BinTableHDU(np.zeros(1, ROW), name="EVENTS")
    header = template.header
    header["NAXIS2"] = n_events
    for axis, kind, value, step in (("x", "RA---TAN", 350.85, -1), ("y", "DEC--TAN", 58.81, 1)):
        number = ROW.names.index(axis) + 1
        header[f"TLMIN{number}"], header[f"TLMAX{number}"] = 0.5, 8192.5
        header[f"TCTYP{number}"], header[f"TCRVL{number}"], header[f"TCUNI{number}"] = kind, value, "deg"
        header[f"TCRPX{number}"], header[f"TCDLT{number}"] = 4096.5, step * 0.492 / 3600
    header[f"TUNIT{ROW.names.index('energy') + 1}"] = "eV"
    with open(path, "wb") as file:
        file.write(fits.PrimaryHDU().header.tostring().encode())
        file.write(header.tostring().encode())
        for start in range(0, n_events, 1_000_000):
            rows = np.zeros(min(1_000_000, n_events - start), ROW)
            for axis in "xy":
                rows[axis] = generator.normal(4096.5, 60, len(rows))
            rows["energy"] = generator.gamma(3, 700, len(rows))
            rows["pi"] = np.clip(rows["energy"] // 14.6 + 1, 1, 1024)
            file.write(rows.tobytes())
        file.write(b"\0" * (-file.tell() % 2880))


def read_columns(path):
    """Read three columns as native arrays."""
    with fits.open(path, memmap=True) as hdulist:
        data = hdulist["EVENTS"].data
        return [np.array(data[name], dtype=np.float32) for name in ("x", "y", "energy")]


def measure_floor(path):
    """Time the reading, and the bincount over precomputed indices."""
    started = time.perf_counter()
    x, y, energy = read_columns(path)
    read = time.perf_counter() - started
    index = [np.floor(axis - np.float64(FIRST)).astype(np.int64) for axis in (x, y)]
    bins = np.floor((energy - 500.0) / 100).astype(np.int64)
    kept = (bins >= 0) & (bins < N_ENERGY) & (energy < 7000)
    for axis in index:
        kept &= (axis >= 0) & (axis < SIDE)
    flat = ((bins * SIDE + index[1]) * SIDE + index[0])[kept]
    started = time.perf_counter()
    cube = np.bincount(flat, minlength=N_ENERGY * SIDE**2)
    return {"read": read, "bincount": time.perf_counter() - started, "counts": int(cube.sum())}


def measure_package(path, small):
    """Time `EventCube.from_events`, and take its peak memory above that of binning a small list."""
    from astro_lpalm import EventCube

    EventCube.from_events(small, energy=(0.5, 7) * u.keV, bin_factor=10, bounds=BOUNDS)  # what is loaded on first use
    before = peak_memory()
    started = time.perf_counter()
    cube = EventCube.from_events(path, energy=(0.5, 7) * u.keV, n_energy=N_ENERGY, bounds=BOUNDS)
    seconds = time.perf_counter() - started
    return {
        "from_events": seconds,
        "counts": int(cube.data.sum()),
        "peak_mb": (peak_memory() - before) / 1e6,
        "cube_mb": cube.data.nbytes / 1e6,
    }


def peak_memory():
    """Peak resident memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def in_own_process(function, *arguments):
    """Run a function in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def main():
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000, help="number of events (default: 10 million)")
    parser.add_argument("--repeat", type=int, default=5, help="the best of so many runs is reported (default: 5)")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "events.fits"
        in_own_process(make_list, path, arguments.events)
        small = Path(directory) / "small.fits"
        in_own_process(make_list, small, 1000)
        floors, ours = [], []
        for _ in range(arguments.repeat):  # in turn, so that a busy machine slows both
            floors.append(in_own_process(measure_floor, path))
            ours.append(in_own_process(measure_package, path, small))
    floor = min(floors, key=lambda run: run["read"] + run["bincount"])
    best = min(ours, key=lambda run: run["from_events"])
    if floor["counts"] != best["counts"]:
        sys.exit(f"the counts differ: {floor['counts']} and {best['counts']}")
    result = {
        "events": arguments.events,
        "counts": best["counts"],
        "read_s": floor["read"],
        "bincount_s": floor["bincount"],
        "from_events_s": best["from_events"],
        "ratio": best["from_events"] / (floor["read"] + floor["bincount"]),
        "columns_mb": 12 * arguments.events / 1e6,  # x, y and energy
        "cube_mb": best["cube_mb"],
        "peak_mb": best["peak_mb"],
    }
    for name, value in result.items():
        print(f"{name:15s} {value:12.3f}" if isinstance(value, float) else f"{name:15s} {value:12d}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
