"""Point spread functions: how far a photon lands from where it came from."""

import astropy.units as u
import numpy as np
from scipy.linalg import toeplitz
from scipy.signal import fftconvolve
from scipy.special import ndtr

__all__ = ["GaussianBlur", "KernelBlur", "get_blur"]

_FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))


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
        """Convolve an image with the kernel; what leaves the image is lost. Rounding may go below zero."""
        return fftconvolve(image, self.kernel, mode="same")

    def unblur(self, image):
        """Correlate an image with the kernel, the adjoint of `blur`."""
        return fftconvolve(image, self.kernel[::-1, ::-1], mode="same")


def get_blur(psf, pixel_scale):
    """Make the blur that a point spread function stands for.

    Parameters
    ----------
    psf : `~astropy.units.Quantity`, array_like or None
        Full width at half maximum of a Gaussian, as an angle; or an image of the point spread function.
    pixel_scale : float
        Side of the pixels, arcsec.

    Returns
    -------
    blur : GaussianBlur, KernelBlur or None

    Raises
    ------
    ValueError
        If it is neither, is not positive, or the image has no middle pixel.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astro_lpalm.instrument.psf import get_blur
    >>> point = np.zeros((5, 5))
    >>> point[2, 2] = 100
    >>> get_blur(0.5 * u.arcsec, 0.984).blur(point)[2].round(1)
    array([ 0. ,  7.1, 68.5,  7.1,  0. ])
    """
    if psf is None:
        return None
    problem = "give the FWHM of a Gaussian as an angle, such as 0.5 * astropy.units.arcsec, or an image of odd sides"
    try:
        values = psf.to_value(u.arcsec) if isinstance(psf, u.Quantity) else np.asarray(psf, dtype=float)
    except (u.UnitConversionError, TypeError, ValueError) as error:
        msg = f"psf={psf!r} is not a point spread function; {problem}."
        raise ValueError(msg) from error
    if isinstance(psf, u.Quantity):
        if np.ndim(values) != 0 or not 0 < values < np.inf:
            msg = f"psf={psf!r} is not a positive angle; {problem}."
            raise ValueError(msg)
        return GaussianBlur(float(values) / pixel_scale / _FWHM_PER_SIGMA)
    if values.ndim != 2 or values.shape[0] % 2 == 0 or values.shape[1] % 2 == 0:
        msg = f"psf has shape {values.shape}, which has no pixel in the middle; {problem}."
        raise ValueError(msg)
    if not np.isfinite(values).all() or values.min() < 0 or not values.any():
        msg = "the image of the psf must be finite, not negative, and not zero everywhere."
        raise ValueError(msg)
    return KernelBlur(values)
