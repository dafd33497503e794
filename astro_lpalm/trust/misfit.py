"""Counts of blocks beside what components expect of them, and how much of the misfit some directions explain."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import lsq_linear

from ..forward import count_blocks

__all__ = ["BlockCounts", "Misfit", "refit"]

_N_BLOCKS, _COUNTS_IN_BLOCK = 64, 150.0
_FLOOR = 0.02  # of what the mean spectrum expects: images are noisy, and expectations may come out near zero
_LEAST_EXPECTED = 0.05  # counts: where less is expected, one photon would decide
_SAME = 1e-6  # relative variance of directions that are combinations of others
_N_POSITIVE = 40
_N_WEIGHTS = 3  # rounds of weighing by what is expected
_DAMPING, _LEAST_GAIN, _LEAST_PART = 1e-2, 0.3, 1e-4  # of damping, and of gains that are worth another round
_LEAST_DAMPING, _MOST_DAMPING = 1e-6, 1e6
_HELD = 1e-9


@dataclass(frozen=True)
class BlockCounts:
    """Counts of blocks of about equal counts.

    Attributes
    ----------
    counts, background : `~numpy.ndarray`, shape (m, b)
        Observed, and expected of no component.
    exposure : `~numpy.ndarray`, shape (b,)
        Sum of the relative exposures of a block's pixels.
    y, x : `~numpy.ndarray`, shape (b,)
        Mean position, 0 to 1 over the field.
    labels : `~numpy.ndarray` of int, shape (t,)
        The block of each pixel.
    """

    counts: np.ndarray
    background: np.ndarray
    exposure: np.ndarray
    y: np.ndarray
    x: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, fit, n_most=_N_BLOCKS, fewest=_COUNTS_IN_BLOCK):
        """Sum the counts of a fit over blocks."""
        cube, kept, background = fit.cube, fit.forward.kept, fit.forward.background
        labels = count_blocks(cube.image(), ~kept, n_most=n_most, fewest=fewest)
        counts = cube.counts.sums(labels)
        size = np.bincount(labels)
        y, x = (np.bincount(labels, at) / size for at in np.nonzero(kept))
        return cls(
            counts,
            np.zeros_like(counts) if background is None else background.sums(labels),
            np.bincount(labels, cube.relative_exposure[kept]),
            (y + 0.5) / kept.shape[0],
            (x + 0.5) / kept.shape[1],
            labels,
        )


class Misfit:
    """What spectra leave of the counts of blocks, in units of its noise, with the sources of each block taken out.

    Parameters
    ----------
    blocks : BlockCounts
    spectra : `~numpy.ndarray`, shape (m, n), or (b, m, n) where they differ from block to block
    floor : `~numpy.ndarray`, shape (m, b)
        Expected counts of no component.
    """

    def __init__(self, blocks, spectra, floor):
        self.spectra = spectra
        A = spectra if spectra.ndim == 3 else spectra[np.newaxis]
        Y, B = blocks.counts.T, floor.T  # (b, m)
        mean = blocks.counts.sum(axis=1) / max(blocks.counts.sum(), 1.0) * Y.sum(axis=1, keepdims=True)
        least = np.maximum(_FLOOR * mean, _LEAST_EXPECTED)
        expected = np.maximum(mean, least)
        for _ in range(_N_WEIGHTS):
            weight = 1.0 / np.sqrt(expected)
            Q, R = np.linalg.qr(A * weight[..., np.newaxis])
            inverse = np.linalg.pinv(R)
            sources = np.matmul(inverse, np.matmul(Q.transpose(0, 2, 1), ((Y - B) * weight)[..., np.newaxis]))
            positive = _positive(Y, A, B, sources[..., 0])
            expected = np.maximum(np.matmul(A, positive[..., np.newaxis])[..., 0] + B, least)
        self.sources, self.expected, self.weight, self.basis = sources[..., 0], expected, weight, Q  # (b, n), (b, m)
        self.residual = self._without_sources(((Y - B) * weight)[..., np.newaxis])[..., 0]
        self.deviance = 2 * np.sum(expected - Y + np.where(Y > 0, Y * np.log(np.maximum(Y, 1.0) / expected), 0.0))

    def _without_sources(self, T):
        return T - np.matmul(self.basis, np.matmul(self.basis.transpose(0, 2, 1), T))

    def directions(self, derivatives):
        """Take the sources out of derivatives of the expected counts, (b, m, q), in units of noise: shape (b m, q)."""
        T = self._without_sources(derivatives * self.weight[..., np.newaxis])
        return T.reshape(T.shape[0] * T.shape[1], T.shape[2])

    def along_spectra(self, derivatives):
        """Directions of derivatives of the spectra, (m, n, q)."""
        return self.directions(np.einsum("ikq,bk->biq", derivatives, self.sources, optimize=True))

    def counts(self):
        """Give the counts of each component, all blocks together, (n,)."""
        return (self.sources * self.spectra.sum(axis=-2)).sum(axis=0)

    def freed(self, base):
        """Take directions that the fit has followed already, (b m, q), out of the residual and all other directions."""
        return _Freed(self, _orthonormal(base))


def _positive(Y, A, B, sources):
    """Bring sources (b, n), where one is negative, near the likeliest that are not, by expectation and maximization."""
    negative = (sources < 0).any(axis=1)
    S = np.maximum(sources, 0.0)
    if not negative.any():
        return S
    A = (A if len(A) == 1 else A[negative]).transpose(0, 2, 1)
    Y, B, T = Y[negative], B[negative], np.maximum(S[negative], 1e-3 * Y[negative].sum(axis=1, keepdims=True))
    for _ in range(_N_POSITIVE):
        expected = np.matmul(T[:, np.newaxis], A)[:, 0] + B
        T = T * np.matmul(A, (Y / np.maximum(expected, 1e-12))[..., np.newaxis])[..., 0] / A.sum(axis=2)
    S[negative] = T
    return S


@dataclass(frozen=True)
class _Freed:
    misfit: Misfit
    base: np.ndarray

    @cached_property
    def residual(self):
        """In units of noise, (b m,)."""
        flat = self.misfit.residual.ravel()
        return flat - self.base @ (self.base.T @ flat)

    @property
    def chi_square(self):
        """What is left."""
        return float(self.residual @ self.residual)

    def explained(self, T):
        """Give the drop of chi square by directions (b m, q), their number, and how far along each, (q,)."""
        T = T - self.base @ (self.base.T @ T)
        size = np.sqrt(np.maximum((T**2).sum(axis=0), 1e-300))
        T = T / size
        values, vectors = np.linalg.eigh(T.T @ T)
        used = values > _SAME * values[-1]
        along = (vectors[:, used].T @ (T.T @ self.residual)) / values[used]
        return float((along**2 * values[used]).sum()), int(used.sum()), (vectors[:, used] @ along) / size

    def tested(self, T):
        """Give the drop beyond what noise makes of as many directions, and no detail."""
        drop, q, _ = self.explained(T)
        return drop - q, None


def _orthonormal(T):
    if T.shape[1] == 0:
        return T
    size = np.sqrt((T**2).sum(axis=0))
    vectors, values, _ = np.linalg.svd(T[:, size > 0] / size[size > 0], full_matrices=False)
    return vectors[:, values > np.sqrt(_SAME) * values[0]]


def refit(blocks, model, start, low, high, precision, n_rounds=12):
    """Fit parameters to the counts of blocks by weighted least squares, the sources of blocks profiled.

    Parameters
    ----------
    blocks : BlockCounts
    model : callable
        ``model(x)`` gives spectra (m, n), their derivatives (m, n, q), the floor (m, b), and its derivatives
        (m, b, q) or None.
    start, low, high, precision : array_like, shape (q,)
        Where to start, bounds, and the inverse variance of what is known beforehand, about ``start``.
    n_rounds : int

    Returns
    -------
    x : `~numpy.ndarray`, shape (q,)
    found : Misfit
    directions : `~numpy.ndarray`, shape (b m, q)
    """
    tried, damping, best = np.clip(start, low, high), _DAMPING, None
    for _ in range(n_rounds):
        spectra, slopes, floor, floor_slopes = model(tried)
        found = Misfit(blocks, spectra, floor)
        cost = found.deviance + np.sum(precision * (tried - start) ** 2)
        gain = np.inf if best is None else best[2] - cost
        if gain > 0:
            derivatives = np.einsum("ikq,bk->biq", slopes, found.sources, optimize=True)
            if floor_slopes is not None:
                derivatives = derivatives + floor_slopes.transpose(1, 0, 2)
            best, damping = (tried, found, cost, found.directions(derivatives)), max(damping / 4, _LEAST_DAMPING)
        else:
            damping *= 8
        if 0 <= gain < max(_LEAST_GAIN, _LEAST_PART * best[2]) or damping > _MOST_DAMPING or len(start) == 0:
            break
        tried = np.clip(best[0] + _bounded(best, start, low, high, precision, damping), low, high)
    return best[0], best[1], best[3]


def _bounded(best, start, low, high, precision, damping):
    x, found, _, T = best
    normal = T.T @ T
    pull = T.T @ found.residual.ravel() - precision * (x - start)
    scale = 1.0 / np.sqrt(np.maximum(np.diag(normal) + precision, 1e-12))
    matrix = normal * np.outer(scale, scale) + np.diag(precision * scale**2 + damping)
    root = np.linalg.cholesky(matrix)
    room = np.maximum(high - x, _HELD) / scale, np.maximum(x - low, _HELD) / scale
    target = np.linalg.solve(root, pull * scale)
    return scale * lsq_linear(root.T, target, (-room[1], room[0]), method="bvls").x
