"""Checks of what a Separation is made of."""

import re

import numpy as np

from ..forward import BackgroundCounts, LocalSpectra

__all__ = ["valid_background", "valid_deviations", "valid_local", "valid_matrix", "valid_meta"]


def valid_matrix(what, values, shape, meaning):
    # images may be large, and have no more than seven digits
    single = isinstance(values, np.ndarray) and values.dtype == np.float32 and what not in ("mixing", "covariance")
    values = np.array(values, dtype=np.float32 if single else float)
    if values.shape != shape:
        msg = f"{what} has shape {values.shape}; expected {shape}, {meaning}."
        raise ValueError(msg)
    if not np.isfinite(values).all():
        msg = f"{what} has {np.sum(~np.isfinite(values))} values that are NaN or infinite; expected finite ones."
        raise ValueError(msg)
    values.flags.writeable = False  # they belong together
    return values


def valid_background(background, shape):
    background = BackgroundCounts.of(background)
    if background.shape != shape:
        given = background.shape
        msg = f"background has shape {given}; expected {shape}, (energies of the cube, unmasked pixels of the cube)."
        raise ValueError(msg)
    if not np.isfinite(background.spectrum()).all():
        msg = "background has values that are NaN or infinite; expected finite ones."
        raise ValueError(msg)
    return background


def valid_local(local, shape):
    if not isinstance(local, LocalSpectra):
        msg = f"local must be LocalSpectra, not {type(local).__name__}; see astro_lpalm.forward.LocalSpectra."
        raise TypeError(msg)
    if local.shape != shape:
        msg = f"local has shape {local.shape}; expected {shape}, (energies of the cube, names, unmasked pixels)."
        raise ValueError(msg)
    return local


def valid_deviations(what, values, shape):
    values = valid_matrix(what, values, shape, "one for each value")
    if (values < 0).any():
        msg = f"{what} has negative values, and must have standard deviations."
        raise ValueError(msg)
    return values


def valid_meta(meta):
    """Check that the values fit FITS cards, and make them plain Python objects."""
    plain = {}
    for key, value in meta.items():
        value = value.item() if isinstance(value, np.generic) else value
        finite = not isinstance(value, float) or np.isfinite(value)
        named = isinstance(key, str) and re.fullmatch(r"[a-z][a-z0-9_]{0,29}", key)
        short = not isinstance(value, str) or (value.isascii() and value.isprintable() and len(value) <= 30)
        if not (named and isinstance(value, bool | int | float | str) and finite and short):
            msg = (
                f"diagnostics.meta has {key!r}: {value!r}; keys must be lower-case identifiers of up to 30 characters, "
                "values finite numbers, booleans or printable ASCII strings of up to 30 characters."
            )
            raise ValueError(msg)
        plain[key] = value
    return plain
