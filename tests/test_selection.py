import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm import EventCube, selection
from astro_lpalm.forward import ExpectedBackground
from astro_lpalm.selection import compare_models
from astro_lpalm.separation import Factorization

from . import toy


class Known:
    """A solver that knows the spectra."""

    def __init__(self, spectra):
        self.spectra = spectra

    def separate(self, X):
        return Factorization(self.spectra, np.linalg.pinv(self.spectra) @ X)


def candidates():
    two = toy.spectra(2)
    bump = np.exp(-(((np.arange(12) - 6) / 1.5) ** 2))[:, np.newaxis]
    return {
        "one": Known(two.sum(axis=1, keepdims=True)),
        "two": Known(two),
        "three": Known(np.hstack([two, bump])),
        "other": Known(np.roll(two, 3, axis=0)),
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_right_number_of_components_predicts_best(seed):
    table = compare_models(toy.cube(seed=seed), candidates(), seed=seed)
    assert list(table["model"][:2]) == ["two", "three"]
    assert table["log_likelihood"][0] == 0
    rows = {row["model"]: row for row in table}
    for name in ("one", "other"):
        assert rows[name]["log_likelihood"] < -5 * rows[name]["error"]
    assert list(rows["three"])[:2] == ["three", 3]


def test_models_of_every_kind(tmp_path):
    cube, model = toy.cube(), toy.model()
    cube.write(tmp_path / "cube.fits")
    model.write(tmp_path / "model.fits")
    table = compare_models(tmp_path / "cube.fits", [model, tmp_path / "model.fits"])
    assert set(table["model"]) == {model.name, str(tmp_path / "model.fits")}
    for single in ("snr-acis", model, Known(toy.spectra())):
        with pytest.raises(TypeError, match="models is a single one"):
            compare_models(cube, single)
    with pytest.raises(TypeError, match="models has a Known, which has no name of its own"):
        compare_models(cube, [Known(toy.spectra())])
    with pytest.raises(ValueError, match="models is empty"):
        compare_models(cube, [])


def test_a_component_that_is_there_is_wanted():
    A = np.hstack([toy.spectra(2), np.exp(-(((np.arange(12) - 6) / 1.5) ** 2))[:, np.newaxis]])
    expected = np.einsum("ik,kyx->iyx", A / A.sum(axis=0), toy.images(3))
    cube = EventCube(np.random.default_rng(0).poisson(expected), energy_edges=toy.EDGES, wcs=toy.wcs())
    table = compare_models(cube, candidates())
    assert table["model"][0] == "three"
    assert table["log_likelihood"][1] < -5 * table["error"][1]


def test_trained_models_masks_and_wider_bins():
    mask = np.zeros((28, 33), dtype=bool)
    mask[:4] = True
    cube = EventCube(toy.cube().data, energy_edges=toy.EDGES, wcs=toy.wcs(), mask=mask)
    fine = EventCube(
        np.random.default_rng(1).binomial(np.repeat(cube.data, 2, axis=0), 0.5),
        energy_edges=np.linspace(1, 4, 25) * toy.EDGES.unit, wcs=toy.wcs(), mask=mask,
    )  # fmt: skip
    for data in (cube, fine):
        table = compare_models(data, {"right": toy.model(2), "wrong": toy.model(1)})
        assert list(table["model"]) == ["right", "wrong"]


@pytest.mark.parametrize("kind", ["spectrum", "blank field", "scaled"])
def test_a_background_is_that_of_the_photons_that_were_seen(kind, monkeypatch):
    found = []

    def separate(*args, **options):
        found.append(selection.separate.__wrapped__(*args, **options))
        return found[-1]

    separate.__wrapped__ = selection.separate
    monkeypatch.setattr(selection, "separate", separate)
    cube = toy.cube(meta=fits.Header({"EXPOSURE": 1000.0}))
    spectrum = np.linspace(1000.0, 3000.0, 12)
    blank = np.multiply.outer(spectrum, np.full((28, 33), 10 / 924))
    background = {
        "spectrum": spectrum,
        "blank field": EventCube(blank, energy_edges=toy.EDGES, wcs=toy.wcs(), meta=fits.Header({"EXPOSURE": 10000.0})),
        "scaled": ExpectedBackground(2 * spectrum, scale=0.5),
    }[kind]
    compare_models(cube, {"two": candidates()["two"]}, held_out=0.4, background=background)
    np.testing.assert_allclose(found[0].background.spectrum(), 0.6 * spectrum, rtol=1e-6)


def test_refuses_models_of_different_bins():
    halves = toy.EDGES[::2]
    coarse = toy.model(2, energy_edges=halves, prior=None)
    coarse.network = type(coarse.network)("lista-cp", "ista-ll", 3).initialize(toy.spectra(m=6))
    with pytest.raises(ValueError, match="model 'coarse' has 6 bins .* but 'fine' has 12 bins"):
        compare_models(toy.cube(), {"fine": toy.model(2), "coarse": coarse})


def test_refuses_what_holds_no_photons():
    with pytest.raises(ValueError, match="held_out is 1.5, but must lie between 0 and 1"):
        compare_models(toy.cube(), candidates(), held_out=1.5)
    with pytest.raises(ValueError, match="no whole numbers"):
        compare_models(toy.cube(seed=None), candidates())
