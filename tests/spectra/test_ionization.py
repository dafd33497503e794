"""Fractions of ions against CHIANTI's rates themselves, against matrix exponentials of the table's, and in limits."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from scipy.integrate import quad_vec
from scipy.linalg import expm

from astro_lpalm.data import read_table
from astro_lpalm.spectra import ion_fractions
from astro_lpalm.spectra.ionization import fractions

CHARGE = {"H": 1, "He": 2, "C": 6, "N": 7, "O": 8, "Ne": 10, "Mg": 12, "Si": 14, "S": 16, "Ar": 18, "Ca": 20}
CHARGE |= {"Fe": 26, "Ni": 28}
ELEMENTS = tuple(CHARGE)
ION_RATES = read_table("ionization")
KT = np.array(ION_RATES.meta["kT"])

# By charge, singly ionized at the start: matrix exponentials of the rates that ChiantiPy 0.16.1 computes from CHIANTI
# 10.1 at these temperatures, not of those of the table.
EXPECTED = {
    ("He", 0.3, 1e9): {1: 0.0229, 2: 0.9771},
    ("C", 0.3, 1e9): {3: 0.0999, 4: 0.8411, 5: 0.0583},
    ("C", 0.3, 1e11): {4: 0.0019, 5: 0.0936, 6: 0.9046},
    ("C", 10.0, 1e10): {4: 0.0187, 5: 0.2931, 6: 0.6882},
    ("N", 0.3, 1e9): {3: 0.0280, 4: 0.4105, 5: 0.5530},
    ("N", 0.3, 1e11): {5: 0.0567, 6: 0.5054, 7: 0.4378},
    ("N", 10.0, 1e10): {5: 0.0953, 6: 0.4842, 7: 0.4205},
    ("Ar", 0.3, 1e10): {9: 0.2874, 10: 0.4206, 11: 0.1983},
    ("Ar", 10.0, 1e11): {16: 0.5316, 17: 0.3867, 18: 0.0670},
    ("Ni", 0.3, 1e9): {8: 0.1828, 9: 0.4247, 10: 0.2984},
    ("Ni", 0.3, 1e11): {16: 0.2274, 17: 0.2756, 18: 0.3127},
    ("Ni", 10.0, 1e9): {8: 0.1621, 9: 0.3455, 10: 0.2854},
    ("Ni", 10.0, 1e11): {23: 0.1664, 24: 0.3504, 25: 0.3236},
}


def matrices(element):
    """Matrices of the rates at the table's own temperatures, shape (kT, Z + 1, Z + 1)."""
    rows = ION_RATES[ION_RATES["element"] == element]
    n, charge = CHARGE[element], np.arange(CHARGE[element])
    np.testing.assert_array_equal(rows["charge"], charge)
    matrix = np.zeros((KT.size, n + 1, n + 1))
    threshold = rows["threshold"].to_value(u.keV)
    matrix[:, charge + 1, charge] = np.array(rows["ionization"].value, float).T * np.exp(-threshold / KT[:, None])
    matrix[:, charge, charge + 1] = np.array(rows["recombination"].value, float).T
    return matrix - np.eye(n + 1) * matrix.sum(axis=1)[:, None]


def draws(n, seed=0):
    rng = np.random.default_rng(seed)
    return 10 ** rng.uniform(-2, 2, n), 10 ** rng.uniform(8, 14, n), 10 ** rng.uniform(-2, 2, n)


def test_fractions_are_those_of_matrix_exponentials_made_elsewhere(shared_data):
    oracle = Table.read(shared_data / "oracles" / "nei_ion_fractions.ecsv")
    for row in oracle:
        fraction = ion_fractions(row["element"], row["kT"], row["tau"])[row["charge"]]
        assert fraction == pytest.approx(row["fraction"], abs=1e-3), dict(row)


@pytest.mark.parametrize(("element", "kT", "tau"), EXPECTED)
def test_fractions_are_those_of_chiantis_rates_between_the_tables_temperatures(element, kT, tau):
    result = ion_fractions(element, kT * u.keV, tau * u.s / u.cm**3)
    for charge, fraction in EXPECTED[element, kT, tau].items():
        assert result[charge] == pytest.approx(fraction, abs=1e-3)


