"""Make the tables of what each ion emits, ``ion_lines`` and ``ion_continuum``, from the CHIANTI database.

    XUVTOP=/path/to/chianti python tools/ion_tables.py astro_lpalm/data

Needs ChiantiPy (``pip install ChiantiPy``) and the database that ``XUVTOP`` names; takes some minutes. All is per unit
fraction of the ion that an electron meets, so that any mixture of ions can be put together, in equilibrium or not.
``chianti_ions.py`` beside this file finds the lines; here they are gathered into rows that a CCD cannot tell from the
lines themselves, and recombination continua into steps at their edges.
"""

import argparse
import warnings
from pathlib import Path

import astropy.units as u
import chianti_ions as chianti
import ChiantiPy.core as ch
import numpy as np
from astropy.table import Table
from chianti_ions import CHARGES, EV, HC, KT, RYDBERG, T

from astro_lpalm._files import complete_or_nothing

SOLAR = {"H": 1.0, "He": 9.77e-2, "C": 3.63e-4, "N": 1.12e-4, "O": 8.51e-4, "Ne": 1.23e-4, "Mg": 3.8e-5}
SOLAR |= {"Si": 3.55e-5, "S": 1.62e-5, "Ar": 3.63e-6, "Ca": 2.29e-6, "Fe": 4.68e-5, "Ni": 1.78e-6}
METALS = list(SOLAR)[2:]
ROMAN = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]
ROMAN += ["X" + unit for unit in ROMAN] + ["XX" + unit for unit in ROMAN]
SERIES = ("alpha", "beta", "gamma", "delta")
LOWEST, HIGHEST = 0.3, 10.0  # keV
BIN = 1e-3  # keV
CCD = 0.04  # keV; standard deviation of a line in a CCD
CHECKED = np.arange(0.4, HIGHEST, 0.01)  # keV; where rows are compared with lines
FROM_KT = 0.2  # keV; at and above which they are
TOLERANCE, FAINT = 0.05, 1e-3  # of the ion's spectrum at each energy, or of this share of its peak
LOWEST_RATIO = 0.9  # to K alpha, of lines that end in the K shell
BAND = 0.3  # keV; the continuum is for energies above
FAINTEST_EDGE = 0.05  # keV; ions whose edges are all lower do without recombination, but for H and He
FILES = {"ion_lines": METALS[:-2], "ion_lines_iron": METALS[-2:]}
# by the electrons of the ion below: the holes in 2p that a K electron is excited to
HOLES = {5: 6, 6: 5, 7: 4, 8: 3, 9: 2, 10: 1}
EXCITED_BY_CHIANTI = {("Fe", 21), ("Fe", 22)}
# CHIANTI has these at yields of 0.05 to 0.27, as their autoionization is 2 to 6 times that of others
YIELD_TOO_LOW = {("Fe", stage) for stage in range(18, 22)}
FE_K = 6.2  # keV; iron's K lines are above
FLUORESCENCE = Path(__file__).with_name("fluorescence.ecsv")
OLDER = {
    "9.0.1": "Fe XV, XXI, XXIII; Ni XVII, XXIII, XXV; Ca XIII to XV, XVII; Ar XI to XIII, XV; S IX, XI, XIII; Si XI",
    "7.1.4": "Fe XVII (collision strengths only); Ni XIX, XXIV; Ca XI, XVI; Ar IX, XIV; S XII; Si X",
}
DATABASE = "CHIANTI 10.1, rates of ChiantiPy 0.16.1; of earlier versions, as these could be had: "
DATABASE += "; ".join(f"of {version} {ions}" for version, ions in OLDER.items())
PAPERS = (
    "Dere et al. (1997, A&AS 125, 149); Landi et al. (2013, ApJ 763, 86); Del Zanna et al. (2021, ApJ 909, 38); "
    "Dere et al. (2023, ApJS 268, 52)"
)
LINES = {
    "title": "X-ray lines of an optically thin plasma, 0.3 to 10 keV, ion by ion",
    "method": "Photon cm3 / s per unit fraction of the ion of this charge, which an electron meets: it excites this "
    "ion (emitting: ion = charge + 1), recombines with it (ion = charge: cascades, dielectronic satellites), or "
    "ionizes an inner shell of it (ion = charge + 2). Levels are solved at 1 electron / cm3. Rows are as many as a CCD "
    "(40 eV) needs to see each ion by itself as it is, within 5 % where there is more than 1e-3 of its peak, from "
    "0.4 keV; each lies at the mean of the lines around it, and a weaker line between two rows is shared by them so "
    "that its photons and their mean energy stay.",
    "K_shell": "transition K-alpha and K-beta: after the loss of a K electron (ion = charge + 2), by the cross-section "
    "of Lotz (1968, Z. Physik 216, 241) and the edges, energies and yields of tools/fluorescence.ecsv; K-alpha after "
    "excitation (ion = charge + 1) of ions with 4 to 9 electrons, but for Fe XXII and XXIII, by CHIANTI's rate for the "
    "Li-like ion times the share of holes in 2p, with the yield of the ion below that has lost a K electron, and is "
    "left alike. In He-like rows of charge = ion - 2, the Li-like ion has lost one.",
}
CONTINUUM = {
    "title": "Recombination and two-photon continua of an optically thin plasma, from 0.3 keV, ion by ion",
    "method": "Per unit fraction of the ion of this charge, which an electron meets. recombination: photon cm3 / "
    "(s keV) times E kT^1.5 exp((E - energy) / kT) above energy (the edge), as steps from edge to edge. two-photon: "
    "photons (two a decay) cm3 / s, up to energy.",
}
ABUNDANCES = "Anders and Grevesse (1989, Geochim. Cosmochim. Acta 53, 197)"


