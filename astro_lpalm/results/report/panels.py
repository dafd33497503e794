"""Pictures of a report that are on the sky: their colours, scale and values."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, Normalize

from .._plot_axes import choose_ticks, even_ticks
from .._plot_maps import map_look
from .._plot_sky import MISFIT_REACH, blocks_of, composite_colors, expected_spectrum, misfit_plane, stretch

__all__ = ["Panel", "image_panels", "map_panels", "residual_panels", "together"]

_BAR_WIDTH = 3.0  # inches, which ticks have to find room in
_N_BANDS = 4
_GREY = 0.8


@dataclass(frozen=True)
class Panel:
    """A picture on the sky.

    Attributes
    ----------
    name, detail, unit : str
        What it shows, a few words more, and the unit of the values.
    values, errors : `~numpy.ndarray`, shape (ny, nx), or None
        NaN where nothing is known; None of pictures that are no values.
    colors : `~matplotlib.colors.Colormap` or None
    norm : `~matplotlib.colors.Normalize` or None
    ticks : list of float
        Of the colour bar.
    opacity : `~numpy.ndarray`, shape (ny, nx), or None
        Over grey, of what is hardly known.
    rgb : `~numpy.ndarray`, shape (ny, nx, 3), or None
        The colours themselves, of what has no scale.
    parts : tuple of int
        Numbers of the components that it has in it, in their colours.
    """

    name: str
    detail: str = ""
    unit: str = ""
    values: np.ndarray | None = None
    errors: np.ndarray | None = None
    colors: Colormap | None = None
    norm: Normalize | None = None
    ticks: tuple = ()
    opacity: np.ndarray | None = None
    rgb: np.ndarray | None = None
    parts: tuple = ()

    def picture(self):
        """Give the colours of all pixels, (ny, nx, 3) from 0 to 1."""
        if self.rgb is not None:
            return self.rgb
        rgb = self.colors(self.norm(np.ma.masked_invalid(self.values)))[..., :3]
        if self.opacity is not None:
            rgb = _GREY + self.opacity[..., np.newaxis] * (rgb - _GREY)
        return rgb


def image_panels(separation, images, unit="ct / pixel"):
    """Make a panel of each component's image."""
    panels = []
    for row, (name, image) in zip(separation.diagnostics, images.items()):
        norm = stretch(image.data[np.isfinite(image.data)])
        panels.append(
            Panel(
                name,
                f"{row['counts'].value:,.0f} counts, {row['share']:.1%}",
                unit,
                image.data,
                None if image.uncertainty is None else image.uncertainty.array,
                colormaps["inferno"].with_extremes(bad=str(_GREY)),
                norm,
                tuple(choose_ticks(norm, _BAR_WIDTH)),
            )
        )
    return panels


def together(separation):
    """Make a panel of the brightest components on top of each other; None where there is one alone."""
    if len(separation.names) == 1:
        return None
    rgb, chosen = composite_colors(separation, separation.smooth_images)
    return Panel(", ".join(separation.names[k] for k in chosen), rgb=rgb, parts=tuple(chosen))


def map_panels(separation):
    """Make a panel of each map; it fades to grey where errors are as large as what it shows."""
    panels = []
    for component, maps in separation.parameter_maps.items():
        for parameter, found in maps.items():
            look, decided = map_look(found), ~found.mask
            detail = f"typical error {np.median(look.errors[decided]):.2g}" if decided.any() else "undecided"
            planes = (np.where(decided, plane, np.nan) for plane in (look.values, look.errors))
            ticks = tuple(even_ticks(look.norm, _BAR_WIDTH)) if decided.any() else ()
            panels.append(
                Panel(
                    f"{component} {parameter}", detail, look.unit, *planes, look.colors, look.norm, ticks, look.opacity
                )
            )
    return panels


def residual_panels(separation):
    """Make panels of the misfit at all energies, and of what is left of the data in bands of about as many counts."""
    plane, side = misfit_plane(separation)
    panels = [_in_sigma("misfit", _of_blocks(side), plane)]
    edges = separation.cube.energy_edges.to_value("keV")
    fit, spectrum = separation.fit, expected_spectrum(separation)
    operator = np.eye(len(spectrum)) - separation.mixing @ fit.demixing
    below = np.cumsum(spectrum) / spectrum.sum()
    cuts = np.unique([0, *np.searchsorted(below, np.arange(1, _N_BANDS) / _N_BANDS) + 1, len(spectrum)])
    for start, end in pairwise(cuts):
        # Of counts X the residuals are (1 - A D) X, so that their sum over a band has weights for each energy's noise.
        weights = operator[start:end].sum(axis=0)
        mean = spectrum[start:end].sum() / separation.sources.shape[1]
        side, block = blocks_of(separation.cube.pixel_mask, mean)
        rows = fit.rows(slice(start, end))
        left = sum(np.bincount(block, data - np.maximum(expected, 0)) for data, expected in rows)
        expected = (np.bincount(block, np.maximum(row, 0)) for row in fit.expected_rows())
        variance = sum(weight**2 * row for weight, row in zip(weights, expected))
        deviation = np.sqrt(np.maximum(variance, 1e-3 * max(variance.max(initial=0), 1e-3)))
        plane = separation.cube.image_of((left / deviation)[block][np.newaxis])[0]
        panels.append(_in_sigma(f"{edges[start]:.2f} to {edges[end]:.2f} keV", _of_blocks(side), plane))
    return panels


def _in_sigma(name, detail, plane):
    norm = Normalize(-MISFIT_REACH, MISFIT_REACH)
    colors = colormaps["PuOr_r"].with_extremes(bad=str(_GREY))
    return Panel(name, detail, "\N{GREEK SMALL LETTER SIGMA}", plane, None, colors, norm, (-4, -2, 0, 2, 4))


def _of_blocks(side):
    return f"in blocks of {side} x {side} pixels" if side > 1 else ""
