"""Lines and two-photon decays of single ions by CHIANTI, each per unit fraction of the ion that an electron meets.

Used by ``ion_tables.py``. ChiantiPy reads the database and gives rates; the levels are solved here, because its own
solution ties the ions together by their equilibrium. Below about 1e8 electrons / cm3 populations are linear in what
feeds them: electrons that excite the ion itself, that recombine with the ion above (radiative and dielectronic), and
that ionize an inner shell of the ion below.
"""

from pathlib import Path

import astropy.units as u
import ChiantiPy.core as ch
import ChiantiPy.tools.io as chio
import ChiantiPy.tools.util as util
import numpy as np
from astropy.constants import Ryd, c, h, k_B, m_e
from scipy.interpolate import PchipInterpolator
from scipy.special import exp1

LOG_T = np.arange(58, 91) / 10  # K
T = 10**LOG_T
KT = (k_B * T * u.K).to_value(u.keV)
HC = (h * c).to_value(u.keV * u.AA)
CHARGES = {"H": 1, "He": 2, "C": 6, "N": 7, "O": 8, "Ne": 10, "Mg": 12, "Si": 14, "S": 16, "Ar": 18, "Ca": 20}
CHARGES |= {"Fe": 26, "Ni": 28}
RYDBERG = (Ryd * h * c).to_value(u.keV)
PER_CM = (h * c).to_value(u.keV * u.cm)  # keV of a wave number
EV = 1e-3  # keV
HOT = 20  # the temperature, 5.4 keV, at which levels are weighted where a mean is taken
PROTONS = 0.83  # per electron
LOTZ = 3.0e-6  # cm3 / s eV^1.5: 6.7e7 times the 4.5e-14 cm2 eV2 of the cross-section (Lotz 1968, Z. Physik 216, 241)
AUTOIONIZATION = 1e10  # 1 / s; of levels above the ionization limit for which CHIANTI has none
AR_XVII = ((15, 17), (29, 31), (43, 49))  # levels from n 1P1 on, for n = 3, 4, 5
# CHIANTI 10.1 has the radiative rates of Ar XVII in another order of levels than all else: 1P1 last of each n
MISPLACED = {("Ar", 17, k): first if k == last else k + 1 for first, last in AR_XVII for k in range(first, last + 1)}
# h^3 / (2 pi m k T)^1.5 of detailed balance, cm3
SAHA = ((h**2 / (2 * np.pi * m_e * k_B * T * u.K)) ** 1.5).to_value(u.cm**3)


def exists(element, stage):
    """Whether the database has levels and collision strengths of an ion."""
    name = util.ion2filename(f"{element.lower()}_{stage}")
    return all(Path(f"{name}.{kind}").is_file() for kind in ("elvlc", "wgfa", "scups"))


def chianti_ion(element, stage):
    """ChiantiPy's ion, at one electron / cm3."""
    ion = ch.ion(f"{element.lower()}_{stage}", T, eDensity=1.0, pDensity=PROTONS, abundance="unity", em=1.0)
    for level in ("lvl1", "lvl2"):
        ion.Wgfa[level] = [MISPLACED.get((element, stage, k), k) for k in ion.Wgfa[level]]
    return ion


def transitions(ion):
    """Rates of the ion's levels among themselves (n_T, n, n), 1 / s: to the first from the second."""
    n = ion.Nlvls
    rates = np.zeros((n, n))
    lower, upper = (np.array(ion.Wgfa[level]) - 1 for level in ("lvl1", "lvl2"))
    np.add.at(rates, (lower, upper), ion.Wgfa["avalue"])
    np.add.at(rates, (upper, upper), -np.array(ion.Wgfa["avalue"]))
    if ion.Nauto:
        upper = np.array(ion.Auto["lvl2"]) - 1
        np.add.at(rates, (upper, upper), -np.array(ion.Auto["avalue"]))
        # 1s2s2p 4P5/2 of Li-like ions has no rate of autoionization in CHIANTI, and would end, slowly, in 3d
        stuck = np.flatnonzero((level_energies(ion)[:n] > ion.Ip * EV) & (-np.diagonal(rates) < AUTOIONIZATION / 10))
        rates[stuck, stuck] -= AUTOIONIZATION
    rates = np.repeat(rates[None], T.size, axis=0)
    ion.upsilonDescale()
    collisions = [(ion.Upsilon, 1.0)]
    if ion.Npsplups:
        ion.upsilonDescale(prot=1)
        collisions.append((ion.PUpsilon, PROTONS))
    every = np.arange(T.size)[:, None]
    for data, density in collisions:
        lower, upper = (np.array(data[level]) - 1 for level in ("lvl1", "lvl2"))
        up, down = (density * np.array(data[rate]).T for rate in ("exRate", "dexRate"))
        np.add.at(rates, (every, upper, lower), up)
        np.add.at(rates, (every, lower, lower), -up)
        np.add.at(rates, (every, lower, upper), down)
        np.add.at(rates, (every, upper, upper), -down)
    return rates