def lines_of_element(element):
    """Lines of all ions: {(charge, stage): (energies, photons of shape (n_T, n_lines))}, cm3 / s per ion."""
    found = {}
    for stage in range(1, CHARGES[element] + 1):
        if not chianti.exists(element, stage):
            continue
        energy, photons = chianti.ion_lines(element, stage, LOWEST, HIGHEST)
        if (element, stage) in YIELD_TOO_LOW:
            photons[stage - 1][:, energy > FE_K] = 0
        found |= {(charge, stage): (energy, rates) for charge, rates in photons.items()}
    return found


def shared(energy, photons, centres):
    """Share lines between the two of ``centres`` they lie between: (n_T, n_centres), photons and mean energy kept."""
    total = np.zeros((photons.shape[0], len(centres)))
    if len(centres) == 1:
        return photons.sum(axis=1, keepdims=True)
    if len(centres):
        left = np.clip(np.searchsorted(centres, energy) - 1, 0, len(centres) - 2)
        part = np.clip((energy - centres[left]) / (centres[left + 1] - centres[left]), 0, 1)
        np.add.at(total.T, left, ((1 - part) * photons).T)
        np.add.at(total.T, left + 1, (part * photons).T)
    return total


def as_seen(energies):
    """Profiles in a CCD of lines at energies, at those where rows are checked: (n_lines, n_checked), 1 / keV."""
    return np.exp(-0.5 * ((CHECKED - energies[:, None]) / CCD) ** 2) / np.sqrt(2 * np.pi) / CCD


BINS = np.arange(LOWEST, HIGHEST + BIN, BIN)
PROFILES = as_seen(BINS)


def rows_of_ion(channels):
    """Gather the lines that electrons make of an ion into rows: {stage: (energies, photons of shape (n_T, n_rows))}.

    In the channels (by the stage that emits) rows are added, one at a time at the line that is worst put, until the
    spectrum of all together in a CCD is that of the lines.
    """
    warm = KT > FROM_KT
    binned = {stage: shared(energy, photons[warm], BINS) for stage, (energy, photons) in channels.items()}
    whole = sum(photons @ PROFILES for photons in binned.values())
    allowed = TOLERANCE * np.maximum(whole, FAINT * whole.max(axis=1, keepdims=True)) + 1e-60
    chosen = {stage: [] for stage in channels}
    put = dict.fromkeys(channels, np.zeros_like(whole))

    def spectrum(stage, bins):
        return shared(BINS, binned[stage], BINS[bins]) @ PROFILES[bins]

    while True:
        missing = whole - sum(put.values())
        t, at = np.unravel_index(np.argmax(np.abs(missing) / allowed), missing.shape)
        if np.abs(missing[t, at]) <= allowed[t, at]:
            break
        profile, badly = PROFILES[:, at], {}
        for stage, bins in chosen.items():
            now = np.interp(BINS, BINS[bins], profile[bins]) if bins else 0
            badly[stage] = binned[stage][t] * (profile - now) * np.sign(missing[t, at])
        stage = max(badly, key=lambda stage: badly[stage].max())
        chosen[stage] = sorted([*chosen[stage], int(np.argmax(badly[stage]))])
        put[stage] = spectrum(stage, chosen[stage])
    for stage in channels:  # rows that later ones have made needless, the weakest first
        for k in sorted(chosen[stage], key=lambda k: binned[stage][:, k].max()):
            fewer = [other for other in chosen[stage] if other != k]
            without = spectrum(stage, fewer)
            if np.all(np.abs(whole - sum(put.values()) + put[stage] - without) <= allowed):
                chosen[stage], put[stage] = fewer, without
    rows = {}
    for stage, bins in chosen.items():
        if bins:
            energy, rates = channels[stage]
            strength = np.max(rates / (rates.sum(axis=1, keepdims=True) + 1e-60), axis=0)
            near = [strength * (np.abs(energy - BINS[k]) < BIN) for k in bins]
            centres = np.array([np.sum(w * energy) / np.sum(w) for w in near])
            rows[stage] = centres, shared(energy, rates, centres)
    return rows


