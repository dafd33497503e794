"""Panel of a Separation's figure that has the physical parameters."""

import astropy.units as u
import numpy as np

from ._plot_spectra import COLORS, FONT

__all__ = ["draw_parameters", "parameter_columns", "rounded"]

_NARROWEST, _ROW = 2.9, 0.165  # inches: a column of parameters, and the height of each
_NAME, _RANGE = 0.41, 0.24  # parts of a column: names, and the ranges between them and the values
_TINY = 1e-300


def parameter_columns(parameters, width):
    """Find in how many columns parameters go into this width (inches), and how high that is."""
    columns = max(1, int(width / _NARROWEST))
    return columns, -(-len(parameters) // columns) * _ROW


def draw_parameters(names, table, axes, columns):
    """Draw each parameter within its range: a bar for its 68 % interval, open and grey where the range decides it."""
    rows = -(-len(table) // columns)
    axes.set_xlim(0, columns)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.axis("off")
    colors = dict(zip(names, COLORS * (1 + len(names) // len(COLORS))))
    for number, row in enumerate(table):
        column, y = divmod(number, rows)
        color = "0.6" if row["undecided"] else colors.get(row["component"], "0.0")
        value, low, high = (float(row[key]) for key in ("value", "error_low", "error_high"))
        left = middle = column + _NAME
        if np.isfinite(row["low"]):
            start, span = float(row["low"]), float(row["high"]) - float(row["low"])
            places = left + _RANGE * (np.array([value - low, value, value + high]) - start) / span
            axes.plot([left, left + _RANGE], [y, y], color="0.85", linewidth=2.5, solid_capstyle="butt", zorder=1)
            axes.plot(places[[0, 2]], [y, y], color=color, linewidth=2.5, solid_capstyle="butt", zorder=2)
            middle = left + _RANGE + 0.02
            filled = "white" if row["at_limit"] else color
            axes.plot(places[1], y, "o", markersize=3, color=color, markerfacecolor=filled, zorder=3)
        look = {"va": "center_baseline", "fontsize": FONT - 0.5, "color": "0.4" if row["undecided"] else "black"}
        axes.text(left - 0.02, y, f"{row['component']} {row['parameter']}", ha="right", **look)
        axes.text(middle, y, _value_with_errors(value, low, high, str(row["unit"])), ha="left", **look)


def rounded(value, low, high):
    """Write a value and its errors with as many digits as the smaller error has two of; and their power of ten."""
    power = int(np.floor(np.log10(max(abs(value), low, high, _TINY))))
    power = 0 if -3 < power < 5 else power
    value, low, high = (each / 10.0**power for each in (value, low, high))
    least = min((each for each in (low, high) if each > 0), default=abs(value) or 1.0)
    digits = max(0, 1 - int(np.floor(np.log10(least))))
    return *(f"{each:.{digits}f}" for each in (value, low, high)), power


def _value_with_errors(value, low, high, unit):
    value, low, high, power = rounded(value, low, high)
    unit = u.Unit(unit)
    power += round(np.log10(unit.scale))
    scale = rf" \times 10^{{{power}}}" if power else ""
    plain = u.CompositeUnit(1, unit.bases, unit.powers)
    words = "km/s" if plain == u.km / u.s else plain.to_string("latex_inline") if plain.bases else ""
    return f"${value}_{{-{low}}}^{{+{high}}}{scale}$ {words}".rstrip()
