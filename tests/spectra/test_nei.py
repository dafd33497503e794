import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm.data import read_table
from astro_lpalm.spectra import (
    NEI,
    ParametricSpectra,
    PlaneShock,
    SpectralLibrary,
    Thermal,
    integrate,
    ion_fractions,
    read_spectra_settings,
    solar_abundances,
)
from astro_lpalm.spectra._ions import continuum_table, line_table
from astro_lpalm.spectra.base import quadrature_with_jumps
from astro_lpalm.spectra.line import add_lines, line_as_seen
from astro_lpalm.spectra.plasma import METALS

EDGES = np.linspace(0.5, 8.0, 751)
RICH = {"Si": 4.0, "S": 4.0, "Fe": 0.5}


@pytest.mark.parametrize("kT", [0.4, 1.0, 4.0, 10.0])
def test_old_plasma_is_in_equilibrium(kT):
    found = integrate(NEI(kT=kT, tau=1e14, **RICH), EDGES).value
    columns = [np.array([RICH.get(name, 1.0)]) for name in METALS]
    ions = NEI.ions(np.array([kT]), columns, [np.array([np.inf]), np.array([0.0])])
    expected = quadrature_with_jumps(ions.continuum, EDGES, continuum_table().energies)
    add_lines(expected, EDGES, ions.lines(), *line_as_seen(line_table().energies, 0.0, 100.0))
    bright = expected[0] > 1e-3 * expected.max()
    np.testing.assert_allclose(found[bright], expected[0, bright], rtol=0.005)


@pytest.mark.parametrize(("kT", "most"), [(1.0, 0.25), (4.0, 0.15)])
def test_old_plasma_is_nearly_that_of_the_equilibrium_tables(kT, most):
    bins = np.array([0.8, 1.7, 1.95, 2.1, 3.0, 5.0, 7.0])
    none = {"C": 0.0, "N": 0.0, "Ni": 0.0}
    found = integrate(NEI(kT=kT, tau=1e14, **none), bins) / integrate(Thermal(kT=kT), bins)
    np.testing.assert_allclose(found.value, 1.0, atol=most)


def test_a_plane_shock_is_the_mean_over_its_ages():
    ages = (np.arange(2000) + 0.5) / 2000 * 2e11
    mean = integrate(NEI(kT=2.0, **RICH), EDGES[::10], {"tau": np.maximum(ages, 1e8)}).value.mean(axis=0)
    np.testing.assert_allclose(integrate(PlaneShock(kT=2.0, tau_u=2e11, **RICH), EDGES[::10]).value, mean, rtol=2e-3)


def line_centre(model, low, high):
    grid = np.linspace(low, high, 801)
    flux = integrate(model, grid).value
    continuum = 0.5 * (flux[0] + flux[-1])
    centres = 0.5 * (grid[1:] + grid[:-1])
    return np.sum((flux - continuum) * centres) / np.sum(flux - continuum)


def test_iron_k_moves_up_as_iron_is_ionized():
    centres = [line_centre(NEI(kT=3.0, tau=tau, Fe=5.0), 6.3, 6.85) for tau in (3e9, 1e11, 1e12)]
    assert 6.39 < centres[0] < 6.48  # of ions with full L shells (Fe XVII and below)
    assert centres[0] < centres[1] - 0.03
    assert 6.65 < centres[2] < 6.72  # He-like
    assert centres[1] < centres[2]


def test_hydrogenlike_lines_come_late():
    def ratio(tau):
        model = NEI(kT=2.0, tau=tau, Si=5.0)
        return float(integrate(model, [1.97, 2.03])[0] / integrate(model, [1.80, 1.90])[0])

    assert ratio(3e10) < 0.3 * ratio(3e11) < 0.3 * ratio(1e13)


def test_a_recombining_plasma_has_edges_and_an_ionizing_one_has_not():
    # silicon, stripped at 5 keV, recombines with electrons of 0.4 keV: an edge at 2.67 keV
    pair = [[2.62, 2.66], [2.69, 2.73]]
    model = NEI(kT=0.4, tau=1e11, initial_kT=5.0, Si=5.0, S=0.0)
    below, above = (integrate(model, edges).value[0] for edges in pair)
    assert above > 1.3 * below
    cold = NEI(kT=0.4, tau=1e11, Si=5.0, S=0.0)
    below, above = (integrate(cold, edges).value[0] for edges in pair)
    assert above < below


def test_no_start_is_singly_ionized_also_among_others():
    alone = integrate(NEI(tau=1e10), [0.5, 1, 2, 4]).value
    both = integrate(NEI(tau=1e10), [0.5, 1, 2, 4], {"initial_kT": [0.0, 3.0]}).value
    np.testing.assert_allclose(both[0], alone, rtol=1e-12)
    assert not np.allclose(both[1], alone, rtol=0.01)


