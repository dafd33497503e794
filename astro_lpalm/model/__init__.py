"""What a training leaves behind and a separation needs, and the one FITS file it lives in."""

from .model import Model
from .packaged import load_model, packaged_models

__all__ = ["Model", "load_model", "packaged_models"]
