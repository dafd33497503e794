"""Physical parameters from counts: the spectra that models can have, and the fluxes that follow."""

from dataclasses import dataclass

import numpy as np

from ..forward.matrices import check_data
from .blocks import Blocks, FreeSources, known_background, known_of
from .descent import cut_normal, descend, intervals, mix, profile_sources

__all__ = ["PhysicalFit", "block_goodness", "fit_again", "fit_parameters", "nearest_parameters"]

_TINY = 1e-12
_UNDECIDED = 0.2  # of a range: the standard deviation of a parameter the data say nothing of is 0.29
_AT_LIMIT = 1e-6
_N_AVERAGED = 500
_CLEAR = 5.0  # standard deviations above which a chi-square is no chance


@dataclass(frozen=True)
class PhysicalFit:
    """Parameters of the largest likelihood, the components' fluxes, and how far all this is known.

    Attributes
    ----------
    theta : `~numpy.ndarray`, shape (p,)
        Scaled parameters of the largest likelihood, 0 to 1.
    covariance : `~numpy.ndarray`, shape (p, p)
        Of the scaled parameters: of the normal distribution of the likelihood's curvature, cut at the ranges. Like
        all errors it is multiplied by ``goodness``, where that is clearly above one: what no parameters can fit they
        cannot be known better than.
    values, errors : `~numpy.ndarray`, shape (p,)
        The parameters in their units, and their standard deviations.
    intervals : `~numpy.ndarray`, shape (2, p)
        Lower and upper ends of the 68 % intervals, in their units; those nearest to equal tails that have the values
        within.
    value_covariance : `~numpy.ndarray`, shape (p, p)
    at_limit : `~numpy.ndarray` of bool, shape (p,)
        Whether a parameter ended at an end of its range.
    undecided : `~numpy.ndarray` of bool, shape (p,)
        Whether the data say so little that the range decides the error.
    spectra : `~numpy.ndarray`, shape (m, n)
        Of unit sum: the mean of those that the errors of the parameters leave possible. Where there are many counts
        they are those of ``theta``; where there are few, the likeliest ones lie in a corner of the ranges too often.
    common_spectra : `~numpy.ndarray`, shape (m, n)
        The same without what is ``local`` in them.
    spectra_covariance : `~numpy.ndarray`, shape (n, m, m)
    directions : `~numpy.ndarray`, shape (q, m, n)
        How the spectra move, together, by one standard deviation along each principal axis of the covariance of the q
        parameters and free amplitudes.
    background_directions : `~numpy.ndarray`, shape (q, o)
        What these move the amplitudes of the o backgrounds by.
    fluxes : `~numpy.ndarray`, shape (n,)
        Counts of each component, all blocks together, by weighted least squares: without bias.
    flux_covariance : `~numpy.ndarray`, shape (n, n)
        With what the parameters and the split of overlapping components leave open.
    counts_covariance : `~numpy.ndarray`, shape (n, m, m)
        Of each component's counts in the energy bins, ``fluxes * spectra``.
    draws : `~numpy.ndarray`, shape (N, p)
        Scaled parameters that the errors leave possible.
    background_draws : `~numpy.ndarray`, shape (N, o)
        Amplitudes of the backgrounds that go with them.
    flux_draws : `~numpy.ndarray`, shape (N, n)
        Fluxes that go with them.
    sources : `~numpy.ndarray`, shape (n, b)
        Counts of each component in each block, not negative.
    background_amplitude, background_error : float or `~numpy.ndarray`, shape (o,)
        What the background is multiplied by; of the shape that ``free_background`` has.
    log_likelihood : float
        Up to a constant of the data.
    goodness : float
        Reduced chi-square of the blocks' counts.
    misfit : float
        How far it is above one, in the standard deviations of Poisson counts.
    component_goodness : `~numpy.ndarray`, shape (n,)
        The same, each count weighed with the share that the component is expected to have in it; 1 for one that is
        nowhere.
    n_iter : int
    converged : bool

    Examples
    --------
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.separation import fit_parameters
    >>> physics = load_model("pwn-acis").physics
    >>> fit = fit_parameters(physics.spectra([0.5] * len(physics.parameters)) @ [[3e4, 1e4], [1e4, 2e4]], physics)
    >>> fit.values[:2].round(1), fit.at_limit[:2]
    (array([1.1, 1.9]), array([False, False]))
    """

    theta: np.ndarray
    covariance: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    intervals: np.ndarray
    value_covariance: np.ndarray
    at_limit: np.ndarray
    undecided: np.ndarray
    spectra: np.ndarray
    common_spectra: np.ndarray
    spectra_covariance: np.ndarray
    directions: np.ndarray
    background_directions: np.ndarray
    fluxes: np.ndarray
    flux_covariance: np.ndarray
    counts_covariance: np.ndarray
    draws: np.ndarray
    background_draws: np.ndarray
    flux_draws: np.ndarray
    sources: np.ndarray
    background_amplitude: float | np.ndarray
    background_error: float | np.ndarray
    log_likelihood: float
    goodness: float
    misfit: float
    component_goodness: np.ndarray
    n_iter: int
    converged: bool

    @property
    def flux_errors(self):
        """Standard deviation of each flux, shape (n,)."""
        return np.sqrt(np.diag(self.flux_covariance))


