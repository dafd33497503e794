import astropy.units as u
import numpy as np
import pytest
from astropy.constants import alpha as fine_structure
from astropy.constants import c, m_e
from scipy.integrate import trapezoid
from scipy.special import k0e

from astro_lpalm.data import read_table
from astro_lpalm.spectra import Thermal, _plasma, integrate

METALS = dict.fromkeys(("O", "Ne", "Mg", "Si", "S", "Ar", "Ca", "Fe"), 0.0)
CHARGE = dict(zip(METALS, (8, 10, 12, 14, 16, 18, 20, 26)))
SOLAR = [1.0] * 8


def born(energy, kT):
    """Photon / (cm2 s keV) of hydrogen and helium by Rybicki & Lightman 1979, eq. 5.14b, in the Born approximation."""
    temperature = (kT * u.keV).to_value(u.K, u.temperature_energy())
    gaunt = np.sqrt(3) / np.pi * k0e(energy / 2 / kT)
    erg = 6.8e-38 * (1 + 4 * 9.77e-2) * temperature**-0.5 * np.exp(-energy / kT) * gaunt
    emission = erg * u.erg / (u.s * u.cm**3 * u.Hz) * u.Hz / (1 * u.Hz).to(u.keV, u.spectral())
    return 1e14 * emission.to_value(1 / (u.s * u.cm**3)) / energy


def test_hot_bremsstrahlung_is_born():
    # the Born approximation is good where kT is far above the 54 eV that bind He II (Rybicki & Lightman, fig. 5.2)
    energy = np.array([0.5, 2.0, 10.0, 30.0])
    np.testing.assert_allclose(Thermal(kT=40.0, **METALS)(energy), born(energy, 40.0), rtol=0.04)


@pytest.mark.parametrize(("kT", "low", "high"), [(1.0, 1.2, 1.4), (4.0, 1.15, 1.3), (20.0, 1.1, 1.2)])
def test_all_bremsstrahlung_has_the_textbook_power(kT, low, high):
    # Rybicki & Lightman 1979, eq. 5.15b: 1.4e-27 T^1/2 n_e n_i Z^2 g, with g from 1.1 to 1.5 and 1.2 good to 20 %
    energy = np.geomspace(1e-3, 40, 20_001) * kT
    density = Thermal.continuum(energy, 1e-14, kT, *[0.0] * 8)
    power = trapezoid(energy * density, energy) * u.keV.to(u.erg)
    temperature = (kT * u.keV).to_value(u.K, u.temperature_energy())
    assert low < power / (1.4e-27 * np.sqrt(temperature) * (1 + 4 * 9.77e-2)) < high


@pytest.mark.parametrize(
    ("kT", "expected", "accuracy"),
    [
        # photon cm3 / (s keV) at 0.5, 1, 2, 4 and 7 keV: free-free, free-bound and two-photon continua of H, He and
        # the eight elements by ChiantiPy 0.16.1 with CHIANTI 10.1, abundances of Anders & Grevesse (1989)
        (0.3, [7.311e-15, 1.104e-15, 2.594e-17, 1.756e-20, 4.452e-25], 0.13),
        (0.6, [7.487e-15, 1.706e-15, 1.848e-16, 3.439e-18, 1.263e-20], 0.06),
        (1.0, [7.819e-15, 2.194e-15, 3.980e-16, 2.636e-17, 6.899e-19], 0.02),
        (2.0, [7.817e-15, 2.621e-15, 6.892e-16, 1.115e-16, 1.242e-17], 0.01),
        (4.0, [7.233e-15, 2.699e-15, 8.784e-16, 2.228e-16, 5.009e-17], 0.01),
        (8.0, [6.364e-15, 2.539e-15, 9.363e-16, 3.025e-16, 9.825e-17], 0.01),
    ],
)
def test_the_continuum_is_chiantis(kT, expected, accuracy):
    energy = np.array([0.5, 1.0, 2.0, 4.0, 7.0])
    np.testing.assert_allclose(Thermal.continuum(energy, 1e-14, kT, *SOLAR), expected, rtol=accuracy)


@pytest.mark.parametrize(
    ("kT", "band", "expected"),
    [
        # photon cm3 / s of all lines of the eight elements, by the same
        (0.25, (0.55, 0.72), 7.7271e-15),
        (0.6, (0.7, 1.2), 1.4768e-14),
        (1.2, (1.8, 2.05), 1.9937e-16),
        (1.2, (0.7, 1.2), 5.2630e-15),
        (3.0, (2.3, 2.7), 4.3579e-17),
        (5.0, (6.4, 7.1), 9.9562e-17),
    ],
)
def test_lines_are_chiantis(kT, band, expected):
    lines = Thermal.lines(1e-14, kT, SOLAR)
    assert sum(flux for flux, rest in lines if band[0] < rest < band[1]) == pytest.approx(expected, rel=0.03, abs=0)


