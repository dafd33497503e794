"""Spectra of a library as functions of the coefficients of its principal vectors."""

import numpy as np

from .parameters import FreeParameter

__all__ = ["LibrarySpectra"]

_RANGE = 4.0  # standard deviations on either side of the mean
_LEAST = 1e-9  # of a spectrum's peak: what principal vectors take below zero


class LibrarySpectra:
    """Spectra of unit sum of principal vectors' coefficients, where components have no physical parameters.

    It is what `ParametricSpectra` is for these. The coefficients, in standard deviations, are the parameters "c1", "c2"
    and so on of each component, and are known beforehand to be normal.

    Parameters
    ----------
    prior : SpectralPrior
        Of n components and m energies.
    component_names : sequence of str
    share : float
        Part of the variance of each component's spectra that its vectors should explain.
    most : int
        Vectors of a component, at most.

    Examples
    --------
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.spectra import LibrarySpectra
    >>> model = load_model("snr-acis")
    >>> spectra = LibrarySpectra(model.prior, model.component_names)
    >>> spectra.parameters[0].component, spectra.parameters[0].name
    ('synchrotron', 'c1')
    >>> spectra.spectra([0.5] * len(spectra.parameters)).shape
    (65, 4)
    """

    def __init__(self, prior, component_names, share=0.99, most=3):
        self.prior, self.component_names = prior, tuple(component_names)
        self.parameters, self._moves = [], []
        for k, name in enumerate(self.component_names):
            explained = np.cumsum(prior.share[k])
            n = min(int(np.searchsorted(explained, share)) + 1, most, len(explained)) if explained[-1] > 0 else 0
            for r in range(n):
                self.parameters.append(FreeParameter(name, f"c{r + 1}", "", -_RANGE, _RANGE))
                self._moves.append((k, np.asarray(prior.spread[k, r] * prior.principal[k, r], dtype=float)))
        self.parameters = tuple(self.parameters)

    @property
    def bounds(self):
        """Lower and upper bounds of the scaled parameters, 0 and 1, shape (2, p)."""
        return np.array([np.zeros(len(self.parameters)), np.ones(len(self.parameters))])

    def values(self, theta):
        """Coefficients of scaled parameters, (..., p)."""
        return 2 * _RANGE * (np.asarray(theta, dtype=float) - 0.5)

    def scaled(self, values):
        """Scaled parameters of coefficients, the inverse of `values`."""
        return np.asarray(values, dtype=float) / (2 * _RANGE) + 0.5

    def slopes(self, theta):
        """Differentiate each coefficient in its scaled parameter: shape (p,)."""
        return np.full(len(theta), 2 * _RANGE)

    def penalty(self, theta):
        """Minus the logarithm of what is known of the coefficients, its gradient and its curvature (p,)."""
        values, slope = self.values(theta), 2 * _RANGE
        return 0.5 * float(values @ values), slope * values, np.full(len(values), slope**2)

    def spectra(self, theta):
        """Spectra whose sum over the energy bins is one, (..., m, n), of scaled parameters (..., p)."""
        raw = self._raw(theta)
        return raw / raw.sum(axis=-2, keepdims=True)

    def jacobian(self, theta):
        """Spectra of unit sum, (m, n), and their derivatives, (m, n, p), of scaled parameters (p,)."""
        raw = self._raw(theta)
        derivatives = np.zeros((*raw.shape, len(self.parameters)))
        for p, (k, move) in enumerate(self._moves):
            derivatives[:, k, p] = 2 * _RANGE * move
        total = raw.sum(axis=0)
        spectra = raw / total
        return spectra, (derivatives - spectra[..., np.newaxis] * derivatives.sum(axis=0)) / total[:, np.newaxis]

    def _raw(self, theta):
        values = self.values(theta)
        mean = np.asarray(self.prior.mean, dtype=float).T
        raw = np.broadcast_to(mean, (*values.shape[:-1], *mean.shape)).copy()
        for p, (k, move) in enumerate(self._moves):
            raw[..., k] += values[..., p, np.newaxis] * move
        return np.maximum(raw, _LEAST * mean.max(axis=0))
