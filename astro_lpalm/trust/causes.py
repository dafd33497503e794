"""Why data and model disagree: each known cause is asked how much of the misfit it alone would explain."""

from dataclasses import dataclass, field, replace

import numpy as np

from .nuisances import KnownSpectra
from .remedies import describe
from .shapes import Shapes

__all__ = ["Cause", "CauseSettings", "find_causes"]

_EVERYWHERE = "gain", "area", "object", "ages", "free"  # misfits that the whole field has alike
_LOOSE = "missing", "varying", "area", "object"  # which explain much of whatever it is
_FEWEST_FREE = 4  # energies more than components
_BULK = 0.05  # of the largest counts of an energy: where less is seen, the area hardly matters


@dataclass(frozen=True)
class CauseSettings:
    """When a cause is looked for, and when it is named. All are set by ``benchmarks/diagnostics.py``.

    Attributes
    ----------
    least : dict of str to float
        By how much chi square has to drop, beyond what noise makes of as many directions. Of 200 good observations the
        largest drops are 11 (gain), 13 (area, background), 10 (object: parameters at a limit freed), below 35 (ages:
        plasma out of equilibrium), 74 (free: spectra that may be any), 10 (missing), 23 (varying), 34, once 78 (point,
        the best of all pixels), and 39 (psf).
    least_gain, least_area, least_background, least_missing : float
        Smallest changes that are spoken of: of energies, rms, and area, at most, relative, where Chandra's calibration
        is taken to be good to 0.3 % and 3 %; of a background or another component, part of the counts.
    gain_part, gain_above : float
        A shift of energies is named first where it gains this part of what the best cause gains, and this many times
        what an area or a background gains: spectra in bins are moved by interpolation, which leaves a part unexplained.
        It explains 38 to 100 % of what faulty gains leave, and of missing components not more than 8 %.
    both_part : float
        Where a shift and an area both gain this part of what the better one does, it is neither, but another object:
        they do 40 % or more for clusters and nebulae, and 8 % for areas.
    varying_part : float
        A spectrum that varies is named before a missing component where it gains this part of what that does.
    psf_part : float
        A blur is named before a component that varies or is missing where it gains this part of what that does: 60 %
        and more for faulty ones, and less than 5 % for others.
    point_part : float
        A point source is named before a missing component where it gains this part of what that does: 90 % where one
        is so bright that it has blocks of its own, and less than 40 % for missing components.
    ages_part, least_ages : float
        A plasma out of equilibrium is named first where it gains more than anything but a missing component, and this
        part of what that does: 0.6 and more, if nothing else is wrong, while of missing components an area gains more
        than ages. And it is named before a missing component, another object or an area where, with any other spectrum
        added, it still explains this much of chi square: 131 to 1910 in remnants of several plasmas that are not in
        equilibrium, up to 97 where a component is missing or the area is wrong.
    object_part : float
        The same of another object, where more than half of the parameters are at a limit, over areas, too.
    noise_left : float
        A background, of few directions, is named first where it leaves no more than this, over what noise leaves, and
        gains half of what the best cause does.
    nearly : float
        A second cause is named where it gains this part of what the first one does.
    many_limits, least_beyond : float
        Where more than this part of the parameters are at a limit, they are let go beyond it, and this is what the
        likelihood must gain: fits of good data that end beside the best one gain up to 80.
    open_split, open_error, open_undecided, open_part : float
        A split is open where a component of ``open_part`` of the counts is known to ``open_split``, relative; or to
        ``open_error``, where the data leave ``open_undecided`` of the parameters to their ranges. These are at most
        0.62 of them for good data, from 12,000 photons on.

    Examples
    --------
    >>> from astro_lpalm.trust import CauseSettings
    >>> CauseSettings(least_area=0.1).least["area"]
    35.0
    """

    least: dict = field(
        default_factory=lambda: {
            "gain": 25.0,
            "area": 35.0,
            "background": 30.0,
            "object": 30.0,
            "ages": 35.0,
            "free": 100.0,
            "missing": 80.0,
            "varying": 45.0,
            "point": 60.0,
            "psf": 50.0,
        }
    )
    least_gain: float = 0.003
    least_area: float = 0.06
    least_background: float = 0.01
    least_missing: float = 0.01
    gain_part: float = 0.33
    gain_above: float = 2.0
    both_part: float = 0.3
    varying_part: float = 0.97
    psf_part: float = 0.4
    point_part: float = 0.6
    ages_part: float = 0.5
    least_ages: float = 110.0
    object_part: float = 0.5
    noise_left: float = 1.03
    nearly: float = 0.98
    many_limits: float = 0.33
    least_beyond: float = 100.0
    open_split: float = 0.5
    open_error: float = 0.2
    open_undecided: float = 0.65
    open_part: float = 0.1


