"""Sky coordinates of images: their cards, and those of an image that an event list is binned to."""

import re
import warnings
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import proj_plane_pixel_scales

from .._headers import header_number, header_text

__all__ = [
    "SkyGrid",
    "celestial_cards",
    "celestial_wcs",
    "image_cards",
    "is_structural",
    "is_upright",
    "is_wcs_card",
    "pointing",
    "sky_of_image",
    "square_pixels",
]

_SQUARE = 1e-3  # relative: pixels whose sides differ by less, or are turned by less, count as square and upright

# Everything that astropy.wcs takes from a header for the first two axes, alternate systems (the physical P) included.
_AXES = (
    r"(CTYPE|CUNIT|CRPIX|CRVAL|CDELT|CROTA|CNAME|CRDER|CSYER|WCSTY|MTYPE|MFORM|LTV)[12][A-Z]?|"
    r"(PC|CD|LTM)[12]_[12][A-Z]?|P[VS][12]_\d+[A-Z]?|(A|B|AP|BP)_(ORDER|DMAX|\d_\d)|"
    r"(LONPOLE|LATPOLE|RADESYS|EQUINOX|WCSNAME)[A-Z]?|RADECSYS|EPOCH"
)
_NUMBERS = (
    r"(CRPIX|CRVAL|CDELT|CROTA|CRDER|CSYER|LTV)[12][A-Z]?|(PC|CD|LTM)[12]_[12][A-Z]?|PV[12]_\d+[A-Z]?|"
    r"(A|B|AP|BP)_(ORDER|DMAX|\d_\d)|(LONPOLE|LATPOLE|EQUINOX)[A-Z]?|EPOCH"
)
# Carried along, since WCS comparisons look at them: when the image was taken, and from where.
_OBSERVATION = (
    r"DATE-(OBS|BEG|AVG|END)|DATEREF|MJD-(OBS|BEG|AVG|END)|MJDREF[IF]?|JEPOCH|BEPOCH|TIMESYS|TIMEUNIT|TIMEOFFS|TIMEDEL|"
    r"TIMEPIXR|TIMSYER|TIMRDER|TREFPOS|TREFDIR|PLEPHEM|TSTART|TSTOP|TELAPSE|XPOSURE|OBSGEO-[XYZBLH]|OBSORBIT|"
    r"(RESTFRQ|RESTFREQ|RESTWAV|SPECSYS|SSYSOBS|SSYSSRC|VELOSYS|ZSOURCE|VELANGL)[A-Z]?|VELREF"
)
_STRUCTURE = (
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|TFIELDS|GROUPS|INHERIT|EXTNAME|EXTVER|EXTLEVEL|BSCALE|BZERO|"
    r"BLANK|BUNIT|DATAMIN|DATAMAX|CHECKSUM|DATASUM|WCSAXES[A-Z]?|END|"
    r"Z(IMAGE|BITPIX|NAXIS\d*|TILE\d+|CMPTYPE|NAME\d+|VAL\d+|QUANTIZ|DITHER0|SIMPLE|EXTEND|TENSION|PCOUNT|GCOUNT|"
    r"HECKSUM|DATASUM)"
)


@dataclass(frozen=True)
class SkyGrid:
    """Square pixels laid over the sky coordinates (X, Y) of an event list.

    Attributes
    ----------
    x0, y0 : float
        Lower edges of the first pixel, in sky pixels.
    bin_factor : float
        Side of a pixel, in sky pixels.
    nx, ny : int
        Number of pixels.

    Examples
    --------
    >>> from astro_lpalm.grid import SkyGrid
    >>> grid = SkyGrid.over([4000.5, 4010.5, 3996.5, 4000.5], bin_factor=2)
    >>> grid.nx, grid.ny, grid.centers()[0][0].tolist()
    (5, 2, [4001.5, 4003.5, 4005.5, 4007.5, 4009.5])
    """

    x0: float
    y0: float
    bin_factor: float
    nx: int
    ny: int

    @classmethod
    def over(cls, bounds, bin_factor):
        """Lay pixels from the lower bounds up to, or just past, the upper ones.

        Parameters
        ----------
        bounds : sequence of 4 float
            x0, x1, y0, y1 in sky pixels.
        bin_factor : float
            Side of a pixel, in sky pixels.

        Returns
        -------
        grid : SkyGrid
        """
        x0, x1, y0, y1 = (float(edge) for edge in bounds)
        # The last pixel is always a whole one; rounding must not add another.
        nx, ny = (int(np.ceil((high - low) / bin_factor - 1e-6)) for low, high in ((x0, x1), (y0, y1)))
        return cls(x0, y0, bin_factor, nx, ny)

    def centers(self):
        """Sky pixel coordinates of the pixel centres.

        Returns
        -------
        x, y : `~numpy.ndarray`, shape (ny, nx)
        """
        x = self.x0 + (np.arange(self.nx) + 0.5) * self.bin_factor
        y = self.y0 + (np.arange(self.ny) + 0.5) * self.bin_factor
        return np.meshgrid(x, y)


