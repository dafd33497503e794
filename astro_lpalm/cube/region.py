"""Regions of the sky as masks: files of DS9 and CIAO, and objects of the `regions` package."""

import operator
import os

import astropy.units as u
import numpy as np
from regions import PixCoord, PixelRegion, Regions, SkyRegion

from .region_files import PhysicalShapes, is_region_table, read_region_file
from .region_shapes import ImageShape, and_not

__all__ = [
    "bounding_box",
    "how_far",
    "includes",
    "is_region_table",
    "mask_outside",
    "part_shapes",
    "read_region",
    "say_shapes",
]

_DEEPEST = 100  # compounds within compounds, which `regions` follows by recursion
_OTHER_FIELD = 1 * u.deg  # from the image's centre, or twice its size: what lies farther is of another field


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
    shapes : list of `~regions.Region`, `~astro_lpalm.cube.region_shapes.ImageShape` and \
            `~astro_lpalm.cube.region_files.PhysicalShapes`
        Pixel shapes count sky pixels from 0, as `regions` does: position (X - 1, Y - 1).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file has no shape, one that cannot be read, or unsuitable coordinates; or compounds are nested more
        than 100 deep.
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
    if any(depth > _DEEPEST for shape in shapes for _, depth in _simple_shapes(shape)):
        msg = f"region has compounds nested more than {_DEEPEST} deep; give the shapes as a list to unite them."
        raise ValueError(msg)
    return shapes


def _simple_shapes(region):
    """Yield the shapes that a compound is made of, and how deep each lies in it."""
    rest = [(region, 0)]
    while rest:
        shape, depth = rest.pop()
        if hasattr(shape, "region1"):
            rest += [(shape.region1, depth + 1), (shape.region2, depth + 1)]
        else:
            yield shape, depth


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
        If no pixel is left, or the region is of another field of the sky.
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
            f"y = {y.min():.6g} to {y.max():.6g} in sky pixels: it lies off the image, or is smaller than a "
            f"pixel.{how_far(shapes, sky_wcs, x, y)}"
        )
        raise ValueError(msg)
    if inside.all() and (elsewhere := how_far(shapes, sky_wcs, x, y)):
        msg = f"the region excludes nothing of the image.{elsewhere}"
        raise ValueError(msg)
    return ~inside


def how_far(shapes, sky_wcs, x, y):
    """Say of shapes on the sky that all lie in another field than an image, and how far away; nothing of others."""
    simple = [part for shape in shapes if isinstance(shape, SkyRegion) for part, _ in _simple_shapes(shape)]
    low, middle, high = (sky_wcs.pixel_to_world(of(x) - 1, of(y) - 1) for of in (np.min, np.mean, np.max))
    distance = min((_positions(shape).separation(middle).min() for shape in simple), default=0 * u.deg)
    if len(simple) < len(shapes) or distance < max(_OTHER_FIELD, 2 * low.separation(high)):
        return ""
    return (
        f" Its nearest shape lies {distance.to(u.deg):.4g} from the image's centre, in another field of the sky; check "
        "its coordinates, their frame and their units."
    )


def _positions(shape):
    """Where a shape lies: its corners, or its centre."""
    return next(getattr(shape, name) for name in ("vertices", "center", "start") if hasattr(shape, name))


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
        boxes.append(_box(shape))
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


def _placed(shapes, sky_wcs):
    for shape in shapes:
        yield from shape.placed(sky_wcs) if isinstance(shape, PhysicalShapes) else [shape]


def includes(shape):
    """Tell whether a shape is included, or excluded."""
    if isinstance(shape, PhysicalShapes):
        return not shape.command.lstrip().startswith(("-", "!"))
    return (shape.shape if isinstance(shape, ImageShape) else shape).meta.get("include", True)


def part_shapes(shapes, sky_wcs):
    """Convert to pixel shapes, and part the included from the excluded."""
    parted = [], []
    for shape in _placed(shapes, sky_wcs):
        region = shape.shape if isinstance(shape, ImageShape) else shape
        # Whether an excluded shape contains its inside or its outside depends on the version of regions: forget it.
        plain = _projected(region, sky_wcs) if isinstance(region, SkyRegion) else region.copy()
        plain.meta.pop("include", None)
        parted[not includes(shape)].append(ImageShape(plain) if isinstance(shape, ImageShape) else plain)
    return parted


def say_shapes(shapes, sky_wcs, image_wcs):
    """Write shapes as DS9 does, one a line, in ICRS; those excluded begin with a minus.

    Parameters
    ----------
    shapes : list
        What `read_region` gave.
    sky_wcs, image_wcs : `~astropy.wcs.WCS`
        Of the sky pixels, and of the image's own.

    Returns
    -------
    lines : list of str
    """
    lines = []
    for sign, part in zip(("", "-"), part_shapes(shapes, sky_wcs)):
        for shape in part:
            plain, wcs = (shape.shape, image_wcs) if isinstance(shape, ImageShape) else (shape, sky_wcs)
            if hasattr(plain, "region1"):
                kinds = sorted({type(each).__name__.removesuffix("PixelRegion") for each, _ in _simple_shapes(plain)})
                lines.append(f"{sign}(shapes that are intersected or chained: {', '.join(kinds)})")
                continue
            text = Regions([_in_icrs(plain.to_sky(wcs))]).serialize(format="ds9", precision=6)
            lines.append(sign + text.splitlines()[-1].split(" #")[0])
    return ["icrs", *lines]


def _in_icrs(region):
    positions = next(name for name in ("vertices", "center") if hasattr(region, name))
    return region.copy(**{positions: getattr(region, positions).icrs})


def _projected(region, sky_wcs):
    try:
        with np.errstate(invalid="ignore"):  # positions on the other side of the sky are NaN
            plain = region.to_pixel(sky_wcs)
        good = all(np.isfinite(_positions(shape).xy).all() for shape, _ in _simple_shapes(plain))
    except np.linalg.LinAlgError:
        good = False
    if not good:
        msg = f"the region cannot be projected on the image.{how_far([region], sky_wcs, *sky_wcs.wcs.crpix)}"
        raise ValueError(msg)
    return plain
