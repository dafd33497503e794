"""One line of progress on a terminal; silence anywhere else."""

import sys
import time

__all__ = ["Progress"]


class Progress:
    """Report how far a long computation has come, with the time it will still take.

    Parameters
    ----------
    total : int
        Number of steps.
    title : str
        What is being done.
    show : bool
        Whether to report at all; nothing is written where standard error is not a terminal.
    """

    def __init__(self, total, title, *, show=True):
        self.total, self.title = total, title
        self.show = show and sys.stderr.isatty()
        # `done` may be set to what an earlier run has done already; the time left follows from the steps seen here.
        self.done, self.seen, self.start = 0, 0, time.monotonic()

    def step(self, note=""):
        """Count one step and show ``note`` beside the time that is left."""
        self.done += 1
        self.seen += 1
        if self.show:
            left = (time.monotonic() - self.start) * (self.total - self.done) / self.seen
            line = f"\r{self.title} {self.done}/{self.total}  {left:.0f} s left  {note}"
            sys.stderr.write(f"{line:<100}" + ("\n" if self.done == self.total else ""))
            sys.stderr.flush()
