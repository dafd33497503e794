"""Region files of DS9 and CIAO, as text and as FITS tables, to shapes of the `regions` package."""

import operator
import re
import warnings
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs.utils import proj_plane_pixel_scales
from regions import CompoundPixelRegion, CompoundSkyRegion, RegionMeta, SkyRegion

from .._files import open_fits, split_virtual
from .._text import read_text, shown
from .region_shapes import WITHOUT_AREA, ImageShape, PixelFrame, SkyFrame, and_not, make_shape

__all__ = ["PhysicalShapes", "is_region_table", "parse_regions", "read_region_file"]

_SKY_FRAMES = {
    "fk4": "fk4",
    "b1950": "fk4",
    "fk5": "fk5",
    "j2000": "fk5",
    "icrs": "icrs",
    "galactic": "galactic",
    "ecliptic": "barycentricmeanecliptic",
}
_OTHER_FRAMES = re.compile(r"linear|amplifier|detector|wcs[a-z]?")
# What a chain of shapes is made of. Each is matched at one place, once, so that time grows with the length alone.
# CIAO: ! and - exclude, & and * intersect, + and | (and a new line, and DS9's ||) unite.
_SIGNS = re.compile(r"[-+!&*|,\s]*")
_NAME = re.compile(r"[a-z]\w*", re.IGNORECASE)
_ARGUMENTS = re.compile(r"\s*\(([^()]*)\)\s*")
_BARE_ARGUMENTS = re.compile(r"\s+(.*)", re.DOTALL)
_LARGEST_TEXT = 16 << 20  # bytes of a region file: some 300,000 shapes
_ARC = re.compile(r"\d\.?[\"'dr]\s*[,)\s]")  # lengths that are angles, or angles with a unit
# DS9's properties of a shape, in the comment behind it: texts, which may say anything, and what sets it apart.
_TEXTS = re.compile(r"\{[^}]*\}|'[^']*'|\"[^\"]*\"")
_SET_APART = re.compile(r"(?<![\w=])(background(?!\w)|(source|include)\s*=\s*0\b)", re.IGNORECASE)
# How many positions, radii and angles the row of a table has for a shape.
_IN_TABLES = {
    "circle": (1, 1, 0),
    "annulus": (1, 2, 0),
    "ellipse": (1, 2, 1),
    "box": (1, 2, 1),
    "rotbox": (1, 2, 1),
    "rectangle": (2, 0, 1),
    "rotrectangle": (2, 0, 1),
    "polygon": (None, 0, 0),
    "pie": (1, 2, 2),
    "sector": (1, 0, 2),
}


@dataclass(frozen=True)
class PhysicalShapes:
    """Shapes at sky pixels whose lengths are angles: which pixels they span hangs on the list they are laid over.

    Attributes
    ----------
    command : str
        As the file has it.
    """

    command: str

    def placed(self, sky_wcs):
        """Give the shapes on the sky pixels of a WCS.

        Parameters
        ----------
        sky_wcs : `~astropy.wcs.WCS`

        Returns
        -------
        shapes : list of `~regions.PixelRegion`
        """
        frame = PixelFrame(side=proj_plane_pixel_scales(sky_wcs)[0] * u.deg)
        return [_finish(*term) for term in _parse(self.command, frame)]


def read_region_file(path):
    """Read a region file.

    Parameters
    ----------
    path : str or `os.PathLike`
        DS9 or CIAO text, or a FITS table of regions (OGIP's and CIAO's REGION: SHAPE, X, Y, R, ROTANG, COMPONENT), of
        which a file may hold several: "file.fits[EXTENSION]".

    Returns
    -------
    shapes : list of `~regions.Region`, `ImageShape` and `PhysicalShapes`
        See `astro_lpalm.cube.region.read_region`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no shape or one that cannot be read, names the file and the line, or the row of the table; or if a
        text has more than 16 MiB.
    """
    file, _ = split_virtual(path, "region file")
    with open(file, "rb") as opened:
        is_fits = opened.read(6).startswith((b"SIMPLE", b"\x1f\x8b"))
    if is_fits:
        shapes = _read_table(path)
    else:
        shapes = _read_text(read_text(file, "a region file of DS9 or CIAO", most=_LARGEST_TEXT), file)
    if not shapes:
        msg = f"the region file '{path}' holds no shape."
        raise ValueError(msg)
    return shapes


