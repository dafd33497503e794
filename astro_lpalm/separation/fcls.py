"""Fully constrained least squares: abundances that are non-negative and sum to one, and those that are only the first.

Both are quadratic programmes, one for each pixel, in as many unknowns as there are spectra. An active-set method solves
them exactly: it looks for the passive set of a pixel, the components that are present, and given that set the solution
is linear in the data. Pixels of the same passive set are therefore solved together, with one small matrix.
"""

import numpy as np

from ..forward.matrices import check_data
from .base import Factorization

__all__ = ["FCLS", "nonnegative_least_squares"]

# Pixels handled at once: bounds the memory to a few megabytes, and leaves each passive set enough of them.
_BLOCK = 16384
# Passive sets are counted in the bits of an int64.
_MOST_COMPONENTS = 62
_EPS = np.finfo(np.float64).eps


class FCLS:
    """Fully constrained least squares: the sources, as abundances, for known spectra.

    For each pixel x, the s that minimizes ``||x - A s||^2`` with ``s >= 0`` and ``sum(s) = 1`` (Heinz and Chang 2001,
    IEEE Trans. Geosci. Remote Sens. 39, 529). The solution is exact: the algorithm is an active-set method, not the
    penalty of that paper.

    Notes
    -----
    The sum only makes sense for data in units of the spectra. Counts, whose pixels differ in brightness, are first
    divided by their sums over the energies, and so are the spectra.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import FCLS
    >>> A = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    >>> X = A @ [[0.25, 0.0], [0.75, 2.0]]
    >>> FCLS().separate(X, spectra=A).sources.round(6).tolist()
    [[0.25, 0.0], [0.75, 1.0]]
    """

    def separate(self, X, spectra):
        """Find the abundances.

        Parameters
        ----------
        X : array_like, shape (m, t)
            Data, m energies by t pixels.
        spectra : array_like, shape (m, n)
            Known mixing matrix A.

        Returns
        -------
        `~astro_lpalm.separation.Factorization`
            Sources of the precision of X, computed in double precision. Where spectra depend on each other linearly,
            one of the solutions.

        Raises
        ------
        ValueError
            If shapes do not fit, a value is not finite, or there are more than 62 spectra.
        """
        X, spectra = check_data(X, spectra)
        return Factorization(spectra.astype(X.dtype), _constrained(X, spectra, unit_sum=True))


def nonnegative_least_squares(X, spectra):
    """Find the non-negative sources for known spectra.

    For each pixel x, the s that minimizes ``||x - A s||^2`` with ``s >= 0``, exactly.

    Parameters
    ----------
    X : array_like, shape (m, t)
        Data.
    spectra : array_like, shape (m, n)
        Mixing matrix A.

    Returns
    -------
    `~numpy.ndarray`, shape (n, t)
        Of the precision of X, computed in double precision. Where spectra depend on each other linearly, one of the
        solutions.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, or there are more than 62 spectra.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import nonnegative_least_squares
    >>> A = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> nonnegative_least_squares([[2.0, -1.0], [3.0, 3.0]], A).tolist()
    [[2.0, 0.0], [3.0, 3.0]]
    """
    X, spectra = check_data(X, spectra)
    return _constrained(X, spectra, unit_sum=False)


def solve_moments(gram, cross):
    """Solve ``min ||x - A s||^2, s >= 0`` given only ``A^T A``, (n, n), and ``A^T x`` of each pixel, (n, t)."""
    values, vectors = np.linalg.eigh(np.asarray(gram, dtype=np.float64))
    found = values > len(values) * _EPS * values[-1]
    root = np.sqrt(values[found])[:, np.newaxis]
    R = root * vectors.T[found]
    return _ActiveSet(R, unit_sum=False).solve((vectors.T[found] / root) @ cross)


