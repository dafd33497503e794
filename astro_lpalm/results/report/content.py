"""What a report says, for whatever it is written in."""

import ast
from dataclasses import dataclass, field

import astropy.units as u
import numpy as np
from astropy.wcs.utils import proj_plane_pixel_scales

from .._card import kept_warnings
from .panels import Panel, image_panels, map_panels, residual_panels, together
from .words import COLUMNS, FIGURES

__all__ = ["Parameter", "Section", "Table", "contents", "title_of"]

_OBSERVATION = {
    "OBJECT": "object",
    "TELESCOP": "telescope",
    "INSTRUME": "instrument",
    "OBS_ID": "observation",
    "DATE-OBS": "begun",
    "EXPOSURE": "exposure (s)",
}
_ARGUMENTS = "transform", "refine", "smooth", "maps", "n_samples", "n_resamplings", "seed"  # of separate()


@dataclass(frozen=True)
class Table:
    """A table of texts, each column with its name."""

    columns: tuple
    rows: list


@dataclass(frozen=True)
class Parameter:
    """A physical parameter within its range."""

    component: str
    name: str
    value: float
    low: float
    high: float
    unit: str
    range: tuple
    at_limit: bool
    undecided: bool


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes
    ----------
    ident, title : str
    text : list of str
        Paragraphs.
    tables : list of Table
    panels : list of Panel
    parameters : list of Parameter
    code : list of str
        Lines to copy.
    with_spectra : bool
        Whether the spectra belong here.
    """

    ident: str
    title: str
    text: list = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    with_spectra: bool = False


def title_of(separation):
    """Name what was observed."""
    return str((separation.cube.meta or {}).get("OBJECT", "")).strip() or "Separation"


def contents(separation):
    """Make the sections of a report."""
    makers = (_summary, _warnings, _images, _smooth, _maps, _spectra, _residuals, _parameters, _fluxes, _diagnostics)
    sections = [make(separation) for make in (*makers, _provenance)]
    return [section for section in sections if section is not None]


def _summary(separation):
    cube, meta = separation.cube, separation.cube.meta or {}
    rows = [[name, str(meta[key])] for key, name in _OBSERVATION.items() if str(meta.get(key, "")).strip()]
    center = cube.wcs.pixel_to_world(*((size - 1) / 2 for size in cube.shape[:0:-1]))
    height, width = (size * scale for size, scale in zip(cube.shape[1:], _pixel_scale(cube)[::-1]))
    rows += [
        ["middle", f"{center.to_string('hmsdms', precision=1)} ({center.frame.name})"],
        ["field", f"{width:.4g} x {height:.4g} arcmin, {cube.shape[2]} x {cube.shape[1]} pixels"],
        ["energies", f"{cube.energy_edges[0].value:g} to {cube.energy_edges[-1]:g}, {cube.n_energy} bins"],
        ["counts", f"{cube.counts.spectrum().sum():,.0f} in {np.sum(~cube.pixel_mask):,} pixels"],
    ]
    rows += [["model", str(separation.header["MODEL"])]] if "MODEL" in separation.header else []
    composite = together(separation)
    panels = [] if composite is None else [composite]
    return Section("summary", "Observation", tables=[Table(("", ""), rows)], panels=panels)


def _pixel_scale(cube):
    return (proj_plane_pixel_scales(cube.wcs) * u.deg).to_value(u.arcmin)


def _warnings(separation):
    found = kept_warnings(separation.header)
    if found is None:
        text = [
            "This separation does not say whether there were any: it is older than their keeping, or was made by hand."
        ]
    else:
        text = found or ["None: data and components agree, and every component is one of its model's."]
    return Section("warnings", "Warnings", text)


def _images(separation):
    text = ["Counts of each component, by least squares: without bias, with all counts shared out. To measure in."]
    return Section("images", "Images", text, panels=image_panels(separation, separation.images))


def _smooth(separation):
    if separation.smooth is None:
        return None
    text = [
        "What is most probable, if images are positive and mostly smooth. To look at; fluxes are in the images above."
    ]
    return Section("smooth", "Smooth images", text, panels=image_panels(separation, separation.smooth_images))


def _maps(separation):
    if not separation.maps:
        return None
    text = [
        "Parameters from place to place. A map fades to grey where it is not known; what the data leave open is grey."
    ]
    return Section("maps", "Maps", text, panels=map_panels(separation))


def _spectra(separation):
    text = ["Counts of the field, and how the components share them; below, what the model leaves of the data."]
    return Section("spectra", "Spectra", text, with_spectra=True)


def _residuals(separation):
    text = [
        "Where on the sky the model fails. The misfit compares the squares of the residuals of all energies with their "
        "noise; the others are data minus model in a band of energies, over its noise. Noise alone scatters by about 1."
    ]
    return Section("residuals", "Residuals", text, panels=residual_panels(separation))


def _rows_of(separation):
    return [] if separation.parameters is None else list(separation.parameters)


def _parameter(row):
    value, low, high = (float(row[key]) for key in ("value", "error_low", "error_high"))
    ends = float(row["low"]), float(row["high"])
    flags = bool(row["at_limit"]), bool(row["undecided"])
    unit = _unit(str(row["unit"]))
    return Parameter(str(row["component"]), str(row["parameter"]), value, low, high, unit, ends, *flags)


def _unit(text):
    return u.Unit(text).to_string("unicode").replace("1\N{MULTIPLICATION SIGN}", "") if text else ""


def _parameters(separation):
    found = [_parameter(row) for row in _rows_of(separation) if np.isfinite(row["low"])]
    text = [
        "Errors are 68 % intervals. At a limit: the range that the model allows ends there, and the true value may lie "
        "beyond. Undecided: the data say so little that the range decides; more counts, or a narrower range that is "
        "known, help."
    ]
    return Section("parameters", "Parameters", text, parameters=found) if found else None


def _fluxes(separation):
    found = [_parameter(row) for row in _rows_of(separation) if not np.isfinite(row["low"])]
    text = [
        "Amplitudes in the units of the models, and energy fluxes before absorption in the band of the energy bins."
    ]
    if not found:
        text = ["None: they need the physical parameters of the components, and an exposure time in the header."]
    return Section("fluxes", "Fluxes", text, parameters=found)


def _diagnostics(separation):
    table = separation.diagnostics
    names = [name for name in table.colnames if name != "component"]
    of_components = [[name, *map(_shown, table[name]), COLUMNS.get(name, "")] for name in names]
    of_all = [[key, _shown(value), FIGURES.get(key, "")] for key, value in table.meta.items()]
    head = ("", *map(str, table["component"]), "what it is")
    tables = [Table(head, of_components), Table(("", "value", "what it is"), of_all)]
    return Section("diagnostics", "Diagnostics", tables=tables)


def _shown(value):
    value = getattr(value, "value", value)
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    return str(value)


def _provenance(separation):
    header = separation.header
    rows = [["model", f"{header.get('MODEL', 'not said')}"], ["its weights", str(header.get("MODELSUM", "not said"))]]
    rows += [[key.lower(), str(header[key])] for key in ("CREATOR", "DATE") if key in header]
    rows += [["history", str(line)] for line in header.get("HISTORY", [])]
    rows += [["settings", str(header["SEPARATR"])]] if "SEPARATR" in header else []
    text = ["This makes it again, from the same cube and with the same version."]
    return Section("provenance", "Provenance", text, tables=[Table(("", ""), rows)], code=[_command(header)])


def _command(header):
    """Give the command that made a separation, or the call."""
    if "COMMAND" in header:
        return str(header["COMMAND"])
    given = _settings(str(header.get("SEPARATR", "")))
    said = "".join(f", {name}={given[name]!r}" for name in _ARGUMENTS if name in given)
    return f"astro_lpalm.separate(cube, {str(header.get('MODEL', 'MODEL'))!r}{said})"


def _settings(text):
    """Read those settings of a ``Separator(...)`` that are plain values."""
    try:
        call = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):  # not ours, or cut off
        return {}
    found = {}
    for keyword in getattr(call, "keywords", []):
        try:
            found[keyword.arg] = ast.literal_eval(keyword.value)
        except ValueError:
            continue
    return found
