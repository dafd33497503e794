"""Event lists, one or several, binned onto the pixels of one image."""

import re
import warnings

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from .._files import naming, warn_if_twice
from .._headers import exposure_time, header_number, header_text
from ..grid.sky import celestial_wcs, image_cards, is_wcs_card, sky_of_image
from ..grid.sky_columns import sky_cards
from .counting import count_events
from .counts import counts_of
from .event_checks import warn_of_bins
from .events import read_events
from .observations import field_of, move_events, say_where
from .region import mask_outside, read_region
from .selection import choose_grid, warn_of_stripes

__all__ = ["bin_events", "is_several"]

# What an image keeps of the event list's header: who observed what, when, for how long, and how it was processed.
_KEPT = re.compile(
    r"ORIGIN|CREATOR|ASCDSVER|CALDBVER|REVISION|MISSION|TELESCOP|INSTRUME|DETNAM|GRATING|FILTER|DATAMODE|READMODE|"
    r"OBS_MODE|TITLE|OBSERVER|OBJECT|OBS_ID|OBI_NUM|SEQ_NUM|(RA|DEC|ROLL)_(NOM|PNT|TARG|OBJ)|DEFOCUS|SIM_[XYZ]|"
    r"DATE-(OBS|END)|MJD-OBS|MJDREF[IF]?|TIMESYS|TIMEUNIT|TIMEZERO|TSTART|TSTOP|EXPOSURE|ONTIME|LIVETIME|DTCOR|"
    r"TELAPSE|FP_TEMP|ASOLFILE|RESPFILE|ANCRFILE|BACKFILE|BKGMETH|BKGSCAL(E|\d+)"
)
# Between lists of one mosaic: a field of view, as X-ray telescopes have it.
_LARGEST_GAP = 0.5 * u.deg
_NUMBERS = re.compile(
    r"OBI_NUM|MJD-OBS|MJDREF[IF]?|TIMEZERO|TSTART|TSTOP|EXPOSURE|ONTIME|LIVETIME|DTCOR|TELAPSE|BKGSCAL(E|\d+)"
)


def is_several(events):
    """Tell whether several observations are given; an HDUList is one."""
    return isinstance(events, list | tuple) and not isinstance(events, fits.HDUList)


def bin_events(events, energy_edges, where, region=None, exposure=None, like=None, channels=None, sparse=None):
    """Count the events of each list on common pixels.

    Parameters
    ----------
    events, region, exposure, like
        As in `astro_lpalm.EventCube.from_events`.
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,)
    where : dict
        What of ``bin_factor``, ``pixel_scale``, ``bounds``, ``center`` and ``size`` was given.
    channels : dict, optional
        What of ``ebounds`` and ``channel_energy`` was given.
    sparse : bool, optional
        Whether the photons are kept rather than an array.

    Yields
    ------
    counts : `~numpy.ndarray` of int32, or `Photons`, shape (n, ny, nx)
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
        warn_if_twice(listed)
    shapes = None if region is None else read_region(region)
    given, listed, planes = listed, [], []
    for each in given:
        with naming(each):
            listed.append(read_events(each, center=where["center"], **channels or {}))
            planes.append(sky_cards(listed[-1].header, *listed[-1].columns, listed[-1].where))
    fields = [field_of(each, celestial_wcs(plane)) for each, plane in zip(listed, planes)]
    for each in listed:  # an error with the file's name: that of a cube would have none
        exposure_time(each.header, each.where)
    if like is None:
        sky_wcs = celestial_wcs(planes[0])
        listed[1:] = [move_events(each, celestial_wcs(plane), sky_wcs) for each, plane in zip(listed[1:], planes[1:])]
        with naming(events):
            grid = choose_grid(listed, sky_wcs, energy_edges, **where, shapes=shapes, region=region)
        place = image_cards(planes[0], grid, listed[0].names)
    else:
        sky_wcs, grid, place = _pixels_of(like, where)
        listed = [move_events(each, celestial_wcs(plane), sky_wcs) for each, plane in zip(listed, planes)]
    with naming(region):
        outside = None if shapes is None else mask_outside(shapes, sky_wcs, *grid.centers())
    image = _field_of_image(grid, sky_wcs)
    for each, field, of_this in zip(listed, fields, exposures):
        apart = say_where(field, image, "the image")
        counts = count_events(each, grid, energy_edges, outside, apart, sparse)
        header = _kept_cards(each.header, each.where)
        apart = say_where(field, fields[0], "those of the first list", _LARGEST_GAP)
        if apart:
            msg = f"{each.where}: {apart}"
            warnings.warn(msg, AstropyUserWarning, stacklevel=2)
        warn_of_stripes(each, grid, sky_wcs)
        warn_of_bins(each, counts_of(counts).spectrum().astype(np.int64), energy_edges)
        header.extend(place)
        for line in each.history:
            header.add_history(line)
        yield counts, outside, header, of_this


def _field_of_image(grid, sky_wcs):
    x, y = (low + n * grid.bin_factor / 2 - 1 for low, n in ((grid.x0, grid.nx), (grid.y0, grid.ny)))
    center = sky_wcs.pixel_to_world(x, y)
    corner = sky_wcs.pixel_to_world(grid.x0 - 1, grid.y0 - 1)
    radius = corner.separation(center)
    return center, radius if np.isfinite(radius) else 0 * u.deg


def _pixels_of(cube, where):
    given = [name for name, value in where.items() if value is not None]
    if given:
        msg = f"give either like, whose pixels are taken, or {', '.join(given)}, not both."
        raise ValueError(msg)
    cards = cube.celestial_header()
    sky_wcs, grid, _ = sky_of_image(cards, cube.wcs, cube.shape[1:])
    return sky_wcs, grid, fits.Header([card for card in cards.cards if is_wcs_card(card.keyword)])


def _kept_cards(header, where):
    """Select the cards of an event list's header (or a table's meta) that still hold for its image."""
    kept = fits.Header()
    for key in header:
        if _KEPT.fullmatch(key):
            value = header_number(header, key, where) if _NUMBERS.fullmatch(key) else header[key]
            if value is not None and header_text(header, key, where):
                value = header[key] if value == header[key] else value  # of its own type
                kept[key] = (value, header.comments[key] if isinstance(header, fits.Header) else "")
    return kept
