"""Counts of particles, which do not come through the telescope."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from .given import plain_values

__all__ = ["ParticleBackground"]


@dataclass(frozen=True, eq=False)
class ParticleBackground:
    """Counts that do not come through the telescope: neither blurred, nor fewer where the exposure map is low.

    Parameters
    ----------
    rate : float or `~astropy.units.Quantity`
        Total count / s over the image and all energy bins.
    spectrum : array_like, shape (m,), optional
        Counts in each energy bin or channel, of which only ratios count. By default the same per keV.
    image : array_like, shape (ny, nx), optional
        Relative brightness. By default flat where there is any exposure.

    Examples
    --------
    >>> from astro_lpalm.simulate import ParticleBackground
    >>> ParticleBackground(0.5)
    ParticleBackground(rate=0.5, spectrum=None, image=None)
    """

    rate: float | u.Quantity
    spectrum: np.ndarray | None = None
    image: np.ndarray | None = None

    def counts(self, energy_edges, exposure, exposed):
        """Give the counts that are expected, as an image of all energies and a spectrum.

        Parameters
        ----------
        energy_edges : `~astropy.units.Quantity`, shape (m + 1,)
        exposure : `~astropy.units.Quantity`
            Time.
        exposed : `~numpy.ndarray` of bool, shape (ny, nx)
            Where there is any exposure.

        Returns
        -------
        image : `~numpy.ndarray`, shape (ny, nx)
            Counts.
        spectrum : `~numpy.ndarray`, shape (m,)
            Of which only ratios count.

        Raises
        ------
        ValueError
            If a shape or unit is another, or a value is negative or not finite.
        """
        rate = float(plain_values(self.rate, u.count / u.s, "the background's rate"))
        image = exposed if self.image is None else self.image
        spectrum = np.diff(energy_edges.value) if self.spectrum is None else self.spectrum
        image, spectrum = np.asarray(image, dtype=float), np.asarray(spectrum, dtype=float)
        for what, array, shape in (
            ("image", image, exposed.shape),
            ("spectrum", spectrum, (len(energy_edges) - 1,)),
        ):
            if array.shape != shape:
                msg = f"the background's {what} has shape {array.shape}; expected {shape}."
                raise ValueError(msg)
            if not np.isfinite(array).all() or array.min() < 0 or not array.any():
                msg = f"the background's {what} must be finite, not negative, and not zero everywhere."
                raise ValueError(msg)
        if not 0 <= rate < np.inf:
            msg = f"the background's rate is {self.rate}; give counts per second, 0 or more."
            raise ValueError(msg)
        return rate * exposure.to_value(u.s) * image / image.sum(), spectrum
