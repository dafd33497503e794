"""Energy fluxes of components, before absorption, as functions of their physical parameters."""

import astropy.units as u
import numpy as np

from .emulator import SpectrumEmulator

__all__ = ["EnergyFlux"]

_ERG = u.keV.to(u.erg)
_TOLERANCE = 3e-3  # relative: far below what a flux is known to


class EnergyFlux:
    """Energy flux of a component's model, in a band, of unit amplitude and before absorption.

    Parameters
    ----------
    source : object
        Exact spectra, as `ParametricSpectra` has them.
    band : array_like, shape (2,)
        keV.
    """

    is_absorbed = False  # by the column that components share: a flux is that which leaves the source

    def __init__(self, source, band):
        self.photons, self.knots = source.photons, source.knots
        low, high = (np.clip(edges, *band) for edges in (source.edges[:-1], source.edges[1:]))
        # Of the photons of a bin, that part lies in the band which of its width does.
        self.energies = _ERG * 0.5 * (low + high) * (high - low) / np.diff(source.edges)

    def fold(self, photons, _):
        """Energy fluxes (N, 1), erg / (cm2 s), of photons in narrow bins."""
        return (photons @ self.energies)[:, np.newaxis]

    def rates(self, x):
        """Energy fluxes (N, 1) of own scaled parameters (N, q)."""
        return self.fold(self.photons(x), None)

    total = rates

    def tabulated(self, n_parameters, seed):
        """Tabulate it, a `SpectrumEmulator` of one bin; None where that cannot be done."""
        return SpectrumEmulator.tabulate(self, n_parameters, tolerance=_TOLERANCE, seed=seed)
