"""The shapes that region files of DS9 and CIAO name, in pixels and on the sky."""

import operator
import re
from dataclasses import dataclass

import astropy.units as u
import numpy as np
import regions
from astropy.coordinates import Angle, SkyCoord

from .._text import shown

__all__ = ["WITHOUT_AREA", "ImageShape", "PixelFrame", "SkyFrame", "and_not", "make_shape"]

_FAR = {"pixel": 1e6, "sky": 5.0}  # pixels and degrees: a sector or a field has no end
_FARTHEST = {"pixel": 1e9, "sky": 360.0}  # pixels and degrees: what is farther is no place, and no size
_LONGEST_ANGLE = 40  # characters: what astropy parses, and repeats in its messages
_UNITS = {'"': u.arcsec, "'": u.arcmin, "d": u.deg, "r": u.rad}
WITHOUT_AREA = ("compass", "line", "point", "projection", "ruler", "segment", "text", "vector")
_STEP = 20.0  # degrees from one corner of a wedge to the next


def and_not(first, second):
    """Tell what is in one and not in the other."""
    return first & ~second


@dataclass(frozen=True)
class ImageShape:
    """A shape in the pixels of an image, wherever they lie among the sky pixels.

    Attributes
    ----------
    shape : `~regions.PixelRegion`
        In pixels counted from 0.
    """

    shape: regions.PixelRegion


class PixelFrame:
    """Positions and lengths in pixels.

    Parameters
    ----------
    is_image : bool
        Whether they are those of an image, not sky pixels.
    side : `~astropy.units.Quantity`, optional
        Of a pixel, an angle: lengths may be angles too.
    """

    kind, suffix = "pixel", "PixelRegion"

    def __init__(self, is_image=False, side=None):
        self.is_image, self.side = is_image, side

    def positions(self, words):
        """Positions from pairs of numbers, which count from 1 in files and from 0 in `regions`."""
        x, y = np.array([_number(word, "pi", self.kind) for word in words]).reshape(-1, 2).T - 1
        return regions.PixCoord(x, y)

    def length(self, word):
        """Length in pixels, above zero."""
        if self.side is not None and word[-1] in _UNITS:
            return _positive(_number(word[:-1]) * float(_UNITS[word[-1]] / self.side), word)
        return _positive(_number(word, "pi", self.kind), word)

    def away(self, center, angle, length):
        """Points in directions counted anticlockwise from the x axis."""
        angle = np.deg2rad(angle)
        return regions.PixCoord(center.x + length * np.cos(angle), center.y + length * np.sin(angle))


class SkyFrame:
    """Positions and lengths on the sky.

    Parameters
    ----------
    name : str
        Of an astropy frame.
    """

    kind, suffix, is_image = "sky", "SkyRegion", False

    def __init__(self, name):
        self.name = name

    def positions(self, words):
        """Positions from pairs of degrees, or of sexagesimal numbers, of hours first in equatorial frames."""
        hours = u.hourangle if self.name in ("fk4", "fk5", "icrs") else u.deg
        first = [_sky_angle(word, hours) for word in words[0::2]]
        second = [_sky_angle(word, u.deg) for word in words[1::2]]
        return SkyCoord(u.Quantity(first), u.Quantity(second), frame=self.name)

    def length(self, word):
        """Length as an angle above zero, in degrees where there is no unit."""
        unit = _UNITS.get(word[-1])
        return _in_range(_positive(_number(word[:-1] if unit else word) * (unit or u.deg), word), word)

    def away(self, center, angle, length):
        """Points in directions counted anticlockwise from west, as DS9 has them."""
        return center.directional_offset_by((np.asarray(angle) - 90) * u.deg, length)


def _number(word, suffixes="", kind=None):
    try:
        number = float(word[:-1] if suffixes and word[-1] in suffixes else word)
    except ValueError:
        msg = f"{shown(word)} is not a number of pixels or degrees."
        raise ValueError(msg) from None
    if not np.isfinite(number) or (kind and abs(number) > _FARTHEST[kind]):
        most = f", at most {_FARTHEST[kind]:g}" if kind else ""
        msg = f"{shown(word)} is out of range; give a finite number{most}."
        raise ValueError(msg)
    return number


def _positive(length, word):
    if not length > 0:
        msg = f"a radius or a side must be above zero, but is {shown(word)}."
        raise ValueError(msg)
    return length


def _in_range(angle, word):
    if not abs(angle) <= _FARTHEST["sky"] * u.deg:
        msg = f"{shown(word)} is out of range; give an angle of at most {_FARTHEST['sky']:g} degrees."
        raise ValueError(msg)
    return angle


def _sky_angle(word, unit):
    if ":" not in word and not re.search(r"[hms]", word):
        return _in_range(_UNITS.get(word[-1], u.deg) * _number(word, "dr"), word)
    if len(word) > _LONGEST_ANGLE:
        msg = f"{shown(word)} is not an angle, such as 15:13:54.07 or 15h13m54.07s."
        raise ValueError(msg)
    return (Angle(word, unit) if ":" in word else Angle(word)).to(u.deg)


def make_shape(name, words, frame):
    """Make a shape from its name and its arguments in a file.

    Parameters
    ----------
    name : str
        Of a shape of DS9 or CIAO, in lower case.
    words : list of str
        Its arguments.
    frame : `PixelFrame` or `SkyFrame`

    Returns
    -------
    shape : `~regions.Region`
        In pixels counted from 0, or on the sky.

    Raises
    ------
    ValueError
        If there is no such shape, it has no area, or its arguments do not suit it.
    """
    if name not in _MAKERS:
        why = "has no area" if name in WITHOUT_AREA else "is unknown"
        msg = f"the shape {shown(name)} {why}; the shapes that can be read are {', '.join(_MAKERS)}."
        raise ValueError(msg)
    maker, numbers = _MAKERS[name]
    if len(words) not in numbers:
        msg = f"{name} cannot have {len(words)} arguments, but {' or '.join(map(str, numbers[:4]))}."
        raise ValueError(msg)
    return maker(words, frame)


