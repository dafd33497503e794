"""Accuracy on the protocols of arXiv:2112.05694: prints a table for each, and the targets next to what was reached.

    python benchmarks/accuracy.py DIRECTORY [--protocol 3.1|shuffled|real|all] [--samples N] [--epochs N] [--json PATH]
                                  [--output DIRECTORY]

DIRECTORY holds the authors' spectra.fits and sources.fits. In 3.1 sources are synthetic. "shuffled" and "real" are the
maps of section 3.2, their details shuffled or as they are, separated by a network that was trained on synthetic
sources. These are rows of ``astro-lpalm reproduce``, on all samples by default; what is in its output directory already
is not computed again. Sources are those of least squares; in the row "sparse", their posterior means. Errors are those
of spectra and sources as they come; only the columns named "aligned" make use of the truth's order, signs and norms.
All settings were chosen on training samples. With few samples, medians are only rough.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from astropy.table import Table

from astro_lpalm.reproduce import EXPERIMENTS, Workspace

# What ought to be reached at least: row, column, bound.
TARGETS = {
    "3.1": [
        ("LPALM", "nmse_s_median", 4.5e-4),
        ("LPALM, refined, sparse", "nmse_s_median", 1.2e-4),
        ("LPALM, refined, sparse", "nmse_s_mean", 4.1e-4),
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


#: The experiment of each protocol, and its rows.
ROWS = {
    "3.1": ("table1", ["LPALM", "LPALM, refined", "LPALM, refined, sparse", "refinement alone", "oracle"]),
    "shuffled": ("table2", ["LPALM, others", "LPALM refined, others", "oracle, others"]),
    "real": ("partial", ["LPALM", "LPALM, refined", "oracle"]),
}
N_SAMPLES = 150


def tables(options, output):
    """Make the table of each protocol that was asked for."""
    n_samples = options.samples or N_SAMPLES
    workspace = Workspace(options.directory, output, seed=options.seed, n_samples=n_samples, epochs=options.epochs)
    for name in TITLES if options.protocol == "all" else [options.protocol]:
        experiment, rows = ROWS[name]
        table, _ = EXPERIMENTS[experiment].compute(workspace, rows)
        table["method"] = [method.replace(", others", "").replace("LPALM r", "LPALM, r") for method in table["method"]]
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
    parser.add_argument("--output", type=Path, help="directory of astro-lpalm reproduce to continue (default: none)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    report = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name, table in tables(options, options.output or temporary):
            targets = compare(name, table)
            print(f"{TITLES[name]}. Training: {table['training_seconds'][0]:.0f} s\n")
            show(table)
            show(targets)
            report[name] = {"meta": dict(table.meta), "rows": plain(table), "targets": plain(targets)}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
