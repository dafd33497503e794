import time

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm.spectra import (
    EmissionLine,
    ModelComponent,
    PhotoelectricAbsorption,
    Prior,
    SpectralLibrary,
    Synchrotron,
    approximate_acis_response,
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
        (np.ones(4), r"'a' have shape \(4,\); energy_edges ask for \(N, 4\)"),
        (np.ones((2, 5)), r"'a' have shape \(2, 5\)"),
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
    with pytest.raises(ValueError, match=r"one or more components with names of their own; got \[\]"):
        SpectralLibrary.from_arrays({}, edges)
    with pytest.raises(ValueError, match="components with a model need a response"):
        SpectralLibrary([line], edges)
    with pytest.raises(ValueError, match=r"got \['line', 'line'\]"):
        SpectralLibrary([line, line], edges, response=approximate_acis_response(edges))
    with pytest.raises(ValueError, match="are not the bins of energy_edges .4.; use the same edges"):
        SpectralLibrary([line], edges, response=approximate_acis_response(edges[1:]))


def test_a_component_outside_the_range_is_named():
    edges = np.linspace(1, 3, 5)
    components = [
        ModelComponent("inside", Synchrotron, {"photon_index": Prior(2.0, 3.0)}),
        ModelComponent("outside", EmissionLine, {"energy": Prior(6.6, 6.7)}),
    ]
    library = SpectralLibrary(components, edges, response=approximate_acis_response(edges))
    with pytest.raises(ValueError, match="'outside' has no photons between 1 and 3 keV"):
        library.draw(3, seed=0)


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "3"])
def test_n_must_be_a_number_of_draws(n):
    with pytest.raises(ValueError, match="give the number of draws, 1 or more"):
        SpectralLibrary.from_file("pwn-acis").draw(n)


@pytest.mark.parametrize(
    ("prior", "expected"),
    [(Prior(2.0, 4.0), 3.0), (Prior(1.0, 100.0, "log"), 99 / np.log(100)), (Prior(5.0, 5.0), 5.0)],
)
def test_priors_have_their_mean_and_range(prior, expected):
    values = prior.draw(40000, seed=0)
    assert values.mean() == pytest.approx(expected, rel=0.02)
    assert values.min() >= prior.low
    assert values.max() <= prior.high


def test_library_takes_the_published_spectra(shared_data):
    with fits.open(shared_data / "casa" / "spectra.fits") as hdus:
        spectra = {hdu.name: hdu.data for hdu in hdus[1:]}
    library = SpectralLibrary.from_arrays(spectra, np.linspace(5, 8, 66))
    drawn = library.draw(100, seed=0)
    rows = library.draw_parameters(100, seed=0)
    for k, name in enumerate(spectra):
        np.testing.assert_allclose(drawn[:, :, k], spectra[name][rows[name]["row"]], atol=1e-6)
    assert np.all(library.statistics(rank=10).share.sum(axis=1) > 0.9)
