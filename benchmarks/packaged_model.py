"""Errors of a packaged model on mixtures that it was not trained on: prints a table and writes it as JSON.

Usage: python benchmarks/packaged_model.py [--model snr-acis] [--samples 200] [--json PATH]
"""

import argparse
import json
from pathlib import Path

import numpy as np
from astropy.table import Table

from astro_lpalm import load_model
from astro_lpalm.forward import least_squares
from astro_lpalm.separation import nmse
from astro_lpalm.training import TrainingSet

# Training used seed 0; these draws share nothing with it.
_SEED = 12345


def errors(model, snr_db, n_samples):
    """Median errors of the network, of the refined result, and of least squares with the true spectra."""
    held_out, _ = TrainingSet.from_file(model.name, seed=_SEED, n_samples=n_samples, snr_db=snr_db, n_pixels=2000)
    variance = (held_out.A @ np.linalg.norm(held_out.S, axis=2, keepdims=True))[:, :, 0]  # of noise like counts
    network = [model.separate(X, refine=False) for X in held_out.X]
    refined = [model.separate(X) for X in held_out.X]
    oracle = [least_squares(X, A, v) for X, A, v in zip(held_out.X, held_out.A, variance)]
    row = {"snr_db": snr_db}
    for name, found in (("network", network), ("refined", refined)):
        row[f"{name}_nmse_a"] = float(np.median(nmse(np.stack([f.spectra for f in found]), held_out.A)))
        row[f"{name}_nmse_s"] = float(np.median(nmse(np.stack([f.sources for f in found]), held_out.S)))
    row["true_spectra_nmse_s"] = float(np.median(nmse(np.stack(oracle), held_out.S)))
    row["failures"] = int(np.sum(nmse(np.stack([f.spectra for f in refined]), held_out.A) > 0.01))
    return row


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="snr-acis")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = load_model(options.model)
    rows = [errors(model, snr_db, options.samples) for snr_db in (10.0, 20.0, 30.0, 40.0)]
    table = Table(rows=rows)
    for name in table.colnames[1:-1]:
        table[name].info.format = ".1e"
    print("\n".join(table.pformat(max_lines=-1, max_width=-1)))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
