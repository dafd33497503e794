"""From an observation to its components: the parts of the package meet here, and nothing else is computed."""

import logging
import os
import warnings
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning

from ._files import open_fits
from .cube import EventCube
from .cube.event_checks import describe_empty_bins
from .forward import ExpectedBackground, background_amplitude, count_blocks, least_squares
from .forward.least_squares import expected_counts
from .instrument import PHA
from .model import Model, load_model
from .results import Separation
from .separation import align, check_data, refine_counts
from .transforms import Starlet, detail_matrix, get_transform
from .trust.diagnostics import SeparationWarning, diagnose
from .trust.resampling import check_photons, resample

__all__ = ["as_background", "as_cube", "read_background", "separate"]

log = logging.getLogger(__name__)

_N_SCALES = 4
# Spectra need no more details than this; more of them, taken at every pixel of a large image, only cost time.
_ENOUGH = 50_000
# Scales over which counts are smoothed to tell how noisy the pixels are, so many that a pixel's own noise has no part
# in it; and the error of a free background's amplitude from which on it is hardly measured.
_N_SMOOTH, _LARGE_ERROR = 5, 0.3


def separate(
    cube_hdu,
    model,
    *,
    background=None,
    transform="starlet",
    refine=True,
    n_resamplings=0,
    seed=0,
    device=None,
    progress=True,
):
    """Separate an observation into component images and spectra.

    The transform's details of every energy, in units of their photon noise, go to the solver, which finds the spectra
    A: in the details sources are sparse (section 3.2 of Fahes et al., ICLR 2022, arXiv:2112.05694). A model's spectra
    are then brought to the most probable ones, given the counts (`~astro_lpalm.separation.refine_counts`). The images
    follow from A by least squares, weighted for photon noise: without bias, and with all counts shared out.

    Where the cube has an exposure map, details are taken of the counts divided by it, so that the edges of the
    exposure are no details of the sources. The images need no correction: the exposure, the same at all energies, is
    a factor of both data and images, and ``flux_images`` of the result are divided by it.

    Parameters
    ----------
    cube_hdu : `~astro_lpalm.cube.EventCube`, image HDU, `~astropy.io.fits.HDUList`, str or path
        The observation: counts, (energy, y, x).
    model : `~astro_lpalm.model.Model`, str, path or solver
        A trained model, the name of a packaged one, a model file, or any object with ``separate(X) -> Factorization``.
    background : `~astro_lpalm.forward.ExpectedBackground`, EventCube, array_like, str or path, optional
        Counts that belong to no component: an expected background; or, with the scale that it finds for itself and a
        fixed amplitude, a cube of a blank field, its file, a PHA file, or a spectrum in the model's energy bins. It
        is taken away from the data, but not from their noise, and is part of the result's model and residuals. A free
        amplitude is fitted together with the images (`~astro_lpalm.forward.background_amplitude`), anew in each
        resampling; it and its error are in the diagnostics' ``meta``.
    transform : str or transform
        See `astro_lpalm.transforms.get_transform`. One chosen by name has four scales, as far as they fit into the
        images: where counts are few, the details of the coarser ones stand out from the noise.
    refine : bool
        Whether a model's network is followed by the refinement, on the details and then on the counts; other solvers
        have no such step. A cube with negative values is no counts, and is refined on the details only.
    n_resamplings : int
        How often the photons are drawn again to find the uncertainty of spectra and images
        (`~astro_lpalm.trust.resampling.resample`): 0 for never, 50 for an uncertainty that is itself known to 10 %.
    seed : int
        Of the resampling.
    device : str or `torch.device`, optional
        Where a model's network runs; by default on the CPU.
    progress : bool
        Whether to show the progress of the resampling on a terminal.

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

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        If a background is larger than the data, or a free one is negative, and taken as zero, or hardly known; or if
        the cube has negative values.
    `~astro_lpalm.trust.diagnostics.SeparationWarning`
        If the result is not to be trusted; see `~astro_lpalm.trust.diagnostics.diagnose`. If bins at the ends of the
        spectrum are empty, as those of a filtered list are.
    """
    cube, solver = as_cube(cube_hdu), _as_solver(model)
    transform = get_transform(transform, _N_SCALES, side=min(cube.data.shape[1:]))
    names, options = None, {}
    if isinstance(solver, Model):
        if solver.energy_edges is not None:
            cube = cube.rebin(solver.energy_edges)
        names, options = solver.component_names, {"refine": refine, "device": device}
    _warn_of_empty_bins(cube)
    background = as_background(background, cube)
    expected = None if background is None else background.expected(cube)
    X, blocks = cube.matrix(dtype=np.float32), None
    if n_resamplings:  # an error now, not when all is computed
        check_photons(X, n_resamplings)
    if options.get("refine") and solver.prior is not None:
        if X.min() >= 0:
            blocks = count_blocks(cube.data.sum(axis=0, dtype=float), cube.pixel_mask)
        else:
            _warn_of_negative_counts(X)
    free = background is not None and background.free
    search = _Search(solver, options, transform, expected, free, blocks)
    found, details = search.spectra(cube, X)
    check_data(X, found.spectra)  # whatever a solver may give
    log.info("the spectra took %d rounds, converged: %s", found.n_iter, found.converged)
    diagnostics = {"n_iter": found.n_iter, "converged": found.converged}
    best, error = search.amplitude(cube, found.spectra)
    amplitude = max(best, 0.0)
    errors = None, None, 0.0
    if n_resamplings:

        def find_again(drawn, rng):
            again = replace(search, solver=_perturbed(solver, rng))
            factorization, _ = again.spectra(drawn, drawn.matrix(dtype=np.float32))
            if not isinstance(solver, Model):
                factorization = align(factorization, found.spectra)
            return factorization.spectra, max(again.amplitude(drawn, factorization.spectra)[0], 0.0)

        with warnings.catch_warnings():  # what the refinement had to say was said of the observation itself
            warnings.simplefilter("ignore", AstropyUserWarning)
            errors = resample(
                cube, found.spectra, find_again, n_resamplings, expected, amplitude, seed=seed, progress=progress
            )
    if free:
        error = max(error, errors[2])  # the latter has what the spectra leave open as well
        diagnostics |= {"background_amplitude": amplitude, "background_amplitude_error": error}
    if expected is not None:
        expected = expected * amplitude
        _warn_of_background(best, error, expected.sum() / X.sum(dtype=float), free)
    net, below = (X, 0.0) if expected is None else (X - expected.astype(np.float32), expected.sum(axis=1))
    variance = expected_counts(found.spectra, X.sum(axis=1, dtype=float), below)
    sources = least_squares(net, found.spectra, variance)
    result = Separation(
        cube,
        found.spectra,
        sources,
        names or [f"component_{k + 1}" for k in range(len(sources))],
        diagnostics=Table(meta=diagnostics),
        header=_provenance(solver, transform, refine, background, n_resamplings, seed),
        background=expected,
        spectra_uncertainty=errors[0],
        image_uncertainty=errors[1],
    )
    model = solver if isinstance(solver, Model) else None
    snr_db = None if model is None else model.snr_db(details)
    columns, figures, messages = diagnose(result, model, snr_db, by_counts=blocks is not None)
    for name, values in columns.items():
        result.diagnostics[name] = values
        result.diagnostics[name].info.format = ".2f"
    result.diagnostics.meta |= figures
    for message in messages:
        warnings.warn(message, SeparationWarning, stacklevel=2)
    return result


