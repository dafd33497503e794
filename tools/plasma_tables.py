"""Make the tables of the thermal plasma, ``lines`` and ``continuum``, from the CHIANTI database.

    XUVTOP=/path/to/chianti python tools/plasma_tables.py astro_lpalm/data

Needs ChiantiPy (``pip install ChiantiPy``) and the database that ``XUVTOP`` names. ChiantiPy solves the level
populations of each ion at 1 electron / cm3 in ionization equilibrium; here its lines are only gathered into rows of a
few that no CCD tells apart, and its recombination continua into steps at their edges.
"""

import argparse
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.constants import c, h, k_B
from astropy.table import Table

from astro_lpalm._files import complete_or_nothing

LOG_T = np.arange(58, 91) / 10  # K
KT = (k_B * 10**LOG_T * u.K).to_value(u.keV)
HC = (h * c).to_value(u.keV * u.AA)
SOLAR = {"H": 1.0, "He": 9.77e-2, "O": 8.51e-4, "Ne": 1.23e-4, "Mg": 3.8e-5, "Si": 3.55e-5, "S": 1.62e-5}
SOLAR |= {"Ar": 3.63e-6, "Ca": 2.29e-6, "Fe": 4.68e-5}
CHARGE = dict(zip(SOLAR, (1, 2, 8, 10, 12, 14, 16, 18, 20, 26)))
ROMAN = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]
ROMAN += ["X" + unit for unit in ROMAN] + ["XX" + unit for unit in ROMAN]
METALS = list(SOLAR)[2:]
AR_XVII = ((15, 17), (29, 31), (43, 49))  # levels from n 1P1 on, for n = 3, 4, 5
SERIES = ("alpha", "beta", "gamma", "delta")
BLEND = 0.025  # keV from the strongest line of a row
TWIN = 0.003  # keV; rows of different ions so close are one
NEAREST = 0.07  # keV; weaker lines join the nearest row of their ion up to here
WEAKEST = 0.01  # share of the element's photons that makes a row, at a temperature where these matter
WEAKEST_NEAR = 0.05  # or this share of the photons within 5 % of its energy
LOWEST, HIGHEST = 0.45, 10.0  # keV
EV = 1e-3  # keV
# CHIANTI 10.1 has the radiative rates of Ar XVII in another order of levels than all else: 1P1 last of each n
MISPLACED = {("Ar", 17, k): first if k == last else k + 1 for first, last in AR_XVII for k in range(first, last + 1)}
BAND = 0.3  # keV; the continuum is for energies above
RYDBERG = 0.0136057  # keV
DATABASE = "CHIANTI 10.1 by ChiantiPy 0.16.1; collision strengths of Fe XVII, and all of Fe XXI and XXIII, of 7.1.4"
PAPERS = (
    "Dere et al. (1997, A&AS 125, 149); Landi et al. (2013, ApJ 763, 86); Del Zanna et al. (2021, ApJ 909, 38); "
    "Dere et al. (2023, ApJS 268, 52)"
)
LINES = {
    "title": "X-ray lines of an optically thin plasma in ionization equilibrium, 0.45 to 10 keV",
    "method": "Each row gathers the lines of one ion within 25 eV of its strongest, and weaker ones up to 70 eV away, "
    "at their photon-weighted energy, in photon cm3 / s. Levels are solved at 1 electron / cm3: excitation, cascades, "
    "radiative and dielectronic recombination. H- and He-like ions, the K shell of Li-like ones (satellites), and "
    "Fe XVI to XXVI. Rows of an element within 3 eV are one, named after the stronger.",
}
CONTINUUM = {
    "title": "Recombination and two-photon continua of an optically thin plasma in equilibrium, from 0.3 keV",
    "method": "recombination: photon cm3 / (s keV) times E kT^1.5 exp((E - energy) / kT) above energy (the edge), as "
    "steps from edge to edge. two-photon: photons (two a decay) cm3 / s, up to energy.",
}
ABUNDANCES = "Anders and Grevesse (1989, Geochim. Cosmochim. Acta 53, 197)"


