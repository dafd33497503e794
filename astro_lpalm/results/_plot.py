"""The figure of a Separation: what goes where."""

import astropy.units as u

from .._figure import ShownFigure
from ._plot_layout import BOTTOM, LEFT, RIGHT, SKY_LABELS, TOP, Page, SkyGrid, checked_width
from ._plot_parameters import draw_parameters, parameter_columns
from ._plot_sky import draw_composite, draw_image, draw_misfit
from ._plot_spectra import draw_spectra, legend_rows

__all__ = ["plot_separation"]

PANELS = ("images", "composite", "misfit", "spectra", "parameters")

_SHAPE = 1.6  # of all images: width over height
_LEGEND_ROW, _SPECTRUM, _RESIDUAL, _GAP = 0.155, 1.9, 0.7, 0.12  # inches; the last is around the parameters


def plot_separation(separation, figure=None, panels=None, width=180 * u.mm):
    """Draw a separation; see `Separation.plot`."""
    panels = _checked_panels(panels)
    sky = _sky_panels(separation, panels)
    width = checked_width(width) if figure is None else figure.get_size_inches()[0]
    inner = width - LEFT - RIGHT
    grid = SkyGrid.of([1] * len(sky), separation.cube.shape[1] / separation.cube.shape[2], inner, _SHAPE)
    rows_of_legend = legend_rows(separation.names, inner)
    spectra = rows_of_legend * _LEGEND_ROW + 0.06 + _SPECTRUM + _RESIDUAL + BOTTOM if "spectra" in panels else 0
    with_parameters = "parameters" in panels and separation.parameters is not None
    columns, parameters = parameter_columns(separation.parameters, inner) if with_parameters else (0, 0.0)
    parameters += _GAP if with_parameters else 0.0
    total = TOP + grid.height + (SKY_LABELS if sky else 0) + spectra + parameters
    if figure is None:
        figure = ShownFigure(figsize=(width, total))
    page = Page(width, total)
    grid.draw(figure, page, sky, separation.cube.wcs)
    if "spectra" in panels:
        top = total - parameters - BOTTOM - _RESIDUAL - _SPECTRUM
        upper = figure.add_axes(page.box(LEFT, top, inner, _SPECTRUM))
        lower = figure.add_axes(page.box(LEFT, top + _SPECTRUM + 0.05, inner, _RESIDUAL - 0.05), sharex=upper)
        draw_spectra(separation, upper, lower, rows_of_legend)
    if with_parameters:
        draw_parameters(
            separation.names,
            separation.parameters,
            figure.add_axes(page.box(RIGHT, total - parameters, width - 2 * RIGHT, parameters - _GAP)),
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
