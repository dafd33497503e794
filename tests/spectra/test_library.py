import time

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.modeling.models import RedshiftScaleFactor

from astro_lpalm.grid import ebounds_hdu
from astro_lpalm.missions import approximate_response
from astro_lpalm.spectra import (
    EmissionLine,
    ModelComponent,
    PhotoelectricAbsorption,
    Prior,
    SpectralLibrary,
    Synchrotron,
    Thermal,
    integrate,
)

PACKAGED = {"snr-acis": ["synchrotron", "thermal", "iron_red", "iron_blue"], "pwn-acis": ["nonthermal", "thermal"]}


@pytest.fixture(scope="module", params=PACKAGED)
def packaged(request):
    return request.param, SpectralLibrary.from_file(request.param)


def test_draws_are_mixing_matrices(packaged):
    name, library = packaged
    assert library.component_names == PACKAGED[name]
    np.testing.assert_allclose(library.energy_edges.to_value(u.keV), np.linspace(0.5, 7, 66), atol=1e-12)
    spectra = library.draw(50, seed=1)
    assert spectra.shape == (50, 65, len(PACKAGED[name]))
    assert spectra.dtype == np.float64
    assert spectra.min() >= 0
    np.testing.assert_allclose(np.linalg.norm(spectra, axis=1), 1)
    assert np.all(np.ptp(spectra, axis=0).max(axis=0) > 0.01)


def test_a_seed_gives_the_same_draws(packaged):
    _, library = packaged
    first = library.draw(600, seed=7)  # more than one chunk
    np.testing.assert_array_equal(first, library.draw(600, seed=np.random.default_rng(7)))
    assert not np.array_equal(first, library.draw(600, seed=8))
    one, two = (library.draw_parameters(20, seed=3) for _ in range(2))
    for name in library.component_names:
        for parameter, values in one[name].items():
            np.testing.assert_array_equal(values, two[name][parameter])


def test_a_draw_is_what_its_parameters_say():
    library = SpectralLibrary.from_file("snr-acis")
    spectra, parameters = library.draw(3, seed=5), library.draw_parameters(3, seed=5)
    assert np.all((parameters["nh"] >= 0.5) & (parameters["nh"] <= 2.0))
    for k, component in enumerate(library.components):
        for i in range(3):
            model = component.model(**{name: values[i] for name, values in parameters[component.name].items()})
            absorbed = PhotoelectricAbsorption(nh=parameters["nh"][i]) * model
            rate = library.response.fold(integrate(absorbed, library.response.energy_edges)).value
            np.testing.assert_allclose(spectra[i, :, k], rate / np.linalg.norm(rate), atol=1e-4)


def test_components_of_the_remnant_come_apart():
    library = SpectralLibrary.from_file("snr-acis")
    spectra = library.draw(300, seed=0)
    cosines = np.einsum("nmi,nmj->nij", spectra, spectra).mean(axis=0)
    assert 0.6 < cosines[0, 1] < 0.85
    assert cosines[2, 3] < 0.5
    assert cosines[:2, 2:].max() < 0.05
    centre = np.linspace(0.55, 6.95, 65)
    energy = np.einsum("nmk,m->nk", spectra, centre) / spectra.sum(axis=1)
    assert np.all(energy[:, 2] < energy[:, 3])
    assert 6.4 < energy[:, 2].mean() < 6.6 < 6.7 < energy[:, 3].mean() < 6.85
    thermal = spectra[:, :, 1].mean(axis=0)
    for line in (1.855, 2.449):
        near = np.abs(centre - line) < 0.2
        assert abs(centre[near][np.argmax(thermal[near])] - line) < 0.06


def test_a_thousand_draws_take_seconds():
    library = SpectralLibrary.from_file("snr-acis")
    start = time.perf_counter()
    library.draw(1000, seed=0)
    assert time.perf_counter() - start < 5