@pytest.mark.parametrize(("log_T", "element", "theirs"), [
    (7.0, "Fe", {16: 0.0658, 17: 0.1589, 18: 0.2320, 19: 0.2262, 20: 0.1747, 21: 0.0862}),
    (6.5, "Ni", {15: 0.1478, 16: 0.2302, 17: 0.2412, 18: 0.2710}),
    (5.5, "O", {4: 0.2404, 5: 0.2295, 6: 0.5039}),
    (7.0, "Si", {12: 0.5485, 13: 0.3555, 14: 0.0835}),
])  # fmt: skip
def test_equilibrium_is_that_of_the_file_that_chianti_comes_with(log_T, element, theirs):
    # chianti.ioneq of 10.1; ChiantiPy has other cross-sections of H- and He-like ions than that
    result = ion_fractions(element, (10**log_T * u.K).to(u.keV, u.temperature_energy()))
    for charge, fraction in theirs.items():
        assert result[charge] == pytest.approx(fraction, abs=0.015)


@pytest.mark.parametrize("element", ELEMENTS)
def test_fractions_are_matrix_exponentials_from_any_start(element):
    kT = KT[::10]
    matrix = matrices(element)[::10]
    comes_from = kT[::-1]
    equilibrium = ion_fractions(element, comes_from)
    for tau in 10.0 ** np.arange(8, 15):
        exact = expm(np.pad(matrix * tau, ((0, 0), (0, 1), (0, 1))))[:, :-1, :-1]  # 2 x 2 overflow in older scipy
        np.testing.assert_allclose(ion_fractions(element, kT, tau), exact[..., 1], atol=1e-5)
        started = np.einsum("kij,kj->ki", exact, equilibrium)
        np.testing.assert_allclose(ion_fractions(element, kT, tau, initial_kT=comes_from), started, atol=1e-5)


@pytest.mark.parametrize("element", ELEMENTS)
def test_in_equilibrium_nothing_changes(element):
    equilibrium = ion_fractions(element, KT)
    matrix = matrices(element)
    change = np.einsum("kij,kj->ki", matrix, equilibrium)
    turnover = np.einsum("kij,kj->ki", np.abs(matrix), equilibrium).max(axis=1)
    assert np.abs(change / turnover[:, None]).max() < 1e-10
    np.testing.assert_allclose(ion_fractions(element, KT, 1e16, initial_kT=1.0), equilibrium, atol=1e-5)
    np.testing.assert_array_equal(ion_fractions(element, KT, np.inf, initial_kT=1.0, average=True), equilibrium)
    np.testing.assert_allclose(ion_fractions(element, KT, 1e10, initial_kT=KT), equilibrium, atol=1e-5)


def test_hydrogen_is_an_exponential():
    tau, hot, cold = np.geomspace(1e8, 1e15, 15), 1.0, 0.01
    cold_bare, hot_bare = ion_fractions("H", [cold, hot])[:, 1]
    ionization, recombination = matrices("H")[0][1, 0], matrices("H")[0][0, 1]
    decay = (ionization + recombination) * tau
    bare = cold_bare + (hot_bare - cold_bare) * np.exp(-decay)
    np.testing.assert_allclose(ion_fractions("H", cold, tau, initial_kT=hot)[:, 1], bare, atol=1e-6)
    bare = cold_bare - (hot_bare - cold_bare) * np.expm1(-decay) / decay
    np.testing.assert_allclose(ion_fractions("H", cold, tau, initial_kT=hot, average=True)[:, 1], bare, atol=1e-6)


@pytest.mark.parametrize(("element", "initial_kT"), [("O", None), ("Si", 5.0), ("Fe", None), ("Ni", 10.0)])
def test_a_plane_shock_is_the_mean_over_its_plasma(element, initial_kT):
    kT = np.array([0.2, 0.7, 4.0])
    for end in (3e9, 1e11, 1e13):
        points = end * 10.0 ** np.arange(-6, 0)  # early stages last short
        mean, _ = quad_vec(
            lambda tau: ion_fractions(element, kT, tau, initial_kT=initial_kT), 0, end, epsrel=1e-6, points=points
        )
        average = ion_fractions(element, kT, end, initial_kT=initial_kT, average=True)
        np.testing.assert_allclose(average, mean / end, atol=1e-5)


