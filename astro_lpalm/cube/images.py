"""Cubes as FITS: finding the data, energies, mask and exposure in what files hold, and laying them out."""

import warnings

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from .._headers import header_text
from ..grid.energies import (
    as_energy_edges,
    describe_grid,
    ebounds_hdu,
    is_third_axis_card,
    linear_axis_cards,
    read_ebounds,
    read_spectral_axis,
)
from ..grid.resample import image_unit
from ..grid.sky import celestial_cards, celestial_wcs, is_structural, is_wcs_card
from .compressed import photons_hdu, read_photons
from .stored import stored_planes

__all__ = ["cube_hdulist", "exposure_hdu", "image_header", "read_image"]

# What programs call a count in BUNIT; without it, the numbers are taken for counts.
_COUNTS = {"", "count", "counts", "ct", "cts", "photon", "photons", "ph", "event", "events"}
_IMAGES = (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)


def read_image(hdu, energy_edges=None, path=None, memmap=False):
    """Read a cube from an image HDU or a list of HDUs.

    Parameters
    ----------
    hdu : image HDU or `~astropy.io.fits.HDUList`
        Of a list, the first 3-D image is taken, with its EBOUNDS table, or that of Gammapy (BANDSHDU), and its MASK and
        EXPOSURE images. Axes of one pixel beyond the third are left out.
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,), optional
        Edges of the energy bins, instead of the file's.
    path : str or `os.PathLike`, optional
        The file that the HDUs are of.
    memmap : bool or None
        Whether the planes stay in it; None for those of cubes that are large against memory.

    Returns
    -------
    data : `~numpy.ndarray`, `Photons` or `Planes`, shape (n, ny, nx)
    header : `~astropy.io.fits.Header`
    wcs : `~astropy.wcs.WCS`
        Celestial, of the images.
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,)
    mask : `~numpy.ndarray`, shape (ny, nx), or None
    exposure : `~astropy.units.Quantity`, shape (ny, nx), or None

    Raises
    ------
    TypeError
        If ``hdu`` is something else.
    ValueError
        If there is no 3-D image, its energies are missing or as many as they should not be, it has no celestial WCS,
        or the file is that of a separation.
    """
    if isinstance(hdu, fits.HDUList):
        names = {other.name for other in hdu}
        if "MIXING" in names and names & {"RESIDUAL", "COUNTS"}:
            msg = (
                "it holds the components of a cube that was separated; take that cube's file, or "
                "Separation.read(...).cube."
            )
            raise ValueError(msg)
        image, others = _first_cube(hdu), hdu
    elif isinstance(hdu, _IMAGES):
        image, others = _first_cube([hdu]), []
    else:
        msg = f"a cube comes from a 3-D image HDU or an HDUList, not {type(hdu).__name__}; EventCube.read takes a file."
        raise TypeError(msg)
    header, shape = image.header, _shape(image)
    edges = _energies_of(image, others) if energy_edges is None else as_energy_edges(energy_edges)
    if len(edges) != shape[0] + 1:
        msg = f"the cube has {shape[0]} energies (shape {shape}), but its energy grid has {describe_grid(edges)}."
        raise ValueError(msg)
    data = None if memmap is False else stored_planes(image, shape, path, must=memmap is True)
    if data is not None:
        pass
    elif isinstance(image, fits.CompImageHDU) and image.header["NAXIS"] == 3 and _is_whole(image.header):
        data = read_photons(image)
    else:
        data = np.asarray(image.data).reshape(shape)
    if edges[-1] < edges[0]:  # as wavelengths rise
        data, edges = data[::-1], edges[::-1]
    mask, exposure = (_find_image(others, name, shape) for name in ("MASK", "EXPOSURE"))
    mask = None if mask is None else mask.data != 0
    if exposure is not None:
        exposure = np.array(exposure.data, dtype=float) * image_unit(exposure.header, "the EXPOSURE image")
    wcs = _sky_of(header)
    unit = header_text(header, "BUNIT", "the cube")
    if unit.strip().lower() not in _COUNTS:
        msg = (
            f"the cube is in {unit!r}, but is taken as counts, whose noise it has not; give the counts themselves (a "
            "rate times its exposure), or correct BUNIT."
        )
        warnings.warn(msg, AstropyUserWarning, stacklevel=3)
    return data, header, wcs, edges, mask, exposure


