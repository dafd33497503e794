"""Which of several models describes an observation best: each is judged by photons that it has not seen."""

import os
import warnings

import numpy as np
from astropy.table import Table
from scipy.special import xlogy

from .forward import count_blocks
from .grid.energies import describe_grid
from .grid.nesting import difference
from .inputs import as_background, as_cube
from .model import Model
from .pipeline import separate
from .separation import poisson_sources
from .trust.diagnostics import SeparationWarning

__all__ = ["compare_models"]

_COUNTS_IN_BLOCK = 200
_MOST_BLOCKS = 4096
_LEAST = 1e-12  # relative to the mean: a model may take a bin to be empty, but nothing is impossible


def compare_models(cube, models, *, held_out=0.3, seed=0, **options):
    """Rank models, for instance of different numbers of components, by how well they predict held-out photons.

    Each photon is held out by chance. A model separates the others; in blocks of some 200 counts, the non-negative
    sources of the largest likelihood are found for its spectra, and what these expect of the held-out photons is
    compared with them. More components always fit the photons that they were fitted to better; these only if they are
    there.

    Parameters
    ----------
    cube : `~astro_lpalm.cube.EventCube`, image HDU, `~astropy.io.fits.HDUList`, str or path
        Counts.
    models : dict, or sequence
        Models or solvers by name; or models, names and files of models, each with its own name.
    held_out : float
        The probability with which a photon is held out.
    seed : int or `numpy.random.Generator`
    **options
        Of `~astro_lpalm.pipeline.separate`. A ``background`` is that of all photons.

    Returns
    -------
    `~astropy.table.Table`
        The best first: ``model``; ``n_components``; ``log_likelihood`` of the held-out counts, relative to the best
        model's; ``error``, the standard deviation of that difference. Less than three of these is no difference.

    Raises
    ------
    ValueError
        If ``held_out`` is not between 0 and 1, the cube is no counts, there is no model, or the models have different
        energy bins.
    TypeError
        If ``models`` is a single one, or has solvers without names.
    OSError
        If a file cannot be read.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube, compare_models
    >>> from astro_lpalm.separation import GMCA
    >>> A = np.stack([np.linspace(2, 1, 20), np.linspace(1, 2, 20)], axis=1) / 30
    >>> expected = np.tensordot(A, 20.0 * np.indices((16, 16)), 1)
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> counts = np.random.default_rng(0).poisson(expected)
    >>> cube = EventCube(counts, energy_edges=np.linspace(1, 5, 21) * u.keV, wcs=wcs)
    >>> compare_models(cube, {"one": GMCA(1), "two": GMCA(2)}, smooth=False)["model"].tolist()
    ['two', 'one']
    """
    if not 0 < held_out < 1:
        msg = f"held_out is {held_out}, but must lie between 0 and 1."
        raise ValueError(msg)
    cube, models = as_cube(cube), _by_name(models)
    counts = cube.matrix()
    if np.any(counts != np.round(counts)) or counts.min() < 0:
        msg = "the cube has values that are no whole numbers, so there are no photons to hold out; take the counts."
        raise ValueError(msg)
    drawn = np.random.default_rng(seed).binomial(counts.astype(np.int64), held_out)
    seen, held = cube.with_matrix(counts - drawn), cube.with_matrix(drawn)
    blocks = count_blocks(
        seen.data.sum(axis=0, dtype=float), cube.pixel_mask, n_most=_MOST_BLOCKS, fewest=_COUNTS_IN_BLOCK, per_root=0
    )
    background = as_background(options.pop("background", None), cube)
    if background is not None:
        options["background"] = background.thinned(1 - held_out)
    scores, numbers, edges = {}, {}, None
    for name, model in models.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SeparationWarning)  # the table says which are bad
            result = separate(seen, model, **options)
        edges = result.cube.energy_edges if edges is None else edges
        if differs := difference(result.cube.energy_edges.value, edges.value, same=True):
            msg = (
                f"model {name!r} has {describe_grid(result.cube.energy_edges)}, but {next(iter(models))!r} has "
                f"{describe_grid(edges)}, {differs}: likelihoods compare only on the same bins; train both models on "
                "these."
            )
            raise ValueError(msg)
        X = held.rebin(edges).matrix()
        scores[name] = _block_scores(result, X, blocks, held_out / (1 - held_out))
        numbers[name] = len(result.names)
    order = sorted(scores, key=lambda name: -scores[name].sum())
    best = scores[order[0]]
    table = Table({"model": order, "n_components": [numbers[name] for name in order]})
    differences = [scores[name] - best for name in order]
    table["log_likelihood"] = [each.sum() for each in differences]
    table["error"] = [each.std() * np.sqrt(each.size) for each in differences]
    for name in ("log_likelihood", "error"):
        table[name].info.format = ".1f"
    return table


def _by_name(models):
    if isinstance(models, (str, os.PathLike)) or callable(getattr(models, "separate", None)):
        msg = (
            "models is a single one, with nothing to compare it with; give a list of them, or a dict with their names."
        )
        raise TypeError(msg)
    if not isinstance(models, dict):
        names = [model.name if isinstance(model, Model) else model for model in models]
        if unnamed := [type(name).__name__ for name in names if not isinstance(name, (str, os.PathLike))]:
            msg = f"models has a {unnamed[0]}, which has no name of its own; give a dict with names of solvers."
            raise TypeError(msg)
        models = {os.fspath(name): model for name, model in zip(names, models)}
    if not models:
        msg = "models is empty; give at least one."
        raise ValueError(msg)
    return models


def _block_scores(result, held, blocks, ratio):
    # Logarithm of the Poisson likelihood of the held-out counts in each block, without what all models share.
    seen, held = _sums(result.cube.matrix(), blocks), _sums(held, blocks)
    background = np.zeros((len(seen), 1)) if result.background is None else result.background.sums(blocks)
    # Columns with negative entries, which blind solvers may have, expect no counts there.
    spectra = np.maximum(result.mixing * np.sign(result.mixing.sum(axis=0)), 0.0)
    sources = poisson_sources(seen, spectra, background=np.broadcast_to(background, seen.shape))
    expected = ratio * (spectra @ sources + background)
    expected = np.maximum(expected, _LEAST * expected.mean())
    return (xlogy(held, expected) - expected).sum(axis=0)


def _sums(X, blocks):
    return np.stack([np.bincount(blocks, weights=row, minlength=blocks.max() + 1) for row in X])