def test_statistics_describe_the_draws(packaged):
    _, library = packaged
    n_components = len(library.component_names)
    statistics = library.statistics(rank=10, n=200, seed=2)
    assert statistics.mean.shape == (n_components, 65)
    assert statistics.principal.shape == (n_components, 10, 65)
    assert statistics.share.shape == (n_components, 10)
    np.testing.assert_allclose(statistics.mean, library.draw(200, seed=2).mean(axis=0).T)
    for k in range(n_components):
        np.testing.assert_allclose(statistics.principal[k] @ statistics.principal[k].T, np.eye(10), atol=1e-10)
        deviations = library.draw(200, seed=2)[:, :, k] - statistics.mean[k]
        singular = np.linalg.svd(deviations, compute_uv=False)
        np.testing.assert_allclose(statistics.share[k], singular[:10] ** 2 / np.sum(singular**2), atol=1e-10)
        np.testing.assert_allclose(statistics.spread[k], singular[:10] / np.sqrt(200), atol=1e-8)
        known = deviations @ statistics.principal[k].T @ statistics.principal[k]
        np.testing.assert_allclose(statistics.remainder[k], (deviations - known).std(axis=0), atol=1e-8)
        explained = np.sum((deviations @ statistics.principal[k, 0]) ** 2) / np.sum(deviations**2)
        assert explained == pytest.approx(statistics.share[k, 0])
    assert np.all(statistics.share.sum(axis=1) > 0.95)


def test_statistics_of_spectra_that_do_not_vary():
    library = SpectralLibrary.from_arrays({"flat": np.ones((1, 4))}, np.arange(1, 6))
    statistics = library.statistics(rank=4, n=20)
    np.testing.assert_array_equal(statistics.share, 0)
    np.testing.assert_allclose(statistics.principal[0] @ statistics.principal[0].T, np.eye(4), atol=1e-12)


@pytest.mark.parametrize("rank", [0, 5])
def test_rank_is_limited_by_the_bins(rank):
    library = SpectralLibrary.from_arrays({"flat": np.ones((1, 4))}, np.arange(1, 6))
    with pytest.raises(ValueError, match=f"rank is {rank}; give a number between 1 and 4"):
        library.statistics(rank=rank)


def test_arrays_are_drawn_row_by_row_and_independently():
    rows = np.eye(6)
    library = SpectralLibrary.from_arrays({"a": 3 * rows, "b": rows}, np.arange(1, 8))
    spectra = library.draw(3000, seed=0)
    a, b = spectra[..., 0].argmax(axis=1), spectra[..., 1].argmax(axis=1)
    np.testing.assert_array_equal(np.unique(spectra), [0.0, 1.0])
    together = np.histogram2d(a, b, bins=6)[0]
    assert np.abs(together - 3000 / 36).max() < 5 * np.sqrt(3000 / 36)
    np.testing.assert_array_equal(a, library.draw_parameters(3000, seed=0)["a"]["row"])


def test_the_arrays_given_are_not_touched():
    rows = np.ones((2, 3))
    library = SpectralLibrary.from_arrays({"a": rows}, [1, 2, 3, 4])
    rows[:] = 0
    np.testing.assert_allclose(library.draw(1, seed=0)[0, :, 0], 3**-0.5)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones(4), r"'a' have shape \(4,\); give \(N, m\), N at least 1"),
        (np.ones((2, 5)), r"'a' have shape \(2, 5\); energy_edges ask for \(N, 4\)"),
        (np.ones((0, 4)), r"'a' have shape \(0, 4\)"),
        (-np.ones((2, 4)), "'a' must be finite and non-negative"),
        (np.zeros((2, 4)), "none of them zero everywhere"),
        (np.full((2, 4), np.nan), "'a' must be finite"),
    ],
)
def test_arrays_that_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        SpectralLibrary.from_arrays({"a": rows}, np.arange(1, 6))


