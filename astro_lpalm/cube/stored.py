"""Images of FITS files whose planes stay there: which can, and which should."""

import logging
import os
import stat

import numpy as np
from astropy.io import fits
from astropy.io.fits.hdu.image import BITPIX2DTYPE

from .._files import split_virtual
from .._memory import physical_memory
from .planes import Planes

__all__ = ["stored_planes"]

logger = logging.getLogger(__name__)

_SHARE = 0.25  # of memory: of a cube that takes more, a separation would take all


def stored_planes(image, shape, path, *, must):
    """Leave the planes of an image in its file.

    Parameters
    ----------
    image : image HDU
    shape : tuple of int
        (n, ny, nx).
    path : str or `os.PathLike`
        The file.
    must : bool
        Whether they are to stay there in any case; otherwise only those of a cube that is large against memory.

    Returns
    -------
    Planes or None
        None for images that are small, or cannot be read in part.

    Raises
    ------
    ValueError
        If they must stay there, but cannot.
    """
    name, why = split_virtual(path)[0], None
    size = abs(image.header["BITPIX"]) // 8 * int(np.prod(shape, dtype=object))
    if not must and size <= _SHARE * physical_memory():
        return None
    dtype = _type(image.header)
    if isinstance(image, fits.CompImageHDU):
        why = "its image is tile-compressed; unpack it with 'funpack'"
    elif not stat.S_ISREG(os.stat(name).st_mode) or not _is_plain(name):
        why = "it is compressed, or a pipe; unpack it, or write it to a file"
    elif dtype is None:
        why = "its values are scaled (BSCALE, BZERO) or have a BLANK; write them as they are meant"
    if why is None:
        logger.info("%s: %.3g GiB of counts stay in the file, and are read plane by plane", name, size / 2**30)
        return Planes.of_file(name, image.fileinfo()["datLoc"], dtype, shape)
    if must or (size > physical_memory() and not isinstance(image, fits.CompImageHDU)):  # of which photons may be few
        msg = f"the planes of the cube, {size / 2**30:.3g} GiB, cannot be read from the file one by one: {why}."
        raise ValueError(msg)
    return None


def _type(header):
    """Type that the values are stored in, or None where they are scaled; unsigned ones have an offset."""
    bitpix, scale, zero = header["BITPIX"], header.get("BSCALE", 1), header.get("BZERO", 0)
    if scale != 1 or (bitpix > 0 and "BLANK" in header):
        return None
    if zero == 0:
        return np.dtype(BITPIX2DTYPE[bitpix]).newbyteorder(">")
    return f">u{bitpix // 8}" if bitpix > 8 and zero == 1 << (bitpix - 1) else None


def _is_plain(name):
    with open(name, "rb") as file:
        return file.read(6) == b"SIMPLE"
