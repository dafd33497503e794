"""The way from a response of one's own to spectra, as the documentation has it, in a shell."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm.cube import EventCube
from astro_lpalm.data import packaged_files
from astro_lpalm.model import Model
from astro_lpalm.results import Separation

from ..instrument.ogip_files import make_arf, make_rmf, save
from .conftest import run

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "command_line.rst"
COMPONENTS = """
[energy]
range = [0.5, 7.0]
channels_per_bin = 7

[response]
arf = "source.arf"
rmf = "source.rmf"

[[components]]
name = "synchrotron"
model = "Synchrotron"
parameters = { photon_index = [2.0, 3.0] }
source = { fraction = 0.6, shape = 0.4 }

[[components]]
name = "silicon"
model = "EmissionLine"
parameters = { energy = [1.8, 1.9], velocity = [-1000.0, 1000.0], sigma = [500.0, 1000.0] }
source = { fraction = 0.4, shape = 0.5 }

[training]
n_samples = 12
n_pixels = 50
epochs = 1
n_layers = 2

[simulation]
size = 60
counts = 1e5
"""


def write_response(folder):
    """Channels of 14.6 eV as ACIS has them, in single precision, as an RMF holds them; a line is 120 eV wide."""
    channels, true = np.arange(1025) * 0.0146, np.linspace(0.3, 8, 400)
    middle, centre = 0.5 * (channels[1:] + channels[:-1]), 0.5 * (true[1:] + true[:-1])
    matrix = np.exp(-0.5 * ((middle - centre[:, None]) / 0.05) ** 2)
    matrix[matrix < 1e-4] = 0
    matrix /= matrix.sum(axis=1, keepdims=True)
    save(make_rmf(matrix, true, channels), folder / "source.rmf")
    save([make_arf(true, np.full(399, 300.0))], folder / "source.arf")


def documented():
    """The commands of the documentation."""
    text = DOCUMENTATION.read_text(encoding="utf-8")
    block = re.search(r"The way from a response of one's own.*?\n\n((?:    \$ [^\n]*\n)+)", text, re.DOTALL)[1]
    return [line.strip().removeprefix("$ astro-lpalm ").split() for line in block.splitlines()]


@pytest.mark.filterwarnings("ignore::astro_lpalm.SeparationWarning")
def test_the_documented_way(here):
    write_response(here)
    (here / "components.toml").write_text(COMPONENTS)
    commands = documented()
    assert [command[0] for command in commands] == ["train", "simulate", "bin", "separate", "plot", "spectra"]
    for command in commands:
        assert run(*command, "--quiet") == 0, command
    edges = Model.read("my-model.fits").energy_edges
    cube = EventCube.read("cube.fits")
    np.testing.assert_array_equal(cube.energy_edges.value, edges.value)
    with fits.open("cube.fits") as hdulist:
        assert hdulist[0].header["CTYPE3"] == "ENERGY"  # uniform but for the rounding of the RMF
    assert np.ptp(np.diff(edges.value)) > 0
    assert Separation.read("components.fits").names == ("synchrotron", "silicon")
    assert Path("components.png").stat().st_size > 10_000
    assert {path.name for path in here.glob("spectra_*")} >= {"spectra_synchrotron.pha", "spectra_silicon.pha"}


def test_the_edges_that_info_prints_make_the_same_cube(files, here, capsys):
    run("bin", files / "events.fits", "--for", "snr-acis", "-o", "a.fits", "--quiet")
    capsys.readouterr()
    for file in ("a.fits", "snr-acis"):
        assert run("info", file) == 0
        printed = capsys.readouterr().out.partition("energy edges (keV):")[2].split()
        edges = [text for text in printed if re.fullmatch(r"[\d.]+", text)][:66]
        assert (
            run("bin", files / "events.fits", "--energy-edges", *edges, "-o", "b.fits", "--overwrite", "--quiet") == 0
        )
        one, other = (EventCube.read(name) for name in ("a.fits", "b.fits"))
        np.testing.assert_array_equal(one.energy_edges.value, other.energy_edges.value)


def test_a_cube_for_a_model_or_like_one(files, here, fails):
    model = packaged_files(".fits")["snr-acis"]
    for number, given in enumerate(
        (["--for", "snr-acis"], ["--for", model], ["--like", model], ["--like", "snr-acis"])
    ):
        assert run("bin", files / "events.fits", *given, "-o", f"{number}.fits", "--quiet") == 0
    cubes = [EventCube.read(f"{number}.fits") for number in range(4)]
    expected = Model.read(model).energy_edges.value
    assert all(np.array_equal(cube.energy_edges.value, expected) for cube in cubes)
    # pixels of a cube, energies of a model
    assert (
        run("bin", files / "events.fits", "--like", files / "cube.fits", "--for", model, "-o", "c.fits", "--quiet") == 0
    )
    cube = EventCube.read("c.fits")
    assert cube.data.shape == (65, *EventCube.read(files / "cube.fits").data.shape[1:])
    fails("give either model", "bin", files / "events.fits", "--for", model, "--n-energy", 3, "-o", "d.fits")
    fails("is a model, and so is", "bin", files / "events.fits", "--for", model, "--like", model, "-o", "d.fits")
    (here / "evt.fits").write_bytes((files / "events.fits").read_bytes())
    fails("does not say what energies it is for", "bin", "evt.fits", "--for", "evt.fits", "-o", "d.fits")


def test_energies_that_are_given_to_info_and_separate(files, here):
    with fits.open(files / "cube.fits") as hdulist:
        edges = EventCube.from_hdu(hdulist).energy_edges.value
        del hdulist["EBOUNDS"]
        for key in ("CTYPE3", "CUNIT3", "CRVAL3", "CDELT3", "CRPIX3"):
            hdulist[0].header.remove(key, ignore_missing=True)
        hdulist.writeto("bare.fits", checksum=True)
    done = subprocess.run(
        [sys.executable, "-m", "astro_lpalm", "info", "bare.fits", "--energy-edges", *map(str, edges)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "energy edges (keV):" in done.stdout
    assert run("info", "bare.fits") == 1
    assert run("separate", "bare.fits", files / "model.fits", "--energy-edges", *edges, "-o", "s.fits", "--quiet") == 0
    np.testing.assert_array_equal(Separation.read("s.fits").cube.energy_edges.value, edges)