def is_region_table(path):
    """Tell whether a FITS file, or the extension named as in "file.fits[EXTENSION]", is a table of regions."""
    with open_fits(path, headers_only=True) as hdulist:
        return _find_table(hdulist) is not None


def parse_regions(text):
    """Read shapes from a text of DS9 or CIAO, as `read_region_file` does from a file of it."""
    return _read_text(text, "a text")


def _read_text(text, path):
    lines, comments = zip(*(map(str.strip, line.partition("#")[::2]) for line in re.split(r"\r\n|\r|\n", text)))
    # CIAO names no system: sexagesimal positions or radii in arc units mean the sky, plain numbers sky pixels.
    frame = SkyFrame("fk5") if any(re.search(r"[:\"']", line) for line in lines) else PixelFrame()
    shapes, skipped = [], []
    for number, line in enumerate(lines, start=1):
        if line.lower().startswith("global"):
            continue
        for command in filter(None, (part.strip() for part in line.split(";"))):
            where = f"the region file '{path}'", f"line {number}, {shown(command)}"
            try:
                if _NAME.fullmatch(command):
                    frame = _frame(command.lower())
                elif (name := _without_area(command)) is not None:
                    skipped.append((name, where))
                else:
                    shapes += _shapes_of(command, frame)
            except (ValueError, u.UnitsError) as error:
                msg = f"{where[0]} cannot be read: {where[1]}: {error}"
                raise ValueError(msg) from error
    if skipped:
        _say_skipped(skipped, path, has_others=bool(shapes))
    included = [(line, comment) for line, comment in zip(lines, comments) if line and line[0] not in "-!"]
    _say_set_apart([comment or line for line, comment in included], path)
    return shapes


def _shapes_of(command, frame):
    if frame.kind == "pixel" and not frame.is_image and _ARC.search(command):
        _parse(command, PixelFrame(side=1 * u.arcsec))  # what cannot be read is said now
        return [PhysicalShapes(command)]
    return [_finish(*term) for term in _parse(command, frame)]


def _without_area(command):
    """Name of the one shape of a command, where it is a point, a text or the like."""
    name = _NAME.match(command.lstrip("-+! "))
    alone = name and command.count("(") <= 1
    return name[0].lower() if alone and name[0].lower() in WITHOUT_AREA else None


def _say_skipped(skipped, path, *, has_others):
    if not has_others:
        name, (file, where) = skipped[0]
        msg = f"{file} cannot be read: {where}: the shape '{name}' has no area, and there is no other in the file."
        raise ValueError(msg)
    names = ", ".join(sorted({name for name, _ in skipped}))
    msg = f"the region file '{path}': {len(skipped)} shape(s) without an area ({names}) are left out."
    warnings.warn(msg, AstropyUserWarning, stacklevel=2)


def _say_set_apart(properties, path):
    """Warn of shapes that DS9 keeps for something else than what is to be seen."""
    n = sum(_SET_APART.search(_TEXTS.sub("", each)) is not None for each in properties)
    if n:
        msg = (
            f"the region file '{path}': {n} line(s) say background, source=0 or include=0, but their shapes count as "
            "all others do. Remove those that are not meant, or write a minus before what is to be excluded."
        )
        warnings.warn(msg, AstropyUserWarning, stacklevel=2)


def _frame(name):
    if name in ("physical", "image"):
        return PixelFrame(is_image=name == "image")
    if name in _SKY_FRAMES:
        return SkyFrame(_SKY_FRAMES[name])
    if _OTHER_FRAMES.fullmatch(name):
        msg = f"coordinates of the system '{name}' cannot be placed on the sky; save the region in fk5 or physical."
    else:
        msg = "it is neither a shape nor a coordinate system."
    raise ValueError(msg)


def _parse(command, frame):
    """Parse shapes that are chained on a line, as terms to be united: (included, shape, frame)."""
    command = command.removesuffix("||").rstrip()  # DS9 ends the members of a composite so
    groups = []
    for signs, name, arguments in _chain(command):
        words = [word for word in re.split(r"[,\s]+", arguments) if word]
        factor = not set(signs) & set("-!"), make_shape(name.lower(), words, frame)
        if not set(signs) & set("&*"):
            groups.append([factor])
        elif groups:
            groups[-1].append(factor)
        else:
            msg = "there is no shape before the first one, to intersect it with."
            raise ValueError(msg)
    return [(*term, frame) for group in groups for term in _combine(group)]


