"""Panels of a Separation's figure that have energies."""

import numpy as np

from ..trust.errors import spectrum_errors

__all__ = ["COLORS", "FONT", "draw_spectra", "legend_rows"]

# Okabe & Ito (2008), told apart by colour-blind readers too; black and grey are left to data and model.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLES = ("-", "--", ":", "-.")
FONT = 7.5  # points, at the size at which the figure is printed
_LETTER, _HANDLE = 0.6 * FONT / 72, 0.45  # inches


def legend_rows(names, width):
    """How many rows a legend takes that is this wide in inches."""
    return -(-(len(names) + 2) // _legend_columns(names, width))


def _legend_columns(names, width):
    return min(len(names) + 2, max(1, int(width / (_HANDLE + _LETTER * max(5, *map(len, names))))))


def draw_spectra(separation, axes, lower, rows_of_legend):
    """Draw the spectra of the field over the data's, and what is left of these."""
    edges = separation.cube.energy_edges.to_value("keV")
    widths = np.diff(edges)
    counts = separation.cube.counts.spectrum()
    model = separation.fit.expected_spectrum()
    errors = separation.spectra_uncertainty
    errors = spectrum_errors(separation.fit) if errors is None else errors
    spectra = np.array([separation.spectra[name].value for name in separation.names])
    lines = [_draw_data(axes, edges, counts / widths, np.sqrt(np.abs(counts)) / widths)]
    lines.append(axes.stairs(model / widths, edges, color="0.6", linewidth=1.8, label="model", baseline=None))
    bottom, top = _limits(np.vstack([counts, model, *spectra]) / widths)
    for index, name in enumerate(separation.names):
        look = {"color": COLORS[index % len(COLORS)], "linestyle": STYLES[index // len(COLORS) % len(STYLES)]}
        spectrum, error = spectra[index] / widths, errors[:, index] / widths
        lines.append(axes.stairs(spectrum, edges, linewidth=1.0, label=name, baseline=None, **look))
        # Of what is not on a logarithmic axis the band would be an area without a line.
        error = np.where(spectrum > bottom, error, np.nan)
        band = {"fill": True, "alpha": 0.3, "linewidth": 0, "color": look["color"], "gid": f"band of {name}"}
        axes.stairs(spectrum + error, edges, baseline=spectrum - error, **band)
    axes.set_yscale("log")
    axes.set_ylim(bottom, top)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylabel("count / keV", fontsize=FONT)
    axes.tick_params(labelbottom=False)
    axes.legend(
        handles=lines,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=-(-len(lines) // rows_of_legend),
        fontsize=FONT,
        frameon=False,
        borderaxespad=0.1,
        columnspacing=1.2,
        handlelength=1.6,
        labelspacing=0.2,
    )
    _draw_residuals(lower, edges, counts, model)
    for each in (axes, lower):
        each.tick_params(labelsize=FONT - 0.5, which="both", direction="in", top=True, right=True, width=0.5)
        each.tick_params(which="major", length=3)
        each.tick_params(which="minor", length=1.7)
        for spine in each.spines.values():
            spine.set_linewidth(0.6)


def _limits(spectra):
    """Choose limits for data, model and components, in that order, which leave out what is far below the data."""
    top = spectra[:2].max() if spectra[:2].max() > 0 else max(spectra.max(), 1.0)
    positive = spectra[(spectra > 0) & (spectra <= top)]
    return max(positive.min(initial=top) / 2, top * 1e-4), top * 2


def _draw_data(axes, edges, values, errors):
    centers = (edges[1:] + edges[:-1]) / 2
    return axes.errorbar(
        centers, values, errors, fmt="o", color="black", markersize=1.6, elinewidth=0.6, label="data", zorder=3
    )


def _draw_residuals(axes, edges, counts, model):
    sigma = np.sqrt(np.maximum(model, 1))  # Poisson; an empty bin is as uncertain as one of one count
    axes.axhline(0, color="0.6", linewidth=0.8)
    _draw_data(axes, edges, (counts - model) / sigma, np.ones(len(counts)))
    reach = max(3.5, 1.1 * (np.max(np.abs(counts - model) / sigma) + 1))
    axes.set_ylim(-reach, reach)
    axes.set_xlabel("Energy (keV)", fontsize=FONT)
    axes.set_ylabel("Resid. ($\\sigma$)", fontsize=FONT)
