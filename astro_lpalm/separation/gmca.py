"""Blind separation by sparsity, nothing learned: generalized morphological component analysis, plain and adaptive."""

import numpy as np

from .._progress import Progress
from ..forward.matrices import check_data
from .base import Factorization

__all__ = ["AMCA", "GMCA"]

_FEWEST = 20  # coefficients that are let through at least, so that a spectrum never hangs on a few pixels
_SAME = 1e-5  # distance of the cosine of two sources from 1 at which they are the same
_ROUNDING = 1e3  # in units of the precision: what is closer together, relative to the largest, is the same but for that
_MAD_TO_SIGMA = 1.482602218505602  # of a normal distribution


class GMCA:
    """Generalized morphological component analysis (Bobin, Starck, Fadili and Moudden, IEEE TIP 16, 2662, 2007).

    Sources that are sparse and rarely bright in the same pixels are told apart by their largest coefficients first.
    The first A are the main eigenvectors of X X^T. Each iteration thresholds the rows of S = pinv(A) X, and takes
    A = X S^T (S S^T)^-1 with columns of unit norm. The threshold of a source falls: it is the magnitude of its K-th
    largest coefficient, where K grows linearly to a fraction of those above so many times its noise, measured by the
    median absolute deviation (MAD).

    The method leaves order and sign of the components open. Spectra are given the sign of a positive sum; use
    `~astro_lpalm.separation.align` to compare with a truth. A component whose source vanishes or repeats another
    starts anew from the main direction of what the others leave over. Of more components than X has dimensions, the
    last have sources of zeros, and spectra that are orthogonal to the data. Nothing is random, so there is no seed,
    and nothing is decided by rounding: coefficients that are equal but for it are let through together.

    Parameters
    ----------
    n_components : int
    n_iter : int
        Number of iterations; all of them are run.
    threshold : float
        In standard deviations of the noise of a source: coefficients below are never let through.
    fraction : float
        Part of the coefficients above ``threshold`` that the last iteration lets through, up to 1.
    soft : bool
        Whether the threshold is also taken from the coefficients that are let through. Otherwise these keep their
        values (hard threshold), which separates samples of a few hundred pixels far more reliably.
    non_negative : bool
        Whether spectra are clipped to be non-negative.
    unbiased : bool
        Whether the last S is ``pinv(A) X``, unbiased and with noise in all pixels. Otherwise it is thresholded like
        that of the last iteration, which is what the method was published with.
    progress : bool
        Whether to show progress on a terminal.

    Raises
    ------
    ValueError
        If a parameter is out of bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import GMCA, align, nmse
    >>> rng = np.random.default_rng(0)
    >>> A = np.abs(rng.normal(size=(10, 3)))
    >>> A /= np.linalg.norm(A, axis=0)
    >>> S = rng.laplace(size=(3, 2000)) * (rng.random((3, 2000)) < 0.1)
    >>> found = GMCA(3).separate(A @ S + 0.01 * rng.normal(size=(10, 2000)))
    >>> bool(nmse(align(found, A).spectra, A) < 1e-4)
    True
    """

    def __init__(
        self,
        n_components,
        *,
        n_iter=100,
        threshold=3.0,
        fraction=0.5,
        soft=False,
        non_negative=False,
        unbiased=True,
        progress=False,
    ):
        for name, value in {"n_components": n_components, "n_iter": n_iter}.items():
            if int(value) != value or value < 1:
                msg = f"{name} is {value}, but must be a whole number of at least 1."
                raise ValueError(msg)
        if not threshold >= 0:
            msg = f"threshold is {threshold}, but must not be negative."
            raise ValueError(msg)
        if not 0 < fraction <= 1:
            msg = f"fraction is {fraction}, but must be above 0 and at most 1."
            raise ValueError(msg)
        self.n_components, self.n_iter = int(n_components), int(n_iter)
        self.threshold, self.fraction = float(threshold), float(fraction)
        self.soft, self.non_negative = soft, non_negative
        self.unbiased, self.progress = unbiased, progress

    def separate(self, X):
        """Separate one observation.

        Parameters
        ----------
        X : array_like, shape (m, t)
            Data, m energies by t pixels, in a domain where the sources are sparse, such as the detail of a wavelet.

        Returns
        -------
        `~astro_lpalm.separation.Factorization`
            In the precision of X (float32 or float64). ``history["change"]`` has the movement of A in each iteration.

        Raises
        ------
        ValueError
            If X is not finite, or has fewer energies or pixels than there are components.
        """
        X, _ = check_data(X)
        if min(X.shape) < self.n_components:
            msg = f"X has shape {X.shape}, too small for {self.n_components} components; ask for fewer."
            raise ValueError(msg)
        wide = X.astype(np.float64, copy=False)
        moments = wide @ wide.T
        A = self._constrain(_main_directions(moments, min(self.n_components, _rank(moments, X.dtype))))
        meter = Progress(self.n_iter, type(self).__name__) if self.progress else None
        changes = []
        for k in range(self.n_iter):
            S = self._threshold(_demix(A, X), (k + 1) / self.n_iter)
            spectra = self._fit_spectra(X, S, moments, k / max(self.n_iter - 1, 1))
            changes.append(float(np.linalg.norm(spectra - A)))
            A = spectra
            if meter:
                meter.step(f"change {changes[-1]:.1e}")
        S = _demix(A, X)
        if not self.unbiased:
            S = self._threshold(S, 1.0)
        n_absent = self.n_components - len(S)
        A = np.hstack([A, self._constrain(_beyond(A, n_absent))])
        S = np.vstack([S, np.zeros((n_absent, S.shape[1]), dtype=S.dtype)])
        return Factorization(A.astype(X.dtype), S, self.n_iter, history={"change": changes})

    def _threshold(self, S, elapsed):
        # In place, each source at the magnitude of its K-th largest coefficient. Of coefficients that are equal but for
        # rounding, as in data of few values, rounding would let some through and others not.
        for source in S:
            magnitude = np.abs(source)
            rounding = _ROUNDING * np.finfo(S.dtype).eps * magnitude.max()
            noise = _MAD_TO_SIGMA * _median(np.abs(source - _median(source)))
            present = np.count_nonzero(magnitude > max(self.threshold * noise, rounding))
            rank = min(max(int(elapsed * self.fraction * present), min(_FEWEST, present), 2), source.size)
            limit = np.partition(magnitude, -rank)[-rank]
            if self.soft:
                source -= np.clip(source, -limit, limit)
                source[magnitude <= limit + rounding] = 0.0
            else:
                source[magnitude < max(limit - rounding, rounding)] = 0.0
        return S

    def _fit_spectra(self, X, S, moments, elapsed):
        weighted = self._weigh(S, elapsed)
        P, C = (X @ weighted.T).astype(np.float64), (S @ weighted.T).astype(np.float64)
        lost = _repeated(C)
        A = np.zeros_like(P)
        A[:, ~lost] = P[:, ~lost] @ np.linalg.pinv(C[np.ix_(~lost, ~lost)], hermitian=True)
        if lost.any():
            # A threshold leaves over some of the others as well, from which the component would not part again.
            beyond = np.eye(len(A)) - A @ np.linalg.pinv(A, rcond=_ROUNDING * np.finfo(float).eps)
            A[:, lost] = _main_directions(beyond @ moments @ beyond, np.count_nonzero(lost))
        return self._constrain(A)

    def _weigh(self, S, elapsed):
        return S

    def _constrain(self, A):
        A = A * np.where(A.sum(axis=0) < 0, -1.0, 1.0)
        if self.non_negative:
            A = np.maximum(A, 0.0)
        norms = np.linalg.norm(A, axis=0)
        return A / np.where(norms > 0, norms, 1.0)