def test_no_components_and_a_missing_response_are_refused():
    edges = np.linspace(1, 3, 5)
    line = ModelComponent("line", EmissionLine, {"energy": Prior(2.0, 2.1)})
    with pytest.raises(ValueError, match="there are no component names"):
        SpectralLibrary.from_arrays({}, edges)
    with pytest.raises(ValueError, match="components with a model need a response"):
        SpectralLibrary([line], edges)
    with pytest.raises(ValueError, match=r"must differ .*they are \('line', 'line'\)"):
        SpectralLibrary([line, line], edges, response=approximate_response(edges))
    with pytest.raises(
        ValueError, match="are not the bins of energy_edges .4.: edge 0 is 1 keV, .* use the same edges"
    ):
        SpectralLibrary([line], edges, response=approximate_response(edges[1:]))


def test_a_component_outside_the_range_is_named():
    edges = np.linspace(1, 3, 5)
    components = [
        ModelComponent("inside", Synchrotron, {"photon_index": Prior(2.0, 3.0)}),
        ModelComponent("outside", EmissionLine, {"energy": Prior(6.6, 6.7)}),
    ]
    library = SpectralLibrary(components, edges, response=approximate_response(edges))
    with pytest.raises(ValueError, match="'outside' has no photons between 1 and 3 keV"):
        library.draw(3, seed=0)


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "3"])
def test_n_must_be_a_number_of_draws(n):
    with pytest.raises(ValueError, match="give the number of draws, 1 or more"):
        SpectralLibrary.from_file("pwn-acis").draw(n)


def test_an_expression_is_drawn_absorbed_and_folded_as_its_parameters_say():
    response = approximate_response(np.linspace(0.5, 7, 14))
    model = PhotoelectricAbsorption() * (RedshiftScaleFactor(0.2) | Thermal() + Synchrotron(photon_index=1.5))
    priors = {"nh_0": 0.3, "z_1": Prior(0.1, 0.3), "kT_2": [0.5, 3.0], "amplitude_3": Prior(1e-3, 1.0, "log")}
    library = SpectralLibrary(
        [ModelComponent("all", model, priors)], response.channel_edges, response=response, nh=Prior(0.2, 1.0)
    )
    spectra, parameters = library.draw(4, seed=5), library.draw_parameters(4, seed=5)
    for i in range(4):
        one = model.copy()
        for name, values in parameters["all"].items():
            setattr(one, name, values[i])
        absorbed = PhotoelectricAbsorption(nh=parameters["nh"][i]) * one
        rate = response.fold(integrate(absorbed, response.energy_edges)).value
        np.testing.assert_allclose(spectra[i, :, 0], rate / np.linalg.norm(rate), rtol=1e-9)


def test_spectra_below_zero_are_refused():
    response = approximate_response([1, 2, 3])
    model = Synchrotron(photon_index=1.0) - Synchrotron(photon_index=2.0)
    library = SpectralLibrary([ModelComponent("rest", model, {"amplitude_1": 5.0})], [1, 2, 3], response=response)
    with pytest.raises(ValueError, match="'rest' has negative or infinite spectra for some parameters"):
        library.draw(2, seed=0)


def test_the_name_of_the_absorption_is_taken():
    with pytest.raises(ValueError, match="component name 'nh' is taken"):
        SpectralLibrary.from_arrays({"nh": np.ones((1, 2))}, [1, 2, 3])


def test_a_summary_tells_what_is_drawn_and_how_much_is_explained(packaged):
    name, library = packaged
    table, statistics = library.summary(rank=4, n=100, seed=1), library.statistics(rank=4, n=100, seed=1)
    assert list(table["component"]) == PACKAGED[name]
    assert table.colnames == ["component", "n_drawn", "explained_1", "explained_2", "explained_3", "explained_4"]
    np.testing.assert_allclose(table["explained_1"], statistics.share[:, 0])
    np.testing.assert_allclose(table["explained_4"], statistics.share.sum(axis=1))
    for component in library.components:
        assert all(parameter in table.meta[component.name] for parameter in component.priors)
    assert table.meta["nh"] == str(library.nh)
    assert len(max(table.pformat(), key=len)) <= 80


