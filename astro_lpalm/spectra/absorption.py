"""Photoelectric absorption by the interstellar gas."""

from functools import cache

import astropy.units as u
import numpy as np
from astropy.modeling import Parameter

from ..data import read_table
from .base import SpectralModel, quadrature_with_jumps

__all__ = ["PhotoelectricAbsorption"]


class PhotoelectricAbsorption(SpectralModel):
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

    nh = Parameter(default=1.0, bounds=(0, None), description="column density, 1e22 / cm2")
    parameter_units = {"nh": u.Unit(1e22 / u.cm**2)}  # noqa: RUF012
    output_unit = u.dimensionless_unscaled

    @classmethod
    def density(cls, energy, nh):
        """Transmission at plain energies in keV."""
        return np.exp(-nh * 1e22 * cls.cross_section(energy))

    @classmethod
    def integral(cls, edges, nh):
        """Transmission integrated between edges, which are split where the cross-section jumps."""
        return quadrature_with_jumps(cls.density, edges, _table()[0], nh)

    @staticmethod
    def cross_section(energy):
        """Cross-section per hydrogen atom, cm2, at plain energies in keV."""
        low, coefficients = _table()
        c0, c1, c2 = coefficients[:, np.maximum(np.searchsorted(low, energy, side="right") - 1, 0)]
        return 1e-24 * (c0 + c1 * energy + c2 * energy**2) / energy**3


@cache
def _table():
    table = read_table("absorption")
    return table["energy_lo"].to_value(u.keV), np.array([table["c0"], table["c1"], table["c2"]], dtype=float)
