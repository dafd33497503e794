"""What a command writes: checked before it begins, and told of when it is interrupted."""

import os

from .._files import check_files, check_fits_name

__all__ = ["check_outputs", "file_state", "what_is_kept"]


def check_outputs(options, reads, writes, *, fits=True, renewed=()):
    """Refuse to begin what could not be finished, or would destroy what it is made of."""
    check_files(writes, reads, overwrite=options.overwrite, renewed=renewed)
    options.outputs = {path: file_state(path) for path in writes.values() if path is not None}
    for path in options.outputs if fits else ():
        check_fits_name(path)


def what_is_kept(options):
    """Say which files of an interrupted command are there."""
    outputs = getattr(options, "outputs", {})
    kept = [f"'{path}'" for path, before in outputs.items() if file_state(path) != before]
    return f"interrupted; kept: {', '.join(kept)}." if kept else "interrupted, and nothing was kept."


def file_state(path):
    """Tell one state of a file from another; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
