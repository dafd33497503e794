import numpy as np
import pytest
from numpy.testing import assert_allclose

from astro_lpalm import load_model
from astro_lpalm.spectra import ResponseErrors


@pytest.fixture(scope="module")
def model():
    return load_model("pwn-acis")


@pytest.fixture(scope="module")
def spectra(model):
    return ResponseErrors(model.physics, model.energy_edges, gain=0.003, area=0.03)


def test_without_errors_spectra_are_those_of_the_models(model, spectra):
    own = np.full(len(model.physics.parameters), 0.4)
    theta = np.append(own, np.full(6, 0.5))
    assert_allclose(spectra.spectra(theta), model.physics.spectra(own), rtol=1e-6)
    assert_allclose(spectra.values(theta)[-6:], 0, atol=1e-12)
    assert_allclose(spectra.energy_flux(theta), model.physics.energy_flux(own))


def test_derivatives_are_those_of_the_spectra(spectra):
    theta = np.random.default_rng(0).uniform(0.3, 0.7, len(spectra.parameters))
    found, derivatives = spectra.jacobian(theta)
    assert_allclose(found, spectra.spectra(theta), rtol=1e-5, atol=1e-9)
    for k, step in enumerate(1e-3 * np.eye(len(theta))):
        high, low = spectra.jacobian(theta + step)[0], spectra.jacobian(theta - step)[0]
        assert_allclose(
            derivatives[:, :, k], (high - low) / 2e-3, atol=2e-4 * np.abs(derivatives[:, :, k]).max() + 1e-8
        )


def test_values_and_scaled_parameters_are_inverse(spectra):
    theta = np.random.default_rng(1).random((3, len(spectra.parameters)))
    assert_allclose(spectra.scaled(spectra.values(theta)), theta, atol=1e-9)


def test_a_gain_moves_counts_and_keeps_them(model):
    # A line moves by so much of its energy.
    spectra = ResponseErrors(model.physics, model.energy_edges, gain=0.01)
    theta = np.append(np.full(len(model.physics.parameters), 0.5), 0.5)
    theta[-1] = spectra.scaled(np.append(model.physics.values(theta[:-1]), 0.01))[-1]
    middle = 0.5 * (model.energy_edges[1:] + model.energy_edges[:-1]).value
    before, after = model.physics.rates(theta[:-1]), spectra.rates(theta)
    mean = [(middle @ each / each.sum(axis=0)) for each in (before, after)]
    assert_allclose(mean[1] / mean[0], 1.01, rtol=2e-3)


def test_an_area_error_is_a_factor_of_all_components(model):
    spectra = ResponseErrors(model.physics, model.energy_edges, area=0.03)
    own = np.full(len(model.physics.parameters), 0.5)
    ratio = spectra.rates(np.append(own, np.full(5, 0.6))) / model.physics.rates(own)
    assert_allclose(ratio, 1 + 0.03, rtol=1e-6)


def test_penalty_is_one_half_at_one_standard_deviation(spectra):
    theta = np.full(len(spectra.parameters), 0.5)
    values = spectra.values(theta)
    values[-1] = 0.03
    value, gradient, curvature = spectra.penalty(spectra.scaled(values))
    assert_allclose(value, 0.5)
    assert np.count_nonzero(gradient) == 1
    assert np.count_nonzero(curvature) == 6


@pytest.mark.parametrize(("errors", "message"), [
    ({"gain": -0.1}, "the error of the gain is -0.1, but must be a relative one from 0 to 0.1"),
    ({"area": 3}, "the error of the area is 3, but must be a relative one"),
    ({}, "neither the gain nor the area has an error"),
])  # fmt: skip
def test_errors_that_are_none(model, errors, message):
    with pytest.raises(ValueError, match=message):
        ResponseErrors(model.physics, model.energy_edges, **errors)


@pytest.mark.parametrize("gain", [0.0, 1.0])
def test_no_counts_are_negative_beside_a_line(gain):
    model = load_model("snr-acis")
    spectra = ResponseErrors(model.physics, model.energy_edges, gain=0.003)
    theta = np.append(np.full(len(model.physics.parameters), 0.5), gain)
    found, derivatives = spectra.jacobian(theta)
    assert np.all(found >= 0)
    assert np.all(np.isfinite(derivatives))
    assert_allclose(found, spectra.spectra(theta), rtol=1e-5, atol=1e-9)
