"""Energy grids: checked edges, the EBOUNDS table that is their authority, and the linear axis for a lone image."""

import re
import warnings

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from .._headers import header_number, header_text
from .units import energy_unit

__all__ = ["as_energy_edges", "describe_grid", "ebounds_hdu", "linear_axis_cards", "read_ebounds", "read_spectral_axis"]

# How far E_MAX of one channel may lie from E_MIN of the next, in channels: response files keep single precision.
_CONTIGUOUS = 1e-2
# How far an edge of a uniform grid may lie from its place, in bins: files hold energies in single precision.
_UNIFORM = 1e-3
_THIRD_AXIS = (
    r"((CTYPE|CUNIT|CRPIX|CRVAL|CDELT|CROTA|CNAME|CRDER|CSYER|WCSTY|MTYPE|MFORM|LTV)[3-9]|"
    r"(PC|CD|LTM)([3-9]_\d|\d_[3-9])|P[VS][3-9]_\d+)[A-Z]?"
)


def as_energy_edges(edges, name="energy_edges"):
    """Check energy bin edges and convert them to keV.

    Parameters
    ----------
    edges : `~astropy.units.Quantity`, shape (n + 1,)
        Edges of n contiguous energy bins, or a sequence of quantities.
    name : str
        What the caller calls them, for messages.

    Returns
    -------
    edges : `~astropy.units.Quantity`, shape (n + 1,)
        A float64 copy in keV.

    Raises
    ------
    ValueError
        If the unit is missing or not one of energy, there are fewer than two edges, or they are negative, not finite
        or not increasing.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astro_lpalm.grid.energies import as_energy_edges
    >>> as_energy_edges([500, 1000, 2000] * u.eV)
    <Quantity [0.5, 1. , 2. ] keV>
    """
    try:
        values = np.array(u.Quantity(edges).to_value(u.keV), dtype=float)
    except (u.UnitConversionError, TypeError, ValueError) as error:
        msg = f"{name}={edges!r} must be energies with a unit, for instance (0.5, 7.0) * astropy.units.keV."
        raise ValueError(msg) from error
    if values.ndim != 1 or values.size < 2:
        msg = f"{name} must be a one-dimensional sequence of at least two energies, but has shape {values.shape}."
        raise ValueError(msg)
    if not (np.isfinite(values).all() and values[0] >= 0 and (np.diff(values) > 0).all()):
        msg = f"{name} must be finite, not negative and increasing, but is {values} keV."
        raise ValueError(msg)
    return values * u.keV


def describe_grid(edges):
    """Describe an energy grid in one line, for messages and logs.

    Parameters
    ----------
    edges : `~astropy.units.Quantity`, shape (n + 1,)
        Energy bin edges.

    Returns
    -------
    text : str

    Examples
    --------
    >>> import astropy.units as u
    >>> from astro_lpalm.grid.energies import describe_grid
    >>> describe_grid([0.5, 1, 1.5] * u.keV)
    '2 bins from 0.5 to 1.5 keV, each 0.5 keV wide'
    """
    values = edges.to_value(u.keV)
    width = np.diff(values)
    each = f"each {width[0]:.6g} keV" if _is_uniform(values) else f"{width.min():.6g} to {width.max():.6g} keV"
    return f"{width.size} bins from {values[0]:.6g} to {values[-1]:.6g} keV, {each} wide"


def ebounds_hdu(energy_edges):
    """Make the EBOUNDS table of an energy grid, as OGIP memo CAL/GEN/92-002 defines it.

    Parameters
    ----------
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,)
        Energy bin edges.

    Returns
    -------
    hdu : `~astropy.io.fits.BinTableHDU`
        Columns CHANNEL (from 1), E_MIN and E_MAX (keV, double precision).

    Raises
    ------
    ValueError
        If the edges have no unit of energy, or are not increasing.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astro_lpalm.grid import ebounds_hdu, read_ebounds
    >>> read_ebounds(ebounds_hdu([0.5, 1, 2] * u.keV))
    <Quantity [0.5, 1. , 2. ] keV>
    """
    edges = as_energy_edges(energy_edges).value
    n_channels = edges.size - 1
    columns = [
        fits.Column("CHANNEL", "J" if n_channels > 32767 else "I", array=np.arange(1, n_channels + 1)),
        fits.Column("E_MIN", "D", unit="keV", array=edges[:-1]),
        fits.Column("E_MAX", "D", unit="keV", array=edges[1:]),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="EBOUNDS")
    hdu.header["TLMIN1"] = (1, "first channel")
    hdu.header["TLMAX1"] = (n_channels, "last channel")
    hdu.header["DETCHANS"] = (n_channels, "number of channels")
    hdu.header["CHANTYPE"] = ("PI", "channels of constant energy")
    hdu.header["HDUCLASS"] = ("OGIP", "format follows OGIP/GSFC conventions")
    hdu.header["HDUCLAS1"] = ("RESPONSE", "dataset relates to a spectral response")
    hdu.header["HDUCLAS2"] = ("EBOUNDS", "nominal energies of the channels")
    hdu.header["HDUVERS"] = ("1.2.0", "version of the format")
    return hdu


