"""Reading and writing files so that nothing is misread, half-written or lost."""

import errno
import gzip
import os
import platform
import re
import shutil
import tempfile
import warnings
from contextlib import contextmanager, suppress
from itertools import combinations
from pathlib import Path

from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from . import __version__
from ._fits import naming, open_fits, read_image, split_virtual
from ._fits_planes import write_with_planes

__all__ = [
    "check_files",
    "check_fits_name",
    "check_output",
    "complete_or_nothing",
    "naming",
    "open_fits",
    "read_image",
    "same_file",
    "save_figure",
    "split_virtual",
    "warn_if_twice",
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
        raise _exists(path)
    folder = _real(path).parent  # of what a link points to
    if not folder.is_dir():
        msg = f"cannot write '{path}': it is a link into a directory that does not exist, '{folder}'; create it first."
        raise FileNotFoundError(msg)
    if not os.access(folder, os.W_OK | os.X_OK):
        msg = f"cannot write '{path}': permission denied; choose a directory you may write to."
        raise PermissionError(msg)


def check_files(outputs, inputs=(), *, overwrite=False, renewed=()):
    """Find out before a long computation whether all its results can be written, none over what it is made of.

    Parameters
    ----------
    outputs : dict of str to str, `os.PathLike` or None
        The files that will be written, by what to call them in an error; None for one that is not wanted.
    inputs : sequence of str, `os.PathLike` or None
        The files that are read, and those that they name; "file.fits[EXTENSION]" is file.fits. Links are followed.
    overwrite : bool
        Whether existing outputs may be replaced.
    renewed : sequence of str
        Which of the outputs may exist in any case, as a checkpoint.

    Raises
    ------
    ValueError
        If an output is an input, or another output.
    OSError
        If an output cannot be written, or exists and may not be replaced; see `check_output`.
    """
    outputs = {what: path for what, path in outputs.items() if path is not None}
    inputs = [name for each in inputs if each is not None for name in _names_of(each)]
    for path in outputs.values():
        if any(same_file(path, name) for name in inputs):
            msg = f"'{path}' is the file that it would be made of; choose another name for the output."
            raise ValueError(msg)
    for (one, path), (other, second) in combinations(outputs.items(), 2):
        if same_file(path, second) or _real(path) == _real(second):
            msg = f"{one} and {other} are both '{path}'; give each a name of its own."
            raise ValueError(msg)
    for what, path in outputs.items():
        check_output(path, overwrite=overwrite or what in renewed)


def same_file(one, other):
    """Tell whether two names, links among them, are those of one file that exists."""
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def warn_if_twice(names):
    """Warn of a file that is given twice where each is to be another observation.

    Parameters
    ----------
    names : sequence
        Files, and whatever else observations can be.
    """
    files = [name for name in names if isinstance(name, str | os.PathLike)]
    for one, other in combinations(files, 2):
        if str(one) == str(other) or same_file(one, other):
            msg = f"'{one}' and '{other}' are one file: its photons count twice. Give it once."
            warnings.warn(msg, AstropyUserWarning, stacklevel=3)


def _real(path):
    return Path(os.path.realpath(path))


def _names_of(path):
    # Brackets may be part of a name, or say which part of the file is meant: whatever comes before them counts as well.
    path = str(path)
    yield path
    yield re.sub(r"\+\d+$", "", path)
    for bracket in re.finditer(r"\[", path):
        yield path[: bracket.start()]


@contextmanager
def complete_or_nothing(path, *, overwrite=False):
    """Write a file under a temporary name and move it into place when it is complete.

    Temporary files that killed runs on this machine left in the directory are removed.

    Parameters
    ----------
    path : str or `os.PathLike`
        Where the finished file belongs.
    overwrite : bool
        Whether an existing file may be replaced. Otherwise it is not, even if it appears while the new one is written.

    Yields
    ------
    temporary : `pathlib.Path`
        A name in the same directory, with the same suffixes, to write to. If the block raises, it is removed and
        ``path`` stays as it was.

    Raises
    ------
    OSError
        If the file cannot be written (see `check_output`), or the disk is full.
    """
    check_output(path, overwrite=overwrite)
    target = _real(path)  # what a link points to is replaced, not the link
    _remove_leftovers(target.parent)
    temporary = None
    try:
        temporary = _temporary_file(target)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; a result is an ordinary file
        _put_in_place(temporary, target, path, overwrite)
    except OSError as error:
        # What was said of another file, within the block, is true of that one.
        if not _disk_is_full(error) or (isinstance(error, _DiskFullError) and error.path != temporary):
            raise
        raise _DiskFullError(path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


class _DiskFullError(OSError):
    def __init__(self, path):
        self.path = Path(path)
        super().__init__(
            f"cannot write '{path}': the disk or the quota is full; free some space, or choose another directory."
        )


_PREFIX = ".astro-lpalm-"


def _temporary_file(target):
    # A suffix such as .fits.gz decides how writers compress, so the temporary name keeps the whole of it.
    prefix = f"{_PREFIX}{os.getpid()}-{platform.node()}-"
    try:
        handle, name = tempfile.mkstemp(prefix=prefix, suffix="".join(target.suffixes), dir=target.parent)
    except OSError as error:
        if _disk_is_full(error):
            raise OSError(error.errno, error.strerror) from error  # without the temporary name, for the caller
        msg = f"cannot write '{target}': {error.strerror}; choose a directory you may write to."
        raise OSError(msg) from error
    os.close(handle)
    return Path(name)


def _remove_leftovers(directory):
    """Remove the temporary files of runs on this machine that were killed."""
    if os.name != "posix":  # elsewhere, to ask after a process may end it
        return
    pattern = re.compile(rf"{re.escape(_PREFIX)}(\d{{1,9}})-{re.escape(platform.node())}-")
    with suppress(OSError):  # a directory that cannot be listed, a file of somebody else: they do no harm
        for entry in os.scandir(directory):
            found = pattern.match(entry.name)
            if found and not _is_running(int(found[1])):
                os.unlink(entry)


def _is_running(process):
    try:
        os.kill(process, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # another user's may not be asked
    return True


def _put_in_place(temporary, target, name, overwrite):
    if overwrite:
        temporary.replace(target)
        return
    # A link, unlike a new name, fails if the name was taken in the meantime.
    try:
        try:
            os.link(temporary, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without links: an empty file takes the name first
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            try:
                temporary.replace(target)
            except BaseException:
                target.unlink()
                raise
    except FileExistsError as error:
        raise _exists(name) from error


def _exists(path):
    msg = f"'{path}' exists already; choose another name, or pass overwrite=True (--overwrite) to replace it."
    return FileExistsError(msg)


def _disk_is_full(error):
    # astropy and NumPy raise errors of their own, without the number of the system's
    while error is not None:
        if isinstance(error, OSError):
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                return True
            if re.search(r"\d+ requested and \d+ written", str(error)):
                return True
        error = error.__cause__ or error.__context__
    return False


def check_fits_name(path):
    """Refuse a name by whose ending a FITS file would be taken for one of another format.

    Parameters
    ----------
    path : str or `os.PathLike`

    Raises
    ------
    ValueError
        If the ending is that of a compression other than gzip, an archive, a picture, a text or another data format.
    """
    endings = [ending.lower() for ending in Path(path).suffixes]
    if endings[-1:] == [".gz"]:
        endings.pop()
    if endings and endings[-1] in _OTHER_FORMATS:
        ending = "".join(Path(path).suffixes[-2 if Path(path).suffix.lower() == ".gz" else -1 :])
        msg = (
            f"cannot write '{path}': a FITS file cannot end in '{ending}'; give a name that ends in .fits, or in "
            ".fits.gz for a compressed one."
        )
        raise ValueError(msg)


_OTHER_FORMATS = {
    *(".7z", ".br", ".bz2", ".fz", ".lz", ".lz4", ".lzma", ".rar", ".tar", ".tbz", ".tgz", ".txz", ".xz", ".z", ".zip"),
    *(".zst", ".asdf", ".csv", ".ecsv", ".h5", ".hdf5", ".json", ".npy", ".npz", ".parquet", ".pickle", ".pkl", ".pt"),
    *(".html", ".md", ".py", ".reg", ".rst", ".toml", ".tsv", ".txt", ".vot", ".votable", ".xml", ".yaml", ".yml"),
    *(".bmp", ".eps", ".gif", ".jpeg", ".jpg", ".pdf", ".png", ".ps", ".svg", ".tif", ".tiff", ".webp"),
}


def write_fits(hdulist, path, *, overwrite=False, large=None):
    """Write HDUs to a file, whole or not at all, with checksums and the name of the program.

    Parameters
    ----------
    hdulist : `~astropy.io.fits.HDUList`
    path : str or `os.PathLike`
        Compressed if it ends in ".gz".
    overwrite : bool
        Whether an existing file may be replaced.
    large : dict of str to object, optional
        Images that are written plane by plane, by the names of HDUs, which have their headers alone: objects with a
        shape, (n, ny, nx), and a dtype, which planes are taken from one after the other.

    Raises
    ------
    OSError
        See `complete_or_nothing`.
    ValueError
        See `check_fits_name`.
    """
    check_fits_name(path)
    header = hdulist[0].header
    if "CREATOR" not in header:  # by this `open_fits` knows whose checksums must be right
        header["CREATOR"] = f"astro_lpalm {__version__}"
    for hdu in hdulist:
        # verifiers ask for this card where a string goes on in CONTINUE cards
        if any(len(card.image) > fits.Card.length for card in hdu.header.cards if isinstance(card.value, str)):
            hdu.header["LONGSTRN"] = ("OGIP 1.0", "long strings are used")
    with complete_or_nothing(path, overwrite=overwrite) as temporary:
        if not large:
            hdulist.writeto(temporary, overwrite=True, checksum=True)
        elif Path(path).suffix.lower() != ".gz":
            write_with_planes(hdulist, temporary, large)
        else:
            whole = temporary.with_name(f"{temporary.name}.fits")
            try:
                write_with_planes(hdulist, whole, large)
                with open(whole, "rb") as file, gzip.open(temporary, "wb") as packed:
                    shutil.copyfileobj(file, packed)
            finally:
                whole.unlink(missing_ok=True)


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
