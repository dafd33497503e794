"""What a point spread function does to images of one size of pixels: how far a photon lands from where it came from."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import toeplitz
from scipy.signal import fftconvolve
from scipy.special import ndtr

__all__ = ["BlurTerm", "GaussianBlur", "KernelBlur"]


@dataclass(frozen=True, eq=False)
class BlurTerm:
    """One of the few blurs that a point spread function is made of which changes with energy and place.

    The photons of energy i that an image sends out arrive as the sum over all terms of
    ``energies[i] * kernel.blur(places * image)``. For each energy and place the weights of all terms have a sum of one,
    so that no photon is lost but over the edges.

    Parameters
    ----------
    energies : `~numpy.ndarray`, shape (m,)
        Weights of energy bins, of where photons are detected.
    places : `~numpy.ndarray`, shape (ny, nx), or None
        Weights of pixels, of where photons come from; None for ones.
    kernel : object
        ``blur(image)``, its adjoint ``unblur(image)``, and ``displacements(n, rng)`` of n photons, in pixels.

    See Also
    --------
    astro_lpalm.instrument.PSF.terms

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.instrument import BlurTerm
    >>> from astro_lpalm.instrument.blur import GaussianBlur
    >>> term = BlurTerm(np.ones(2), None, GaussianBlur(1.0))
    >>> term.kernel.blur(np.eye(3)).round(2)
    array([[0.2 , 0.19, 0.11],
           [0.19, 0.25, 0.19],
           [0.11, 0.19, 0.2 ]])
    """

    energies: np.ndarray
    places: np.ndarray | None
    kernel: object


class GaussianBlur:
    """A round Gaussian.

    Parameters
    ----------
    sigma : float
        Standard deviation along each axis, in pixels.
    """

    def __init__(self, sigma):
        self.sigma = sigma

    def displacements(self, n, rng):
        """Draw displacements of n photons, in pixels: arrays dy, dx of shape (n,)."""
        return self.sigma * rng.standard_normal((2, n))

    def blur(self, image):
        """Blur an image of expected photons, which start anywhere in their pixels; those that leave it are lost."""
        return self._weights(image.shape[0]) @ image @ self._weights(image.shape[1])

    unblur = blur
    """The adjoint of `blur`: as far goes a photon one way as the other."""

    def _weights(self, n):
        # Chance to go from anywhere in one pixel to anywhere in another one, k pixels away: the second difference of
        # F(x) = x Phi(x) + phi(x), the second integral of the normal density, which is taken on the side of its tail.
        x = -np.arange(-1, n + 1) / self.sigma
        second_integral = self.sigma * (x * ndtr(x) + np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi))
        return toeplitz(np.maximum(np.diff(second_integral, 2), 0.0))  # rounding errors go below zero


class KernelBlur:
    """An image of the point spread function.

    Parameters
    ----------
    kernel : `~numpy.ndarray`, shape (ky, kx)
        Sides of an odd number of pixels; the one in the middle stands for no displacement.
    """

    def __init__(self, kernel):
        self.kernel = kernel / kernel.sum()

    def displacements(self, n, rng):
        """Draw displacements of n photons, whole pixels: arrays dy, dx of shape (n,)."""
        cumulative = np.cumsum(self.kernel)
        index = np.searchsorted(cumulative / cumulative[-1], rng.random(n), side="right")
        dy, dx = np.divmod(index, self.kernel.shape[1])
        return dy - self.kernel.shape[0] // 2, dx - self.kernel.shape[1] // 2

    def blur(self, image):
        """Convolve an image with the kernel; what leaves the image is lost."""
        return self._convolved(image, self.kernel)

    def unblur(self, image):
        """Correlate an image with the kernel, the adjoint of `blur`."""
        return self._convolved(image, self.kernel[::-1, ::-1])

    @staticmethod
    def _convolved(image, kernel):
        found = fftconvolve(image, kernel, mode="same")
        # Rounding errors go below zero, which no counts that are expected can be.
        return found if np.min(image) < 0 else np.maximum(found, 0.0)
