"""Line groups and recombination of a plasma out of equilibrium by the tables, next to CHIANTI's own.

    XUVTOP=/path/to/chianti python benchmarks/plasma.py

Needs ChiantiPy (``pip install ChiantiPy``) and the database that ``XUVTOP`` names; takes some minutes. Ion fractions
are those of `astro_lpalm.spectra.ion_fractions`. ChiantiPy assembles the rates of all levels of an ion and of the ion
above at one temperature; its matrix is solved here for the ratio of the two ions that is wanted, where ChiantiPy
itself takes that of equilibrium. Its autoionization, which ChiantiPy 0.16.1 leads into the second level of the ion, is
led out of it. What ChiantiPy does not have is left out of the comparison, and its share is printed in brackets:
recombination of H-like ions and of Fe XVII, the loss of inner electrons, and K alpha lines at the yields of Kaastra &
Mewe (1993).
"""

import warnings
from functools import cache

import astropy.units as u
import ChiantiPy.core as ch
import numpy as np
from astropy.table import Table
from scipy.interpolate import PchipInterpolator

from astro_lpalm.data import read_table
from astro_lpalm.spectra import NEI, ion_fractions
from astro_lpalm.spectra._ions import ELEMENTS, IONS_OF, continuum_table, gaunt_factors
from astro_lpalm.spectra.plasma import METALS

POINTS = [(0.3, 1e11), (0.3, 1e13), (0.5, 1e10), (0.5, 1e12), (0.8, 1e11), (0.8, 1e13)]
POINTS += [(1.5, 1e10), (1.5, 1e12), (3.0, 1e11), (3.0, 1e13), (8.0, 1e10), (8.0, 1e12)]
GROUPS = {  # element, first and last ion that emits, band in keV
    "O VII": ("O", 7, 7, 0.55, 0.58),
    "O VIII": ("O", 8, 8, 0.63, 0.67),
    "Ne IX": ("Ne", 9, 9, 0.89, 0.94),
    "Ne X": ("Ne", 10, 10, 1.0, 1.04),
    "Fe XVII L": ("Fe", 17, 17, 0.7, 0.9),
    "Fe XVIII-XXIV L": ("Fe", 18, 24, 0.7, 1.6),
    "Mg XI": ("Mg", 11, 11, 1.32, 1.37),
    "Mg XII": ("Mg", 12, 12, 1.45, 1.49),
    "Si XIII": ("Si", 13, 13, 1.82, 1.88),
    "Si XIV": ("Si", 14, 14, 1.98, 2.03),
    "S XV": ("S", 15, 15, 2.4, 2.48),
    "S XVI": ("S", 16, 16, 2.6, 2.65),
    "Ar XVII": ("Ar", 17, 17, 3.07, 3.17),
    "Ar XVIII": ("Ar", 18, 18, 3.29, 3.35),
    "Ca XIX": ("Ca", 19, 19, 3.83, 3.94),
    "Ca XX": ("Ca", 20, 20, 4.07, 4.14),
    "Fe K": ("Fe", 22, 25, 6.35, 6.75),
    "Fe XXVI": ("Fe", 26, 26, 6.9, 7.0),
}
IN_EQUILIBRIUM = {"O VII": (0.14, 0.27, 0.54), "Si XIII": (0.5, 1.0, 2.0), "S XV": (0.7, 1.5, 3.0)}  # keV
ROMAN = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]
ROMAN += ["X" + unit for unit in ROMAN] + ["XX" + unit for unit in ROMAN]
BARE = np.zeros((1, IONS_OF.sum()))
BARE[0, np.cumsum(IONS_OF) - 1] = 1.0
ENERGIES = np.array([0.45, 0.6, 1.0, 1.5, 2.2, 3.0, 4.0, 6.0])  # keV
KEV_ANGSTROM = 12.398420
# levels that CHIANTI 10.1 has in another order for the radiative rates of Ar XVII than for all else
AR_XVII = {15: 16, 16: 17, 17: 15, 29: 30, 30: 31, 31: 29}
AR_XVII |= {k: k + 1 for k in range(43, 49)} | {49: 43}
ONLY_EXCITED = {("Fe", 17)}  # and H-like ions
PROTONS = 0.83  # per electron
FAINT = 1e-3  # of the brightest group of its point: fainter ones are not compared