def image_cards(sky, grid, names=("x", "y")):
    """Give the WCS cards of an image binned from an event list, as CIAO's dmcopy writes them.

    Parameters
    ----------
    sky : `~astropy.io.fits.Header`
        The list's own WCS, from `~astro_lpalm.grid.sky_columns.sky_cards`.
    grid : SkyGrid
        The image's pixels.
    names : tuple of str
        Names of the two columns: the physical axes are called so.

    Returns
    -------
    cards : `~astropy.io.fits.Header`
        Celestial WCS; the physical WCS (P) that leads back to sky pixels; and the same as LTM and LTV.
    """
    cards = fits.Header()
    cards["MTYPE1"], cards["MFORM1"] = "sky", ",".join(names)
    for axis, name, origin in ((1, names[0], grid.x0), (2, names[1], grid.y0)):
        cards[f"CTYPE{axis}P"] = (name, "sky pixels of the event list")
        cards[f"CRVAL{axis}P"] = origin
        cards[f"CRPIX{axis}P"] = 0.5
        cards[f"CDELT{axis}P"] = grid.bin_factor
        cards[f"WCSTY{axis}P"] = "PHYSICAL"
        cards[f"LTV{axis}"] = 0.5 - origin / grid.bin_factor
        cards[f"LTM{axis}_{axis}"] = 1 / grid.bin_factor
    cards["MTYPE2"], cards["MFORM2"] = "EQPOS", "RA,DEC"
    for axis, origin in ((1, grid.x0), (2, grid.y0)):
        cards[f"CTYPE{axis}"] = sky[f"CTYPE{axis}"]
        cards[f"CRVAL{axis}"] = sky[f"CRVAL{axis}"]
        cards[f"CRPIX{axis}"] = (sky[f"CRPIX{axis}"] - origin) / grid.bin_factor + 0.5
        cards[f"CDELT{axis}"] = sky[f"CDELT{axis}"] * grid.bin_factor
        cards[f"CUNIT{axis}"] = sky[f"CUNIT{axis}"]
    for key in ("CROTA1", "CROTA2", "LONPOLE", "LATPOLE", "EQUINOX", "RADESYS"):
        if key in sky:
            cards[key] = sky[key]
    return cards


def celestial_cards(header, where="the image's header"):
    """Select the cards that place an image's first two axes on the sky, letter by letter.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        Header of an image of any dimension.
    where : str
        What the header belongs to, for messages.

    Returns
    -------
    cards : `~astropy.io.fits.Header`

    Raises
    ------
    ValueError
        If one that must be a number is none.
    """
    cards = fits.Header()
    for card in header.cards:
        if re.fullmatch(_NUMBERS, card.keyword) and not isinstance(card.value, float | int):
            number = header_number(header, card.keyword, where)
            if number is not None:  # text that is a number would be passed over
                cards.append((card.keyword, number, card.comment))
        elif is_wcs_card(card.keyword) or re.fullmatch(_OBSERVATION, card.keyword):
            cards.append(card)
    if "RADECSYS" in cards:  # the name before FITS 3.0; verifiers complain about it
        cards.rename_keyword("RADECSYS", "RADESYS") if "RADESYS" not in cards else cards.remove("RADECSYS")
    return cards


def celestial_wcs(cards):
    """Make a 2-D celestial WCS, or nothing where the header has none.

    Parameters
    ----------
    cards : `~astropy.io.fits.Header`
        WCS cards of two axes.

    Returns
    -------
    wcs : `~astropy.wcs.WCS` or None

    Raises
    ------
    ValueError
        If the cards contradict each other.

    Examples
    --------
    >>> from astropy.io import fits
    >>> from astro_lpalm.grid import celestial_wcs
    >>> cards = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.001, "CDELT2": 0.001})
    >>> celestial_wcs(cards).naxis, celestial_wcs(fits.Header())
    (2, None)
    """
    with warnings.catch_warnings():
        # What astropy completes from the header, such as MJD-OBS from DATE-OBS, is no news to the user.
        warnings.simplefilter("ignore", FITSFixedWarning)
        try:
            wcs = WCS(cards)
        except Exception as error:  # wcslib has a dozen kinds, without a common ancestor but Exception
            msg = f"the celestial WCS cannot be used: {error}"
            raise ValueError(msg) from error
    if not wcs.has_celestial or wcs.naxis != 2 or not proj_plane_pixel_scales(wcs).all():
        return None
    return wcs


