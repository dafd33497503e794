"""Progress: a bar on a terminal or in a notebook; a line in the log for each step anywhere else."""

import logging
import sys
import time
from html import escape

from ._notebook import in_notebook

__all__ = ["Progress", "time_text"]

log = logging.getLogger(__name__)
_BAR = 20  # letters


class Progress:
    """Report how far a long computation has come, with the time it will still take.

    Parameters
    ----------
    total : int
        Number of steps.
    title : str
        What is being done.
    show : bool
        Whether to report on the terminal or in the notebook; where standard error is neither, steps are logged.
    """

    def __init__(self, total, title, *, show=True):
        self.total, self.title = total, title
        # the terminal itself, where the command line lets no control character through
        self.stream = getattr(sys.stderr, "terminal", sys.stderr)
        self.show = show and self.stream is not None and self.stream.isatty()
        self.display = _notebook_display() if show and not self.show and in_notebook() else None
        # `done` may be set to what an earlier run has done already; the time left follows from the steps seen here.
        self.done, self.seen, self.start = 0, 0, time.monotonic()

    def step(self, note=""):
        """Count one step and show ``note`` beside the time that is left."""
        self.done += 1
        self.seen += 1
        left = time_text((time.monotonic() - self.start) * (self.total - self.done) / self.seen)
        if self.show:
            bar = "#" * (_BAR * self.done // self.total)
            line = f"\r{self.title} {self.done}/{self.total}  [{bar:.<{_BAR}}]  {left} left  {note}"
            self.stream.write(f"{line:<110}" + ("\n" if self.done == self.total else ""))
            self.stream.flush()
        elif self.display is not None:
            bar = f'<progress value="{self.done}" max="{self.total}"></progress>'
            text = f"{self.title} {self.done}/{self.total}, {left} left"
            self.display(f"<div>{bar} {escape(text)} <span style='opacity:.65'>{escape(note)}</span></div>")
        else:
            log.info("%s %d/%d  %s left  %s", self.title, self.done, self.total, left, note)


def time_text(seconds):
    """Write a time as it is said, with two units at most."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"


def _notebook_display():
    """Make a function that shows HTML in the output of a cell, in place of what it has shown before."""
    from IPython.display import HTML, display

    handle = []

    def show(html):
        if handle:
            handle[0].update(HTML(html))
        else:
            handle.append(display(HTML(html), display_id=True))

    return show