def read_ebounds(hdu):
    """Read the energy grid of an EBOUNDS table.

    Parameters
    ----------
    hdu : `~astropy.io.fits.BinTableHDU`
        A table with columns E_MIN and E_MAX; without a unit they are taken as keV.

    Returns
    -------
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,)
        In keV.

    Raises
    ------
    ValueError
        If a column is missing, or the channels are not contiguous and increasing in energy.

    Examples
    --------
    >>> from astropy.io import fits
    >>> from astropy.table import Table
    >>> from astro_lpalm.grid import read_ebounds
    >>> table = Table({"CHANNEL": [1, 2], "E_MIN": [0.5, 2.0], "E_MAX": [2.0, 7.0]})
    >>> read_ebounds(fits.BinTableHDU(table, name="EBOUNDS"))
    <Quantity [0.5, 2. , 7. ] keV>
    """
    names = {name.upper(): name for name in hdu.columns.names} if isinstance(hdu, fits.BinTableHDU) else {}
    if not {"E_MIN", "E_MAX"} <= set(names):
        msg = f"the table '{hdu.name}' has columns {list(names.values())}, but an EBOUNDS table needs E_MIN and E_MAX."
        raise ValueError(msg)
    columns = []
    for key in ("E_MIN", "E_MAX"):
        text = str(hdu.columns[names[key]].unit or "keV")
        if (unit := energy_unit(text)) is None:
            msg = f"the unit of {key} in '{hdu.name}' is {text!r}, which is not one of energy (keV, eV, MeV)."
            raise ValueError(msg)
        columns.append(np.asarray(hdu.data[names[key]], dtype=float) * unit)
    low, high = columns
    edges = as_energy_edges(u.Quantity([*low, *high[-1:]]), name=f"the energies of '{hdu.name}'")
    if (np.abs(high - edges[1:]) > _CONTIGUOUS * np.diff(edges)).any():
        msg = f"the channels of '{hdu.name}' are not contiguous: an E_MAX differs from the next channel's E_MIN."
        raise ValueError(msg)
    return edges


def linear_axis_cards(energy_edges, *, matrix="PC"):
    """Describe a uniform energy grid as the third axis of an image.

    The type is ENERGY, which no WCS library interprets: ENER would be converted to joules.

    Parameters
    ----------
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,)
        Energy bin edges.
    matrix : {'PC', 'CD'}
        Which keywords hold the other axes' matrix; where it is CD, a missing CD3_3 would mean zero.

    Returns
    -------
    cards : list of tuple
        Keyword, value and comment; empty where the grid is not uniform.
    """
    edges = energy_edges.to_value(u.keV)
    if not _is_uniform(edges):
        return []
    step = (edges[-1] - edges[0]) / (edges.size - 1)
    cards = [
        ("CTYPE3", "ENERGY", "photon energy, linear"),
        ("CUNIT3", "keV", ""),
        ("CRPIX3", 0.5, "lower edge of the first bin"),
        ("CRVAL3", edges[0], "[keV] energy at CRPIX3"),
        ("CDELT3", step, "[keV] width of a bin"),
    ]
    return [*cards, ("CD3_3", step, "[keV] width of a bin")] if matrix == "CD" else cards


def read_spectral_axis(header, hdulist=None):
    """Read the energy grid from the third axis of an image.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        Header of an image of three or more dimensions.
    hdulist : `~astropy.io.fits.HDUList`, optional
        With the table of a tabulated axis (-TAB).

    Returns
    -------
    energy_edges : `~astropy.units.Quantity`, shape (n_energy + 1,)
        In keV, and in the order of the image: falling, where the axis is a wavelength that rises.

    Raises
    ------
    ValueError
        If the third axis is not one of energy, frequency or wavelength (FITS standard, section 8.4), or its energies
        can be none.
    """
    where = "the image's header"
    ctype, unit = (header_text(header, key, where) for key in ("CTYPE3", "CUNIT3"))
    number = {key: header_number(header, f"{key}3", where) for key in ("CRVAL", "CRPIX", "CDELT", "CD3_", "PC3_")}
    step = number["CDELT"] if number["CD3_"] is None else number["CD3_"]
    position = np.arange(header["NAXIS3"] + 1) + 0.5
    is_energy = bool(unit) and energy_unit(unit) is not None
    # A hyphen in the type ('ENER-LOG', 'ENER-TAB') names an algorithm: such an axis is not linear.
    if is_energy and "-" not in ctype and step is not None and number["CRVAL"] is not None:
        step = step * (1.0 if number["PC3_"] is None else number["PC3_"])
        edges = (number["CRVAL"] + (position - (number["CRPIX"] or 0.0)) * step) * energy_unit(unit)
    else:
        edges = _by_wcs(header, hdulist, position)
    if edges is None:
        msg = (
            f"the image has no EBOUNDS table and its third axis (CTYPE3={ctype!r}, CUNIT3={unit!r}) is not a linear "
            "or tabulated axis of energies, frequencies or wavelengths; pass energy_edges."
        )
        raise ValueError(msg)
    rising = edges[-1] > edges[0]
    return as_energy_edges(edges if rising else edges[::-1], name="the third axis")[:: 1 if rising else -1]


def _by_wcs(header, hdulist, position):
    """Energies at positions on the third axis by its coordinates, or None where it is not a spectral one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        try:
            wcs = WCS(header, hdulist)
            if wcs.wcs.spec != 2:
                return None
            values = wcs.sub([3]).wcs_pix2world(position[:, None], 1)[:, 0] * u.Unit(wcs.wcs.cunit[2])
            return values.to(u.keV, u.spectral())
        except Exception:  # wcslib has a dozen kinds, and a header of others may contradict itself in as many ways
            return None


def is_third_axis_card(keyword):
    """Tell whether a keyword describes the third axis of an image, or one beyond, or ties it to the others."""
    return re.fullmatch(_THIRD_AXIS, keyword) is not None


def _is_uniform(edges):
    linear = np.linspace(edges[0], edges[-1], edges.size)
    return np.abs(edges - linear).max() <= _UNIFORM * (edges[-1] - edges[0]) / (edges.size - 1)
