"""Reading point spread functions: an image, a stack over energy and off-axis angle, or a library of images."""

import re
import warnings

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from .._files import open_fits
from .._headers import header_number, header_text
from ..grid.energies import read_ebounds
from ..grid.sky import celestial_cards, celestial_wcs, is_upright, square_pixels
from ..grid.units import energy_unit

__all__ = ["image_scale", "plane_nodes", "read_psf"]

_HOW_TO_SAY = (
    "give each image a keyword ENERGY with its unit in the comment, [keV] or [eV], or ENERG_LO and ENERG_HI in keV; "
    "and THETA in arcmin where the off-axis angle changes"
)
_AXES = {
    "energy": (3, ("ENERG", "ENERGY"), "a unit of energy", "ENERGIES with a column ENERGY, or EBOUNDS"),
    "off-axis angle": (4, ("THETA", "OFFAXIS"), "an angle", "THETAS with a column THETA"),
}


def read_psf(path):
    """Read what a file says of a point spread function; see `PSF.read <astro_lpalm.instrument.PSF.read>`.

    Parameters
    ----------
    path : str or `os.PathLike`
        The file, or ``"file.fits[EXTENSION]"``.

    Returns
    -------
    given : dict
        What `PSF <astro_lpalm.instrument.PSF>` takes; ``pixel_scale`` is None where the file does not tell.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If there is no image, or how it changes with energy and angle is not told, or told in a way not known here.
    """
    with open_fits(path) as hdulist:
        hdus = [hdu for hdu in hdulist if hdu.is_image and hdu.header["NAXIS"] >= 2 and hdu.data is not None]
        images = [hdu for hdu in hdus if hdu.header["NAXIS"] == 2]
        if not hdus:
            msg = "there is no two-dimensional image of a psf, nor a stack of them."
            raise ValueError(msg)
        if not images:
            return _stack(hdus, hdulist)
        if len(images) > 1 and any(_place(hdu.header, _where(hdu))[:2] != (None, None) for hdu in images):
            return _library(images)
        _warn_of_others(images)
        return {"profile": _values(images[0]), "pixel_scale": image_scale(images[0].header)}


def image_scale(header):
    """Tell how large the pixels of a point spread function's image are.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        With a celestial WCS, or CDELT1 and CDELT2 with angles as CUNIT1 and CUNIT2.

    Returns
    -------
    `~astropy.units.Quantity` or None
        None where the header does not tell.

    Raises
    ------
    ValueError
        If pixels are not square, or north is not up and east not to the left.
    """
    wcs = celestial_wcs(celestial_cards(header))
    if wcs is not None:
        if not is_upright(wcs):
            msg = "the image of the psf must have square pixels, north up and east to the left; turn it so."
            raise ValueError(msg)
        return square_pixels(wcs, "the image of the psf").to(u.arcsec)
    steps = [header_number(header, f"CDELT{axis}", "the psf's header") for axis in (1, 2)]
    units = [header_text(header, f"CUNIT{axis}", "the psf's header") for axis in (1, 2)]
    if None in steps:
        return None
    try:
        first, second = (abs(step) * u.Unit(unit).to(u.arcsec) for step, unit in zip(steps, units))
    except (u.UnitConversionError, ValueError, TypeError):  # no unit, or that of a detector
        return None
    if not abs(first - second) <= 1e-3 * first:
        msg = f"pixels of the psf's image are {first:g} x {second:g} arcsec; they must be square."
        raise ValueError(msg)
    return first * u.arcsec


def _warn_of_others(images):
    if len(images) > 1:
        names = ", ".join(repr(hdu.name) for hdu in images)
        msg = (
            f"the psf's file holds {len(images)} images ({names}), none of which tells its energy: the first is taken, "
            f"at all energies. Name the one that is meant, file.fits[EXTENSION]; or {_HOW_TO_SAY}."
        )
        warnings.warn(msg, AstropyUserWarning, stacklevel=4)


def _values(hdu):
    return np.array(hdu.data, dtype=float)


def _where(hdu):
    return f"the psf's image '{hdu.name}'"


# A stack: the third axis is energy, the fourth one the off-axis angle.


def _stack(hdus, hdulist):
    hdu, values = hdus[0], _values(hdus[0])
    if len(hdus) > 1 or values.ndim > 4:
        msg = (
            f"there are {len(hdus)} images, of {', '.join(str(each.header['NAXIS']) for each in hdus)} axes; a psf is "
            "one image of 2 axes, 3 (with energy) or 4 (with energy and off-axis angle), or several of 2. Name one, "
            "file.fits[EXTENSION], and take slices of one with more axes."
        )
        raise ValueError(msg)
    energies = plane_nodes("energy", hdu.header, hdulist)
    given = {"energies": energies}
    if values.ndim == 4:
        given["off_axis"] = plane_nodes("off-axis angle", hdu.header, hdulist)
        values = values.swapaxes(0, 1)  # energies first
    order = [np.argsort(nodes.value) for nodes in given.values()]
    for axis, places in enumerate(order):
        values = values.take(places, axis=axis)
    given = {name: nodes[places] for (name, nodes), places in zip(given.items(), order)}
    return {"profile": values, "pixel_scale": image_scale(hdu.header), **given}


