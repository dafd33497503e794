"""Multiscale transforms: images to detail coefficients and a coarse rest, and exactly back."""

from .choice import get_transform
from .details import detail_matrix
from .starlet import Starlet
from .wavelet import Wavelet

__all__ = [
    "Starlet",
    "Wavelet",
    "detail_matrix",
    "get_transform",
]
