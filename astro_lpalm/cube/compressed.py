"""Photons as tile-compressed FITS images: to other programs 3-D images, though nobody lays them out to write them."""

import gzip

import numpy as np
from astropy.io import fits

from .._memory import physical_memory
from .photons import Photons

__all__ = ["photons_hdu", "read_photons"]

_FEW = 0.05  # cells with counts, of all: up to here photons take less memory than an array
_BITS = {np.uint8: 8, np.int16: 16, np.int32: 32, np.int64: 64}


def photons_hdu(photons, header, name):
    """Lay photons out as a compressed image, plane by plane (FITS standard 4.0, section 10.1; GZIP_1).

    Parameters
    ----------
    photons : Photons
    header : `~astropy.io.fits.Header`
        Of the image.
    name : str
        EXTNAME.

    Returns
    -------
    `~astropy.io.fits.BinTableHDU`
        Read back, it is a `~astropy.io.fits.CompImageHDU`.
    """
    largest = int(photons.matrix.data.max(initial=0))
    kind = next(kind for kind in _BITS if largest <= np.iinfo(kind).max)
    tiles = np.empty(len(photons), dtype=object)
    for energy in range(len(photons)):
        plane = photons[energy].astype(np.dtype(kind).newbyteorder(">"))
        tiles[energy] = np.frombuffer(gzip.compress(plane.tobytes(), compresslevel=1, mtime=0), dtype=np.uint8)
    hdu = fits.BinTableHDU.from_columns([fits.Column("COMPRESSED_DATA", "1PB()", array=tiles)], name=name)
    n_energy, ny, nx = photons.shape
    hdu.header["ZIMAGE"] = (True, "this is a compressed image")
    hdu.header["ZCMPTYPE"], hdu.header["ZBITPIX"], hdu.header["ZNAXIS"] = "GZIP_1", _BITS[kind], 3
    for axis, (length, tile) in enumerate(((nx, nx), (ny, ny), (n_energy, 1)), start=1):
        hdu.header[f"ZNAXIS{axis}"], hdu.header[f"ZTILE{axis}"] = length, tile
    structural = (
        "SIMPLE",
        "XTENSION",
        "BITPIX",
        "EXTEND",
        "PCOUNT",
        "GCOUNT",
        "EXTNAME",
        "CHECKSUM",
        "DATASUM",
        "BZERO",
        "BSCALE",
    )
    for card in header.cards:
        if card.keyword not in structural and not card.keyword.startswith("NAXIS"):
            hdu.header.append(card, end=True)
    return hdu


def read_photons(hdu):
    """Read a compressed image of whole numbers plane by plane.

    Parameters
    ----------
    hdu : `~astropy.io.fits.CompImageHDU`
        With three axes.

    Returns
    -------
    `Photons` or `~numpy.ndarray`, shape (n_energy, ny, nx)
        An array where more than one cell in 20 has counts.

    Raises
    ------
    ValueError
        If that would be larger than memory.
    """
    shape = tuple(hdu.header[f"NAXIS{axis}"] for axis in (3, 2, 1))
    n_cells = int(np.prod(shape, dtype=object))

    def planes():
        n_filled = 0
        for energy in range(shape[0]):
            plane = np.asarray(hdu.section[energy])
            n_filled += np.count_nonzero(plane)
            if n_filled >= _FEW * n_cells and n_cells * plane.itemsize > physical_memory():
                msg = (
                    f"the compressed image of {shape} is full, and larger than memory; unpack it with 'funpack', so "
                    "that its planes can be read one by one."
                )
                raise ValueError(msg)
            yield plane

    photons = Photons.of(planes(), shape)
    return photons if photons.n_filled < _FEW * n_cells else np.asarray(photons)
