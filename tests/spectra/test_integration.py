import astropy.units as u
import numpy as np
import pytest
from astropy.modeling.models import Const1D, PowerLaw1D, RedshiftScaleFactor, Scale
from scipy.integrate import quad

from astro_lpalm.grid import check_energy_edges
from astro_lpalm.spectra import EmissionLine, PhotoelectricAbsorption, Synchrotron, Thermal, integrate

EDGES = np.array([0.3, 0.5, 2.0, 7.0])


@pytest.mark.parametrize("index", [0.5, 2.0, 3.2])
def test_power_law_has_the_closed_form(index):
    expected = np.diff(EDGES ** (1 - index)) / (1 - index)
    flux = integrate(Synchrotron(photon_index=index), EDGES * u.keV)
    assert flux.unit == u.photon / (u.cm**2 * u.s)
    np.testing.assert_allclose(flux.value, expected, rtol=1e-7)


def test_edges_may_be_in_any_unit_of_energy():
    np.testing.assert_allclose(integrate(Synchrotron(), EDGES * 1000 * u.eV), integrate(Synchrotron(), EDGES))


@pytest.mark.parametrize("sigma", [0.0, 1.0, 3000.0])
def test_no_line_is_lost(sigma):
    line = EmissionLine(amplitude=4.0, energy=2.0, velocity=-1000.0, sigma=sigma)
    assert integrate(line, EDGES).sum().value == pytest.approx(4.0, rel=1e-7)
    assert integrate(line, [1.0, 2.0, 3.0])[1].value > 2.0 + 1.9 * (sigma < 2)


def test_a_line_on_an_edge_is_shared():
    np.testing.assert_allclose(integrate(EmissionLine(energy=2.0, sigma=0.0), [1, 2, 3]).value, [0.5, 0.5])


def sum_of_density(model, low, high):
    """Integral by the midpoint rule in steps of 0.2 eV, far narrower than any line of these tests."""
    centre, step = low + 2e-4 * (np.arange(round((high - low) / 2e-4)) + 0.5), 2e-4
    return model(centre).sum() * step


def test_integral_is_that_of_the_density():
    model = Thermal(kT=0.9, S=3.0, sigma=2000.0, velocity=500.0)
    expected = [sum_of_density(model, *pair) for pair in ((1, 2.5), (2.5, 6))]
    np.testing.assert_allclose(integrate(model, [1, 2.5, 6]).value, expected, rtol=2e-5)


def test_an_absorbed_line_has_the_transmission_at_its_energy():
    absorption, line = PhotoelectricAbsorption(nh=1.5), EmissionLine(amplitude=2.0, energy=1.855, sigma=1.0)
    for model in (absorption * line, line * absorption):
        assert integrate(model, [1, 3]).sum().value == pytest.approx(2.0 * absorption(1.855), rel=3e-3)


def test_an_absorbed_continuum_agrees_with_adaptive_quadrature():
    spectrum = Synchrotron(photon_index=2.6) + Synchrotron(amplitude=2.0, photon_index=1.0)
    model = PhotoelectricAbsorption(nh=0.8) * spectrum
    between_jumps = [(0.8, 0.867), (0.867, 1.303), (1.303, 1.8)]
    expected = sum(quad(model, *pair, epsabs=0, epsrel=1e-10)[0] for pair in between_jumps)
    assert integrate(model, [0.8, 1.8])[0].value == pytest.approx(expected, rel=5e-5)


def test_sums_and_differences_are_linear():
    one, two = Thermal(kT=0.7), Synchrotron()
    np.testing.assert_allclose(integrate(one + two - two, EDGES), integrate(one, EDGES), rtol=1e-9)


def test_parameters_with_units_and_models_of_astropy():
    with_units = Synchrotron(amplitude=1.0 / (u.cm**2 * u.s * u.keV) * u.photon, photon_index=2.0)
    np.testing.assert_allclose(integrate(with_units, [1, 2]).value, [0.5], rtol=1e-8)
    np.testing.assert_allclose(integrate(PowerLaw1D(alpha=2.0), [1, 2]).value, [0.5], rtol=1e-8)
    np.testing.assert_allclose(integrate(PowerLaw1D(1, 1 * u.keV, 2) * with_units, [1, 2]).value, [7 / 24], rtol=1e-3)


def test_a_composed_model_follows_its_parameters():
    model = PhotoelectricAbsorption() * Synchrotron()
    before = integrate(model, [2, 3])
    model.amplitude_1 = 3.0
    np.testing.assert_allclose(integrate(model, [2, 3]), 3 * before)


