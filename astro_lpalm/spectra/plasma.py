"""What spectra of hot, optically thin plasma have in common, whatever made its ions what they are."""

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

import astropy.units as u
import numpy as np
from astropy.modeling import Parameter

from ._ions import ELEMENTS, IONS_OF, continuum_table, gaunt_factors, line_table
from ._plasma import two_photon_shape
from .abundances import solar_abundances
from .base import SpectralModel, quadrature_with_jumps
from .ionization import fractions
from .line import add_lines, gaussian, line_as_seen

__all__ = ["METALS", "Ions", "Plasma"]

METALS = ELEMENTS[2:]
"""Elements whose abundances are parameters."""

_ABUNDANCE = {"default": 1.0, "bounds": (0, None), "description": "abundance over solar"}


@dataclass(frozen=True)
class Ions:
    """Ions of all elements in n draws, and the electrons that they meet.

    Attributes
    ----------
    kT : array
        Temperature of the electrons, keV, shape (n,).
    amounts : array
        Of all ions by charge, one element after another: abundance over solar times fraction, shape (n, ions).
    """

    kT: np.ndarray
    amounts: np.ndarray

    def lines(self):
        """Photons of each line, 1e14 times cm3 / s, shape (n, rows)."""
        return 1e14 * line_table().strength(self.kT, self.amounts)

    @cached_property
    def _steps(self):
        """Energies of edges (rows,), and between them (n, rows + 1) recombination times E kT^1.5 exp(E / kT)."""
        table, kT = continuum_table(), self.kT[:, np.newaxis]
        order = np.argsort(table.energies)
        order = order[~table.is_two_photon[order]]
        rise = self._strength[:, order] * np.exp(table.energies[order] / kT)
        return table.energies[order], np.hstack([np.zeros_like(kT), np.cumsum(rise, axis=1)])

    @cached_property
    def _strength(self):
        return 1e14 * continuum_table().strength(self.kT, self.amounts)

    def continuum(self, energy):
        """Bremsstrahlung, recombination and two-photon continua, photon / (cm2 s keV) of unit amplitude.

        Parameters
        ----------
        energy : array
            Shape (m,), keV.

        Returns
        -------
        array, shape (n, m)
        """
        table, kT = continuum_table(), self.kT[:, np.newaxis]
        # 6.8e-38 erg / (s cm3 Hz) of equation 5.14b as photons: over h in keV s, over the photon's energy in erg,
        # over sqrt(1.16e7 K / keV), times the 1e14 of the emission measure
        free_free = 0.3013 * gaunt_factors(energy, self.kT, self.amounts) / np.sqrt(kT)
        edges, steps = self._steps
        free_bound = steps[:, np.searchsorted(edges, energy, side="right")] / kT**1.5
        pairs = self._strength[:, table.is_two_photon] @ _two_photon_shapes(energy.tobytes())
        return (free_free + free_bound) * np.exp(-energy / kT) / energy + pairs


