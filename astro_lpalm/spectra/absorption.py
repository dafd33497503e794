"""Photoelectric absorption by interstellar matter."""

from functools import cache

import astropy.units as u
import numpy as np
from astropy.modeling import Parameter

from ..data import read_table
from .base import SpectralModel, quadrature_with_jumps

__all__ = ["ABSORPTIONS", "PhotoelectricAbsorption", "TBAbs"]


class InterstellarAbsorption(SpectralModel):
    """Base of the absorptions that are tabulated: a factor without dimension, exp(-nh sigma(E))."""

    nh = Parameter(default=1.0, bounds=(0, None), description="column density, 1e22 / cm2")
    parameter_units = {"nh": u.Unit(1e22 / u.cm**2)}  # noqa: RUF012
    output_unit = u.dimensionless_unscaled
    table = None  # its name among the packaged ones

    @classmethod
    def density(cls, energy, nh):
        """Transmission at plain energies in keV."""
        return np.exp(-nh * 1e22 * cls.cross_section(energy))

    @classmethod
    def integral(cls, edges, nh):
        """Transmission integrated between edges, which are split where the cross-section jumps."""
        return quadrature_with_jumps(cls.density, edges, cls.jumps(), nh)

    @classmethod
    def cross_section(cls, energy):
        """Cross-section per hydrogen atom, cm2, at plain energies in keV."""
        low, coefficients = _pieces(cls.table)
        piece = np.maximum(np.searchsorted(low, energy, side="right") - 1, 0)
        total = 0.0
        for each in coefficients[::-1]:
            total = total * energy + each[piece]
        return 1e-24 * total / energy**3

    @classmethod
    def jumps(cls):
        """Energies in keV at which the cross-section jumps."""
        return _pieces(cls.table)[0]


class PhotoelectricAbsorption(InterstellarAbsorption):
    """Transmission of interstellar gas, exp(-nh sigma(E)): a factor without dimension.

    Cross-sections by Morrison & McCammon (1983), which hold from 0.03 to 10 keV; the outermost pieces go on beyond.

    Parameters
    ----------
    nh : float or `~astropy.units.Quantity`
        Column density of hydrogen, 1e22 / cm2.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astro_lpalm.spectra import PhotoelectricAbsorption, Synchrotron
    >>> spectrum = PhotoelectricAbsorption(nh=1.2e22 / u.cm**2) * Synchrotron(photon_index=2.4)
    >>> print(spectrum([1.0, 4.0] * u.keV).round(4))
    [0.0547 0.0331] ph / (keV s cm2)
    """

    table = "absorption"


class TBAbs(InterstellarAbsorption):
    """Transmission of interstellar gas, molecules and grains, exp(-nh sigma(E)): a factor without dimension.

    The mixture of Wilms, Allen & McCray (2000), with their abundances, a fifth of the hydrogen in molecules, and
    grains; cross-sections of atoms by Verner & Yakovlev (1995). They hold from 0.03 to 100 keV; the outermost pieces go
    on beyond. Edges are steps, without the resonances next to that of oxygen.

    Parameters
    ----------
    nh : float or `~astropy.units.Quantity`
        Column density of hydrogen in all forms, 1e22 / cm2.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astro_lpalm.spectra import Synchrotron, TBAbs
    >>> spectrum = TBAbs(nh=1.2e22 / u.cm**2) * Synchrotron(photon_index=2.4)
    >>> print(spectrum([1.0, 4.0] * u.keV).round(4))
    [0.1243 0.034 ] ph / (keV s cm2)
    """

    table = "tbabs"


ABSORPTIONS = {model.__name__: model for model in (PhotoelectricAbsorption, TBAbs)}
"""Absorptions by name; they take a column density, ``nh``."""


@cache
def _pieces(name):
    """Energies at which polynomials begin, and their coefficients from the constant one up."""
    table = read_table(name)
    names = [column for column in table.colnames if column != "energy_lo"]
    return table["energy_lo"].to_value(u.keV), np.array([table[column] for column in names], dtype=float)
