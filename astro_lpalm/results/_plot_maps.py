"""The figure of a Separation's smooth images and maps of parameters."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, Normalize
from matplotlib.patheffects import withStroke
from scipy.ndimage import gaussian_filter

from .._figure import ShownFigure
from ._plot_axes import color_bar, even_ticks, label_sky, title
from ._plot_layout import LEFT, RIGHT, SKY_LABELS, TOP, Page, SkyGrid, checked_width
from ._plot_sky import draw_composite, draw_image
from ._plot_spectra import FONT

__all__ = ["map_look", "plot_maps"]

_GREY = "0.8"  # of what is not known, as of what is excluded
_PERCENTILES = 1, 99
_BOTH_SIGNS = 0.1  # of the larger side: a smaller one on the other side of zero is not worth colours of its own
_CONTOURS = 0.1, 0.4  # of the brightness
_SMOOTHED = 90  # parts of a side, over which the brightness is smoothed for them: its outline, not its clumps
_SHAPE = 1.4  # width over height, about
_KNOWN = 2.0  # median errors: what is known worse sets no limits of colours


def plot_maps(separation, figure=None, width=None):
    """Draw smooth images and maps; see `Separation.plot`."""
    if separation.smooth is None and not separation.maps:
        msg = "there are neither smooth images nor maps to draw: separate with maps=True, or take kind='summary'."
        raise ValueError(msg)
    width = checked_width(width) if figure is None else figure.get_size_inches()[0]
    aspect = separation.cube.shape[1] / separation.cube.shape[2]
    grid, panels = _placed(_panels(separation), aspect, width - LEFT - RIGHT)
    page = Page(width, TOP + grid.height + SKY_LABELS)
    figure = figure or ShownFigure(figsize=(page.width, page.height))
    grid.draw(figure, page, panels, separation.cube.wcs)
    return figure


def _placed(groups, aspect, inner):
    """Place groups of panels; the last one, the composite, comes first where that leaves fewer gaps."""
    found = []
    for order in (groups, [*groups[-1:], *groups[:-1]]):
        grid = SkyGrid.of([len(group) for group in order], aspect, inner, _SHAPE)
        found.append((grid, [panel for group in order for panel in group]))
    return min(found, key=lambda each: each[0].n_gaps)


def _panels(separation):
    """Functions that draw the panels: an image and the maps of each component, and the composite."""
    images, maps = separation.smooth_images or separation.images, separation.parameter_maps
    groups = []
    for name in separation.names:
        group = [lambda axes, name=name, **how: draw_image(separation, name, axes, images=images, **how)]
        contours = images[name].data if separation.smooth is not None else None
        for parameter, found in maps.get(name, {}).items():
            what = {"found": found, "name": f"{name} {parameter.replace('_', ' ')}", "brightness": contours}
            group.append(lambda axes, what=what, **how: _draw_map(axes, **what, **how))
        groups.append(group)
    if len(separation.names) > 1:
        groups.append([lambda axes, **how: draw_composite(separation, axes, images=images, **how)])
    return groups


@dataclass(frozen=True)
class MapLook:
    """How a map is shown: values and errors in a unit of their size, and colours that fade where it is not known."""

    values: np.ndarray
    errors: np.ndarray
    unit: str
    colors: Colormap
    norm: Normalize
    opacity: np.ndarray


def map_look(found):
    """Choose the look of a map."""
    decided = ~found.mask
    power = int(np.floor(np.log10(np.abs(found.data[decided]).max(initial=0) or 1)))
    scale = 1.0 if -3 < power < 5 else 10.0**power
    values, errors = found.data / scale, found.uncertainty.array / scale
    colors, norm = _colors(values[decided], errors[decided])
    spread = (norm.vmax - norm.vmin) / 4
    return MapLook(
        values,
        errors,
        u.Unit(scale * found.unit).to_string("unicode").removeprefix("1\N{MULTIPLICATION SIGN}"),
        colormaps[colors].with_extremes(bad=_GREY),
        norm,
        np.where(decided, 1 / (1 + (np.where(decided, errors, 0) / spread) ** 2), 1),
    )


def _draw_map(axes, found, name, brightness, *, outer, size):
    """Draw a map, which fades to grey where errors are as large as what it shows, and contours of the brightness."""
    look = map_look(found)
    decided, errors = ~found.mask, look.errors
    axes.set_facecolor(_GREY)
    drawn = axes.imshow(
        np.ma.masked_array(look.values, found.mask),
        origin="lower",
        interpolation="nearest",
        cmap=look.colors,
        norm=look.norm,
        alpha=look.opacity,
    )
    if brightness is not None:
        _draw_contours(axes, brightness)
    title(axes, size, name, () if decided.any() else ("(undecided)", "(?)"), look.unit)
    label_sky(axes, **outer)
    if decided.any():
        color_bar(axes, drawn, size, even_ticks)
        text = f"\N{PLUS-MINUS SIGN} {np.median(errors[decided]):.2g}"
        stroke = [withStroke(linewidth=2, foreground="white")]
        how = {"fontsize": FONT - 1, "path_effects": stroke, "gid": "error"}
        axes.annotate(text, (0, 0), (3, 3), xycoords="axes fraction", textcoords="offset points", **how)


def _draw_contours(axes, brightness):
    """Draw the outline of an image; pixels that are excluded are bridged."""
    inside = np.isfinite(brightness)
    width = max(brightness.shape) / _SMOOTHED
    weight = gaussian_filter(inside.astype(float), width)
    smooth = gaussian_filter(np.where(inside, brightness, 0.0), width) / np.maximum(weight, 1e-3)
    top = np.percentile(smooth[inside], 99.7) if inside.any() else 0.0
    levels = [level * top for level in _CONTOURS]
    if top > 0 and levels[0] > smooth.min():
        axes.contour(smooth, levels, colors="black", linewidths=0.5, alpha=0.7)


def _colors(values, errors):
    """Choose colours and their limits: of both signs they are even about zero. What is noise is not to fill them."""
    if not values.size:
        return "viridis", Normalize(0, 1)
    typical = np.median(errors)
    low, high = np.percentile(values[errors <= _KNOWN * typical], _PERCENTILES)
    if min(-low, high) > _BOTH_SIGNS * max(-low, high):
        reach = max(-low, high, typical)
        return "RdBu_r", Normalize(-reach, reach)
    middle, half = (low + high) / 2, max((high - low) / 2, typical, 1e-6 * abs(low + high))
    return "viridis", Normalize(middle - half, middle + (half or 1))