def ion_lines(element, stage):
    """Energies (keV) and emissivities (n_kT, n_lines; photon cm3 / s at solar abundance) of an ion's lines."""
    import ChiantiPy.core as ch

    ion = ch.ion(f"{element.lower()}_{stage}", 10**LOG_T, eDensity=1.0, abundance="unity", em=1.0)
    for level in ("lvl1", "lvl2"):
        ion.Wgfa[level] = [MISPLACED.get((element, stage, k), k) for k in ion.Wgfa[level]]
    ion.intensity()
    energy = HC / np.asarray(ion.Intensity["wvl"])
    photons = 4 * np.pi * np.asarray(ion.Intensity["intensity"]) / (energy * u.keV).to_value(u.erg)
    wanted = (energy > LOWEST) & (energy < HIGHEST)
    return energy[wanted], SOLAR[element] * photons[:, wanted]


def transition(element, stage, energy, alpha):
    """Name a row: by its series for H- and He-like ions, by the shell for the others."""
    electrons = CHARGE[element] + 1 - stage
    ratio = energy / alpha
    if ratio < 0.9:
        return "L"
    if electrons > 2 or 1.02 < ratio < 1.13:
        return "satellites"
    n = 2 + int(np.searchsorted([1.13, 1.22, 1.265], ratio))
    return f"{'Ly' if electrons == 1 else 'He'}-{SERIES[n - 2]}"


def bremsstrahlung(energy):
    """Compute the bremsstrahlung of a solar plasma within 5 % of an energy, photon cm3 / s: what lines compete with."""
    return 0.1 * 4.5e-15 * np.exp(-energy / KT) / np.sqrt(KT)


def rows_of_element(element):
    """Gather the lines of an element's ions into rows."""
    charge = CHARGE[element]
    ions = {stage: ion_lines(element, stage) for stage in range(16 if element == "Fe" else charge - 2, charge + 1)}
    he_like, he_photons = ions[charge - 1]
    he_alpha = he_like[np.argmax(he_photons.max(axis=0))]
    if element != "Fe":  # the L shell of the others is below the band or far weaker than iron's
        inside = {s: (e > 0.93 * he_alpha) & (e < 1.5 * he_alpha) for s, (e, _) in ions.items()}
        ions = {s: (e[inside[s]], f[:, inside[s]]) for s, (e, f) in ions.items()}
    all_energies = np.concatenate([energy for energy, _ in ions.values()])
    all_photons = np.hstack([photons for _, photons in ions.values()])
    total = all_photons.sum(axis=1)
    matters = total > 1e-3 * total.max()
    rows = []
    for stage, (energy, photons) in ions.items():
        alpha = {charge: energy[np.argmax(photons.max(axis=0))]}.get(stage, he_alpha)
        centres, left = [], photons.max(axis=0)
        while left.any():
            centre = energy[np.argmax(left)]
            near = (np.abs(energy - centre) < BLEND) & (left > 0)
            around = all_photons[:, np.abs(all_energies - centre) < 0.05 * centre].sum(axis=1) + bremsstrahlung(centre)
            mine = photons[:, near].sum(axis=1)
            if np.max((mine / around)[matters]) > WEAKEST_NEAR or np.max((mine / total)[matters]) > WEAKEST:
                centres.append(centre)
            left[near] = 0
        distance = np.abs(energy[:, None] - np.array(centres)) if centres else np.empty((energy.size, 0))
        for k in range(len(centres)):
            mine = (distance.argmin(axis=1) == k) & (distance[:, k] < NEAREST)
            row = photons[:, mine].sum(axis=1)
            centre = np.sum(energy[mine] * photons[:, mine]) / row.sum()
            rows.append((element, ROMAN[stage], transition(element, stage, centre, alpha), round(centre, 4), row))
    return merged(sorted(rows, key=lambda row: row[3]))


def merged(rows):
    """Join the rows of an element that are closer than `TWIN`, under the name and energy of the stronger."""
    kept = []
    for row in rows:
        if kept and row[3] - kept[-1][3] < TWIN:
            weaker, stronger = sorted([row, kept.pop()], key=lambda r: r[4].max())
            row = (*stronger[:4], weaker[4] + stronger[4])
        kept.append(row)
    return kept


