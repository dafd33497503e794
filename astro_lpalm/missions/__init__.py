"""What an event list of each mission means: channels as energies, flags, and approximate responses."""

from .chandra import ACIS_CHANNEL, ACIS_OVERFLOW, approximate_acis_response, is_acis

__all__ = [
    "ACIS_CHANNEL",
    "ACIS_OVERFLOW",
    "approximate_acis_response",
    "is_acis",
]
