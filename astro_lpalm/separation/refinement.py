"""Refinement of a factorization: alternating least squares, with what is known of the components' spectra."""

import warnings
from dataclasses import dataclass, fields
from numbers import Integral, Real

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from ..forward.least_squares import demixing_matrix, floored, weighted_inverse
from ..forward.matrices import check_data
from .base import Factorization

__all__ = ["Refinement", "refine"]

_LEVERAGE_CEILING = 0.95


@dataclass(frozen=True)
class Refinement:
    """The settings of `refine`, which says what they do; an object refines when it is called.

    Attributes
    ----------
    threshold : float
        In standard deviations of the noise; 0 for none.
    n_rounds : int
        The largest number of rounds.
    tolerance : float
        Rounds end when A moves by less than this, in Frobenius norm.
    leakage : float
        Standard deviation of the multiple of another component's spectrum that a measured spectrum has in it.
    correlated_leakage : float
        What is added to it, times the correlation of the sources' moduli and the ratio of their strengths. Sparsity
        tells sources apart by where they are; where it cannot, as they are bright in the same places, spectra come out
        as mixtures of the true ones, and the libraries must say which.
    farthest : float
        Distance from its library, in standard deviations, that no spectrum of the component should have: draws have up
        to 5. Infinite to trust any spectra.

    Examples
    --------
    >>> from astro_lpalm.separation import Refinement
    >>> Refinement(n_rounds=20).threshold
    3.0
    """

    threshold: float = 3.0
    n_rounds: int = 100
    tolerance: float = 1e-5
    leakage: float = 1e-3
    correlated_leakage: float = 0.01
    farthest: float = 10.0

    def __post_init__(self):
        check_settings(self)

    def __call__(self, X, factorization, prior=None):
        """Refine; parameters, and what is returned, raised and warned of, are those of `refine`."""
        X, A = check_data(X, factorization.spectra)
        t = X.shape[1]
        moments = (X @ X.T).astype(np.float64) / t
        A = A.astype(np.float64)
        variance = np.ones(len(X))
        previous = None
        changes = []
        for _ in range(self.n_rounds):
            variance = row_variance(A, moments, variance)
            demixing, covariance = weighted_inverse(A, variance)
            S = demixing.astype(X.dtype) @ X
            limit = self.threshold * np.sqrt(np.diag(covariance))[:, np.newaxis].astype(X.dtype)
            if self.threshold:
                S = _reweighted_threshold(S, previous, limit)
            previous = S
            leakage = None if prior is None else _leakage(S, self.leakage, self.correlated_leakage)
            spectra = _fit_spectra(X, S, A, variance, prior, leakage)
            changes.append(float(np.linalg.norm(spectra - A)))
            A = spectra
            if changes[-1] < self.tolerance:
                break
        kept = prior is not None and _left_library(A, factorization.spectra, prior, self.farthest)
        if kept:
            A = np.asarray(factorization.spectra, dtype=np.float64)
        demixing = demixing_matrix(A, row_variance(A, moments, variance))
        return Factorization(
            spectra=A.astype(X.dtype),
            sources=demixing.astype(X.dtype) @ X,
            n_iter=len(changes),
            converged=bool(changes and changes[-1] < self.tolerance and not kept),
            history={"change": changes},
        )


def refine(X, factorization, prior=None, **settings):
    """Bring spectra that are nearly right, such as a network's, to the least-squares bottom of their basin.

    Each round takes these steps:

    1. S is the weighted least squares solution for the present A, the weights being the inverse noise variances of
       the energies, measured from the residual.
    2. Entries of S are soft-thresholded at ``threshold`` times their propagated noise, less for those that were large
       in the round before (reweighted l1; Candes, Wakin and Boyd 2008).
    3. A is the least squares solution for that S, non-negative, with columns of unit norm.
    4. Each column becomes the most probable spectrum under the prior that its component's library gives: normal about
       the library's mean, with the library's variance along each principal vector and in what these leave over. The
       measured column is taken to err by noise and by leakage, unknown multiples of the other columns, which are the
       larger the more the sources' moduli are correlated and the stronger the other source is.

    The last S is that of step 1, without a threshold: unbiased, with noise. Spectra that end farther from the library
    than the start, and farther than any of its draws, are not trusted: then those of the start are kept.

    Parameters
    ----------
    X : array_like, shape (m, t)
        Data, m energies by t pixels.
    factorization : `~astro_lpalm.separation.Factorization`
        Where to start; only its spectra are used.
    prior : `~astro_lpalm.spectra.SpectralPrior`, optional
        What is known of each component's spectra. Without it step 4 is left out.
    **settings
        Those of `Refinement`, such as ``threshold=3.0``.

    Returns
    -------
    `~astro_lpalm.separation.Factorization`
        ``history["change"]`` has the movement of A in each round.

    Raises
    ------
    ValueError
        If shapes do not fit, X is not finite, or a setting is negative.

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        If the spectra of the start are kept.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import Factorization, nmse, refine
    >>> rng = np.random.default_rng(0)
    >>> A = np.abs(rng.normal(size=(10, 2)))
    >>> A /= np.linalg.norm(A, axis=0)
    >>> S = rng.laplace(size=(2, 2000)) * (rng.random((2, 2000)) < 0.2)
    >>> start = Factorization(A + 0.02, S)
    >>> X = A @ S + 0.01 * rng.normal(size=(10, 2000))
    >>> bool(nmse(refine(X, start).spectra, A) < 1e-4 < nmse(start.spectra, A))
    True
    """
    return Refinement(**settings)(X, factorization, prior)