def test_a_start_colder_than_the_rates_is_refused():
    with pytest.raises(ValueError, match="initial_kT is 0.005 keV; it must be 0, .* or 0.01 keV or more"):
        integrate(NEI(initial_kT=0.005), [0.5, 1])


def test_tau_has_units():
    np.testing.assert_allclose(NEI(tau=1e17 * u.s / u.m**3)(1.0 * u.keV).value, NEI(tau=1e11)(1.0), rtol=1e-12)
    with pytest.raises(ValueError, match="NEI: parameter 'tau' is 1e\\+07; it must lie in 1e\\+08 to 1e\\+14"):
        NEI(tau=1e7)


def test_each_ion_emits_its_own_line():
    """Of silicon alone, Lyman alpha is that of the H-like ion's fraction, and of the bare one's."""
    table = read_table("ion_lines")
    rows = (table["element"] == "Si") & (table["transition"] == "Ly-alpha")
    assert set(table["charge"][rows]) <= {13, 14}
    fraction = ion_fractions("Si", 2.0, 3e10)
    kT = np.array(table.meta["kT"])
    expected = sum(
        np.exp(np.interp(np.log(2.0), np.log(kT), np.log(np.array(row["emissivity"])))) * fraction[row["charge"]]
        for row in table[rows]
    )
    none = dict.fromkeys(("C", "N", "O", "Ne", "Mg", "S", "Ar", "Ca", "Fe", "Ni"), 0.0)
    energy = table["energy"][rows][0].value
    edges = [energy - 0.01, energy + 0.01]
    found = [integrate(NEI(kT=2.0, tau=3e10, Si=amount, **none), edges).value[0] for amount in (0.0, 1.0)]
    assert found[1] - found[0] == pytest.approx(1e14 * expected, rel=0.1)


def test_abundances_of_another_list():
    iron = [6.5, 6.8]
    ratio = solar_abundances("wilms")["Fe"] / solar_abundances()["Fe"]
    none = dict.fromkeys(("C", "N", "O", "Ne", "Mg", "Si", "S", "Ar", "Ca", "Ni"), 0.0)
    lines = [
        (integrate(model(kT=4.0, Fe=1.0, **none), iron) - integrate(model(kT=4.0, Fe=0.0, **none), iron)).value[0]
        for model in (NEI.relative_to("wilms"), NEI)
    ]
    assert lines[0] / lines[1] == pytest.approx(ratio, rel=1e-6)
    assert type(NEI.relative_to("wilms")().copy()).solar == "wilms"
    with pytest.raises(ValueError, match="there is no list of abundances 'angr'; choose from"):
        NEI.relative_to("angr")


FILE = """
[energy]
range = [0.5, 7.0]
n_bins = 65
[response]
instrument = "acis-s"
[absorption]
nh = [0.5, 1.5]
[[components]]
name = "shocked"
model = "NEI"
abundances = "lodders"
[components.parameters]
kT = {range = [1.0, 3.0], scale = "log"}
tau = {range = [1e10, 1e12], scale = "log"}
Si = [1.0, 5.0]
"""


def test_a_components_file_names_models_and_abundances(tmp_path):
    path = tmp_path / "young.toml"
    path.write_text(FILE)
    (component,) = read_spectra_settings(path).components
    assert component.model.solar == "lodders"
    assert issubclass(component.model, NEI)
    path.write_text(FILE.replace("lodders", "asplund"))
    with pytest.raises(ValueError, match="component 'shocked', abundances: there is no list of abundances 'asplund'"):
        read_spectra_settings(path)
    path.write_text(FILE.replace('"NEI"', '"Synchrotron"').split("kT")[0] + "photon_index = [1, 2]\n")
    with pytest.raises(ValueError, match="component 'shocked', abundances: 'Synchrotron' has no abundances; leave"):
        read_spectra_settings(path)


def test_a_file_keeps_spectra_out_of_equilibrium_by_their_components_file(tmp_path):
    path = tmp_path / "young.toml"
    path.write_text(FILE)
    made = ParametricSpectra.from_library(SpectralLibrary.from_file(path), tolerance=1e-3)
    assert made.exact_components == ("shocked",)
    fits.HDUList([fits.PrimaryHDU(), *made.to_hdus()]).writeto(tmp_path / "model.fits")
    with fits.open(tmp_path / "model.fits") as hdulist:
        again = ParametricSpectra.from_hdulist(hdulist, FILE)
        with pytest.raises(
            ValueError, match="'shocked' are not tabulated, and there is no components file that has it"
        ):
            ParametricSpectra.from_hdulist(hdulist)
    theta = np.random.default_rng(0).random((3, 4))
    np.testing.assert_allclose(again.spectra(theta), made.spectra(theta), rtol=1e-5)
    np.testing.assert_allclose(again.energy_flux(theta), made.energy_flux(theta), rtol=1e-5)
