"""What an instrument does to photons: response, point spread function, exposure, and the OGIP files of these."""

from ._on_bins import *
from .exposure import *
from .merge import *
from .ogip import *
from .pha import *
from .psf import *
from .response import *
