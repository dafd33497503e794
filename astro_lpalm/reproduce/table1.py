"""Table 1: the error of the sources, and how near it comes to what the true spectra would allow."""

import time

import numpy as np
from astropy.table import Table

from ..training import train
from .protocol import TRAINING_SETTINGS, read_protocol
from .rows import errors, methods, row, spread_indices

__all__ = ["table1"]

_PAPER = {"LPALM": 8.5e-4}


def table1(directory, *, n_samples=None, seed=0, progress=True, **settings):
    """Train LPALM on the spectra of section 3.1 and test it on those held out, with and without refinement.

    Parameters
    ----------
    directory : str or `os.PathLike`
        See `read_protocol`.
    n_samples : int, optional
        How many of the 150 test samples are used, evenly spread over them; by default all.
    seed : int
        Of data and training.
    progress : bool
        Whether to show progress on a terminal.
    **settings
        Of `~astro_lpalm.training.train`, in the place of those of `~astro_lpalm.reproduce.TRAINING_SETTINGS`.

    Returns
    -------
    `~astropy.table.Table`
        A row for each method: the paper's median NMSE(S) where it has one; median and mean here of NMSE(S), NMSE(A),
        and NMSE(A) after spectra were given the order, signs and norms of the true ones; the number of samples of
        NMSE(A) above 0.01; median seconds to separate one sample. The last two rows are oracles: least squares for
        the sources with the true spectra, and for the spectra with the true sources. ``meta`` has the seconds of
        training.
    """
    data = read_protocol(directory, seed=seed)
    start = time.monotonic()
    settings = TRAINING_SETTINGS | {"seed": seed} | settings
    model = train(data.training, **settings, progress=progress)
    meta = settings | {"training_seconds": time.monotonic() - start}
    indices = spread_indices(len(data.X), n_samples)
    rows = []
    for name, method in methods(model).items():
        figures = [_figures(method, data.X[i].astype(float), data.A[i], data.S[i]) for i in indices]
        summary = row(name, figures)
        rows.append({"method": name, "paper_nmse_s": _PAPER.get(name, np.nan)} | summary)
    return Table(rows=rows, meta=meta)


def _figures(method, X, A, S):
    start = time.monotonic()
    found = method(X, A, S)
    seconds = time.monotonic() - start
    return errors(found, A, S) | {"seconds": seconds}
