"""Responses of missions where no better ones are at hand, good enough to draw templates with."""

from numbers import Real
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
    mission: str  # its name, see `Mission`
    telescope: str  # TELESCOP and INSTRUME of its files
    instrument: str
    table: str  # of effective areas, among the packaged ones
    narrow: tuple[float, float]  # energy (keV) and FWHM (eV) of a line
    wide: tuple[float, float]
    contamination: str = ""  # table of what has grown on the filters


_ACIS = "Chandra ACIS", "CHANDRA", "ACIS"
APPROXIMATE = {
    # acis-s: the back-illuminated S3, Chandra Proposers' Observatory Guide, chapter 6. acis-i: front-illuminated,
    # corrected for charge transfer inefficiency; there it grows with the distance from the readout (Townsley et al.
    # 2002, NIM A 486, 751): round figures, assumed for the middle of a chip.
    "acis-s": _Instrument(
        "Chandra ACIS", "CHANDRA", "ACIS", "acis_effective_area", (1.49, 95.0), (5.9, 150.0), "acis_contamination"
    ),
    "acis-i": _Instrument(
        "Chandra ACIS", "CHANDRA", "ACIS", "acis_effective_area", (1.49, 110.0), (5.9, 190.0), "acis_contamination"
    ),
    # XMM-Newton Users' Handbook, table of the instruments' characteristics.
    "epic-pn": _Instrument("XMM-Newton EPIC pn", "XMM", "EPN", "epic_effective_area", (1.0, 80.0), (6.4, 150.0)),
    "epic-mos": _Instrument("XMM-Newton EPIC MOS", "XMM", "EMOS1", "epic_effective_area", (1.0, 70.0), (6.4, 150.0)),
    # Predehl et al. (2021, A&A 647, A1), measured on ground.
    "erosita": _Instrument("eROSITA", "EROSITA", "MERGED", "erosita_effective_area", (1.49, 77.0), (6.4, 138.0)),
}
"""Instruments that there is an approximate response of, by the name that components files call them."""


def approximate_response(energy_edges, instrument="acis-s", *, epoch=None):
    """Response of an instrument on axis, good enough to draw templates with.

    Parameters
    ----------
    energy_edges : `~astropy.units.Quantity` or array
        Of the channels wanted, shape (n_channel + 1,), within 0.3 to 10 keV.
    instrument : str
        "acis-s" (Chandra, the back-illuminated chip S3) or "acis-i" (front-illuminated); "epic-pn" or "epic-mos"
        (XMM-Newton, thin filter; one MOS); "erosita" (all seven modules).
    epoch : float, optional
        When, in years such as 2004.3, from 1999.6 to 2016.92, for an instrument that is contaminated more and more:
        Chandra's. By default it has the contamination of the packaged effective area, about that of 2002.

    Returns
    -------
    response : Response
        Its true energies are bins of 10 eV, 0.4 keV beyond the channels on either side (within 0.3 to 10 keV).

    Raises
    ------
    ValueError
        If there is no such instrument, the edges are not increasing energies within 0.3 to 10 keV, or the epoch is one
        for which the contamination is not known.

    Notes
    -----
    The effective area is interpolated in a packaged table, ``read_table("epic_effective_area")`` for instance, whose
    ``meta`` has its sources and says how far it holds. The resolution goes as FWHM^2 = a + b E, as readout noise and
    Fano noise do, through two published widths; redistribution is a Gaussian, without tails or escape peaks.

    The contaminant on the filters of Chandra's ACIS is carbon, oxygen and fluorine, in amounts that grow from epoch to
    epoch: ``read_table("acis_contamination")``. They are those in the middle of the filters. With an epoch the area is
    also corrected where real responses have shown that the packaged one, which the packaged models were trained with,
    is wrong: at the edges of iridium (1.9 to 2.2 keV) and, of acis-s, above 4 keV.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.spectra import EmissionLine, integrate
    >>> from astro_lpalm.missions import approximate_response
    >>> response = approximate_response(np.linspace(0.5, 7, 66), "epic-pn")
    >>> rate = response.fold(integrate(EmissionLine(energy=1.865), response.energy_edges))
    >>> print(rate.sum().round(-1))
    1270.0 ct / s
    >>> early, late = (approximate_response([0.5, 1, 2], "acis-s", epoch=epoch) for epoch in (2000.0, 2015.0))
    >>> spectrum = integrate(EmissionLine(energy=0.65), early.energy_edges)
    >>> print((late.fold(spectrum).sum() / early.fold(spectrum).sum()).round(2))
    0.2
    """
    if instrument not in APPROXIMATE:
        msg = (
            f"there is no approximate response for the instrument {instrument!r}; choose from {', '.join(APPROXIMATE)}."
        )
        raise ValueError(msg)
    known = APPROXIMATE[instrument]
    channels = check_energy_edges(energy_edges)
    if epoch is not None and not known.contamination:
        contaminated = ", ".join(name for name, each in APPROXIMATE.items() if each.contamination)
        msg = (
            f"epoch is {epoch!r}, but {instrument} has no known contamination; leave it out ({contaminated} have one)."
        )
        raise ValueError(msg)
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
    area = np.interp(centre, energy, area)
    if epoch is not None:
        area = area * _change(known.contamination, instrument, centre, epoch)
    (first, narrow), (second, wide) = known.narrow, known.wide
    squared = narrow**2 + (wide**2 - narrow**2) * (centre - first) / (second - first)
    return Response.from_resolution(true, channels, area, 1e-3 * np.sqrt(squared))


def _change(name, instrument, energy, epoch):
    """Effective area at an epoch over the packaged one: what the contaminant lets through, and what is known better."""
    table = read_table(name)
    epochs = table.meta["epoch"]
    number = isinstance(epoch, Real) and not isinstance(epoch, bool)
    if not number or not epochs[0] <= epoch <= epochs[-1]:
        msg = (
            f"epoch is {epoch!r}; the contamination is known from {epochs[0]:g} to {epochs[-1]:g}: give a year in "
            "between, such as 2004.3, or the response of the observation itself."
        )
        raise ValueError(msg)
    depth, logarithm = 0.0, np.log(table["energy"].to_value(u.keV))
    for element, reference in zip(("C", "O", "F"), table.meta["reference"]):
        cross_section = np.exp(np.interp(np.log(energy), logarithm, np.log(table[element].to_value(u.cm**2))))
        depth += 1e18 * cross_section * (np.interp(epoch, epochs, table.meta[element]) - reference)
    return np.exp(-depth) * np.interp(energy, table["energy"].to_value(u.keV), table[instrument])