def _build(kind, frame, *arguments, **options):
    return getattr(regions, kind + frame.suffix)(*arguments, **options)


def _circle(words, frame):
    return _build("Circle", frame, _center(words, frame), frame.length(words[2]))


def _center(words, frame):
    return frame.positions(words[:2])[0]


def _annulus(words, frame):
    center, outer = _center(words, frame), frame.length(words[-1])
    if _number(words[2].rstrip("pi\"'dr")) == 0:
        return _build("Circle", frame, center, outer)
    return _build("CircleAnnulus", frame, center, frame.length(words[2]), outer)


def _sided(kind, factor):
    """Maker of boxes or ellipses, and of what lies between two of them; files give half the axes of an ellipse."""

    def make(words, frame):
        sizes, angle = words[2:], 0.0
        if len(sizes) % 2:
            *sizes, angle = sizes
        center, angle = _center(words, frame), _number(str(angle), "d") * u.deg
        widths, heights = ([factor * frame.length(word) for word in sizes[i::2]] for i in (0, 1))
        if len(widths) == 1:
            return _build(kind, frame, center, widths[0], heights[0], angle)
        sizes = widths[0], widths[-1], heights[0], heights[-1]
        return _build(f"{kind}Annulus", frame, center, *sizes, angle)

    return make


def _rectangle(words, frame):
    """Rectangle between two opposite corners, turned around its middle."""
    if frame.kind == "sky":
        msg = "a rectangle between corners must be in pixels; write it as a box."
        raise ValueError(msg)
    corners = frame.positions(words[:4])
    angle = _number(words[4], "d") * u.deg if len(words) == 5 else 0 * u.deg
    middle = regions.PixCoord(corners.x.mean(), corners.y.mean())
    return regions.RectanglePixelRegion(middle, np.ptp(corners.x), np.ptp(corners.y), angle)


def _polygon(words, frame):
    return _build("Polygon", frame, frame.positions(words))


def _pie(words, frame):
    """Part of an annulus between two angles, anticlockwise from the first."""
    start, stop = (_number(word, "d") for word in words[4:6])
    ring = _annulus(words[:4], frame)
    if stop != start and (stop - start) % 360 == 0:
        return ring
    wedge = _wedge(_center(words, frame), start, stop, 2 * frame.length(words[3]), frame)
    return _both(ring, wedge, frame)


def _sector(words, frame):
    start, stop = (_number(word, "d") for word in words[2:4])
    far = _FAR["pixel"] if frame.kind == "pixel" else _FAR["sky"] * u.deg
    return _wedge(_center(words, frame), start, stop, far, frame)


def _panda(words, frame):
    x, y, start, stop, _, inner, outer, _ = words
    return _pie([x, y, inner, outer, start, stop], frame)


def _turned_panda(sided):
    """Maker of part of an elliptic or a rectangular annulus, whose angles are counted from its own, turned axis."""

    def make(words, frame):
        x, y, start, stop, _, *inner_and_outer = words[:9]
        angle = words[10] if len(words) == 11 else "0"
        turn = _number(angle, "d")
        start, stop = (_number(word, "d") for word in (start, stop))
        ring = sided([x, y, *inner_and_outer, angle], frame)
        if stop != start and (stop - start) % 360 == 0:
            return ring
        far = 4 * max(frame.length(word) for word in inner_and_outer[2:])  # the corner of a box, and twice as far
        return _both(ring, _wedge(_center(words, frame), start + turn, stop + turn, far, frame), frame)

    return make


def _wedge(center, start, stop, length, frame):
    """Polygon from the centre to points so far out that what is nearer than half the length is in it exactly."""
    stop = start + (stop - start) % 360
    angles = np.linspace(start, stop, int(np.ceil((stop - start) / _STEP)) + 1)
    rim = frame.away(center, angles, length)
    if frame.kind == "pixel":
        corners = regions.PixCoord(np.append(center.x, rim.x), np.append(center.y, rim.y))
    else:
        corners = SkyCoord([center, *rim])
    return _build("Polygon", frame, corners)


def _both(first, second, frame):
    return getattr(regions, "Compound" + frame.suffix)(first, second, operator.and_)


def _field(words, frame):
    return regions.RectanglePixelRegion(regions.PixCoord(0, 0), 2 * _FAR["pixel"], 2 * _FAR["pixel"])


_EVEN, _PAIRS = range(6, 100_001, 2), (4, 5)
_MAKERS = {
    "circle": (_circle, (3,)),
    "annulus": (_annulus, range(4, 1000)),
    "ellipse": (_sided("Ellipse", 2), range(4, 1000)),
    "box": (_sided("Rectangle", 1), range(4, 1000)),
    "rotbox": (_sided("Rectangle", 1), range(4, 1000)),
    "rectangle": (_rectangle, _PAIRS),
    "rotrectangle": (_rectangle, _PAIRS),
    "polygon": (_polygon, _EVEN),
    "pie": (_pie, (6,)),
    "sector": (_sector, (4,)),
    "panda": (_panda, (8,)),
    "epanda": (_turned_panda(_sided("Ellipse", 2)), (10, 11)),
    "bpanda": (_turned_panda(_sided("Rectangle", 1)), (10, 11)),
    "field": (_field, (0,)),
}
