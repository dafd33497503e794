"""Figures of matplotlib that a notebook shows by themselves."""

import io

from matplotlib.figure import Figure

__all__ = ["ShownFigure"]

_DPI, _SHARP = 100, 2  # of the picture, and pixels of it for one of the screen


class ShownFigure(Figure):
    """A figure made without pyplot, which a notebook shows where it is the value of a cell, and a script does not.

    Notebooks know how to show figures only after pyplot was imported. This has what they ask any object for.
    """

    def _repr_png_(self):
        file = io.BytesIO()
        self.savefig(file, dpi=_DPI * _SHARP, format="png")
        width, height = self.get_size_inches()
        return file.getvalue(), {"width": round(_DPI * width), "height": round(_DPI * height)}
