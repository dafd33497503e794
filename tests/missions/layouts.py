"""Event lists in the layouts of missions, from a line of which place and energy are known."""

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

POINTING = SkyCoord(83.63, 22.01, unit="deg")
SOURCE = POINTING.spherical_offsets_by(60 * POINTING.ra.unit / 3600, 30 * POINTING.ra.unit / 3600)
LINE = 2.25  # keV: within the energies of all

# TELESCOP, INSTRUME, side of a sky pixel (arcsec), projection, format of X and Y, where channel 0 begins and the width
# of a channel (keV).
LAYOUTS = {
    "acis": ("CHANDRA", "ACIS", 0.492, "TAN", "E", -0.0146, 0.0146),
    "pn": ("XMM", "EPN", 0.05, "TAN", "J", 0, 0.001),
    "mos": ("XMM", "EMOS2", 0.05, "TAN", "J", 0, 0.001),
    "erosita": ("eROSITA", "TM3", 0.05, "SIN", "J", 0, 0.001),
    "erosita merged": ("eROSITA", "merged", 0.05, "SIN", "D", 0, 0.001),
    "nustar": ("NuSTAR", "FPMB", 2.4588, "TAN", "I", 1.6, 0.04),
    "xrt": ("SWIFT", "XRT", 2.357, "TAN", "I", 0, 0.01),
    "xis": ("SUZAKU", "XIS3", 1.042, "TAN", "I", 0, 0.00365),
    "resolve": ("XRISM", "RESOLVE", 1.768, "TAN", "I", 0, 0.0005),
    "xtend": ("XRISM", "XTEND", 1.768, "TAN", "I", 0, 0.006),
    "pspc": ("ROSAT", "PSPCC", 0.5, "TAN", "I", 0, 0.01),
    "ixpe": ("IXPE", "GPD", 2.6, "TAN", "E", 0, 0.04),
    "fxt": ("EP", "FXTB", 2.0, "TAN", "I", 0, 0.01),
}


def energies(rng):
    return np.r_[rng.normal(LINE, 0.003, 900), rng.uniform(1.7, 6.9, 600)]


def listed(name, *, instrument_in="table", positions="XY", **columns):
    """An HDUList of 1500 events, 900 of them from a line at the source; ``columns`` replace PI or come in addition."""
    telescope, instrument, pixel, projection, form, zero, width = LAYOUTS[name]
    rng = np.random.default_rng(7)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"RA---{projection}", f"DEC--{projection}"]
    wcs.wcs.crval, wcs.wcs.crpix = [POINTING.ra.deg, POINTING.dec.deg], [1000.5 / pixel] * 2
    wcs.wcs.cdelt = [-pixel / 3600, pixel / 3600]
    at = [float(v) + 1 for v in wcs.world_to_pixel(SOURCE)]
    x, y = (np.r_[rng.normal(v, 1 / pixel, 900), rng.uniform(v - 60 / pixel, v + 60 / pixel, 600)] for v in at)
    pi = np.floor((energies(rng) - zero) / width)
    data = {"TIME": np.arange(1500.0), "PI": pi.astype("f4") if "erosita" in name else pi.astype(int)} | columns
    if positions == "XY":
        data |= {"X": np.round(x) if form in "IJ" else x, "Y": np.round(y) if form in "IJ" else y}
    else:
        data["RA"], data["DEC"] = wcs.wcs_pix2world(x, y, 1)
    formats = {"TIME": "D", "PI": "E" if "erosita" in name else "J", "X": form, "Y": form, "RA": "D", "DEC": "D"}
    table = fits.BinTableHDU.from_columns(
        [fits.Column(key, formats.get(key, "J"), array=values) for key, values in data.items()], name="EVENTS"
    )
    primary, header = fits.PrimaryHDU(), table.header
    if positions == "XY":
        for key, axis in (("X", 0), ("Y", 1)):
            number = table.columns.names.index(key) + 1
            header[f"TCTYP{number}"], header[f"TCRVL{number}"] = wcs.wcs.ctype[axis], wcs.wcs.crval[axis]
            header[f"TCRPX{number}"], header[f"TCDLT{number}"] = wcs.wcs.crpix[axis], wcs.wcs.cdelt[axis]
            header[f"TCUNI{number}"] = "deg"
    header["RADECSYS"] = "ICRS"
    header["RA_PNT"], header["DEC_PNT"] = POINTING.ra.deg, POINTING.dec.deg
    for cards in {"table": [header], "primary": [primary.header], "nowhere": []}[instrument_in]:
        cards["TELESCOP"], cards["INSTRUME"] = telescope, instrument
    return fits.HDUList([primary, table])
