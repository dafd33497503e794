import importlib
import importlib.metadata
import subprocess
import sys

import pytest

import astro_lpalm


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_is_light_and_quick():
    code = """
import sys, time
start = time.perf_counter()
import astro_lpalm
seconds = time.perf_counter() - start
print(seconds, *sorted({name.partition(".")[0] for name in sys.modules}), "matplotlib.pyplot" in sys.modules)
"""
    seconds, *loaded, pyplot = run(code).split()
    assert not {"torch", "matplotlib", "astropy", "numpy", "pywt", "scipy"} & set(loaded)
    assert pyplot == "False"
    assert float(seconds) < 1.0


def test_rooms_before_the_solvers_do_without_torch():
    rooms = "cube, spectra, sources, transforms, results, data, simulate, cli"
    loaded = run(f"import sys; from astro_lpalm import {rooms}; print(*sys.modules)").split()
    assert "astro_lpalm.cli" in loaded
    assert not {"torch", "matplotlib.pyplot"} & set(loaded)


def test_nothing_imports_pyplot():
    code = """
import sys
import astro_lpalm, astro_lpalm.cli, astro_lpalm.demo, astro_lpalm.training
astro_lpalm.separate, astro_lpalm.EventCube, astro_lpalm.load_model
print("torch" in sys.modules, "matplotlib.pyplot" in sys.modules)
"""
    assert run(code).split() == ["True", "False"]


ROOMS = {
    "EventCube": "cube",
    "Instrument": "instrument",
    "PSF": "instrument",
    "Response": "instrument",
    "Separation": "results",
    "SeparationWarning": "trust",
    "Separator": "separator",
    "SpectralLibrary": "spectra",
    "TrainingSet": "training",
    "compare_models": "selection",
    "load_model": "model",
    "separate": "pipeline",
    "separate_many": "many",
    "simulate": "simulate",
    "train": "training",
}


@pytest.mark.parametrize(("name", "room"), ROOMS.items())
def test_front_door(name, room):
    room_itself = importlib.import_module(f"astro_lpalm.{room}")
    assert getattr(astro_lpalm, name) is (room_itself if name == room else getattr(room_itself, name))


def test_the_simulator_is_there_without_asking_for_it():
    code = "import astro_lpalm; print(astro_lpalm.simulate.simulate_events.__module__)"
    assert run(code).strip() == "astro_lpalm.simulate.observation"


def test_front_door_shows_what_is_behind_it():
    assert astro_lpalm.__all__ == list(ROOMS)
    listed = run("import astro_lpalm; print(*dir(astro_lpalm))").split()
    assert {*ROOMS, "__version__"} <= set(listed)
    assert listed == sorted(set(listed))
    everything = {}
    exec("from astro_lpalm import *", everything)
    assert set(astro_lpalm.__all__) == {name for name in everything if name != "__builtins__"}


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="module 'astro_lpalm' has no attribute 'seperate'"):
        astro_lpalm.seperate  # noqa: B018
    assert not hasattr(astro_lpalm, "Model")


def test_version():
    assert astro_lpalm.__version__ == importlib.metadata.version("astro_lpalm")
