"""Physical parameters as a table."""

import numpy as np
from astropy.table import QTable

__all__ = ["parameter_table"]

_SHARED = "all"  # components, as the absorption is


def parameter_table(physical, physics):
    """Tabulate the physical parameters of a separation.

    Parameters
    ----------
    physical : `~astro_lpalm.separation.PhysicalFit`
    physics : `~astro_lpalm.spectra.ParametricSpectra`

    Returns
    -------
    `~astropy.table.QTable`
        A row for each parameter that has a range: ``component`` ("all" for the absorption), ``parameter``, ``value``,
        ``error_low`` and ``error_high`` (distances to the ends of the 68 % interval), ``unit``, ``low`` and ``high``
        (its range), ``at_limit`` (whether the value is an end of the range) and ``undecided`` (whether the data say so
        little that the range decides). Plain numbers, as the units differ from row to row.
    """
    each = physics.parameters
    low, high = physical.intervals
    table = QTable(
        {
            "component": [parameter.component or _SHARED for parameter in each],
            "parameter": [parameter.name for parameter in each],
            "value": physical.values,
            # The interval is that of what is possible: at a limit, the likeliest value may lie outside.
            "error_low": np.maximum(physical.values - low, 0.0),
            "error_high": np.maximum(high - physical.values, 0.0),
            "unit": [parameter.unit for parameter in each],
            "low": [parameter.low for parameter in each],
            "high": [parameter.high for parameter in each],
            "at_limit": physical.at_limit,
            "undecided": physical.undecided,
        }
    )
    for name in ("value", "error_low", "error_high", "low", "high"):
        table[name].info.format = ".4g"
    return table
