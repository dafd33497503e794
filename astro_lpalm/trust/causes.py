"""Why data and model disagree: each known cause is asked how much of the misfit it alone would explain."""

from dataclasses import dataclass, field, replace

import numpy as np

from .misfit import BlockCounts, Misfit, refit
from .nuisances import Area, Background, Gain, KnownSpectra
from .remedies import describe
from .spots import blurred, brightest_spot, whitened

__all__ = ["Cause", "CauseSettings", "find_causes"]

_TINY = 1e-12
_EVERYWHERE = "gain", "area", "object", "free"  # misfits that the whole field has alike


@dataclass(frozen=True)
class CauseSettings:
    """When a cause is looked for, and when it is named. All are set by ``benchmarks/diagnostics.py``.

    Attributes
    ----------
    least : dict of str to float
        By how much chi square has to drop beyond what noise makes of as many directions, for each shape of the misfit.
    least_gain, least_area, least_background : float
        Smallest changes that are spoken of: of energies and area, relative, twice what Chandra's calibration promises,
        0.3 % and 3 %; of the background, part of the counts.
    gain_part, gain_above : float
        A shift of energies is named first where it gains this part of what the best cause gains, and this many times
        what an area or a background gains: spectra in bins are moved by interpolation, which leaves a part unexplained.
    both_part : float
        Where a shift and an area both gain this part of what the better one does, it is neither, but another object.
    varying_part : float
        A spectrum that varies is named before a missing component where it gains this part of what that does.
    nearly : float
        A second cause is named where it gains this part of what the first one does.
    many_limits, least_beyond : float
        Where more than this part of the parameters are at a limit, they are let go beyond it, and this is what the
        likelihood must gain: fits of good data that end beside the best one gain up to 80.
    open_split, open_error, open_undecided, open_part : float
        A split is open where a component of ``open_part`` of the counts is known to ``open_split``, relative; or to
        ``open_error``, where the data leave ``open_undecided`` of the parameters to their ranges.
    n_waves, n_grid, n_refined : int
        Waves over the field that a parameter may follow, its values tried in each block, and how many are tried so.
    """

    least: dict = field(
        default_factory=lambda: {
            "gain": 25.0,
            "area": 35.0,
            "background": 30.0,
            "object": 30.0,
            "free": 100.0,
            "missing": 80.0,
            "varying": 45.0,
            "point": 120.0,
            "psf": 50.0,
        }
    )
    least_gain: float = 0.006
    least_area: float = 0.06
    least_background: float = 0.01
    gain_part: float = 0.33
    gain_above: float = 2.0
    both_part: float = 0.3
    varying_part: float = 0.9
    nearly: float = 0.98
    many_limits: float = 0.33
    least_beyond: float = 100.0
    open_split: float = 0.5
    open_error: float = 0.1
    open_undecided: float = 0.65
    open_part: float = 0.1
    n_waves: int = 4
    n_grid: int = 15
    n_refined: int = 2


@dataclass(frozen=True)
class Cause:
    """A reason why data and model disagree.

    Attributes
    ----------
    name : str
        "missing", "object", "varying", "gain", "area", "background", "point", "psf".
    drop : float
        Of twice the logarithm of the likelihood, beyond what noise makes of as many directions.
    detail : dict
        What was found.
    message : str
        The same in words, with what to do.
    figures : dict of str to float
        Values of what was fitted beside the spectra.
    """

    name: str
    drop: float
    detail: dict
    message: str = ""
    figures: dict = field(default_factory=dict)


def find_causes(fit, names, *, physical=None, physics=None, prior=None, settings=None):
    """Ask each known cause how much of a separation's misfit it would explain.

    The counts of some hundred blocks are compared with what the spectra expect of them, with sources that are free in
    each block. A cause adds a few directions: an energy scale that is shifted and stretched, a smooth error of the area, a
    background that follows the exposure, parameters beyond their ranges, a parameter of one component that differs
    smoothly from block to block, another spectrum with an image of its own. A point source and a blur that changes with energy
    are looked for pixel by pixel. Linear tests say whether there is anything; only then causes are fitted, with all parameters
    of the spectra free, and compared by how much they raise the likelihood.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`
    names : sequence of str
        Of the components.
    physical : `~astro_lpalm.separation.PhysicalFit`, optional
    physics : object, optional
        Its model, such as `~astro_lpalm.spectra.ParametricSpectra`.
    prior : `~astro_lpalm.spectra.SpectralPrior`, optional
        What was known of the spectra, where there is no physics.
    settings : CauseSettings, optional

    Returns
    -------
    causes : list of Cause
        The likeliest first; empty where noise explains all.
    """
    return _Search(fit, names, KnownSpectra.of(fit, names, physical, physics, prior), settings or CauseSettings()).run()