def _chain(command):
    """Part a chain of shapes into (signs, name, arguments) of each; without brackets there is one, "circle 1 2 3"."""
    shapes, place, is_bare = [], 0, "(" not in command and ")" not in command
    while place < len(command):
        signs = _SIGNS.match(command, place)
        name = _NAME.match(command, signs.end())
        arguments = name and (_BARE_ARGUMENTS if is_bare else _ARGUMENTS).match(command, name.end())
        if not arguments:
            msg = "expected shapes such as circle(x,y,r), joined by +, -, &, * or |."
            raise ValueError(msg)
        shapes.append((signs[0], name[0], arguments[1]))
        place = arguments.end()
    return shapes


def _combine(factors):
    """Intersect shapes, of which some are to be outside of: terms of (included, shape)."""
    inside = [shape for include, shape in factors if include]
    outside = [shape for include, shape in factors if not include]
    if not inside:
        return [(False, shape) for shape in outside]
    whole = _joined(inside, operator.and_)
    return [(True, _joined([whole, _joined(outside, operator.or_)], and_not) if outside else whole)]


def _joined(shapes, how):
    """Join shapes two by two: thousands in a chain would be nested deeper than Python follows."""
    while len(shapes) > 1:
        compound = CompoundSkyRegion if isinstance(shapes[0], SkyRegion) else CompoundPixelRegion
        odd = shapes[-1:] if len(shapes) % 2 else []
        shapes = [compound(*pair, how) for pair in zip(shapes[::2], shapes[1::2])] + odd
    return shapes[0]


def _finish(include, shape, frame):
    shape.meta = RegionMeta({"include": include})
    return ImageShape(shape) if frame.is_image else shape


def _find_table(hdulist):
    for hdu in hdulist:
        if isinstance(hdu, fits.BinTableHDU) and {"SHAPE", "X", "Y"} <= {name.upper() for name in hdu.columns.names}:
            return hdu
    return None


def _read_table(path):
    with open_fits(path, memmap=False) as hdulist:
        table = _find_table(hdulist)
        if table is None:
            msg = f"'{path}' has no table of regions, which has columns SHAPE, X and Y."
            raise ValueError(msg)
        columns = {name.upper(): np.asarray(table.data[name]) for name in table.columns.names}
        title = table.name or "the table"
    frame, groups = PixelFrame(), {}
    for row, name in enumerate(str(name).strip().lower() for name in columns["SHAPE"]):
        try:
            plain = name.lstrip("!-")
            factor = name == plain, make_shape(plain, _arguments(plain, columns, row), frame)
        except ValueError as error:
            msg = f"the region file '{path}' cannot be read: row {row + 1} of {title}, {shown(name)}: {error}"
            raise ValueError(msg) from error
        # Rows of the same component are intersected, components united.
        groups.setdefault(int(columns["COMPONENT"][row]) if "COMPONENT" in columns else -row, []).append(factor)
    return [_finish(*term, frame) for group in groups.values() for term in _combine(group)]


def _arguments(name, columns, row):
    """Arguments that a shape would have in a text file; vectors are as long as the longest needs, filled with NaN."""
    n_positions, n_radii, n_angles = _IN_TABLES.get(name, (1, 0, 0))
    positions = np.column_stack([np.atleast_1d(columns[axis][row])[:n_positions] for axis in "XY"])
    if name == "polygon":
        positions = positions[np.isfinite(positions).all(axis=1)]
    radii, angles = (
        np.atleast_1d(columns[column][row])[:wanted] if column in columns else np.full(wanted, np.nan)
        for column, wanted in (("R", n_radii), ("ROTANG", n_angles))
    )
    if n_angles == 1:  # of something that need not be turned
        angles = angles[np.isfinite(angles)]
    values = [*positions.ravel(), *radii, *angles]
    if not np.isfinite(values).all():
        msg = "its row lacks a number in X, Y, R or ROTANG."
        raise ValueError(msg)
    return [repr(float(value)) for value in values]