@pytest.mark.parametrize("stretch", [RedshiftScaleFactor(0.7), Scale(1.7), RedshiftScaleFactor(0.0) | Scale(1.7)])
def test_redshift_has_the_closed_form_and_keeps_every_photon(stretch):
    # f(E (1 + z)) of a power law is the power law times (1 + z)^-index; of a line, the line at E / (1 + z), over 1 + z
    power_law, line = Synchrotron(photon_index=2.2), EmissionLine(amplitude=3.0, energy=6.7, sigma=1.0)
    np.testing.assert_allclose(
        integrate(stretch | power_law, EDGES).value, 1.7**-2.2 * integrate(power_law, EDGES).value, rtol=1e-7
    )
    edges = [3.9, 3.94, 3.943, 4.0]  # 6.7 / 1.7 = 3.9412
    np.testing.assert_allclose(integrate(stretch | line, edges).value, [0, 3 / 1.7, 0], atol=1e-12)


def test_an_expression_with_redshift_is_integrated_as_its_density():
    model = PhotoelectricAbsorption(nh=0.1) * (RedshiftScaleFactor(0.2) | Thermal(kT=3.0, sigma=3000.0))
    expected = [sum_of_density(model, *pair) for pair in ((2.7, 2.95), (2.95, 6))]
    np.testing.assert_allclose(integrate(model, [2.7, 2.95, 6]).value, expected, rtol=2e-4)


def test_a_spectrum_may_be_scaled():
    np.testing.assert_allclose(integrate(Thermal() | Scale(3.0), EDGES), 3 * integrate(Thermal(), EDGES))


@pytest.mark.parametrize("z", [0.0, 0.5])
@pytest.mark.parametrize("jump", [0.867, 1.303, 1.84, 2.471])
def test_a_line_beside_an_absorption_edge_is_absorbed_as_on_its_own_side(jump, z):
    transmission = PhotoelectricAbsorption(nh=0.5)
    for energy in (jump - 0.001, jump + 0.001):
        model = transmission * EmissionLine(energy=energy, sigma=5.0)
        flux = integrate(RedshiftScaleFactor(z) | model, [0.3, 4.0])[0].value * (1 + z)
        # the mean over the bin to either side would be half the jump off
        jump_size = transmission(jump - 1e-6) / transmission(jump + 1e-6) - 1
        assert flux == pytest.approx(transmission(energy), rel=abs(jump_size) / 5)


