"""Reading of components files: energy grid, response, absorption and component models."""

from dataclasses import dataclass
from numbers import Real
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.modeling.models import RedshiftScaleFactor

from .._text import shown
from ..data import read_components_file
from ..grid.channels import check_energy_edges
from ..instrument.response import Response
from ..missions import approximate_response
from .absorption import ABSORPTIONS, PhotoelectricAbsorption
from .base import photon_flux_density
from .components import ModelComponent, check_library_names
from .line import EmissionLine
from .nei import NEI, PlaneShock
from .plasma import Plasma
from .priors import Prior
from .synchrotron import Synchrotron, SynchrotronRolloff
from .table_model import read_table_model
from .thermal import Thermal

__all__ = ["FACTORS", "MODELS", "SpectraSettings", "read_spectra_settings"]

MODELS = {model.__name__: model for model in (Synchrotron, SynchrotronRolloff, Thermal, NEI, PlaneShock, EmissionLine)}
"""Models that a component of a components file may name."""

FACTORS = dict(ABSORPTIONS)
"""Models that a factor of a component may name."""

_ABSORPTION = PhotoelectricAbsorption  # of a file that does not say which
_NOT_DRAWN = "amplitude"  # spectra have unit norm; how bright a source is belongs to its source table
_REDSHIFTS = (-0.9, None)
_LARGEST_ENERGY = 1e12  # keV
_MOST_BINS = 10_000  # their response is a dense matrix on the way, of half a gigabyte


@dataclass(frozen=True)
class SpectraSettings:
    """What a components file says about spectra.

    Attributes
    ----------
    energy_edges : array
        keV, shape (m + 1,).
    response : Response
        With the bins of ``energy_edges`` as its channels.
    instrument : str or None
        Of an approximate response.
    epoch : float or None
        Of it, where its contamination is that of an epoch, in years.
    arf, rmf : `pathlib.Path` or None
        The files of any other; ``arf`` is None where the RMF holds the effective area.
    nh : Prior or None
    absorption : type
        What the column of ``nh`` absorbs like: `PhotoelectricAbsorption` or `TBAbs`.
    components : list of ModelComponent

    Examples
    --------
    >>> from astro_lpalm.spectra import read_spectra_settings
    >>> settings = read_spectra_settings("pwn-acis")
    >>> [component.name for component in settings.components], settings.nh, settings.energy_edges.shape
    (['nonthermal', 'thermal'], Prior(low=0.6, high=1.5, scale='linear'), (66,))
    """

    energy_edges: np.ndarray
    response: Response
    instrument: str | None
    epoch: float | None
    arf: Path | None
    rmf: Path | None
    nh: Prior | None
    absorption: type
    components: list


def read_spectra_settings(components_toml, *, energy_edges=None, response=None):
    """Read and check the parts of a components file that describe spectra.

    The tables ``[training]``, ``[simulation]`` and ``[components.source]`` are left to their own readers.

    Parameters
    ----------
    components_toml : str or `os.PathLike`
        A TOML file, or the name of a packaged one. Names of files in it are relative to its directory.
    energy_edges : `~astropy.units.Quantity`, optional
        Energy bins to use instead of the file's, shape (m + 1,).
    response : Response, optional
        To use instead of the file's; its channels are the energy bins.

    Returns
    -------
    settings : SpectraSettings

    Raises
    ------
    FileNotFoundError
        If there is no such file, or none of a name in it.
    OSError
        If a response or a table model cannot be read.
    ValueError
        If it is not TOML, or a key or value in it is not allowed; says which, and what is.

    Examples
    --------
    >>> from astro_lpalm.spectra import read_spectra_settings
    >>> read_spectra_settings("pwn-acis").instrument
    'acis-i'
    """
    path, content = read_components_file(components_toml)
    return _Reader(path).settings(content, energy_edges, response)


