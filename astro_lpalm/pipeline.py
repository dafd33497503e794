"""Separation of an observation in one call: inputs, `~astro_lpalm.separator.Separator`, diagnostics, and a result."""

import logging
import warnings

import numpy as np
from astropy.io import fits
from astropy.table import Column, Table
from astropy.utils.exceptions import AstropyUserWarning

from .cube.binning import is_several
from .forward import ForwardModel
from .inputs import (
    as_background,
    as_cube,
    as_observations,
    as_solver,
    blur_of,
    on_common_bins,
    vignetting_of,
    warn_of_empty_bins,
    warn_of_exposure,
    warn_of_mission,
)
from .results import ParameterMap, Separation, component_exposures, parameter_table
from .separator import JointSolution, Observation, Separator, find_jointly, joint_errors
from .trust import SeparationWarning, diagnose, prior_errors, unequal_rates

__all__ = ["separate"]

logger = logging.getLogger(__name__)

_UNSOLVED = 0.03  # part of the equations of samples, from which on they are not what they should be
_LARGE_ERROR = 0.3  # of a free background's amplitude: from here on it is hardly measured


def separate(
    cube_hdu,
    model,
    *,
    instrument=None,
    background=None,
    transform="starlet",
    refine=True,
    smooth=True,
    maps=False,
    n_samples=0,
    n_resamplings=0,
    seed=0,
    device=None,
    progress=True,
    client=None,
):
    """Separate an observation into component images and spectra.

    The transform's details of every energy, in units of their photon noise, go to the solver, which finds the spectra
    A: in the details sources are sparse (section 3.2 of Fahes et al., ICLR 2022, arXiv:2112.05694). The counts have the
    last word: where the components of a model have physical parameters, all of these are fitted at once
    (`~astro_lpalm.separation.fit_parameters`), so that the split of components that overlap follows from spectra that
    physics allows; otherwise the spectra are brought to the most probable ones
    (`~astro_lpalm.separation.refine_counts`). The images follow from A by least squares, weighted for photon noise:
    without bias, and with all counts shared out.

    Spectra and images always have errors. With physical parameters they come from the curvature of the likelihood, and
    have in them what the split of overlapping components leaves open; where only a library of spectra is known, what
    that leaves open; for solvers that know nothing of spectra they are photon noise only, unless photons are drawn
    again (``n_resamplings``).

    Where the cube has an exposure map, details are taken of the counts divided by it, so that the edges of the
    exposure are no details of the sources. The images need no correction: the exposure, the same at all energies, is
    a factor of both data and images, and ``flux_images`` of the result are divided by it.

    Parameters
    ----------
    cube_hdu : `~astro_lpalm.cube.EventCube`, image HDU, `~astropy.io.fits.HDUList`, str or path, or list of these
        The observation: counts, (energy, y, x). Several, on the same pixels and in the same bins, are separated
        together, each with its own instrument, exposure and background. The result is that of their sum.
    model : `~astro_lpalm.model.Model`, str, path or solver
        A trained model, the name of a packaged one, a model file, or any object with ``separate(X) -> Factorization``.
    instrument : `~astro_lpalm.instrument.Instrument`, optional
        What the observation's instrument did: its response, for which the model's components are made anew
        (`Model.through <astro_lpalm.model.Model.through>`), the errors of it, which are fitted together with the
        physical parameters, its exposure map, in place of the cube's, with which ``parameters`` have fluxes, and its
        point spread function, which ``smooth_images`` are freed of; ``images`` are as it blurs them. Its exposure may
        differ with energy (`~astro_lpalm.instrument.ExposureMaps`), where there are physical parameters. Of several
        observations a list, with None where there is nothing to say.
    background : `~astro_lpalm.forward.ExpectedBackground`, EventCube, array_like, str or path, or list, optional
        Counts that belong to no component: an expected background; or, with the scale that it finds for itself and a
        fixed amplitude, a cube of a blank field, its file, a PHA file, or a spectrum in the model's energy bins. It
        is taken away from the data, but not from their noise, and is part of the result's model and residuals. A free
        amplitude is fitted together with the images (`~astro_lpalm.forward.background_amplitude`), anew in each
        resampling; it and its error are in the diagnostics' ``meta``. Of several observations a list.
    transform : str or transform
        See `astro_lpalm.transforms.get_transform`. One chosen by name has four scales, as far as they fit into the
        images: where counts are few, the details of the coarser ones stand out from the noise.
    refine : bool
        Whether a model's network is followed by the refinement on the details, and by the fit of the physical
        parameters, or the refinement, on the counts; other solvers have no such steps. A cube with negative values is
        no counts, and is refined on the details only.
    smooth : bool
        Whether the result has ``smooth_images``: the most probable ones that are positive, with a prior that is learned
        from the data, and with a point spread function, where the instrument has one, taken out as far as the data
        support it. They are for looking; for measuring there are ``images``, which have no prior.
    maps : bool or sequence of str
        Whether physical parameters may differ from place to place: true for those that the data ask for, or their
        names, such as "thermal.kT". The result then has ``parameter_maps``, and images, spectra and parameters follow
        from the spectra of each pixel.
    n_samples : int
        How many draws of smooth images and maps the result's ``samples`` has.
    n_resamplings : int
        How often the photons are drawn again to find the errors of spectra and images in this way
        (`~astro_lpalm.trust.resample`): 0 for never, 50 for errors that are themselves known to 10 %.
    seed : int
        Of the resampling and the samples.
    device : str or `torch.device`, optional
        Where a model's network runs, and smooth images and maps are made; by default on the CPU.
    progress : bool
        Whether to show the progress of the resampling on a terminal.
    client : ``dask.distributed.Client``, optional
        A Dask cluster, whose workers do the resamplings; the errors are the same. Of many observations see
        `~astro_lpalm.many.separate_many`.

    Returns
    -------
    `~astro_lpalm.results.Separation`

    Raises
    ------
    ValueError
        If the energies of cube and model do not fit together, and the model's components cannot be made anew for the
        cube's; or the cube cannot be separated. If several observations are on other pixels or in other bins, an
        exposure time is not known, the components have no physical parameters, or photons are to be drawn again.
    OSError
        If a file cannot be read.
    TypeError
        If an argument is of none of the kinds above.

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        If a background is larger than the data, or a free one is negative, and taken as zero, or hardly known; or if
        the cube has negative values.
    `~astro_lpalm.trust.SeparationWarning`
        If the result is not to be trusted; see `~astro_lpalm.trust.diagnose`. If bins at the ends of the
        spectrum are empty, as those of a filtered list are; if an exposure map in s is not one of the cube's EXPOSURE,
        or several observations have unequal parts of the counts that are expected of them.

    Examples
    --------
    A nebula of two components, with the spectra of a packaged model:

    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube, load_model, separate
    >>> model, wcs = load_model("pwn-acis"), WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> y, x = np.indices((12, 12)) / 12
    >>> images = 1000 * np.exp(-20 * np.array([(x - 0.3) ** 2 + (y - 0.3) ** 2, (x - 0.7) ** 2 + (y - 0.6) ** 2]))
    >>> expected = np.tensordot(model.physics.spectra([0.5] * len(model.physics.parameters)), images, 1)
    >>> cube = EventCube(np.random.default_rng(0).poisson(expected), energy_edges=model.energy_edges, wcs=wcs)
    >>> result = separate(cube, model, smooth=False)
    >>> result.images["thermal"].data.shape, result.spectra.colnames
    ((12, 12), ['energy_lo', 'energy_hi', 'nonthermal', 'nonthermal_err', 'thermal', 'thermal_err'])
    >>> for name, truth in zip(result.names, images):
    ...     print(f"{name}: {result.images[name].data.sum() / 1e3:.0f} thousand counts, truly {truth.sum() / 1e3:.0f}")
    nonthermal: 22 thousand counts, truly 22
    thermal: 21 thousand counts, truly 21
    >>> for row in result.parameters[1:3]:
    ...     print(f"{row['parameter']} = {row['value']:.1f}")
    photon_index = 1.9
    kT = 0.7
    """
    separator = Separator(
        transform=transform, refine=refine, smooth=smooth, maps=maps if isinstance(maps, bool | str) else tuple(maps),
        n_samples=n_samples, n_resamplings=n_resamplings, seed=seed, device=device,
    )  # fmt: skip
    solver = as_solver(model, device)
    observed, said = [], []
    for given, seen_with, beside in as_observations(cube_hdu, instrument, background):
        cube, own = on_common_bins(as_cube(given), solver, seen_with)
        warn_of_mission(cube, solver, seen_with)
        warn_of_exposure(cube)
        warn_of_empty_bins(cube)  # before anything is computed, and before the warnings that it leads to
        known = as_background(beside, cube)
        free = known is not None and known.free
        forward = ForwardModel.of(cube, background=known)
        seen = blur_of(seen_with, cube), vignetting_of(seen_with, cube)
        observed.append(Observation(cube, own, forward, free, *seen))
        said += _history(cube, seen_with, known, of_several=is_several(cube_hdu))
    if is_several(cube_hdu):
        solution = find_jointly(separator, observed)
        errors, known = joint_errors(solution), solution.known
    else:
        solution = separator.find(cube, own, forward, free=free, blur=seen[0], vignetting=seen[1])
        errors, known = separator.errors(solution, progress=progress, client=client), own
    names = getattr(known, "component_names", None) or [f"component_{k + 1}" for k in range(len(solution.fit.images))]
    columns, figures, messages = _judge(solution, known, names)
    if is_several(cube_hdu):
        messages += unequal_rates(solution.stacked, len(observed))
    columns = {"counts_err": Column(errors.counts, unit="ct", format=".1f"), **columns}
    if solution.fit.forward.background is not None:
        figures |= _judge_background(solution, errors.amplitude, [each.free for each in observed])
    found = solution.factorization
    diagnostics = Table(columns, meta={"n_iter": found.n_iter, "converged": found.converged, **figures})
    for message in messages:
        warnings.warn(message, SeparationWarning, stacklevel=2)
    return Separation(
        solution.fit.cube,
        solution.fit.mixing,
        solution.fit.images,
        names,
        diagnostics=diagnostics,
        header=_provenance(own, separator, solution.fit.cube, said, messages),
        background=solution.fit.forward.background,
        spectra_uncertainty=errors.spectra,
        image_uncertainty=errors.images,
        covariance=errors.covariance,
        parameters=_parameters(solution),
        local=solution.fit.local,
        **_of_sky(solution, names, errors, is_blurred=any(each.blur is not None for each in observed)),
    )


