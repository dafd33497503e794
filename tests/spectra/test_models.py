import copy

import astropy.units as u
import numpy as np
import pytest
from astropy.modeling.fitting import TRFLSQFitter
from astropy.modeling.models import RedshiftScaleFactor
from scipy.special import exp1, expn, gamma, gammaincc

from astro_lpalm.data import read_table
from astro_lpalm.spectra import (
    NEI,
    EmissionLine,
    PhotoelectricAbsorption,
    PlaneShock,
    Synchrotron,
    SynchrotronRolloff,
    TBAbs,
    Thermal,
    doppler_factor,
    photon_flux_density,
    solar_abundances,
)

MODELS = [
    Synchrotron(cutoff=20.0),
    SynchrotronRolloff(rolloff=0.4),
    Thermal(kT=1.3, Si=3.0),
    NEI(kT=1.3, tau=1e11, Si=3.0),
    PlaneShock(kT=1.3, tau_u=1e11, Si=3.0),
    EmissionLine(energy=2.0),
    PhotoelectricAbsorption(nh=0.7),
    TBAbs(nh=0.7),
]
SPECTRA = MODELS[:6]
EDGES = np.geomspace(0.5, 8.0, 1001)


def name_of(model):
    return type(model).__name__


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_floats_are_kev_and_quantities_agree(model):
    energy = np.array([[0.7, 1.9], [2.0, 6.4]])
    plain = model(energy)
    assert type(plain) is np.ndarray
    assert plain.shape == (2, 2)
    with_units = model(energy * 1000 * u.eV)
    assert with_units.unit.is_equivalent(model.output_unit)
    np.testing.assert_allclose(with_units.to_value(model.output_unit), plain, rtol=1e-10, atol=1e-100)
    assert np.isscalar(float(model(2.0)))


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_parameters_may_have_any_unit_of_their_kind(model):
    scaled = {"keV": u.eV, "km / s": u.m / u.s}
    parameters = {}
    for name, value in zip(model.param_names, model.plain_parameters):
        unit = model.parameter_units.get(name)
        other = scaled.get(str(unit), unit)
        parameters[name] = float(np.squeeze(value)) if unit is None else (np.squeeze(value) * unit).to(other)
    other = type(model)(**parameters)
    np.testing.assert_allclose(u.Quantity(other(1.9)).to_value(model.output_unit), model(1.9), rtol=1e-12)


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_draws_at_once_are_each_draw_alone(model):
    rng = np.random.default_rng(0)
    values = np.array([float(np.squeeze(value)) for value in model.plain_parameters])
    draws = values * rng.uniform(0.7, 1.3, (3, len(values)))
    columns = [draws[:, k : k + 1] for k in range(len(values))]
    for function, x in ((type(model).integral, EDGES), (type(model).density, EDGES[1:])):
        together = function(x, *columns)
        assert together.shape == (3, 1000)
        for row, draw in zip(together, draws):
            # lines end at 6 standard deviations of the widest
            np.testing.assert_allclose(row, function(x, *draw), rtol=1e-10, atol=1e-8 * row.max())


@pytest.mark.parametrize(("model", "drawn"), [(model, k) for model, n in ((Thermal, 13), (NEI, 17)) for k in range(n)])
def test_one_drawn_parameter_is_enough(model, drawn):
    values = [float(np.squeeze(value)) for value in model().plain_parameters]
    several = [np.array([[value], [value]]) if k == drawn else value for k, value in enumerate(values)]
    alone, both = model.integral(EDGES, *values), model.integral(EDGES, *several)
    assert both.shape == (2, 1000)
    np.testing.assert_allclose(both, [alone, alone], rtol=1e-12)


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_integrals_are_those_of_the_density(model):
    if "sigma" in model.param_names:
        model = copy.copy(model)
        model.sigma = 3000.0  # km/s, wide enough for a sum over a fine grid
    fine = np.union1d(np.linspace(1.5, 3.0, 30_001), [*PhotoelectricAbsorption.jumps(), *TBAbs.jumps()])
    fine = fine[(fine >= 1.5) & (fine <= 3.0)]
    total = np.sum(model(0.5 * (fine[1:] + fine[:-1])) * np.diff(fine))
    integral = type(model).integral(np.linspace(1.5, 3.0, 301), *model.plain_parameters).sum()
    assert integral == pytest.approx(total, rel=2e-6)


