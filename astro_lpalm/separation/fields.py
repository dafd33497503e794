"""Images and maps of parameters as fields: one posterior for all components, and its maximum by Newton's method."""

import logging
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from .columns import PhotonColumns, SeparableColumns
from .conditioner import FieldConditioner, average_conditioner

__all__ = ["FieldData", "FieldPosterior"]

log = logging.getLogger(__name__)

_TINY = 1e-30
_PIXELS_AT_ONCE = 2048
_LARGEST_STEP = 4.0  # of the logarithm of an image, in one step
_HALVINGS = 8


@dataclass(frozen=True)
class FieldData:
    """One observation on the pixels of the fields.

    Attributes
    ----------
    counts : `torch.Tensor` or PhotonColumns, shape (m, t)
    basis : `torch.Tensor`, shape (m, R)
        Vectors that the local spectra are sums of, as this instrument sees them.
    pixels : `torch.Tensor` of int, shape (t,)
        Where the observed pixels lie in the flattened image.
    exposure : `torch.Tensor`, shape (t,), or (E, t)
        Relative exposure; or of each part that it is a sum of, where it differs with energy.
    background : `torch.Tensor`, SeparableColumns or PhotonColumns, shape (m, t), or None
        Expected counts that belong to no component.
    blur : object or None
        What the point spread function does; see `ImageBlur`.
    amplitude : float
        What the background is multiplied by.
    energies : `torch.Tensor`, shape (m, E), or None
        The factors of energy bins in these parts.
    """

    counts: torch.Tensor | PhotonColumns
    basis: torch.Tensor
    pixels: torch.Tensor
    exposure: torch.Tensor
    background: torch.Tensor | SeparableColumns | PhotonColumns | None = None
    blur: object | None = None
    amplitude: float = 1.0
    energies: torch.Tensor | None = None


@dataclass
class _State:
    """Everything that follows from the waves."""

    waves: torch.Tensor
    fields: torch.Tensor
    images: torch.Tensor  # (n, ny * nx)
    x: torch.Tensor  # (q, ny * nx) scaled parameters
    channels: torch.Tensor  # (R, ny * nx): image times coefficient of each vector
    slopes: list  # of each parameter field: derivatives of the channels of its component
    value: float


