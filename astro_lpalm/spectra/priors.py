"""Ranges that parameters are drawn from."""

from dataclasses import dataclass
from numbers import Real

import numpy as np

__all__ = ["Prior"]


@dataclass(frozen=True)
class Prior:
    """A range of values, drawn uniformly in the value or in its logarithm.

    Parameters
    ----------
    low, high : float
        The range; equal for a fixed value.
    scale : str
        "linear" or "log".

    Raises
    ------
    ValueError
        If the range is reversed or not finite, not positive for "log", or the scale is another.

    Examples
    --------
    >>> from astro_lpalm.spectra import Prior
    >>> Prior(2.0, 3.0).draw(3, seed=1).round(3)
    array([2.512, 2.95 , 2.144])
    """

    low: float
    high: float
    scale: str = "linear"

    def __post_init__(self):
        if self.scale not in ("linear", "log"):
            msg = f"scale is {self.scale!r}; choose 'linear' or 'log'."
            raise ValueError(msg)
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low <= self.high):
            msg = f"range is [{self.low}, {self.high}]; give two finite numbers, the lower first."
            raise ValueError(msg)
        if self.scale == "log" and self.low <= 0:
            msg = f"range is [{self.low}, {self.high}] with scale 'log'; give positive numbers, or scale 'linear'."
            raise ValueError(msg)

    @classmethod
    def parse(cls, value):
        """Read a prior as a components file writes it.

        Parameters
        ----------
        value : float, list or dict
            A number, ``[low, high]`` or ``{range = [low, high], scale = "log"}``.

        Returns
        -------
        prior : Prior

        Raises
        ------
        ValueError
            If it is none of the three, or `Prior` refuses it.
        """
        given = value if isinstance(value, dict) else {"range": value}
        bounds = given.get("range")
        bounds = bounds if isinstance(bounds, list) else [bounds, bounds]
        numbers = all(isinstance(each, Real) and not isinstance(each, bool) for each in bounds)
        if set(given) - {"range", "scale"} or len(bounds) != 2 or not numbers:
            msg = f"{value!r} is not a prior; give a number, [low, high] or {{range = [low, high], scale = 'log'}}."
            raise ValueError(msg)
        return cls(float(bounds[0]), float(bounds[1]), given.get("scale", "linear"))

    def draw(self, n, seed=None):
        """Draw ``n`` values.

        Parameters
        ----------
        n : int
        seed : int or `numpy.random.Generator`, optional

        Returns
        -------
        values : array
            Shape (n,).
        """
        uniform = np.random.default_rng(seed).uniform(size=n)
        if self.scale == "log":
            return self.low * (self.high / self.low) ** uniform
        return self.low + (self.high - self.low) * uniform
