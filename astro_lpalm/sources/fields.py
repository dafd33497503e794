"""Gaussian random fields on the pixels of an image: what is known beforehand of an image, or a map, that is smooth."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.integrate import trapezoid
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize

from .._matrices import inverses

__all__ = ["FieldGrid", "FieldPrior", "PowerSpectrum"]

_KNOTS = 1.5  # of a power spectrum, for each factor e in frequency
_HIGHEST = 0.75  # cycles a pixel: the corner of the Fourier plane is at 0.71
_CURVATURE = 0.7  # standard deviation of how much steeper the logarithm of a spectrum is after a knot than before
_SLOPE, _SLOPES = -3.0, 1.5  # of power spectra of images and maps: mean and standard deviation
_RINGS = 28  # of frequencies, that a spectrum is fitted to
_TINY, _FARTHEST = 1e-30, 100.0  # densities, and ratios of them in the logarithm: beyond these there are no numbers
_LARGEST_FALL = 1e-2  # of a spectral density, in a step of learning
_LEAST_KNOWN = 1e-3  # part of a wave that the data say
_REACH = 0.03  # wavelengths, over which the precision of the data is averaged
_SHRINKAGE = 0.02  # of correlations
_HIGHEST_KEPT = 0.5  # cycles a pixel, of fields that go to finer pixels
_PADDING = 1.15  # fields are periodic: of so much longer sides, opposite edges have little to do with each other


@dataclass(frozen=True)
class PowerSpectrum:
    """Power spectrum of a stationary field, smooth in the logarithms.

    Make one with `power_law`; `FieldPrior.learned` finds another.

    Parameters
    ----------
    frequencies : `~numpy.ndarray`, shape (K,)
        Cycles a pixel, each the same factor times the one before.
    logarithms : `~numpy.ndarray`, shape (K,)
        Of the spectral density there; in between, and beyond, it is interpolated linearly in the logarithms.
    mean_deviation : float
        Standard deviation of the field's mean.

    Examples
    --------
    >>> from astro_lpalm.sources import PowerSpectrum
    >>> power = PowerSpectrum.power_law(0.5, 3.0, 64)
    >>> round(power.deviation, 3)
    0.5
    >>> float((power.density(0.1) / power.density(0.2)).round(6))
    8.0
    """

    frequencies: np.ndarray
    logarithms: np.ndarray
    mean_deviation: float = 10.0

    @classmethod
    def power_law(cls, deviation, slope, longest, mean_deviation=10.0):
        """Make a power law.

        Parameters
        ----------
        deviation : float
            Standard deviation of the field over scales from two pixels to the longest one; a little more on the pixels
            of an image, which has few of the longest waves, and the corners of its Fourier plane.
        slope : float
            Minus the exponent.
        longest : float
            The longest scale, in pixels.
        mean_deviation : float
        """
        k = np.geomspace(1 / longest, _HIGHEST, max(int(np.ceil(_KNOTS * np.log(_HIGHEST * longest))), 2) + 1)
        steps = np.geomspace(1 / longest, 0.5, 200)
        variance = trapezoid(2 * np.pi * steps ** (1 - slope), steps)
        return cls(k, 2 * np.log(deviation) - slope * np.log(k) - np.log(variance), mean_deviation)

    def density(self, k):
        """Spectral density at frequencies k, in cycles a pixel."""
        return np.exp(self.weights(k) @ self.logarithms)

    @property
    def deviation(self):
        """Standard deviation of the field over scales from two pixels to the longest one."""
        k = np.geomspace(self.frequencies[0], 0.5, 200)
        return float(np.sqrt(trapezoid(2 * np.pi * k * self.density(k), k)))

    def fitted(self, k, n, density):
        """Find the spectrum that is nearest to measured densities, by the likelihood of Whittle (1953).

        Parameters
        ----------
        k, n, density : `~numpy.ndarray`, shape (rings,)
            Frequencies, numbers of waves that measured it, and the mean of what they did.

        Returns
        -------
        PowerSpectrum
        """
        knots, step = self.weights(k), np.log(self.frequencies[1] / self.frequencies[0])
        measured = np.log(np.maximum(density, _TINY))

        def cost(x):
            log_density, bend = knots @ x, np.diff(x, 2) / _CURVATURE
            tilt = (np.diff(x) / step - _SLOPE) / _SLOPES
            ratio = np.exp(np.minimum(measured - log_density, _FARTHEST))
            slope = 0.5 * knots.T @ (n * (1 - ratio))
            slope += np.convolve(bend, [1.0, -2.0, 1.0]) / _CURVATURE
            slope -= np.diff(np.pad(tilt, 1)) / (step * _SLOPES)
            return 0.5 * np.sum(n * (log_density + ratio)) + 0.5 * (bend @ bend + tilt @ tilt), slope

        return replace(self, logarithms=minimize(cost, self.logarithms, jac=True, method="L-BFGS-B").x)

    def weights(self, k):
        """Of the knots in the logarithm at frequencies k: shape (..., K)."""
        log_k = np.log(self.frequencies)
        place = (np.log(np.maximum(k, 0.5 * self.frequencies[0])) - log_k[0]) / (log_k[1] - log_k[0])
        below = np.clip(np.floor(place).astype(int), 0, len(log_k) - 2)
        part, knots = (place - below)[..., np.newaxis], np.arange(len(log_k))
        above = knots - below[..., np.newaxis]
        return np.where(above == 0, 1 - part, np.where(above == 1, part, 0.0))


class FieldGrid:
    """Fields on the pixels of an image, made of white noise: as large as the image and some padding.

    Waves are complex tensors of shape (F, Ny, Nx // 2 + 1), as `torch.fft.rfft2` has them of real fields, in its
    "ortho" norm: those of white noise have unit variance.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx), of the image.
    pitch : float
        Size of its pixels in those of the finest image: power spectra are the same for images that were binned.
    device : str or `torch.device`, optional

    Examples
    --------
    >>> import torch
    >>> from astro_lpalm.sources import FieldGrid
    >>> grid = FieldGrid((30, 40))
    >>> grid.padded
    (36, 48)
    >>> grid.draw(2, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 36, 25])
    """

    def __init__(self, shape, pitch=1.0, device=None):
        self.shape, self.pitch = tuple(shape), float(pitch)
        self.padded = tuple(next_fast_len(int(np.ceil(_PADDING * side)), real=True) for side in shape)
        self.longest = self.pitch * max(*self.padded, 4)  # of one pixel, too, longer than two
        ky, kx = np.fft.fftfreq(self.padded[0]), np.fft.rfftfreq(self.padded[1])
        self.k = np.hypot(ky[:, np.newaxis], kx) / self.pitch
        twice = np.full(kx.size, 2.0)
        twice[0] = 1.0
        if self.padded[1] % 2 == 0:
            twice[-1] = 1.0
        self.device = device
        self.twice = torch.as_tensor(twice, dtype=torch.float32, device=device)  # half of the waves are not kept
        self.n_waves = self.padded[0] * self.padded[1]

    def inner(self, a, b):
        """Scalar products of coefficients, those of the fields of white noise: shape (F,)."""
        return ((a.real * b.real + a.imag * b.imag) * self.twice).sum(dim=(-2, -1), dtype=torch.float64)

    @cached_property
    def weights(self):
        """How many waves of a real field each coefficient stands for, none for the mean: (Ny, Nx // 2 + 1)."""
        found = np.broadcast_to(self.twice.cpu().numpy(), self.k.shape).astype(float)
        found[0, 0] = 0.0
        return found

    @cached_property
    def rings(self):
        """Frequencies of rings in the Fourier plane, numbers of waves in them, and the ring of each wave."""
        edges = np.geomspace(self.k[self.k > 0].min() * 0.999, self.k.max() * 1.001, _RINGS)
        ring = np.unique(np.digitize(self.k, edges), return_inverse=True)[1].ravel()
        n = np.bincount(ring, self.weights.ravel())
        k = np.bincount(ring, (self.weights * self.k).ravel()) / np.maximum(n, 1)
        return k[1:], n[1:], ring  # the mean is a ring of its own, which does not count

    def ring_means(self, values):
        """Average values of waves, (Ny, Nx // 2 + 1) or flat, over the rings."""
        _, n, ring = self.rings
        return np.bincount(ring, self.weights.ravel() * np.ravel(values))[1:] / n

    def draw(self, n, generator):
        """Draw the coefficients of n fields of white noise."""
        white = torch.randn((n, *self.padded), generator=generator, device=self.device)
        return torch.fft.rfft2(white, norm="ortho")

    def zeros(self, n):
        """Coefficients of n fields that are zero."""
        return torch.zeros((n, self.padded[0], self.padded[1] // 2 + 1), dtype=torch.complex64, device=self.device)


class FieldPrior:
    """Gaussian fields of given power spectra, some of them correlated, made of white noise.

    Parameters
    ----------
    grid : FieldGrid
    spectra : sequence of F PowerSpectrum
    correlation : array_like, shape (F, F), optional
        Of the fields, at all frequencies; by default there is none.

    Examples
    --------
    >>> import torch
    >>> from astro_lpalm.sources import FieldGrid, FieldPrior, PowerSpectrum
    >>> grid = FieldGrid((64, 64))
    >>> prior = FieldPrior(grid, [PowerSpectrum.power_law(1.0, 2.6, grid.longest, mean_deviation=0.0)])
    >>> fields = prior.fields(grid.draw(1, torch.Generator().manual_seed(0)))
    >>> fields.shape, bool(0.5 < fields.std() < 2)
    (torch.Size([1, 64, 64]), True)
    """

    def __init__(self, grid, spectra, correlation=None):
        self.grid, self.spectra = grid, tuple(spectra)
        self.correlation = np.eye(len(self.spectra)) if correlation is None else np.asarray(correlation, dtype=float)
        self.factor = torch.as_tensor(np.linalg.cholesky(self.correlation), dtype=torch.float32, device=grid.device)
        found = np.stack([np.sqrt(each.density(grid.k)) / grid.pitch for each in self.spectra])
        found[:, 0, 0] = [each.mean_deviation * np.sqrt(grid.n_waves) for each in self.spectra]
        self.amplitudes = torch.as_tensor(found, dtype=torch.float32, device=grid.device)

    def __len__(self):
        return len(self.spectra)

    def coloured(self, waves):
        """Give the waves of the fields, of those of white noise."""
        return self.amplitudes * self._mixed(self.factor, waves)

    def fields(self, waves):
        """Make fields, (F, ny, nx), of the waves of white noise."""
        ny, nx = self.grid.shape
        return torch.fft.irfft2(self.coloured(waves), s=self.grid.padded, norm="ortho")[..., :ny, :nx]

    def adjoint(self, images):
        """Give the adjoint of `fields`, of images (F, ny, nx)."""
        waves = torch.fft.rfft2(images, s=self.grid.padded, norm="ortho")
        return self._mixed(self.factor.T, self.amplitudes * waves)

    def white(self, waves):
        """Give the waves of white noise, of those of the fields; the inverse of `coloured`, zero where that is."""
        whole = torch.where(self.amplitudes > 0, waves / self.amplitudes, 0.0)
        return self._mixed(torch.linalg.inv(self.factor), whole)

    def conditioner(self, precision):
        """Invert, for each wave alone, one plus what data of a precision, (F, 1, 1) or (F, Ny, Nk), say of it."""
        information = self._mixed(self.factor.T**2, precision * self.amplitudes**2)
        return 1.0 / (1.0 + information)

    def _mixed(self, factor, waves):
        shape = waves.shape
        return (factor.to(waves.dtype) @ waves.reshape(len(waves), -1)).reshape(shape)

    def transferred(self, waves, other):
        """Give the waves of white noise that make the same fields by another prior, on a grid of finer pixels."""
        fields = torch.fft.irfft2(self.coloured(waves), s=self.grid.padded, norm="ortho")
        ratio = other.grid.pitch / self.grid.pitch
        for axis, n in zip((-2, -1), other.grid.padded):
            places = (torch.arange(n, device=fields.device) + 0.5) * ratio - 0.5
            fields = _interpolated(fields, places, axis)
        found = torch.fft.rfft2(fields, norm="ortho")
        new = other.grid.k > _HIGHEST_KEPT / self.grid.pitch  # scales that the coarser pixels tell nothing of
        return other.white(torch.where(torch.as_tensor(new, device=found.device), 0.0, found))

    def covariances(self, precisions):
        """Approximate the posterior covariances of the fields.

        Waves of each place are known as if the data were everywhere as precise as they are there, on average over the
        length of the wave.

        Parameters
        ----------
        precisions : list of (array_like, callable or None)
            Fisher matrices of the fields in a pixel, (F, F, ly, lx), on a lattice over the image; and for data that are
            blurred the part of a wave's amplitude that is left, by its frequency in cycles a pixel.

        Returns
        -------
        by_ring : `~numpy.ndarray`, shape (rings, F, F)
            Of the waves at the rings of frequencies, averaged over the image, for fields of unit variance.
        variances : `~numpy.ndarray`, shape (F, ly, lx)
            Of the fields.
        """
        shape = precisions[0][0].shape[2:]
        step = [side / coarse for side, coarse in zip(self.grid.shape, shape)]
        k, n, _ = self.grid.rings
        size = np.stack([np.sqrt(each.density(k)) / self.grid.pitch for each in self.spectra], axis=1)  # (rings, F)
        inverse, by_ring = np.linalg.inv(self.correlation), []
        mean = np.array([each.mean_deviation for each in self.spectra]) * np.sqrt(self.grid.n_waves)
        whole = sum(each for each, _ in precisions)
        variances = self._known(inverse, mean, whole.mean(axis=(2, 3), keepdims=True))[1]
        variances = np.broadcast_to(variances / self.grid.n_waves, (len(self), *shape)).copy()
        for frequency, number, each in zip(k * self.grid.pitch, n, size):
            width = [_REACH / frequency / side for side in step]
            left = sum(each if part is None else part(frequency) ** 2 * each for each, part in precisions)
            smooth = gaussian_filter(left, width, axes=(2, 3), mode="nearest", truncate=2.5)
            known, variance = self._known(inverse, each, smooth)
            by_ring.append(known)
            variances += number / self.grid.n_waves * variance
        return np.array(by_ring), variances

    @staticmethod
    def _known(inverse, size, precisions):
        """Mean covariance of unit fields, and the variances of fields of this size, where the data have precisions."""
        F, _, *shape = precisions.shape
        inner = np.outer(size, size)[:, :, np.newaxis] * precisions.reshape(F, F, -1)
        found = inverses(inner + inverse[:, :, np.newaxis])
        variances = size[:, np.newaxis] ** 2 * found[range(F), range(F)]
        return found.mean(axis=-1), variances.reshape(F, *shape)

    def learned(self, waves, covariances, correlated=0):
        """Find the prior that is most likely, step by step.

        For fields that may be correlated by the step of MacKay (1992, doi:10.1162/neco.1992.4.3.415): the squares of
        waves count as far as the data, rather than the prior, have said what they are; of scales that the data say
        nothing of, the spectrum goes on as it does on the others. For the other fields, of which only a few waves are
        known, by expectation and maximization, which does not leave what was assumed but for what the data say.

        Parameters
        ----------
        waves : `torch.Tensor`
            White noise, at the maximum of the posterior.
        covariances : `~numpy.ndarray`, shape (rings, F, F)
            See `covariances`.
        correlated : int
            So many fields, the first ones, may be correlated.

        Returns
        -------
        FieldPrior
        """
        grid = self.grid
        k, n, _ = grid.rings
        unit = self._mixed(self.factor, waves).reshape(len(waves), -1).cpu().numpy()
        spectra = []
        for i, power in enumerate(self.spectra):
            left = covariances[:, i, i]
            squares = grid.ring_means(unit[i].real ** 2 + unit[i].imag ** 2)
            if i < correlated:
                known = np.clip(1.0 - left, _LEAST_KNOWN, 1.0)
                ratio = np.maximum(squares / known, _LARGEST_FALL)
                spectra.append(power.fitted(k, n * known, power.density(k) * ratio))
            else:
                spectra.append(power.fitted(k, n, power.density(k) * (squares + left)))
        correlation = self.correlation.copy()
        if correlated > 1:
            own = slice(0, correlated)
            weight = np.gradient(np.log(k)) / np.log(k[-1] / k[0])  # all factors in frequency have the same
            products = np.array(
                [
                    [grid.ring_means((unit[i] * unit[j].conj()).real) for j in range(correlated)]
                    for i in range(correlated)
                ]
            )
            found = _normalized(np.tensordot(products + covariances[:, own, own].transpose(1, 2, 0), weight, 1))
            correlation[own, own] = _normalized((1 - _SHRINKAGE) * found + _SHRINKAGE * np.eye(correlated))
        return FieldPrior(grid, spectra, correlation)


def _normalized(matrix):
    size = np.sqrt(np.diag(matrix))
    return matrix / np.outer(size, size)


def _interpolated(fields, places, axis):
    """Interpolate periodic fields linearly along an axis."""
    size = fields.shape[axis]
    below = torch.floor(places)
    part = places - below
    if axis == -2:
        part = part[:, None]
    low = fields.index_select(axis, (below.long()) % size)
    high = fields.index_select(axis, (below.long() + 1) % size)
    return (1 - part) * low + part * high
