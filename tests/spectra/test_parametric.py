import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm import load_model
from astro_lpalm.missions import approximate_response
from astro_lpalm.spectra import (
    EmissionLine,
    FreeParameter,
    ModelComponent,
    ParametricSpectra,
    Prior,
    SpectralLibrary,
    SpectrumEmulator,
    Synchrotron,
    Thermal,
    ThermalEmulator,
    user_model,
)

EDGES = np.linspace(0.8, 7.0, 32)
SMOOTH = 3e-4


def library(*components, nh=None):
    return SpectralLibrary(components, EDGES, response=approximate_response(EDGES), nh=nh)


def power_law():
    return ModelComponent("hard", Synchrotron, {"photon_index": Prior(1.5, 2.5), "cutoff": Prior(10, 1000, "log")})


def line():
    ranges = {"velocity": Prior(-4000, 4000), "sigma": Prior(500, 2000), "energy": 6.65}
    return ModelComponent("line", EmissionLine, ranges)


def plasma():
    return ModelComponent("hot", Thermal, {"Si": Prior(1, 5, "log"), "Fe": Prior(0.2, 1), "velocity": Prior(-500, 500)})


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture(scope="module")
def emulated():
    return ParametricSpectra.from_library(library(power_law(), line(), plasma(), nh=Prior(0.5, 2)), tolerance=SMOOTH)


@pytest.fixture(scope="module")
def exact():
    return ParametricSpectra.from_library(library(power_law(), line(), plasma(), nh=Prior(0.5, 2)))


def relative_error(found, exact):
    bright = exact > 1e-3 * exact.max(axis=1, keepdims=True)
    return np.max(np.abs(found / np.where(bright, exact, 1) - 1)[bright])


def test_parameters_are_those_with_a_range_and_absorption_stands_once(exact):
    named = [(each.component, each.name) for each in exact.parameters]
    assert named[:3] == [("", "nh"), ("hard", "photon_index"), ("hard", "cutoff")]
    assert [name for component, name in named if component == "line"] == ["velocity", "sigma"]  # not the fixed energy
    assert exact.parameters[0].unit == (u.Unit(1e22 / u.cm**2)).to_string()


def test_scaled_parameters_and_values_are_inverse(exact, rng):
    theta = rng.random((5, len(exact.parameters)))
    np.testing.assert_allclose(exact.scaled(exact.values(theta)), theta, atol=1e-9)
    low, high = exact.values(exact.bounds)
    assert np.all(low < high)


@pytest.mark.parametrize("scale", ["linear", "log", "inverse", "square"])
def test_slope_is_the_derivative_of_the_value(scale):
    parameter = FreeParameter("hot", "kT", "keV", 0.5, 4.0, scale)
    np.testing.assert_allclose(parameter.value([0, 1]), [0.5, 4.0])
    difference = (parameter.value(0.4 + 1e-6) - parameter.value(0.4 - 1e-6)) / 2e-6
    np.testing.assert_allclose(parameter.slope(0.4), difference, rtol=1e-6)


def test_cutoff_is_scaled_by_its_inverse_and_abundances_by_their_values(exact):
    scales = {each.name: each.scale for each in exact.parameters}
    assert scales["cutoff"] == "inverse"
    assert scales["Si"] == scales["Fe"] == "linear"  # though one was drawn in its logarithm


def test_exact_spectra_are_those_of_the_library(exact):
    made = library(power_law(), line(), plasma(), nh=Prior(0.5, 2))
    drawn = made.draw_parameters(4, seed=1)
    values = np.stack(
        [(drawn[each.component] if each.component else drawn)[each.name] for each in exact.parameters], -1
    )
    expected = made.draw(4, seed=1)
    spectra = exact.spectra(exact.scaled(values))
    np.testing.assert_allclose(spectra, expected / expected.sum(axis=1, keepdims=True), rtol=1e-9, atol=1e-15)


def test_emulated_spectra_are_exact_ones_within_the_tolerance(emulated, exact, rng):
    assert [type(source) for source in emulated.sources] == [SpectrumEmulator, SpectrumEmulator, ThermalEmulator]
    theta = rng.random((100, len(exact.parameters)))
    found, expected = emulated.spectra(theta), exact.spectra(theta)
    for k in range(3):
        assert relative_error(found[..., k], expected[..., k]) < 2 * SMOOTH
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


def test_abundances_are_linear_parameters_of_the_emulator(emulated):
    assert isinstance(emulated.sources[2], ThermalEmulator)
    for part in (emulated.sources[2].lines, emulated.sources[2].continuum):
        assert part.is_linear.tolist()[:2] == [True, True]
        assert not part.is_linear[2:].any()


