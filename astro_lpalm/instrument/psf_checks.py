"""What can be a point spread function, and how it is told in messages."""

import warnings

import astropy.units as u
import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

__all__ = ["checked_nodes", "checked_profile", "checked_slope", "positive_angle", "range_text"]

_FEW_PIXELS = 1.5  # by which the image of a source may be displaced, as pixels are not centred on it
_PROBLEM = "give the FWHM of a Gaussian as an angle, such as 0.5 * astropy.units.arcsec, or an image of odd sides"


def range_text(values):
    """Give one value, or the least and the largest of several, as text."""
    unit = f" {values.unit}" if isinstance(values, u.Quantity) else ""
    least, largest = (f"{getattr(each, 'value', each):g}" for each in (np.min(values), np.max(values)))
    return f"{least}{unit}" if least == largest else f"{least} to {largest}{unit}"


def checked_nodes(nodes, name, unit):
    """Give energies or angles that increase, as float64 in a unit; None stays."""
    if nodes is None:
        return None
    try:
        values = np.array(u.Quantity(nodes).to_value(unit), dtype=float)
    except (u.UnitConversionError, TypeError, ValueError):
        values = np.array(np.nan)
    if values.ndim != 1 or not (values.size and values[0] >= 0 and values[-1] < np.inf and (np.diff(values) > 0).all()):
        msg = f"{name}={nodes!r} must increase from 0 or more, and have a unit, such as [1, 5] * astropy.units.{unit}."
        raise ValueError(msg)
    return values * unit


def checked_profile(psf, shape):
    """Give widths in arcsec or images as float64, for nodes of a shape."""
    try:
        values = psf.to_value(u.arcsec) if isinstance(psf, u.Quantity) else np.array(psf, dtype=float)
    except (u.UnitConversionError, TypeError, ValueError) as error:
        msg = f"psf={psf!r} is not a point spread function; {_PROBLEM}."
        raise ValueError(msg) from error
    is_image = not isinstance(psf, u.Quantity)
    nodes = np.shape(values)[:-2] if is_image else np.shape(values)
    if nodes != shape and (shape or is_image):
        msg = (
            f"psf has shape {np.shape(values)}, but {'images' if is_image else 'widths'} for the energies and off_axis "
            f"angles that are given {'begin with' if is_image else 'are of'} {shape}: energies first, then angles."
        )
        raise ValueError(msg)
    if not is_image:
        if nodes != shape or not ((values > 0) & (values < np.inf)).all():
            msg = f"psf={psf!r} is not a positive angle; {_PROBLEM}."
            raise ValueError(msg)
        return psf.to(u.arcsec)
    if values.ndim < 2 or values.shape[-2] % 2 == 0 or values.shape[-1] % 2 == 0:
        msg = f"psf has shape {values.shape}, which has no pixel in the middle; {_PROBLEM}."
        raise ValueError(msg)
    if not np.isfinite(values).all() or values.min() < 0 or not values.any(axis=(-2, -1)).all():
        msg = "the image of the psf must be finite, not negative, and not zero everywhere."
        raise ValueError(msg)
    _warn_of_displacement(values)
    return values


def _warn_of_displacement(images):
    """Warn of an image whose brightest pixel and mean place both lie beside the middle: one alone may be its form."""
    ny, nx = images.shape[-2:]
    y, x = np.indices((ny, nx)) - np.reshape([ny // 2, nx // 2], (2, 1, 1))
    for image in images.reshape(-1, ny, nx):
        peak = np.array([each.flat[image.argmax()] for each in (x, y)], dtype=float)
        mean = np.array([(each * image).sum() / image.sum() for each in (x, y)])
        if min(np.hypot(*peak), np.hypot(*mean)) > _FEW_PIXELS and peak @ mean > 0:
            msg = (
                f"the image of the psf is brightest {peak[0]:g}, {peak[1]:g} pixels (x, y) from its middle, on average "
                f"{mean[0]:.3g}, {mean[1]:.3g}: the middle pixel is the place of the source, so smooth images would "
                "be displaced by as much. Cut the image around the source."
            )
            warnings.warn(msg, AstropyUserWarning, stacklevel=4)
            return


def checked_slope(slope, is_image, shape):
    """Give the slopes of King profiles, for nodes of a shape."""
    try:
        values = np.broadcast_to(np.array(slope, dtype=float), shape)
        good = bool(((values > 1) & (values < np.inf)).all()) and not is_image
    except (TypeError, ValueError):
        good = False
    if not good:
        msg = (
            f"slope={slope!r} must be greater than 1, one number or as many as core radii (shape {shape}), which are "
            "angles; see PSF.king."
        )
        raise ValueError(msg)
    return values


def positive_angle(angle, name):
    """Give a positive angle in arcsec."""
    try:
        angle = u.Quantity(angle).to(u.arcsec)
        good = angle.isscalar and 0 < angle.value < np.inf
    except (u.UnitConversionError, TypeError):
        good = False
    if not good:
        msg = f"{name}={angle!r} must be a positive angle with a unit, for instance 1 * astropy.units.arcsec."
        raise ValueError(msg)
    return angle
