"""What the instrument makes of a spectrum."""

import astropy.units as u
import numpy as np
from scipy.special import erf

from ..data import read_table
from .integration import check_energy_edges

__all__ = ["ApproximateResponse", "approximate_acis_response"]

# FWHM (eV) of a monochromatic line at 1.49 and 5.9 keV. acis-s: the back-illuminated S3, Chandra Proposers' Observatory
# Guide, chapter 6. acis-i: front-illuminated, corrected for charge transfer inefficiency; there it grows with the
# distance from the readout (Townsley et al. 2002, NIM A 486, 751): round figures, assumed for the middle of a chip.
_FWHM = {"acis-s": (95.0, 150.0), "acis-i": (110.0, 190.0)}
_GRID = 0.01  # keV, of the true energies
_MARGIN = 0.4  # keV: what lies further outside the channels than this does not reach them
_FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))


class ApproximateResponse:
    """An effective area and a Gaussian energy resolution.

    Escape peak, tail and fluorescence are left out: they hold a few percent of the counts.

    Parameters
    ----------
    energy_edges : `~astropy.units.Quantity` or array
        Of the true energies, shape (n_true + 1,).
    channel_edges : `~astropy.units.Quantity` or array
        Of the channels, shape (n_channel + 1,).
    area : `~astropy.units.Quantity` or array
        Effective area at the centre of each true bin, shape (n_true,), cm2 where there is no unit.
    fwhm : `~astropy.units.Quantity` or array
        Full width at half maximum at each true energy, shape (n_true,), keV where there is no unit.

    Raises
    ------
    ValueError
        If edges do not increase, or shapes do not match.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.spectra import ApproximateResponse
    >>> true = np.linspace(1, 3, 201)
    >>> response = ApproximateResponse(true, [1, 2, 3], area=np.full(200, 400.0), fwhm=np.full(200, 0.1))
    >>> response.fold(np.ones(200)).round(-2)
    array([39300., 39300.])
    """

    def __init__(self, energy_edges, channel_edges, area, fwhm):
        true, channels = check_energy_edges(energy_edges), check_energy_edges(channel_edges)
        area, fwhm = (np.asarray(u.Quantity(q, unit).value) for q, unit in ((area, u.cm**2), (fwhm, u.keV)))
        if area.shape != (len(true) - 1,) or fwhm.shape != area.shape:
            msg = f"area and fwhm need one value for each of {len(true) - 1} true bins; got {area.shape}, {fwhm.shape}."
            raise ValueError(msg)
        self.energy_edges = true * u.keV
        self.channel_edges = channels * u.keV
        self.area = area * u.cm**2
        centre = 0.5 * (true[1:] + true[:-1])
        scale = np.sqrt(2) * fwhm / _FWHM_PER_SIGMA
        below = 0.5 * erf((channels - centre[:, None]) / scale[:, None])
        self.matrix = area[:, None] * np.diff(below, axis=1)

    def fold(self, flux):
        """Count rates in the channels.

        Parameters
        ----------
        flux : `~astropy.units.Quantity` or array
            Photon / (cm2 s) in each true bin, shape (..., n_true).

        Returns
        -------
        rate : `~astropy.units.Quantity` or array
            Count / s in each channel, shape (..., n_channel); with a unit if ``flux`` has one.

        Raises
        ------
        ValueError
            If the last axis of ``flux`` is not that of the true bins.
        """
        has_units = isinstance(flux, u.Quantity)
        plain = flux.to_value(u.photon / u.cm**2 / u.s) if has_units else np.asarray(flux, dtype=float)
        if plain.ndim == 0 or plain.shape[-1] != len(self.matrix):
            msg = (
                f"flux has shape {plain.shape}, and the response {len(self.matrix)} true bins; integrate the model "
                "over response.energy_edges."
            )
            raise ValueError(msg)
        rate = plain @ self.matrix
        return rate * (u.count / u.s) if has_units else rate

    def __repr__(self):
        low, high = self.channel_edges[[0, -1]].value
        return f"<ApproximateResponse: {len(self.channel_edges) - 1} channels, {low:g} to {high:g} keV>"


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
    response : ApproximateResponse
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
    >>> from astro_lpalm.spectra import EmissionLine, approximate_acis_response, integrate
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
    return ApproximateResponse(true, channels, np.interp(centre, energy, area), fwhm)
