import astropy.units as u
import numpy as np
import pytest
from astropy.modeling.fitting import TRFLSQFitter
from scipy.integrate import quad
from scipy.special import k0

from astro_lpalm.data import read_table
from astro_lpalm.spectra import (
    EmissionLine,
    PhotoelectricAbsorption,
    Synchrotron,
    Thermal,
    doppler_factor,
    photon_flux_density,
)

MODELS = [Synchrotron(cutoff=20.0), Thermal(kT=1.3, Si=3.0), EmissionLine(energy=2.0), PhotoelectricAbsorption(nh=0.7)]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_floats_are_kev_and_quantities_agree(model):
    energy = np.array([[0.7, 1.9], [2.0, 6.4]])
    plain = model(energy)
    assert type(plain) is np.ndarray
    assert plain.shape == (2, 2)
    with_units = model(energy * 1000 * u.eV)
    assert with_units.unit.is_equivalent(model.output_unit)
    np.testing.assert_allclose(with_units.to_value(model.output_unit), plain, rtol=1e-10, atol=1e-100)
    assert np.isscalar(float(model(2.0)))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_parameters_may_have_any_unit_of_their_kind(model):
    scaled = {"keV": u.eV, "km / s": u.m / u.s}
    parameters = {}
    for name, value in zip(model.param_names, model.plain_parameters):
        unit = model.parameter_units.get(name)
        other = scaled.get(str(unit), unit)
        parameters[name] = float(np.squeeze(value)) if unit is None else (np.squeeze(value) * unit).to(other)
    other = type(model)(**parameters)
    np.testing.assert_allclose(u.Quantity(other(1.9)).to_value(model.output_unit), model(1.9), rtol=1e-12)


def test_a_parameter_of_the_wrong_kind_is_refused():
    with pytest.raises(u.UnitsError):
        Synchrotron(cutoff=3 * u.s)(1.0)


def test_models_compose_with_and_without_units():
    model = PhotoelectricAbsorption(nh=1.2) * (Synchrotron() + EmissionLine(energy=2.0))
    expected = np.exp(-1.2e22 * PhotoelectricAbsorption.cross_section(2.0)) * (
        Synchrotron()(2.0) + EmissionLine(energy=2.0)(2.0)
    )
    assert model(2.0) == pytest.approx(expected, rel=1e-12)
    assert model(2.0 * u.keV).to_value(photon_flux_density) == pytest.approx(expected, rel=1e-12)


def test_models_can_be_fitted():
    energy = np.linspace(1, 8, 60)
    truth = Synchrotron(amplitude=3.0, photon_index=2.2)
    fitted = TRFLSQFitter()(Synchrotron(amplitude=1.0, photon_index=1.0), energy, truth(energy))
    np.testing.assert_allclose(fitted.parameters[:2], [3.0, 2.2], rtol=1e-5)


def test_synchrotron_cuts_off_exponentially():
    ratio = Synchrotron(photon_index=2.0, cutoff=5.0)(np.array([1.0, 10.0])) / Synchrotron(photon_index=2.0)(
        np.array([1.0, 10.0])
    )
    np.testing.assert_allclose(ratio, np.exp([-0.2, -2.0]))


def test_doppler_factor_is_relativistic_and_red_when_receding():
    assert doppler_factor(0.0) == 1
    assert doppler_factor(299792.458 * 0.6) == pytest.approx(0.5)
    assert doppler_factor(2000.0) * doppler_factor(-2000.0) == pytest.approx(1)


@pytest.mark.parametrize("velocity", [-6000.0, 3000.0])
def test_line_centroid_is_shifted_and_its_flux_and_width_kept(velocity):
    line = EmissionLine(amplitude=2.0, energy=6.7, velocity=velocity, sigma=1000.0)
    energy = np.linspace(6.2, 7.2, 20001)
    density = line(energy)
    step = energy[1] - energy[0]
    centre = np.sum(energy * density) / np.sum(density)
    assert density.sum() * step == pytest.approx(2.0, rel=1e-6)
    assert centre == pytest.approx(6.7 * doppler_factor(velocity), rel=1e-8)
    width = np.sqrt(np.sum((energy - centre) ** 2 * density) / np.sum(density))
    assert width == pytest.approx(centre * 1000.0 / 299792.458, rel=1e-5)


def test_absorption_has_the_published_cross_sections():
    # Morrison & McCammon 1983: 2.42e-22 cm2 at 1 keV; edges of O at 0.532 and of Fe at 7.111 keV
    sigma = PhotoelectricAbsorption.cross_section
    assert sigma(1.0) == pytest.approx(2.422e-22, rel=1e-9)
    assert sigma(0.5321) > 1.5 * sigma(0.5319)
    assert sigma(7.112) > 1.1 * sigma(7.110)
    assert PhotoelectricAbsorption(nh=1e22 / u.cm**2)(1.0).value == pytest.approx(np.exp(-2.422))


