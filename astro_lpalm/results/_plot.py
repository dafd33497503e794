"""The figure of a Separation."""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import AsinhNorm
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

__all__ = ["plot_separation"]

# Okabe & Ito (2008), told apart by colour-blind readers too; black and grey are left to data and model.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_STYLES = ("-", "--", ":", "-.")
_AXIS_NAMES = {
    "RA": "Right ascension",
    "DEC": "Declination",
    "GLON": "Galactic longitude",
    "GLAT": "Galactic latitude",
}
_FONT = 9

# Inches. The figure is as wide as a page of two columns; its height follows from the images.
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 11.0, 0.95, 0.8, 0.5, 0.5
_COLUMN_GAP, _ROW_GAP, _TALLEST_BLOCK = 0.6, 0.6, 6.5
_LABELS_GAP, _LEGEND_ROW, _SPECTRUM, _RESIDUAL = 0.65, 0.22, 2.9, 1.0
_BAR_GAP, _BAR_WIDTH, _BAR_TICK_GAP = 0.06, 0.1, 0.17
_LETTER, _LEGEND_HANDLE = 0.6 * _FONT / 72, 0.55  # a letter is about 0.6 times as wide as its size in points


def plot_separation(separation, figure=None):
    """Draw a separation; see `Separation.plot`."""
    ny, nx = separation.cube.data.shape[1:]
    n_columns = _choose_columns(len(separation.names), ny / nx)
    n_rows = -(-len(separation.names) // n_columns)
    longest = max(map(len, separation.names))
    legend_columns = max(1, int((_WIDTH - _LEFT - _RIGHT) / (_LEGEND_HANDLE + _LETTER * longest)))
    legend_height = _LEGEND_ROW * -(-(len(separation.names) + 2) // legend_columns)

    width = (_WIDTH - _LEFT - _RIGHT - (n_columns - 1) * _COLUMN_GAP) / n_columns
    height = min(width * ny / nx, (_TALLEST_BLOCK - (n_rows - 1) * _ROW_GAP) / n_rows)
    block = n_rows * height + (n_rows - 1) * _ROW_GAP
    total = _TOP + block + _LABELS_GAP + legend_height + _SPECTRUM + _RESIDUAL + _BOTTOM
    if figure is None:
        figure = Figure(figsize=(_WIDTH, total))

    sides = {"left": _LEFT / _WIDTH, "right": 1 - _RIGHT / _WIDTH}
    grid = GridSpec(
        n_rows,
        n_columns,
        figure=figure,
        top=1 - _TOP / total,
        bottom=1 - (_TOP + block) / total,
        wspace=_COLUMN_GAP / width,
        hspace=_ROW_GAP / height,
        **sides,
    )
    _draw_images(separation, figure, grid, min(width, height * nx / ny), height)
    grid = GridSpec(
        2,
        1,
        figure=figure,
        top=(_BOTTOM + _RESIDUAL + _SPECTRUM) / total,
        bottom=_BOTTOM / total,
        height_ratios=[_SPECTRUM, _RESIDUAL],
        hspace=0.06,
        **sides,
    )
    upper = figure.add_subplot(grid[0])
    _draw_spectra(separation, upper, legend_columns)
    _draw_residuals(separation, figure.add_subplot(grid[1], sharex=upper))
    return figure


def _choose_columns(n, aspect):
    """Find in how many columns n images of this height over width fill a wide block with few gaps."""

    def misfit(columns):
        rows = -(-n // columns)
        shape = abs(np.log(columns / (rows * aspect) / 2.5))
        return shape + (rows * columns - n) / n

    return min(range(1, min(n, 4) + 1), key=misfit)


def _draw_images(separation, figure, grid, width, height):
    """Draw the images on a grid in which each is this many inches wide and high."""
    n_columns = grid.ncols
    for index, (name, image) in enumerate(separation.images.items()):
        axes = figure.add_subplot(grid[index // n_columns, index % n_columns], projection=image.wcs)
        values = np.ma.masked_invalid(image.data)
        drawn = axes.imshow(
            values,
            origin="lower",
            interpolation="nearest",
            cmap=colormaps["inferno"].with_extremes(bad="0.8"),
            norm=_stretch(values.compressed()),
        )
        row = separation.diagnostics[index]
        title = f"{name}\n{row['counts'].value:,.0f} counts ({row['share']:.1%})"
        fitting = (max(width, 1.5) + _COLUMN_GAP) / (_LETTER * max(map(len, title.split("\n")))) * _FONT
        axes.set_title(title, fontsize=min(_FONT + 1, fitting), pad=3)
        last = index + n_columns >= len(separation.names)
        _label_sky(axes, image.wcs, left=index % n_columns == 0, bottom=last)
        bar_axes = axes.inset_axes([1 + _BAR_GAP / width, 0, _BAR_WIDTH / width, 1])
        bar = figure.colorbar(drawn, cax=bar_axes, ticks=_choose_ticks(drawn.norm, height))
        bar.ax.minorticks_off()
        bar.ax.yaxis.set_major_formatter("{x:g}")
        bar.ax.tick_params(labelsize=_FONT - 2, pad=2)
        if index % n_columns == n_columns - 1 or index == len(separation.names) - 1:
            bar.set_label("counts / pixel", fontsize=_FONT)


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


def _choose_ticks(norm, height):
    """Choose zero and round values for a colour bar of this height in inches, none too close to another."""
    reach = max(abs(norm.vmin), abs(norm.vmax), np.finfo(float).tiny)
    decades = 10.0 ** np.arange(np.floor(np.log10(reach)), np.floor(np.log10(reach)) - 6, -1)
    ticks = []
    for candidate in [0.0, *(sign * factor * decades for factor in (1, 5, 2) for sign in (1, -1))]:
        for tick in np.atleast_1d(candidate):
            inside = norm.vmin <= tick <= norm.vmax
            if inside and all(abs(norm(tick) - norm(other)) * height > _BAR_TICK_GAP for other in ticks):
                ticks.append(float(tick))
    return sorted(ticks)


def _label_sky(axes, wcs, *, left, bottom):
    """Name the sky coordinates along the outer edges only, the right one on each even if north is not up."""
    longitude, latitude = wcs.wcs.lng, wcs.wcs.lat
    along_x, along_y = np.abs(wcs.pixel_scale_matrix[longitude])
    horizontal, vertical = (longitude, latitude) if along_x >= along_y else (latitude, longitude)
    for index, side, shown in ((horizontal, "b", bottom), (vertical, "l", left)):
        coordinate = axes.coords[index]
        coordinate.set_ticks_position(side)
        coordinate.set_ticklabel_position(side)
        coordinate.set_axislabel_position(side)
        coordinate.set_ticks(number=4)
        coordinate.set_ticklabel(size=_FONT - 1, exclude_overlapping=True)
        coordinate.set_ticklabel_visible(shown)
        kind = wcs.wcs.ctype[index][:4].rstrip("-")
        coordinate.set_axislabel(_AXIS_NAMES.get(kind, kind) if shown else "", fontsize=_FONT)
        if not shown:
            coordinate.set_auto_axislabel(False)


def _draw_spectra(separation, axes, legend_columns):
    edges = separation.cube.energy_edges.to_value("keV")
    widths = np.diff(edges)
    counts = separation.cube.matrix().sum(axis=1)
    model = separation.mixing @ separation.sources.sum(axis=1)
    lines = [_draw_data(axes, edges, counts / widths, np.sqrt(np.abs(counts)) / widths)]
    lines.append(axes.stairs(model / widths, edges, color="0.55", linewidth=2.2, label="model", baseline=None))
    for index, name in enumerate(separation.names):
        style = {"color": _COLORS[index % len(_COLORS)], "linestyle": _STYLES[index // len(_COLORS) % len(_STYLES)]}
        spectrum = separation.spectra[name].value / widths
        lines.append(axes.stairs(spectrum, edges, linewidth=1.4, label=name, baseline=None, **style))
    axes.set_yscale("log")
    top = max(np.max(counts / widths), np.max(model / widths))
    if top > 0:
        positive = [line.get_data().values for line in lines[1:]]
        positive = np.concatenate([counts / widths, *positive])
        bottom = positive[positive > 0].min()
        axes.set_ylim(max(bottom / 2, top * 1e-4), top * 2)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylabel("counts / keV", fontsize=_FONT)
    axes.tick_params(labelsize=_FONT - 1, which="both", direction="in", top=True, right=True)
    axes.tick_params(labelbottom=False)
    axes.legend(
        handles=lines,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=legend_columns,
        fontsize=_FONT,
        frameon=False,
        borderaxespad=0.2,
    )


def _draw_data(axes, edges, values, errors, label="data"):
    centers = (edges[1:] + edges[:-1]) / 2
    return axes.errorbar(
        centers, values, errors, fmt="o", color="black", markersize=2.5, elinewidth=0.8, label=label, zorder=3
    )


def _draw_residuals(separation, axes):
    edges = separation.cube.energy_edges.to_value("keV")
    counts = separation.cube.matrix().sum(axis=1)
    model = separation.mixing @ separation.sources.sum(axis=1)
    sigma = np.sqrt(np.maximum(model, 1))  # Poisson; an empty bin is as uncertain as one of one count
    axes.axhline(0, color="0.55", linewidth=1)
    _draw_data(axes, edges, (counts - model) / sigma, np.ones(len(counts)))
    reach = max(3.5, 1.1 * (np.max(np.abs(counts - model) / sigma) + 1))
    axes.set_ylim(-reach, reach)
    axes.set_xlabel("Energy (keV)", fontsize=_FONT)
    axes.set_ylabel("Residual ($\\sigma$)", fontsize=_FONT)
    axes.tick_params(labelsize=_FONT - 1, which="both", direction="in", top=True, right=True)
