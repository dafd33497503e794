"""Chandra: the channels of ACIS, and its response where no better one is at hand."""

import astropy.units as u

from .approximate import approximate_response
from .mission import Mission

__all__ = ["ACIS", "HRC", "approximate_acis_response"]

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


def approximate_acis_response(energy_edges, instrument="acis-s"):
    """Response of Chandra with ACIS, on axis; see `approximate_response`, which has those of other missions too.

    Parameters
    ----------
    energy_edges : `~astropy.units.Quantity` or array
        Of the channels wanted, shape (n_channel + 1,), within 0.3 to 10 keV.
    instrument : str
        "acis-s" (the back-illuminated chip S3) or "acis-i" (front-illuminated).

    Returns
    -------
    response : Response
        Its true energies are bins of 10 eV, 0.4 keV beyond the channels on either side (within 0.3 to 10 keV).

    Raises
    ------
    ValueError
        If there is no such instrument, or the edges are not increasing energies within 0.3 to 10 keV.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.spectra import EmissionLine, integrate
    >>> from astro_lpalm.missions import approximate_acis_response
    >>> response = approximate_acis_response(np.linspace(0.5, 7, 66))
    >>> rate = response.fold(integrate(EmissionLine(energy=1.865), response.energy_edges))
    >>> print(rate.sum().round())
    614.0 ct / s
    """
    if instrument not in ("acis-s", "acis-i"):
        msg = f"there is no approximate response for the instrument {instrument!r}; choose from acis-s, acis-i."
        raise ValueError(msg)
    return approximate_response(energy_edges, instrument)