def test_absorption_falls_from_edge_to_edge():
    edges = read_table("absorption")["energy_lo"].value
    energy = np.geomspace(0.03, 10, 4000)
    sigma = PhotoelectricAbsorption.cross_section(energy)
    rises = energy[1:][np.diff(sigma) > 0]
    assert all(np.min(np.abs(rise - edges) / rise) < 2e-3 for rise in rises)


METALS = dict.fromkeys(("O", "Ne", "Mg", "Si", "S", "Ar", "Ca", "Fe"), 0.0)


def test_thermal_continuum_is_bremsstrahlung():
    # Rybicki & Lightman 1979, eq. 5.14b, for hydrogen and helium, converted here with astropy's units
    kT, energy = 2.0, np.array([0.5, 1.0, 4.0])
    temperature = (kT * u.keV).to_value(u.K, u.temperature_energy())
    per_volume = 6.8e-38 * temperature**-0.5 * np.exp(-energy / kT) * (1 + 4 * 9.77e-2) * u.erg / (u.s * u.cm**3 * u.Hz)
    gaunt = np.sqrt(3) / np.pi * np.exp(energy / 2 / kT) * k0(energy / 2 / kT)
    emission = (per_volume * gaunt * u.Hz / (1 * u.Hz).to(u.keV, u.spectral())).to(u.keV / u.keV / u.s / u.cm**3)
    per_kev = 1e14 * emission.value / energy
    np.testing.assert_allclose(Thermal(kT=kT, **METALS)(energy), per_kev, rtol=2e-3)


def test_bremsstrahlung_falls_as_the_square_root_in_the_born_limit():
    # g -> sqrt(3) / sqrt(pi x) for x >> 1, so that E f(E) exp(x) goes as x**-0.5
    energy = np.array([40.0, 160.0])
    f = Thermal(kT=1.0, **METALS)(energy) * energy * np.exp(energy)
    assert f[1] / f[0] == pytest.approx(0.5, rel=5e-3)


@pytest.mark.parametrize(
    ("element", "energy", "kT"),
    [
        ("O", 0.654, 0.3),
        ("Ne", 1.022, 0.6),
        ("Mg", 1.343, 0.6),
        ("Si", 1.855, 1.0),
        ("S", 2.449, 1.5),
        ("Ar", 3.125, 2.0),
        ("Ca", 3.885, 2.5),
        ("Fe", 6.68, 4.0),
    ],
)
def test_an_abundance_scales_its_own_line(element, energy, kT):
    grid = np.linspace(0.97 * energy, 1.03 * energy, 4001)
    none = Thermal(kT=kT, **METALS)(grid)
    one, five = (Thermal(kT=kT, **{**METALS, element: a})(grid) for a in (1.0, 5.0))
    assert np.max(one / none) > 2
    assert grid[np.argmax(one)] == pytest.approx(energy, rel=1e-3)
    np.testing.assert_allclose(five - none, 5 * (one - none), rtol=1e-9, atol=1e-12 * none.max())


@pytest.mark.parametrize("row", range(0, 50, 7))
def test_a_line_has_its_tabulated_peak_at_its_temperature(row):
    line = read_table("lines")[row]
    abundances = [float(name == line["element"]) for name in METALS]
    at = {k: list(Thermal.lines(1.0, k * line["peak_kT"].value, abundances))[row][0] for k in (0.8, 1.0, 1.25)}
    assert at[1.0] == pytest.approx(1e14 * line["emissivity"].value, rel=1e-12)
    assert at[0.8] < at[1.0] > at[1.25]


def test_lagging_ionization_is_a_lower_line_temperature():
    grid = np.linspace(1.7, 2.1, 2001)
    lagging, cool = Thermal(kT=2.0, ionization=0.4), Thermal(kT=0.8)
    continuum = [Thermal.continuum(grid, 1.0, kT, *[1.0] * 8) for kT in (2.0, 0.8)]
    np.testing.assert_allclose(lagging(grid) - continuum[0], cool(grid) - continuum[1], rtol=1e-6, atol=1e-9)


def test_line_table_is_complete_and_ordered():
    table = read_table("lines")
    for element in METALS:
        rows = table[table["element"] == element]
        energies = {str(t): e for t, e in zip(rows["transition"], rows["energy"].value)}
        assert energies["He-alpha"] < energies["Ly-alpha"] < energies["Ly-beta"] < 9
        assert energies["He-alpha"] < energies["He-beta"]
    assert np.sum((table["element"] == "Fe") & (table["energy"].value < 2)) >= 6


def test_iron_lines_of_a_hot_cluster_have_the_known_equivalent_width():
    # At 4 keV and solar abundance (Anders & Grevesse) the 6.7 keV complex has about 0.9 keV (Rothenflug & Arnaud 1985).
    with_iron = quad(Thermal(kT=4.0), 6.4, 6.85, points=[6.68])[0]
    without = quad(Thermal(kT=4.0, Fe=0.0), 6.4, 6.85)[0]
    width = (with_iron - without) / without * 0.45
    assert 0.45 < width < 1.8