def plane_nodes(kind, header, hdulist, what="psf"):
    """Read the energies or angles of a stack's planes: those of a table, or else of a linear axis."""
    axis, types, unit_is, table_is = _AXES[kind]
    n, where = header[f"NAXIS{axis}"], f"the {what}'s header"
    nodes = _of_table(kind, hdulist)
    if nodes is None:
        ctype, text = (header_text(header, f"{key}{axis}", where) for key in ("CTYPE", "CUNIT"))
        value, step = (header_number(header, f"{key}{axis}", where) for key in ("CRVAL", "CDELT"))
        unit = _unit_of(kind, text)
        if ctype.upper() not in types or unit is None or None in (value, step):
            msg = (
                f"the {what}'s image has {n} planes along axis {axis} (CTYPE{axis}={ctype!r}, CUNIT{axis}={text!r}), "
                f"of which the {kind} is not known: add a table {table_is}; or CTYPE{axis}='{types[-1]}', CUNIT{axis} "
                f"({unit_is}), CRPIX{axis}, CRVAL{axis} and CDELT{axis}."
            )
            raise ValueError(msg)
        pixel = header_number(header, f"CRPIX{axis}", where, default=0.0)
        nodes = (value + (np.arange(n) + 1 - pixel) * step) * unit
    if len(nodes) != n:
        msg = f"the {what}'s image has {n} planes along axis {axis}, but the table has {len(nodes)} of the {kind}."
        raise ValueError(msg)
    return nodes


def _of_table(kind, hdulist):
    name = "ENERGIES" if kind == "energy" else "THETAS"
    tables = {hdu.name: hdu for hdu in hdulist if isinstance(hdu, fits.BinTableHDU)}
    if name in tables:
        columns = {column.name.upper(): column for column in tables[name].columns}
        column = columns.get("ENERGY" if kind == "energy" else "THETA")
        unit = None if column is None else _unit_of(kind, column.unit or "")
        if unit is None:
            msg = f"the table {name} must have a column {'ENERGY' if kind == 'energy' else 'THETA'} with its unit."
            raise ValueError(msg)
        return np.array(tables[name].data[column.name], dtype=float).ravel() * unit
    if kind == "energy" and "EBOUNDS" in tables:
        edges = read_ebounds(tables["EBOUNDS"])
        return 0.5 * (edges[1:] + edges[:-1])
    return None


def _unit_of(kind, text):
    if kind == "energy":
        return energy_unit(text) if text else None
    try:
        unit = u.Unit(text)
    except ValueError:
        return None
    return unit if unit.is_equivalent(u.deg) else None


# A library: images of two axes, each with its energy and off-axis angle, as OGIP memo CAL/GEN/92-027 has them.


def _library(hdus):
    places = [_place(hdu.header, _where(hdu)) for hdu in hdus]
    if len({azimuth for *_, azimuth in places} - {None}) > 1:
        msg = "the psf's images are of several azimuths (PHI), which are not told apart here; leave those of one."
        raise ValueError(msg)
    nodes = {}
    for index, (name, unit) in enumerate((("energies", u.keV), ("off_axis", u.arcmin))):
        given = [place[index] for place in places]
        if None in given and set(given) != {None}:
            what = "energy" if name == "energies" else "off-axis angle (THETA)"
            msg = f"{_where(hdus[given.index(None)])} does not tell its {what}, and others do: {_HOW_TO_SAY}."
            raise ValueError(msg)
        nodes[name] = sorted(set(given)), unit
    cells = {place[:2]: hdu for place, hdu in zip(places, hdus)}
    shape = [len(values) for values, _ in nodes.values()]
    if len(cells) != len(hdus) or len(hdus) != np.prod(shape):
        msg = (
            f"the psf's {len(hdus)} images are of {shape[0]} energies and {shape[1]} off-axis angles; there must be "
            "one for each pair."
        )
        raise ValueError(msg)
    ordered = [cells[energy, theta] for energy in nodes["energies"][0] for theta in nodes["off_axis"][0]]
    scale = _one("pixel scales", [image_scale(hdu.header) for hdu in ordered])
    sides = _one("shapes", [hdu.shape for hdu in ordered])
    nodes = {name: values * unit for name, (values, unit) in nodes.items() if len(values) > 1}
    values = np.array([_values(hdu) for hdu in ordered])
    return {"profile": values.reshape(*map(len, nodes.values()), *sides), "pixel_scale": scale, **nodes}


def _one(what, values):
    """Give what all images have in common; pixel scales may differ by rounding."""
    first = values[0]
    for value in values[1:]:
        if value != first and (what == "shapes" or None in (value, first) or abs(value - first) > 1e-3 * first):
            msg = f"the psf's {len(values)} images have different {what}, {first} and {value}; make them one."
            raise ValueError(msg)
    return first


def _place(header, where):
    """Tell an image's energy (keV), off-axis angle (arcmin) and azimuth (as it is), each None where it is not told."""
    energies = [header_number(header, key, where) for key in ("ENERG_LO", "ENERG_HI")]
    energy = header_number(header, "ENERGY", where)
    if energy is not None:
        unit = _unit_in_comment(header, "ENERGY", r"[kM]?eV\b", None)
        if unit is None:
            msg = f"{where}: ENERGY = {energy:g} has no unit; write it into the card's comment, [keV] or [eV]."
            raise ValueError(msg)
        energy *= energy_unit(unit).to(u.keV)
    elif None not in energies:
        units = [energy_unit(_unit_in_comment(header, key, r"[kM]?eV\b", "keV")) for key in ("ENERG_LO", "ENERG_HI")]
        energy = sum(0.5 * value * unit.to(u.keV) for value, unit in zip(energies, units))
    theta = header_number(header, "THETA", where)
    if theta is not None:
        theta *= u.Unit(_unit_in_comment(header, "THETA", r"arcsec|arcmin|deg", "arcmin")).to(u.arcmin)
    return energy, theta, header_number(header, "PHI", where)


def _unit_in_comment(header, key, units, default):
    # FITS has no other place for the unit of a keyword's value (standard 4.0, section 4.3.2).
    found = re.search(rf"\b({units})", header.comments[key], re.IGNORECASE)
    return default if found is None else found[1]