class AMCA(GMCA):
    """Adaptive morphological component analysis (Bobin, Rapin, Larue and Starck, IEEE TSP 63, 1199, 2015).

    GMCA for sources that are partially correlated, such as the maps of one remnant. Spectra are fitted with little
    weight on pixels in which several sources are active: A = X W S^T (S W S^T)^-1, where W is diagonal::

        w_j = 1 / ((1/n) (sum_i |S_ij / std_i|^q)^(1/q)),

    and q falls linearly from 1 to ``exponent``. A common factor of the weights plays no part, nor does the weight of a
    pixel in which all sources are zero.

    Parameters
    ----------
    n_components : int
    exponent : float
        The last q, above 0 and at most 1: the smaller, the less a pixel counts that is active in several sources.
    soft : bool
        As in `GMCA`, but soft by default: the largest coefficients are those in which sources are active together, and
        hard thresholds let the first spectra depend on these alone.
    **settings
        Those of `GMCA`.

    Raises
    ------
    ValueError
        If a parameter is out of bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import AMCA, GMCA, align, nmse
    >>> rng = np.random.default_rng(0)
    >>> A = np.abs(rng.normal(size=(10, 2)))
    >>> A /= np.linalg.norm(A, axis=0)
    >>> S = rng.laplace(size=(2, 5000)) * (rng.random((2, 5000)) < 0.1)
    >>> S[:, :100] += 3 * np.abs(rng.laplace(size=100))  # bright in the same pixels
    >>> X = A @ S + 0.01 * rng.normal(size=(10, 5000))
    >>> error, adaptive = (nmse(align(solver.separate(X), A).spectra, A) for solver in (GMCA(2), AMCA(2)))
    >>> bool(adaptive < 0.01 * error)
    True
    """

    def __init__(self, n_components, *, exponent=0.1, soft=True, **settings):
        super().__init__(n_components, soft=soft, **settings)
        if not 0 < exponent <= 1:
            msg = f"exponent is {exponent}, but must be above 0 and at most 1."
            raise ValueError(msg)
        self.exponent = float(exponent)

    def _weigh(self, S, elapsed):
        q = 1.0 + elapsed * (self.exponent - 1.0)
        active = np.flatnonzero(S.any(axis=0))
        deviation = S.std(axis=1, keepdims=True)
        relative = np.abs(S[:, active]) / np.where(deviation > 0, deviation, 1.0)
        activity = np.sum(relative**q, axis=0) ** (1 / q)
        weighted = np.zeros_like(S)
        # The floor keeps weights finite where a coefficient lies at its threshold but for rounding.
        weighted[:, active] = S[:, active] / np.maximum(activity, np.finfo(S.dtype).eps)
        return weighted


