"""Maps of a component's parameters, and images on the sky."""

import re
from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType

import astropy.units as u
import numpy as np
from astropy.nddata import NDData, StdDevUncertainty

from .._names import RESERVED_NAMES
from ._checks import valid_deviations, valid_matrix

__all__ = ["Named", "ParameterMap", "by_component", "sky_image", "valid_maps", "valid_smooth"]

_NO_MAPS = "there are none, as none were asked for or nothing varies; separate(..., maps=['thermal.kT']) asks for one."
_IMAGES = "", "_ERR", "_FLUX", "_SMOOTH", "_SMOOTH_ERR", "_SAMPLES"  # of a component in a file
_MAPS = "", "_ERR", "_PRIOR", "_SAMPLES"  # of a parameter


@dataclass(frozen=True)
class ParameterMap:
    """A parameter of a component in each pixel.

    Parameters
    ----------
    component, parameter : str
        What it is of, such as "thermal" and "kT". The parameter's name has up to 20 letters, digits and underscores, a
        letter first.
    unit : str
        Of the values and errors; "" for plain numbers.
    values, errors : array_like, shape (t,)
        Of the t unmasked pixels, in C order; errors are standard deviations.
    undecided : array_like of bool, shape (t,)
        Where the data say nothing of it, so that the value is that of what was assumed.

    Raises
    ------
    ValueError
        If a name cannot be used, the unit is none or cannot be written to FITS files, shapes differ, a value is not
        finite, or an error is negative.

    Examples
    --------
    >>> from astro_lpalm.results import ParameterMap
    >>> ParameterMap("thermal", "kT", "keV", [0.6, 0.7], [0.1, 0.2], [False, True]).errors
    array([0.1, 0.2])
    """

    component: str
    parameter: str
    unit: str
    values: np.ndarray
    errors: np.ndarray
    undecided: np.ndarray

    def __post_init__(self):
        what = f"the map of {self.parameter!r} of component {self.component!r}"
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,19}", str(self.parameter)):
            msg = (
                f"{what} cannot name a FITS extension; call the parameter by up to 20 letters, digits and "
                "underscores, a letter first."
            )
            raise ValueError(msg)
        try:
            u.Unit(self.unit).to_string("fits")
        except (TypeError, ValueError) as error:
            msg = f"{what} has the unit {self.unit!r}, which FITS files cannot have ({error}); give one such as 'keV'."
            raise ValueError(msg) from error
        shape = np.shape(self.values) if np.ndim(self.values) == 1 else (np.size(self.values),)
        values = valid_matrix(f"{what}: values", self.values, shape, "(unmasked pixels,)")
        errors = valid_deviations(f"{what}: errors", self.errors, shape)
        undecided = np.array(self.undecided)
        if undecided.shape != shape or undecided.dtype != bool:
            msg = (
                f"{what}: undecided is of type {undecided.dtype} and shape {undecided.shape}; expected bool and "
                f"{shape}, one for each value."
            )
            raise ValueError(msg)
        undecided.flags.writeable = False
        for name, array in (("values", values), ("errors", errors), ("undecided", undecided)):
            object.__setattr__(self, name, array)


def valid_maps(maps, names, n_pixels):
    """Check maps of parameters, which may be any objects with the attributes of a `ParameterMap`; a tuple of these."""
    found = []
    for each in maps or ():
        each = ParameterMap(each.component, each.parameter, each.unit, each.values, each.errors, each.undecided)
        if each.component not in names:
            msg = f"there is a map of {each.parameter!r} of component {each.component!r}; the components are {names}."
            raise ValueError(msg)
        if each.values.shape != (n_pixels,):
            msg = (
                f"the map of {each.parameter!r} of component {each.component!r} has {each.values.size} values; "
                f"expected {n_pixels}, one for each unmasked pixel of the cube."
            )
            raise ValueError(msg)
        found.append(each)
    # All the names that a file may have.
    taken = Counter([*RESERVED_NAMES, *(f"{name}{kind}".upper() for name in names for kind in _IMAGES)])
    for each in found:
        taken.update(f"{each.component}_{each.parameter}{kind}".upper() for kind in _MAPS)
    twice = [name for name, times in taken.items() if times > 1]
    if twice:
        msg = (
            f"two parts of the file would be called {twice[0]}: maps are named <component>_<parameter>, and in the "
            f"file are components {names} and their _ERR, _FLUX and _SMOOTH; give each parameter of a component one "
            "map, or rename a component."
        )
        raise ValueError(msg)
    return tuple(found)


def valid_smooth(smooth, shape):
    """Check smooth images and their errors; a pair of read-only arrays."""
    try:
        images, errors = smooth
    except (TypeError, ValueError) as error:
        msg = "smooth must be a pair, (images, errors), each of shape (names, unmasked pixels of the cube)."
        raise ValueError(msg) from error
    images = valid_matrix("smooth images", images, shape, "(names, unmasked pixels of the cube)")
    return images, valid_deviations("errors of the smooth images", errors, shape)


class Named(dict):
    """A dictionary that says what there is, where something else is asked for.

    Parameters
    ----------
    found : dict
    what : str
        What each value is: the image "of" a name.
    otherwise : str
        To say where there are none.
    """

    def __init__(self, found, what, otherwise=""):
        super().__init__(found)
        self._what, self._otherwise = what, otherwise

    def __missing__(self, key):
        there = f"there are {', '.join(map(str, self))}." if self else self._otherwise
        msg = f"no {self._what} of {key}: {there}"
        raise KeyError(msg)


def sky_image(cube, plane, errors=None, unit=u.count, undecided=None):
    """Put a plane, (ny, nx), on the sky: masked in excluded pixels, and in those, (t,), that are undecided."""
    mask = cube.pixel_mask.copy()
    if undecided is not None:
        mask[~mask] = undecided
    uncertainty = None if errors is None else StdDevUncertainty(errors)
    return NDData(plane, unit=unit, wcs=cube.wcs, mask=mask, uncertainty=uncertainty)


def by_component(cube, names, maps):
    """Put maps on the sky, by component and parameter."""
    found = {name: {} for name in names if any(each.component == name for each in maps)}
    for each in maps:
        planes = cube.image_of(np.stack([each.values, each.errors]))
        found[each.component][each.parameter] = sky_image(cube, *planes, u.Unit(each.unit), each.undecided)
    found = {name: MappingProxyType(Named(each, "map")) for name, each in found.items()}
    return MappingProxyType(Named(found, "maps", _NO_MAPS))
