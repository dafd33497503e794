"""What an instrument does to the sky, in one object: response, point spread function and exposure."""

import os
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from .._files import naming, open_fits
from ._on_bins import as_response, response_on_bins
from .blur import BlurTerm
from .exposure import checked_exposure, open_exposure, read_exposure
from .psf import PSF
from .response import Response
from .vignetting import ExposureMaps, Vignetting

__all__ = ["Instrument"]

_LARGEST_ERROR = 0.1  # of a response that is known at all


@dataclass(frozen=True, eq=False, repr=False)
class Instrument:
    """What an instrument does to the photons of the sky; what is left out it does not do.

    Everything that is given is read and checked at once. `astro_lpalm.forward.ForwardModel.of` brings it to the energy
    bins and the pixels of a cube.

    Parameters
    ----------
    response : Response, tuple of 2 str or path, str or path, optional
        Effective area and energy redistribution: a response, the names of an ARF and an RMF, or that of an RMF that
        holds the area.
    psf : PSF, `~astropy.units.Quantity`, array_like, str or path, optional
        Point spread function: a `PSF`, what this takes as its profile, or the name of a FITS file (`PSF.read`).
    exposure : `~astropy.units.Quantity`, array_like, image HDU, str or path, or ExposureMaps, optional
        Exposure map: a FITS image, which goes to a cube's pixels by its WCS, or an array on them; or one number, which
        holds for all. A time, an effective area times a time, or relative numbers without a unit. Where the exposure
        differs with energy, `ExposureMaps`, or the file of a stack of such (`ExposureMaps.read`).
    gain_error, area_error : float
        How well the response is known: standard deviations of the relative errors of energies and of the effective
        area, at each of five energies. A fit of physical parameters takes them into account
        (`~astro_lpalm.spectra.ResponseErrors`). Chandra's calibration claims 0.003 and 0.03.

    Attributes
    ----------
    response : Response or None
    psf : PSF or None
    exposure : `~astropy.units.Quantity`, `~astropy.io.fits.ImageHDU`, ExposureMaps, or None

    Raises
    ------
    OSError
        If a file cannot be read.
    TypeError, ValueError
        If something is not what it should be; files are named.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astro_lpalm.instrument import Instrument
    >>> Instrument(psf=0.8 * u.arcsec, exposure=50 * u.ks)
    <Instrument: no response; PSF: Gaussian, FWHM 0.8 arcsec; exposure 50 ks>
    """

    response: Response | tuple | str | os.PathLike | None = None
    psf: PSF | u.Quantity | np.ndarray | str | os.PathLike | None = None
    exposure: u.Quantity | np.ndarray | fits.ImageHDU | ExposureMaps | str | os.PathLike | None = None
    gain_error: float = 0.0
    area_error: float = 0.0

    def __post_init__(self):
        for name in ("gain_error", "area_error"):
            if not 0 <= getattr(self, name) <= _LARGEST_ERROR:
                msg = f"{name} is {getattr(self, name)!r}, but must be a relative error from 0 to {_LARGEST_ERROR:g}."
                raise ValueError(msg)
        for name, checked in (("response", as_response), ("psf", PSF.of), ("exposure", _as_exposure)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checked(getattr(self, name)))

    def response_on(self, energy_edges: u.Quantity) -> Response | None:
        """Give the response whose channels are energy bins; see `response_on_bins`."""
        return None if self.response is None else response_on_bins(self.response, energy_edges)

    def blur_terms(
        self,
        pixels: u.Quantity | WCS,
        shape: tuple[int, int],
        energy_edges: u.Quantity,
        *,
        axis: SkyCoord | None = None,
    ) -> tuple[BlurTerm, ...]:
        """Give the blurs of images and their weights, none without a PSF; see `PSF.terms`."""
        return () if self.psf is None else self.psf.terms(pixels, shape, energy_edges, axis=axis)

    def exposure_on(self, wcs: WCS, shape: tuple[int, int]) -> u.Quantity | None:
        """Give the exposure of each pixel of images.

        Parameters
        ----------
        wcs : `~astropy.wcs.WCS`
            Celestial, of the images.
        shape : tuple of int
            Theirs, (ny, nx).

        Returns
        -------
        exposure : `~astropy.units.Quantity`, shape (ny, nx), or None
            In the unit in which it was given; of maps at several energies the mean.

        Raises
        ------
        ValueError
            If the map lies elsewhere, or an array has another shape.
        """
        if self.exposure is None:
            return None
        if isinstance(self.exposure, ExposureMaps):
            return self.exposure.exposures_on(wcs, shape).mean(axis=0)
        if isinstance(self.exposure, u.Quantity) and self.exposure.isscalar:
            return np.full(shape, self.exposure.value) * self.exposure.unit
        return read_exposure(self.exposure, wcs, shape)

    def vignetting_on(self, wcs: WCS, shape: tuple[int, int], energy_edges: u.Quantity) -> Vignetting | None:
        """Give how the exposure depends on energy, None where it is the same at all; see `ExposureMaps.on`."""
        return self.exposure.on(wcs, shape, energy_edges)[1] if isinstance(self.exposure, ExposureMaps) else None

    def __repr__(self):
        response = "no response" if self.response is None else repr(self.response)[1:-1]
        psf = "no PSF" if self.psf is None else repr(self.psf)[1:-1]
        return f"<{type(self).__name__}: {response}; {psf}; {_described(self.exposure)}>"


def _as_exposure(exposure):
    if isinstance(exposure, ExposureMaps):
        return exposure
    if isinstance(exposure, str | os.PathLike) and _is_stack(exposure):
        return ExposureMaps.read(exposure)
    if isinstance(exposure, int | float | list | tuple | np.ndarray):
        shape = np.shape(exposure)
        if len(shape) not in (0, 2):
            msg = f"exposure has shape {shape}; give one number, or an image, (ny, nx)."
            raise ValueError(msg)
        return checked_exposure(exposure, shape)
    with naming(exposure):
        return open_exposure(exposure)


def _is_stack(path):
    with open_fits(path, headers_only=True) as hdulist:
        axes = [hdu.header["NAXIS"] for hdu in hdulist if hdu.is_image]
    return 3 in axes and 2 not in axes


def _described(exposure):
    if exposure is None:
        return "no exposure"
    if isinstance(exposure, ExposureMaps):
        return f"exposure of {repr(exposure).split(': ')[1][:-1]}"
    if isinstance(exposure, u.Quantity) and exposure.isscalar:
        return f"exposure {exposure:g}"
    unit = exposure.unit if isinstance(exposure, u.Quantity) else exposure.header.get("BUNIT", "")
    largest = np.max(exposure.value if isinstance(exposure, u.Quantity) else exposure.data)
    return f"exposure map of {' x '.join(map(str, exposure.shape[::-1]))} pixels, up to {largest:.4g} {unit}".rstrip()
