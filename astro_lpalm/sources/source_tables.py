"""Reading of what a components file says about sources."""

from collections.abc import Mapping

from .._files import read_image
from .._text import kind_of, shown
from ..data import read_components_file
from .generalized_gaussian import GeneralizedGaussian

__all__ = ["read_source_tables"]

_KEYS = ("fraction", "shape", "amplitude", "image")


def read_source_tables(path):
    """Read and check the ``[components.source]`` tables of a components file.

    Parameters
    ----------
    path : str or `os.PathLike`
        A TOML file, or the name of a packaged one.

    Returns
    -------
    path : `pathlib.Path`
        The file that was read.
    tables : dict of str to dict
        By component name: ``distribution``, a `GeneralizedGaussian` or None; and where given, ``amplitude``, and
        ``image``, a `~numpy.ndarray` (ny, nx).

    Raises
    ------
    FileNotFoundError, OSError
        If there is no such file, or an image is not there or cannot be read; names file, component and key.
    ValueError
        If a key is missing or unknown, or a file has no such image; names file, component and key.
    """
    path, content = read_components_file(path)
    components = content.get("components")
    tables = {}
    try:
        if not isinstance(components, list) or not all(isinstance(table, Mapping) for table in components or [None]):
            msg = "it has no [[components]]; each component needs one, with a name and a [components.source]."
            raise ValueError(msg)
        for index, component in enumerate(components, 1):
            name = component.get("name")
            if not isinstance(name, str) or not name:
                msg = f"component {index}: name must be a text that is not empty, not {shown(name)}."
                raise ValueError(msg)
            if name in tables:
                msg = f"component {index}: name {shown(name)} is another component's already."
                raise ValueError(msg)
            try:
                tables[name] = _checked(component.get("source"), path.parent)
            except (OSError, ValueError) as error:
                msg = f"component {shown(name)}, [components.source]: {error}"
                raise kind_of(error)(msg) from error
    except (OSError, ValueError) as error:
        msg = f"'{path}': {error}"
        raise kind_of(error)(msg) from error
    return path, tables


def _checked(source, directory):
    if not isinstance(source, Mapping):
        msg = "there is no such table; it needs the keys fraction and shape, or image, and may have amplitude."
        raise ValueError(msg)
    for key in source:
        if key not in _KEYS:
            msg = f"unknown key {shown(key)}; allowed are {', '.join(_KEYS)}."
            raise ValueError(msg)
    missing = [key for key in ("fraction", "shape") if key not in source]
    if missing and ("image" not in source or len(missing) == 1):
        msg = f"the key '{missing[0]}' is missing."
        raise ValueError(msg)
    # Rows are brought to unit norm, so the scale of the distribution does not matter.
    given = None if missing else GeneralizedGaussian(source["fraction"], 1.0, source["shape"])
    source = {key: source[key] for key in ("amplitude", "image") if key in source} | {"distribution": given}
    if "image" in source:
        if not isinstance(source["image"], str):
            msg = f"image = {shown(source['image'])} is not the name of a file, 'file.fits' or 'file.fits[EXTENSION]'."
            raise ValueError(msg)
        source["image"], _ = read_image(source["image"], directory)
    return source
