"""ROSAT: the channels of its proportional counters."""

import astropy.units as u

from .mission import Mission

__all__ = ["ROSAT_HRI", "ROSAT_PSPC"]

ROSAT_PSPC = Mission(
    name="ROSAT PSPC",
    telescope="ROSAT",
    instruments=("PSPC",),
    first_channel=0,
    last_channel=1023,  # of spectra 256: those above are beyond the mirror's energies, on the same scale
    channel_width=10 * u.eV,
    is_in_pha=False,
    sky_pixel=0.5 * u.arcsec,
    bin_factor=15,  # 7.5 arcsec: the counter tells places to 25
)
"""ROSAT's PSPC-B and PSPC-C: channel c is about 10 eV wide and begins at c times 10 eV (ROSAT Guest Observer Facility,
https://heasarc.gsfc.nasa.gov/docs/rosat/faqs/pspc_cal_faq1.html; ROSAT Status Report 78).
"""

ROSAT_HRI = Mission(
    name="ROSAT HRI",
    telescope="ROSAT",
    instruments=("HRI",),
    no_energies="its pulse heights hardly depend on the energy (ROSAT User's Handbook, chapter 4)",
)
"""ROSAT's HRI, which has next to no energy resolution."""
