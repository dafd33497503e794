"""What the columns of A look like: component models, instrument response, libraries of draws."""

from .components_file import *
from .integration import *
from .library import *
from .models import *
from .priors import *
from .response import *
