"""What a separation gives: component images and spectra, residuals, diagnostics, their files and their figure."""

from .separation import Separation

__all__ = ["Separation"]
