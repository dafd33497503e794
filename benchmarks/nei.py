"""A young remnant whose plasma is not in equilibrium, separated with snr-nei-acis, and with snr-acis.

    python benchmarks/nei.py [--seeds 10] [--size 96] [--counts 300] [--only nei|acis]

For each seed a remnant is drawn: parameters of the components of snr-nei-acis from the middle 60 % of their ranges,
exact spectra, images like those of the demo. Printed are, with snr-nei-acis, errors of the temperature, of log tau
and of fluxes and the pulls (error over stated error), mean and scatter over the seeds; with snr-acis, whether it is
said that the plasma is not in equilibrium.
"""

import argparse
import warnings

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from remnants import cube_of

from astro_lpalm import load_model, separate
from astro_lpalm.demo import remnant_images
from astro_lpalm.spectra import ParametricSpectra, SpectralLibrary

SHARES = {"synchrotron": 0.35, "ejecta": 0.55, "iron": 0.10}
MIDDLE = 0.2, 0.8
SHOWN = ("ejecta", "kT"), ("ejecta", "tau"), ("iron", "kT"), ("iron", "tau"), ("iron", "velocity"), ("", "nh")


def remnant(exact, size, counts, seed):
    """Draw a remnant: its cube, true parameters by (component, name), and true counts of each component."""
    images = remnant_images(size, seed)
    images["ejecta"] = images["thermal"]
    images["iron"] = 0.6 * images["iron_red"] + 0.4 * images["iron_blue"]
    rng = np.random.default_rng([seed, 17])
    theta = rng.uniform(*MIDDLE, len(exact.parameters))
    names = exact.component_names
    sources = counts * size**2 * np.stack([SHARES[name] * images[name] for name in names])
    data = rng.poisson(np.einsum("ik,kyx->iyx", exact.spectra(theta), sources))
    truth = {(each.component, each.name): value for each, value in zip(exact.parameters, exact.values(theta))}
    return data, truth, sources.sum(axis=(1, 2))


def found(cube, model):
    """Separate: the result, and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AstropyUserWarning)
        result = separate(cube, model, smooth=False, progress=False)
    return result, [str(each.message) for each in caught if issubclass(each.category, AstropyUserWarning)]


def errors(result, truth, fluxes):
    """Errors and pulls of parameters (relative, and of log10 tau), and of fluxes."""
    rows = {(row["component"].replace("all", ""), row["parameter"]): row for row in result.parameters}
    made = {}
    for key in SHOWN:
        if key not in rows or key not in truth:
            continue
        row, true = rows[key], truth[key]
        error = row["value"] - true
        stated = row["error_high"] if error < 0 else row["error_low"]
        scale = {"tau": np.log(10) * true, "velocity": 1.0}.get(key[1], true)
        made[" ".join(key).strip()] = error / scale, error / stated if stated > 0 else np.nan
    for k, name in enumerate(result.names):
        seen = np.nansum(result.images[name].data)
        made[f"{name} counts"] = seen / fluxes[k] - 1, (seen - fluxes[k]) / np.sqrt(result.covariance[name].sum())
    return made


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--counts", type=float, default=300)
    parser.add_argument("--only", choices=["nei", "acis"])
    options = parser.parse_args()
    exact = ParametricSpectra.from_library(SpectralLibrary.from_file("snr-nei-acis"))
    rows, said = [], []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        data, truth, fluxes = remnant(exact, options.size, options.counts, seed)
        cube = cube_of(data, load_model("snr-nei-acis").energy_edges)
        if options.only != "acis":
            result, messages = found(cube, "snr-nei-acis")
            rows.append(errors(result, truth, fluxes))
            print(seed, {key: (round(float(a), 3), round(float(b), 1)) for key, (a, b) in rows[-1].items()}, flush=True)
            for message in messages:
                print("    warned:", message[:160])
        if options.only != "nei":
            _, messages = found(cube, "snr-acis")
            said.append(any("not in equilibrium" in message for message in messages))
            print(seed, "snr-acis:", [message[:200] for message in messages], flush=True)
    if rows:
        print(f"{'':16} error: mean, rms, largest       pull: mean, scatter")
        for key in rows[0]:
            error, pull = np.array([row[key] for row in rows]).T
            print(
                f"{key:16} {error.mean():+8.3f} {np.sqrt(np.mean(error**2)):8.3f} {np.abs(error).max():8.3f}"
                f"       {np.nanmean(pull):+6.2f} {np.nanstd(pull, ddof=1):6.2f}"
            )
    if said:
        print(f"not in equilibrium: said for {sum(said)} of {len(said)}")


if __name__ == "__main__":
    main()
