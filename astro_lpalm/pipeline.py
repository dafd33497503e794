"""The first journey: from an observation to its components. Every room is known here, and nothing is computed."""

import logging
import os

import numpy as np
from astropy.io import fits
from astropy.table import Table

from .cube import EventCube
from .model import Model, load_model
from .results import Separation
from .separation import least_squares
from .transforms import detail_matrix, get_transform

__all__ = ["separate"]

log = logging.getLogger(__name__)

_N_SCALES = 4
# Spectra need no more details than this; more of them, taken at every pixel of a large image, only cost time.
_ENOUGH = 50_000


def separate(cube_hdu, model, *, transform="starlet", refine=True, device=None):
    """Separate an observation into component images and spectra.

    The transform's details of every energy, in units of their photon noise, go to the solver, which finds the spectra
    A: in the details sources are sparse (section 3.2 of Fahes et al., ICLR 2022, arXiv:2112.05694). The images follow
    from A by least squares, weighted for photon noise: without bias, and with all counts shared out.

    Parameters
    ----------
    cube_hdu : `~astro_lpalm.cube.EventCube`, image HDU, `~astropy.io.fits.HDUList`, str or path
        The observation: counts, (energy, y, x).
    model : `~astro_lpalm.model.Model`, str, path or solver
        A trained model, the name of a packaged one, a model file, or any object with ``separate(X) -> Factorization``.
    transform : str or transform
        See `astro_lpalm.transforms.get_transform`. One chosen by name has four scales, as far as they fit into the
        images: where counts are few, the details of the coarser ones stand out from the noise.
    refine : bool
        Whether a model's network is followed by the refinement; other solvers have no such step.
    device : str or `torch.device`, optional
        Where a model's network runs; by default on the CPU.

    Returns
    -------
    `~astro_lpalm.results.Separation`

    Raises
    ------
    ValueError
        If the energies of cube and model do not fit together, or the cube cannot be separated.
    OSError
        If a file cannot be read.
    TypeError
        If an argument is of none of the kinds above.
    """
    cube, solver = _as_cube(cube_hdu), _as_solver(model)
    transform = get_transform(transform, _N_SCALES, side=min(cube.data.shape[1:]))
    names, header, options = None, fits.Header(), {}
    if isinstance(solver, Model):
        if solver.energy_edges is not None:
            cube = cube.rebin(solver.energy_edges)
        names, options = solver.component_names, {"refine": refine, "device": device}
        # No comments: a long value leaves no room for them, which would be warned about.
        header["MODEL"], header["MODELSUM"] = solver.name, solver.checksum
    header["TRANSFRM"] = repr(transform)
    header.add_history(f"components found by astro_lpalm.separate with refine={refine}")
    found = solver.separate(_details(transform, cube), **options)
    log.info("the solver ran %d iterations, converged: %s", found.n_iter, found.converged)
    X = cube.matrix(dtype=np.float32)
    sources = least_squares(X, found.spectra, X.mean(axis=1))
    return Separation(
        cube,
        found.spectra,
        sources,
        names or [f"component_{k + 1}" for k in range(len(sources))],
        diagnostics=Table(meta={"n_iter": found.n_iter, "converged": found.converged}),
        header=header,
    )


def _details(transform, cube):
    mask = cube.pixel_mask if cube.pixel_mask.any() else None
    noise = transform.photon_noise(cube.data.sum(axis=0, dtype=float), mask)
    n_pixels, stride = np.count_nonzero(~cube.pixel_mask), 1
    # A stride of s leaves 1 / s^2 of the details, four times as many of the finest.
    while n_pixels * (transform.n_scales + 3) / (2 * stride) ** 2 >= _ENOUGH:
        stride *= 2
    return detail_matrix(transform, cube.data, mask, noise, stride=stride, dtype=np.float32)


def _as_cube(cube_hdu):
    if isinstance(cube_hdu, EventCube):
        return cube_hdu
    if isinstance(cube_hdu, (str, os.PathLike)):
        return EventCube.read(cube_hdu)
    return EventCube.from_hdu(cube_hdu)


def _as_solver(model):
    if isinstance(model, (str, os.PathLike)):
        return load_model(model)
    if not callable(getattr(model, "separate", None)):
        msg = (
            f"model is of type {type(model).__name__}, but must be a model, the name of a packaged one, a model file, "
            "or a solver with a method separate(X)."
        )
        raise TypeError(msg)
    return model
