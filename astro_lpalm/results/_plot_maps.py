"""The figure of a Separation's smooth images and maps of parameters."""

import astropy.units as u
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ._plot_axes import color_bar, even_ticks, label_sky, title
from ._plot_layout import LEFT, RIGHT, SKY_LABELS, TOP, Page, SkyGrid, checked_width
from ._plot_sky import draw_composite, draw_image

__all__ = ["plot_maps"]

_GREY = "0.8"  # of what is not known, as of what is excluded
_PERCENTILES = 1, 99
_BOTH_SIGNS = 0.1  # of the larger side: a smaller one on the other side of zero is not worth colours of its own
_CONTOURS = 0.1, 0.4  # of the brightness


def plot_maps(separation, figure=None, width=None):
    """Draw smooth images and maps; see `Separation.plot`."""
    if separation.smooth is None and not separation.maps:
        msg = "there are neither smooth images nor maps to draw: separate with maps=True, or take kind='summary'."
        raise ValueError(msg)
    groups = _panels(separation)
    width = checked_width(width) if figure is None else figure.get_size_inches()[0]
    aspect = separation.cube.data.shape[1] / separation.cube.data.shape[2]
    grid = SkyGrid.of([len(group) for group in groups], aspect, width - LEFT - RIGHT, 1.0)
    page = Page(width, TOP + grid.height + SKY_LABELS)
    figure = figure or Figure(figsize=(page.width, page.height))
    grid.draw(figure, page, [panel for group in groups for panel in group], separation.cube.wcs)
    return figure


def _panels(separation):
    """Functions that draw the panels: an image and the maps of each component, and the composite."""
    images, maps = separation.smooth_images or separation.images, separation.parameter_maps
    groups = []
    for name in separation.names:
        group = [lambda axes, name=name, **how: draw_image(separation, name, axes, images=images, **how)]
        contours = images[name].data if separation.smooth is not None else None
        for parameter, found in maps.get(name, {}).items():
            what = {"found": found, "name": f"{name} {parameter}", "brightness": contours}
            group.append(lambda axes, what=what, **how: _draw_map(axes, **what, **how))
        groups.append(group)
    if len(separation.names) > 1:
        groups.append([lambda axes, **how: draw_composite(separation, axes, images=images, **how)])
    return groups


def _draw_map(axes, found, name, brightness, *, outer, size):
    """Draw a map, which fades to grey where errors are as large as what it shows, and contours of the brightness."""
    decided = ~found.mask
    power = int(np.floor(np.log10(np.abs(found.data[decided]).max(initial=0) or 1)))
    scale = 1.0 if -3 < power < 5 else 10.0**power
    values, errors = found.data / scale, found.uncertainty.array / scale
    colors, norm = _colors(values[decided], errors[decided])
    spread = (norm.vmax - norm.vmin) / 4
    axes.set_facecolor(_GREY)
    drawn = axes.imshow(
        np.ma.masked_array(values, found.mask),
        origin="lower",
        interpolation="nearest",
        cmap=colormaps[colors].with_extremes(bad=_GREY),
        norm=norm,
        alpha=np.where(decided, 1 / (1 + (np.where(decided, errors, 0) / spread) ** 2), 1),
    )
    if brightness is not None:
        top = np.nanpercentile(brightness, 99.7)
        levels = [level * top for level in _CONTOURS if level * top < np.nanmax(brightness)]
        if top > 0 and levels:
            axes.contour(np.ma.masked_invalid(brightness), levels, colors="black", linewidths=0.4, alpha=0.7)
    details = "(undecided)", "(?)"
    if decided.any():
        typical = f"{np.median(errors[decided]):.2g}"
        details = f"(median error {typical})", f"(± {typical})"
    unit = u.Unit(scale * found.unit).to_string("unicode")
    title(axes, size, name, details, unit.removeprefix("1\N{MULTIPLICATION SIGN}"))
    label_sky(axes, **outer)
    color_bar(axes, drawn, size, even_ticks)


def _colors(values, errors):
    """Choose colours and their limits: of both signs they are even about zero. What is noise is not to fill them."""
    if not values.size:
        return "viridis", Normalize(0, 1)
    low, high = np.percentile(values, _PERCENTILES)
    typical = np.median(errors)
    if min(-low, high) > _BOTH_SIGNS * max(-low, high):
        reach = max(-low, high, typical)
        return "RdBu_r", Normalize(-reach, reach)
    middle, half = (low + high) / 2, max((high - low) / 2, typical, 1e-6 * abs(low + high))
    return "viridis", Normalize(middle - half, middle + (half or 1))
