from importlib import resources

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.special import exp1, k0e

from astro_lpalm.data import find_components_file, read_table

FOLDER = resources.files("astro_lpalm.data")


AREAS = ["acis_effective_area", "epic_effective_area", "erosita_effective_area"]
SMALL = ["absorption", "abundances", "acis_contamination", "gaunt", "ionization", "tbabs"]
PLASMA = ["lines", "continuum"]
IONS = ["ion_lines", "ion_lines_iron", "ion_continuum"]


@pytest.mark.parametrize("name", [*SMALL, *AREAS, *PLASMA, *IONS])
def test_tables_are_small_and_say_where_they_come_from(name):
    table = read_table(name)
    assert {"source", "sources", "method"} & set(table.meta)
    assert len(FOLDER.joinpath(f"{name}.ecsv").read_bytes()) < (400_000 if name in [*IONS, "ionization"] else 120_000)


@pytest.mark.parametrize("name", ["absorption", "acis_contamination", *AREAS, "tbabs"])
def test_energies_increase(name):
    table = read_table(name)
    first = next(column for column in ("energy", "energy_lo") if column in table.colnames)
    assert table[first].unit == "keV"
    assert np.all(np.diff(table[first].value) > 0)


@pytest.mark.parametrize("name", [*PLASMA, *IONS])
def test_emissivities_are_positive_against_temperature(name):
    table = read_table(name)
    kT = np.array(table.meta["kT"])
    emissivity = np.array(table["emissivity"])
    assert table["energy"].unit == "keV"
    assert emissivity.shape == (len(table), kT.size)
    assert emissivity.min() > 0
    assert table["energy"].value.min() > 0
    np.testing.assert_allclose(np.diff(np.log10(kT)), 0.1, atol=1e-5)
    assert set(table["element"]) <= set(table.meta["solar"])
    assert "CHIANTI 10.1" in table.meta["source"]


def test_gaunt_factors_are_borns_where_the_charge_matters_little():
    # Born's approximation is the limit of small gamma^2 = Z^2 Ry / kT (Greene 1959)
    table = read_table("gaunt")
    u = 10 ** np.array(table.meta["log_u"])
    assert table["gaunt"].shape == (len(table), u.size)
    born = np.sqrt(3) / np.pi * k0e(u / 2)
    np.testing.assert_allclose(np.array(table["gaunt"])[0][u < 1], born[u < 1], rtol=0.02)


@pytest.mark.parametrize(
    ("log_gamma2", "log_u", "published"),
    [(0, 0, 1.2939), (0, 2, 0.5171), (1, -1, 1.5088), (1, 0, 1.1988), (2, -3, 2.7008), (2, 1, 1.0825), (-2, 0, 0.9697)],
)
def test_gaunt_factors_are_those_of_sutherland(log_gamma2, log_u, published):
    table = read_table("gaunt")
    row = np.argmin(np.abs(table["log_gamma2"] - log_gamma2))
    column = np.argmin(np.abs(np.array(table.meta["log_u"]) - log_u))
    assert np.array(table["gaunt"])[row, column] == pytest.approx(published, rel=1e-3)


def test_gaunt_factors_of_all_frequencies_are_those_of_karzas_and_latter():
    # Karzas & Latter 1961: 2 sqrt(3) / pi in Born's limit, 1.44 at most, where Z^2 Ry is about kT
    table = read_table("gaunt")
    log_u = np.log(10) * np.array(table.meta["log_u"])
    u, gaunt = np.exp(log_u), np.array(table["gaunt"])
    total = trapezoid(gaunt * np.exp(-u) * u, log_u, axis=1) + gaunt[:, 0] * u[0]
    assert total[0] == pytest.approx(2 * np.sqrt(3) / np.pi, rel=0.015)
    assert total.max() == pytest.approx(1.44, rel=0.015)
    assert -1 < table["log_gamma2"][np.argmax(total)] < 0.5


def test_absorption_rises_at_the_edges_of_shells_only():
    # Morrison & McCammon 1983, table 2: between two shells' edges the pieces join
    table = read_table("absorption")
    edge = table["energy_lo"].value[1:]
    c0, c1, c2 = (np.array(table[name]) for name in ("c0", "c1", "c2"))
    below, above = (c0[k] + c1[k] * edge + c2[k] * edge**2 for k in (slice(0, -1), slice(1, None)))
    jump = above / below - 1
    assert np.all(jump > -0.01)
    assert set(edge[np.argsort(jump)[-2:]]) == {0.532, 7.111}  # K shells of oxygen and iron


