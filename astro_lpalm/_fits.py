"""The one way in for FITS files: nothing is read of them before they are found whole, and their claims true."""

import bz2
import gzip
import lzma
import mmap
import os
import re
import stat
import tempfile
import warnings
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.io.fits.hdu.base import ExtensionHDU
from astropy.utils.exceptions import AstropyUserWarning

from ._fits_scan import LARGEST_RATIO, checksum_faults, largest_size, scan

__all__ = ["naming", "open_fits", "read_image", "split_virtual"]

_PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_ARCHIVES = {b"PK\3\4": "unzip", b"\x1f\x9d": "uncompress"}
_AT_ONCE = 1 << 20
_OURS = "astro_lpalm"
_CUBE_COMMENT = "events per pixel and energy bin"  # of BUNIT, in cubes that keep the observation's CREATOR


@contextmanager
def open_fits(path, *, checksum=False, headers_only=False, **kwargs):
    """Open a FITS file for reading, with errors that name it.

    Every header is read before the file is opened: cards that cannot be read, or not be written again, are mended, or
    left out, with a warning; what they claim is held against the real size of the file, and its data against their
    checksums. A compressed file or a pipe is unpacked first, to a temporary file.

    Parameters
    ----------
    path : str or `os.PathLike`
        The file, compressed (gzip, bzip2, xz) or not; or a pipe. ``file.fits[NAME]`` and ``file.fits+1`` open the
        primary header and this extension only.
    checksum : bool
        Whether every HDU's CHECKSUM and DATASUM must be present and right.
    headers_only : bool
        Whether only the headers are to be looked at: nothing is verified or warned of, and a pipe is refused.
    **kwargs
        Passed to `astropy.io.fits.open`.

    Yields
    ------
    hdulist : `~astropy.io.fits.HDUList`

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If it is not FITS, is damaged or truncated; if it would unpack to more than 256 MiB and 200 times its size; or
        if a checksum is wrong, in a file of this package, or missing, where it must be there.

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        If cards were mended, or a checksum of another program's file is wrong.
    """
    name, extension = split_virtual(path)
    with ExitStack() as stack:
        try:
            file = _unpacked(stack, name, headers_only)
            hdus = scan(file)
            with warnings.catch_warnings():
                # A file cut off in data or in a header is only warned about, and then read as if it were whole.
                for message in (".*truncated", "Error validating header"):
                    warnings.filterwarnings("error", message=message, category=AstropyUserWarning)
                hdulist = stack.enter_context(fits.open(_mended(stack, file, hdus), **kwargs))
                _check_read(hdulist, hdus, headers_only)
        except FileNotFoundError:
            raise
        except Exception as error:  # astropy and each decompressor have kinds of their own
            reason = " ".join(str(error).split()) or type(error).__name__
            msg = (
                f"cannot read '{name}' as a FITS file ({reason}); it is another kind of file, damaged, or is truncated."
            )
            raise OSError(msg) from error
        if not headers_only:
            remarks = _describe_mended(hdus) + _verify_checksums(file, hdus, name, checksum)
            if remarks:
                msg = f"'{name}': {'; '.join(remarks)}; check that it is what it should be."
                warnings.warn(msg, AstropyUserWarning, stacklevel=4)
        yield hdulist if extension is None else _select(hdulist, extension, name)


@contextmanager
def naming(path):
    """Name a file in the errors of what it holds that do not; do nothing where ``path`` is none."""
    try:
        yield
    except ValueError as error:
        if not isinstance(path, str | os.PathLike) or os.fspath(path) in str(error):
            raise
        msg = f"'{os.fspath(path)}': {error}"
        raise ValueError(msg) from error