EXPRESSIONS = {
    "model": (Thermal(), ["kT", "Si"]),
    "class": (Synchrotron, ["photon_index"]),
    "sum": (Thermal() + Synchrotron(), ["kT_0", "photon_index_1"]),
    "difference": (Synchrotron(amplitude=3.0) - Synchrotron(photon_index=3.0), ["amplitude_0"]),
    "product": (PhotoelectricAbsorption() * Thermal(), ["nh_0", "kT_1"]),
    "absorption alone": (PhotoelectricAbsorption() * Thermal(), ["nh_0"]),
    "redshift": (PhotoelectricAbsorption() * (RedshiftScaleFactor(0.1) | Thermal()), ["z_1", "kT_2"]),
    "two redshifts": (
        (RedshiftScaleFactor(0.1) | EmissionLine())
        + (RedshiftScaleFactor(0.2) | PhotoelectricAbsorption() * Thermal()),
        ["z_2", "nh_3", "z_0"],
    ),
    "astropy": (PhotoelectricAbsorption() * PowerLaw1D(1.0, 1000 * u.eV, 2.0), ["nh_0", "alpha_1"]),
    "all of astropy": (PowerLaw1D(2.0, 1.0, 2.0) / (Const1D(2.0) + Const1D(1.0)), ["alpha_0", "amplitude_2"]),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_many_draws_are_the_single_ones(name):
    model, drawn = EXPRESSIONS[name]
    rng = np.random.default_rng(1)
    parameters = {parameter: rng.uniform(0.2, 2.0, size=4) for parameter in drawn}
    parameters[drawn[0]][3] = parameters[drawn[0]][2]  # two draws may share a redshift
    flux = integrate(model, EDGES, parameters)
    assert flux.shape == (4, 3)
    assert flux.unit == u.photon / (u.cm**2 * u.s)
    for i in range(4):
        one = model() if isinstance(model, type) else model.copy()
        for parameter, values in parameters.items():
            setattr(one, parameter, values[i])
        np.testing.assert_allclose(flux[i], integrate(one, EDGES), rtol=1e-12)


def test_numbers_may_stand_beside_arrays():
    model = RedshiftScaleFactor(3.0) | EmissionLine(energy=6.0, sigma=0.0)
    flux = integrate(model, [4.9, 5.1, 5.3], {"z_0": 0.2, "amplitude_1": [1.2, 2.4, 6.0]})
    np.testing.assert_allclose(flux.value, [[1, 0], [2, 0], [5, 0]], atol=1e-12)
    assert integrate(model, [4.9, 5.1], {"z_0": 0.2}).shape == (1,)
    assert integrate(model, [4.9, 5.1], {"z_0": [0.2]}).shape == (1, 1)


def test_an_edge_at_zero_stands_for_an_electronvolt():
    np.testing.assert_allclose(
        integrate(Synchrotron(photon_index=2.0), [0.0, 0.01, 1.0]).value, [1e3 - 1e2, 99.0], rtol=1e-6
    )
    assert integrate(EmissionLine(energy=0.5), [0.0, 1.0])[0].value == pytest.approx(1.0)
    assert integrate(Synchrotron(photon_index=0.0), [0.0, 1e-4])[0].value == pytest.approx(0.5e-4)


def test_a_factor_alone_is_refused():
    with pytest.raises(ValueError, match="PhotoelectricAbsorption is a factor, not a spectrum; multiply it"):
        integrate(PhotoelectricAbsorption(), [1, 2])
    with pytest.raises(ValueError, match="this expression is a factor, not a spectrum"):
        integrate(RedshiftScaleFactor(0.1) | PhotoelectricAbsorption() * PhotoelectricAbsorption(), [1, 2])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Thermal() * Synchrotron(), "a spectrum times a spectrum is none; in 'Thermal . Synchrotron'"),
        (PhotoelectricAbsorption() + Thermal(), "'PhotoelectricAbsorption . Thermal' adds a factor and a spectrum"),
        (Thermal() / Const1D(2.0), "'/' of spectral models cannot be integrated; write the spectrum with"),
        (Thermal() | PowerLaw1D(), "'|' of spectral models cannot be integrated"),
        (RedshiftScaleFactor(-1.0) | Thermal(), "energies cannot be scaled by 0; give a redshift above -1"),
        (Scale(-2.0) | Thermal(), "energies cannot be scaled by -2; .*a positive factor"),
        (Synchrotron(photon_index=[2.0, 3.0]), r"parameter 'photon_index' has shape \(2,\); give a number"),
    ],
)
def test_expressions_that_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        integrate(model, [1, 2])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"kt": [1.0]}, "no parameter 'kt'; it has amplitude, kT, O, Ne"),
        ({"kT": [1.0, 2.0], "Si": [1.0]}, r"shapes of the parameters are kT \(2,\), Si \(1,\); give arrays of one"),
        ({"kT": [[1.0]]}, r"kT \(1, 1\); give arrays of one shape"),
    ],
)
def test_parameters_that_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        integrate(Thermal(), [1, 2], parameters)


@pytest.mark.parametrize("model", ["Thermal", int, np.exp])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(TypeError, match="is not a model; give one of this package or of astropy"):
        integrate(model, [1, 2])


@pytest.mark.parametrize(
    "edges", [[1.0], [2.0, 1.0], [1.0, 1.0], [-1.0, 1.0], [1.0, np.nan], [1.0, np.inf], [[1.0, 2.0]]]
)
def test_edges_must_increase(edges):
    with pytest.raises(ValueError, match="two or more finite, increasing energies, the first 0 or more; got"):
        check_energy_edges(edges)


@pytest.mark.parametrize("edges", [[1, 2] * u.s, "ab", object()])
def test_edges_must_be_energies(edges):
    with pytest.raises(ValueError, match="energy_edges must be energies, in keV where they have no unit"):
        check_energy_edges(edges)


def test_parameters_are_plain_numbers_within_bounds():
    with pytest.raises(ValueError, match="parameter 'kT' has the unit eV; give plain numbers"):
        integrate(Thermal(), [1, 2], {"kT": [1000.0, 2000.0] * u.eV})
    for values, given in (([500.0], "500"), (-1.0, "-1"), ([1.0, np.nan], "nan")):
        with pytest.raises(ValueError, match=f"parameter 'kT' is {given}; it must lie in 0.06 to 80"):
            integrate(Thermal(), [1, 2], {"kT": values})


def test_only_what_is_infinite_by_default_may_be():
    assert integrate(Synchrotron(), [1, 2], {"cutoff": [np.inf]}).value == integrate(Synchrotron(), [1, 2]).value
    for name in ("photon_index", "amplitude"):
        with pytest.raises(ValueError, match=f"parameter '{name}' is inf; it must be finite"):
            integrate(Synchrotron(), [1, 2], {name: [1.0, np.inf]})


def test_parameters_that_were_set_out_of_bounds():
    model = Synchrotron()
    model.amplitude = -5
    with pytest.raises(ValueError, match="parameter 'amplitude' is -5; it must be 0 or more"):
        integrate(model, [1, 2])
