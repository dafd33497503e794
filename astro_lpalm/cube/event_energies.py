"""Energies of events: from a column with a unit, or from the channels of an instrument that is known."""

import logging
import warnings

import astropy.units as u
import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from .._headers import header_text
from ..grid.units import energy_unit
from ..missions import known_missions

__all__ = ["check_energy_columns", "event_energies"]

logger = logging.getLogger(__name__)

# What tells keV from eV in a column without a unit. Detectors that image X-rays see 0.03 to 200 keV, so that nearly
# all numbers up to 200 with a median up to 30 are keV, and numbers above 30 with a median from 200 on are eV. What
# is between, a list cut to 40 to 79 keV for instance, is not told apart.
_LEAST_EV, _LARGEST_KEV = 30.0, 200.0


def check_energy_columns(has_energy, has_pi, names, mission, header, where):
    """Refuse a list that has no energies, and says of no instrument whose channels are known that it is from it.

    Parameters
    ----------
    has_energy, has_pi : bool
        Whether there is a column ENERGY, or PI.
    names : list of str
        All columns.
    mission : `~astro_lpalm.missions.Mission` or None
        What the list is from, where that is known.
    header : mapping
        With what the primary header says, where the table's does not.
    where : str
        The list, for messages.

    Raises
    ------
    ValueError
        If there is no ENERGY, and no PI or an instrument whose channels are not known, or tell no energies.
    """
    if has_energy:
        return
    if not has_pi:
        msg = (
            f"{where} has neither ENERGY nor PI: its columns are {', '.join(names)}. Take the list that the mission's "
            "tools calibrate (they make PI of PHA), or add a column ENERGY with its unit, eV or keV (TUNITn)."
        )
        raise ValueError(msg)
    if mission is not None and mission.no_energies:
        msg = (
            f"{where} is of {mission.name}, whose PI tells no energies: {mission.no_energies}. Components cannot be "
            "told apart by their spectra in it; take a list of another instrument."
        )
        raise ValueError(msg)
    if mission is None:
        said = " ".join(header_text(header, key, where) for key in ("TELESCOP", "INSTRUME")).strip()
        unknown = "an instrument that the headers do not name (TELESCOP and INSTRUME)"
        msg = (
            f"{where} has no ENERGY, and what energy a PI channel of {said or unknown} has is not known here (only "
            f"those of {', '.join(mission.name for mission in known_missions() if not mission.no_energies)} are); give "
            "ebounds, the RMF that goes with it (--ebounds), or channel_energy, or add a column ENERGY with its unit, "
            "eV or keV (TUNITn), or the right TELESCOP and INSTRUME, or register the mission (see "
            "astro_lpalm.missions)."
        )
        raise ValueError(msg)


def event_energies(values, missing, name, unit, mission, where):
    """Give events energies, and say the unit.

    Parameters
    ----------
    values : `~numpy.ndarray`, shape (n_events,)
        Of the column ENERGY or PI.
    missing : `~numpy.ndarray` of bool, shape (n_events,), or None
        Which events have none, says the list.
    name : {'ENERGY', 'PI'}
    unit : str or `~astropy.units.UnitBase`
        Of ENERGY, as the list has it.
    mission : `~astro_lpalm.missions.Mission` or None
        Whose channels PI has; only asked for those.
    where : str
        The list, for messages.

    Returns
    -------
    energy : `~numpy.ndarray`, shape (n_events,)
        Of a PI channel drawn within it, the same each time; infinite for the overflow channel, and NaN where there is
        none.
    unit : `~astropy.units.UnitBase`
        eV or keV.

    Raises
    ------
    ValueError
        If the unit is not one of energy, or there is none and the values do not tell, or values cannot be right.

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        If the unit was found from the values.
    """
    if name == "PI" and mission.negative_is_none and values.min() < 0:
        missing = values < 0 if missing is None else missing | (values < 0)
    given = values if missing is None else values[~missing]
    if name == "PI":
        first, last = mission.first_channel, mission.last_channel
        _check_range(given, first, last + 1, f"{where}: PI", f"a channel from {first} to {last}")
        return _of_channels(values, missing, mission, where), u.eV
    text = "" if unit is None else str(unit).strip()
    known = energy_unit(text) if text else _unit_of_values(given, where)
    if known is None:
        msg = f"{where}: the unit of ENERGY is {text}, which is not one of energy; expected eV or keV."
        raise ValueError(msg)
    _check_range(given, 0, np.inf, f"{where}: ENERGY", "finite and not negative")
    if known not in (u.eV, u.keV):  # X-rays have very small or large numbers of others
        values, known = values * known.to(u.keV), u.keV
    if missing is not None:
        values = np.where(missing, np.nan, values)
    return values, known


def _unit_of_values(energy, where):
    energy = energy[energy > 0]
    low, middle, high = np.percentile(energy, [1, 50, 99]) if energy.size else (np.nan,) * 3
    if middle <= _LEAST_EV and high < _LARGEST_KEV:
        unit = u.keV
    elif low > _LEAST_EV and middle >= _LARGEST_KEV:
        unit = u.eV
    else:
        msg = (
            f"{where}: ENERGY has no unit, and its values (98 % of them from {low:.4g} to {high:.4g}) may be eV or "
            "keV; write the unit into the header, TUNITn of the column."
        )
        raise ValueError(msg)
    msg = (
        f"{where}: ENERGY has no unit; it is taken as {unit}, since its values run from {low:.4g} to {high:.4g}. Write "
        "the unit into the header, TUNITn of the column."
    )
    warnings.warn(msg, AstropyUserWarning, stacklevel=2)
    return unit


def _of_channels(channel, missing, mission, where):
    """Give events energies within their PI channels, in eV; the overflow channel has none.

    All energies of a channel are as likely. Were they all in its middle, bins that hold six channels of a list and
    bins that hold seven would make steps in each spectrum.
    """
    logger.info("%s: the energy of an event is drawn within its PI channel, by %s", where, mission.name)
    first, last = mission.first_channel, mission.last_channel
    # Each channel is asked for once, and single precision holds its centre: lists have more events than memory may.
    centres = np.round(mission.energies(np.arange(first, last + 1)).to_value(u.eV), 6).astype(np.float32)
    widths = _widths(centres)
    at = (channel if missing is None else np.where(missing, first, channel)).astype(np.int32) - first
    energy = np.random.default_rng(0).random(len(at), dtype=np.float32) - np.float32(0.5)
    energy = centres[at] + widths[at] * energy
    if missing is not None:
        energy[missing] = np.nan
    return energy


def _widths(centres):
    """Tell how wide channels are by how far the next ones are; those without an energy, or alone, have no width."""
    if len(centres) < 2:
        return np.zeros_like(centres)
    steps = np.diff(centres)
    widths = np.minimum(np.append(steps[:1], steps), np.append(steps, steps[-1:]))
    return np.where(np.isfinite(widths) & np.isfinite(centres), widths, 0).astype(np.float32)


def _check_range(values, low, high, name, expected):
    if values.size and not (values.min() >= low and values.max() < high):
        n_bad = np.count_nonzero(~((values >= low) & (values < high)))
        msg = f"{name} is not {expected} for {n_bad} of {len(values)} events; remove these events from the list."
        raise ValueError(msg)