@cache
def chianti_ion(element, stage, kT):
    """Energies of the lines, their upper levels and rates, and the matrix of the levels and the ion above, 1 / s."""
    temperature = (kT * u.keV).to_value(u.K, u.temperature_energy())
    ion = ch.ion(f"{element.lower()}_{stage}", temperature, eDensity=1.0, pDensity=PROTONS, abundance="unity")
    if (element, stage) == ("Ar", 17):
        for level in ("lvl1", "lvl2"):
            ion.Wgfa[level] = [AR_XVII.get(k, k) for k in ion.Wgfa[level]]
    ion.populate()
    matrix = np.array(ion.popmat)
    if ion.Nauto:
        for lower, upper, rate in zip(ion.Auto["lvl1"], ion.Auto["lvl2"], ion.Auto["avalue"]):
            matrix[lower, upper - 1] -= rate
    wavelength = np.abs(ion.Wgfa["wvl"])
    seen = wavelength > 0
    upper, rate = np.array(ion.Wgfa["lvl2"])[seen] - 1, np.array(ion.Wgfa["avalue"])[seen]
    return KEV_ANGSTROM / wavelength[seen], upper, rate, matrix[: ion.Nlvls], ion.Nlvls


def by_chianti(element, stage, band, kT, fractions):
    """Photons cm3 / s in a band, per atom of the element."""
    energy, upper, rate, matrix, n = chianti_ion(element, stage, kT)
    inside = (energy > band[0]) & (energy < band[1])
    right = np.zeros(n)
    if matrix.shape[1] > n:
        right -= matrix[:, n] * fractions[stage]
    levels = matrix[:, :n].copy()
    levels[0], right[0] = 1, fractions[stage - 1]
    population = np.linalg.solve(levels, right)
    return np.sum(population[upper[inside]] * rate[inside])


def by_chiantipy(element, stage, band, kT):
    """Photons cm3 / s in a band, per ion, with ChiantiPy's own populations of ionization equilibrium."""
    energy, upper, rate, _, n = chianti_ion(element, stage, kT)
    temperature = (kT * u.keV).to_value(u.K, u.temperature_energy())
    ion = ch.ion(f"{element.lower()}_{stage}", temperature, eDensity=1.0, pDensity=PROTONS, abundance="unity")
    ion.populate()
    inside = (energy > band[0]) & (energy < band[1])
    return np.sum(np.ravel(ion.Population["population"])[:n][upper[inside]] * rate[inside])


def by_tables(rows, kT, fractions, of_chiantipy):
    """Photons cm3 / s of rows of the tables: all, or those of the processes that ChiantiPy has."""
    log_kT = np.log(rows.meta["kT"])
    total = 0.0
    for row in rows:
        stage = ROMAN.index(row["ion"])
        kept = row["charge"] in (stage - 1, stage) and not row["transition"].startswith("K-")
        if (row["element"], stage) in ONLY_EXCITED or row["transition"].startswith("Ly"):
            kept &= row["charge"] == stage - 1
        if kept or not of_chiantipy:
            curve = PchipInterpolator(log_kT, np.log(np.array(row["emissivity"])))
            total += fractions[row["charge"]] * np.exp(curve(np.log(kT)))
    return total


@cache
def free_bound(element, charge, kT):
    """CHIANTI's recombination continuum of an ion at `ENERGIES`, photon cm3 / (s keV) per ion."""
    temperature = (kT * u.keV).to_value(u.K, u.temperature_energy())
    ion = ch.continuum(
        f"{element.lower()}_{charge + 1}", np.array([1.0, 1.001]) * temperature, abundance="unity", em=1.0
    )
    wavelength = KEV_ANGSTROM / ENERGIES
    ion.freeBound(wavelength, includeAbund=False, includeIoneq=False)
    if "intensity" not in ion.FreeBound:
        return 0.0
    return 4 * np.pi * ion.FreeBound["intensity"][0] * wavelength / ENERGIES / (ENERGIES * u.keV).to_value(u.erg)


