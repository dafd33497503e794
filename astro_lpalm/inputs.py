"""What a separation is given, of whatever kind: cube, background and solver, and bins that they have in common."""

import os
import tomllib
import warnings
from dataclasses import replace

import astropy.units as u
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from ._files import naming, open_fits, warn_if_twice
from ._headers import exposure_time
from .cube import EventCube
from .cube.binning import is_several
from .cube.event_checks import describe_empty_bins
from .forward import ExpectedBackground
from .grid.nesting import difference
from .grid.sky import pointing
from .instrument import PHA, Instrument
from .missions import find
from .missions.approximate import APPROXIMATE
from .model import load_model
from .trust import SeparationWarning

__all__ = [
    "as_background",
    "as_cube",
    "as_observations",
    "as_solver",
    "blur_of",
    "on_common_bins",
    "read_background",
    "vignetting_of",
    "warn_of_empty_bins",
    "warn_of_exposure",
    "warn_of_mission",
]

_SIMULATED = "astro_lpalm"  # ORIGIN of lists that it simulated: of ACIS where the response does not tell
# Of EXPOSURE, that a map may go up to: dead time and mosaics of fields that do not overlap are no matter.
_LEAST_PART, _MOST_PART = 0.05, 1.5
_ANY_SCALE = 1 * u.arcsec  # of a PSF's image in pixels, so that it can be had for larger ones

# Warnings point at the line that calls ``separate``, which calls these functions: hence their stacklevel of 3.


def as_cube(cube_hdu):
    """Take for a cube whatever `~astro_lpalm.pipeline.separate` takes.

    Parameters
    ----------
    cube_hdu : `~astro_lpalm.cube.EventCube`, image HDU, `~astropy.io.fits.HDUList`, str or path

    Returns
    -------
    `~astro_lpalm.cube.EventCube`

    Raises
    ------
    OSError, TypeError, ValueError
        If it cannot be read or used, or its EXPOSURE is not a positive number of seconds.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.inputs import as_cube
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> cube = EventCube(np.ones((2, 4, 6)), energy_edges=[0.5, 2, 7] * u.keV, wcs=wcs)
    >>> as_cube(cube.to_hdulist()).data.shape
    (2, 4, 6)
    """
    if isinstance(cube_hdu, EventCube):
        cube = cube_hdu
    elif isinstance(cube_hdu, (str, os.PathLike)):
        cube = EventCube.read(cube_hdu)
    else:
        cube = EventCube.from_hdu(cube_hdu)
    with naming(cube_hdu):
        exposure_time(cube.meta, "the cube's header")  # an error now, not when all is computed
    return cube


def as_observations(cube_hdu, instrument=None, background=None):
    """Bring cubes, instruments and backgrounds of one observation or of several together.

    Parameters
    ----------
    cube_hdu, instrument, background
        As `~astro_lpalm.pipeline.separate` takes them.

    Returns
    -------
    list of (cube, instrument, background)
        Of each observation.

    Raises
    ------
    ValueError
        If there is no cube, or the lists are not equally long.

    Examples
    --------
    >>> from astro_lpalm.inputs import as_observations
    >>> as_observations(["first.fits", "second.fits"], background=[None, "blank.fits"])
    [('first.fits', None, None), ('second.fits', None, 'blank.fits')]
    """
    if not is_several(cube_hdu):
        return [(cube_hdu, instrument, background)]
    if not cube_hdu:
        msg = "there are no cubes to separate; give at least one."
        raise ValueError(msg)
    warn_if_twice(cube_hdu)
    columns = [list(cube_hdu)]
    for name, given in (("instrument", instrument), ("background", background)):
        if given is None:
            given = [None] * len(cube_hdu)
        if not is_several(given) or len(given) != len(cube_hdu):
            what = f"a list of {len(given)}" if is_several(given) else f"one {type(given).__name__}"
            msg = f"{name} is {what}, but of {len(cube_hdu)} cubes each has its own: give a list of as many, or None."
            raise ValueError(msg)
        columns.append(list(given))
    return list(zip(*columns))


