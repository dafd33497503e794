"""Synchrotron emission of accelerated electrons."""

import astropy.units as u
import numpy as np
from astropy.modeling import Parameter

from .base import SpectralModel, photon_flux_density

__all__ = ["Synchrotron", "SynchrotronRolloff"]


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


class SynchrotronRolloff(SpectralModel):
    """Synchrotron emission of electrons whose acceleration is limited by their losses.

    K (E / 1 keV)^-index exp(-sqrt(E / rolloff)). The square root is what electrons leave that are accelerated at a
    shock until synchrotron losses balance the gain: their spectrum ends as exp(-(p / p_max)^2), and the sum of their
    emission as this (Zirakashvili & Aharonian 2007, A&A 465, 695).

    Parameters
    ----------
    amplitude : float or `~astropy.units.Quantity`
        K, photon / (cm2 s keV): the power law at 1 keV, before the roll-off.
    photon_index : float
        Of the photons far below the roll-off, positive when falling: the radio's spectral index (flux density as
        frequency^-alpha) plus 1, or (p + 1) / 2 for electrons as energy^-p. The local index at energy E is
        larger by sqrt(E / rolloff) / 2.
    rolloff : float or `~astropy.units.Quantity`
        keV.

    Examples
    --------
    >>> from astro_lpalm.spectra import SynchrotronRolloff
    >>> print(SynchrotronRolloff(photon_index=2.0, rolloff=1.0)([1.0, 4.0]).round(4))
    [0.3679 0.0085]
    """

    amplitude = Parameter(default=1.0, bounds=(0, None), description="photon / (cm2 s keV) at 1 keV, before roll-off")
    photon_index = Parameter(default=1.6, description="photon index far below the roll-off, positive when falling")
    rolloff = Parameter(default=1.0, bounds=(1e-3, None), description="roll-off energy, keV")
    parameter_units = {"amplitude": photon_flux_density, "rolloff": u.keV}  # noqa: RUF012

    @classmethod
    def density(cls, energy, amplitude, photon_index, rolloff):
        """Photon flux density of plain arrays."""
        return amplitude * np.exp(-photon_index * np.log(energy) - np.sqrt(energy / rolloff))