def _main_directions(moments, n):
    return np.linalg.eigh(moments)[1][:, : -n - 1 : -1]


def _rank(moments, dtype):
    # Dimensions of the data that stand out from the rounding of X, of which these are the products X X^T; at least 1.
    values = np.linalg.eigvalsh(moments)
    rounding = max(np.finfo(dtype).eps ** 2, np.finfo(float).eps)
    return max(np.count_nonzero(values > len(values) * rounding * values[-1]), 1)


def _beyond(A, n):
    # Orthogonal to the columns of A. Any would do, but eigenvectors of zero would hang on rounding; these do not.
    others = np.linalg.svd(A)[0][:, A.shape[1] :]
    along = np.linalg.eigh(others.T @ (np.linspace(1.0, 2.0, len(A))[:, np.newaxis] * others))[1]
    return (others @ along)[:, :n]


def _repeated(C):
    # Which sources are absent or multiples of an earlier one, from S S^T. Nothing would ever part them again.
    norms = np.sqrt(np.diag(C))
    present = norms > 0
    norms = np.where(present, norms, 1.0)
    return ~present | np.any(np.triu(np.abs(C) / np.outer(norms, norms), 1) > 1.0 - _SAME, axis=0)


def _demix(A, X):
    # Spectra that are the same but for rounding share a source, and so are found to be repeated.
    return np.linalg.pinv(A, rcond=_ROUNDING * np.finfo(X.dtype).eps).astype(X.dtype) @ X


def _median(values):
    # The upper one of an even number, which takes a fraction of the time that their mean takes.
    return np.partition(values, values.size // 2)[values.size // 2]
