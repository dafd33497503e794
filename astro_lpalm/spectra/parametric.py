"""Spectra of all components of a library as functions of their physical parameters."""

from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Table

from .absorption import PhotoelectricAbsorption
from .components import ModelComponent
from .emulator import SpectrumEmulator
from .thermal import Thermal
from .thermal_emulator import ThermalEmulator, tabulated_temperatures

__all__ = ["FreeParameter", "ParametricSpectra"]

_STEP = 1e-4  # of scaled parameters, for finite differences of exact spectra
_SHARED = "nh"
_TINY, _ROUNDING = 1e-12, 1e-9
_KNOT = 1e-6  # of a range: nearer to its end there is no knot
_N_ALONG = 7  # points of a range at which spectra are compared, to choose the scale
_FORWARD = {"linear": np.positive, "log": np.log, "inverse": np.reciprocal, "square": np.square}
_BACKWARD = {"linear": np.positive, "log": np.exp, "inverse": np.reciprocal, "square": np.sqrt}


@dataclass(frozen=True)
class FreeParameter:
    """A physical parameter that has a range.

    Attributes
    ----------
    component : str
        "" for the absorption, which all components share.
    name : str
    unit : str
        "" for numbers without dimension.
    low, high : float
        The range, in that unit.
    scale : str
        What goes evenly from 0 to 1 with the scaled parameter: the value ("linear"), its logarithm ("log"), its
        "inverse" or "square". Whatever the range was drawn in, that in which spectra change most evenly is best to
        fit in: errors are then nearest to a normal distribution, also where a parameter is hardly measured.
    """

    component: str
    name: str
    unit: str
    low: float
    high: float
    scale: str = "linear"

    def value(self, x):
        """Value of a scaled parameter."""
        low, high = _FORWARD[self.scale](np.array([self.low, self.high], dtype=float))
        return np.clip(_BACKWARD[self.scale](low + (high - low) * np.asarray(x, dtype=float)), self.low, self.high)

    def scaled(self, value):
        """Scaled parameter of a value; beyond 0 to 1 for one beyond the range."""
        low, high = _FORWARD[self.scale](np.array([self.low, self.high], dtype=float))
        return (_FORWARD[self.scale](np.asarray(value, dtype=float)) - low) / (high - low)

    def slope(self, x):
        """Differentiate the value in the scaled parameter."""
        low, high = _FORWARD[self.scale](np.array([self.low, self.high], dtype=float))
        value = self.value(x)
        slopes = {"linear": 1.0, "log": value, "inverse": -(value**2), "square": 0.5 / np.maximum(value, _TINY)}
        return (high - low) * slopes[self.scale]


