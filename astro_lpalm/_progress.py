"""One line of progress on a terminal; a line in the log for each step anywhere else."""

import logging
import sys
import time

__all__ = ["Progress"]

log = logging.getLogger(__name__)


class Progress:
    """Report how far a long computation has come, with the time it will still take.

    Parameters
    ----------
    total : int
        Number of steps.
    title : str
        What is being done.
    show : bool
        Whether to report on the terminal; where standard error is none, steps are logged instead.
    """

    def __init__(self, total, title, *, show=True):
        self.total, self.title = total, title
        # the terminal itself, where the command line lets no control character through
        self.stream = getattr(sys.stderr, "terminal", sys.stderr)
        self.show = show and self.stream is not None and self.stream.isatty()
        # `done` may be set to what an earlier run has done already; the time left follows from the steps seen here.
        self.done, self.seen, self.start = 0, 0, time.monotonic()

    def step(self, note=""):
        """Count one step and show ``note`` beside the time that is left."""
        self.done += 1
        self.seen += 1
        if self.show:
            left = (time.monotonic() - self.start) * (self.total - self.done) / self.seen
            line = f"\r{self.title} {self.done}/{self.total}  {left:.0f} s left  {note}"
            self.stream.write(f"{line:<100}" + ("\n" if self.done == self.total else ""))
            self.stream.flush()
        else:
            log.info("%s %d/%d  %s", self.title, self.done, self.total, note)
