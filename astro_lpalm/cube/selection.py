"""From what the user asks of a cube (ranges, scales, bounds, regions) to energy edges and a grid of pixels."""

import os
import warnings
from numbers import Real

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs.utils import proj_plane_pixel_scales

from .._files import naming, open_fits
from ..data import find_model_file
from ..grid.energies import as_energy_edges, read_ebounds
from ..grid.sky import SkyGrid
from .counting import guess_unit
from .region import bounding_box, how_far, includes

__all__ = ["choose_energy_edges", "choose_grid", "energies_of", "warn_of_stripes"]

# The grid of the packaged model.
_DEFAULT_RANGE = (0.5, 7.0) * u.keV
_DEFAULT_N_ENERGY = 65

_ROUNDING = 1e-6  # sky pixels


def choose_energy_edges(energy=None, n_energy=None, energy_edges=None):
    """Choose energy bin edges.

    Parameters
    ----------
    energy : `~astropy.units.Quantity`, shape (2,), optional
        Lowest and highest energy; 0.5 to 7 keV if not given.
    n_energy : int, optional
        Number of equal bins; 65 if not given.
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,), optional
        The edges themselves, instead of the other two.

    Returns
    -------
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,)
        In keV.

    Raises
    ------
    ValueError
        If the arguments contradict each other, lack a unit or are out of range.
    """
    if energy_edges is not None:
        if energy is not None or n_energy is not None:
            msg = "give either energy_edges or energy and n_energy, not both."
            raise ValueError(msg)
        return as_energy_edges(energy_edges)
    bounds = as_energy_edges(_DEFAULT_RANGE if energy is None else energy, name="energy")
    if bounds.size != 2:
        msg = (
            f"energy must be a pair, lowest and highest, but has {bounds.size} values; energy_edges takes a whole grid."
        )
        raise ValueError(msg)
    n_energy = _DEFAULT_N_ENERGY if n_energy is None else n_energy
    if not isinstance(n_energy, int | np.integer) or n_energy < 1:
        msg = f"n_energy={n_energy!r} must be a positive whole number."
        raise ValueError(msg)
    return np.linspace(bounds[0], bounds[1], int(n_energy) + 1)


def energies_of(model):
    """Find the energy bins that a model is for.

    Parameters
    ----------
    model : str, `os.PathLike` or object with ``energy_edges``
        The name of a packaged model, a model file, or a model.

    Returns
    -------
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,)
        In keV, to the last digit.

    Raises
    ------
    TypeError
        If it is something else.
    FileNotFoundError
        If it is neither a file nor the name of a packaged model; says what these are.
    OSError, ValueError
        If the file cannot be read, or the model says nothing of energies.

    Examples
    --------
    >>> from astro_lpalm.cube.selection import energies_of
    >>> energies_of("snr-acis")[[0, 1, -1]]
    <Quantity [0.5, 0.6, 7. ] keV>
    """
    if isinstance(model, str | os.PathLike):
        with open_fits(find_model_file(model)) as hdulist:
            edges = read_ebounds(hdulist["EBOUNDS"]) if "EBOUNDS" in hdulist else None
        where = f"'{model}'"
    else:
        edges, where = getattr(model, "energy_edges", None), f"the model, of type {type(model).__name__},"
        if edges is None and not hasattr(model, "separate"):
            msg = f"model must be a model, its file or a packaged one's name, not {type(model).__name__}."
            raise TypeError(msg)
    if edges is None:
        msg = f"{where} does not say what energies it is for; give energy_edges."
        raise ValueError(msg)
    return as_energy_edges(edges)


def choose_grid(
    events,
    sky_wcs,
    energy_edges,
    *,
    bin_factor=None,
    pixel_scale=None,
    bounds=None,
    center=None,
    size=None,
    shapes=None,
    region=None,
):
    """Choose the pixels of a cube.

    Parameters
    ----------
    events : list of `~astro_lpalm.cube.events.EventList`
        The events of each observation, on the sky pixels of the first.
    sky_wcs : `~astropy.wcs.WCS`
        WCS of their sky pixels.
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,)
        The energy bins: only events within them count for the extent.
    bin_factor, pixel_scale, bounds, center, size
        As in `astro_lpalm.EventCube.from_events`.
    shapes : list of `~regions.Region`, optional
        The region, whose bounding box is taken where neither bounds nor a centre is given.
    region : object, optional
        What the shapes were read from: a file is named in errors.

    Returns
    -------
    grid : `~astro_lpalm.grid.SkyGrid`

    Raises
    ------
    ValueError
        If the arguments contradict each other, lack a unit or are out of range, or the region lies off the image.
    """
    sky_pixel = proj_plane_pixel_scales(sky_wcs) * u.deg
    bin_factor = _bin_factor(bin_factor, pixel_scale, sky_pixel[0], events[0].mission)
    if bounds is not None:
        if center is not None or size is not None:
            msg = "give either bounds or center and size, not both."
            raise ValueError(msg)
        return SkyGrid.over(_checked_bounds(bounds, events[0]), bin_factor)
    if center is not None or size is not None:
        return _around(center, size, sky_wcs, sky_pixel, bin_factor, events[0].whole_axes())
    with naming(region if any(includes(shape) for shape in shapes or ()) else None):  # exclusions change no bounds
        return _default_grid(events, sky_wcs, energy_edges, bin_factor, shapes)


