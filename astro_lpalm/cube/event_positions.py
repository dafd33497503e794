"""Positions of events: which columns have them, and right ascensions and declinations on a plane."""

import logging

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from .._headers import header_number, header_text

__all__ = ["PLANE_COLUMNS", "project", "sky_columns"]

logger = logging.getLogger(__name__)

PLANE_COLUMNS = 998, 999
"""Numbers that the columns X and Y of a plane go by, which no table has: FITS ends at 999, in TFIELDS."""

# Where a telescope was pointed, in the order in which the cards are believed.
_POINTINGS = (
    ("RA_PNT", "DEC_PNT"),
    ("RA_NOM", "DEC_NOM"),
    ("RA_CEN", "DEC_CEN"),
    ("RA_TARG", "DEC_TARG"),
    (
        "RA_OBJ",
        "DEC_OBJ",
    ),
)
_MIDDLE = 0.5  # of the sky pixel that the plane touches the sky in, so that positions are positive there
_DEFAULT_PIXEL = 0.5 * u.arcsec


def sky_columns(found, names, where):
    """Tell which columns have positions: X and Y, or else RA and DEC.

    Parameters
    ----------
    found : dict
        Names of the columns X, Y, RA and DEC in the list, None where there is none.
    names : list of str
        All columns.
    where : str
        The list, for messages.

    Returns
    -------
    kinds : tuple of str

    Raises
    ------
    ValueError
        If there are neither.
    """
    for kinds in (("X", "Y"), ("RA", "DEC")):
        if all(found[kind] is not None for kind in kinds):
            return kinds
    msg = f"{where} has no sky coordinates X and Y: its columns are {', '.join(names)}. RA and DEC would do as well."
    raise ValueError(msg)


def project(ra, dec, units, header, mission, center, where):
    """Project right ascensions and declinations on a plane.

    Parameters
    ----------
    ra, dec : `~numpy.ndarray`, shape (n_events,)
    units : sequence of str or `~astropy.units.UnitBase`
        Of the two; degrees where there is none.
    header : mapping
        Of the list; it is not changed.
    mission : `~astro_lpalm.missions.Mission` or None
        Whose projection and sky pixels are taken; gnomonic, and of 0.5 arcsec, where it is not known.
    center : `~astropy.coordinates.SkyCoord`, optional
        Where the plane touches the sky; the pointing that the header tells, or else the middle of the events.
    where : str
        The list, for messages.

    Returns
    -------
    x, y : `~numpy.ndarray`, shape (n_events,)
        Sky pixels; NaN for events on the other side of the sky.
    header : mapping
        A copy, which describes them as columns with the numbers `PLANE_COLUMNS`.

    Raises
    ------
    ValueError
        If a unit is not one of angle, or a declination beyond the poles.
    """
    ra, dec = (_degrees(values, unit, name, where) for values, unit, name in zip((ra, dec), units, ("RA", "DEC")))
    if np.nanmax(np.abs(dec), initial=0.0) > 90:
        msg = f"{where}: DEC has values beyond -90 to 90 degrees; write the unit into the header, TUNITn of the column."
        raise ValueError(msg)
    system = header_text(header, "RADESYS", where) or header_text(header, "RADECSYS", where) or "ICRS"
    at, said = _tangent_point(ra, dec, header, center, system, where)
    pixel = (_DEFAULT_PIXEL if mission is None else mission.sky_pixel).to_value(u.deg)
    projection = "TAN" if mission is None else mission.projection
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"RA---{projection}", f"DEC--{projection}"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = at, [_MIDDLE] * 2, [-pixel, pixel]
    x, y = np.full((2, len(ra)), np.nan)
    known = np.isfinite(ra) & np.isfinite(dec)
    known[known] = _separation(ra[known], dec[known], at) < 90 - 1e-6
    x[known], y[known] = wcs.wcs_world2pix(ra[known], dec[known], 1)
    logger.info(
        "%s has no X and Y: RA and DEC are projected (%s) around %.6g, %.6g, %s, in pixels of %.6g arcsec",
        where, projection, *at, said, 3600 * pixel,
    )  # fmt: skip
    header = header.copy()
    for number, axis in zip(PLANE_COLUMNS, range(2)):
        header[f"TCTYP{number}"], header[f"TCUNI{number}"] = wcs.wcs.ctype[axis], "deg"
        for key, values in (("TCRVL", wcs.wcs.crval), ("TCRPX", wcs.wcs.crpix), ("TCDLT", wcs.wcs.cdelt)):
            header[f"{key}{number}"] = float(values[axis])
    header.setdefault("RADESYS", system)
    return x, y, header


def _degrees(values, unit, name, where):
    text = "" if unit is None else str(unit).strip()
    try:
        known = u.Unit(text or "deg")
        return np.asarray(values, dtype=float) * known.to(u.deg)
    except (ValueError, u.UnitsError) as error:
        msg = f"{where}: the unit of {name} is {text!r}, which is not one of angle; expected deg."
        raise ValueError(msg) from error


def _tangent_point(ra, dec, header, center, system, where):
    if center is not None:
        at = center.transform_to(system.lower() if system in ("ICRS", "FK5", "FK4") else "icrs")
        return [float(at.ra.deg), float(at.dec.deg)], "the centre that is asked for"
    for keys in _POINTINGS:
        at = [header_number(header, key, where) for key in keys]
        if None not in at:
            return at, f"the pointing ({', '.join(keys)})"
    known = np.isfinite(ra) & np.isfinite(dec)
    if not known.any():
        return [0.0, 0.0], "since no event has a position"
    mean = SkyCoord(ra[known], dec[known], unit="deg").cartesian.mean()
    at = SkyCoord(mean.x, mean.y, mean.z, representation_type="cartesian").spherical
    return [float(at.lon.deg), float(at.lat.deg)], "the middle of the events"


def _separation(ra, dec, at):
    ra, dec, ra0, dec0 = np.radians(ra), np.radians(dec), *np.radians(at)
    cosine = np.sin(dec) * np.sin(dec0) + np.cos(dec) * np.cos(dec0) * np.cos(ra - ra0)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))
