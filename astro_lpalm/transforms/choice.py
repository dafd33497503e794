"""How a transform is chosen by name."""

from dataclasses import replace

from .starlet import Starlet
from .wavelet import Wavelet

__all__ = ["get_transform"]

_INTERFACE = ("forward", "inverse", "noise", "photon_noise")


def get_transform(transform="starlet", n_scales=1, *, side=None):
    """Transform of a given name.

    Parameters
    ----------
    transform : str or object
        ``"starlet"``; an orthogonal wavelet of PyWavelets such as ``"db4"``, or ``"db4-stationary"`` for its stationary
        (undecimated) form; or an object with ``forward``, ``inverse``, ``noise`` and ``photon_noise`` like theirs,
        which is returned as it is.
    n_scales : int
        Number of detail scales of a transform chosen by name.
    side : int, optional
        Shorter side of the images it is for, which a transform chosen by name gets no more scales than fit into.

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
        name = transform.removesuffix("-stationary")
        chosen = Starlet(n_scales) if transform == "starlet" else Wavelet(name, n_scales, stationary=name != transform)
        if side is None:
            return chosen
        return replace(chosen, n_scales=max(1, min(n_scales, chosen.largest_n_scales(side))))
    if isinstance(transform, type) or not all(hasattr(transform, each) for each in _INTERFACE):
        msg = (
            f"a transform must be a name such as 'starlet', 'db4' or 'db4-stationary', or an object with "
            f"{', '.join(_INTERFACE)} such as Starlet(n_scales=2), not {transform!r}."
        )
        raise TypeError(msg)
    return transform
