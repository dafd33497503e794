"""Reading of components files: energy grid, response, absorption and component models."""

from dataclasses import dataclass
from numbers import Real

import numpy as np

from .._names import check_component_names
from ..data import read_components_file
from .integration import check_energy_edges
from .models import EmissionLine, PhotoelectricAbsorption, Synchrotron, Thermal
from .priors import Prior
from .response import approximate_acis_response

__all__ = ["MODELS", "SpectraSettings", "read_spectra_settings"]

MODELS = {model.__name__: model for model in (Synchrotron, Thermal, EmissionLine)}
"""Models that a components file may name."""

_NOT_DRAWN = "amplitude"  # spectra have unit norm; how bright a source is belongs to its source table


@dataclass(frozen=True)
class SpectraSettings:
    """What a components file says about spectra.

    Attributes
    ----------
    energy_edges : array
        keV, shape (m + 1,).
    instrument : str
    nh : Prior or None
    components : list of tuple
        Name, model class and dict of `Prior` of each.
    """

    energy_edges: np.ndarray
    instrument: str
    nh: Prior | None
    components: list


def read_spectra_settings(components_toml):
    """Read and check the parts of a components file that describe spectra.

    The tables ``[training]`` and ``[components.source]`` are left to their own readers.

    Parameters
    ----------
    components_toml : str or `os.PathLike`
        A TOML file, or the name of a packaged one.

    Returns
    -------
    settings : SpectraSettings

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not TOML, or a key or value in it is not allowed; says which, and what is.

    Examples
    --------
    >>> from astro_lpalm.spectra import read_spectra_settings
    >>> read_spectra_settings("pwn-acis").instrument
    'acis-i'
    """
    path, content = read_components_file(components_toml)
    return _Reader(path).settings(content)


class _Reader:
    """Checks of one file; every error begins with the file and the key."""

    def __init__(self, path):
        self.path = path

    def fail(self, key, problem):
        msg = f"'{self.path}', {key}: {problem}"
        raise ValueError(msg)

    def table(self, content, key, allowed, required=()):
        """Check that ``content`` is a table without unknown keys."""
        if not isinstance(content, dict):
            self.fail(key, f"{content!r} is not a table; write [{key}] with the keys {', '.join(allowed)}.")
        for name in content:
            if name not in allowed:
                self.fail(key, f"unknown key '{name}' = {content[name]!r}; allowed are {', '.join(allowed)}.")
        for name in required:
            if name not in content:
                self.fail(key, f"'{name}' is missing.")
        return content

    def prior(self, key, value, bounds):
        try:
            prior = Prior.parse(value)
        except ValueError as error:
            self.fail(key, error)
        low, high = (-np.inf if bounds[0] is None else bounds[0]), (np.inf if bounds[1] is None else bounds[1])
        if prior.low < low or prior.high > high:
            self.fail(key, f"{value!r} goes beyond what it may be, {low:g} to {high:g}.")
        return prior

    def settings(self, content):
        keys = ("energy", "response", "absorption", "components", "training")
        self.table(content, "top level", keys, ("energy", "response", "components"))
        edges = self.energy_edges(content["energy"])
        instrument = self.table(content["response"], "response", ("instrument",), ("instrument",))["instrument"]
        try:
            approximate_acis_response(edges, instrument)
        except (TypeError, ValueError) as error:
            self.fail(f"response.instrument = {instrument!r}", error)
        nh = None
        if "absorption" in content:
            value = self.table(content["absorption"], "absorption", ("nh",), ("nh",))["nh"]
            nh = self.prior("absorption.nh", value, PhotoelectricAbsorption.nh.bounds)
        return SpectraSettings(edges, instrument, nh, self.components(content["components"]))

    def energy_edges(self, content):
        energy = self.table(content, "energy", ("range", "n_bins", "edges"))
        if ("edges" in energy) == ("range" in energy or "n_bins" in energy):
            self.fail("energy", f"got {', '.join(energy) or 'nothing'}; give either edges, or range and n_bins.")
        if "edges" in energy:
            key, value = "energy.edges", energy["edges"]
        else:
            self.table(energy, "energy", ("range", "n_bins"), ("range", "n_bins"))
            n_bins, key, value = energy["n_bins"], "energy.range", energy["range"]
            if isinstance(n_bins, bool) or not isinstance(n_bins, int) or n_bins < 1:
                self.fail("energy.n_bins", f"{n_bins!r} is not a number of bins; give a whole number, 1 or more.")
            if not isinstance(value, list) or len(value) != 2:
                self.fail(key, f"{value!r} is not a range; give [low, high] in keV.")
        numbers = isinstance(value, list) and all(isinstance(v, Real) and not isinstance(v, bool) for v in value)
        if not numbers:
            self.fail(key, f"{value!r} are not energies; give numbers in keV.")
        try:
            edges = check_energy_edges(value)
        except ValueError as error:
            self.fail(key, error)
        return edges if "edges" in energy else np.round(np.linspace(*edges, n_bins + 1), 12)

    def components(self, content):
        if not isinstance(content, list) or not content:
            self.fail("components", "there are none; write a [[components]] table for each.")
        read = [self.component(number, each) for number, each in enumerate(content, 1)]
        names = [name for name, *_ in read]
        try:
            check_component_names(names)
        except ValueError as error:
            self.fail("components", error)
        return read

    def component(self, number, content):
        keys = ("name", "model", "parameters", "source")
        self.table(content, f"component {number}", keys, ("name", "model"))
        name, model_name = content["name"], content["model"]
        if not isinstance(name, str) or not name:
            self.fail(f"component {number}", f"name = {name!r} is not a name; give a text.")
        if not isinstance(model_name, str) or model_name not in MODELS:
            self.fail(f"component '{name}'", f"unknown model = {model_name!r}; choose from {', '.join(MODELS)}.")
        model = MODELS[model_name]
        allowed = [parameter for parameter in model.param_names if parameter != _NOT_DRAWN]
        if not content.get("parameters"):
            self.fail(
                f"component '{name}'",
                f"no priors: write [components.parameters] with ranges of some of {', '.join(allowed)}.",
            )
        key = f"component '{name}', parameters"
        parameters = self.table(content["parameters"], key, allowed)
        priors = {k: self.prior(f"{key}.{k}", v, getattr(model, k).bounds) for k, v in parameters.items()}
        return name, model, priors
