"""Models by name."""

from ..data import find_model_file, packaged_files
from .model import Model

__all__ = ["load_model", "packaged_models"]


def packaged_models():
    """Return the names of the models that come with the package.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from astro_lpalm.model import packaged_models
    >>> "snr-acis" in packaged_models()
    True
    """
    return list(packaged_files(".fits"))


def load_model(name_or_path):
    """Load a model, by the name of a packaged one or from a file.

    Parameters
    ----------
    name_or_path : str or `os.PathLike`
        One of `packaged_models`, which always means that one; anything else, as a name with a suffix or a directory
        (``snr-acis.fits``, ``./snr-acis``), is a path.

    Returns
    -------
    `Model`

    Raises
    ------
    FileNotFoundError
        If it is neither.
    OSError, ValueError
        See `Model.read`.

    Examples
    --------
    >>> from astro_lpalm import load_model
    >>> load_model("snr-acis").network.n_layers
    25
    """
    return Model.read(find_model_file(name_or_path))
