"""Text files that people write: whatever their editor put around the text; and how messages show what is in them."""

import reprlib

__all__ = ["kind_of", "read_text", "shown"]

_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def read_text(path, what, *, most):
    """Read a text file, with or without a byte order mark, in UTF-8, UTF-16 or Latin-1.

    Parameters
    ----------
    path : str or `os.PathLike`
    what : str
        What the file should be, for messages, such as "a region file".
    most : int
        Bytes that it may have: a file of another kind is not read into memory.

    Returns
    -------
    text : str

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is larger, or is no text.
    """
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        msg = f"'{path}' is larger than {most / 2**20:g} MiB, so it is hardly {what}; check the name."
        raise ValueError(msg)
    marked = next((name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), None)
    try:
        text = content.decode(marked or "utf-8")
    except UnicodeDecodeError as error:
        if marked == "utf-16":
            msg = f"'{path}' begins as UTF-16, but is not ({error.reason}); save it as UTF-8."
            raise ValueError(msg) from error
        text = content.decode("latin-1")  # any bytes are Latin-1: editors of old leave it in comments
    if "\0" in text:
        msg = f"'{path}' is not a text file, so it cannot be {what}; check the name."
        raise ValueError(msg)
    return text


def shown(value):
    """Show a value in a message: quoted, what is long shortened, control characters as escapes."""
    return _SHORT.repr(value)


def kind_of(error):
    """Kind of an error that is raised again with a message that says more: those of Unicode, say, take no message."""
    return next(kind for kind in (FileNotFoundError, OSError, ValueError) if isinstance(error, kind))
