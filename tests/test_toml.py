"""Components files of every kind: read within a second, or refused with the file and the key."""

import copy
import time

import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm._memory import check_memory
from astro_lpalm._toml import read_toml
from astro_lpalm.data import read_components_file
from astro_lpalm.simulate import simulate_from_file
from astro_lpalm.sources import SourceLibrary
from astro_lpalm.spectra import SpectralLibrary
from astro_lpalm.training import TrainingSet

GOOD = {
    "energy": {"range": [1.0, 5.0], "n_bins": 8},
    "response": {"instrument": "acis-i"},
    "absorption": {"nh": {"range": [0.5, 0.9], "scale": "log"}},
    "training": {
        "n_samples": 8,
        "n_pixels": 12,
        "snr_db": [10, 20],
        "noise": "counts",
        "sources": "pixels",
        "correlation": [0.0, 1.0],
        "n_layers": 2,
        "epochs": 1,
        "batch_size": 2,
        "learning_rate": 0.001,
    },
    "simulation": {
        "exposure": 5.0,
        "center": [350.0, 58.0],
        "pixel_scale": 1.0,
        "size": [32.0, 32.0],
        "counts": {"line": 10.0, "power": 20},
        "psf": 2.0,
        "background": {"rate": 0.01},
        "correlation": 0.5,
    },
    "components": [
        {
            "name": "line",
            "model": "EmissionLine",
            "redshift": [0.0, 0.01],
            "parameters": {"energy": 3.0, "sigma": [0.01, 0.05]},
            "source": {"fraction": 0.3, "shape": 0.5, "amplitude": [0.5, 1.0], "image": "image.fits"},
        },
        {
            "name": "power",
            "model": "Synchrotron",
            "parameters": {"photon_index": {"range": [1.5, 2.5], "scale": "linear"}},
            "factors": [{"model": "PhotoelectricAbsorption", "parameters": {"nh": [0.1, 0.2]}}],
            "source": {"image": "image.fits"},  # to draw images takes long
        },
    ],
}
DATE = object()
ODD = [True, False, 0, -1, 1]
ODD += [10**12, -(10**12), 2**63 - 1, 2**64, 1e300, -1e300, 1e-300, 0.5, float("inf"), float("nan")]
ODD += [
    "",
    "odd",
    "\x1b[31m",
    "0.5",
    "é" * 3,
    [],
    [1],
    [1.0, 2.0],
    [2, 1],
    [1, 2, 3],
    ["a", "b"],
    [[1, 2], [3, 4]],
    DATE,
]
ODD += [[True, False], [0.0, 0.0], [1e300, 1e308], [-1e308, 1e308], {}, {"a": 1}, {"range": [1, 2]}, {"range": {}}]
ODD += [{"range": [1, 2], "scale": 3}, {"range": [1, 2], "scale": []}, [{}], [{"name": "x"}], {"\x1b[31m": 1}]


def written(value):
    """The text of a value in TOML."""
    if value is DATE:
        return "1979-05-27"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in value) + '"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(key)} = {written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return repr(value)


def text_of(tables):
    return "\n".join(f"{written(key)} = {written(value)}" for key, value in tables.items()) + "\n"


def places(value, place=()):
    """Every place of a value within tables and lists, as keys and indices."""
    if place:
        yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*place, key))


def changed(place, odd):
    tables = copy.deepcopy(GOOD)
    inner = tables
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = odd
    return tables


READERS = {
    "energy": (SpectralLibrary.from_file,),
    "response": (SpectralLibrary.from_file,),
    "absorption": (SpectralLibrary.from_file, TrainingSet.from_file),
    "training": (TrainingSet.from_file,),
    "simulation": (simulate_from_file,),
    "components": (TrainingSet.from_file, SourceLibrary.from_file, simulate_from_file),
}


@pytest.fixture
def folder(tmp_path):
    """A directory with the image that the good file names."""
    image = np.random.default_rng(4).gamma(0.3, size=(32, 32))
    fits.PrimaryHDU(image).writeto(tmp_path / "image.fits")
    return tmp_path


def test_the_good_file_is_good(folder):
    path = folder / "good.toml"
    path.write_text(text_of(GOOD))
    for reader in {reader for readers in READERS.values() for reader in readers}:
        reader(path)


def test_odd_values_are_taken_or_refused_with_their_file(folder):
    path = folder / "odd.toml"
    pairs = [(place, odd) for place in places(GOOD) for odd in ODD]
    rng = np.random.default_rng(20)
    refused = 0
    for index in rng.choice(len(pairs), 500, replace=False):
        place, odd = pairs[index]
        path.write_text(text_of(changed(place, odd)), encoding="utf-8")
        for reader in READERS[place[0]]:
            try:
                reader(path)
            except (OSError, ValueError) as error:
                refused += 1
                message = str(error)
                assert str(path) in message, (place, odd, message)
                assert message.isprintable(), (place, odd, message)
                assert len(message) < 700, (place, odd, message)
    assert refused > 300