def transition(element, stage, energy, alpha):
    """Name a row: by its series for H- and He-like ions, by the shell where the line ends for the others."""
    electrons, ratio = CHARGES[element] + 1 - stage, energy / alpha
    if ratio < LOWEST_RATIO:
        return "L"
    if electrons > 2 or (electrons == 2 and 1.02 < ratio < 1.13):
        return "satellites"
    n = 2 + int(np.searchsorted([1.13, 1.22, 1.265], ratio))
    return f"{'Ly' if electrons == 1 else 'He'}-{SERIES[n - 2]}"


def line_rows(element):
    """All rows of an element's lines: (element, charge, ion, transition, energy, emissivities)."""
    found, z = lines_of_element(element), CHARGES[element]
    alphas = {}
    for stage in (z, z - 1):
        energy, photons = found[stage - 1, stage]
        alphas[stage] = energy[np.argmax(photons.max(axis=0))]
    rows = []
    for charge in sorted({charge for charge, _ in found}):
        channels = {stage: lines for (met, stage), lines in found.items() if met == charge}
        for stage, (energies, photons) in rows_of_ion(channels).items():
            alpha = alphas.get(stage, alphas[z - 1])
            for energy, emissivity in zip(energies, photons.T):
                name = transition(element, stage, energy, alpha)
                rows.append((element, charge, ROMAN[stage], name, energy, SOLAR[element] * emissivity))
    return rows


def k_rows():
    """Rows of the K lines that CHIANTI does not have: after the loss of a K electron, and after its way to the L shell.

    Excitation from 1s to 2p leaves an ion as the loss of a K electron leaves the one below, so that it shines as that.
    """
    rows, data = [], Table.read(FLUORESCENCE)
    for element in dict.fromkeys(data["element"]):
        energy, rate, _ = chianti.k_excitation(element, CHARGES[element] - 2)
        for ion in data[data["element"] == element]:
            charge, electrons = int(ion["charge"]), CHARGES[element] - ion["charge"]
            lost = SOLAR[element] * chianti.k_ionization(ion["edge"], 2)
            for name in ("K-alpha", "K-beta"):
                if ion[f"{name} yield"]:
                    emitted = lost * ion[f"{name} yield"]
                    rows.append((element, charge, ROMAN[charge + 2], name, ion[name], emitted))
            if electrons in HOLES and (element, charge + 1) not in EXCITED_BY_CHIANTI:
                scaled = rate * HOLES[electrons] / 6 * energy / ion["K-alpha"] * np.exp((energy - ion["K-alpha"]) / KT)
                emitted = SOLAR[element] * scaled * ion["K-alpha yield"]
                rows.append((element, charge + 1, ROMAN[charge + 2], "K-alpha", ion["K-alpha"], emitted))
    return rows


def recombination_rows(element, charge):
    """Find the steps of photon cm3 / (s keV) times E kT^1.5 exp((E - edge) / kT) at the edges of a recombining ion.

    Emission to one level above its edge goes nearly as exp(-(E - edge) / kT) / E (Kramers' cross-section, and
    detailed balance), so that the product is a constant, and the sum over levels a staircase.
    """
    recombining = ch.continuum(f"{element.lower()}_{charge + 1}", T, abundance="unity", em=1.0)
    electrons = CHARGES[element] - charge + 1
    shell = 1 if electrons < 3 else 2 if electrons < 11 else 3
    edges = [recombining.Ipr * EV] + [charge**2 * RYDBERG / n**2 for n in range(shell + 1, shell + 4)]
    edges = edges[: 1 + sum(edge > BAND for edge in edges)]  # edges below the band need no more than one step
    if edges[0] < FAINTEST_EDGE and element in METALS:
        return []
    heights = []
    for k, edge in enumerate(edges):
        energy = np.sqrt(max(edge, BAND) * (edges[k - 1] if k else 2 * max(edge, BAND)))
        wavelength = HC / energy
        # ChiantiPy takes two wavelengths or more
        recombining.freeBound(wavelength * np.array([1.0, 1.001]), includeAbund=False, includeIoneq=False)
        if "intensity" not in recombining.FreeBound:
            return []
        emitted = 4 * np.pi * recombining.FreeBound["intensity"][:, 0] * wavelength / energy
        photons = SOLAR[element] * emitted / (energy * u.keV).to_value(u.erg)
        heights.append(photons * energy * KT**1.5 * np.exp((energy - edge) / KT))
    rows = []
    for k, edge in enumerate(edges):
        lower = heights[k + 1] * np.exp((edges[k + 1] - edge) / KT) if k + 1 < len(edges) else 0.0
        step = np.maximum(heights[k] - lower, 0.0)
        if step.any():
            rows.append((element, charge, ROMAN[charge], "recombination", edge, step))
    return rows


