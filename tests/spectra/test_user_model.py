import astropy.units as u
import numpy as np
import pytest

from astro_lpalm.spectra import SpectralModel, Synchrotron
from astro_lpalm.spectra.integration import integrate
from astro_lpalm.spectra.user_model import UserModel, user_model


def power_law(edges, index, norm=1.0):
    """Photons of a power law."""
    return norm * np.diff(edges ** (1 - index)) / (1 - index)


PowerLaw = user_model(power_law, {"index": (2.0, 1.1, 4.0), "norm": 1.0})


def test_a_function_becomes_a_spectral_model():
    assert issubclass(PowerLaw, UserModel)
    assert issubclass(PowerLaw, SpectralModel)
    assert PowerLaw.__name__ == "power_law"
    assert PowerLaw.__doc__ == "Photons of a power law."
    assert PowerLaw.param_names == ("index", "norm")
    assert (PowerLaw.index.bounds, PowerLaw.norm.bounds) == ((1.1, 4.0), (None, None))
    assert "of power_law" in repr(PowerLaw(index=3))


@pytest.mark.parametrize("energy", [np.array([5.0, 1.0, 1.0, 2.0]), np.array([[1.0, 3.0], [1.00001, 2.0]]), 2.0])
def test_density_agrees_with_the_closed_form(energy):
    np.testing.assert_allclose(PowerLaw(index=2.5, norm=3.0)(energy), 3 * energy**-2.5, rtol=1e-6)
    rows = PowerLaw.density(np.array([1.0, 2.0]), np.array([[1.5], [3.0]]), 2.0)
    np.testing.assert_allclose(rows, [[2, 2**-0.5], [2, 0.25]], rtol=1e-6)


def test_draws_agree_with_the_analytic_model():
    edges = np.linspace(0.5, 8, 60)
    indices = np.array([[1.5], [2.0], [3.5]])
    flux = PowerLaw.integral(edges, indices, 2.0)
    np.testing.assert_allclose(flux, Synchrotron.integral(edges, 2.0, indices, np.inf), rtol=1e-3)
    np.testing.assert_array_equal(flux[1], PowerLaw.integral(edges, 2.0, 2.0))
    both = integrate(PowerLaw(index=2.0) + Synchrotron(photon_index=2.0), [1, 2, 4])
    np.testing.assert_allclose(both.value, [1.0, 0.5], rtol=1e-6)


@pytest.mark.parametrize(
    "convert",
    [
        lambda flux: flux * u.photon / u.cm**2 / u.s,
        lambda flux: flux * 1e4 / u.m**2 / u.s,
        lambda flux: list(flux),
        lambda flux: flux.astype(np.float32),
    ],
)
def test_what_a_function_may_return(convert):
    model = user_model(lambda edges: convert(np.diff(edges)), {})
    assert model.__name__ == "Function"
    np.testing.assert_allclose(model.integral(np.array([1.0, 2.0, 4.0])), [1, 2], rtol=1e-6)
    np.testing.assert_allclose(model()(np.array([1.0, 2.0])), [1, 1], rtol=1e-2)


def test_a_pair_of_edges_and_an_object_fit_in():
    class Session:
        def __call__(self, low, high, *, width):
            return width * (high - low)

    session = Session()
    model = user_model(lambda edges, width: session(edges[:-1], edges[1:], width=width), {"width": (2.0, 0.0, None)})
    np.testing.assert_allclose(model.integral(np.array([1.0, 2.0, 4.0]), 3.0), [3, 6])
    assert user_model(Session(), {"high": 1.0, "width": 1.0}).__name__ == "Session"


def test_a_function_cannot_change_the_edges():
    def careless(edges):
        edges *= 0
        return np.ones(2)

    edges = np.array([1.0, 2.0, 3.0])
    user_model(careless, {}).integral(edges)
    assert edges.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("result", "match"),
    [
        (lambda e: np.ones(len(e)), r"a ndarray of shape \(3,\); give one value a bin, \(2,\)"),
        (lambda e: 1.0, r"shape \(\)"),
        (lambda e: np.array([1.0, -2.0]), "returned -2 photons/.* from 2 to 4 keV"),
        (lambda e: np.array([np.nan, 1.0]), "returned nan photons/.* from 1 to 2 keV"),
        (lambda e: np.array([np.inf, 1.0]), "returned inf"),
        (lambda e: None, r"returned a NoneType of shape \(\)"),
        (lambda e: "many", "returned 'many'"),
        (lambda e: np.ones(2) * u.keV, "it must return photons"),
    ],
)
def test_what_a_function_may_not_return(result, match):
    def emission(edges, kT):
        return result(edges)

    model = user_model(emission, {"kT": 1.5})
    with pytest.raises(ValueError, match=rf"emission, called with 3 energy edges and kT=1\.5, (?s:.*){match}"):
        model.integral(np.array([1.0, 2.0, 4.0]), 1.5)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"kT": 1.0}, r"power_law\(edges, index, norm=1.0\) does not take .* kT"),
        ({"norm": 1.0}, "missing a required argument: 'index'"),
        ({"index": (1.0, 2.0, 3.0)}, r"'index' is \(1.0, 2.0, 3.0\); give its default, or \(default, low, high\)"),
        ({"index": (2.0, 3.0)}, "give its default"),
        ({"index": "steep"}, "give its default"),
        ({"index": np.nan}, "give its default"),
        ({"index": 2 * u.keV}, "give its default"),
        ({"fixed": 2.0}, "cannot have a parameter named 'fixed'"),
        ({"photon index": 2.0}, "cannot have a parameter named 'photon index'"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(parameters, match):
    with pytest.raises(ValueError, match=match):
        user_model(power_law, parameters)


def test_what_cannot_be_called_or_is_out_of_range_is_refused():
    with pytest.raises(TypeError, match="function is 3; give something to call"):
        user_model(3, {})
    with pytest.raises(ValueError, match=r"power_law: parameter 'index' is 5; it must lie in 1\.1 to 4"):
        PowerLaw.integral(np.array([1.0, 2.0]), np.array([[2.0], [5.0]]), 1.0)
    with pytest.raises(ValueError, match="power_law has no parameter 'kT'; its parameters are: index, norm"):
        PowerLaw(kT=1.0)
