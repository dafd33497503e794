"""Packaged files: tables of physical constants, each with its source, components files and trained models."""

import tomllib
from importlib import resources
from pathlib import Path

from astropy.table import QTable

__all__ = ["find_components_file", "read_components_file", "read_table"]


def read_table(name):
    """Read a packaged table of physical constants.

    Parameters
    ----------
    name : str
        Its name without ``.ecsv``: "absorption", "acis_effective_area" or "lines".

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


def find_components_file(name_or_path):
    """Find a components file by its path, or a packaged one by its name.

    Parameters
    ----------
    name_or_path : str or `os.PathLike`
        A file, or the name of a packaged one without ``.toml``.

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
    path = Path(name_or_path)
    if path.is_file():
        return path
    folder = Path(str(resources.files(__name__)))
    packaged = folder / f"{name_or_path}.toml"
    if path.name == str(name_or_path) and packaged.is_file():
        return packaged
    names = ", ".join(sorted(each.stem for each in folder.glob("*.toml")))
    msg = (
        f"there is no components file '{name_or_path}'; give the path of a TOML file, or one of the packaged: {names}."
    )
    raise FileNotFoundError(msg)


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
    ValueError
        If it is not TOML.

    Examples
    --------
    >>> from astro_lpalm.data import read_components_file
    >>> path, tables = read_components_file("pwn-acis")
    >>> tables["response"]
    {'instrument': 'acis-i'}
    """
    path = find_components_file(name_or_path)
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"'{path}' is not a TOML file: {error}."
        raise ValueError(msg) from error
