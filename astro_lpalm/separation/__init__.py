"""Solvers: from a matrix X (energies x pixels) to spectra A and sources S with X = A S + N."""

from .base import *
from .dnmf import *
from .fcls import *
from .fitting import *
from .gmca import *
from .metrics import *
from .mnnbu import *
from .palm import *
from .physical import *
from .poisson import *
from .posterior import *
from .refinement import *
from .snmfnet import *
from .unrolled import *
from .updates import *
from .vca import *
