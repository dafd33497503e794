"""The experiments of Fahes et al. (ICLR 2022, arXiv:2112.05694), one module each, on the authors' spectra and maps."""

from .experiment import *
from .experiments import *
from .mixtures import *
from .protocol import *
from .workspace import *
