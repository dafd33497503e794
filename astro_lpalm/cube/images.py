"""3-D images: finding the data, the energies and the mask of a cube in what FITS files hold."""

import numpy as np
from astropy.io import fits

from .energies import as_energy_edges, describe_grid, read_ebounds, read_linear_axis

__all__ = ["read_image"]

_IMAGES = (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)


def read_image(hdu, energy_edges=None):
    """Read a cube from an image HDU or a list of HDUs.

    Parameters
    ----------
    hdu : image HDU or `~astropy.io.fits.HDUList`
        Of a list, the first 3-D image is taken, with its EBOUNDS table and MASK image.
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,), optional
        Edges of the energy bins, instead of the file's.

    Returns
    -------
    data : `~numpy.ndarray`, shape (n, ny, nx)
    header : `~astropy.io.fits.Header`
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,)
    mask : `~numpy.ndarray`, shape (ny, nx), or None

    Raises
    ------
    TypeError
        If ``hdu`` is something else.
    ValueError
        If there is no 3-D image, or its energies are missing or as many as they should not be.
    """
    if isinstance(hdu, fits.HDUList):
        image, others = _first_cube(hdu), hdu
    elif isinstance(hdu, _IMAGES):
        image, others = hdu, []
        if len(_shape(hdu)) != 3:
            raise ValueError(_not_a_cube([hdu]))
    else:
        msg = f"a cube comes from a 3-D image HDU or an HDUList, not {type(hdu).__name__}; EventCube.read takes a file."
        raise TypeError(msg)
    header, shape = image.header, _shape(image)
    if energy_edges is not None:
        edges = as_energy_edges(energy_edges)
    else:
        ebounds = next((other for other in others if _is_ebounds(other)), None)
        edges = read_linear_axis(header) if ebounds is None else read_ebounds(ebounds)
    if len(edges) != shape[0] + 1:
        msg = f"the cube has {shape[0]} energies (shape {shape}), but its energy grid has {describe_grid(edges)}."
        raise ValueError(msg)
    return np.asarray(image.data), header, edges, _read_mask(others, shape)


def _shape(hdu):
    """Shape of an image, from its header alone."""
    return tuple(hdu.header[f"NAXIS{axis}"] for axis in range(hdu.header["NAXIS"], 0, -1))


def _first_cube(hdulist):
    images = [hdu for hdu in hdulist if isinstance(hdu, _IMAGES)]
    for image in images:
        if len(_shape(image)) == 3:
            return image
    raise ValueError(_not_a_cube(images))


def _not_a_cube(images):
    found = [f"{hdu.name or '(unnamed)'} {_shape(hdu)}" for hdu in images if _shape(hdu)]
    listing = "the images are " + ", ".join(found) if found else "there is no image"
    return f"a cube is a 3-D image (energy, y, x), but {listing}; to bin an event list: EventCube.from_events."


def _is_ebounds(hdu):
    if not isinstance(hdu, fits.BinTableHDU):
        return False
    return hdu.name.upper() == "EBOUNDS" or hdu.header.get("HDUCLAS2") == "EBOUNDS"


def _read_mask(others, shape):
    mask = next((other for other in others if other.name.upper() == "MASK" and isinstance(other, _IMAGES)), None)
    if mask is None:
        return None
    if _shape(mask) != shape[1:]:
        msg = f"the MASK image has shape {_shape(mask)}, but the cube's images have {shape[1:]}."
        raise ValueError(msg)
    return mask.data != 0
