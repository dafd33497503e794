"""What a user sends to another process arrives there as it was."""

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest

from astro_lpalm.missions import approximate_response
from astro_lpalm.results import Separation
from astro_lpalm.separation import FCLS, GMCA, PALM
from astro_lpalm.sources import SourceLibrary
from astro_lpalm.spectra import (
    ModelComponent,
    PhotoelectricAbsorption,
    Prior,
    SpectralLibrary,
    Synchrotron,
    integrate,
    user_model,
)
from astro_lpalm.spectra.table_model import TableModel
from astro_lpalm.training import TrainingSet
from astro_lpalm.transforms import Starlet

from . import toy
from .spectra.table_files import ramp, read_made

ENERGIES = [1.0, 2.0, 4.0]


def falling(energy_edges, scale):
    """Photons in each bin of a spectrum that falls."""
    return -np.diff(np.exp(-energy_edges / scale))


def photons(model):
    return integrate(model, ENERGIES).value


def drawn(library):
    return library.draw(3, seed=1)


def found(factorization):
    return [factorization.spectra, factorization.sources]


def separation():
    cube = toy.cube()
    return Separation(
        cube, toy.spectra(), np.abs(np.random.default_rng(1).normal(size=(2, cube.matrix().shape[1]))), toy.NAMES
    )


@pytest.fixture
def table(tmp_path):
    return read_made(tmp_path, [("kT", 0, [1.0, 2.0, 3.0]), ("level", 1, [1.0, 2.0])], ramp)


def test_models_made_at_run_time(table):
    Falling = user_model(falling, {"scale": (1.0, 0.1, 10.0)})
    for model in (table(kT=1.5), PhotoelectricAbsorption(nh=0.1) * table(kT=2.5), Falling(scale=2.0)):
        np.testing.assert_array_equal(photons(pickle.loads(pickle.dumps(model))), photons(model))
    for made in (table, Falling):
        again = pickle.loads(pickle.dumps(made))
        assert (again.__name__, again.__doc__, again.param_names) == (made.__name__, made.__doc__, made.param_names)
        assert again.parameter_units == made.parameter_units
        np.testing.assert_array_equal(photons(again()), photons(made()))
    assert pickle.loads(pickle.dumps(table)).methods == {"kT": "linear", "level": "logarithmic"}
    assert pickle.loads(pickle.dumps(TableModel)) is TableModel
    one, other = pickle.loads(pickle.dumps([table(kT=1), table(kT=2)]))
    assert type(one) is type(other)


class Cut(user_model(falling, {"scale": 1.0})):
    """A class of a module, of a model that was made at run time."""


def test_classes_that_a_module_has_are_found_there():
    assert pickle.loads(pickle.dumps(Cut)) is Cut


def test_functions_that_no_module_has_are_refused():
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(user_model(lambda energy_edges: np.ones(len(energy_edges) - 1), {}))


def test_processes_that_begin_anew(table, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1])  # where a new process finds the functions of this file
    library = SpectralLibrary(
        [
            ModelComponent("table", table, {"kT": (1.0, 3.0)}),
            ModelComponent("hard", Synchrotron, {"photon_index": 2.0}),
        ],
        approximate_response(ENERGIES).channel_edges,
        response=approximate_response(ENERGIES),
    )
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(photons, [table(kT=1.5), user_model(falling, {"scale": 1.0})(scale=2.0)]))
        spectra = pool.submit(drawn, library).result()
    np.testing.assert_array_equal(results[0], photons(table(kT=1.5)))
    np.testing.assert_array_equal(results[1], falling(np.array(ENERGIES), 2.0))
    np.testing.assert_array_equal(spectra, drawn(library))


X = toy.cube().matrix()[:, :200]
A = toy.spectra()
OBJECTS = {
    "cube": (
        lambda: toy.cube(meta={"EXPOSURE": 2.0}),
        lambda cube: [cube.matrix(), cube.energy_edges, cube.meta["EXPOSURE"], cube.wcs.wcs.crval],
    ),
    "exposed cube": (lambda: toy.cube(exposure=np.ones((28, 33)) * u.s), lambda cube: [cube.exposure]),
    "masked cube": (lambda: toy.cube(mask=np.eye(28, 33)), lambda cube: [cube.matrix(), cube.pixel_mask]),
    "model": (toy.model, lambda model: [*model.network.state_dict().values(), model.energy_edges, model.prior.mean]),
    "network": (lambda: toy.model().network, lambda network: found(network.separate(X))),
    "separation": (
        separation,
        lambda result: [result.mixing, result.sources, *result.spectra["soft"], result.cube.data],
    ),
    "spectral library": (lambda: SpectralLibrary.from_file("snr-acis"), lambda library: [drawn(library)]),
    "source library": (
        lambda: SourceLibrary.from_file("snr-acis"),
        lambda library: [library.draw(2, 9, 1), library.draw_images(1, (9, 9), 1)],
    ),
    "response": (lambda: approximate_response(ENERGIES), lambda each: [each.matrix.toarray()]),
    "prior": (lambda: Prior(1, 2, "log"), lambda prior: [prior.draw(3, 1)]),
    "training set": (
        lambda: TrainingSet.from_arrays([A @ np.ones((2, 5))], [A], np.ones((1, 2, 5))),
        lambda each: [each.X, each.A, each.S],
    ),
    "starlet": (lambda: Starlet(3), lambda transform: [*transform.forward(np.eye(32))[0]]),
    "GMCA": (lambda: GMCA(2), lambda solver: found(solver.separate(X))),
    "PALM": (lambda: PALM(A, max_iter=20), lambda solver: found(solver.separate(X))),
    "FCLS": (FCLS, lambda solver: found(solver.separate(X, A))),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_everything_that_is_computed_with(kind):
    make, values = OBJECTS[kind]
    one = make()
    for before, after in zip(values(one), values(pickle.loads(pickle.dumps(one))), strict=True):
        np.testing.assert_array_equal(np.asarray(after), np.asarray(before))