def _provenance(solver, transform, refine, background, n_resamplings, seed):
    header, how = fits.Header(), type(solver).__name__
    if isinstance(solver, Model):
        how = f"refine={refine}"
        # No comments: a long value leaves no room for them, which would be warned about.
        header["MODEL"], header["MODELSUM"] = solver.name, solver.checksum
    header["TRANSFRM"] = repr(transform)
    header.add_history(f"components found by astro_lpalm.separate with {how}")
    if n_resamplings:
        header.add_history(f"uncertainties from {n_resamplings} resamplings, seed {seed}")
    if background is not None:
        scale = "of its own scale" if background.scale is None else f"multiplied by {background.scale:g}"
        header.add_history(f"background {scale}{', its amplitude free' if background.free else ''}")
    return header


def _perturbed(solver, rng):
    # What is known beforehand is uncertain, too: spectra that follow from it rather than from the data would come out
    # the same each time. So the library's means are drawn again along with the photons.
    if not isinstance(solver, Model) or solver.prior is None:
        return solver
    solver = copy(solver)
    solver.prior = solver.prior.perturbed(rng)
    return solver


@dataclass(frozen=True)
class _Search:
    """How spectra are found in a cube, and found again where its photons are drawn anew.

    By the solver on the details, then, where there are blocks of pixels, by the likelihood of the counts in them.
    """

    solver: object
    options: dict
    transform: object
    background: np.ndarray | None
    free: bool
    blocks: np.ndarray | None

    def spectra(self, cube, X):
        """Find them in a cube, of which X is the matrix; return a factorization, and the details."""
        details = self._details(cube)
        found = self.solver.separate(details, **self.options)
        if self.blocks is None:
            return found, details
        background = self.background
        if self.free:
            background = background * max(self.amplitude(cube, found.spectra)[0], 0.0)
        refined = refine_counts(X, found, self.solver.prior, blocks=self.blocks, background=background)
        log.debug("the refinement of the details took %d rounds, converged: %s", found.n_iter, found.converged)
        return refined, details

    def amplitude(self, cube, spectra):
        """Return what the background is best multiplied by, and the error of that."""
        if not self.free:
            return 1.0, 0.0
        mask, exposure = cube.pixel_mask, cube.relative_exposure
        scales = Starlet(min(_N_SMOOTH, Starlet().largest_n_scales(min(mask.shape))))
        _, smooth = scales.forward(cube.data.sum(axis=0, dtype=float) / exposure, mask)
        counts = np.maximum((exposure * smooth)[~mask], self.background.sum(axis=0).mean())
        return background_amplitude(cube.matrix(), spectra, self.background, counts)

    def _details(self, cube):
        mask = cube.pixel_mask if cube.pixel_mask.any() else None
        exposure = cube.relative_exposure
        # Counts over exposure have that many times the variance of as many counts.
        noise = self.transform.photon_noise(cube.data.sum(axis=0, dtype=float) / exposure, mask)
        data = cube.data
        if self.background is not None:
            data = data - np.nan_to_num(cube.image_of(self.background.astype(np.float32)))
        if cube.exposure is not None:
            data = data / exposure.astype(np.float32)
            # Only details that lie on the pixels have noise that differs between them.
            noise = [level / np.sqrt(exposure) if np.ndim(level) else level for level in noise]
        n_pixels, stride = np.count_nonzero(~cube.pixel_mask), 1
        # A stride of s leaves 1 / s^2 of the details, four times as many of the finest.
        while n_pixels * (self.transform.n_scales + 3) / (2 * stride) ** 2 >= _ENOUGH:
            stride *= 2
        return detail_matrix(self.transform, data, mask, noise, stride=stride, dtype=np.float32)


