"""Point spread functions on tensors of images: the few blurs that all energies and places are mixtures of."""

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.special import j0

__all__ = ["ImageBlur"]

_OUTSIDE = 0.01  # of the photons, that may come from beyond a margin
_LEAST = 1e-6  # of a kernel's photons, that may land outside of what is kept of it
_FREQUENCIES = np.linspace(0.0, 0.75, 151)  # cycles a pixel


class ImageBlur:
    """Blur images of many vectors at once.

    Parameters
    ----------
    terms : sequence of object
        With ``energies`` (m,), ``places`` (ny, nx) or None, and ``kernel``, such as `PSF.terms
        <astro_lpalm.instrument.PSF.terms>` makes.
    shape : tuple of int
        (ny, nx), of the images.
    device : str or `torch.device`, optional

    Attributes
    ----------
    reach : int
        Pixels within which nearly all photons of the widest of the terms land, along an axis.

    Examples
    --------
    >>> import astropy.units as u
    >>> import torch
    >>> from astro_lpalm.instrument import PSF
    >>> from astro_lpalm.separation import ImageBlur
    >>> psf = PSF([0.5, 0.9] * u.arcsec, energies=[1, 7] * u.keV)
    >>> blur = ImageBlur(psf.terms(0.5 * u.arcsec, (9, 9), [0.5, 1, 3, 5, 7] * u.keV), (9, 9))
    >>> image, spectrum = torch.zeros(1, 81), torch.full((4, 1), 0.25)
    >>> image[0, 40] = 1000.0  # in the middle
    >>> (blur.basis(spectrum) @ blur.forward(image))[:, 40].round()  # fewer of the harder photons stay there
    tensor([110., 101.,  81.,  62.])
    """

    def __init__(self, terms, shape, device=None):
        self.shape = tuple(shape)
        kernels = [_kernel(term.kernel, max(shape)) for term in terms]
        half = max(len(kernel) // 2 for kernel in kernels)
        self.padded = tuple(next_fast_len(side + half, real=True) for side in shape)
        self.energies = [torch.as_tensor(term.energies, dtype=torch.float32, device=device) for term in terms]
        self.places = [
            None if term.places is None else torch.as_tensor(term.places, dtype=torch.float32, device=device)
            for term in terms
        ]
        self.reach = max(map(_reach, kernels))
        waves = []
        for kernel in kernels:
            image = np.zeros(self.padded)
            own = len(kernel) // 2
            rows, columns = ((np.arange(-own, own + 1)) % side for side in self.padded)
            np.add.at(image, np.ix_(rows, columns), kernel)
            waves.append(torch.fft.rfft2(torch.as_tensor(image, dtype=torch.float32, device=device)))
        self.waves = waves
        shares = [np.mean(term.energies) * (1.0 if term.places is None else np.mean(term.places)) for term in terms]
        self._transfer = np.abs(sum(share * _transfer(kernel) for share, kernel in zip(shares, kernels)))

    def basis(self, basis):
        """Give the vectors, (m, R J), that what `forward` gives is multiplied with, of those of the images, (m, R)."""
        return torch.cat([basis * energies[:, None] for energies in self.energies], dim=1)

    def forward(self, channels):
        """Blur images, (R, ny nx), by each of the J terms: (R J, ny nx)."""
        images, found = channels.reshape(-1, *self.shape), []
        ny, nx = self.shape
        for places, wave in zip(self.places, self.waves):
            placed = images if places is None else images * places
            blurred = torch.fft.irfft2(torch.fft.rfft2(placed, s=self.padded) * wave, s=self.padded)[..., :ny, :nx]
            found.append(blurred.reshape(len(images), -1))
        return torch.cat(found)

    def adjoint(self, blurred):
        """Apply the adjoint of `forward`."""
        ny, nx = self.shape
        found = 0.0
        for images, places, wave in zip(blurred.reshape(len(self.waves), -1, ny, nx), self.places, self.waves):
            back = torch.fft.irfft2(torch.fft.rfft2(images, s=self.padded) * wave.conj(), s=self.padded)[..., :ny, :nx]
            found = found + (back if places is None else back * places)
        return found.reshape(len(found), -1)

    def transfer(self, k):
        """Give the part of a wave's amplitude that is left, on average over energies, places and directions.

        Parameters
        ----------
        k : `~numpy.ndarray`
            Frequencies, in cycles a pixel.

        Returns
        -------
        `~numpy.ndarray`, of the shape of k
        """
        return np.interp(k, _FREQUENCIES, self._transfer)


def _transfer(kernel):
    """Average over directions what is left of waves of few frequencies."""
    half = len(kernel) // 2
    radius = np.hypot(*np.indices(kernel.shape) - half)
    return np.array([np.sum(kernel * j0(2 * np.pi * k * radius)) for k in _FREQUENCIES])


def _reach(kernel):
    along = np.cumsum(kernel.sum(axis=0))
    return len(kernel) // 2 - int(np.searchsorted(along, 0.5 * _OUTSIDE * along[-1]))


def _kernel(blur, largest):
    """Make the image of a point in the middle, as large as it needs to be."""
    half = 1
    while True:
        point = np.zeros((2 * half + 1, 2 * half + 1))
        point[half, half] = 1.0
        kernel = np.maximum(blur.blur(point), 0.0)
        if kernel.sum() > 1 - _LEAST or half >= largest:
            return kernel
        half *= 2
