"""What does not fit in memory: refused before it is asked for, as a system may kill rather than say no; or on disk."""

import os
import tempfile

import numpy as np

__all__ = ["array_on_disk", "check_memory", "physical_memory"]


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


def array_on_disk(rows, shape, dtype):
    """Write rows to a temporary file, and map it to memory: the system keeps as much of it there as it has room for.

    Parameters
    ----------
    rows : iterable of `~numpy.ndarray`
        One after the other, all of the array.
    shape : tuple of int
    dtype : data-type

    Returns
    -------
    `~numpy.memmap`
        May be written to. The file has no name, and vanishes with the array.

    Raises
    ------
    ValueError
        If there is no room on the disk.
    """
    with tempfile.TemporaryFile() as file:
        try:
            for row in rows:
                row.astype(dtype, order="C", copy=False).tofile(file)
            file.flush()
        except OSError as error:
            where, size = tempfile.gettempdir(), np.dtype(dtype).itemsize * int(np.prod(shape, dtype=object)) / 2**30
            why = error.strerror or error
            msg = f"there is no room in '{where}' for {size:.3g} GiB: {why}; set TMPDIR to a directory that has."
            raise ValueError(msg) from error
        return np.memmap(file, dtype, "r+", shape=shape)
