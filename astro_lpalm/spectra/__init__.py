"""What the columns of A look like: component models, instrument response, libraries of draws."""

from .components_file import *  # noqa: F403
from .integration import *  # noqa: F403
from .library import *  # noqa: F403
from .models import *  # noqa: F403
from .priors import *  # noqa: F403
from .response import *  # noqa: F403