@pytest.mark.parametrize(("log_T", "published"), [(7.0, -22.57), (7.3, -22.72), (7.7, -22.68), (8.0, -22.58)])
def test_all_light_together_is_the_published_cooling(log_T, published):
    # Sutherland & Dopita 1993, table 6, solar abundances of Anders & Grevesse (1989): erg cm3 / s per n_e n_t,
    # n_t = 1.099 n_H. Lines below 0.45 keV, and C, N and Ni, are missing here.
    kT = (10**log_T * u.K).to_value(u.keV, u.temperature_energy())
    energy = np.geomspace(1e-3, 40, 4001) * kT
    continuum = trapezoid(energy * Thermal.continuum(energy, 1e-14, kT, *SOLAR), energy)
    lines = sum(flux * rest for flux, rest in Thermal.lines(1e-14, kT, SOLAR))
    cooling = (continuum + lines) * u.keV.to(u.erg) / 1.099
    assert 0.8 < cooling / 10**published < 1.1


def dirac_lyman_alpha(charge):
    """Energy of the 2p levels above the ground state of a point nucleus, weighted by their statistical weights."""
    za = charge * fine_structure.value
    mass = (m_e * c**2).to_value(u.keV)

    def level(n, j):
        root = n - j - 0.5 + np.sqrt((j + 0.5) ** 2 - za**2)
        return mass / np.sqrt(1 + (za / root) ** 2)

    return (level(2, 0.5) + 2 * level(2, 1.5)) / 3 - level(1, 0.5)


def test_lyman_alpha_lies_where_dirac_has_it():
    table = read_table("lines")
    for element, charge in CHARGE.items():
        row = table[(table["element"] == element) & (table["transition"] == "Ly-alpha")]
        assert len(row) == 1
        assert row["energy"].value[0] == pytest.approx(dirac_lyman_alpha(charge), rel=1.2e-3)  # Lamb shift, and blends


def test_line_table_is_complete_and_ordered():
    table = read_table("lines")
    kT = np.array(table.meta["kT"])
    peaks = []
    for element in METALS:
        rows = table[table["element"] == element]
        peak = {str(r["transition"]): kT[np.argmax(np.array(r["emissivity"]))] for r in rows}
        energies = {str(r["transition"]): r["energy"].value for r in rows}
        assert energies["He-alpha"] < energies["Ly-alpha"] < energies["Ly-beta"] < 9
        assert energies["He-alpha"] < energies["He-beta"]
        assert peak["He-alpha"] < peak["Ly-alpha"]
        peaks.append([peak["He-alpha"], peak["Ly-alpha"]])
    assert np.all(np.diff(peaks, axis=0) >= 0)  # heavier ions live hotter
    assert np.sum((table["element"] == "Fe") & (table["energy"].value < 2)) >= 6


@pytest.mark.parametrize(
    ("element", "energy", "kT"),
    [
        ("O", 0.6536, 0.3),
        ("Ne", 1.0218, 0.6),
        ("Mg", 1.4723, 0.6),
        ("Si", 1.865, 1.0),
        ("S", 2.4606, 1.5),
        ("Ar", 3.1396, 2.0),
        ("Ca", 3.9022, 2.5),
        ("Fe", 6.7004, 4.0),
    ],
)
def test_an_abundance_scales_its_own_line(element, energy, kT):
    grid = np.linspace(0.99 * energy, 1.01 * energy, 4001)
    none = Thermal(kT=kT, **METALS)(grid)
    one, five = (Thermal(kT=kT, **{**METALS, element: a})(grid) for a in (1.0, 5.0))
    assert np.max(one / none) > 2
    assert grid[np.argmax(one)] == pytest.approx(energy, rel=6e-3)  # the strongest line; its row is a blend
    np.testing.assert_allclose(five - none, 5 * (one - none), rtol=1e-9, atol=1e-12 * none.max())


