"""How a transform is chosen by name."""

from .starlet import Starlet
from .wavelet import Wavelet

__all__ = ["get_transform"]


def get_transform(transform="starlet", n_scales=1):
    """Transform of a given name.

    Parameters
    ----------
    transform : str or object
        ``"starlet"``; an orthogonal wavelet of PyWavelets such as ``"db4"``, or ``"db4-stationary"`` for its stationary
        (undecimated) form; or an object with ``forward`` and ``inverse`` methods, which is returned as it is.
    n_scales : int
        Number of detail scales of a transform chosen by name.

    Returns
    -------
    transform : `Starlet`, `Wavelet` or the object given

    Raises
    ------
    ValueError
        If there is no transform of that name.
    TypeError
        If the object is not a transform.

    Examples
    --------
    >>> from astro_lpalm.transforms import get_transform
    >>> get_transform("db4-stationary", n_scales=2)
    Wavelet(name='db4', n_scales=2, stationary=True)
    """
    if isinstance(transform, str):
        if transform == "starlet":
            return Starlet(n_scales)
        name = transform.removesuffix("-stationary")
        return Wavelet(name, n_scales, stationary=name != transform)
    if isinstance(transform, type) or not (hasattr(transform, "forward") and hasattr(transform, "inverse")):
        msg = (
            f"a transform must be a name such as 'starlet', 'db4' or 'db4-stationary', or an object with forward and "
            f"inverse methods such as Starlet(n_scales=2), not {transform!r}."
        )
        raise TypeError(msg)
    return transform
