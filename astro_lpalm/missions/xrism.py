"""XRISM: the channels of its calorimeter and of its CCD camera."""

import astropy.units as u

from .mission import Mission

__all__ = ["RESOLVE", "XTEND"]

RESOLVE = Mission(
    name="XRISM Resolve",
    telescope="XRISM",
    instruments=("RESOLVE",),
    first_channel=0,
    last_channel=59_999,
    channel_width=0.5 * u.eV,
    sky_pixel=1.768 * u.arcsec,
)
"""XRISM's calorimeter: channels of 0.5 eV, 0 to 59999 (XRISM Data Reduction Guide, chapter on Resolve; help of the
task rslpha2pi). The energies of all grades count, though those of low resolution are not calibrated as well.
"""

XTEND = Mission(
    name="XRISM Xtend",
    telescope="XRISM",
    instruments=("XTEND",),
    first_channel=0,
    last_channel=4095,
    channel_width=6 * u.eV,
    sky_pixel=1.768 * u.arcsec,
)
"""XRISM's CCD camera: channels of 6 eV, 0 to 4095 (XRISM Data Reduction Guide, chapter on Xtend)."""
