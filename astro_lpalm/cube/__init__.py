"""Events and cube HDUs to `EventCube`, and on to the (energy x pixel) matrix."""

from .cube import EventCube
from .energies import ebounds_hdu, read_ebounds

__all__ = ["EventCube", "ebounds_hdu", "read_ebounds"]
