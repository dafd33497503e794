"""Events and cube HDUs to `EventCube`, and on to the (energy x pixel) matrix."""

from .background import ExpectedBackground
from .cube import EventCube
from .energies import ebounds_hdu, read_ebounds

__all__ = ["EventCube", "ExpectedBackground", "ebounds_hdu", "read_ebounds"]
