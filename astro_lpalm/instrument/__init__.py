"""What an instrument does to photons: response, point spread function, exposure, and the OGIP files of these."""

from ._on_bins import response_on_bins
from .merge import merge_responses
from .pha import PHA
from .psf import GaussianBlur, KernelBlur, get_blur
from .response import Response

__all__ = ["PHA", "GaussianBlur", "KernelBlur", "Response", "get_blur", "merge_responses", "response_on_bins"]
