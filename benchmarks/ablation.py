"""What each step of the refinement brings: prints a table and writes it as JSON.

    python benchmarks/ablation.py DIRECTORY [--cases 3.1 real counts] [--json PATH]

DIRECTORY holds the authors' spectra.fits and sources.fits. From one row to the next a step is added, up to the
refinement as it is; the last rows put AMCA weights (Bobin et al. 2015) in the place of leakage, and beside it. Three
cases, none of which any test data enter: 75 samples of section 3.1 and 8 mixtures of the maps as they are (section 3.2)
with spectra that neither network nor library know, and counts of 8 simulated remnants at three exposures (3.2e6 counts,
a tenth, a hundredth of them), with the packaged model. Figures are NMSE(A), its median and its largest value.
"""

import argparse
import json
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from astropy.table import Table
from remnants import remnant_sources

from astro_lpalm import load_model
from astro_lpalm.reproduce import (
    REALISTIC_TRAINING_SETTINGS,
    TRAINING_SETTINGS,
    RealisticMixtures,
    make_realistic_training_set,
    read_maps,
    read_protocol,
    read_spectra,
)
from astro_lpalm.separation import Refinement, nmse
from astro_lpalm.spectra import SpectralLibrary, SpectralPrior
from astro_lpalm.training import TrainingSet, train
from astro_lpalm.transforms import Starlet, detail_matrix

# The package exports the settings and the whole; the steps are in their module.
refinement = sys.modules["astro_lpalm.separation.refinement"]

N_HELD_OUT = 75
N_MIXTURES = 8
N_PROJECTED = 10
AMCA_EXPONENT = 0.5
COUNTS = 3.2e6 / 240**2  # a pixel, as the demo has them


def plain_threshold(S, previous, limit):
    """Take the same from large coefficients as from small ones."""
    return S - np.clip(S, -limit, limit)


def same_variance(A, moments, variance):
    """Take the noise of a fit with uniform weights, averaged over the energies."""
    squares = np.trace(moments) - np.trace(np.linalg.pinv(A) @ moments @ A)
    return np.full(len(A), squares / (len(A) - A.shape[1]))


def projection(spectrum, noise, others, library, k):
    """Put a spectrum on the mean and the first principal vectors, however unlikely it is there."""
    basis, mean = library.principal[k][:N_PROJECTED], library.mean[k]
    return np.maximum(mean + (spectrum - mean) @ basis.T @ basis, 0.0)


def amca_fit(X, S, A, variance, library, leakage, fit=refinement._fit_spectra):
    """Fit spectra with little weight on pixels where several sources are active."""
    # Weighted least squares is least squares on weighted columns. The weights' scale is such that the noise of the
    # spectra, S W^2 S^T between two inverses of S W S^T, is on average what unweighted least squares would say.
    deviation = np.sqrt(np.mean(S**2, axis=1, keepdims=True))
    activity = np.mean((np.abs(S) / np.maximum(deviation, np.finfo(S.dtype).tiny)) ** AMCA_EXPONENT, axis=0)
    activity = activity ** (1 / AMCA_EXPONENT)
    weights = 1 / np.where(activity > 0, activity, np.median(activity[activity > 0]) if activity.any() else 1.0)
    inverse = np.linalg.pinv((S * weights) @ S.T, hermitian=True)
    spread = inverse @ ((S * weights**2) @ S.T) @ inverse
    root = np.sqrt(weights * np.trace(inverse) / np.trace(spread)).astype(X.dtype)
    return fit(X * root, S * root, A, variance, library, leakage)  # that of the sources themselves, without weights


PLAIN = {"row_variance": same_variance}
NO_LEAKAGE = {"leakage": 0.0, "correlated_leakage": 0.0}
#: Name of the row: settings, steps that are replaced, and whether there is a library.
ROWS = {
    "least squares, no threshold": ({"threshold": 0.0}, PLAIN, False),
    "+ threshold": ({}, PLAIN | {"_reweighted_threshold": plain_threshold}, False),
    "+ reweighted": ({}, PLAIN, False),
    "+ noise of each energy": ({}, {}, False),
    "+ library, projection": (NO_LEAKAGE, {"_most_probable": projection}, True),
    "library, most probable": (NO_LEAKAGE, {}, True),
    "+ leakage, the same for all": ({"correlated_leakage": 0.0}, {}, True),
    "+ leakage by correlation": ({}, {}, True),
    "AMCA weights, no leakage": (NO_LEAKAGE, {"_fit_spectra": amca_fit}, True),
    "AMCA weights and leakage": ({}, {"_fit_spectra": amca_fit}, True),
}