def _of_sky(solution, names, errors, *, is_blurred):
    """Give what a result keeps of smooth images and maps."""
    sky, kept = solution.sky, solution.fit.forward.kept
    if sky is None:
        return {}
    exposure = solution.fit.cube.relative_exposure[kept]
    smooth, deviations = (each[:, kept] * exposure for each in (sky.images, sky.image_errors))
    if not is_blurred:  # otherwise the images without a prior are blurred, and no measure
        deviations = np.hypot(deviations, prior_errors(solution.fit, errors.images, smooth * solution.pattern))
    samples = {name: sky.samples[0][:, k][:, kept] * exposure for k, name in enumerate(names)} if sky.samples else {}
    maps = []
    for j, (k, place) in enumerate(sky.fields):
        parameter = solution.physics.parameters[place]
        values, slopes = parameter.value(sky.maps[j][kept]), parameter.slope(sky.maps[j][kept])
        maps.append(
            ParameterMap(
                names[k],
                parameter.name,
                parameter.unit,
                values,
                np.abs(slopes) * sky.map_errors[j][kept],
                sky.undecided[j][kept],
            )
        )
        if sky.samples:
            samples[f"{names[k]}_{parameter.name}"] = parameter.value(sky.samples[1][:, j][:, kept])
    return {"smooth": (smooth, deviations), "maps": maps, "samples": samples}


