"""Event lists and cubes of counts: `EventCube`, and on to the (energy x pixel) matrix."""

from . import region_registry
from .cube import EventCube

__all__ = ["EventCube"]

region_registry.register()
