"""IXPE: the channels of its gas pixel detectors."""

import astropy.units as u

from .mission import Mission

__all__ = ["IXPE"]

IXPE = Mission(
    name="IXPE",
    telescope="IXPE",
    instruments=("GPD", "DU"),
    first_channel=0,
    last_channel=374,
    channel_width=40 * u.eV,
    sky_pixel=2.6 * u.arcsec,
)
"""IXPE's three detector units: channels of 40 eV over 0 to 15 keV (ixpeobssim, "Response functions" and "Data format",
https://ixpeobssim.readthedocs.io).
"""