@dataclass(frozen=True)
class Cause:
    """A reason why data and model disagree.

    Attributes
    ----------
    name : str
        "missing" (component), "object" (another one), "ages" (plasma out of equilibrium), "varying" (spectrum), "gain",
        "area", "background", "point" (source) or "psf".
    drop : float
        Of twice the negative logarithm of the likelihood, beyond what noise makes of as many directions.
    detail : dict
        What was found, as the message says it.
    message : str
        The same in words, with what to do.
    figures : dict of str to float
        Values of what was fitted beside the spectra.

    Examples
    --------
    >>> from astro_lpalm.trust import Cause
    >>> cause = Cause("gain", 120.0, {"gain": 0.02}, "all energies are 2 % too high", {"gain": 0.02})
    >>> cause.name, cause.figures
    ('gain', {'gain': 0.02})
    """

    name: str
    drop: float
    detail: dict
    message: str = ""
    figures: dict = field(default_factory=dict)


def find_causes(fit, names, *, physical=None, physics=None, prior=None, settings=None):
    """Ask each known cause how much of a separation's misfit it would explain.

    The counts of some hundred blocks are compared with what the spectra expect of them, with sources that are free in
    each block. A cause adds a few directions: an energy scale that is shifted and stretched, a smooth error of the
    area, a background that follows the exposure, parameters beyond their ranges, a parameter of one component that
    differs smoothly from block to block, another spectrum with an image of its own. A point source and a blur that
    changes with energy are looked for pixel by pixel. Linear tests (Rao's score test) say whether there is anything;
    only then causes are fitted, with all parameters of the spectra free, and compared by how much they raise the
    likelihood.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`
        Of counts.
    names : sequence of str
        Of the components.
    physical : `~astro_lpalm.separation.PhysicalFit`, optional
    physics : object, optional
        Its model, such as `~astro_lpalm.spectra.ParametricSpectra`.
    prior : `~astro_lpalm.spectra.SpectralPrior`, optional
        What was known of the spectra, where there is no physics.
    settings : CauseSettings, optional

    Returns
    -------
    causes : list of Cause
        The likeliest first; empty where noise explains all.

    Examples
    --------
    A line that no component has, in one corner of the field:

    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.forward import Fit, ForwardModel
    >>> from astro_lpalm.trust import find_causes
    >>> A = np.stack([np.linspace(2, 1, 20), np.linspace(1, 2, 20)], axis=1) / 30
    >>> expected = np.tensordot(A, 50 + np.indices((32, 32)), 1)
    >>> expected[12, :12, :12] += 20
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1e-3, 1e-3]
    >>> counts = np.random.default_rng(0).poisson(expected)
    >>> cube = EventCube(counts, energy_edges=np.linspace(1, 5, 21) * u.keV, wcs=wcs)
    >>> fit = Fit(cube, ForwardModel(~cube.pixel_mask), A, np.zeros((2, 1024)))
    >>> fit = Fit(cube, fit.forward, A, fit.demixing @ cube.matrix())
    >>> find_causes(fit, ["soft", "hard"])[0].name
    'missing'
    """
    settings = settings or CauseSettings()
    m, n = fit.mixing.shape
    if m < n + _FEWEST_FREE:  # hardly anything is left to judge by
        return []
    shapes = Shapes(fit, names, KnownSpectra.of(fit, names, physical, physics, prior))
    seen = shapes.linear(settings)
    excess = {name: drop - settings.least[name.partition(":")[0]] for name, (drop, _) in seen.items()}
    if max(excess.values()) <= 0:
        return []
    found = [Cause(*each) for each in _fitted(shapes, seen, excess, settings)]
    found = _ordered([each for each in found if each.drop > settings.least[each.name]], settings)
    if found and not _is_large(found[0], shapes, settings):
        return []  # whatever else is like it would be no better explanation
    described = []
    for each in found:
        message, figures = describe(each, shapes)
        described.append(replace(each, message=message, figures=figures))
    return described


