"""Counts of a cube that is larger than memory: its planes, which stay where they are until they are asked for."""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from .._memory import physical_memory
from .counts import Counts, LaidOutCounts, pixel_members

__all__ = ["PlaneCounts", "Planes", "check_room", "is_stored", "wide"]

_DEPTH = 4  # planes that are read at once, where nothing speaks for another number,
_AT_ONCE = 1 << 28  # and bytes of these, if they are more than one
_BLOCK = 1 << 15  # pixels that are multiplied at once
_ADVICE = "take cube.planes(...), cube.image() or cube.counts, which need no array of all, or a slice of the cube"


class Planes:
    """Counts of a cube that stay where they are stored: planes of the energies, read whenever they are asked for.

    In place of an array, (n_energy, ny, nx), for an `~astro_lpalm.cube.EventCube` that is larger than memory. What is
    stored must not change: sums over all planes are kept. Planes that follow from others, such as slices and sums of
    them, are computed as they are read. `numpy.asarray` lays all out, where they fit in memory.

    Parameters
    ----------
    shape : tuple of int
        (n_energy, ny, nx).
    dtype : `~numpy.dtype`
        Of integers or floating-point numbers.
    read : callable
        ``read(start, stop)`` gives the planes of these energies, (stop - start, ny, nx).
    depth : int, optional
        How many planes are best read at once.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.cube import Planes
    >>> stored = np.arange(12).reshape(3, 2, 2)  # in earnest a memory map, or an array of Dask or zarr
    >>> planes = Planes.of(stored)
    >>> planes.shape, planes[2]
    ((3, 2, 2), array([[ 8,  9],
           [10, 11]]))
    >>> np.asarray(planes[1:, :, 1:])
    array([[[ 5],
            [ 7]],
    <BLANKLINE>
           [[ 9],
            [11]]])
    """

    ndim = 3

    def __init__(self, shape, dtype, read, depth=None):
        self.shape, self.dtype, self.read, self._sums = tuple(map(int, shape)), np.dtype(dtype), read, []
        fit = _AT_ONCE // max(self.dtype.itemsize * self.shape[1] * self.shape[2], 1)
        self.depth = max(min(depth or _DEPTH, fit), 1)

    @classmethod
    def of(cls, array):
        """Leave an array where it is.

        Parameters
        ----------
        array : array_like, shape (n_energy, ny, nx)
            Whatever has a shape, a dtype and slices: a memory map, or an array of Dask, zarr or h5py.

        Returns
        -------
        Planes

        Raises
        ------
        ValueError
            If it has no three dimensions, or no numbers.

        Warns
        -----
        `~astropy.utils.exceptions.AstropyUserWarning`
            If it is stored in chunks of more energies than can be read at once, so that each is read several times.
        """
        if isinstance(array, cls):
            return array
        dtype = np.dtype(array.dtype)
        if len(array.shape) != 3 or dtype.kind not in "iuf" or any(side != side for side in array.shape):
            msg = (
                "a cube has three dimensions, (energy, y, x), of integers or floating-point numbers, but the data "
                f"have shape {tuple(array.shape)} and type {dtype}."
            )
            raise ValueError(msg)
        chunks = getattr(array, "chunks", None) or (1,)  # those of Dask are tuples
        depth = max(chunks[0]) if isinstance(chunks[0], tuple) else int(chunks[0])
        stored = _Stored(array)
        found = cls(array.shape, dtype.newbyteorder("="), stored, depth if depth > 1 else None)
        stored.depth = min(depth, found.depth)
        if found.depth < depth:
            msg = (
                f"the cube is stored in chunks of {depth} energies, too large for all pixels to be read at once: every "
                f"chunk is read {-(-depth // found.depth)} times. Store it in chunks of single energies, such as "
                "array.rechunk((1, -1, -1)) of Dask has them."
            )
            warnings.warn(msg, AstropyUserWarning, stacklevel=3)
        return found

    @classmethod
    def of_file(cls, path, offset, dtype, shape):
        """Leave an image in its FITS file, where it begins at a byte; unsigned integers are stored with an offset."""
        dtype, path = np.dtype(dtype), os.path.abspath(path)
        read = partial(_of_file, path, _stamp(path), offset, dtype, tuple(shape[1:]))
        return cls(shape, dtype.newbyteorder("="), read)

    @property
    def size(self):
        """Number of cells."""
        return int(np.prod(self.shape, dtype=object))

    @property
    def nbytes(self):
        """Bytes that an array would take."""
        return self.size * self.dtype.itemsize

    def __len__(self):
        return self.shape[0]

    def __iter__(self):
        for _, planes in self.slabs():
            yield from planes

    def __array__(self, dtype=None, copy=None):
        dtype = np.dtype(dtype or self.dtype)
        check_room(self.shape, dtype)
        found = np.empty(self.shape, dtype)
        for part, planes in self.slabs():
            found[part] = planes
        return found

    def __getitem__(self, item):
        """Give the planes of slices, (energy, y, x), which are read later; or of one energy a plane, read now."""
        if not isinstance(item, tuple | slice):
            energy = range(len(self))[item]
            return self.read(energy, energy + 1)[0]
        energies, *sky = item if isinstance(item, tuple) else (item,)
        start, stop, step = energies.indices(len(self))
        if step not in (1, -1):
            msg = f"planes are taken one after the other, not with a step of {step}."
            raise ValueError(msg)
        sky = tuple([*sky, slice(None), slice(None)][:2])
        sides = (len(range(side)[part]) for part, side in zip(sky, self.shape[1:]))
        shape = len(range(start, stop, step)), *sides
        return Planes(shape, self.dtype, partial(_part, self, start, step, (slice(None), *sky)), self.depth)

    def slabs(self, start=0, stop=None) -> Iterator[tuple[slice, np.ndarray]]:
        """Walk through the planes, a few at a time: the energies, and the planes of these."""
        stop = len(self) if stop is None else stop
        for first in range(start, stop, self.depth):
            part = slice(first, min(first + self.depth, stop))
            yield part, self.read(part.start, part.stop)

    def counts(self, mask=None):
        """Give the counts of the pixels that a mask, (ny, nx), does not exclude: `PlaneCounts`."""
        return PlaneCounts(self, mask)

    def sums(self, mask=None):
        """Sum over energies, and over the pixels that a mask, (ny, nx), does not exclude, all in one go: ``PlaneSums``.

        The last two are kept.
        """
        for each in self._sums:
            if (mask is None and each.mask is None) or np.array_equal(mask, each.mask):
                return each
        kept, is_float = None if mask is None else ~mask, self.dtype.kind == "f"
        image, bad = np.zeros(self.shape[1:]), np.zeros(self.shape[1:], dtype=bool)
        spectrum, squares, n_negative = np.zeros(len(self)), 0.0, 0
        for part, planes in self.slabs():
            for energy, plane in enumerate(planes, part.start):
                image += plane
                if is_float:
                    bad |= ~np.isfinite(plane)
                row = plane.ravel() if kept is None else plane[kept]
                spectrum[energy] = row.sum(dtype=float)
                n_negative += int(np.count_nonzero(row < 0))
                row = row.astype(float)
                squares += float(row @ row)
        n_bad = int(np.count_nonzero(bad if kept is None else bad & kept))
        found = PlaneSums(None if mask is None else mask.copy(), image, spectrum, squares, n_negative, n_bad)
        self._sums = [*self._sums[-1:], found]
        return found

    def image(self):
        """Sum over the energies, (ny, nx)."""
        return (self._sums[-1] if self._sums else self.sums()).image.copy()

    def without(self, mask):
        """Leave out the counts of pixels, (ny, nx), where a mask is true."""
        return Planes(self.shape, self.dtype, partial(_without, self, mask.copy()), self.depth)

    def rebinned(self, edges):
        """Add up energies, from each of the edges to the next, which are given by their numbers."""
        shape, dtype = (len(edges) - 1, *self.shape[1:]), wide(self.dtype)
        return Planes(shape, dtype, partial(_rebinned, self, [int(edge) for edge in edges], dtype), self.depth)

    def drawn(self, rng):
        """Draw the counts again, from Poisson distributions about them: the same each time they are read."""
        seeds = rng.integers(2**63, size=len(self))
        return Planes(self.shape, np.int32, partial(_drawn, self, seeds), self.depth)

    def __add__(self, other):
        other = Planes.of(other)
        dtype = np.result_type(wide(self.dtype), wide(other.dtype))
        return Planes(self.shape, dtype, partial(_added, self, other, dtype), self.depth)