def test_a_parameter_of_the_wrong_kind_is_refused():
    with pytest.raises(u.UnitsError):
        Synchrotron(cutoff=3 * u.s)(1.0)


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        (Thermal, {"kT": 0.0}, "Thermal: parameter 'kT' is 0; it must lie in 0.06 to 80 keV"),
        (Thermal, {"kT": 200 * u.keV}, "parameter 'kT' is 200; it must lie in 0.06 to 80 keV"),
        (Thermal, {"kT": 10 * u.eV}, "parameter 'kT' is 0.01; it must lie in 0.06 to 80 keV"),
        (Thermal, {"Fe": -0.1}, "parameter 'Fe' is -0.1; it must be 0 or more[.]"),
        (Thermal, {"ionization": 0.0}, "parameter 'ionization' is 0; it must lie in 0.05 to 20"),
        (PhotoelectricAbsorption, {"nh": -1.0}, r"parameter 'nh' is -1; it must be 0 or more 1e\+22 / cm2"),
        (EmissionLine, {"sigma": -5.0}, "EmissionLine: parameter 'sigma' is -5; it must lie in 0 to 290000 km / s"),
        (EmissionLine, {"velocity": 4e5}, "parameter 'velocity' is 400000; it must lie in -290000 to 290000 km / s"),
        (EmissionLine, {"energy": 0.0}, "parameter 'energy' is 0; it must be 0.001 or more keV"),
        (Synchrotron, {"amplitude": np.nan}, "parameter 'amplitude' is nan; it must be 0 or more ph"),
        (Synchrotron, {"photon_index": np.nan}, "parameter 'photon_index' is nan; it must be a number"),
        (Synchrotron, {"cutoff": [1.0, -2.0], "amplitude": [1, 1], "photon_index": [1, 1]}, "'cutoff' is -2; it must"),
        (Thermal, {"Fe": np.inf}, "parameter 'Fe' is inf; it must be 0 or more, and finite"),
        (Synchrotron, {"photon_index": -np.inf}, "parameter 'photon_index' is -inf; it must be a number, and finite"),
        (SynchrotronRolloff, {"rolloff": 0.0}, "parameter 'rolloff' is 0; it must be 0.001 or more keV"),
    ],
)
def test_parameters_without_a_meaning_are_refused(model, values, message):
    with pytest.raises(ValueError, match=message):
        model(**values)


def test_models_compose_with_and_without_units():
    model = PhotoelectricAbsorption(nh=1.2) * (Synchrotron() + EmissionLine(energy=2.0))
    expected = np.exp(-1.2e22 * PhotoelectricAbsorption.cross_section(2.0)) * (
        Synchrotron()(2.0) + EmissionLine(energy=2.0)(2.0)
    )
    assert model(2.0) == pytest.approx(expected, rel=1e-12)
    assert model(2.0 * u.keV).to_value(photon_flux_density) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("model", SPECTRA, ids=name_of)
def test_a_difference_takes_away_what_a_sum_adds(model):
    energy = np.array([0.8, 2.0, 6.0]) * u.keV
    both = model + SynchrotronRolloff() - SynchrotronRolloff()
    np.testing.assert_allclose(both(energy), model(energy), rtol=1e-9, atol=1e-12 * photon_flux_density)


@pytest.mark.parametrize("model", SPECTRA, ids=name_of)
@pytest.mark.parametrize("unit", [1, u.keV])
def test_redshift_is_astropys(model, unit):
    energy = np.array([0.8, 1.0, 1.3]) * unit
    seen = RedshiftScaleFactor(1.0) | model
    np.testing.assert_allclose(seen(energy), model(2 * energy), rtol=1e-12)
    both = PhotoelectricAbsorption(nh=0.3) * seen
    np.testing.assert_allclose(both(energy), PhotoelectricAbsorption(nh=0.3)(energy) * model(2 * energy), rtol=1e-12)


