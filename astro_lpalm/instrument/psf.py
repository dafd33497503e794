"""Point spread functions as they are given: the width of a Gaussian, or an image."""

import math
import os
from dataclasses import dataclass
from typing import Self

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import ArrayLike

from .._files import naming
from .._headers import header_number, header_text
from .._memory import check_memory
from ..grid.resample import open_image
from ..grid.sky import celestial_cards, celestial_wcs, is_upright, square_pixels
from .blur import GaussianBlur, KernelBlur

__all__ = ["PSF", "image_scale"]

_FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))
_ROUNDING = 1e-6  # pixels
_PROBLEM = "give the FWHM of a Gaussian as an angle, such as 0.5 * astropy.units.arcsec, or an image of odd sides"


@dataclass(frozen=True, eq=False, repr=False)
class PSF:
    """Point spread function: where the photons of a point source land.

    The same at all energies and places. Read one from a FITS image with `PSF.read`.

    Parameters
    ----------
    profile : `~astropy.units.Quantity`, or array_like of shape (ky, kx)
        Full width at half maximum of a round Gaussian, as an angle; or an image, of which only ratios count. Its sides
        have an odd number of pixels, the one in the middle stands for no displacement, and its axes are those of the
        images that are blurred.
    pixel_scale : `~astropy.units.Quantity`, optional
        Angle that a pixel of the image subtends. By default it is in the pixels, whatever they are, of what is blurred.

    Raises
    ------
    ValueError
        If the profile is neither a positive angle nor such an image, or the pixel scale is not a positive angle.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astro_lpalm.instrument import PSF
    >>> point = np.zeros((5, 5))
    >>> point[2, 2] = 100
    >>> psf = PSF(0.5 * u.arcsec)
    >>> psf
    <PSF: Gaussian, FWHM 0.5 arcsec>
    >>> psf.on_pixels(0.984 * u.arcsec).blur(point)[2].round(1)
    array([ 0. ,  7.1, 68.5,  7.1,  0. ])
    >>> PSF([[0, 1, 0], [1, 4, 1], [0, 1, 0]], pixel_scale=0.492 * u.arcsec)
    <PSF: image of 3 x 3 pixels of 0.492 arcsec>
    """

    profile: u.Quantity | np.ndarray
    pixel_scale: u.Quantity | None = None

    def __post_init__(self):
        object.__setattr__(self, "profile", _checked_profile(self.profile))
        if self.pixel_scale is None:
            return
        if self.is_gaussian:
            msg = f"pixel_scale={self.pixel_scale} belongs to an image of the psf; a Gaussian has none: leave it out."
            raise ValueError(msg)
        object.__setattr__(self, "pixel_scale", _positive_angle(self.pixel_scale, "pixel_scale"))

    @classmethod
    def read(cls, path: str | os.PathLike, *, pixel_scale: u.Quantity | None = None) -> Self:
        """Read the FITS image of a point spread function.

        Parameters
        ----------
        path : str or `os.PathLike`
            The file, of which the first two-dimensional image is taken, or ``"file.fits[EXTENSION]"``.
        pixel_scale : `~astropy.units.Quantity`, optional
            Angle that a pixel subtends; by default what the header says.

        Returns
        -------
        PSF

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If there is no image, it is no point spread function, or its pixel scale is not known; names the file.

        Notes
        -----
        The scale is that of the celestial WCS, which CIAO's images of simulated rays have (thread "Creating an Image of
        the PSF"); north must be up, and east to the left. Images in coordinates of a detector, as OGIP memo
        CAL/GEN/92-027 has them, tell it by CDELT where CUNIT is an angle; how they are turned is up to the caller.

        Examples
        --------
        >>> from astro_lpalm.instrument import PSF
        >>> psf = PSF.read("psf.fits")  # doctest: +SKIP
        """
        with naming(path):
            image, header = open_image(path, "the psf")
            scale = image_scale(header) if pixel_scale is None else pixel_scale
            if scale is None:
                msg = (
                    "the psf's header has no celestial WCS, nor CDELT in an angle (CUNIT), so how large its pixels are "
                    "is not known; give pixel_scale."
                )
                raise ValueError(msg)
            return cls(image, scale)

    @classmethod
    def of(cls, psf: Self | u.Quantity | ArrayLike | str | os.PathLike) -> Self:
        """Take a PSF as it is, make one of a width or an image, or read the file of that name."""
        if isinstance(psf, cls):
            return psf
        return cls.read(psf) if isinstance(psf, str | os.PathLike) else cls(psf)

    @property
    def is_gaussian(self) -> bool:
        """Whether it is a Gaussian, and no image."""
        return isinstance(self.profile, u.Quantity)

    def on_pixels(self, pixels: u.Quantity | WCS) -> object:
        """Make the blur of images of a given size of pixels.

        An image of other pixels is brought to these: its photons are displaced by whole pixels of its own, and start
        anywhere in a pixel of what is blurred. Where its pixels are the larger ones, the density is interpolated
        linearly between them. No photon is lost, and the mean displacement stays.

        Parameters
        ----------
        pixels : `~astropy.units.Quantity` or `~astropy.wcs.WCS`
            Angle that a pixel subtends, or the celestial WCS of the images, whose pixels must be square. With an image
            of the PSF that has a scale, north must be up and east to the left, as it is there.

        Returns
        -------
        blur : object
            ``blur(image)``, its adjoint ``unblur(image)``, and ``displacements(n, rng)`` of n photons, in pixels.

        Raises
        ------
        ValueError
            If the pixels are no positive angle, not square, or turned against the image of the PSF.
        """
        if isinstance(pixels, WCS):
            scale = square_pixels(pixels, "the images")
            if not self.is_gaussian and self.pixel_scale is not None and not is_upright(pixels):
                msg = (
                    "the images are turned or mirrored against that of the psf, which has north up and east to the "
                    "left; bin the events so, or give the width of a Gaussian."
                )
                raise ValueError(msg)
        else:
            scale = _positive_angle(pixels, "pixel_scale")
        if self.is_gaussian:
            return GaussianBlur(float(self.profile.value) / scale.to_value(u.arcsec) / _FWHM_PER_SIGMA)
        if self.pixel_scale is None:
            return KernelBlur(self.profile)
        ratio = float((self.pixel_scale / scale).to_value(u.one))
        halves = [_new_half(side, ratio) for side in self.profile.shape]
        check_memory("number of pixels of the psf on the images", (2 * halves[0] + 1) * (2 * halves[1] + 1), 8)
        down, across = (_regridding(side, half, ratio) for side, half in zip(self.profile.shape, halves))
        return KernelBlur(down @ self.profile @ across.T)

    def __repr__(self):
        if self.is_gaussian:
            return f"<PSF: Gaussian, FWHM {self.profile:g}>"
        pixels = "as large as those of what is blurred" if self.pixel_scale is None else f"of {self.pixel_scale:g}"
        return f"<PSF: image of {' x '.join(map(str, self.profile.shape[::-1]))} pixels {pixels}>"


