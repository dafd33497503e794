"""Steps within bounds to the largest likelihood, and draws about it."""

import numpy as np
from scipy.special import ndtr, ndtri

_TINY = 1e-12
_LEAST_DAMPING, _MOST_DAMPING = 1e-8, 1e12
_SOURCE_STEPS = 60
_SOURCE_TOLERANCE = 1e-10  # of what a step of the sources gains in the logarithm of the likelihood, for each count
_CHAINS, _BURN_IN = 400, 10
_TAIL = 0.1587  # of a normal distribution, on either side of an interval of 68 %


def descend(evaluate, x, bounds, n_rounds, tolerance):
    """Minimize within bounds by damped Gauss-Newton steps (Levenberg and Marquardt).

    Parameters
    ----------
    evaluate : callable
        ``evaluate(x, state)`` gives the value, its gradient (p,), the curvature (p, p) and a state for the next call.
    x : array, shape (p,)
    bounds : pair of array
    n_rounds : int
    tolerance : float
        Of the gain that a step without damping promises.

    Returns
    -------
    x : array
    value : float
    n_iter : int
    converged : bool
    """
    value, gradient, curvature, state = evaluate(x, None)
    damping, converged, n = 1e-2, False, 0
    while not converged and n < n_rounds:
        n += 1
        while True:
            step = bounded_step(x, gradient, curvature + damping * np.eye(len(x)), bounds)
            promise = -(gradient @ step + 0.5 * step @ curvature @ step)
            trial = np.clip(x + step, *bounds)
            there = evaluate(trial, state)
            gain = value - there[0]
            if gain > 0 or promise < tolerance or damping > _MOST_DAMPING:
                break
            damping *= 8.0
        if gain > 0:
            x, (value, gradient, curvature, state) = trial, there
        damping = max(damping * (0.1 if gain > 0.5 * promise else 1.0 if gain > 0.1 * promise else 4.0), _LEAST_DAMPING)
        converged = bool(promise < tolerance and gain < 10 * tolerance)
    return x, value, n, converged


def bounded_step(x, gradient, curvature, bounds):
    """Minimum of the quadratic within bounds; parameters that run into one stay there, unless it pulls them back."""
    low, high = bounds[0] - x, bounds[1] - x
    step = np.zeros(len(x))
    held = ((low >= 0) & (gradient > 0)) | ((high <= 0) & (gradient < 0))
    for _ in range(3 * len(x)):
        free = ~held
        wanted = np.linalg.solve(
            curvature[np.ix_(free, free)], -gradient[free] - curvature[np.ix_(free, held)] @ step[held]
        )
        share = np.ones(len(x))
        move = np.zeros(len(x))
        move[free] = wanted - step[free]
        end = np.where(move > 0, high, low)
        blocked = free & ((step + move < low) | (step + move > high))
        share[blocked] = np.clip((end[blocked] - step[blocked]) / move[blocked], 0, 1)
        size = share.min()
        step = np.clip(step + size * move, low, high)
        if size < 1:
            first = blocked & (share <= size + _TINY)
            step[first] = end[first]
            held |= first
            continue
        slope = gradient + curvature @ step
        back = held & (((step <= low) & (slope < -_TINY)) | ((step >= high) & (slope > _TINY)))
        if not back.any():
            break
        held[np.argmax(np.abs(slope) * back)] = False
    return step


def profile_sources(Y, A, background, S=None):
    """Find sources of the largest Poisson likelihood, not negative, of each block: projected Newton steps.

    Parameters
    ----------
    Y : array, shape (m, b)
    A : array, shape (m, n), or (b, m, n)
        Spectra of all blocks, or of each.
    background : array, shape (m, b)
    S : array, shape (n, b), optional
        Where to start.

    Returns
    -------
    S : array, shape (n, b)
    value : float
        The sum of expected counts less counts times their logarithm.
    """
    total = np.maximum(unmix(A, np.ones_like(Y)), _TINY)
    start = Y.sum(axis=0) / (len(total) * total) if S is None else S
    S = np.maximum(start, 1e-3 * start.mean(axis=0))  # what is zero could not be brought up by the first rounds
    for _ in range(5 if len(total) > 1 else 1):
        S = S * unmix(A, Y / np.maximum(mix(A, S) + background, _TINY)) / total
    values = _values(Y, mix(A, S) + background)
    active, counts = np.arange(Y.shape[1]), Y.sum(axis=0)
    for _ in range(_SOURCE_STEPS):
        y, floor, s, a = Y[:, active], background[:, active], S[:, active], of_blocks(A, active)
        L = np.maximum(mix(a, s) + floor, _TINY)
        s, value = _projected_step(y, a, floor, s, unmix(a, 1.0 - y / L), gram(a, y / L**2), values[active])
        gain = values[active] - value
        S[:, active], values[active] = s, value
        active = active[gain > _SOURCE_TOLERANCE * counts[active]]
        if not active.size:
            break
    return S, float(values.sum())


def mix(A, S):
    """Mix sources, (n, b), to counts, (m, b), by the spectra of all blocks, (m, n), or of each, (b, m, n)."""
    return A @ S if A.ndim == 2 else np.matmul(A, S.T[..., np.newaxis])[..., 0].T


def unmix(A, Y):
    """Project counts, (m, b), on such spectra: (n, b)."""
    return A.T @ Y if A.ndim == 2 else np.matmul(Y.T[:, np.newaxis], A)[:, 0].T