def fit_parameters(
    counts,
    model,
    start=None,
    *,
    background=None,
    free_background=False,
    local=None,
    deviations=None,
    n_rounds=100,
    tolerance=1e-7,
    n_draws=8000,
):
    r"""Fit the physical parameters of all components at once.

    Counts of a few large blocks are Poisson with expectation :math:`A(\theta) S + \beta B`. The sources of each block
    are those of the largest likelihood, not negative; the rest is Fisher scoring in the parameters, within their
    ranges: by the envelope theorem the gradient needs no derivative of the sources, and they are taken out of the
    Fisher matrix by its Schur complement.

    Where a component is missing from a block, a source that cannot be negative is too bright on average, and moves the
    parameters. So the last rounds are weighted least squares, with variances of the counts that the fit expects, in
    which sources are free in sign: parameters and fluxes then have no bias, and the errors of the Fisher matrix.

    Sources that are fitted bias the parameters, the more so the fewer counts each block has: of 10,000 counts or more
    a block there is nothing left to see (`~astro_lpalm.forward.count_blocks` with ``fewest=1e4, n_most=32``).

    Parameters
    ----------
    counts : array_like, shape (m, b)
        Summed over each block.
    model : object
        ``spectra(theta)`` gives (..., m, n) of unit sum for theta (..., p), ``jacobian(theta)`` those of one theta and
        their derivatives (m, n, p), for scaled parameters within ``bounds`` (2, p); ``values(theta)`` and
        ``slopes(theta)`` their physical values and what these change by. Such as
        `~astro_lpalm.spectra.ParametricSpectra`. Optionally, ``penalty(theta)`` gives the value, gradient and curvature
        (p,) of minus the logarithm of what is known of the parameters beforehand.
    start : array_like, shape (p,) or (k, p), optional
        Scaled parameters to start from; the best end of several is taken. By default the middle of the ranges.
    background : array_like, shape (m, b), optional
        Expected counts that belong to no component.
    free_background : bool or array_like of bool, shape (o,)
        Whether the background is multiplied by a number, not negative, that is fitted as well; or, where rows are those
        of several observations one after the other, whether that of each is.
    local : array_like, shape (b, m, n), optional
        What the spectra of each block are multiplied with: in units of those of the parameters, what they are where
        some parameters differ from place to place, or what the instrument makes of them there.
    deviations : dict of int to array_like, shape (b, b), optional
        By how much each of these parameters may differ in the blocks from what ``local`` has: the covariance of that
        between the blocks. It widens the errors.
    n_rounds : int
    tolerance : float
        Rounds end when a step would gain less than this in the logarithm of the likelihood.
    n_draws : int
        Of the parameters, that errors are computed from.

    Returns
    -------
    PhysicalFit

    Raises
    ------
    ValueError
        If shapes do not fit, or counts or background are negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.separation import fit_parameters
    >>> physics = load_model("pwn-acis").physics
    >>> spectra = physics.spectra([0.5] * len(physics.parameters))
    >>> fit = fit_parameters(spectra @ [[3e4, 1e4], [1e4, 2e4]], physics)
    >>> (fit.fluxes / 1e4).round(1), fit.converged
    (array([4., 3.]), True)
    """
    starts = 0.5 * np.sum(model.bounds, axis=0) if start is None else np.asarray(start, dtype=float)
    problem, bounds, filled = _problem(counts, model, starts, background, free_background, local, deviations)
    n_free, ends = [1.0] * problem.free, []
    for each in np.atleast_2d(starts):
        x = np.clip(np.append(each, n_free), *bounds)
        ends.append(descend(problem.evaluate, x, bounds, n_rounds, tolerance))
    x, _, n_iter, converged = min(ends, key=lambda end: end[1])
    x, sources, n_more, settled = problem.settle(x, bounds, n_rounds)
    end = _End.of(problem, x, sources, bounds, n_draws)
    free = np.asarray(free_background, dtype=bool)
    return _result(problem, end, bounds, filled, free, n_iter + n_more, converged and settled)


