"""What a command reads is never written over, wherever it is named, and what it writes has one name for each file."""

import os

import pytest
from astropy.io import fits

from astro_lpalm.data import named_files, packaged_files

from .. import toy
from .conftest import contents, run

FILES = """
[energy]
range = [1.0, 4.0]
channels_per_bin = 7
[response]
arf = "r.arf"
rmf = "d[1]/r.rmf"
[simulation]
psf = "psf.fits"
exposure_map = "map.fits[EXPMAP]"
background = { rate = 0.1, spectrum = "back.pi", image = "../flat[1].fits" }
[[components]]
name = "hot"
table = "hot.mod"
[[components.factors]]
table = "factor.mod"
[components.source]
image = "image.fits"
"""
NAMED = (
    "r.arf",
    "d[1]/r.rmf",
    "psf.fits",
    "map.fits",
    "back.pi",
    "../flat[1].fits",
    "hot.mod",
    "factor.mod",
    "image.fits",
)


@pytest.fixture
def described(here):
    """A components file, in a directory of its own, and all that it names."""
    (here / "c" / "d[1]").mkdir(parents=True)
    (here / "c" / "c.toml").write_text(FILES)
    for name in NAMED:
        (here / "c" / name).write_text("precious")
    return here


@pytest.fixture
def everything(described):
    return lambda: {path: path.read_bytes() for path in described.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["c.toml", *NAMED])
@pytest.mark.parametrize(
    "command",
    [
        ["simulate", "c/c.toml", "-o", "OUTPUT"],
        ["simulate", "c/c.toml", "-o", "new.fits", "--truth", "OUTPUT"],
        ["train", "c/c.toml", "-o", "OUTPUT"],
        ["train", "c/c.toml", "-o", "new.fits", "--checkpoint", "OUTPUT"],
    ],
)
def test_files_that_a_components_file_names(described, everything, capsys, command, name):
    before = everything()
    command = [f"c/{name}" if each == "OUTPUT" else each for each in command]
    assert run(*command, "--overwrite") == 1
    assert f"'c/{name}' is the file that it would be made of; choose another name" in capsys.readouterr().err
    assert everything() == before


def test_linked_file(described, everything, capsys):
    os.link("c/image.fits", "hard.fits")
    (described / "soft.fits").symlink_to("c/image.fits")
    before = everything()
    for name in ("hard.fits", "soft.fits"):
        assert run("simulate", "c/c.toml", "-o", name, "--overwrite") == 1
        assert f"'{name}' is the file that it would be made of" in capsys.readouterr().err
    assert everything() == before


@pytest.mark.parametrize("option", ["--psf", "--exposure-map"])
@pytest.mark.parametrize(
    ("given", "output"), [("p.fits", "p.fits"), ("p.fits[PSF]", "p.fits"), ("d/../p[1].fits", "p[1].fits")]
)
def test_files_given_to_a_simulation(files, here, capsys, option, given, output):
    (here / "d").mkdir()
    (here / output).write_text("precious")
    for where in (["-o", output], ["-o", "new.fits", "--truth", output]):
        assert run("simulate", files / "components.toml", option, given, *where, "--overwrite") == 1
        assert f"'{output}' is the file that it would be made of" in capsys.readouterr().err
    assert contents(here) == {output: b"precious"}


@pytest.mark.parametrize("name", ["ev[1].fits", "d[1]/ev.fits"])
@pytest.mark.parametrize(
    "command",
    [
        ["bin", "NAME"],
        ["bin", "other.fits", "NAME[EVENTS]"],
        ["bin", "other.fits", "--region", "NAME"],
        ["bin", "other.fits", "--mask", "NAME"],
        ["bin", "other.fits", "--like", "NAME"],
        ["separate", "NAME", "snr-acis"],
        ["separate", "cube.fits", "NAME"],
        ["plot", "NAME"],
    ],
)
def test_brackets_in_names(here, capsys, command, name):
    (here / "d[1]").mkdir()
    (here / name).write_text("precious")
    assert run(*(each.replace("NAME", name) for each in command), "-o", name, "--overwrite") == 1
    assert f"'{name}' is the file that it would be made of" in capsys.readouterr().err
    assert (here / name).read_text() == "precious"


