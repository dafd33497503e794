"""The distribution of detail coefficients: zeros, and a generalized Gaussian for the rest."""

import warnings
from dataclasses import dataclass
from numbers import Real

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from scipy.optimize import brentq, minimize_scalar
from scipy.special import gammaln

from .._text import shown

__all__ = ["GeneralizedGaussian"]

_SHAPES = (0.1, 10.0)  # where a shape is looked for: from all but a few values tiny, to all but uniform
_SMALLEST_SHAPE = 0.02  # values are powers of 1 / shape, which must be finite; its inverse is as good as uniform
_FEWEST = 10


@dataclass(frozen=True)
class GeneralizedGaussian:
    r"""Exact zeros, and values of a generalized Gaussian distribution on the rest of the pixels.

    A pixel is not zero with probability ``fraction``, and then has the density

    .. math:: p(x) = \frac{\beta}{2 \sigma \Gamma(1/\beta)} \exp(-|(x - \mu)/\sigma|^\beta)

    of scale :math:`\sigma`, shape :math:`\beta` and location :math:`\mu` (Nadarajah 2005, J. Appl. Stat. 32, 685;
    `scipy.stats.gennorm`). Shape 2 is a Gaussian, 1 a Laplace distribution; details of real sky images have shapes
    below 1.

    Parameters
    ----------
    fraction : float
        Fraction of pixels that are not zero, above 0 and up to 1.
    scale : float
        Scale of the values that are not zero, positive.
    shape : float
        Shape of their distribution, from 0.02 to 50.
    loc : float
        Their mean.

    Raises
    ------
    ValueError
        If a parameter is not a number or out of its range.

    Examples
    --------
    >>> from astro_lpalm.sources import GeneralizedGaussian
    >>> truth = GeneralizedGaussian(fraction=0.25, scale=3.0, shape=0.5)
    >>> fit = GeneralizedGaussian.fit(truth.draw(100_000, seed=0))
    >>> round(fit.fraction, 2), round(fit.scale), round(fit.shape, 1)
    (0.25, 3, 0.5)
    """

    fraction: float
    scale: float
    shape: float
    loc: float = 0.0

    def __post_init__(self):
        allowed = {
            "fraction": ("above 0 and not above 1", lambda value: 0 < value <= 1),
            "scale": ("positive", lambda value: value > 0),
            "shape": (
                f"from {_SMALLEST_SHAPE} to {1 / _SMALLEST_SHAPE:g}",
                lambda value: _SMALLEST_SHAPE <= value <= 1 / _SMALLEST_SHAPE,
            ),
            "loc": ("finite", lambda value: True),
        }
        for name, (range_, is_allowed) in allowed.items():
            value = getattr(self, name)
            if not isinstance(value, Real) or isinstance(value, bool) or not (np.isfinite(value) and is_allowed(value)):
                msg = f"{name} must be a number that is {range_}, not {shown(value)}."
                raise ValueError(msg)
            object.__setattr__(self, name, float(value))

    @classmethod
    def fit(cls, values, *, method="likelihood", negligible=0.0):
        r"""Fit to values, with the location fixed at 0.

        Parameters
        ----------
        values : array_like
            Values of any shape, such as detail coefficients.
        method : {"likelihood", "moments"}
            How the values that are not zero determine shape and scale. ``"likelihood"`` is the most precise where they
            do follow the distribution. ``"moments"`` gives the fit their mean modulus and mean square (Mallat 1989,
            IEEE Trans. Pattern Anal. Mach. Intell. 11, 674), which large values decide: better where small ones do
            not follow the distribution, as in maps that were themselves thresholded.
        negligible : float
            Values up to this fraction of the largest modulus count as zeros.

        Returns
        -------
        fit : `GeneralizedGaussian`

        Raises
        ------
        ValueError
            If a value is NaN or infinite, fewer than 10 are not zero, those are all of one modulus, or ``method`` or
            ``negligible`` is none of the above.

        Warns
        -----
        `~astropy.utils.exceptions.AstropyUserWarning`
            If the best shape lies outside the range from 0.1 to 10 that is searched.

        Notes
        -----
        For a given shape the likelihood is largest at :math:`\sigma^\beta = \beta \overline{|x|^\beta}`, so that only
        the shape is searched for.
        """
        if method not in ("likelihood", "moments"):
            msg = f"method must be 'likelihood' or 'moments', not {method!r}."
            raise ValueError(msg)
        values = np.asarray(values, dtype=float).ravel()
        modulus = _informative(values, negligible)
        # Relative values keep powers within the range of floats, whatever the unit of the image.
        typical = modulus.mean()
        relative = modulus / typical
        shape = _likeliest_shape(relative) if method == "likelihood" else _shape_of_moments(relative)
        if not _SHAPES[0] * 1.001 < shape < _SHAPES[1] / 1.001:
            msg = (
                f"no generalized Gaussian with a shape between {_SHAPES[0]} and {_SHAPES[1]} fits the {modulus.size} "
                f"values that are not zero; the nearest, {shape:.3g}, is used. Look at their histogram, or raise "
                "'negligible' if most of them are rounding errors."
            )
            warnings.warn(msg, AstropyUserWarning, stacklevel=2)
        if method == "likelihood":
            scale = (shape * np.mean(relative**shape)) ** (1 / shape)
        else:
            scale = np.exp(gammaln(1 / shape) - gammaln(2 / shape))
        return cls(modulus.size / values.size, float(scale * typical), shape)

    def draw(self, t, seed):
        """Draw values.

        Parameters
        ----------
        t : int
            Number of pixels.
        seed : int or `numpy.random.Generator`
            The same seed gives the same values.

        Returns
        -------
        values : `~numpy.ndarray`, shape (t,)
            ``fraction * t`` values that are not zero (rounded up or down at random, with the right mean), at random
            places.
        """
        return self._draw_rows(1, t, np.random.default_rng(seed))[0]

    def _draw_rows(self, n, t, rng, fewest=0):
        """Draw n independent rows of t values, each with at least so many that are not zero."""
        counts = np.maximum(np.floor(self.fraction * t + rng.random(n)).astype(int), fewest)
        rows = np.zeros((n, t))
        # |x|**shape follows a gamma distribution of parameter a = 1 / shape. A gamma variate of parameter a is one of
        # a + 1 times a uniform one to the power 1 / a, so the uniform one enters x as it is, and brings the sign too.
        for row, count in zip(rows, counts):
            row[:count] = rng.gamma(1 + 1 / self.shape, size=count) ** (1 / self.shape)
            row[:count] *= rng.uniform(-self.scale, self.scale, size=count)
            row[:count] += self.loc
            rng.shuffle(row)
        return rows


