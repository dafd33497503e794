"""Training: from libraries of spectra and sources to a model."""

from .configuration import LOSSES
from .history import plot_history
from .synthesis import add_noise
from .train import DivergenceWarning, train
from .training_set import TrainingSet

__all__ = [
    "LOSSES",
    "DivergenceWarning",
    "TrainingSet",
    "add_noise",
    "plot_history",
    "train",
]
