import sys
from functools import partial

import numpy as np
import pytest

from astro_lpalm.model import Model
from astro_lpalm.reproduce import RealisticMixtures, read_protocol, realistic_table, rows, table1
from astro_lpalm.separation import LPALM, Factorization, nmse
from astro_lpalm.spectra import LibraryStatistics
from astro_lpalm.training import train


@pytest.fixture(scope="module")
def spectra():
    rng = np.random.default_rng(1)
    x = np.linspace(0, 1, 16)[:, np.newaxis]
    peaks = rng.normal([0.2, 0.5, 0.8], 0.02, size=(40, 1, 3))
    A = np.exp(-0.5 * ((x - peaks) / 0.12) ** 2)
    return A / np.linalg.norm(A, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def model(spectra):
    library = LibraryStatistics.of_draws(spectra, 3)
    network = LPALM(4).initialize(spectra[0]).float()
    return Model(network, component_names="abc", library=library)


def test_methods_and_oracles(model, spectra):
    rng = np.random.default_rng(2)
    A, S = spectra[1], rng.laplace(size=(3, 400))
    X = A @ S
    methods = rows.methods(model)
    assert nmse(methods["true spectra"](X, A, S).sources, S) < 1e-20
    assert nmse(methods["true sources"](X, A, S).spectra, A) < 1e-20
    # Only the oracles may look at the truth.
    for name in ("LPALM", "LPALM, refined", "refinement alone"):
        np.testing.assert_array_equal(methods[name](X, A, S).spectra, methods[name](X, None, None).spectra)


def test_errors_without_alignment_see_order_and_norm():
    rng = np.random.default_rng(3)
    A, S = rng.random((6, 2)), rng.random((2, 9))
    A /= np.linalg.norm(A, axis=0)
    found = Factorization(2 * A[:, ::-1], S[::-1] / 2)
    figures = rows.errors(found, A, S)
    assert figures["nmse_a_aligned"] < 1e-25
    assert figures["nmse_a"] == nmse(2 * A[:, ::-1], A) > 0.5
    assert figures["nmse_s"] > 0.1


def test_row_sums_up():
    figures = [{"nmse_a": value, "seconds": seconds} for value, seconds in ((0.0, 1.0), (0.02, 2.0), (0.1, 9.0))]
    assert rows.row("x", figures) == {
        "method": "x",
        "nmse_a_median": 0.02,
        "nmse_a_mean": pytest.approx(0.04),
        "failures": 2,
        "seconds": 2.0,
    }


def test_spread_indices():
    np.testing.assert_array_equal(rows.spread_indices(150, None), np.arange(150))
    np.testing.assert_array_equal(rows.spread_indices(9, 3), [0, 4, 8])


def test_realistic_table(model, spectra):
    rng = np.random.default_rng(4)
    maps = rng.standard_exponential((3, 40, 40)) * (rng.random((3, 40, 40)) < 0.2)
    mixtures = RealisticMixtures(maps, spectra[:4], shuffled=True)
    table = realistic_table(mixtures, model, n_samples=2, progress=False)
    assert table.meta["shuffled"] is True
    by_name = {row["method"]: row for row in table}
    assert by_name["LPALM"]["paper_nmse_a"] == 9e-4
    refined, oracle = by_name["LPALM, refined"], by_name["true spectra"]
    # Sources and images are held against the truth they belong to: right spectra leave the noise alone.
    assert oracle["nmse_a_median"] == 0
    assert 0 < oracle["nmse_image_median"] < oracle["nmse_s_median"] < 0.02
    assert by_name["true sources"]["nmse_s_median"] == 0
    assert refined["nmse_a_median"] < 1e-4
    assert refined["nmse_s_median"] < 1.1 * oracle["nmse_s_median"]
    assert refined["nmse_a_aligned_median"] == pytest.approx(refined["nmse_a_median"], rel=0.1)


@pytest.mark.filterwarnings("ignore:refinement took component")  # the network is too short to be of use
def test_table1(shared_data, monkeypatch):
    monkeypatch.setattr("astro_lpalm.reproduce.protocol._N_PIXELS", 60)
    # "table1" is also the name of a function, so the module is not found under it.
    monkeypatch.setattr(sys.modules["astro_lpalm.reproduce.table1"], "train", partial(train, n_layers=2))
    table = table1(shared_data / "casa", epochs=1, n_samples=3, progress=False)
    assert list(table["method"]) == list(rows.methods(None))
    assert table["paper_nmse_s"][0] == 8.5e-4
    assert np.all(table["seconds"] > 0)
    data = read_protocol(shared_data / "casa")
    oracle = [nmse(np.linalg.lstsq(A, X.astype(float), rcond=None)[0], S) for X, A, S in zip(data.X, data.A, data.S)]
    reached = table["nmse_s_median"][list(table["method"]).index("true spectra")]
    assert reached == pytest.approx(np.median([oracle[i] for i in (0, 74, 149)]), rel=1e-5)
