"""Where the panels of a Separation's figures go."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np

__all__ = ["BOTTOM", "LEFT", "RIGHT", "SKY_LABELS", "TOP", "Page", "SkyGrid", "checked_width"]

# Inches, at the size at which the figure is printed.
LEFT, RIGHT, TOP, BOTTOM, SKY_LABELS = 0.72, 0.12, 0.08, 0.4, 0.36
_COLUMN_GAP, _HEADER, _TALLEST = 0.14, 0.46, 3.2  # between images, above each, and the height of one
_SMALLEST_IMAGE, _FEWEST_GAPS, _PARTED = 1.15, 1.5, 0.6


@dataclass(frozen=True)
class Page:
    """The size of a figure in inches."""

    width: float
    height: float

    def box(self, left, top, wide, high):
        """Axes from their distance to the left and upper edges of the figure."""
        return [left / self.width, 1 - (top + high) / self.height, wide / self.width, high / self.height]


@dataclass(frozen=True)
class SkyGrid:
    """Panels with sky coordinates, in rows.

    Attributes
    ----------
    places : list of tuple of 2 int
        Row and column of each panel.
    n_rows : int
    cell, image, aspect : float
        Widths of a column and of an image (inches), and an image's height over width.
    """

    places: list
    n_rows: int
    cell: float
    image: float
    aspect: float

    @classmethod
    def of(cls, groups, aspect, inner, shape):
        """Place groups of so many panels, those of one next to each other where they find room, into this width.

        All of them together are to be about ``shape`` times as wide as high.
        """
        if not groups:
            return cls([], 0, inner, inner, aspect)
        misfits = {}
        for columns in range(1, min(sum(groups), 5) + 1):
            grid = cls._with_columns(groups, columns, aspect, inner)
            misfits[columns] = grid._misfit(inner, shape) + (_PARTED if columns < max(groups) else 0)
        return cls._with_columns(groups, min(misfits, key=misfits.get), aspect, inner)

    @classmethod
    def _with_columns(cls, groups, n_columns, aspect, inner):
        places = []
        for size in groups:
            start = len(places) and places[-1][0] * n_columns + places[-1][1] + 1
            if start % n_columns + size > n_columns:  # a group that is begun is not to be parted
                start = -(-start // n_columns) * n_columns
            places += [divmod(start + panel, n_columns) for panel in range(size)]
        cell = (inner - (n_columns - 1) * _COLUMN_GAP) / n_columns
        return cls(places, places[-1][0] + 1, cell, min(cell, _TALLEST / aspect), aspect)

    @property
    def height(self):
        """Of all rows."""
        return self.n_rows * self._row

    @property
    def n_gaps(self):
        """How many places have no panel, of the columns that are used."""
        return self.n_rows * (1 + max((column for _, column in self.places), default=0)) - len(self.places)

    @property
    def _row(self):
        return _HEADER + self.image * self.aspect

    def _misfit(self, inner, shape):
        """Tell how far the figure is from a shape that is nice to look at, with few gaps and no tiny images."""
        n, n_columns = len(self.places), round((inner + _COLUMN_GAP) / (self.cell + _COLUMN_GAP))
        too_small = max(0, _SMALLEST_IMAGE - self.image)
        gaps = self.n_rows * n_columns - n
        return abs(np.log(inner / self.height / shape)) + _FEWEST_GAPS * gaps / n + 5 * too_small

    def draw(self, figure, page, panels, wcs):
        """Draw panels, functions of axes, in order."""
        size = self.image, self.image * self.aspect
        for (row, column), panel in zip(self.places, panels):
            left = LEFT + column * (self.cell + _COLUMN_GAP) + (self.cell - self.image) / 2
            axes = figure.add_axes(page.box(left, TOP + row * self._row + _HEADER, *size), projection=wcs)
            # All have the same coordinates, and labels of neighbours would run into each other.
            panel(axes, outer={"left": column == 0, "bottom": column == 0 and row == self.n_rows - 1}, size=size)


def checked_width(width):
    """Give the width of a new figure in inches."""
    try:
        width = float(u.Quantity(width, u.mm).value)
    except (TypeError, u.UnitsError) as error:
        msg = f"width={width!r} must be a length, such as 88 * u.mm."
        raise ValueError(msg) from error
    if not 60 <= width <= 500:
        msg = f"width is {width:g} mm; take 60 to 500 mm: a journal's column has about 88, its page 180."
        raise ValueError(msg)
    return width / 25.4
