"""Counting events into the energy bins and pixels of a cube."""

import logging

import astropy.units as u
import numpy as np
from scipy.sparse import csr_array

from .._memory import physical_memory
from ..grid.energies import describe_grid
from .photons import Photons

__all__ = ["count_events", "guess_unit"]

logger = logging.getLogger(__name__)

_LARGE = 1 << 24  # cells, from which on it matters what a cube takes
_IMAGES = 10  # of double precision, that there should be room for
_FEW = 0.05  # events a cell: photons take up to 12 bytes each, a cell 4


def count_events(events, grid, energy_edges, mask=None, place="", sparse=None):
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
    sparse : bool, optional
        Whether the photons are kept rather than an array; by default in cubes that are large and mostly empty.

    Returns
    -------
    cube : `~numpy.ndarray` of int32, or `Photons`, shape (n, ny, nx)

    Raises
    ------
    ValueError
        If the cube does not fit in memory, or no event is selected.
    """
    # Rounded so that an edge of 1.2 keV is 1200 eV, not 1200.0000000000002.
    edges = np.round(energy_edges.to_value(events.energy_unit), 9)
    shape = (edges.size - 1, grid.ny, grid.nx)
    n_cells = int(np.prod(shape, dtype=object))
    if sparse is None:
        sparse = n_cells >= _LARGE and len(events.x) < _FEW * n_cells
    sparse = sparse and _IMAGES * 8 * shape[1] * shape[2] < physical_memory()
    cells = _Listed(n_cells) if sparse else _LaidOut(shape, place)
    index_type = np.int32 if n_cells < 2**31 - 1 else np.int64
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
        np.copyto(index, n_cells, where=left_out)
        cells.add(index)
        n_energy += left_out.size - np.count_nonzero(inside[0])
        n_overflow += np.count_nonzero((events.energy[part] >= events.overflow_energy) & ~inside[0])
    cube, n_left_out, n_region = cells.cube(shape, mask)
    if sparse:
        logger.info(
            "%d events in %d cells: the cube keeps photons, not an array (sparse=False lays one out)",
            len(events.x), n_cells,
        )  # fmt: skip
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
            f"{place or 'Widen the energy range, the bounds or the region.'}{guess_unit([events], energy_edges)}"
        )
        raise ValueError(msg)
    logger.info("%d of %d events counted; left out: %s", n_counted, n_events, reasons)


def guess_unit(events, energy_edges):
    """Say of lists without an event within an energy range that eV and keV may be mixed up; nothing of others.

    Parameters
    ----------
    events : list of EventList
    energy_edges : `~astropy.units.Quantity`, shape (n + 1,)

    Returns
    -------
    hint : str
        To follow a message.
    """
    low, high = energy_edges[[0, -1]].to_value(u.keV)

    def holds(factor):
        ranges = (np.array([low, high]) * factor * u.keV).to_value
        return any(np.any((e.energy >= a) & (e.energy < b)) for e in events for a, b in [ranges(e.energy_unit)])

    if holds(1):
        return ""
    if holds(1 / 1000):
        return f" Energies without a unit are in keV: did you mean {low / 1000:.6g} to {high / 1000:.6g}?"
    if holds(1000) and all(each.energy_unit == u.keV for each in events):
        return " The list's energies look like eV, though they are said to be keV: correct TUNITn, or channel_energy."
    return ""


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


class _LaidOut:
    """Cells of an array, and a last one for events that are left out."""

    def __init__(self, shape, place):
        n_cells = int(np.prod(shape, dtype=object))
        msg = (
            f"a cube of {shape[0]} energies and {shape[2]} x {shape[1]} pixels takes {4 * n_cells / 2**30:.3g} GiB, "
            "more than there is memory; use a larger bin_factor or pixel_scale, smaller bounds or size, or fewer "
            f"energies.{' ' * bool(place)}{place}"
        )
        if 4 * n_cells > physical_memory():
            raise ValueError(msg)
        try:
            self._cells = np.zeros(n_cells + 1, dtype=np.int32)
        except (MemoryError, ValueError) as error:
            raise ValueError(msg) from error
        self._one = np.int32(1)  # of the cells' own type: add.at is ten times slower when it has to convert

    def add(self, index):
        np.add.at(self._cells, index, self._one)

    def cube(self, shape, mask):
        """Give the counts, and how many events are left out and masked."""
        cube, n_masked = self._cells[:-1].reshape(shape), 0
        if mask is not None:
            for plane in cube:
                n_masked += int(plane[mask].sum())
                plane[mask] = 0
        return cube, int(self._cells[-1]), n_masked


class _Listed:
    """Cells of photons."""

    def __init__(self, n_cells):
        self._n_cells, self._found, self._n_left_out = n_cells, [], 0

    def add(self, index):
        inside = index < self._n_cells
        self._found.append(index[inside])
        self._n_left_out += index.size - self._found[-1].size

    def cube(self, shape, mask):
        """Give the photons, and how many events are left out and masked."""
        cells, counts = np.unique(np.concatenate(self._found), return_counts=True)
        self._found.clear()
        n_pixels = shape[1] * shape[2]
        ends = np.searchsorted(cells, np.arange(shape[0] + 1, dtype=np.int64) * n_pixels)
        matrix = csr_array((counts.astype(np.int32), (cells % n_pixels).astype(np.int32), ends), (shape[0], n_pixels))
        photons, n_masked = Photons(matrix, shape), 0
        if mask is not None:
            photons = photons.without(mask)
            n_masked = int(matrix.data.sum() - photons.matrix.data.sum())
        return photons, self._n_left_out, n_masked
