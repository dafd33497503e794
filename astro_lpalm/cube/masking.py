"""Masks for a cube that is there: from images and from regions."""

import os

import numpy as np
from regions import PixelRegion, Region

from .._files import open_fits, split_virtual
from ..grid.resample import masked_at, open_image
from ..grid.sky import sky_of_image
from .region import includes, mask_outside, read_region, say_shapes
from .region_files import PhysicalShapes

__all__ = ["describe_region", "read_mask"]

_FITS_OR_GZIP = (b"SIMPLE", b"\x1f\x8b")


def read_mask(mask, cube, *, is_mask=True):
    """Find the pixels of a cube that a mask excludes.

    Parameters
    ----------
    mask : array_like, str, `os.PathLike`, image HDU, `~regions.Region` or list of `~regions.Region`
        See `astro_lpalm.EventCube.with_mask`.
    cube : `~astro_lpalm.cube.EventCube`
    is_mask : bool
        Whether a region of exclusions only is refused, which as a mask leaves nothing but these.

    Returns
    -------
    excluded : `~numpy.ndarray` of bool, shape (ny, nx)
    """
    shape = cube.shape[1:]
    if isinstance(mask, list | tuple) and mask and not isinstance(mask[0], Region):
        mask = np.asarray(mask)
    if isinstance(mask, np.ndarray):
        if mask.shape != shape:
            msg = f"mask has shape {mask.shape}, but the cube's images have {shape}."
            raise ValueError(msg)
        return mask.astype(bool)
    is_path = isinstance(mask, str | os.PathLike)
    if hasattr(mask, "header") or (is_path and _is_image(mask)):
        return masked_at(*open_image(mask, "the mask"), cube.wcs, shape, "the mask")
    shapes = read_region(mask)
    sky_wcs, grid, is_physical = sky_of_image(cube.celestial_header(), cube.wcs, shape)
    if not is_physical and any(isinstance(each, PixelRegion | PhysicalShapes) for each in shapes):
        msg = (
            "the region is in sky pixels (physical coordinates), but the cube's header does not say what these are "
            "(CTYPE1P, CRVAL1P, ...); give the region in fk5 or icrs."
        )
        raise ValueError(msg)
    if is_mask and not any(includes(shape) for shape in shapes):
        msg = (
            "the mask is a region of exclusions only, so that all but these would be masked; give it as region "
            "instead, or include (without '-') what is to be masked."
        )
        raise ValueError(msg)
    return ~mask_outside(shapes, sky_wcs, *grid.centers())


def describe_region(region, cube):
    """Say which part of the sky a region is, as lines of DS9 in ICRS where it has such shapes.

    Parameters
    ----------
    region, cube
        As `read_mask` takes them.

    Returns
    -------
    lines : list of str
    """
    is_path = isinstance(region, str | os.PathLike)
    name = f"'{os.path.basename(region)}'" if is_path else "given in Python"
    if isinstance(region, np.ndarray) or (isinstance(region, list | tuple) and not isinstance(region[0], Region)):
        return ["a mask of pixels, given in Python"]
    if hasattr(region, "header") or (is_path and _is_image(region)):
        return [f"a mask of pixels, {name}"]
    sky_wcs, *_ = sky_of_image(cube.celestial_header(), cube.wcs, cube.shape[1:])
    return [f"region {name}, in DS9's words:", *say_shapes(read_region(region), sky_wcs, cube.wcs)]


def _is_image(path):
    """Tell a FITS file with an image from region files, which may be text or FITS tables."""
    name, _ = split_virtual(path, "mask file")
    with open(name, "rb") as file:
        if not file.read(6).startswith(_FITS_OR_GZIP):
            return False
    with open_fits(name, headers_only=True) as hdulist:
        return any(hdu.is_image and hdu.header["NAXIS"] == 2 for hdu in hdulist)
