"""Chandra: the channels of ACIS."""

import astropy.units as u

from .mission import Mission

__all__ = ["ACIS", "HRC"]

ACIS_CHANNEL = 14.6 * u.eV
"""Width of a PI channel of Chandra's ACIS: channel c holds (c - 1) to c times this energy."""

ACIS_OVERFLOW = 1024
"""The last PI channel of ACIS, which holds every energy above it."""

ACIS = Mission(
    name="Chandra ACIS",
    telescope="CHANDRA",
    instruments=("ACIS",),
    first_channel=1,
    last_channel=ACIS_OVERFLOW,
    channel_width=ACIS_CHANNEL,
    overflow=ACIS_OVERFLOW,
    needs_telescope=False,
    flags_are_bad=True,
    flag_remedy="with CIAO by dmcopy 'evt.fits[EVENTS][status=0,grade=0,2,3,4,6]'",
    sky_pixel=0.492 * u.arcsec,
    # CIAO gives BACKSCAL as a fraction of the whole sky image, of 8192 x 8192 pixels of 0.492 arcsec.
    backscal_area=(8192 * 0.492 * u.arcsec) ** 2,
)
"""Chandra's ACIS, whose PI channels CIAO makes from energies."""

HRC = Mission(
    name="Chandra HRC",
    telescope="CHANDRA",
    instruments=("HRC",),
    no_energies="its pulse heights hardly depend on the energy (Chandra Proposers' Observatory Guide, chapter 7)",
)
"""Chandra's HRC, which has next to no energy resolution."""
