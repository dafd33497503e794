"""What an event list of each mission means: channels as energies, flags, and approximate responses."""

from .chandra import *
