"""What a separation gives: images, spectra and maps of components, residuals, diagnostics, files and figures."""

from ._parameters import component_exposures, parameter_table
from ._pha import pha_files
from .maps import ParameterMap
from .separation import Separation

__all__ = ["ParameterMap", "Separation", "component_exposures", "parameter_table", "pha_files"]
