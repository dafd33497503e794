"""Panels of a Separation's figure that have sky coordinates."""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import AsinhNorm, Normalize, to_rgb

from ..trust.errors import residual_share
from ._plot_axes import LETTER, color_bar, label_sky, title
from ._plot_spectra import COLORS, FONT

__all__ = [
    "MISFIT_REACH",
    "blocks_of",
    "composite_colors",
    "draw_composite",
    "draw_image",
    "draw_misfit",
    "expected_spectrum",
    "misfit_plane",
    "stretch",
]

_LINE = 9.5  # points
_PALE = 0.5  # of the white in a colour, which the composite leaves out
_MOST_LINES = 3  # above the composite: more names stand in columns
MISFIT_REACH = 5.0
_ENOUGH_COUNTS = 30.0  # in a block: images of fewer follow the noise, and leave nothing to compare


def draw_image(separation, name, axes, *, outer, size, images=None):
    """Draw the image of a component, of all ``images`` or those of the separation, with an asinh stretch."""
    values = np.ma.masked_invalid((images or separation.images)[name].data)
    drawn = axes.imshow(
        values,
        origin="lower",
        interpolation="nearest",
        cmap=colormaps["inferno"].with_extremes(bad="0.8"),
        norm=stretch(values.compressed()),
    )
    row = separation.diagnostics[separation.names.index(name)]
    share = f"({row['share']:.1%})"
    title(axes, size, name, (f"{row['counts'].value:,.0f} ct {share}", share), "ct / pixel")
    label_sky(axes, **outer)
    color_bar(axes, drawn, size)


def draw_composite(separation, axes, *, outer, size, images=None):
    """Draw the components on top of each other, in the colours of their spectra."""
    rgb, chosen = composite_colors(separation, images)
    axes.imshow(rgb, origin="lower", interpolation="nearest")
    longest = max(len(separation.names[index]) for index in chosen)
    n_columns = -(-len(chosen) // _MOST_LINES)
    n_lines = -(-len(chosen) // n_columns)
    for number, index in enumerate(chosen):
        column, line = divmod(number, n_lines)
        axes.annotate(
            separation.names[index],
            (column / n_columns, 1),
            (0, 3 + _LINE * (n_lines - 1 - line)),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=FONT * min(1, size[0] / n_columns / LETTER / (longest + 2 * (n_columns > 1))),
            fontweight="bold",
            color=COLORS[index % len(COLORS)],
        )
    label_sky(axes, **outer)


def composite_colors(separation, images=None):
    """Give the colours (ny, nx, 3) of the components together, and their numbers.

    Where there are more components than colours, of those with most counts.
    """
    images = images or separation.images
    counts = separation.diagnostics["counts"].value
    chosen = sorted(np.argsort(counts)[::-1][: len(COLORS)])
    rgb = np.zeros((*separation.cube.shape[1:], 3))
    for index in chosen:
        values = np.nan_to_num(images[separation.names[index]].data)
        norm = stretch(values[~separation.cube.pixel_mask])
        norm.vmin, norm.clip = 0.0, True
        rgb += np.ma.getdata(norm(values))[..., np.newaxis] * _bright(index)
    rgb /= np.maximum(rgb.max(axis=-1, keepdims=True), 1)  # what is too bright keeps its hue
    rgb[separation.cube.pixel_mask] = 0.8
    return rgb, chosen


def misfit_plane(separation):
    """Compare the squares of residuals with their noise, (ny, nx), and the side of the blocks in which it was done."""
    mean = expected_spectrum(separation).sum() / separation.sources.shape[1]
    side, block = blocks_of(separation.cube.pixel_mask, mean)
    misfit = variance = 0.0
    for share, row in zip(residual_share(separation.mixing, separation.fit.variance), separation.fit.rows()):
        data, expected = (np.bincount(block, each) for each in (row[0], np.maximum(row[1], 0)))
        misfit, variance = misfit + (data - expected) ** 2 - share * expected, variance + 2 * expected**2 + expected
    misfit = (misfit / np.sqrt(np.maximum(variance, 1e-3)))[block]
    return separation.cube.image_of(misfit[np.newaxis])[0], side


def expected_spectrum(separation):
    """Sum what the model expects of pixels, where that is positive, at each energy, (m,)."""
    return np.array([np.maximum(row, 0).sum() for row in separation.fit.expected_rows()])


def draw_misfit(separation, axes, *, outer, size):
    """Draw where the model fails; see `Separation.plot`."""
    plane, side = misfit_plane(separation)
    drawn = axes.imshow(
        np.ma.masked_invalid(plane),
        origin="lower",
        interpolation="nearest",
        cmap=colormaps["PuOr_r"].with_extremes(bad="0.8"),
        norm=Normalize(-MISFIT_REACH, MISFIT_REACH),
    )
    chi_square = separation.diagnostics.meta.get("reduced_chi_square")
    details = () if chi_square is None else (f"(reduced chi square {chi_square:.2f})", f"(chi2 {chi_square:.2f})")
    if side > 1:
        where = f"of {side} x {side} pixels"
        details = (*(f"{where} {detail}" for detail in details[1:]), where, f"({side} px)")
    title(axes, size, "misfit", details, "$\\sigma$")
    label_sky(axes, **outer)
    color_bar(axes, drawn, size)


def blocks_of(mask, counts):
    """Side of square blocks of pixels that have enough counts on average, and the block of each unmasked pixel."""
    side = 1
    while side**2 * counts < _ENOUGH_COUNTS and side < min(mask.shape) / 4:
        side *= 2
    y, x = np.nonzero(~mask)
    return side, np.unique(y // side * mask.shape[1] + x // side, return_inverse=True)[1]


def _bright(index):
    color = np.array(to_rgb(COLORS[index % len(COLORS)]))
    color -= _PALE * color.min()  # sums of pale colours are white
    return color / color.max()


def stretch(values):
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
