"""Shapes that a misfit can have: how much of it each explains, at first order and when it is fitted."""

import numpy as np
from scipy.optimize import nnls

from .misfit import BlockCounts, Misfit, refit
from .nuisances import Ages, Area, Background, Gain
from .spots import blurred, brightest_spot, whitened

__all__ = ["Shapes"]

_TINY = 1e-12
_WEAK = 1e-2  # inverse variance of scaled parameters, against directions without any effect
_N_WAVES, _N_GRID, _N_LOCAL = 4, 15, 2
_N_ROUNDS, _N_POWER, _N_EXTRA, _N_STEPS = 20, 8, 12, 60
_WORST = 0.8  # blocks beyond this quantile of chi square begin the search for another spectrum
_BEYOND = 1e-3
_ANY_SPECTRUM = 20.0
_SETTLED = 1e-3  # of what another spectrum gains, at least one
_LEFT_OF_AGE, _MORE_OF_AGE = (
    25.0,
    2.5,
)  # chi square a bin that plasma may leave, and by how much more equilibrium leaves
_MANY = 0.5  # of the parameters


class Shapes:
    """The misfit of a separation in blocks, and what would explain it.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`
    names : sequence of str
        Of the components.
    known : `~astro_lpalm.trust.nuisances.KnownSpectra`
    """

    def __init__(self, fit, names, known):
        self.has_maps, fit = fit.local is not None, fit.about_means()
        self.fit, self.names, self.known = fit, names, known
        self.blocks = BlockCounts.of(fit)
        self.edges = fit.cube.energy_edges.to_value("keV")
        self.energies = 0.5 * (self.edges[1:] + self.edges[:-1])
        self.gain, self.area, self.background = Gain(self.edges), Area(self.edges), Background(self.edges)
        self.precision = np.full(len(known.start), _WEAK)
        self.x, self.base, self.followed = refit(
            self.blocks, known.alone(self.blocks), known.start, known.low, known.high, self.precision
        )
        self.spectra, self.derivatives = known.jacobian(self.x)
        self.at_limit = known.at_limit(self.x)
        self.ages = []

    @property
    def scale(self):
        """Deviance over chi square of the blocks: what brings drops of the latter to those of the former."""
        return max(self.base.deviance / max(np.sum(self.base.residual**2), 1.0), 1.0)

    @property
    def limits(self):
        """Part of the parameters that are at an end of their ranges."""
        return np.count_nonzero(self.at_limit) / max(len(self.known.names), 1)

    def linear(self, settings):
        """Test all shapes: a dict of (drop of chi square beyond its expectation, detail)."""
        base, A = self.base, self.spectra
        m, n = A.shape
        freed = base.freed(self.followed)
        seen = {
            "gain": freed.tested(base.along_spectra(np.einsum("ijq,jk->ikq", self.gain.moved(np.zeros(2))[1], A))),
            "area": freed.tested(base.along_spectra(A[..., np.newaxis] * self.area.basis[:, np.newaxis])),
            "background": freed.tested(base.directions(self.background.counts(self.blocks).transpose(1, 0, 2))),
            "free": freed.tested(base.along_spectra(np.eye(m * n).reshape(m, n, m * n))),
            "missing": self._another(freed),
        }
        if seen["free"][0] > _ANY_SPECTRUM:  # other ages are some of all spectra; to make them takes time
            self.ages = Ages.of(self.known, list(self.names), self.x)
        for k, ages in enumerate(self.ages):
            seen[f"ages:{k}"] = freed.tested(base.along_spectra(ages.slopes(A)))
        if self.at_limit.any():
            inside = base.freed(self.followed[:, ~self.at_limit])
            seen["object"] = inside.tested(self.followed[:, self.at_limit])
        if self.limits > settings.many_limits:
            gained = self.beyond()[0] - settings.least_beyond
            seen["object"] = max(seen["object"][0], gained), None
        waves = self._waves()
        for q in range(len(self.known.names)):
            T = np.einsum("ik,bk,bj->bij", self.derivatives[:, :, q], base.sources, waves, optimize=True)
            seen[f"varying:{q}"] = freed.tested(base.directions(T))
        white = whitened(self.fit)
        spot = brightest_spot(white)
        seen["point"] = spot.drop, {"spot": spot}
        drop, sharper = blurred(white, spot if spot.drop > settings.least["point"] else None)
        seen["psf"] = drop, {"sharper": sharper}
        return seen

    def _waves(self):
        # Smooth functions of the blocks' positions, (b, j), without the constant.
        y, x, n = np.pi * self.blocks.y, np.pi * self.blocks.x, _N_WAVES
        return np.array([np.cos(j * y) * np.cos(k * x) for j in range(n + 1) for k in range(n + 1 - j) if j + k]).T

    def _another(self, freed):
        # The spectrum and image that explain most, free in sign, one in addition to the components.
        base = self.base
        residual, weight = freed.residual.reshape(base.residual.shape), base.weight
        b, m = residual.shape
        image = np.linalg.svd(residual, full_matrices=False)[0][:, 0] * np.sqrt(base.expected.sum(axis=1))
        K = (np.eye(m) - base.basis @ base.basis.transpose(0, 2, 1)) * weight[:, :, np.newaxis] * weight[:, np.newaxis]
        pull = residual * weight
        for _ in range(_N_POWER):
            M = np.tensordot(image**2, K, 1)
            spectrum = np.linalg.solve(M + (1e-9 * np.trace(M) + _TINY) * np.eye(m), image @ pull)
            image = (pull @ spectrum) / np.maximum(np.einsum("bi,i->b", K @ spectrum, spectrum), _TINY)
        drop, *_ = freed.explained(base.directions(image[:, np.newaxis, np.newaxis] * np.eye(m)))
        return drop - _noise_of_product(m, b), None

    def beside(self, nuisance):
        """Fit a nuisance and all parameters of the spectra: give the gain in the likelihood, and the values."""
        known, p, q = self.known, len(self.x), len(nuisance.low)
        starts = [self.x]
        if self.at_limit.any():  # as those may be that a fault has driven away
            starts.append(0.5 * (known.low + known.high))
        low, high = np.concatenate([known.low, nuisance.low]), np.concatenate([known.high, nuisance.high])
        precision, model = np.concatenate([self.precision, nuisance.precision]), nuisance.beside(known, self.blocks)
        ends = [
            refit(self.blocks, model, np.concatenate([start, np.zeros(q)]), low, high, precision, _N_ROUNDS)
            for start in starts
        ]
        x, found, T = min(ends, key=lambda end: end[1].deviance)
        covariance = np.linalg.pinv(T.T @ T + np.diag(precision))[p:, p:]
        detail = {"values": x[p:], "covariance": covariance, "counts": found.counts()}
        detail["left"] = found.deviance / found.residual.size
        return self.base.deviance - found.deviance - q, detail

    def beyond(self):
        """Let parameters go beyond the ends of their ranges, if they are at one."""
        if not self.at_limit.any():
            return 0.0, {"parameters": []}
        low, high = self.known.wider(self.x)
        x, found, _ = refit(self.blocks, self.known.alone(self.blocks), self.x, low, high, self.precision, _N_ROUNDS)
        beyond = np.flatnonzero((x < self.known.low - _BEYOND) | (x > self.known.high + _BEYOND))
        return self.base.deviance - found.deviance - np.count_nonzero(self.at_limit), {
            "parameters": beyond,
            "many": self.limits > _MANY,
        }

    def with_another(self):
        """Add a component of any spectrum and image, not negative, by the multiplicative updates of the likelihood.

        With it, ages are asked again how much of chi square they would explain: ``ages`` of the detail.
        """
        Y, B = self.blocks.counts, self.blocks.background
        residual, totals, x = Y - self.base.expected.T, Y.sum(axis=0), self.x
        misfit = (residual**2 / self.base.expected.T).sum(axis=0)
        worst = misfit >= np.quantile(misfit, _WORST)
        spectrum = np.maximum(residual[:, worst].sum(axis=1), 0) + 1e-3 * Y.mean(axis=1)
        best = None
        for _ in range(_N_EXTRA):
            A = self.known.jacobian(x)[0]
            first = np.maximum(residual.sum(axis=0), 1e-2 * totals)
            S = np.vstack([np.maximum(self.base.sources.T, 1e-3 * totals), first])
            spectrum = _multiplied(Y, B, A, spectrum, S)
            x, found, followed = refit(
                self.blocks, self._model_with(spectrum), x, self.known.low, self.known.high, self.precision
            )
            gain = np.inf if best is None else best[0] - found.deviance
            if gain > 0:
                image = np.maximum(found.sources[:, -1], 0.0)
                best = found.deviance, {"spectrum": spectrum, "image": image}, found, followed
            if gain < _SETTLED * max(self.base.deviance - best[0], 1 / _SETTLED):
                break
        deviance, detail, found, followed = best
        freed, A = found.freed(followed), found.spectra
        detail["ages"] = [freed.tested(found.along_spectra(ages.slopes(A)))[0] for ages in self.ages]
        return self.base.deviance - deviance - _noise_of_product(*Y.shape), detail

    def _model_with(self, spectrum):
        def model(x):
            A, D = self.known.jacobian(x)
            none = np.zeros((len(A), 1, D.shape[2]))
            return np.column_stack([A, spectrum]), np.concatenate([D, none], axis=1), self.blocks.background, None

        return model

    def varying(self, seen):
        """Let the likeliest parameters differ from block to block: the best gain, and that of each."""
        found = [(drop, int(name.partition(":")[2])) for name, (drop, _) in seen.items() if name.startswith("varying")]
        found = sorted(found, reverse=True)[:_N_LOCAL]
        drops = sorted(((max(self.scale * drop, self._local(q)), q) for drop, q in found), reverse=True)
        return (drops[0][0] if drops else 0.0), {"drops": drops}

    def _local(self, q):
        known, grid = self.known, np.linspace(self.known.low[q], self.known.high[q], _N_GRID)
        own = self.derivatives[..., : len(known.names)]  # those along what maps leave open have narrow bounds
        at = np.repeat(self.x[np.newaxis], _N_GRID, axis=0)
        at[:, q] = grid
        spectra = np.array([known.jacobian(x)[0] for x in at])
        weight = self.base.weight[..., np.newaxis]
        y = (self.blocks.counts - self.blocks.background).T[..., np.newaxis] * weight
        left = []
        for A in spectra:
            Q = np.linalg.qr(A * weight)[0]
            left.append(np.sum((y - Q @ (Q.transpose(0, 2, 1) @ y)) ** 2, axis=(1, 2)))
        best = np.argmin(left, axis=0)
        found = Misfit(self.blocks, spectra[best], self.blocks.background)
        more = np.sum(found.residual**2) - found.freed(found.along_spectra(own)).chi_square
        # the best of a grid gains about twice as much of noise as one direction
        return self.base.deviance - found.deviance + more - 2 * len(best) - len(self.x)

    def is_young(self, spectrum, counts):
        """Whether a spectrum of so many counts is one of plasma out of equilibrium, and of no plasma in equilibrium."""
        elements_of = getattr(self.known.physics, "spectra_of_elements", None)
        elements = None if elements_of is None else elements_of(self.known.inside(self.x))
        if elements is None:
            return False
        noise = np.sqrt(np.maximum(self.fit.counts, 1.0))
        y = counts * spectrum / spectrum.sum() / noise
        left = np.array([[nnls((each / noise).T, y)[1] ** 2 for each in ages] for ages in elements]).min(axis=0)
        best = left[:-1].min()
        return best < _LEFT_OF_AGE * len(y) and left[-1] > _MORE_OF_AGE * max(best, len(y))

    def area_change(self, values):
        """Relative change of the area, on average none, (m,)."""
        logarithm = self.area.basis @ values
        return np.exp(logarithm - np.average(logarithm, weights=self.fit.counts)) - 1

    def background_share(self, values):
        """Part of the counts that are background."""
        return float((self.background.counts(self.blocks) @ values).sum() / self.blocks.counts.sum())


def _noise_of_product(m, b):
    # The square of the largest singular value of (m, b) standard normal numbers.
    return (np.sqrt(m) + np.sqrt(b)) ** 2


def _multiplied(Y, B, A, spectrum, S):
    """Fit one more spectrum with all sources (Lee & Seung 2001, NIPS 13, 556; eq. 5): of unit sum, (m,)."""
    for _ in range(_N_STEPS):
        C = np.column_stack([A, spectrum])
        C = C / C.sum(axis=0)
        S = S * (C.T @ (Y / np.maximum(C @ S + B, _TINY)))
        spectrum = C[:, -1] * ((Y / np.maximum(C @ S + B, _TINY)) @ S[-1])
    return np.maximum(spectrum / max(spectrum.sum(), _TINY), _TINY)
