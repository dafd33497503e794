"""Make the table of ionization and recombination rates, ``ionization``, from the CHIANTI database.

    XUVTOP=/path/to/chianti python tools/ionization_tables.py astro_lpalm/data

Needs ChiantiPy (``pip install ChiantiPy``) and the database that ``XUVTOP`` names.
"""

import argparse
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.constants import k_B
from astropy.table import Table

from astro_lpalm._files import complete_or_nothing

KT = np.array([float(f"{x:.6g}") for x in np.geomspace(0.01, 100.0, 81)])  # keV
TEMPERATURE = (KT * u.keV / k_B).to_value(u.K)
ELEMENTS = {"H": 1, "He": 2, "C": 6, "N": 7, "O": 8, "Ne": 10, "Mg": 12, "Si": 14, "S": 16, "Ar": 18, "Ca": 20}
ELEMENTS |= {"Fe": 26, "Ni": 28}
EV = 1e-3  # keV
META = {
    "title": "Ionization and recombination of ions by thermal electrons at low density",
    "method": "Each row is for the ions of charge and charge + 1. ionization: rate coefficient, cm3 / s, from charge "
    "to charge + 1 (direct, and excitation with autoionization) times exp(threshold / kT), which varies slowly; "
    "recombination: from charge + 1 to charge, cm3 / s (radiative and dielectronic). Column j is at kT[j], in keV.",
    "source": "CHIANTI 10.1 by ChiantiPy 0.16.1: Dere et al. (1997, A&AS 125, 149); Dere (2007, A&A 466, 771), "
    "ionization; Badnell (2006, ApJS 167, 334) and others cited by Dere et al. (2009, A&A 498, 915), recombination; "
    "Dere et al. (2023, ApJS 268, 52)",
    "license": "CHIANTI is free to use, and asks to be cited with its version. CHIANTI is a collaborative project "
    "involving George Mason University, the University of Michigan (USA), University of Cambridge (UK) and NASA "
    "Goddard Space Flight Center (USA).",
}


def rates(element, charge):
    """Threshold (keV), scaled ionization of an ion and recombination of the next one (cm3 / s), at `KT`."""
    import ChiantiPy.core as ch

    name = f"{element.lower()}_"
    ion = ch.ion(f"{name}{charge + 1}", TEMPERATURE, setup=False)
    ion.ionizRate()
    next_ion = ch.ion(f"{name}{charge + 2}", TEMPERATURE, setup=False)
    next_ion.recombRate()
    threshold = float(f"{ion.Ip * EV:.6g}")
    ionization = ion.IonizRate["rate"]
    first = np.argmax(ionization > np.finfo(float).tiny)  # below it the rate is less than any number, and constant here
    scaled = ionization[first:] * np.exp(threshold / KT[first:])
    return threshold, np.concatenate([np.full(first, scaled[0]), scaled]), next_ion.RecombRate["rate"]


def main():
    """Write the table into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # ChiantiPy's own
    rows = [(el, q, *rates(el, q)) for el, z in ELEMENTS.items() for q in range(z)]
    element, charge, threshold, *both = map(list, zip(*rows))
    ionization, recombination = ([[float(f"{x:.5g}") for x in row] for row in rows] for rows in both)
    table = Table({"element": element, "charge": charge, "threshold": threshold * u.keV})
    table["ionization"] = ionization * u.cm**3 / u.s
    table["recombination"] = recombination * u.cm**3 / u.s
    table.meta.update(META, kT=KT.tolist())
    with complete_or_nothing(options.folder / "ionization.ecsv", overwrite=options.overwrite) as temporary:
        table.write(temporary, format="ascii.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
