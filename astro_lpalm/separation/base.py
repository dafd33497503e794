"""What every solver returns, and the checks every solver makes on what it is given."""

from dataclasses import dataclass, field

import numpy as np

__all__ = ["Factorization", "check_data"]


@dataclass(frozen=True)
class Factorization:
    """The result of a solver: X is approximately ``spectra @ sources``.

    Attributes
    ----------
    spectra : `~numpy.ndarray`, shape (m, n)
        The mixing matrix A: one spectrum over m energies in each column.
    sources : `~numpy.ndarray`, shape (n, t)
        S: one source over t pixels in each row.
    n_iter : int
        Iterations (or layers) that were run.
    converged : bool
        Whether the stopping criterion was met before the iterations ran out. Unrolled solvers, which run a fixed
        number of layers, always report true.
    history : dict of str to list of float
        What the solver recorded at each iteration.
    """

    spectra: np.ndarray
    sources: np.ndarray
    n_iter: int = 0
    converged: bool = True
    history: dict = field(default_factory=dict)


def check_data(X, spectra=None):
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
