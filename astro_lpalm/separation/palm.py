"""Proximal gradient solvers with nothing learned: PALM, and ISTA for known spectra.

Equation numbers are those of Fahes et al. (ICLR 2022, arXiv:2112.05694). Both write a step on the sources as
S <- ST(M S + V X) with small matrices M (n, n) and V (n, m), and PALM's step on the spectra needs X S^T and S S^T only.
The residual X - A S, which has the size of the data, is never formed, and all that is done with a block of pixels is
done while it is in the processor's cache, so that an iteration reads X once.
"""

import numpy as np

from .._progress import Progress
from ..forward.matrices import check_data
from .base import Factorization

__all__ = ["ISTA", "PALM"]

_BLOCK = 4096  # pixels
_MARGIN = 0.01  # epsilon of the paper: a step is shorter than the inverse Lipschitz constant by 1 + epsilon


class PALM:
    """Proximal alternating linearized minimization, equation (6) of Fahes et al. (ICLR 2022, arXiv:2112.05694).

    It minimizes, from ``start`` to a stationary point nearby,

        1/2 ||X - A S||_F^2 + threshold ||S||_1    with columns of A of norm 1 at most

    by turns of a proximal gradient step on S, of length g = 1 / (1.01 ||A||_2^2), and one on A, of length
    1 / (1.01 ||S||_2^2) (Bolte, Sabach and Teboulle 2014). The first S is ``pinv(start) X``.

    Parameters
    ----------
    start : array_like, shape (m, n)
        The first A. The paper takes the spectra of a training example, at random. There is nothing random in the
        solver itself.
    threshold : float
        Weight lambda of the l1 norm, in units of X. The paper's choice is for sources of unit norm in 500 pixels.
    tolerance : float
        Iterations end when both S and A move by no more than this in Frobenius norm, after two at least. It is
        absolute, as in the paper; the rounding of single precision may keep sources from ever moving so little.
    max_iter : int
        The largest number of iterations.
    progress : bool
        Whether to show progress on a terminal.

    Raises
    ------
    ValueError
        If a parameter is out of bounds, or a column of ``start`` is zero.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import PALM, nmse
    >>> rng = np.random.default_rng(0)
    >>> A = np.abs(rng.normal(size=(10, 2)))
    >>> A /= np.linalg.norm(A, axis=0)
    >>> S = rng.laplace(size=(2, 300)) * (rng.random((2, 300)) < 0.2)
    >>> found = PALM(A + 0.05 * rng.normal(size=A.shape), threshold=1e-3).separate(A @ S)
    >>> found.converged, bool(nmse(found.spectra, A) < 1e-4)
    (True, True)
    """

    def __init__(self, start, *, threshold=2e-3, tolerance=1e-7, max_iter=20_000, progress=False):
        _check_not_negative(threshold=threshold, tolerance=tolerance)
        _check_at_least(2, max_iter=max_iter)
        self.start = np.array(start, dtype=np.float64)
        if self.start.ndim != 2 or not self.start.any(axis=0).all():
            msg = f"start must be a matrix without columns of zeros, but has shape {self.start.shape}."
            if self.start.ndim == 2:
                msg = f"column {int(np.argmin(self.start.any(axis=0)))} of start is zero; give it a spectrum."
            raise ValueError(msg)
        self.threshold, self.tolerance = float(threshold), float(tolerance)
        self.max_iter, self.progress = int(max_iter), progress

    def separate(self, X):
        """Separate one observation.

        Parameters
        ----------
        X : array_like, shape (m, t)
            Data, m energies by t pixels.

        Returns
        -------
        `~astro_lpalm.separation.Factorization`
            In the precision of X (float32 or float64). ``history`` has the ``objective`` after each iteration, which
            never rises but by rounding, and the ``change``: the larger of the movements of S and A.

        Raises
        ------
        ValueError
            If X does not fit ``start``, or is not finite.
        """
        X, A = check_data(X, self.start)
        S = np.linalg.pinv(A).astype(X.dtype) @ X
        power = sum(float(np.vdot(block, block)) for block in (X[:, part] for part in _blocks(X)))
        history = {"objective": [], "change": []}
        meter = Progress(self.max_iter, "PALM") if self.progress else None
        converged = False
        while not converged and len(history["change"]) < self.max_iter:
            moved, penalty, P, C = _step_on_sources(X, S, A, self.threshold)
            spectra = _step_on_spectra(A, P, C)
            change = max(np.sqrt(moved), float(np.linalg.norm(spectra - A)))
            A = spectra
            squares = power - 2 * float(np.vdot(A, P)) + float(np.vdot(A.T @ A, C))
            history["objective"].append(0.5 * squares + penalty)
            history["change"].append(float(change))
            converged = change <= self.tolerance and len(history["change"]) > 1
            if meter:
                meter.total = meter.done + 1 if converged else meter.total
                meter.step(f"objective {history['objective'][-1]:.6g}")
        return Factorization(A.astype(X.dtype), S, len(history["change"]), bool(converged), history)


