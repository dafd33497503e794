"""Section 3.2: how well the spectra and images of realistic mixtures are found."""

import time

import numpy as np
from astropy.table import Table

from .._progress import Progress
from ..separation import least_squares, nmse
from ..transforms import Starlet
from .rows import errors, methods, row, spread_indices

__all__ = ["realistic_table"]

_PAPER = {True: 9e-4, False: 4.6e-2}  # median NMSE(A) of LPALM in Table 2; Fig. 9


def realistic_table(mixtures, model, *, n_samples=None, progress=True):
    """Separate realistic mixtures with a model, with and without refinement.

    The spectra are found on the details of the starlet of one scale; least squares with them gives the coarse part of
    the sources. Nothing of the truth, such as norms or the order of shuffled pixels, enters.

    Parameters
    ----------
    mixtures : `RealisticMixtures`
        See `read_realistic`.
    model : `~astro_lpalm.model.Model`
        Trained for instance on `make_realistic_training_set`.
    n_samples : int, optional
        How many of the mixtures are used, evenly spread over them; by default all.
    progress : bool
        Whether to show progress on a terminal.

    Returns
    -------
    `~astropy.table.Table`
        As in `table1`, where NMSE(S) is that of the details, against the transform of the true images. There is also
        the NMSE of the whole images; seconds include the transform.
    """
    rows = methods(model)
    figures = {name: [] for name in rows}
    indices = spread_indices(len(mixtures), n_samples)
    meter = Progress(len(indices), "separating", show=progress)
    for index in indices:
        for name, sample in _separate(mixtures[index], rows).items():
            figures[name].append(sample)
        meter.step()
    paper = {"LPALM": _PAPER[mixtures.shuffled]}
    rows = [{"method": name, "paper_nmse_a": paper.get(name, np.nan)} | row(name, figures[name]) for name in figures]
    return Table(rows=rows, meta={"shuffled": mixtures.shuffled, "seed": mixtures.seed})


def _separate(mixture, rows):
    starlet, A = Starlet(1), mixture.spectra
    m, n = A.shape
    S = starlet.forward(mixture.images)[0][0].reshape(n, -1)
    images = mixture.images.reshape(n, -1)
    start = time.monotonic()
    (details,), coarse = starlet.forward(mixture.cube)
    X, coarse = details.reshape(m, -1), coarse.reshape(m, -1)
    transform_seconds = time.monotonic() - start
    figures = {}
    for name, method in rows.items():
        start = time.monotonic()
        found = method(X, A, S)
        whole = found.sources + least_squares(coarse, found.spectra)
        seconds = transform_seconds + time.monotonic() - start
        figures[name] = errors(found, A, S) | {"nmse_image": nmse(whole, images), "seconds": seconds}
    return figures
