"""How far a separation can be trusted: errors, photons drawn again, and what speaks against it."""

from .diagnostics import *
from .errors import *
from .resampling import *
