"""Panels of a Separation's figure that have sky coordinates."""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import AsinhNorm, Normalize, to_rgb

from ..trust.errors import residual_share
from ._plot_spectra import COLORS, FONT

__all__ = ["draw_composite", "draw_image", "draw_misfit"]

_AXIS_NAMES = {"RA": "R.A.", "DEC": "Dec.", "GLON": "Galactic longitude", "GLAT": "Galactic latitude"}
_BAR_GAP, _BAR_HEIGHT, _TICK_GAP = 0.05, 0.07, 0.3  # inches
_TITLE, _LINE = 20, 9.5  # points
_LETTER = 0.55 * FONT / 72  # a letter is about 0.55 times as wide as its size in points
_MISFIT_REACH = 5.0
_ENOUGH_COUNTS = 30.0  # in a block: images of fewer follow the noise, and leave nothing to compare


def draw_image(separation, name, axes, *, outer, size):
    """Draw the image of a component, with an asinh stretch."""
    values = np.ma.masked_invalid(separation.images[name].data)
    drawn = axes.imshow(
        values,
        origin="lower",
        interpolation="nearest",
        cmap=colormaps["inferno"].with_extremes(bad="0.8"),
        norm=_stretch(values.compressed()),
    )
    row = separation.diagnostics[separation.names.index(name)]
    share = f"({row['share']:.1%})"
    _title(axes, size, name, (f"{row['counts'].value:,.0f} ct {share}", share), "ct / pixel")
    _label_sky(axes, **outer)
    _color_bar(axes, drawn, size)


def draw_composite(separation, axes, *, outer, size):
    """Draw the three components with most counts on top of each other, in the colours of their spectra."""
    counts = separation.diagnostics["counts"].value
    chosen = sorted(np.argsort(counts)[::-1][:3])
    rgb = np.zeros((*separation.cube.data.shape[1:], 3))
    for index in chosen:
        values = np.nan_to_num(separation.images[separation.names[index]].data)
        norm = _stretch(values[~separation.cube.pixel_mask])
        norm.vmin, norm.clip = 0.0, True
        rgb += np.ma.getdata(norm(values))[..., np.newaxis] * _bright(index)
    rgb /= np.maximum(rgb.max(axis=-1, keepdims=True), 1)  # what is too bright keeps its hue
    rgb[separation.cube.pixel_mask] = 0.8
    axes.imshow(rgb, origin="lower", interpolation="nearest")
    longest = max(len(separation.names[index]) for index in chosen)
    for line, index in enumerate(chosen):
        axes.annotate(
            separation.names[index],
            (0, 1),
            (0, 3 + _LINE * (len(chosen) - 1 - line)),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=FONT * min(1, size[0] / _LETTER / longest),
            fontweight="bold",
            color=COLORS[index % len(COLORS)],
        )
    _label_sky(axes, **outer)


def draw_misfit(separation, axes, *, outer, size):
    """Draw where the model fails; see `Separation.plot`."""
    data, expected = separation.cube.matrix(), np.maximum(separation.fit.expected(), 0)
    share = residual_share(separation.mixing, separation.fit.variance)
    side, block = _blocks(separation.cube.pixel_mask, expected.sum(axis=0).mean())
    data, expected = (_summed(rows, block) for rows in (data, expected))
    deviation = np.sqrt(np.maximum((2 * expected**2 + expected).sum(axis=0), 1e-3))
    misfit = ((((data - expected) ** 2).sum(axis=0) - share @ expected) / deviation)[block]
    drawn = axes.imshow(
        np.ma.masked_invalid(separation.cube.image_of(misfit)),
        origin="lower",
        interpolation="nearest",
        cmap=colormaps["PuOr_r"].with_extremes(bad="0.8"),
        norm=Normalize(-_MISFIT_REACH, _MISFIT_REACH),
    )
    chi_square = separation.diagnostics.meta.get("reduced_chi_square")
    details = () if chi_square is None else (f"(reduced chi square {chi_square:.2f})", f"(chi2 {chi_square:.2f})")
    if side > 1:
        where = f"of {side} x {side} pixels"
        details = (*(f"{where} {detail}" for detail in details[1:]), where, f"({side} px)")
    _title(axes, size, "misfit", details, "$\\sigma$")
    _label_sky(axes, **outer)
    _color_bar(axes, drawn, size)


def _blocks(mask, counts):
    """Side of square blocks of pixels that have enough counts on average, and the block of each unmasked pixel."""
    side = 1
    while side**2 * counts < _ENOUGH_COUNTS and side < min(mask.shape) / 4:
        side *= 2
    y, x = np.nonzero(~mask)
    return side, np.unique(y // side * mask.shape[1] + x // side, return_inverse=True)[1]


def _summed(rows, block):
    return np.stack([np.bincount(block, row) for row in rows])


def _bright(index):
    color = np.array(to_rgb(COLORS[index % len(COLORS)]))
    return color / color.max()


def _title(axes, size, name, details=(), unit=""):
    """Write above the colour bar a name, the first detail of it that finds room, and the unit at the right end."""
    room = size[0] / _LETTER - len(unit) - 2
    text = next((f"{name}  {detail}" for detail in details if len(name) + 2 + len(detail) <= room), name)
    shrink = min(1, (size[0] / _LETTER) / (len(text) + len(unit) + 2))
    how = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
    axes.annotate(text, (0, 1), (0, _TITLE), fontsize=FONT * shrink, gid="title", **how)
    axes.annotate(unit, (1, 1), (0, _TITLE), fontsize=(FONT - 1) * shrink, ha="right", gid="unit", **how)


def _stretch(values):
    """Asinh between percentiles, linear about as far as the noise goes, with little room for its negative side."""
    if not values.size:
        return AsinhNorm(1, vmin=0, vmax=1)
    low, middle, high = np.percentile(values, [0.5, 50, 99.7])
    noise = 1.4826 * np.median(np.abs(values - middle))
    low, high = min(low, 0), max(high, 0)
    if high == low:
        low, high = min(values.min(), 0), max(values.max(), 1)
    linear = np.clip(noise, 0.03 * (high - low), 0.3 * (high - low))
    return AsinhNorm(linear, vmin=max(low, -1.5 * linear) if high > 0 else low, vmax=high)


def _color_bar(axes, drawn, size):
    width, height = size
    bar_axes = axes.inset_axes([0, 1 + _BAR_GAP / height, 1, _BAR_HEIGHT / height])
    ticks = _choose_ticks(drawn.norm, width)
    bar = axes.figure.colorbar(drawn, cax=bar_axes, orientation="horizontal", ticks=ticks)
    bar.ax.minorticks_off()
    bar.ax.xaxis.set_ticks_position("top")
    bar.ax.xaxis.set_major_formatter("{x:g}")
    bar.ax.tick_params(labelsize=FONT - 1, pad=1, length=2)
    bar.outline.set_linewidth(0.4)


def _choose_ticks(norm, width):
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


def _label_sky(axes, *, left, bottom):
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