def recombination_rows(element, stage):
    """Find the steps of photon cm3 / (s keV) times E kT^1.5 exp((E - edge) / kT) at the edges of a recombining ion.

    Emission to one level above its edge goes nearly as exp(-(E - edge) / kT) / E (Kramers' cross-section, and
    detailed balance), so that the product is a constant, and the sum over levels a staircase.
    """
    import ChiantiPy.core as ch

    charge, ionic = CHARGE[element], stage - 1
    ground = ch.ion(f"{element.lower()}_{ionic}", 10 ** LOG_T[:2], eDensity=1.0, abundance="unity").Ip * EV
    shell = 2 if charge - ionic + 1 > 2 else 1
    edges = [ground] + [ionic**2 * RYDBERG / n**2 for n in range(shell + 1, shell + 4)]
    edges = edges[: 1 + sum(edge > BAND for edge in edges)]  # edges below the band need no more than one step
    heights = []
    for k, edge in enumerate(edges):
        energy = np.sqrt(max(edge, BAND) * (edges[k - 1] if k else 2 * max(edge, BAND)))
        wavelength = HC / energy
        recombining = ch.continuum(f"{element.lower()}_{stage}", 10**LOG_T, abundance="unity", em=1.0)
        recombining.freeBound(wavelength * np.array([1.0, 1.001]))  # ChiantiPy takes two or more
        emitted = 4 * np.pi * recombining.FreeBound["intensity"][:, 0] * wavelength / energy
        photons = SOLAR[element] * emitted / (energy * u.keV).to_value(u.erg)
        heights.append(photons * energy * KT**1.5 * np.exp((energy - edge) / KT))
    rows = []
    for k, edge in enumerate(edges):
        lower = heights[k + 1] * np.exp((edges[k + 1] - edge) / KT) if k + 1 < len(edges) else 0.0
        step = np.maximum(heights[k] - lower, 0.0)
        if step.any():
            rows.append((element, ROMAN[ionic], "recombination", round(float(edge), 4), step))
    return rows


def two_photon_row(element, stage):
    """Photons cm3 / s, at solar abundance, of the two-photon decay of an H- or He-like ion."""
    import ChiantiPy.core as ch

    ion = ch.ion(f"{element.lower()}_{stage}", 10**LOG_T, eDensity=1.0, abundance="unity", em=1.0)
    ion.twoPhoton(HC / (np.linspace(0.77, 0.01, 4000) * CHARGE[element] ** 2 * RYDBERG))
    wavelength = np.asarray(ion.TwoPhoton["wvl"])
    energy = HC / wavelength
    photons = 4 * np.pi * np.asarray(ion.TwoPhoton["intensity"]) * wavelength / (energy * u.keV).to(u.erg).value
    limit = HC / wavelength[np.asarray(ion.TwoPhoton["intensity"]).max(axis=0) > 0].min()
    total = SOLAR[element] * np.abs(np.trapezoid(photons / energy, energy, axis=1))
    return (element, ROMAN[stage], "two-photon", round(float(limit), 4), total)


def write(path, rows, meta, *, overwrite):
    """Write rows of one emissivity per temperature."""
    element, ion, name, energy, values = map(list, zip(*rows))
    values = [np.maximum(v, 1e-12 * np.max(v)) for v in values]
    values = np.array([[float(f"{x:.4g}") for x in v] for v in values])
    table = Table({"element": element, "ion": ion, "transition": name, "energy": energy * u.keV, "emissivity": values})
    table.meta.update(meta, source=f"{DATABASE}: {PAPERS}", abundances=ABUNDANCES, solar=SOLAR)
    table.meta["emissivity"] = "column j at kT[j] (keV), per n_e n_H, at solar abundance; at least 1e-12 of the peak"
    table.meta["kT"] = [float(f"{x:.6g}") for x in KT]
    with complete_or_nothing(path, overwrite=overwrite) as temporary:
        table.write(temporary, format="ascii.ecsv", overwrite=True)


def main():
    """Write the two tables into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # ChiantiPy's own
    lines = [row for element in METALS for row in rows_of_element(element)]
    write(options.folder / "lines.ecsv", lines, LINES, overwrite=options.overwrite)
    continuum = []
    for element, charge in CHARGE.items():
        lowest = 17 if element == "Fe" else max(charge - 1, 1)
        for stage in range(lowest + 1, charge + 2):
            continuum += recombination_rows(element, stage)
        if element in METALS:
            continuum += [two_photon_row(element, stage) for stage in (charge - 1, charge)]
    write(options.folder / "continuum.ecsv", continuum, CONTINUUM, overwrite=options.overwrite)


if __name__ == "__main__":
    main()