def fit_again(counts, model, start, amplitude=1.0, *, background=None, free_background=False, n_draws=400):
    """Find spectra in counts that were drawn about others, from the parameters that were found in those.

    They are those of `fit_parameters`, but for the noise of the ``n_draws`` that they are averaged over. As the start
    is no farther away than noise, the rounds of weighted least squares are enough.

    Parameters
    ----------
    counts : array_like, shape (m, b)
    model : object
    start : array_like, shape (p,)
        Scaled parameters of the others.
    amplitude : float or array_like, shape (o,)
        Of their background.
    background : array_like, shape (m, b), optional
    free_background : bool or array_like of bool, shape (o,)
    n_draws : int
        See `fit_parameters`.

    Returns
    -------
    spectra : `~numpy.ndarray`, shape (m, n)
        Of unit sum.
    background_amplitude : float or `~numpy.ndarray`, shape (o,)

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.separation import fit_again, fit_parameters
    >>> physics = load_model("pwn-acis").physics
    >>> expected = physics.spectra([0.5] * len(physics.parameters)) @ [[3e4, 1e4], [1e4, 2e4]]
    >>> fit, rng = fit_parameters(expected, physics), np.random.default_rng(0)
    >>> drawn = [fit_again(rng.poisson(expected), physics, fit.theta)[0] for _ in range(3)]
    >>> np.std(drawn, axis=0).shape, np.allclose(np.mean(drawn, axis=0), fit.spectra, atol=0.005)
    ((65, 2), True)
    """
    problem, bounds, _ = _problem(counts, model, np.asarray(start, dtype=float), background, free_background)
    free = np.asarray(free_background, dtype=bool)
    x, sources, *_ = problem.settle(np.append(start, np.broadcast_to(amplitude, free.shape)[free]), bounds)
    end = _End.of(problem, x, sources, bounds, n_draws)
    return end.spectra, _of_each(free, x[end.p :], 1.0).reshape(free.shape)[()]


def _problem(counts, model, start, background, free_background, local=None, deviations=None):
    """Check what is given, and make `Blocks` of those that have counts, bounds, and which have."""
    Y, _ = check_data(counts)
    Y = Y.astype(np.float64)
    background, freed = known_background(Y, background, free_background)
    if Y.min() < 0:
        msg = f"counts has {np.count_nonzero(Y < 0)} negative values, so it is no counts; do not subtract anything."
        raise ValueError(msg)
    filled = Y.sum(axis=0) > 0
    low, high = np.asarray(model.bounds, dtype=float)
    if start.shape[-1] != len(low):
        msg = f"start has shape {start.shape}, but the model has {len(low)} parameters; give one value for each."
        raise ValueError(msg)
    local, deviations = _check_local(Y, model, filled, local, deviations or {})
    freed = [each[:, filled] for each in freed]
    problem = Blocks(Y[:, filled], background[:, filled], model, freed, local, deviations)
    return problem, np.array([np.append(low, [0.0] * len(freed)), np.append(high, [np.inf] * len(freed))]), filled


def block_goodness(counts, spectra, background=None):
    """Compute the reduced chi-square of counts of blocks for known spectra, with the likeliest sources.

    Parameters
    ----------
    counts : array_like, shape (m, b)
    spectra : array_like, shape (m, n)
        Of any norms, not negative.
    background : array_like, shape (m, b), optional

    Returns
    -------
    float

    Examples
    --------
    >>> from astro_lpalm.separation import block_goodness
    >>> counts = [[40, 10], [60, 30], [10, 50]]
    >>> round(block_goodness(counts, [[0.4, 0.1], [0.5, 0.3], [0.1, 0.6]]), 2)
    0.55
    """
    Y, A = check_data(counts, spectra)
    Y, A = Y.astype(np.float64), np.maximum(A, 0.0) / np.maximum(A.sum(axis=0), _TINY)
    background, _ = known_background(Y, background)
    filled = Y.sum(axis=0) > 0
    Y, floor = Y[:, filled], background[:, filled]
    S, _ = profile_sources(Y, A, floor)
    L = np.maximum(mix(A, S) + floor, _TINY)
    return float(np.sum((Y - L) ** 2 / L) / max(Y.size - S.size, 1))


