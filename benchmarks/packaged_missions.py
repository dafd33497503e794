"""Remnants as XMM-Newton and eROSITA see them, separated with the packaged models: prints a line for each.

    python benchmarks/packaged_missions.py [--seeds 5] [--models snr-erosita snr-xmm-pn]

Two million counts, simulated through the model's own response at 4 arcsec a pixel with a point spread function of 6
arcsec, seeds from 3 on. Of each component: the correlation of its image, and of its spectrum, with those simulated, and
how far its counts are from the truth, in per cent and in stated errors.
"""

import argparse
import warnings

import astropy.units as u
import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from astro_lpalm import EventCube, separate
from astro_lpalm.simulate import simulate_from_file


def line(name, seed):
    """Simulate and separate one remnant."""
    settings = {"counts": 2e6, "size": 240 * u.arcsec, "pixel_scale": 4 * u.arcsec, "psf": 6 * u.arcsec}
    events, truth = simulate_from_file(name, seed=seed, **settings)
    cube = EventCube.from_events(events, model=name, like=truth.cube)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", AstropyUserWarning)
        result = separate(cube, name, progress=False)
    cells = []
    for component, row in zip(result.names, result.diagnostics):
        images = [np.nan_to_num(each.images[component].data).ravel() for each in (result, truth)]
        spectra = [np.asarray(each.spectra[component]) for each in (result, truth)]
        alike = (np.corrcoef(*pair)[0, 1] for pair in (images, spectra))
        off = row["counts"].value - spectra[1].sum()
        cells.append(
            "{} {:.3f} {:.4f} {:+5.1f} % {:+.1f}".format(
                component, *alike, 100 * off / spectra[1].sum(), off / row["counts_err"].value
            )
        )
    return f"{name}, seed {seed}: {'; '.join(cells)}{'; warned of' if warned else ''}"


def main():
    """Print the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=["snr-erosita", "snr-xmm-pn"])
    options = parser.parse_args()
    for name in options.models:
        for seed in range(3, 3 + options.seeds):
            print(line(name, seed), flush=True)


if __name__ == "__main__":
    main()