def check_settings(settings):
    """Raise a ValueError for settings, numbers or whole numbers from zero up, that are none."""
    for field in fields(settings):
        name, value = field.name, getattr(settings, field.name)
        kind, words = (Integral, "a whole number") if field.type is int else (Real, "a number")
        if isinstance(value, bool) or not isinstance(value, kind) or not value >= 0:
            msg = f"{name} is {value!r}, but must be {words} from zero up."
            raise ValueError(msg)


def _left_library(A, start, prior, farthest):
    distance = prior.distance(A)
    far = distance > np.maximum(farthest, prior.distance(start))
    if far.any():
        which = ", ".join(f"{k + 1} ({distance[k]:.0f} sigma)" for k in np.flatnonzero(far))
        msg = (
            f"refinement took component {which} out of the range of its library, so the spectra it started from are "
            "kept: data of other components than the model's, of another instrument, or too few counts do this."
        )
        warnings.warn(msg, AstropyUserWarning, stacklevel=4)
    return far.any()


def row_variance(A, moments, variance):
    """Measure the noise variance of each row of X, whose ``moments`` X X^T / t are given, about the fit A S.

    The fit is weighted by the variances supposed so far.
    """
    # S = demixing @ X turns the mean square of X - A S into products of small matrices. A row that weighs much in S
    # has a small residual for that reason alone: its leverage is divided out.
    demixing, covariance = weighted_inverse(A, variance)
    fit = A @ demixing
    residual = np.eye(len(A)) - fit
    squares = np.einsum("ij,jk,ik->i", residual, moments, residual)
    leverage = np.minimum(np.einsum("ij,ij->i", A @ covariance, A) / variance, _LEVERAGE_CEILING)
    # A model with too few components or a row without counts can bring the residual near zero.
    measured = np.maximum(squares / (1.0 - leverage), np.finfo(float).eps * np.trace(moments) / len(A))
    return floored(measured)


def _reweighted_threshold(S, previous, limit):
    if previous is not None:
        limit = limit / (np.abs(previous) / limit + 1.0)
    return S - np.clip(S, -limit, limit)


def _fit_spectra(X, S, A, variance, prior, leakage):
    inverse = np.linalg.pinv((S @ S.T).astype(np.float64), hermitian=True)
    spectra = np.maximum((X @ S.T).astype(np.float64) @ inverse, 0.0)
    # Noise adds to the norm of a spectrum; what is left is the norm of the spectrum itself.
    power = np.sum(spectra**2, axis=0) - np.diag(inverse) * variance.sum()
    found = power > 0.5 * np.sum(spectra**2, axis=0)
    # A component whose sources were all below the threshold says nothing new: it keeps its spectrum.
    spectra = np.where(found, spectra / np.sqrt(np.where(found, power, 1.0)), A)
    if prior is not None:
        noise = np.diag(inverse) / np.where(found, power, np.inf)
        measured = spectra.copy()
        for k in np.flatnonzero(found):
            # What leaks along the column itself is lost with its norm.
            others = (A - np.outer(A[:, k], A[:, k] @ A)) * leakage[:, k]
            spectra[:, k] = _most_probable(measured[:, k], variance * noise[k], others, prior, k)
    norms = np.linalg.norm(spectra, axis=0)
    # Nor does one that data and library want on opposite sides of zero, at every energy.
    return np.where(norms > 0, spectra / np.where(norms > 0, norms, 1.0), A)


def _leakage(S, least, correlated):
    # Entry (j, k): standard deviation of the multiple of spectrum j that is in the measured spectrum k.
    moduli = np.abs(S)
    mean = moduli.mean(axis=1, dtype=np.float64)
    covariance = (moduli @ moduli.T).astype(np.float64) / S.shape[1] - np.outer(mean, mean)
    width = np.sqrt(np.maximum(np.diag(covariance), np.finfo(float).tiny))
    chance = 2.0 / np.sqrt(S.shape[1])  # the correlation that independent sources may show
    correlation = np.maximum(covariance / np.outer(width, width) - chance, 0.0)
    strength = np.maximum(np.linalg.norm(S, axis=1).astype(np.float64), np.finfo(float).tiny)
    leakage = least + correlated * correlation * strength[:, np.newaxis] / strength
    np.fill_diagonal(leakage, 0.0)
    return leakage


def _most_probable(spectrum, noise, others, prior, k):
    # A spectrum is the library's mean plus normal multiples of its principal vectors plus what these leave over, with
    # a variance at each energy. Measured, it has noise and normal multiples of other spectra in it as well. Solved for
    # the multiples as least squares: the covariances themselves are so nearly singular that rounding would decide.
    remainder, r = prior.remainder[k].astype(float) ** 2, len(prior.spread[k])
    variance = np.maximum(noise + remainder, np.finfo(float).tiny)
    directions = np.hstack([prior.principal[k].T * prior.spread[k], others])
    deviation, weight = spectrum - prior.mean[k], 1.0 / np.sqrt(variance)
    design = np.vstack([weight[:, np.newaxis] * directions, np.eye(directions.shape[1])])
    multiples = np.linalg.lstsq(design, np.append(weight * deviation, np.zeros(directions.shape[1])), rcond=None)[0]
    left = deviation - directions @ multiples
    return np.maximum(prior.mean[k] + directions[:, :r] @ multiples[:r] + remainder / variance * left, 0.0)
