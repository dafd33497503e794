"""Many small matrices at once."""

__all__ = ["inverses"]


def inverses(matrices):
    """Invert symmetric, positive definite matrices, in place, by elimination.

    Parameters
    ----------
    matrices : `~numpy.ndarray` or `torch.Tensor`, shape (n, n, ...)

    Returns
    -------
    The same.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm._matrices import inverses
    >>> inverses(np.array([[2.0, 1.0], [1.0, 1.0]])[:, :, np.newaxis])[:, :, 0].tolist()
    [[1.0, -1.0], [-1.0, 2.0]]
    """
    for i in range(len(matrices)):
        pivot = 1.0 / matrices[i, i]
        row, column = pivot * matrices[i], 1.0 * matrices[:, i]
        matrices -= column[:, None] * row
        matrices[i], matrices[:, i] = row, -pivot * column
        matrices[i, i] = pivot
    return matrices
