import os
import pickle
import pickletools

import numpy as np
import pytest

from astro_lpalm.reproduce import COMPONENTS, Workspace, read_maps, read_spectra
from astro_lpalm.reproduce._array_pickle import read_pickled_arrays


def as_python_2(data):
    """Rewrite a pickle of protocol 3 as Python 2 and an old NumPy would have written it: bytes are its strings."""
    codes = bytearray(data)
    for opcode, _, position in pickletools.genops(data):
        if opcode.name in ("BINBYTES", "SHORT_BINBYTES"):
            codes[position] = ord("T" if opcode.name == "BINBYTES" else "U")
        if opcode.name == "PROTO":
            codes[position + 1] = 2
    return bytes(codes).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def pickled(arrays, protocol):
    return as_python_2(pickle.dumps(arrays, 3)) if protocol == 2 else pickle.dumps(arrays, protocol)


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4"])
def test_arrays_come_back(tmp_path, protocol, dtype):
    rng = np.random.default_rng(0)
    arrays = {"sync": rng.normal(size=(4, 3)).astype(dtype), "fe1": np.asfortranarray(rng.normal(size=(2, 5)))}
    (tmp_path / "a.pkl").write_bytes(pickled(arrays, protocol))
    found = read_pickled_arrays(tmp_path / "a.pkl")
    assert list(found) == ["sync", "fe1"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.float64


def test_the_authors_own_files(tmp_path, arrays, data):
    # A dictionary in an array without dimensions, of which one entry is longer, and a plain dictionary.
    spectra, maps = (dict(zip((name.lower() for name in COMPONENTS), array)) for array in arrays)
    spectra["therm"] = np.concatenate([spectra["therm"], spectra["therm"][:5]])
    entry = np.empty((), dtype=object)
    entry[()] = spectra
    with (tmp_path / "spectra.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(pickled(entry, 2))
    (tmp_path / "real_sources.pkl").write_bytes(pickled(maps, 2))
    for found, expected in zip(read_spectra(tmp_path), read_spectra(data)):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(read_maps(tmp_path), arrays[1])
    # The same data, whatever file they are from.
    assert Workspace(tmp_path, tmp_path).identity == Workspace(data, tmp_path).identity


class Calls:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("place", ["alone", "value", "key", "in an array"])
def test_nothing_is_called(tmp_path, monkeypatch, protocol, place):
    monkeypatch.chdir(tmp_path)
    evil = Calls(os.mkdir, "called")
    content = {"alone": evil, "value": {"sync": evil}, "key": {evil: np.ones(2)}}.get(place)
    if content is None:
        content = {"sync": np.array([evil, 1.0], dtype=object)}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(ValueError, match=r"cannot read '.*a.pkl' as a dictionary of arrays: it asks for \w+[.]\w+"):
        read_pickled_arrays("a.pkl")
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(Calls(eval, "1 + 1")), "it asks for builtins.eval, and nothing but arrays is read"),
        (pickle.dumps(Calls(np.load, "spectra.npy")), "it asks for numpy.*load"),
        (pickle.dumps({"sync": Calls(np.dtype, "f8")}), "it holds a _RecordedType where an array should be"),
        (pickle.dumps([np.ones(3)], 4), "it holds a list"),
        (pickle.dumps({"sync": [1.0, 2.0]}, 4), "it holds a list where an array should be"),
        (pickle.dumps({"sync": np.array(["a"])}, 4), "not of floating-point numbers"),
        (pickle.dumps({"sync": np.array([1.0, {}], dtype=object)}, 4), "not of floating-point numbers"),
        (pickle.dumps({"sync": np.ones(3)}, 4)[:-20], "cannot read"),
        (pickle.dumps({"sync": np.ones(3)}, 4).replace(b"\x85", b"\x86", 1), "cannot read"),
        (b"Pfile\n.", "it refers to data outside the file"),
        (b"", "cannot read"),
        (b"not a pickle", "cannot read"),
    ],
)
def test_anything_else_is_an_error(tmp_path, content, message):
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_pickled_arrays(tmp_path / "a.pkl")


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no '.*spectra.fits', nor the authors' 'spectra.npy' beside"):
        read_spectra(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"sources.fits', nor the authors' 'real_sources.pkl'"):
        read_maps(tmp_path)
    (tmp_path / "real_sources.pkl").write_bytes(pickle.dumps({"sync": np.ones((3, 3))}, 4))
    with pytest.raises(ValueError, match=r"'.*real_sources.pkl' has no THERM; expected SYNC, THERM, FE1, FE2"):
        read_maps(tmp_path)
