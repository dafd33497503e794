"""Component spectra as astropy models: what a source emits, before the instrument."""

from .absorption import PhotoelectricAbsorption
from .base import SpectralModel, doppler_factor, photon_flux_density
from .line import EmissionLine
from .synchrotron import Synchrotron, SynchrotronRolloff
from .thermal import Thermal

__all__ = [
    "EmissionLine",
    "PhotoelectricAbsorption",
    "SpectralModel",
    "Synchrotron",
    "SynchrotronRolloff",
    "Thermal",
    "doppler_factor",
    "photon_flux_density",
]