def tabulated(ion, kind):
    """Rates into levels (n_T, n), cm3 / s, of a file of the database: zero where there is none."""
    rates = np.zeros((T.size, ion.Nlvls))
    if not Path(f"{util.ion2filename(ion.IonStr)}.{kind}").is_file():
        return rates
    table = chio.cireclvlRead(ion.IonStr, filetype=kind)
    for k in np.flatnonzero((table["lvl1"] == 1) & (table["lvl2"] <= ion.Nlvls)):
        given = slice(table["ntemp"][k])
        x, y = table["temperature"][k, given], table["rate"][k, given]
        x, y = x[y > 0], np.log(y[y > 0])
        if y.size < 2:
            continue
        # ionization goes as exp(-1/T) beyond the table, recombination as a power of T
        scale = (lambda t: -1 / t) if kind == "cilvl" else np.log
        x, wanted = scale(x), scale(T)
        inside = np.clip(wanted, x[0], x[-1])
        curve = PchipInterpolator(x, y)
        rates[:, table["lvl2"][k] - 1] += np.exp(curve(inside) + curve(inside, 1) * (wanted - inside))
    return rates


def hydrogenic(element, ion):
    """Rates of radiative recombination of the bare nucleus into levels (n_T, n), cm3 / s.

    Integrals of CHIANTI's free-bound emission of each shell, shared among its levels by their weight; what goes to
    shells beyond those of the ion, by the total rate, is put into the highest.
    """
    recombining = ch.continuum(f"{element.lower()}_{ion.Ion + 1}", T, abundance="unity", em=1.0)
    shells = np.array([int(conf[0]) for conf in ion.Elvlc["term"]])[: ion.Nlvls]
    names = np.array(ion.Elvlc["term"])[: ion.Nlvls]
    weight = np.array(ion.Elvlc["mult"], dtype=float)[: ion.Nlvls]
    rates = np.zeros((T.size, ion.Nlvls))
    for shell in range(1, shells.max() + 1):
        edge = ion.Ip * EV / shell**2
        energy = edge * (1 + 1e-3) + np.geomspace(1e-4 * KT[0], 40 * KT[-1], 600)
        recombining.freeBound(HC / energy, includeAbund=False, includeIoneq=False)
        for k in np.flatnonzero(np.array(recombining.rFblvl["pqn"]) == shell):
            emitted = 4 * np.pi * recombining.FreeBound["fbn"][k] * HC / energy**2  # of the unit of energy
            total = np.trapezoid(emitted / (energy * u.keV).to_value(u.erg), energy, axis=1)
            mine = names == recombining.rFblvl["conf"][k]
            rates[:, mine] += total[:, None] * weight[mine] / weight[mine].sum()
    bare = ch.ion(f"{element.lower()}_{ion.Ion + 1}", T, setup=False)
    bare.recombRate()
    beyond = np.maximum(bare.RecombRate["rate"] - rates.sum(axis=1), 0)
    highest = shells == shells.max()
    rates[:, highest] += beyond[:, None] * weight[highest] / weight[highest].sum()
    return rates


def k_ionization(edge, electrons):
    """Rate (n_T) at which electrons knock K electrons out of an ion, cm3 / s, by Lotz's formula; edge in keV."""
    return LOTZ * electrons * exp1(edge / KT) / (edge / EV * np.sqrt(KT / EV))


def k_loss(element, ion):
    """Rates into 1s2s of a He-like ion (n_T, n), cm3 / s, as the Li-like one loses a K electron: 3 to 1 triplet."""
    rates = np.zeros((T.size, ion.Nlvls))
    below = ch.ion(f"{element.lower()}_{ion.Ion - 1}", T, setup=False).Ip * EV
    for k, (term, spin) in enumerate(zip(ion.Elvlc["term"][: ion.Nlvls], ion.Elvlc["spin"])):
        if term == "1s.2s":
            rates[:, k] = spin / 4 * k_ionization(below + level_energies(ion)[k], 2)
    return rates


