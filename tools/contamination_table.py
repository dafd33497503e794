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
META = {
    "title": "The contaminant on the filters of Chandra's ACIS, approximate",
    "method": "Cross-sections of atoms, interpolated in their logarithms. meta: 1e18 atoms / cm2 in the middle of the "
    "filter at each epoch (years), between which they grow linearly; reference: those in the table of effective areas.",
    "sources": [
        "depth at 0.67 keV and composition up to 2012: calibration file acisD1999-08-13contamN0007, as MARX 5.1 has it "
        "(https://github.com/Chandra-MARX/marx); 2016.92: effective area of ObsID 19919 (CIAO 4.13) over that of ObsID "
        "4487 of 2004.0 (Chandra Source Catalog 2); of each the amounts of C, O, F that fit best from 0.44 to 1.7 keV",
        "the contaminant: Marshall et al. (2004, SPIE 5165, 497); Plucinsky et al. (2018, SPIE 10699, 106996B)",
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
    energy = np.unique(np.concatenate([np.geomspace(LOWEST, HIGHEST, N_ENERGIES), edges, edges * (1 - 1e-6)]))
    columns = {each: [float(f"{value:.5g}") for value in cross_section(each, 1e3 * energy)] for each in ELEMENTS}
    amounts = [atoms(EARLY if epoch < max(DEPTHS) else LATE, depth) for epoch, depth in DEPTHS.items()]
    named = {element: [row[k] for row in amounts] for k, element in enumerate(ELEMENTS)}
    meta = META | {"epoch": list(DEPTHS), **named, "reference": atoms(*REFERENCE)}
    table = Table({"energy": energy.round(7)} | columns, meta=meta)
    table["energy"].unit = "keV"
    for element in ELEMENTS:
        table[element].unit = "cm2"
    with complete_or_nothing(options.folder / "acis_contamination.ecsv", overwrite=options.overwrite) as temporary:
        table.write(temporary, format="ascii.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
