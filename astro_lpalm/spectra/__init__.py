"""What the columns of A look like: component models, instrument response, libraries of draws."""

from .components import *
from .components_file import *
from .integration import *
from .library import *
from .models import *
from .pha import *
from .priors import *
from .response import *
from .statistics import *
from .table_model import *
from .user_model import *
