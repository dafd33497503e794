import astropy.units as u
import numpy as np
import pytest
from astropy.modeling.models import PowerLaw1D
from scipy.integrate import quad

from astro_lpalm.spectra import (
    EmissionLine,
    PhotoelectricAbsorption,
    Synchrotron,
    Thermal,
    check_energy_edges,
    integrate,
)

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


def test_integral_agrees_with_adaptive_quadrature():
    model = Thermal(kT=0.9, S=3.0, sigma=2000.0, velocity=500.0)
    expected = [quad(model, *pair, limit=500, points=np.linspace(*pair, 41)[1:-1])[0] for pair in ((1, 2.5), (2.5, 6))]
    np.testing.assert_allclose(integrate(model, [1, 2.5, 6]).value, expected, rtol=1e-7)


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


def test_a_factor_alone_is_refused():
    with pytest.raises(ValueError, match="PhotoelectricAbsorption is a factor, not a spectrum; multiply it"):
        integrate(PhotoelectricAbsorption(), [1, 2])


@pytest.mark.parametrize(
    "edges", [[1.0], [2.0, 1.0], [1.0, 1.0], [0.0, 1.0], [1.0, np.nan], [1.0, np.inf], [[1.0, 2.0]]]
)
def test_edges_must_increase(edges):
    with pytest.raises(ValueError, match="two or more finite, positive, increasing energies; got"):
        check_energy_edges(edges)


@pytest.mark.parametrize("edges", [[1, 2] * u.s, "ab", object()])
def test_edges_must_be_energies(edges):
    with pytest.raises(ValueError, match="energy_edges must be energies, in keV where they have no unit"):
        check_energy_edges(edges)
