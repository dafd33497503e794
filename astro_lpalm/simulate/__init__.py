"""Event lists as an observatory would have recorded them, from known images and spectra."""

from .from_file import *
from .observation import *