def without(training_set, held_out):
    """Leave samples out of a training set."""
    kept = np.setdiff1d(np.arange(len(training_set)), held_out)
    arrays = (array[kept] for array in (training_set.X, training_set.A, training_set.S))
    prior = SpectralPrior.of_draws(training_set.A[kept].astype(float), 20)
    return TrainingSet.from_arrays(*arrays, component_names=training_set.component_names, prior=prior)


def synthetic_cases(options, held_out):
    """Make samples of section 3.1 that neither network nor library know."""
    training_set = read_protocol(options.directory).training
    model = train(without(training_set, held_out), **TRAINING_SETTINGS)
    data = ((training_set.X[i].astype(float), training_set.A[i].astype(float)) for i in held_out)
    return {"3.1": [(X, A, model.separate(X, refine=False), model.prior) for X, A in data]}


def real_cases(options, held_out):
    """Make details of the maps as they are, mixed with spectra that neither network nor library know."""
    model = train(without(make_realistic_training_set(options.directory), held_out), **REALISTIC_TRAINING_SETTINGS)
    spectra, training, _ = read_spectra(options.directory)
    cases = []
    for mixture in RealisticMixtures(
        read_maps(options.directory), spectra[training[held_out[:N_MIXTURES]]], shuffled=False
    ):
        X = detail_matrix(Starlet(1), mixture.cube)
        cases.append((X, mixture.spectra, model.separate(X, refine=False), model.prior))
    return {"real": cases}


def count_cases(options, held_out):
    """Make details of photon counts of simulated remnants, in units of their noise."""
    model, starlet = load_model("snr-acis"), Starlet(4)
    spectra = SpectralLibrary.from_file("snr-acis").draw(N_MIXTURES, seed=11)
    cases = {}
    for exposure in (1.0, 0.1, 0.01):
        cases[f"counts x {exposure:g}"] = group = []
        for seed, A in enumerate(spectra):
            S = remnant_sources(model.component_names, 240, exposure * COUNTS, seed)
            counts = np.random.default_rng(seed).poisson(np.tensordot(A / A.sum(axis=0), S, 1)).astype(np.float32)
            noise = starlet.photon_noise(counts.sum(axis=0, dtype=float))
            X = detail_matrix(starlet, counts, None, noise, stride=4, dtype=np.float32)
            group.append((X, A, model.separate(X, refine=False), model.prior))
    return cases


CASES = {"3.1": synthetic_cases, "real": real_cases, "counts": count_cases}


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    held_out = np.random.default_rng(1).permutation(750)[:N_HELD_OUT]
    groups = {}
    for name in options.cases:
        groups |= CASES[name](options, held_out)
    rows = [row("network alone", groups, lambda X, start, library: start)]
    for name, (settings, replaced, has_library) in ROWS.items():
        if missing := replaced.keys() - vars(refinement).keys():
            sys.exit(f"the refinement has no {', '.join(missing)} any more")
        if settings or replaced:  # a step by itself, without the net below it
            settings = settings | {"farthest": np.inf}
        steps = Refinement(**settings)
        with mock.patch.dict(vars(refinement), replaced):
            rows.append(row(name, groups, steps if has_library else without_library(steps)))
    table = Table(rows=rows)
    for name in table.colnames[1:]:
        table[name].info.format = ".1e"
    print("\n".join(table.pformat(max_lines=-1, max_width=-1)))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


def without_library(steps):
    """Refine with nothing known of the components."""
    return lambda X, start, library: steps(X, start)


def row(name, groups, method):
    """Take median and largest NMSE(A) of each group."""
    figures = {"refinement": name}
    for group, cases in groups.items():
        errors = [nmse(method(X, start, library).spectra, A) for X, A, start, library in cases]
        figures |= {group: float(np.median(errors)), f"{group}, worst": float(np.max(errors))}
    return figures


if __name__ == "__main__":
    main()
