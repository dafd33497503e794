"""How objects look in a notebook: cards of HTML with small pictures; and whether this is one."""

import base64
import io
import sys
from html import escape

import numpy as np

__all__ = ["card", "in_notebook", "sparkline", "thumbnail"]

_SIZE = 132  # pixels of a thumbnail's longer side
_BOX = "border:1px solid #8884;border-radius:8px;padding:10px 14px;display:inline-block;max-width:100%;line-height:1.45"


def in_notebook():
    """Tell whether this runs in a notebook's kernel, where standard error is no terminal but there is a display."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


def card(title, rows, pictures=(), notes=()):
    """Write a card: a title, rows of names and values, and pictures with what is under them.

    Parameters
    ----------
    title : str
    rows : dict of str to str
    pictures : iterable of (str, str, str)
        Each an address of a picture, as `thumbnail` gives it, its name, and a few words more.
    notes : sequence of str
        What is to be heeded.

    Returns
    -------
    str
        HTML that needs nothing else. All texts are escaped.
    """
    cells = "".join(
        f'<tr><td style="opacity:.65;text-align:left;padding:1px 14px 1px 0;vertical-align:top">{escape(name)}</td>'
        f'<td style="text-align:left;padding:1px 0">{escape(value)}</td></tr>'
        for name, value in rows.items()
    )
    shown = "".join(
        f'<div style="text-align:center;font-size:85%"><img src="{escape(address)}" alt="{escape(name)}" '
        f'style="border-radius:4px;image-rendering:pixelated;max-width:{2 * _SIZE}px;height:{_SIZE}px">'
        f'<div><b>{escape(name)}</b></div><div style="opacity:.65">{escape(more)}</div></div>'
        for address, name, more in pictures
    )
    shown = f'<div style="display:flex;flex-wrap:wrap;gap:10px;margin-top:8px">{shown}</div>' if shown else ""
    warned = "".join(
        f'<div style="border-left:3px solid #e69f00;padding-left:8px;margin-top:6px;max-width:46em">'
        f"{escape(note)}</div>"
        for note in notes
    )
    table = f'<table style="border:0;border-collapse:collapse;margin-top:4px">{cells}</table>'
    return f'<div style="{_BOX}"><b>{escape(title)}</b>{table}{shown}{warned}</div>'


def thumbnail(plane, colors="inferno"):
    """Make a small picture of an image, brightest at its 99.7th percentile, with a stretch that shows what is faint.

    Parameters
    ----------
    plane : array_like, shape (ny, nx)
        NaN where nothing is known.
    colors : str
        Of matplotlib's colour maps.

    Returns
    -------
    str
        The address of a PNG picture that is its own content.
    """
    from matplotlib import colormaps
    from matplotlib.image import imsave

    plane = np.asarray(plane, dtype=float)
    step = -(-max(plane.shape) // (2 * _SIZE))
    plane = plane[::-step, ::step]
    known = np.isfinite(plane)
    low, high = np.percentile(plane[known], [0.5, 99.7]) if known.any() else (0.0, 1.0)
    low = min(low, 0.0) if high > 0 else low
    part = np.clip((plane - low) / (high - low if high > low else 1.0), 0, 1)
    drawn = colormaps[colors].with_extremes(bad="0.8")(np.ma.masked_invalid(np.arcsinh(10 * part) / np.arcsinh(10)))
    file = io.BytesIO()
    imsave(file, drawn, format="png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def sparkline(lines, colors, *, decades=3.0):
    """Make a small picture of spectra, or of other lines, on a logarithmic scale.

    Parameters
    ----------
    lines : array_like, shape (n, m)
        At even steps.
    colors : sequence of str
        Of each line.
    decades : float
        How far below the largest value the scale begins, at most.

    Returns
    -------
    str
        The address of an SVG picture that is its own content.
    """
    lines = np.asarray(lines, dtype=float)
    top = lines.max() if lines.size and lines.max() > 0 else 1.0
    levels = np.log10(np.maximum(lines, 1e-300) / top)
    reach = max(min(decades, -levels.min(initial=0)), 1e-3)
    heights = _SIZE * (0.04 + 0.92 * np.minimum(-levels, reach) / reach)
    places = np.linspace(0, 2 * _SIZE, lines.shape[1])
    paths = "".join(
        f'<polyline fill="none" stroke-width="1.5" stroke="{color}" points="'
        f'{" ".join(f"{x:.1f},{y:.1f}" for x, y in zip(places, row))}"/>'
        for row, color in zip(heights, colors)
    )
    size = f'width="{2 * _SIZE}" height="{_SIZE}"'
    text = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect {size} fill="#fff"/>{paths}</svg>'
    return f"data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode('ascii')}"
