"""Component spectra as astropy models: what a source emits, before the instrument."""

from abc import abstractmethod
from functools import cache

import astropy.units as u
import numpy as np
from astropy.constants import c
from astropy.modeling import Fittable1DModel, Parameter
from scipy.special import erf, k0e

from ..data import read_table

__all__ = [
    "EmissionLine",
    "PhotoelectricAbsorption",
    "SpectralModel",
    "Synchrotron",
    "Thermal",
    "doppler_factor",
    "photon_flux_density",
]

photon_flux_density = u.photon / (u.cm**2 * u.s * u.keV)
"""Unit of every spectrum of this package: photon / (cm2 s keV)."""

_SPEED_OF_LIGHT = c.to_value(u.km / u.s)
_GAUSS = 0.5 / np.sqrt(3)  # nodes of the two-point Gauss-Legendre rule, in bin widths from the centre
_NARROWEST = 1e-9  # keV; a line of no width is drawn this wide
_ELEMENTS = ("O", "Ne", "Mg", "Si", "S", "Ar", "Ca", "Fe")
_CHARGE = np.array([8, 10, 12, 14, 16, 18, 20, 26])
_HELIUM = 9.77e-2  # per hydrogen, Anders & Grevesse 1989


def doppler_factor(velocity):
    """Energy seen over energy emitted, relativistic, for motion along the line of sight.

    Parameters
    ----------
    velocity : float or array
        In km/s, positive when receding.

    Returns
    -------
    factor : float or array
        sqrt((1 - v/c) / (1 + v/c)), below 1 when receding.

    Examples
    --------
    >>> from astro_lpalm.spectra import doppler_factor
    >>> round(float(doppler_factor(3000.0)), 5)
    0.99004
    """
    beta = velocity / _SPEED_OF_LIGHT
    return np.sqrt((1 - beta) / (1 + beta))


class SpectralModel(Fittable1DModel):
    """Base of the component models: units at the door, plain arrays inside.

    A subclass gives `density` and, where it knows better than quadrature, `integral`. Energies without a unit are
    keV, parameters without a unit are in the unit that ``parameter_units`` names.
    """

    n_inputs = 1
    n_outputs = 1
    parameter_units = {}  # noqa: RUF012
    output_unit = photon_flux_density
    _input_units_allow_dimensionless = True
    input_units_equivalencies = {"x": u.spectral()}  # noqa: RUF012

    @property
    def input_units(self):
        """Energies are keV."""
        return {self.inputs[0]: u.keV}

    def evaluate(self, x, *parameters):
        """Photon flux density at the energies ``x``, with a unit if any argument has one."""
        has_units = any(isinstance(value, u.Quantity) for value in (x, *parameters))
        energy = x.to_value(u.keV, equivalencies=u.spectral()) if isinstance(x, u.Quantity) else x
        result = self.density(np.asarray(energy, dtype=float), *self._plain(parameters))
        return u.Quantity(result, self.output_unit) if has_units else result

    def _plain(self, values):
        units = (self.parameter_units.get(name, u.dimensionless_unscaled) for name in self.param_names)
        return [v.to_value(unit) if isinstance(v, u.Quantity) else v for v, unit in zip(values, units)]

    @property
    def plain_parameters(self):
        """Values of the parameters in the units of ``parameter_units``, in the order of ``param_names``."""
        parameters = (getattr(self, name) for name in self.param_names)
        return self._plain([p.value if p.unit is None else p.quantity for p in parameters])

    def _parameter_units_for_data_units(self, inputs_unit, outputs_unit):
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
        width = np.diff(edges)
        centre = edges[:-1] + 0.5 * width
        inside = cls.density(centre - _GAUSS * width, *parameters) + cls.density(centre + _GAUSS * width, *parameters)
        return 0.5 * width * inside


class Synchrotron(SpectralModel):
    """Synchrotron emission: a power law with an exponential cut-off, K (E / 1 keV)^-index exp(-E / cutoff).

    Parameters
    ----------
    amplitude : float or `~astropy.units.Quantity`
        K, photon / (cm2 s keV) at 1 keV.
    photon_index : float
        Positive when falling.
    cutoff : float or `~astropy.units.Quantity`
        keV; infinite, as by default, for a pure power law.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astro_lpalm.spectra import Synchrotron
    >>> float(Synchrotron(photon_index=2.0)(2.0))
    0.25
    >>> print(Synchrotron(photon_index=2.0)(2.0 * u.keV))
    0.25 ph / (keV s cm2)
    """

    amplitude = Parameter(default=1.0, bounds=(0, None), description="photon / (cm2 s keV) at 1 keV")
    photon_index = Parameter(default=2.5, description="photon index, positive when falling")
    cutoff = Parameter(default=np.inf, fixed=True, bounds=(1e-3, None), description="cut-off energy, keV")
    parameter_units = {"amplitude": photon_flux_density, "cutoff": u.keV}  # noqa: RUF012

    @classmethod
    def density(cls, energy, amplitude, photon_index, cutoff):
        """Photon flux density of plain arrays."""
        return amplitude * np.exp(-photon_index * np.log(energy) - energy / cutoff)


