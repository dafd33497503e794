"""A look at a FITS file before anything is made of it: its headers, what they claim, and its checksums."""

import math
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning

from ._headers import header_number, header_text

__all__ = ["HARMLESS_SIZE", "LARGEST_RATIO", "ScannedHDU", "checksum_faults", "largest_size", "scan"]

HARMLESS_SIZE = 256 << 20
"""Bytes that any file, however small, may unpack to."""

LARGEST_RATIO = 200
"""What a file may unpack to beyond these, in units of its size: sparse cubes have up to 100, zeros alone 1000."""

_BLOCK, _CARD = 2880, 80  # bytes: FITS standard 4.0, sections 3.1 and 3.2
_LONGEST_HEADER = 8 << 20
_AT_ONCE = 1 << 20
_PRINTABLE = bytes(code if 32 <= code < 127 else ord("?") for code in range(256))
# What astropy takes as numbers, or as texts, without a look at them.
_REQUIRED = r"BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|TBCOL\d+|Z(BITPIX|NAXIS\d*|TILE\d+)"
_WHOLE = r"THEAP|BLANK|ZBLANK|TNULL\d+|EXTVER|ZPCOUNT|ZGCOUNT|ZTHEAP"
_REAL = r"BSCALE|BZERO|TSCAL\d+|TZERO\d+|ZSCALE|ZZERO"
_OPTIONAL = r"T[LD](MIN|MAX)\d+|TC(RVL|DLT|RPX|ROT)\d+"  # numbers, of columns that may never be asked for
_TEXT = r"EXTNAME|XTENSION|T(TYPE|FORM|UNIT|DISP|DIM)\d+|ZCMPTYPE"
_FLAG = r"SIMPLE|GROUPS|ZIMAGE|ZTABLE"
_STRUCTURE = re.compile("|".join([_REQUIRED, _WHOLE, _REAL, _OPTIONAL, _TEXT, _FLAG]))
_MENDABLE = re.compile(f"{_OPTIONAL}|EXTNAME|T(UNIT|DISP)\\d+")
# Cards that nothing is the matter with, for speed.
_PLAIN = re.compile(
    r"(COMMENT |HISTORY | {8})[ -~]{72}|"
    r"(?=[A-Z0-9_-]+ *= )[A-Z0-9_ -]{8}= "
    r"( *([TF]|[+-]?(\d+\.?\d*|\.\d+)([ED][+-]?\d{1,2})?)|'([^']|'')*') *(/[ -~]*)?"
)
_BYTES = {"L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "K": 8, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}
_BITPIX = (8, 16, 32, 64, -32, -64)
_MOST_AXES = 32  # NumPy's arrays have no more


@dataclass
class ScannedHDU:
    """What a scan found of an HDU.

    Attributes
    ----------
    start, data_start, end : int
        Where its header and its data begin, and where it ends, in bytes.
    header : `~astropy.io.fits.Header`
        With cards that can be read and written.
    title : str
        For messages.
    content : bytes
        The header as it is to be read, as long as it stands in the file.
    mended : dict
        What became of the cards that could not be, by keyword.
    """

    start: int
    data_start: int
    header: fits.Header
    title: str
    content: bytes
    mended: dict
    end: int = 0


def largest_size(size):
    """Bytes that a compressed file of ``size`` bytes may unpack to."""
    return max(HARMLESS_SIZE, LARGEST_RATIO * size)


def scan(file):
    """Read every header of a FITS file, and hold what it claims against what is there.

    Parameters
    ----------
    file : binary file
        Uncompressed, and open for reading at any position.

    Returns
    -------
    hdus : list of ScannedHDU

    Raises
    ------
    ValueError
        If a header is none, ends nowhere, contradicts itself, or claims more data than the file has.
    """
    size = file.seek(0, 2)
    start, hdus = 0, []
    while start < size or not hdus:
        hdu = _read_header(file, start, len(hdus))
        hdu.end = hdu.data_start + -(-_data_size(hdu.header, hdu.title) // _BLOCK) * _BLOCK
        if hdu.end > size:
            text = f"{hdu.title} should end at byte {hdu.end}, but the file has {size} bytes"
            raise ValueError(text)
        if hdu.header.get("ZIMAGE") is True:
            _check_tiles(hdu.header, hdu.title, size)
        hdus.append(hdu)
        start = hdu.end
    return hdus


def checksum_faults(file, hdu):
    """Compare DATASUM and CHECKSUM of an HDU with what is there (FITS standard 4.0, appendix J).

    Returns
    -------
    faults : dict
        For each of the two keywords "missing" or "wrong"; without those that are right.
    """
    stated = {key: header_text(hdu.header, key, hdu.title) for key in ("DATASUM", "CHECKSUM")}
    faults = {key: "missing" for key, value in stated.items() if not value}
    if len(faults) == len(stated):
        return faults
    header, data = (_ones_complement_sum(file, *at) for at in ((hdu.start, hdu.data_start), (hdu.data_start, hdu.end)))
    if stated["DATASUM"] and not (stated["DATASUM"].isdecimal() and int(stated["DATASUM"]) == data):
        faults["DATASUM"] = "wrong"
    if stated["CHECKSUM"] and (header + data) % 0xFFFFFFFF:
        faults["CHECKSUM"] = "wrong"
    return faults


def _ones_complement_sum(file, start, end):
    file.seek(start)
    total = 0
    for at in range(start, end, _AT_ONCE):
        total += int(np.frombuffer(file.read(min(_AT_ONCE, end - at)), dtype=">u4").sum(dtype=np.uint64))
    return total % 0xFFFFFFFF or (0xFFFFFFFF if total else 0)


def _read_header(file, start, number):
    """Read the cards up to END, mending those that cannot be read or written again."""
    title = f"extension {number}"
    first = b"XTENSION" if number else b"SIMPLE  ="
    file.seek(start)
    blocks, end = bytearray(), None
    while end is None:
        block = file.read(_BLOCK)
        if not blocks and not block.startswith(first):
            text = f"{title} does not begin with {first.decode()}"
            raise ValueError(text)
        if len(block) < _BLOCK or len(blocks) > _LONGEST_HEADER:
            text = f"the header of {title} has no END"
            raise ValueError(text)
        cards = range(0, _BLOCK, _CARD)
        end = next((len(blocks) + at for at in cards if block[at : at + 8].strip(b" \0") == b"END"), None)
        blocks += block
    content, mended = _readable(bytes(blocks[:end]), title)
    header = fits.Header.fromstring(content)
    title += f" ({header.get('EXTNAME', 'unnamed' if number else 'PRIMARY')})"
    content = (content + "END").encode().ljust(len(blocks))
    return ScannedHDU(start, start + len(blocks), header, title, content=content, mended=mended)


def _readable(raw, title):
    """Mend cards so that each can be read and written again; those for which there is no way are left blank."""
    content, mended, structure = [], {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VerifyWarning)  # what is mended is told in one warning
        for given in _cards(raw):
            image = given.translate(_PRINTABLE).decode()
            keyword = image[:8].split("=")[0].strip().upper()
            is_structural = _STRUCTURE.fullmatch(keyword)
            plain = _PLAIN.fullmatch(image) and not is_structural
            card = fits.Card.fromstring(image) if plain else _writable(image)
            if is_structural and not _MENDABLE.fullmatch(keyword) and not _is_readable(image):
                text = f"the card {keyword} of {title} cannot be read: a header is damaged"
                raise ValueError(text)
            kept = "" if card is None else card.image
            if kept.rstrip() != given.decode("latin-1").rstrip():
                mended[keyword or "(blank)"] = "left out" if card is None else f"is now {card.value!r}"
            if card is not None and is_structural:
                card = _structural(card, structure, title)
                kept = "" if card is None else card.image
            content.append(kept.ljust(len(image)))
    return "".join(content), mended


def _cards(raw):
    """Cut a header into cards, each with the CONTINUE cards of a long string."""
    starts = [at for at in range(0, len(raw), _CARD) if at == 0 or raw[at : at + 8] != b"CONTINUE"]
    return [raw[start:end] for start, end in zip(starts, [*starts[1:], len(raw)])]


def _writable(image):
    """Give a card that can be read and written: as it is or mended, or None where there is no way."""
    card = fits.Card.fromstring(image)
    with suppress(fits.VerifyError):
        card.verify("exception")
        if _is_finite(card.value):
            return card
    with suppress(fits.VerifyError, ValueError, IndexError):
        card = fits.Card.fromstring(image)
        card.verify("silentfix")
        value = card.value if _is_finite(card.value) else image.split("=", 1)[1].split("/")[0].strip()
        value = value.strip("'").strip() if isinstance(value, str) else value  # of a string that does not end
        for comment in (card.comment, ""):
            mended = fits.Card(card.keyword.strip().upper(), value, comment)
            mended.verify("exception")
            if len(mended.image) <= len(image):
                return mended
    return None


def _is_readable(image):
    with suppress(fits.VerifyError):
        return _is_finite(fits.Card.fromstring(image).value)
    return False


def _is_finite(value):
    return not isinstance(value, float | complex) or bool(np.isfinite(value))


def _structural(card, structure, title):
    """Give a card of the file's structure the type that it must have; None for an optional one without a value."""
    key, value = card.keyword, card.value
    if isinstance(value, fits.card.Undefined):
        if re.fullmatch(_REQUIRED, key):
            text = f"{title}: {key} has no value"
            raise ValueError(text)
        return None
    if re.fullmatch(_TEXT, key) or (key.startswith("TNULL") and structure.get("XTENSION") == "TABLE"):
        good = value if isinstance(value, str) else card.image[10:].split("/")[0].strip()
    elif re.fullmatch(_FLAG, key):
        if not isinstance(value, bool):
            text = f"{title}: {key} is {value!r}, but must be T or F"
            raise ValueError(text)
        good = value
    else:
        whole = not re.fullmatch(_REAL, key)
        if re.fullmatch(_OPTIONAL, key):
            with suppress(ValueError):
                value = header_number({key: value}, key, title)
            return card if value == card.value else fits.Card(key, value)
        number = header_number({key: value}, key, title, kind=int if whole else float)
        good = number if isinstance(value, str) or (whole and not isinstance(value, int)) else value
        if good < 0 and key not in ("BITPIX", "ZBITPIX") and re.fullmatch(_REQUIRED, key):
            text = f"{title}: {key} is {good}, but must not be negative"
            raise ValueError(text)
    if structure.setdefault(key, good) != good:
        text = f"{title} has two cards {key}, {structure[key]!r} and {good!r}"
        raise ValueError(text)
    return card if good is value else fits.Card(key, good)


def _required(header, key, title):
    if key not in header:
        text = f"{title} has no {key}"
        raise ValueError(text)
    return header[key]


def _shape(header, title, prefix=""):
    n_axes = _required(header, f"{prefix}NAXIS", title)
    if n_axes > _MOST_AXES:
        text = f"{title} has {n_axes} axes ({prefix}NAXIS), and at most {_MOST_AXES} can be read"
        raise ValueError(text)
    bitpix = _required(header, f"{prefix}BITPIX", title)
    if bitpix not in _BITPIX:
        text = f"{title}: {prefix}BITPIX is {bitpix}, but must be one of {', '.join(map(str, _BITPIX))}"
        raise ValueError(text)
    return [_required(header, f"{prefix}NAXIS{axis}", title) for axis in range(1, n_axes + 1)], abs(bitpix) // 8


def _data_size(header, title):
    """Size of the data, in bytes (FITS standard 4.0, equations 1, 2 and 4)."""
    shape, width = _shape(header, title)
    is_groups = bool(shape) and shape[0] == 0 and header.get("GROUPS") is True
    n_elements = math.prod(shape[1:] if is_groups else shape) if shape else 0
    if header.get("XTENSION") in ("BINTABLE", "A3DTABLE", "TABLE"):
        _check_table(header, title, shape, width)
    extra, groups = header.get("PCOUNT", 0), header.get("GCOUNT", 1)
    if "SIMPLE" in header and not is_groups:
        extra, groups = 0, 1
    return width * groups * (extra + n_elements)


def _check_table(header, title, shape, width):
    n_fields = [_required(header, key, title) for key in ("PCOUNT", "GCOUNT", "TFIELDS")][-1]
    if len(shape) != 2 or width != 1 or header.get("GCOUNT", 1) != 1:
        text = f"{title} is a table, but not of bytes in rows (BITPIX, NAXIS, GCOUNT)"
        raise ValueError(text)
    if n_fields > 999:
        text = f"{title}: TFIELDS is {n_fields}, but a table has at most 999 columns"
        raise ValueError(text)
    if header.get("ZTABLE") is True:
        text = f"{title} is a table that fpack compressed: unpack the file first, with 'funpack'"
        raise ValueError(text)
    formats = [_required(header, f"TFORM{i}", title).strip().upper() for i in range(1, n_fields + 1)]
    if header["XTENSION"] == "TABLE":
        return
    found = [re.fullmatch(r"(\d*)([LXBAIJKEDCMPQ])(.*)", form) for form in formats]
    if None in found:
        i = found.index(None)
        text = f"{title}: TFORM{i + 1} is {formats[i]!r}, which is no format of a column"
        raise ValueError(text)
    repeats = [(int(match[1] or 1), match[2]) for match in found]
    row = sum(-(-n // 8) if kind == "X" else n * _BYTES[kind] for n, kind in repeats)
    if row != shape[0]:
        text = f"{title}: its columns (TFORMn) take {row} bytes, its rows (NAXIS1) have {shape[0]}"
        raise ValueError(text)
    rows, heap = math.prod(shape), header.get("THEAP", math.prod(shape))
    if not rows <= heap <= rows + header.get("PCOUNT", 0):
        text = f"{title}: THEAP is {heap}, outside its data"
        raise ValueError(text)


def _check_tiles(header, title, size):
    """Hold the size of a tile-compressed image against its number of tiles, and the file's size."""
    shape, width = _shape(header, title, "Z")
    tiles = [header.get(f"ZTILE{axis + 1}", n if axis == 0 else 1) for axis, n in enumerate(shape)]
    if 0 in tiles or math.prod(-(-n // tile) for n, tile in zip(shape, tiles)) != header["NAXIS2"]:
        text = f"{title}: an image of {shape} in tiles of {tiles} is not one of {header['NAXIS2']} tiles (NAXIS2)"
        raise ValueError(text)
    # A cube of compressed planes is read one after the other, and only its photons are kept.
    at_once = shape[:2] if len(shape) == 3 and math.prod(tiles) == math.prod(shape[:2]) else shape
    if width * math.prod(at_once) > largest_size(size):
        text = (
            f"{title}: an image of {shape} would have {LARGEST_RATIO} times the size of the file, and more; if it is "
            "what it should be, unpack it first, with 'funpack'"
        )
        raise ValueError(text)
