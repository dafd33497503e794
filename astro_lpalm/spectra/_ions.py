"""What each ion of a hot plasma emits, ready to be evaluated for many draws at once."""

from dataclasses import dataclass
from functools import cache

import astropy.units as u
import numpy as np
from astropy.table import vstack
from scipy.interpolate import CubicSpline

from ..data import read_table
from ._plasma import gaunt_table, place

__all__ = ["ELEMENTS", "IONS_OF", "Emissivities", "continuum_table", "gaunt_factors", "line_table"]

_CHARGES = {
    "H": 1,
    "He": 2,
    "C": 6,
    "N": 7,
    "O": 8,
    "Ne": 10,
    "Mg": 12,
    "Si": 14,
    "S": 16,
    "Ar": 18,
    "Ca": 20,
    "Fe": 26,
    "Ni": 28,
}

ELEMENTS = tuple(_CHARGES)
"""What a plasma is made of."""

IONS_OF = np.array(list(_CHARGES.values())) + 1
"""How many ions each has, with the neutral atom."""

_FIRST = np.cumsum(IONS_OF) - IONS_OF  # in arrays of all ions by charge, one element after another

_OWNER = np.repeat(np.arange(len(ELEMENTS)), IONS_OF)
_ION_CHARGE = np.arange(len(_OWNER)) - _FIRST[_OWNER]
_RYDBERG = u.Ry.to(u.keV)
_LEAST_CHARGE2 = 1e-3  # mean square charge: below, a gas has no bremsstrahlung to speak of


@dataclass(frozen=True)
class Emissivities:
    """Rows of a table of emissivities against the temperature of the electrons.

    Attributes
    ----------
    ions : array of int
        Shape (rows,): the ion that electrons meet, whose amount the row is multiplied by, in an array of all ions.
    energies : array
        Shape (rows,), keV: of a line, an edge, or the most that one of two photons takes.
    is_two_photon : array of bool
        Shape (rows,).
    log_kT : array
        Logarithms of the tabulated temperatures in keV.
    log_emissivity : `scipy.interpolate.CubicSpline`
        Logarithm of the emissivities, of the logarithm of kT.
    """

    ions: np.ndarray
    energies: np.ndarray
    is_two_photon: np.ndarray
    log_kT: np.ndarray
    log_emissivity: CubicSpline

    def strength(self, kT, amounts):
        """Emissivities of shape (n, rows).

        Logarithms are interpolated by cubic splines between the tabulated temperatures; beyond, they are power laws of
        kT.

        Parameters
        ----------
        kT : array
            Shape (n,), keV.
        amounts : array
            Of all ions, shape (n, ions): the abundance of the element over solar times the fraction of the ion.
        """
        x = np.log(kT)
        inside = np.clip(x, self.log_kT[0], self.log_kT[-1])
        logarithm = self.log_emissivity(inside)
        if not np.array_equal(x, inside):
            logarithm = logarithm + self.log_emissivity(inside, 1) * (x - inside)[:, np.newaxis]
        return np.exp(logarithm) * amounts[:, self.ions]


@cache
def _emissivities(*names):
    tables = [read_table(name) for name in names]
    table, log_kT = vstack(tables, metadata_conflicts="silent"), np.log(tables[0].meta["kT"])
    return Emissivities(
        ions=_FIRST[[ELEMENTS.index(element) for element in table["element"]]] + np.array(table["charge"]),
        energies=table["energy"].to_value(u.keV),
        is_two_photon=np.array(table["transition"]) == "two-photon",
        log_kT=log_kT,
        log_emissivity=CubicSpline(log_kT, np.log(np.array(table["emissivity"].value, dtype=float).T)),
    )


def line_table():
    """Emissivities of the lines, photon cm3 / s."""
    return _emissivities("ion_lines", "ion_lines_iron")


def continuum_table():
    """Emissivities of two-photon decay, photon cm3 / s, and steps of the recombination continuum.

    A step is photon cm3 / (s keV) times E kT^1.5 exp((E - edge) / kT), above the edge (keV).
    """
    return _emissivities("ion_continuum")


def gaunt_factors(energy, kT, amounts):
    """Sum of n Z^2 over all ions, each element's times its thermally averaged free-free Gaunt factor: shape (n, m).

    Sutherland (1998, MNRAS 300, 321), interpolated in log gamma^2 = log(Z^2 Ry / kT) and log u = log(E / kT), at the
    mean square charge of an element's ions.

    Parameters
    ----------
    energy : array
        Shape (m,), keV.
    kT : array
        Shape (n,), keV.
    amounts : array
        See `Emissivities.strength`.
    """
    log_gamma2, log_u, table = gaunt_table()
    kT = kT[:, np.newaxis]
    z2 = np.add.reduceat(amounts * _ION_CHARGE**2, _FIRST, axis=1)
    mean = z2 / np.maximum(np.add.reduceat(amounts, _FIRST, axis=1), 1e-300)
    i, f = place(np.log10(np.maximum(mean, _LEAST_CHARGE2) * _RYDBERG / kT), log_gamma2)
    weight = z2 * _solar()
    total = np.einsum("ne,neu->nu", weight * (1 - f), table[i]) + np.einsum("ne,neu->nu", weight * f, table[i + 1])
    i, f = place(np.log10(energy) - np.log10(kT), log_u)
    rows = np.arange(len(kT))[:, np.newaxis]
    return total[rows, i] * (1 - f) + total[rows, i + 1] * f


@cache
def _solar():
    """Abundances per hydrogen atom that the tables are made for (Anders & Grevesse 1989)."""
    solar = read_table("ion_lines").meta["solar"]
    return np.array([solar[element] for element in ELEMENTS])
