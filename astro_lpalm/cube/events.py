"""Event lists: what a cube needs of them."""

import os
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.io import fits

from .._headers import header_number
from ..missions import Mission, find, given_channels
from .event_checks import good_times, warn_of_flags, warn_of_times
from .event_energies import check_energy_columns, event_energies
from .event_positions import PLANE_COLUMNS, project, sky_columns
from .event_table import check_numbers, describe_table, find_column, opened_table, read_columns, without_value

__all__ = ["EventList", "read_events"]

# Events handled at once: temporaries stay in the processor's cache.
_CHUNK = 1 << 15

_READ = ("X", "Y", "RA", "DEC", "ENERGY", "PI", "TIME", "CCD_ID")

# Floating-point positions of fewer events may be whole numbers by chance, or by somebody's hand.
_FEWEST_WHOLE = 100


@dataclass
class EventList:
    """The columns of an event list that a cube needs.

    Attributes
    ----------
    x, y : `~numpy.ndarray`, shape (n_events,)
        Sky pixel coordinates, as the list has them.
    energy : `~numpy.ndarray`, shape (n_events,)
        Energies in ``energy_unit``; infinite for events of the overflow channel in a list without energies, and NaN
        for those that have none (TNULL).
    energy_unit : `~astropy.units.Unit`
    overflow_energy : float
        Where the overflow channel begins, in ``energy_unit``; infinite where there is none, or no PI.
    overflow_channel : int or None
    header : mapping
        The table's header, with what only the primary one says of the observation.
    names : tuple of str
        Names of the X and Y columns, in the list's own case.
    columns : tuple of int
        Their positions in the table, from 1.
    where : str
        How to call the list in messages.
    mission : `~astro_lpalm.missions.Mission` or None
        What it is from, where that is known.
    moved : bool
        Whether the positions are in the sky pixels of another observation.
    history : tuple of str
        What was done with the events, in lines for the cube's header.
    """

    x: np.ndarray
    y: np.ndarray
    energy: np.ndarray
    energy_unit: u.UnitBase
    overflow_energy: float
    overflow_channel: int | None
    header: fits.Header | dict
    names: tuple
    columns: tuple
    where: str
    mission: Mission | None = None
    moved: bool = False
    history: tuple = ()

    def chunks(self):
        """Slices that walk through the list."""
        return (slice(start, start + _CHUNK) for start in range(0, len(self.x), _CHUNK))

    def image_bounds(self):
        """Bounds of the whole sky image, from TLMIN and TLMAX of the two columns.

        Returns
        -------
        bounds : list of 4 float
            x0, x1, y0, y1; infinite where the header does not say, or speaks of other pixels.
        """
        if self.moved:
            return [-np.inf, np.inf, -np.inf, np.inf]
        limits = [
            header_number(self.header, f"{key}{column}", self.where, default=default)
            for column in self.columns
            for key, default in (("TLMIN", -np.inf), ("TLMAX", np.inf))
        ]
        return self.edges_of(limits)

    def edges_of(self, limits):
        """Edges of the image that limits of X and Y stand for: a column of whole numbers gives the pixels' centres.

        Parameters
        ----------
        limits : sequence of 4 float
            x0, x1, y0, y1.

        Returns
        -------
        edges : list of 4 float
            The same where the columns have fractions; those of the outermost whole pixels within them otherwise.
        """
        whole = [self.x.dtype.kind in "iu"] * 2 + [self.y.dtype.kind in "iu"] * 2
        snapped = [np.floor(v) + 0.5 if upper else np.ceil(v) - 0.5 for v, upper in zip(limits, (False, True) * 2)]
        return [float(new if is_whole else given) for is_whole, new, given in zip(whole, snapped, limits)]

    def whole_axes(self):
        """Tell for X and Y whether the positions are whole numbers: all events of a sky pixel lie in its centre."""
        if self.moved:
            return False, False
        return tuple(v.dtype.kind in "iu" or (len(v) >= _FEWEST_WHOLE and _all_whole(v)) for v in (self.x, self.y))

    def extent(self, energy_range, bounds):
        """Find the extent of the events within an energy range and an image.

        Parameters
        ----------
        energy_range : tuple of float
            In ``energy_unit``.
        bounds : sequence of 4 float
            x0, x1, y0, y1.

        Returns
        -------
        extent : tuple of 4 float, or None
            x0, x1, y0, y1 of the outermost events; None where there is none.
        """
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        for part in self.chunks():
            x, y, energy = self.x[part], self.y[part], self.energy[part]
            kept = (energy >= energy_range[0]) & (energy < energy_range[1])
            kept &= (x >= bounds[0]) & (x <= bounds[1]) & (y >= bounds[2]) & (y <= bounds[3])
            if kept.any():
                position = np.stack([x[kept], y[kept]])
                np.minimum(low, position.min(axis=1), out=low)
                np.maximum(high, position.max(axis=1), out=high)
        return (low[0], high[0], low[1], high[1]) if np.isfinite(low).all() else None


