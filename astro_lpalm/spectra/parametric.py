"""Spectra of all components of a library as functions of their physical parameters."""

import numpy as np

from ._parametric_file import read_parametric, write_parametric
from .ages import spectra_of_ages, spectra_of_elements
from .components import ModelComponent
from .emulator import SpectrumEmulator
from .energy_flux import EnergyFlux
from .exact import ExactSpectra, free_parameter, in_even_scale
from .integration import unit_of
from .library import SpectralLibrary
from .plasma import Plasma
from .thermal import Thermal
from .thermal_emulator import ThermalEmulator

__all__ = ["ParametricSpectra"]

_SHARED = "nh"


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
    fluxes : list, optional
        What makes the energy flux of each component, ``rates(x)`` of shape (N, 1); None for one that is not known.
    amplitude_units : list of str, optional
        The unit of each component's amplitude; "" for what its model, as it is, is multiplied by.
    library : SpectralLibrary or callable, optional
        What all this is of, or what makes that when it is needed, for what is not in tables (`spectra_of_ages`).

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

    def __init__(self, parameters, component_names, sources, places, fluxes=None, amplitude_units=None, library=None):
        self.parameters = tuple(parameters)
        self.component_names = tuple(component_names)
        self.sources, self.places = list(sources), [np.asarray(place, dtype=int) for place in places]
        self.fluxes = [None] * len(self.sources) if fluxes is None else list(fluxes)
        self.amplitude_units = ("",) * len(self.sources) if amplitude_units is None else tuple(amplitude_units)
        self._library = library

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
        parameters = [free_parameter("", _SHARED, unit_of(library.absorption, _SHARED), library.nh) for _ in shared]
        sources, places, fluxes, units = [], [], [], []
        for component in library.components:
            if not isinstance(component, ModelComponent):
                msg = f"component '{component.name}' is made of samples, so it has no parameters; give it a model."
                raise ValueError(msg)
            priors = {name: prior for name, prior in component.priors.items() if prior.low < prior.high}
            unit = component.expression.unit_of
            own = [free_parameter(component.name, name, unit(name), prior) for name, prior in priors.items()]
            place = [*range(len(parameters), len(parameters) + len(own)), *([0] if shared else [])]
            own = [in_even_scale(library, component, own, each, parameters[0] if shared else None) for each in own]
            parameters += own
            source = ExactSpectra(library, component, own, parameters[0] if shared else None)
            table = None
            if tolerance is not None:
                table = _tabulate(source, own, len(place), tolerance, seed)
            sources.append(source if table is None else table)
            places.append(place)
            flux = EnergyFlux(source, library.energy_edges[[0, -1]].value)
            fluxes.append(flux if table is None else flux.tabulated(len(own), seed))
            units.append(unit("amplitude"))
        return cls(parameters, library.component_names, sources, places, fluxes, units, library)

    @property
    def library(self):
        """The `SpectralLibrary` that all this is of; None if it cannot be had."""
        if callable(self._library):
            self._library = self._library()
        return self._library

    @property
    def exact_components(self):
        """Names of the components whose spectra are not tabulated."""
        return tuple(
            name for name, source in zip(self.component_names, self.sources) if isinstance(source, ExactSpectra)
        )

    @property
    def can_be_kept(self):
        """Whether a file can hold it: all spectra are tabulated, or those of a components file that names no others."""
        if not self.exact_components:
            return True
        try:
            return bool(
                self.library.text and SpectralLibrary.from_text(self.library.text, response=self.library.response)
            )
        except ValueError:
            return False

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

    def energy_flux(self, theta):
        """Energy fluxes of unit amplitude of each model, before absorption, in the band of the energy bins.

        Parameters
        ----------
        theta : array_like, shape (..., p)

        Returns
        -------
        `~numpy.ndarray`, shape (..., n)
            erg / (cm2 s) where the amplitude is 1 in ``amplitude_units``; NaN for a component of which it is not known.
        """
        theta = np.asarray(theta, dtype=float)
        flat, found = theta.reshape(-1, len(self.parameters)), []
        for flux, place in zip(self.fluxes, self.places):
            own = [k for k in place if self.parameters[k].component]
            found.append(np.full(len(flat), np.nan) if flux is None else flux.rates(flat[:, own])[:, 0])
        return np.stack(found, axis=-1).reshape(*theta.shape[:-1], len(found))

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
        rates, derivatives = self.rate_jacobian(theta)
        total = rates.sum(axis=0)
        spectra = rates / total
        return spectra, (derivatives - spectra[..., np.newaxis] * derivatives.sum(axis=0)) / total[:, np.newaxis]

    def rate_jacobian(self, theta):
        """Count rates of unit amplitude, (m, n), and their derivatives in the scaled parameters, (m, n, p)."""
        theta = np.asarray(theta, dtype=float)
        made = [source.jacobian(theta[place]) for source, place in zip(self.sources, self.places)]
        rates = np.stack([each for each, _ in made], axis=1)
        derivatives = np.zeros((*rates.shape, len(theta)))
        for k, place in enumerate(self.places):
            derivatives[:, k, place] = made[k][1]
        return rates, derivatives

    def spectra_of_ages(self, theta):
        """Spectra of components in equilibrium, had they been heated only lately.

        Parameters
        ----------
        theta : array_like, shape (p,)
            Scaled parameters.

        Returns
        -------
        dict of str to `~numpy.ndarray`
            For each component that is a `Thermal`, spectra of unit sum, shape (J, m), of several ages and temperatures;
            empty where there is no components file, or it names other files.
        """
        return {} if self.library is None else spectra_of_ages(self.library, self._named(theta))

    def spectra_of_elements(self, theta):
        """Spectra of the elements of plasma of several temperatures and ages, (kT, tau, element, m), or None.

        See `spectra_of_ages`; the last age is equilibrium.
        """
        return None if self.library is None else spectra_of_elements(self.library, self._named(theta))

    def _named(self, theta):
        values = zip(self.parameters, self.values(theta))
        return {(each.component, each.name): float(value) for each, value in values}

    def to_hdus(self):
        """Keep it in extensions of a FITS file.

        Returns
        -------
        list of `~astropy.io.fits.BinTableHDU`
            PARAMETERS, and for each component EMULATOR1 and so on, one or two tables, and EMULATOR1F, its energy flux.
            A component that is not tabulated has no rows there: it is made again of the components file and RESPONSE.

        Raises
        ------
        ValueError
            If the spectra of a component are neither tabulated nor those of a components file that names no others: a
            model's program cannot be kept in a file.
        """
        return write_parametric(self)

    @classmethod
    def from_hdulist(cls, hdulist, text=""):
        """Read what `to_hdus` made.

        Parameters
        ----------
        hdulist : `~astropy.io.fits.HDUList`
        text : str, optional
            The components file, for components that are not tabulated.

        Returns
        -------
        ParametricSpectra

        Raises
        ------
        KeyError
            If there is no such extension.
        ValueError
            If a component takes parameters that are not there, or one that is not tabulated is not in the file.
        """
        return cls(*read_parametric(hdulist, text))

    def __repr__(self):
        n_exact = len(self.exact_components)
        kind = "emulated" if n_exact == 0 else "exact" if n_exact == len(self.sources) else "partly emulated"
        return f"<ParametricSpectra: {', '.join(self.component_names)}; {len(self.parameters)} parameters, {kind}>"


def _tabulate(source, own, n_parameters, tolerance, seed):
    model = source.component.expression.model
    if isinstance(model, Thermal):
        return ThermalEmulator.tabulate(source, own, tolerance=tolerance, seed=seed)
    if isinstance(model, Plasma):  # of too many parameters for a table, and fast without
        return None
    return SpectrumEmulator.tabulate(source, n_parameters, tolerance=tolerance, seed=seed)
