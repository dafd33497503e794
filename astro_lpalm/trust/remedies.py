"""Causes of a misfit in words: what was seen, what it means, and what to do about it."""

import numpy as np

__all__ = ["describe"]

_SHOWN = 0.1, 0.9  # of the counts have energies below those at which an energy shift is said
_SHARE = 0.05  # of the counts, of a component whose change is said
_N_SHOWN = 3
_BULK = 0.05  # of the largest counts of an energy: where less is seen, the area hardly matters
_NEAR = 0.97  # parameters that explain this part of the best are named with it


def describe(cause, shapes):
    """Say what was seen of a cause, what it means, and what to do.

    Parameters
    ----------
    cause : `~astro_lpalm.trust.causes.Cause`
    shapes : `~astro_lpalm.trust.shapes.Shapes`
        What found it.

    Returns
    -------
    message : str
    figures : dict of str to float
        The nuisance's values, for the diagnostics.
    """
    text, figures = _DESCRIBE[cause.name](cause, shapes)
    return f"{np.sqrt(cause.drop):.0f} sigma of misfit: {text}", figures


def _gain(cause, shapes):
    (shift, stretch), covariance = cause.detail["values"], cause.detail["covariance"]
    below = np.cumsum(shapes.fit.counts) / shapes.fit.counts.sum()
    said = []
    for energy in (shapes.energies[np.searchsorted(below, part)] for part in _SHOWN):
        error = np.sqrt(np.array([1, energy]) @ covariance @ np.array([1, energy]))
        said.append(f"{1e3 * (shift + stretch * energy):+.0f} +- {1e3 * error:.0f} eV at {energy:.1f} keV")
    text = (
        f"energies are off by {' and '.join(said)}: the gain.{_along(cause, shapes)} Calibrate the list anew "
        "(chandra_repro, or its mission's tool), or train with the observation's own RMF."
    )
    return text, {"gain_shift": float(1e3 * shift), "gain_stretch": float(stretch)}


def _area(cause, shapes):
    change, energy = shapes.area_change(cause.detail["values"]), shapes.energies
    used = shapes.fit.counts > _BULK * shapes.fit.counts.max()
    at = np.flatnonzero(used)[np.argmax(np.abs(change[used]))]
    text = (
        f"all spectra want a smooth factor, of {1 + change[at]:.2f} at {energy[at]:.1f} keV: the effective area."
        f"{_along(cause, shapes)} Train with the observation's own ARF, of its epoch and place on the detector."
    )
    return text, {"area_change": float(change[at])}


def _background(cause, shapes):
    share = shapes.background_share(cause.detail["values"])
    counts = share * shapes.fit.counts.sum()
    text = (
        f"{counts:.0f} counts ({share:.0%}) lie evenly over the exposed field: a background that was not declared."
        f"{_along(cause, shapes)} Give it as background=, such as a blank-sky list, or a spectrum from a place without "
        "a source."
    )
    return text, {"background_counts": float(counts)}


def _point(cause, shapes):
    spot = cause.detail["spot"]
    text = (
        f"a spot at {_position(shapes, spot.y, spot.x)}, not wider than a point source, has a spectrum of its own. "
        "Mask it (cube.with_mask, or an exclusion in the region file), and separate again."
    )
    return text, {"spot_y": float(spot.y), "spot_x": float(spot.x)}


def _psf(cause, shapes):
    what = "sharper" if cause.detail["sharper"] else "more blurred"
    text = (
        f"bright places are {what} at high energies than at low ones: the point spread function. Bin the events to "
        "larger pixels, or take a narrower range of energies."
    )
    return text, {}


def _missing(cause, shapes):
    spectrum, image = cause.detail["spectrum"], np.maximum(cause.detail["image"], 0.0)
    unlike = (
        spectrum / np.maximum(shapes.fit.counts / shapes.fit.counts.sum(), 1e-6) * (spectrum > 0.2 * spectrum.max())
    )
    energy = shapes.energies[np.argmax(unlike)]
    y, x = _middle(shapes, image)
    young = (
        " It is the spectrum of a plasma that is not in equilibrium (NEI)."
        if shapes.is_young(spectrum, image.sum())
        else ""
    )
    text = (
        f"{image.sum():.0f} counts have a spectrum that no component can have, most unlike them at {energy:.1f} keV, "
        f"around {_position(shapes, y, x)}: a component is missing, or the object is another one.{young} Train a model "
        "that has it; mask that part, if it is small."
    )
    return text, {}


def _object(cause, shapes):
    n_limits = np.count_nonzero(shapes.at_limit)
    found = [_parameter(shapes, q) for q in cause.detail["parameters"]]
    text = (
        f"{n_limits} of {len(shapes.known.names)} parameters are at an end of their ranges, and want to go beyond ("
        f"{', '.join(found[:_N_SHOWN])}{', ...' if len(found) > _N_SHOWN else ''}): another object than the model is "
        "for. Try another model, or train one with wider ranges."
    )
    return text, {}


def _ages(cause, shapes):
    name = shapes.names[shapes.ages[cause.detail["number"]].component]
    text = (
        f"the plasma of {name} is not in equilibrium: it has other ions than collisions at one temperature would leave."
        f"{_along(cause, shapes)} "
        'Separate with a model whose component is "NEI" or "PlaneShock", such as snr-nei-acis.'
    )
    return text, {}


def _varying(cause, shapes):
    best = cause.detail["drops"][0][0]
    near = [q for drop, q in cause.detail["drops"] if drop > _NEAR * best]
    what = " or ".join(_parameter(shapes, q) for q in near)
    # Maps are of components' own parameters. Where there are some already, they did not do.
    can_be_mapped = not shapes.has_maps and any(all(shapes.known.names[q]) for q in near)
    advice = "Make maps of what varies (maps=True), or separate" if can_be_mapped else "Separate"
    text = (
        f"the spectrum differs from place to place in {what}: one spectrum does not do for the field. {advice} its "
        "parts on their own (region=), and compare their parameters."
    )
    return text, {}


def _along(cause, shapes):
    """Say what fitting it along does to the component that it moves most."""
    before, after = shapes.base.counts(), cause.detail["counts"]
    large = before > _SHARE * before.sum()
    change = np.where(large, after / np.where(large, before, 1.0) - 1, 0.0)
    k = np.argmax(np.abs(change))
    return f" Fitted along, it changes the counts of {shapes.names[k]} by {change[k]:+.0%}."


def _parameter(shapes, q):
    component, name = shapes.known.names[q]
    if not name:
        return f"the spectrum of {component}"
    return f"{name} of {component}" if component else f"{name} of all components"


def _middle(shapes, image):
    labels = shapes.blocks.labels
    at = np.argmax(image / np.bincount(labels))
    y, x = np.nonzero(shapes.fit.forward.kept)
    inside = labels == at
    return y[inside].mean(), x[inside].mean()


def _position(shapes, y, x):
    return f"{shapes.fit.cube.wcs.pixel_to_world(x, y).to_string(precision=4)} deg"


_DESCRIBE = {
    "gain": _gain,
    "area": _area,
    "background": _background,
    "point": _point,
    "psf": _psf,
    "missing": _missing,
    "object": _object,
    "ages": _ages,
    "varying": _varying,
}