def _is_whole(header):
    """Whether an image holds whole numbers as they are."""
    return header["BITPIX"] > 0 and "BZERO" not in header and "BSCALE" not in header and "BLANK" not in header


def _sky_of(header):
    wcs = celestial_wcs(celestial_cards(header))
    if wcs is None:
        found = ", ".join(f"CTYPE{axis}={header.get(f'CTYPE{axis}', '')!r}" for axis in (1, 2))
        msg = f"the cube has no celestial WCS on its first two FITS axes ({found}); add one to its header."
        raise ValueError(msg)
    return wcs


def _energies_of(image, others):
    """Edges of the energy bins: EBOUNDS is the authority, then Gammapy's table, then the third axis."""
    named = header_text(image.header, "BANDSHDU", "the image's header").upper()
    tables = [other for other in others if isinstance(other, fits.BinTableHDU)]
    found = [table for table in tables if _is_ebounds(table)] or [table for table in tables if table.name == named]
    return read_ebounds(found[0]) if found else read_spectral_axis(image.header, others or None)


def _shape(hdu):
    """Shape of an image, from its header alone, without axes of one pixel beyond the third."""
    shape = [hdu.header[f"NAXIS{axis}"] for axis in range(hdu.header["NAXIS"], 0, -1)]
    while len(shape) > 3 and shape[0] == 1:
        del shape[0]
    return tuple(shape)


def _first_cube(hdus):
    images = [hdu for hdu in hdus if isinstance(hdu, _IMAGES)]
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
    return hdu.name.upper() == "EBOUNDS" or header_text(hdu.header, "HDUCLAS2", hdu.name) == "EBOUNDS"


def _find_image(others, name, shape):
    image = next((other for other in others if other.name.upper() == name and isinstance(other, _IMAGES)), None)
    if image is not None and _shape(image) != shape[1:]:
        msg = f"the {name} image has shape {_shape(image)}, but the cube's images have {shape[1:]}."
        raise ValueError(msg)
    return image


def image_header(cube):
    """Make the header of a cube's image."""
    header = fits.Header()
    for card in fits.Header(cube.meta).cards if cube.meta else []:
        key = card.keyword
        if not (is_structural(key) or is_wcs_card(key) or is_third_axis_card(key)):
            header.append(card, end=True)
    celestial = cube.celestial_header()
    header.update({card.keyword: (card.value, card.comment) for card in celestial.cards})
    header["BUNIT"] = ("count", "events per pixel and energy bin")
    for keyword, value, comment in linear_axis_cards(cube.energy_edges, matrix="CD" if "CD1_1" in header else "PC"):
        header[keyword] = (value, comment)
    return header


def cube_hdulist(cube, *, by_plane=False):
    """Lay a cube out as FITS; see `EventCube.to_hdulist`. The image is left out where it is written plane by plane."""
    header, celestial = image_header(cube), cube.celestial_header()
    if cube.is_sparse:
        images = [fits.PrimaryHDU(), photons_hdu(cube.photons, header, "COUNTS")]
    elif by_plane:
        images = [fits.PrimaryHDU(header=header)]
    else:
        images = [fits.PrimaryHDU(cube.data, header)]
    hdulist = fits.HDUList([*images, ebounds_hdu(cube.energy_edges)])
    if cube.mask is not None:
        hdulist.append(fits.ImageHDU(cube.mask.astype(np.uint8), celestial, name="MASK"))
    if cube.exposure is not None:
        hdulist.append(exposure_hdu(cube))
    return hdulist


def exposure_hdu(cube):
    """Lay the exposure of a cube out as an image called EXPOSURE, on its celestial WCS."""
    hdu = fits.ImageHDU(cube.exposure.value, cube.celestial_header(), name="EXPOSURE")
    unit = cube.exposure.unit.to_string("fits")
    hdu.header["BUNIT"] = (unit, "unit of the exposure" if unit else "relative exposure")
    return hdu
