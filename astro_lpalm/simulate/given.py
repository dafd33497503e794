"""What a caller of the simulation gives: units, checks, and fluxes folded into counts."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.modeling import Model

from .._files import open_fits
from .._headers import header_text
from ..instrument.exposure import checked_exposure
from ..missions import APPROXIMATE
from ..spectra import integrate
from .event_list import SKY_PIXEL, SKY_SIZE

__all__ = [
    "check_images_and_spectra",
    "checked_center",
    "checked_pixel_scale",
    "checked_time",
    "fold_fluxes",
    "instrument_of",
    "plain_values",
    "relative_exposure",
]

_FLUX = u.photon / (u.cm**2 * u.s)
_MOST_EXPOSURE = 10.0  # of a relative exposure map


def fold_fluxes(images, spectra, response, exposure, pixel_scale):
    """Turn photon fluxes into counts and count spectra."""
    images = u.Quantity(images, dtype=float)
    if images.unit.is_equivalent(_FLUX / u.sr):
        images = images * pixel_scale**2
    images = plain_values(images, _FLUX, "images, with a response,")
    if not isinstance(spectra, np.ndarray) and any(isinstance(each, Model) for each in spectra):
        spectra = np.column_stack([_photons(each, response) for each in spectra])
    spectra = np.asarray(plain_values(spectra, _FLUX, "spectra, with a response,"))
    check_images_and_spectra(images, spectra, ("the response's true energies", len(response.energy_edges)))
    rate = np.asarray(response.fold(spectra.T))  # count / s of as many photon / (cm2 s) as there are in spectra
    photons = spectra.sum(axis=0)
    area = rate.sum(axis=1) / np.where(photons > 0, photons, 1.0)
    return images * (exposure.to_value(u.s) * area)[:, np.newaxis, np.newaxis], rate.T


def instrument_of(table, folder):
    """Give TELESCOP and INSTRUME of what a table [response] is of; "" where the RMF does not say."""
    if "instrument" in table:
        known = APPROXIMATE[table["instrument"]]
        return known.telescope, known.instrument
    with open_fits(folder / table["rmf"], headers_only=True) as hdulist:
        said = [[header_text(hdu.header, key, "the RMF") for key in ("TELESCOP", "INSTRUME")] for hdu in hdulist]
    return max(said, key=lambda texts: sum(map(bool, texts)))


def _photons(spectrum, response):
    return integrate(spectrum, response.energy_edges).value if isinstance(spectrum, Model) else spectrum


def plain_values(values, unit, what):
    """Values in a unit, which those without any are taken to be in."""
    try:
        values = u.Quantity(values, dtype=float)
        return values.value if values.unit == u.dimensionless_unscaled else values.to_value(unit)
    except (u.UnitConversionError, TypeError, ValueError) as error:
        msg = f"{what} must be in {unit}: {error}."
        raise ValueError(msg) from error


def check_images_and_spectra(images, spectra, energies):
    """Refuse images (n, ny, nx) and spectra (m, n) that do not fit, or hold what no counts can be."""
    what, n_edges = energies
    expected = (n_edges - 1, len(images))
    if images.ndim != 3 or spectra.shape != expected:
        msg = (
            f"images has shape {images.shape} and spectra {spectra.shape}; expected (n, ny, nx) and, for "
            f"{n_edges} {'energy edges' if what == 'energy_edges' else f'edges of {what}'}, (m, n) = {expected}."
        )
        raise ValueError(msg)
    for what, array in (("images", images), ("spectra", spectra)):
        if not np.all(array >= 0) or not np.isfinite(array).all():
            msg = f"{what} must not be negative, NaN or infinite: they are expected counts."
            raise ValueError(msg)
    missing = np.flatnonzero(images.any(axis=(1, 2)) & ~spectra.any(axis=0))
    if missing.size:
        msg = f"component {missing[0]} has counts in its image, but its spectrum is zero at all energies."
        raise ValueError(msg)


def checked_time(exposure):
    """Give the exposure in seconds."""
    try:
        exposure = u.Quantity(exposure).to(u.s)
        good = exposure.isscalar and 0 < exposure.value < np.inf
    except (u.UnitConversionError, TypeError):
        good = False
    if not good:
        msg = f"exposure={exposure!r} must be a positive time with a unit, for instance 50 * astropy.units.ks."
        raise ValueError(msg)
    return exposure


def checked_center(center):
    """Give the centre in ICRS."""
    if not isinstance(center, SkyCoord) or not center.isscalar:
        msg = f"center must be a single astropy SkyCoord, not {center!r}."
        raise ValueError(msg)
    return center.icrs


def checked_pixel_scale(pixel_scale, shape):
    """Give the pixel scale in arcsec, with which the images fit on Chandra's."""
    try:
        scale = u.Quantity(pixel_scale).to(u.arcsec)
    except (u.UnitConversionError, TypeError) as error:
        msg = f"pixel_scale={pixel_scale!r} must be an angle with a unit, for instance 1 * astropy.units.arcsec."
        raise ValueError(msg) from error
    if not 0 < scale < np.inf * u.arcsec:
        msg = f"pixel_scale={pixel_scale} must be a positive angle."
        raise ValueError(msg)
    if not 0 < scale * max(shape, default=1) <= SKY_SIZE * SKY_PIXEL:
        msg = (
            f"images of {' x '.join(map(str, shape[::-1]))} pixels of {pixel_scale} do not fit on Chandra's sky image "
            f"of {SKY_SIZE} x {SKY_SIZE} pixels of {SKY_PIXEL}."
        )
        raise ValueError(msg)
    return scale


def relative_exposure(exposure_map, shape, exposure):
    """Give the exposure map relative to the full exposure, or None."""
    exposure_map = checked_exposure(exposure_map, shape, what="exposure_map", where="the images")
    if exposure_map is None:
        return None
    if exposure_map.unit.is_equivalent(u.s):
        return (exposure_map / exposure).to_value(u.dimensionless_unscaled)
    largest = exposure_map.value.max()
    if exposure_map.unit != u.dimensionless_unscaled:
        return exposure_map.value / largest
    if largest > _MOST_EXPOSURE:
        msg = (
            f"exposure_map goes up to {largest:g} times the full exposure: it looks like one in s or cm2 s "
            "without its unit; multiply it by that (in a file: BUNIT), or divide it by its largest value."
        )
        raise ValueError(msg)
    return exposure_map.value
