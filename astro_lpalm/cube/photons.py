"""Counts of a cube that is mostly empty: its photons."""

import numpy as np
from scipy.sparse import csr_array

from .counts import PhotonCounts

__all__ = ["Photons"]


class Photons:
    """Counts of a cube, kept only where there are any.

    In place of an array, (n_energy, ny, nx), for an `~astro_lpalm.cube.EventCube` of mostly empty pixels. It is laid
    out by ``numpy.asarray``; slices of it are photons again.

    Parameters
    ----------
    matrix : `~scipy.sparse.csr_array`, shape (n_energy, ny * nx)
        Whole numbers. It is not copied.
    shape : tuple of int
        (n_energy, ny, nx).

    Raises
    ------
    ValueError
        If the shape is not that of the matrix, or the numbers are no whole ones.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.cube import Photons
    >>> photons = Photons.of(np.array([[[0, 2], [0, 0]], [[1, 0], [0, 3]]]))
    >>> photons.shape, photons.n_filled
    ((2, 2, 2), 3)
    >>> np.asarray(photons[1:, :, 1:])
    array([[[0],
            [3]]])
    """

    def __init__(self, matrix, shape):
        if matrix.shape != (shape[0], shape[1] * shape[2]) or matrix.dtype.kind not in "iu":
            msg = (
                f"photons of shape {tuple(shape)} need a sparse matrix of whole numbers, one row an energy and one "
                f"column a pixel, but it has shape {matrix.shape} and type {matrix.dtype}."
            )
            raise ValueError(msg)
        self.matrix, self.shape = matrix, tuple(shape)

    @classmethod
    def of(cls, planes, shape=None):
        """Take the counts of planes, (ny, nx), one for each energy; of a generator of them, give the shape."""
        shape = np.shape(planes) if shape is None else shape
        found = [csr_array(np.asarray(plane).reshape(1, -1)) for plane in planes]
        indices, values = (np.concatenate([getattr(each, name) for each in found]) for name in ("indices", "data"))
        ends = np.cumsum([0, *(each.nnz for each in found)])
        return cls(csr_array((values, indices, ends), shape=(shape[0], shape[1] * shape[2])), shape)

    ndim = 3

    @property
    def dtype(self):
        """Type of the counts."""
        return self.matrix.dtype

    @property
    def size(self):
        """Number of cells, empty ones included."""
        return int(np.prod(self.shape, dtype=object))

    @property
    def n_filled(self):
        """Number of cells with counts."""
        return self.matrix.nnz

    def __len__(self):
        return self.shape[0]

    def __array__(self, dtype=None, copy=None):
        return self.matrix.toarray().reshape(self.shape).astype(dtype or self.dtype, copy=False)

    def __getitem__(self, item):
        """Give the photons of slices, (energy, y, x); or of one energy a plane, laid out."""
        if not isinstance(item, tuple | slice):
            return PhotonCounts(self.matrix)[range(len(self))[item]].reshape(self.shape[1:])
        energies, *sky = item if isinstance(item, tuple) else (item,)
        if not any(sky):
            rows = self.matrix[energies]
            return Photons(rows, (rows.shape[0], *self.shape[1:]))
        sky = tuple([*sky, slice(None), slice(None)][:2])
        pixels = np.arange(self.shape[1] * self.shape[2], dtype=np.int32).reshape(self.shape[1:])[sky]
        rows = PhotonCounts(self.matrix[energies])
        part = rows.of_pixels(pixels.ravel())
        return Photons(part.photons, (rows.shape[0], *pixels.shape))

    def counts(self, mask=None):
        """Give the counts of the pixels that a mask, (ny, nx), does not exclude: `PhotonCounts`."""
        whole = PhotonCounts(self.matrix)
        return whole if mask is None else whole.of_pixels(np.flatnonzero(~mask))

    def without(self, mask):
        """Leave out the photons of pixels, (ny, nx), where a mask is true."""
        kept = ~mask.ravel()[self.matrix.indices]
        ends = np.concatenate([[0], np.cumsum(kept)])[self.matrix.indptr]
        values, indices = self.matrix.data[kept], self.matrix.indices[kept]
        return Photons(csr_array((values, indices, ends), shape=self.matrix.shape), self.shape)

    def rebinned(self, edges):
        """Add up energies, from each of the edges to the next, which are given by their numbers."""
        bins = np.digitize(np.arange(edges[-1]), edges) - 1
        kept = np.flatnonzero(bins >= 0)
        adding = csr_array((np.ones(len(kept), dtype=self.dtype), (bins[kept], kept)), (len(edges) - 1, self.shape[0]))
        return Photons((adding @ self.matrix).tocsr(), (len(edges) - 1, *self.shape[1:]))

    def drawn(self, rng):
        """Draw the counts again, from Poisson distributions about them."""
        own = self.matrix
        drawn = csr_array((rng.poisson(own.data).astype(own.dtype), own.indices, own.indptr), shape=own.shape)
        return Photons(drawn, self.shape)

    def __add__(self, other):
        return Photons((self.matrix + other.matrix).tocsr(), self.shape)
