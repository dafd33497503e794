"""Physical parameters that have a range."""

from dataclasses import dataclass

import numpy as np

__all__ = ["SCALES", "FreeParameter"]

_TINY = 1e-12
_FORWARD = {"linear": np.positive, "log": np.log, "inverse": np.reciprocal, "square": np.square}
_BACKWARD = {"linear": np.positive, "log": np.exp, "inverse": np.reciprocal, "square": np.sqrt}
SCALES = tuple(_FORWARD)
"""What may go evenly with a scaled parameter."""


@dataclass(frozen=True)
class FreeParameter:
    """A physical parameter that has a range.

    Attributes
    ----------
    component : str
        "" for the absorption, which all components share.
    name : str
    unit : str
        "" for numbers without dimension.
    low, high : float
        The range, in that unit.
    scale : str
        What goes evenly from 0 to 1 with the scaled parameter: the value ("linear"), its logarithm ("log"), its
        "inverse" or "square". Whatever the range was drawn in, that in which spectra change most evenly is best to
        fit in: errors are then nearest to a normal distribution, also where a parameter is hardly measured.

    Examples
    --------
    >>> from astro_lpalm.spectra import FreeParameter
    >>> kT = FreeParameter("thermal", "kT", "keV", 0.5, 2.0, scale="log")
    >>> kT.value([0.0, 0.5, 1.0]).round(6), float(kT.scaled(1.0).round(6))
    (array([0.5, 1. , 2. ]), 0.5)
    """

    component: str
    name: str
    unit: str
    low: float
    high: float
    scale: str = "linear"

    def value(self, x):
        """Value of a scaled parameter."""
        low, high = _FORWARD[self.scale](np.array([self.low, self.high], dtype=float))
        return np.clip(_BACKWARD[self.scale](low + (high - low) * np.asarray(x, dtype=float)), self.low, self.high)

    def scaled(self, value):
        """Scaled parameter of a value; beyond 0 to 1 for one beyond the range."""
        low, high = _FORWARD[self.scale](np.array([self.low, self.high], dtype=float))
        return (_FORWARD[self.scale](np.asarray(value, dtype=float)) - low) / (high - low)

    def slope(self, x):
        """Differentiate the value in the scaled parameter."""
        low, high = _FORWARD[self.scale](np.array([self.low, self.high], dtype=float))
        value = self.value(x)
        slopes = {"linear": 1.0, "log": value, "inverse": -(value**2), "square": 0.5 / np.maximum(value, _TINY)}
        return (high - low) * slopes[self.scale]
