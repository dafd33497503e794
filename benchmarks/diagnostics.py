"""How often the diagnostics warn of good data, and of data with a fault.

    python benchmarks/diagnostics.py [--simulations N] [--size N] [--json PATH]

Remnants with spectra from the library of snr-acis, from 3 to 300 mean counts a pixel: as they are, and with a component
that the model does not know, a point source, energies that are off by one bin of 100 eV, shuffled energies, or nothing
but an even field.
"""

import argparse
import json
import warnings

import numpy as np
from remnants import cube_of, remnant_sources

from astro_lpalm import load_model, separate
from astro_lpalm.spectra import SpectralLibrary
from astro_lpalm.trust import SeparationWarning


def blob(size, y, x, width):
    """Make a round image that sums to one."""
    rows, columns = np.indices((size, size))
    image = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2))
    return image / image.sum()


def add(expected, spectrum, share, image):
    """Add a component with a share of the counts."""
    return expected + share * expected.sum() * (spectrum / spectrum.sum())[:, np.newaxis, np.newaxis] * image


def faulty(expected, energies, fault, rng):
    """Give expected counts a fault."""
    size = expected.shape[1]
    y, x = rng.uniform(0.3, 0.7, 2) * size
    if fault == "unknown component":
        return add(expected, np.exp(-(((energies - 4.5) / 0.1) ** 2) / 2), 0.05, blob(size, y, x, size / 8))
    if fault == "point source":
        return add(expected, energies**-1.5, 0.03, blob(size, y, x, 0.7))
    if fault == "off by 100 eV":
        return np.concatenate([np.zeros_like(expected[:1]), expected[:-1]])
    if fault == "shuffled energies":
        return expected[rng.permutation(len(expected))]
    if fault == "even field":
        return np.broadcast_to(expected.mean(axis=(1, 2), keepdims=True), expected.shape)
    return expected


def warns(model, size, fault, seed):
    """Say whether separating one simulation warns."""
    rng = np.random.default_rng([seed, 7])
    A = SpectralLibrary.from_file("snr-acis").draw(1, seed)[0]
    counts = 10 ** rng.uniform(np.log10(3), np.log10(300))
    S = remnant_sources(model.component_names, size, counts, seed)
    edges = model.energy_edges.to_value("keV")
    expected = np.tensordot(A / A.sum(axis=0), S, 1)
    data = rng.poisson(faulty(expected, (edges[1:] + edges[:-1]) / 2, fault, rng))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        separate(cube_of(data, model.energy_edges), model)
    return any(issubclass(each.category, SeparationWarning) for each in caught)


def main():
    """Print the table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=100, help="of good data (default %(default)s)")
    parser.add_argument("--faulty", type=int, default=20, help="simulations of each fault (default %(default)s)")
    parser.add_argument("--size", type=int, default=64, help="pixels along a side (default %(default)s)")
    parser.add_argument("--json", metavar="PATH", help="write the results to this file too")
    options = parser.parse_args()
    model, report = load_model("snr-acis"), {}
    faults = ["good data", "unknown component", "point source", "off by 100 eV", "shuffled energies", "even field"]
    for fault in faults:
        number = options.simulations if fault == "good data" else options.faulty
        found = sum(warns(model, options.size, fault, seed) for seed in range(number))
        report[fault] = {"simulations": number, "warned": found}
        print(f"{fault:20} warned of {found:3d} in {number}", flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)


if __name__ == "__main__":
    main()
