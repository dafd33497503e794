"""A report as one page of HTML that needs nothing else: pictures, values and program are in it."""

import base64
import io
import json
from html import escape
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.wcs.utils import proj_plane_pixel_scales
from matplotlib import rc_context
from matplotlib.colors import Normalize
from PIL import Image

from ... import __version__
from .._card import kept_warnings
from .._plot_parameters import rounded
from .._plot_spectra import COLORS
from .content import contents, title_of

__all__ = ["make_page"]

_FOLDER = Path(__file__).parent
_MOST_PICTURE, _MOST_VALUES = 1024, 320  # pixels to a side: larger images are shown in blocks
_LATTICE = 33  # directions along each side of the image
_NARROW = "(max-width: 700px)"
_WIDTHS = 180 * u.mm, 88 * u.mm  # of the spectra, on a screen and on a phone
_AXES = {"RA": "right ascension", "DEC": "declination", "GLON": "Galactic longitude", "GLAT": "Galactic latitude"}


def make_page(separation):
    """Write the page of a separation; see `Separation.report`.

    Returns
    -------
    str
    """
    sections = contents(separation)
    panels = [panel for section in sections for panel in section.panels]
    numbers = {id(panel): number for number, panel in enumerate(panels)}
    block = -(-max(separation.cube.shape[1:]) // _MOST_VALUES)
    spectra, boxes = _spectra(separation)
    data = {
        "size": separation.cube.shape[:0:-1],
        "block": block,
        "sky": _sky(separation.cube),
        "panels": [_packed_panel(panel, block) for panel in panels],
        "spectra": _spectra_values(separation, boxes),
    }
    colors = dict(zip(separation.names, COLORS * (1 + len(separation.names) // len(COLORS))))
    body = "\n".join(_section(section, separation, colors, numbers, spectra) for section in sections)
    links = "".join(f'<a href="#{section.ident}">{escape(section.title)}</a>' for section in sections)
    title, meta = title_of(separation), separation.cube.meta or {}
    seen = " ".join(str(meta[key]).strip() for key in ("TELESCOP", "INSTRUME", "OBS_ID") if key in meta)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}: components</title>\n<style>\n{_resource('page.css')}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1><p>{escape(seen)}{' &middot; ' if seen else ''}separated into "
        f"{len(separation.names)} components</p></header>\n"
        f'<nav><div><div class="links">{links}</div><div class="zoom" title="Zoom of all pictures; also '
        'double-click, or Ctrl and the wheel. Drag to move.">'
        '<button id="zoom-out" aria-label="zoom out">&minus;</button>'
        '<button id="zoom-in" aria-label="zoom in">+</button>'
        '<button id="zoom-reset" aria-label="whole field">whole</button>'
        f"</div></div></nav>\n<main>\n{body}\n</main>\n<footer>Written by astro_lpalm {escape(__version__)}. "
        "The page is complete in this file and loads nothing.</footer>\n"
        f'<script type="application/json" id="report-data">{_json(data)}</script>\n'
        f"<script>\n{_resource('page.js')}</script>\n</body>\n</html>\n"
    )


def _resource(name):
    return (_FOLDER / name).read_text(encoding="utf-8")


def _json(data):
    # Within a script only its end and comments mean anything.
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _section(section, separation, colors, numbers, spectra):
    parts = [f'<section id="{section.ident}"><h2>{escape(section.title)}</h2>']
    if section.ident == "warnings":
        kind = "warning" if kept_warnings(separation.header) != [] else "fine"
        parts += [f'<div class="{kind}">{escape(text)}</div>' for text in section.text]
    else:
        parts += [f"<p>{escape(text)}</p>" for text in section.text]
    figures = "\n".join(_panel(panel, numbers[id(panel)], separation) for panel in section.panels)
    if section.ident == "summary":
        facts = _key_figures(separation, colors) + "".join(map(_table, section.tables))
        return "\n".join([*parts, f'<div class="hero">{figures}<div>{facts}</div></div></section>'])
    if section.panels:
        pairs = " pairs" if len(section.panels) in (2, 4) else ""  # no row with one alone
        parts.append(f'<div class="panels{pairs}">\n{figures}\n</div>')
    if section.with_spectra:
        parts.append(spectra)
    if section.parameters:
        parts.append(_parameters(section.parameters, colors))
    parts += [f'<div class="copy"><pre>{escape(line)}</pre><button>copy</button></div>' for line in section.code]
    parts += [_table(table) for table in section.tables]
    return "\n".join([*parts, "</section>"])


def _key_figures(separation, colors):
    errors = separation.diagnostics["counts_err"] if "counts_err" in separation.diagnostics.colnames else None
    items = []
    for k, row in enumerate(separation.diagnostics):
        name, error = str(row["component"]), "" if errors is None else f" &plusmn; {float(_plain(errors[k])):,.0f}"
        items.append(
            f'<li style="--of: {colors[name]}">{escape(name)}<b>{row["share"]:.1%}</b>'
            f"<span>{row['counts'].value:,.0f}{error} ct</span></li>"
        )
    return f'<ul class="key">{"".join(items)}</ul>'


def _plain(value):
    return getattr(value, "value", value)


def _table(table):
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    head = f"<thead><tr>{head}</tr></thead>" if any(table.columns) else ""
    rows = "".join(
        f"<tr><th>{escape(first)}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        for first, *cells in table.rows
    )
    kind = "" if any(table.columns) else ' class="facts"'
    return f'<div class="wide"><table{kind}>{head}<tbody>{rows}</tbody></table></div>'


def _parameters(parameters, colors):
    with_range = np.isfinite(parameters[0].range[0])
    rows = []
    for each in parameters:
        value, low, high, power = rounded(each.value, each.low, each.high)
        scale = f" &times; 10<sup>{power}</sup>" if power else ""
        errors = f'<span class="errors"><span>+{high}</span><span>&minus;{low}</span></span>'
        flags = [name for name, is_so in (("at limit", each.at_limit), ("undecided", each.undecided)) if is_so]
        cells = [f'<span class="value">{value.replace("-", "&minus;")}{errors}{scale} {escape(each.unit)}</span>']
        if with_range:
            cells += [_range(each), " ".join(f'<span class="flag">{flag}</span>' for flag in flags)]
        color = colors.get(each.component, "var(--ink)")
        name = f'<span class="dot"></span>{escape(each.component)} {escape(each.name)}'
        rows.append(f'<tr style="--of: {color}"><th>{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>')
    head = ("parameter", "value", "range", "") if with_range else ("", "value")
    head = "".join(f"<th>{name}</th>" for name in head)
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="wide"><table class="parameters">{body}</table></div>'


def _range(parameter):
    start, end = parameter.range
    places = [parameter.value - parameter.low, parameter.value + parameter.high, parameter.value]
    low, high, middle = 100 * np.clip((np.array(places) - start) / (end - start), 0, 1)
    kind = ' class="open"' if parameter.at_limit or parameter.undecided else ""
    return (
        f'<div class="range"><span>{start:g}</span><div class="track">'
        f'<i style="left: {low:.1f}%; width: {high - low:.1f}%"></i>'
        f'<b{kind} style="left: {middle:.1f}%"></b></div><span>{end:g}</span></div>'
    )


def _panel(panel, number, separation):
    shape, name = separation.cube.shape, f"<b>{escape(panel.name)}</b>"
    if panel.norm is not None:
        places = [(100 * float(panel.norm(tick)), f"{tick:g}") for tick in panel.ticks]
        marks = "".join(f'<i style="left: {at:.1f}%">{text}</i>' for at, text in places)
        colors = panel.colors(np.linspace(0, 1, 256))[np.newaxis, :, :3]
        bar = f'<div class="scale"><em>{escape(panel.unit)}</em><img src="{_png(colors)}" alt="">{marks}</div>'
    else:
        bar, named = "", [(COLORS[k % len(COLORS)], separation.names[k]) for k in panel.parts]
        name = " ".join(f'<b style="color: {color}">{escape(part)}</b>' for color, part in named)
    rgb = panel.picture()
    factor = -(-max(rgb.shape[:2]) // _MOST_PICTURE)
    rgb = np.stack([_blocks(rgb[..., k], factor) for k in range(3)], axis=-1) if factor > 1 else rgb
    return (
        f'<figure class="sky" data-panel="{number}"><figcaption><div>{name}</div>'
        f"<span>{escape(panel.detail)}</span></figcaption>{bar}"
        f'<div class="frame"><div class="view" style="aspect-ratio: {shape[2]} / {shape[1]}">'
        f'<img src="{_png(rgb[::-1])}" alt="{escape(panel.name)} on the sky"><div class="cross"></div></div>'
        '<svg class="axes" aria-hidden="true"></svg></div><output></output></figure>'
    )


def _png(rgb):
    """Give the address of a picture that is its own content."""
    file = io.BytesIO()
    picture = Image.fromarray(np.uint8(np.clip(255 * rgb + 0.5, 0, 255)))
    if len(picture.getcolors(maxcolors=256) or ()):  # few colours need a third of the room
        picture = picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    picture.save(file, format="png", optimize=True)
    return f"data:image/png;base64,{_base64(file.getvalue())}"


def _base64(content):
    return base64.b64encode(content).decode("ascii")


def _blocks(plane, side):
    """Take means over blocks of this side, of what is known in them."""
    if side == 1:
        return plane
    ny, nx = (-(-size // side) for size in plane.shape)
    padded = np.full((ny * side, nx * side), np.nan)
    padded[: plane.shape[0], : plane.shape[1]] = plane
    padded = padded.reshape(ny, side, nx, side)
    known = np.isfinite(padded)
    total = np.where(known, padded, 0).sum(axis=(1, 3))
    return np.where(known.any(axis=(1, 3)), total / np.maximum(known.sum(axis=(1, 3)), 1), np.nan)


def _packed_panel(panel, block):
    return {"unit": panel.unit, "values": _packed(panel.values, block), "errors": _packed(panel.errors, block)}


def _packed(plane, block):
    """Pack a plane into 16 bits a value, between its lowest and its highest; 65535 is none."""
    if plane is None:
        return None
    plane = _blocks(np.asarray(plane, dtype=float), block)
    known = np.isfinite(plane)
    norm = (
        Normalize(plane[known].min(initial=np.inf), plane[known].max(initial=-np.inf))
        if known.any()
        else Normalize(0, 1)
    )
    if norm.vmax == norm.vmin:
        norm.vmax = norm.vmin + 1
    levels = np.where(known, np.rint(65534 * np.ma.getdata(norm(np.where(known, plane, norm.vmin)))), 65535).astype(
        "<u2"
    )
    return {"range": [float(norm.vmin), float(norm.vmax)], "levels": _base64(levels.tobytes())}


def _sky(cube):
    """Give directions on a lattice over the image, from its upper left corner, and how they are written."""
    ny, nx = cube.shape[1:]
    x, y = np.meshgrid(np.linspace(-0.5, nx - 0.5, _LATTICE), np.linspace(ny - 0.5, -0.5, _LATTICE))
    wcs = cube.wcs
    longitude, latitude = (np.deg2rad(wcs.wcs_pix2world(x, y, 0)[k]) for k in (wcs.wcs.lng, wcs.wcs.lat))
    directions = [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    along_x, along_y = np.abs(wcs.pixel_scale_matrix[wcs.wcs.lng])
    kinds = [wcs.wcs.ctype[k][:4].rstrip("-") for k in (wcs.wcs.lng, wcs.wcs.lat)]
    return {
        "n": _LATTICE,
        "directions": _base64(np.nan_to_num(np.stack(directions, axis=-1)).astype("<f8").tobytes()),
        "hours": kinds[0] == "RA",
        "names": [_AXES.get(kind, kind) for kind in kinds],
        "horizontal": 0 if along_x >= along_y else 1,
        "pixel": float(proj_plane_pixel_scales(wcs).min()),
    }


def _spectra(separation):
    """Draw the spectra for a screen and for a phone, and tell where the axes are in each."""
    addresses, boxes = [], []
    for width in _WIDTHS:
        figure = separation.plot(panels=["spectra"], width=width)
        file = io.BytesIO()
        with rc_context({"svg.hashsalt": "report"}):  # the same names of its parts each time
            figure.savefig(file, format="svg", metadata={"Date": None})
        addresses.append(f"data:image/svg+xml;base64,{_base64(file.getvalue())}")
        upper, lower = (axes.get_position() for axes in figure.axes)
        boxes.append([upper.x0, upper.x1, 1 - upper.y1, 1 - lower.y0])
    return (
        f'<figure class="spectra"><div class="plot"><picture><source media="{_NARROW}" srcset="{addresses[1]}">'
        f'<img src="{addresses[0]}" alt="spectra of data, model and components"></picture>'
        '<div class="rule"></div></div><output></output></figure>'
    ), boxes


def _spectra_values(separation, boxes):
    table = separation.spectra
    rows = [["data", _short(separation.cube.counts.spectrum()), None]]
    for name in separation.names:
        errors = _short(table[f"{name}_err"].value) if f"{name}_err" in table.colnames else None
        rows.append([name, _short(table[name].value), errors])
    edges = _short(separation.cube.energy_edges.to_value("keV"))
    return {"edges": edges, "rows": rows, "boxes": boxes, "narrow": _NARROW}


def _short(values):
    return [float(f"{value:.6g}") for value in values]
