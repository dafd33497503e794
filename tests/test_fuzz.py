"""A sample of benchmarks/fuzz.py: damaged files are read, or refused with the file's name, and nothing else."""

import warnings

import numpy as np
import pytest

from . import fuzzing


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return fuzzing.make_files(tmp_path_factory.mktemp("sound"))


def test_sound_files_are_read(files):
    for kind, path in files.items():
        fuzzing.read(kind, path, files)


def test_damaged_files_are_read_or_refused(files, tmp_path):
    kinds, said = list(files), {}
    for i in range(150):
        rng, kind = np.random.default_rng([1, i]), kinds[i % len(kinds)]
        name, content = fuzzing.damage(files[kind].read_bytes(), rng)
        path = tmp_path / f"damaged_{i}{files[kind].suffix}"
        path.write_bytes(content)
        said[f"{i}: {kind}, {name}"] = fuzzing.outcome(kind, path, files)
    assert {key: text for key, text in said.items() if text not in ("read", "refused")} == {}
    assert {"read", "refused"} == set(said.values())  # both happen, or it is no search


@pytest.mark.parametrize("kind", ["cube", "result", "events"])
def test_a_flipped_bit_of_our_own_data_is_refused(files, tmp_path, kind):
    for i in range(20):
        path = tmp_path / f"{i}.fits"
        path.write_bytes(fuzzing.flip_data_bit(files[kind].read_bytes(), np.random.default_rng([2, i])))
        with pytest.raises(OSError, match=rf"{i}\.fits': the checksum of extension \d .* is missing or wrong"):
            fuzzing.read(kind, path, files)


@pytest.mark.parametrize("kind", ["cube, bare", "events, bare"])
def test_files_of_others_without_checksums_are_read_without_a_word(files, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fuzzing.read(kind, files[kind], files)
