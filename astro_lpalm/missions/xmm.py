"""XMM-Newton: the channels of the EPIC cameras."""

import astropy.units as u

from .mission import Mission

__all__ = ["EPIC_MOS", "EPIC_PN"]

_LARGEST = 32767
"""The largest number that the column PI, of 16 bits, can hold."""

_EPIC = {
    "telescope": "XMM",
    "first_channel": 0,
    "last_channel": _LARGEST,
    "channel_width": 1 * u.eV,
    # Those of the main event of a pattern alone are energies; of the others PI is negative.
    "negative_is_none": True,
    "flags_are_bad": True,
    "flag_column": "FLAG",
    # SAS counts the PI of spectra in channels of 5 eV.
    "is_in_pha": False,
    "sky_pixel": 0.05 * u.arcsec,
    "bin_factor": 80,  # 4 arcsec, as in the images of the archive: the camera's own are 4.1 (pn) and 1.1 (MOS)
}

EPIC_PN = Mission(
    name="XMM-Newton EPIC pn",
    instruments=("EPN",),
    bad_flags=0xCFA0000,
    flag_remedy="with SAS by evselect expression='#XMMEA_EP'",
    **_EPIC,
)
"""XMM-Newton's EPIC pn.

PI is in eV: Calibration Access and Data Handbook, "the range of the PI channels will be such that they are roughly
corresponding to energies in eV"; X, Y have 0.05 arcsec: Data Files Handbook, event lists of pn imaging mode. Bad are
the events that the attribute XMMEA_EP leaves out (documentation of the SAS task eimageget, table of flags).
"""

EPIC_MOS = Mission(
    name="XMM-Newton EPIC MOS",
    instruments=("EMOS",),
    bad_flags=0x766BA000,
    flag_remedy="with SAS by evselect expression='(FLAG & 0x766ba000)==0'",
    **_EPIC,
)
"""XMM-Newton's EPIC MOS1 and MOS2: as `EPIC_PN`, but for the flags of events outside the field of view too."""