def square_pixels(wcs, what):
    """Give the side of square pixels.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`
        Celestial.
    what : str
        What images it belongs to, for messages.

    Returns
    -------
    side : `~astropy.units.Quantity`

    Raises
    ------
    ValueError
        If one side is longer than the other.
    """
    across, up = proj_plane_pixel_scales(wcs)
    if abs(across - up) > _SQUARE * up:
        msg = f"pixels of {what} are {3600 * across:.6g} x {3600 * up:.6g} arcsec; they must be square."
        raise ValueError(msg)
    return up * u.deg


def is_upright(wcs):
    """Tell whether a celestial WCS has square pixels with north up and east to the left."""
    return bool(np.abs(wcs.pixel_scale_matrix / proj_plane_pixel_scales(wcs)[1] - np.diag([-1, 1])).max() <= _SQUARE)


def pointing(header, where="the cube's header"):
    """Tell where the telescope points, RA_PNT and DEC_PNT: a `~astropy.coordinates.SkyCoord`, or None without them."""
    place = [header_number(header, key, where) for key in ("RA_PNT", "DEC_PNT")]
    if None in place:
        return None
    system = header_text(header, "RADESYS", where) or header_text(header, "RADECSYS", where)
    return SkyCoord(*place, unit="deg", frame="fk4" if system == "FK4" else "icrs")


def is_wcs_card(keyword):
    """Tell whether a keyword belongs to the WCS of an image's first two axes."""
    return re.fullmatch(_AXES, keyword) is not None


def is_structural(keyword):
    """Tell whether a keyword describes how an HDU is stored, so that it must not be copied to another one."""
    return re.fullmatch(_STRUCTURE, keyword) is not None


def sky_of_image(cards, wcs, shape):
    """Find the sky pixels that an image was binned from.

    Parameters
    ----------
    cards : `~astropy.io.fits.Header`
        The image's, with the physical WCS (P) where it has one.
    wcs : `~astropy.wcs.WCS`
        The image's celestial WCS.
    shape : tuple of int
        Of the image.

    Returns
    -------
    sky_wcs : `~astropy.wcs.WCS`
        Celestial WCS of the sky pixels; of the image's own, counted from 1, where it has no physical WCS.
    grid : SkyGrid
        The image's pixels among them.
    is_physical : bool
        Whether it has.

    Examples
    --------
    >>> from astropy.io import fits
    >>> from astro_lpalm.grid import celestial_wcs, sky_of_image
    >>> cards = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.001, "CDELT2": 0.001})
    >>> cards.update({"CRPIX1P": 1.0, "CRVAL1P": 4001.5, "CDELT1P": 2.0})
    >>> cards.update({"CRPIX2P": 1.0, "CRVAL2P": 3997.5, "CDELT2P": 2.0})
    >>> sky_of_image(cards, celestial_wcs(cards), (2, 5))[1:]
    (SkyGrid(x0=4000.5, y0=3996.5, bin_factor=2.0, nx=5, ny=2), True)
    """
    ny, nx = shape
    steps = [float(cards.get(f"CDELT{axis}P", 0.0)) for axis in (1, 2)]
    is_physical = steps[0] == steps[1] > 0 and not wcs.sip
    if not is_physical:
        return wcs, SkyGrid(0.5, 0.5, 1.0, nx, ny), False
    step = steps[0]
    origin = [cards[f"CRVAL{axis}P"] + (0.5 - cards.get(f"CRPIX{axis}P", 0.0)) * step for axis in (1, 2)]
    sky = wcs.deepcopy()
    sky.wcs.crpix = [x0 + (pixel - 0.5) * step for x0, pixel in zip(origin, wcs.wcs.crpix)]
    if wcs.wcs.has_cd():
        sky.wcs.cd = wcs.wcs.cd / step
    else:
        sky.wcs.cdelt = wcs.wcs.cdelt / step
    sky.wcs.set()
    return sky, SkyGrid(origin[0], origin[1], step, nx, ny), True