def nearest_parameters(spectra, model, start=None, *, weights=None, n_rounds=50, tolerance=1e-9):
    """Find the parameters whose spectra are nearest to given ones, by weighted least squares.

    Parameters
    ----------
    spectra : array_like, shape (m, n)
        Such as a network found; of any sum, which does not matter.
    model : object
        See `fit_parameters`.
    start : array_like, shape (p,), optional
    weights : array_like, shape (m, n), optional
        Inverse variances of spectra of unit sum; by default those of counts.
    n_rounds : int
    tolerance : float
        Rounds end when a step would gain less than this part of the weighted sum of squares of the spectra.

    Returns
    -------
    theta : `~numpy.ndarray`, shape (p,)
        Scaled.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.separation import nearest_parameters
    >>> physics = load_model("pwn-acis").physics
    >>> theta = np.full(len(physics.parameters), 0.4)
    >>> nearest_parameters(physics.spectra(theta), physics)[:2].round(2)
    array([0.4, 0.4])
    """
    A = np.maximum(np.asarray(spectra, dtype=float), 0.0)
    A = A / np.maximum(A.sum(axis=0), _TINY)
    weights = 1.0 / (A + 1e-2 / len(A)) if weights is None else np.asarray(weights, dtype=float)

    def evaluate(theta, _):
        found, derivatives = model.jacobian(theta)
        residual, D = found - A, derivatives.reshape(-1, len(theta))
        weighted = D * weights.reshape(-1, 1)
        more, slope, bend = known_of(model, theta)
        value = 0.5 * np.sum(weights * residual**2) + more
        return value, residual.ravel() @ weighted + slope, D.T @ weighted + np.diag(bend), None

    low, high = np.asarray(model.bounds, dtype=float)
    x = 0.5 * (low + high) if start is None else np.clip(start, low, high)
    return descend(evaluate, x, (low, high), n_rounds, tolerance * np.sum(weights * A**2))[0]


