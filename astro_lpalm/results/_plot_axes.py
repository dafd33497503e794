"""What is around a panel of a Separation's figure that has sky coordinates: title, colour bar, coordinates."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from ._plot_spectra import FONT

__all__ = ["LETTER", "choose_ticks", "color_bar", "even_ticks", "label_sky", "title"]

_AXIS_NAMES = {"RA": "R.A.", "DEC": "Dec.", "GLON": "Galactic longitude", "GLAT": "Galactic latitude"}
_BAR_GAP, _BAR_HEIGHT, _TICK_GAP = 0.05, 0.07, 0.3  # inches
_BEYOND, _BETWEEN = 0.05, 0.06  # how far labels of ticks may go beyond the bar, and between them
_TITLE = 20  # points
LETTER = 0.55 * FONT / 72  # a letter is about 0.55 times as wide as its size in points


def title(axes, size, name, details=(), unit=""):
    """Write above the colour bar a name, the first detail of it that finds room, and the unit at the right end."""
    room = size[0] / LETTER - len(unit) - 2
    text = next((f"{name}  {detail}" for detail in details if len(name) + 2 + len(detail) <= room), name)
    shrink = min(1, (size[0] / LETTER) / (len(text) + len(unit) + 2))
    how = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
    axes.annotate(text, (0, 1), (0, _TITLE), fontsize=FONT * shrink, gid="title", **how)
    axes.annotate(unit, (1, 1), (0, _TITLE), fontsize=(FONT - 1) * shrink, ha="right", gid="unit", **how)


def choose_ticks(norm, width):
    """Choose zero and round values for a colour bar of this width in inches, none too close to another."""
    reach = max(abs(norm.vmin), abs(norm.vmax), np.finfo(float).tiny)
    decades = 10.0 ** np.arange(np.floor(np.log10(reach)), np.floor(np.log10(reach)) - 6, -1)
    ticks = []
    for candidate in [0.0, *(sign * factor * decades for factor in (1, 5, 2) for sign in (1, -1))]:
        for tick in np.atleast_1d(candidate):
            inside = norm.vmin <= tick <= norm.vmax
            if inside and all(abs(norm(tick) - norm(other)) * width > _TICK_GAP for other in ticks):
                ticks.append(float(tick))
    return sorted(ticks)


def color_bar(axes, drawn, size, choose=choose_ticks):
    """Draw the colour bar of an image above it, with ticks for zero and powers of ten unless others are chosen."""
    width, height = size
    bar_axes = axes.inset_axes([0, 1 + _BAR_GAP / height, 1, _BAR_HEIGHT / height])
    ticks = choose(drawn.norm, width)
    bar = axes.figure.colorbar(drawn, cax=bar_axes, orientation="horizontal", ticks=ticks)
    bar.ax.minorticks_off()
    bar.ax.xaxis.set_ticks_position("top")
    bar.ax.xaxis.set_major_formatter("{x:g}")
    bar.ax.tick_params(labelsize=FONT - 1, pad=1, length=2)
    bar.outline.set_linewidth(0.4)


def even_ticks(norm, width):
    """Choose round values at even steps, for a linear scale: as many as find room, none far beyond the ends."""
    found = []
    for bins in range(2, 12):
        steps = MaxNLocator(bins, steps=[1, 2, 2.5, 5, 10]).tick_values(norm.vmin, norm.vmax)
        wide = LETTER * max(len(f"{step:g}") for step in steps)
        reach = width + 2 * _BEYOND - wide  # of the middles of labels
        inside = [step for step in steps if abs(norm(step) - 0.5) * width <= min(width, reach) / 2]
        if len(inside) < 2 or (norm(inside[1]) - norm(inside[0])) * width > wide + _BETWEEN:
            found = max(found, inside, key=len)
    return found


def label_sky(axes, *, left, bottom):
    """Name the sky coordinates along the outer edges only, the right one on each even if north is not up."""
    wcs = axes.wcs
    longitude, latitude = wcs.wcs.lng, wcs.wcs.lat
    along_x, along_y = np.abs(wcs.pixel_scale_matrix[longitude])
    horizontal, vertical = (longitude, latitude) if along_x >= along_y else (latitude, longitude)
    for index, side, shown in ((horizontal, "b", bottom), (vertical, "l", left)):
        coordinate = axes.coords[index]
        coordinate.set_ticks_position(side)
        coordinate.set_ticklabel_position(side)
        coordinate.set_axislabel_position(side)
        coordinate.set_ticks(number=3)
        coordinate.tick_params(length=2.5, width=0.5)
        coordinate.set_ticklabel(size=FONT - 1, exclude_overlapping=True)
        coordinate.set_ticklabel_visible(shown)
        kind = wcs.wcs.ctype[index][:4].rstrip("-")
        coordinate.set_axislabel(_AXIS_NAMES.get(kind, kind) if shown else "", fontsize=FONT, minpad=0.6)
        if not shown:
            coordinate.set_auto_axislabel(False)
    axes.coords.frame.set_linewidth(0.6)
