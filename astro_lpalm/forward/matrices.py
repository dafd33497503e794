"""The check that every solver makes of the matrices that it is given."""

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["check_data"]


def check_data(X: ArrayLike, spectra: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Check the data matrix of a solver, and the mixing matrix where the solver takes one.

    Parameters
    ----------
    X : array_like, shape (m, t)
        Data, m energies by t pixels.
    spectra : array_like, shape (m, n), optional
        Known mixing matrix.

    Returns
    -------
    X, spectra : `~numpy.ndarray`
        As floating-point arrays; ``spectra`` is `None` where none was given.

    Raises
    ------
    ValueError
        If a shape does not fit, a value is not finite, or X is zero everywhere.

    Examples
    --------
    >>> from astro_lpalm.forward import check_data
    >>> check_data([[1, 2], [3, 4]], spectra=[[1], [0], [1]])
    Traceback (most recent call last):
        ...
    ValueError: spectra has 3 energies (rows) but X has 2; they must be the same.
    """
    X = _as_float(X, "X")
    if not X.any():
        msg = "X is zero everywhere, so there is nothing to separate."
        raise ValueError(msg)
    if spectra is not None:
        spectra = _as_float(spectra, "spectra")
        if spectra.shape[0] != X.shape[0]:
            msg = f"spectra has {spectra.shape[0]} energies (rows) but X has {X.shape[0]}; they must be the same."
            raise ValueError(msg)
    return X, spectra


def _as_float(array, name):
    array = np.asarray(array)
    if array.ndim != 2 or not array.size:
        msg = f"{name} must be a matrix with at least one row and one column, but its shape is {array.shape}."
        raise ValueError(msg)
    if array.dtype != np.float32:
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        msg = f"{name} has {np.count_nonzero(~np.isfinite(array))} values that are NaN or infinite; leave them out."
        raise ValueError(msg)
    return array
