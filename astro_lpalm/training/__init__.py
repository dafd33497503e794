"""Training: from libraries of spectra and sources to a model."""

from .history import *
from .train import *
from .training_set import *
