"""Counts as the matrix that solvers take, energies by pixels: laid out, or as the photons alone."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from .._memory import array_on_disk

__all__ = [
    "Counts",
    "LaidOutCounts",
    "PhotonCounts",
    "PlacedCounts",
    "StackedCounts",
    "block_sums",
    "counts_of",
    "pixel_members",
]

_BLOCK = 1 << 15  # pixels of laid-out counts that are handled at once


class Counts(ABC):
    """Counts at each energy in each pixel, a matrix X of shape (m, t) that nobody need lay out.

    What a separation needs of X are sums over pixels or energies and products with small matrices. They are had of
    photons alone as well: where pixels are mostly empty, most of X is zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.cube import counts_of
    >>> counts = counts_of(np.array([[[0, 2, 1]], [[1, 0, 3]]]))
    >>> counts.shape, counts.spectrum(), counts.image()
    ((2, 3), array([3., 4.]), array([1., 2., 4.]))
    >>> counts.sums([0, 0, 1])
    array([[2., 1.],
           [1., 3.]])
    """

    shape: tuple[int, int]
    is_stored = False

    @abstractmethod
    def __getitem__(self, energy: int) -> np.ndarray:
        """Give the counts at one energy, (t,)."""

    @abstractmethod
    def matrix(self, dtype: type | np.dtype = float) -> np.ndarray:
        """Lay X out, (m, t)."""

    @abstractmethod
    def n_negative(self) -> int:
        """Tell how many values are negative, so that they are no counts."""

    @abstractmethod
    def squares(self) -> float:
        """Sum the squares of all values."""

    @abstractmethod
    def spectrum(self) -> np.ndarray:
        """Give the counts at each energy, (m,), summed over the pixels."""

    @abstractmethod
    def image(self) -> np.ndarray:
        """Give the counts in each pixel, (t,), summed over the energies."""

    @abstractmethod
    def project(self, rows: np.ndarray) -> np.ndarray:
        """Multiply a matrix, (k, m), with X: shape (k, t), in its precision."""

    @abstractmethod
    def moments(self, images: np.ndarray) -> np.ndarray:
        """Multiply X with images, (k, t), transposed: shape (m, k), in double precision."""

    @abstractmethod
    def merged(self, labels: ArrayLike, n: int | None = None) -> "Counts":
        """Merge pixels: that of each is given, (t,), from zero to ``n``."""

    @abstractmethod
    def of_pixels(self, pixels: np.ndarray) -> "Counts":
        """Give the counts of some pixels, which are given by their numbers, in rising order."""

    def among(self, own: np.ndarray) -> "Counts":
        """Give the counts among more pixels, none in these: its own are told by a mask."""
        return self if own.all() else PlacedCounts(self, own)

    def in_image(self, own: np.ndarray, kept: np.ndarray) -> "Counts":
        """Give the counts in other pixels of an image: two masks tell its own and those, (ny, nx); none in the rest."""
        common = kept[own]
        return (self if common.all() else self.of_pixels(np.flatnonzero(common))).among(own[kept])

    def by_columns(self) -> "np.ndarray | PhotonCounts":
        """Give what columns are taken from again and again: an array, on disk where the counts are; or the photons."""
        if self.is_stored:
            return array_on_disk((self[energy] for energy in range(self.shape[0])), self.shape, np.float32)
        return self.matrix(np.float32)

    def sums(self, labels: ArrayLike) -> np.ndarray:
        """Sum the counts at each energy in blocks of pixels, (m, number of blocks)."""
        return self.merged(labels).matrix()

    def __array__(self, dtype=None, copy=None):
        return self.matrix(dtype or float)


class LaidOutCounts(Counts):
    """Counts of an array.

    Parameters
    ----------
    data : `~numpy.ndarray`, shape (m, ...)
    mask : `~numpy.ndarray` of bool, shape (...), optional
        True where a pixel is left out.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.cube import LaidOutCounts
    >>> counts = LaidOutCounts(np.arange(12).reshape(2, 2, 3), mask=np.eye(2, 3, dtype=bool))
    >>> counts.shape, counts.spectrum().tolist(), counts.image().tolist()
    ((2, 4), [11.0, 35.0], [8.0, 10.0, 12.0, 16.0])
    """

    def __init__(self, data, mask=None):
        self._rows = data.reshape(len(data), -1)
        self._kept = None if mask is None else np.flatnonzero(~mask)
        self.shape = len(data), self._rows.shape[1] if mask is None else len(self._kept)

    def __getitem__(self, energy):
        return self._rows[energy] if self._kept is None else self._rows[energy, self._kept]

    def _parts(self, dtype) -> Iterator[tuple[slice, np.ndarray]]:
        """Walk through X, so many pixels at a time."""
        for start in range(0, self.shape[1], _BLOCK):
            part = slice(start, start + _BLOCK)
            chosen = part if self._kept is None else self._kept[part]
            yield part, self._rows[:, chosen].astype(dtype, copy=False)

    def matrix(self, dtype=float):
        """Lay X out."""
        return np.array(self[:] if self._kept is None else self._rows[:, self._kept], dtype=dtype, order="C")

    def n_negative(self):
        """Count the negative values."""
        return sum(int(np.count_nonzero(self[energy] < 0)) for energy in range(len(self._rows)))

    def squares(self):
        """Sum the squares."""
        rows = (self[energy].astype(float) for energy in range(len(self._rows)))
        return float(sum(row @ row for row in rows))

    def spectrum(self):
        """Sum over the pixels."""
        return np.array([self[energy].sum(dtype=float) for energy in range(len(self._rows))])

    def image(self):
        """Sum over the energies."""
        total = np.zeros(self.shape[1])
        for energy in range(len(self._rows)):
            total += self[energy]
        return total

    def project(self, rows):
        """Multiply rows with X."""
        if self._kept is None and self._rows.dtype == rows.dtype:
            return rows @ self._rows
        found = np.empty((len(rows), self.shape[1]), dtype=rows.dtype)
        for part, X in self._parts(rows.dtype):
            np.matmul(rows, X, out=found[:, part])
        return found

    def moments(self, images):
        """Multiply X with images, transposed."""
        found = np.zeros((self.shape[0], len(images)))
        for part, X in self._parts(float):
            found += X @ images[:, part].T
        return found

    def merged(self, labels, n=None):
        """Merge pixels."""
        members = pixel_members(labels, n, np.result_type(self._rows.dtype, np.float32))
        return LaidOutCounts(np.stack([members @ self[energy] for energy in range(len(self._rows))]).astype(float))

    def of_pixels(self, pixels):
        """Give some pixels."""
        found = LaidOutCounts(self._rows)
        found._kept = np.asarray(pixels) if self._kept is None else self._kept[pixels]
        found.shape = self.shape[0], len(found._kept)
        return found


class PhotonCounts(Counts):
    """Counts of photons: only of cells that have some.

    Parameters
    ----------
    photons : `~scipy.sparse.csr_array`, shape (m, t)

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from astro_lpalm.cube import PhotonCounts
    >>> counts = PhotonCounts(csr_array([[0, 1, 0, 0], [2, 0, 0, 3]]))
    >>> counts.spectrum().tolist(), counts.image().tolist(), counts[1].tolist()
    ([1.0, 5.0], [2.0, 1.0, 0.0, 3.0], [2, 0, 0, 3])
    """

    def __init__(self, photons):
        self.photons, self.shape = photons, photons.shape

    @property
    def _energies(self):
        return np.repeat(np.arange(self.shape[0]), np.diff(self.photons.indptr))

    def __getitem__(self, energy):
        own = slice(*self.photons.indptr[energy : energy + 2])
        row = np.zeros(self.shape[1], dtype=self.photons.dtype)
        row[self.photons.indices[own]] = self.photons.data[own]
        return row

    def matrix(self, dtype=float):
        """Lay X out."""
        return self.photons.astype(dtype).toarray()

    def n_negative(self):
        """Count the negative values."""
        return int(np.count_nonzero(self.photons.data < 0))

    def squares(self):
        """Sum the squares."""
        return float(np.sum(self.photons.data.astype(float) ** 2))

    def spectrum(self):
        """Sum over the pixels."""
        return np.bincount(self._energies, self.photons.data, self.shape[0])

    def image(self):
        """Sum over the energies."""
        return np.bincount(self.photons.indices, self.photons.data, self.shape[1])

    def project(self, rows):
        """Multiply rows with X."""
        found, energies = np.empty((len(rows), self.shape[1]), dtype=rows.dtype), self._energies
        for row, out in zip(rows, found):
            out[:] = np.bincount(self.photons.indices, row[energies] * self.photons.data, self.shape[1])
        return found

    def moments(self, images):
        """Multiply X with images, transposed."""
        energies, at = self._energies, self.photons.indices
        weighted = [np.bincount(energies, image[at] * self.photons.data, self.shape[0]) for image in images]
        return np.stack(weighted, axis=1)

    def merged(self, labels, n=None):
        """Merge pixels."""
        labels = np.asarray(labels)
        n = int(labels.max()) + 1 if n is None else n
        own = self.photons
        found = csr_array((own.data, labels[own.indices], own.indptr), shape=(self.shape[0], n))
        found = found.copy()  # its indices are put in order, and those that are the same added up
        found.sum_duplicates()
        return PhotonCounts(found)

    def of_pixels(self, pixels):
        """Give some pixels."""
        place = np.full(self.shape[1], -1, dtype=np.int32)
        place[pixels] = np.arange(len(pixels))
        return PhotonCounts(_placed(self.photons, place, len(pixels)))

    def by_columns(self):
        """Give these."""
        return self

    def among(self, own):
        """Give the photons among more pixels."""
        return PhotonCounts(_placed(self.photons, np.flatnonzero(own), len(own)))


class PlacedCounts(Counts):
    """Counts among more pixels, none in these.

    Parameters
    ----------
    counts : Counts
    own : `~numpy.ndarray` of bool, shape (t,)
        True where a pixel has counts, in the order of theirs.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.cube import PlacedCounts, counts_of
    >>> counts = PlacedCounts(counts_of(np.array([[[2, 1]], [[0, 3]]])), np.array([True, False, True]))
    >>> counts.image().tolist(), counts[1].tolist()
    ([2.0, 0.0, 4.0], [0.0, 0.0, 3.0])
    """

    def __init__(self, counts, own):
        self.counts, self._own, self.shape = counts, own, (counts.shape[0], len(own))
        self.is_stored = counts.is_stored

    def _placed(self, rows):
        found = np.zeros((*rows.shape[:-1], len(self._own)), dtype=np.result_type(rows.dtype, np.float32))
        found[..., self._own] = rows
        return found

    def __getitem__(self, energy):
        return self._placed(self.counts[energy])

    def matrix(self, dtype=float):
        """Lay X out."""
        return self._placed(self.counts.matrix(dtype))

    def n_negative(self):
        """Count the negative values."""
        return self.counts.n_negative()

    def squares(self):
        """Sum the squares."""
        return self.counts.squares()

    def spectrum(self):
        """Sum over the pixels."""
        return self.counts.spectrum()

    def image(self):
        """Sum over the energies."""
        return self._placed(self.counts.image())

    def project(self, rows):
        """Multiply rows with X."""
        return self._placed(self.counts.project(rows))

    def moments(self, images):
        """Multiply X with images, transposed."""
        return self.counts.moments(images[:, self._own])

    def merged(self, labels, n=None):
        """Merge pixels."""
        labels = np.asarray(labels)
        return self.counts.merged(labels[self._own], int(labels.max()) + 1 if n is None else n)

    def of_pixels(self, pixels):
        """Give some pixels."""
        own, place = self._own[pixels], np.cumsum(self._own) - 1
        return self.counts.of_pixels(place[pixels][own]).among(own)


class StackedCounts(Counts):
    """Counts of several observations of the same pixels, of whatever kind: their energies one after the other.

    Parameters
    ----------
    parts : list of Counts
        (m, t) each; m may differ.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from astro_lpalm.cube import PhotonCounts, StackedCounts, counts_of
    >>> counts = StackedCounts([PhotonCounts(csr_array([[0, 1, 0]])), counts_of(np.array([[[4, 2, 0]]]))])
    >>> counts.shape, counts.spectrum().tolist(), counts.image().tolist()
    ((2, 3), [1.0, 6.0], [4.0, 3.0, 0.0])
    """

    def __init__(self, parts):
        self.parts = [more for each in parts for more in getattr(each, "parts", [each])]
        self._ends = np.cumsum([each.shape[0] for each in self.parts])
        self.shape = int(self._ends[-1]), self.parts[0].shape[1]

    def __getitem__(self, energy):
        number = int(np.searchsorted(self._ends, energy, side="right"))
        own = self.parts[number]
        return own[int(energy - self._ends[number]) + own.shape[0]]

    def matrix(self, dtype=float):
        """Lay X out."""
        return np.concatenate([each.matrix(dtype) for each in self.parts])

    def n_negative(self):
        """Count the negative values."""
        return sum(each.n_negative() for each in self.parts)

    def squares(self):
        """Sum the squares."""
        return sum(each.squares() for each in self.parts)

    def spectrum(self):
        """Sum over the pixels."""
        return np.concatenate([each.spectrum() for each in self.parts])

    def image(self):
        """Sum over the energies."""
        return sum(each.image() for each in self.parts)

    def project(self, rows):
        """Multiply rows with X."""
        own = np.split(rows, self._ends[:-1], axis=1)
        return sum(each.project(np.ascontiguousarray(part)) for each, part in zip(self.parts, own))

    def moments(self, images):
        """Multiply X with images, transposed."""
        return np.concatenate([each.moments(images) for each in self.parts])

    def merged(self, labels, n=None):
        """Merge pixels."""
        return StackedCounts([each.merged(labels, n) for each in self.parts])

    def of_pixels(self, pixels):
        """Give some pixels."""
        return StackedCounts([each.of_pixels(pixels) for each in self.parts])


def counts_of(data: object, mask: np.ndarray | None = None) -> Counts:
    """Give the counts of an array, (m, ny, nx), of `Photons` or `Planes`, without the pixels of a mask, (ny, nx).

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.cube import counts_of
    >>> counts_of(np.arange(8).reshape(2, 2, 2), mask=np.eye(2, dtype=bool)).matrix()
    array([[1., 2.],
           [5., 6.]])
    """
    return data.counts(mask) if hasattr(data, "counts") else LaidOutCounts(data, mask)


def block_sums(X: np.ndarray, blocks: ArrayLike) -> np.ndarray:
    """Sum the columns of a matrix, (m, t), over blocks of pixels: shape (m, number of blocks), in its precision.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.forward import block_sums
    >>> block_sums(np.array([[1, 2, 3, 4], [0, 0, 5, 1]]), [0, 0, 1, 1])
    array([[3., 7.],
           [0., 6.]])
    """
    members = pixel_members(blocks, None, np.result_type(X.dtype, np.float32))
    return np.stack([members @ row for row in X])  # row by row: a product with all of X would copy it first


def pixel_members(labels: ArrayLike, n: int | None, dtype: np.dtype) -> csr_array:
    """Make the matrix, (n, t), that sums pixels, (t,), by their labels."""
    labels = np.asarray(labels)
    n = int(labels.max()) + 1 if n is None else n
    return csr_array((np.ones(len(labels), dtype=dtype), (labels, np.arange(len(labels)))), shape=(n, len(labels)))


def _placed(matrix, place, n):
    """Move the columns of a sparse matrix; those that go to -1 are left out."""
    columns = place[matrix.indices]
    kept = columns >= 0
    ends = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    return csr_array((matrix.data[kept], columns[kept], ends), shape=(matrix.shape[0], n))
