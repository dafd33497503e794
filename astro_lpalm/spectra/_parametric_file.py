"""Parametric spectra in a FITS file."""

import re
from dataclasses import replace

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ..instrument.response import Response
from .emulator import SpectrumEmulator
from .energy_flux import EnergyFlux
from .exact import ExactSpectra
from .library import SpectralLibrary
from .parameters import FreeParameter
from .thermal_emulator import ThermalEmulator

__all__ = ["read_parametric", "write_parametric"]


def write_parametric(spectra):
    """Make the extensions that hold parametric spectra.

    Parameters
    ----------
    spectra : ParametricSpectra

    Returns
    -------
    list of `~astropy.io.fits.BinTableHDU`
        PARAMETERS, and for each component EMULATOR1 and so on: of a thermal one its lines, and EMULATOR1C, its
        continuum; of one that is not tabulated no rows, as it is made again of the components file, which goes into the
        file of the model, and the RESPONSE; and EMULATOR1F, a tabulated energy flux.

    Raises
    ------
    ValueError
        If the spectra of a component are exact, and cannot be made again of a components file alone: a model's program
        cannot be kept in a file.
    """
    if not spectra.can_be_kept:
        msg = f"the spectra of '{spectra.exact_components[0]}' are not tabulated, so they cannot be kept in a file."
        raise ValueError(msg)
    hdus = []
    for k, (name, source) in enumerate(zip(spectra.component_names, spectra.sources), start=1):
        is_exact = isinstance(source, ExactSpectra)
        own = [fits.BinTableHDU(name=f"EMULATOR{k}")] if is_exact else source.to_hdus(f"EMULATOR{k}")
        if is_exact:
            own[0].header["EXACT"] = (True, "made of the components file, not tabulated")
        own[0].header["COMPONEN"] = (name, "name of the component")
        own[0].header["AMPUNIT"] = (spectra.amplitude_units[k - 1], "unit of its amplitude")
        if isinstance(spectra.fluxes[k - 1], SpectrumEmulator):
            own.append(spectra.fluxes[k - 1].to_hdu(f"EMULATOR{k}F"))
        own[0].header["N_PLACE"] = (len(spectra.places[k - 1]), "number of its parameters")
        for i, place in enumerate(spectra.places[k - 1], start=1):
            own[0].header[f"PLACE{i}"] = (int(place), "row of its parameter, from 0")
        hdus += own
    if spectra.exact_components:
        hdus.append(_response_hdu(spectra.library.response))
    names = ("component", "name", "unit", "low", "high", "scale")
    table = Table({name.upper(): [getattr(each, name) for each in spectra.parameters] for name in names})
    return [fits.BinTableHDU(table, name="PARAMETERS"), *hdus]


def read_parametric(hdulist, text=""):
    """Read what `write_parametric` made.

    Parameters
    ----------
    hdulist : `~astropy.io.fits.HDUList`
    text : str, optional
        The components file.

    Returns
    -------
    tuple
        What `ParametricSpectra` is made of.

    Raises
    ------
    KeyError
        If there is no such extension.
    ValueError
        If a component takes parameters that are not there, or one that is not tabulated is not in the components file.
    """
    names = [hdu.name for hdu in hdulist]
    library = _LibraryOf(text, hdulist["RESPONSE"].data[0] if "RESPONSE" in names else None)
    parameters = [
        FreeParameter(*(str(row[key]) for key in ("COMPONENT", "NAME", "UNIT")), *_range(row))
        for row in hdulist["PARAMETERS"].data
    ]
    if any(re.search(r"_\d+$", each.name) for each in parameters) and library() is not None:
        parameters = [_renamed(each, library()) for each in parameters]
    sources, places, components, fluxes, units = [], [], [], [], []
    while (name := f"EMULATOR{len(sources) + 1}") in names:
        hdu = hdulist[name]
        places.append([hdu.header[f"PLACE{i + 1}"] for i in range(hdu.header["N_PLACE"])])
        if not all(type(place) is int and 0 <= place < len(parameters) for place in places[-1]):
            msg = f"{name} takes the parameters {places[-1]}, but PARAMETERS has {len(parameters)} rows."
            raise ValueError(msg)
        own = [parameters[place] for place in places[-1] if parameters[place].component]
        shared = [parameters[place] for place in places[-1] if not parameters[place].component]
        components.append(hdu.header["COMPONEN"])
        units.append(hdu.header.get("AMPUNIT", ""))
        flux = SpectrumEmulator.from_hdu(hdulist[f"{name}F"]) if f"{name}F" in names else None
        if hdu.header.get("EXACT", False):
            source = library.exact(components[-1], own, *shared)
            flux = EnergyFlux(source, library().energy_edges[[0, -1]].value)
        elif f"{name}C" in names:
            source = ThermalEmulator.from_hdus(hdu, hdulist[f"{name}C"], own, bool(shared))
        else:
            source = SpectrumEmulator.from_hdu(hdu)
        sources.append(source)
        fluxes.append(flux)
    return parameters, components, sources, places, fluxes, units, library


def _renamed(parameter, library):
    """Call a parameter as its component does now: older files have the names of astropy's expressions."""
    if parameter.component not in library.component_names:
        return parameter
    expression = library.components[library.component_names.index(parameter.component)].expression
    if parameter.name in expression.names or parameter.name not in expression.model.param_names:
        return parameter
    name = expression.names[expression.model.param_names.index(parameter.name)]
    return replace(parameter, name=name, unit=expression.unit_of(name))


def _range(row):
    return float(row["LOW"]), float(row["HIGH"]), str(row["SCALE"])


def _response_hdu(response):
    matrix, true, channels = response.matrix.toarray(), response.energy_edges.value, response.channel_edges.value
    columns = [
        fits.Column("ENERGY", f"{true.size}D", unit="keV", array=true[np.newaxis]),
        fits.Column("CHANNEL", f"{channels.size}D", unit="keV", array=channels[np.newaxis]),
        fits.Column(
            "MATRIX", f"{matrix.size}E", dim=f"({matrix.shape[1]},{matrix.shape[0]})", array=matrix[np.newaxis]
        ),
    ]
    return fits.BinTableHDU.from_columns(columns, name="RESPONSE")


class _LibraryOf:
    """Makes the library that a components file says, once, for the response that a model file keeps."""

    def __init__(self, text, row):
        self.text, self.made = text, None
        self.response = None if row is None else Response(row["MATRIX"], row["ENERGY"], row["CHANNEL"])

    def __call__(self):
        if self.made is None and self.text:
            try:
                self.made = SpectralLibrary.from_text(self.text, response=self.response)
            except ValueError:
                if self.response is not None:  # without, the file may name others, which were never needed
                    raise
        return self.made

    def exact(self, name, own, shared=None):
        """Exact spectra of a component."""
        library = self()
        if library is None or name not in library.component_names:
            msg = f"the spectra of '{name}' are not tabulated, and there is no components file that has it."
            raise ValueError(msg)
        return ExactSpectra(library, library.components[library.component_names.index(name)], own, shared)
