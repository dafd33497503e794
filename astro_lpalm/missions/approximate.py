"""Responses of missions where no better ones are at hand, good enough to draw templates with."""

from typing import NamedTuple

import astropy.units as u
import numpy as np

from ..data import read_table
from ..grid.channels import check_energy_edges
from ..instrument.response import Response

__all__ = ["APPROXIMATE", "approximate_response"]

_GRID = 0.01  # keV, of the true energies
_MARGIN = 0.4  # keV: what lies further outside the channels than this does not reach them


class _Instrument(NamedTuple):
    table: str  # of effective areas, among the packaged ones
    narrow: tuple[float, float]  # energy (keV) and FWHM (eV) of a line
    wide: tuple[float, float]


APPROXIMATE = {
    # acis-s: the back-illuminated S3, Chandra Proposers' Observatory Guide, chapter 6. acis-i: front-illuminated,
    # corrected for charge transfer inefficiency; there it grows with the distance from the readout (Townsley et al.
    # 2002, NIM A 486, 751): round figures, assumed for the middle of a chip.
    "acis-s": _Instrument("acis_effective_area", (1.49, 95.0), (5.9, 150.0)),
    "acis-i": _Instrument("acis_effective_area", (1.49, 110.0), (5.9, 190.0)),
    # XMM-Newton Users' Handbook, table of the instruments' characteristics.
    "epic-pn": _Instrument("epic_effective_area", (1.0, 80.0), (6.4, 150.0)),
    "epic-mos": _Instrument("epic_effective_area", (1.0, 70.0), (6.4, 150.0)),
    # Predehl et al. (2021, A&A 647, A1), measured on ground.
    "erosita": _Instrument("erosita_effective_area", (1.49, 77.0), (6.4, 138.0)),
}
"""Instruments that there is an approximate response of, by the name that components files call them."""


def approximate_response(energy_edges, instrument="acis-s"):
    """Response of an instrument on axis, good enough to draw templates with.

    Parameters
    ----------
    energy_edges : `~astropy.units.Quantity` or array
        Of the channels wanted, shape (n_channel + 1,), within 0.3 to 10 keV.
    instrument : str
        "acis-s" (Chandra, the back-illuminated chip S3) or "acis-i" (front-illuminated); "epic-pn" or "epic-mos"
        (XMM-Newton, thin filter; one MOS); "erosita" (all seven modules).

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
    The effective area is interpolated in a packaged table, ``read_table("epic_effective_area")`` for instance, whose
    ``meta`` has its sources and says how far it holds. The resolution goes as FWHM^2 = a + b E, as readout noise and
    Fano noise do, through two published widths; redistribution is a Gaussian, without tails or escape peaks.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.spectra import EmissionLine, integrate
    >>> from astro_lpalm.missions import approximate_response
    >>> response = approximate_response(np.linspace(0.5, 7, 66), "epic-pn")
    >>> rate = response.fold(integrate(EmissionLine(energy=1.865), response.energy_edges))
    >>> print(rate.sum().round(-1))
    1270.0 ct / s
    """
    if instrument not in APPROXIMATE:
        msg = (
            f"there is no approximate response for the instrument {instrument!r}; choose from {', '.join(APPROXIMATE)}."
        )
        raise ValueError(msg)
    known = APPROXIMATE[instrument]
    channels = check_energy_edges(energy_edges)
    table = read_table(known.table)
    energy, area = table["energy"].to_value(u.keV), table[instrument].to_value(u.cm**2)
    if channels[0] < energy[0] or channels[-1] > energy[-1]:
        name = "ACIS" if instrument.startswith("acis") else instrument
        msg = (
            f"energy_edges run from {channels[0]:g} to {channels[-1]:g} keV; the approximate {name} response is "
            f"tabulated from {energy[0]:g} to {energy[-1]:g} keV: stay within."
        )
        raise ValueError(msg)
    low, high = max(channels[0] - _MARGIN, energy[0]), min(channels[-1] + _MARGIN, energy[-1])
    true = np.linspace(low, high, int(np.ceil((high - low) / _GRID - 1e-6)) + 1)
    centre = 0.5 * (true[1:] + true[:-1])
    (first, narrow), (second, wide) = known.narrow, known.wide
    squared = narrow**2 + (wide**2 - narrow**2) * (centre - first) / (second - first)
    return Response.from_resolution(true, channels, np.interp(centre, energy, area), 1e-3 * np.sqrt(squared))
