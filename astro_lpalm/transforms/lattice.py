"""The starlet's smooth images on a lattice of pixels: as many as are asked for, without those in between."""

from functools import lru_cache

import numpy as np
from scipy.sparse import coo_array, csr_array, issparse

from .base import as_float_images

__all__ = ["Lattice"]

_TAPS = np.array([1, 4, 6, 4, 1]) / 16


class Lattice:
    """Smooth images in every so manieth pixel along both axes.

    Smooth image j in every 2^j-th pixel needs the one before in every 2^(j-1)-th, as the taps of its filter are as far
    apart: a pyramid (Burt & Adelson 1983, IEEE Trans. Commun. 31, 532) whose values are those of the starlet. Mirrored
    images stay mirrored when they are smoothed, so what lies beyond the far borders is smoothed along with the rest.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx).
    n_scales : int
    steps : sequence of int
        Powers of two: the pixels between those of each smooth image that are wanted, finest first.
    mask : `~numpy.ndarray` of bool, shape (ny, nx), optional
    """

    def __init__(self, shape, n_scales, steps, mask=None):
        self.shape, self.steps = shape, []
        for scale, step in enumerate(steps):
            self.steps.append(min(2 ** (scale + 1), step, *steps[scale:]))
        self._filters = list(zip(*(_filters(side, n_scales, tuple(self.steps)) for side in shape)))
        self._weights = None if mask is None else self._make_weights(mask)

    def _make_weights(self, mask):
        """Factors, 0 in masked pixels, of each smooth image, that make means over the pixels that are not masked."""
        kept, weights, levels = ~mask, [], [1, *self.steps]
        for scale, (rows, columns) in enumerate(self._filters):
            sides = zip(rows.shape[::-1], columns.shape[::-1])  # of the finer lattice, and of this one
            finer, here = (self._on_lattice(kept, level, each) for level, each in zip(levels[scale:], sides))
            seen = _apply(finer.astype(float), rows, columns)
            weights.append(np.where(here, 1 / np.where(here, seen, 1.0), 0.0))
        return [kept.astype(float), *weights]

    def _on_lattice(self, kept, level, sides):
        y, x = (_mirrored(level * np.arange(n), side) for n, side in zip(sides, self.shape))
        return kept[np.ix_(y, x)]

    def smooth(self, images):
        """Yield images, and their smooth images, each on its lattice.

        Parameters
        ----------
        images : `~numpy.ndarray`, shape (k, ny, nx), or `~scipy.sparse.csr_array`, shape (k, ny * nx)

        Yields
        ------
        `~numpy.ndarray` or `~scipy.sparse.csr_array`
            The lattice has `side` pixels; those after the first images' borders are beyond them.
        """
        if self._weights is not None:
            images = _times(images, self._weights[0])
        images = images.astype(float) if issparse(images) else as_float_images(images)
        yield images
        for scale, (rows, columns) in enumerate(self._filters):
            if issparse(images):
                images = _apply_to_sparse(images, rows, columns)
            else:
                images = np.stack([_apply(image, rows, columns) for image in images])
            if self._weights is not None:
                images = _times(images, self._weights[scale + 1])
            yield images

    def taken(self, images, scale, step):
        """Take every ``step``-th pixel of the smooth image of a scale, 0 for the image itself: (k, ny, nx)."""
        own = 1 if scale == 0 else self.steps[scale - 1]
        sides = self.shape if scale == 0 else [each.shape[0] for each in self._filters[scale - 1]]
        if not issparse(images):
            rows, columns = (slice(None, (side - 1) // own + 1, step // own) for side in self.shape)
            return images[:, rows, columns]
        y, x = (np.arange(0, side, step) // own for side in self.shape)
        place = np.full(images.shape[1], -1, dtype=np.int32)
        place[(y[:, np.newaxis] * sides[1] + x).ravel()] = np.arange(y.size * x.size)
        at, found = place[images.indices], np.zeros((len(images.indptr) - 1, y.size * x.size), dtype=images.dtype)
        found[np.repeat(np.arange(len(found)), np.diff(images.indptr))[at >= 0], at[at >= 0]] = images.data[at >= 0]
        return found.reshape(-1, y.size, x.size)


def _mirrored(at, side):
    """Fold positions about the first and the last pixel."""
    period = 2 * (side - 1)
    at = np.abs(at) % period
    return np.minimum(at, period - at)


@lru_cache(maxsize=16)  # the images of an observation, a few at a time, have all the same
def _filters(side, n_scales, steps):
    """Make the filters of all scales along an axis."""
    levels, made = [1, *steps], []
    wanted = np.arange(side)
    for scale in range(n_scales):
        beyond = 2 * (2**n_scales - 2 ** (scale + 1))
        finer, wanted = wanted, np.arange(0, side + beyond, levels[scale + 1])
        made.append(_filter(wanted, finer, side, 2**scale, levels[scale]))
    return made


def _filter(wanted, finer, side, spacing, level):
    """Make the matrix of a filter along one axis, from the pixels of a finer lattice to those that are wanted."""
    taps = wanted[:, np.newaxis] + spacing * np.arange(-2, 3)
    taps = np.abs(taps)
    taps = np.where(taps > finer[-1], _mirrored(taps, side), taps)  # in the images themselves alone
    columns, rows = taps // level, np.broadcast_to(np.arange(wanted.size)[:, np.newaxis], taps.shape)
    values = np.broadcast_to(_TAPS, taps.shape)
    return csr_array((values.ravel(), (rows.ravel(), columns.ravel())), shape=(wanted.size, finer.size))


def _apply(image, rows, columns):
    rows, columns = (each.astype(image.dtype, copy=False) for each in (rows, columns))
    return (columns @ (rows @ image).T).T


def _apply_to_sparse(images, rows, columns):
    """Do the same for images, (k, ny * nx), that are mostly empty."""
    k, (ny, nx) = images.shape[0], (rows.shape[1], columns.shape[1])
    each = images.reshape(k * ny, nx).tocsr() @ columns.T.astype(images.dtype).tocsr()
    each, nx = each.tocoo(), columns.shape[0]
    number, y = np.divmod(each.row, ny)
    turned = coo_array((each.data, (number * nx + each.col, y)), shape=(k * nx, ny)).tocsr()
    each, ny = (turned @ rows.T.astype(images.dtype).tocsr()).tocoo(), rows.shape[0]
    number, x = np.divmod(each.row, nx)
    return coo_array((each.data, (number, each.col * nx + x)), shape=(k, ny * nx)).tocsr()


def _times(images, weights):
    if issparse(images):
        found = images.copy()
        found.data = found.data * weights.ravel()[found.indices].astype(found.dtype)
        return found
    return np.where(weights > 0, images, images.dtype.type(0)) * weights.astype(images.dtype)
