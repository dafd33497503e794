"""How far a separation can be trusted: errors, photons drawn again, and what speaks against it."""

from .causes import Cause, CauseSettings, find_causes
from .diagnostics import SeparationWarning, block_chi_square, diagnose
from .errors import (
    Errors,
    least_squares_errors,
    posterior_errors,
    prior_errors,
    reduced_chi_square,
    region_errors,
    residual_share,
    spectrum_errors,
    variance_inflation,
)
from .rates import unequal_rates
from .resampling import check_photons, resample

__all__ = [
    "Cause",
    "CauseSettings",
    "Errors",
    "SeparationWarning",
    "block_chi_square",
    "check_photons",
    "diagnose",
    "find_causes",
    "least_squares_errors",
    "posterior_errors",
    "prior_errors",
    "reduced_chi_square",
    "region_errors",
    "resample",
    "residual_share",
    "spectrum_errors",
    "unequal_rates",
    "variance_inflation",
]
