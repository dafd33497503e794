"""Event lists as an observatory would have recorded them, from known images and spectra."""

from .from_file import simulate_from_file
from .observation import Observation, simulate_events
from .particles import ParticleBackground

__all__ = [
    "Observation",
    "ParticleBackground",
    "simulate_events",
    "simulate_from_file",
]
