"""What an instrument does to photons: response, point spread function, exposure, and the OGIP files of these."""

from ._on_bins import response_on_bins
from .blur import BlurTerm
from .instrument import Instrument
from .merge import merge_responses
from .pha import PHA
from .psf import PSF
from .response import Response
from .vignetting import ExposureMaps, Vignetting

__all__ = [
    "PHA",
    "PSF",
    "BlurTerm",
    "ExposureMaps",
    "Instrument",
    "Response",
    "Vignetting",
    "merge_responses",
    "response_on_bins",
]
