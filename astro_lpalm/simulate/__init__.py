"""Event lists as an observatory would have recorded them, from known images and spectra."""

from .from_file import simulate_from_file
from .observation import Background, Observation, simulate_events

__all__ = [
    "Background",
    "Observation",
    "simulate_events",
    "simulate_from_file",
]
