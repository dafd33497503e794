"""Sources: the statistics of component images in a transform domain, draws from them, and priors of images and maps."""

from importlib import import_module as _import_module

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

_FIELDS = ("FieldGrid", "FieldPrior", "PowerSpectrum")  # of tensors: torch is loaded when one is asked for


def __getattr__(name):
    if name in _FIELDS:
        return getattr(_import_module(".fields", __name__), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
