"""What the columns of A look like: component models, and libraries of draws of them."""

from .absorption import *
from .base import *
from .components import *
from .components_file import *
from .emulator import *
from .integration import *
from .library import *
from .line import *
from .parametric import *
from .prior import *
from .priors import *
from .synchrotron import *
from .table_model import *
from .thermal import *
from .thermal_emulator import *
from .user_model import *
