"""The figures of the experiments: bars for tables, and curves for what the paper draws as curves."""

import numpy as np

__all__ = []

# Okabe & Ito (2008), told apart by colour-blind readers too; lines differ in style as well.
_BLUE, _ORANGE, _GREEN, _PINK, _SKY, _YELLOW = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"
_LEMON = "#F0E442"
_COLORS = {"paper": _BLUE, "ours": _ORANGE, "oracle": "0.6"}
_HATCHES = {"paper": "", "ours": "//", "oracle": ".."}
_KINDS = {"paper": "method of the paper", "ours": "row of our own", "oracle": "least squares with the truth"}
_NAMES = {"nmse_s": "NMSE(S)", "nmse_a": "NMSE(A)", "nmse_sum": "NMSE(S) + NMSE(A)"}
# How a curve is drawn, by what the name of its method has: spectra with noise, or other spectra in training.
_VARIANTS = {
    "dB": {"ls": "--", "marker": "s", "mfc": "white"},
    "mean spectra": {"ls": ":", "marker": "v", "mfc": "white"},
    "by 0.03": {"ls": ":", "marker": "^"},
    "by 0.125": {"ls": "-.", "marker": "D"},
}
_ORACLE = {"color": "0.35", "ls": ":", "lw": 1.2}
_PAPER = {"marker": "D", "color": "black", "mfc": "white", "ms": 6, "ls": "none"}


def plot_bars(figure, experiment, table, samples):
    """Draw the median of each row, the central 68 % of its samples, the paper's figure and the oracle."""
    from matplotlib.patches import Patch

    axes = figure.subplots()
    name = experiment.figure
    median = np.asarray(table[f"{name}_median"])
    paper = np.asarray(table.columns.get(f"paper_{name}_median", np.full(len(table), np.nan)), dtype=float)
    values = [np.asarray(samples[method][name], dtype=float) for method in table["method"]]
    y = _places(table)
    spread = np.array([np.percentile(v, [16, 84]) for v in values])
    shown = np.concatenate([median, spread.ravel(), paper[np.isfinite(paper)]])
    left = 10 ** np.floor(np.log10(shown[shown > 0].min()) - 0.3)
    for kind in _KINDS:
        is_kind = table["kind"] == kind
        style = {"color": _COLORS[kind], "hatch": _HATCHES[kind], "edgecolor": "white", "height": 0.7}
        axes.barh(y[is_kind], np.maximum(median[is_kind] - left, 0), left=left, **style)
    several = np.array([len(v) > 1 for v in values])
    if several.any():
        axes.hlines(y[several], *np.maximum(spread[several].T, left), color="black", lw=1)
    handles = [Patch(fc=_COLORS[kind], hatch=_HATCHES[kind], ec="white", label=_KINDS[kind]) for kind in _KINDS]
    if np.isfinite(paper).any():
        handles += axes.plot(paper, y, **_PAPER, label="the paper's figure")
    if np.isfinite(table.meta["oracle"]):
        axes.axvline(table.meta["oracle"], **_ORACLE)
    axes.set(xscale="log", xlim=(left, None), xlabel=f"{_NAMES[name]}: median, and central 68 % of the samples")
    axes.set_yticks(y, [f"{row['method']} ({row['samples']})" for row in table], fontsize="small")
    axes.set_ylim(y.max() + 0.6, y.min() - 0.6)
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize="small", frameon=False)


def _places(table):
    # One below the other, with a gap where another line of the paper's table begins.
    if "line" not in table.colnames:
        return np.arange(len(table), dtype=float)
    line = np.asarray(table["line"])
    return np.arange(len(table)) + 0.6 * np.cumsum(np.concatenate([[0], line[1:] != line[:-1]]))


def plot_thresholds(figure, experiment, table, samples):
    """Draw what each threshold reaches: the median, the central half and nine tenths of the samples."""
    axes = figure.subplots()
    rows = table[table["kind"] == "paper"]
    threshold = np.asarray(rows["threshold"])
    values = np.array([np.asarray(samples[method]["nmse_s"]) for method in rows["method"]])
    for low, high, alpha in ((5, 95, 0.2), (25, 75, 0.4)):
        bounds = np.percentile(values, [low, high], axis=1)
        label = f"from {low} to {high} % of the samples"
        axes.fill_between(threshold, *bounds, color=_BLUE, alpha=alpha, lw=0, label=label)
    axes.plot(threshold, np.median(values, axis=1), "-o", color=_BLUE, ms=4, label="median")
    best = threshold[np.argmin(np.median(values, axis=1))]
    axes.axvline(best, color=_ORANGE, ls="--", lw=1.2, label=f"best median: {best:g}")
    if "paper_nmse_s_median" in rows.colnames:
        axes.plot(threshold, np.asarray(rows["paper_nmse_s_median"], dtype=float), **_PAPER, label="the paper's choice")
    _draw_oracle(axes, table)
    axes.set(xscale="log", yscale="log", xlabel=r"Threshold $\lambda$ of PALM", ylabel="NMSE(S)")
    axes.legend(fontsize="small", frameon=False)


def plot_layers(figure, experiment, table, samples):
    """Draw the mean error after each layer or iteration."""
    axes = figure.subplots()
    colors, index = (_BLUE, _ORANGE, _GREEN, _PINK, _SKY, "black", _LEMON, "0.6", _YELLOW), {}
    for method in table["method"][table["kind"] != "oracle"]:
        base = method.split(",")[0]
        color = colors[index.setdefault(base, len(index))]
        curve = np.asarray(samples[method]["nmse_s_by_layer"]).mean(axis=0)
        variant = next((key for key in _VARIANTS if key in method), None)
        style = {"marker": "o"} | _VARIANTS.get(variant, {})
        axes.plot(1 + np.arange(len(curve)), curve, color=color, ms=4, lw=1.4, label=method, **style)
    _draw_oracle(axes, table, "nmse_s_mean")
    axes.set(yscale="log", xlabel="Layer, or iteration", ylabel="NMSE(S), mean over the test samples")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize="small", frameon=False)


def plot_depths(figure, experiment, table, samples):
    """Draw the error against the number of layers, on the validation and on the test split."""
    axes = figure.subplots()
    network, refined = (table[table["refined"] == text] for text in ("False", "True"))
    depth = np.asarray(network["n_layers"])
    axes.plot(depth, network["validation_nmse_s"], "--s", color=_SKY, mfc="white", label="LPALM, validation split")
    axes.plot(depth, network["nmse_s_median"], "-o", color=_BLUE, label="LPALM, test split")
    axes.plot(depth, refined["nmse_s_median"], "-.^", color=_ORANGE, label="LPALM, refined, test split")
    _draw_oracle(axes, table)
    axes.axvline(50, color="0.75", lw=0.8, zorder=0, label="best K of the paper")
    axes.set(yscale="log", xlabel="Number of layers K", ylabel="Median NMSE(S)", xticks=depth)
    axes.legend(fontsize="small", frameon=False)


def _draw_oracle(axes, table, column="nmse_s_median"):
    (oracle,) = table[table["kind"] == "oracle"]
    axes.axhline(oracle[column], **_ORACLE, label="least squares with the true spectra")
