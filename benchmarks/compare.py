"""Others beside this package, on the same simulated observations: prints a table for each kind of them.

    pip install soxs scikit-learn hyperspy espm jax ipywidgets tqdm
    python benchmarks/compare.py --output DIRECTORY [--methods GMCA ...] [--worlds remnant ...] [--levels 30 300]
        [--seeds 10] [--sizes 64] [--pygmcalab PATH] [--sgmca PATH] [--sushi PATH] [--iterations 10001]
        [--table [FOLDER]]

Skies are those of skies.py: "remnant" by this package's simulator, "soxs" the same skies by soxs, and "varying" and
"toy", of spectra that differ from pixel to pixel, of which the first needs ASTRO_LPALM_DATA. Methods are those of
peers.py, each in a process of its own. PATHs are checkouts of github.com/jbobin/pyGMCALab,
github.com/RCarloniGertosio/sGMCA and github.com/JMLascar/SUSHI; methods without theirs are left out and named. Nothing
that is in DIRECTORY already is computed again: what was stopped goes on, and methods, worlds or seeds may be added
later. results.json there has the figures of each run. ``--table`` computes nothing, and writes the tables as CSV files
into FOLDER, that of the documentation being docs/compared. Those of convergence tell how far SUSHI had come on its way
on the first sky, set against the cost of where it ended, and that of the truth.

Blind methods leave the order open: that is taken which makes the products of the cosines of spectra and of images
largest. Nothing is scaled: images are in counts, the source times the sum of its spectrum. Figures of each run are the
angle between a spectrum and the true one, NMSE of an image, and the bias of its flux; rows have mean and scatter over
seeds, "lines" being the worse of the two iron components. A run has failed if it ends without finite results, or with a
spectrum 30 degrees off or more. Seconds are of the processor, once all is imported, trained and tabulated; memory is
the largest that the process had.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from astropy.table import Table
from peers import KNOWS, METHODS, UNORDERED
from scipy.optimize import linear_sum_assignment
from scipy.special import xlogy
from skies import WORLDS, make_sky
from sushi import NAMES, map_errors, no_maps

from astro_lpalm.separation import nmse, spectral_angle

ONE = Path(__file__).parent / "peers.py"
FAILED = 30.0  # degrees
LIMIT = 4 * 3600  # seconds a run may take
FORMATS = {"angle": ("°", 1, 1), "1000 nmse": ("", 1000, 1), "flux": ("%", 100, 1)}  # unit, scale, digits


def sky_file(folder, world, level, seed, side):
    """Find the observation, or make it; give its name, of which those of the answers are made."""
    path = folder / f"{world}-{level:g}-{side}-{seed}.npz"
    if not path.exists():
        sky = make_sky(world, level, seed, side)
        made = path.with_suffix(".part.npz")
        np.savez(
            made, counts=sky.counts, energy_edges=sky.energy_edges, names=sky.names, world=world, spectra=sky.spectra,
            known=json.dumps(sky.known), images=sky.images, **{f"map {name}": each for name, each in sky.maps.items()},
        )  # fmt: skip
        made.replace(path)
    return path


def answer_file(sky, method):
    """Name the answer of a method to an observation."""
    return sky.with_name(f"{sky.stem}_{method.replace(', ', '-').replace(' ', '-')}.npz")


def run(method, sky, paths):
    """Run a method, unless it has run already; errors are kept in its place, and counted as failures."""
    answer = answer_file(sky, method)
    error = answer.with_suffix(".error.txt")
    if answer.exists() or error.exists():
        return
    made = answer.with_suffix(".part.npz")
    command = [sys.executable, str(ONE), method, str(sky), str(made), "--paths", json.dumps(paths)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        error.write_text(f"took longer than {LIMIT} s\n")
        return
    if done.returncode:
        error.write_text(done.stderr)
        print(f"{method} failed on {sky.stem}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr, flush=True)
    else:
        made.replace(answer)


def score(method, sky, spectra, images, maps):
    """Set an answer against the truth: a row of figures."""
    true_images = sky["images"].reshape(len(sky["names"]), -1)
    images = images * spectra.sum(axis=0)[:, np.newaxis]
    if not (np.isfinite(spectra).all() and np.isfinite(images).all()):
        return {"failed": True}
    spectra = spectra * np.where(spectra.sum(axis=0) < 0, -1.0, 1.0)
    if method in UNORDERED:
        _, order = linear_sum_assignment(
            _cosines(sky["spectra"], spectra) * _cosines(true_images.T, images.T), maximize=True
        )
        spectra, images = spectra[:, order], images[order]
    angles = np.rad2deg(spectral_angle(spectra, sky["spectra"]))
    row = {"failed": not np.all(angles < FAILED)}
    for k, name in enumerate(sky["names"].tolist()):
        row[f"angle {name}"] = float(angles[k])
        row[f"nmse {name}"] = float(nmse(images[k], true_images[k]))
        row[f"flux {name}"] = float(images[k].sum() / true_images[k].sum() - 1)
    if _maps(sky):
        truth = [sky["images"][sky["names"].tolist().index(name)] for name in NAMES], _maps(sky)
        errors = no_maps(truth) if method == "true spectra" else map_errors(maps, truth)
        row |= {f"map {name}": error for name, error in errors.items()}
    return row


def _maps(file):
    return {name.removeprefix("map "): file[name] for name in file.files if name.startswith("map ")}


def _cosines(a, b):
    norms = [np.maximum(np.linalg.norm(each, axis=0), 1e-300) for each in (a, b)]
    return (a / norms[0]).T @ (b / norms[1])


def collect(folder):
    """Score all that is in the folder."""
    rows = []
    for path in sorted(folder.glob("*-*-*-*.npz")):
        if "_" in path.stem or path.stem.endswith(".part"):
            continue
        world, level, side, seed = path.stem.split("-")
        for method in METHODS:
            answer = answer_file(path, method)
            row = {"world": world, "level": float(level), "side": int(side), "seed": int(seed), "method": method}
            if answer.with_suffix(".error.txt").exists():
                rows.append(row | {"failed": True})
            elif answer.exists():
                with np.load(path) as sky, np.load(answer) as found:
                    figures = {name: float(found[name]) for name in ("seconds", "preparation", "memory")}
                    rows.append(row | score(method, sky, found["spectra"], found["images"], _maps(found)) | figures)
    return rows


def convergence(folder, world, shown):
    """Tell how far methods that are slow had come on their way on the first sky: a table."""
    rows = []
    for path in sorted(folder.glob(f"{world}-*-0_SUSHI*.npz")):
        name, method = path.stem.replace("SUSHI-", "SUSHI, ").replace("own-", "own ").split("_")
        _, level, _, seed = name.split("-")
        if float(level) not in shown["level"] or method not in shown["method"]:
            continue
        with np.load(path.with_name(f"{name}.npz")) as sky, np.load(path) as found:
            cost, spectra, images = (found[f"way {name}"] for name in ("cost", "spectra", "images"))
            true = sky["spectra"] @ sky["images"].reshape(len(sky["names"]), -1)
            least = (true - xlogy(sky["counts"].reshape(true.shape), true)).sum()
            for k, n in enumerate(found["way iterations"]):
                row = {"method": method, "counts a pixel": level, "seed": seed, "iterations": n}
                row["s"] = f"{found['way seconds'][k]:.0f}"
                row["cost over the last"] = f"{cost[k] - cost[-1]:.1f}"
                row["over that of the truth"] = "-" if _maps(sky) else f"{cost[k] - least:.1f}"
                figures = score("SUSHI", sky, spectra[k], images[k], {})
                for column, (unit, scale, digits) in FORMATS.items():
                    for kind, members in _kinds(figures).items():
                        value = max((figures[f"{column.split()[-1]} {name}"] for name in members), key=abs)
                        row[f"{column} {kind} {unit}".strip()] = f"{scale * value:.{digits}f}"
                rows.append(row)
    return Table(rows=rows)


def tables(rows):
    """Make a table of each world and level: (title, table)."""
    for world in WORLDS:
        for level in sorted({row["level"] for row in rows if row["world"] == world}):
            here = [row for row in rows if (row["world"], row["level"]) == (world, level)]
            ran = [method for method in METHODS if any(row["method"] == method for row in here)]
            summaries = [_summary(method, [row for row in here if row["method"] == method]) for method in ran]
            columns = dict.fromkeys(name for each in summaries for name in each)
            table = Table({name: [each.get(name, "-") for each in summaries] for name in columns})
            yield f"{world}, {level:g} counts a pixel", table


def _summary(method, rows):
    made = [row for row in rows if "seconds" in row]
    kinds = _kinds(made[0]) if made else {}
    summary = {"method": method, "told of spectra": KNOWS[method]}
    for column, (unit, scale, digits) in FORMATS.items():
        for kind, members in kinds.items():
            values = [max((row[f"{column.split()[-1]} {name}"] for name in members), key=abs) for row in made]
            summary[f"{column} {kind} {unit}".strip()] = _spread(values, scale, digits)
    for name in dict.fromkeys(name for row in made for name in row if name.startswith("map ")):
        values = [row[name] for row in made if name in row]
        some = f", {len(values)} of {len(made)}" if len(values) < len(made) else ""
        summary[name] = _spread(values, 1, 0 if name == "map velocity" else 3) + some
    summary["s"] = _spread([row["seconds"] for row in made], 1, 1)
    summary["MiB"] = _spread([row["memory"] for row in made], 1, 0)
    return summary | {"failed": f"{sum(row['failed'] for row in rows)} of {len(rows)}"}


def _kinds(row):
    kinds = {}
    for name in (name.removeprefix("angle ") for name in row if name.startswith("angle ")):
        kinds.setdefault("lines" if name.startswith("iron") else name, []).append(name)
    return kinds


def _spread(values, scale, digits):
    values = scale * np.array([value for value in values if np.isfinite(value)])
    if not len(values):
        return "-"
    return f"{values.mean():.{digits}f}" + (f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else "")


def main():
    """Run what has not run, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), metavar="METHOD")
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--levels", nargs="+", type=float, default=[30, 300])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sizes", nargs="+", type=int, default=[64], help="pixels along each side")
    parser.add_argument("--iterations", type=int, default=10001, help="of SUSHI: its tutorial has 5000 and 10000")
    parser.add_argument("--table", nargs="?", const=Path(), type=Path, metavar="FOLDER", help="only show what there is")
    for name in ("pyGMCALab", "sGMCA", "SUSHI"):
        parser.add_argument(f"--{name.lower()}", dest=name, help=f"checkout of {name}")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    needs = {"GMCA": "pyGMCALab", "AMCA": "pyGMCALab", "sGMCA": "sGMCA", "SUSHI": "SUSHI", "SUSHI, own steps": "SUSHI"}
    paths = {name: getattr(options, name) for name in needs.values() if getattr(options, name)}
    paths |= {"trained": str(options.output / "trained"), "iterations": options.iterations}
    methods = [name for name in options.methods if name not in needs or needs[name] in paths]
    for name in set() if options.table is not None else set(options.methods) - set(methods):
        print(f"{name} is left out: --{needs[name].lower()} names no checkout", file=sys.stderr)
    for seed in range(0 if options.table is not None else options.seeds):
        for world in options.worlds:
            for level in options.levels:
                for side in options.sizes:
                    sky = sky_file(options.output, world, level, seed, side)
                    for method in methods:
                        run(method, sky, paths)
                    (options.output / "results.json").write_text(json.dumps(collect(options.output), indent=1))
    shown = {"seed": range(options.seeds), "world": options.worlds, "level": options.levels, "method": options.methods}
    rows = [row for row in collect(options.output) if all(row[key] in values for key, values in shown.items())]
    found = {title.split(" counts")[0].replace(", ", "-"): table for title, table in tables(rows)}
    ways = {f"{world}-convergence": convergence(options.output, world, shown) for world in options.worlds}
    for name, table in (found | {name: table for name, table in ways.items() if len(table)}).items():
        print("", name, *table.pformat(max_lines=-1, max_width=-1), sep="\n")
        if options.table and options.table.name:
            options.table.mkdir(exist_ok=True)
            table.write(options.table / f"{name}.csv", overwrite=True)


if __name__ == "__main__":
    main()
