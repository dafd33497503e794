"""The figure of a training's history."""

import numpy as np

from .._files import save_figure

__all__ = ["plot_history"]

# Okabe & Ito (2008), told apart by colour-blind readers too.
_BLUE, _ORANGE = "#0072B2", "#D55E00"


def plot_history(model, path=None, *, overwrite=False, figure=None):
    """Draw how the errors on the validation examples fell in training.

    Parameters
    ----------
    model : `~astro_lpalm.model.Model`
    path : str, `os.PathLike`, or None
        A file to save the figure in, at 150 dots an inch; its ending gives the format.
    overwrite : bool
        Whether an existing file may be replaced.
    figure : `~matplotlib.figure.Figure` or None
        An empty figure to draw in instead of a new one.

    Returns
    -------
    `~matplotlib.figure.Figure`
        Median NMSE of sources and spectra against the epoch, without refinement, and the epoch whose weights were kept.

    Raises
    ------
    ValueError
        If the model has no history.
    OSError
        If the file cannot be written, or exists and may not be replaced.

    Examples
    --------
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.training import plot_history
    >>> [axes.get_xlabel() for axes in plot_history(load_model("snr-acis")).axes]
    ['Epoch']
    """
    from matplotlib.ticker import MaxNLocator  # matplotlib only where something is drawn

    from .._figure import ShownFigure

    if not model.history:
        msg = f"the model '{model.name}' has no history: it was not trained by astro_lpalm.training.train."
        raise ValueError(msg)
    if figure is None:
        figure = ShownFigure(figsize=(6.0, 3.8), layout="constrained")
    axes = figure.subplots()
    columns = {name: np.array([row[name] for row in model.history]) for name in model.history[0]}
    best = columns["epoch"][columns["validation_loss"].argmin()]
    axes.semilogy(columns["epoch"], columns["nmse_s"], color=_BLUE, label="sources")
    axes.semilogy(columns["epoch"], columns["nmse_a"], "--", color=_ORANGE, label="spectra")
    axes.axvline(best, color="0.6", lw=0.8, zorder=0, label=f"weights kept (epoch {best:g})")
    axes.set(xlabel="Epoch", ylabel="Median NMSE, validation", xlim=(columns["epoch"][0] - 0.5, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(f"{model.name}: {columns['seconds'].sum():.0f} s of training", fontsize="medium", loc="left")
    axes.legend(frameon=False)
    if path is not None:
        save_figure(figure, path, overwrite=overwrite)
    return figure