@pytest.mark.parametrize(
    ("truth", "start"),
    [
        (Synchrotron(3.0, 2.2), Synchrotron(1.0, 1.0)),
        (SynchrotronRolloff(3.0, 1.6, 0.8), SynchrotronRolloff(1.0, 1.9, 2.0)),
        (EmissionLine(2.0, 3.0, 1000.0, 4000.0), EmissionLine(1.0, 3.0, 0.0, 6000.0, fixed={"energy": True})),
        (Thermal(2.0, 0.7, Si=2.0), Thermal(1.0, 1.0, Si=1.0)),
        (PhotoelectricAbsorption(0.8) * Synchrotron(3.0, 2.2), PhotoelectricAbsorption(0.2) * Synchrotron()),
        (RedshiftScaleFactor(0.1) | Thermal(2.0, 1.5), RedshiftScaleFactor(0.1, fixed={"z": True}) | Thermal(1.0, 2.0)),
    ],
    ids=["power law", "roll-off", "line", "thermal", "absorbed", "redshifted"],
)
def test_models_can_be_fitted(truth, start):
    energy = np.linspace(1, 8, 120)
    free = [name for name in start.param_names if not start.fixed[name]]
    if "O" in free or "O_1" in free:  # without lines in the range, or too many for points so far apart
        keep = {"amplitude", "kT", "Si", "amplitude_1", "kT_1"}
        for name in free:
            start.fixed[name] = name not in keep
        free = [name for name in free if name in keep]
    fitted = TRFLSQFitter()(start, energy, truth(energy), weights=1 / (truth(energy) + 1e-6))
    for name in free:
        assert getattr(fitted, name).value == pytest.approx(getattr(truth, name).value, rel=1e-4), name


def test_models_can_be_fitted_with_units():
    energy = np.linspace(1000, 8000, 60) * u.eV
    truth = Synchrotron(amplitude=3.0 * photon_flux_density, photon_index=2.2, cutoff=np.inf * u.keV)
    start = Synchrotron(amplitude=1.0 * photon_flux_density, photon_index=1.0, cutoff=np.inf * u.keV)
    fitted = TRFLSQFitter()(start, energy, truth(energy))
    assert fitted.amplitude.quantity.to_value(photon_flux_density) == pytest.approx(3.0, rel=1e-5)
    assert fitted.photon_index.value == pytest.approx(2.2, rel=1e-5)


def upper_gamma(a, x):
    """Upper incomplete gamma function, by the exponential integrals where ``a`` is not positive."""
    return gamma(a) * gammaincc(a, x) if a > 0 else x**a * expn(round(1 - a), x)


@pytest.mark.parametrize("index", [0.3, 1.0, 2.0, 3.0])
def test_a_cut_off_power_law_is_an_incomplete_gamma_function(index):
    cutoff = 3.0
    x = EDGES[[0, -1]] / cutoff
    expected = cutoff ** (1 - index) * (upper_gamma(1 - index, x[0]) - upper_gamma(1 - index, x[1]))
    assert Synchrotron.integral(EDGES, 2.0, index, cutoff).sum() == pytest.approx(2 * expected, rel=1e-7)


@pytest.mark.parametrize("index", [0.3, 1.0, 1.5, 2.0, 2.5])
def test_a_rolled_off_power_law_is_an_incomplete_gamma_function(index):
    # with t = sqrt(E / rolloff) the integral is that of 2 rolloff^(1 - index) t^(1 - 2 index) exp(-t)
    rolloff = 0.6
    t = np.sqrt(EDGES[[0, -1]] / rolloff)
    expected = 2 * rolloff ** (1 - index) * (upper_gamma(2 - 2 * index, t[0]) - upper_gamma(2 - 2 * index, t[1]))
    assert SynchrotronRolloff.integral(EDGES, 1.5, index, rolloff).sum() == pytest.approx(1.5 * expected, rel=1e-7)


def test_the_incomplete_gamma_function_of_the_tests():
    assert upper_gamma(0, 0.7) == pytest.approx(exp1(0.7))
    assert upper_gamma(1.4, 0.7) == pytest.approx(0.4 * upper_gamma(0.4, 0.7) + 0.7**0.4 * np.exp(-0.7))
    assert -upper_gamma(-1, 0.7) == pytest.approx(upper_gamma(0, 0.7) - np.exp(-0.7) / 0.7)


def test_the_roll_off_adds_half_its_root_to_the_photon_index():
    for energy, rolloff in ((1.0, 4.0), (4.0, 0.5)):
        model = SynchrotronRolloff(photon_index=1.6, rolloff=rolloff)
        pair = energy * np.exp([-1e-4, 1e-4])
        slope = -np.diff(np.log(model(pair)))[0] / 2e-4
        assert slope == pytest.approx(1.6 + 0.5 * np.sqrt(energy / rolloff), rel=1e-6)


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