def _fitted(shapes, seen, excess, settings):
    """Give name, gain in the likelihood and detail of each cause that may be."""
    if excess["point"] > 0:
        yield "point", shapes.scale * seen["point"][1]["spot"].gain, seen["point"][1]
    yield "psf", shapes.scale * seen["psf"][0], seen["psf"][1]
    everywhere = [key for key in excess if key.startswith(_EVERYWHERE)]
    if any(excess[key] > -0.5 * settings.least[key.partition(":")[0]] for key in everywhere):
        yield "gain", *shapes.beside(shapes.gain)
        yield "area", *shapes.beside(shapes.area)
        yield "object", *shapes.beyond()
        if shapes.ages:
            ends = [(*shapes.beside(ages), number) for number, ages in enumerate(shapes.ages)]
            drop, detail, number = max(ends, key=lambda end: end[0])
            yield "ages", drop, detail | {"number": number}
    if excess["background"] > 0:
        yield "background", *shapes.beside(shapes.background)
    yield "missing", *shapes.with_another()
    yield "varying", *shapes.varying(seen)


def _is_large(cause, shapes, settings):
    """Whether a change is beyond what is to be expected of any calibration and library."""
    counts = shapes.fit.counts
    if cause.name == "gain":
        shift, stretch = cause.detail["values"]
        relative = shift / shapes.energies + stretch
        return np.sqrt(np.average(relative**2, weights=counts)) > settings.least_gain
    if cause.name == "area":
        change = shapes.area_change(cause.detail["values"])
        return np.abs(change[counts > _BULK * counts.max()]).max() > settings.least_area
    if cause.name == "background":
        return shapes.background_share(cause.detail["values"]) > settings.least_background
    if cause.name == "missing":
        return cause.detail["image"].sum() > settings.least_missing * counts.sum()
    return True


def _ordered(causes, settings):
    """Put the likeliest first."""
    if not causes:
        return []
    causes = sorted(causes, key=lambda each: -each.drop)
    drop = dict.fromkeys(settings.least, 0.0) | {each.name: each.drop for each in causes}
    by_name = {each.name: each for each in causes}
    first, best = causes[0].name, causes[0].drop
    if drop["gain"] > max(settings.gain_part * best, settings.gain_above * max(drop["area"], drop["background"])):
        first = "gain"
    elif drop["ages"] and _is_young(first, drop, by_name.get("missing"), settings):
        first = "ages"
    elif drop["background"] > 0.5 * best and by_name["background"].detail["left"] < settings.noise_left:
        first = "background"
    elif drop["object"] and _is_object(by_name["object"], first, best, drop, settings):
        first = "object"
    elif first in ("missing", "varying") and drop["psf"] > settings.psf_part * best:
        first = "psf"
    elif first == "missing" and drop["point"] > settings.point_part * best:
        first = "point"
    elif first == "missing" and drop["varying"] > settings.varying_part * best:
        first = "varying"
    return sorted(causes, key=lambda each: each.name != first)


def _is_young(first, drop, missing, settings):
    """Whether another age explains most, but for a spectrum that may be any, or what such a spectrum does not."""
    others = max(value for name, value in drop.items() if name not in ("ages", "missing"))
    most = drop["ages"] > max(others, settings.ages_part * drop["missing"])
    return most or (first in _LOOSE and missing is not None and max(missing.detail["ages"]) > settings.least_ages)


def _is_object(cause, first, best, drop, settings):
    """Whether what explains most does so for another object."""
    both = first in ("area", "gain") and min(drop["gain"], drop["area"]) > settings.both_part * best
    return both or (first in _LOOSE and cause.detail["many"] and cause.drop > settings.object_part * best)
