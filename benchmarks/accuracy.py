"""Accuracy on the protocols of arXiv:2112.05694: prints a table for each, and the targets next to what was reached.

    python benchmarks/accuracy.py DIRECTORY [--protocol 3.1|shuffled|real|all] [--samples N] [--epochs N] [--json PATH]

DIRECTORY holds the authors' spectra.fits and sources.fits. In 3.1 sources are synthetic. "shuffled" and "real" are the
maps of section 3.2, their details shuffled or as they are, separated by a network that was trained on synthetic
sources. Errors are those of spectra and sources as they come; only the columns named "aligned" make use of the truth's
order, signs and norms. All settings were chosen on training samples. With few samples, medians are only rough.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from astropy.table import Table

from astro_lpalm.reproduce import (
    REALISTIC_TRAINING_SETTINGS,
    make_realistic_training_set,
    read_realistic,
    realistic_table,
    table1,
)
from astro_lpalm.training import train

# What ought to be reached at least: row, column, bound.
TARGETS = {
    "3.1": [
        ("LPALM", "nmse_s_median", 4.5e-4),
        ("LPALM, refined", "nmse_s_median", 1.2e-4),
        ("LPALM, refined", "nmse_s_mean", 4.1e-4),
        ("LPALM, refined", "nmse_a_median", 5e-6),
        ("LPALM, refined", "nmse_a_mean", 1e-5),
        ("LPALM, refined", "failures", 0),
    ],
    "shuffled": [
        ("LPALM, refined", "nmse_a_median", 1e-5),
        ("LPALM, refined", "nmse_a_unaligned", 1.2),
        ("LPALM, refined", "failures", 0),
    ],
    "real": [
        ("LPALM, refined", "nmse_a_median", 1e-4),
        ("LPALM, refined", "nmse_a_unaligned", 1.2),
        ("LPALM, refined", "seconds", 2.0),
    ],
}
TITLES = {
    "3.1": "Section 3.1: synthetic sources",
    "shuffled": "Section 3.2, shuffled details (Table 2)",
    "real": "Section 3.2, maps as they are (Fig. 9)",
}


def tables(options):
    """Make the table of each protocol that was asked for."""
    wanted = list(TITLES) if options.protocol == "all" else [options.protocol]
    changed = {"seed": options.seed} | ({} if options.epochs is None else {"epochs": options.epochs})
    if "3.1" in wanted:
        yield "3.1", table1(options.directory, n_samples=options.samples, **changed)
    if wanted == ["3.1"]:
        return
    settings, start = REALISTIC_TRAINING_SETTINGS | changed, time.monotonic()
    model = train(make_realistic_training_set(options.directory, seed=options.seed), **settings)
    settings["training_seconds"] = time.monotonic() - start
    for name in wanted:
        if name != "3.1":
            mixtures = read_realistic(options.directory, shuffled=name == "shuffled", seed=options.seed)
            table = realistic_table(mixtures, model, n_samples=options.samples)
            table.meta |= settings
            yield name, table


def compare(name, table):
    """Set what was reached against the targets."""
    rows = []
    for method, column, bound in TARGETS[name]:
        (row,) = table[table["method"] == method]
        if column == "nmse_a_unaligned":
            reached = row["nmse_a_median"] / row["nmse_a_aligned_median"]
            column = "nmse_a over nmse_a_aligned"
        else:
            reached = row[column]
        rows.append((method, column, bound, float(reached), bool(reached <= bound)))
    return Table(rows=rows, names=("method", "figure", "target", "reached", "met"))


def show(table):
    """Print a table with three digits a number."""
    for name in table.colnames:
        if table[name].dtype.kind == "f":
            table[name].info.format = ".3g"
    print("\n".join(table.pformat(max_lines=-1, max_width=-1)), "\n")


def plain(table):
    """Turn the rows of a table into dictionaries; what is not a number becomes None."""
    rows = [dict(zip(table.colnames, (value.item() for value in row))) for row in table.iterrows()]
    return [{key: None if value != value else value for key, value in row.items()} for row in rows]


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--protocol", choices=[*TITLES, "all"], default="all")
    parser.add_argument("--samples", type=int, help="test samples of each protocol (default: all 150)")
    parser.add_argument("--epochs", type=int, help="of training (default: 75 in 3.1, 20 in 3.2)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    report = {}
    for name, table in tables(options):
        targets = compare(name, table)
        print(f"{TITLES[name]}. Training: {table.meta['training_seconds']:.0f} s, {table.meta['epochs']} epochs\n")
        show(table)
        show(targets)
        report[name] = {"meta": table.meta, "rows": plain(table), "targets": plain(targets)}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
