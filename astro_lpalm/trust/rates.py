"""Whether several observations see one and the same sky."""

import numpy as np

__all__ = ["unequal_rates"]

_FACTOR = 1.3  # telescopes are known to 10 or 15 % relative to each other
_SIGMA = 5.0


def unequal_rates(fit, n):
    """Say which of several observations has more of the counts that are expected of it than another.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`
        Of all observations, their bins one after the other.
    n : int
        How many there are.

    Returns
    -------
    messages : list of str
        One or none.

    Examples
    --------
    Two observations of equal exposures, says the model; the second has a third of the counts:

    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.forward import Fit, ForwardModel
    >>> from astro_lpalm.trust import unequal_rates
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> data = np.multiply.outer([3.0, 6.0, 1.0, 2.0], np.full((8, 8), 10.0))
    >>> cube = EventCube(data, energy_edges=[1, 2, 3, 4, 5] * u.keV, wcs=wcs)
    >>> fit = Fit(cube, ForwardModel.of(cube), np.array([[1.0], [2.0], [1.0], [2.0]]), np.full((1, 64), 20.0))
    >>> print(unequal_rates(fit, 2)[0].partition(":")[0])
    observation 1 has 1.5 times the counts that all together make expect of it, observation 2 0.5 times
    """
    background = fit.forward.background
    beside = np.zeros(n) if background is None else background.spectrum().reshape(n, -1).sum(axis=1)
    counts = fit.cube.counts.spectrum().reshape(n, -1).sum(axis=1)
    expected = fit.expected_spectrum().reshape(n, -1).sum(axis=1) - beside
    ratios = (counts - beside) / expected
    deviations = np.sqrt(counts + 1) / expected
    high, low = int(np.argmax(ratios)), int(np.argmin(ratios))
    excess = ratios[high] - _FACTOR * max(ratios[low], 0.0)
    if not excess > _SIGMA * np.hypot(deviations[high], _FACTOR * deviations[low]):
        return []
    return [
        f"observation {high + 1} has {ratios[high]:.2g} times the counts that all together make expect of it, "
        f"observation {low + 1} {ratios[low]:.2g} times: the two do not see one sky, and fluxes are those of neither. "
        "Are exposures (map, EXPOSURE), responses and backgrounds right, and is the source constant?"
    ]