class Plasma(SpectralModel):
    """Base of hot, optically thin plasmas: continuum and lines of eleven elements.

    A subclass says by `history` what its own parameters, those after ``sigma``, are to the ions. What each ion emits
    where it meets electrons of a temperature follows tables of CHIANTI 10.1 at low density; ``read_table("ion_lines")``
    and ``read_table("ion_continuum")`` say where they come from. Bremsstrahlung is that of H, He and the eleven
    elements (Rybicki & Lightman 1979, eq. 5.14), with the Gaunt factors of Sutherland (1998). The documentation's page
    on component models says how far all this holds.
    """

    amplitude = Parameter(default=1.0, bounds=(0, None), description="emission measure, 1e14 cm-5")
    kT = Parameter(default=1.0, bounds=(0.06, 80.0), description="electron temperature, keV")
    C = Parameter(**_ABUNDANCE)
    N = Parameter(**_ABUNDANCE)
    O = Parameter(**_ABUNDANCE)  # noqa: E741
    Ne = Parameter(**_ABUNDANCE)
    Mg = Parameter(**_ABUNDANCE)
    Si = Parameter(**_ABUNDANCE)
    S = Parameter(**_ABUNDANCE)
    Ar = Parameter(**_ABUNDANCE)
    Ca = Parameter(**_ABUNDANCE)
    Fe = Parameter(**_ABUNDANCE)
    Ni = Parameter(**_ABUNDANCE)
    velocity = Parameter(default=0.0, fixed=True, bounds=(-2.9e5, 2.9e5), description="km/s, positive when receding")
    sigma = Parameter(default=100.0, fixed=True, bounds=(0, 2.9e5), description="standard deviation, km/s")
    parameter_units = {  # noqa: RUF012
        "amplitude": u.Unit(1e14 / u.cm**5),
        "kT": u.keV,
        "velocity": u.km / u.s,
        "sigma": u.km / u.s,
    }

    history = ()
    """What `fractions` calls the parameters after ``sigma``."""
    is_mean = False
    """Whether fractions are means over ``tau`` from 0."""
    solar = "anders_grevesse"
    """List that abundances are relative to."""

    @classmethod
    def relative_to(cls, solar):
        """Give the model whose abundances are relative to another list.

        Parameters
        ----------
        solar : str
            As `solar_abundances` takes it.

        Returns
        -------
        type
            A subclass of the same name.

        Raises
        ------
        ValueError
            If there is no such list.

        Examples
        --------
        >>> from astro_lpalm.spectra import NEI, integrate
        >>> iron = [6.5, 6.8]  # keV
        >>> print((integrate(NEI.relative_to("wilms")(kT=4.0), iron) / integrate(NEI(kT=4.0), iron)).round(2))
        [0.65]
        """
        solar_abundances(solar)
        return type(cls)(cls.__name__, (cls,), {"solar": solar, "__doc__": cls.__doc__, "__module__": cls.__module__})

    @classmethod
    def ions(cls, kT, abundances, history):
        """Give the `Ions` of plain arrays (n,): temperature, abundance of each of `METALS`, parameters of `history`."""
        # many draws have the same history where only others of their parameters are changed, as for derivatives
        states, place = np.unique(np.stack([kT, *history]), axis=1, return_inverse=True)
        found = fractions(ELEMENTS, states[0], **dict(zip(cls.history, states[1:])), average=cls.is_mean)
        over_solar = np.stack([np.ones_like(kT), np.ones_like(kT), *abundances], axis=1) * _over_tabulated(cls.solar)
        return Ions(kT, np.repeat(over_solar, IONS_OF, axis=1) * found[place])

    @classmethod
    def _draws(cls, parameters):
        """Amplitude, ions, velocity and sigma of n draws, of parameters that are numbers or have shape (n, 1)."""
        shape = np.broadcast_shapes(*(np.shape(value) for value in parameters))
        columns = [np.broadcast_to(np.asarray(value, dtype=float), shape).ravel() for value in parameters]
        amplitude, kT, *others = columns
        abundances, (velocity, sigma, *history) = others[: len(METALS)], others[len(METALS) :]
        return shape, amplitude[:, np.newaxis], cls.ions(kT, abundances, history), velocity, sigma

    @classmethod
    def density(cls, energy, *parameters):
        """Photon flux density of plain arrays."""
        energy = np.asarray(energy, dtype=float)
        shape = np.broadcast_shapes(*(np.shape(value) for value in parameters))
        if shape[-1:] not in ((), (1,)):  # a draw for each energy
            columns = np.broadcast_arrays(energy, *parameters)
            each = [cls.density(*values) for values in zip(*(column.ravel() for column in columns))]
            return np.reshape(each, columns[0].shape)
        shape, amplitude, ions, velocity, sigma = cls._draws(parameters)
        flat = energy.ravel()
        total = ions.continuum(flat)
        strength, rest = ions.lines(), line_table().energies
        for k in np.flatnonzero(strength.max(axis=0)):
            seen = line_as_seen(rest[k], velocity[:, np.newaxis], sigma[:, np.newaxis])
            total += strength[:, [k]] * gaussian(flat, *seen)
        return (amplitude * total).reshape(*shape[:-1], *energy.shape)

    @classmethod
    def integral(cls, edges, *parameters):
        """Photon flux between edges: quadrature for the continuum, the error function for the lines."""
        shape, amplitude, ions, velocity, sigma = cls._draws(parameters)
        total = quadrature_with_jumps(ions.continuum, edges, continuum_table().energies)
        add_lines(total, edges, ions.lines(), *line_as_seen(line_table().energies, velocity[:, None], sigma[:, None]))
        return (amplitude * total).reshape(*shape[:-1], -1)


@lru_cache(maxsize=8)
def _two_photon_shapes(energy):
    """Densities of the two-photon decays, (rows, m), at energies that are the same from one spectrum to the next."""
    table = continuum_table()
    limits, place = np.unique(table.energies[table.is_two_photon], return_inverse=True)
    shapes = two_photon_shape(np.frombuffer(energy) / limits[:, np.newaxis]) / limits[:, np.newaxis]
    return shapes[place]


@cache
def _over_tabulated(solar):
    """Abundances of a list over those that the tables are made for, by element."""
    wanted, tabulated = solar_abundances(solar), solar_abundances()
    return np.array([wanted[element] / tabulated[element] for element in ELEMENTS])
