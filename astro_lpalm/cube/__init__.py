"""Event lists and cubes of counts: `EventCube`, and on to the (energy x pixel) matrix."""

from . import region_registry
from .counts import Counts, LaidOutCounts, PhotonCounts, PlacedCounts, StackedCounts, counts_of
from .cube import EventCube
from .photons import Photons
from .planes import PlaneCounts, Planes

__all__ = [
    "Counts",
    "EventCube",
    "LaidOutCounts",
    "PhotonCounts",
    "Photons",
    "PlacedCounts",
    "PlaneCounts",
    "Planes",
    "StackedCounts",
    "counts_of",
]

region_registry.register()
