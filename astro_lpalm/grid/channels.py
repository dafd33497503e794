"""Energy grids of channels and true energies, and bins that are made of whole channels."""

import astropy.units as u
import numpy as np
from scipy.sparse import csr_array

from .._text import shown
from .nesting import find_edges, told_apart

__all__ = ["check_energy_edges", "summing_matrix"]


def check_energy_edges(energy_edges, name="energy_edges"):
    """Check edges of energy bins.

    Parameters
    ----------
    energy_edges : `~astropy.units.Quantity` or array
        Shape (m + 1,); keV where there is no unit. The first may be 0, as in files of responses.
    name : str
        What the caller calls them, for messages.

    Returns
    -------
    edges : array
        A copy in keV.

    Raises
    ------
    ValueError
        If they are not at least two, finite and increasing energies, or the first is negative.

    Examples
    --------
    >>> from astro_lpalm.grid import check_energy_edges
    >>> check_energy_edges([0.5, 2, 7])
    array([0.5, 2. , 7. ])
    """
    try:
        edges = u.Quantity(energy_edges, dtype=float)
        edges = np.array(edges.value if edges.unit == u.dimensionless_unscaled else edges.to_value(u.keV))
    except (TypeError, ValueError, u.UnitsError) as error:
        msg = f"{name} must be energies, in keV where they have no unit; got {shown(energy_edges)} ({error})."
        raise ValueError(msg) from error
    if (
        edges.ndim != 1
        or edges.size < 2
        or not (np.all(edges[1:] > edges[:-1]) and edges[0] >= 0 and edges[-1] < np.inf)
    ):
        msg = f"{name} must be two or more finite, increasing energies, the first 0 or more; got {shown(energy_edges)}."
        raise ValueError(msg)
    return edges


def summing_matrix(channel_edges, energy_edges):
    """Make the matrix that sums channels into energy bins of whole channels.

    Parameters
    ----------
    channel_edges : `~astropy.units.Quantity` or array
        Shape (n_channel + 1,); keV where there is no unit.
    energy_edges : `~astropy.units.Quantity` or array
        Shape (m + 1,), each one that of a channel, within 1e-3 of the channel's width.

    Returns
    -------
    summing : `~scipy.sparse.csr_array`
        Shape (n_channel, m), of zeros and ones.

    Raises
    ------
    ValueError
        If an energy edge is not the edge of a channel, or lies beyond the channels.
    """
    channels, wanted = check_energy_edges(channel_edges, "channel_edges"), check_energy_edges(energy_edges)
    nearest, _, is_edge = find_edges(wanted, channels)
    if not is_edge.all():
        first = int(is_edge.argmin())
        edge = f"energy_edges[{first}] = {told_apart(wanted[first], channels[nearest[first]])[0]} keV"
        above = np.searchsorted(channels, wanted[first])
        if above in (0, channels.size):
            msg = f"{edge} lies beyond the channels, which cover {channels[0]:.6g} to {channels[-1]:.6g} keV."
            raise ValueError(msg)
        low, high = (told_apart(side, wanted[first])[0] for side in channels[above - 1 : above + 1])
        msg = (
            f"{edge} lies inside a channel, that of {low} to {high} keV; take edges of channels, for instance those of "
            "Response.group."
        )
        raise ValueError(msg)
    if np.any(np.diff(nearest) == 0):
        first = int(np.argmin(np.diff(nearest)))
        msg = f"no channel lies between energy_edges[{first}] = {wanted[first]:.9g} and {wanted[first + 1]:.9g} keV."
        raise ValueError(msg)
    inside = np.arange(nearest[0], nearest[-1])
    to_bin = np.repeat(np.arange(wanted.size - 1), np.diff(nearest))
    return csr_array((np.ones(inside.size), (inside, to_bin)), shape=(channels.size - 1, wanted.size - 1))
