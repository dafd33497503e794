"""Table 1: the error of the sources, and how near it comes to what the true spectra would allow."""

import time

import numpy as np
from astropy.table import Table

from ..separation import Factorization, least_squares, nmse, refine
from ..training import train
from .protocol import read_protocol

__all__ = ["table1"]

_PAPER = {"LPALM": 8.5e-4}


def table1(directory, *, epochs=60, seed=0, progress=True):
    """Train LPALM on the spectra of section 3.1 and test it on those held out, with and without refinement.

    Parameters
    ----------
    directory : str or `os.PathLike`
        See `read_protocol`.
    epochs : int
        Of the training.
    seed : int
        Of data and training.
    progress : bool
        Whether to show progress on a terminal.

    Returns
    -------
    `~astropy.table.Table`
        A row for each method: the paper's median NMSE(S) where it has one, median and mean of NMSE(S) and NMSE(A)
        here, the number of samples of NMSE(A) above 0.01, and seconds to separate one sample. The last row, least
        squares with the true spectra, is what no method without knowledge of the sources can pass. ``meta`` has the
        seconds of training.
    """
    data = read_protocol(directory, seed=seed)
    start = time.monotonic()
    model = train(data.training, epochs=epochs, seed=seed, progress=progress)
    training_seconds = time.monotonic() - start
    library = model.library

    def network(X, A):
        return model.separate(X, refine=False)

    def refined(X, A):
        return model.separate(X)

    def from_mean(X, A):
        return refine(X, Factorization(library.mean.T, None), library)

    def oracle(X, A):
        return Factorization(A, least_squares(X, A))

    methods = {"LPALM": network, "LPALM, refined": refined, "refinement alone": from_mean, "true spectra": oracle}
    rows = [_test(name, method, data) for name, method in methods.items()]
    return Table(rows=rows, meta={"seed": seed, "epochs": epochs, "training_seconds": training_seconds})


def _test(name, method, data):
    start = time.monotonic()
    found = [method(X, A) for X, A in zip(data.X.astype(float), data.A)]
    seconds = (time.monotonic() - start) / len(found)
    errors_s = nmse(np.stack([f.sources for f in found]), data.S)
    errors_a = nmse(np.stack([f.spectra for f in found]), data.A)
    return {
        "method": name,
        "paper": _PAPER.get(name, np.nan),
        "nmse_s_median": np.median(errors_s),
        "nmse_s_mean": errors_s.mean(),
        "nmse_a_median": np.median(errors_a),
        "nmse_a_mean": errors_a.mean(),
        "failures": int(np.sum(errors_a > 0.01)),
        "seconds": seconds,
    }
