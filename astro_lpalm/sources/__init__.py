"""Sources: the statistics of component images in a transform domain, and draws from them."""

from .generalized_gaussian import GeneralizedGaussian
from .images import ImageStatistics
from .library import SourceLibrary

__all__ = [
    "GeneralizedGaussian",
    "ImageStatistics",
    "SourceLibrary",
]
