"""One model for all settings next to a model trained for each alone.

    python benchmarks/one_model.py [COMPONENTS] [--samples N] [--epochs N] [--json PATH]

The general model is trained on signal-to-noise ratios of 10 to 40 dB, source amplitudes over a factor of 30 and 500
pixels. Each rival is trained on one setting only, with as many examples and epochs, and both are tested on fresh
examples of that setting. A ratio is the general model's median NMSE over the rival's.
"""

import argparse
import json

import numpy as np

from astro_lpalm.separation import nmse
from astro_lpalm.sources import SourceLibrary
from astro_lpalm.spectra import SpectralLibrary
from astro_lpalm.training import TrainingSet, train

GENERAL = {"snr_db": (10, 40), "amplitude": (1 / 30, 1.0), "n_pixels": 500}
SETTINGS = {
    "10 dB": {"snr_db": 10},
    "25 dB": {"snr_db": 25},
    "40 dB": {"snr_db": 40},
    "equal amplitudes": {"amplitude": (1.0, 1.0)},
    "one source 30 times weaker": {"amplitude": [(1.0, 1.0), (1.0, 1.0), (1 / 30, 1 / 30)]},
    "3000 pixels": {"n_pixels": 3000},
}
N_TEST = 100


def make_set(spectra, sources, setting, n_samples, seed):
    """Draw examples of a setting."""
    amplitude = setting["amplitude"]
    ranges = amplitude if isinstance(amplitude, list) else [amplitude]
    amplitudes = {name: ranges[k % len(ranges)] for k, name in enumerate(sources.component_names)}
    drawn = SourceLibrary(sources.components, amplitudes)
    return TrainingSet.synthesize(
        spectra, drawn, n_samples, setting["snr_db"], seed, n_pixels=setting["n_pixels"], noise="counts"
    )


def errors(model, test, refine):
    """Measure median NMSE of sources and of spectra over a set."""
    found = [model.separate(X, refine=refine) for X in test.X]
    sources = nmse(np.stack([f.sources for f in found]), test.S)
    spectra = nmse(np.stack([f.spectra for f in found]), test.A)
    return float(np.median(sources)), float(np.median(spectra))


def main():
    """Print the table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("components", nargs="?", default="snr-acis", help="components file (default %(default)s)")
    parser.add_argument("--samples", type=int, default=1000, help="training examples (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=25, help="of each training (default %(default)s)")
    parser.add_argument("--json", metavar="PATH", help="write the results to this file too")
    options = parser.parse_args()
    spectra, sources = SpectralLibrary.from_file(options.components), SourceLibrary.from_file(options.components)

    def trained(setting):
        examples = make_set(spectra, sources, setting, options.samples, seed=0)
        return train(examples, epochs=options.epochs, progress=False)

    general = trained(GENERAL)
    print(f"{'':28}{'network: S':>22}{'A':>16}{'refined: S':>22}{'A':>16}")
    print(f"{'':28}" + f"{'general ratio':>22}{'ratio':>16}" * 2)
    report = []
    for name, change in SETTINGS.items():
        setting = GENERAL | change
        test, rival = make_set(spectra, sources, setting, N_TEST, seed=1), trained(setting)
        row = {"setting": name}
        for stage, refine in (("network", False), ("refined", True)):
            ours, theirs = errors(general, test, refine), errors(rival, test, refine)
            row[stage] = {"general": ours, "alone": theirs, "ratio": [a / b for a, b in zip(ours, theirs)]}
        report.append(row)
        cells = [
            (value, ratio) for s in ("network", "refined") for value, ratio in zip(row[s]["general"], row[s]["ratio"])
        ]
        print(f"{name:28}" + "".join(f"{value:14.2e} {ratio:7.2f}" for value, ratio in cells), flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)


if __name__ == "__main__":
    main()
