"""Make the table of ionization and recombination rates, ``ionization``, from the CHIANTI database.

    XUVTOP=/path/to/chianti python tools/ionization_tables.py astro_lpalm/data
    XUVTOP=/path/to/chianti python tools/ionization_tables.py --check

The second tells how far the fractions of ions that the package has from the table are from those of CHIANTI's rates
between the table's temperatures, and from those in equilibrium that CHIANTI comes with, which were computed elsewhere.
Needs ChiantiPy (``pip install ChiantiPy``) and the database that ``XUVTOP`` names.
"""

import argparse
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.constants import k_B
from astropy.table import Table
from scipy.linalg import expm

from astro_lpalm._files import complete_or_nothing
from astro_lpalm.spectra.ionization import fractions

KT = np.array([float(f"{x:.6g}") for x in np.geomspace(0.01, 100.0, 81)])  # keV
ELEMENTS = {"H": 1, "He": 2, "C": 6, "N": 7, "O": 8, "Ne": 10, "Mg": 12, "Si": 14, "S": 16, "Ar": 18, "Ca": 20}
ELEMENTS |= {"Fe": 26, "Ni": 28}
EV = 1e-3  # keV
META = {
    "title": "Ionization and recombination of ions by thermal electrons at low density",
    "method": "Each row is for the ions of charge and charge + 1. ionization: rate coefficient, cm3 / s, from charge "
    "to charge + 1 (direct, and excitation with autoionization) times exp(threshold / kT), which varies slowly; "
    "recombination: from charge + 1 to charge, cm3 / s (radiative and dielectronic). Column j is at kT[j], in keV.",
    "source": "CHIANTI 10.1 by ChiantiPy 0.16.1: Dere et al. (1997, A&AS 125, 149); ionization: Dere (2007, A&A 466, "
    "771), H- and He-like ions Fontes et al. (1999, Phys. Rev. A 59, 1329); recombination: Badnell (2006, ApJS 167, "
    "334) and others cited by Dere et al. (2009, A&A 498, 915); version 10.1: Dere et al. (2023, ApJS 268, 52)",
    "license": "CHIANTI is free to use, and asks to be cited with its version. CHIANTI is a collaborative project "
    "involving George Mason University, the University of Michigan (USA), University of Cambridge (UK) and NASA "
    "Goddard Space Flight Center (USA).",
}


def rates(element, charge, kT):
    """Threshold (keV) and ionization of an ion, and recombination of the next one (cm3 / s), at temperatures in keV."""
    import ChiantiPy.core as ch

    temperature = (kT * u.keV / k_B).to_value(u.K)
    ion, next_ion = (ch.ion(f"{element.lower()}_{charge + n}", temperature, setup=False) for n in (1, 2))
    ion.ionizRate()
    next_ion.recombRate()
    return float(f"{ion.Ip * EV:.6g}"), ion.IonizRate["rate"], next_ion.RecombRate["rate"]


def row(element, charge):
    """Make a row of the table."""
    threshold, ionization, recombination = rates(element, charge, KT)
    first = np.argmax(ionization > np.finfo(float).tiny)  # below, the rate is less than any number, and constant here
    scaled = ionization[first:] * np.exp(threshold / KT[first:])
    both = np.concatenate([np.full(first, scaled[0]), scaled]), recombination
    return element, charge, threshold, *([float(f"{x:.5g}") for x in values] for values in both)


def write(folder, *, overwrite):
    """Write the table into a folder."""
    rows = [row(element, charge) for element, most in ELEMENTS.items() for charge in range(most)]
    element, charge, threshold, ionization, recombination = map(list, zip(*rows))
    table = Table({"element": element, "charge": charge, "threshold": threshold * u.keV})
    table["ionization"] = ionization * u.cm**3 / u.s
    table["recombination"] = recombination * u.cm**3 / u.s
    table.meta.update(META, kT=KT.tolist())
    with complete_or_nothing(folder / "ionization.ecsv", overwrite=overwrite) as temporary:
        table.write(temporary, format="ascii.ecsv", overwrite=True)


def check():
    """Print the largest errors of a fraction, over all temperatures and n_e t from 1e8 to 1e14 s / cm3."""
    import ChiantiPy.core as ch

    kT = np.sqrt(KT[1:] * KT[:-1])
    taus = np.geomspace(1e8, 1e14, 13)
    for element, most in ELEMENTS.items():
        _, ionization, recombination = (np.array(x).T for x in zip(*(rates(element, q, kT) for q in range(most))))
        q = np.arange(most)
        matrix = np.zeros((kT.size, most + 1, most + 1))
        matrix[:, q + 1, q], matrix[:, q, q + 1] = ionization, recombination
        matrix -= np.eye(most + 1) * matrix.sum(axis=1)[:, None]
        exact = np.array([expm(matrix * tau) for tau in taus])[..., 1]  # singly ionized at the start
        own = np.array([fractions(element, kT, np.full(kT.size, tau)) for tau in taus])
        error = np.abs(own - exact).max(axis=2)
        tau, k = np.unravel_index(error.argmax(), error.shape)
        theirs = ch.ioneq(element.lower())
        theirs.load()
        its_kT = (theirs.Temperature * u.K * k_B).to_value(u.keV)
        hot = (its_kT > 0.1) & (its_kT < KT[-1])
        equilibrium = fractions(element, its_kT[hot], np.full(hot.sum(), np.inf))
        other = np.abs(equilibrium - theirs.Ioneq[: most + 1, hot].T).max()
        where = f"at kT = {kT[k]:.3g} keV, n_e t = {taus[tau]:.2g} s / cm3"
        print(f"{element:2} {error.max():.5f} {where}; {other:.3f} in equilibrium above 0.1 keV")  # noqa: T201


def main():
    """Write the table, or check the one that the package has."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="where to write ionization.ecsv")
    parser.add_argument("--overwrite", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if (options.folder is None) != options.check:
        parser.error("give a folder to write to, or --check")
    warnings.simplefilter("ignore")  # ChiantiPy's own
    if options.check:
        check()
    else:
        write(options.folder, overwrite=options.overwrite)


if __name__ == "__main__":
    main()
