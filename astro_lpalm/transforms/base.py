"""What the transforms have in common: the checks on what they are given."""

import operator
import sys

import numpy as np

__all__ = ["as_float_images", "check_coefficients", "check_n_scales", "check_size", "is_tensor"]


def is_tensor(images):
    """Whether these are torch tensors. Nobody can hold one before torch is imported, so it need not be imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(images, torch.Tensor)


def as_float_images(images):
    """Array of native float32 where it was float32, else of float64."""
    images = np.asarray(images)
    if images.dtype.kind not in "biuf":
        msg = f"images must be an array of real numbers, but its dtype is {images.dtype}."
        raise ValueError(msg)
    single = images.dtype.kind == "f" and images.dtype.itemsize == 4
    return images.astype(np.float32 if single else np.float64, copy=False)


def check_n_scales(n_scales):
    """Return the number of scales as an int, or raise unless it is at least one."""
    try:
        n_scales = operator.index(n_scales)
    except TypeError:
        msg = f"n_scales must be a whole number, not {n_scales!r}."
        raise TypeError(msg) from None
    if n_scales < 1:
        msg = f"n_scales must be at least 1, not {n_scales}."
        raise ValueError(msg)
    return n_scales


def check_size(transform, shape, largest):
    """Raise if images of this shape cannot hold the transform's scales; ``largest`` maps a side to what it holds."""
    if len(shape) < 2 or 0 in shape[-2:]:
        msg = f"images must have shape (..., ny, nx) with at least one pixel, but their shape is {tuple(shape)}."
        raise ValueError(msg)
    allowed = largest(min(shape[-2:]))
    if transform.n_scales > allowed:
        advice = f"n_scales can be {allowed} at most" if allowed else "they are too small for even one scale"
        msg = (
            f"n_scales={transform.n_scales} is too large for {transform} on images of {shape[-2]} x {shape[-1]} "
            f"pixels: {advice}."
        )
        raise ValueError(msg)


def check_coefficients(transform, details):
    """Raise if there is not one array of details per scale."""
    if len(details) != transform.n_scales:
        msg = (
            f"{transform} needs details at {transform.n_scales} scale(s), finest first, but {len(details)} were given."
        )
        raise ValueError(msg)
