"""The experiments of Fahes et al. (ICLR 2022, arXiv:2112.05694), one module each, on the authors' spectra and maps."""

from .experiment import Experiment, Row, format_table
from .experiments import EXPERIMENTS
from .mixtures import (
    REALISTIC_TRAINING_SETTINGS,
    Mixture,
    RealisticMixtures,
    make_realistic_training_set,
    read_maps,
    read_realistic,
)
from .protocol import COMPONENTS, TRAINING_SETTINGS, Protocol, read_protocol, read_spectra
from .workspace import Workspace

__all__ = [
    "COMPONENTS",
    "EXPERIMENTS",
    "REALISTIC_TRAINING_SETTINGS",
    "TRAINING_SETTINGS",
    "Experiment",
    "Mixture",
    "Protocol",
    "RealisticMixtures",
    "Row",
    "Workspace",
    "format_table",
    "make_realistic_training_set",
    "read_maps",
    "read_protocol",
    "read_realistic",
    "read_spectra",
]
