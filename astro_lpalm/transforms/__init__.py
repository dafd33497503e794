"""Multiscale transforms: images to detail coefficients and a coarse rest, and exactly back."""

from .choice import *
from .details import *
from .starlet import *
from .wavelet import *
