"""Suzaku: the channels of its CCD cameras."""

import astropy.units as u

from .mission import Mission

__all__ = ["SUZAKU_XIS"]

SUZAKU_XIS = Mission(
    name="Suzaku XIS",
    telescope="SUZAKU",
    instruments=("XIS",),
    first_channel=0,
    last_channel=4095,
    channel_width=3.65 * u.eV,
    sky_pixel=1.042 * u.arcsec,
)
"""Suzaku's four X-ray imaging spectrometers: PI is the whole part of E / 3.65 eV (Suzaku Data Reduction Guide,
section 3.4, "Photon Energies and Pulse Heights"; answers to questions of its help desk).
"""
