"""Spectra of all components of a library as functions of their physical parameters."""

import numpy as np
from astropy.io import fits
from astropy.table import Table

from .components import ModelComponent
from .emulator import SpectrumEmulator
from .energy_flux import EnergyFlux
from .exact import ExactSpectra, free_parameter, in_even_scale, unit_of
from .parameters import FreeParameter
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

    def __init__(self, parameters, component_names, sources, places, fluxes=None, amplitude_units=None):
        self.parameters = tuple(parameters)
        self.component_names = tuple(component_names)
        self.sources, self.places = list(sources), [np.asarray(place, dtype=int) for place in places]
        self.fluxes = [None] * len(self.sources) if fluxes is None else list(fluxes)
        self.amplitude_units = ("",) * len(self.sources) if amplitude_units is None else tuple(amplitude_units)

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
        parameters = [free_parameter("", _SHARED, library.absorption, library.nh) for _ in shared]
        sources, places, fluxes, units = [], [], [], []
        for component in library.components:
            if not isinstance(component, ModelComponent):
                msg = f"component '{component.name}' is made of samples, so it has no parameters; give it a model."
                raise ValueError(msg)
            priors = {name: prior for name, prior in component.priors.items() if prior.low < prior.high}
            model = component.expression.model
            own = [free_parameter(component.name, name, model, prior) for name, prior in priors.items()]
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
            fluxes.append(flux if tolerance is None else flux.tabulated(len(own), seed))
            units.append(unit_of(model, "amplitude"))
        return cls(parameters, library.component_names, sources, places, fluxes, units)

    @property
    def exact_components(self):
        """Names of the components whose spectra are not tabulated."""
        return tuple(
            name for name, source in zip(self.component_names, self.sources) if isinstance(source, ExactSpectra)
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

    def to_hdus(self):
        """Keep emulated spectra in extensions of a FITS file.

        Returns
        -------
        list of `~astropy.io.fits.BinTableHDU`
            PARAMETERS, and for each component EMULATOR1 and so on; of a thermal one its lines, and EMULATOR1C, its
            continuum; and EMULATOR1F, its energy flux.

        Raises
        ------
        ValueError
            If the spectra of a component are exact: a model's program cannot be kept in a file.
        """
        hdus = []
        for k, (name, source) in enumerate(zip(self.component_names, self.sources), start=1):
            if isinstance(source, ExactSpectra):
                msg = f"the spectra of '{name}' are not tabulated, so they cannot be kept in a file."
                raise ValueError(msg)
            own = source.to_hdus(f"EMULATOR{k}")
            own[0].header["COMPONEN"] = (name, "name of the component")
            own[0].header["AMPUNIT"] = (self.amplitude_units[k - 1], "unit of its amplitude")
            if self.fluxes[k - 1] is not None:
                own.append(self.fluxes[k - 1].to_hdu(f"EMULATOR{k}F"))
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
        ValueError
            If a component takes parameters that are not there.
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
        sources, places, components, fluxes, units = [], [], [], [], []
        while (name := f"EMULATOR{len(sources) + 1}") in names:
            hdu = hdulist[name]
            places.append([hdu.header[f"PLACE{i + 1}"] for i in range(hdu.header["N_PLACE"])])
            if not all(type(place) is int and 0 <= place < len(parameters) for place in places[-1]):
                msg = f"{name} takes the parameters {places[-1]}, but PARAMETERS has {len(parameters)} rows."
                raise ValueError(msg)
            components.append(hdu.header["COMPONEN"])
            units.append(hdu.header.get("AMPUNIT", ""))
            fluxes.append(SpectrumEmulator.from_hdu(hdulist[f"{name}F"]) if f"{name}F" in names else None)
            if f"{name}C" in names:
                own = [parameters[place] for place in places[-1] if parameters[place].component]
                sources.append(ThermalEmulator.from_hdus(hdu, hdulist[f"{name}C"], own, len(own) < len(places[-1])))
            else:
                sources.append(SpectrumEmulator.from_hdu(hdu))
        return cls(parameters, components, sources, places, fluxes, units)

    def __repr__(self):
        n_exact = len(self.exact_components)
        kind = "emulated" if n_exact == 0 else "exact" if n_exact == len(self.sources) else "partly emulated"
        return f"<ParametricSpectra: {', '.join(self.component_names)}; {len(self.parameters)} parameters, {kind}>"


def _tabulate(source, own, n_parameters, tolerance, seed):
    if type(source.component.expression.model) is Thermal:
        return ThermalEmulator.tabulate(source, own, tolerance=tolerance, seed=seed)
    return SpectrumEmulator.tabulate(source, n_parameters, tolerance=tolerance, seed=seed)