def _informative(values, negligible):
    """Moduli of the values that are not zero, or an error that says why they cannot be fitted."""
    if not 0 <= negligible < 1:
        msg = f"negligible must be a fraction of the largest modulus, at least 0 and less than 1, not {negligible}."
        raise ValueError(msg)
    if not np.isfinite(values).all():
        count = np.count_nonzero(~np.isfinite(values))
        msg = f"{count} of {values.size} values are NaN or infinite; leave them out or mask them."
        raise ValueError(msg)
    modulus = np.abs(values)
    modulus = modulus[modulus > negligible * modulus.max(initial=0)]
    if modulus.size < _FEWEST:
        all_of_them = "all are zero" if values.size and not modulus.size else f"only {modulus.size} are not zero"
        msg = (
            f"cannot fit a distribution to {values.size} values of which {all_of_them}; at least {_FEWEST} are needed."
        )
        raise ValueError(msg)
    if np.ptp(modulus) <= 1e-12 * modulus.max():
        msg = (
            f"cannot fit a distribution: all {modulus.size} values that are not zero have the modulus "
            f"{modulus[0]:.6g}; constant data have no shape."
        )
        raise ValueError(msg)
    return modulus


def _likeliest_shape(relative):
    """Shape of largest likelihood, with the scale that is best for it."""
    logarithms = np.log(relative)

    def loss(log_shape):
        # minus the mean logarithm of the density, without constants
        shape = np.exp(log_shape)
        log_scale = np.log(shape * np.mean(np.exp(shape * logarithms))) / shape
        return log_scale + 1 / shape + gammaln(1 / shape) - log_shape

    best = minimize_scalar(loss, bounds=np.log(_SHAPES), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(best.x))


def _shape_of_moments(relative):
    """Shape whose (E|x|)**2 / E(x**2), which grows with the shape, is that of the values."""
    target = 2 * np.log(np.mean(relative)) - np.log(np.mean(relative**2))

    def difference(shape):
        return 2 * gammaln(2 / shape) - gammaln(1 / shape) - gammaln(3 / shape) - target

    for shape, beyond in zip(_SHAPES, (1, -1)):
        if beyond * difference(shape) >= 0:
            return shape
    return float(brentq(difference, *_SHAPES))
