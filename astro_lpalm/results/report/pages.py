"""A report as pages to print: the same sections, A4, in a PDF file."""

import textwrap

import numpy as np
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from ... import __version__
from .._plot_axes import LETTER, color_bar, label_sky, title
from .._plot_layout import BOTTOM, LEFT, RIGHT, SKY_LABELS, Page, SkyGrid
from .._plot_parameters import draw_parameters, parameter_columns, rounded
from .._plot_spectra import COLORS, FONT, draw_spectra, legend_rows
from .content import contents, title_of

__all__ = ["write_pages"]

_WIDTH, _HEIGHT = 8.27, 11.69  # inches: A4
_MARGIN, _LINE = 0.75, 0.155
_INNER = _WIDTH - 2 * _MARGIN
_SPECTRA = 2.2, 0.8  # heights of spectra and residuals
_SHAPE = 1.0  # of all panels of a section: width over height
_MOST_ROWS = 3  # of panels on a page
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def write_pages(separation, path):
    """Write the pages of a separation; see `Separation.report`."""
    # Without the time of writing, pages of one separation are the same each time.
    with PdfPages(path, metadata={"Title": title_of(separation), "CreationDate": None}) as file:
        pages = _Pages(file, title_of(separation))
        for section in contents(separation):
            pages.heading(section.title, pages.height(section, separation))
            for text in section.text:
                pages.paragraph(text)
            if section.panels:
                pages.panels(section.panels, separation)
            if section.with_spectra:
                pages.spectra(separation)
            if section.ident == "parameters":
                pages.parameters(separation, np.isfinite(np.asarray(separation.parameters["low"], dtype=float)))
            elif section.parameters:
                pages.table(("", "value"), [_row(each) for each in section.parameters])
            for line in section.code:
                pages.paragraph(line, family="monospace", letter=1.1)
            for table in section.tables:
                pages.table(table.columns, table.rows)
        pages.finish()


def _row(each):
    value, low, high, power = rounded(each.value, each.low, each.high)
    scale = f" \N{MULTIPLICATION SIGN} 10{str(power).translate(_RAISED)}" if power else ""
    return [f"{each.component} {each.name}", f"{value} +{high} \N{MINUS SIGN}{low}{scale} {each.unit}"]


