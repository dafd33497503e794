"""Libraries of template spectra: what the columns of A may look like."""

from dataclasses import dataclass, field

import astropy.units as u
import numpy as np

from .components_file import read_spectra_settings
from .integration import check_energy_edges
from .models import PhotoelectricAbsorption
from .priors import Prior
from .response import approximate_acis_response

__all__ = ["LibraryStatistics", "ModelComponent", "SampleComponent", "SpectralLibrary"]

_CHUNK = 500  # draws folded at once: bounds the memory, and stays in the processor's cache


@dataclass(frozen=True)
class LibraryStatistics:
    """Mean and principal vectors of the unit-norm spectra of each component.

    Attributes
    ----------
    mean : array
        Shape (n_components, m).
    principal : array
        Shape (n_components, rank, m), orthonormal rows, in decreasing order of variance.
    spread : array
        Shape (n_components, rank), the standard deviation along each principal vector.
    remainder : array
        Shape (n_components, m), the standard deviation at each energy of what the principal vectors leave over.
    share : array
        Shape (n_components, rank), the fraction of the variance about the mean that each explains; zeros where
        spectra do not vary.
    """

    mean: np.ndarray
    principal: np.ndarray
    spread: np.ndarray
    remainder: np.ndarray
    share: np.ndarray


@dataclass(frozen=True)
class ModelComponent:
    """A component whose spectra come from a model with priors on its parameters.

    Parameters
    ----------
    name : str
    model : type
        A subclass of `SpectralModel`.
    priors : dict
        `Prior` of each drawn parameter by its name; others keep the model's default.

    Examples
    --------
    >>> from astro_lpalm.spectra import ModelComponent, Prior, Synchrotron
    >>> nonthermal = ModelComponent("nonthermal", Synchrotron, {"photon_index": Prior(1.4, 2.4)})
    >>> sorted(nonthermal.draw_parameters(2, seed=0))
    ['photon_index']
    """

    name: str
    model: type
    priors: dict = field(default_factory=dict)

    def draw_parameters(self, n, seed=None):
        """Draw parameters: a dict of arrays of shape (n,)."""
        rng = np.random.default_rng(seed)
        return {name: prior.draw(n, rng) for name, prior in self.priors.items()}

    def spectra(self, parameters, response, transmission):
        """Fold drawn parameters (arrays of shape (n,)) into count spectra, shape (n, m)."""
        defaults = dict(zip(self.model.param_names, self.model().plain_parameters))
        columns = {name: np.asarray(values)[:, None] for name, values in parameters.items()}
        flux = self.model.integral(response.energy_edges.value, *(columns.get(k, v) for k, v in defaults.items()))
        return response.fold(flux * transmission)


@dataclass(frozen=True)
class SampleComponent:
    """A component whose spectra are rows of an array.

    Parameters
    ----------
    name : str
    samples : array
        Shape (N, m), non-negative and none of them zero.
    """

    name: str
    samples: np.ndarray

    def draw_parameters(self, n, seed=None):
        """Draw the rows: a dict of one array of shape (n,)."""
        return {"row": np.random.default_rng(seed).integers(len(self.samples), size=n)}

    def spectra(self, parameters, response, transmission):
        """Rows of the array, shape (n, m), as they are: no instrument, no absorption."""
        return self.samples[parameters["row"]]


