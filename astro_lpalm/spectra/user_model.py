"""Models made of a function of energy edges, so that any code that predicts a spectrum can stand in a library."""

import copyreg
import inspect
import keyword
import math

import astropy.units as u
import numpy as np
from astropy.modeling import Parameter

from .base import SpectralModel

__all__ = ["ExternalModel", "UserModel", "user_model"]

_FLUX = u.photon / (u.cm**2 * u.s)
_ROUNDING = 1e-6  # relative: files keep the ends of ranges as float32
_HALF_WIDTH = 1e-4  # relative: half the bin that stands for a density at one energy
_ARGUMENTS = {"name", "meta", "n_models", "model_set_axis", "fixed", "tied", "bounds", "eqcons", "ineqcons"}
_RESERVED = _ARGUMENTS | {"self", "args", "kwargs", "params"}  # the constructors that astropy makes use these names


class _MadeAtRunTime(type(SpectralModel)):
    """Kind of the models that are made at run time: pickled as how to make them, for no module has them by name."""


def _how_it_was_made(model):
    return model.__dict__.get("_made_by") or model.__qualname__


copyreg.pickle(_MadeAtRunTime, _how_it_was_made)


class ExternalModel(SpectralModel, metaclass=_MadeAtRunTime):
    """Base of the models whose class is made while the program runs, of a file or a function of the user's.

    Their parameters must lie within the bounds that they were made with.

    Attributes
    ----------
    origin : str
        The file or function, for messages.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.spectra import ExternalModel, user_model
    >>> def falling(energy_edges, scale):
    ...     return -np.diff(np.exp(-energy_edges / scale))
    >>> Falling = user_model(falling, {"scale": (1.0, 0.1, 10.0)})
    >>> issubclass(Falling, ExternalModel), Falling.origin
    (True, 'falling')
    >>> Falling(slope=2.0)
    Traceback (most recent call last):
        ...
    ValueError: falling has no parameter 'slope'; its parameters are: scale.
    """

    origin = ""

    def __init__(self, *args, **kwargs):
        unknown = [name for name in kwargs if name not in self.param_names and name not in _ARGUMENTS]
        if unknown:
            known = ", ".join(self.param_names) or "none"
            msg = f"{self.origin} has no parameter {unknown[0]!r}; its parameters are: {known}."
            raise ValueError(msg)
        super().__init__(*args, **kwargs)

    def __repr__(self):
        return f"{super().__repr__()[:-1]} of {self.origin}>"

    @classmethod
    def _draws(cls, parameters):
        """Values of each parameter by name, one for each draw, and the shape that the parameters have together."""
        arrays = np.broadcast_arrays(*(np.asarray(values, dtype=float) for values in parameters))
        shape = arrays[0].shape if arrays else ()
        draws = {name: array.ravel() for name, array in zip(cls.param_names, arrays)}
        for name, values in draws.items():
            ends = zip(getattr(cls, name).bounds, (-math.inf, math.inf))
            low, high = (end if limit is None else limit for limit, end in ends)
            outside = ~((values >= low - _ROUNDING * abs(low)) & (values <= high + _ROUNDING * abs(high)))
            if outside.any():
                msg = f"{cls.origin}: parameter {name!r} is {values[outside][0]:g}; it must lie in {low:g} to {high:g}."
                raise ValueError(msg)
        return draws, shape

    @staticmethod
    def _pick(spectra, index, shape):
        """Take, of one row of spectra for each draw, the columns ``index``, which broadcasts against ``shape``."""
        draw, index = np.broadcast_arrays(np.arange(len(spectra)).reshape(shape), index)
        return spectra[draw, index]


def allowed_name(name):
    """Whether a model may have a parameter of this name: not if Python or astropy's models use it otherwise."""
    usable = name.isidentifier() and not keyword.iskeyword(name)
    return usable and name not in _RESERVED and not hasattr(ExternalModel, name)


class UserModel(ExternalModel):
    """Base of the models that `user_model` makes: photons in each bin by calling a function, draw by draw.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.spectra import UserModel, user_model
    >>> def falling(energy_edges, scale):
    ...     return -np.diff(np.exp(-energy_edges / scale))
    >>> Falling = user_model(falling, {"scale": (1.0, 0.1, 10.0)})
    >>> issubclass(Falling, UserModel), Falling.integral(np.array([1.0, 2.0, 4.0]), 2.0).round(4)
    (True, array([0.2387, 0.2325]))
    """

    function = None

    @classmethod
    def density(cls, energy, *parameters):
        """Photon flux density of plain arrays, from narrow bins around the energies (keV)."""
        energies, index = np.unique(energy, return_inverse=True)
        half = _HALF_WIDTH * energies
        gap = np.diff(energies) / 4
        half[:-1] = np.minimum(half[:-1], gap)
        half[1:] = np.minimum(half[1:], gap)
        edges = np.stack([energies - half, energies + half], axis=1).ravel()
        flux, shape = cls._flux(edges, parameters)
        return cls._pick((flux / np.diff(edges))[:, ::2], index.reshape(np.shape(energy)), shape)

    @classmethod
    def integral(cls, edges, *parameters):
        """Photon flux between edges, shape (m,), or (n, m) for parameters of shape (n, 1)."""
        flux, shape = cls._flux(np.asarray(edges, dtype=float), parameters)
        return flux.reshape(*shape[:-1], len(edges) - 1)

    @classmethod
    def _flux(cls, edges, parameters):
        draws, shape = cls._draws(parameters)
        flux = np.empty((math.prod(shape), len(edges) - 1))
        for i, row in enumerate(flux):
            row[:] = cls._call(edges, {name: float(values[i]) for name, values in draws.items()})
        return flux, shape

    @classmethod
    def _call(cls, edges, values):
        given = ", ".join(f"{name}={value:g}" for name, value in values.items())
        called = f"{cls.origin}, called with {len(edges)} energy edges{given and ' and '}{given},"
        result = cls.function(edges.copy(), **values)
        try:
            if isinstance(result, u.Quantity):
                per_area = result.unit.is_equivalent(_FLUX / u.photon)  # a photon often goes without saying
                result = (result * u.photon if per_area else result).to_value(_FLUX)
            flux = np.asarray(result, dtype=float)
        except (TypeError, ValueError, u.UnitsError) as error:
            msg = f"{called} returned {result!r}; it must return photons/(cm2 s) in each bin ({error})."
            raise ValueError(msg) from error
        if flux.shape != (len(edges) - 1,):
            kind = type(result).__name__
            msg = f"{called} returned a {kind} of shape {flux.shape}; give one value a bin, ({len(edges) - 1},)."
            raise ValueError(msg)
        bad = ~((flux >= 0) & (flux < np.inf))
        if bad.any():
            k = int(np.argmax(bad))
            msg = (
                f"{called} returned {flux[k]:g} photons/(cm2 s) from {edges[k]:g} to {edges[k + 1]:g} keV; "
                "each value must be finite and not negative."
            )
            raise ValueError(msg)
        return flux