class _Reader:
    """Checks of one file; every error begins with the file and the key."""

    def __init__(self, path):
        self.path = path

    def fail(self, key, problem, kind=ValueError):
        msg = f"'{self.path}', {key}: {problem}"
        raise kind(msg)

    def table(self, content, key, allowed, required=()):
        """Check that ``content`` is a table without unknown keys."""
        if not isinstance(content, dict):
            self.fail(key, f"{shown(content)} is not a table; write [{key}] with the keys {', '.join(allowed)}.")
        for name in content:
            if name not in allowed:
                self.fail(key, f"unknown key {shown(name)} = {shown(content[name])}; allowed are {', '.join(allowed)}.")
        for name in required:
            if name not in content:
                self.fail(key, f"'{name}' is missing.")
        return content

    def prior(self, key, value, bounds):
        try:
            return Prior.parse(value, bounds)
        except ValueError as error:
            return self.fail(key, error)

    def file(self, key, name):
        """Path of a file that the components file names."""
        if not isinstance(name, str) or not name:
            self.fail(key, f"{shown(name)} is not the name of a file; give a text.")
        path = self.path.parent / name
        if not path.is_file():
            self.fail(
                key, f"there is no file '{path}'; names are relative to the components file.", kind=FileNotFoundError
            )
        return path

    def read(self, key, function, *paths):
        try:
            return function(*paths)
        except (OSError, ValueError) as error:
            return self.fail(key, error, kind=OSError if isinstance(error, OSError) else ValueError)

    def settings(self, content, energy_edges, given):
        keys = ("energy", "response", "absorption", "components", "training", "simulation")
        self.table(content, "top level", keys, ("energy", "response", "components"))
        if given is None:
            edges, response, *names = self.response(content, energy_edges)
        else:
            edges, response, names = given.channel_edges.to_value(u.keV), given, (None,) * 4
        nh, absorption = self.absorption(content["absorption"]) if "absorption" in content else (None, _ABSORPTION)
        return SpectraSettings(edges, response, *names, nh, absorption, self.components(content["components"]))

    def absorption(self, content):
        content = self.table(content, "absorption", ("nh", "model"), ("nh",))
        model = self.chosen("absorption", content.get("model", _ABSORPTION.__name__), ABSORPTIONS)
        return self.prior("absorption.nh", content["nh"], model.nh.bounds), model

    def response(self, content, energy_edges):
        instrument, epoch, arf, rmf = self.response_names(content["response"])
        whole = None if rmf is None else self.read("response", Response.read, arf, rmf)
        key, edges = self.energy_edges(content["energy"], whole)
        if energy_edges is not None:
            key, edges = "energy_edges, given in place of the file's", check_energy_edges(energy_edges)
        if instrument is None:
            response = self.rebinned(key, edges, whole)
        else:
            response = self.approximate(edges, instrument, epoch)
        return edges, response, instrument, epoch, arf, rmf

    def response_names(self, content):
        response = self.table(content, "response", ("instrument", "epoch", "arf", "rmf"))
        if ("instrument" in response) == ("rmf" in response) or {"instrument", "arf"} <= set(response):
            given = ", ".join(response) or "nothing"
            self.fail(
                "response", f"got {given}; give either instrument, or arf and rmf (rmf alone if it holds the area)."
            )
        if "epoch" in response and "rmf" in response:
            self.fail("response.epoch", f"{shown(response['epoch'])} goes with an instrument; a response has its own.")
        arf, rmf = (self.file(f"response.{k}", response[k]) if k in response else None for k in ("arf", "rmf"))
        return response.get("instrument"), response.get("epoch"), arf, rmf

    def approximate(self, edges, instrument, epoch):
        if not isinstance(instrument, str):
            self.fail(f"response.instrument = {shown(instrument)}", "it is not the name of an instrument; give a text.")
        try:
            return approximate_response(edges, instrument, epoch=epoch)
        except ValueError as error:
            given = "" if epoch is None else f", epoch = {shown(epoch)}"
            return self.fail(f"response.instrument = {shown(instrument)}{given}", error)

    def rebinned(self, key, edges, response):
        try:
            return response.rebin(edges)
        except ValueError as error:
            channels = response.channel_edges.to_value(u.keV)
            if edges[0] >= channels[0] and edges[-1] <= channels[-1]:
                count = max(1, round(np.mean(np.diff(edges)) / np.median(np.diff(channels))))
                error = (
                    f"{error} Or let the channels make the bins: range = [{edges[0]:g}, {edges[-1]:g}] with "
                    f"channels_per_bin = {count}."
                )
            return self.fail(key, error)

    def energy_edges(self, content, response):
        """Key and edges, of whole channels of ``response`` where the file asks for that."""
        energy = self.table(content, "energy", ("range", "n_bins", "edges", "channels_per_bin"))
        given = ", ".join(energy) or "nothing"
        if set(energy) not in ({"edges"}, {"range", "n_bins"}, {"range", "channels_per_bin"}):
            self.fail("energy", f"got {given}; give either edges, or range and n_bins, or range and channels_per_bin.")
        key = "energy.edges" if "edges" in energy else "energy.range"
        value = energy.get("edges", energy.get("range"))
        if "range" in energy and (not isinstance(value, list) or len(value) != 2):
            self.fail(key, f"{shown(value)} is not a range; give [low, high] in keV.")
        if not isinstance(value, list) or not all(isinstance(v, Real) and not isinstance(v, bool) for v in value):
            self.fail(key, f"{shown(value)} are not energies; give numbers in keV.")
        if max(value, default=0) > _LARGEST_ENERGY:
            self.fail(key, f"{max(value):g} keV is too large; give energies up to {_LARGEST_ENERGY:g} keV.")
        try:
            edges = check_energy_edges(value)
        except ValueError as error:
            self.fail(key, error)
        for name in ("n_bins", "channels_per_bin"):
            count = energy.get(name, 1)
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                what = "of bins" if name == "n_bins" else "of channels"
                self.fail(f"energy.{name}", f"{shown(count)} is not a number {what}; give a whole number, 1 or more.")
        n_bins = energy.get("n_bins", len(edges) - 1)
        if n_bins > _MOST_BINS:
            key = "energy.n_bins" if "n_bins" in energy else key
            self.fail(key, f"{n_bins} bins take more memory than spectra of them are worth; {_MOST_BINS} at most.")
        if "n_bins" in energy:
            return key, np.round(np.linspace(*edges, energy["n_bins"] + 1), 12)
        if "channels_per_bin" in energy:
            return key, self.whole_channels(edges, energy["channels_per_bin"], response)
        return key, edges

    def whole_channels(self, edges, count, response):
        key = "energy.channels_per_bin"
        if response is None:
            self.fail(key, "channels are those of an RMF; give arf and rmf in [response], or n_bins in place of it.")
        try:
            return response.group(*edges, count).to_value(u.keV)
        except ValueError as error:
            return self.fail(key, error)

    def components(self, content):
        if not isinstance(content, list) or not content:
            self.fail("components", "there are none; write a [[components]] table for each.")
        read = [self.component(number, each) for number, each in enumerate(content, 1)]
        try:
            check_library_names([component.name for component in read])
        except ValueError as error:
            self.fail("components", error)
        return read

    def component(self, number, content):
        keys = ("name", "model", "abundances", "table", "redshift", "parameters", "factors", "source")
        self.table(content, f"component {number}", keys, ("name",))
        name, factors = content["name"], content.get("factors", [])
        if not isinstance(name, str) or not name:
            self.fail(f"component {number}", f"name = {shown(name)} is not a name; give a text.")
        key = f"component {shown(name)}"
        if not isinstance(factors, list):
            self.fail(f"{key}, factors", f"{shown(factors)} is no list; write [[components.factors]] for each.")
        model, priors = self.model(key, content, MODELS)
        taken = []
        parts, expression = [_named(model, priors, taken)], model
        if "redshift" in content:
            prior = self.prior(f"{key}, redshift", content["redshift"], _REDSHIFTS)
            parts.append(_named(RedshiftScaleFactor, {"z": prior}, taken, ("redshift",)))
            expression = RedshiftScaleFactor() | model()
        multiply = []
        for number, factor in enumerate(factors, 1):
            factor_key = f"{key}, factor {number}"
            self.table(factor, factor_key, ("model", "table", "parameters"))
            model, priors = self.model(factor_key, factor, FACTORS)
            multiply.append((model, _named(model, priors, taken)))
        for model, part in reversed(multiply):
            expression = model() * (expression() if isinstance(expression, type) else expression)
            parts.append(part)
        names = tuple(name for own, _ in reversed(parts) for name in own)
        drawn = {name: prior for _, priors in reversed(parts) for name, prior in priors.items()}
        if not drawn:
            some = ", ".join(parameter for parameter in names if parameter != _NOT_DRAWN)
            self.fail(key, f"no priors: write [components.parameters] with ranges of some of {some}.")
        return ModelComponent(name, expression, drawn, names)

    def chosen(self, key, name, choices):
        if not isinstance(name, str) or name not in choices:
            self.fail(key, f"unknown model = {shown(name)}; choose from {', '.join(choices)}.")
        return choices[name]

    def relative(self, key, model, solar):
        """Give a plasma whose abundances are relative to those of a list."""
        if not issubclass(model, Plasma):
            self.fail(key, f"{shown(model.__name__)} has no abundances; leave {shown(solar)} out.")
        try:
            return model.relative_to(solar)
        except ValueError as error:
            return self.fail(key, error)

    def model(self, key, content, choices):
        """Class of a model that is named, or tabulated in a file, and the priors of its parameters."""
        if ("model" in content) == ("table" in content):
            self.fail(key, f"give either model (one of {', '.join(choices)}) or table (a file).")
        if "table" in content:
            path = self.file(f"{key}, table", content["table"])
            model = self.read(f"{key}, table", read_table_model, path)
            if (model.output_unit == photon_flux_density) != (choices is MODELS):
                wanted, found = ("a spectrum", "a factor") if choices is MODELS else ("a factor", "a spectrum")
                self.fail(f"{key}, table", f"'{path}' is {found}, but here stands {wanted}.")
        else:
            model = self.chosen(key, content["model"], choices)
        if "abundances" in content:
            model = self.relative(f"{key}, abundances", model, content["abundances"])
        key = f"{key}, parameters"
        allowed = [parameter for parameter in model.param_names if parameter != _NOT_DRAWN]
        parameters = self.table(content.get("parameters", {}), key, allowed)
        return model, {k: self.prior(f"{key}.{k}", v, getattr(model, k).bounds) for k, v in parameters.items()}


def _named(model, priors, taken, names=None):
    """Names of a model's parameters within a component, and the priors by them; one that is taken gets a number."""
    own = []
    for name in names or model.param_names:
        free, number = name, 1
        while free in taken:
            number += 1
            free = f"{name}_{number}"
        own.append(free)
        taken.append(free)
    return own, {own[model.param_names.index(name)]: prior for name, prior in priors.items()}
