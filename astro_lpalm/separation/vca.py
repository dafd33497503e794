"""Vertex component analysis: the purest pixels of the data are the spectra."""

import operator

import numpy as np

from ..forward.matrices import check_data
from .base import Factorization
from .fcls import FCLS

__all__ = ["VCA"]


class VCA:
    """Vertex component analysis, then fully constrained least squares for the sources.

    Pixels whose abundances are non-negative and sum to one fill a simplex with the spectra at its vertices. Where every
    component has a pure pixel, the vertices are among the data, and an extreme of the data along any direction is
    one of them. VCA goes in directions orthogonal to the vertices found so far (Nascimento and Bioucas-Dias 2005, IEEE
    Trans. Geosci. Remote Sens. 43, 898).

    Parameters
    ----------
    n_components : int
        Number of components n, not more than energies or pixels.
    seed : int
        Of the random directions.

    Notes
    -----
    A single outlying pixel is an extreme, too. Counts, whose pixels differ in brightness, are first divided by their
    sums over the energies, without those pixels that hold little but noise; the sources of all pixels then follow from
    `~astro_lpalm.separation.nonnegative_least_squares` with the spectra.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import VCA
    >>> A = np.array([[0.8, 0.1], [0.1, 0.2], [0.1, 0.7]])
    >>> found = VCA(2).separate(A @ [[0.5, 1.0, 0.2, 0.0], [0.5, 0.0, 0.8, 1.0]])
    >>> sorted(found.history["pixel"])
    [1, 3]
    >>> found.spectra.round(6)[:, np.argsort(found.history["pixel"])].tolist()
    [[0.8, 0.1], [0.1, 0.2], [0.1, 0.7]]
    """

    def __init__(self, n_components, *, seed=0):
        self.n_components = operator.index(n_components)
        if self.n_components < 1:
            msg = f"n_components is {n_components}, but must be at least 1."
            raise ValueError(msg)
        self.seed = seed

    def separate(self, X):
        """Find the spectra, and the abundances that they give.

        Parameters
        ----------
        X : array_like, shape (m, t)
            Data, m energies by t pixels, with abundances that sum to one.

        Returns
        -------
        `~astro_lpalm.separation.Factorization`
            In the precision of X; ``history["pixel"]`` has the index of the pixel of each spectrum.

        Raises
        ------
        ValueError
            If X is not finite, or has fewer energies or pixels than there are components.
        """
        X, _ = check_data(X)
        if self.n_components > min(X.shape):
            msg = f"X has shape {X.shape}, too small for {self.n_components} components: take fewer."
            raise ValueError(msg)
        spectra, pixels = self._find(X)
        found = FCLS().separate(X, spectra)
        return Factorization(found.spectra, found.sources, n_iter=self.n_components, history={"pixel": pixels})

    def _find(self, X):
        n, t = self.n_components, X.shape[1]
        mean = X.mean(axis=1, dtype=np.float64)
        moments = (X @ X.T).astype(np.float64) / t
        subspace = _leading(moments - np.outer(mean, mean), n)
        if _snr_db(moments, mean, subspace) < 15.0 + 10.0 * np.log10(n):
            # Much noise: the affine subspace of dimension n - 1, at a constant height above the origin.
            subspace, origin = subspace[:, : n - 1], mean[:, np.newaxis]
            x = subspace.T @ X - subspace.T @ origin
            height = np.sqrt(np.max(np.sum(x**2, axis=0))) or 1.0
            y = np.vstack([x, np.full(t, height)])
        else:
            # Little noise: the linear subspace, projected on the plane through the mean. Brightness is divided out.
            subspace, origin = _leading(moments, n), 0.0
            x = subspace.T @ X
            height = x.mean(axis=1) @ x
            y = np.divide(x, height, out=np.zeros_like(x), where=height != 0)
        pixels = _extremes(y, np.random.default_rng(self.seed))
        return subspace @ x[:, pixels] + origin, pixels


def _leading(moments, n):
    return np.linalg.eigh(moments)[1][:, : -n - 1 : -1]


def _snr_db(moments, mean, subspace):
    # The signal is taken to be what lies in the subspace, less its share of the noise.
    m, n = subspace.shape
    power = np.trace(moments)
    centred = moments - np.outer(mean, mean)
    inside = np.sum(subspace * (centred @ subspace)) + mean @ mean
    noise, signal = power - inside, inside - n / m * power
    if noise <= m * np.finfo(np.float64).eps * power:
        return np.inf
    return 10.0 * np.log10(signal / noise) if signal > 0 else -np.inf


def _extremes(y, rng):
    n = len(y)
    vertices, pixels = np.zeros((n, n)), []
    vertices[-1, 0] = 1.0
    for k in range(n):
        direction = rng.standard_normal(n)
        direction -= vertices @ (np.linalg.pinv(vertices) @ direction)
        pixels.append(int(np.abs(direction @ y).argmax()))
        vertices[:, k] = y[:, pixels[-1]]
    return pixels
