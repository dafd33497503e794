"""Counting events into the energy bins and pixels of a cube."""

import logging

import numpy as np

from .._memory import physical_memory
from ..grid.energies import describe_grid

__all__ = ["count_events"]

logger = logging.getLogger(__name__)


def count_events(events, grid, energy_edges, mask=None, place=""):
    """Count events into a cube, each at most once.

    Parameters
    ----------
    events : EventList
        The events.
    grid : `~astro_lpalm.grid.SkyGrid`
        The image's pixels; an event on an edge belongs to the pixel above it.
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,)
        Energy bins; an event on an edge belongs to the bin above it.
    mask : `~numpy.ndarray` of bool, shape (ny, nx), optional
        Pixels to leave empty, True = excluded.
    place : str
        Where the events lie, for messages, if they are far from the image.

    Returns
    -------
    cube : `~numpy.ndarray` of int32, shape (n, ny, nx)

    Raises
    ------
    ValueError
        If the cube does not fit in memory, or no event is selected.
    """
    # Rounded so that an edge of 1.2 keV is 1200 eV, not 1200.0000000000002.
    edges = np.round(energy_edges.to_value(events.energy_unit), 9)
    shape = (edges.size - 1, grid.ny, grid.nx)
    flat = _empty_cells(shape, place)
    one = np.int32(1)  # of the cells' own type: add.at is ten times slower when it has to convert
    index_type = np.int32 if flat.size < 2**31 else np.intp
    bin_of = _energy_bins(edges)
    has_nan = np.isnan(events.x.min()) or np.isnan(events.y.min())
    n_missing = np.count_nonzero(np.isnan(events.energy)) if np.isnan(events.energy.min()) else 0
    n_overflow = n_energy = n_nowhere = 0
    for part in events.chunks():
        # Positions in units of bins and pixels; those from 0 to the number of bins or pixels are inside. They are
        # found in double precision, whatever that of the columns.
        position = [
            bin_of(events.energy[part]),
            np.subtract(events.y[part], grid.y0, dtype=float),
            np.subtract(events.x[part], grid.x0, dtype=float),
        ]
        if grid.bin_factor != 1:
            position[1] /= grid.bin_factor
            position[2] /= grid.bin_factor
        inside = [(values >= 0) & (values < n) for values, n in zip(position, shape)]
        left_out = ~(inside[0] & inside[1] & inside[2])
        with np.errstate(invalid="ignore"):  # what cannot be converted is left out
            index = position[0].astype(index_type)
            for values, n in zip(position[1:], shape[1:]):
                index *= n
                index += values.astype(index_type)
            if has_nan:
                n_nowhere += np.count_nonzero(np.isnan(position[1] + position[2]) & inside[0])
        np.copyto(index, flat.size - 1, where=left_out)
        np.add.at(flat, index, one)
        n_energy += left_out.size - np.count_nonzero(inside[0])
        n_overflow += np.count_nonzero((events.energy[part] >= events.overflow_energy) & ~inside[0])
    n_left_out = int(flat[-1])
    cube = flat[:-1].reshape(shape)
    n_region = 0
    if mask is not None:
        for plane in cube:
            n_region += int(plane[mask].sum())
            plane[mask] = 0
    reasons = {
        f"in the overflow channel PI {events.overflow_channel}": n_overflow,
        "without an energy (TNULL)": n_missing,
        "outside the energy range": n_energy - n_overflow - n_missing,
        "without a position (NaN)": n_nowhere,
        "outside the image": n_left_out - n_energy - n_nowhere,
        "outside the region": n_region,
    }
    _report(events, reasons, energy_edges, grid, place)
    return cube


def _report(events, left_out, energy_edges, grid, place):
    """Log how many events were counted, and why the others were not; refuse an empty cube."""
    reasons, n_events = ", ".join(f"{n} {reason}" for reason, n in left_out.items() if n) or "none", len(events.x)
    n_counted = n_events - sum(left_out.values())
    if n_counted == 0:
        msg = (
            f"{events.where}: none of the {n_events} events is selected by {describe_grid(energy_edges)} and "
            f"{grid.nx} x {grid.ny} pixels from x = {grid.x0:.6g}, y = {grid.y0:.6g}; left out: {reasons}. "
            f"{place or 'Widen the energy range, the bounds or the region.'}"
        )
        raise ValueError(msg)
    logger.info("%d of %d events counted; left out: %s", n_counted, n_events, reasons)


def _energy_bins(edges):
    """Make the function that tells energies' positions in the bins, from 0 to the number of bins."""
    n_bins = edges.size - 1
    width = (edges[-1] - edges[0]) / n_bins
    if np.ptp(np.diff(edges)) > 1e-6 * width:
        return lambda energy: np.searchsorted(edges, energy, side="right") - 1

    def bin_of(energy):
        # A division is twenty times faster than a search. It may be rounded below an edge that the energy lies on.
        position = np.subtract(energy, edges[0], dtype=float)
        position /= width
        position += 1e-9
        return position

    return bin_of


def _empty_cells(shape, place):
    """Make the cells of a cube, and a last one for events that are left out."""
    n_cells = int(np.prod(shape, dtype=object))
    msg = (
        f"a cube of {shape[0]} energies and {shape[2]} x {shape[1]} pixels takes {4 * n_cells / 2**30:.3g} GiB, more "
        "than there is memory; use a larger bin_factor or pixel_scale, smaller bounds or size, or fewer energies."
        f"{' ' * bool(place)}{place}"
    )
    if 4 * n_cells > physical_memory():
        raise ValueError(msg)
    try:
        return np.zeros(n_cells + 1, dtype=np.int32)
    except (MemoryError, ValueError) as error:
        raise ValueError(msg) from error
