"""What is known of components' spectra before an observation is seen."""

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["SpectralPrior"]

_ROUNDING = 1e-13  # deviations from the mean, of spectra of unit norm, that are no more than rounding errors
_FLOOR = 1e-4  # standard deviation at each energy, of spectra of unit norm, that no library is better than


@dataclass(frozen=True)
class SpectralPrior:
    """Mean and principal vectors of the unit-norm spectra of each component, a normal distribution about the mean.

    Attributes
    ----------
    mean : `~numpy.ndarray`, shape (n, m)
        Mean spectrum of each component.
    principal : `~numpy.ndarray`, shape (n, r, m)
        Principal vectors about the mean, orthonormal rows, in decreasing order of variance.
    spread : `~numpy.ndarray`, shape (n, r)
        Standard deviation along each of them.
    remainder : `~numpy.ndarray`, shape (n, m)
        Standard deviation at each energy of what they leave over.

    Examples
    --------
    >>> from astro_lpalm import load_model
    >>> prior = load_model("pwn-acis").prior
    >>> prior.mean.shape, prior.principal.shape
    ((2, 65), (2, 10, 65))
    >>> bool((prior.share.sum(axis=1) > 0.99).all())
    True
    """

    mean: np.ndarray
    principal: np.ndarray
    spread: np.ndarray
    remainder: np.ndarray

    @classmethod
    def of_draws(cls, spectra, rank):
        """Compute it from draws.

        Parameters
        ----------
        spectra : array_like, shape (N, m, n)
            Of unit norm.
        rank : int
            How many principal vectors.

        Returns
        -------
        SpectralPrior

        Examples
        --------
        >>> import numpy as np
        >>> from astro_lpalm.spectra import SpectralPrior
        >>> SpectralPrior.of_draws(np.eye(3)[:2, :, None], rank=1).spread.round(3)
        array([[0.707]])
        """
        spectra = np.moveaxis(spectra, 2, 0)
        n = spectra.shape[1]
        mean = spectra.mean(axis=1)
        deviations = spectra - mean[:, None]
        # The right singular vectors of the deviations, as eigenvectors (m, m): orthonormal however few the draws.
        variance, vectors = np.linalg.eigh(np.swapaxes(deviations, 1, 2) @ deviations)
        variance = np.clip(variance[:, ::-1], 0.0, None)
        principal = np.swapaxes(vectors[:, :, ::-1], 1, 2)
        left_over = np.einsum("kr,krm->km", variance[:, rank:] / n, principal[:, rank:] ** 2)
        return cls(mean, principal[:, :rank].copy(), np.sqrt(variance[:, :rank] / n), np.sqrt(left_over))

    @property
    def share(self):
        """Fraction of the variance about the mean that each principal vector explains, (n, r); 0 without any."""
        variance = self.spread**2
        total = (variance.sum(axis=1) + (self.remainder**2).sum(axis=1))[:, np.newaxis]
        return np.divide(variance, total, out=np.zeros_like(variance), where=total > _ROUNDING**2)

    def astype(self, dtype):
        """Give the same in another precision."""
        return SpectralPrior(*(np.asarray(each, dtype) for each in vars(self).values()))

    def check(self, spectra):
        """Refuse spectra, (m, n), of another number of components or energies.

        Raises
        ------
        ValueError
            If the shape is not that of the mean.
        """
        if np.shape(spectra) != self.mean.T.shape:
            msg = f"the library's spectra have shape {self.mean.T.shape}, but those of the start {np.shape(spectra)}."
            raise ValueError(msg)

    def distance(self, spectra, counts=None):
        """Measure how far spectra lie from what is known of their components.

        Parameters
        ----------
        spectra : array_like, shape (m, n)
            Columns of any norm.
        counts : array_like, shape (n,), optional
            Photons that each spectrum was found from. Their noise is added to the variance of the library, so that the
            distance is what they tell of, and no more.

        Returns
        -------
        `~numpy.ndarray`, shape (n,)
            Root mean square distance from the mean, in standard deviations along the principal vectors that vary by
            more than the errors that any library has (1e-4 at each energy, which may all add up), and in what they
            leave over: about 1 for spectra of the library.

        Examples
        --------
        >>> from astro_lpalm import load_model
        >>> from astro_lpalm.spectra import SpectralLibrary
        >>> drawn = SpectralLibrary.from_file("snr-acis").draw(1, seed=0)[0]
        >>> bool(load_model("snr-acis").prior.distance(drawn).max() < 4)
        True
        """
        spectra = np.asarray(spectra, dtype=np.float64)
        deviation = (spectra / np.linalg.norm(spectra, axis=0)).T - self.mean
        along = np.einsum("krm,km->kr", self.principal, deviation)
        across = deviation - np.einsum("kr,krm->km", along, self.principal)
        squares = np.column_stack([along**2, (across**2).sum(axis=1)])
        variance = np.column_stack([self.spread**2, (self.remainder**2).sum(axis=1)])
        # Errors of a library, as those of a response, go together over energies: along a vector they may all add up.
        limited = variance + spectra.shape[0] * _FLOOR**2
        if counts is not None:
            # A spectrum a of unit norm found from N photons has the variance a_i sum(a) / N.
            shares = np.abs(spectra / np.linalg.norm(spectra, axis=0))
            noise = (shares * shares.sum(axis=0) / np.maximum(counts, 1.0)).T
            along = np.einsum("krm,km->kr", self.principal**2, noise)
            limited += np.column_stack([along, np.maximum(noise.sum(axis=1) - along.sum(axis=1), 0.0)])
        return np.sqrt((squares / limited).sum(axis=1) / np.maximum((variance / limited).sum(axis=1), 1.0))

    def factors(self):
        """Factor the covariance of each component's spectra.

        Returns
        -------
        `~numpy.ndarray`, shape (n, m, m)
            Spectra are ``mean + factor @ z`` with z standard normal.
        """
        factors = []
        for basis, spread, remainder in zip(self.principal, self.spread, self.remainder):
            basis = np.asarray(basis, dtype=float)
            scatter = (basis.T * np.square(spread, dtype=float)) @ basis
            least = np.square(remainder, dtype=float) + _FLOOR**2
            factors.append(np.linalg.cholesky(scatter + np.diag(least)))
        return np.array(factors)

    def perturbed(self, rng):
        """Give the same about other means, each drawn as the spectra themselves are.

        The most probable spectra for perturbed data and perturbed means are draws from the posterior distribution,
        where all is normal ("randomize, then optimize"; Bardsley et al. 2014, SIAM J. Sci. Comput. 36, A1895).

        Parameters
        ----------
        rng : `numpy.random.Generator`

        Returns
        -------
        SpectralPrior
        """
        along = np.einsum("kr,krm->km", self.spread * rng.standard_normal(self.spread.shape), self.principal)
        return replace(self, mean=self.mean + along + self.remainder * rng.standard_normal(self.mean.shape))
