"""Energies of channels as the user gives them, in place of those that the mission's guide says."""

import os
from dataclasses import dataclass

import astropy.units as u
import numpy as np

from ..instrument.ogip import read_channels
from .mission import Mission

__all__ = ["ListedChannels", "given_channels"]

_LARGEST = 65_535
"""Of channels on a scale that somebody gave, which says nothing of the last."""


@dataclass(frozen=True, kw_only=True)
class ListedChannels(Mission):
    """Channels whose energies are listed one by one, as in the EBOUNDS of a response.

    Parameters
    ----------
    edges : `~astropy.units.Quantity`, shape (n_channel + 1,)
        Where each channel begins, and the last ends.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astro_lpalm.missions.channels import ListedChannels
    >>> listed = ListedChannels(
    ...     name="X", telescope="X", instruments=("X",), first_channel=1, last_channel=2, edges=[0.3, 0.5, 1] * u.keV
    ... )
    >>> print(listed.energies([1, 2]))
    [0.4  0.75] keV
    """

    edges: u.Quantity

    def lower_edges(self, channels):
        """Give the energies at which channels begin; see `Mission.lower_edges`."""
        number = np.asarray(channels, dtype=float) - self.first_channel
        return np.interp(number, np.arange(len(self.edges)), self.edges.to_value(u.keV)) * u.keV


def given_channels(mission, ebounds=None, channel_energy=None):
    """Give the mission with the energies that a user says its channels have.

    Parameters
    ----------
    mission : Mission or None
        Whose list it is, where that is known: its flags and projection stay.
    ebounds : str or `os.PathLike`, optional
        An RMF, or a PHA file that names its RMF (RESPFILE).
    channel_energy : `~astropy.units.Quantity`, optional
        Width of a channel, channel 0 beginning at 0; or two, the energy at which channel 0 begins, and the width.

    Returns
    -------
    mission : Mission or None
        The very same where neither is given.

    Raises
    ------
    OSError, ValueError
        If both are given, the file cannot be read, or the energies cannot be.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astro_lpalm.missions import given_channels
    >>> print(given_channels(None, channel_energy=[1.6, 0.04] * u.keV).energies(35))
    3.02 keV
    """
    if ebounds is None and channel_energy is None:
        return mission
    if ebounds is not None and channel_energy is not None:
        msg = "give either ebounds or channel_energy, not both."
        raise ValueError(msg)
    kept = {} if mission is None else {name: getattr(mission, name) for name in _KEPT}
    kept = {"name": "the list", "telescope": "", "instruments": ()} | kept
    if ebounds is not None:
        if not isinstance(ebounds, str | os.PathLike):
            msg = f"ebounds must be the name of an RMF or PHA file, not {type(ebounds).__name__}."
            raise TypeError(msg)
        first, edges = read_channels(ebounds)
        last = first + len(edges) - 2
        kept["name"] = f"'{ebounds}'"
        overflow = mission.overflow if mission is not None and mission.overflow == last else None
        listed = {"first_channel": first, "last_channel": last, "overflow": overflow}
        return ListedChannels(**kept, **listed, edges=edges * u.keV)
    start, width = _scale(channel_energy)
    kept["name"] = f"channel_energy={channel_energy}"
    return Mission(**kept, last_channel=_LARGEST, channel_width=width, first_energy=start)


# What does not hang on the channels.
_KEPT = (
    "name", "telescope", "instruments", "negative_is_none", "needs_telescope", "flags_are_bad", "flag_column",
    "bad_flags", "flag_remedy", "projection", "sky_pixel", "bin_factor",
)  # fmt: skip


def _scale(channel_energy):
    try:
        values = np.atleast_1d(u.Quantity(channel_energy).to_value(u.keV))
    except (u.UnitConversionError, TypeError, ValueError) as error:
        msg = f"channel_energy={channel_energy!r} must be energies with a unit, for instance 10 * astropy.units.eV."
        raise ValueError(msg) from error
    if values.shape not in ((1,), (2,)) or not (np.isfinite(values).all() and values[-1] > 0):
        msg = (
            f"channel_energy={channel_energy!r} must be the width of a channel, a positive energy, or two energies, "
            "where channel 0 begins and the width."
        )
        raise ValueError(msg)
    return (values[0] if values.size == 2 else 0.0) * u.keV, values[-1] * u.keV
