"""Errors of spectra and fluxes of components that only a library of spectra is known of."""

from dataclasses import dataclass

import numpy as np

from ..forward import check_data
from .descent import profile_sources

__all__ = ["LibraryErrors", "library_errors"]

_TINY = 1e-12
_BEND = 1e-5  # below it, a spectrum of unit norm at an energy is held at zero and moves no more
_LEFT_OUT = 1e-6  # of the variance of the spectra, by the directions that are not listed


@dataclass(frozen=True)
class LibraryErrors:
    """How far spectra and fluxes are known, where the data alone decide how components share the counts of a block.

    Attributes
    ----------
    spectra : `~numpy.ndarray`, shape (m, n)
        Those whose errors these are, of unit sum.
    spectra_covariance : `~numpy.ndarray`, shape (n, m, m)
    fluxes : `~numpy.ndarray`, shape (n,)
        Counts of each component, all blocks together, by weighted least squares.
    flux_covariance : `~numpy.ndarray`, shape (n, n)
        With what the spectra leave open.
    counts_covariance : `~numpy.ndarray`, shape (n, m, m)
        Of each component's counts in the energy bins, ``fluxes * spectra``.
    directions : `~numpy.ndarray`, shape (q, m, n)
        Independent ways in which all spectra err together, the largest first: unit-sum spectra move by each of them
        times a standard normal number.
    prior_share : `~numpy.ndarray`, shape (n,)
        Share of the variance of each flux that comes from the library rather than from photon noise: near 0, more
        photons make the flux better; near 1, only more knowledge of the spectra does.

    Examples
    --------
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.separation import library_errors
    >>> prior = load_model("pwn-acis").prior
    >>> errors = library_errors(prior.mean.T @ [[3e3, 1e3], [1e3, 4e3]], prior.mean.T, prior)
    >>> errors.flux_errors.shape, errors.counts_covariance.shape
    ((2,), (2, 65, 65))
    """

    spectra: np.ndarray
    spectra_covariance: np.ndarray
    fluxes: np.ndarray
    flux_covariance: np.ndarray
    counts_covariance: np.ndarray
    directions: np.ndarray
    prior_share: np.ndarray

    @property
    def flux_errors(self):
        """Standard deviation of each flux, shape (n,)."""
        return np.sqrt(np.diag(self.flux_covariance))


def library_errors(counts, spectra, prior, *, background=None):
    r"""Find the errors of spectra and fluxes that the curvature of the likelihood leaves, with sources unknown.

    Counts of blocks are Poisson with expectation :math:`A S + B`, sources :math:`S` are free in sign and nothing is
    known of them, spectra :math:`A` have the normal prior of their library. Spectra :math:`z`, in its standard
    deviations, then have the covariance :math:`C = (F + 1)^{-1}`, :math:`F` being their Fisher matrix, from which that
    of the sources is taken out by the Schur complement. As :math:`C = C F C + C C`, the first part is photon noise and
    the second what the library leaves open. Fluxes follow the spectra, and have the photon noise of sources besides.

    `refine_counts` knows more than this, that most components are weak in many blocks. Where they are, the spectra that
    it finds are better than these errors; where components overlap, that knowledge may be wrong, these errors are not.

    Parameters
    ----------
    counts : array_like, shape (m, b)
        Summed over each block. More than some 32 blocks, or fewer than 10,000 counts in each, add nothing but time.
    spectra : array_like, shape (m, n)
        Mixing matrix of any norms, not negative.
    prior : `~astro_lpalm.spectra.SpectralPrior`
    background : array_like, optional
        Expected counts that belong to no component, to be broadcast to (m, b).

    Returns
    -------
    LibraryErrors

    Raises
    ------
    ValueError
        If shapes do not fit, something is negative or not finite, or there are no counts.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.separation import library_errors
    >>> prior = load_model("snr-acis").prior
    >>> counts = prior.mean.T @ np.random.default_rng(0).gamma(1.0, 1e3, size=(4, 32))
    >>> library_errors(counts, prior.mean.T, prior).spectra_covariance.shape
    (4, 65, 65)
    """
    Y, A, floor = _checked(counts, spectra, prior, background)
    A = A / np.linalg.norm(A, axis=0)
    slopes = prior.factors() * (A**2 / (A**2 + _BEND**2)).T[:, :, np.newaxis]
    total = A.sum(axis=0)
    A = A / total
    # of unit sum: D[k] is the derivative of spectrum k in its z
    D = (slopes - A.T[:, :, np.newaxis] * slopes.sum(axis=1, keepdims=True)) / total[:, np.newaxis, np.newaxis]
    positive, _ = profile_sources(Y, A, floor)
    W = 1.0 / np.maximum(A @ positive + floor, _TINY)
    inverse = np.linalg.pinv(np.einsum("ik,ib,il->bkl", A, W, A, optimize=True), hermitian=True)
    S = np.einsum("bkl,lb->kb", inverse, A.T @ ((Y - floor) * W))
    fisher, cross = _fisher(A, D, S, W, inverse)
    C = np.linalg.inv(fisher + np.eye(len(fisher)))
    # where spectra are wrong, the sources are too: they follow by -inverse cross^T
    follow = -np.einsum("bkl,bpl->kp", inverse, cross, optimize=True)
    noise, fluxes = inverse.sum(axis=0), S.sum(axis=1)
    flux_covariance = noise + follow @ C @ follow.T
    n, m = A.T.shape
    spectra_covariance, counts_covariance = np.empty((2, n, m, m))
    for k in range(n):
        own = slice(k * m, (k + 1) * m)
        spectra_covariance[k] = D[k] @ C[own, own] @ D[k].T
        moves = np.outer(A[:, k], follow[k])
        moves[:, own] += fluxes[k] * D[k]
        counts_covariance[k] = moves @ C @ moves.T + noise[k, k] * np.outer(A[:, k], A[:, k])
    return LibraryErrors(
        spectra=A,
        spectra_covariance=spectra_covariance,
        fluxes=fluxes,
        flux_covariance=flux_covariance,
        counts_covariance=counts_covariance,
        directions=_directions(D, C),
        prior_share=np.sum((follow @ C) ** 2, axis=1) / np.maximum(np.diag(flux_covariance), _TINY),
    )


