"""Fractions of ions in a plasma that ionizes or recombines, from rates of collisions with thermal electrons."""

from dataclasses import dataclass
from functools import cache

import astropy.units as u
import numpy as np
from scipy.interpolate import CubicSpline
from scipy.linalg.lapack import zgtsv

from ..data import read_table

__all__ = []

_NODES = 18  # of the contour; the error of a fraction is below 1e-6
_AT_ONCE = 300_000  # unknowns of one system of equations


def fractions(element, kT, tau, initial_kT=None, average=False):
    """Fractions of an element's ions, for plain arrays: shape, units and range are not checked.

    Parameters
    ----------
    element : str
    kT, tau : array
        Shape (n,): keV, and s / cm3, infinite for equilibrium.
    initial_kT : array or None
        Shape (n,), keV: of the equilibrium at the start. None is singly ionized.
    average : bool
        Mean over ``tau`` from 0 to what is given.

    Returns
    -------
    array
        Shape (n, Z + 1), by charge.
    """
    rates = _rates(element)
    lasting = np.isinf(tau)
    if lasting.all():
        return rates.equilibrium(kT)
    start = np.zeros((kT.size, rates.charge + 1))
    if initial_kT is None:
        start[:, 1] = 1.0
    else:
        start[:] = rates.equilibrium(initial_kT)
    rows = max(1, _AT_ONCE // (_NODES // 2 * (rates.charge + 1)))
    parts = [slice(first, first + rows) for first in range(0, kT.size, rows)]
    tau_or_0 = np.where(lasting, 0.0, tau)
    evolved = np.concatenate([_evolved(*rates(kT[p]), tau_or_0[p], start[p], average) for p in parts])
    if lasting.any():
        evolved[lasting] = rates.equilibrium(kT[lasting])
    return evolved


@dataclass(frozen=True)
class _Rates:
    """Rate coefficients of an element, cm3 / s: ionization of charges 0 to Z - 1, recombination of 1 to Z."""

    threshold: np.ndarray
    logarithms: CubicSpline

    @property
    def charge(self):
        return self.threshold.size

    def __call__(self, kT):
        ionization, recombination = np.split(np.exp(self.logarithms(np.log(kT))), 2, axis=1)
        return ionization * np.exp(-self.threshold / kT[:, None]), recombination

    def equilibrium(self, kT):
        """Fractions in equilibrium, where as many ions of a charge are made as are ionized."""
        ionization, recombination = np.split(self.logarithms(np.log(kT)), 2, axis=1)
        ratio = ionization - recombination - self.threshold / kT[:, None]
        logarithm = np.concatenate([np.zeros((kT.size, 1)), np.cumsum(ratio, axis=1)], axis=1)
        population = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
        return population / population.sum(axis=1, keepdims=True)


@cache
def _table():
    return read_table("ionization")


@cache
def _rates(element):
    table = _table()
    rows = table[table["element"] == element]
    both = np.concatenate([rows["ionization"].value, rows["recombination"].value]).astype(float)
    return _Rates(rows["threshold"].to_value(u.keV), CubicSpline(np.log(table.meta["kT"]), np.log(both).T))


@cache
def _contour():
    """Nodes z and weights w with exp(x) = Re sum w / (z - x) for every x from -infinity to 0.

    Talbot's contour as Trefethen, Weideman & Schmelzer (2006, BIT 46, 653) make it as good as can be.
    """
    angle = np.arange(1, _NODES, 2) * np.pi / _NODES
    turned = 0.6407 * angle
    z = _NODES * (0.5017 * angle / np.tan(turned) - 0.6122 + 0.2645j * angle)
    slope = 0.5017 / np.tan(turned) - 0.5017 * turned / np.sin(turned) ** 2 + 0.2645j
    return z[:, None, None], -2j * np.exp(z) * slope


def _evolved(ionization, recombination, tau, start, average):
    """Multiply a start by exp(M tau), or by its mean from 0 to tau, M the matrix of the rates.

    By the integral of exp(z) (z - M tau)^-1 around all eigenvalues, which are none above 0; that of exp(z) / z is the
    mean. M is tridiagonal: each node needs one solution of such a system. Eigenvectors of M would cancel to nothing.
    """
    z, weight = _contour()
    up, down = ionization * tau[:, None], recombination * tau[:, None]
    shape = (z.size, *start.shape)
    diagonal, lower, upper = np.empty(shape, complex), np.zeros(shape, complex), np.zeros(shape, complex)
    diagonal[:] = z
    diagonal[..., :-1] += up
    diagonal[..., 1:] += down
    lower[..., :-1] = -up
    upper[..., :-1] = -down
    right = np.broadcast_to(start, shape).ravel()
    solution = zgtsv(lower.ravel()[:-1], diagonal.ravel(), upper.ravel()[:-1], right)[3].reshape(z.size, -1)
    if average:
        weight = weight / z.ravel()
    evolved = np.maximum((weight @ solution).real.reshape(start.shape), 0.0)
    return evolved / evolved.sum(axis=1, keepdims=True)