def _bin_factor(bin_factor, pixel_scale, sky_pixel, mission):
    if bin_factor is not None and pixel_scale is not None:
        msg = "give either bin_factor or pixel_scale, not both."
        raise ValueError(msg)
    if pixel_scale is not None:
        # Rounded, so that a whole number of sky pixels stays one on its way through angles.
        return round(float(_angle(pixel_scale, "pixel_scale", (1,))[0] / sky_pixel.to_value(u.deg)), 9)
    if bin_factor is None:
        if mission is None or mission.bin_factor == 1:
            return 1.0
        # of lists with other sky pixels than the mission's as many as make as large a pixel
        return float(max(1, np.rint(mission.bin_factor * mission.sky_pixel.to(u.deg) / sky_pixel).value))
    if not isinstance(bin_factor, Real) or not 0 < bin_factor < np.inf:
        msg = f"bin_factor={bin_factor!r} must be a positive number of sky pixels; pixel_scale takes an angle."
        raise ValueError(msg)
    return float(bin_factor)


def warn_of_stripes(events, grid, sky_wcs):
    """Warn of images whose pixels cut through the sky pixels of a list that has whole numbers for positions.

    Parameters
    ----------
    events : `~astro_lpalm.cube.events.EventList`
    grid : `~astro_lpalm.grid.SkyGrid`
    sky_wcs : `~astropy.wcs.WCS`
        Of the sky pixels.
    """
    whole_axes = events.whole_axes()
    if not any(whole_axes):
        return
    edges = [edge for edge, is_whole in zip((grid.x0, grid.y0), whole_axes) if is_whole]
    scale = (proj_plane_pixel_scales(sky_wcs)[0] * u.deg).to_value(u.arcsec)
    factor, said = grid.bin_factor, f"{events.where}: positions are whole sky pixels, of {scale:.6g} arcsec, and"
    # Edges may drift by half a sky pixel over the image before one of them passes the middle of a sky pixel.
    if abs(factor - max(round(factor), 1)) * max(grid.nx, grid.ny) >= 0.5:
        good = sorted({max(int(np.floor(factor)), 1), int(np.ceil(factor))})
        nearest = " or ".join(f"bin_factor={n} (pixel_scale={n * scale:.6g} arcsec)" for n in good)
        msg = (
            f"{said} pixels of {factor:.6g} of them ({factor * scale:.6g} arcsec) hold unequal numbers of sky pixels, "
            f"which makes stripes that pass for structure; take {nearest}."
        )
    elif any(abs(edge - _between(edge)) > _ROUNDING for edge in edges):
        msg = (
            f"{said} the image's edges x0 = {grid.x0:.6g}, y0 = {grid.y0:.6g} cut through them, so that events are up "
            "to half a sky pixel beside their place; take bounds that end in .5."
        )
    else:
        return
    warnings.warn(msg, AstropyUserWarning, stacklevel=2)


def _angle(value, name, sizes):
    """Check a positive angle, or several, and convert to degrees."""
    try:
        degrees = np.atleast_1d(u.Quantity(value).to_value(u.deg))
    except (u.UnitConversionError, TypeError, ValueError) as error:
        msg = f"{name}={value!r} must be an angle with a unit, for instance 1 * astropy.units.arcsec."
        raise ValueError(msg) from error
    if degrees.ndim != 1 or degrees.size not in sizes or not ((degrees > 0) & np.isfinite(degrees)).all():
        msg = f"{name}={value!r} must be {' or '.join(map(str, sizes))} positive, finite angle(s)."
        raise ValueError(msg)
    return degrees


