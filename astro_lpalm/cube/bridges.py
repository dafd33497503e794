"""Cubes and component images as objects of gammapy and ndcube, and back; both packages are optional."""

import astropy.units as u
import numpy as np
from astropy.nddata import NDData

from .cube import EventCube
from .exports import to_gammapy, to_ndcube

__all__ = ["from_gammapy", "from_ndcube", "to_gammapy", "to_ndcube"]
__doctest_requires__ = {"from_gammapy": ["gammapy"], "from_ndcube": ["ndcube"]}


def from_gammapy(gammapy_map):
    """Take a cube, or an image, from a gammapy map.

    Parameters
    ----------
    gammapy_map : ``gammapy.maps.WcsNDMap``
        Counts on an energy axis and the sky, or on the sky alone.

    Returns
    -------
    `~astro_lpalm.cube.EventCube` or `~astropy.nddata.NDData`
        Pixels that are NaN somewhere are masked.

    Raises
    ------
    TypeError
        If it is no such map.
    ValueError
        If it has another axis than energy.

    Examples
    --------
    >>> from astro_lpalm.cube.bridges import from_gammapy
    >>> from gammapy.maps import MapAxis, WcsNDMap
    >>> energy = MapAxis.from_energy_bounds("0.5 keV", "8 keV", 4)
    >>> counts = WcsNDMap.create(npix=(3, 2), binsz=0.001, axes=[energy], unit="ct")
    >>> counts.data += 1
    >>> from_gammapy(counts).energy_edges.round(6)
    <Quantity [0.5, 1. , 2. , 4. , 8. ] keV>
    """
    geom = getattr(gammapy_map, "geom", None)
    if geom is None or geom.is_hpx:
        msg = f"expected a gammapy WcsNDMap, not {type(gammapy_map).__name__}."
        raise TypeError(msg)
    names, data = geom.axes.names, np.array(gammapy_map.data)
    missing = np.isnan(data)
    if not names:
        return NDData(data, unit=gammapy_map.unit, wcs=geom.wcs, mask=missing, meta=gammapy_map.meta)
    if len(names) > 1 or not names[0].startswith("energy"):
        msg = f"the map has the axes {names}; expected one of energy, besides the sky's."
        raise ValueError(msg)
    mask = missing.any(axis=0)
    data[:, mask] = 0
    meta = gammapy_map.meta or None
    edges = geom.axes[0].edges
    return EventCube(data, energy_edges=edges, wcs=geom.wcs, mask=mask if mask.any() else None, meta=meta)


def from_ndcube(cube):
    """Take a cube, or an image, from an NDCube.

    Parameters
    ----------
    cube : ``ndcube.NDCube``
        Counts of shape (energy, y, x), or (y, x), with a celestial WCS on the last two axes.

    Returns
    -------
    `~astro_lpalm.cube.EventCube` or `~astropy.nddata.NDData`
        The energy edges are those of ``meta["energy_edges"]``, or else of the WCS's third axis.

    Raises
    ------
    ValueError
        If there is no celestial WCS or no energy axis.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astro_lpalm.cube.bridges import from_ndcube
    >>> from astropy.wcs import WCS
    >>> from ndcube import NDCube
    >>> wcs = WCS(naxis=3)
    >>> wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN", "ENER"], ["deg", "deg", "keV"]
    >>> wcs.wcs.cdelt, wcs.wcs.crval, wcs.wcs.crpix = [-0.001, 0.001, 0.5], [0, 0, 1], [1, 1, 0.5]
    >>> from_ndcube(NDCube(np.ones((2, 4, 6)), wcs=wcs, unit=u.count)).energy_edges.round(6)
    <Quantity [1. , 1.5, 2. ] keV>
    """
    wcs, shape = cube.wcs, cube.data.shape
    celestial = getattr(wcs, "celestial", None)
    if celestial is None or celestial.naxis != 2 or len(shape) not in (2, 3):
        msg = f"expected an NDCube of (energy, y, x) or (y, x) with a FITS WCS; it has shape {shape} and {wcs!r}."
        raise ValueError(msg)
    if len(shape) == 2:
        return NDData(cube.data, unit=cube.unit, wcs=wcs, mask=cube.mask, uncertainty=cube.uncertainty, meta=cube.meta)
    meta = dict(cube.meta or {})
    edges = meta.pop("energy_edges", None)
    if edges is None:
        edges = _edges_of(wcs, shape[0])
    mask = cube.mask
    data = u.Quantity(cube.data, cube.unit or u.count)
    return EventCube(data, energy_edges=edges, wcs=celestial, mask=mask, meta=meta or None)


def _edges_of(wcs, n):
    try:
        wcs.wcs.set()  # now, as it makes J of other units
        unit = u.Unit(wcs.wcs.cunit[2])
        values = wcs.all_pix2world(np.zeros(n + 1), np.zeros(n + 1), np.arange(n + 1) - 0.5, 0)[2]
        return (values * unit).to(u.keV)
    except (IndexError, u.UnitsError) as error:
        msg = "the third axis of the NDCube's WCS is not one of energy; give meta['energy_edges'], a Quantity."
        raise ValueError(msg) from error