@dataclass(frozen=True)
class PlaneSums:
    """Sums over planes.

    ``image`` (ny, nx) is over the energies, of all pixels; ``spectrum`` (n_energy,), ``squares`` and the numbers
    ``n_negative`` of values and ``n_bad`` of pixels with NaN or infinity are of those that ``mask`` does not exclude.
    """

    mask: np.ndarray | None
    image: np.ndarray
    spectrum: np.ndarray
    squares: float
    n_negative: int
    n_bad: int


class PlaneCounts(Counts):
    """Counts of planes, a few of which are in memory at any time.

    Parameters
    ----------
    planes : Planes
    mask : `~numpy.ndarray` of bool, shape (ny, nx), optional
        True where a pixel is left out.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.cube import PlaneCounts, Planes
    >>> counts = PlaneCounts(Planes.of(np.arange(12).reshape(3, 2, 2)), mask=np.eye(2, dtype=bool))
    >>> counts.shape, counts.spectrum()
    ((3, 2), array([ 3., 11., 19.]))
    """

    is_stored = True

    def __init__(self, planes, mask=None):
        self.planes, self._mask, self._kept = planes, mask, None if mask is None else ~mask
        n_pixels = planes.shape[1] * planes.shape[2]
        self.shape = len(planes), n_pixels if mask is None else int(np.count_nonzero(self._kept))

    def _rows(self, planes):
        return planes.reshape(len(planes), -1) if self._kept is None else planes[:, self._kept]

    def _parts(self, dtype) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Walk through X, so many energies and pixels at a time."""
        for energies, planes in self.planes.slabs():
            rows = self._rows(planes)
            for start in range(0, self.shape[1], _BLOCK):
                part = slice(start, start + _BLOCK)
                yield energies, part, rows[:, part].astype(dtype, copy=False)

    def __getitem__(self, energy):
        return self._rows(self.planes[energy][np.newaxis])[0]

    def matrix(self, dtype=float):
        """Lay X out, where it fits in memory."""
        check_room(self.planes.shape, np.dtype(dtype))
        found = np.empty(self.shape, dtype)
        for part, planes in self.planes.slabs():
            found[part] = self._rows(planes)
        return found

    def n_negative(self):
        """Count the negative values."""
        return self.planes.sums(self._mask).n_negative

    def squares(self):
        """Sum the squares."""
        return self.planes.sums(self._mask).squares

    def spectrum(self):
        """Sum over the pixels."""
        return self.planes.sums(self._mask).spectrum.copy()

    def image(self):
        """Sum over the energies."""
        image = self.planes.sums(self._mask).image
        return image.flatten() if self._kept is None else image[self._kept]

    def project(self, rows):
        """Multiply rows with X."""
        found = np.zeros((len(rows), self.shape[1]), dtype=rows.dtype)
        for energies, part, X in self._parts(rows.dtype):
            found[:, part] += rows[:, energies] @ X
        return found

    def moments(self, images):
        """Multiply X with images, transposed."""
        found = np.zeros((self.shape[0], len(images)))
        for energies, part, X in self._parts(float):
            found[energies] += X @ images[:, part].T
        return found

    def merged(self, labels, n=None):
        """Merge pixels: laid out, as fewer pixels are meant to fit in memory."""
        members = pixel_members(labels, n, np.result_type(self.planes.dtype, np.float32))
        found = np.empty((self.shape[0], members.shape[0]), self._sum_type(members.dtype))
        for energies, planes in self.planes.slabs():
            for energy, row in enumerate(self._rows(planes), energies.start):
                found[energy] = members @ row
        return LaidOutCounts(found)

    def _sum_type(self, otherwise):
        """Give the narrowest type that sums over pixels certainly fit in."""
        is_small = self.n_negative() == 0 and self.spectrum().sum() < np.iinfo(np.int32).max
        return np.dtype(np.int32) if self.planes.dtype.kind in "iu" and is_small else otherwise

    def of_pixels(self, pixels):
        """Give some pixels."""
        kept = np.zeros(self.planes.shape[1:], dtype=bool)
        own = np.arange(kept.size) if self._kept is None else np.flatnonzero(self._kept)
        kept.ravel()[own[pixels]] = True
        return PlaneCounts(self.planes, ~kept)


class _Stored:
    """Reads an array's planes; of one that is stored in chunks, the last ones are kept for what is read next."""

    def __init__(self, array, depth=1):
        self.array, self.depth, self._first, self._last = array, depth, 0, None

    def __getstate__(self):
        return {"array": self.array, "depth": self.depth, "_first": 0, "_last": None}

    def __call__(self, start, stop):
        if self.depth == 1:
            return self._read(start, stop)
        kept = 0 if self._last is None else len(self._last)
        if not self._first <= start < stop <= self._first + kept:
            self._first = start // self.depth * self.depth
            self._last = self._read(self._first, -(-stop // self.depth) * self.depth)
        return self._last[start - self._first : stop - self._first]

    def _read(self, start, stop):
        planes = np.asarray(self.array[start:stop])
        return planes.astype(planes.dtype.newbyteorder("="), copy=False)


def _of_file(path, stamp, offset, dtype, sides, start, stop):
    n_pixels = sides[0] * sides[1]
    if _stamp(path) != stamp:
        msg = f"'{path}' has changed since the cube was read from it; read it again."
        raise OSError(msg)
    found = np.fromfile(path, dtype, (stop - start) * n_pixels, offset=offset + start * n_pixels * dtype.itemsize)
    found = found.astype(dtype.newbyteorder("=")).reshape(stop - start, *sides)
    if dtype.kind == "u" and dtype.itemsize > 1:  # stored as signed integers, with an offset of half their range
        found ^= dtype.type(1 << (8 * dtype.itemsize - 1))
    return found


def _stamp(path):
    """Give what changes with a file."""
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns


# What the planes are that follow from others: functions rather than closures, so that other processes can have them.


def _part(planes, first, step, sky, start, stop):
    if step > 0:
        return planes.read(first + start, first + stop)[sky]
    return planes.read(first - stop + 1, first - start + 1)[::-1][sky]


def _without(planes, mask, start, stop):
    return np.where(mask, planes.dtype.type(0), planes.read(start, stop))


def _rebinned(planes, edges, dtype, start, stop):
    found = np.zeros((stop - start, *planes.shape[1:]), dtype)
    for plane, first, end in zip(found, edges[start:stop], edges[start + 1 : stop + 1]):
        for _, own in planes.slabs(first, end):
            plane += own.sum(axis=0, dtype=dtype)
    return found


def _drawn(planes, seeds, start, stop):
    planes = planes.read(start, stop)
    return np.stack([np.random.default_rng(seed).poisson(plane) for seed, plane in zip(seeds[start:stop], planes)])


def _added(planes, others, dtype, start, stop):
    return np.add(planes.read(start, stop), others.read(start, stop), dtype=dtype)


def wide(dtype):
    """Give a type in which sums of narrow integers do not overflow; floating-point numbers keep theirs."""
    return dtype if dtype.kind == "f" else np.result_type(dtype, np.int32)


def is_stored(data):
    """Whether an array should stay where it is: a memory map, or no array of NumPy's at all."""
    if isinstance(data, np.ndarray):
        return isinstance(data, np.memmap) and data.filename is not None
    is_array = isinstance(getattr(data, "dtype", None), np.dtype)
    return is_array and hasattr(data, "shape") and hasattr(data, "__getitem__")


def check_room(shape, dtype, advice=_ADVICE):
    """Refuse to lay out what does not fit in memory, and say what to do."""
    n_bytes = dtype.itemsize * int(np.prod(shape, dtype=object))
    if n_bytes > physical_memory():
        msg = f"an array of shape {tuple(shape)} takes {n_bytes / 2**30:.3g} GiB, more than there is memory: {advice}."
        raise ValueError(msg)