class FieldPosterior:
    r"""The posterior probability of images and maps, all of them fields with Gaussian priors.

    Counts are Poisson with expectation :math:`E\,\mathrm{PSF} * \sum_k e^{u_k} a_k(\theta_k) + b`; the logarithms of
    the images, u, and the parameters that vary, through a sigmoid that keeps them in their ranges, are fields.

    Parameters
    ----------
    prior : `~astro_lpalm.sources.FieldPrior`
        Of the n images and the q parameters.
    data : list of FieldData
    table : `~astro_lpalm.spectra.LocalSpectraTable`
    means : array_like, shape (n + q,)
        What is added to the fields.

    Examples
    --------
    >>> import torch
    >>> from astro_lpalm.separation.fields import FieldData, FieldPosterior
    >>> from astro_lpalm.sources import FieldGrid, FieldPrior, PowerSpectrum
    >>> from astro_lpalm.spectra import LocalSpectraTable
    >>> grid = FieldGrid((8, 8))
    >>> prior = FieldPrior(grid, [PowerSpectrum.power_law(1.0, 3.0, grid.longest)] * 2)
    >>> table = LocalSpectraTable.fixed([[0.8, 0.3], [0.2, 0.7]])
    >>> counts = table.basis @ torch.tensor([[400.0], [100.0]]).expand(2, 64)
    >>> data = FieldData(counts, table.basis, torch.arange(64), torch.ones(64))
    >>> state, _, converged = FieldPosterior(prior, [data], table, [5.0, 5.0]).maximize(grid.zeros(2))
    >>> (state.images.mean(dim=1) / 100).round(), converged
    (tensor([4., 1.]), True)
    """

    def __init__(self, prior, data, table, means):
        self.prior, self.grid, self.data, self.table = prior, prior.grid, data, table
        self.n = int(table.owners.max()) + 1
        means = np.asarray(means, dtype=np.float32)
        self.means = torch.as_tensor(means, device=self.grid.device)[:, None, None]
        self.owners = torch.as_tensor(table.owners, device=self.grid.device)
        self.members = [np.flatnonzero(table.owners == k) for k in range(self.n)]
        self.members = [slice(each[0], each[-1] + 1) for each in self.members]

    def state(self, waves):
        """Compute what follows from the coefficients of the fields."""
        fields = self.prior.fields(waves) + self.means
        flat = fields.reshape(len(fields), -1)
        images = torch.exp(flat[: self.n])
        x, inner = self.table.inside(flat[self.n :])
        coefficients, derivatives = self.table.coefficients(x)
        channels = coefficients * images[self.owners]
        slopes = [
            derivative * (images[k] * inner[j])
            for j, ((k, _), derivative) in enumerate(zip(self.table.fields, derivatives))
        ]
        value = 0.5 * float(self.grid.inner(waves, waves).sum())
        value += sum(_likelihood(each, _detected(each, channels)) for each in self.data)
        return _State(waves, fields, images, x, channels, slopes, value)

    def detected(self, state, data):
        """Give what is expected of the components: vectors (m, R), their amounts (R, t), and whose they are (R,)."""
        amounts = _detected(data, state.channels).cpu().numpy()
        owners = np.tile(self.table.owners, len(amounts) // len(self.owners))
        return _basis(data).cpu().numpy(), amounts, owners

    def block_spectra(self, state, data, labels, n_blocks):
        """Sum the expected counts of each component over blocks of the observed pixels: (n, m, b)."""
        detected = _detected(data, state.channels)
        sums = torch.zeros((len(detected), n_blocks), dtype=torch.float64, device=detected.device)
        sums.index_add_(1, labels, detected.double())
        basis, repeat = _basis(data).double(), len(detected) // len(self.owners)
        owners = np.tile(self.table.owners, repeat)
        return np.stack([(basis[:, owners == k] @ sums[owners == k]).cpu().numpy() for k in range(self.n)])

    def gradient(self, state):
        """Gradient of minus the logarithm of the likelihood in the fields, (n + q, ny, nx), and the Fisher matrix."""
        back = torch.zeros_like(state.channels)
        fisher = _Fisher(self, state)
        for each in self.data:
            back += fisher.add(each)
        return self._pulled(state, back).reshape(state.fields.shape), fisher

    def _pulled(self, state, back):
        """From the gradient in the channels to that in the fields."""
        found = torch.empty((len(state.fields), back.shape[1]), dtype=back.dtype, device=back.device)
        for k, own in enumerate(self.members):
            found[k] = (back[own] * state.channels[own]).sum(dim=0)
        for j, (k, _) in enumerate(self.table.fields):
            found[self.n + j] = (back[self.members[k]] * state.slopes[j]).sum(dim=0)
        return found

    def _pushed(self, state, fields):
        """From a change of the fields, (n + q, pixels), to that of the channels."""
        found = state.channels * fields[self.owners]
        for j, (k, _) in enumerate(self.table.fields):
            found[self.members[k]] += state.slopes[j] * fields[self.n + j]
        return found

    def solve(self, fisher, wanted, condition, n_iter=60, tolerance=1e-2):
        """Solve (1 + A^T F A) waves = wanted by conjugate gradients, preconditioned; gives what is left, too.

        What is left, as a part, is that of the error in the norm of the matrix, as far as ``condition`` is its inverse.
        """
        inner = self.grid.inner
        x, r = torch.zeros_like(wanted), wanted.clone()
        y = condition(r)
        size = rho = float(inner(r, y).sum())
        p, n = y, 0
        while n < n_iter and rho > tolerance**2 * size:
            n += 1
            q = p + self.prior.adjoint(fisher(self.prior.fields(p)))
            alpha = rho / max(float(inner(p, q).sum()), _TINY)
            x += alpha * p
            r -= alpha * q
            y = condition(r)
            before, rho = rho, float(inner(r, y).sum())
            p = y + (rho / before) * p
        return x, (rho / max(size, _TINY)) ** 0.5, n

    def maximize(self, waves, n_rounds=10, tolerance=1e-2, n_iter=40):
        """Newton steps (Fisher scoring) to the maximum; ends when a step promises less than tolerance a pixel.

        They are cut short: what so few products do not find are waves that the data say little of in most places, and
        that are better left as smooth as they are.
        """
        state = self.state(waves)
        for n in range(1, n_rounds + 1):
            gradient, fisher = self.gradient(state)
            wanted = -(self.prior.adjoint(gradient) + state.waves)
            average = average_conditioner(self.prior, fisher.local_precisions)
            step, left, n_cg = self.solve(fisher, wanted, average.mul, n_iter)
            promise = float(self.grid.inner(wanted, step).sum())
            change = self.prior.fields(step)[: self.n].abs().max()
            share = min(1.0, _LARGEST_STEP / max(float(change), _TINY))
            waves, value = state.waves, state.value
            del state, gradient, fisher  # they are large, and a trial is as large again
            for _ in range(_HALVINGS):
                state = self.state(waves + share * step)
                if state.value < value:
                    break
                share *= 0.5
            else:
                return self.state(waves), n, promise < self.grid.n_waves
            gain = value - state.value
            log.debug("fields: step %d (%d products, %.1e left) by %.2f gains %.4g", n, n_cg, left, share, gain)
            if gain < tolerance * self.grid.n_waves and share == 1.0:
                return state, n, True
        return state, n_rounds, False

    def draw(self, fisher, generator, n_iter=200, tolerance=1e-2):
        """Draw a deviation from the maximum: coefficients with the covariance of the posterior's curvature."""
        noise = self.prior.adjoint(fisher.draw(generator))
        wanted = noise + self.grid.draw(len(self.prior), generator)
        return self.solve(fisher, wanted, fisher.conditioner, n_iter, tolerance)


class _Fisher:
    """The Fisher matrix of the fields: of each pixel, or through a point spread function."""

    def __init__(self, posterior, state):
        self.posterior, self.state = posterior, state
        self.precisions = []  # of each observation, in each pixel, as if nothing were blurred: (F, F, ny * nx)
        self.blurred = []

    def add(self, data):
        """Take an observation in; gives the gradient in the channels."""
        detected, basis = _detected(data, self.state.channels), _basis(data)
        F, n_pixels = len(self.state.fields), self.state.channels.shape[1]
        back, precision = torch.empty_like(detected), torch.zeros((F, F, n_pixels), device=detected.device)
        weights = None if data.blur is None else torch.empty(data.counts.shape, device=detected.device)
        for at in _chunks(data):
            expected = _expected(data, basis, detected, at)
            back[:, at] = basis.T @ (1.0 - data.counts[:, at] / expected)
            self._add_precision(precision, data, at, expected)
            if weights is not None:
                weights[:, at] = 1.0 / expected
        self.precisions.append(precision)
        if weights is not None:
            self.blurred.append((data, basis, weights))
        return _undetected(data, back, self.state.channels.shape)

    def _add_precision(self, precision, data, at, expected):
        posterior, state = self.posterior, self.state
        where = data.pixels[at]
        parts = [_seen(data, own, state.channels[own][:, where], at) for own in posterior.members]
        parts += [
            _seen(data, posterior.members[k], slope[:, where], at)
            for (k, _), slope in zip(posterior.table.fields, state.slopes)
        ]
        for i, first in enumerate(parts):
            weighted = first / expected
            for j in range(i, len(parts)):
                value = (weighted * parts[j]).sum(dim=0)
                precision[i, j, where] = value
                precision[j, i, where] = value

    @cached_property
    def local(self):
        """Of all that is not blurred, or None."""
        sharp = [each for each, data in zip(self.precisions, self.posterior.data) if data.blur is None]
        return sum(sharp) if sharp else None

    @cached_property
    def conditioner(self):
        """Approximate inverse of the matrix of all waves."""
        return FieldConditioner(self.posterior.prior, self.local_precisions)

    @property
    def local_precisions(self):
        """What each observation would tell in each pixel, if nothing were blurred, and what the blur leaves of it."""
        return [
            (each, None if data.blur is None else data.blur.transfer)
            for each, data in zip(self.precisions, self.posterior.data)
        ]

    def __call__(self, images):
        flat = images.reshape(len(images), -1)
        found = torch.zeros_like(flat)
        if self.local is not None:
            for i, row in enumerate(self.local):
                for j in range(len(flat)):
                    found[i].addcmul_(row[j], flat[j])
        for data, basis, weights in self.blurred:
            pushed = _detected(data, self.posterior._pushed(self.state, flat))
            back = torch.empty_like(pushed)
            for at in _chunks(data):
                back[:, at] = basis.T @ (weights[:, at] * (basis @ pushed[:, at]))
            found += self.posterior._pulled(self.state, _undetected(data, back, self.state.channels.shape))
        return found.reshape(images.shape)

    def lattice(self, largest):
        """Give what `FieldPrior.covariances` asks for, on squares of pixels, at most so many along a side."""
        F, *shape = self.state.fields.shape
        step, found = -(-max(shape) // largest), []
        for precision, left in self.local_precisions:
            # squares at the far edges have what is left
            pooled = torch.nn.functional.avg_pool2d(
                precision.reshape(1, F * F, *shape), step, ceil_mode=True, count_include_pad=False
            )
            matrices = pooled.reshape(F, F, *pooled.shape[-2:]).cpu().numpy().astype(float)
            found.append((matrices, left))
        return found

    def draw(self, generator):
        """Draw images whose covariance is this matrix."""
        state, found = self.state, 0.0
        for data in self.posterior.data:
            detected, basis = _detected(data, state.channels), _basis(data)
            back = torch.empty_like(detected)
            for at in _chunks(data):
                expected = _expected(data, basis, detected, at)
                white = torch.randn(expected.shape, generator=generator, device=expected.device)
                back[:, at] = basis.T @ (white * torch.rsqrt(expected))
            found = found + self.posterior._pulled(state, _undetected(data, back, state.channels.shape))
        return found.reshape(state.fields.shape)


def _chunks(data):
    return [slice(a, a + _PIXELS_AT_ONCE) for a in range(0, data.counts.shape[1], _PIXELS_AT_ONCE)]


def _basis(data):
    basis = data.basis if data.blur is None else data.blur.basis(data.basis)
    return basis if data.energies is None else torch.cat([basis * each[:, None] for each in data.energies.T], dim=1)


def _seen(data, own, amounts, at):
    """Give the counts of some vectors in some pixels, as if nothing were blurred."""
    if data.energies is None:
        return data.basis[:, own] @ (amounts * data.exposure[at])
    parts = zip(data.energies.T, data.exposure[:, at])
    return sum(each[:, None] * (data.basis[:, own] @ (amounts * exposure)) for each, exposure in parts)


def _detected(data, channels):
    """Give what reaches the observed pixels of images, (R, ny * nx)."""
    if data.blur is not None:
        channels = data.blur.forward(channels)
    channels = channels[:, data.pixels]
    if data.energies is None:
        return channels * data.exposure
    return (channels * data.exposure[:, None]).reshape(-1, channels.shape[1])


def _undetected(data, back, shape):
    """Apply the adjoint of `_detected`."""
    if data.energies is None:
        back = back * data.exposure
    else:
        back = (back.reshape(len(data.exposure), -1, back.shape[1]) * data.exposure[:, None]).sum(dim=0)
    images = torch.zeros((len(back), shape[1]), dtype=back.dtype, device=back.device)
    images[:, data.pixels] = back
    return images if data.blur is None else data.blur.adjoint(images)


def _expected(data, basis, detected, at):
    expected = basis @ detected[:, at]
    if data.background is not None:
        expected.add_(data.background[:, at], alpha=data.amplitude)
    # What is below that is not of the models, but of their interpolation.
    return expected.clamp_min_(_TINY).maximum(1e-7 * expected.sum(dim=0))


def _likelihood(data, detected):
    """Sum the expected counts less counts times their logarithm, in double precision."""
    basis, value = _basis(data), 0.0
    for at in _chunks(data):
        expected = _expected(data, basis, detected, at)
        value += float((expected - data.counts[:, at] * torch.log(expected)).sum(dim=1).double().sum())
    return value
