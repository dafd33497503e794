"""Ranges that parameters are drawn from."""

from dataclasses import dataclass
from numbers import Real

import numpy as np

from .._text import shown

__all__ = ["Prior"]

_ROUNDING = 1e-6  # relative: files of table models keep bounds as float32


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
            msg = f"scale is {shown(self.scale)}; choose 'linear' or 'log'."
            raise ValueError(msg)
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low <= self.high):
            msg = f"range is [{self.low}, {self.high}]; give two finite numbers, the lower first."
            raise ValueError(msg)
        if self.scale == "log" and self.low <= 0:
            msg = f"range is [{self.low}, {self.high}] with scale 'log'; give positive numbers, or scale 'linear'."
            raise ValueError(msg)

    @classmethod
    def parse(cls, value, bounds=(None, None)):
        """Read a prior as a components file writes it.

        Parameters
        ----------
        value : float, list or dict
            A number, ``[low, high]`` or ``{range = [low, high], scale = "log"}``.
        bounds : (float, float), optional
            What the parameter may be, None for no bound.

        Returns
        -------
        prior : Prior

        Raises
        ------
        ValueError
            If it is none of the three, `Prior` refuses it, or it goes beyond the bounds.

        Examples
        --------
        >>> from astro_lpalm.spectra import Prior
        >>> Prior.parse({"range": [0.5, 2.0], "scale": "log"})
        Prior(low=0.5, high=2.0, scale='log')
        """
        given = value if isinstance(value, dict) else {"range": value}
        limits = given.get("range")
        limits = limits if isinstance(limits, list | tuple) else [limits, limits]
        numbers = all(isinstance(each, Real) and not isinstance(each, bool) for each in limits)
        if set(given) - {"range", "scale"} or len(limits) != 2 or not numbers:
            msg = (
                f"{shown(value)} is not a prior; give a number, [low, high] or {{range = [low, high], scale = 'log'}}."
            )
            raise ValueError(msg)
        return cls(float(limits[0]), float(limits[1]), given.get("scale", "linear")).within(bounds)

    def within(self, bounds):
        """Check that no value lies beyond the bounds of a parameter.

        Parameters
        ----------
        bounds : (float, float)
            As `astropy.modeling.Parameter` has them: None for no bound.

        Returns
        -------
        prior : Prior
            Itself.

        Raises
        ------
        ValueError
            If one does.
        """
        low, high = (-np.inf if bounds[0] is None else bounds[0]), (np.inf if bounds[1] is None else bounds[1])
        rounding = [_ROUNDING * abs(bound) if np.isfinite(bound) else 0.0 for bound in (low, high)]
        if self.low < low - rounding[0] or self.high > high + rounding[1]:
            msg = f"{self} goes beyond what it may be, {low:g} to {high:g}."
            raise ValueError(msg)
        return self

    def __str__(self):
        if self.low == self.high:
            return f"{self.low:g}"
        return f"{self.low:g} to {self.high:g}" + (" (log)" if self.scale == "log" else "")

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
