"""Solvers: from a matrix X (energies x pixels) to spectra A and sources S with X = A S + N."""

from .base import *
from .metrics import *
from .posterior import *
from .refinement import *
from .unrolled import *
