"""Regions of the sky as masks: files of DS9 and CIAO, and objects of the `regions` package."""

import operator
import os

import numpy as np
from regions import PixCoord, PixelRegion, SkyRegion

from .region_files import is_region_table, read_region_file
from .region_shapes import ImageShape, and_not

__all__ = ["bounding_box", "is_region_table", "mask_outside", "part_shapes", "read_region"]


def read_region(region):
    """Read a region as a list of shapes.

    Parameters
    ----------
    region : str, `os.PathLike`, `~regions.Region` or list of `~regions.Region`
        Name of a DS9 or CIAO region file or of a FITS table of regions ("file.fits[EXTENSION]"), or shapes. Pixel
        shapes, and files in physical coordinates or (CIAO's habit) without a coordinate system, are in the sky pixels
        (X, Y) of the event list. Files in image coordinates are in the pixels of the image that is masked.

    Returns
    -------
    shapes : list of `~regions.Region` and `~astro_lpalm.cube.region_shapes.ImageShape`
        Pixel shapes count sky pixels from 0, as `regions` does: position (X - 1, Y - 1).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file has no shape, one that cannot be read, or unsuitable coordinates.
    TypeError
        If ``region`` is something else.
    """
    if isinstance(region, str | os.PathLike):
        return read_region_file(region)
    shapes = [region] if isinstance(region, PixelRegion | SkyRegion) else region
    try:
        shapes = list(shapes)
    except TypeError:
        shapes = [region]
    if not all(isinstance(shape, PixelRegion | SkyRegion) for shape in shapes):
        msg = (
            f"region must be a region file's name, a shape of the regions package or a list of shapes, not {region!r}."
        )
        raise TypeError(msg)
    if not shapes:
        msg = "region is an empty list: it holds no shape."
        raise ValueError(msg)
    return shapes


def mask_outside(shapes, sky_wcs, x, y):
    """Mask the pixels whose centres lie outside a region.

    A pixel is kept where it lies in any included shape and in no excluded one, whatever their order; a region of
    exclusions only is the whole image without them.

    Parameters
    ----------
    shapes : list of shapes
        From `read_region`.
    sky_wcs : `~astropy.wcs.WCS`
        WCS of the event list's sky pixels.
    x, y : `~numpy.ndarray`, shape (ny, nx)
        Pixel centres, in sky pixels counted from 1.

    Returns
    -------
    mask : `~numpy.ndarray` of bool, shape (ny, nx)
        True outside the region.

    Raises
    ------
    ValueError
        If no pixel is left.
    """
    included, excluded = part_shapes(shapes, sky_wcs)
    points = PixCoord(x - 1, y - 1), PixCoord(*np.meshgrid(*(np.arange(n) for n in x.shape[::-1])))
    inside = np.full(x.shape, not included)
    for shape in included:
        inside |= _contains(shape, *points)
    for shape in excluded:
        inside &= ~_contains(shape, *points)
    if not inside.any():
        msg = (
            f"the region leaves no pixel of the image, which spans x = {x.min():.6g} to {x.max():.6g} and "
            f"y = {y.min():.6g} to {y.max():.6g} in sky pixels: it lies off the image, or is smaller than a pixel."
        )
        raise ValueError(msg)
    return ~inside


def bounding_box(shapes, sky_wcs):
    """Find the sky pixels that the included shapes span.

    Parameters
    ----------
    shapes : list of shapes
        From `read_region`.
    sky_wcs : `~astropy.wcs.WCS`
        WCS of the event list's sky pixels.

    Returns
    -------
    bounds : tuple of 4 float, or None
        x0, x1, y0, y1; None where nothing is included, so that exclusions are cut out of everything.
    """
    boxes = []
    for shape in part_shapes(shapes, sky_wcs)[0]:
        if isinstance(shape, ImageShape):
            msg = (
                "the region is in image coordinates, which depend on how that image was binned; say which pixels the "
                "image has (bounds, or center and size), or save the region in fk5 or physical coordinates."
            )
            raise ValueError(msg)
        try:
            with np.errstate(all="ignore"):
                boxes.append(_box(shape))
        except ValueError as error:  # positions on the other side of the sky are NaN
            msg = (
                "the region cannot be projected on the image, since it lies too far from it on the sky; check the "
                "region's coordinates, their frame and their units."
            )
            raise ValueError(msg) from error
    if not boxes:
        return None
    low, high = np.min(boxes, axis=0), np.max(boxes, axis=0)
    # Pixel i, counted from 0, spans i + 0.5 to i + 1.5 in coordinates counted from 1.
    return tuple(float(edge) + 0.5 for edge in (low[0], high[1], low[2], high[3]))


def _box(shape):
    """Pixels from 0 that a shape spans: x0, x1, y0, y1."""
    how = getattr(shape, "operator", None)
    if how is and_not:
        return _box(shape.region1)
    if how is operator.and_:
        first, second = np.array(_box(shape.region1)), np.array(_box(shape.region2))
        return tuple(np.where([True, False, True, False], np.maximum(first, second), np.minimum(first, second)))
    box = shape.bounding_box
    return box.ixmin, box.ixmax, box.iymin, box.iymax


def _contains(shape, sky_pixels, image_pixels):
    if isinstance(shape, ImageShape):
        return shape.shape.contains(image_pixels)
    return shape.contains(sky_pixels)


def part_shapes(shapes, sky_wcs):
    """Convert to pixel shapes, and part the included from the excluded."""
    parted = [], []
    for shape in shapes:
        region = shape.shape if isinstance(shape, ImageShape) else shape
        # Whether an excluded shape contains its inside or its outside depends on the version of regions: forget it.
        plain = region.to_pixel(sky_wcs) if isinstance(region, SkyRegion) else region.copy()
        include = plain.meta.pop("include", True)
        parted[not include].append(ImageShape(plain) if isinstance(shape, ImageShape) else plain)
    return parted
