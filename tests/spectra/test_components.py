import numpy as np
import pytest
from astropy.modeling.models import Const1D, PowerLaw1D

from astro_lpalm.spectra import ModelComponent, PhotoelectricAbsorption, Prior, Synchrotron, Thermal


def test_a_component_draws_what_it_has_priors_for():
    model = PhotoelectricAbsorption() * (Synchrotron() + PowerLaw1D())
    component = ModelComponent("c", model, {"nh_0": [1, 2], "x_0_2": 3, "photon_index_1": Prior(1.0, 5.0, "log")})
    assert component.priors["nh_0"] == Prior(1.0, 2.0)
    drawn = component.draw_parameters(100, seed=0)
    assert list(drawn) == ["nh_0", "x_0_2", "photon_index_1"]
    np.testing.assert_array_equal(drawn["x_0_2"], 3)
    assert drawn["nh_0"].min() < 1.1 < 1.9 < drawn["nh_0"].max()
    assert component.drawn == {"nh_0": "1 to 2", "x_0_2": "3", "photon_index_1": "1 to 5 (log)"}


def test_a_component_takes_a_class_an_instance_and_an_expression():
    for model, name in ((Thermal, "kT"), (Thermal(), "kT"), (Thermal() + Thermal(), "kT_1")):
        component = ModelComponent("c", model, {name: [1, 2]})
        photons = component.spectra(component.draw_parameters(3, seed=0), np.linspace(1, 1.1, 11), lambda x: x)
        assert photons.shape == (3, 10)
        assert np.all(np.ptp(photons, axis=0) > 0)


@pytest.mark.parametrize(
    ("model", "priors", "message"),
    [
        (Synchrotron, {"index": [1, 2]}, "'c': the model has no parameter 'index'; it has amplitude, photon_index"),
        (Thermal() + Thermal(), {"kT": [1, 2]}, "no parameter 'kT'; it has amplitude_0, kT_0, .*amplitude_1, kT_1"),
        (Synchrotron, {"cutoff": [0.0, 2]}, "'c', parameter 'cutoff': 0 to 2 goes beyond what it may be, 0.001 to inf"),
        (Synchrotron(bounds={"photon_index": (1, 3)}), {"photon_index": 4}, "'photon_index': 4 goes beyond .* 1 to 3"),
        (Synchrotron() + Thermal(), {"Si_1": Prior(-1.0, 2.0)}, "parameter 'Si_1': -1 to 2 goes beyond"),
        (Synchrotron, {"photon_index": "any"}, "parameter 'photon_index': 'any' is not a prior"),
        (PhotoelectricAbsorption, {"nh": [1, 2]}, "'c': PhotoelectricAbsorption is a factor, not a spectrum"),
        (Synchrotron() / Const1D(2.0), {}, "'c': '/' of spectral models cannot be integrated"),
    ],
)
def test_components_that_are_refused(model, priors, message):
    with pytest.raises(ValueError, match=message):
        ModelComponent("c", model, priors)


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="'Synchrotron' is not a model"):
        ModelComponent("c", "Synchrotron", {})


def test_component_without_priors():
    with pytest.raises(ValueError, match="component 'a' has no priors; give ranges"):
        ModelComponent("a", Synchrotron)
