"""Regions of the sky as masks: files of DS9 and CIAO, and objects of the `regions` package."""

import re
import warnings
from pathlib import Path

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from regions import PixCoord, PixelRegion, Regions, SkyRegion

__all__ = ["bounding_box", "mask_outside", "read_region"]

_FRAMES = r"\b(physical|image|fk4|fk5|icrs|galactic|ecliptic|j2000|b1950|linear|amplifier|detector|wcs\w?)\b"


def read_region(region):
    """Read a region as a list of shapes.

    Parameters
    ----------
    region : str, `os.PathLike`, `~regions.Region` or list of `~regions.Region`
        Name of a DS9 or CIAO region file, or shapes. Pixel shapes, and files in physical coordinates or (CIAO's
        habit) without a coordinate system, are in the sky pixels (X, Y) of the event list.

    Returns
    -------
    shapes : list of `~regions.Region`
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
    if isinstance(region, str | Path) or hasattr(region, "__fspath__"):
        return _read_file(Path(region))
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
    shapes : list of `~regions.Region`
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
    included, excluded = _in_pixels(shapes, sky_wcs)
    points = PixCoord(x - 1, y - 1)
    inside = np.full(x.shape, not included)
    for shape in included:
        inside |= shape.contains(points)
    for shape in excluded:
        inside &= ~shape.contains(points)
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
    shapes : list of `~regions.Region`
        From `read_region`.
    sky_wcs : `~astropy.wcs.WCS`
        WCS of the event list's sky pixels.

    Returns
    -------
    bounds : tuple of 4 float, or None
        x0, x1, y0, y1; None where nothing is included, so that exclusions are cut out of everything.
    """
    try:
        with np.errstate(all="ignore"):
            boxes = [shape.bounding_box for shape in _in_pixels(shapes, sky_wcs)[0]]
    except ValueError as error:  # positions on the other side of the sky are NaN
        msg = (
            "the region cannot be projected on the image, since it lies too far from it on the sky; check the region's "
            "coordinates, their frame and their units."
        )
        raise ValueError(msg) from error
    if not boxes:
        return None
    # Pixel i, counted from 0, spans i + 0.5 to i + 1.5 in coordinates counted from 1.
    return (
        min(box.ixmin for box in boxes) + 0.5,
        max(box.ixmax for box in boxes) + 0.5,
        min(box.iymin for box in boxes) + 0.5,
        max(box.iymax for box in boxes) + 0.5,
    )


def _in_pixels(shapes, sky_wcs):
    """Convert to pixel shapes, and part the included from the excluded."""
    pixels = [shape.to_pixel(sky_wcs) if isinstance(shape, SkyRegion) else shape for shape in shapes]
    parted = [], []
    for shape in pixels:
        # Whether an excluded shape contains its inside or its outside depends on the version of regions: forget it.
        plain = shape.copy()
        parted[not plain.meta.pop("include", True)].append(plain)
    return parted


def _read_file(path):
    if not path.is_file():
        msg = f"there is no region file '{path}'; check the name and the directory."
        raise FileNotFoundError(msg)
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        text = "SIMPLE"
    if text.startswith(("SIMPLE", "\x1f")):
        msg = f"'{path}' is not a text file; save the region in DS9 or CIAO text format (binary tables cannot be read)."
        raise ValueError(msg)
    with warnings.catch_warnings():
        # A shape that is not understood is skipped with a warning: the mask would be another one than asked for.
        warnings.simplefilter("error", AstropyUserWarning)
        try:
            shapes = list(Regions.parse(_in_known_coordinates(text, path), format="ds9"))
        except (AstropyUserWarning, ValueError) as error:
            msg = f"the region file '{path}' cannot be read: {error}"
            raise ValueError(msg) from error
    if not shapes:
        msg = f"the region file '{path}' holds no shape."
        raise ValueError(msg)
    return shapes


def _in_known_coordinates(text, path):
    """Rewrite sky pixels, which `regions` does not know, as its image coordinates; both count from 1 in a file."""
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("global")]
    lines = [re.sub(r"(^|;)\s*!", r"\1-", line) for line in lines]  # CIAO's other sign for exclusion
    body = re.sub(r"\brotbox\b", "box", "\n".join(lines), flags=re.IGNORECASE)
    if re.search(r"\)\s*[&*]", body):
        msg = (
            f"the region file '{path}' intersects shapes with & or *, which is not supported; write them as exclusions."
        )
        raise ValueError(msg)
    body = re.sub(r"\)\s*([-+])", r")\n\1", body)  # CIAO may chain shapes on one line
    frames = {frame.lower() for frame in re.findall(_FRAMES, body, flags=re.IGNORECASE)}
    if "image" in frames:
        msg = (
            f"the region file '{path}' is in image coordinates, which depend on how that image was binned; save it in "
            "fk5 or physical coordinates."
        )
        raise ValueError(msg)
    if not frames:
        # CIAO names no system: sexagesimal positions or radii in arc units mean the sky, plain numbers sky pixels.
        return ("fk5\n" if re.search(r"[:\"']", body) else "image\n") + body
    return re.sub(r"\bphysical\b", "image", body, flags=re.IGNORECASE)
