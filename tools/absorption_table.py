"""Make the table of absorption by interstellar gas, molecules and grains, as Wilms et al. (2000) describe it.

    python tools/absorption_table.py astro_lpalm/data

Takes seconds. `cross_section` gives those of single atoms, from the parameters in ``photoionization.ecsv`` next to it.
"""

import argparse
from functools import cache
from pathlib import Path

import astropy.constants as const
import numpy as np
from astropy.table import QTable, Table
from scipy.integrate import trapezoid

from astro_lpalm._files import complete_or_nothing
from astro_lpalm.spectra import solar_abundances

LOWEST, HIGHEST = 0.03, 100.0  # keV
N_ENERGIES = 400  # that each piece is fitted at
DEGREE = 3
WITHIN = 1e-3  # relative: a piece that its polynomial misses by more is halved
LEAST_JUMP = 3e-4  # of the cross-section: thresholds that show less are left within a piece
MOLECULES = 0.2  # part of the hydrogen that is in molecules
DENSITY, SMALLEST, LARGEST, SLOPE = 1.0, 0.025e-4, 0.25e-4, 3.5  # of grains: g / cm3, cm, cm, Mathis et al. (1977)
# Part of each element that is gas, Wilms et al. (2000), table 2; the rest is in grains. Of others all is gas.
GAS = {
    "C": 0.5, "O": 0.6, "Na": 0.25, "Mg": 0.2, "Al": 0.02, "Si": 0.1, "S": 0.6, "Cl": 0.5, "Ca": 0.003, "Cr": 0.03,
    "Fe": 0.3, "Co": 0.05, "Ni": 0.04,
}  # fmt: skip
WEIGHTS = {
    "C": 12.011, "O": 15.999, "Na": 22.990, "Mg": 24.305, "Al": 26.982, "Si": 28.085, "S": 32.06, "Cl": 35.45,
    "Ca": 40.078, "Cr": 51.996, "Fe": 55.845, "Co": 58.933, "Ni": 58.693,
}  # fmt: skip
# What edges have more than a step, as steps that absorb as much: from, to (eV), and how much (1e-18 cm2).
NEAR_EDGES = {
    "Ne": ((866.4, 867.8, 0.85), (867.8, 870.1, 0.29)),
    "Fe": ((706.2, 710.4, 3.65), (710.4, 719.6, 1.58), (719.6, 724.0, 2.48), (724.0, 745.0, 0.21)),
}
ELEMENTS = "H", "He", "C", "N", "O", "Ne", "Na", "Mg", "Al", "Si", "S", "Cl", "Ar", "Ca", "Cr", "Fe", "Co", "Ni"
META = {
    "title": "Absorption by interstellar gas, molecules and grains, per hydrogen atom in all forms",
    "method": "sigma = (c0 + c1 E + c2 E^2 + c3 E^3) E^-3 x 1e-24 cm2, E in keV, from energy_lo to the next; the last "
    f"holds to {HIGHEST:g} keV. Within {WITHIN:g} of the cross-sections. Wilms et al. (2000): a fifth of the hydrogen "
    "in molecules, grains of 1 g / cm3 and 0.025 to 0.25 um that shield their inside, gas for the rest.",
    "sources": [
        "mixture and abundances: Wilms, Allen and McCray (2000, ApJ 542, 914), but for P, Ti and Mn, which XSPEC's "
        "tbabs leaves out too",
        "atoms: Verner and Yakovlev (1995, A&AS 109, 125)",
        "next to the L edges of Fe and the K edge of Ne: Kortright and Kim (2000, Phys. Rev. B 62, 12216) and Gorczyca "
        "(2000, Phys. Rev. A 61, 024702), as XSPEC's tbabs has them, in steps that absorb as much",
        "H: Band et al. (1990, A&A 237, 267); He and H2: Yan et al. (1998, ApJ 496, 1044), H2 below 85 eV as in "
        "Wilms et al.",
    ],
    "validity": "Edges are steps: no resonances next to that of O (at 0.527 keV above all), and none of He near 60 eV.",
}


def cross_section(element, energy):
    """Cross-section of an atom in cm2, at energies in eV."""
    if element == "H":
        y = 2 * energy / 13.599
        return 605e-18 / (y**1.5 * (1 + np.sqrt(y)) ** 4)
    if element == "He":  # Yan et al. (1998), eq. 14
        fit = np.polyval([5.9133, -23.4585, 37.3584, -30.8678, 14.82, -4.7416, 1.0], np.sqrt(24.58 / energy))
        return 733e-24 * (energy / 1e3) ** -3.5 * fit
    rows = shells()
    total = sum(of_shell(row, energy) for row in rows[rows["element"] == element])
    for low, high, more in NEAR_EDGES.get(element, ()):
        total = total + np.where((energy >= low) & (energy < high), 1e-18 * more, 0.0)
    return total


