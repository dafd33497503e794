"""One response for several observations."""

import astropy.units as u
import numpy as np

from ..grid.nesting import difference
from .response import Response

__all__ = ["merge_responses"]


def merge_responses(responses, weights):
    r"""Average the responses of observations that were merged.

    A source that does not vary makes :math:`\sum_i T_i R_i f` counts in exposures :math:`T_i` with responses
    :math:`R_i`: as many as the mean response, weighted by exposure, makes in the sum of the exposures.

    Parameters
    ----------
    responses : sequence of `~astro_lpalm.instrument.Response`
        With the same true energies and the same channels.
    weights : `~astropy.units.Quantity` or array_like
        Exposure times, at the source where a map gives them, one for each.

    Returns
    -------
    response : `~astro_lpalm.instrument.Response`

    Raises
    ------
    ValueError
        If grids differ, there is no weight for each response, or weights are negative, not finite or all zero.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astro_lpalm.instrument import Response, merge_responses
    >>> edges = {"energy_edges": [1, 2, 3], "channel_edges": [1, 2, 3]}
    >>> early, late = Response([[400, 0], [0, 200]], **edges), Response([[100, 0], [0, 200]], **edges)
    >>> merge_responses([early, late], [20, 40] * u.ks).area
    <Quantity [200., 200.] cm2>
    """
    responses, weights = list(responses), np.atleast_1d(u.Quantity(weights).value).astype(float)
    if not responses or weights.shape != (len(responses),):
        msg = f"there are {len(responses)} responses and weights of shape {weights.shape}; give one for each."
        raise ValueError(msg)
    if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.any()):
        msg = f"weights={weights} must be finite, not negative, and not all zero: they are exposure times."
        raise ValueError(msg)
    first = responses[0]
    for number, other in enumerate(responses[1:], start=2):
        for name in ("energy_edges", "channel_edges"):
            one, two = getattr(first, name).value, getattr(other, name).value
            if differs := difference(two, one, same=True):
                msg = (
                    f"response {number} has {two.size - 1} bins from {two[0]:.6g} to {two[-1]:.6g} keV as {name}, the "
                    f"first {one.size - 1} from {one[0]:.6g} to {one[-1]:.6g} keV: {differs}; make all with "
                    "the same grid."
                )
                raise ValueError(msg)
    matrix = sum(weight * response.matrix for weight, response in zip(weights / weights.sum(), responses))
    return Response(matrix, first.energy_edges, first.channel_edges, first_channel=first.first_channel)
