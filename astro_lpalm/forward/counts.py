"""Background counts in the pixels of a cube, kept as what they are made of."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import block_diag

from ..cube.counts import LaidOutCounts, block_sums

__all__ = ["BackgroundCounts", "block_sums"]


@dataclass(frozen=True)
class BackgroundCounts:
    """Expected counts of a background at each energy and pixel: spectra times shapes, or those of a blank field.

    A matrix of shape (m, t) that is never laid out whole: rows are made when they are asked for.

    Parameters
    ----------
    values : `~numpy.ndarray`, shape (m, k) or (m, t)
        Counts of k spectra; or, of a blank field, at each energy in each pixel, in the type that they are in.
    shares : `~numpy.ndarray`, shape (k, t), or None
        Share of each pixel in these; None for a blank field.
    amplitude : float
        Factor of all of them.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.forward import BackgroundCounts
    >>> background = BackgroundCounts.separable([4.0, 2.0], [0.25, 0.75])
    >>> background[1]
    array([0.5, 1.5])
    >>> background.scaled(3).spectrum()
    array([12.,  6.])
    """

    values: np.ndarray
    shares: np.ndarray | None = None
    amplitude: float = 1.0

    @classmethod
    def separable(cls, spectrum: ArrayLike, shares: ArrayLike) -> Self:
        """Spread a spectrum, (m,), over the pixels in proportion to their shares, (t,)."""
        return cls(np.asarray(spectrum, dtype=float)[:, np.newaxis], np.asarray(shares, dtype=float)[np.newaxis])

    @classmethod
    def of(cls, counts: Self | ArrayLike) -> Self:
        """Take counts, (m, t), as they are, or such an object."""
        return counts if isinstance(counts, cls) else cls(np.asarray(counts))

    @classmethod
    def stacked(cls, backgrounds: list[Self | None], m: int) -> Self | None:
        """Put those of several observations, (m, t) each, one below the other; None where there is none at all."""
        some = [each for each in backgrounds if each is not None]
        if not some:
            return None
        if any(each.shares is None for each in some):
            t = some[0].shape[1]
            parts = [np.zeros((m, t), np.float32) if each is None else each.matrix(np.float32) for each in backgrounds]
            return cls(np.concatenate(parts))
        spectra = [np.empty((m, 0)) if each is None else each.amplitude * each.values for each in backgrounds]
        return cls(block_diag(*spectra), np.concatenate([each.shares for each in some]))

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, t) of what is meant."""
        return len(self.values), (self.values if self.shares is None else self.shares).shape[1]

    def __getitem__(self, energy: int | slice) -> np.ndarray:
        """Give the counts at one energy, (t,), or at a slice of energies, (k, t)."""
        values = self.amplitude * self.values[energy]
        return values if self.shares is None else values @ self.shares

    def __array__(self, dtype=None, copy=None):
        return self.matrix(dtype or float)

    def matrix(self, dtype: type | np.dtype = float) -> np.ndarray:
        """Lay the counts out, (m, t)."""
        found = np.empty(self.shape, dtype=dtype)
        for energy, row in enumerate(found):
            row[:] = self[energy]
        return found

    def scaled(self, factor: float) -> Self:
        """Give as many times the counts."""
        return replace(self, amplitude=self.amplitude * float(factor))

    def project(self, rows: np.ndarray) -> np.ndarray:
        """Multiply a matrix, (k, m), with the counts: shape (k, t), in its precision."""
        values = rows @ self.values.astype(rows.dtype) * rows.dtype.type(self.amplitude)
        return values if self.shares is None else values @ self.shares.astype(rows.dtype)

    def of_pixels(self, pixels: np.ndarray) -> Self:
        """Give the counts in some of the pixels."""
        if self.shares is None:
            return replace(self, values=self.values[:, pixels])
        return replace(self, shares=self.shares[:, pixels])

    def among(self, own: np.ndarray) -> Self:
        """Give the counts among more pixels, none in these: its own are told by a mask."""
        field = self.values if self.shares is None else self.shares
        found = np.zeros((len(field), len(own)), dtype=field.dtype)
        found[:, own] = field
        return replace(self, values=found) if self.shares is None else replace(self, shares=found)

    def of_energies(self, energies: slice) -> Self:
        """Give the counts at some energies."""
        return replace(self, values=self.values[energies])

    def spectrum(self) -> np.ndarray:
        """Give the counts at each energy, (m,), summed over the pixels."""
        if self.shares is None:
            return self.amplitude * self.values.sum(axis=1, dtype=float)
        return self.amplitude * self.values @ self.shares.sum(axis=1)

    def image(self) -> np.ndarray:
        """Give the counts in each pixel, (t,), summed over the energies."""
        total = self.amplitude * self.values.sum(axis=0, dtype=float)
        return total if self.shares is None else total @ self.shares

    def merged(self, labels: ArrayLike, n: int = 0) -> Self:
        """Merge pixels: that of each is given, (t,), from zero to ``n``."""
        if self.shares is not None:
            return replace(self, shares=np.stack([np.bincount(np.asarray(labels), row, n) for row in self.shares]))
        return replace(self, values=LaidOutCounts(self.values).merged(labels, n or None).matrix())

    def sums(self, blocks: ArrayLike) -> np.ndarray:
        """Sum the counts at each energy in blocks of pixels, (m, number of blocks)."""
        if self.shares is not None:
            return self.merged(blocks).matrix()
        return self.amplitude * block_sums(self.values, np.asarray(blocks))