def _constrained(X, spectra, unit_sum):
    if spectra.shape[1] > _MOST_COMPONENTS:
        msg = f"spectra has {spectra.shape[1]} columns, but at most {_MOST_COMPONENTS} can be fitted with constraints."
        raise ValueError(msg)
    # In the basis Q of the spectra a pixel is a vector no longer than s. Unlike the Gram matrix, the triangle R has the
    # condition of the spectra, not its square, so that spectra which are nearly alike are still told apart.
    Q, R = np.linalg.qr(spectra.astype(np.float64))
    problem = _ActiveSet(R, unit_sum)
    sources = np.empty((spectra.shape[1], X.shape[1]), dtype=X.dtype)
    for start in range(0, X.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        sources[:, block] = problem.solve(Q.T @ X[:, block])
    return sources


class _ActiveSet:
    """Minimize ``||y - R s||^2`` with ``s >= 0``, and ``sum(s) = 1`` where asked for, for many y at once.

    Lawson and Hanson's method (1974, Solving Least Squares Problems, chapter 23), with all components passive at the
    start instead of none, which is right for most pixels or nearly so.
    """

    def __init__(self, R, unit_sum):
        self.R, self.unit_sum = R, unit_sum
        # Sets are coded as small integers where they fit, which numpy sorts several times as fast.
        self.powers = 2 ** np.arange(R.shape[1], dtype=np.uint16 if R.shape[1] <= 16 else np.int64)
        self.solutions = {}

    def solve(self, y):
        """Return s, (n, t), for y (r, t)."""
        S, passive = self._start(y)
        result = S.copy()
        open_pixels = np.arange(y.shape[1])
        error = self._error(y, S)
        while True:
            # A component enters where the error falls along it. Only rounding tells the others from zero.
            enter, gain = self._best_entry(y, S, passive)
            better = gain > 0
            open_pixels, y, S, passive = open_pixels[better], y[:, better], S[:, better], passive[:, better]
            enter, error = enter[better], error[better]
            if not open_pixels.size:
                return result
            passive[enter, np.arange(len(enter))] = True
            S, passive = self._descend(y, S, passive)
            # Passive sets are finitely many, so an error that always falls brings the search to an end.
            lowered = self._error(y, S)
            better = lowered < error
            open_pixels, y, S, passive = open_pixels[better], y[:, better], S[:, better], passive[:, better]
            error = lowered[better]
            result[:, open_pixels] = S

    def _start(self, y):
        # Leave out what comes out negative until nothing does: not yet optimal, but feasible.
        passive = np.ones((self.R.shape[1], y.shape[1]), dtype=bool)
        S = self._on_passive(y, passive)
        wrong = np.flatnonzero((S < 0).any(axis=0))
        while wrong.size:
            passive[:, wrong] &= S[:, wrong] >= 0
            S[:, wrong] = self._on_passive(y[:, wrong], passive[:, wrong])
            wrong = wrong[(S[:, wrong] < 0).any(axis=0)]
        return S, passive

    def _best_entry(self, y, S, passive):
        # The component outside the passive set along which the error falls fastest, and how fast above rounding.
        residual = y - self.R @ S
        slope = self.R.T @ residual
        if self.unit_sum:
            # What enters takes its share from those present, whose slopes are all the same at their optimum.
            slope -= np.where(passive, slope, 0.0).sum(axis=0) / passive.sum(axis=0)
        slope[passive] = -np.inf
        enter = slope.argmax(axis=0)
        norms = np.linalg.norm(self.R, axis=0)
        rounding = len(S) * _EPS * norms.max() * (np.linalg.norm(y, axis=0) + norms @ np.abs(S))
        return enter, slope[enter, np.arange(len(enter))] - rounding

    def _descend(self, y, S, passive):
        # Go towards the optimum of the passive set; whenever a component reaches zero on the way, leave it out.
        goal = self._on_passive(y, passive)
        blocked = np.flatnonzero((passive & (goal <= 0)).any(axis=0))
        while blocked.size:
            here, there, present = S[:, blocked], goal[:, blocked], passive[:, blocked]
            falls = present & (there <= 0)
            step = np.where(falls, here / np.where(falls & (here > there), here - there, 1.0), np.inf)
            first, columns = step.argmin(axis=0), np.arange(len(blocked))
            here += step[first, columns] * (there - here)
            present &= here > 0
            present[first, columns] = False
            here[~present] = 0.0
            S[:, blocked], passive[:, blocked] = here, present
            goal[:, blocked] = self._on_passive(y[:, blocked], present)
            blocked = blocked[(present & (goal[:, blocked] <= 0)).any(axis=0)]
        return goal, passive

    def _on_passive(self, y, passive):
        # Least squares on the passive set, pixels of the same set at once.
        codes = self.powers @ passive
        if (codes == codes[0]).all():
            matrix, offset = self._solution(passive[:, 0])
            return matrix @ y + offset
        order = np.argsort(codes, kind="stable")
        codes = codes[order]
        S = np.zeros(passive.shape)
        for pixels in np.split(order, np.flatnonzero(codes[1:] != codes[:-1]) + 1):
            matrix, offset = self._solution(passive[:, pixels[0]])
            S[:, pixels] = matrix @ y[:, pixels] + offset
        return S

    def _solution(self, present):
        code = present.tobytes()
        if code not in self.solutions:
            R = self.R[:, present]
            count = R.shape[1]
            matrix, offset = np.zeros(self.R.T.shape), np.zeros((len(present), 1))
            if self.unit_sum:
                # s = 1 / count + N z, with a basis N of the vectors that sum to zero, takes the constraint away.
                N = np.linalg.qr(np.column_stack([np.ones(count), np.eye(count)[:, 1:]]))[0][:, 1:]
                centre = np.full((count, 1), 1.0 / count)
                matrix[present] = N @ np.linalg.pinv(R @ N)
                offset[present] = centre - matrix[present] @ (R @ centre)
            elif count:
                matrix[present] = np.linalg.pinv(R)
            self.solutions[code] = matrix, offset
        return self.solutions[code]

    def _error(self, y, S):
        return np.sum((y - self.R @ S) ** 2, axis=0)
