"""Spectra and images from counts, by their Poisson likelihood."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.special import digamma, gammaln, polygamma

from ..forward.least_squares import expected_counts, least_squares
from ..forward.matrices import check_data
from .base import Factorization
from .refinement import check_settings

__all__ = ["CountRefinement", "poisson_sources", "refine_counts"]

_BEND = 1e-5  # least value of unit-norm spectra at an energy, more or less
_TINY = 1e-12
_SMALLEST_STEP = 1e-3
_WARM_UP = 20


@dataclass(frozen=True)
class CountRefinement:
    """The settings of `refine_counts`, which says what they do; an object refines when it is called.

    Attributes
    ----------
    sparsity : float
        Shape of the Gamma prior of a component's counts in a block: below 1, most blocks have little of most
        components. With 1, as many counts as noise allows are given to components that are not there; with 0.1, where
        components overlap, the prior and not the data would say how they share the counts of a block. Blocks of
        a hundred counts or fewer are better off with 0.1, as the lower bound is too low for components that share few.
    start_error : float
        Error of the spectra of the start, of unit norm, at each energy, times the square root of all counts.
    n_rounds : int
        The largest number of steps.
    tolerance : float
        Steps end when they gain less than this in the logarithm of the posterior probability. With a larger one, whose
        last step is still felt, rounding would decide over the number of steps, and with it over the spectra.
    source_rounds : int
        The largest number of steps of the sources of a block, for given spectra.
    source_tolerance : float
        They end when they gain less than this in the logarithm.
    decisive_gain : float
        Other sources of a block are taken for gains above this in the logarithm of their probability, odds of 20 to 1:
        where counts do not decide, the likelier ones are mostly the sparser ones.
    brought_up : float
        Others are looked for with one component taken away from the present ones, or brought up to this share of the
        block's counts.

    Examples
    --------
    >>> from astro_lpalm.separation import CountRefinement
    >>> CountRefinement(n_rounds=20).sparsity
    0.4
    """

    sparsity: float = 0.4
    start_error: float = 3.0
    n_rounds: int = 50
    tolerance: float = 1e-4
    source_rounds: int = 30
    source_tolerance: float = 1e-4
    decisive_gain: float = 3.0
    brought_up: float = 0.05

    def __post_init__(self):
        check_settings(self)
        for name in ("sparsity", "start_error", "brought_up"):  # which are divided by, or taken the logarithm of
            if getattr(self, name) == 0:
                msg = f"{name} is 0, but must be positive."
                raise ValueError(msg)

    def __call__(self, X, factorization, prior, *, blocks=None, background=None):
        """Refine; parameters, and what is returned and raised, are those of `refine_counts`."""
        X, start = check_data(X, factorization.spectra)
        background = _checked_background(X, background)
        Y, floor = (X, background) if blocks is None else _sum_blocks(X, background, blocks)
        filled = Y.sum(axis=0) > 0
        Y, floor = (each[:, filled].astype(np.float64) for each in (Y, floor))
        prior.check(start)
        mean, factors = prior.mean.T.astype(float), prior.factors()
        z = _start(start, mean, factors, self.start_error / np.sqrt(Y.sum()))
        A, bend = _spectra(mean, factors, z)
        a, bound = self._source_posterior(Y, A, floor, self._first_shapes(Y, A, floor))
        best, history, converged = bound.sum() - 0.5 * np.sum(z**2), [], False
        for _ in range(self.n_rounds):
            step = self._newton_step(Y, A, floor, a, z, factors * bend.T[:, :, np.newaxis])
            size, gain = 1.0, -1.0
            while gain < 0 and size > _SMALLEST_STEP:
                z_next = z + size * step
                A_next, bend_next = _spectra(mean, factors, z_next)
                a_next, bound = self._source_posterior(Y, A_next, floor, a)
                gain = bound.sum() - 0.5 * np.sum(z_next**2) - best
                size *= 0.5
            if gain >= 0:
                z, A, bend, a, best = z_next, A_next, bend_next, a_next, best + gain
            if gain < self.tolerance:  # or if the shortest step gains nothing
                a, gain = self._likelier_sources(Y, A, floor, a)
                best += gain
            history.append(float(best))
            if converged := gain < self.tolerance:
                break
        A = A / np.linalg.norm(A, axis=0)
        counts, below = (each.sum(axis=1, dtype=float) for each in (X, np.broadcast_to(background, X.shape)))
        return Factorization(
            spectra=A.astype(X.dtype),
            sources=least_squares(X - background, A, expected_counts(A, counts, below)).astype(X.dtype),
            n_iter=len(history),
            converged=bool(converged),
            history={"log_posterior": history},
        )

    def _first_shapes(self, Y, A, background):
        return self.sparsity + A.sum(axis=0)[:, np.newaxis] * _expectation_maximization(Y, A, background, _WARM_UP)

    def _source_posterior(self, Y, A, background, a):
        """Find the shapes of the Gamma distributions of the components' counts in each block, from a start.

        With p the spectra of unit sum and g = exp(digamma(a)), the geometric mean counts, the bound is

            sum(Y log(p g + background)) - sum((a - alpha) digamma(a) - gammaln(a)),

        largest where a = alpha + g p^T (Y / (p g + background)), alpha being ``sparsity``. Newton steps in digamma(a);
        a block that one does not improve takes that equation as its step instead, which always does. Returned are the
        shapes, (n, blocks), and the bound of each block.
        """
        p = A / A.sum(axis=0)
        a, bound = a.copy(), self._bound(Y, p, background, a)
        active = np.arange(Y.shape[1])
        for _ in range(self.source_rounds):
            y, floor, old = Y[:, active], background[:, active], a[:, active]
            g = np.exp(digamma(old))
            ratio = y / (p @ g + floor)
            fixed = self.sparsity + g * (p.T @ ratio)
            slope = polygamma(1, old)
            curvature = self._source_curvature(p, g, old, slope, ratio**2 / np.maximum(y, _TINY))
            step = np.linalg.solve(curvature, (fixed - old).T[..., np.newaxis])[..., 0].T / slope
            new = np.clip(old + step, 0.2 * old, 5.0 * old)
            value = self._bound(y, p, floor, new)
            worse = ~(value >= bound[active])
            new[:, worse] = fixed[:, worse]
            value[worse] = self._bound(y[:, worse], p, floor[:, worse], fixed[:, worse])
            gain = value - bound[active]
            a[:, active], bound[active] = new, value
            active = active[gain > self.source_tolerance]
            if not active.size:
                break
        return a, bound

    def _likelier_sources(self, Y, A, background, a):
        # The same where no block has much likelier ones than the maximum it is in; and how much is gained in all.
        blocks, start = [], []
        for k, (shapes, more) in enumerate(zip(a, np.broadcast_to(self.brought_up * Y.sum(axis=0), a.shape))):
            for used, values in ((shapes > 1, np.full_like(more, self.sparsity)), (shapes < more, more)):
                blocks.append(np.flatnonzero(used))
                start.append(a[:, used])
                start[-1][k] = values[used]
        blocks = np.concatenate(blocks)
        found, bound = self._source_posterior(Y[:, blocks], A, background[:, blocks], np.hstack(start))
        gains = bound - self._bound(Y, A / A.sum(axis=0), background, a)[blocks]
        order = np.argsort(gains)
        order = order[gains[order] > self.decisive_gain]
        likelier, gain = a.copy(), np.zeros(a.shape[1])
        likelier[:, blocks[order]], gain[blocks[order]] = found[:, order], gains[order]  # the last of a block stays
        return likelier, gain.sum()

    def _bound(self, Y, p, background, a):
        g = digamma(a)
        fit = p @ np.exp(g) + background
        return (Y * np.log(fit)).sum(axis=0) - ((a - self.sparsity) * g - gammaln(a)).sum(axis=0)

    def _source_curvature(self, p, g, a, slope, weights):
        # Second derivatives of the bound in digamma(a), (blocks, n, n), with the sign changed and kept positive.
        n = len(g)
        products = (p[:, :, np.newaxis] * p[:, np.newaxis]).reshape(len(p), n * n)
        curvature = (weights.T @ products).reshape(-1, n, n) * g.T[:, :, np.newaxis] * g.T[:, np.newaxis]
        own = np.maximum(1.0 / slope - a + self.sparsity, 0.2 * self.sparsity)
        curvature[:, range(n), range(n)] += own.T
        return curvature

    def _newton_step(self, Y, A, background, a, z, factors):
        # factors are the derivatives of the spectra in z. The sources follow the spectra: their part of the curvature
        # is taken out (Schur complement).
        m, n = A.shape
        total = A.sum(axis=0)
        g = np.exp(digamma(a)) / total[:, np.newaxis]
        ratio = Y / (A @ g + background)
        weights = ratio**2 / np.maximum(Y, _TINY)
        slope = ratio @ g.T - (a - self.sparsity).sum(axis=1) / total
        gradient = np.einsum("kij,ik->kj", factors, slope) - z
        curvature = np.zeros((n, m, n, m))
        diagonal = np.einsum("kb,lb,ib->kli", g, g, weights, optimize=True)
        energies = np.arange(m)
        for k in range(n):
            for j in range(n):
                curvature[k, energies, j, energies] = diagonal[k, j]
        inner = self._source_curvature(A, g, a, polygamma(1, a), weights)
        root = np.linalg.inv(np.linalg.cholesky(inner)).transpose(0, 2, 1)  # inverse = root root^T
        cross = weights.T[:, :, np.newaxis] * (A @ (g.T[:, :, np.newaxis] * root))  # (blocks, m, n)
        taken = (g[:, np.newaxis, np.newaxis] * cross.transpose(1, 2, 0)).reshape(n * m, -1)
        curvature = (curvature.reshape(n * m, n * m) - taken @ taken.T).reshape(n, m, n, m)
        curvature = np.einsum("kia,kilj,ljb->kalb", factors, curvature, factors, optimize=True)
        precision = curvature.reshape(n * m, n * m) + np.eye(n * m)
        return np.linalg.solve(precision, gradient.ravel()).reshape(n, m)


def refine_counts(X, factorization, prior, *, blocks=None, background=None, **settings):
    r"""Bring spectra to the maximum of their posterior probability, given counts and what is known of the components.

    Counts are Poisson with expectation :math:`A S + B`. So that few numbers besides the spectra are unknown, pixels are
    summed over blocks. The counts that a component has in a block get the prior of Cemgil (2009,
    doi:10.1155/2009/785152), a Gamma distribution, of shape ``sparsity`` and without a scale. They are not fitted, but
    averaged over: the logarithm of the integral is replaced by that paper's variational lower bound, in which the
    sources of different components are independent. Fitted sources would bias the spectra: each block of few counts
    adds its unknowns, and as none can be negative, all are wrong in one direction. The spectra have the normal prior
    of the library, as in `refine`.

    The bound plus the prior's logarithm is maximized over the spectra by Gauss-Newton steps, with the sources at their
    optimum for each trial; no step lowers it. As that optimum is one of several, where the steps end each block is
    searched for others, without one of the components or with more of it, and the steps go on if one is much likelier.

    Parameters
    ----------
    X : array_like, shape (m, t)
        Counts of m energies in t pixels.
    factorization : `~astro_lpalm.separation.Factorization`
        Where to start; only its spectra are used.
    prior : `~astro_lpalm.spectra.SpectralPrior`
        What is known of each component's spectra.
    blocks : array_like of int, shape (t,), optional
        The block of each pixel, such as `~astro_lpalm.forward.count_blocks` finds; by default each pixel is a block by
        itself.
    background : array_like, optional
        Expected counts that belong to no component, to be broadcast to (m, t).
    **settings
        Those of `CountRefinement`, such as ``sparsity=0.3``.

    Returns
    -------
    `~astro_lpalm.separation.Factorization`
        Spectra of unit norm, not negative; a component without counts has the mean spectrum of its library. Sources
        of every pixel by weighted least squares, which has no bias (`poisson_sources` has others).
        ``history["log_posterior"]`` has the bound after each step, up to a constant.

    Raises
    ------
    ValueError
        If shapes do not fit, X or the background is negative or not finite, or a setting is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.separation import Factorization, nmse, refine_counts
    >>> prior = load_model("snr-acis").prior
    >>> rng = np.random.default_rng(0)
    >>> A = prior.mean.T + prior.spread[:, 0] * prior.principal[:, 0].T
    >>> X = rng.poisson(np.maximum(A, 0) @ rng.gamma(0.5, 100, size=(4, 64)))
    >>> found = refine_counts(X, Factorization(prior.mean.T, None), prior)
    >>> bool(nmse(found.spectra, A / np.linalg.norm(A, axis=0)) < 1e-3 < nmse(prior.mean.T, A))
    True
    """
    return CountRefinement(**settings)(X, factorization, prior, blocks=blocks, background=background)


def poisson_sources(X, spectra, *, background=None, n_rounds=100):
    r"""Find the non-negative sources of the largest Poisson likelihood, for known spectra.

    Expectation maximization (Richardson 1972; Lucy 1974; Shepp and Vardi 1982):

    .. math:: s_k \leftarrow \frac{s_k}{\sum_i A_{ik}} \sum_i A_{ik} \frac{x_i}{(A s + b)_i}.

    It never lowers the likelihood, nor does it change the sum of the fit where there is no background.

    Parameters
    ----------
    X : array_like, shape (m, t)
        Counts of m energies in t pixels.
    spectra : array_like, shape (m, n)
        Mixing matrix A, not negative.
    background : array_like, optional
        Expected counts that belong to no component, to be broadcast to (m, t).
    n_rounds : int

    Returns
    -------
    `~numpy.ndarray`, shape (n, t)
        Not negative, so where there is nothing they are too bright on average; where sums over regions count, take
        `~astro_lpalm.forward.least_squares`, which has no bias.

    Raises
    ------
    ValueError
        If shapes do not fit or something is negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import poisson_sources
    >>> A = np.array([[0.75, 0.0], [0.25, 1.0]])
    >>> poisson_sources([[3.0], [5.0]], A).round(3).tolist()
    [[4.0], [4.0]]
    """
    X, A = check_data(X, spectra)
    background = _checked_background(X, background)
    if (A < 0).any():
        msg = "spectra has negative values, which no expected counts can have."
        raise ValueError(msg)
    return _expectation_maximization(X, A.astype(X.dtype), background, n_rounds)


def _sum_blocks(X, background, blocks):
    blocks = np.asarray(blocks)
    if blocks.shape != X.shape[1:] or not np.issubdtype(blocks.dtype, np.integer) or blocks.min() < 0:
        msg = (
            f"blocks must be {X.shape[1]} whole numbers from zero, one for each pixel, but has shape {blocks.shape} "
            f"and type {blocks.dtype}."
        )
        raise ValueError(msg)
    pixels = np.arange(len(blocks))
    members = csr_array((np.ones(len(blocks), dtype=X.dtype), (blocks, pixels)), shape=(blocks.max() + 1, len(blocks)))
    floor = members @ background.T if background.strides[1] else np.outer(np.bincount(blocks), background[:, 0])
    return (members @ X.T).T, floor.T


def _checked_background(X, background):
    shape = np.shape(background) if background is not None else ()
    try:
        background = np.broadcast_to(np.asarray(0.0 if background is None else background, dtype=X.dtype), X.shape)
    except ValueError:
        msg = f"background has shape {shape}, but must go with that of the counts, {X.shape}."
        raise ValueError(msg) from None
    for name, array in (("X", X), ("background", background)):
        if not np.isfinite(array.sum()) or array.min() < 0:
            msg = f"{name} has values that are negative, NaN or infinite, so it is no counts; leave these pixels out."
            raise ValueError(msg)
    return background


def _expectation_maximization(X, A, background, n_rounds):
    # From sources of the same counts; nothing is divided by zero where a spectrum or a pixel is empty.
    total = np.maximum(A.sum(axis=0), _TINY)[:, np.newaxis]
    S = X.sum(axis=0) / (A.shape[1] * total)
    for _ in range(n_rounds):
        S = S * (A.T @ (X / np.maximum(A @ S + background, _TINY))) / total
    return S


def _start(spectra, mean, factors, error):
    # The most probable z of each spectrum, were it measured with independent errors: of few counts, one near the mean.
    spectra = spectra / np.maximum(np.linalg.norm(spectra, axis=0), _TINY)
    covariance = factors @ factors.transpose(0, 2, 1) + error**2 * np.eye(len(mean))
    return np.einsum("kji,kj->ki", factors, np.linalg.solve(covariance, (spectra - mean).T[..., np.newaxis])[..., 0])


def _spectra(mean, factors, z):
    # Not negative, with a smooth bend at zero: at a sharp one steps come to a halt. And the derivative.
    spectra = mean + np.einsum("kij,kj->ik", factors, z)
    root = np.hypot(spectra, 2 * _BEND)
    positive = np.where(spectra > 0, 0.5 * (spectra + root), 2 * _BEND**2 / (root - np.minimum(spectra, 0.0)))
    return positive, positive / root
