"""The starlet: an isotropic, undecimated wavelet transform that suits diffuse sky images."""

from dataclasses import dataclass

import numpy as np

from .base import as_float_images, check_coefficients, check_n_scales, check_size, is_tensor
from .lattice import Lattice

__all__ = ["Starlet"]

# Pixels smoothed at once: their temporaries stay in the processor's cache, which is what makes the transform fast.
_BLOCK = 2**17
# Noise is taken to be that of at least so many counts under the kernel of a scale: fewer say little about their mean.
_LEAST_COUNTS = 10.0


@dataclass(frozen=True)
class Starlet:
    """Isotropic undecimated wavelet transform with the cubic B-spline (B3) scaling function.

    Each scale smooths the image before it with the separable filter [1, 4, 6, 4, 1] / 16, its taps 2**(j-1) pixels
    apart at scale j ("à trous"), with mirror borders; the details of the scale are what the smoothing takes away. The
    sum of all details and of the last smooth image is therefore the image itself (Starck, Fadili & Murtagh 2007, IEEE
    Trans. Image Process. 16, 297).

    With a mask, every smoothing is a normalized convolution (Knutsson & Westin 1993): a weighted mean over the pixels
    that are not masked. The values of masked pixels are never used, and a constant image has no detail, however it is
    masked, so nothing rings at the mask's edge. Details of pixels next to a mask average over fewer pixels than `noise`
    assumes.

    The forward transform is not an orthogonal projection: the details of a sum of details and a coarse image made for
    the purpose are not the details put in, since details smoothed are not zero. As the truth to compare details with,
    take the forward transform of the true image.

    Parameters
    ----------
    n_scales : int
        Number of detail scales.

    Raises
    ------
    ValueError
        If ``n_scales`` is less than 1.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.transforms import Starlet
    >>> images = np.random.default_rng(0).normal(size=(3, 32, 40))
    >>> starlet = Starlet(n_scales=2)
    >>> details, coarse = starlet.forward(images)
    >>> [scale.shape for scale in details], coarse.shape
    ([(3, 32, 40), (3, 32, 40)], (3, 32, 40))
    >>> np.allclose(starlet.inverse(details, coarse), images)
    True
    """

    n_scales: int = 1

    def __post_init__(self):
        object.__setattr__(self, "n_scales", check_n_scales(self.n_scales))

    def __str__(self):
        return "starlet"

    def largest_n_scales(self, side):
        """Find how many scales fit into images with a shorter side of so many pixels: 2**n_scales is less than it."""
        return max(side - 1, 1).bit_length() - 1

    def forward(self, images, mask=None):
        """Details and coarse image of images.

        Parameters
        ----------
        images : array_like or `torch.Tensor`, shape (..., ny, nx)
            Images; all leading axes are kept. Float32 stays float32, everything else becomes float64. Tensors stay on
            their device and keep their gradients.
        mask : array_like of bool, shape (ny, nx), optional
            True for pixels to leave out.

        Returns
        -------
        details : list of array, each of shape (..., ny, nx)
            Detail coefficients, finest scale first; 0 in masked pixels.
        coarse : array, shape (..., ny, nx)
            The last smooth image; 0 in masked pixels.

        Raises
        ------
        ValueError
            If the images are not real or not of shape (..., ny, nx), are too small for ``n_scales`` (the largest
            allowed is given: 2**n_scales must be less than the shorter side), or the mask is of another shape or
            leaves no pixel.
        """
        if is_tensor(images):
            from ._torch import forward
        else:
            images, forward = as_float_images(images), _forward
        check_size(self, images.shape, largest=self.largest_n_scales)
        weights = None if mask is None else _mask_weights(mask, images.shape[-2:], self.n_scales)
        return forward(images, self.n_scales, weights)

    def thinned(self, images, shape, stride, mask=None):
        """Details of every so manieth pixel along both axes, and twice as many of the finest scale.

        Parameters
        ----------
        images : `~numpy.ndarray`, shape (k, ny, nx), or `~scipy.sparse.csr_array`, shape (k, ny * nx)
        shape : tuple of int
            (ny, nx).
        stride : int
            A power of two, larger than 1.
        mask : array_like of bool, shape (ny, nx), optional
            True for pixels to leave out.

        Returns
        -------
        list of `~numpy.ndarray`, each of shape (k, ny / step, nx / step)
            Those of `forward` to rounding, finest scale first; 0 in masked pixels.

        Examples
        --------
        >>> import numpy as np
        >>> from astro_lpalm.transforms import Starlet
        >>> images = np.random.default_rng(0).normal(size=(3, 32, 40))
        >>> whole, few = Starlet(2).forward(images)[0], Starlet(2).thinned(images, (32, 40), 4)
        >>> bool(np.allclose(few[0], whole[0][:, ::2, ::2]) and np.allclose(few[1], whole[1][:, ::4, ::4]))
        True
        """
        check_size(self, shape, largest=self.largest_n_scales)
        steps = [max(stride // 2, 1), *[stride] * (self.n_scales - 1)]
        lattice = Lattice(shape, self.n_scales, steps, mask)
        details, finer = [], None
        for scale, smooth in enumerate(lattice.smooth(images)):
            if scale > 0:
                step = steps[scale - 1]
                details.append(lattice.taken(finer, scale - 1, step) - lattice.taken(smooth, scale, step))
            finer = smooth
        return details

    def inverse(self, details, coarse):
        """Images from their details and coarse image.

        Parameters
        ----------
        details : list of array, each of shape (..., ny, nx)
            Detail coefficients, finest scale first.
        coarse : array, shape (..., ny, nx)
            The last smooth image.

        Returns
        -------
        images : array, shape (..., ny, nx)
            Their sum: exact to rounding in pixels that were not masked, 0 in those that were.

        Raises
        ------
        ValueError
            If there are more or fewer details than scales.
        """
        check_coefficients(self, details)
        images = coarse + details[-1]
        for detail in reversed(details[:-1]):
            images += detail
        return images

    def photon_noise(self, counts, mask=None, stride=1):
        """Estimate the photon noise in the details of an image of counts.

        Counts have the variance of their mean, which the image smoothed over the extent of the details stands for.

        Parameters
        ----------
        counts : `~numpy.ndarray`, shape (ny, nx)
            Image of counts.
        mask : `~numpy.ndarray` of bool, shape (ny, nx), optional
            True where a pixel is excluded.
        stride : int
            As that of `thinned`, for the noise of those details; 1 for all.

        Returns
        -------
        list of `~numpy.ndarray`, shape (ny, nx), or as thinned details have it
            A map of the standard deviation at each scale, positive everywhere.

        Examples
        --------
        >>> import numpy as np
        >>> from astro_lpalm.transforms import Starlet
        >>> transform = Starlet(2)
        >>> maps = transform.photon_noise(np.full((20, 20), 25.0))
        >>> [bool(np.allclose(each, 5 * level)) for each, level in zip(maps, transform.noise)]
        [True, True]
        """
        if stride > 1:
            check_size(self, counts.shape, largest=self.largest_n_scales)
            step = stride // 2
            lattice = Lattice(counts.shape, self.n_scales, [step] * self.n_scales, mask)
            smooth = lattice.smooth(np.asarray(counts, dtype=float)[np.newaxis])
            levels = [lattice.taken(each, scale, step)[0] for scale, each in enumerate(smooth)][1:]
            maps = [
                level * np.sqrt(np.maximum(coarser, _LEAST_COUNTS * level**2))
                for level, coarser in zip(self.noise, [*levels[1:], levels[-1]])
            ]
            return [maps[0], *(each[::2, ::2] for each in maps[1:])]
        details, smooth = self.forward(np.asarray(counts, dtype=float), mask)
        maps = []
        # Details extend over twice their scale's smoothing: they go with the next coarser image, if there is one.
        for level, next_detail in zip(self.noise[::-1], [0.0, *details[:0:-1]]):
            maps.append(level * np.sqrt(np.maximum(smooth, _LEAST_COUNTS * level**2)))
            smooth = smooth + next_detail
        return maps[::-1]

    @property
    def noise(self):
        """Standard deviation of each detail scale, finest first, for white noise of unit standard deviation.

        The l2 norm of the scale's 2-D filter, g_(j-1) x g_(j-1) - g_j x g_j with g_j the 1-D filter that leads from the
        image to smooth image j.

        Examples
        --------
        >>> from astro_lpalm.transforms import Starlet
        >>> [round(sigma, 4) for sigma in Starlet(3).noise]
        [0.8908, 0.2007, 0.0855]
        """
        size = 2 ** (self.n_scales + 2) - 3  # the filter of the coarsest scale
        before = np.zeros(size)
        before[size // 2] = 1
        noise = []
        for scale in range(self.n_scales):
            taps = np.zeros(2 ** (scale + 2) + 1)
            taps[:: 2**scale] = np.array([1, 4, 6, 4, 1]) / 16
            after = np.convolve(before, taps, mode="same")
            noise.append(float(np.sqrt((before @ before) ** 2 - 2 * (before @ after) ** 2 + (after @ after) ** 2)))
            before = after
        return noise


def _forward(images, n_scales, weights):
    shape = images.shape
    images = images.reshape(-1, *shape[-2:])
    if weights is not None:
        weights = [np.asarray(weight, dtype=images.dtype) for weight in weights]
    *details, coarse = [np.empty_like(images) for _ in range(n_scales + 1)]
    step = max(1, _BLOCK // (shape[-2] * shape[-1]))
    for start in range(0, len(images), step):
        block = slice(start, start + step)
        smooth = images[block]
        if weights is not None:
            smooth = np.where(weights[0] > 0, smooth, smooth.dtype.type(0))
        for scale, detail in enumerate(details):
            finer, smooth = smooth, _smooth(smooth, 2**scale)
            if weights is not None:
                smooth *= weights[scale]
            np.subtract(finer, smooth, out=detail[block])
        coarse[block] = smooth
    return [detail.reshape(shape) for detail in details], coarse.reshape(shape)


def _smooth(images, spacing):
    """Smooth images (k, ny, nx) with [1, 4, 6, 4, 1] / 16 along both axes, taps ``spacing`` pixels apart."""
    border = (2 * spacing, 2 * spacing)
    smooth = np.pad(images, ((0, 0), border, border), mode="reflect")
    # The filter is binomial: four sums of neighbours. This is fewer operations than five weighted taps, and the sums of
    # equal values are exact, so that a constant region has details of exactly zero.
    for _ in range(4):
        smooth = smooth[:, :-spacing] + smooth[:, spacing:]
    for _ in range(4):
        smooth = smooth[:, :, :-spacing] + smooth[:, :, spacing:]
    smooth *= smooth.dtype.type(1 / 256)
    return smooth


def _mask_weights(mask, shape, n_scales):
    """Factors, 0 in masked pixels, that make weighted means of smoothed images that were 0 in masked pixels."""
    mask = np.asarray(mask.cpu() if is_tensor(mask) else mask).astype(bool)
    if mask.shape != tuple(shape):
        msg = (
            f"the mask has shape {mask.shape} but the images have {tuple(shape)} pixels; give one mask for all of them."
        )
        raise ValueError(msg)
    if mask.all():
        msg = "the mask excludes every pixel, so there is nothing to transform; True means excluded."
        raise ValueError(msg)
    kept = np.where(mask, 0.0, 1.0)
    return [np.where(mask, 0, 1 / np.where(mask, 1, _smooth(kept[None], 2**scale)[0])) for scale in range(n_scales)]