def gram(A, W):
    """Multiply such spectra with each other, with weights of the counts, (m, b): (b, n, n)."""
    return np.matmul(np.swapaxes(A, -1, -2) * W.T[:, np.newaxis], A)


def of_blocks(A, which):
    """Give such spectra of some of the blocks."""
    return A if A.ndim == 2 else A[which]


def _projected_step(y, A, floor, s, gradient, inner, value):
    # Sources at zero, or that the step would bring below it at once, whose gradient says so, are held.
    held = (s <= 1e-9 * s.sum(axis=0)) & (gradient > 0)
    n = len(s)
    free = ~held.T
    matrix = inner * free[:, :, np.newaxis] * free[:, np.newaxis]
    trace = np.maximum(np.trace(inner, axis1=1, axis2=2), _TINY)
    matrix[:, range(n), range(n)] += np.where(free, 1e-10 * trace[:, np.newaxis], 1.0)
    step = -np.linalg.solve(matrix, (gradient.T * free)[..., np.newaxis])[..., 0].T
    size, best, low = np.ones(y.shape[1]), s.copy(), value.copy()
    todo = np.arange(y.shape[1])
    for _ in range(30):
        trial = np.maximum(s[:, todo] + size[todo] * step[:, todo], 0.0) * ~held[:, todo]
        there = _values(y[:, todo], mix(of_blocks(A, todo), trial) + floor[:, todo])
        better = there <= value[todo]
        best[:, todo[better]], low[todo[better]] = trial[:, better], there[better]
        todo = todo[~better]
        if not todo.size:
            break
        size[todo] *= 0.3
    return best, low


def _values(Y, L):
    return (L - Y * np.log(np.maximum(L, _TINY))).sum(axis=0)


def cut_normal(x, gradient, precision, bounds, n_draws=8000):
    """Draw from the normal distribution that a gradient and a curvature at x describe, within bounds.

    Chains run along the eigenvectors of the precision, where the distribution is a product but for the bounds, and
    along the axes. The same input gives the same draws.
    """
    values, vectors = np.linalg.eigh(precision)
    vectors *= np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[np.newaxis], axis=0))  # of any BLAS
    values = np.maximum(values, 1e-10 * max(values.max(), 1.0))
    precision = (vectors * values) @ vectors.T
    bounds = np.array(bounds)
    p, n_chains = len(x), min(_CHAINS, n_draws)
    lines = [_Line(direction, bounds - x, gradient, precision) for direction in (*vectors.T, *np.eye(p))]
    n_sweeps = -(-n_draws // n_chains)
    chances = np.random.default_rng(0).random((_BURN_IN + n_sweeps, len(lines), n_chains))
    draws, kept = np.zeros((p, n_chains)), []
    for sweep, of_lines in enumerate(chances):
        for line, chance in zip(lines, of_lines):
            line.move(draws, chance)
        if sweep >= _BURN_IN:
            kept.append(x + draws.T)
    return np.clip(np.concatenate(kept), *bounds)


def intervals(draws, likeliest):
    """Give intervals of 68 % of draws, (N, p), that have the likeliest values, (p,), within: two ends, (2, p).

    What is beyond either end is as likely. But where the likeliest value is near an end of the draws, as it is where a
    bound cuts them, half of those that are beyond it stay within: only a value beyond all draws has no error that way.
    """
    found = []
    for each, value in zip(draws.T, likeliest):
        below = np.mean(each < value)
        low, high = (min(_TAIL, 0.5 * share) for share in (below, 1.0 - below))
        start = low if below < 0.5 else 2 * _TAIL - high
        found.append(np.quantile(each, [start, start + 1 - 2 * _TAIL]))
    return np.transpose(found)


class _Line:
    """A direction in which draws (p, chains) are drawn again: where the bounds cut it, and the distribution on it."""

    def __init__(self, direction, bounds, gradient, precision):
        self.moving = np.flatnonzero(np.abs(direction) > _TINY)
        self.direction = direction[self.moving, np.newaxis]
        with np.errstate(over="ignore"):
            ends = bounds[:, self.moving, np.newaxis] / self.direction
        self.first, self.last = ends.min(axis=0), ends.max(axis=0)
        pull = precision @ direction
        strength = pull @ direction
        self.pull, self.push = pull / strength, gradient @ direction / strength
        self.width = 1.0 / np.sqrt(strength)

    def move(self, draws, chance):
        there = draws[self.moving] / self.direction
        first, last = (self.first - there).max(axis=0), (self.last - there).min(axis=0)
        centre = -(self.pull @ draws + self.push)
        step = _cut_draws(centre, self.width, np.minimum(first, 0), np.maximum(last, 0), chance)
        draws[self.moving] += step * self.direction


def _cut_draws(centre, width, first, last, chance):
    # Of a normal distribution between two ends, mirrored so that the far tail is the precise one.
    a, b = (first - centre) / width, (last - centre) / width
    mirror = a + b > 0
    a, b = np.where(mirror, -b, a), np.where(mirror, -a, b)
    low, high = ndtr(a), ndtr(b)
    z = ndtri(low + chance * (high - low))
    z = np.clip(np.where(np.isfinite(z), z, b), a, b)
    return centre + width * np.where(mirror, -z, z)
