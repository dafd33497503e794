"""Energy bins and sky pixels: their edges and coordinates, one check of each, and images brought to them."""

from .channels import *
from .energies import *
from .resample import *
from .sky import *
from .units import *
