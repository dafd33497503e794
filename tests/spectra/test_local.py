import numpy as np
import pytest
import torch

from astro_lpalm import load_model
from astro_lpalm.spectra import LocalSpectraTable

VARYING = [
    [("thermal", "kT")],
    [("thermal", "kT"), ("thermal", "ionization")],
    [("thermal", "kT"), ("thermal", "velocity"), ("thermal", "ionization")],
    [("synchrotron", "photon_index"), ("thermal", "kT"), ("thermal", "Si")],
]
MOST = [(0.005, 0.2), (0.012, 0.4), (0.03, 2.5), (0.012, 0.4)]  # absolute errors in all bins, and in units of noise


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture(scope="module")
def physics():
    return load_model("snr-acis").physics


def places(physics, names):
    found = [[] for _ in physics.component_names]
    for component, name in names:
        own = [(each.component, each.name) for each in physics.parameters].index((component, name))
        found[physics.component_names.index(component)].append(own)
    return found


def middle(physics):
    return np.full(len(physics.parameters), 0.4)


@pytest.mark.parametrize(("names", "most"), list(zip(VARYING, MOST)), ids=range(4))
def test_local_spectra_are_those_of_the_model(physics, rng, names, most):
    table = LocalSpectraTable(physics, middle(physics), places(physics, names))
    assert [physics.parameters[place].name for _, place in table.fields] == [name for _, name in names]
    x = rng.random((len(names), 200))
    coefficients, _ = table.coefficients(torch.as_tensor(x, dtype=torch.float32))
    theta = np.tile(middle(physics), (200, 1))
    theta[:, [place for _, place in table.fields]] = x.T
    expected = physics.spectra(theta)  # (200, m, n)
    for k in range(len(physics.component_names)):
        own = table.owners == k
        found = (table.basis[:, own] @ coefficients[own]).T.numpy()
        # of a thousand photons
        noise = np.sqrt(np.maximum(expected[..., k], 1e-5) / 1000)
        assert np.abs((found - expected[..., k]) / noise).max() < most[1]
        assert np.abs(found - expected[..., k]).sum(axis=1).max() < most[0]
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("names", VARYING, ids=lambda names: " ".join(name for _, name in names))
def test_derivatives_are_those_of_the_coefficients(physics, rng, names):
    table = LocalSpectraTable(physics, middle(physics), places(physics, names))
    x = torch.as_tensor(0.02 + 0.96 * rng.random((len(names), 50)), dtype=torch.float32)
    found, derivatives = table.coefficients(x)
    step = 2e-3
    for j, (k, _) in enumerate(table.fields):
        there = [table.coefficients(x + sign * step * torch.eye(len(names))[:, j : j + 1])[0] for sign in (1, -1)]
        own = table.owners == k
        assert derivatives[j].shape == (own.sum(), 50)
        slope = (there[0] - there[1])[own] / (2 * step)
        torch.testing.assert_close(derivatives[j], slope, rtol=0.02, atol=0.02 * float(slope.abs().max()))


def test_pixels_do_not_see_each_other(physics, rng, monkeypatch):
    table = LocalSpectraTable(physics, middle(physics), places(physics, VARYING[3]))
    x = torch.as_tensor(rng.random((3, 50)), dtype=torch.float32)
    found, derivatives = table.coefficients(x)
    monkeypatch.setattr("astro_lpalm.spectra.local._PIXELS_AT_ONCE", 7)
    again, others = table.coefficients(x)
    torch.testing.assert_close(again, found)
    torch.testing.assert_close(others, derivatives)


def test_components_have_their_own_vectors(physics):
    table = LocalSpectraTable(physics, middle(physics), places(physics, VARYING[0]))
    n = np.bincount(table.owners)
    assert n[1] > 1
    assert n.tolist() == [1, n[1], 1, 1]
    assert table.basis.shape == (65, n.sum())
    spectra = physics.spectra(middle(physics))
    for k in (0, 2, 3):
        np.testing.assert_allclose(table.basis[:, table.owners == k][:, 0], spectra[:, k], rtol=1e-6)


def test_fixed_spectra_stay_as_they_are(rng):
    A = rng.dirichlet(np.ones(12), size=3).T
    for given in (A, A.tolist()):
        table = LocalSpectraTable.fixed(given)
        coefficients, derivatives = table.coefficients(torch.zeros((0, 5)))
        torch.testing.assert_close(table.basis @ coefficients[:, 0], torch.as_tensor(A.sum(axis=1)).float())
        np.testing.assert_allclose(table.basis, A, rtol=1e-6)
        np.testing.assert_array_equal(coefficients, np.ones((3, 5)))
        assert table.fields == derivatives == []
        assert table.owners.tolist() == [0, 1, 2]


def test_scaled_parameters_stay_in_their_ranges():
    values = torch.linspace(-20, 20, 101)
    x, slope = LocalSpectraTable.inside(values)
    assert 0 <= float(x.min()) <= float(x.max()) <= 1
    assert torch.isfinite(slope).all()
    middle = torch.tensor(0.0, dtype=torch.float64)
    np.testing.assert_allclose(LocalSpectraTable.inside(middle), [0.5, 1.0])
    there = LocalSpectraTable.inside(torch.linspace(-1, 1, 2001, dtype=torch.float64))
    np.testing.assert_allclose(np.gradient(there[0].numpy(), 1e-3)[1:-1], there[1][1:-1], rtol=1e-4)
    x = np.array([0.011, 0.3, 0.98])
    back = LocalSpectraTable.inside(torch.as_tensor(LocalSpectraTable.outside(x)))[0]
    np.testing.assert_allclose(back, x)
    assert np.all(np.isfinite(LocalSpectraTable.outside([0.0, 1.0])))


def test_more_than_three_parameters_are_too_many(physics):
    names = [("thermal", name) for name in ("kT", "ionization", "Si", "S")]
    with pytest.raises(ValueError, match="4 parameters of component 1 are to vary; at most 3 can"):
        LocalSpectraTable(physics, middle(physics), places(physics, names))
