"""The fit of physical parameters as the last step of a separation, and the errors that come with it."""

from copy import copy

import astropy.units as u
import numpy as np
import pytest
from astropy.utils.exceptions import AstropyUserWarning
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm import EventCube, Instrument, Response, Separation, load_model, separate
from astro_lpalm.forward import ExpectedBackground
from astro_lpalm.missions import approximate_response
from astro_lpalm.separation import GMCA
from astro_lpalm.trust import SeparationWarning

from . import toy

EDGES = np.linspace(0.5, 7, 66) * u.keV
SIDE = 40


@pytest.fixture(scope="module")
def model():
    return load_model("pwn-acis")


def images(overlap):
    """Two images of 4e4 and 8e4 counts; of the first, a part lies where the second is."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    shell = np.exp(-0.5 * ((np.hypot(x, y) - 14) / 2) ** 2)
    middle = np.exp(-(x**2 + y**2) / 50)
    shell, middle = shell / shell.sum(), middle / middle.sum()
    return np.stack([4e4 * ((1 - overlap) * shell + overlap * middle), 8e4 * middle])


def observe(physics, theta, overlap=0.5, seed=0, background=0.0, **kwargs):
    expected = np.einsum("ik,kyx->iyx", physics.spectra(theta), images(overlap)) + background
    wcs = toy.wcs()
    return EventCube(np.random.default_rng(seed).poisson(expected), energy_edges=EDGES, wcs=wcs, **kwargs)


@pytest.fixture(scope="module")
def theta(model):
    return np.full(len(model.physics.parameters), 0.45)


@pytest.fixture(scope="module")
def result(model, theta):
    return separate(observe(model.physics, theta), model)


def test_fluxes_are_right_where_components_overlap(model, theta):
    pulls = []
    for seed in range(6):
        found = separate(observe(model.physics, theta, seed=seed), model).diagnostics
        pulls.append((found["counts"].value - [4e4, 8e4]) / found["counts_err"].value)
    assert np.abs(np.mean(pulls)) < 1
    assert 0.4 < np.std(pulls) < 1.8
    assert np.all(found["counts_err"].value < 2e3)


def test_parameters_are_a_table(result, model, theta):
    table = result.parameters
    assert list(table["component"][:2]) == ["all", "nonthermal"]
    assert list(table["parameter"]) == [each.name for each in model.physics.parameters]
    truth = model.physics.values(theta)
    pull = (table["value"] - truth) / (0.5 * (table["error_low"] + table["error_high"]))
    decided = ~(table["undecided"] | table["at_limit"])
    assert decided.sum() >= 3
    assert np.all(np.abs(pull[decided]) < 4)
    assert np.all((table["low"] <= table["value"]) & (table["value"] <= table["high"]))


def test_spectra_and_images_have_errors(result):
    assert_allclose(result.diagnostics["goodness"], 1, atol=0.15)
    for name in result.names:
        spectrum, error = result.spectra[name].value, result.spectra[f"{name}_err"].value
        covariance = result.covariance[name]
        assert_allclose(np.sqrt(np.maximum(np.diag(covariance), 1)), error)
        assert_allclose(covariance, covariance.T)
        (row,) = result.diagnostics[result.diagnostics["component"] == name]
        assert_allclose(row["counts_err"].value, np.sqrt(covariance.sum()))
        # Bins go together: the error of the sum is far from that of independent bins.
        assert row["counts_err"].value > 1.5 * np.sqrt(np.sum(error**2))
        assert np.all(error < 0.5 * spectrum.max())
        image = result.images[name]
        assert np.all(image.uncertainty.array > 0)
    truth = images(0.5)
    pulls = [(result.images[name].data - each) / result.images[name].uncertainty.array
             for name, each in zip(result.names, truth)]  # fmt: skip
    assert 0.7 < np.std(pulls) < 1.2


def test_drawn_photons_agree_with_the_curvature(result, model):
    drawn = separate(result.cube, model, n_resamplings=30, progress=False)
    assert_array_equal(drawn.mixing, result.mixing)
    assert_allclose(drawn.diagnostics["counts_err"], result.diagnostics["counts_err"], rtol=0.4)
    for name in result.names:
        ratio = drawn.spectra[f"{name}_err"].value / result.spectra[f"{name}_err"].value
        assert 0.6 < np.median(ratio) < 1.6


def test_files_keep_all_of_it(result, tmp_path):
    result.write(tmp_path / "components.fits")
    again = Separation.read(tmp_path / "components.fits")
    assert again.parameters.colnames == result.parameters.colnames
    for name in result.parameters.colnames:
        assert_array_equal(again.parameters[name], result.parameters[name])
    for name in result.names:
        assert_array_equal(again.covariance[name], result.covariance[name])
    assert_allclose(again.diagnostics["counts_err"], result.diagnostics["counts_err"])
    assert_array_equal(again.diagnostics["goodness"], result.diagnostics["goodness"])


def test_amplitude_of_the_background_is_fitted_together(model, theta):
    level = 10.0 * np.diff(EDGES.value)[:, np.newaxis, np.newaxis] / 6.5
    cube = observe(model.physics, theta, background=1.3 * level)
    background = ExpectedBackground(np.full(65, SIDE**2 * 10.0 / 65), free=True)
    figures = separate(cube, model, background=background).diagnostics.meta
    error = figures["background_amplitude_error"]
    assert abs(figures["background_amplitude"] - 1.3) < 4 * error
    assert 0 < error < 0.1


@pytest.fixture(scope="module")
def strange(model, theta):
    """Spectra that no parameters give."""
    spectra = model.physics.spectra(theta) * (1 + 0.3 * np.sin(np.arange(65) / 2))[:, np.newaxis]
    expected = np.einsum("ik,kyx->iyx", spectra, images(0.5))
    return EventCube(np.random.default_rng(0).poisson(expected), energy_edges=EDGES, wcs=toy.wcs())


@pytest.fixture(scope="module")
def by_force(strange, model):
    """What the physical parameters make of them, where nothing else is known."""
    without = copy(model)
    without.prior = None
    with pytest.warns(SeparationWarning):
        return separate(strange, without)


def test_spectra_that_no_parameters_give_have_larger_errors(by_force, result):
    assert by_force.diagnostics["goodness"].max() > 1.5
    assert np.all(by_force.diagnostics["counts_err"] > 1.1 * result.diagnostics["counts_err"])


def test_spectra_that_no_parameters_give_are_those_of_the_library(strange, model, by_force):
    with pytest.warns(SeparationWarning) as said:
        found = separate(strange, model)
    assert any("no physical parameters within their ranges give the spectra" in str(each.message) for each in said)
    assert found.parameters is not None
    assert not {"amplitude", "flux"} & set(found.parameters["parameter"])
    total = strange.data.sum(axis=(1, 2))
    ours, theirs = (each.fit.expected_spectrum() for each in (found, by_force))
    assert np.sum((total - ours) ** 2 / ours) < 0.7 * np.sum((total - theirs) ** 2 / theirs)


def test_another_response_makes_the_spectra_anew(model, theta):
    like = approximate_response(EDGES, "acis-s")
    middle = 0.5 * (like.energy_edges[1:] + like.energy_edges[:-1]).to_value(u.keV)
    area = 1 + 0.6 * np.sin(2 * middle)  # which no parameters can imitate
    response = Response(like.matrix * area[:, np.newaxis], like.energy_edges, like.channel_edges)
    there = model.through(Instrument(response=response))
    assert there.component_names == model.component_names
    cube = observe(there.physics, theta, overlap=0.2)
    found = separate(cube, model, instrument=Instrument(response=response))
    assert_allclose(found.diagnostics["counts"].value, [4e4, 8e4], rtol=0.1)
    assert_allclose(found.diagnostics["goodness"], 1, atol=0.2)
    with pytest.warns(SeparationWarning):
        wrong = separate(cube, model)
    assert wrong.diagnostics["goodness"].max() > 1.5


def test_exposure_of_the_instrument_is_the_cubes(model, theta):
    cube = observe(model.physics, theta)
    exposure = np.ones((SIDE, SIDE)) * 3e4 * u.s
    with_instrument = separate(cube, model, instrument=Instrument(exposure=exposure))
    assert_array_equal(with_instrument.cube.exposure, exposure)
    assert_array_equal(with_instrument.sources, separate(cube.with_exposure(exposure), model).sources)


def test_response_for_a_solver_without_models(model):
    cube = observe(model.physics, np.full(len(model.physics.parameters), 0.5))
    instrument = Instrument(response=approximate_response(EDGES))
    with pytest.raises(TypeError, match=r"a GMCA has no method through\(instrument\).*leave these out"):
        separate(cube, GMCA(2), instrument=instrument)


def test_response_for_a_model_without_its_components_file(model):
    bare = copy(model)
    bare.components_file = ""
    with pytest.raises(ValueError, match="does not keep the components file it was trained on"):
        bare.through(Instrument(response=approximate_response(EDGES)))


def test_amplitudes_and_fluxes_follow_from_the_exposure(model, theta):
    # Half of the field has half of the exposure: its photons count twice.
    relative = np.ones((SIDE, SIDE))
    relative[:, : SIDE // 2] = 0.5
    expected = np.einsum("ik,kyx->iyx", model.physics.spectra(theta), images(0.2)) * relative
    data, full = np.random.default_rng(0).poisson(expected), 2e4
    rates = model.physics.rates(theta).sum(axis=0)
    truth = np.array([4e4, 8e4]) / rates / full
    fluxes = truth * model.physics.energy_flux(theta)
    for exposure, meta in ((relative * full * u.s, {}), (relative, {"EXPOSURE": full})):
        cube = EventCube(data, energy_edges=EDGES, wcs=toy.wcs(), exposure=exposure, meta=meta)
        table = separate(cube, model).parameters
        for what, values in (("amplitude", truth), ("flux", fluxes)):
            rows = table[table["parameter"] == what]
            assert list(rows["component"]) == ["nonthermal", "thermal"]
            error = 0.5 * (rows["error_low"] + rows["error_high"])
            assert np.all(np.abs(rows["value"] - values) < 4 * error)
            assert np.all(error < 0.2 * values)
    assert [u.Unit(unit) for unit in table[-4:]["unit"]] == [
        u.photon / (u.keV * u.cm**2 * u.s), u.erg / (u.cm**2 * u.s), 1e14 / u.cm**5, u.erg / (u.cm**2 * u.s),
    ]  # fmt: skip


def test_without_an_exposure_time_there_are_no_fluxes(model, theta, caplog):
    with caplog.at_level("INFO", logger="astro_lpalm"):
        found = separate(observe(model.physics, theta), model, smooth=False)
    assert not {"amplitude", "flux"} & set(found.parameters["parameter"])
    assert "no EXPOSURE in the header, nor a map in s: amplitudes and energy fluxes are not known" in caplog.text


def test_errors_of_the_response_widen_those_of_the_fluxes(model, theta, result):
    known = Instrument(gain_error=0.003, area_error=0.03)
    wider = separate(result.cube, model, instrument=known)
    assert list(wider.parameters["component"]).count("response") == 6
    assert np.all(wider.diagnostics["counts_err"] > 1.02 * result.diagnostics["counts_err"])
    rows = wider.parameters[wider.parameters["component"] == "response"]
    assert np.all(np.abs(rows["value"]) < 3 * np.array([0.003] + 5 * [0.03]))
    assert np.all(rows["error_low"] + rows["error_high"] < 2.2 * np.array([0.003] + 5 * [0.03]))


def test_a_gain_that_is_off_is_found(model, theta):
    # Photons 0.5 % too high in energy, more than any parameter can hide: counts of narrow bins, moved and binned.
    off = 0.005
    fine = np.repeat(model.physics.spectra(theta) @ [4e4, 8e4], 20) / 20
    places = np.linspace(0.5, 7, 65 * 20 + 1)
    cumulative = np.append(0, np.cumsum(fine))
    moved = np.diff(np.interp(EDGES.value / (1 + off), places, cumulative))
    shape = np.exp(-((np.indices((SIDE, SIDE)) - SIDE / 2) ** 2).sum(axis=0) / 100)
    shape /= shape.sum()
    data = np.random.default_rng(0).poisson(moved[:, np.newaxis, np.newaxis] * shape * 10)
    cube = EventCube(data, energy_edges=EDGES, wcs=toy.wcs())
    found = separate(cube, model, instrument=Instrument(gain_error=0.005))
    (row,) = found.parameters[found.parameters["parameter"] == "gain"]
    # Within the bins, up to 30 times wider than the shift, the counts are even here, and smooth for the fit.
    assert abs(row["value"] - off) < 0.3 * off
    assert row["error_low"] < 1e-3


def test_errors_of_the_response_without_physical_parameters(model):
    bare = copy(model)
    bare.physics = None
    with pytest.raises(ValueError, match="has no physical parameters, so errors of the response"):
        bare.through(Instrument(gain_error=0.003))


def test_bins_that_do_not_nest_have_the_components_made_anew(model):
    edges = np.linspace(0.6, 6.9, 48) * u.keV
    there = model.through(Instrument(), edges)
    assert there.physics.spectra(np.full(10, 0.5)).shape == (47, 2)
    expected = np.einsum("ik,kyx->iyx", there.physics.spectra(np.full(10, 0.45)), images(0.2))
    cube = EventCube(np.random.default_rng(0).poisson(expected), energy_edges=edges, wcs=toy.wcs())
    with pytest.warns(AstropyUserWarning, match="the model's bins are not the cube's .* made anew"):
        found = separate(cube, model)
    assert found.names == model.component_names
    pull = (found.diagnostics["counts"].value - [4e4, 8e4]) / found.diagnostics["counts_err"].value
    assert np.all(np.abs(pull) < 4)
    assert_allclose(found.diagnostics["goodness"], 1, atol=0.2)


def test_bins_that_do_not_nest_without_the_components_file(model, theta):
    bare = copy(model)
    bare.components_file = ""
    cube = EventCube(np.ones((47, 8, 8)), energy_edges=np.linspace(0.6, 6.9, 48) * u.keV, wcs=toy.wcs())
    with pytest.raises(ValueError, match="edge"):
        separate(cube, bare)


def test_a_point_spread_function_changes_smooth_images_alone(model, theta):
    cube = observe(model.physics, theta)
    sharp, plain = (separate(cube, model, instrument=each) for each in (Instrument(psf=2 * u.arcsec), None))
    for name in plain.names:
        np.testing.assert_array_equal(sharp.images[name].data, plain.images[name].data)
        assert sharp.smooth_images[name].data.std() > plain.smooth_images[name].data.std()