@pytest.mark.parametrize("command", [["separate", "cube.fits", "pwn-acis"], ["train", "pwn-acis"]])
def test_packaged_files(here, capsys, command):
    path = packaged_files(".fits" if command[0] == "separate" else ".toml")["pwn-acis"]
    (here / "link.fits").symlink_to(path)
    assert run(*command, "-o", "link.fits", "--overwrite") == 1
    assert "'link.fits' is the file that it would be made of" in capsys.readouterr().err


def test_spectra_spare_the_components(files, here, fails):
    for name in ("x_hard.pha", "x_response.rmf"):
        (here / name).unlink(missing_ok=True)
    assert run("separate", files / "cube.fits", files / "model.fits", "-o", "x_hard.pha", "--quiet") == 0
    message = "'x_hard.pha' is the file that it would be made of"
    fails(message, "spectra", "x_hard.pha", "-o", "x", "--overwrite")
    fails("--table and soft.pha are both 'soft.pha'", "spectra", "x_hard.pha", "-o", ".", "--table", "soft.pha")


@pytest.mark.parametrize("same", ["m.fits", "./m.fits", "link.fits"])
def test_checkpoint_is_not_the_model(files, here, fails, monkeypatch, same):
    monkeypatch.setattr("astro_lpalm.training.train", lambda *a, **k: pytest.fail("nothing must be computed"))
    (here / "link.fits").symlink_to("m.fits")
    message = "--output and --checkpoint are both 'm.fits'; give each a name of its own"
    fails(message, "train", files / "components.toml", "-o", "m.fits", "--checkpoint", same, "--overwrite")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["-o", "missing/m.fits"], "there is no directory 'missing'"),
        (["-o", "m.fits", "--checkpoint", "missing/c.fits"], "there is no directory 'missing'"),
        (["-o", "m.fits", "--checkpoint", "."], "cannot write '.': it is a directory"),
        (
            ["-o", "m.fits", "--checkpoint", "c.fits.xz"],
            "a FITS file cannot end in '.xz'; give a name that ends in .fits",
        ),
        (["-o", "m.zip"], "cannot write 'm.zip': a FITS file cannot end in '.zip'; .* in .fits, or in .fits.gz"),
    ],
)
def test_outputs_of_a_training_are_checked_first(files, here, fails, monkeypatch, settings, message):
    monkeypatch.setattr("astro_lpalm.training.TrainingSet.from_file", lambda *a, **k: pytest.fail("must not be made"))
    fails(message, "train", files / "components.toml", *settings)


@pytest.mark.parametrize("command", ["bin", "simulate", "separate"])
@pytest.mark.parametrize("name", ["new.zip", "new.fits.xz", "new.png"])
def test_names_that_are_not_of_fits_files(files, fails, command, name):
    reads = {"bin": ["events.fits"], "simulate": ["components.toml"], "separate": ["cube.fits", "model.fits"]}[command]
    message = f"cannot write '{name}': a FITS file cannot end in .*; give a name that ends in .fits, or in .fits.gz"
    fails(message, command, *(files / each for each in reads), "-o", name)


def test_named_files(described):
    found = named_files("c/c.toml")
    assert str(found[0]) == "c/c.toml"
    there = {
        path.resolve() for path in map(str, found) for path in [described / path.split("[EXPMAP]")[0]] if path.is_file()
    }
    assert there == {(described / "c" / name).resolve() for name in ("c.toml", *NAMED)}
    (described / "broken.toml").write_text("[")
    assert named_files("broken.toml") == named_files("missing.toml") == []


def test_output_that_exists_stays_without_overwrite(files, here, monkeypatch):
    """Even where it appears while the new one is computed."""
    writeto = fits.HDUList.writeto

    def slowly(self, name, **settings):
        (here / "cube.fits").write_text("mine")
        return writeto(self, name, **settings)

    monkeypatch.setattr(fits.HDUList, "writeto", slowly)
    assert run("bin", files / "events.fits", "-o", "cube.fits", "--energy", 1, 4, "--quiet") == 1
    assert contents(here) == {"cube.fits": b"mine"}


def test_components_file_of_no_files(here):
    (here / "c.toml").write_text(toy.COMPONENTS)
    assert [path for path in named_files("c.toml") if path.exists()] == [here.relative_to(here) / "c.toml"]