def two_photon_rows(element, stage):
    """Rows of photons cm3 / s of the two-photon decay of an H- or He-like ion."""
    limit, photons = chianti.two_photon(element, stage)
    return [
        (element, charge, ROMAN[stage], "two-photon", limit, SOLAR[element] * rate) for charge, rate in photons.items()
    ]


def place(row):
    """Where a row comes in its table: by element, charge, ion and energy."""
    return METALS.index(row[0]), row[1], ROMAN.index(row[2]), row[4]


def write(path, rows, meta, *, overwrite):
    """Write rows of one emissivity per temperature."""
    element, charge, ion, name, energy, values = map(list, zip(*rows))
    values = [np.maximum(v, 1e-12 * np.max(v)) for v in values]
    values = np.array([[float(f"{x:.4g}") for x in v] for v in values])
    table = Table({"element": element, "charge": charge, "ion": ion, "transition": name})
    table["energy"] = np.round(energy, 4) * u.keV
    table["emissivity"] = values
    table.meta.update(meta, source=f"{DATABASE}: {PAPERS}", abundances=ABUNDANCES, solar=SOLAR)
    table.meta["emissivity"] = "column j at kT[j] (keV), per n_e n_H, at solar abundance, per unit fraction of the ion "
    table.meta["emissivity"] += "of this charge; at least 1e-12 of the peak"
    table.meta["kT"] = [float(f"{x:.6g}") for x in KT]
    with complete_or_nothing(path, overwrite=overwrite) as temporary:
        table.write(temporary, format="ascii.ecsv", overwrite=True)


def check():
    """Print CHIANTI's K excitation of iron, and its yields, next to what `k_rows` has."""
    energy, rate, _ = chianti.k_excitation("Fe", 24)
    data = Table.read(FLUORESCENCE)
    print("ion      excitation (1e-13 cm3 / s): CHIANTI  scaled   yield: CHIANTI  Kaastra & Mewe")  # noqa: T201
    for ion in data[(data["element"] == "Fe") & (data["charge"] > 15)]:
        stage, holes = int(ion["charge"]) + 2, HOLES[CHARGES["Fe"] - ion["charge"]]
        _, own, photons = chianti.k_excitation("Fe", stage)
        scaled = rate * holes / 6 * energy / ion["K-alpha"] * np.exp((energy - ion["K-alpha"]) / KT)
        numbers = own[chianti.HOT] * 1e13, scaled[chianti.HOT] * 1e13, photons, ion["K-alpha yield"]
        print(f"Fe {ROMAN[stage]:6}", *(f"{number:18.2f}" for number in numbers))  # noqa: T201


def main():
    """Write the tables into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--overwrite", action="store_true")
    parser.add_argument("--check", action="store_true", help="compare K lines of iron with CHIANTI's, write nothing")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # ChiantiPy's own
    if options.check:
        check()
        return
    lines = [row for element in METALS for row in line_rows(element)] + k_rows()
    for name, elements in FILES.items():
        chosen = sorted((row for row in lines if row[0] in elements), key=place)
        write(options.folder / f"{name}.ecsv", chosen, LINES, overwrite=options.overwrite)
    continuum = []
    for element, z in CHARGES.items():
        for charge in range(1, z + 1):
            continuum += recombination_rows(element, charge)
        for stage in (z - 1, z) if element in METALS else ():
            continuum += two_photon_rows(element, stage)
    write(options.folder / "ion_continuum.ecsv", continuum, CONTINUUM, overwrite=options.overwrite)


if __name__ == "__main__":
    main()