class SpectralLibrary:
    """Named components and how to draw a spectrum of each.

    Make one with `from_file` or `from_arrays`, or from components.

    Parameters
    ----------
    components : list of ModelComponent or SampleComponent
    energy_edges : `~astropy.units.Quantity` or array
        Shape (m + 1,); keV where there is no unit.
    response : ApproximateResponse, optional
        Folds the models into the bins of ``energy_edges``; not needed for samples.
    nh : Prior, optional
        Column density in 1e22 / cm2, drawn once for all components of a mixing matrix.

    Raises
    ------
    ValueError
        If there is no component, two have the same name, or the response has other channels.

    Examples
    --------
    >>> from astro_lpalm.spectra import SpectralLibrary
    >>> library = SpectralLibrary.from_file("snr-acis")
    >>> library.component_names
    ['synchrotron', 'thermal', 'iron_red', 'iron_blue']
    >>> library.draw(10, seed=0).shape
    (10, 65, 4)
    """

    def __init__(self, components, energy_edges, *, response=None, nh=None):
        edges = check_energy_edges(energy_edges)
        self.components = list(components)
        self.component_names = [component.name for component in self.components]
        if not self.components or len(set(self.component_names)) < len(self.components):
            msg = f"a library needs one or more components with names of their own; got {self.component_names}."
            raise ValueError(msg)
        if response is None and any(isinstance(component, ModelComponent) for component in self.components):
            msg = "components with a model need a response; pass response=approximate_acis_response(energy_edges)."
            raise ValueError(msg)
        if response is not None and not np.array_equal(response.channel_edges.value, edges):
            msg = (
                f"the channels of {response!r} are not the bins of energy_edges ({len(edges) - 1}); use the same edges."
            )
            raise ValueError(msg)
        self.energy_edges = edges * u.keV
        self.response = response
        self.nh = nh or Prior(0.0, 0.0)

    @classmethod
    def from_file(cls, components_toml, *, energy_edges=None):
        """Read a components file.

        Parameters
        ----------
        components_toml : str or `os.PathLike`
            A TOML file, or the name of a packaged one ("snr-acis", "pwn-acis").
        energy_edges : `~astropy.units.Quantity`, optional
            Energy bins to use instead of the file's, shape (m + 1,).

        Returns
        -------
        library : SpectralLibrary

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is not TOML, or a key or value in it is not allowed; says which, and what is.
        """
        settings = read_spectra_settings(components_toml)
        components = [ModelComponent(name, model, priors) for name, model, priors in settings.components]
        edges = settings.energy_edges if energy_edges is None else energy_edges
        response = approximate_acis_response(edges, settings.instrument)
        return cls(components, edges, response=response, nh=settings.nh)

    @classmethod
    def from_arrays(cls, spectra, energy_edges):
        """Take arrays of spectra as they are.

        Parameters
        ----------
        spectra : dict
            Arrays of shape (N, m) by component name, non-negative, in counts or any unit; N may differ.
        energy_edges : `~astropy.units.Quantity` or array
            Shape (m + 1,); keV where there is no unit.

        Returns
        -------
        library : SpectralLibrary
            Its draws pick rows at random, independently for each component.

        Raises
        ------
        ValueError
            If a shape does not match, or a spectrum is negative, not finite or zero everywhere.

        Examples
        --------
        >>> import numpy as np
        >>> from astro_lpalm.spectra import SpectralLibrary
        >>> library = SpectralLibrary.from_arrays({"flat": np.ones((5, 4)), "steep": np.eye(4)}, [1, 2, 3, 4, 5])
        >>> library.draw(2, seed=0).shape
        (2, 4, 2)
        """
        m = len(check_energy_edges(energy_edges)) - 1
        components = []
        for name, values in spectra.items():
            samples = np.array(values, dtype=float)
            if samples.ndim != 2 or samples.shape[1] != m or len(samples) == 0:
                msg = (
                    f"the spectra of {name!r} have shape {samples.shape}; energy_edges ask for (N, {m}), N at least 1."
                )
                raise ValueError(msg)
            if not np.all(np.isfinite(samples)) or samples.min() < 0 or not np.all(samples.any(axis=1)):
                msg = f"the spectra of {name!r} must be finite and non-negative, and none of them zero everywhere."
                raise ValueError(msg)
            components.append(SampleComponent(name, samples))
        return cls(components, energy_edges)

    def draw_parameters(self, n, seed=None):
        """Draw what `draw` makes spectra of, with the same seed.

        Parameters
        ----------
        n : int
            Number of draws.
        seed : int or `numpy.random.Generator`, optional

        Returns
        -------
        parameters : dict
            Arrays of shape (n,): "nh" (1e22 / cm2), and under each component's name a dict of its parameters (or rows).

        Raises
        ------
        ValueError
            If ``n`` is not a positive whole number.
        """
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            msg = f"n is {n!r}; give the number of draws, 1 or more."
            raise ValueError(msg)
        rng = np.random.default_rng(seed)
        drawn = {component.name: component.draw_parameters(n, rng) for component in self.components}
        return {"nh": self.nh.draw(n, rng), **drawn}

    def draw(self, n, seed=None):
        """Draw mixing matrices.

        Parameters
        ----------
        n : int
            Number of draws.
        seed : int or `numpy.random.Generator`, optional
            The same seed gives the same arrays.

        Returns
        -------
        spectra : array
            Shape (n, m, n_components), float64, non-negative, each column of unit l2 norm.

        Raises
        ------
        ValueError
            If ``n`` is not a positive whole number, or a component has no photons in the energy range.
        """
        parameters = self.draw_parameters(n, seed)
        spectra = np.empty((n, len(self.energy_edges) - 1, len(self.components)))
        for start in range(0, n, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            transmission = self._transmission(parameters["nh"][chunk])
            for k, component in enumerate(self.components):
                drawn = {name: values[chunk] for name, values in parameters[component.name].items()}
                spectra[chunk, :, k] = component.spectra(drawn, self.response, transmission)
        norm = np.linalg.norm(spectra, axis=1, keepdims=True)
        if not np.all(norm > 0):
            name = self.component_names[int(np.argmin(norm.min(axis=(0, 1))))]
            low, high = self.energy_edges[[0, -1]].value
            msg = f"{name!r} has no photons between {low:g} and {high:g} keV for some parameters; change its ranges."
            raise ValueError(msg)
        return spectra / norm

    def _transmission(self, nh):
        if self.response is None:
            return 1.0
        true = self.response.energy_edges.value
        return PhotoelectricAbsorption.integral(true, nh[:, None]) / np.diff(true)

    def statistics(self, rank=10, *, n=1000, seed=0):
        """Mean and principal vectors of each component, from draws.

        Parameters
        ----------
        rank : int
            How many principal vectors.
        n : int
            Number of draws they are computed from.
        seed : int or `numpy.random.Generator`, optional

        Returns
        -------
        statistics : LibraryStatistics

        Raises
        ------
        ValueError
            If ``rank`` is not between 1 and the number of energy bins.

        Examples
        --------
        >>> from astro_lpalm.spectra import SpectralLibrary
        >>> statistics = SpectralLibrary.from_file("snr-acis").statistics(rank=5, n=100)
        >>> statistics.principal.shape
        (4, 5, 65)
        """
        m = len(self.energy_edges) - 1
        if not 1 <= rank <= m:
            msg = f"rank is {rank}; give a number between 1 and {m}, the number of energy bins."
            raise ValueError(msg)
        spectra = np.moveaxis(self.draw(n, seed), 2, 0)
        mean = spectra.mean(axis=1)
        deviations = spectra - mean[:, None]
        # The right singular vectors of the deviations, as eigenvectors (m, m): orthonormal however few the draws.
        variance, vectors = np.linalg.eigh(np.swapaxes(deviations, 1, 2) @ deviations)
        variance = np.clip(variance[:, ::-1], 0.0, None)
        total = variance.sum(axis=1, keepdims=True)
        varies = total > n * np.finfo(float).eps ** 2 * m
        share = np.divide(variance, total, out=np.zeros_like(variance), where=varies)
        principal = np.swapaxes(vectors[:, :, ::-1], 1, 2)
        left_over = np.einsum("kr,krm->km", variance[:, rank:] / n, principal[:, rank:] ** 2)
        return LibraryStatistics(
            mean=mean,
            principal=principal[:, :rank].copy(),
            spread=np.sqrt(variance[:, :rank] / n),
            remainder=np.sqrt(left_over),
            share=share[:, :rank].copy(),
        )

    def __repr__(self):
        low, high = self.energy_edges[[0, -1]].value
        names = ", ".join(self.component_names)
        return f"<SpectralLibrary: {names}; {len(self.energy_edges) - 1} bins, {low:g} to {high:g} keV>"