def continua(kT, tau):
    """Recombination at `ENERGIES` by the table and by CHIANTI, and bremsstrahlung, photon cm3 / (s keV), solar."""
    table = continuum_table()
    solar = read_table("ion_lines").meta["solar"]
    ions = NEI.ions(np.array([kT]), np.ones((len(METALS), 1)), [np.array([tau]), np.zeros(1)])
    fractions = {element: ion_fractions(element, kT, tau) for element in ELEMENTS}
    edge = ~table.is_two_photon
    steps = table.strength(ions.kT, ions.amounts)[0, edge][:, None] * (table.energies[edge][:, None] <= ENERGIES)
    shape = np.exp((table.energies[edge][:, None] - ENERGIES) / kT) / ENERGIES / kT**1.5
    own = 0.0
    for element, by_charge in fractions.items():
        for charge, fraction in enumerate(by_charge):
            if charge and fraction > 1e-4:
                own = own + solar[element] * fraction * free_bound(element, charge, kT)
    # 3.013e-15: equation 5.14b of Rybicki & Lightman (1979) in photons
    free_free = 3.013e-15 * gaunt_factors(ENERGIES, np.atleast_1d(kT), BARE)
    return np.sum(steps * shape, axis=0), own, np.ravel(free_free) * np.exp(-ENERGIES / kT) / ENERGIES / np.sqrt(kT)


def main():
    """Print, for each group and point, table over CHIANTI, and in brackets what the tables have besides."""
    warnings.simplefilter("ignore")  # ChiantiPy's own
    tables = {name: Table(read_table(name)) for name in ("ion_lines", "ion_lines_iron")}
    print(" ".join(["kT (keV), tau (s / cm3)".ljust(18), *(f"{kT:g}, {tau:.0e}".rjust(13) for kT, tau in POINTS)]))
    found = {}
    for name, (element, first, last, low, high) in GROUPS.items():
        table = tables["ion_lines_iron" if element in ("Fe", "Ni") else "ion_lines"]
        stages = range(first, last + 1)
        energy = table["energy"]
        kept = (table["element"] == element) & (energy > low) & (energy < high)
        rows = table[kept & np.isin(table["ion"], [ROMAN[stage] for stage in stages])]
        solar = table.meta["solar"][element]
        for kT, tau in POINTS:
            fractions = ion_fractions(element, kT, tau)
            own = solar * sum(by_chianti(element, stage, (low, high), kT, fractions) for stage in stages)
            mine, every = (by_tables(rows, kT, fractions, only) for only in (True, False))
            found[name, kT, tau] = own, mine, every
    worst = 0.0
    for name in GROUPS:
        cells = []
        for point in POINTS:
            brightest = max(found[other, *point][0] for other in GROUPS)
            own, mine, every = found[name, *point]
            if own < FAINT * brightest:
                cells.append("faint".rjust(13))
                continue
            worst = max(worst, abs(mine / own - 1))
            cells.append(f"{mine / own:.3f} (+{100 * (every / mine - 1):.0f} %)".rjust(13))
        print(" ".join([name.ljust(18), *cells]))
    print(f"Most that they differ: {100 * worst:.1f} %.")
    print("Recombination: table - CHIANTI in percent of it and bremsstrahlung, and in brackets the share it has")
    by_point = [continua(kT, tau) for kT, tau in POINTS]
    for k, energy in enumerate(ENERGIES):
        cells = []
        for mine, own, free_free in by_point:
            whole = (own + free_free)[k] / 100
            cells.append(f"{(mine - own)[k] / whole:+.1f} ({own[k] / whole:.0f} %)".rjust(13))
        print(" ".join([f"{energy:g} keV".ljust(18), *cells]))
    print("ChiantiPy's own populations over these, in equilibrium:")
    for name, temperatures in IN_EQUILIBRIUM.items():
        element, stage, _, *band = GROUPS[name]
        for kT in temperatures:
            fractions = ion_fractions(element, kT)
            ratio = by_chiantipy(element, stage, band, kT) / by_chianti(element, stage, band, kT, fractions)
            print(f"{name} at {kT:g} keV: {ratio * fractions[stage - 1]:.3f}")


if __name__ == "__main__":
    main()
