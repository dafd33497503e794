"""astro_lpalm: separate X-ray observations into their physical components."""

from importlib.metadata import version as _version

__all__ = ["EventCube", "Separation", "SeparationWarning", "load_model", "separate"]
__version__ = _version("astro_lpalm")


def __getattr__(name):
    # Imported on first use, so that ``import astro_lpalm`` stays light: the model and the solvers need torch.
    if name == "EventCube":
        from .cube import EventCube as found
    elif name == "Separation":
        from .results import Separation as found
    elif name == "SeparationWarning":
        from .trust.diagnostics import SeparationWarning as found
    elif name == "separate":
        from .pipeline import separate as found
    elif name == "load_model":
        from .model import load_model as found
    else:
        msg = f"module 'astro_lpalm' has no attribute {name!r}"
        raise AttributeError(msg)
    globals()[name] = found
    return found


def __dir__():
    return sorted([*globals(), *__all__])
