"""SRG/eROSITA: the channels of its seven telescope modules."""

import astropy.units as u

from .mission import Mission

__all__ = ["EROSITA"]

EROSITA = Mission(
    name="eROSITA",
    telescope="EROSITA",
    instruments=("TM", "MERGED"),
    first_channel=0,
    last_channel=99_999,
    channel_width=1 * u.eV,
    negative_is_none=True,
    is_in_pha=False,  # its responses group eV
    flags_are_bad=True,
    flag_column="FLAG",
    bad_flags=0xC00FFF30,
    flag_remedy="with eSASS by evtool flag=0xc00fff30",
    projection="SIN",
    sky_pixel=0.05 * u.arcsec,
    bin_factor=80,  # 4 arcsec, as in the images of the data releases: a pixel of the detector is 9.6
)
"""eROSITA, one module or several in one list.

PI is the energy in eV of the main event of a pattern, and negative for its other pixels; X, Y have 0.05 arcsec;
INSTRUME is TM1 to TM7, or "merged" (eSASS4DR1, pages on extensions and header keywords of the data products,
https://erosita.mpe.mpg.de/dr1/eSASS4DR1/). The flags are those that the eSASS task evtool is told to leave out in the
cookbook on the same pages: bad pixels, and corners that the field of view leaves out. Minimum ionizing particles have
PI beyond any X-ray's: what is beyond 100 keV is an error.
"""