def as_background(background, cube):
    """Take for a background whatever `~astro_lpalm.pipeline.separate` takes.

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
    OSError, TypeError, ValueError
        If it cannot be read or used.

    Examples
    --------
    >>> from astro_lpalm.inputs import as_background
    >>> as_background([8.0, 16.0, 4.0], cube=None)
    <ExpectedBackground: 28 counts in one bin for each of the cube; amplitude fixed>
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

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.inputs import read_background
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> blank = EventCube(np.ones((2, 4, 6)), energy_edges=[0.5, 2, 7] * u.keV, wcs=wcs)
    >>> with TemporaryDirectory() as folder:
    ...     blank.write(f"{folder}/blank-sky.fits")
    ...     background = read_background(f"{folder}/blank-sky.fits", cube=blank, scale=0.25, free=True)
    >>> background.scale, background.free
    (0.25, True)
    """
    with open_fits(path, headers_only=True) as hdulist:
        is_cube = any(hdu.is_image and hdu.header["NAXIS"] == 3 for hdu in hdulist)
    if is_cube:
        return ExpectedBackground(EventCube.read(path), scale=scale, free=free)
    return ExpectedBackground.from_pha(PHA.read(path), cube, scale=scale, free=free)


def as_solver(model, device=None):
    """Take for a solver whatever `~astro_lpalm.pipeline.separate` takes for a model.

    Parameters
    ----------
    model : `~astro_lpalm.model.Model`, str, path or solver
        A trained model, the name of a packaged one, a model file, or any object with ``separate(X)``.
    device : str or `torch.device`, optional
        Where its network is to run; by default where it is.

    Returns
    -------
    `~astro_lpalm.model.Model` or solver

    Raises
    ------
    TypeError
        If it is none of these, or has no network to run on a device.
    OSError, ValueError
        If the file cannot be read.

    Examples
    --------
    >>> from astro_lpalm.inputs import as_solver
    >>> as_solver("pwn-acis").component_names
    ('nonthermal', 'thermal')
    """
    solver = load_model(model) if isinstance(model, (str, os.PathLike)) else model
    if not callable(getattr(solver, "separate", None)):
        msg = (
            f"model is of type {type(model).__name__}, but must be a model, the name of a packaged one, a model file, "
            "or a solver with a method separate(X)."
        )
        raise TypeError(msg)
    if device is None:
        return solver
    if not hasattr(solver, "to"):
        msg = f"device is {device!r}, but a {type(solver).__name__} has no method to(device); leave device out."
        raise TypeError(msg)
    return solver.to(device)


def on_common_bins(cube, solver, instrument=None):
    """Bring cube and solver to the same energies, and what the instrument did to both.

    Parameters
    ----------
    cube : `~astro_lpalm.cube.EventCube`, shape (n_energy, ny, nx)
        The observation.
    solver : `~astro_lpalm.model.Model` or solver
        Its ``energy_edges``, where it has such, are those to come to. A model with a components file is made anew for
        the cube's instead, if these do not nest into them.
    instrument : `~astro_lpalm.instrument.Instrument`, optional
        Its exposure map goes to the cube, its response and the errors of it to the solver.

    Returns
    -------
    cube : `~astro_lpalm.cube.EventCube`
    solver : `~astro_lpalm.model.Model` or solver

    Raises
    ------
    ValueError
        If the energies do not fit together, or the exposure map lies elsewhere.
    TypeError
        If the instrument has a response, or errors of it, but the solver no method ``through``.

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        If the model was made anew for the cube's bins.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube, load_model
    >>> from astro_lpalm.inputs import on_common_bins
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> finer = EventCube(np.ones((130, 8, 8)), energy_edges=np.linspace(0.5, 7, 131) * u.keV, wcs=wcs)
    >>> cube, model = on_common_bins(finer, load_model("pwn-acis"))
    >>> cube.data.shape
    (65, 8, 8)
    """
    instrument, edges = instrument or Instrument(), getattr(solver, "energy_edges", None)
    if instrument.exposure is not None:
        cube = cube.with_exposure(instrument.exposure_on(cube.wcs, cube.shape[1:]))
    through = getattr(solver, "through", None)
    if edges is not None:
        differs = difference(edges.to_value(u.keV), cube.energy_edges.to_value(u.keV))
        if differs and getattr(solver, "components_file", ""):
            msg = (
                f"the model's bins are not the cube's ({differs}), so its components were made anew for these, without "
                "its network: the start is less sure, and it takes longer. Bin for the model, or train for the bins."
            )
            warnings.warn(msg, AstropyUserWarning, stacklevel=3)
            return cube, through(instrument, cube.energy_edges)
        cube = cube.rebin(edges)
    if instrument.response is not None or instrument.gain_error or instrument.area_error:
        if through is None:
            msg = (
                f"instrument has a response, or errors of it, but a {type(solver).__name__} has no method "
                "through(instrument) that would make its spectra for it; leave these out."
            )
            raise TypeError(msg)
        solver = through(instrument)
    return cube, solver


