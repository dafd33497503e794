"""Blocks of pixels: fewer numbers, of more counts each, where images are not asked for."""

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["count_blocks"]


def count_blocks(
    counts: ArrayLike, mask: ArrayLike | None = None, *, n_most: int = 256, fewest: float = 100, per_root: float = 4.0
) -> np.ndarray:
    """Divide the pixels of an image into blocks of about the same counts.

    The image is cut in two at its median along its longer side, and so on for each half. Only the sum over the energies
    decides where, so the blocks tell nothing of the spectra.

    Parameters
    ----------
    counts : array_like, shape (ny, nx)
        Counts, summed over the energies.
    mask : array_like of bool, shape (ny, nx), optional
        True where a pixel is left out.
    n_most : int
        The largest number of blocks.
    fewest : float
        How many counts the blocks should have at least, on average. A single bright pixel is not split, and other
        blocks may then have fewer.
    per_root : float
        They should have this many times the square root of all counts, too. Whatever is estimated of each block alone
        moves what all have in common by about one count a block, which must be less than the photon noise of all.

    Returns
    -------
    `~numpy.ndarray` of int, shape (number of unmasked pixels,)
        The block of each pixel, numbered from zero.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.forward import count_blocks
    >>> count_blocks([[900, 100, 200, 300], [0, 500, 400, 100]], n_most=4).reshape(2, 4)
    array([[0, 0, 2, 2],
           [1, 1, 3, 3]])
    """
    counts = np.asarray(counts, dtype=float)
    kept = np.ones(counts.shape, dtype=bool) if mask is None else ~np.asarray(mask, dtype=bool)
    counts = np.where(kept, counts, 0.0)
    total = counts.sum()
    n_cuts = int(np.log2(np.clip(total / max(fewest, per_root * np.sqrt(total)), 1, n_most)))
    blocks = [_shrunk(kept, (slice(0, counts.shape[0]), slice(0, counts.shape[1])))]
    for _ in range(n_cuts):
        blocks = [half for block in blocks for half in _halves(block, counts, kept)]
    labels = np.zeros(counts.shape, dtype=np.int32)
    for number, block in enumerate(blocks):
        labels[block] = number
    return labels[kept].astype(int)


def _shrunk(kept, block):
    """Shrink a rectangle to the pixels in it."""
    ends = []
    for axis, side in enumerate(block):
        found = np.flatnonzero(kept[block].any(axis=1 - axis))
        ends.append(slice(side.start + int(found[0]), side.start + int(found[-1]) + 1))
    return tuple(ends)


def _halves(block, counts, kept):
    lengths = [side.stop - side.start for side in block]
    axis = int(np.argmax(lengths))
    if lengths[axis] == 1:
        return [block]
    before = np.cumsum(counts[block].sum(axis=1 - axis))
    cut = block[axis].start + int(np.argmin(np.abs(before[:-1] - before[-1] / 2))) + 1
    parts = slice(block[axis].start, cut), slice(cut, block[axis].stop)
    return [_shrunk(kept, (part, block[1]) if axis == 0 else (block[0], part)) for part in parts]
