"""Remnants as XMM-Newton and eROSITA see them, simulated, binned for the packaged models and separated."""

import astropy.units as u
import numpy as np
import pytest

from astro_lpalm import EventCube, load_model, separate
from astro_lpalm.data import find_components_file
from astro_lpalm.model import packaged_models
from astro_lpalm.simulate import simulate_from_file

MODELS = {"snr-xmm-pn": ("synchrotron", "thermal", "iron"), "snr-erosita": ("synchrotron", "ejecta", "medium")}


@pytest.fixture(scope="module", params=[(name, seed) for name in MODELS for seed in (3, 4)], ids=str)
def separated(request):
    """Name of the model, cube, truth and separation of a remnant of two million counts, at 4 arcsec a pixel."""
    name, seed = request.param
    settings = {"counts": 2e6, "size": 240 * u.arcsec, "pixel_scale": 4 * u.arcsec, "psf": 6 * u.arcsec}
    events, truth = simulate_from_file(name, seed=seed, **settings)
    cube = EventCube.from_events(events, model=name, like=truth.cube)
    return name, cube, truth, separate(cube, name)


def test_components_and_energies(separated):
    name, cube, _, result = separated
    assert result.names == MODELS[name]
    np.testing.assert_array_equal(cube.energy_edges.value, load_model(name).energy_edges.value)


def test_images_and_spectra_go_with_those_simulated(separated):
    _, _, truth, result = separated
    for component in result.names:
        pairs = {
            "image": [np.nan_to_num(each.images[component].data).ravel() for each in (result, truth)],
            "spectrum": [np.asarray(each.spectra[component]) for each in (result, truth)],
        }
        for what, pair in pairs.items():
            assert np.corrcoef(*pair)[0, 1] > 0.9, (component, what)


def test_counts_are_right_within_their_errors(separated):
    _, _, truth, result = separated
    for component, row in zip(result.names, result.diagnostics):
        off = row["counts"].value - np.sum(np.asarray(truth.spectra[component]))
        assert abs(off) < 4 * row["counts_err"].value


@pytest.mark.parametrize("name", packaged_models())
def test_a_model_keeps_the_components_file_that_is_packaged_with_it(name):
    assert load_model(name).components_file == find_components_file(name).read_text(encoding="utf-8")
