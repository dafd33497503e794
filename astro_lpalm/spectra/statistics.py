"""How the draws of a library are distributed."""

from dataclasses import dataclass

import numpy as np

__all__ = ["LibraryStatistics"]

_ROUNDING = 1e-13  # deviations from the mean, of spectra of unit norm, that are no more than rounding errors


@dataclass(frozen=True)
class LibraryStatistics:
    """Mean and principal vectors of the unit-norm spectra of each component.

    Attributes
    ----------
    mean : array
        Shape (n_components, m).
    principal : array
        Shape (n_components, rank, m), orthonormal rows, in decreasing order of variance.
    spread : array
        Shape (n_components, rank), the standard deviation along each principal vector.
    remainder : array
        Shape (n_components, m), the standard deviation at each energy of what the principal vectors leave over.
    share : array
        Shape (n_components, rank), the fraction of the variance about the mean that each explains; zeros where
        spectra do not vary.
    """

    mean: np.ndarray
    principal: np.ndarray
    spread: np.ndarray
    remainder: np.ndarray
    share: np.ndarray

    @classmethod
    def of_draws(cls, spectra, rank):
        """Compute them from draws.

        Parameters
        ----------
        spectra : array
            Shape (N, m, n_components), of unit norm.
        rank : int
            How many principal vectors.

        Returns
        -------
        statistics : LibraryStatistics

        Examples
        --------
        >>> import numpy as np
        >>> from astro_lpalm.spectra import LibraryStatistics
        >>> LibraryStatistics.of_draws(np.eye(3)[:2, :, None], rank=1).spread.round(3)
        array([[0.707]])
        """
        spectra = np.moveaxis(spectra, 2, 0)
        n = spectra.shape[1]
        mean = spectra.mean(axis=1)
        deviations = spectra - mean[:, None]
        # The right singular vectors of the deviations, as eigenvectors (m, m): orthonormal however few the draws.
        variance, vectors = np.linalg.eigh(np.swapaxes(deviations, 1, 2) @ deviations)
        variance = np.clip(variance[:, ::-1], 0.0, None)
        total = variance.sum(axis=1, keepdims=True)
        varies = total > n * _ROUNDING**2
        share = np.divide(variance, total, out=np.zeros_like(variance), where=varies)
        principal = np.swapaxes(vectors[:, :, ::-1], 1, 2)
        left_over = np.einsum("kr,krm->km", variance[:, rank:] / n, principal[:, rank:] ** 2)
        return cls(
            mean=mean,
            principal=principal[:, :rank].copy(),
            spread=np.sqrt(variance[:, :rank] / n),
            remainder=np.sqrt(left_over),
            share=share[:, :rank].copy(),
        )
