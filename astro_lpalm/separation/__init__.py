"""Solvers: from a matrix X (energies x pixels) to spectra A and sources S with X = A S + N."""

from .base import Factorization
from .dnmf import DNMF
from .fcls import FCLS, nonnegative_least_squares
from .fitting import FittedNetwork, FittingSolver, UnmixingNetwork
from .gmca import AMCA, GMCA
from .image_blur import ImageBlur
from .library_errors import LibraryErrors, library_errors
from .metrics import align, nmse, sdr, spectral_angle
from .mnnbu import MNNBU
from .other_updates import AdmmLLTUpdate, AdmmUpdate, AlistaUpdate, DeepNMFUpdate
from .palm import ISTA, PALM
from .physical import PhysicalFit, block_goodness, fit_again, fit_parameters, nearest_parameters
from .poisson import CountRefinement, poisson_sources, refine_counts
from .posterior import posterior_mean
from .refinement import Refinement, refine
from .sky import SkyFitter
from .sky_data import SkyData, SkyFit
from .snmfnet import SNMFNet
from .unrolled import ISTALLT, LISTA, LISTACP, LPALM, UnrolledPALM
from .update_base import SourceUpdate, SpectraUpdate
from .updates import (
    A_UPDATES,
    S_UPDATES,
    ExplicitUpdate,
    IstaLLTUpdate,
    IstaLLUpdate,
    KnownUpdate,
    ListaCPUpdate,
    ListaUpdate,
)
from .variation import varying_parameters
from .vca import VCA

__all__ = [
    "AMCA",
    "A_UPDATES",
    "DNMF",
    "FCLS",
    "GMCA",
    "ISTA",
    "ISTALLT",
    "LISTA",
    "LISTACP",
    "LPALM",
    "MNNBU",
    "PALM",
    "S_UPDATES",
    "VCA",
    "AdmmLLTUpdate",
    "AdmmUpdate",
    "AlistaUpdate",
    "CountRefinement",
    "DeepNMFUpdate",
    "ExplicitUpdate",
    "Factorization",
    "FittedNetwork",
    "FittingSolver",
    "ImageBlur",
    "IstaLLTUpdate",
    "IstaLLUpdate",
    "KnownUpdate",
    "LibraryErrors",
    "ListaCPUpdate",
    "ListaUpdate",
    "PhysicalFit",
    "Refinement",
    "SNMFNet",
    "SkyData",
    "SkyFit",
    "SkyFitter",
    "SourceUpdate",
    "SpectraUpdate",
    "UnmixingNetwork",
    "UnrolledPALM",
    "align",
    "block_goodness",
    "fit_again",
    "fit_parameters",
    "library_errors",
    "nearest_parameters",
    "nmse",
    "nonnegative_least_squares",
    "poisson_sources",
    "posterior_mean",
    "refine",
    "refine_counts",
    "sdr",
    "spectral_angle",
    "varying_parameters",
]