@pytest.mark.parametrize("row", range(0, 150, 21))
def test_a_line_has_its_tabulated_emissivities(row):
    table = read_table("lines")
    abundances = [float(name == table["element"][row]) for name in METALS]
    kT = np.array(table.meta["kT"])
    fluxes = np.array([list(Thermal.lines(1e-14, k, abundances))[row][0] for k in kT[4:28]])
    np.testing.assert_allclose(fluxes, np.array(table["emissivity"])[row][4:28], rtol=1e-5)
    between = [list(Thermal.lines(1e-14, k, abundances))[row][0] for k in np.sqrt(kT[4:27] * kT[5:28])]
    assert np.all((between - fluxes[:-1]) * (between - fluxes[1:]) <= 1e-12 * fluxes.max() ** 2)  # no overshoot


def test_beyond_the_table_a_line_goes_on_as_a_power_law():
    kT = np.array([100.0, 200.0, 400.0])
    strongest = max(Thermal.lines(1.0, kT, SOLAR), key=lambda line: line[0][0])[0]
    assert strongest[1] ** 2 == pytest.approx(strongest[0] * strongest[2], rel=1e-9, abs=0)


def test_lagging_ionization_is_a_lower_temperature_of_the_ions():
    grid = np.linspace(1.7, 2.1, 2001)
    lagging, cool = Thermal(kT=2.0, ionization=0.4), Thermal(kT=0.8)
    continuum = [Thermal.continuum(grid, 1.0, kT, *SOLAR, ionization=i) for kT, i in ((2.0, 0.4), (0.8, 1.0))]
    np.testing.assert_allclose(lagging(grid) - continuum[0], cool(grid) - continuum[1], rtol=1e-6, atol=1e-9)


def test_a_recombining_plasma_shows_edges():
    # fully stripped silicon recombines to the ground state above 2.673 keV
    pair = np.array([2.66, 2.69])
    below, above = Thermal.continuum(pair, 1.0, 0.4, *SOLAR, ionization=3.0)
    assert above > 1.5 * below
    below, above = Thermal.continuum(pair, 1.0, 0.4, *SOLAR)
    assert above < 1.1 * below


def test_free_bound_emission_above_an_edge_falls_as_kramers_has_it():
    kT, energy = 0.3, np.array([2.7, 3.2])
    oxygen = Thermal.continuum(energy, 1.0, kT, 1.0, *[0.0] * 7) - Thermal.continuum(energy, 1.0, kT, *[0.0] * 8)
    bound_free = oxygen * energy * np.exp(energy / kT)
    assert bound_free[1] == pytest.approx(bound_free[0], rel=0.02)  # the rest is oxygen's bremsstrahlung


def test_two_photons_share_the_energy_of_the_level():
    # 202 / s is the constant of Nussbaumer & Schmutz (1984); two photons at 8.229 decays / s (Drake 1986) for hydrogen
    assert 202 * _plasma._TWO_PHOTON_NORM == pytest.approx(2 * 8.229, rel=2e-3)
    y = np.linspace(-0.1, 1.1, 24_001)
    shape = _plasma.two_photon_shape(y)
    assert trapezoid(shape, y) == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(shape, shape[::-1], rtol=1e-9, atol=1e-9)
    assert shape[(y < 0) | (y > 1)].max() == 0
    table = read_table("continuum")
    row = table[(table["element"] == "O") & (table["transition"] == "two-photon")]
    assert list(row["ion"]) == ["VII", "VIII"]
    np.testing.assert_allclose(row["energy"].value, [0.5687, 0.6535], atol=5e-4)  # 1s2s 1S0, and 2s as Lyman alpha


def test_iron_lines_of_a_hot_cluster_have_the_known_equivalent_width():
    # clusters of 6 to 8 keV with 0.3 solar iron show 6.7 keV complexes of roughly 0.3 keV (Sarazin 1986, RMP 58, 1)
    model = Thermal(kT=7.0, **dict.fromkeys(METALS, 0.3))
    energy = np.linspace(6.3, 7.1, 801)
    continuum = Thermal.continuum(energy, 1.0, 7.0, *[0.3] * 8)
    lines = integrate(model, [6.3, 7.1])[0].value - trapezoid(continuum, energy)
    assert 0.2 < lines / np.interp(6.7, energy, continuum) < 0.45


def test_a_chunk_of_draws_is_a_spectrum_each():
    rng = np.random.default_rng(0)
    columns = [rng.uniform(0.5, 2.0, (500, 1)) for _ in range(11)]
    flux = Thermal.integral(np.linspace(0.3, 8.0, 701), *columns, 0.0, 500.0)
    assert flux.shape == (500, 700)
    assert np.all(flux > 0)
