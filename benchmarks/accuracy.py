"""Accuracy on the section 3.1 protocol of arXiv:2112.05694: prints the table and writes it as JSON.

Usage: python benchmarks/accuracy.py DIRECTORY [--epochs N] [--json PATH]; DIRECTORY holds the authors' spectra.fits.
"""

import argparse
import json
from pathlib import Path

from astro_lpalm.reproduce import table1


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table = table1(options.directory, epochs=options.epochs, seed=options.seed)
    for name in table.colnames[1:]:
        table[name].info.format = ".3g"
    print("\n".join(table.pformat(max_lines=-1, max_width=-1)))
    print(f"training: {table.meta['training_seconds']:.0f} s")
    if options.json:
        rows = [dict(zip(table.colnames, (value.item() for value in row))) for row in table.iterrows()]
        options.json.write_text(json.dumps({"meta": table.meta, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