def read_events(events, *, ebounds=None, channel_energy=None, center=None):
    """Read what a cube needs of an event list.

    Parameters
    ----------
    events : str, `os.PathLike`, `~astropy.io.fits.HDUList`, table HDU or `~astropy.table.Table`
        An event list with columns X and Y, or else RA and DEC, and ENERGY or PI, in any order and case. Without
        ENERGY, the energy of an event is drawn within its PI channel, as the mission defines them (see
        `astro_lpalm.missions`), the same each time, and an overflow channel has none.
        Of several tables of events the first is read. Of a single table HDU, the primary header and the good time
        intervals are not known.
    ebounds, channel_energy
        Energies of PI channels in place of the mission's, and of ENERGY, as `~astro_lpalm.missions.given_channels`
        takes them.
    center : `~astropy.coordinates.SkyCoord`, optional
        Where the plane touches the sky that RA and DEC are projected on; the pointing if not given.

    Returns
    -------
    events : EventList
        Native arrays. A file is read piece by piece, so that other columns take no memory.

    Raises
    ------
    FileNotFoundError, OSError
        If the file does not exist, is not FITS or is truncated.
    TypeError
        If ``events`` is something else.
    ValueError
        If there is no event table, no position, or they are no numbers; no energy, and no PI of an instrument that is
        known; no event, or an energy that is NaN or negative.

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        If there are other tables of events, events outside the good time intervals or with bits set that flag bad
        ones, or an energy column without a unit.
    """
    path = events if isinstance(events, str | os.PathLike) else None
    with opened_table(events) as (table, hdulist, where):
        header, names, units = describe_table(table, hdulist, where)
        mission = given_channels(find(header, where), ebounds, channel_energy)
        flags = "STATUS" if mission is None or not mission.flags_are_bad else mission.flag_column
        found = {key: find_column(names, key) for key in (*_READ, flags)}
        sky = sky_columns(found, names, where)
        if ebounds is not None or channel_energy is not None:
            found["ENERGY"] = None
        check_energy_columns(found["ENERGY"] is not None, found["PI"] is not None, names, mission, header, where)
        intervals = good_times(hdulist, where) if found["TIME"] else []
        kinds = [*sky, "ENERGY" if found["ENERGY"] else "PI"]
        judged = (["TIME", "CCD_ID"] if intervals else []) + [flags]
        kinds += [key for key in judged if found[key]]
        columns = dict(zip(kinds, read_columns(table, [found[key] for key in kinds], path, where)))
        missing = {key: without_value(table, found[key], columns[key], where) for key in kinds[:3]}
    if len(columns[sky[0]]) == 0:
        msg = f"{where} holds no events."
        raise ValueError(msg)
    check_numbers({found[key]: columns[key] for key in kinds[:3]}, where)
    warn_of_times(columns.get("TIME"), columns.get("CCD_ID"), intervals, header, where)
    warn_of_flags(columns.get(flags), flags, mission, header, where)
    x, y = (columns[key] if missing[key] is None else np.where(missing[key], np.nan, columns[key]) for key in sky)
    names_of_sky = found[sky[0]], found[sky[1]]
    numbers = tuple(names.index(name) + 1 for name in names_of_sky)
    if sky[0] == "RA":
        x, y, header = project(x, y, [units[name] for name in names_of_sky], header, mission, center, where)
        numbers, names_of_sky = PLANE_COLUMNS, ("x", "y")
    kind = kinds[2]
    energy, unit = event_energies(columns[kind], missing[kind], kind, units[found[kind]], mission, where)
    # With energies at hand PI need not be read: these events are the ones above its last but one channel.
    has_channels = found["PI"] is not None and mission is not None and not mission.no_energies
    overflow = (mission.overflow_energy.to_value(unit), mission.overflow) if has_channels else (np.inf, None)
    drawn = (f"energies drawn within PI channels, by {mission.name}",) if kind == "PI" else ()
    return EventList(x, y, energy, unit, *overflow, header, names_of_sky, numbers, where, mission, history=drawn)


def _all_whole(values):
    # The first ones tell in nearly every list.
    return all(bool((part[np.isfinite(part)] % 1 == 0).all()) for part in (values[:_FEWEST_WHOLE], values))
