"""What the component models have in common: units, the protocol of density and integral, allowed parameters."""

from abc import abstractmethod

import astropy.units as u
import numpy as np
from astropy.constants import c
from astropy.modeling import Fittable1DModel

__all__ = ["SpectralModel", "doppler_factor", "photon_flux_density"]

photon_flux_density = u.photon / (u.cm**2 * u.s * u.keV)
"""Unit of every spectrum of this package: photon / (cm2 s keV)."""

SPEED_OF_LIGHT = c.to_value(u.km / u.s)
_ROUNDING = 1e-6  # relative: files of table models keep bounds as float32
_GAUSS = 0.5 / np.sqrt(3)  # nodes of the two-point Gauss-Legendre rule, in bin widths from the centre


def doppler_factor(velocity):
    """Energy seen over energy emitted, relativistic, for motion along the line of sight.

    Parameters
    ----------
    velocity : float or array
        In km/s, positive when receding.

    Returns
    -------
    factor : float or array
        sqrt((1 - v/c) / (1 + v/c)), below 1 when receding (Rybicki & Lightman 1979, eq. 4.12).

    Examples
    --------
    >>> from astro_lpalm.spectra import doppler_factor
    >>> round(float(doppler_factor(3000.0)), 5)
    0.99004
    """
    beta = velocity / SPEED_OF_LIGHT
    return np.sqrt((1 - beta) / (1 + beta))


class SpectralModel(Fittable1DModel):
    """Base of the component models: units at the door, plain arrays inside.

    A subclass gives `density` and, where it knows better than quadrature, `integral`. Energies without a unit are
    keV, parameters without a unit are in the unit that ``parameter_units`` names. The ``bounds`` of a parameter are
    the values that have a meaning.

    Raises
    ------
    ValueError
        If a parameter is out of its bounds when the model is made.

    Examples
    --------
    >>> from astro_lpalm.spectra import Synchrotron
    >>> Synchrotron(amplitude=-1.0)
    Traceback (most recent call last):
        ...
    ValueError: Synchrotron: parameter 'amplitude' is -1; it must be 0 or more ph / (keV s cm2).
    """

    n_inputs = 1
    n_outputs = 1
    parameter_units = {}  # noqa: RUF012
    output_unit = photon_flux_density
    _input_units_allow_dimensionless = True
    input_units_equivalencies = {"x": u.spectral()}  # noqa: RUF012

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for name in self.param_names:
            parameter = getattr(self, name)
            # another unit than the parameter's own is an error of units, which evaluation reports
            if parameter.unit is None or parameter.unit.is_equivalent(self._unit_of(name)):
                self._check(name, parameter.value if parameter.unit is None else parameter.quantity)

    def _check(self, name, value):
        (value,) = self._plain([value], [name])
        low, high = getattr(type(self), name).bounds
        low, high = -np.inf if low is None else low, np.inf if high is None else high
        margins = (_ROUNDING * abs(end) if np.isfinite(end) else 0.0 for end in (low, high))
        below, above = (end + sign * margin for end, sign, margin in zip((low, high), (-1, 1), margins))
        wrong = np.atleast_1d(~((value >= below) & (value <= above)))  # also true of not-a-number
        usual = getattr(type(self), name).default
        if usual is not None and np.isfinite(usual):  # a cut-off may be infinite, and then is by default
            wrong |= np.isinf(np.atleast_1d(value))
        if not np.any(wrong):
            return
        unit = self._unit_of(name)
        allowed = f"be {low:g} or more" if high == np.inf else f"be {high:g} or less"
        allowed = "be a number" if (low, high) == (-np.inf, np.inf) else allowed
        allowed = f"lie in {low:g} to {high:g}" if np.isfinite([low, high]).all() else allowed
        suffix = "" if unit == u.dimensionless_unscaled else f" {unit}"
        value = np.atleast_1d(value)[wrong][0]
        suffix += ", and finite" if np.isinf(value) else ""
        msg = f"{type(self).__name__}: parameter '{name}' is {value:g}; it must {allowed}{suffix}."
        raise ValueError(msg)

    @property
    def input_units(self):
        """Energies are keV."""
        return {self.inputs[0]: u.keV}

    def evaluate(self, x, *parameters):
        """Photon flux density at the energies ``x``, with a unit if any argument has one."""
        has_units = any(isinstance(value, u.Quantity) for value in (x, *parameters))
        energy = x.to_value(u.keV, equivalencies=u.spectral()) if isinstance(x, u.Quantity) else x
        result = self.density(np.asarray(energy, dtype=float), *self._plain(parameters, self.param_names))
        return u.Quantity(result, self.output_unit) if has_units else result

    def _unit_of(self, name):
        return self.parameter_units.get(name, u.dimensionless_unscaled)

    def _plain(self, values, names):
        pairs = zip(values, names)
        return [v.to_value(self._unit_of(name)) if isinstance(v, u.Quantity) else v for v, name in pairs]

    @property
    def plain_parameters(self):
        """Values of the parameters in the units of ``parameter_units``, in the order of ``param_names``."""
        parameters = (getattr(self, name) for name in self.param_names)
        return self._plain([p.value if p.unit is None else p.quantity for p in parameters], self.param_names)

    @property
    def checked_parameters(self):
        """The same, or an error if one has been set to a value that has no meaning."""
        values = self.plain_parameters
        for name, value in zip(self.param_names, values):
            self._check(name, value)
        return values

    def _parameter_units_for_data_units(self, inputs_unit, outputs_unit):
        # Fitters take the numbers of the data as they are: another unit would scale the amplitude without a word.
        for unit in outputs_unit.values():
            if unit != self.output_unit:
                msg = f"the data are in {unit}; fit {type(self).__name__} to data in {self.output_unit}: use y.to(...)."
                raise u.UnitsError(msg)
        return {name: unit for name, unit in self.parameter_units.items() if unit is not u.dimensionless_unscaled}

    @classmethod
    @abstractmethod
    def density(cls, energy, *parameters):
        """Photon flux density of plain arrays; energies in keV, parameters broadcast against them."""

    @classmethod
    def integral(cls, edges, *parameters):
        """Photon flux between neighbouring edges, which must be narrow: two-point Gauss-Legendre.

        Parameters
        ----------
        edges : array
            Shape (m + 1,), keV. `integrate` takes edges however wide.
        *parameters : float or array
            Shapes that broadcast against (m,), as (n, 1) for n draws at once.

        Returns
        -------
        flux : array
            Shape (m,) or (n, m).
        """
        return quadrature(cls.density, edges, *parameters)


def quadrature(density, edges, *parameters):
    """Integrate a density between neighbouring edges by the two-point Gauss-Legendre rule."""
    width = np.diff(edges)
    centre = edges[:-1] + 0.5 * width
    return 0.5 * width * (density(centre - _GAUSS * width, *parameters) + density(centre + _GAUSS * width, *parameters))


def quadrature_with_jumps(density, edges, jumps, *parameters):
    """Integrate a density that jumps at some energies: bins are split there."""
    split = np.union1d(edges, jumps[(jumps > edges[0]) & (jumps < edges[-1])])
    flux = quadrature(density, split, *parameters)
    return np.add.reduceat(flux, np.searchsorted(split, edges[:-1]), axis=-1)
