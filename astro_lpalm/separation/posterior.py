"""Sources for known spectra under a sparse prior that is learned from the data themselves."""

import itertools

import numpy as np

from ..forward.least_squares import weighted_inverse
from ..forward.matrices import check_data
from .refinement import row_variance

__all__ = ["posterior_mean"]

_MOST_COMBINATIONS = 1024
_MOST_VARIANCES = 5
_SMALLEST_VARIANCE = 0.01  # of a source, in units of its noise: as good as zero
_N_ROUNDS = 10
_N_LEARNING = 5000  # pixels that weights are learned from
_BLOCK = 4096


def posterior_mean(X, spectra, variance=None):
    """Estimate the sources for known spectra, making use of their sparsity.

    Least squares takes nothing for granted, and shares noise out to the sources; where spectra are alike, a lot of it.
    Sparse sources are mostly near zero and sometimes large: entries of each are taken to be drawn from a mixture of
    zero-mean normal distributions with a few variances between the noise and the largest entry, whose weights are
    found by expectation maximization (independent factor analysis; Attias 1999, Neural Computation 11, 803). The result
    is the mean of the posterior distribution, which has the smallest expected squared error. It is biased towards
    zero; use `~astro_lpalm.forward.least_squares` where sums over pixels matter.

    Parameters
    ----------
    X : array_like, shape (m, t)
        Data, whose sources are sparse: details, not images.
    spectra : array_like, shape (m, n)
        Mixing matrix A.
    variance : array_like, shape (m,), optional
        Noise variance of each energy. By default it is measured from what least squares leaves over.

    Returns
    -------
    `~numpy.ndarray`, shape (n, t)

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, a variance is not positive, or there are more than ten spectra.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.forward import least_squares
    >>> from astro_lpalm.separation import nmse, posterior_mean
    >>> rng = np.random.default_rng(0)
    >>> A = np.abs(rng.normal(size=(10, 2)))
    >>> S = rng.laplace(size=(2, 2000)) * (rng.random((2, 2000)) < 0.1)
    >>> X = A @ S + 0.3 * rng.normal(size=(10, 2000))
    >>> bool(nmse(posterior_mean(X, A), S) < 0.5 * nmse(least_squares(X, A), S))
    True
    """
    X, spectra = check_data(X, spectra)
    n = spectra.shape[1]
    n_variances = min(_MOST_VARIANCES, int(_MOST_COMBINATIONS ** (1 / n) + 1e-9))
    if n_variances < 2:
        msg = f"spectra has {n} columns, but the posterior mean can be computed for ten at the most."
        raise ValueError(msg)
    demixing, covariance = weighted_inverse(spectra, _noise_variance(X, spectra, variance))
    S = demixing.astype(X.dtype) @ X
    variances = [
        np.geomspace(_SMALLEST_VARIANCE * noise, max(np.max(np.square(s, dtype=float)), noise), n_variances)
        for s, noise in zip(S, np.diag(covariance))
    ]
    # Every combination of one variance for each source is a normal distribution of the n sources of a pixel.
    choice = np.array(list(itertools.product(range(n_variances), repeat=n)))
    prior = np.stack([v[column] for v, column in zip(variances, choice.T)], axis=1)
    precision = np.linalg.inv(prior[:, :, np.newaxis] * np.eye(n) + covariance)
    weights = _learn_weights(S[:, :: -(-S.shape[1] // _N_LEARNING)].astype(float), precision, choice)
    gains = prior[:, :, np.newaxis] * precision
    blocks = []
    for start in range(0, S.shape[1], _BLOCK):
        s = S[:, start : start + _BLOCK].astype(float)
        probability = _probability(_log_likelihood(s, precision), weights, choice)
        blocks.append(np.einsum("nkt,kt->nt", np.tensordot(gains, probability, (0, 0)), s))
    return np.concatenate(blocks, axis=1).astype(X.dtype)


def _noise_variance(X, spectra, variance):
    if variance is None:
        variance, moments = np.ones(len(X)), (X @ X.T).astype(float) / X.shape[1]
        for _ in range(2):  # weighted by the first, the second is as good as it gets
            variance = row_variance(spectra.astype(float), moments, variance)
        return variance
    variance = np.asarray(variance, dtype=float)
    if variance.shape != (len(X),) or not np.all(variance > 0):
        msg = f"variance must hold a positive number for each of the {len(X)} energies, but is {variance}."
        raise ValueError(msg)
    return variance


def _log_likelihood(s, precision):
    # Of the least-squares sources in every combination, (combinations, t), up to a constant.
    n = len(s)
    products = (s[:, np.newaxis] * s).reshape(n * n, -1)
    return 0.5 * (np.linalg.slogdet(precision)[1][:, np.newaxis] - precision.reshape(-1, n * n) @ products)


def _probability(log_likelihood, weights, choice):
    # Of each combination in each pixel; sources are independent, so a combination's weight is a product.
    prior = np.prod([w[column] for w, column in zip(weights, choice.T)], axis=0)
    probability = np.exp(log_likelihood - log_likelihood.max(axis=0)) * prior[:, np.newaxis]
    return probability / probability.sum(axis=0)


def _learn_weights(s, precision, choice):
    (n, t), n_variances = s.shape, choice.max() + 1
    weights = np.full((n, n_variances), 1.0 / n_variances)
    log_likelihood = _log_likelihood(s, precision)
    for _ in range(_N_ROUNDS):
        total = _probability(log_likelihood, weights, choice).sum(axis=1)
        counts = np.stack([np.bincount(column, total, n_variances) for column in choice.T])
        weights = (counts + 1.0 / n_variances) / (t + 1.0)  # one pixel's worth of doubt: nothing is impossible
    return weights