def warn_of_empty_bins(cube):
    """Warn of bins without counts at the ends of the spectrum, as those of a filtered list are.

    Parameters
    ----------
    cube : `~astro_lpalm.cube.EventCube`
        In the bins of the model.

    Warns
    -----
    `~astro_lpalm.trust.SeparationWarning`
        If there are so many of them that it is no matter of chance.

    Examples
    --------
    >>> import warnings
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.inputs import warn_of_empty_bins
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> counts = np.full((20, 8, 8), 5.0)
    >>> counts[:6] = 0
    >>> cube = EventCube(counts, energy_edges=np.linspace(0.5, 7, 21) * u.keV, wcs=wcs)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_of_empty_bins(cube)
    >>> print(str(caught[0].message).partition(":")[0])
    6 of 20 bins are empty
    """
    empty = describe_empty_bins(cube.counts.spectrum())
    if empty:
        msg = (
            f"{empty} The model expects counts there, so that residuals and distances from the library will be large; "
            "take the list before it was filtered, or a model of fewer energies."
        )
        warnings.warn(msg, SeparationWarning, stacklevel=3)


def warn_of_exposure(cube):
    """Warn of an exposure map in s that is not one of the time that the cube's header tells.

    Parameters
    ----------
    cube : `~astro_lpalm.cube.EventCube`

    Warns
    -----
    `~astro_lpalm.trust.SeparationWarning`
        If the map goes up to far more than EXPOSURE, or to next to nothing of it: amplitudes and fluxes are by the map.

    Examples
    --------
    A map of relative numbers that is said to be in s:

    >>> import warnings
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.inputs import warn_of_exposure
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> given = {"energy_edges": [1, 2, 3] * u.keV, "wcs": wcs, "exposure": np.ones((8, 8)) * u.s}
    >>> cube = EventCube(np.ones((2, 8, 8)), meta={"EXPOSURE": 20000.0}, **given)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_of_exposure(cube)
    >>> print(str(caught[0].message).partition(":")[0])
    the exposure map goes up to 1 s, but EXPOSURE of the cube's header is 20000 s
    """
    time = exposure_time(cube.meta or {}, "the cube's header")
    if time is None or cube.exposure is None or not cube.exposure.unit.is_equivalent(u.s):
        return
    largest = float(cube.exposure.to_value(u.s)[~cube.pixel_mask].max(initial=0.0))
    if not _LEAST_PART * time <= largest <= _MOST_PART * time:
        msg = (
            f"the exposure map goes up to {largest:g} s, but EXPOSURE of the cube's header is {time:g} s: amplitudes "
            "and fluxes are by the map. Is its unit right (BUNIT), and is it of this observation?"
        )
        warnings.warn(msg, SeparationWarning, stacklevel=3)


