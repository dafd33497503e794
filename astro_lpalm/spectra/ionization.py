"""Fractions of ions in a plasma that ionizes or recombines, from rates of collisions with thermal electrons."""

from functools import cache

import astropy.units as u
import numpy as np
from scipy.interpolate import CubicSpline
from scipy.linalg.lapack import zgtsv

from .._text import shown
from ..data import read_table

__all__ = ["ion_fractions"]

_NODES = 18  # of the contour, half of them needed; the error of a fraction is below 2e-6
_AT_ONCE = 100_000  # unknowns of one system of equations
_NEVER = -700.0  # logarithm of a rate: from one element to the next
_LONG = 1e20  # s / cm3; every ion is in equilibrium, and farther on numbers would overflow


def ion_fractions(element, kT, tau=None, *, initial_kT=None, average=False):
    """Fractions of an element's ions in a plasma that is heated or cooled at once, and then left at one temperature.

    The ions follow df / d(n_e t) = M(kT) f, M being made of the rates at which electrons ionize them and recombine with
    them, of CHIANTI 10.1; ``read_table("ionization")`` says where these come from.

    Parameters
    ----------
    element : str
        H, He, C, N, O, Ne, Mg, Si, S, Ar, Ca, Fe or Ni.
    kT : float or `~astropy.units.Quantity`
        Temperature of the electrons, 0.01 to 100 keV; or an array, as those that follow.
    tau : float or `~astropy.units.Quantity`, optional
        Density of electrons times the time since, n_e t, in s / cm3. If None or infinite, equilibrium.
    initial_kT : float or `~astropy.units.Quantity`, optional
        Temperature, keV, of the equilibrium from which the plasma comes: it recombines if that is above ``kT``. If
        None, all ions are singly ionized at the start, as those of gas that a shock has met.
    average : bool, optional
        Mean of the fractions over n_e t from 0 to ``tau``, as behind a plane shock, where each has as much plasma as
        any other.

    Returns
    -------
    fractions : array
        Shape (..., Z + 1), the shapes of ``kT``, ``tau`` and ``initial_kT`` broadcast before it: by charge, the neutral
        one first. Their sum is 1.

    Raises
    ------
    ValueError
        If there are no rates of the element, a temperature is outside their range, ``tau`` is negative, or shapes do
        not go together.
    `~astropy.units.UnitConversionError`
        If a unit is not one of energy, or of density times time.

    Notes
    -----
    Rates are interpolated to 0.4 %, fractions to 0.001 of those of CHIANTI's own rates. The matrix exponential is exact
    to 2e-6: a contour integral (Trefethen, Weideman & Schmelzer 2006, BIT 46, 653).

    Examples
    --------
    Oxygen that a shock has heated is He-like after 1e10 s / cm3, and bare in equilibrium:

    >>> import astropy.units as u
    >>> from astro_lpalm.spectra import ion_fractions
    >>> print(ion_fractions("O", 1.0 * u.keV, [1e10, 1e11, float("inf")] * u.s / u.cm**3)[:, 6:].round(2))
    [[0.46 0.47 0.07]
     [0.   0.09 0.91]
     [0.   0.01 0.99]]
    """
    table = _read_table("ionization")
    known = list(dict.fromkeys(table["element"]))
    if element not in known:
        msg = f"there are no rates of the element {shown(element)}; choose one of {', '.join(known)}."
        raise ValueError(msg)
    lowest, *_, highest = table.meta["kT"]
    given = {"kT": _checked("kT", kT, u.keV, lowest, highest)}
    given["tau"] = _checked("tau", np.inf if tau is None else tau, u.s / u.cm**3, 0, np.inf)
    if initial_kT is not None:
        given["initial_kT"] = _checked("initial_kT", initial_kT, u.keV, lowest, highest)
    try:
        arrays = np.broadcast_arrays(*given.values())
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in given.items())
        msg = f"the shapes do not broadcast: {shapes}; give numbers, or arrays of shapes that do."
        raise ValueError(msg) from None
    result = fractions(element, *(array.ravel() for array in arrays), average=average)
    return result.reshape(*arrays[0].shape, -1)


def _checked(name, value, unit, low, high):
    """Plain array in a unit, of values from low to high."""
    try:
        value = u.Quantity(value, unit, dtype=float).value
    except u.UnitConversionError as error:
        msg = f"{name}: {error}; give it in {unit}, or as plain numbers, which are taken to be."
        raise u.UnitConversionError(msg) from None
    wrong = value[~((value >= low) & (value <= high))]  # not-a-number too
    if wrong.size:
        allowed = f"be {low:g} {unit} or more" if np.isinf(high) else f"lie in {low:g} to {high:g} {unit}"
        msg = f"{name} is {wrong[0]:g} {unit}; it must {allowed}."
        raise ValueError(msg)
    return value