def read_image(name, directory="."):
    """Read a two-dimensional image from a FITS file.

    Parameters
    ----------
    name : str or `os.PathLike`
        The file, "file.fits", of which the first image is taken, or "file.fits[EXTENSION]".
    directory : str or `os.PathLike`
        Where a relative name starts from.

    Returns
    -------
    image : `~numpy.ndarray` of float64, shape (ny, nx)
    header : `~astropy.io.fits.Header`

    Raises
    ------
    OSError
        See `open_fits`.
    ValueError
        If there is no such image in it.
    """
    file, extension = split_virtual(Path(directory) / name)
    with open_fits(file) as hdulist:
        for number, hdu in enumerate(hdulist):
            wanted = extension is None or extension == number or hdu.name == str(extension).upper()
            if wanted and hdu.is_image and hdu.header["NAXIS"] == 2 and hdu.data is not None:
                return np.array(hdu.data, dtype=float), hdu.header.copy()
    where = "" if extension is None else f" called '{extension}'"
    msg = f"'{file}' has no two-dimensional image{where}."
    raise ValueError(msg)


def split_virtual(path, what="file"):
    """Take apart the name of a part of a file, as CIAO and CFITSIO write it.

    Parameters
    ----------
    path : str or `os.PathLike`
    what : str
        What the file is, for messages.

    Returns
    -------
    name : str
        Of the file.
    extension : str, int or None
        Name or number of the extension, ``file.fits[NAME]`` or ``file.fits+1``; None for all.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or the part is none that can be taken here.
    """
    name = os.fspath(path)
    if Path(name).exists() and not Path(name).is_dir():
        return name, None
    # A name may have brackets and a plus of its own: the part begins where what is before it is a file.
    starts = [each.start() for each in re.finditer(r"\+\d+$|\[", name)]
    start = next((start for start in starts if Path(name[:start]).is_file()), None)
    if start is None:
        file = re.sub(r"(\+\d+|\[[^[]*\])$", "", name)
        msg = f"there is no {what} '{file}'; check the name and the directory."
        raise FileNotFoundError(msg)
    file, part = name[:start], name[start:]
    if part[0] == "+":
        return file, int(part)
    extension = re.fullmatch(r"\[\s*([A-Za-z_]\w*)\s*\]", part)
    if extension is None:
        msg = (
            f"there is no {what} '{name}': of CIAO's virtual files only '{file}[NAME]' and '{file}+1' are known here; "
            "give the file, and select energies and regions by options (--energy, --region), or make the part a file, "
            "with dmcopy."
        )
        raise FileNotFoundError(msg)
    return file, extension[1]


def _select(hdulist, extension, path):
    """Give the primary header, without data, and the extensions that were asked for."""
    if isinstance(extension, int):
        found = list(hdulist[extension : extension + 1])
    else:
        found = [hdu for hdu in hdulist if hdu.name.upper() == extension.upper()]
    if not found:
        names = ", ".join(hdu.name or "(unnamed)" for hdu in hdulist)
        msg = f"'{path}' has no extension {extension}; it has {names}, counted from 0."
        raise ValueError(msg)
    if found[0] is hdulist[0]:
        return fits.HDUList(found)
    return fits.HDUList([fits.PrimaryHDU(header=hdulist[0].header), *found])


def _unpacked(stack, path, headers_only):
    """Open a file, unpacked: a regular one that can be read from any position."""
    kind = os.stat(path).st_mode
    file = stack.enter_context(Path(path).open("rb"))  # noqa: SIM115
    if stat.S_ISFIFO(kind):
        if headers_only:
            text = "it is a pipe, which can be read only once, and this needs it twice: write it to a file first"
            raise ValueError(text)
        file = _copied(stack, file)
    elif not stat.S_ISREG(kind):
        text = "it is no ordinary file"
        raise ValueError(text)
    magic = file.read(6)
    size = file.seek(0, 2)
    file.seek(0)
    if size == 0:
        text = "it is empty; a pipe can be read only once" if stat.S_ISFIFO(kind) else "it is empty"
        raise ValueError(text)
    for start, program in _ARCHIVES.items():
        if magic.startswith(start):
            text = f"it is compressed: unpack it first, with '{program}'"
            raise ValueError(text)
    for start, opened in _PACKED.items():
        if magic.startswith(start):
            return _copied(stack, stack.enter_context(opened(file)), largest_size(size))
    return file