class ParametricSpectra:
    """Spectra of unit sum, expected counts in energy bins, of physical parameters.

    All parameters with a range in a components file stand in one vector, scaled to 0 to 1: the absorption that
    components share comes first, then those of each component in turn. Make one with `from_library`, exact or
    emulated, or read one with `from_hdulist`.

    Parameters
    ----------
    parameters : list of FreeParameter
    component_names : list of str
    sources : list
        What makes the spectra of each component: ``rates(x)`` and ``jacobian(x)`` as `SpectrumEmulator` has them.
    places : list of array of int
        Which of the parameters each of these takes.

    Examples
    --------
    >>> from astro_lpalm.spectra import ParametricSpectra, SpectralLibrary
    >>> model = ParametricSpectra.from_library(SpectralLibrary.from_file("pwn-acis"))
    >>> [parameter.name for parameter in model.parameters[:3]]
    ['nh', 'photon_index', 'kT']
    >>> middle = [0.5] * len(model.parameters)
    >>> model.values(middle)[:2].round(2)
    array([1.05, 1.9 ])
    >>> model.spectra(middle).sum(axis=0).round(6)
    array([1., 1.])
    """

    def __init__(self, parameters, component_names, sources, places):
        self.parameters = tuple(parameters)
        self.component_names = tuple(component_names)
        self.sources, self.places = list(sources), [np.asarray(place, dtype=int) for place in places]

    @classmethod
    def from_library(cls, library, *, tolerance=None, seed=0):
        """Take the models, ranges and response of a library.

        Parameters
        ----------
        library : SpectralLibrary
            Of components with models.
        tolerance : float, optional
            Largest relative error of tabulated spectra (`SpectrumEmulator.tabulate`). By default nothing is tabulated:
            spectra are exact, take milliseconds, and are differentiated numerically; and so are those of a
            component that cannot be tabulated.
        seed : int
            Of the draws that the tables are checked with.

        Returns
        -------
        ParametricSpectra

        Raises
        ------
        ValueError
            If a component is made of samples: these have no parameters.
        """
        shared = [] if library.nh.low == library.nh.high else [_SHARED]
        parameters = [_free("", _SHARED, PhotoelectricAbsorption, library.nh) for _ in shared]
        sources, places = [], []
        for component in library.components:
            if not isinstance(component, ModelComponent):
                msg = f"component '{component.name}' is made of samples, so it has no parameters; give it a model."
                raise ValueError(msg)
            priors = {name: prior for name, prior in component.priors.items() if prior.low < prior.high}
            own = [_free(component.name, name, component.expression.model, prior) for name, prior in priors.items()]
            place = [*range(len(parameters), len(parameters) + len(own)), *([0] if shared else [])]
            own = [_evenly(library, component, own, each, parameters[0] if shared else None) for each in own]
            parameters += own
            source = _ExactSpectra(library, component, own, parameters[0] if shared else None)
            table = None
            if tolerance is not None:
                table = _tabulate(source, own, len(place), tolerance, seed)
            sources.append(source if table is None else table)
            places.append(place)
        return cls(parameters, library.component_names, sources, places)

    @property
    def exact_components(self):
        """Names of the components whose spectra are not tabulated."""
        return tuple(
            name for name, source in zip(self.component_names, self.sources) if isinstance(source, _ExactSpectra)
        )

    @property
    def bounds(self):
        """Lower and upper bounds of the scaled parameters, 0 and 1, shape (2, p)."""
        return np.array([np.zeros(len(self.parameters)), np.ones(len(self.parameters))])

    def values(self, theta):
        """Physical values of scaled parameters.

        Parameters
        ----------
        theta : array_like, shape (..., p)

        Returns
        -------
        `~numpy.ndarray`, shape (..., p)
        """
        columns = np.moveaxis(np.asarray(theta, dtype=float), -1, 0)
        return np.stack([each.value(x) for each, x in zip(self.parameters, columns)], axis=-1)

    def scaled(self, values):
        """Scaled parameters of physical values, the inverse of `values`."""
        columns = np.moveaxis(np.asarray(values, dtype=float), -1, 0)
        return np.stack([each.scaled(value) for each, value in zip(self.parameters, columns)], axis=-1)

    def slopes(self, theta):
        """Differentiate each physical value in its scaled parameter: shape (p,)."""
        return np.array([float(each.slope(x)) for each, x in zip(self.parameters, theta)])

    def rates(self, theta):
        """Count rates of unit amplitude of each model.

        Parameters
        ----------
        theta : array_like, shape (..., p)
            Scaled parameters.

        Returns
        -------
        `~numpy.ndarray`, shape (..., m, n)
            count / s where the response is an area in cm2 and the amplitude is 1 in the unit of the model.
        """
        theta = np.asarray(theta, dtype=float)
        flat = theta.reshape(-1, len(self.parameters))
        rates = np.stack([each.rates(flat[:, place]) for each, place in zip(self.sources, self.places)], axis=-1)
        return rates.reshape(*theta.shape[:-1], *rates.shape[1:])

    def spectra(self, theta):
        """Spectra whose sum over the energy bins is one.

        Parameters
        ----------
        theta : array_like, shape (..., p)

        Returns
        -------
        `~numpy.ndarray`, shape (..., m, n)
        """
        rates = self.rates(theta)
        return rates / rates.sum(axis=-2, keepdims=True)

    def jacobian(self, theta):
        """Spectra of unit sum and their derivatives.

        Parameters
        ----------
        theta : array_like, shape (p,)

        Returns
        -------
        spectra : `~numpy.ndarray`, shape (m, n)
        derivatives : `~numpy.ndarray`, shape (m, n, p)
            In the scaled parameters.
        """
        theta = np.asarray(theta, dtype=float)
        made = [source.jacobian(theta[place]) for source, place in zip(self.sources, self.places)]
        rates = np.stack([each for each, _ in made], axis=1)
        derivatives = np.zeros((*rates.shape, len(theta)))
        for k, place in enumerate(self.places):
            derivatives[:, k, place] = made[k][1]
        total = rates.sum(axis=0)
        spectra = rates / total
        return spectra, (derivatives - spectra[..., np.newaxis] * derivatives.sum(axis=0)) / total[:, np.newaxis]

    def to_hdus(self):
        """Keep emulated spectra in extensions of a FITS file.

        Returns
        -------
        list of `~astropy.io.fits.BinTableHDU`
            PARAMETERS, and for each component EMULATOR1 and so on; of a thermal one its lines, and EMULATOR1C, its
            continuum.

        Raises
        ------
        ValueError
            If the spectra of a component are exact: a model's program cannot be kept in a file.
        """
        hdus = []
        for k, (name, source) in enumerate(zip(self.component_names, self.sources), start=1):
            if isinstance(source, _ExactSpectra):
                msg = f"the spectra of '{name}' are not tabulated, so they cannot be kept in a file."
                raise ValueError(msg)
            own = source.to_hdus(f"EMULATOR{k}")
            own[0].header["COMPONEN"] = (name, "name of the component")
            own[0].header["N_PLACE"] = (len(self.places[k - 1]), "number of its parameters")
            for i, place in enumerate(self.places[k - 1], start=1):
                own[0].header[f"PLACE{i}"] = (int(place), "row of its parameter, from 0")
            hdus += own
        names = ("component", "name", "unit", "low", "high", "scale")
        table = Table({name.upper(): [getattr(each, name) for each in self.parameters] for name in names})
        return [fits.BinTableHDU(table, name="PARAMETERS"), *hdus]

    @classmethod
    def from_hdulist(cls, hdulist):
        """Read what `to_hdus` made.

        Parameters
        ----------
        hdulist : `~astropy.io.fits.HDUList`

        Returns
        -------
        ParametricSpectra

        Raises
        ------
        KeyError
            If there is no such extension.
        """
        rows = hdulist["PARAMETERS"].data
        parameters = [
            FreeParameter(
                *(str(row[key]) for key in ("COMPONENT", "NAME", "UNIT")),
                float(row["LOW"]),
                float(row["HIGH"]),
                str(row["SCALE"]),
            )
            for row in rows
        ]
        names = [hdu.name for hdu in hdulist]
        sources, places, components = [], [], []
        while (name := f"EMULATOR{len(sources) + 1}") in names:
            hdu = hdulist[name]
            places.append([hdu.header[f"PLACE{i + 1}"] for i in range(hdu.header["N_PLACE"])])
            components.append(hdu.header["COMPONEN"])
            if f"{name}C" in names:
                own = [parameters[place] for place in places[-1] if parameters[place].component]
                sources.append(ThermalEmulator.from_hdus(hdu, hdulist[f"{name}C"], own, len(own) < len(places[-1])))
            else:
                sources.append(SpectrumEmulator.from_hdu(hdu))
        return cls(parameters, components, sources, places)

    def __repr__(self):
        n_exact = len(self.exact_components)
        kind = "emulated" if n_exact == 0 else "exact" if n_exact == len(self.sources) else "partly emulated"
        return f"<ParametricSpectra: {', '.join(self.component_names)}; {len(self.parameters)} parameters, {kind}>"


