"""Chandra: the channels of ACIS, and its response where no better one is at hand."""

import astropy.units as u
import numpy as np

from ..data import read_table
from ..grid.channels import check_energy_edges
from ..instrument.response import Response
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

# FWHM (eV) of a monochromatic line at 1.49 and 5.9 keV. acis-s: the back-illuminated S3, Chandra Proposers' Observatory
# Guide, chapter 6. acis-i: front-illuminated, corrected for charge transfer inefficiency; there it grows with the
# distance from the readout (Townsley et al. 2002, NIM A 486, 751): round figures, assumed for the middle of a chip.
_FWHM = {"acis-s": (95.0, 150.0), "acis-i": (110.0, 190.0)}
_GRID = 0.01  # keV, of the true energies
_MARGIN = 0.4  # keV: what lies further outside the channels than this does not reach them


def approximate_acis_response(energy_edges, instrument="acis-s"):
    """Response of Chandra with ACIS, on axis, good enough to draw templates with.

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

    Notes
    -----
    The effective area is interpolated in ``read_table("acis_effective_area")``, whose ``meta`` has its sources and its
    accuracy. The resolution goes as FWHM^2 = a + b E, as readout noise and Fano noise do, through two widths.

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
    if instrument not in _FWHM:
        msg = f"there is no approximate response for the instrument {instrument!r}; choose from {', '.join(_FWHM)}."
        raise ValueError(msg)
    channels = check_energy_edges(energy_edges)
    table = read_table("acis_effective_area")
    energy, area = table["energy"].to_value(u.keV), table[instrument].to_value(u.cm**2)
    if channels[0] < energy[0] or channels[-1] > energy[-1]:
        msg = (
            f"energy_edges run from {channels[0]:g} to {channels[-1]:g} keV; the approximate ACIS response is "
            f"tabulated from {energy[0]:g} to {energy[-1]:g} keV: stay within."
        )
        raise ValueError(msg)
    low, high = max(channels[0] - _MARGIN, energy[0]), min(channels[-1] + _MARGIN, energy[-1])
    true = np.linspace(low, high, int(np.ceil((high - low) / _GRID - 1e-6)) + 1)
    centre = 0.5 * (true[1:] + true[:-1])
    narrow, wide = (1e-6 * width**2 for width in _FWHM[instrument])
    fwhm = np.sqrt(narrow + (wide - narrow) * (centre - 1.49) / (5.9 - 1.49))
    return Response.from_resolution(true, channels, np.interp(centre, energy, area), fwhm)