@pytest.mark.parametrize("model", [PhotoelectricAbsorption, TBAbs], ids=lambda model: model.__name__)
def test_absorption_falls_from_edge_to_edge(model):
    edges = model.jumps()
    energy = np.geomspace(0.03, 10, 4000)
    sigma = model.cross_section(energy)
    rises = energy[1:][np.diff(sigma) > 0]
    assert all(np.min(np.abs(rise - edges) / rise) < 2e-3 for rise in rises)


# 1e-22 cm2 per H atom with the abundances of Wilms et al. (2000), from the table of XSPEC's tbabs that astromodels has
TBABS = {
    0.15: 195.9, 0.25: 44.0, 0.35: 17.32, 0.5: 6.296, 0.65: 4.446, 0.8: 2.774, 1.0: 1.738, 1.4: 0.7351, 1.7: 0.4301,
    2.2: 0.2232, 3.0: 0.09956, 5.0: 0.0239, 6.9: 0.009376, 8.0: 0.0128, 10.0: 0.007078, 15.0: 0.00224,
}  # fmt: skip


@pytest.mark.parametrize(("energy", "published"), TBABS.items())
def test_tbabs_has_the_cross_sections_of_xspec(energy, published):
    assert 1e22 * TBAbs.cross_section(energy) == pytest.approx(published, rel=3e-3)


def test_less_is_absorbed_by_a_column_of_interstellar_abundances_than_of_solar_ones():
    energy = np.array([0.6, 1.0, 2.0, 5.0])
    ratio = PhotoelectricAbsorption.cross_section(energy) / TBAbs.cross_section(energy)
    assert np.all((ratio > 1.3) & (ratio < 1.5))


def test_iron_absorbs_by_its_abundance():
    # the jump at the K edge of iron: 407.6 - 53.2 cm2/g (Hubbell & Seltzer 1995, NISTIR 5632), 3.29e-20 cm2 an atom
    jump = TBAbs.cross_section(7.1241) - TBAbs.cross_section(7.1239)
    assert jump == pytest.approx(solar_abundances("wilms")["Fe"] * 3.29e-20, rel=0.05)


@pytest.mark.parametrize(
    ("name", "logarithms"),
    [
        # log10 of the number to 1e12 of H: Anders & Grevesse (1989), table 2; Lodders (2003), table 1
        (
            "anders_grevesse",
            {"He": 10.99, "C": 8.56, "O": 8.93, "Ne": 8.09, "Si": 7.55, "S": 7.21, "Fe": 7.67, "Ni": 6.25},
        ),
        ("wilms", {"He": 10.99, "C": 8.38, "O": 8.69, "Ne": 7.94, "Si": 7.27, "S": 7.09, "Fe": 7.43, "Ni": 6.05}),
        ("lodders", {"He": 10.899, "C": 8.39, "O": 8.69, "Ne": 7.87, "Si": 7.54, "S": 7.19, "Fe": 7.47, "Ni": 6.22}),
    ],
)
def test_abundances_are_the_published_ones(name, logarithms):
    found = solar_abundances(name)
    assert found["H"] == 1
    assert len(found) == 20
    for element, logarithm in logarithms.items():
        assert 12 + np.log10(found[element]) == pytest.approx(logarithm, abs=6e-3)


def test_the_plasma_has_the_abundances_of_anders_and_grevesse():
    solar = read_table("lines").meta["solar"]
    assert {element: solar_abundances()[element] for element in solar} == solar


def test_an_unknown_list_of_abundances():
    with pytest.raises(ValueError, match="no list of abundances 'aspl'; choose from anders_grevesse, wilms, lodders"):
        solar_abundances("aspl")


@pytest.mark.parametrize("unit", ["ph / (cm2 s eV)", "ph / (m2 s keV)"])
def test_data_of_another_unit_are_not_fitted_as_they_are(unit):
    x = np.linspace(0.6, 7, 50) * u.keV
    y = Synchrotron(amplitude=1e-3, photon_index=2.0)(x).to(unit)
    with pytest.raises(u.UnitsError, match=r"the data are in .*; fit Synchrotron to data in ph / \(keV s cm2\)"):
        TRFLSQFitter()(Synchrotron(amplitude=2e-3, photon_index=1.8), x, y)
