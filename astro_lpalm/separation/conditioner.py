"""What conjugate gradients for fields are preconditioned with: what the data say of the waves in each place."""

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, grid_sample, pad

from .._matrices import inverses

__all__ = ["FieldConditioner", "average_conditioner"]

_CENTRES = 0.35, 0.06  # cycles a pixel; longer waves are known as those of the last band are, but for their amplitudes
_CELLS = 4.0  # for a wave, over which, and the ones beside it, the precision of the data is averaged
_ROUNDING = 1e-6  # of what the data say of all fields: of a mixture of them it is not known to be less
_TINY = 1e-30


class FieldConditioner:
    r"""Approximate inverse of :math:`1 + J^T F J`, J making fields of waves, and F being what the data say of fields.

    Were the data as precise everywhere as they are in one place, the inverse would be known for each wave:
    :math:`(1 + C^T a F a C)^{-1}`, a being the amplitudes of its fields and C what mixes these. So waves are split
    into bands that overlap smoothly, and each band, as an image, is multiplied in each place with that matrix of the
    waves in its middle. Within a band the other ones differ from these as they would on average over the image.

    Parameters
    ----------
    prior : `~astro_lpalm.sources.FieldPrior`
    precisions : list of (`torch.Tensor`, callable or None)
        Fisher matrices of the fields in a pixel, (F, F, ny * nx); and for data that are blurred the part of a wave's
        amplitude that is left, by its frequency in cycles a pixel.

    Examples
    --------
    >>> import torch
    >>> from astro_lpalm.separation.conditioner import FieldConditioner
    >>> from astro_lpalm.sources import FieldGrid, FieldPrior, PowerSpectrum
    >>> grid = FieldGrid((16, 16))
    >>> prior = FieldPrior(grid, [PowerSpectrum.power_law(1.0, 3.0, grid.longest)])
    >>> waves = grid.draw(1, torch.Generator().manual_seed(0))
    >>> nothing = torch.zeros(1, 1, 256)
    >>> bool(torch.allclose(FieldConditioner(prior, [(nothing, None)])(waves), waves, atol=1e-4))
    True
    """

    def __init__(self, prior, precisions):
        grid, device = prior.grid, prior.factor.device
        k = grid.k * grid.pitch
        lefts = [_left(part, k) for _, part in precisions]
        average = average_conditioner(prior, precisions)
        self.root, self.bands = torch.sqrt(average), []
        for window in _windows(k):
            band, weights = _Band(grid, window, device), window**2 * np.maximum(grid.weights, _TINY)
            weights /= weights.sum()
            n_cells = _CELLS * np.sum(weights * k)
            known = sum(
                band.averaged(each, n_cells) * float(np.sum(weights * left))
                for (each, _), left in zip(precisions, lefts)
            )
            size, by = (
                torch.exp((torch.log(each.double().clamp_min(_TINY)) * _tensor(weights, device)).sum(dim=(1, 2)))
                for each in (prior.amplitudes, average)
            )
            band.take(known, prior.factor.T.double() * size, torch.sqrt(by))
            self.bands.append(band)

    def __call__(self, waves):
        """Multiply waves with it."""
        waves = self.root * waves
        return self.root * sum(band(waves) for band in self.bands)


def average_conditioner(prior, precisions):
    """Give the same, a number for each wave, were the data as precise everywhere as on average over the image."""
    k, n, whole = prior.grid.k * prior.grid.pitch, prior.grid.n_waves, 0.0
    for each, part in precisions:
        mean = torch.diagonal(each).sum(dim=0)[:, None, None] / n
        whole = whole + mean * _tensor(_left(part, k), mean.device)
    return prior.conditioner(whole)


def _left(part, k):
    return np.ones_like(k) if part is None else part(k) ** 2


def _windows(k):
    """Split frequencies, in cycles a pixel, into bands: windows whose squares add to one."""
    bands = np.arange(len(_CENTRES))
    place = np.interp(-np.log(np.maximum(k, _TINY)), -np.log(_CENTRES), bands)
    return [np.where(np.abs(place - i) < 1, np.cos(0.5 * np.pi * (place - i)), 0.0) for i in bands]


class _Band:
    """Waves of a band as images, of no more pixels than it takes."""

    def __init__(self, grid, window, device):
        self.grid, self.window = grid, torch.as_tensor(window, dtype=torch.float32, device=device)
        rows, columns = np.nonzero(window)
        self.ny, self.nx = int(np.minimum(rows, grid.padded[0] - rows).max()), int(columns.max())  # the shortest waves
        self.shape = tuple(
            min(next_fast_len(2 * n + 2, real=True), side) for n, side in zip((self.ny, self.nx), grid.padded)
        )

    def averaged(self, images, n_cells):
        """Average images, (F, F, ny nx), over so many cells a pixel; gives values at the pixels of the band."""
        (ny, nx), device = self.grid.shape, images.device
        whole = torch.zeros((1, len(images) ** 2, *self.grid.padded), device=device)
        whole[..., :ny, :nx] = images.reshape(1, -1, ny, nx)
        cells = [max(1, min(int(np.ceil(n_cells * side)), side)) for side in self.grid.padded]
        coarse = avg_pool2d(_wrapped(adaptive_avg_pool2d(whole, cells)), 3, stride=1)
        y, x = (  # from -1 to 1 over the cells and one beside them
            torch.as_tensor(2 * ((np.arange(own) / own + 0.5 / side) * n + 1) / (n + 2) - 1, dtype=torch.float32)
            for own, side, n in zip(self.shape, self.grid.padded, cells)
        )
        places = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1)[None].to(device)
        return grid_sample(_wrapped(coarse), places, align_corners=False)[0]

    def take(self, known, mix, root):
        """Take what the data say of the fields, (F F, ...), what mixes these, (F, F), and what others multiply with."""
        F = len(mix)
        matrix = torch.einsum("ia,abp,jb->ijp", mix, known.reshape(F, F, -1).double(), mix)
        own = torch.arange(F, device=mix.device)
        matrix[own, own] += 1.0 + _ROUNDING * matrix[own, own].sum(dim=0)
        found = inverses(matrix) / (root[:, None] * root)[:, :, None]
        self.inverse = found.float().reshape(F, F, *self.shape)

    def __call__(self, waves):
        used = torch.zeros((len(waves), self.shape[0], self.shape[1] // 2 + 1), dtype=waves.dtype, device=waves.device)
        self._copy(self.window * waves, used)
        images = torch.fft.irfft2(used, s=self.shape, norm="ortho")
        found = torch.zeros_like(images)
        for out, row in zip(found, self.inverse):
            for matrix, image in zip(row, images):
                out.addcmul_(matrix, image)
        whole = torch.zeros_like(waves)
        self._copy(torch.fft.rfft2(found, norm="ortho"), whole)
        return self.window * whole

    def _copy(self, source, target):
        low, high = np.s_[:, : self.ny + 1, : self.nx + 1], np.s_[:, -self.ny :, : self.nx + 1]
        target[low] = source[low]
        if self.ny:
            target[high] = source[high]


def _wrapped(images):
    return pad(images, (1, 1, 1, 1), mode="circular")


def _tensor(values, device):
    return torch.as_tensor(values, dtype=torch.float32, device=device)
