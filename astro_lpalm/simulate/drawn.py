"""The parameters that a simulation was made with, as a table like that of what a separation finds."""

import numpy as np
from astropy.table import QTable

from ..spectra.absorption import PhotoelectricAbsorption
from ..spectra.integration import unit_of

__all__ = ["drawn_parameters"]

_COLUMNS = "component", "parameter", "value", "error_low", "error_high", "unit", "low", "high", "at_limit", "undecided"


def drawn_parameters(library, drawn):
    """Tabulate drawn parameters.

    Parameters
    ----------
    library : `~astro_lpalm.spectra.SpectralLibrary`
    drawn : dict
        What its `draw_parameters` has drawn, one of each.

    Returns
    -------
    `~astropy.table.QTable`
        The columns of `~astro_lpalm.results.parameter_table`. Values are true: errors are zero, and none is at a limit
        or undecided. Parameters that have no range are there, too; of components made of samples it is the row.
    """
    rows = [("all", "nh", drawn["nh"], library.nh, unit_of(PhotoelectricAbsorption, "nh"))]
    for component in library.components:
        priors = getattr(component, "priors", {})
        for name, value in drawn[component.name].items():
            unit = component.expression.unit_of(name) if name in priors else ""
            rows.append((component.name, name, value, priors.get(name), unit))
    table = QTable(
        rows=[
            (component, name, float(value[0]), 0.0, 0.0, unit, *_range(prior), False, False)
            for component, name, value, prior, unit in rows
        ],
        names=_COLUMNS,
    )
    for name in ("value", "error_low", "error_high", "low", "high"):
        table[name].info.format = ".4g"
    return table


def _range(prior):
    return (np.nan, np.nan) if prior is None else (float(prior.low), float(prior.high))
