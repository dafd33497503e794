"""Orthogonal and stationary wavelets of PyWavelets behind the interface of the starlet."""

from dataclasses import dataclass

import numpy as np
import pywt

from .base import as_float_images, check_coefficients, check_n_scales, check_size, is_tensor

__all__ = ["Wavelet"]


@dataclass(frozen=True)
class Wavelet:
    """Two-dimensional orthogonal wavelet transform, decimated or stationary.

    The decimated transform is orthonormal (Mallat 1989); the stationary one keeps the coefficients of all shifts
    (Nason & Silverman 1995), three times the size of the images at each scale. Images are continued by mirroring until
    2**n_scales divides their sides, and periodically beyond, so any size will do.

    The coarse part is kept as an image: what the details alone do not give back. It is the usual approximation, seen
    in the pixels, so that linear operations across images may be done on it as on coefficients.

    Parameters
    ----------
    name : str
        Name of an orthogonal wavelet: ``haar``, ``db1`` to ``db38``, ``sym2`` to ``sym20``, ``coif1`` to ``coif17``.
    n_scales : int
        Number of detail scales.
    stationary : bool
        Whether to use the stationary transform.

    Raises
    ------
    ValueError
        If there is no orthogonal wavelet of that name, or ``n_scales`` is less than 1.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.transforms import Wavelet
    >>> images = np.random.default_rng(0).normal(size=(3, 32, 41))
    >>> wavelet = Wavelet("db2", n_scales=2)
    >>> details, coarse = wavelet.forward(images)
    >>> [scale.shape for scale in details], coarse.shape
    ([(3, 3, 16, 22), (3, 3, 8, 11)], (3, 32, 41))
    >>> np.allclose(wavelet.inverse(details, coarse), images)
    True
    """

    name: str = "db4"
    n_scales: int = 1
    stationary: bool = False

    def __post_init__(self):
        if self.name not in pywt.wavelist(kind="discrete") or not pywt.Wavelet(self.name).orthogonal:
            msg = (
                f"there is no transform '{self.name}'; choose 'starlet' or an orthogonal wavelet (haar, db1 to db38, "
                "sym2 to sym20, coif1 to coif17), which may have '-stationary' after its name."
            )
            raise ValueError(msg)
        object.__setattr__(self, "n_scales", check_n_scales(self.n_scales))

    def __str__(self):
        return self.name + "-stationary" * self.stationary

    def largest_n_scales(self, side):
        """Find how many scales fit into images with a shorter side of so many pixels, by PyWavelets' rule."""
        return pywt.dwt_max_level(side, self.name)

    def forward(self, images, mask=None):
        """Details and coarse image of images.

        Parameters
        ----------
        images : array_like or `torch.Tensor`, shape (..., ny, nx)
            Images; all leading axes are kept. Float32 stays float32, everything else becomes float64. Tensors go
            through NumPy and come back to their device; they may not require gradients.
        mask : array_like of bool, shape (ny, nx), optional
            Accepted only where it masks nothing.

        Returns
        -------
        details : list of array, each of shape (..., 3, my, mx)
            Horizontal, vertical and diagonal coefficients, finest scale first, on the images' continued grid: my and mx
            are halved at every scale, unless the transform is stationary.
        coarse : array, shape (..., ny, nx)
            The images without what the details hold.

        Raises
        ------
        ValueError
            If the images are not real or not of shape (..., ny, nx), are too small for ``n_scales`` (the largest
            allowed is given), or a pixel is masked: filters with negative taps cannot be normalized, so masked images
            need the starlet.
        """
        if mask is not None and bool(mask.any() if hasattr(mask, "any") else np.any(mask)):
            msg = f"'{self}' cannot leave out masked pixels; use the 'starlet' transform for images with a mask."
            raise ValueError(msg)
        if is_tensor(images):
            details, coarse = self.forward(images.cpu().numpy())
            return [_like(images, detail) for detail in details], _like(images, coarse)
        images = as_float_images(images)
        check_size(self, images.shape, largest=self.largest_n_scales)
        padding = [(0, -side % 2**self.n_scales) for side in images.shape[-2:]]
        padded = np.pad(images, [(0, 0)] * (images.ndim - 2) + padding, mode="reflect")
        if self.stationary:
            coefficients = pywt.swt2(padded, self.name, self.n_scales, trim_approx=True)
        else:
            coefficients = pywt.wavedec2(padded, self.name, "periodization", self.n_scales)
        details = [np.stack(detail, axis=-3) for detail in reversed(coefficients[1:])]
        return details, images - self._synthesis(details, images.shape[-2:])

    def inverse(self, details, coarse):
        """Images from their details and coarse image.

        Parameters
        ----------
        details : list of array, each of shape (..., 3, my, mx)
            Detail coefficients, finest scale first.
        coarse : array, shape (..., ny, nx)
            The coarse image.

        Returns
        -------
        images : array, shape (..., ny, nx)
            Exact to rounding where details and coarse image come from `forward`.

        Raises
        ------
        ValueError
            If there are more or fewer details than scales.
        """
        check_coefficients(self, details)
        if is_tensor(coarse):
            images = self.inverse([detail.cpu().numpy() for detail in details], coarse.cpu().numpy())
            return _like(coarse, images)
        return coarse + self._synthesis(details, coarse.shape[-2:])

    def photon_noise(self, counts, mask=None):
        """Give `noise`, the same everywhere: these details have no place among the pixels to take counts from.

        Parameters
        ----------
        counts : `~numpy.ndarray`, shape (ny, nx)
        mask : `~numpy.ndarray` of bool, shape (ny, nx), optional

        Returns
        -------
        list of float
        """
        return list(self.noise)

    @property
    def noise(self):
        """Standard deviation of each detail scale, finest first, for white noise of unit standard deviation: 1."""
        return [1.0] * self.n_scales

    def _synthesis(self, details, shape):
        """Images of this shape that the details alone give: the approximation is taken as zero."""
        coefficients = [np.zeros_like(details[-1][..., 0, :, :])]
        coefficients += [tuple(np.moveaxis(detail, -3, 0)) for detail in reversed(details)]
        if self.stationary:
            images = pywt.iswt2(coefficients, self.name)
        else:
            images = pywt.waverec2(coefficients, self.name, "periodization")
        return images[..., : shape[0], : shape[1]]


def _like(tensor, array):
    import torch

    return torch.from_numpy(np.ascontiguousarray(array)).to(tensor.device)