def k_excitation(element, stage):
    """Find the mean energy (keV), rate (n_T, cm3 / s) and yield of photons of all excitation from 1s to the L shell."""
    ion = chianti_ion(element, stage)
    ion.upsilonDescale()
    lower, upper = (np.array(ion.Upsilon[level]) - 1 for level in ("lvl1", "lvl2"))
    energy, edge = level_energies(ion), CHARGES[element] ** 2 * RYDBERG
    chosen = (lower == 0) & (energy[upper] > 0.6 * edge) & (energy[upper] < 0.78 * edge)  # 3/4 of the edge, screened
    rates, upper = np.array(ion.Upsilon["exRate"])[chosen], upper[chosen]
    radiative, autoionizing = (
        np.bincount(np.array(data["lvl2"]) - 1, data["avalue"], energy.size)[upper] for data in (ion.Wgfa, ion.Auto)
    )
    total = rates.sum(axis=0)
    photons = rates[:, HOT] @ (radiative / (radiative + autoionizing)) / total[HOT]
    return np.average(energy[upper], weights=rates[:, HOT]), total, photons


def dielectronic(ion, ground_weight):
    """Rates of dielectronic capture from the ground of the ion above into levels (n_T, n), cm3 / s."""
    rates = np.zeros((T.size, ion.Nlvls))
    if ion.Nauto:
        weight, energy = np.array(ion.Elvlc["mult"], dtype=float), level_energies(ion)
        for target, level, rate in zip(ion.Auto["lvl1"], ion.Auto["lvl2"], ion.Auto["avalue"]):
            if target == 1:
                above = energy[level - 1] - ion.Ip * EV
                rates[:, level - 1] += SAHA * weight[level - 1] / (2 * ground_weight) * rate * np.exp(-above / KT)
    return rates


def level_energies(ion):
    """Energies of the levels, keV: observed, or else theoretical."""
    observed, theory = (np.array(ion.Elvlc[kind]) for kind in ("ecm", "ecmth"))
    return PER_CM * np.where(observed < 0, theory, observed)


def solve(rates, feeding=None):
    """Find populations (n_T, n): of an ion, or, where levels are fed from outside, per unit of those that feed."""
    matrix, right = rates.copy(), np.zeros(rates.shape[:2])
    if feeding is None:
        matrix[:, 0, :], right[:, 0] = 1, 1
    else:
        matrix[:, 0, :], matrix[:, 0, 0] = 0, 1
        right[:, 1:] = -feeding[:, 1:]
    return np.maximum(np.linalg.solve(matrix, right[..., None])[..., 0], 0)


def populations(element, ion):
    """Find populations (n_T, n) of an ion's levels, by the charge of the ion that an electron meets."""
    rates, stage = transitions(ion), ion.Ion
    if stage == CHARGES[element]:
        recombined = hydrogenic(element, ion)
    else:
        recombined = tabulated(ion, "rrlvl" if ion.Nrrlvl else "reclvl")
    feeding = {
        stage: recombined + dielectronic(ion, ground_weight(element, stage + 1)),
        stage - 2: k_loss(element, ion) if stage == CHARGES[element] - 1 else tabulated(ion, "cilvl"),
    }
    found = {stage - 1: solve(rates)}
    return found | {charge: solve(rates, rate) for charge, rate in feeding.items() if rate[:, 1:].any()}


def ground_weight(element, stage):
    """Statistical weight of an ion's ground level."""
    if stage > CHARGES[element]:
        return 1
    return chio.elvlcRead(f"{element.lower()}_{stage}")["mult"][0]


def ion_lines(element, stage, lowest, highest):
    """Find the lines of an ion in a range of energies (keV).

    Returns their energies, and their photons (n_T, n_lines), cm3 / s, by the charge of the ion that an electron meets.
    """
    ion = chianti_ion(element, stage)
    energy, rate = HC / np.maximum(np.abs(ion.Wgfa["wvl"]), 1e-9), np.array(ion.Wgfa["avalue"])
    wanted = (energy > lowest) & (energy < highest)  # two-photon decays have no wavelength, and no place here
    if not wanted.any():
        return energy[wanted], {}
    upper = np.array(ion.Wgfa["lvl2"])[wanted] - 1
    found = populations(element, ion)
    return energy[wanted], {charge: levels[:, upper] * rate[wanted] for charge, levels in found.items()}


def two_photon(element, stage):
    """Find the two-photon decay of an H- or He-like ion.

    Returns the energy of the level (keV), and photons (n_T), cm3 / s, two a decay, by the charge of the ion that an
    electron meets.
    """
    ion = chianti_ion(element, stage)
    k = np.argmax((np.array(ion.Wgfa["wvl"]) == 0) & (np.array(ion.Wgfa["lvl1"]) == 1))
    level, rate = ion.Wgfa["lvl2"][k] - 1, 2 * ion.Wgfa["avalue"][k]
    found = populations(element, ion)
    return level_energies(ion)[level], {charge: rate * levels[:, level] for charge, levels in found.items()}
