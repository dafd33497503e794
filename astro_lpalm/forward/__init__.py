"""The forward model, what counts an observation is expected to have; background, and least squares of such counts."""

from .amplitude import *
from .background import *
from .blocks import *
from .counts import *
from .fit import *
from .least_squares import *
from .matrices import *
from .model import *
from .operators import *