class EmissionLine(SpectralModel):
    """A Gaussian emission line, Doppler shifted and broadened.

    Parameters
    ----------
    amplitude : float or `~astropy.units.Quantity`
        Photons in the line, photon / (cm2 s).
    energy : float or `~astropy.units.Quantity`
        At rest, keV.
    velocity : float or `~astropy.units.Quantity`
        km/s, positive when receding; the line is seen at ``energy`` times `doppler_factor`.
    sigma : float or `~astropy.units.Quantity`
        Standard deviation of the velocities along the line of sight, km/s.

    Examples
    --------
    >>> from astro_lpalm.spectra import EmissionLine, integrate
    >>> line = EmissionLine(amplitude=3.0, energy=6.7, sigma=10.0)  # 0.2 eV wide, in bins of 1 keV
    >>> print(integrate(line, [6, 7, 8]))
    [3. 0.] ph / (s cm2)
    """

    amplitude = Parameter(default=1.0, bounds=(0, None), description="photon / (cm2 s)")
    energy = Parameter(default=6.7, bounds=(1e-3, None), description="energy at rest, keV")
    velocity = Parameter(default=0.0, bounds=(-2.9e5, 2.9e5), description="km/s, positive when receding")
    sigma = Parameter(default=500.0, bounds=(0, 2.9e5), description="standard deviation, km/s")
    parameter_units = {  # noqa: RUF012
        "amplitude": u.photon / u.cm**2 / u.s,
        "energy": u.keV,
        "velocity": u.km / u.s,
        "sigma": u.km / u.s,
    }

    @classmethod
    def density(cls, energy, amplitude, rest, velocity, sigma):
        """Photon flux density of plain arrays."""
        return amplitude * _gaussian(energy, *_seen(rest, velocity, sigma))

    @classmethod
    def integral(cls, edges, amplitude, rest, velocity, sigma):
        """Photon flux between edges of any width, by the error function: no line is lost between two energies."""
        shape = np.broadcast_shapes(*(np.shape(v) for v in (amplitude, rest, velocity, sigma)))
        flux = np.zeros((*(shape[:-1] or ()), len(edges) - 1))
        _add_line(flux, edges, amplitude, *_seen(rest, velocity, sigma))
        return flux