def _parameters(solution):
    if solution.physical is None:
        return None
    exposures = None
    if isinstance(solution, JointSolution):
        exposures = np.ones(len(solution.fit.images))  # its rates are counts
    elif solution.by_physics and hasattr(solution.physics, "rates"):
        vignetting, left = solution.search.vignetting, 1.0
        if vignetting is not None:
            left = vignetting.of_pixels(solution.fit.forward.kept).transmission(solution.physical.common_spectra)
        exposures = component_exposures(solution.fit, left)
        if exposures is None:
            logger.info("no EXPOSURE in the header, nor a map in s: amplitudes and energy fluxes are not known")
    brightness = None
    if exposures is not None and solution.sky is not None:
        brightness = solution.sky.local_brightness(solution.search.physics, solution.fit.forward.kept)
    return parameter_table(solution.physical, solution.physics, exposures, brightness)


def _judge(solution, solver, names):
    physics = getattr(solver, "physics", None)
    snr_db = solver.snr_db(solution.details) if hasattr(solver, "snr_db") else None
    columns, figures, messages = diagnose(
        solution.fit,
        names,
        prior=getattr(solver, "prior", None),
        snr_db=snr_db,
        snr_range=getattr(solver, "snr_range", None),
        by_counts=solution.by_counts,
        physical=solution.physical if physics is not None else None,
        physics=physics,
    )
    if solution.sky is not None:
        messages += _judge_sky(solution.sky, figures)
    if solution.physical is not None:
        columns["goodness"] = solution.physical.component_goodness
        if not solution.by_physics:
            messages.append(
                f"no physical parameters within their ranges give the spectra (reduced chi-square "
                f"{solution.physical.goodness:.1f}): spectra and images are those of the library, which leaves less, "
                "and the parameters are not to be trusted. Is it another object, or another response?"
            )
    return {name: Column(values, format=".2f") for name, values in columns.items()}, figures, messages


