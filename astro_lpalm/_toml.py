"""TOML files read so that none takes long, and none holds what no setting can be."""

import math
import re
import tomllib

from ._text import read_text, shown

__all__ = ["read_toml"]

_LARGEST = 1 << 18  # bytes; the packaged components files have 3000
_MOST_DOTS = 32  # in a line, besides those of numbers: tomllib takes the square of their number to read a dotted key
_DEEPEST = 16  # tables and lists within each other; a components file has 7
_LARGEST_INTEGER = 2**63  # TOML's own
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # escape sequences, and text set backwards
_PLAIN_KEY = re.compile(r"[\w-]{1,40}")


def read_toml(path):
    """Read a TOML file, whose numbers are finite and whose texts have no control characters.

    Parameters
    ----------
    path : str or `os.PathLike`

    Returns
    -------
    tables : dict

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not TOML, is larger than 256 KiB, or is nested more than 16 deep; or a value is infinite, NaN, a whole
        number beyond 64 bits, a date, or has a control character: says which key.
    """
    text = read_text(path, "a components file", most=_LARGEST)
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MOST_DOTS and _dots(line) > _MOST_DOTS:
            msg = f"'{path}', line {number}: {shown(line)} has more than {_MOST_DOTS} dots; no key has as many parts."
            raise ValueError(msg)
    try:
        tables = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError is one; so is what int() says of thousands of digits
        msg = f"'{path}' is not a TOML file: {error}."
        raise ValueError(msg) from error
    except RecursionError:
        msg = f"'{path}': tables or lists are nested hundreds deep; no setting needs more than {_DEEPEST}."
        raise ValueError(msg) from None
    _check(tables, "", path)
    return tables


def _dots(line):
    """Count the dots of a line, without those of numbers and of a line that is all comment."""
    words = [] if line.lstrip().startswith("#") else re.findall(r"[^\s,\[\]{}=]+", line)
    return sum(word.count(".") for word in words if not re.fullmatch(r"[+-]?\d[\d_]*\.\d[\d_eE+-]*", word))


def _check(value, key, path, depth=0):
    problem = None
    if depth > _DEEPEST:
        problem = f"is nested more than {_DEEPEST} deep; no setting needs it."
    elif isinstance(value, dict):
        for name, each in value.items():
            if _CONTROL.search(name):
                key, problem = f"{key}.{shown(name)}".lstrip("."), "has a control character in its name."
                break
            named = name if _PLAIN_KEY.fullmatch(name) else shown(name)
            _check(each, f"{key}.{named}".lstrip("."), path, depth + 1)
    elif isinstance(value, list):
        for number, each in enumerate(value, 1):
            _check(each, f"{key}[{number}]", path, depth + 1)
    elif isinstance(value, str):
        if _CONTROL.search(value):
            problem = f"{shown(value)} has a control character; remove it."
    elif not isinstance(value, int | float):
        problem = f"{value} is a date or a time; no setting is one. If it is a text, put it between quotes."
    elif isinstance(value, int) and abs(value) >= _LARGEST_INTEGER:
        problem = f"a whole number of {value.bit_length()} bits is too large; give less than 2**63."
    elif not math.isfinite(value):
        problem = f"{value} is not finite (a number beyond 1e308 is infinite); give a finite number."
    if problem:
        msg = f"'{path}', {key}: {problem}"
        raise ValueError(msg)
