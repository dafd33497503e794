"""Responses on the energy bins of a cube."""

import os

import numpy as np

from ..grid.nesting import find_edges, told_apart
from .response import Response

__all__ = ["as_response", "response_on_bins"]


def response_on_bins(response, energy_edges):
    """Sum a response's channels into energy bins, parting the channels that an edge cuts.

    Parameters
    ----------
    response : `~astro_lpalm.instrument.Response`, tuple of 2 str or path, str or path
        A response, the names of an ARF and an RMF, or that of an RMF that holds the area.
    energy_edges : `~astropy.units.Quantity`, shape (m + 1,)
        Edges of the bins.

    Returns
    -------
    response : `~astro_lpalm.instrument.Response`
        Its channels are the bins. Within a channel counts are taken as uniform in energy, as an instrument's
        channels are several times narrower than what it resolves.

    Raises
    ------
    ValueError
        If an edge lies beyond the channels.
    OSError
        If a file cannot be read.
    TypeError
        If ``response`` is something else.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astro_lpalm.instrument import response_on_bins
    >>> from astro_lpalm.missions import approximate_response
    >>> fine = approximate_response([0.5, 1, 2, 3, 5, 7] * u.keV)
    >>> response_on_bins(fine, [0.5, 1.5, 7] * u.keV).matrix.shape
    (710, 2)
    """
    response = as_response(response)
    channels, edges = response.channel_edges.value, energy_edges.to_value("keV")
    width = np.diff(channels)
    nearest, _, is_edge = find_edges(edges, channels)
    snapped = np.where(is_edge, channels[nearest], edges)
    if snapped[0] < channels[0] or snapped[-1] > channels[-1]:
        low, high = (told_apart(edges[end], channels[end]) for end in (0, -1))
        msg = (
            f"the cube has energies from {low[0]} to {high[0]} keV, and the response channels from {low[1]} to "
            f"{high[1]} keV; take a cube within them."
        )
        raise ValueError(msg)
    low = np.maximum(channels[:-1, np.newaxis], snapped[:-1])
    high = np.minimum(channels[1:, np.newaxis], snapped[1:])
    overlap = np.maximum(high - low, 0) / width[:, np.newaxis]
    return Response(response.matrix @ overlap, response.energy_edges, energy_edges)


def as_response(response):
    """Take for a response whatever `response_on_bins` takes."""
    if isinstance(response, str | os.PathLike):
        return Response.read(None, response)
    if isinstance(response, list | tuple) and len(response) == 2:
        return Response.read(*response)
    if not isinstance(response, Response):
        msg = f"response must be a Response, or the names of an ARF and an RMF, not {response!r}."
        raise TypeError(msg)
    return response