def _judge_sky(sky, figures):
    figures["smooth_converged"] = sky.converged
    messages = []
    if sky.fields and not sky.converged:
        messages.append(
            "maps and parameters still changed when the rounds were over: take the maps as a first look, or give fewer "
            "by name (maps=)."
        )
    if sky.unsolved > _UNSOLVED:
        messages.append(
            f"samples leave {sky.unsolved:.1%} of their equations unsolved, so that they scatter too little on some "
            "scales; more counts in a pixel (larger pixels) make them easier."
        )
    return messages


def _judge_background(solution, from_resampling, free):
    # Photons drawn again tell what the spectra leave open as well.
    error = np.maximum(solution.amplitude_error, from_resampling)
    share = solution.fit.forward.background.spectrum().sum() / solution.fit.counts.sum()
    figures, messages = {}, []
    if share > 1 and not any(free):
        messages.append(f"the background has {share:.3g} times the counts of the cube: check its scale.")
    for number, (found, deviation) in enumerate(zip(*np.atleast_1d(solution.amplitude, error))):
        if free[number]:
            whose, key = ("", "") if len(free) == 1 else (f" of observation {number + 1}", f"_{number + 1}")
            said = f"the background's amplitude{whose} is {found:.3g} +- {deviation:.2g}"
            if found < 0:
                messages.append(f"{said}: it is taken as zero; is its spectrum the right one?")
            elif deviation > _LARGE_ERROR * found or share > 1:
                messages.append(f"{said}: its spectrum is much like a mixture of the components'; fix it, if you can.")
            figures |= {f"background_amplitude{key}": max(found, 0.0), f"background_amplitude_error{key}": deviation}
    for message in messages:
        warnings.warn(message, AstropyUserWarning, stacklevel=3)
    return figures


def _provenance(solver, separator, cube, said, messages):
    header = fits.Header()
    if hasattr(solver, "checksum"):
        # No comments: a long value leaves no room for them, which would be warned about.
        header["MODEL"], header["MODELSUM"] = solver.name, solver.checksum
    header["TRANSFRM"] = repr(separator.transform_of(cube))
    header["SEPARATR"] = repr(separator)
    header["NWARN"] = len(messages), "warnings of the separation"
    for number, message in enumerate(messages, start=1):
        header[f"WARN{number}"] = message
    header.add_history(f"components found by astro_lpalm.separate with {type(solver).__name__}")
    if separator.n_resamplings:
        header.add_history(f"uncertainties from {separator.n_resamplings} resamplings, seed {separator.seed}")
    for line in said:
        header.add_history(line)
    return header


def _history(cube, instrument, background, *, of_several):
    """Lines that say how an observation was made."""
    lines = []
    if of_several:
        cards = [f"{key} {cube.meta[key]}" for key in ("OBS_ID", "EXPOSURE") if key in cube.meta]
        lines.append(f"together with others: {', '.join([*cards, f'{cube.image().sum():.10g} counts'])}")
    if instrument is not None:
        lines.append(f"observed with {instrument!r}")
    if background is not None:
        scale = "of its own scale" if background.scale is None else f"multiplied by {background.scale:g}"
        lines.append(f"background {scale}{', its amplitude free' if background.free else ''}")
    return lines