def _copied(stack, stream, largest=None):
    """Copy a stream to a temporary file, which vanishes when it is closed."""
    copy, size = stack.enter_context(tempfile.TemporaryFile()), 0  # noqa: SIM115
    while part := stream.read(_AT_ONCE):
        if largest is not None and size == 0 and not part.startswith(b"SIMPLE"):
            text = "what is compressed in it does not begin with SIMPLE"
            raise ValueError(text)
        size += len(part)
        if largest is not None and size > largest:
            text = (
                f"it unpacks to more than {largest >> 20} MiB, over {LARGEST_RATIO} times its size; if it is what it "
                "should be, unpack it first"
            )
            raise ValueError(text)
        try:
            copy.write(part)
            copy.flush()
        except OSError as error:
            text = f"there is no room to unpack it in '{tempfile.gettempdir()}': {error.strerror}; set TMPDIR"
            raise ValueError(text) from error
    copy.seek(0)
    # Another object of the same file, which is not open for writing: astropy maps it to memory as it would any.
    return stack.enter_context(os.fdopen(os.dup(copy.fileno()), "rb"))


def _mended(stack, file, hdus):
    """Give what to read: the file itself or, where a header was mended, a private map of it with these in place."""
    replaced = []
    for hdu in hdus:
        file.seek(hdu.start)
        if file.read(len(hdu.content)) != hdu.content:
            replaced.append(hdu)
    file.seek(0)
    if not replaced:
        return file
    content = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    for hdu in replaced:
        content[hdu.start : hdu.data_start] = hdu.content
    return content


def _check_read(hdulist, hdus, headers_only):
    """Have astropy read what it would put off, and make much of: headers, columns, compressed images."""
    for hdu, scanned in zip(hdulist, hdus, strict=True):
        if not isinstance(hdu, fits.PrimaryHDU | fits.GroupsHDU | ExtensionHDU):
            text = f"{scanned.title} cannot be read"
            raise ValueError(text)
        if isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
            hdu.columns.dtype.newbyteorder()
        if isinstance(hdu, fits.CompImageHDU) and not headers_only:
            if hdu.header["NAXIS"] == 3:  # which may be mostly empty, and large
                for plane in range(hdu.header["NAXIS3"]):
                    hdu.section[plane]
            else:
                hdu.data  # noqa: B018


def _is_ours(header):
    texts = [str(header.get(key, "")) for key in ("CONTENT", "CREATOR", "ORIGIN")]
    return any(text.startswith(_OURS) for text in texts) or (
        "BUNIT" in header and header.comments["BUNIT"] == _CUBE_COMMENT
    )


def _verify_checksums(file, hdus, path, required):
    """Refuse data of our own that are not what they were, and what is required; give what to say of the rest.

    CHECKSUM alone is wrong where only the header was edited, with a program that does not renew it: so common that
    nothing is said of it in files of others.
    """
    ours = _is_ours(hdus[0].header)
    changed = {"DATASUM": [], "CHECKSUM": []}
    for hdu in hdus:
        faults = checksum_faults(file, hdu)
        if (required and faults) or (ours and faults.get("DATASUM") == "wrong"):
            msg = (
                f"'{path}': the checksum of {hdu.title} is missing or wrong, so the file has been changed or damaged "
                "since it was written; get a fresh copy or make it again (who changes one on purpose writes it with "
                "astropy's writeto(..., checksum=True))."
            )
            raise OSError(msg)
        if faults.get("DATASUM") == "wrong" or (faults.get("CHECKSUM") == "wrong" and "DATASUM" in faults):
            changed["DATASUM"].append(hdu.title)
        elif ours and faults.get("CHECKSUM") == "wrong":
            changed["CHECKSUM"].append(hdu.title)
    what = {"DATASUM": "data", "CHECKSUM": "header"}
    return [
        f"the {what[key]} of {_several(titles)} changed since it was written ({key})"
        for key, titles in changed.items()
        if titles
    ]


def _describe_mended(hdus):
    mended = [f"{keyword} of {hdu.title} {done}" for hdu in hdus for keyword, done in hdu.mended.items()]
    return [f"cards that are not FITS were mended or left out: {_several(mended)}"] if mended else []


def _several(texts, most=8):
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
