"""Reading and writing files so that nothing is misread, half-written or lost."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from astropy.io import fits

from . import __version__
from ._fits import naming, open_fits, read_image, split_virtual

__all__ = [
    "check_output",
    "complete_or_nothing",
    "naming",
    "open_fits",
    "read_image",
    "save_figure",
    "split_virtual",
    "write_fits",
]


def check_output(path, *, overwrite=False):
    """Find out before a long computation whether its result can be written.

    Parameters
    ----------
    path : str or `os.PathLike`
        Where the file would go.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    FileExistsError
        If ``path`` exists and ``overwrite`` is false.
    FileNotFoundError, NotADirectoryError
        If the directory does not exist, or is a file.
    OSError
        If the directory cannot be written to, or ``path`` is a directory.
    """
    path = Path(path)
    if path.is_dir():
        msg = f"cannot write '{path}': it is a directory; give the name of a file."
        raise IsADirectoryError(msg)
    if path.exists() and not path.is_file():
        msg = f"cannot write '{path}': it is no ordinary file, and would be replaced by one; choose another name."
        raise OSError(msg)
    if not path.parent.is_dir():
        if path.parent.exists():
            msg = f"cannot write '{path}': '{path.parent}' is a file, not a directory."
            raise NotADirectoryError(msg)
        msg = f"cannot write '{path}': there is no directory '{path.parent}'; create it first."
        raise FileNotFoundError(msg)
    if path.exists() and not overwrite:
        msg = f"'{path}' exists already; choose another name, or pass overwrite=True (--overwrite) to replace it."
        raise FileExistsError(msg)
    if not os.access(path.parent, os.W_OK):
        msg = f"cannot write '{path}': permission denied; choose a directory you may write to."
        raise PermissionError(msg)


@contextmanager
def complete_or_nothing(path, *, overwrite=False):
    """Write a file under a temporary name and move it into place when it is complete.

    Parameters
    ----------
    path : str or `os.PathLike`
        Where the finished file belongs.
    overwrite : bool
        Whether an existing file may be replaced.

    Yields
    ------
    temporary : `pathlib.Path`
        A name in the same directory, with the same suffixes, to write to. If the block raises, it is removed and
        ``path`` stays as it was.

    Raises
    ------
    OSError
        If the file cannot be written; see `check_output`.
    """
    check_output(path, overwrite=overwrite)
    path = Path(path).resolve()  # what a link points to is replaced, not the link
    try:
        # A suffix such as .fits.gz decides how writers compress, so the temporary name keeps the whole of it.
        handle, temporary = tempfile.mkstemp(
            prefix=f".{path.name.split('.')[0]}-", suffix="".join(path.suffixes), dir=path.parent
        )
    except OSError as error:
        msg = f"cannot write '{path}': {error.strerror}; choose a directory you may write to."
        raise OSError(msg) from error
    os.close(handle)
    temporary = Path(temporary)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; a result is an ordinary file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_fits(hdulist, path, *, overwrite=False):
    """Write HDUs to a file, whole or not at all, with checksums and the name of the program.

    Parameters
    ----------
    hdulist : `~astropy.io.fits.HDUList`
    path : str or `os.PathLike`
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OSError
        See `complete_or_nothing`.
    """
    header = hdulist[0].header
    if "CREATOR" not in header:  # by this `open_fits` knows whose checksums must be right
        header["CREATOR"] = f"astro_lpalm {__version__}"
    for hdu in hdulist:
        # verifiers ask for this card where a string goes on in CONTINUE cards
        if any(len(card.image) > fits.Card.length for card in hdu.header.cards if isinstance(card.value, str)):
            hdu.header["LONGSTRN"] = ("OGIP 1.0", "long strings are used")
    with complete_or_nothing(path, overwrite=overwrite) as temporary:
        hdulist.writeto(temporary, overwrite=True, checksum=True)


def save_figure(figure, path, *, overwrite=False):
    """Save a matplotlib figure at 150 dots an inch, complete or not at all.

    Parameters
    ----------
    figure : `~matplotlib.figure.Figure`
    path : str or `os.PathLike`
        Its ending gives the format, PNG without one.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OSError
        If it cannot be written, or exists and may not be replaced.
    ValueError
        If the ending is not one of matplotlib's formats.
    """
    # Given outright, as a name without an ending would be changed behind our back.
    kind = Path(path).suffix[1:] or "png"
    with complete_or_nothing(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=150, format=kind)
