"""The figure of a Separation: what goes where."""

import astropy.units as u
import numpy as np
from matplotlib.figure import Figure

from ._plot_parameters import draw_parameters, parameter_columns
from ._plot_sky import draw_composite, draw_image, draw_misfit
from ._plot_spectra import draw_spectra, legend_rows

__all__ = ["plot_separation"]

PANELS = ("images", "composite", "misfit", "spectra", "parameters")

# Inches, at the size at which the figure is printed.
_LEFT, _RIGHT, _TOP, _BOTTOM, _COLUMN_GAP = 0.72, 0.12, 0.08, 0.4, 0.14
_HEADER, _SKY_LABELS, _TALLEST = 0.46, 0.36, 3.2  # above and below an image, and the height of one
_LEGEND_ROW, _SPECTRUM, _RESIDUAL = 0.155, 1.9, 0.7
_GAP = 0.12  # around the parameters
_SMALLEST_IMAGE, _FEWEST_GAPS = 1.15, 1.5


def plot_separation(separation, figure=None, panels=None, width=180 * u.mm):
    """Draw a separation; see `Separation.plot`."""
    panels = _checked_panels(panels)
    sky = _sky_panels(separation, panels)
    width = _checked_width(width) if figure is None else figure.get_size_inches()[0]
    aspect = separation.cube.data.shape[1] / separation.cube.data.shape[2]
    inner = width - _LEFT - _RIGHT
    n_columns = _choose_columns(len(sky), aspect, inner) if sky else 1
    n_rows = -(-len(sky) // n_columns)
    cell = (inner - (n_columns - 1) * _COLUMN_GAP) / n_columns
    image = min(cell, _TALLEST / aspect)
    row = _HEADER + image * aspect
    rows_of_legend = legend_rows(separation.names, inner)
    spectra = rows_of_legend * _LEGEND_ROW + 0.06 + _SPECTRUM + _RESIDUAL + _BOTTOM if "spectra" in panels else 0
    with_parameters = "parameters" in panels and separation.parameters is not None
    columns, parameters = parameter_columns(separation.parameters, inner) if with_parameters else (0, 0.0)
    parameters += _GAP if with_parameters else 0.0
    total = _TOP + n_rows * row + (_SKY_LABELS if sky else 0) + spectra + parameters
    if figure is None:
        figure = Figure(figsize=(width, total))

    def place(left, top, wide, high):
        """Axes from their distance to the left and upper edges of the figure."""
        return [left / width, 1 - (top + high) / total, wide / width, high / total]

    for index, draw in enumerate(sky):
        at_row, at_column = divmod(index, n_columns)
        left = _LEFT + at_column * (cell + _COLUMN_GAP) + (cell - image) / 2
        box = place(left, _TOP + at_row * row + _HEADER, image, image * aspect)
        axes = figure.add_axes(box, projection=separation.cube.wcs)
        # All have the same coordinates, and labels of neighbours would run into each other.
        outer = {"left": at_column == 0, "bottom": at_column == 0 and index + n_columns >= len(sky)}
        draw(axes, outer=outer, size=(image, image * aspect))
    if "spectra" in panels:
        top = total - parameters - _BOTTOM - _RESIDUAL - _SPECTRUM
        upper = figure.add_axes(place(_LEFT, top, inner, _SPECTRUM))
        lower = figure.add_axes(place(_LEFT, top + _SPECTRUM + 0.05, inner, _RESIDUAL - 0.05), sharex=upper)
        draw_spectra(separation, upper, lower, rows_of_legend)
    if with_parameters:
        draw_parameters(
            separation,
            figure.add_axes(place(_RIGHT, total - parameters, width - 2 * _RIGHT, parameters - _GAP)),
            columns,
        )
    return figure


def _sky_panels(separation, panels):
    """Functions that draw the panels with sky coordinates, in order."""
    sky = []
    if "images" in panels:
        sky += [lambda axes, name=name, **how: draw_image(separation, name, axes, **how) for name in separation.names]
    if "composite" in panels and len(separation.names) > 1:
        sky.append(lambda axes, **how: draw_composite(separation, axes, **how))
    if "misfit" in panels:
        sky.append(lambda axes, **how: draw_misfit(separation, axes, **how))
    return sky


def _checked_panels(panels):
    panels = PANELS if panels is None else (panels,) if isinstance(panels, str) else tuple(panels)
    unknown = [panel for panel in panels if panel not in PANELS]
    if unknown or not panels:
        msg = f"panels={panels!r} must be some of {', '.join(PANELS)}."
        raise ValueError(msg)
    return panels


def _checked_width(width):
    try:
        width = float(u.Quantity(width, u.mm).value)
    except (TypeError, u.UnitsError) as error:
        msg = f"width={width!r} must be a length, such as 88 * u.mm."
        raise ValueError(msg) from error
    if not 60 <= width <= 500:
        msg = f"width is {width:g} mm; take 60 to 500 mm: a journal's column has about 88, its page 180."
        raise ValueError(msg)
    return width / 25.4


def _choose_columns(n, aspect, inner):
    """Find in how many columns n images of this height over width fill the figure with few gaps."""

    def misfit(columns):
        rows = -(-n // columns)
        cell = (inner - (columns - 1) * _COLUMN_GAP) / columns
        high = rows * (_HEADER + min(cell * aspect, _TALLEST))
        too_small = max(0, _SMALLEST_IMAGE - min(cell, _TALLEST / aspect))
        return abs(np.log(inner / high / 1.6)) + _FEWEST_GAPS * (rows * columns - n) / n + 5 * too_small

    return min(range(1, min(n, 5) + 1), key=misfit)