class ISTA:
    """Iterative soft thresholding for known spectra, equation (3) of Fahes et al. (ICLR 2022, arXiv:2112.05694).

    It goes from S = 0 towards the minimum over S of

        1/2 ||X - A S||_F^2 + threshold ||S||_1

    by proximal gradient steps of length 1 / (1.01 ||A||_2^2).

    Parameters
    ----------
    threshold : float
        Weight lambda of the l1 norm, in units of X. The paper's choice is for sources of unit norm in 500 pixels.
    n_iter : int
        Number of iterations. All of them are run; those of the paper are too few to reach the minimum.

    Raises
    ------
    ValueError
        If a parameter is out of bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import ISTA
    >>> X = np.array([[2.0, -1.0, 0.1]])
    >>> ISTA(threshold=0.5, n_iter=20).separate(X, spectra=[[1.0]]).sources.round(6).tolist()
    [[1.5, -0.5, 0.0]]
    """

    def __init__(self, *, threshold=1.1e-5, n_iter=25):
        _check_not_negative(threshold=threshold)
        _check_at_least(1, n_iter=n_iter)
        self.threshold, self.n_iter = float(threshold), int(n_iter)

    def separate(self, X, spectra):
        """Find the sources of one observation.

        Parameters
        ----------
        X : array_like, shape (m, t)
            Data, m energies by t pixels.
        spectra : array_like, shape (m, n)
            The known mixing matrix A.

        Returns
        -------
        `~astro_lpalm.separation.Factorization`
            In the precision of X (float32 or float64), with the spectra that were given. ``history["change"]`` has
            the movement of S in each iteration.

        Raises
        ------
        ValueError
            If shapes do not fit or a value is not finite.
        """
        X, A = check_data(X, spectra)
        M, V, step = _operators(A.astype(np.float64), X.dtype)
        S = np.zeros((A.shape[1], X.shape[1]), X.dtype)
        squares = np.zeros(self.n_iter)
        for part in _blocks(X):
            VX, sources = V @ X[:, part], S[:, part]
            work = np.empty_like(VX), np.empty_like(VX)
            for k in range(self.n_iter):
                squares[k] += _shrink(sources, M, VX, self.threshold * step, *work)[0]
        return Factorization(A.astype(X.dtype), S, self.n_iter, history={"change": np.sqrt(squares).tolist()})


def _operators(A, dtype):
    # M and V of a proximal gradient step on S, for thresholds in units of its length.
    G = A.T @ A
    step = _inverse_step(G)
    return (np.eye(len(G)) - step * G).astype(dtype), (step * A.T).astype(dtype), step


def _inverse_step(gram):
    # The smallest normal number keeps the step finite where a threshold left no source at all.
    return 1.0 / max((1.0 + _MARGIN) * np.linalg.eigvalsh(gram)[-1], np.finfo(float).tiny)


def _step_on_sources(X, S, A, threshold):
    # In place. Returns the squared movement of S, and of the new S the threshold times its l1 norm, X S^T and S S^T.
    M, V, step = _operators(A, X.dtype)
    moved = penalty = P = C = 0.0
    work = np.empty((2, len(S), min(_BLOCK, X.shape[1])), X.dtype)
    for part in _blocks(X):
        data, sources = X[:, part], S[:, part]
        new, spare = work[..., : sources.shape[1]]
        squares, product = _shrink(sources, M, V @ data, threshold * step, new, spare)
        moved, penalty = moved + squares, penalty + product / step
        P = P + (data @ sources.T).astype(np.float64)
        C = C + (sources @ sources.T).astype(np.float64)
    return moved, penalty, P, C


def _step_on_spectra(A, P, C):
    A = A + _inverse_step(C) * (P - A @ C)
    return A / np.maximum(np.sqrt(np.einsum("ij,ij->j", A, A)), 1.0)


def _shrink(S, M, VX, threshold, new, spare):
    # S <- ST(M S + V X) in place, in two arrays of the shape of S. Returns the squared movement, and threshold ||S||_1:
    # what is clipped off is the threshold with the sign of what is left.
    np.matmul(M, S, out=new)
    new += VX
    np.clip(new, -threshold, threshold, out=spare)
    new -= spare
    penalty = float(np.vdot(new, spare))
    np.subtract(new, S, out=spare)
    S[...] = new
    return float(np.vdot(spare, spare)), penalty


def _blocks(X):
    return [slice(start, start + _BLOCK) for start in range(0, X.shape[1], _BLOCK)]


def _check_not_negative(**values):
    for name, value in values.items():
        if not value >= 0:
            msg = f"{name} is {value}, but must not be negative."
            raise ValueError(msg)


def _check_at_least(smallest, **values):
    for name, value in values.items():
        if int(value) != value or value < smallest:
            msg = f"{name} is {value}, but must be a whole number of at least {smallest}."
            raise ValueError(msg)