def _checked_bounds(bounds, events):
    try:
        x0, x1, y0, y1 = (float(value) for value in bounds)
    except (TypeError, ValueError) as error:
        msg = f"bounds={bounds!r} must be four numbers x0, x1, y0, y1, in sky pixels of the event list."
        raise ValueError(msg) from error
    if not (-np.inf < x0 < x1 < np.inf and -np.inf < y0 < y1 < np.inf):
        msg = f"bounds={bounds!r} must be finite, with x0 < x1 and y0 < y1."
        raise ValueError(msg)
    # CIAO takes the bounds of a column of whole numbers as the outermost values, which are the pixels' centres.
    x0, x1, y0, y1 = edges = events.edges_of((x0, x1, y0, y1))
    if not (x0 < x1 and y0 < y1):
        msg = f"bounds={bounds!r} hold no sky pixel, whose centres are whole numbers; widen them."
        raise ValueError(msg)
    return edges


def _around(center, size, sky_wcs, sky_pixel, bin_factor, whole_axes):
    if center is None or size is None:
        msg = "center and size must be given together."
        raise ValueError(msg)
    if not isinstance(center, SkyCoord) or not center.isscalar:
        msg = f"center must be a single astropy SkyCoord, not {center!r}."
        raise ValueError(msg)
    width, height = np.broadcast_to(_angle(size, "size", (1, 2)), 2) / sky_pixel.to_value(u.deg)
    x, y = (round(float(value) + 1, 6) for value in sky_wcs.world_to_pixel(center))
    if not np.isfinite([x, y]).all():
        msg = f"center={center!r} cannot be projected on the image: it lies on the other side of the sky."
        raise ValueError(msg)
    nx, ny = (max(1, int(np.ceil(side / bin_factor - 1e-6))) for side in (width, height))
    edges = x - nx * bin_factor / 2, y - ny * bin_factor / 2
    # Between whole sky pixels, at most half of one away.
    x0, y0 = (float(_between(v)) if is_whole else v for v, is_whole in zip(edges, whole_axes))
    return SkyGrid(x0, y0, bin_factor, nx, ny)


def _between(edge):
    """Give the nearest edge between two sky pixels."""
    return np.round(edge - 0.5) + 0.5


def _default_grid(events, sky_wcs, energy_edges, bin_factor, shapes):
    """Crop the image to the region, or to the selected events; whole pixels counted from the first list's corner."""
    bounds = np.array([each.image_bounds() for each in events])
    # Events of other observations may lie beyond the first one's image.
    image = np.where([True, False, True, False], bounds.min(axis=0), bounds.max(axis=0))
    of_region = bounding_box(shapes, sky_wcs) if shapes is not None else None
    box = _extent(events, energy_edges) if of_region is None else of_region
    low = np.maximum(box[0::2], image[0::2])
    high = np.minimum(box[1::2], image[1::2])
    if (low > high).any():
        msg = (
            f"the region, x0, x1, y0, y1 = {box} in sky pixels, lies off the list's sky image, "
            f"{tuple(image.tolist())}; check its coordinates, their frame and their units."
            f"{'' if shapes is None else how_far(shapes, sky_wcs, *sky_wcs.wcs.crpix)}"
        )
        raise ValueError(msg)
    origin = np.where(np.isfinite(bounds[0, 0::2]), bounds[0, 0::2], 0.5)  # sky pixel 1 begins at 0.5
    first = np.floor((low - origin) / bin_factor)
    last = np.ceil((high - origin) / bin_factor)
    if of_region is None:
        # An event on an edge belongs to the pixel above: it needs one more, except at the image's own upper edge.
        last = np.maximum(last, np.floor((high - origin) / bin_factor) + 1)
    nx, ny = (int(n) for n in np.maximum(last - first, 1))
    x0, y0 = origin + first * bin_factor
    return SkyGrid(float(x0), float(y0), bin_factor, nx, ny)


def _extent(events, energy_edges):
    """Find the extent of the events of all lists within the energy range."""
    boxes = []
    for each in events:
        low, high = energy_edges[[0, -1]].to_value(each.energy_unit)
        boxes.append(each.extent((low, high), each.image_bounds()))
    boxes = np.array([box for box in boxes if box is not None])
    if not boxes.size:
        n_events, (low, high) = sum(len(each.x) for each in events), energy_edges[[0, -1]]
        energies = [bound * each.energy_unit for each in events for bound in (each.energy.min(), each.energy.max())]
        msg = (
            f"none of the {n_events} events lies between {low:.6g} and {high:.6g} and within the list's sky image; "
            f"their energies run from {min(energies):.6g} to {max(energies):.6g}.{guess_unit(events, energy_edges)}"
        )
        raise ValueError(msg)
    return tuple(np.where([True, False, True, False], boxes.min(axis=0), boxes.max(axis=0)))
