"""Gaussian random fields on the pixels of an image: what is known beforehand of an image, or a map, that is smooth."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.optimize import minimize

__all__ = ["FieldGrid", "PowerLaw"]

_PADDING = (
    1.15  # the fields are periodic; so much longer than the images, opposite edges have little to do with another
)


@dataclass(frozen=True)
class PowerLaw:
    r"""Power spectrum of a stationary field, :math:`S(k) \propto (k^2 + k_0^2)^{-\alpha / 2}`.

    Parameters
    ----------
    deviation : float
        Standard deviation of the field over scales from two pixels to the longest one.
    slope : float
        The index alpha.
    mean_deviation : float
        Standard deviation of the field's mean.
    """

    deviation: float
    slope: float
    mean_deviation: float = 10.0

    def density(self, k, longest):
        """Spectral density at frequencies k, cycles a pixel, of which 1 / longest are the lowest."""
        steps = np.geomspace(1 / longest, 0.5, 200)
        shape = _shape(steps, longest, self.slope)
        return self.deviation**2 * _shape(k, longest, self.slope) / np.trapezoid(2 * np.pi * steps * shape, steps)


def _shape(k, longest, slope):
    return (k**2 + longest**-2.0) ** (-0.5 * slope)


class FieldGrid:
    """Fields on the pixels of an image, made of white noise: as large as the image and some padding.

    Fields are sums of waves with coefficients of unit variance, times the root of their power spectrum. Coefficients
    are complex tensors of shape (F, Ny, Nx // 2 + 1), as `torch.fft.rfft2` has them of a real field of unit variance.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx), of the image.
    pitch : float
        Size of its pixels in those of the finest image: power spectra are the same for images that were binned.
    longest : float
        The longest scale, in pixels of the finest image.
    device : str or `torch.device`, optional
    """

    def __init__(self, shape, pitch=1.0, longest=None, device=None):
        self.shape, self.pitch = tuple(shape), float(pitch)
        self.padded = tuple(next_fast_len(int(np.ceil(_PADDING * side)), real=True) for side in shape)
        self.longest = _PADDING * pitch * max(shape) if longest is None else float(longest)
        ky, kx = np.fft.fftfreq(self.padded[0]), np.fft.rfftfreq(self.padded[1])
        self.k = np.hypot(ky[:, np.newaxis], kx) / self.pitch
        twice = np.full(kx.size, 2.0)
        twice[0] = 1.0
        if self.padded[1] % 2 == 0:
            twice[-1] = 1.0
        self.device = device
        self.twice = torch.as_tensor(twice, dtype=torch.float32, device=device)  # half of the waves are not kept
        self.n_waves = self.padded[0] * self.padded[1]

    def amplitudes(self, powers):
        """Roots of power spectra, shape (F, Ny, Nx // 2 + 1).

        Parameters
        ----------
        powers : sequence of PowerLaw
        """
        found = np.stack([np.sqrt(power.density(self.k, self.longest)) / self.pitch for power in powers])
        found[:, 0, 0] = [power.mean_deviation * np.sqrt(self.n_waves) for power in powers]
        return torch.as_tensor(found, dtype=torch.float32, device=self.device)

    def fields(self, waves, amplitudes):
        """Make fields, (F, ny, nx), of coefficients."""
        ny, nx = self.shape
        return torch.fft.irfft2(amplitudes * waves, s=self.padded, norm="ortho")[..., :ny, :nx]

    def adjoint(self, images, amplitudes):
        """Give the adjoint of `fields`, of images (F, ny, nx)."""
        return amplitudes * torch.fft.rfft2(images, s=self.padded, norm="ortho")

    def inner(self, a, b):
        """Scalar products of coefficients, those of the fields of white noise: shape (F,)."""
        return ((a.real * b.real + a.imag * b.imag) * self.twice).sum(dim=(-2, -1), dtype=torch.float64)

    def draw(self, n, generator):
        """Draw the coefficients of n fields of white noise."""
        white = torch.randn((n, *self.padded), generator=generator, device=self.device)
        return torch.fft.rfft2(white, norm="ortho")

    def zeros(self, n):
        """Coefficients of n fields that are zero."""
        return torch.zeros((n, self.padded[0], self.padded[1] // 2 + 1), dtype=torch.complex64, device=self.device)

    def moved(self, waves, amplitudes, finer, finer_amplitudes):
        """Take the coefficients of fields over to a grid of finer pixels, with no power on the new scales."""
        fields = torch.fft.irfft2(amplitudes * waves, s=self.padded, norm="ortho")
        ratio = finer.pitch / self.pitch
        sides = [(torch.arange(n, device=self.device) + 0.5) * ratio - 0.5 for n in finer.padded]
        fields = _interpolated(_interpolated(fields, sides[0], -2), sides[1], -1)
        return torch.fft.rfft2(fields, norm="ortho") / finer_amplitudes

    def fitted(self, power, squares):
        """Find the power law of the largest likelihood (Whittle 1953) of the squares of waves, without their mean.

        Parameters
        ----------
        power : PowerLaw
            Where to begin.
        squares : `~numpy.ndarray`, shape (Ny, Nx // 2 + 1)
            Expected squares of the coefficients of the field itself, in the units of `amplitudes` squared.

        Returns
        -------
        PowerLaw
        """
        weights = np.broadcast_to(self.twice.cpu().numpy(), self.k.shape).copy()
        weights[0, 0] = 0.0
        edges = np.geomspace(self.k[self.k > 0].min() * 0.999, self.k.max() * 1.001, 24)
        ring = np.digitize(self.k, edges).ravel()
        n = np.bincount(ring, weights.ravel())
        k, mean = (np.bincount(ring, (weights * each).ravel()) for each in (self.k, squares))
        n, k, mean = (each[n > 0] for each in (n, k, mean))
        k, mean = k / n, mean / n * self.pitch**2

        def cost(x):
            density = replace(power, deviation=np.exp(x[0]), slope=x[1]).density(k, self.longest)
            return np.sum(n * (np.log(density) + mean / density)) / n.sum()

        start = [np.log(power.deviation), power.slope]
        found = minimize(cost, start, bounds=[(-7.0, 3.0), (1.5, 6.0)], method="L-BFGS-B")
        return replace(power, deviation=float(np.exp(found.x[0])), slope=float(found.x[1]))


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