@dataclass(frozen=True)
class _End:
    """Where a fit has ended, and what is known there: draws of parameters and amplitudes, and their mean spectra."""

    x: np.ndarray
    p: int
    at: FreeSources
    links: np.ndarray
    spread: np.ndarray
    chi_square: np.ndarray
    goodness: float
    misfit: float
    excess: float
    draws: np.ndarray
    few: np.ndarray
    spectra: np.ndarray

    @classmethod
    def of(cls, problem, x, sources, bounds, n_draws):
        at, p = problem.free_sources(x, sources), len(x) - problem.free
        lost, links, spread = problem.freedom(at)
        chi_square, goodness, misfit = _goodness(problem.Y, at.L, at.S.size + len(x))
        # Where the models leave more than noise, errors are larger in proportion (quasi-likelihood).
        excess = goodness if misfit > _CLEAR else 1.0
        draws = cut_normal(x, at.gradient / excess, (at.precision - lost) / excess, bounds, n_draws)
        few = draws[:: max(len(draws) // _N_AVERAGED, 1)]
        spectra = problem.model.spectra(few[:, :p]).mean(axis=0)
        return cls(x, p, at, links, spread, chi_square, goodness, misfit, excess, draws, few, spectra)


def _result(problem, end, bounds, filled, free, n_iter, converged):
    """Gather what is known at the end."""
    x, p, at, draws, few = end.x, end.p, end.at, end.draws, end.few
    A, D, positive, L, inverse = at.A, at.D, at.positive, at.L, at.inverse
    covariance = np.atleast_2d(np.cov(draws.T))
    common = spectra = end.spectra
    fluxes = problem.least_squares(problem.locally(spectra), at.floor, L)[1].sum(axis=1)
    shares = _shares(A, positive, L)
    weights, expected = shares.sum(axis=(1, 2)), (shares * end.chi_square).sum(axis=(1, 2))
    if problem.local is not None:  # from here on those of the whole field
        A, (spectra, D) = _averaged(positive, A), (_averaged(positive, problem.local, each) for each in (spectra, D))
    # where parameters are wrong, the sources are too: they follow by -inverse cross^T
    follow = -np.einsum("bkl,bpl->kp", inverse, at.cross, optimize=True) + end.links
    noise = end.excess * (inverse.sum(axis=0) + end.spread)
    own, slopes = covariance[:p, :p], problem.model.slopes(x[:p])
    widths, axes = np.linalg.eigh(covariance)
    axes *= np.sqrt(np.maximum(widths, 0.0))
    span = bounds[1, :p] - bounds[0, :p]
    sources = np.zeros((len(positive), len(filled)))
    sources[:, filled] = positive
    return PhysicalFit(
        theta=x[:p],
        covariance=own,
        values=problem.model.values(x[:p]),
        errors=np.sqrt(np.diag(own)) * slopes,
        intervals=problem.model.values(intervals(draws[:, :p], x[:p])),
        value_covariance=own * np.outer(slopes, slopes),
        at_limit=(x[:p] - bounds[0, :p] < _AT_LIMIT * span) | (bounds[1, :p] - x[:p] < _AT_LIMIT * span),
        undecided=np.sqrt(np.diag(own)) > _UNDECIDED * span,
        spectra=spectra,
        common_spectra=common,
        spectra_covariance=np.einsum("ikp,pq,jkq->kij", D, own, D, optimize=True),
        directions=np.einsum("ikp,pq->qik", D, axes[:p]),
        background_directions=_of_each(free, axes[p:].T, 0.0),
        fluxes=fluxes,
        flux_covariance=noise + follow @ covariance @ follow.T,
        counts_covariance=_counts_covariance(A, D, fluxes, follow, covariance, noise),
        draws=few[:, :p],
        background_draws=_of_each(free, few[:, p:], 1.0),
        flux_draws=fluxes + (few - few.mean(axis=0)) @ follow.T + _normal_draws(noise, len(few)),
        sources=sources,
        background_amplitude=_of_each(free, x[p:], 1.0).reshape(free.shape)[()],
        background_error=_of_each(free, np.sqrt(np.diag(covariance)[p:]), 0.0).reshape(free.shape)[()],
        log_likelihood=-float(at.value),
        goodness=end.goodness,
        misfit=end.misfit,
        component_goodness=np.where(weights > _TINY, expected / np.maximum(weights, _TINY), 1.0),
        n_iter=n_iter,
        converged=converged,
    )


def _of_each(free, values, otherwise):
    """Give what is known of the free amplitudes, (..., f), for all backgrounds, (..., o)."""
    found = np.full((*values.shape[:-1], free.size), otherwise)
    found[..., np.flatnonzero(free)] = values
    return found


def _goodness(Y, L, n_fitted):
    """Contributions to the reduced chi-square, this, and how many of its standard deviations it is above one."""
    dof = max(Y.size - n_fitted, 1)
    chi_square = (Y - L) ** 2 / L * Y.size / dof
    goodness = float(chi_square.mean())
    return chi_square, goodness, float((goodness - 1) * dof / np.sqrt(np.sum(2 + 1 / L)))


def _shares(A, S, L):
    """Share of each component in the expected counts: (n, m, b)."""
    parts = A.T[..., np.newaxis] * S[:, np.newaxis] if A.ndim == 2 else A.transpose(2, 1, 0) * S[:, np.newaxis]
    return parts / L


def _averaged(S, local, spectra=None):
    """Average spectra of blocks, (b, m, n), over these, or what (m, n, ...) is multiplied with there."""
    weights = S + _TINY  # of a component that is nowhere all blocks have the same
    mean = np.einsum("kb,bik->ik", weights / weights.sum(axis=1, keepdims=True), local)
    return mean if spectra is None else spectra * mean.reshape(*mean.shape, *[1] * (spectra.ndim - 2))


def _counts_covariance(A, D, fluxes, follow, covariance, noise):
    moves = A.T[:, :, np.newaxis] * follow[:, np.newaxis]
    moves[..., : D.shape[2]] += fluxes[:, np.newaxis, np.newaxis] * D.transpose(1, 0, 2)
    found = np.einsum("kip,pq,kjq->kij", moves, covariance, moves, optimize=True)
    return found + np.einsum("k,ik,jk->kij", np.diag(noise), A, A)


def _normal_draws(covariance, n):
    values, vectors = np.linalg.eigh(covariance)
    return np.random.default_rng(0).standard_normal((n, len(values))) * np.sqrt(np.maximum(values, 0.0)) @ vectors.T


def _check_local(Y, model, filled, local, deviations):
    """Of the blocks that have counts."""
    n_blocks = Y.shape[1]
    if local is not None:
        local, wanted = np.asarray(local, dtype=float), (n_blocks, *model.spectra(np.mean(model.bounds, axis=0)).shape)
        if local.shape != wanted:
            msg = f"local has shape {local.shape}, but must have (blocks, energies, components), {wanted}."
            raise ValueError(msg)
        local = local[filled]
    found = {}
    for place, each in deviations.items():
        if np.shape(each) != (n_blocks, n_blocks):
            msg = (
                f"deviations of parameter {place} have shape {np.shape(each)}, but must have (blocks, blocks), "
                f"({n_blocks}, {n_blocks})."
            )
            raise ValueError(msg)
        found[place] = np.asarray(each, dtype=float)[np.ix_(filled, filled)]
    return local, found
