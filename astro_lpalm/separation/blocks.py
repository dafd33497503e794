"""Counts of blocks of pixels, and what they say of the parameters of spectra, whatever the sources are."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from .descent import bounded_step, gram, mix, profile_sources, unmix

__all__ = ["Blocks", "FreeSources", "known_background", "known_of"]

_TINY = 1e-12
_LAST_ROUNDS, _LAST_DAMPING, _LAST_TOLERANCE = 40, 1e-2, 1e-4


@dataclass(frozen=True)
class FreeSources:
    """What weighted least squares, with sources free in sign, makes of parameters.

    ``A``, ``D`` and ``floor`` are what `Blocks.expected` gives; ``positive``, (n, b), the sources of the largest
    likelihood, ``value`` minus the logarithm of that, and ``L``, (m, b), the counts they expect; ``S`` are the free
    sources, ``inverse``, (b, n, n), their covariances, and ``cross``, (b, p, n), their links to the parameters, whose
    ``gradient`` and ``precision`` follow.
    """

    A: np.ndarray
    D: np.ndarray
    floor: np.ndarray
    positive: np.ndarray
    value: float
    L: np.ndarray
    S: np.ndarray
    inverse: np.ndarray
    cross: np.ndarray
    gradient: np.ndarray
    precision: np.ndarray


class Blocks:
    """Counts of blocks, and their likelihood with the sources at their best.

    The amplitudes of backgrounds that are free, (f, m, b), are the last of the parameters.
    """

    def __init__(self, Y, background, model, free_backgrounds=(), local=None, deviations=None):
        self.Y, self.background, self.model, self.local = Y, background, model, local
        self.free_backgrounds, self.free = free_backgrounds, len(free_backgrounds)
        self.deviations = deviations or {}

    def expected(self, x):
        """Give spectra of all blocks or of each, derivatives, and the background with its amplitude."""
        A, D = self.model.jacobian(x[: len(x) - self.free])
        free = zip(x[len(x) - self.free :], self.free_backgrounds)
        return self.locally(A), D, self.background + sum(amplitude * each for amplitude, each in free)

    def locally(self, A):
        """Give spectra as they are in each block, (b, m, n), where these differ."""
        return A if self.local is None else A * self.local

    def evaluate(self, x, S):
        """Give what `descend` asks for; the state are the sources."""
        A, D, floor = self.expected(x)
        S, value = profile_sources(self.Y, A, floor, S)
        L = mix(A, S) + floor
        slopes = self._slopes(D, S)
        gradient = _summed(1.0 - self.Y / np.maximum(L, _TINY), slopes)
        inner, cross, outer = self._fisher(A, slopes, L)
        inner, cross = _only(inner, cross, S.T > 0)
        curvature = outer - np.matmul(cross, np.linalg.solve(inner, cross.transpose(0, 2, 1))).sum(axis=0)
        more, slope, bend = self.penalty(x)
        return value + more, gradient + slope, curvature + np.diag(bend), S

    def penalty(self, x):
        """Give `known_of` the model, for parameters and amplitudes."""
        value, *others = known_of(self.model, x[: len(x) - self.free])
        return value, *(np.append(each, [0.0] * self.free) for each in others)

    def settle(self, x, bounds, n_rounds=_LAST_ROUNDS):
        """Go on by weighted least squares with sources free in sign.

        Returned is where it ends, the sources there, not negative, the number of rounds, and whether it did end.
        """
        damping, before, S = _LAST_DAMPING, np.inf, None
        for n in range(1, min(n_rounds, _LAST_ROUNDS) + 1):
            at = self.free_sources(x, S)
            step = bounded_step(x, at.gradient, at.precision + damping * np.eye(len(x)), bounds)
            promise = -(at.gradient @ step)
            x, S = np.clip(x + step, *bounds), at.positive
            if promise < _LAST_TOLERANCE:
                return x, S, n, True
            damping, before = damping * (4.0 if promise > 0.5 * before else 0.5), promise
        return x, S, min(n_rounds, _LAST_ROUNDS), n_rounds == 0

    def free_sources(self, x, start=None):
        """Give the `FreeSources` of parameters; ``start`` are positive ones to start from."""
        A, D, floor = self.expected(x)
        positive, value = profile_sources(self.Y, A, floor, start)
        L = np.maximum(mix(A, positive) + floor, _TINY)
        inverse, S = self.least_squares(A, floor, L)
        residual, slopes = (self.Y - floor - mix(A, S)) / L, self._slopes(D, S)
        _, cross, outer = self._fisher(A, slopes, L)
        precision = outer - _through(cross, inverse).sum(axis=0)
        _, slope, bend = self.penalty(x)
        gradient = slope - _summed(residual, slopes)
        return FreeSources(A, D, floor, positive, value, L, S, inverse, cross, gradient, precision + np.diag(bend))

    def of_each(self, x):
        """Give the gradient of the logarithm of each block's likelihood, (b, p), and its Fisher matrix, (b, p, p).

        The sources are those of the largest likelihood, and are taken out of the Fisher matrix.
        """
        A, D, floor = self.expected(x)
        S, _ = profile_sources(self.Y, A, floor)
        L = np.maximum(mix(A, S) + floor, _TINY)
        slopes = self._slopes(D, S)
        inner, cross, _ = self._fisher(A, slopes, L)
        inner, cross = _only(inner, cross, S.T > 0)
        followed = np.linalg.solve(inner, cross.transpose(0, 2, 1))
        residual = self.Y / L - 1.0
        gradients = np.einsum("ib,bip->bp", residual, slopes) - np.einsum("bkp,kb->bp", followed, unmix(A, residual))
        fisher = np.matmul(slopes.transpose(0, 2, 1), slopes / L.T[:, :, np.newaxis]) - np.matmul(cross, followed)
        return gradients, fisher

    def least_squares(self, A, floor, L):
        """Find sources free in sign, for variances L: their covariance in each block, (b, n, n), and they, (n, b)."""
        inverse = np.linalg.pinv(gram(A, 1.0 / L), hermitian=True)
        return inverse, np.einsum("bkl,lb->kb", inverse, unmix(A, (self.Y - floor) / L))

    def _slopes(self, D, S):
        """Differentiate the expected counts in all parameters: (b, m, p)."""
        n_energy, n, _ = D.shape
        weights = np.broadcast_to(S.T[:, np.newaxis], (S.shape[1], n_energy, n))
        weights = weights if self.local is None else weights * self.local
        slopes = np.matmul(weights.transpose(1, 0, 2), D).transpose(1, 0, 2)
        if self.free:
            slopes = np.concatenate([slopes, np.transpose(self.free_backgrounds, (2, 1, 0))], axis=2)
        return slopes

    def _fisher(self, A, slopes, L):
        # Of the sources (b, n, n), between parameters and sources (b, p, n), and of the parameters (p, p).
        W = 1.0 / np.maximum(L, _TINY)
        weighted = slopes * W.T[:, :, np.newaxis]
        p = slopes.shape[2]
        outer = slopes.reshape(-1, p).T @ weighted.reshape(-1, p)
        return gram(A, W), np.matmul(weighted.transpose(0, 2, 1), A), outer

    def freedom(self, at):
        """Tell what it does that blocks may deviate.

        Of `FreeSources` it takes from the precision, (p, p), and adds to the fluxes' links to the parameters, (n, p),
        and to the covariance of the fluxes, (n, n).
        """
        n_blocks, p = at.cross.shape[:2]
        if not self.deviations:
            return 0.0, 0.0, 0.0
        places = [*self.deviations]
        slopes = self._slopes(at.D, at.S)
        full = np.matmul(slopes.transpose(0, 2, 1), slopes / at.L.T[:, :, np.newaxis])
        full -= _through(at.cross, at.inverse)
        links = full[:, :, places].transpose(1, 2, 0).reshape(p, -1)  # parameter by (place, block)
        own = np.zeros((len(places), n_blocks, len(places), n_blocks))
        own[:, range(n_blocks), :, range(n_blocks)] = full[:, places][:, :, places]
        own = own.reshape(links.shape[1], -1)
        known = block_diag(*self.deviations.values())
        # (F + K^-1)^-1 = K (1 + F K)^-1, as K may be singular
        covariance = known @ np.linalg.inv(np.eye(len(own)) + own @ known)
        covariance = 0.5 * (covariance + covariance.T)
        fluxes = -np.einsum("bkl,bpl->kpb", at.inverse, at.cross[:, places], optimize=True).reshape(len(at.S), -1)
        return links @ covariance @ links.T, -fluxes @ covariance @ links.T, fluxes @ covariance @ fluxes.T


def known_background(Y, background, free=False):
    """Check a background, and part it: what is fixed, (m, b), and what has a free amplitude, (f, m, b)."""
    free = np.atleast_1d(np.asarray(free, dtype=bool))
    if background is None:
        if free.any():
            msg = "free_background is true, but there is no background; give its expected counts."
            raise ValueError(msg)
        return np.zeros_like(Y), ()
    background = np.asarray(background, dtype=float)
    if background.shape not in (Y.shape, (len(Y), 1)):
        msg = f"background has shape {background.shape}, but must have that of the counts, {Y.shape}."
        raise ValueError(msg)
    if not (np.isfinite(background).all() and background.min() >= 0):
        msg = "background has values that are negative, NaN or infinite, so it is no expected counts."
        raise ValueError(msg)
    if len(Y) % len(free):
        msg = f"free_background is of {len(free)} observations, but counts has {len(Y)} rows, which is no multiple."
        raise ValueError(msg)
    owner = np.repeat(np.arange(len(free)), len(Y) // len(free))[:, np.newaxis]
    background = np.broadcast_to(background, Y.shape)
    parts = [np.where(owner == number, background, 0.0) for number in np.flatnonzero(free)]
    return np.where(free[owner], 0.0, background), parts


def known_of(model, theta):
    """Value, gradient and curvature (p,) of what a model knows of its parameters beforehand."""
    if not hasattr(model, "penalty"):
        return 0.0, np.zeros(len(theta)), np.zeros(len(theta))
    return model.penalty(theta)


def _summed(residual, slopes):
    """Sum slopes of the expected counts, (b, m, p), with weights of the counts, (m, b): (p,)."""
    return residual.T.ravel() @ slopes.reshape(-1, slopes.shape[2])


def _through(cross, inverse):
    """Link parameters with each other, by their links to the sources of each block, (b, p, n): (b, p, p)."""
    return np.matmul(np.matmul(cross, inverse), cross.transpose(0, 2, 1))


def _only(inner, cross, free):
    """Leave out sources that are held at zero."""
    n = inner.shape[1]
    inner = inner * free[:, :, np.newaxis] * free[:, np.newaxis]
    trace = np.maximum(np.trace(inner, axis1=1, axis2=2), _TINY)
    inner[:, range(n), range(n)] += np.where(free, 1e-10 * trace[:, np.newaxis], 1.0)
    return inner, cross * free[:, np.newaxis]
