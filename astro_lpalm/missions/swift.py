"""Swift: the channels of its X-ray telescope."""

import astropy.units as u

from .mission import Mission

__all__ = ["SWIFT_XRT"]

SWIFT_XRT = Mission(
    name="Swift XRT",
    telescope="SWIFT",
    instruments=("XRT",),
    first_channel=0,
    last_channel=1023,
    channel_width=10 * u.eV,
    sky_pixel=2.357 * u.arcsec,
)
"""Swift's X-ray telescope: channels of 10 eV from 0 (Swift XRT Data Reduction Guide; help of the task xrtcalcpi)."""
