"""What holds of all networks that are fitted to the data they separate."""

import numpy as np
import pytest
import torch
from astropy.utils.exceptions import AstropyUserWarning

from astro_lpalm.separation import DNMF, MNNBU, SNMFNet, align, nmse

SOLVERS = [MNNBU, SNMFNet, DNMF]


def make_abundances(rng, n=3, t=300):
    S = rng.dirichlet(np.full(n, 0.4), t).T
    S[:, :n] = np.eye(n)
    return S


def make_unmixing(rng, m=15, n=3, t=300, noise=0.0):
    """Non-negative spectra, abundances that sum to one with pure pixels among them, and their mixture."""
    energies = np.linspace(0, 1, m)[:, np.newaxis]
    A = np.exp(-(((energies - np.linspace(0.1, 0.9, n)) / 0.2) ** 2)) + 0.1 * rng.random((m, n))
    S = make_abundances(rng, n, t)
    return A @ S + noise * rng.standard_normal((m, t)), A, S


@pytest.mark.parametrize("solver", SOLVERS)
def test_loss_falls_and_factors_are_not_negative(solver, rng):
    X, _, _ = make_unmixing(rng, noise=0.05)
    found = solver(3, epochs=40).separate(X)
    losses = found.history["loss"]
    assert len(losses) == found.n_iter == 40
    assert found.converged
    assert min(losses[20:]) < min(losses[:5]) < losses[0]
    assert found.spectra.shape == (15, 3)
    assert found.sources.shape == (3, 300)
    assert found.spectra.min() >= 0
    assert found.sources.min() >= 0


@pytest.mark.parametrize("solver", SOLVERS)
def test_same_seed_same_result(solver, rng):
    X, _, _ = make_unmixing(rng, noise=0.05)
    state = torch.get_rng_state()
    once, again = (solver(3, epochs=5, seed=3).separate(X) for _ in range(2))
    np.testing.assert_array_equal(once.spectra, again.spectra)
    np.testing.assert_array_equal(once.sources, again.sources)
    assert once.history == again.history
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_scale(solver, factor, rng):
    X, _, _ = make_unmixing(rng, noise=0.02)
    once, scaled = (solver(3, epochs=5).separate(c * X) for c in (1.0, factor))
    # The abundances of two of them are fractions; the scale of the data is that of the spectra.
    spectra, sources = (1.0, factor) if solver is DNMF else (factor, 1.0)
    np.testing.assert_allclose(scaled.spectra / spectra, once.spectra, atol=1e-3 * once.spectra.max())
    np.testing.assert_allclose(scaled.sources / sources, once.sources, atol=1e-3 * once.sources.max())


@pytest.mark.parametrize(("solver", "error"), [(MNNBU(3, epochs=150), 1e-3), (SNMFNet(3, epochs=20), 1e-3),
                                              (DNMF(3, learning_rate=1e-2, epochs=250), 0.05)])  # fmt: skip
def test_finds_what_can_be_found(solver, error, rng):
    X, A, S = make_unmixing(rng)
    found = solver.separate(X)
    assert nmse(align(found, A).spectra, A) < error
    assert nmse(found.spectra @ found.sources, X) < 0.01


@pytest.mark.parametrize("solver", SOLVERS)
def test_applies_to_other_data(solver, rng):
    X, A, _ = make_unmixing(rng)
    fitted = solver(3, epochs=30, seed=1).fit(X)
    there = fitted.separate(X)
    other = make_abundances(rng, t=250)[:, rng.permutation(250)]
    found = fitted.separate(A @ other)
    # The components of other data come in the same order, even where their purest pixels come in another.
    np.testing.assert_allclose(found.spectra, there.spectra, atol=0.15 * A.max())
    assert nmse(found.spectra @ found.sources, A @ other) < 0.02
    whole = solver(3, epochs=30, seed=1).separate(X)
    np.testing.assert_array_equal(whole.sources, there.sources)
    assert whole.history == fitted.history


@pytest.mark.parametrize("solver", SOLVERS)
def test_precision_follows_the_data(solver, rng):
    X, _, _ = make_unmixing(rng, t=40)
    for dtype in (np.float32, np.float64):
        found = solver(3, epochs=1).separate(X.astype(dtype))
        assert found.spectra.dtype == found.sources.dtype == dtype


def test_the_best_weights_are_kept(rng):
    # Steps that are far too long: the last loss is not the lowest, but the factors are those of the lowest.
    X, _, _ = make_unmixing(rng, noise=0.02)
    fitted = MNNBU(3, epochs=30, learning_rate=0.3).fit(X)
    found, losses = fitted.separate(X), np.array(fitted.history["loss"])
    assert losses.argmin() < 29
    residual = (X - found.spectra @ found.sources) / float(fitted.network.scale)
    assert np.mean(residual**2) == pytest.approx(losses.min(), rel=1e-3)


def test_divergence(rng):
    X, _, _ = make_unmixing(rng)
    solver = DNMF(3, epochs=5, learning_rate=1e30)
    with pytest.warns(AstropyUserWarning, match="loss of DNMF stopped being finite in epoch 2: try a lower"):
        found = solver.separate(X)
    assert not found.converged
    assert np.isfinite(found.spectra).all()
    assert found.n_iter == 1


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_components": 0}, "n_components is 0"),
        ({"n_components": 3, "epochs": 0}, "epochs is 0"),
        ({"n_components": 3, "learning_rate": 0}, "learning_rate is 0"),
    ],
)
def test_bad_settings(solver, settings, message):
    with pytest.raises(ValueError, match=message):
        solver(**settings)


@pytest.mark.parametrize(
    ("solver", "settings", "message"),
    [
        (MNNBU, {"sparsity": -1.0}, "sparsity is -1"),
        (SNMFNet, {"n_layers": 0}, "at least one layer"),
        (DNMF, {"n_layers": 0}, "at least one layer"),
        (DNMF, {"penalty": -1.0}, "penalty is -1"),
    ],
)
def test_bad_settings_of_one(solver, settings, message):
    with pytest.raises(ValueError, match=message):
        solver(3, **settings)


@pytest.mark.parametrize("solver", SOLVERS)
def test_bad_data(solver, rng):
    X, _, _ = make_unmixing(rng, t=40)
    with pytest.raises(ValueError, match="too small for 16 components"):
        solver(16).separate(X)
    with pytest.raises(ValueError, match="zero everywhere"):
        solver(3).fit(0 * X)
    with pytest.raises(ValueError, match="X has 14 energies .* fitted to 15"):
        solver(3, epochs=1).fit(X).separate(X[:-1])
