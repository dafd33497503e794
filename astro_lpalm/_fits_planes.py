"""FITS files with images that are larger than memory, written plane by plane."""

import os

import numpy as np
from astropy.io import fits
from astropy.io.fits.hdu.image import DTYPE2BITPIX

__all__ = ["write_with_planes"]

_WIDER = {"int8": "int16", "uint16": "int32", "uint32": "int64", "uint64": "int64", "float16": "float32"}


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
    dtype = np.dtype(_WIDER.get(planes.dtype.name, planes.dtype.name))
    header = header.copy()
    header["BITPIX"], header["NAXIS"] = DTYPE2BITPIX[dtype.name], len(planes.shape)
    for axis, side in enumerate(planes.shape[::-1], start=1):
        header.set(f"NAXIS{axis}", side, after="NAXIS" if axis == 1 else f"NAXIS{axis - 1}")
    header["CHECKSUM"], header["DATASUM"] = "0" * 16, "0".rjust(10)
    with fits.StreamingHDU(os.fspath(path), header) as stream:  # of a Path it takes the name alone
        for plane in planes:
            stream.write(np.ascontiguousarray(plane, dtype=dtype))
    with fits.open(path, mode="update", memmap=True) as file:
        file[-1].add_checksum()
