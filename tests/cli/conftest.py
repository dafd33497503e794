import re

import numpy as np
import pytest

from astro_lpalm.cli import main

from .. import toy

COMMANDS = ["demo", "bin", "simulate", "train", "separate", "plot", "report", "spectra", "info", "reproduce", "doctor"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An event list, the cube and the model made for it, and the components file: what the commands work on."""
    folder = tmp_path_factory.mktemp("files")
    events = toy.events()
    # Some at all energies that `bin` takes by itself: a list that has none there is warned of.
    some = events["EVENTS"].data["energy"][::200]
    some[:] = np.linspace(500, 7000, some.size, endpoint=False)
    events.writeto(folder / "events.fits")
    toy.cube().write(folder / "cube.fits")
    toy.model().write(folder / "model.fits")
    (folder / "components.toml").write_text(toy.COMPONENTS)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture
def fails(here, capsys):
    """Run a command that cannot be done: it says why in one line, and leaves every file as it was."""

    def check(message, *arguments):
        before = contents(here)
        assert run(*arguments, "--quiet") == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1, err
        assert err.startswith(f"astro-lpalm {arguments[0]}: ")
        assert re.search(message, err), err
        assert contents(here) == before

    return check
