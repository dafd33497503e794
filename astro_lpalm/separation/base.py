"""What every solver returns."""

from dataclasses import dataclass, field

import numpy as np

__all__ = ["Factorization"]


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

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import Factorization
    >>> found = Factorization(np.array([[0.6, 0.0], [0.8, 1.0]]), np.array([[1.0, 0.0], [2.0, 3.0]]), n_iter=12)
    >>> found.spectra @ found.sources
    array([[0.6, 0. ],
           [2.8, 3. ]])
    """

    spectra: np.ndarray
    sources: np.ndarray
    n_iter: int = 0
    converged: bool = True
    history: dict = field(default_factory=dict)