def _warn_of_empty_bins(cube):
    # Before anything is computed, and before the warnings that it leads to.
    empty = describe_empty_bins([plane[~cube.pixel_mask].sum(dtype=float) for plane in cube.data])
    if empty:
        msg = (
            f"{empty} The model expects counts there, so that residuals and distances from the library will be large; "
            "take the list before it was filtered, or a model of fewer energies."
        )
        warnings.warn(msg, SeparationWarning, stacklevel=3)


def _warn_of_negative_counts(X):
    msg = (
        f"the cube has {np.count_nonzero(X < 0)} negative values, so it is no counts: the spectra are refined on the "
        "details only. Take the cube that nothing was subtracted from, and give the background separately."
    )
    warnings.warn(msg, AstropyUserWarning, stacklevel=3)


def _warn_of_background(amplitude, error, share, free):
    said = f"the background's amplitude is {amplitude:.3g} +- {error:.2g}"
    if free and amplitude < 0:
        msg = f"{said}: it is taken as zero; is its spectrum the right one?"
    elif free and (error > _LARGE_ERROR * amplitude or share > 1):
        msg = f"{said}: its spectrum is much like a mixture of the components'; fix it, if you can."
    elif share > 1:
        msg = f"the background has {share:.3g} times the counts of the cube: check its scale."
    else:
        return
    warnings.warn(msg, AstropyUserWarning, stacklevel=3)


def as_background(background, cube):
    """Take for a background whatever `separate` takes.

    Parameters
    ----------
    background : `~astro_lpalm.forward.ExpectedBackground`, EventCube, image HDU, array_like, str, path or None
    cube : `~astro_lpalm.cube.EventCube`
        The observation.

    Returns
    -------
    `~astro_lpalm.forward.ExpectedBackground` or None

    Raises
    ------
    OSError, ValueError
        If it cannot be read or used.
    """
    if background is None or isinstance(background, ExpectedBackground):
        return background
    if isinstance(background, (str, os.PathLike)):
        return read_background(background, cube)
    if isinstance(background, (fits.HDUList, fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)):
        background = EventCube.from_hdu(background)
    return ExpectedBackground(background)


def read_background(path, cube, *, scale=None, free=False):
    """Read the background of an observation from a file.

    Parameters
    ----------
    path : str or `os.PathLike`
        A cube of a blank field, or a PHA file.
    cube : `~astro_lpalm.cube.EventCube`
        The observation.
    scale : float, optional
        What its counts are multiplied by; by default the ratio of the exposure times, and of the areas for a PHA.
    free : bool
        Whether its amplitude is to be fitted.

    Returns
    -------
    `~astro_lpalm.forward.ExpectedBackground`

    Raises
    ------
    OSError, ValueError
        If the file cannot be read, or the scale is not known.
    """
    with open_fits(path, headers_only=True) as hdulist:
        is_cube = any(hdu.is_image and hdu.header["NAXIS"] == 3 for hdu in hdulist)
    if is_cube:
        return ExpectedBackground(EventCube.read(path), scale=scale, free=free)
    return ExpectedBackground.from_pha(PHA.read(path), cube, scale=scale, free=free)


def as_cube(cube_hdu):
    """Take for a cube whatever `separate` takes.

    Parameters
    ----------
    cube_hdu : `~astro_lpalm.cube.EventCube`, image HDU, `~astropy.io.fits.HDUList`, str or path

    Returns
    -------
    `~astro_lpalm.cube.EventCube`

    Raises
    ------
    OSError, TypeError, ValueError
        If it cannot be read or used.
    """
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
