"""Emission lines, and what every line is made of: a Gaussian, shifted and broadened."""

import astropy.units as u
import numpy as np
from astropy.modeling import Parameter
from scipy.special import erf

from .base import SPEED_OF_LIGHT, SpectralModel, doppler_factor

__all__ = ["EmissionLine"]

_NARROWEST = 1e-9  # keV; a line of no width is drawn this wide
_REACH = 6.0  # standard deviations
_FAINT = 1e-13  # of the photons of all lines of a spectrum: fainter ones are left out
_SPECTRA_AT_ONCE = 16  # a few megabytes of bins


class EmissionLine(SpectralModel):
    """A Gaussian emission line, Doppler shifted and broadened.

    Parameters
    ----------
    amplitude : float or `~astropy.units.Quantity`
        Photons in the line, photon / (cm2 s).
    energy : float or `~astropy.units.Quantity`
        At rest, keV.
    velocity : float or `~astropy.units.Quantity`
        km/s, positive when receding; the line is seen at ``energy`` times `doppler_factor`.
    sigma : float or `~astropy.units.Quantity`
        Standard deviation of the velocities along the line of sight, km/s.

    Examples
    --------
    >>> from astro_lpalm.spectra import EmissionLine, integrate
    >>> line = EmissionLine(amplitude=3.0, energy=6.7, sigma=10.0)  # 0.2 eV wide, in bins of 1 keV
    >>> print(integrate(line, [6, 7, 8]))
    [3. 0.] ph / (s cm2)
    """

    amplitude = Parameter(default=1.0, bounds=(0, None), description="photon / (cm2 s)")
    energy = Parameter(default=6.7, bounds=(1e-3, None), description="energy at rest, keV")
    velocity = Parameter(default=0.0, bounds=(-2.9e5, 2.9e5), description="km/s, positive when receding")
    sigma = Parameter(default=500.0, bounds=(0, 2.9e5), description="standard deviation, km/s")
    parameter_units = {  # noqa: RUF012
        "amplitude": u.photon / u.cm**2 / u.s,
        "energy": u.keV,
        "velocity": u.km / u.s,
        "sigma": u.km / u.s,
    }

    @classmethod
    def density(cls, energy, amplitude, rest, velocity, sigma):
        """Photon flux density of plain arrays."""
        return amplitude * gaussian(energy, *line_as_seen(rest, velocity, sigma))

    @classmethod
    def integral(cls, edges, amplitude, rest, velocity, sigma):
        """Photon flux between edges of any width, by the error function: no line is lost between two energies."""
        shape = np.broadcast_shapes(*(np.shape(v) for v in (amplitude, rest, velocity, sigma)))
        flux = np.zeros((*(shape[:-1] or ()), len(edges) - 1))
        add_line(flux, edges, amplitude, *line_as_seen(rest, velocity, sigma))
        return flux


def line_as_seen(rest, velocity, sigma):
    """Find the centre and standard deviation of a line, keV."""
    centre = rest * doppler_factor(velocity)
    return centre, np.maximum(centre * sigma / SPEED_OF_LIGHT, _NARROWEST)


def gaussian(energy, centre, width):
    """Compute the normal distribution of energies, per keV."""
    return np.exp(-0.5 * ((energy - centre) / width) ** 2) / (np.sqrt(2 * np.pi) * width)


def add_line(flux, edges, amplitude, centre, width):
    """Add Gaussian lines to ``flux`` (..., m), touching only the bins within 6 standard deviations of a line."""
    first = max(np.searchsorted(edges, np.min(centre - _REACH * width), side="right") - 1, 0)
    last = min(np.searchsorted(edges, np.max(centre + _REACH * width), side="left"), len(edges) - 1)
    if first >= last:
        return
    per_width = 1 / (np.sqrt(2) * width)
    below = erf(edges[first : last + 1] * per_width - centre * per_width)
    flux[..., first:last] += 0.5 * amplitude * (below[..., 1:] - below[..., :-1])


def add_lines(flux, edges, photons, centre, width):
    """Add many Gaussian lines to spectra, each in the bins within 6 standard deviations.

    Parameters
    ----------
    flux : array
        Shape (n, m), contiguous; what is added to.
    edges : array
        Shape (m + 1,), keV.
    photons, centre, width : array
        Of each line of each spectrum, (n, lines), or what broadcasts against it.
    """
    m = len(edges) - 1
    photons, centre, width = np.broadcast_arrays(photons, centre, width)
    for start in range(0, len(photons), _SPECTRA_AT_ONCE):
        rows = slice(start, start + _SPECTRA_AT_ONCE)
        used = photons[rows] > _FAINT * photons[rows].sum(axis=1, keepdims=True)
        row = np.nonzero(used)[0]
        amount, middle, wide = (values[rows][used] for values in (photons, centre, width))
        first = np.maximum(np.searchsorted(edges, middle - _REACH * wide, side="right") - 1, 0)
        last = np.minimum(np.searchsorted(edges, middle + _REACH * wide, side="left"), m)
        count = np.maximum(last - first + 1, 0) * (last > first)  # edges that a line touches
        line = np.repeat(np.arange(len(row)), count)
        place = np.arange(len(line)) - np.repeat(np.cumsum(count) - count, count) + first[line]
        per_width = 1 / (np.sqrt(2) * wide)
        below = amount[line] * erf((edges[place] - middle[line]) * per_width[line])
        within = line[1:] == line[:-1]
        target = (row[line[:-1]] * m + place[:-1])[within]
        part = flux[rows]
        part += 0.5 * np.bincount(target, np.diff(below)[within], minlength=part.size).reshape(part.shape)