def warn_of_mission(cube, solver, instrument):
    """Warn of a cube that another telescope has seen than the one that the components of a model are seen by.

    Parameters
    ----------
    cube : `~astro_lpalm.cube.EventCube`
        TELESCOP and INSTRUME of its header tell; those of a simulated list (ORIGIN) do not.
    solver : `~astro_lpalm.model.Model` or object
    instrument : `~astro_lpalm.instrument.Instrument` or None
        With a response the components are seen by that.

    Warns
    -----
    `~astro_lpalm.trust.SeparationWarning`

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube, load_model
    >>> from astro_lpalm.inputs import warn_of_mission
    >>> model, wcs, counts = load_model("snr-acis"), WCS(naxis=2), np.ones((65, 2, 2))
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> header = {"TELESCOP": "XMM", "INSTRUME": "EPN"}
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_of_mission(EventCube(counts, energy_edges=model.energy_edges, wcs=wcs, meta=header), model, None)
    >>> print(str(caught[0].message).partition(":")[0])
    the cube is of XMM-Newton EPIC pn, the components of model 'snr-acis' are seen by Chandra ACIS
    """
    text = getattr(solver, "components_file", "")
    name = tomllib.loads(text)["response"].get("instrument") if text else None
    seen = None if str(cube.meta.get("ORIGIN", "")).strip() == _SIMULATED else find(cube.meta, "the cube's header")
    if name not in APPROXIMATE or seen is None or getattr(instrument, "response", None) is not None:
        return
    expected = APPROXIMATE[name].mission
    if seen.name != expected:
        msg = (
            f"the cube is of {seen.name}, the components of model '{solver.name}' are seen by {expected}: their "
            "spectra and fluxes are not those of this cube. Give its response (instrument=Instrument(response=...), "
            "--arf and --rmf), or take a model of its instrument."
        )
        warnings.warn(msg, SeparationWarning, stacklevel=3)


def vignetting_of(instrument, cube):
    """Give how the exposure of a cube differs with energy.

    Parameters
    ----------
    instrument : `~astro_lpalm.instrument.Instrument` or None
    cube : `~astro_lpalm.cube.EventCube`
        In the bins that are asked for.

    Returns
    -------
    `~astro_lpalm.instrument.Vignetting` or None
        None where it is the same at all energies.

    Examples
    --------
    >>> from astro_lpalm.inputs import vignetting_of
    >>> vignetting_of(None, cube=None)
    """
    return None if instrument is None else instrument.vignetting_on(cube.wcs, cube.shape[1:], cube.energy_edges)


def blur_of(instrument, cube):
    """Give what makes the point spread function's blurs of a cube's images, and of these with larger pixels.

    Parameters
    ----------
    instrument : `~astro_lpalm.instrument.Instrument` or None
    cube : `~astro_lpalm.cube.EventCube`
        The observation, whose header may have the optical axis.

    Returns
    -------
    callable or None
        ``blur(pitch, shape, margin=0)`` gives the `terms <astro_lpalm.instrument.PSF.terms>` on images of pixels that
        are so many times larger, and begin so many pixels before the cube's first; None without a PSF.

    Raises
    ------
    ValueError
        If the point spread function does not go with the cube's pixels.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube, Instrument
    >>> from astro_lpalm.inputs import blur_of
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1 / 3600, 1 / 3600]
    >>> cube = EventCube(np.ones((2, 8, 8)), energy_edges=[1, 2, 3] * u.keV, wcs=wcs)
    >>> blur = blur_of(Instrument(psf=2 * u.arcsec), cube)
    >>> [float(blur(pitch, (8 // pitch, 8 // pitch))[0].kernel.sigma.round(2)) for pitch in (1, 2)]
    [0.85, 0.42]
    """
    if instrument is None or instrument.psf is None:
        return None
    axis, psf = pointing(cube.meta), instrument.psf
    in_pixels = psf.is_image and psf.pixel_scale is None  # of the cube's
    if in_pixels:
        psf = replace(psf, pixel_scale=_ANY_SCALE)

    def blur(pitch, shape, margin=0):
        if in_pixels and psf.off_axis is None:
            pixels = pitch * _ANY_SCALE
        else:
            pixels = cube.wcs.deepcopy()
            pixels.wcs.crpix = pixels.wcs.crpix + margin
            pixels = pixels[::pitch, ::pitch]
        return psf.terms(pixels, shape, cube.energy_edges, axis=axis)

    blur(1, cube.shape[1:])  # an error now, not when all is computed
    return blur
