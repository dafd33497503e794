"""Cubes and component images as objects of gammapy and ndcube; either is imported when it is asked for."""

from importlib import import_module

import numpy as np

__all__ = ["to_gammapy", "to_ndcube"]
__doctest_requires__ = {"to_gammapy": ["gammapy"], "to_ndcube": ["ndcube"]}


def to_gammapy(data):
    """Make a gammapy map.

    Parameters
    ----------
    data : `~astro_lpalm.cube.EventCube` or `~astropy.nddata.NDData`
        A cube, or an image with a celestial WCS such as those of `~astro_lpalm.results.Separation.images`.

    Returns
    -------
    ``gammapy.maps.WcsNDMap``
        With an axis ``energy`` if ``data`` is a cube; NaN in masked pixels, as maps have no mask.

    Raises
    ------
    ImportError
        If gammapy is not installed.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.cube.bridges import to_gammapy
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> cube = EventCube(np.ones((2, 4, 6)), energy_edges=[0.5, 2, 7] * u.keV, wcs=wcs)
    >>> to_gammapy(cube).geom.axes["energy"].edges
    <Quantity [0.5, 2. , 7. ] keV>
    """
    maps = _load("gammapy.maps")
    ny, nx = data.data.shape[-2:]
    edges = getattr(data, "energy_edges", None)
    axes = None if edges is None else [maps.MapAxis.from_energy_edges(edges, name="energy")]
    values = np.array(data.data, dtype=float)
    if data.mask is not None:
        values[np.broadcast_to(data.mask, values.shape)] = np.nan
    geom = maps.WcsGeom(wcs=data.wcs, npix=(nx, ny), axes=axes)
    return maps.WcsNDMap(geom, data=values, unit=data.unit or "", meta=dict(data.meta or {}))


def to_ndcube(data):
    """Make an NDCube.

    Parameters
    ----------
    data : `~astro_lpalm.cube.EventCube` or `~astropy.nddata.NDData`
        As `to_gammapy` takes it.

    Returns
    -------
    ``ndcube.NDCube``
        With the mask and uncertainty of ``data``. Of a cube the WCS is `~astro_lpalm.cube.EventCube.wcs3d`, with a
        third axis of energy (in J, which the standard prescribes), and the mask has the shape of the data; the edges
        of the bins are also in ``meta["energy_edges"]``.

    Raises
    ------
    ImportError
        If ndcube is not installed.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.cube.bridges import to_ndcube
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> cube = EventCube(np.ones((2, 4, 6)), energy_edges=[0.5, 2, 7] * u.keV, wcs=wcs)
    >>> to_ndcube(cube)[0].data.shape
    (4, 6)
    """
    ndcube = _load("ndcube")
    wcs, mask, meta = data.wcs, data.mask, dict(data.meta or {})
    if hasattr(data, "energy_edges"):
        wcs = data.wcs3d
        mask = None if mask is None else np.broadcast_to(mask, data.data.shape)
        meta["energy_edges"] = data.energy_edges
    return ndcube.NDCube(data.data, wcs=wcs, unit=data.unit, mask=mask, uncertainty=data.uncertainty, meta=meta)


def _load(name):
    try:
        return import_module(name)
    except ImportError as error:
        package = name.split(".")[0]
        msg = f"this needs {package}, which cannot be imported ({error}): pip install 'astro_lpalm[bridges]'."
        raise ImportError(msg) from error
