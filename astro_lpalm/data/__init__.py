"""Packaged files: tables of physical constants, each with its source, components files and trained models."""

from importlib import resources
from pathlib import Path

from astropy.table import QTable

from .._text import shown
from .._toml import read_toml

__all__ = [
    "find_components_file",
    "find_model_file",
    "named_files",
    "packaged_files",
    "read_components_file",
    "read_table",
]


def read_table(name):
    """Read a packaged table of physical constants.

    Parameters
    ----------
    name : str
        Its name without ``.ecsv``: "absorption", "abundances", "acis_contamination", "acis_effective_area",
        "continuum", "epic_effective_area", "erosita_effective_area", "gaunt", "ion_continuum", "ion_lines" (of C to
        Ca), "ion_lines_iron" (of Fe and Ni), "ionization", "lines" or "tbabs".

    Returns
    -------
    table : `~astropy.table.QTable`
        With units; ``meta`` tells where the numbers come from and how far they hold.

    Examples
    --------
    >>> from astro_lpalm.data import read_table
    >>> print(read_table("lines")["ion"][0])
    VII
    """
    text = resources.files(__name__).joinpath(f"{name}.ecsv").read_text(encoding="utf-8")
    return QTable.read(text.splitlines(), format="ascii.ecsv")


def packaged_files(suffix):
    """Find the packaged files of a kind.

    Parameters
    ----------
    suffix : str
        ".toml" for components files, ".fits" for models.

    Returns
    -------
    files : dict of str to `pathlib.Path`
        By name, which has no suffix.

    Examples
    --------
    >>> from astro_lpalm.data import packaged_files
    >>> list(packaged_files(".toml"))
    ['pwn-acis', 'snr-acis', 'snr-erosita', 'snr-nei-acis', 'snr-xmm-pn']
    """
    folder = Path(str(resources.files(__name__)))
    return {path.stem: path for path in sorted(folder.glob(f"*{suffix}"))}


def find_components_file(name_or_path):
    """Find a components file by its path, or a packaged one by its name.

    Parameters
    ----------
    name_or_path : str or `os.PathLike`
        The name of a packaged file without ``.toml``, which always means that one; anything else, as a name with a
        suffix or a directory (``snr-acis.toml``, ``./snr-acis``), is a path.

    Returns
    -------
    path : `pathlib.Path`

    Raises
    ------
    FileNotFoundError
        If it is neither.

    Examples
    --------
    >>> from astro_lpalm.data import find_components_file
    >>> find_components_file("snr-acis").name
    'snr-acis.toml'
    """
    missing = "there is no components file {}; give the path of a TOML file, or one of the packaged: {}."
    return _found(name_or_path, ".toml", missing)


def find_model_file(name_or_path):
    """Find a model file by its path, or a packaged one by its name.

    Parameters
    ----------
    name_or_path : str or `os.PathLike`
        The name of a packaged model, which always means that one; anything else, as a name with a suffix or a directory
        (``snr-acis.fits``, ``./snr-acis``), is a path.

    Returns
    -------
    path : `pathlib.Path`

    Raises
    ------
    FileNotFoundError
        If it is neither; names the packaged ones.

    Examples
    --------
    >>> from astro_lpalm.data import find_model_file
    >>> find_model_file("snr-acis").name
    'snr-acis.fits'
    """
    return _found(name_or_path, ".fits", "{} is neither a file nor a packaged model; the packaged ones are: {}.")


def _found(name_or_path, suffix, missing):
    packaged = packaged_files(suffix)
    path = packaged.get(str(name_or_path), Path(name_or_path))
    if not path.is_file():
        raise FileNotFoundError(missing.format(shown(str(name_or_path)), ", ".join(packaged)))
    return path


def read_components_file(name_or_path):
    """Read a components file as TOML, without a look at what it says.

    Parameters
    ----------
    name_or_path : str or `os.PathLike`
        See `find_components_file`.

    Returns
    -------
    path : `pathlib.Path`
    tables : dict

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If it cannot be read.
    ValueError
        If it is not TOML, larger than 256 KiB, nested too deep, or holds a number that is not finite or a control
        character; says where.

    Examples
    --------
    >>> from astro_lpalm.data import read_components_file
    >>> path, tables = read_components_file("pwn-acis")
    >>> tables["response"]
    {'instrument': 'acis-i'}
    """
    path = find_components_file(name_or_path)
    return path, read_toml(path)


def named_files(name_or_path):
    """Find all that a components file may be made of: itself, and every text in it, as the name of a file.

    What is read is never to be written over, so that a name too many does no harm, and one too few does.

    Parameters
    ----------
    name_or_path : str or `os.PathLike`
        See `find_components_file`.

    Returns
    -------
    list of `pathlib.Path`
        The file first; names are taken relative to its directory, and most of the others are not those of files. Empty
        if there is no such file, or it is not TOML, which reading it has to tell.

    Examples
    --------
    >>> from astro_lpalm.data import named_files
    >>> named_files("snr-acis")[0].name
    'snr-acis.toml'
    """
    try:
        path, tables = read_components_file(name_or_path)
    except (OSError, ValueError):
        return []
    found, left = [path], [tables]
    while left:
        value = left.pop()
        if isinstance(value, dict | list):
            left += value.values() if isinstance(value, dict) else value
        elif isinstance(value, str):
            found.append(path.parent / value)
    return found