@pytest.mark.parametrize("average", [False, True])
def test_fractions_are_never_negative_and_add_up_to_one(average):
    kT, tau, initial_kT = draws(2000)
    tau[:20] = 0.0, 1e3, 1e5, 1e19, 1e30, *[np.inf] * 15
    for element in ELEMENTS:
        for start in (None, initial_kT):
            result = fractions(element, kT, tau, start, average)
            assert result.shape == (kT.size, CHARGE[element] + 1)
            assert result.min() >= 0
            np.testing.assert_allclose(result.sum(axis=1), 1.0, atol=1e-12)


def test_elements_together_are_as_apart():
    kT, tau, initial_kT = draws(100)
    tau[::7] = np.inf
    for start in (None, initial_kT):
        apart = [fractions(element, kT, tau, start) for element in ELEMENTS]
        np.testing.assert_allclose(fractions(ELEMENTS, kT, tau, start), np.hstack(apart), atol=1e-10)


def test_slopes_against_temperature_and_time_do_not_jump_where_the_table_has_a_row():
    step = 1e-4
    for element in ("O", "Fe"):
        for knot in KT[20:70:7]:
            around = ion_fractions(element, knot * np.exp(step * np.arange(-2, 3)), 3e10)
            slopes = np.diff(around, axis=0) / step
            assert np.abs(np.diff(slopes, axis=0)).max() < 100 * step


def test_shapes_broadcast_and_plain_numbers_are_kev_and_s_per_cm3():
    kT, tau = np.array([[0.5], [2.0], [8.0]]), np.array([1e9, 1e10, 1e11, 1e12])
    result = ion_fractions("S", kT, tau, initial_kT=0.1)
    assert result.shape == (3, 4, 17)
    one = ion_fractions("S", 2000 * u.eV, 1e17 * u.s / u.m**3, initial_kT=100 * u.eV)
    np.testing.assert_allclose(result[1, 2], one, atol=1e-12)
    assert one.shape == (17,)
    np.testing.assert_array_equal(ion_fractions("S", 2.0, 0.0)[:3], [0, 1, 0])


@pytest.mark.parametrize(("given", "message"), [
    ({"element": "Na"}, r"no rates of the element 'Na'; choose one of H, He, C, N, O, .*Ni\."),
    ({"element": 26}, "no rates of the element 26; choose"),
    ({"kT": 0.005}, r"kT is 0.005 keV; it must lie in 0.01 to 100 keV\."),
    ({"kT": [1.0, np.nan]}, "kT is nan keV"),
    ({"kT": 200 * u.keV}, "kT is 200 keV; it must lie in 0.01 to 100 keV"),
    ({"initial_kT": 5e3 * u.eV, "kT": -1.0}, "kT is -1 keV"),
    ({"initial_kT": 0.0}, r"initial_kT is 0 keV; it must lie in 0.01 to 100 keV\."),
    ({"tau": -1e10}, r"tau is -1e\+10 s / cm3; it must be 0 s / cm3 or more\."),
    ({"tau": np.nan}, "tau is nan"),
    ({"kT": [1.0, 2.0], "tau": [1e9, 1e10, 1e11]}, r"do not broadcast: kT \(2,\), tau \(3,\); give"),
])  # fmt: skip
def test_what_has_no_meaning_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        ion_fractions(**{"element": "Fe", "kT": 1.0, "tau": 1e10} | given)


@pytest.mark.parametrize(("given", "message"), [
    ({"kT": 1e7 * u.K}, r"kT: 'K' .* are not convertible; give it in keV"),
    ({"tau": 1e10 * u.s}, r"tau: 's' .*; give it in s / cm3"),
    ({"tau": [1e10 * u.s]}, r"tau: 's' .*; give it in s / cm3"),
])  # fmt: skip
def test_units_of_something_else_are_refused(given, message):
    with pytest.raises(u.UnitConversionError, match=message):
        ion_fractions(**{"element": "Fe", "kT": 1.0, "tau": 1e10} | given)


def test_the_table_says_where_it_comes_from_and_has_no_gap():
    assert list(dict.fromkeys(ION_RATES["element"])) == list(CHARGE)
    assert ION_RATES["ionization"].unit == ION_RATES["recombination"].unit == "cm3 / s"
    for name in ("ionization", "recombination"):
        values = np.array(ION_RATES[name].value, float)
        assert values.shape == (len(ION_RATES), KT.size)
        assert values.min() > 0
        # a step of the table is 12 % in kT
        assert np.abs(np.diff(np.log(values), axis=1)).max() < 0.7
    assert "CHIANTI 10.1" in ION_RATES.meta["source"]
    assert "cited" in ION_RATES.meta["license"]
