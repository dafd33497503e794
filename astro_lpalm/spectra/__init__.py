"""What the columns of A look like: component models, and libraries of draws of them."""

from importlib import import_module as _import_module

from .absorption import PhotoelectricAbsorption, TBAbs
from .abundances import solar_abundances
from .base import SpectralModel, doppler_factor, photon_flux_density
from .components import ModelComponent, SampleComponent
from .components_file import FACTORS, MODELS, SpectraSettings, read_spectra_settings
from .emulator import SpectrumEmulator
from .integration import integrate
from .ionization import ion_fractions
from .joint import JointSpectra
from .library import SpectralLibrary
from .library_spectra import LibrarySpectra
from .line import EmissionLine
from .nei import NEI, PlaneShock
from .parameters import FreeParameter
from .parametric import ParametricSpectra
from .prior import SpectralPrior
from .priors import Prior
from .response_errors import ResponseErrors
from .synchrotron import Synchrotron, SynchrotronRolloff
from .table_model import TableModel, read_table_model
from .thermal import Thermal
from .thermal_emulator import ThermalEmulator
from .user_model import ExternalModel, UserModel, user_model

__all__ = [
    "FACTORS",
    "MODELS",
    "NEI",
    "EmissionLine",
    "ExternalModel",
    "FreeParameter",
    "JointSpectra",
    "LibrarySpectra",
    "LocalSpectraTable",
    "ModelComponent",
    "ParametricSpectra",
    "PhotoelectricAbsorption",
    "PlaneShock",
    "Prior",
    "ResponseErrors",
    "SampleComponent",
    "SpectraSettings",
    "SpectralLibrary",
    "SpectralModel",
    "SpectralPrior",
    "SpectrumEmulator",
    "Synchrotron",
    "SynchrotronRolloff",
    "TBAbs",
    "TableModel",
    "Thermal",
    "ThermalEmulator",
    "UserModel",
    "doppler_factor",
    "integrate",
    "ion_fractions",
    "photon_flux_density",
    "read_spectra_settings",
    "read_table_model",
    "solar_abundances",
    "user_model",
]


def __getattr__(name):
    if name == "LocalSpectraTable":  # of tensors: torch is loaded when it is asked for
        return getattr(_import_module(".local", __name__), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