def fractions(element, kT, tau, initial_kT=None, average=False):
    """Fractions of the ions of one or more elements: `ion_fractions` for plain arrays that are checked already.

    Parameters
    ----------
    element : str or tuple of str
    kT, tau : array
        Shape (n,): keV, and s / cm3, infinite for equilibrium.
    initial_kT : array or None
        Shape (n,), keV: of the equilibrium at the start. None, or 0, is singly ionized; a `ValueError` says so if one
        is below the lowest temperature with rates.
    average : bool
        Mean over ``tau`` from 0 to what is given.

    Returns
    -------
    array
        Shape (n, Z + 1), by charge; elements one after another.
    """
    ions = _ions((element,) if isinstance(element, str) else element)
    lasting = tau > _LONG
    if lasting.all():
        return ions.equilibrium(kT)
    start = np.tile(ions.singly_ionized, (kT.size, 1))
    if initial_kT is not None and (warm := initial_kT > 0).any():
        lowest = ions.kT[0]
        if (cold := warm & (initial_kT < lowest)).any():
            msg = (
                f"initial_kT is {initial_kT[cold][0]:g} keV; it must be 0, for singly ionized atoms, or {lowest:g} keV "
                "or more, where there are rates."
            )
            raise ValueError(msg)
        start[warm] = ions.equilibrium(initial_kT[warm])
    rows = max(1, _AT_ONCE // (_NODES // 2 * start.shape[1]))
    parts = [slice(first, first + rows) for first in range(0, kT.size, rows)]
    finite = np.where(lasting, 0.0, tau)
    evolved = np.concatenate([ions.evolved(kT[p], finite[p], start[p], average) for p in parts])
    if lasting.any():
        evolved[lasting] = ions.equilibrium(kT[lasting])
    return evolved


class _Ions:
    """Ions by charge, one element after another, and the rates from each ion to the next and back.

    Parameters
    ----------
    elements : tuple of str
    """

    def __init__(self, elements):
        table = _read_table("ionization")
        links = [table[table["element"] == element] for element in elements]
        count = np.array([len(rows) + 1 for rows in links])
        self.first = np.cumsum(count) - count
        self.element = np.repeat(np.arange(len(elements)), count)
        self.singly_ionized = np.zeros(count.sum())
        self.singly_ionized[self.first + 1] = 1.0
        inside = np.diff(self.element) == 0  # from an element to the next nothing passes
        self.threshold = np.zeros(inside.size)
        self.threshold[inside] = np.concatenate([rows["threshold"].to_value(u.keV) for rows in links])
        logarithms = np.full((2, inside.size, len(table.meta["kT"])), _NEVER)
        for k, name in enumerate(("ionization", "recombination")):
            logarithms[k, inside] = np.log(np.concatenate([rows[name].value for rows in links]).astype(float))
        self.kT = table.meta["kT"]  # keV
        self.logarithms = CubicSpline(np.log(self.kT), logarithms.transpose(2, 0, 1))

    def equilibrium(self, kT):
        """Fractions where as many ions of a charge are made as are lost, shape (n, ions)."""
        ionization, recombination = self.logarithms(np.log(kT)).swapaxes(0, 1)
        ratio = ionization - recombination - self.threshold / kT[:, None]
        logarithm = np.concatenate([np.zeros((kT.size, 1)), np.cumsum(ratio, axis=1)], axis=1)
        most = np.maximum.reduceat(logarithm, self.first, axis=1)
        return self._normalized(np.exp(logarithm - most[:, self.element]))

    def evolved(self, kT, tau, start, average):
        """Multiply a start by exp(M tau), or by its mean from 0 to tau, M the matrix of the rates.

        That is the integral of exp(z) (z - M tau)^-1 around the eigenvalues of M tau, which are none above 0; that of
        exp(z) / z is the mean. M is tridiagonal: each node of the contour needs one solution of such a system. Sums
        over eigenvectors of M would cancel to nothing.
        """
        z, weight = _contour()
        rates = np.exp(self.logarithms(np.log(kT)))
        ionized = rates[:, 0] * np.exp(-self.threshold / kT[:, None]) * tau[:, None]
        recombined = rates[:, 1] * tau[:, None]
        shape = (z.size, *start.shape)
        diagonal, lower, upper = np.empty(shape, complex), np.zeros(shape, complex), np.zeros(shape, complex)
        diagonal[:] = z
        diagonal[..., :-1] += ionized
        diagonal[..., 1:] += recombined
        lower[..., :-1] = -ionized
        upper[..., :-1] = -recombined
        right = np.broadcast_to(start, shape).ravel()
        solution = zgtsv(lower.ravel()[:-1], diagonal.ravel(), upper.ravel()[:-1], right, True, True, True, True)[3]
        weight = weight / z.ravel() if average else weight
        return self._normalized(np.maximum((weight @ solution.reshape(z.size, -1)).real.reshape(start.shape), 0.0))

    def _normalized(self, amounts):
        return amounts / np.add.reduceat(amounts, self.first, axis=1)[:, self.element]


_read_table = cache(read_table)
_ions = cache(_Ions)


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