def molecular_hydrogen(energy):
    """Cross-section of a molecule of hydrogen in cm2, at energies in eV from 30."""
    x = 15.4 / energy
    low = 1e-18 * np.polyval([-189.953, 368.053, -231.339, 78.118, -11.768, 0.664], x)
    high = np.polyval([-81.885, 231.608, -171.044, 50.577, -4.806, -2.003, 1.0], np.sqrt(x))
    return np.where(energy < 85, low, 45.57e-24 * (energy / 1e3) ** -3.5 * high)


@cache
def shells():
    """Parameters of the shells of atoms."""
    return Table(QTable.read(Path(__file__).with_name("photoionization.ecsv"), format="ascii.ecsv"))


def of_shell(row, energy):
    """Cross-section of a shell, Verner & Yakovlev (1995), eq. 1."""
    y = energy / row["energy0"]
    momentum = "spd".index(row["shell"][1])
    fit = ((y - 1) ** 2 + row["y_w"] ** 2) * y ** (0.5 * row["power"] - 5.5 - momentum)
    fit *= (1 + np.sqrt(y / row["y_a"])) ** -row["power"]
    return np.where(energy >= row["threshold"], 1e-18 * row["sigma0"] * fit, 0.0)


def grains(energy, in_grains):
    """Cross-section of grains in cm2 per hydrogen atom: what lies deep in one meets fewer photons."""
    number = sum(in_grains.values())
    mass = sum(amount * WEIGHTS[element] for element, amount in in_grains.items()) * const.u.to_value("g")
    mean = sum(amount * cross_section(element, energy) for element, amount in in_grains.items()) / number
    radius = np.geomspace(SMALLEST, LARGEST, 400)
    sizes = radius**-SLOPE
    sizes *= mass / (DENSITY * 4 / 3 * np.pi * trapezoid(sizes * radius**3, radius))
    column = 4 / 3 * radius * DENSITY * number / mass  # atoms / cm2 through a grain, on the mean
    return trapezoid(np.pi * radius**2 * sizes * -np.expm1(-mean[:, np.newaxis] * column), radius, axis=1)


def interstellar(energy, *, molecules=MOLECULES, gas=None):
    """Cross-section in cm2 per hydrogen atom, at energies in eV."""
    gas = GAS if gas is None else gas
    solar = solar_abundances("wilms")
    amount = {element: solar[element] * gas.get(element, 1.0) for element in ELEMENTS}
    amount["H"] *= 1 - molecules
    total = sum(each * cross_section(element, energy) for element, each in amount.items())
    total += 0.5 * molecules * molecular_hydrogen(energy)
    in_grains = {element: solar[element] * (1 - part) for element, part in gas.items() if part < 1}
    return total + grains(energy, in_grains) if in_grains else total


def pieces():
    """Energies (keV) at which the cross-section jumps, and more in between where polynomials need them."""
    rows = shells()
    edges = rows["threshold"][np.isin(rows["element"], ELEMENTS)]
    edges = np.unique([*edges, *(energy for steps in NEAR_EDGES.values() for step in steps for energy in step[:2])])
    edges = edges[(edges > 1e3 * LOWEST) & (edges < 1e3 * HIGHEST)]
    below, above = interstellar(edges * (1 - 1e-9)), interstellar(edges)
    edges = [LOWEST, *np.round(edges[np.abs(above / below - 1) > LEAST_JUMP] / 1e3, 6), 0.085, HIGHEST]
    left, found = sorted(edges), []
    while len(left) > 1:
        low, high = left[:2]
        coefficients, error = fit(low, high)
        if error > WITHIN:
            left.insert(1, round(float(np.sqrt(low * high)), 5))
            continue
        found.append((low, *coefficients))
        left.pop(0)
    return found


def fit(low, high):
    """Coefficients of a piece, and by how much they are wrong at most."""
    energy = np.geomspace(low, high * (1 - 1e-9), N_ENERGIES)
    wanted = interstellar(1e3 * energy) * energy**3 * 1e24
    powers = energy[:, np.newaxis] ** np.arange(DEGREE + 1)
    scale = np.abs(powers).max(axis=0)
    coefficients = np.linalg.lstsq(powers / scale / wanted[:, np.newaxis], np.ones(len(energy)))[0] / scale
    coefficients = [float(f"{value:.7g}") for value in coefficients]
    return coefficients, np.abs(powers @ coefficients / wanted - 1).max()


def main():
    """Write the table into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    names = ["energy_lo", *(f"c{k}" for k in range(DEGREE + 1))]
    table = Table(rows=pieces(), names=names, units={"energy_lo": "keV"}, meta=META)
    with complete_or_nothing(options.folder / "tbabs.ecsv", overwrite=options.overwrite) as temporary:
        table.write(temporary, format="ascii.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