def _fisher(A, D, S, W, inverse):
    # Of the spectra (n m, n m) without what the sources take; and between spectra and sources (b, n m, n).
    n, m = A.T.shape
    moments = np.einsum("kb,lb,ib->kli", S, S, W, optimize=True)
    fisher = np.block([[D[k].T @ (moments[k, j][:, np.newaxis] * D[j]) for j in range(n)] for k in range(n)])
    weighted = W.T[:, :, np.newaxis] * A
    cross = np.concatenate([S[k][:, np.newaxis, np.newaxis] * (D[k].T @ weighted) for k in range(n)], axis=1)
    taken = np.matmul(cross, inverse).transpose(1, 0, 2).reshape(n * m, -1)
    return fisher - taken @ cross.transpose(1, 0, 2).reshape(n * m, -1).T, cross


def _directions(D, C):
    n, m, _ = D.shape
    C = C.reshape(n, m, n, m)
    covariance = np.block([[D[k] @ C[k, :, j] @ D[j].T for j in range(n)] for k in range(n)])
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    vectors = vectors * np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[np.newaxis], axis=0))
    kept = np.cumsum(values) - values < (1 - _LEFT_OUT) * values.sum()
    return (vectors[:, kept] * np.sqrt(values[kept])).T.reshape(-1, n, m).transpose(0, 2, 1)


def _checked(counts, spectra, prior, background):
    Y, A = check_data(counts, spectra)
    prior.check(A)
    Y, A = Y.astype(float), A.astype(float)
    try:
        floor = np.broadcast_to(np.asarray(0.0 if background is None else background, dtype=float), Y.shape)
    except ValueError:
        msg = f"background has shape {np.shape(background)}, but must go with that of the counts, {Y.shape}."
        raise ValueError(msg) from None
    for name, array in (("counts", Y), ("spectra", A), ("background", floor)):
        if not (np.isfinite(array).all() and array.min() >= 0):
            msg = f"{name} has values that are negative, NaN or infinite; give expected or measured counts as they are."
            raise ValueError(msg)
    empty = np.flatnonzero(A.sum(axis=0) <= 0)
    if empty.size:
        msg = f"spectrum {empty[0] + 1} is zero at all energies, so no counts can be its; leave the component out."
        raise ValueError(msg)
    filled = Y.sum(axis=0) > 0
    if not filled.any():
        msg = "counts are zero in all blocks, so nothing is known of fluxes; give a block that has some."
        raise ValueError(msg)
    return Y[:, filled], A, floor[:, filled]