def _tabulate(source, own, n_parameters, tolerance, seed):
    if type(source.component.expression.model) is Thermal:
        return ThermalEmulator.tabulate(source, own, tolerance=tolerance, seed=seed)
    return SpectrumEmulator.tabulate(source, n_parameters, tolerance=tolerance, seed=seed)


class _ExactSpectra:
    """Exact spectra of a component, of scaled parameters: its own, then the absorption that is shared."""

    def __init__(self, library, component, own, shared):
        self.library, self.component, self.own, self.shared = library, component, own, shared
        self.is_absorbed = shared is not None
        self.edges, _ = library._instrument(np.array([library.nh.low]))
        self.fixed = {name: prior.low for name, prior in component.priors.items() if prior.low == prior.high}

    @property
    def knots(self):
        """Where the spectra have kinks: the temperatures at which those of a plasma are tabulated."""
        model, names = self.component.expression.model, [each.name for each in self.own]
        found = {}
        for k, each in enumerate(self.own):
            name, _, place = each.name.partition("_")
            leaf = model[int(place)] if place.isdigit() and model.n_submodels > 1 else model
            ionization = f"ionization_{place}" if place else "ionization"
            if name != "kT" or not isinstance(leaf, Thermal) or ionization in names:
                continue
            ratio = self.fixed.get(ionization, float(leaf.ionization.value))
            inside = each.scaled(tabulated_temperatures() / ratio)
            inside = inside[(inside > _KNOT) & (inside < 1 - _KNOT)]
            found[k] = np.concatenate([[0.0], np.sort(inside), [1.0]])
        return found

    def photons(self, x):
        """Photons in narrow bins of true energy, (N, f), of own scaled parameters (N, q)."""
        drawn = {each.name: each.value(column) for each, column in zip(self.own, x.T)}
        fixed = {name: np.full(len(x), value) for name, value in self.fixed.items()}
        return self.component.expression.photons(self.edges, drawn | fixed)

    def fold(self, photons, y):
        """Count rates (N, m) of photons, absorbed by columns of scaled density (N,)."""
        nh = np.array([self.library.nh.low]) if y is None else self.shared.value(y)
        _, fold = self.library._instrument(nh)
        return fold(photons)

    def rates(self, x):
        """Count rates (N, m) of scaled parameters (N, p)."""
        if not self.is_absorbed:
            return self.fold(self.photons(x), None)
        return self.fold(self.photons(x[:, :-1]), x[:, -1])

    total = rates

    def jacobian(self, x):
        """Rates (m,) and their derivatives (m, p), by central differences within the range."""
        steps = np.eye(len(x)) * _STEP
        high, low = np.minimum(x + steps, 1.0), np.maximum(x - steps, 0.0)
        rate, *rates = self.rates(np.vstack([x, high, low]))
        rates = np.array(rates)
        return rate, ((rates[: len(x)] - rates[len(x) :]) / (high - low).sum(axis=1)[:, np.newaxis]).T