class _Pages:
    """Pages that are filled from the top, each begun when what comes next has no room."""

    def __init__(self, file, name):
        self.file, self.name, self.number, self.figure = file, name, 0, None
        self._begin()
        self._write(_MARGIN, name, fontsize=2.2 * FONT, weight="bold")
        self.top += 0.42

    def _begin(self):
        if self.figure is not None:
            self.file.savefig(self.figure)
        self.number += 1
        self.figure, self.top = Figure(figsize=(_WIDTH, _HEIGHT)), _MARGIN
        foot = f"{self.name}, astro_lpalm {__version__}, page {self.number}"
        self.figure.text(0.5, 0.4 / _HEIGHT, foot, ha="center", fontsize=FONT - 1, color="0.4", parse_math=False)

    def finish(self):
        """Write the last page."""
        self.file.savefig(self.figure)

    def _room(self, height):
        if self.top + height > _HEIGHT - _MARGIN and self.top > _MARGIN:
            self._begin()

    def _write(self, left, text, **how):
        at = left / _WIDTH, 1 - self.top / _HEIGHT
        self.figure.text(*at, text, va="top", parse_math=False, **({"fontsize": FONT + 0.5} | how))

    def height(self, section, separation):
        """Find how much of a section is to stay with its heading (inches)."""
        height = 0.6 + _LINE * sum(len(text) for text in section.text) / (_INNER / LETTER)
        if section.panels:
            _, part = _parts(section.panels, separation)[0]
            return height + part.height + SKY_LABELS
        return height + (_spectra_height(separation)[1] if section.with_spectra else 0.6)

    def heading(self, text, height):
        """Write the heading of a section, with so much of what follows on the same page."""
        self._room(height)
        self.top += 0.12
        self._write(_MARGIN, text, fontsize=1.4 * FONT, weight="bold")
        self.top += 0.27

    def paragraph(self, text, letter=1.0, **how):
        """Write a paragraph."""
        for line in textwrap.wrap(text, int(_INNER / (LETTER * letter))):
            self._room(_LINE)
            self._write(_MARGIN, line, **how)
            self.top += _LINE
        self.top += 0.08

    def table(self, columns, rows):
        """Write a table; its last column takes what room the others leave, in as many lines as it needs."""
        rows = [columns, *rows] if any(columns) else rows
        widths = [1.15 * LETTER * max(len(str(row[k])) for row in rows) + 0.15 for k in range(len(rows[0]) - 1)]
        scale = min(1, 0.7 * _INNER / sum(widths))
        lefts = np.cumsum([_MARGIN, *(scale * np.array(widths))])
        last = max(20, int((_WIDTH - _MARGIN - lefts[-1]) / LETTER))
        for number, row in enumerate(rows):
            lines = textwrap.wrap(str(row[-1]), last) or [""]
            self._room(_LINE * min(len(lines), 10) + 0.03)
            weight = "bold" if number == 0 and any(columns) else "normal"
            for left, cell in zip(lefts, row[:-1]):
                self._write(left, str(cell), weight=weight, fontsize=(FONT + 0.5) * scale)
            for line in lines:
                self._room(_LINE)
                self._write(lefts[-1], line, weight=weight)
                self.top += _LINE
            self.top += 0.03
        self.top += 0.1

    def _box(self, left, height, wide, down=0.0):
        return Page(_WIDTH, _HEIGHT).box(left, self.top + down, wide, height)

    def panels(self, panels, separation):
        """Draw pictures with sky coordinates, in as many rows as a page has room for."""
        for chosen, grid in _parts(panels, separation):
            self._room(grid.height + SKY_LABELS)
            drawn = [lambda axes, panel=panel, **how: _draw(panel, separation, axes, **how) for panel in chosen]
            grid.draw(self.figure, _Below(self.top, _MARGIN), drawn, separation.cube.wcs)
            self.top += grid.height + SKY_LABELS + 0.25

    def spectra(self, separation):
        """Draw the spectra."""
        rows, height = _spectra_height(separation)
        self._room(height)
        left, wide = _MARGIN + LEFT, _INNER - LEFT - RIGHT
        upper = self.figure.add_axes(self._box(left, _SPECTRA[0], wide, 0.16 * rows + 0.1))
        lower = self.figure.add_axes(
            self._box(left, _SPECTRA[1] - 0.05, wide, 0.16 * rows + 0.15 + _SPECTRA[0]), sharex=upper
        )
        draw_spectra(separation, upper, lower, rows)
        self.top += height

    def parameters(self, separation, chosen):
        """Draw the parameters within their ranges."""
        table = separation.parameters[chosen]
        columns, height = parameter_columns(table, _INNER)
        self._room(height)
        draw_parameters(separation.names, table, self.figure.add_axes(self._box(_MARGIN, height, _INNER)), columns)
        self.top += height + 0.15


def _parts(panels, separation):
    """Part panels into those that a page has room for, each with its grid."""
    aspect, inner = separation.cube.shape[1] / separation.cube.shape[2], _INNER - LEFT - RIGHT
    whole = SkyGrid.of([1] * len(panels), aspect, inner, _SHAPE)
    columns = 1 + max(column for _, column in whole.places)
    rows = max(1, min(_MOST_ROWS, int((_HEIGHT - 2 * _MARGIN - 1.6) / (whole.height / whole.n_rows))))
    starts = range(0, len(panels), columns * rows)
    parts = [panels[start : start + columns * rows] for start in starts]
    return [(part, SkyGrid.of([1] * len(part), aspect, inner, _SHAPE)) for part in parts]


def _spectra_height(separation):
    """Rows of the legend of spectra, and the height that they take with it."""
    rows = legend_rows(separation.names, _INNER - LEFT - RIGHT)
    return rows, 0.16 * rows + sum(_SPECTRA) + BOTTOM + 0.2


class _Below:
    """A page on which figures begin further down, and further to the right."""

    def __init__(self, top, left):
        self.top, self.left = top, left

    def box(self, left, top, wide, high):
        return Page(_WIDTH, _HEIGHT).box(self.left + left, self.top + top, wide, high)


def _draw(panel, separation, axes, *, outer, size):
    if panel.norm is None:
        axes.imshow(panel.rgb, origin="lower", interpolation="nearest")
        for place, k in enumerate(panel.parts):
            at = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
            look = {"color": COLORS[k % len(COLORS)], "weight": "bold", "fontsize": FONT, "parse_math": False}
            axes.annotate(separation.names[k], (place / len(panel.parts), 1), (0, 3), **at, **look)
    else:
        look = {"cmap": panel.colors, "norm": panel.norm, "alpha": panel.opacity}
        axes.set_facecolor("0.8")
        drawn = axes.imshow(np.ma.masked_invalid(panel.values), origin="lower", interpolation="nearest", **look)
        title(axes, size, panel.name, (panel.detail,), panel.unit)
        color_bar(axes, drawn, size, lambda norm, width: list(panel.ticks))
    label_sky(axes, **outer)
