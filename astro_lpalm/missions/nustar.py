"""NuSTAR: the channels of its focal plane modules."""

import astropy.units as u

from .mission import Mission

__all__ = ["NUSTAR"]

NUSTAR = Mission(
    name="NuSTAR",
    telescope="NUSTAR",
    instruments=("FPM",),
    first_channel=0,
    last_channel=4095,
    channel_width=40 * u.eV,
    first_energy=1.6 * u.keV,
    negative_is_none=True,  # nucalcpi writes -10 where it can give none
    sky_pixel=2.4588 * u.arcsec,
)
"""NuSTAR's FPMA and FPMB: channel c begins at 1.6 keV + 0.04 keV c (NuSTAR Data Analysis Software Guide, spectra)."""