def _evenly(library, component, own, chosen, shared):
    """Give a parameter the scale in which the component's rates change most evenly over its range."""
    scales = [
        scale for scale in _FORWARD if scale == "linear" or chosen.low > 0 or (scale, chosen.low) == ("square", 0)
    ]
    trials = [replace(chosen, scale=scale) for scale in scales]
    k, along = own.index(chosen), np.linspace(0, 1, _N_ALONG)
    x = np.full((_N_ALONG, len(own) + (shared is not None)), 0.5)
    x[:, k] = along
    bends = []
    for trial in trials:
        rates = _ExactSpectra(library, component, [*own[:k], trial, *own[k + 1 :]], shared).rates(x)
        if trial is trials[0] and np.abs(np.diff(rates, 2, axis=0)).max() < _ROUNDING * rates.max():
            return trial  # what is linear can be kept as it is
        spectra = rates / rates.sum(axis=1, keepdims=True)
        middle = spectra.mean(axis=0)
        bends.append(np.sum(np.diff(spectra, 2, axis=0) ** 2 / np.maximum(middle, 1e-6 * middle.max())))
    return trials[0 if bends[0] < 2 * min(bends) else int(np.argmin(bends))]


def _free(component, name, model, prior):
    units = getattr(model, "parameter_units", {})
    parameter = getattr(model, name)
    unit = units.get(name) or getattr(parameter, "unit", None) or u.dimensionless_unscaled
    return FreeParameter(component, name, u.Unit(unit).to_string(), prior.low, prior.high, prior.scale)
