"""What a separation gives: component images and spectra, residuals, diagnostics, their files and their figure."""

from ._parameters import component_exposures, parameter_table
from ._pha import pha_files
from .separation import Separation

__all__ = ["Separation", "component_exposures", "parameter_table", "pha_files"]
