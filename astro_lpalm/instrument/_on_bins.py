"""Responses on the energy bins of a cube."""

import os

import numpy as np

from ..grid.nesting import find_edges, told_apart
from .response import Response

__all__ = ["response_on_bins"]


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
    """
    if isinstance(response, str | os.PathLike):
        response = Response.read(None, response)
    elif isinstance(response, list | tuple) and len(response) == 2:
        response = Response.read(*response)
    elif not isinstance(response, Response):
        msg = f"response must be a Response, or the names of an ARF and an RMF, not {response!r}."
        raise TypeError(msg)
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
