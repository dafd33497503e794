"""Background counts in the pixels of a cube, kept as what they are made of."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import block_diag

from ..cube import Counts, LaidOutCounts, StackedCounts
from ..cube.counts import block_sums

__all__ = ["BackgroundCounts", "block_sums"]


@dataclass(frozen=True)
class BackgroundCounts:
    """Expected counts of a background at each energy and pixel: spectra times shapes, or those of a blank field.

    A matrix of shape (m, t), ``amplitude * values @ shares``, that is never laid out whole: rows are made when they are
    asked for.

    Parameters
    ----------
    values : array_like, shape (m, k)
        Counts of k spectra.
    shares : `~astro_lpalm.cube.Counts` or array_like, shape (k, t)
        Share of each pixel in these. Of a blank field they are its counts at each energy, of whatever kind, and
        ``values`` the matrix of unity.
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
    >>> BackgroundCounts.of(np.array([[1, 0], [2, 5]])).image()
    array([3., 5.])
    """

    values: np.ndarray
    shares: Counts
    amplitude: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "values", np.asarray(self.values, dtype=float))
        if not isinstance(self.shares, Counts):
            object.__setattr__(self, "shares", LaidOutCounts(np.asarray(self.shares)))

    @classmethod
    def separable(cls, spectrum: ArrayLike, shares: ArrayLike) -> Self:
        """Spread a spectrum, (m,), over the pixels in proportion to their shares, (t,)."""
        return cls(np.asarray(spectrum, dtype=float)[:, np.newaxis], np.asarray(shares, dtype=float)[np.newaxis])

    @classmethod
    def of(cls, counts: Self | Counts | ArrayLike) -> Self:
        """Take counts, (m, t), as they are, or such an object."""
        return counts if isinstance(counts, cls) else cls(np.eye(np.shape(counts)[0]), counts)

    @classmethod
    def stacked(cls, backgrounds: list[Self | None], m: int) -> Self | None:
        """Put those of several observations, (m, t) each, one below the other; None where there is none at all."""
        some = [each for each in backgrounds if each is not None]
        if not some:
            return None
        spectra = [np.empty((m, 0)) if each is None else each.amplitude * each.values for each in backgrounds]
        return cls(block_diag(*spectra), StackedCounts([each.shares for each in some]))

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, t) of what is meant."""
        return len(self.values), self.shares.shape[1]

    @property
    def is_separable(self) -> bool:
        """Whether it is made of few spectra, rather than of the counts of each energy."""
        return self.values.shape[1] < len(self.values)

    def __getitem__(self, energy: int | slice) -> np.ndarray:
        """Give the counts at one energy, (t,), or at a slice of energies, (k, t)."""
        if isinstance(energy, slice):
            numbers = range(*energy.indices(len(self.values)))
            return np.stack([self[each] for each in numbers])
        row, spectrum = np.zeros(self.shape[1]), self.amplitude * self.values[energy]
        for number in np.flatnonzero(spectrum):
            row += spectrum[number] * self.shares[int(number)]
        return row

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
        return self.shares.project((self.amplitude * rows @ self.values).astype(rows.dtype))

    def of_pixels(self, pixels: np.ndarray | slice) -> Self:
        """Give the counts in some of the pixels, in rising order."""
        return replace(self, shares=self.shares.of_pixels(np.arange(self.shape[1])[pixels]))

    def in_image(self, own: np.ndarray, kept: np.ndarray) -> Self:
        """Give the counts in other pixels of an image: two masks tell its own and those, (ny, nx); none in the rest."""
        return replace(self, shares=self.shares.in_image(own, kept))

    def of_energies(self, energies: slice) -> Self:
        """Give the counts at some energies."""
        return replace(self, values=self.values[energies])

    def spectrum(self) -> np.ndarray:
        """Give the counts at each energy, (m,), summed over the pixels."""
        return self.amplitude * self.values @ self.shares.spectrum()

    def image(self) -> np.ndarray:
        """Give the counts in each pixel, (t,), summed over the energies."""
        return self.project(np.ones((1, len(self.values))))[0]

    def merged(self, labels: ArrayLike, n: int | None = None) -> Self:
        """Merge pixels: that of each is given, (t,), from zero to ``n``."""
        return replace(self, shares=self.shares.merged(labels, n))

    def sums(self, blocks: ArrayLike) -> np.ndarray:
        """Sum the counts at each energy in blocks of pixels, (m, number of blocks)."""
        return self.amplitude * self.values @ self.shares.sums(blocks)
