"""What the columns of A look like: component models, instrument response, libraries of draws."""

from .absorption import *
from .base import *
from .channels import *
from .components import *
from .components_file import *
from .emulator import *
from .integration import *
from .library import *
from .line import *
from .merge import *
from .parametric import *
from .pha import *
from .priors import *
from .response import *
from .statistics import *
from .synchrotron import *
from .table_model import *
from .thermal import *
from .thermal_emulator import *
from .user_model import *
