"""Coverage of stated errors: prints how often the truth lies within them.

    python benchmarks/coverage.py [--seeds 20] [--worlds separate casa ...] [--counts 300 30] [--resamplings N]

Skies are those of cases/worlds.py beside ASTRO_LPALM_DATA, their counts drawn again with this package's spectra for
parameters that are drawn evenly within their ranges, and separated with snr-acis as users do. For the fluxes of
components, the bins of their spectra, the pixels of their images and the parameters, the shares of truths within 1 and
1.96 stated standard deviations (or the 68 % interval, of parameters) are printed, which should be 0.683 and 0.950, with
the mean and the scatter of the pulls. Bins of spectra below a thousandth of the peak, and the parameters that are said
to be undecided, are left out.
"""

import argparse
import warnings

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from fluxes import WORLDS, load_worlds, with_own_spectra

from astro_lpalm import load_model, separate

KINDS = "fluxes", "spectra", "images", "parameters"


def pulls(world, values, result):
    """Error over stated error of each kind: a dict of arrays."""
    found = {kind: [] for kind in KINDS}
    for name, spectrum in world.spectra.items():
        (row,) = result.diagnostics[result.diagnostics["component"] == name]
        found["fluxes"].append((row["counts"].value - spectrum.sum()) / row["counts_err"].value)
        bright = spectrum > 1e-3 * spectrum.max()
        error = (result.spectra[name].value - spectrum) / result.spectra[f"{name}_err"].value
        found["spectra"] += list(error[bright])
        image = result.images[name]
        found["images"] += list(((image.data - world.images[name]) / image.uncertainty.array).ravel())
    for row, value in zip(result.parameters, values):
        if row["undecided"]:
            continue
        off = row["value"] - value
        found["parameters"].append(off / max(row["error_low"] if off > 0 else row["error_high"], 1e-12))
    return {kind: np.array(values) for kind, values in found.items()}


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--worlds", nargs="+", default=list(WORLDS))
    parser.add_argument("--counts", nargs="+", type=float, default=[300, 30])
    parser.add_argument("--resamplings", type=int, default=0)
    options = parser.parse_args()
    make_world, model = load_worlds(), load_model("snr-acis")
    everything, n_warned = [], 0
    for kind in options.worlds:
        for counts in options.counts:
            kept = []
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                theta = np.random.default_rng([seed, 3]).random(len(model.physics.parameters))
                world = with_own_spectra(make_world(kind, counts=counts, seed=seed), model.physics, theta, seed)
                with warnings.catch_warnings(record=True) as warned:
                    warnings.simplefilter("always", AstropyUserWarning)
                    result = separate(world.cube(), model, n_resamplings=options.resamplings, progress=False)
                n_warned += bool(warned)
                kept.append(pulls(world, model.physics.values(theta), result))
            show(f"{kind}, {counts:g} counts a pixel", kept)
            everything += kept
    show("all", everything)
    print(f"{n_warned} of {len(everything)} observations were warned of")


def show(title, kept):
    """Print a line for each kind of error."""
    for kind in KINDS:
        values = np.concatenate([each[kind] for each in kept])
        shares = [np.mean(np.abs(values) < limit) for limit in (1.0, 1.96)]
        typical = values[np.abs(values) < 1e3]
        pull = f"{typical.mean():+.2f} +- {typical.std():.2f}"
        print(f"{title:34s} {kind:11s} {shares[0]:.3f} {shares[1]:.3f}  pulls {pull}", flush=True)


if __name__ == "__main__":
    main()