def image_scale(header: fits.Header) -> u.Quantity | None:
    """Tell how large the pixels of a point spread function's image are.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        With a celestial WCS, or CDELT1 and CDELT2 with angles as CUNIT1 and CUNIT2.

    Returns
    -------
    `~astropy.units.Quantity` or None
        None where the header does not tell.

    Raises
    ------
    ValueError
        If pixels are not square, or north is not up and east not to the left.
    """
    wcs = celestial_wcs(celestial_cards(header))
    if wcs is not None:
        if not is_upright(wcs):
            msg = "the image of the psf must have square pixels, north up and east to the left; turn it so."
            raise ValueError(msg)
        return square_pixels(wcs, "the image of the psf").to(u.arcsec)
    steps = [header_number(header, f"CDELT{axis}", "the psf's header") for axis in (1, 2)]
    units = [header_text(header, f"CUNIT{axis}", "the psf's header") for axis in (1, 2)]
    if None in steps:
        return None
    try:
        first, second = (abs(step) * u.Unit(unit).to(u.arcsec) for step, unit in zip(steps, units))
    except (u.UnitConversionError, ValueError, TypeError):  # no unit, or that of a detector
        return None
    if not abs(first - second) <= 1e-3 * first:
        msg = f"pixels of the psf's image are {first:g} x {second:g} arcsec; they must be square."
        raise ValueError(msg)
    return first * u.arcsec


def _checked_profile(psf):
    try:
        values = psf.to_value(u.arcsec) if isinstance(psf, u.Quantity) else np.array(psf, dtype=float)
    except (u.UnitConversionError, TypeError, ValueError) as error:
        msg = f"psf={psf!r} is not a point spread function; {_PROBLEM}."
        raise ValueError(msg) from error
    if isinstance(psf, u.Quantity):
        if np.ndim(values) != 0 or not 0 < values < np.inf:
            msg = f"psf={psf!r} is not a positive angle; {_PROBLEM}."
            raise ValueError(msg)
        return psf.to(u.arcsec)
    if values.ndim != 2 or values.shape[0] % 2 == 0 or values.shape[1] % 2 == 0:
        msg = f"psf has shape {values.shape}, which has no pixel in the middle; {_PROBLEM}."
        raise ValueError(msg)
    if not np.isfinite(values).all() or values.min() < 0 or not values.any():
        msg = "the image of the psf must be finite, not negative, and not zero everywhere."
        raise ValueError(msg)
    return values


def _positive_angle(angle, name):
    try:
        angle = u.Quantity(angle).to(u.arcsec)
        good = angle.isscalar and 0 < angle.value < np.inf
    except (u.UnitConversionError, TypeError):
        good = False
    if not good:
        msg = f"{name}={angle!r} must be a positive angle with a unit, for instance 1 * astropy.units.arcsec."
        raise ValueError(msg)
    return angle


def _new_half(side, ratio):
    """Pixels on either side of the middle one that displacements in pixels of a ratio to them reach."""
    return max(math.ceil((side // 2) * ratio + max(ratio, 1.0) - _ROUNDING) - 1, 0)


def _regridding(side, half, ratio):
    """Weights, (2 half + 1, side), that bring displacements in pixels of a ratio to those of one."""
    widest = max(ratio, 1.0)
    new, old = np.arange(-half, half + 1), np.arange(side) - side // 2
    weights = np.maximum(1 - np.abs(new[:, np.newaxis] - ratio * old) / widest, 0)
    return weights / weights.sum(axis=0)