ENDLESS = {
    "dotted key": (".".join(["a"] * 60_000) + " = 1", "line 1: .* has more than 32 dots"),
    "dotted key with spaces": (" . ".join(["a"] * 60_000) + " = 1", "has more than 32 dots"),
    "dotted key of numbers": (".".join(["1"] * 60_000) + " = 1", "has more than 32 dots"),
    "dotted key of quoted numbers": (".".join(['"1,2"'] * 30_000) + " = 1", "has more than 32 dots"),
    "dotted table": ("[" + ".".join(["a"] * 60_000) + "]", "has more than 32 dots"),
    "tables in tables": (f"[{'.'.join('a' * 30)}]", "is nested more than 16 deep"),
    "lists": ("a = " + "[" * 900 + "]" * 900, "nested hundreds deep"),
    "some lists": ("a = " + "[" * 20 + "]" * 20, "is nested more than 16 deep"),
    "inline tables": ("a = " + "{a = " * 900 + "1" + "}" * 900, "nested hundreds deep"),
    "large file": ("# comment\n" * 60_000, "is larger than 0.25 MiB, so it is hardly a components file"),
    "digits": ("a = " + "9" * 60_000, "is not a TOML file"),
    "hexadecimal digits": ("a = 0x" + "f" * 60_000, "a: a whole number of 240000 bits is too large"),
    "exponent": ("a = 1e400", "a: inf is not finite"),
    "brackets": ("[" * 60_000, "is not a TOML file|nested"),
    "quotes": ('"' * 60_000, "is not a TOML file"),
    "word": ("a" * 60_000, "is not a TOML file"),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_time_does_not_grow_with_what_is_wrong(tmp_path, kind):
    text, message = ENDLESS[kind]
    path = tmp_path / "endless.toml"
    path.write_text(text)
    start = time.process_time()
    with pytest.raises(ValueError, match=f"endless.toml'.*({message})") as caught:
        read_toml(path)
    assert time.process_time() - start < 2
    assert len(str(caught.value)) < 600


def test_a_large_file_within_the_bounds_is_read_in_a_moment(tmp_path):
    path = tmp_path / "large.toml"
    table = f"[k%d{'.a' * 12}]\n"
    path.write_text("".join(table % number for number in range(7000)))
    start = time.process_time()
    assert len(read_toml(path)) == 7000
    path.write_text(f"edges = [{', '.join(f'{value:.3f}' for value in np.linspace(0, 9, 9000))}] # {'.' * 30}")
    assert len(read_toml(path)["edges"]) == 9000
    assert time.process_time() - start < 5


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_encodings(tmp_path, encoding):
    path = tmp_path / "coded.toml"
    path.write_bytes(f"# Größe\r\n{text_of(GOOD)}".encode(encoding))
    assert read_components_file(path)[1] == GOOD


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a = "\\u001b[31m"', r"bad.toml', a: '\\x1b\[31m' has a control character"),
        ('"\\u001b[31m" = 1', r"bad.toml', '\\x1b\[31m': has a control character in its name"),
        ('a = [{b = "\\u202etxt"}]', r"bad.toml', a\[1\].b: '\\u202etxt' has a control character"),
        ("a = 1979-05-27", "bad.toml', a: 1979-05-27 is a date or a time"),
        ("[a]\nb = [1.0, nan]", r"bad.toml', a.b\[2\]: nan is not finite"),
        ("a = 9223372036854775808", r"a: a whole number of 64 bits is too large; give less than 2\*\*63"),
    ],
)
def test_values_that_no_setting_can_have(tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_toml(path)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (("training", "n_samples"), r"n_samples = 1000000000000 would take .* GiB of memory, of which .* \d+ at most"),
        (("training", "n_pixels"), r"n_pixels = 1000000000000 would take .* GiB of memory"),
        (("training", "n_layers"), "training: n_layers = 1000000000000 is not .* give one of 1 to 1000"),
        (("training", "epochs"), "training: epochs = 1000000000000 is not .* give one of 1 to 1000000"),
        (("energy", "n_bins"), "energy.n_bins: 1000000000000 bins take more memory .* 10000 at most"),
    ],
)
def test_numbers_that_no_memory_holds(folder, place, message):
    path = folder / "large.toml"
    path.write_text(text_of(changed(place, 10**12)))
    with pytest.raises(ValueError, match=f"large.toml'.*{message}"):
        TrainingSet.from_file(path)


def test_the_largest_number_that_is_said_is_allowed(monkeypatch):
    monkeypatch.setattr("astro_lpalm._memory.physical_memory", lambda: 2**30)
    check_memory("n", 2**10, 2**20)
    with pytest.raises(ValueError, match="n = 1025 would take 1 GiB of memory, of which there are 1; .* 1024 at most"):
        check_memory("n", 2**10 + 1, 2**20)


def test_images_of_sources_that_cannot_be_read_are_named_with_their_component(folder):
    path = folder / "image.toml"
    path.write_text(text_of(changed(("components", 1, "source"), {"image": "none.fits"})))
    with pytest.raises(FileNotFoundError, match=r"image.toml'.*component 'power', \[components.source\]: .*none.fits"):
        SourceLibrary.from_file(path)
    fits.PrimaryHDU().writeto(folder / "none.fits")
    with pytest.raises(ValueError, match=r"image.toml'.*component 'power'.*no two-dimensional image"):
        SourceLibrary.from_file(path)