class Thermal(SpectralModel):
    """A hot, optically thin plasma: bremsstrahlung and the strongest lines of eight elements.

    The continuum is thermal bremsstrahlung of H, He and the eight elements, fully ionized (Rybicki & Lightman 1979,
    eq. 5.14), with the Gaunt factor of the Born approximation, sqrt(3)/pi exp(x/2) K0(x/2) at x = E/kT (Greene
    1959). Line strengths follow kT by the peaks and widths in ``read_table("lines")``, whose ``meta`` says how they
    were made and how far they hold. Abundances scale the lines and their share of the continuum. Free-bound and
    two-photon continua, resonance scattering and density effects are left out.

    Parameters
    ----------
    amplitude : float or `~astropy.units.Quantity`
        Emission measure, 1e-14 / (4 pi D^2) times the integral of n_e n_H over the volume (cm-5), as XSPEC's apec
        has it.
    kT : float or `~astropy.units.Quantity`
        Temperature of the electrons, keV.
    O, Ne, Mg, Si, S, Ar, Ca, Fe : float
        Abundances relative to solar (Anders & Grevesse 1989).
    ionization : float
        Temperature that the lines show over ``kT``: 1 in equilibrium, lower in a shocked plasma whose ions still
        lag behind.
    velocity : float or `~astropy.units.Quantity`
        Of the lines, km/s, positive when receding.
    sigma : float or `~astropy.units.Quantity`
        Standard deviation of the velocities of the lines, km/s.

    Examples
    --------
    >>> from astro_lpalm.spectra import Thermal, integrate
    >>> silicon = [1.8, 1.9]  # keV
    >>> bool(integrate(Thermal(kT=1.0, Si=5.0), silicon) > 3 * integrate(Thermal(kT=1.0, Si=1.0), silicon))
    True
    """

    amplitude = Parameter(default=1.0, bounds=(0, None), description="emission measure, 1e14 cm-5")
    kT = Parameter(default=1.0, bounds=(1e-3, None), description="electron temperature, keV")
    O = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")  # noqa: E741
    Ne = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")
    Mg = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")
    Si = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")
    S = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")
    Ar = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")
    Ca = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")
    Fe = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")
    ionization = Parameter(default=1.0, fixed=True, bounds=(1e-3, None), description="line temperature / kT")
    velocity = Parameter(default=0.0, fixed=True, bounds=(-2.9e5, 2.9e5), description="km/s, positive when receding")
    sigma = Parameter(default=100.0, fixed=True, bounds=(0, 2.9e5), description="standard deviation, km/s")
    parameter_units = {  # noqa: RUF012
        "amplitude": u.Unit(1e14 / u.cm**5),
        "kT": u.keV,
        "velocity": u.km / u.s,
        "sigma": u.km / u.s,
    }

    @classmethod
    def density(cls, energy, amplitude, kT, *others):
        """Photon flux density of plain arrays."""
        *abundances, ionization, velocity, sigma = others
        total = cls.continuum(energy, amplitude, kT, *abundances)
        for flux, rest in cls.lines(amplitude, kT * ionization, abundances):
            total = total + flux * _gaussian(energy, *_seen(rest, velocity, sigma))
        return total

    @classmethod
    def integral(cls, edges, amplitude, kT, *others):
        """Photon flux between edges: quadrature for the continuum, the error function for the lines."""
        *abundances, ionization, velocity, sigma = others
        width = np.diff(edges)
        centre = edges[:-1] + 0.5 * width
        parameters = (amplitude, kT, *abundances)
        total = 0.5 * width * sum(cls.continuum(centre + s * width, *parameters) for s in (-_GAUSS, _GAUSS))
        for flux, rest in cls.lines(amplitude, kT * ionization, abundances):
            _add_line(total, edges, flux, *_seen(rest, velocity, sigma))
        return total

    @staticmethod
    def continuum(energy, amplitude, kT, *abundances):
        """Bremsstrahlung alone, photon / (cm2 s keV) at plain energies in keV."""
        _, solar = _line_table()
        charges = 1 + 4 * _HELIUM + sum(z**2 * s * a for z, s, a in zip(_CHARGE, solar, abundances))
        x = energy / kT
        gaunt = np.sqrt(3) / np.pi * k0e(0.5 * x)
        # 6.8e-38 erg / (s cm3 Hz) of equation 5.14b as photons: over h in keV s, over the photon's energy in erg,
        # over sqrt(1.16e7 K / keV), times the 1e14 of the emission measure
        return 0.3013 * amplitude * charges * gaunt * np.exp(-x) / (energy * np.sqrt(kT))

    @staticmethod
    def lines(amplitude, kT, abundances):
        """Yield photon / (cm2 s) and rest energy (keV) of each line; ``kT`` is that of the ions."""
        table, _ = _line_table()
        for element, rest, peak, peak_kT, low, high in table:
            deviation = np.log(kT / peak_kT)
            width = np.where(deviation < 0, low, high)
            abundance = abundances[_ELEMENTS.index(element)]
            yield 1e14 * amplitude * abundance * peak * np.exp(-0.5 * (deviation / width) ** 2), rest


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
        jumps, _ = _absorption_table()
        split = np.union1d(edges, jumps[(jumps > edges[0]) & (jumps < edges[-1])])
        return np.add.reduceat(super().integral(split, nh), np.searchsorted(split, edges[:-1]), axis=-1)

    @staticmethod
    def cross_section(energy):
        """Cross-section per hydrogen atom, cm2, at plain energies in keV."""
        low, coefficients = _absorption_table()
        c0, c1, c2 = coefficients[:, np.maximum(np.searchsorted(low, energy, side="right") - 1, 0)]
        return 1e-24 * (c0 + c1 * energy + c2 * energy**2) / energy**3


@cache
def _line_table():
    table = read_table("lines")
    columns = (table["element"], table["energy"].to_value(u.keV), table["emissivity"].value)
    rows = zip(*columns, table["peak_kT"].to_value(u.keV), table["width_low"], table["width_high"])
    rows = [(str(element), *map(float, numbers)) for element, *numbers in rows]
    return rows, [table.meta["solar"][element] for element in _ELEMENTS]


@cache
def _absorption_table():
    table = read_table("absorption")
    return table["energy_lo"].to_value(u.keV), np.array([table["c0"], table["c1"], table["c2"]], dtype=float)


def _seen(rest, velocity, sigma):
    centre = rest * doppler_factor(velocity)
    return centre, np.maximum(centre * sigma / _SPEED_OF_LIGHT, _NARROWEST)


def _gaussian(energy, centre, width):
    return np.exp(-0.5 * ((energy - centre) / width) ** 2) / (np.sqrt(2 * np.pi) * width)


def _add_line(flux, edges, amplitude, centre, width):
    """Add Gaussian lines to ``flux`` (..., m), touching only the bins within 6 standard deviations of a line."""
    first = max(np.searchsorted(edges, np.min(centre - 6 * width), side="right") - 1, 0)
    last = min(np.searchsorted(edges, np.max(centre + 6 * width), side="left"), len(edges) - 1)
    if first >= last:
        return
    below = 0.5 * erf((edges[first : last + 1] - centre) / (np.sqrt(2) * width))
    flux[..., first:last] += amplitude * np.diff(below)
