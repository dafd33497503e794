"""Tables of the thermal plasma, ready to be evaluated for many draws at once."""

from dataclasses import dataclass
from functools import cache

import astropy.units as u
import numpy as np
from scipy.interpolate import PchipInterpolator

from ..data import read_table

__all__ = [
    "ELEMENTS",
    "Emissivities",
    "continuum_table",
    "gaunt_factors",
    "gaunt_table",
    "line_table",
    "place",
    "two_photon_shape",
]

ELEMENTS = ("H", "He", "O", "Ne", "Mg", "Si", "S", "Ar", "Ca", "Fe")
_CHARGE = dict(zip(ELEMENTS, (1, 2, 8, 10, 12, 14, 16, 18, 20, 26)))
_RYDBERG = u.Ry.to(u.keV)
_TWO_PHOTON_NORM = 0.08144613  # integral over y of the fit to the shape


@dataclass(frozen=True)
class Emissivities:
    """Rows of a table of emissivities against temperature.

    Attributes
    ----------
    elements : array of str
        Shape (rows,).
    energies : array
        Shape (rows,), keV: of a line, an edge, or the most that one of two photons takes.
    is_two_photon : array of bool
        Shape (rows,).
    log_kT : array
        Logarithms of the tabulated temperatures in keV.
    log_emissivity : `scipy.interpolate.PchipInterpolator`
        Logarithm of the emissivities, of the logarithm of kT.
    """

    elements: np.ndarray
    energies: np.ndarray
    is_two_photon: np.ndarray
    log_kT: np.ndarray
    log_emissivity: PchipInterpolator

    def strength(self, kT, amounts):
        """Emissivities of shape (..., rows), at abundances ``amounts`` over solar.

        Monotone cubic interpolation of logarithms between the tabulated temperatures; a power law of kT beyond.
        """
        x = np.log(np.asarray(kT, dtype=float))
        inside = np.clip(x, self.log_kT[0], self.log_kT[-1])
        logarithm = self.log_emissivity(inside)
        if not np.array_equal(x, inside):
            logarithm = logarithm + self.log_emissivity(inside, 1) * (x - inside)[..., None]
        columns = [np.asarray(amounts[element], dtype=float) for element in self.elements]
        return np.exp(logarithm) * np.stack(np.broadcast_arrays(*columns), axis=-1)


@cache
def _emissivities(name):
    table = read_table(name)
    log_kT = np.log(table.meta["kT"])
    return Emissivities(
        elements=np.array(table["element"]),
        energies=table["energy"].to_value(u.keV),
        is_two_photon=np.array(table["transition"]) == "two-photon",
        log_kT=log_kT,
        log_emissivity=PchipInterpolator(log_kT, np.log(np.array(table["emissivity"].value, dtype=float).T)),
    )


def line_table():
    """Emissivities of the lines, photon cm3 / s."""
    return _emissivities("lines")


def continuum_table():
    """Emissivities of two-photon decay, photon cm3 / s, and steps of the recombination continuum.

    A step is photon cm3 / (s keV) times E kT^1.5 exp((E - edge) / kT), above the edge (keV).
    """
    return _emissivities("continuum")


def two_photon_shape(y):
    """Distribution of the photons of a two-photon decay over y, the share that one takes of the energy.

    Nussbaumer & Schmutz (1984, A&A 138, 495), eq. 2, for hydrogen, used for all H- and He-like ions; its integral is 1.
    """
    shape, inside = np.zeros_like(y), (y > 0) & (y < 1)
    w = y[inside] * (1 - y[inside])
    steep = (4 * w) ** 0.8
    shape[inside] = (w * (1 - steep) + 0.88 * w**1.53 * steep) / _TWO_PHOTON_NORM
    return shape


@cache
def gaunt_table():
    """Logarithms of gamma^2 and of u, and the Gaunt factors of Sutherland (1998) between them."""
    table = read_table("gaunt")
    return np.array(table["log_gamma2"], float), np.array(table.meta["log_u"]), np.array(table["gaunt"], float)


def gaunt_factors(energy, kT, amounts):
    """Sum of n Z^2 over the elements, each times its thermally averaged free-free Gaunt factor.

    Sutherland (1998, MNRAS 300, 321), interpolated in log gamma^2 = log(Z^2 Ry / kT) and log u = log(E / kT).
    """
    log_gamma2, log_u, table = gaunt_table()
    solar = _solar()
    total = 0.0
    for element, amount in amounts.items():
        z2 = _CHARGE[element] ** 2
        i, f = place(np.log10(z2 * _RYDBERG / np.asarray(kT)), log_gamma2)
        gaunt = table[i] * (1 - f)[..., None] + table[i + 1] * f[..., None]
        total = total + z2 * solar[element] * np.asarray(amount, dtype=float)[..., None] * gaunt
    i, f = place(np.log10(energy) - np.log10(kT), log_u)
    start = np.arange(total[..., 0].size).reshape(total.shape[:-1]) * log_u.size + i
    flat = total.ravel()
    return flat[start] * (1 - f) + flat[start + 1] * f


def place(values, grid):
    """Index of the interval, and fraction of it, on an equally spaced grid; beyond its ends the last interval's."""
    position = (values - grid[0]) / (grid[1] - grid[0])
    index = np.clip(position.astype(int), 0, grid.size - 2)
    return index, position - index


@cache
def _solar():
    """Abundances per hydrogen atom that the tables are made for (Anders & Grevesse 1989)."""
    return read_table("lines").meta["solar"]
