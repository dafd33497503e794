"""Causes of a misfit in words: what was seen, what it means, and what to do about it."""

import numpy as np

__all__ = ["describe"]

_SHOWN = 1.0, 6.0  # keV, at which an energy shift is said
_N_SHOWN = 3
_BULK = 0.05  # of the largest counts of an energy: where less is seen, the area hardly matters
_PART = 0.9  # of a missing component's counts
_NEAR = 0.97  # parameters that explain this part of the best are named with it


def describe(cause, search):
    """Say what was seen of a cause, what it means, and what to do.

    Parameters
    ----------
    cause : `~astro_lpalm.trust.causes.Cause`
    search : object
        What found it: with ``fit``, ``known``, ``blocks``, ``area`` and ``names``.

    Returns
    -------
    message : str
    figures : dict of str to float
        The nuisance's values, for the diagnostics.
    """
    text, figures = _DESCRIBE[cause.name](cause, search)
    return f"{np.sqrt(cause.drop):.0f} sigma of misfit: {text}", figures


def _gain(cause, search):
    shift, stretch = cause.detail["values"]
    errors = [1e3 * np.sqrt(np.array([1, at]) @ cause.detail["covariance"] @ np.array([1, at])) for at in _SHOWN]
    first, second = (1e3 * (shift + stretch * at) for at in _SHOWN)
    text = (
        f"energies are off by {first:+.0f} +- {errors[0]:.0f} eV at {_SHOWN[0]:g} keV and {second:+.0f} +- "
        f"{errors[1]:.0f} eV at {_SHOWN[1]:g} keV: the gain. Calibrate the list anew (chandra_repro, or its mission's "
        "tool), or train with the observation's own RMF."
    )
    return text, {"gain_shift": float(1e3 * shift), "gain_stretch": float(stretch)}


def _area(cause, search):
    change = search.area_change(cause)
    energy = 0.5 * (search.area.edges[1:] + search.area.edges[:-1])
    used = search.fit.counts > _BULK * search.fit.counts.max()
    at = np.flatnonzero(used)[np.argmax(np.abs(change[used]))]
    text = (
        f"all spectra want a smooth factor, of {1 + change[at]:.2f} at {energy[at]:.1f} keV: the effective area. Train "
        "with the observation's own ARF, of its epoch and place on the detector."
    )
    return text, {"area_change": float(change[at])}


def _background(cause, search):
    share = search.background_share(cause)
    counts = share * search.fit.counts.sum()
    text = (
        f"{counts:.0f} counts ({share:.0%}) lie evenly over the exposed field: a background that was not declared. "
        "Give it as background=, such as a blank-sky list or a spectrum from a place without a source."
    )
    return text, {"background_counts": float(counts)}


def _point(cause, search):
    spot = cause.detail["spot"]
    text = (
        f"a spot at {_position(search, spot.y, spot.x)}, not wider than a point source, has a spectrum of its own. Mask "
        "it (cube.with_mask, or an exclusion in the region file), and separate again."
    )
    return text, {"spot_y": float(spot.y), "spot_x": float(spot.x)}


def _psf(cause, search):
    what = "sharper" if cause.detail["sharper"] else "more blurred"
    text = (
        f"bright places are {what} at high energies than at low ones: the point spread function. Bin the events to "
        "larger pixels, or take a narrower range of energies."
    )
    return text, {}


def _missing(cause, search):
    spectrum, image = cause.detail["spectrum"], np.maximum(cause.detail["image"], 0.0)
    unlike = (
        spectrum / np.maximum(search.fit.counts / search.fit.counts.sum(), 1e-6) * (spectrum > 0.2 * spectrum.max())
    )
    energy = 0.5 * (search.area.edges[1:] + search.area.edges[:-1])[np.argmax(unlike)]
    y, x = _middle(search, image)
    text = (
        f"{image.sum():.0f} counts have a spectrum that no component can have, most unlike them at {energy:.1f} keV, about "
        f"{_position(search, y, x)}: a component is missing, or the object is another one. Train a model that has it; mask "
        "that part, if it is small."
    )
    return text, {}


def _object(cause, search):
    at = search.known.at_limit(search.x)
    found = [_parameter(search, q) for q in cause.detail["parameters"]]
    text = (
        f"{np.count_nonzero(at)} of {len(at)} parameters are at an end of their ranges, and want to go beyond ("
        f"{', '.join(found[:_N_SHOWN])}{', ...' if len(found) > _N_SHOWN else ''}): another object than the model is "
        "for. Try another model, or train one with wider ranges."
    )
    return text, {}


def _varying(cause, search):
    best = cause.detail["drops"][0][0]
    near = [q for drop, q in cause.detail["drops"] if drop > _NEAR * best]
    what = " or ".join(_parameter(search, q) for q in near)
    text = (
        f"the spectrum differs from place to place in {what}: one spectrum does not do for the field. Separate its parts "
        "on their own (region=), and compare their parameters."
    )
    return text, {}


def _parameter(search, q):
    component, name = search.known.names[q]
    if not name:
        return f"the spectrum of {component}"
    return f"{name} of {component}" if component else f"{name} of all components"


def _middle(search, image):
    labels = search.blocks.labels
    at = np.argmax(image / np.bincount(labels))
    y, x = np.nonzero(search.fit.forward.kept)
    inside = labels == at
    return y[inside].mean(), x[inside].mean()


def _position(search, y, x):
    return f"{search.fit.cube.wcs.pixel_to_world(x, y).to_string(precision=4)} deg"


_DESCRIBE = {
    "gain": _gain,
    "area": _area,
    "background": _background,
    "point": _point,
    "psf": _psf,
    "missing": _missing,
    "object": _object,
    "varying": _varying,
}
