"""`TBAbs` next to the cross-sections that XSPEC's tbabs has with the abundances of Wilms et al. (2000).

    python benchmarks/absorption.py TABLE

TABLE is ``xsect_tbabs_wilm.fits``, which the package astromodels has among its data: ENERGY in keV and SIGMA in
1e-22 cm2. Printed are ratios of the cross-sections by energy, and of the counts of a power law behind some columns in
bins of 0.1 keV, at the resolution of ACIS.
"""

import argparse

import numpy as np
from astropy.table import Table

from astro_lpalm.missions import approximate_response
from astro_lpalm.spectra import PhotoelectricAbsorption, Synchrotron, TBAbs, integrate

BANDS = [
    (0.1, 0.28), (0.3, 0.4), (0.42, 0.52), (0.52, 0.57), (0.57, 0.7), (0.7, 0.74), (0.74, 0.85), (0.85, 0.89),
    (0.89, 1.3), (1.32, 1.83), (1.86, 4.0), (4.1, 7.1), (7.15, 8.3), (8.4, 20.0),
]  # fmt: skip
COLUMNS = 0.3, 1.0, 2.0  # 1e22 / cm2
EDGES = np.linspace(0.5, 7.0, 66)


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table")
    table = Table.read(parser.parse_args().table)
    energy, sigma = np.array(table["ENERGY"], dtype=float), 1e-22 * np.array(table["SIGMA"], dtype=float)
    print("keV             TBAbs / tbabs: least, mean, most    Morrison & McCammon / tbabs, mean")
    for low, high in BANDS:
        inside = (energy > low) & (energy < high)
        ours, old = (model.cross_section(energy[inside]) / sigma[inside] for model in (TBAbs, PhotoelectricAbsorption))
        print(f"{low:5.2f} to {high:5.2f}  {ours.min():8.4f} {ours.mean():8.4f} {ours.max():8.4f}  {old.mean():22.3f}")

    response = approximate_response(EDGES)
    emitted = integrate(Synchrotron(photon_index=2.0), response.energy_edges)
    fine = np.linspace(response.energy_edges[:-1].value, response.energy_edges[1:].value, 41)  # edges are sharp
    for nh in COLUMNS:
        seen = [
            response.fold(emitted * np.exp(-1e22 * nh * cross_section).mean(axis=0)).value
            for cross_section in (TBAbs.cross_section(fine), np.interp(fine, energy, sigma))
        ]
        ratio = seen[0] / seen[1] - 1
        shown = ", ".join(f"{100 * ratio[k]:+.1f}" for k in (0, 1, 2, 3, 4, 5, 10))
        print(
            f"{nh:g}e22: counts of TBAbs over those of tbabs, percent, in bins from 0.5, 0.6, ... 1.0 and at 1.5 keV: "
            f"{shown}; largest above 1 keV {100 * np.abs(ratio[5:]).max():.1f}"
        )


if __name__ == "__main__":
    main()
