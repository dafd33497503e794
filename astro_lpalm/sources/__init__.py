"""Sources: the statistics of component images in a transform domain, and draws from them."""

from .generalized_gaussian import *
from .images import *
from .library import *