def test_temperatures_of_electrons_and_ions_are_followed_apart():
    ranges = {"kT": Prior(0.8, 2, "log"), "ionization": Prior(0.6, 1.0), "S": Prior(1, 5)}
    made = library(ModelComponent("hot", Thermal, ranges))
    emulated, exact = (ParametricSpectra.from_library(made, tolerance=each) for each in (1e-3, None))
    assert isinstance(emulated.sources[0], ThermalEmulator)
    theta = np.random.default_rng(1).random((100, 3))
    assert relative_error(emulated.spectra(theta)[..., 0], exact.spectra(theta)[..., 0]) < 2e-3
    (_, found), (_, expected) = emulated.jacobian(theta[0]), exact.jacobian(theta[0])
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


@pytest.mark.parametrize("free", ["kT", "ionization"])
def test_one_temperature_may_be_fixed(free):
    ranges = {"kT": 1.2, "ionization": 0.8} | {free: Prior(0.7, 1.3)}
    made = library(ModelComponent("hot", Thermal, ranges), nh=Prior(0.5, 1))
    emulated, exact = (ParametricSpectra.from_library(made, tolerance=each) for each in (1e-3, None))
    assert isinstance(emulated.sources[0], ThermalEmulator)
    theta = np.random.default_rng(1).random((50, 2))
    assert relative_error(emulated.spectra(theta)[..., 0], exact.spectra(theta)[..., 0]) < 2e-3


@pytest.mark.parametrize("kind", ["emulated", "exact"])
def test_jacobian_is_the_derivative(kind, request, rng):
    model = request.getfixturevalue(kind)
    theta = rng.uniform(0.1, 0.9, len(model.parameters))
    spectra, derivatives = model.jacobian(theta)
    np.testing.assert_allclose(spectra, model.spectra(theta), rtol=1e-4, atol=1e-7)  # batches are single precision
    steps = 1e-4 * np.eye(len(theta))
    differences = np.array([model.jacobian(theta + s)[0] - model.jacobian(theta - s)[0] for s in steps]) / 2e-4
    np.testing.assert_allclose(derivatives, differences.transpose(1, 2, 0), atol=1e-5)


def test_a_batch_is_as_its_rows(emulated, rng):
    theta = rng.random((3, 2, len(emulated.parameters)))
    np.testing.assert_allclose(emulated.spectra(theta)[1, 1], emulated.spectra(theta[1, 1]), rtol=1e-4, atol=1e-7)


def test_files_keep_the_emulator(emulated, rng, tmp_path):
    fits.HDUList([fits.PrimaryHDU(), *emulated.to_hdus()]).writeto(tmp_path / "model.fits")
    assert (tmp_path / "model.fits").stat().st_size < 200_000
    with fits.open(tmp_path / "model.fits") as hdulist:
        again = ParametricSpectra.from_hdulist(hdulist)
    assert again.parameters == emulated.parameters
    assert again.component_names == emulated.component_names
    theta = rng.random((20, len(again.parameters)))
    np.testing.assert_allclose(again.spectra(theta), emulated.spectra(theta), rtol=1e-4, atol=1e-7)


def test_spectra_that_are_not_smooth_stay_exact(rng):
    def box(energy_edges, end):
        return np.diff(np.minimum(energy_edges, end)) + 1e-3

    boxes = ModelComponent("box", user_model(box, {"end": (3.0, 1.0, 6.0)}), {"end": Prior(1.0, 6.0)})
    model = ParametricSpectra.from_library(library(boxes), tolerance=SMOOTH)
    assert repr(model) == "<ParametricSpectra: box; 1 parameters, exact>"
    with pytest.raises(ValueError, match="spectra of 'box' are not tabulated, so they cannot be kept in a file"):
        model.to_hdus()


def test_samples_have_no_parameters():
    samples = SpectralLibrary.from_arrays({"flat": np.ones((2, 3))}, [1, 2, 3, 4])
    with pytest.raises(ValueError, match="component 'flat' is made of samples, so it has no parameters"):
        ParametricSpectra.from_library(samples)


def test_energy_flux_is_that_of_the_model_before_absorption():
    library = SpectralLibrary.from_file("pwn-acis")
    exact = ParametricSpectra.from_library(library)
    emulated = load_model("pwn-acis").physics
    rng = np.random.default_rng(0)
    theta = rng.random((5, len(exact.parameters)))
    np.testing.assert_allclose(emulated.energy_flux(theta), exact.energy_flux(theta), rtol=1e-2)
    index = exact.values(theta)[:, [each.name for each in exact.parameters].index("photon_index")]
    power = 2 - index  # of the integral of E E^-index
    keV = (7.0**power - 0.5**power) / power
    np.testing.assert_allclose(exact.energy_flux(theta)[:, 0], keV * 1.602176634e-9, rtol=2e-3)
    assert emulated.amplitude_units == exact.amplitude_units


def test_parameters_that_are_not_there():
    hdus = fits.HDUList([fits.PrimaryHDU(), *load_model("pwn-acis").physics.to_hdus()])
    hdus["EMULATOR1"].header["PLACE1"] = 99
    with pytest.raises(ValueError, match="EMULATOR1 takes the parameters .*99.*, but PARAMETERS has 10 rows"):
        ParametricSpectra.from_hdulist(hdus)
