"""A reader for the one kind of pickle that is opened here: dictionaries of NumPy arrays, as the authors' files are.

Nothing else in the package unpickles. A pickle is a program that may call anything. Here the three NumPy names that an
array is pickled with are answered by records of this module, which keep what they are given and do nothing with it, and
every other name is an error; what was recorded is checked before an array is made of its bytes.
"""

import pickle
from pathlib import Path

import numpy as np

__all__ = ["read_pickled_arrays"]

_KINDS = ("f4", "f8")


class _RecordedType:
    def __init__(self, code, *_):
        self.code, self.order = str(code), "|"

    def __setstate__(self, state):
        self.order = state[1]


class _RecordedArray:
    state = None

    def __init__(self, *_):
        pass

    def __setstate__(self, state):
        self.state = state


# "numpy.core" became "numpy._core" with NumPy 2; only the spelling in the file changed.
_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _RecordedArray,
    ("numpy._core.multiarray", "_reconstruct"): _RecordedArray,
    ("numpy", "ndarray"): _RecordedArray,
    ("numpy", "dtype"): _RecordedType,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        try:
            return _NAMES[module, name]
        except KeyError:
            msg = f"it asks for {module}.{name}, and nothing but arrays is read"
            raise pickle.UnpicklingError(msg) from None

    def persistent_load(self, pid):
        msg = "it refers to data outside the file"
        raise pickle.UnpicklingError(msg)


def read_pickled_arrays(path):
    """Read a dictionary of arrays from a pickle, or from an .npy file that holds such a pickle.

    Parameters
    ----------
    path : str or `os.PathLike`

    Returns
    -------
    dict of str to `~numpy.ndarray`
        Of double precision.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged or holds anything but a dictionary of arrays of floating-point numbers.
    """
    path = Path(path)
    with path.open("rb") as file:
        try:
            if path.suffix == ".npy":
                np.lib.format.read_magic(file)
                np.lib.format.read_array_header_1_0(file)
            # Python 2 wrote these files: its strings are bytes, which Latin-1 keeps as they are.
            content = _ArrayUnpickler(file, encoding="latin1").load()
            if isinstance(content, _RecordedArray):  # an .npy file: the dictionary is the one entry of an array
                (content,) = content.state[4]
            if not isinstance(content, dict):
                msg = f"it holds a {type(content).__name__}"
                raise TypeError(msg)
            return {str(name): _array(value) for name, value in content.items()}
        # a damaged or hostile pickle can fail in about any way
        except Exception as error:
            msg = f"cannot read '{path}' as a dictionary of arrays: {' '.join(str(error).split())}."
            raise ValueError(msg) from error


def _array(recorded):
    if not isinstance(recorded, _RecordedArray) or recorded.state is None:
        msg = f"it holds a {type(recorded).__name__} where an array should be"
        raise TypeError(msg)
    _, shape, kind, fortran, values = recorded.state
    if not isinstance(kind, _RecordedType) or kind.code not in _KINDS or kind.order not in ("<", ">"):
        msg = "it holds an array that is not of floating-point numbers"
        raise TypeError(msg)
    values = values.encode("latin1") if isinstance(values, str) else values
    flat = np.frombuffer(values, dtype=kind.order + kind.code).astype(float)
    return flat.reshape(shape, order="F" if fortran else "C")
