"""Noise of component spectra: that which the photons of an observation have, through least squares."""

import numpy as np
from scipy.linalg import eigh

from ..forward.least_squares import demixing_matrix, floored, weighted_inverse

__all__ = ["reduced_chi_square", "region_errors", "residual_share", "spectrum_errors", "variance_inflation"]


def spectrum_errors(fit):
    """Photon noise of the component spectra in each energy bin, for images taken as known.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`

    Returns
    -------
    `~numpy.ndarray`, shape (m, n)
        Standard deviations in counts, at least that of one count; see the Notes of
        `~astro_lpalm.results.Separation.write_pha`.
    """
    sources = fit.images
    used = sources.any(axis=1)
    variance = np.ones(fit.mixing.shape)
    if used.any():
        squares = _least_squares(sources[used], _noise_of_sources(fit)[np.ix_(used, used)]) ** 2
        # Row by row, as everything here: counts and expected counts of all energies would be two cubes in double.
        spread = np.array([squares @ np.maximum(expected, 0) for _, expected in fit.rows()])
        variance[:, used] = np.maximum(sources[used].sum(axis=1) ** 2 * spread, 1)
    return np.sqrt(variance)


def _noise_of_sources(fit):
    """Scalar products of the noise that the sources hold, shape (n, n).

    In S = P X it has the covariance P V P^T; where S is smoother than that, P X - S is the part it did not take up.
    """
    sources, solve = fit.images, fit.demixing
    mean = np.empty(len(fit.mixing))
    left = (solve @ fit.mixing - np.eye(len(sources))) @ sources  # and P of the residuals: together P X - S
    for energy, (data, expected) in enumerate(fit.rows()):
        mean[energy] = np.maximum(expected, 0).mean()
        residual = data - expected
        for part, weight in zip(left, solve[:, energy]):
            part += weight * residual
    return sources.shape[1] * (solve * mean) @ solve.T - left @ left.T


def _least_squares(sources, noise):
    """Solve for spectra by least squares, shape (n, t), as if the sources had only the scalar products of their signal.

    Sources that were fitted to pixels of few counts are mostly noise, which would make them look as if they told the
    components apart well.
    """
    whole = sources @ sources.T
    scale = whole + 1e-10 * np.trace(whole) * np.eye(len(whole))
    values, vectors = eigh(whole - noise, scale)
    # No direction gains from the correction, and none loses more than the fluctuations of noise allow to be told.
    values = np.clip(values, np.sqrt(2 / sources.shape[1]), 1)
    return (vectors / np.sqrt(values)) @ (vectors.T @ sources)


def region_errors(fit, inside, spectra_uncertainty=None):
    """Uncertainty of the component spectra in a region.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`
    inside : `~numpy.ndarray` of bool, shape (t,)
        The pixels of the region.
    spectra_uncertainty : `~numpy.ndarray`, shape (m, n), optional
        Of the spectra of the field, where they are known better than by `spectrum_errors`.

    Returns
    -------
    `~numpy.ndarray`, shape (m, n)
        Standard deviations in counts: that of the brightness, from the photons in the region, and that of the spectrum
        itself, from the whole field.
    """
    mixing, sources = fit.mixing, fit.images
    here = np.array([np.maximum(expected[inside], 0).sum() for _, expected in fit.rows()])
    brightness = np.sqrt(fit.demixing**2 @ here)
    whole = spectrum_errors(fit) if spectra_uncertainty is None else spectra_uncertainty
    total, here = sources.sum(axis=1), sources[:, inside].sum(axis=1)
    share = np.divide(here, total, out=np.zeros_like(total), where=total != 0)
    return np.hypot(mixing * brightness, whole * share)


def variance_inflation(mixing, variance):
    """How many times the variance of a component's brightness grows since the others are not known.

    Parameters
    ----------
    mixing : `~numpy.ndarray`, shape (m, n)
    variance : `~numpy.ndarray`, shape (m,)
        Of the data in each energy bin.

    Returns
    -------
    `~numpy.ndarray`, shape (n,)
        The variance inflation factor of regression, 1 for spectra that are orthogonal to each other.
    """
    alone = (mixing**2 / floored(variance)[:, np.newaxis]).sum(axis=0)
    together = np.diag(weighted_inverse(mixing, variance)[1])
    return np.maximum(alone * together, 1)


def reduced_chi_square(fit):
    """Compare the squares of the residuals with what Poisson noise leaves of them.

    See the Notes of `~astro_lpalm.results.Separation`.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`

    Returns
    -------
    float or None
        None where as many spectra as energies fit anything, so that nothing is left to compare.
    """
    squares = sum(np.vdot(data - expected, data - expected) for data, expected in fit.rows())
    expected = residual_share(fit.mixing, fit.variance) @ fit.expected_spectrum()
    if fit.mixing.shape[0] <= fit.mixing.shape[1] or expected <= 0:
        return None
    return float(squares / expected)


def residual_share(mixing, variance):
    """Share of the noise of each energy that weighted least-squares sources leave to the residuals, shape (m,).

    Of data X the residuals are R X, and the squares of noise of variance V add up to the sum of R_ik^2 V_k.

    Parameters
    ----------
    mixing : `~numpy.ndarray`, shape (m, n)
    variance : `~numpy.ndarray`, shape (m,)
        Of the data in each energy bin, up to a factor, which the sources were weighted with.
    """
    R = np.eye(len(mixing)) - mixing @ demixing_matrix(mixing, variance)
    return (R**2).sum(axis=0)
