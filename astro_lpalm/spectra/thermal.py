"""The spectrum of a hot, optically thin plasma."""

import astropy.units as u
import numpy as np
from astropy.modeling import Parameter

from ._plasma import ELEMENTS, continuum_table, gaunt_factors, line_table, two_photon_shape
from .base import SpectralModel, quadrature_with_jumps
from .line import add_line, gaussian, line_as_seen

__all__ = ["Thermal"]

_METALS = ELEMENTS[2:]


class Thermal(SpectralModel):
    """A hot, optically thin plasma: continuum, and the lines of eight elements.

    Lines, recombination and two-photon continua follow tables of CHIANTI 10.1 emissivities against temperature, in
    ionization equilibrium at low density; ``read_table("lines")`` and ``read_table("continuum")`` say where they
    come from. Bremsstrahlung is that of H, He and the eight elements, fully ionized (Rybicki & Lightman 1979, eq.
    5.14), with the Gaunt factors of Sutherland (1998). Abundances scale the lines and the continua of each element. The
    documentation's page on component models says how far all this holds.

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
        Temperature that the ions, and so the lines, show over ``kT``: 1 in equilibrium, lower in a shocked plasma
        whose ions still lag behind, higher in one that recombines.
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
    kT = Parameter(default=1.0, bounds=(0.06, 80.0), description="electron temperature, keV")
    O = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")  # noqa: E741
    Ne = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")
    Mg = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")
    Si = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")
    S = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")
    Ar = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")
    Ca = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")
    Fe = Parameter(default=1.0, bounds=(0, None), description="abundance over solar")
    ionization = Parameter(default=1.0, fixed=True, bounds=(0.05, 20.0), description="temperature of the ions / kT")
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
        total = cls.continuum(energy, amplitude, kT, *abundances, ionization=ionization)
        for flux, rest in cls.lines(amplitude, kT * ionization, abundances):
            total = total + flux * gaussian(energy, *line_as_seen(rest, velocity, sigma))
        return total

    @classmethod
    def integral(cls, edges, amplitude, kT, *others):
        """Photon flux between edges: quadrature for the continuum, the error function for the lines."""
        *abundances, ionization, velocity, sigma = others

        def continuum(energy):
            return cls.continuum(energy, amplitude, kT, *abundances, ionization=ionization)

        total = quadrature_with_jumps(continuum, edges, continuum_table().energies)
        shape = np.broadcast_shapes(*(np.shape(value) for value in (velocity, sigma)))
        if len(shape) > total.ndim - 1 and shape[:-1] != total.shape[:-1]:
            total = np.array(np.broadcast_to(total, (*shape[:-1], total.shape[-1])))
        for flux, rest in cls.lines(amplitude, kT * ionization, abundances):
            add_line(total, edges, flux, *line_as_seen(rest, velocity, sigma))
        return total

    @staticmethod
    def continuum(energy, amplitude, kT, *abundances, ionization=1.0):
        """Bremsstrahlung, recombination and two-photon continua, photon / (cm2 s keV) at plain energies in keV."""
        energy = np.asarray(energy, dtype=float)
        amounts = dict(zip(ELEMENTS, (1.0, 1.0, *abundances)))
        table = continuum_table()
        x = energy / kT
        # 6.8e-38 erg / (s cm3 Hz) of equation 5.14b as photons: over h in keV s, over the photon's energy in erg,
        # over sqrt(1.16e7 K / keV), times the 1e14 of the emission measure
        free_free = 0.3013 * gaunt_factors(energy, kT, amounts) / np.sqrt(kT)
        strength = 1e14 * table.strength(kT * ionization, amounts)
        edge = ~table.is_two_photon
        steps = strength[..., edge] * np.exp(table.energies[edge] / np.asarray(kT)[..., None])
        free_bound = _combine(steps, energy[..., None] >= table.energies[edge]) / np.asarray(kT) ** 1.5
        limits = table.energies[table.is_two_photon]
        pairs = _combine(strength[..., table.is_two_photon], two_photon_shape(energy[..., None] / limits) / limits)
        return amplitude * (np.exp(-x) / energy * (free_free + free_bound) + pairs)

    @staticmethod
    def lines(amplitude, kT, abundances):
        """Yield photon / (cm2 s) and rest energy (keV) of each line; ``kT`` is that of the ions."""
        table = line_table()
        amounts = dict(zip(_METALS, abundances))
        strength = table.strength(kT, amounts)
        for k, rest in enumerate(table.energies):
            yield 1e14 * amplitude * strength[..., k], rest


def _combine(strength, shapes):
    """Sum of shapes (energies..., rows) times their strengths (parameters..., rows)."""
    shapes = np.asarray(shapes, dtype=float)
    if shapes.ndim == 2 and strength.ndim > 1 and strength.shape[-2] == 1:  # many draws on one grid: a matrix product
        return strength[..., 0, :] @ shapes.T
    return np.einsum("...r,...r->...", strength, shapes)