def test_a_packaged_name_means_the_packaged_file_and_a_path_means_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("snr-acis", "snr-acis.toml"):
        (tmp_path / name).write_text("mine")
    assert find_components_file("snr-acis").parent != tmp_path
    for path in ("./snr-acis", "snr-acis.toml", tmp_path / "snr-acis"):
        assert find_components_file(path).read_text() == "mine"
    with pytest.raises(FileNotFoundError, match="no components file './pwn-acis'; .*packaged: pwn-acis, snr-acis"):
        find_components_file("./pwn-acis")


ROMAN = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]
ROMAN += ["X" + unit for unit in ROMAN] + ["XX" + unit for unit in ROMAN]


@pytest.mark.parametrize("name", IONS)
def test_rows_are_of_the_ion_that_is_met_or_a_neighbour(name):
    table = read_table(name)
    stage = np.array([ROMAN.index(ion) for ion in table["ion"]])
    assert set(stage - table["charge"]) <= {0, 1, 2}  # recombines, is excited, loses an electron
    step = table["transition"] == "recombination"
    assert np.all(stage[step] == table["charge"][step])


def test_k_lines_of_iron_move_up_as_electrons_are_lost():
    table = read_table("ion_lines_iron")
    of_iron = table[table["element"] == "Fe"]
    alpha, beta = (of_iron[of_iron["transition"] == f"K-{name}"] for name in ("alpha", "beta"))
    met = np.array([ROMAN.index(ion) for ion in alpha["ion"]]) - alpha["charge"]
    lost = alpha[met == 2]
    assert list(lost["charge"]) == list(range(22))
    energy = lost["energy"].value
    assert energy[:16].min() > 6.39
    assert energy[:16].max() < 6.44
    assert energy[16] < energy[-1] < 6.6  # Fe XVII to XXII before the loss
    ratio = np.array(beta["emissivity"])[0] / np.array(lost["emissivity"])[0]
    np.testing.assert_allclose(ratio, 0.125, atol=0.01)  # Kaastra & Mewe 1993, neutral iron


def test_neutral_iron_shines_in_k_as_often_as_published():
    # Lotz 1967: 3e-6 xi E1(x) / (I sqrt(kT)), eV, of two K electrons at 7.124 keV; a yield of 0.34
    table = read_table("ion_lines_iron")
    kT = np.array(table.meta["kT"]) * 1e3
    rows = table[(table["element"] == "Fe") & (table["charge"] == 0)]
    expected = 4.68e-5 * 0.34 * 3.0e-6 * 2 * exp1(7124 / kT) / (7124 * np.sqrt(kT))
    np.testing.assert_allclose(
        np.array(rows["emissivity"]).sum(axis=0), np.maximum(expected, 1e-30), rtol=0.03, atol=1e-28
    )


@pytest.mark.parametrize(("element", "charge"), [("Si", 14), ("S", 16), ("Fe", 26)])
def test_bare_nuclei_recombine_as_hydrogen_does(element, charge):
    # Seaton 1959, MNRAS 119, 81: the sum over all shells; of faint edges the table has one step
    table = read_table("ion_continuum")
    kT = np.array(table.meta["kT"])[15:25]
    rows = table[(table["element"] == element) & (table["charge"] == charge) & (table["transition"] == "recombination")]
    x = rows["energy"].value[:, None] / kT
    photons = np.array(rows["emissivity"])[:, 15:25] * kT**-1.5 * np.exp(x) * exp1(x)
    scaled = charge**2 * 0.0136057 / kT
    published = 5.197e-14 * charge * np.sqrt(scaled) * (0.4288 + 0.5 * np.log(scaled) + 0.469 * scaled ** (-1 / 3))
    np.testing.assert_allclose(photons.sum(axis=0), table.meta["solar"][element] * published, rtol=0.2)


@pytest.mark.parametrize(
    ("element", "charge", "name"), [("O", 8, "ion_lines"), ("Si", 14, "ion_lines"), ("Fe", 26, "ion_lines_iron")]
)
def test_a_nucleus_that_recombines_cascades_through_lyman_alpha(element, charge, name):
    # case A: a third to a half of all recombinations where electrons are cold (Burgess 1958)
    table = read_table(name)
    k = np.argmin(np.abs(np.array(table.meta["kT"]) - 1e-3 * charge**2))
    rows = table[(table["element"] == element) & (table["charge"] == charge) & (table["transition"] == "Ly-alpha")]
    scaled = 13.6057
    total = 5.197e-14 * charge * np.sqrt(scaled) * (0.4288 + 0.5 * np.log(scaled) + 0.469 * scaled ** (-1 / 3))
    share = np.array(rows["emissivity"])[:, k].sum() / total / table.meta["solar"][element]
    assert 0.25 < share < 0.5
