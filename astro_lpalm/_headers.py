"""Numbers in FITS headers, as real files write them: one reader for all."""

import numbers
import re

import numpy as np
from astropy.io import fits

__all__ = ["exposure_time", "header_number", "header_text"]

_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([EeDd][+-]?\d+)?"  # FITS standard 4.0, section 4.2.4


def header_number(header, key, where, *, default=None, kind=float):
    """Read a keyword whose value is a number.

    Parameters
    ----------
    header : `~astropy.io.fits.Header` or mapping
    key : str
        The keyword.
    where : str
        What the header belongs to, for messages, such as "'evt2.fits', table EVENTS".
    default : float, int or None
        What an absent keyword stands for; one without a value counts as absent.
    kind : {float, int}
        Whether the number must be whole.

    Returns
    -------
    value : float, int or ``default``
        Text that is a number, ``'20000.0'`` or ``'1.5D4'``, counts as that number.

    Raises
    ------
    ValueError
        If the value is anything else, or is not finite; names the file and the keyword.

    Examples
    --------
    >>> from astro_lpalm._headers import header_number
    >>> header_number({"EXPOSURE": "2.0D4"}, "EXPOSURE", "'evt2.fits'")
    20000.0
    """
    value = _value(header, key, where)
    if value is None:
        return default
    number = _as_number(value)
    if number is None or not np.isfinite(number) or (kind is int and number != int(number)):
        expected = "a whole number" if kind is int else "a finite number"
        msg = f"{where}: {key} is {value!r}, but must be {expected}; correct it, or remove the card."
        raise ValueError(msg)
    return kind(number)


def header_text(header, key, where, *, default=""):
    """Read a keyword whose value is a text; numbers become one, and an absent or undefined value is ``default``."""
    value = _value(header, key, where)
    return default if value is None else str(value).strip()


def exposure_time(header, where, key="EXPOSURE"):
    """Read an exposure time.

    Parameters
    ----------
    header, where, key
        As `header_number` takes them.

    Returns
    -------
    seconds : float or None
        None where the keyword is absent.

    Raises
    ------
    ValueError
        If it is not a positive number; names the file, the keyword and the value.
    """
    seconds = header_number(header, key, where)
    if seconds is not None and seconds <= 0:
        msg = f"{where}: {key} is {header[key]!r}, and must be a positive number of seconds; correct it, or remove it."
        raise ValueError(msg)
    return seconds


def _value(header, key, where):
    try:
        value = header.get(key)
    except fits.VerifyError as error:
        msg = f"{where}: the card {key} cannot be read ({' '.join(str(error).split())}); correct it, or remove it."
        raise ValueError(msg) from error
    return None if isinstance(value, fits.card.Undefined) or (isinstance(value, str) and not value.strip()) else value


def _as_number(value):
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, numbers.Real):
        return value
    if isinstance(value, str) and re.fullmatch(_NUMBER, value.strip()):
        return float(value.upper().replace("D", "E"))
    return None
