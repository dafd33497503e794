"""astro_lpalm: separate X-ray observations into their physical components."""

from importlib import import_module as _import_module
from importlib.metadata import version as _version

from ._citation import CITATION as _CITATION

__version__ = _version("astro_lpalm")
__citation__ = _CITATION

_ROOMS = {
    "EventCube": "cube",
    "Instrument": "instrument",
    "PSF": "instrument",
    "Response": "instrument",
    "Separation": "results",
    "SeparationWarning": "trust",
    "Separator": "separator",
    "SpectralLibrary": "spectra",
    "TrainingSet": "training",
    "compare_models": "selection",
    "load_model": "model",
    "separate": "pipeline",
    "separate_many": "many",
    "simulate": "simulate",
    "train": "training",
}

__all__ = list(_ROOMS)


def __getattr__(name):
    # Imported on first use, so that ``import astro_lpalm`` stays light: the model and the solvers need torch.
    if name not in _ROOMS:
        msg = f"module 'astro_lpalm' has no attribute {name!r}"
        raise AttributeError(msg)
    room = _import_module(f".{_ROOMS[name]}", __name__)
    found = room if name == _ROOMS[name] else getattr(room, name)
    globals()[name] = found
    return found


def __dir__():
    return sorted({*globals(), *__all__})