class _Search:
    def __init__(self, fit, names, known, settings):
        self.fit, self.names, self.known, self.settings = fit, names, known, settings
        self.blocks = BlockCounts.of(fit)
        edges = fit.cube.energy_edges.to_value("keV")
        self.gain, self.area, self.background = Gain(edges), Area(edges), Background(edges)
        p = len(known.start)
        self.precision = np.full(p, 1e-2)
        self.x, self.base, self.T = refit(
            self.blocks, known.alone(self.blocks), known.start, known.low, known.high, self.precision
        )
        A, self.D = known.jacobian(self.x)
        self.A = A

    def run(self):
        seen = self.linear()
        excess = {name: drop - self.settings.least[name.partition(":")[0]] for name, (drop, _) in seen.items()}
        if max(excess.values()) <= 0:
            return []
        causes = self.refitted(seen, excess)
        causes = [each for each in causes if each.drop > self.settings.least[each.name] and self.is_large(each)]
        described = []
        for each in self.ordered(causes):
            message, figures = describe(each, self)
            described.append(replace(each, message=message, figures=figures))
        return described

    def is_large(self, cause):
        """Whether a change of response or background is beyond what is to be expected of any calibration."""
        settings = self.settings
        if cause.name == "gain":
            energy = 0.5 * (self.gain.edges[1:] + self.gain.edges[:-1])
            shift, stretch = cause.detail["values"]
            relative = shift / energy + stretch
            return np.sqrt(np.average(relative**2, weights=self.fit.counts)) > settings.least_gain
        if cause.name == "area":
            seen = self.fit.counts > 0.05 * self.fit.counts.max()
            return np.abs(self.area_change(cause)[seen]).max() > settings.least_area
        if cause.name == "background":
            return self.background_share(cause) > settings.least_background
        return True

    def area_change(self, cause):
        """Relative change of the area, on average none, (m,)."""
        logarithm = self.area.basis @ cause.detail["values"]
        return np.exp(logarithm - np.average(logarithm, weights=self.fit.counts)) - 1

    def background_share(self, cause):
        """Part of the counts that are background."""
        counts = self.background.counts(self.blocks) @ cause.detail["values"]
        return float(counts.sum() / self.blocks.counts.sum())

    def ordered(self, causes):
        """Put the likeliest first."""
        by_name = {each.name: each for each in causes}
        drop = {name: by_name[name].drop if name in by_name else 0.0 for name in self.settings.least}
        causes = sorted(causes, key=lambda each: -each.drop)
        if not causes:
            return causes
        first, settings = causes[0].name, self.settings
        smooth = max(drop["area"], drop["background"])
        if drop["gain"] >= settings.gain_part * causes[0].drop and drop["gain"] > settings.gain_above * smooth:
            # Spectra in bins are moved by interpolation, which leaves a part of a shift unexplained.
            first = "gain"
        elif first in ("area", "gain") and min(drop["gain"], drop["area"]) > settings.both_part * drop[first]:
            # What any smooth change mends is no error of the response.
            first = "object" if drop["object"] > 0.1 * drop[first] else first
        elif first == "missing" and drop["varying"] > settings.varying_part * drop["missing"]:
            first = "varying"
        return sorted(causes, key=lambda each: each.name != first)

    def linear(self):
        """Give (drop beyond expectation, detail) of each shape of misfit."""
        base, A, D, S = self.base, self.A, self.D, self.base.sources
        m, n = A.shape
        at = self.known.at_limit(self.x)
        freed = base.freed(self.T)
        seen = {}

        def ask(name, T, freed=freed, more=0.0):
            drop, q, _ = freed.explained(T)
            seen[name] = drop - q - more, q

        _, slopes = self.gain.moved(np.zeros(2))
        ask("gain", base.along_spectra(np.einsum("ijq,jk->ikq", slopes, A)))
        ask("area", base.along_spectra(A[..., np.newaxis] * self.area.basis[:, np.newaxis]))
        ask("background", base.directions(self.background.counts(self.blocks).transpose(1, 0, 2)))
        if at.any():
            ask("object", self.T[:, at], base.freed(self.T[:, ~at]))
        if at.mean() > self.settings.many_limits:
            (beyond,) = self.beyond()
            seen["object"] = max(seen["object"][0], beyond.drop - self.settings.least_beyond), at.sum()
        each, column = np.divmod(np.arange(m * n), n)
        free = np.zeros((m, n, m * n))
        free[each, column, np.arange(m * n)] = 1
        ask("free", base.along_spectra(free))
        waves = self.waves()
        for q in range(D.shape[2]):
            T = base.directions(np.einsum("ik,bk,bj->bij", D[:, :, q], S, waves, optimize=True))
            ask(f"varying:{q}", T)
        drop, expected, spectrum, image = self.another(freed)
        seen["missing"] = drop - expected, (spectrum, image)
        white = whitened(self.fit)
        spot = brightest_spot(white)
        seen["point"] = spot.drop - spot.n_directions, spot
        is_spot = spot.drop - spot.n_directions > self.settings.least["point"]
        drop, q, sharper = blurred(white, spot if is_spot else None)
        seen["psf"] = drop - q, sharper
        return seen

    def waves(self):
        """Smooth functions of the blocks' positions, (b, j), without the constant."""
        n, y, x = self.settings.n_waves, np.pi * self.blocks.y, np.pi * self.blocks.x
        return np.array([np.cos(j * y) * np.cos(k * x) for j in range(n + 1) for k in range(n + 1 - j) if j + k]).T

    def another(self, freed, n_rounds=8):
        """Find the spectrum and image that explain most, one in addition to the components."""
        base = self.base
        residual, weight = freed.residual.reshape(base.residual.shape), base.weight
        b, m = residual.shape
        image = np.linalg.svd(residual, full_matrices=False)[0][:, 0] * np.sqrt(base.expected.sum(axis=1))
        K = (np.eye(m) - base.basis @ base.basis.transpose(0, 2, 1)) * weight[:, :, np.newaxis] * weight[:, np.newaxis]
        pull = residual * weight
        for _ in range(n_rounds):
            M = np.tensordot(image**2, K, 1)
            spectrum = np.linalg.solve(M + 1e-9 * np.trace(M) * np.eye(m), image @ pull)
            power = np.einsum("bi,i->b", np.matmul(K, spectrum), spectrum)
            image = (pull @ spectrum) / np.maximum(power, _TINY)
        T = np.zeros((b, m, m))
        T[:, range(m), range(m)] = image[:, np.newaxis]
        drop, _, _ = freed.explained(base.directions(T))
        return drop, (np.sqrt(m) + np.sqrt(b)) ** 2, spectrum, image

    def refitted(self, seen, excess):
        """Fit the causes, and give them with what they gain in the likelihood."""
        scale = max(self.base.deviance / max(np.sum(self.base.residual**2), 1.0), 1.0)
        causes = [
            Cause("point", scale * seen["point"][0], {"spot": seen["point"][1]}),
            Cause("psf", scale * seen["psf"][0], {"sharper": seen["psf"][1]}),
        ]
        everywhere = any(excess[name] > -0.5 * self.settings.least[name] for name in _EVERYWHERE if name in excess)
        if everywhere:
            causes += [self.beside("gain", self.gain), self.beside("area", self.area), *self.beyond()]
        if excess["background"] > 0:
            causes.append(self.beside("background", self.background))
        return [*causes, self.extra(), *self.varying(seen, scale)]

    def beside(self, name, nuisance):
        """Fit a nuisance and all parameters of the spectra."""
        p, q = len(self.x), len(nuisance.low)
        best = None
        starts = [self.x]
        if self.known.at_limit(self.x).any():  # as those that a fault has driven away
            starts.append(0.5 * (self.known.low + self.known.high))
        for start in starts:
            x, found, T = refit(
                self.blocks, nuisance.beside(self.known, self.blocks), np.concatenate([start, np.zeros(q)]),
                np.concatenate([self.known.low, nuisance.low]), np.concatenate([self.known.high, nuisance.high]),
                np.concatenate([self.precision, nuisance.precision]), n_rounds=20,
            )  # fmt: skip
            if best is None or found.deviance < best[1].deviance:
                best = x, found, T
        x, found, T = best
        covariance = np.linalg.pinv(T.T @ T + np.diag(np.concatenate([self.precision, nuisance.precision])))
        detail = {"values": x[p:], "errors": np.sqrt(np.diag(covariance))[p:], "covariance": covariance[p:, p:]}
        return Cause(name, self.base.deviance - found.deviance - q, detail)

    def beyond(self):
        """Let parameters go beyond the ends of ranges at which they are."""
        at = self.known.at_limit(self.x)
        if not at.any():
            return []
        low, high = self.known.wider(self.x)
        x, found, _ = refit(self.blocks, self.known.alone(self.blocks), self.x, low, high, self.precision, n_rounds=20)
        beyond = np.flatnonzero((x < self.known.low - 1e-3) | (x > self.known.high + 1e-3))
        return [Cause("object", self.base.deviance - found.deviance - at.sum(), {"parameters": beyond})]

    def extra(self, n_rounds=2, n_steps=30):
        """Add one more component, of any positive spectrum and image, by the multiplicative updates of the likelihood."""
        Y, B = self.blocks.counts, self.blocks.background
        m, b = Y.shape
        residual = Y - self.base.expected.T
        chi = (residual**2 / self.base.expected.T).sum(axis=0)
        worst = chi >= np.quantile(chi, 0.8)
        w = np.maximum(residual[:, worst].sum(axis=1), 0) + 1e-3 * Y.sum(axis=1) / b
        x, best = self.x, None
        for _ in range(n_rounds):
            A, _ = self.known.jacobian(x)
            w = w / w.sum()
            S = np.vstack(
                [
                    np.maximum(self.base.sources.T, 1e-3 * Y.sum(axis=0)),
                    np.maximum(residual.sum(axis=0), 1e-2 * Y.sum(axis=0)),
                ]
            )
            for _ in range(n_steps):
                C = np.column_stack([A, w])
                C = C / C.sum(axis=0)
                S = S * (C.T @ (Y / np.maximum(C @ S + B, _TINY)))
                ratio = Y / np.maximum(C @ S + B, _TINY)
                w = w * (ratio @ S[-1]) / max(S[-1].sum(), _TINY)
            w = np.maximum(w / w.sum(), _TINY)

            def model(x, w=w):
                A, D = self.known.jacobian(x)
                return np.column_stack([A, w]), np.concatenate([D, np.zeros((m, 1, D.shape[2]))], axis=1), B, None

            x, found, _ = refit(self.blocks, model, x, self.known.low, self.known.high, self.precision)
            if best is None or found.deviance < best[0]:
                best = found.deviance, w, found.sources[:, -1]
        deviance, w, image = best
        expected = (np.sqrt(m) + np.sqrt(b)) ** 2
        return Cause("missing", self.base.deviance - deviance - expected, {"spectrum": w, "image": image})

    def varying(self, seen, scale):
        """Let each parameter differ from place to place, and give the one that gains most."""
        found = sorted(
            ((value[0], int(name.partition(":")[2])) for name, value in seen.items() if name.startswith("varying")),
            reverse=True,
        )
        drops = [(max(scale * drop, self.local(q)), q) for drop, q in found[: self.settings.n_refined]]
        drops.sort(reverse=True)
        return [Cause("varying", drops[0][0], {"drops": drops})] if drops else []

    def local(self, q):
        """Let a parameter differ from block to block, and give what that gains."""
        known = self.known
        grid = np.linspace(known.low[q], known.high[q], self.settings.n_grid)
        spectra = []
        for value in grid:
            x = self.x.copy()
            x[q] = value
            spectra.append(known.jacobian(x)[0])
        weight = self.base.weight[..., np.newaxis]
        y = (self.blocks.counts - self.blocks.background).T[..., np.newaxis] * weight
        left = []
        for A in spectra:
            Q = np.linalg.qr(A * weight)[0]
            left.append(np.sum((y - Q @ (Q.transpose(0, 2, 1) @ y))[..., 0] ** 2, axis=1))
        best = np.argmin(left, axis=0)
        found = Misfit(self.blocks, np.array(spectra)[best], self.blocks.background)
        freed = found.freed(found.along_spectra(self.D))
        more = np.sum(found.residual**2) - freed.chi_square
        return self.base.deviance - found.deviance + more - 2 * len(best) - self.D.shape[2]
