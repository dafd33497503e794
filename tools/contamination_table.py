"""Make the table of the contaminant on the filters of Chandra's ACIS: what it absorbs, and how much there is when.

python tools/contamination_table.py astro_lpalm/data
"""

import argparse
from pathlib import Path

import numpy as np
from absorption_table import cross_section, shells
from astropy.table import Table

from astro_lpalm._files import complete_or_nothing

ELEMENTS = "C", "O", "F"
LOWEST, HIGHEST, N_ENERGIES = 0.3, 10.0, 60  # keV
AT = 0.67  # keV, where optical depths are given
# Optical depths in the middle of the filter of ACIS-S; the one of ACIS-I has 2 percent more at most.
DEPTHS = {
    1999.6: 0.009, 2000.0: 0.095, 2000.5: 0.186, 2001.0: 0.263, 2001.5: 0.327, 2002.0: 0.381, 2003.0: 0.464,
    2004.0: 0.525, 2005.0: 0.583, 2006.0: 0.626, 2007.0: 0.658, 2008.0: 0.682, 2009.0: 0.715, 2010.0: 0.777,
    2011.0: 0.836, 2012.0: 0.892, 2016.92: 2.05,
}  # fmt: skip
EARLY, LATE = (100, 10, 2.6), (100, 28, 7.6)  # numbers of atoms: up to 2012, and in 2016.92
REFERENCE = (100, 8, 9), 0.4  # numbers of atoms and depth in the packaged effective area
# Area of real responses over the packaged one with the contaminant of their epoch, by energy (keV). The mirrors are
# those of both instruments; the depth of the CCD, which decides above, is known of ACIS-S.
MIRRORS = {
    1.85: 1.0, 1.9: 1.03, 1.94: 1.06, 1.96: 1.08, 1.98: 1.11, 2.0: 1.13, 2.01: 1.21, 2.02: 1.29, 2.03: 1.39, 2.04: 1.78,
    2.05: 2.44, 2.06: 2.02, 2.07: 1.61, 2.08: 1.31, 2.09: 1.36, 2.1: 1.48, 2.11: 1.6, 2.12: 1.7, 2.13: 1.5, 2.14: 1.35,
    2.15: 1.2, 2.16: 1.11, 2.17: 1.08, 2.18: 1.04, 2.3: 1.04, 2.5: 1.01, 2.6: 1.0,
}  # fmt: skip
DETECTOR = {
    4.0: 1.0, 4.5: 0.98, 5.0: 0.96, 5.5: 0.95, 6.0: 0.95, 6.5: 0.94, 7.0: 0.89, 7.5: 0.87, 8.0: 0.87, 8.5: 0.95,
    10.0: 0.95,
}  # fmt: skip
META = {
    "title": "The contaminant on the filters of Chandra's ACIS, approximate, and what corrects the packaged area",
    "method": "Cross-sections of atoms, interpolated in their logarithms; acis-s, acis-i: factors of the packaged "
    "area, interpolated linearly. meta: 1e18 atoms / cm2 in the middle of the filter at each epoch (years), between "
    "which they grow linearly; reference: those in the table of effective areas.",
    "sources": [
        "depth at 0.67 keV and composition up to 2012: calibration file acisD1999-08-13contamN0007, as MARX 5.1 has it "
        "(https://github.com/Chandra-MARX/marx); 2016.92: effective area of ObsID 19919 (CIAO 4.13) over that of ObsID "
        "4487 of 2004.0 (Chandra Source Catalog 2); of each the amounts of C, O, F that fit best from 0.44 to 1.7 keV",
        "the contaminant: Marshall et al. (2004, SPIE 5165, 497); Plucinsky et al. (2018, SPIE 10699, 106996B)",
        "factors: the mean of the effective areas of ObsIDs 4487, 6903 and 9774 (2004 to 2007, CSC 2 and CIAO 3 and "
        "4), above 2.6 keV for acis-s only",
        "cross-sections: Verner and Yakovlev (1995, A&AS 109, 125)",
    ],
    "validity": "Towards the edges of the filters there is more of it, 1.2 times in 2004 and 1.4 times in 2012 at 3 "
    "arcmin from the middle. Up to 5 percent of the depth is wrong above 0.45 keV, and up to 20 percent "
    "below, where solid carbon absorbs unlike its atoms.",
}


def atoms(numbers, depth):
    """Atoms / 1e18 cm2 of each element that together have an optical depth."""
    share = np.array(numbers) / np.sum(numbers)
    one = sum(part * float(cross_section(element, np.array(1e3 * AT))) for element, part in zip(ELEMENTS, share))
    return (1e-18 * depth / one * share).round(4).tolist()


def main():
    """Write the table into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    rows = shells()
    edges = 1e-3 * rows["threshold"][np.isin(rows["element"], ELEMENTS) & (rows["threshold"] > 1e3 * LOWEST)]
    grid = np.geomspace(LOWEST, HIGHEST, N_ENERGIES).round(7)
    energy = np.unique([*grid, *edges, *(edges * (1 - 1e-6)).round(7), *MIRRORS, *DETECTOR])
    columns = {each: [float(f"{value:.5g}") for value in cross_section(each, 1e3 * energy)] for each in ELEMENTS}
    for instrument, factors in (("acis-s", MIRRORS | DETECTOR), ("acis-i", MIRRORS)):
        columns[instrument] = np.interp(energy, list(factors), list(factors.values())).round(4)
    amounts = [atoms(EARLY if epoch < max(DEPTHS) else LATE, depth) for epoch, depth in DEPTHS.items()]
    named = {element: [row[k] for row in amounts] for k, element in enumerate(ELEMENTS)}
    meta = META | {"epoch": list(DEPTHS), **named, "reference": atoms(*REFERENCE)}
    table = Table({"energy": energy} | columns, meta=meta)
    table["energy"].unit = "keV"
    for element in ELEMENTS:
        table[element].unit = "cm2"
    with complete_or_nothing(options.folder / "acis_contamination.ecsv", overwrite=options.overwrite) as temporary:
        table.write(temporary, format="ascii.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
