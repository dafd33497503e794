"""The layout of a Chandra ACIS level-2 event list."""

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.time import Time

from .. import __version__
from ..missions import find
from ..missions.chandra import ACIS_CHANNEL, ACIS_OVERFLOW

__all__ = [
    "ROW",
    "SKY_CENTER",
    "SKY_PIXEL",
    "SKY_SIZE",
    "channels_of",
    "event_list",
    "say_instrument",
    "snap_to_channels",
]

SKY_PIXEL = 0.492 * u.arcsec
SKY_CENTER, SKY_SIZE = 4096.5, 8192
ROW = np.dtype(
    [("time", ">f8"), ("ccd_id", ">i2"), ("x", ">f4"), ("y", ">f4"), ("energy", ">f4"), ("pi", ">i4"), ("grade", ">i2")]
)
"""A row of the table, as the file has it: big-endian, so that nothing is copied when it is written."""

_UNITS = {"time": "s", "x": "pixel", "y": "pixel", "energy": "eV", "pi": "chan"}
_START = Time("2000-01-01T00:00:00", scale="tt")  # when every simulated observation begins


def channels_of(energy):
    """PI channels of energies in eV: channel c holds (c - 1) to c times 14.6 eV, the last one all above."""
    channel = np.floor(energy.astype(np.float64) / ACIS_CHANNEL.to_value(u.eV)).astype(np.int32) + 1
    return np.clip(channel, 1, ACIS_OVERFLOW)


def snap_to_channels(edges):
    """Move energy edges that are those of ACIS channels, but for rounding, exactly there.

    Responses keep them in single precision, and begin the first channel a little above zero.

    Parameters
    ----------
    edges : `~numpy.ndarray`, shape (m + 1,)
        In eV.

    Returns
    -------
    edges : `~numpy.ndarray`, shape (m + 1,)
        Moved if they are successive edges of channels, else as they are.
    """
    position = edges / ACIS_CHANNEL.to_value(u.eV)
    number = np.round(position)
    number[0] = number[1] - 1
    first_is_right = abs(position[0] - number[0]) < 1e-3 or 0 == number[0] < position[0]
    if first_is_right and np.all(np.diff(number) == 1) and np.all(np.abs(position - number)[1:] < 1e-3):
        return number * ACIS_CHANNEL.to_value(u.eV)
    return edges


def event_list(rows, *, center, exposure, name):
    """Make the HDUs of an event list.

    Parameters
    ----------
    rows : `~numpy.ndarray` of `ROW`, shape (n_events,)
    center : `~astropy.coordinates.SkyCoord`
        Sky position of the middle of Chandra's sky image.
    exposure : float
        Seconds.
    name : str
        Name of the object.

    Returns
    -------
    `~astropy.io.fits.HDUList`
        A primary header, EVENTS and GTI.
    """
    events = fits.BinTableHDU(rows.view(fits.FITS_rec), name="EVENTS")  # a view: an array would be copied
    for column, unit in _UNITS.items():
        events.columns.change_unit(column, unit)
    _write_sky_coordinates(events, center.icrs)
    start, stop = (fits.Column(key, "D", "s", array=[value]) for key, value in (("START", 0.0), ("STOP", exposure)))
    gti = fits.BinTableHDU.from_columns([start, stop], name="GTI")
    origin = ("astro_lpalm", "simulated, not observed")
    observation = {
        "HDUCLASS": "OGIP",
        "ORIGIN": origin,
        "TELESCOP": "CHANDRA",
        "INSTRUME": "ACIS",
        "DETNAM": "ACIS-7",
        "OBJECT": name,
        "DATE-OBS": _START.isot[:19],
        "DATE-END": (_START + exposure * u.s).isot[:19],
        "MJDREF": (_START.mjd, "[d] time zero: DATE-OBS"),
        "TIMESYS": "TT",
        "TIMEUNIT": "s",
        "TSTART": 0.0,
        "TSTOP": exposure,
        "ONTIME": (exposure, "[s] sum of the GTI"),
        "DTCOR": (1.0, "no dead time"),
        "LIVETIME": (exposure, "[s] ONTIME times DTCOR"),
        "EXPOSURE": (exposure, "[s]"),
    }
    for hdu, kind in ((events, "EVENTS"), (gti, "GTI")):
        hdu.header.update({"HDUCLAS1": kind, **observation})
    events.header["CONTENT"] = "EVT2"
    primary = fits.PrimaryHDU()
    primary.header["ORIGIN"] = origin
    primary.header["CREATOR"] = f"astro_lpalm {__version__}"
    primary.header["DATE"] = (Time.now().isot[:19], "UTC of writing")
    return fits.HDUList([primary, events, gti])


def say_instrument(events, telescope, instrument):
    """Say in a list of ACIS which instrument it is of instead, and give its events the PI that this one has.

    Parameters
    ----------
    events : `~astropy.io.fits.HDUList`
        What `event_list` made.
    telescope, instrument : str
        For TELESCOP and INSTRUME; "" where they are not known. Of an instrument whose channels are not known either, PI
        stays as it is, in channels of 14.6 eV, which a comment says.
    """
    cards = {"TELESCOP": telescope or "UNKNOWN", "INSTRUME": instrument or "UNKNOWN"}
    mission, header = find(cards), events["EVENTS"].header
    if mission is find(header):
        return
    for hdu in events[1:]:
        hdu.header.update(cards)
        del hdu.header["DETNAM"]
    if mission is None or mission.no_energies:
        header.add_comment(f"PI: channels of {ACIS_CHANNEL}, as of Chandra ACIS; energies are those of ENERGY")
        return
    table, index = events["EVENTS"].data, events["EVENTS"].columns.names.index("pi") + 1
    channels = np.arange(mission.first_channel, mission.last_channel + 1)
    inner = np.round(mission.lower_edges(channels[1:]).to_value(u.eV), 6)  # as edges in keV are not quite those in eV
    table["pi"] = channels[np.searchsorted(inner, table["energy"], side="right")]
    header[f"TLMIN{index}"], header[f"TLMAX{index}"] = channels[0], channels[-1]


def _write_sky_coordinates(hdu, center):
    axes = (("x", "RA---TAN", center.ra.deg, -1.0), ("y", "DEC--TAN", center.dec.deg, 1.0))
    hdu.header["MTYPE1"], hdu.header["MFORM1"] = "sky", "x,y"
    hdu.header["MTYPE2"], hdu.header["MFORM2"] = "EQPOS", "RA,DEC"
    for name, kind, value, sign in axes:
        index = hdu.columns.names.index(name) + 1
        hdu.header[f"TLMIN{index}"] = 0.5
        hdu.header[f"TLMAX{index}"] = SKY_SIZE + 0.5
        hdu.header[f"TCTYP{index}"] = kind
        hdu.header[f"TCRVL{index}"] = value
        hdu.header[f"TCRPX{index}"] = SKY_CENTER
        hdu.header[f"TCDLT{index}"] = sign * SKY_PIXEL.to_value(u.deg)
        hdu.header[f"TCUNI{index}"] = "deg"
    pi = hdu.columns.names.index("pi") + 1
    hdu.header[f"TLMIN{pi}"], hdu.header[f"TLMAX{pi}"] = 1, ACIS_OVERFLOW
    hdu.header["RADESYS"], hdu.header["EQUINOX"] = "ICRS", 2000.0
    hdu.header["RA_NOM"], hdu.header["DEC_NOM"], hdu.header["ROLL_NOM"] = center.ra.deg, center.dec.deg, 0.0
