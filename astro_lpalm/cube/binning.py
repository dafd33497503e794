"""Event lists, one or several, binned onto the pixels of one image."""

import os
import re

from astropy.io import fits

from .._files import naming
from .events import count_events, read_events
from .observations import move_events
from .region import mask_outside, read_region
from .selection import choose_grid
from .sky import celestial_wcs, image_cards, is_wcs_card, sky_cards, sky_of_image

__all__ = ["bin_events", "is_several"]

# What an image keeps of the event list's header: who observed what, when, for how long, and how it was processed.
_KEPT = re.compile(
    r"ORIGIN|CREATOR|ASCDSVER|CALDBVER|REVISION|MISSION|TELESCOP|INSTRUME|DETNAM|GRATING|FILTER|DATAMODE|READMODE|"
    r"OBS_MODE|TITLE|OBSERVER|OBJECT|OBS_ID|OBI_NUM|SEQ_NUM|(RA|DEC|ROLL)_(NOM|PNT|TARG|OBJ)|DEFOCUS|SIM_[XYZ]|"
    r"DATE-(OBS|END)|MJD-OBS|MJDREF[IF]?|TIMESYS|TIMEUNIT|TIMEZERO|TSTART|TSTOP|EXPOSURE|ONTIME|LIVETIME|DTCOR|"
    r"TELAPSE|FP_TEMP|ASOLFILE|RESPFILE|ANCRFILE|BACKFILE"
)


def is_several(events):
    """Tell whether several observations are given; an HDUList is one."""
    return isinstance(events, list | tuple) and not isinstance(events, fits.HDUList)


def bin_events(events, energy_edges, where, region=None, exposure=None, like=None):
    """Count the events of each list on common pixels.

    Parameters
    ----------
    events, region, exposure, like
        As in `astro_lpalm.EventCube.from_events`.
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,)
    where : dict
        What of ``bin_factor``, ``pixel_scale``, ``bounds``, ``center`` and ``size`` was given.

    Yields
    ------
    counts : `~numpy.ndarray` of int32, shape (n, ny, nx)
    mask : `~numpy.ndarray` of bool, shape (ny, nx), or None
        True outside the region.
    header : `~astropy.io.fits.Header`
        What is kept of the list's, and the WCS.
    exposure
        That which was given for this list, or None.

    Raises
    ------
    TypeError, ValueError
        As `astro_lpalm.EventCube.from_events` says.
    """
    listed, exposures = [events], [exposure]
    if is_several(events):
        listed, exposures = list(events), [None] * len(events) if exposure is None else exposure
        if not listed:
            msg = "events is an empty list; give at least one event list."
            raise ValueError(msg)
        if not isinstance(exposures, list | tuple) or len(exposures) != len(listed):
            msg = f"there are {len(listed)} event lists; give a list of as many exposure maps, one for each."
            raise ValueError(msg)
    shapes = None if region is None else read_region(region)
    named = [f"'{each}'" if isinstance(each, str | os.PathLike) else "the event list" for each in listed]
    given, listed, planes = listed, [], []
    for each, name in zip(given, named):
        with naming(each):
            listed.append(read_events(each))
            planes.append(sky_cards(listed[-1].header, *listed[-1].columns, name))
    if like is None:
        sky_wcs = celestial_wcs(planes[0])
        listed[1:] = [move_events(each, celestial_wcs(plane), sky_wcs) for each, plane in zip(listed[1:], planes[1:])]
        with naming(events):
            grid = choose_grid(listed, sky_wcs, energy_edges, **where, shapes=shapes)
        place = image_cards(planes[0], grid, listed[0].names)
    else:
        sky_wcs, grid, place = _pixels_of(like, where)
        listed = [move_events(each, celestial_wcs(plane), sky_wcs) for each, plane in zip(listed, planes)]
    outside = None if shapes is None else mask_outside(shapes, sky_wcs, *grid.centers())
    for each, of_this in zip(listed, exposures):
        counts, header = count_events(each, grid, energy_edges, outside), _kept_cards(each.header)
        header.extend(place)
        yield counts, outside, header, of_this


def _pixels_of(cube, where):
    given = [name for name, value in where.items() if value is not None]
    if given:
        msg = f"give either like, whose pixels are taken, or {', '.join(given)}, not both."
        raise ValueError(msg)
    cards = cube.celestial_header()
    sky_wcs, grid, _ = sky_of_image(cards, cube.wcs, cube.data.shape[1:])
    return sky_wcs, grid, fits.Header([card for card in cards.cards if is_wcs_card(card.keyword)])


def _kept_cards(header):
    """Select the cards of an event list's header (or a table's meta) that still hold for its image."""
    kept = fits.Header()
    for key in header:
        if _KEPT.fullmatch(key):
            comment = header.comments[key] if isinstance(header, fits.Header) else ""
            kept[key] = (header[key], comment)
    return kept