def test_draws_are_written_and_read_back(tmp_path, packaged):
    _, library = packaged
    path = tmp_path / "templates.fits"
    library.write(path, n=30, seed=4)
    again = SpectralLibrary.from_file(path)
    assert again.component_names == library.component_names
    np.testing.assert_allclose(again.energy_edges.value, library.energy_edges.value, rtol=1e-12)
    for k, component in enumerate(again.components):
        np.testing.assert_allclose(component.samples, library.draw(30, seed=4)[:, :, k], atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(again.draw(5, seed=0), axis=1), 1, rtol=1e-6)
    with pytest.raises(OSError, match="exists"):
        library.write(path, n=2)


@pytest.fixture
def write_templates(tmp_path):
    def write(*hdus):
        path = tmp_path / "templates.fits.gz"
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
        return path

    return write


def test_a_file_of_templates_without_energies_needs_them(write_templates):
    path = write_templates(fits.ImageHDU(np.ones((3, 2)), name="A"), fits.ImageHDU(np.ones((5, 2)), name="B"))
    with pytest.raises(ValueError, match="templates.fits.gz': there is no EBOUNDS table.*; pass energy_edges"):
        SpectralLibrary.from_file(path)
    library = SpectralLibrary.from_file(path, energy_edges=[1000, 2000, 4000] * u.eV)
    assert library.component_names == ["A", "B"]
    np.testing.assert_allclose(library.energy_edges.value, [1, 2, 4])
    with pytest.raises(ValueError, match=r"templates.fits.gz': .*'A' have shape \(3, 2\); energy_edges ask for \(N, 3"):
        SpectralLibrary.from_file(path, energy_edges=[1, 2, 3, 4])


def test_energies_of_a_file_of_templates_are_not_replaced(write_templates):
    path = write_templates(fits.ImageHDU(np.ones((3, 2)), name="A"), ebounds_hdu([1, 2, 3] * u.keV))
    assert SpectralLibrary.from_file(path, energy_edges=[1, 2, 3]).component_names == ["A"]
    with pytest.raises(
        ValueError, match="energy_edges are not those of its EBOUNDS table, edge 2 is 4 keV, .* leave them out"
    ):
        SpectralLibrary.from_file(path, energy_edges=[1, 2, 4])


@pytest.mark.parametrize(
    ("hdus", "message"),
    [
        ([], "there are no component names"),
        ([fits.ImageHDU(np.ones((3, 2)))], "component name '' cannot name"),
        ([fits.ImageHDU(np.ones((2, 2, 2)), name="A")], r"'A' have shape \(2, 2, 2\); give \(N, m\)"),
        ([fits.ImageHDU(-np.ones((2, 2)), name="A")], "'A' must be finite and non-negative"),
        ([fits.ImageHDU(np.ones((2, 2)), name="A")] * 2, "the extension 'A' is there twice"),
    ],
)
def test_files_of_templates_that_are_refused(write_templates, hdus, message):
    with pytest.raises(ValueError, match=f"templates.fits.gz': .*{message}"):
        SpectralLibrary.from_file(write_templates(*hdus), energy_edges=[1, 2, 3])


def test_library_takes_the_published_spectra(shared_data):
    path = shared_data / "casa" / "spectra.fits"
    library = SpectralLibrary.from_file(path, energy_edges=np.linspace(5, 8, 66))
    assert library.component_names == ["SYNC", "THERM", "FE1", "FE2"]
    drawn, rows = library.draw(100, seed=0), library.draw_parameters(100, seed=0)
    with fits.open(path) as hdus:
        for k, name in enumerate(library.component_names):
            np.testing.assert_allclose(drawn[:, :, k], hdus[name].data[rows[name]["row"]], atol=1e-6)
    assert np.all(library.statistics(rank=10).share.sum(axis=1) > 0.9)
    with pytest.raises(ValueError, match="spectra.fits': there is no EBOUNDS table"):
        SpectralLibrary.from_file(path)
