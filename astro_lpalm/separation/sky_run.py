"""Smooth images of all components, and maps of the parameters that vary: coarse to fine, in turns with the physics."""

import logging
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.ndimage import map_coordinates

from ..sources import FieldPrior, PowerSpectrum
from ..spectra import LocalSpectraTable
from .fields import FieldPosterior
from .physical import fit_parameters
from .sky_data import SkyFit, SkyLevel
from .variation import varying_parameters

__all__ = ["SkyRun"]

log = logging.getLogger(__name__)

_TINY = 1e-30


@dataclass
class SkyRun:
    """One fit: see `SkyFitter`, whose settings it has."""

    settings: object
    data: list
    spectra: np.ndarray
    fluxes: np.ndarray
    blocks: np.ndarray
    physics: object
    physical: object
    device: object
    widths: dict = field(default_factory=dict)  # of the parameters that vary
    mapped: list = field(default_factory=list)  # those that have fields, in their order
    made: tuple | None = None  # the last table of local spectra, and what it is of

    def __post_init__(self):
        self.theta = None if self.physical is None else self.physical.theta.copy()
        self.generator = torch.Generator(device=self.device or "cpu").manual_seed(self.settings.seed)
        self.shape = self.data[0].kept.shape
        unlike = len(self.data) > 1 or any(each.vignetting is not None for each in self.data)
        self.unlike = unlike and self.physical is not None  # blocks have not seen the same of the spectra
        sums = [each.sums(self.blocks, self.blocks.max() + 1) for each in self.data]
        self.counts, self.background = (np.concatenate(each) for each in zip(*sums))
        self.free = [each.free for each in self.data]

    @property
    def _amplitudes(self):
        """Of the background of each observation."""
        return np.broadcast_to(1.0 if self.physical is None else self.physical.background_amplitude, len(self.data))

    def _level(self, pitch):
        return SkyLevel(self.data, self.blocks, pitch, self.device)

    def fit(self, vary, n_samples):
        """Fit; arguments are those of `SkyFitter`."""
        pitches = [1]
        while max(self.shape) / (2 * pitches[0]) >= self.settings.coarsest:
            pitches.insert(0, 2 * pitches[0])
        level, settled = self._level(pitches[0]), True
        prior = self._first_prior(level)
        state, prior, converged = self._learned(level, prior, level.grid.zeros(len(prior)), n_rounds=20)
        if vary is not None:
            state, prior, settled, converged = self._in_turns(level, prior, state, vary, converged)
        for pitch in pitches[1:]:
            finer = self._level(pitch)
            new = FieldPrior(finer.grid, prior.spectra, prior.correlation)
            waves = prior.transferred(state.waves, new)
            level, prior = finer, new
            state, prior, converged = self._learned(level, prior, waves)
        if self.widths or self.unlike:
            waves = self._physical_step(level, prior, state)
            state, _, converged = self._posterior(level, prior).maximize(waves, n_rounds=6)
            settled = settled and self.physical.converged
        return self._result(level, prior, state, n_samples, settled and converged)

    def _first_prior(self, level):
        s = self.settings
        own = PowerSpectrum.power_law(s.deviation, s.slope, level.grid.longest)
        return FieldPrior(level.grid, [own] * len(self.fluxes))

    def _varying(self):
        """Give the parameters of each component that vary."""
        places = [[] for _ in range(self.spectra.shape[1])]
        for place in self.widths:
            name = self.physics.parameters[place].component
            places[self.physics.component_names.index(name)].append(place)
        return places

    @property
    def _table(self):
        """Local spectra about the parameters, as they are now."""
        if not self.widths:
            return LocalSpectraTable.fixed(
                self.spectra if self.physical is None else self.physical.common_spectra, self.device
            )
        varying = self._varying()
        about = self.theta.tobytes(), varying
        if self.made is None or self.made[0] != about:
            self.made = about, LocalSpectraTable(self.physics, self.theta, varying, self.device)
        return self.made[1]

    def _posterior(self, level, prior):
        table = self._table
        n_pixels = max(max(each.counts.shape[1] for each in self.data), 1)
        means = np.log(np.maximum(self.fluxes, 1e-3 * self.counts.sum() / n_pixels) / n_pixels * level.pitch**2)
        theta = [table.outside(self.theta[place]) for _, place in table.fields]
        return FieldPosterior(prior, level.seen(table.basis, self._amplitudes), table, np.concatenate([means, theta]))

    def _learned(self, level, prior, waves, n_rounds=8):
        state, *_ = self._posterior(level, prior).maximize(waves, n_rounds=n_rounds)
        for _ in range(self.settings.n_learned):  # priors are learned well enough from nearly the maximum
            before = state.fields
            prior, waves, variances = self._learn(level, prior, state.waves)
            state, *_ = self._posterior(level, prior).maximize(waves, n_rounds=2)
            change = ((state.fields - before) ** 2).mean(dim=(1, 2)).cpu().numpy()
            if np.all(change < self.settings.settled**2 * variances.mean(axis=(1, 2))):
                break
        state, _, converged = self._posterior(level, prior).maximize(state.waves, n_rounds=n_rounds)
        return state, prior, converged

    def _learn(self, level, prior, waves):
        posterior = self._posterior(level, prior)
        state = posterior.state(waves)
        _, fisher = posterior.gradient(state)
        covariances, variances = prior.covariances(fisher.lattice(self.settings.lattice))
        new = prior.learned(state.waves, covariances, correlated=len(self.fluxes))
        return new, new.white(prior.coloured(state.waves)), variances

    def _in_turns(self, level, prior, state, vary, converged):
        """Find fields for the physical parameters, and these for the fields, until the fluxes do not change."""
        waves, settled, change = state.waves, False, 0.0
        for n in range(self.settings.n_rounds):
            more, asked = {}, vary is not True or change < self.settings.ready
            if vary is True and asked:
                more = self._choose(level, prior, waves)
            elif n == 0 and vary is not True:
                more = dict(vary)
            self.widths |= more
            if more:
                prior, waves = self._with_maps(level, prior, waves)
            if not self.widths:
                return state, prior, True, converged
            state, *_ = self._posterior(level, prior).maximize(waves, n_rounds=8)
            before, errors = self.physical.fluxes, self.physical.flux_errors
            waves = self._physical_step(level, prior, state, self.settings.n_draws)
            change = np.max(np.abs(self.physical.fluxes - before) / np.maximum(errors, _TINY))
            log.debug("maps: round %d, %s, fluxes change by %.2f of their errors", n + 1, self._names(), change)
            prior, waves, _ = self._learn(level, prior, waves)
            if n > 2 and asked and not more and change < self.settings.settled:
                settled = True
                break
        state, prior, converged = self._learned(level, prior, waves)
        return state, prior, settled, converged

    def _names(self):
        parameters = self.physics.parameters
        return ", ".join(f"{parameters[place].component} {parameters[place].name}" for place in self.widths)

    def _with_maps(self, level, prior, waves):
        """Take fields for parameters in that had none."""
        s, n, grid = self.settings, len(self.fluxes), level.grid
        old = dict(zip(self.mapped, zip(prior.spectra[n:], waves[n:])))
        self.mapped = [place for places in self._varying() for place in places]
        fields = [
            old[place]
            if place in old
            else (
                PowerSpectrum.power_law(self.widths[place], s.map_slope, grid.longest, s.mean_deviation),
                grid.zeros(1)[0],
            )
            for place in self.mapped
        ]
        correlation = np.eye(n + len(fields))
        correlation[:n, :n] = prior.correlation[:n, :n]
        new = FieldPrior(grid, [*prior.spectra[:n], *(power for power, _ in fields)], correlation)
        return new, torch.stack([*waves[:n], *(wave for _, wave in fields)])

    def _choose(self, level, prior, waves):
        """Find one more parameter to vary, where the data ask for it."""
        local = None
        if self.widths or self.unlike:
            posterior = self._posterior(level, prior)
            local = self._local(level, posterior, posterior.state(waves))
        rows = [each.counts.shape[0] for each in self.data]
        background = np.repeat(self._amplitudes, rows)[:, np.newaxis] * self.background
        return varying_parameters(
            self.counts, self.physics, self.theta, known=self.widths, background=background, local=local
        )

    def _local(self, level, posterior, state):
        base = self.physics.spectra(self.theta) if self.widths else self.physical.common_spectra
        return level.local_spectra(posterior, state, base)

    def _physical_step(self, level, prior, state, n_draws=8000):
        """Fit the physical parameters again, with the fields as they are; gives their waves about the new means."""
        waves = self._centred(level, prior, state)
        posterior = self._posterior(level, prior)
        state = posterior.state(waves)
        self.physical = fit_parameters(
            self.counts,
            self.physics,
            self.theta,
            background=self.background,
            free_background=self.free,
            local=self._local(level, posterior, state),
            deviations=level.deviations(posterior, state),
            n_draws=n_draws,
        )
        self.theta, self.fluxes = self.physical.theta.copy(), self.physical.fluxes
        return waves

    def _centred(self, level, prior, state):
        """Have the maps vary about their means, weighted with the images, and the means be the parameters."""
        posterior, waves = self._posterior(level, prior), state.waves.clone()
        for j, (k, place) in enumerate(posterior.table.fields):
            row = len(self.fluxes) + j
            values, image = state.fields[row].double(), state.images[k].reshape(level.grid.shape).double() + _TINY
            mean = float((image * values).sum() / image.sum())
            by = mean - float(posterior.means[row])
            waves[row, 0, 0] -= by * level.grid.n_waves**0.5 / prior.amplitudes[row, 0, 0]
            self.theta[place] = float(posterior.table.inside(torch.tensor(mean))[0])
        return waves

    def _result(self, level, prior, state, n_samples, converged):
        posterior = self._posterior(level, prior)
        state = posterior.state(state.waves)
        _, fisher = posterior.gradient(state)
        n, shape = len(self.fluxes), self.shape
        samples, unsolved = self._draws(posterior, state, fisher, n_samples)
        side = 4 * self.settings.lattice
        variance = prior.covariances(fisher.lattice(side))[1]
        at = [
            (np.arange(n_side) + 0.5) / -(-max(shape) // side) - 0.5 for n_side in shape
        ]  # the last square may be cut
        variance = np.stack(
            [map_coordinates(each, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest") for each in variance]
        )
        # What maps would be known to, but for their means, if the data said nothing.
        nothing = prior.covariances([(np.zeros((len(prior), len(prior), 1, 1)), None)])[1]
        nothing = nothing - np.reshape([each.mean_deviation**2 for each in prior.spectra], (-1, 1, 1))
        images = state.images.reshape(n, *shape).cpu().numpy()
        by_spectra, by_means = self._of_parameters(posterior, images, state)
        spread = torch.as_tensor(np.sqrt(variance[n:] + by_means), dtype=torch.float32, device=state.fields.device)
        x = state.x.reshape(-1, *shape).cpu().numpy()
        coefficients = posterior.table.coefficients(state.x)[0]
        above, below = (posterior.table.inside(state.fields[n:] + each)[0] for each in (spread, -spread))
        return SkyFit(
            images=images,
            image_errors=np.sqrt(images**2 * variance[:n] + by_spectra),
            fields=posterior.table.fields,
            maps=x,
            map_errors=0.5 * (above - below).cpu().numpy(),
            undecided=variance[n:] > self.settings.known * nothing[n:],
            basis=posterior.table.basis.cpu().numpy(),
            coefficients=coefficients.reshape(-1, *shape).cpu().numpy(),
            owners=posterior.table.owners,
            physical=self.physical,
            samples=samples,
            unsolved=unsolved,
            prior=prior,
            converged=converged,
            detected=[posterior.detected(state, each) for each in posterior.data] if self.unlike else [],
        )

    def _draws(self, posterior, state, fisher, n_samples):
        """Draw images and maps, with the parameters that all pixels have in common."""
        images, maps, unsolved, n, shape = [], [], 0.0, len(self.fluxes), self.shape
        for i in range(n_samples):
            deviation, left, _ = posterior.draw(fisher, self.generator, self.settings.n_products, self.settings.exact)
            unsolved = max(unsolved, left)
            drawn = posterior.state(state.waves + deviation)
            image, fields = drawn.images.reshape(n, *shape).cpu().numpy(), drawn.fields[n:]
            if self.physical is not None:
                place = i * len(self.physical.draws) // n_samples
                theta = self.physical.draws[place]
                change = self.physics.spectra(theta) - self.physics.spectra(self.theta)
                more = self.physical.background_draws[place] - self._amplitudes
                image = np.maximum(image - self._moved(image, change, more), 0.0)
                means = [posterior.table.outside(theta[place]) for _, place in posterior.table.fields]
                shift = torch.as_tensor(np.array(means), dtype=torch.float32, device=fields.device)
                fields = fields + (shift - posterior.means[n:, 0, 0])[:, None, None]
            images.append(image)
            maps.append(posterior.table.inside(fields)[0].cpu().numpy())
        return (np.stack(images), np.stack(maps)) if images else (), unsolved

    def _demixing(self):
        """Make images of counts, with the mean spectra: (n, m)."""
        A, variance = self.physical.spectra, np.maximum(self.counts.sum(axis=1), 1.0)
        return np.linalg.pinv(A.T @ (A / variance[:, np.newaxis]), hermitian=True) @ (A.T / variance)

    def _moved(self, images, change, more):
        """Give what a change of the spectra, (m, n), and of the backgrounds' amplitudes, (o,), takes from images."""
        solve = self._demixing()
        moved, first = np.tensordot(solve @ change, images, 1), 0
        for data, by in zip(self.data, more):
            last = first + data.counts.shape[0]
            if data.free:
                exposure = 1.0 if data.exposure is None else np.maximum(data.exposure[data.kept], _TINY)
                moved[:, data.kept] += by * data.background.project(solve[:, first:last]) / exposure
            first = last
        return moved

    def _of_parameters(self, posterior, images, state):
        """Variances of the images, (n, ny, nx), and of the maps, (q, 1, 1), by the errors of the parameters."""
        if self.physical is None:
            return 0.0, np.zeros((0, 1, 1))
        ways = zip(self.physical.directions, self.physical.background_directions)
        by_spectra = sum(self._moved(images, *way) ** 2 for way in ways)
        means = []
        for j, (_, place) in enumerate(posterior.table.fields):
            slope = float(posterior.table.inside(posterior.means[len(self.fluxes) + j])[1])
            means.append(self.physical.covariance[place, place] / slope**2)
        return by_spectra, np.reshape(means, (-1, 1, 1))
