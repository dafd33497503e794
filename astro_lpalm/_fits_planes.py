"""FITS files with images that are larger than memory: written plane by plane, with the checksums of the whole."""

import numpy as np
from astropy.io import fits

__all__ = ["write_with_planes"]

_BLOCK = 2880  # bytes: FITS standard 4.0, section 3.1
_ALL = 0xFFFFFFFF
_BITPIX = {("u", 1): 8, ("i", 2): 16, ("i", 4): 32, ("i", 8): 64, ("f", 4): -32, ("f", 8): -64}
_WIDER = {("i", 1): np.int16, ("u", 2): np.int32, ("u", 4): np.int64, ("u", 8): np.int64, ("f", 2): np.float32}
_PUNCTUATION = frozenset(b":;<=>?@[\\]^_`")


def write_with_planes(hdulist, path, large):
    """Write HDUs to a file.

    Parameters
    ----------
    hdulist : `~astropy.io.fits.HDUList`
    path : str or `os.PathLike`
        An empty file, or none.
    large : dict of str to object
        Images, by the names of HDUs, which have their headers alone: objects with a shape, (n, ny, nx), and a dtype,
        which planes are taken from one after the other.
    """
    waiting = []
    for hdu in hdulist:
        if hdu.name in large:
            _append(waiting, path)
            _append_planes(hdu.header, path, large[hdu.name])
            waiting = []
        else:
            waiting.append(hdu)
    _append(waiting, path)


def _append(hdus, path):
    """Write HDUs of astropy's to the end of a file."""
    if not hdus:
        return
    if isinstance(hdus[0], fits.PrimaryHDU):
        fits.HDUList(hdus).writeto(path, overwrite=True, checksum=True)
        return
    with fits.open(path, mode="append", memmap=False) as file:
        for hdu in hdus:
            hdu.add_checksum()
            file.append(hdu)


def _append_planes(header, path, planes):
    """Write an image to the end of a file; its checksums, known at last, have their places from the first."""
    kind = planes.dtype.kind, planes.dtype.itemsize
    dtype = np.dtype(_WIDER.get(kind, planes.dtype))
    header = header.copy()
    header["BITPIX"], header["NAXIS"] = _BITPIX[dtype.kind, dtype.itemsize], len(planes.shape)
    for axis, side in enumerate(planes.shape[::-1], start=1):
        header.set(f"NAXIS{axis}", side, after="NAXIS" if axis == 1 else f"NAXIS{axis - 1}")
    header["CHECKSUM"], header["DATASUM"] = "0" * 16, f"{0:10d}"
    with open(path, "ab") as file:
        start = file.tell()
        file.write(header.tostring().encode())
        total, size = 0, 0
        for plane in planes:
            content = plane.astype(dtype.newbyteorder(">"), order="C").tobytes()
            file.write(content)
            total, size = _add(total, content, size), size + len(content)
        file.write(bytes(-size % _BLOCK))
    header["DATASUM"] = f"{total:10d}"
    known = _add(total, header.tostring().encode())
    header["CHECKSUM"] = _encoded(_ALL - known)
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(header.tostring().encode())


def _add(total, content, at=0):
    """Add bytes, of which the first is number ``at``, to a sum of 32-bit words in ones' complement arithmetic."""
    content = bytes(at % 4) + content
    words = np.frombuffer(content + bytes(-len(content) % 4), dtype=">u4")
    total += int(words.sum(dtype=np.uint64))
    return total % _ALL or (_ALL if total else 0)


def _encoded(value):
    """Write a checksum in ASCII (FITS standard 4.0, appendix J.2), in place of 16 zeros."""
    columns = []
    for byte in value.to_bytes(4, "big"):
        quotient, remainder = divmod(byte, 4)
        column = [quotient + remainder + 48, quotient + 48, quotient + 48, quotient + 48]
        while _PUNCTUATION.intersection(column):
            for k in (0, 2):
                if _PUNCTUATION.intersection(column[k : k + 2]):
                    column[k], column[k + 1] = column[k] + 1, column[k + 1] - 1
        columns.append(column)
    text = "".join(chr(columns[k][row]) for row in range(4) for k in range(4))
    return text[-1] + text[:-1]
