"""Components of a library: what draws the spectra of one."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from astropy.modeling import Model

from .._names import check_component_names
from .integration import Expression
from .priors import Prior

__all__ = ["ModelComponent", "SampleComponent"]


@dataclass(frozen=True)
class ModelComponent:
    """A component whose spectra come from a model with priors on its parameters.

    Parameters
    ----------
    name : str
    model : type or `~astropy.modeling.Model`
        A subclass of `SpectralModel`, a model, or an expression of models (see `integrate`): a spectrum.
    priors : dict
        `Prior` of each drawn parameter by its name, as ``model.param_names`` has it (in an expression ``kT_1``);
        or a number, or a range of two. Other parameters keep the model's value.
    names : sequence of str, optional
        What the parameters of an expression are called here, in the order of ``model.param_names``. Those of a
        components file are called as in the models that it names.

    Raises
    ------
    TypeError
        If ``model`` is not a model.
    ValueError
        If it is not a spectrum, has no parameter of that name, or the prior goes beyond the parameter's bounds; or if
        ``names`` are not as many as its parameters, and all different.

    Examples
    --------
    >>> from astro_lpalm.spectra import ModelComponent, PhotoelectricAbsorption, Prior, Synchrotron
    >>> nonthermal = ModelComponent("nonthermal", Synchrotron, {"photon_index": Prior(1.4, 2.4)})
    >>> sorted(nonthermal.draw_parameters(2, seed=0))
    ['photon_index']
    >>> absorbed = PhotoelectricAbsorption() * Synchrotron(cutoff=50.0)
    >>> hidden = ModelComponent("hidden", absorbed, {"nh_0": Prior(1.0, 9.0, "log"), "photon_index_1": 1.7})
    >>> hidden.priors["photon_index_1"]
    Prior(low=1.7, high=1.7, scale='linear')
    """

    name: str
    model: type | Model
    priors: dict = field(default_factory=dict)
    names: tuple | None = None

    def __post_init__(self):
        priors = {}
        try:
            expression = self.expression
            expression.check_names(self.priors)
        except ValueError as error:
            msg = f"component '{self.name}': {error}"
            raise ValueError(msg) from error
        if not self.priors:
            msg = f"component '{self.name}' has no priors; give ranges for some of the parameters of its model."
            raise ValueError(msg)
        for name, prior in self.priors.items():
            bounds = expression.bounds(name)
            try:
                priors[name] = prior.within(bounds) if isinstance(prior, Prior) else Prior.parse(prior, bounds)
            except ValueError as error:
                msg = f"component '{self.name}', parameter '{name}': {error}"
                raise ValueError(msg) from error
        object.__setattr__(self, "priors", priors)

    @cached_property
    def expression(self):
        """The model as the sum and product of its parts, for integration."""
        return Expression(self.model, self.names)

    def draw_parameters(self, n, seed=None):
        """Draw parameters: a dict of arrays of shape (n,)."""
        rng = np.random.default_rng(seed)
        return {name: prior.draw(n, rng) for name, prior in self.priors.items()}

    @property
    def drawn(self):
        """What is drawn, by name, in words."""
        return {name: str(prior) for name, prior in self.priors.items()}

    def spectra(self, parameters, energy_edges, fold):
        """Make count spectra, shape (n, m), of drawn parameters.

        Parameters
        ----------
        parameters : dict
            What `draw_parameters` gave.
        energy_edges : array
            keV, of bins as narrow as `integrate` needs them.
        fold : callable
            Makes counts in the m bins of the library of photons between ``energy_edges``, shape (n, ...).
        """
        return fold(self.expression.photons(energy_edges, parameters))


@dataclass(frozen=True)
class SampleComponent:
    """A component whose spectra are rows of an array.

    Parameters
    ----------
    name : str
    samples : array
        Shape (N, m), non-negative and none of them zero.

    Raises
    ------
    ValueError
        If they are not.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.spectra import SampleComponent
    >>> SampleComponent("peaks", np.eye(3)).draw_parameters(4, seed=0)
    {'row': array([2, 1, 1, 0])}
    """

    name: str
    samples: np.ndarray

    def __post_init__(self):
        samples = np.array(self.samples, dtype=float)
        if samples.ndim != 2 or len(samples) == 0:
            msg = f"the spectra of {self.name!r} have shape {samples.shape}; give (N, m), N at least 1."
            raise ValueError(msg)
        if not np.all(np.isfinite(samples)) or samples.min() < 0 or not np.all(samples.any(axis=1)):
            msg = f"the spectra of {self.name!r} must be finite and non-negative, and none of them zero everywhere."
            raise ValueError(msg)
        object.__setattr__(self, "samples", samples)

    def draw_parameters(self, n, seed=None):
        """Draw the rows: a dict of one array of shape (n,)."""
        return {"row": np.random.default_rng(seed).integers(len(self.samples), size=n)}

    @property
    def drawn(self):
        """What is drawn, by name, in words."""
        return {"row": f"one of {len(self.samples)}"}

    def spectra(self, parameters, energy_edges, fold):
        """Rows of the array, shape (n, m), as they are: no instrument, no absorption."""
        return self.samples[parameters["row"]]


def check_library_names(names):
    """Check names of components as those of a file are, and that none is "nh", which stands for the absorption."""
    if "nh" in names:
        msg = "component name 'nh' is taken by the column density that all components share; choose another."
        raise ValueError(msg)
    return check_component_names(names)
