"""Spectra of several observations as one."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm import Instrument, load_model
from astro_lpalm.missions import approximate_response
from astro_lpalm.separation import fit_parameters, nearest_parameters
from astro_lpalm.spectra import JointSpectra, LocalSpectraTable, ResponseErrors


@pytest.fixture(scope="module")
def models():
    model = load_model("pwn-acis")
    other = model.through(Instrument(response=approximate_response(model.energy_edges, "epic-mos")))
    return model.physics, other.physics


@pytest.fixture(scope="module")
def joint(models):
    return JointSpectra(models, [3e4, 1e4])


@pytest.fixture(scope="module")
def theta(joint):
    return np.random.default_rng(0).uniform(0.2, 0.8, len(joint.parameters))


def test_rates_are_those_of_the_observations_times_their_exposure(joint, models, theta):
    rates = joint.rates(theta)
    assert_allclose(rates[:65], 3e4 * models[0].rates(theta))
    assert_allclose(rates[65:], 1e4 * models[1].rates(theta))
    assert_allclose(joint.spectra(theta).sum(axis=0), 1)
    assert_allclose(joint.spectra(np.stack([theta, theta]))[1], joint.spectra(theta), rtol=1e-5)
    assert_array_equal(joint.energy_flux(theta), models[0].energy_flux(theta))
    assert joint.component_names == models[0].component_names
    assert joint.parameters == models[0].parameters


def test_a_stack_adds_them(joint, models, theta):
    added = JointSpectra(models, [3e4, 1e4], summed=True)
    assert_allclose(added.rates(theta), joint.rates(theta)[:65] + joint.rates(theta)[65:])
    assert_allclose(added.jacobian(theta)[0], added.spectra(theta), rtol=1e-5)


def test_weights_of_each_component(models, theta):
    found = JointSpectra(models, [[1, 2], [3, 0]]).rates(theta)
    assert_allclose(found[:65], models[0].rates(theta) * [1, 2])
    assert_allclose(found[65:], models[1].rates(theta) * [3, 0])


@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_derivatives(models, theta, summed, scale):
    # a model may choose another scale for its response
    other = type(models[1]).__new__(type(models[1]))
    vars(other).update(vars(models[0]))
    other.parameters = (*other.parameters[:2], replace(other.parameters[2], scale=scale), *other.parameters[3:])
    joint = JointSpectra([models[0], other], [2.0, 1.0], summed=summed)
    spectra, derivatives = joint.jacobian(theta)
    assert_allclose(spectra, joint.spectra(theta), rtol=1e-5)
    step = 1e-3
    for q in range(len(theta)):
        up, down = theta.copy(), theta.copy()
        up[q] += step
        down[q] -= step
        numeric = (joint.spectra(up) - joint.spectra(down)) / (2 * step)
        assert_allclose(derivatives[..., q], numeric, atol=2e-2 * np.abs(numeric).max())


def test_other_scales_mean_the_same_values(models, theta):
    other = type(models[1]).__new__(type(models[1]))
    vars(other).update(vars(models[0]))
    other.parameters = (*other.parameters[:2], replace(other.parameters[2], scale="log"), *other.parameters[3:])
    joint = JointSpectra([models[0], other], [1.0, 1.0])
    own = theta.copy()
    own[2] = other.parameters[2].scaled(models[0].parameters[2].value(theta[2]))
    assert_allclose(joint.rates(theta)[65:], other.rates(own))
    assert_allclose(joint.of_one(1, own), theta)


def test_values_and_back(joint, theta):
    assert_allclose(joint.scaled(joint.values(theta)), theta)
    step = np.eye(len(theta)) * 1e-6
    numeric = np.diag(joint.values(theta + step) - joint.values(theta - step)) / 2e-6
    assert_allclose(joint.slopes(theta), numeric, rtol=1e-5)


def test_errors_of_the_responses_are_each_ones_own(models, theta):
    edges = load_model("pwn-acis").energy_edges
    joint = JointSpectra([ResponseErrors(each, edges, gain=gain) for each, gain in zip(models, (0.003, 0.01))], [1, 1])
    assert [each.name for each in joint.parameters[-2:]] == ["gain_1", "gain_2"]
    x = np.append(theta, [0.5, 0.7])
    assert_allclose(joint.rates(x)[:65], models[0].rates(theta))
    assert np.abs(joint.rates(x)[65:] / models[1].rates(theta) - 1).max() > 0.01
    assert_array_equal(joint.values(x)[-2:].round(6), [0, 0.02])
    value, gradient, curvature = joint.penalty(x)
    assert_allclose(value, 2.0)
    assert_array_equal(np.flatnonzero(gradient), [len(x) - 1])
    assert_array_equal(curvature[-2:], [100, 100])
    spectra, derivatives = joint.jacobian(x)
    up, down = x.copy(), x.copy()
    up[-1] += 1e-4
    down[-1] -= 1e-4
    numeric = (joint.spectra(up) - joint.spectra(down)) / 2e-4
    assert_allclose(derivatives[..., -1], numeric, atol=2e-2 * np.abs(numeric).max())


def test_it_is_fitted_as_one_model_is(joint, theta):
    expected = joint.spectra(theta) @ np.array([[4e5, 2e5, 1e5], [1e5, 3e5, 5e5]])
    fit = fit_parameters(expected, joint)
    assert_allclose(fit.fluxes, [7e5, 9e5], rtol=0.01)
    assert_allclose(fit.values[:3], joint.values(theta)[:3], rtol=0.01)
    near = nearest_parameters(joint.spectra(theta), joint)
    assert_allclose(joint.spectra(near), joint.spectra(theta), atol=1e-3)


def test_maps_take_it_as_one_model(joint, theta):
    import torch

    table = LocalSpectraTable(joint, theta, [[], [2]])
    x = torch.tensor([[0.3, 0.7]])
    found = table.basis.numpy() @ np.where(table.owners[:, np.newaxis] == 1, table.coefficients(x)[0].numpy(), 0)
    for value, spectrum in zip((0.3, 0.7), found.T):
        changed = theta.copy()
        changed[2] = value
        assert_allclose(spectrum, joint.spectra(changed)[:, 1], atol=1e-3)


def test_models_of_other_components(models):
    other = load_model("snr-acis").physics
    with pytest.raises(ValueError, match="observation 2 has other components or parameters than the first"):
        JointSpectra([models[0], other], [1, 1])


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [[1.0], [1.0]], [1.0, np.nan]])
def test_bad_weights(models, weights):
    with pytest.raises(ValueError, match="one for each of the 2 observations"):
        JointSpectra(models, weights)


def test_it_says_what_it_is(joint):
    assert repr(joint).startswith("<JointSpectra: 2 observations together; <ParametricSpectra: nonthermal, thermal")
