"""Sources: the statistics of component images in a transform domain, draws from them, and priors of images and maps."""

from .fields import FieldGrid, FieldPrior, PowerSpectrum
from .generalized_gaussian import GeneralizedGaussian
from .images import ImageStatistics
from .library import SourceLibrary

__all__ = [
    "FieldGrid",
    "FieldPrior",
    "GeneralizedGaussian",
    "ImageStatistics",
    "PowerSpectrum",
    "SourceLibrary",
]
