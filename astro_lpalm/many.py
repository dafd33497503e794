"""Separation of many observations, one by one or on a cluster, where one that fails leaves the others alone."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from astropy.utils.exceptions import AstropyUserWarning

from ._cluster import run_each
from ._files import check_output
from .cube.binning import is_several
from .pipeline import separate

__all__ = ["FieldResult", "separate_many"]


@dataclass(frozen=True)
class FieldResult:
    """What became of one of many fields.

    Attributes
    ----------
    name : str
        That of its file, without its ending, or "field_1" and so on.
    result : `~astro_lpalm.results.Separation`, `~pathlib.Path` or None
        The separation, or the file that it was written to; None if it failed.
    error : str
        What was wrong, with the kind of error; empty where nothing was.
    messages : tuple of str
        What the separation warned of.

    Examples
    --------
    >>> from astro_lpalm.many import FieldResult
    >>> FieldResult("tile_17", None, "OSError: there is no file 'tile_17.fits'").failed
    True
    """

    name: str
    result: object | None
    error: str = ""
    messages: tuple = ()

    @property
    def failed(self):
        """Whether there is no result."""
        return self.result is None


def separate_many(
    fields, model, *, client=None, output=None, overwrite=False, instrument=None, background=None, **options
):
    """Separate many observations, each on its own.

    Parameters
    ----------
    fields : sequence of `~astro_lpalm.cube.EventCube`, str or path
        Cubes, or the files of cubes. Of files, whoever separates a field reads it: give these, where there are many.
    model : `~astro_lpalm.model.Model`, str, path or solver
        As `~astro_lpalm.pipeline.separate` takes it; the same for all.
    client : ``dask.distributed.Client``, optional
        A Dask cluster, whose workers separate the fields: as many at once as it has. A field whose worker was lost
        goes to another, up to three times.
    output : str or `os.PathLike`, optional
        A directory. Each separation is written to it, as <name>.fits, by whoever made it, and is not kept in memory.
    overwrite : bool
        Whether files that are there may be replaced.
    instrument, background : optional
        As `~astro_lpalm.pipeline.separate` takes them: one for all fields, or a list with one for each.
    **options
        Others of `~astro_lpalm.pipeline.separate`, such as ``smooth=False``.

    Returns
    -------
    list of FieldResult
        In the order of the fields. One that cannot be separated has an error in place of its result.

    Raises
    ------
    ValueError
        If there is no field, two have the same name, or a list is not as long as that of the fields.
    OSError
        If the directory cannot be written to, or has a file of the name of a field that may not be replaced.

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        Of each field that failed, with its error.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube, separate_many
    >>> from astro_lpalm.separation import GMCA
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> expected = np.tensordot([[4.0, 1.0], [2.0, 2.0], [1.0, 4.0]], np.indices((16, 16)), 1)
    >>> fields = [
    ...     EventCube(np.random.default_rng(seed).poisson(expected), energy_edges=[0.5, 1, 2, 7] * u.keV, wcs=wcs)
    ...     for seed in (1, 2)
    ... ]
    >>> found = separate_many(fields, GMCA(2), smooth=False)
    >>> [(each.name, each.failed, each.result.names) for each in found]
    [('field_1', False, ('component_1', 'component_2')), ('field_2', False, ('component_1', 'component_2'))]
    """
    fields = list(fields)
    if not fields:
        msg = "there are no fields to separate; give at least one."
        raise ValueError(msg)
    names = [_name(field, number) for number, field in enumerate(fields, start=1)]
    same = sorted({name for name in names if names.count(name) > 1})
    if same:
        msg = f"several fields are called {same[0]!r}; give files of different names, whatever their directories."
        raise ValueError(msg)
    paths = [None] * len(fields)
    if output is not None:
        paths = [Path(output) / f"{name}.fits" for name in names]
        for path in paths:
            check_output(path, overwrite=overwrite)
    instruments, backgrounds = (
        _of_each(given, len(fields), what) for given, what in ((instrument, "instrument"), (background, "background"))
    )
    job = _Job(model, {"progress": False, **options}, overwrite)
    found = []
    for each in run_each(job, list(zip(fields, names, paths, instruments, backgrounds)), client):
        if each.failed:
            msg = f"field {each.name!r} could not be separated: {each.error}"
            warnings.warn(msg, AstropyUserWarning, stacklevel=2)
        found.append(each)
    return found


@dataclass(frozen=True)
class _Job:
    """Separates a field; a class, so that other processes can have it."""

    model: object
    options: dict
    overwrite: bool

    def __call__(self, task):
        field, name, path, instrument, background = task
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                result = separate(field, self.model, instrument=instrument, background=background, **self.options)
                if path is not None:
                    result.write(path, overwrite=self.overwrite)
            except Exception as error:  # whatever it is, the other fields are not to be lost for it
                result, why = None, f"{type(error).__name__}: {error}"
        messages = tuple(str(each.message) for each in said if issubclass(each.category, AstropyUserWarning))
        if result is None:
            return FieldResult(name, None, why, messages)
        return FieldResult(name, result if path is None else path, messages=messages)


def _name(field, number):
    return Path(field).name.split(".fits")[0] if isinstance(field, str | os.PathLike) else f"field_{number}"


def _of_each(given, n, what):
    if not is_several(given):
        return [given] * n
    if len(given) != n:
        msg = f"{what} is a list of {len(given)}, but there are {n} fields; give one for each, or one for all."
        raise ValueError(msg)
    return list(given)
