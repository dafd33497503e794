"""Refusing what does not fit in memory before it is asked for: a system may kill rather than say no."""

import os

import numpy as np

__all__ = ["check_memory", "physical_memory"]


def physical_memory():
    """Bytes of memory that the machine has; infinite where it does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a POSIX system: allocation itself will tell
        return np.inf


def check_memory(name, value, n_bytes):
    """Refuse a number of something that takes more memory than there is.

    Parameters
    ----------
    name : str
        What the number is called, for messages.
    value : int
    n_bytes : int
        Memory that each takes.

    Raises
    ------
    ValueError
        If all do not fit; says how many would.
    """
    memory = physical_memory()
    if value * n_bytes > memory:
        msg = (
            f"{name} = {value} would take {value * n_bytes / 2**30:.3g} GiB of memory, of which there are "
            f"{memory / 2**30:.3g}; with the other settings as they are it can be {int(memory // n_bytes)} at most."
        )
        raise ValueError(msg)