def user_model(function, parameters):
    """Make a model of a function that gives the photons in energy bins.

    Parameters
    ----------
    function : callable
        ``function(energy_edges, **parameters)``: takes edges of energy bins, an array of shape (m + 1,) in keV, and
        numbers, and returns the photons / (cm2 s) in each bin, an array or `~astropy.units.Quantity` of shape (m,).
        It is called once for each draw of the parameters.
    parameters : dict
        Of each parameter of the function its default, or ``(default, low, high)``; None for no limit.

    Returns
    -------
    model : type
        A subclass of `UserModel`, itself a `SpectralModel`, which goes wherever those go: `integrate`,
        `ModelComponent`, expressions with other models.

    Raises
    ------
    TypeError
        If ``function`` cannot be called.
    ValueError
        If the function does not take the parameters, or one has no usable name, default or range. Later, when the
        model is evaluated: if a parameter is outside its range, or what the function returns has another shape, is
        negative or is not finite.

    Notes
    -----
    A model can be sent to another process (pickled) where the function can, which Python finds by its name: one of a
    module, not one within another function, nor a lambda.

    A Sherpa model is called with the low and the high edges of the bins::

        from sherpa.models.basic import PowLaw1D

        power_law = PowLaw1D()

        def photons(energy_edges, gamma, ampl):
            power_law.gamma, power_law.ampl = gamma, ampl
            return power_law(energy_edges[:-1], energy_edges[1:])

        PowerLaw = user_model(photons, {"gamma": (2.0, 1.0, 4.0), "ampl": 1e-3})

    A pyatomdb session takes the edges as a response, and returns photons cm3 / s for an emission measure of 1 / cm3,
    here brought to the norm that XSPEC's apec has::

        import pyatomdb

        session = pyatomdb.spectrum.CIESession()

        def photons(energy_edges, kT, Fe):
            session.set_response(energy_edges, raw=True)
            session.set_abund(26, Fe)
            return 1e14 * session.return_spectrum(kT)

        Plasma = user_model(photons, {"kT": (1.0, 0.1, 20.0), "Fe": (1.0, 0.0, 10.0)})

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.spectra import integrate, user_model
    >>> def falling(energy_edges, scale):
    ...     return -np.diff(np.exp(-energy_edges / scale))
    >>> Falling = user_model(falling, {"scale": (1.0, 0.1, 10.0)})
    >>> print(integrate(Falling(scale=2.0), [1, 2, 4]).round(4))
    [0.2387 0.2325] ph / (s cm2)
    """
    if not callable(function):
        msg = f"function is {function!r}; give something to call with energy edges and parameters."
        raise TypeError(msg)
    name = getattr(function, "__name__", type(function).__name__)
    parameters = dict(parameters)
    made = {key: _parameter(name, key, value) for key, value in parameters.items()}
    try:
        signature = inspect.signature(function)
    except ValueError:  # some compiled functions do not say what they take
        signature = None
    try:
        if signature is not None:
            signature.bind(None, **made)
    except TypeError as error:
        msg = (
            f"{name}{signature} does not take the energy edges and the parameters {', '.join(made) or '(none)'}: "
            f"{error}; name in parameters what the function takes."
        )
        raise ValueError(msg) from error
    attributes = {
        "__module__": __name__,
        "__doc__": inspect.getdoc(function) or f"Photons in each bin by {name}.",
        "origin": name,
        "function": staticmethod(function),
        "_made_by": (user_model, (function, parameters)),
        **made,
    }
    return type(UserModel)(name if name.isidentifier() else "Function", (UserModel,), attributes)


def _parameter(function, name, value):
    if not allowed_name(name):
        msg = f"{function}: a model cannot have a parameter named {name!r}; wrap the function in one with another name."
        raise ValueError(msg)
    try:
        default, low, high = value if np.ndim(value) else (value, None, None)
        default, low, high = float(default), *(None if limit is None else float(limit) for limit in (low, high))
        inside = (low is None or low <= default) and (high is None or default <= high) and math.isfinite(default)
    except (TypeError, ValueError):
        inside = False
    if not inside:
        msg = f"{function}: parameter {name!r} is {value!r}; give its default, or (default, low, high) in this order."
        raise ValueError(msg)
    return Parameter(default=default, bounds=(low, high))
