import numpy as np
import pytest
import torch

from astro_lpalm.separation import (
    ISTALLT,
    LISTA,
    LISTACP,
    LPALM,
    S_UPDATES,
    IstaLLTUpdate,
    KnownUpdate,
    SourceUpdate,
    SpectraUpdate,
    UnrolledPALM,
)

from .conftest import make_mixture


def soft(values, threshold):
    return np.sign(values) * np.maximum(np.abs(values) - threshold, 0)


def disturb(network, rng, size=0.05):
    """Move every parameter off its starting value, as training would."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= torch.as_tensor(1 + size * rng.standard_normal(parameter.shape), dtype=parameter.dtype)
        network.theta[:, 0] = 0.01
        network.theta[:, 1] = 0.5
    return network


def plain_lpalm(network, X):
    """Equation (8), written down as it stands, with the parameters in the units of X."""
    m, t = X.shape
    n = network.n_components
    scale = np.linalg.norm(X) / np.sqrt(t)
    noise = np.sqrt(np.linalg.eigvalsh(X @ X.T / t)[: m - n].mean())
    W, L, theta = (value.detach().double().numpy() for value in (network.s_part.W, network.a_part.L, network.theta))
    A, S = np.full((m, n), m**-0.5), np.zeros((n, t))
    for k in range(network.n_layers):
        S = soft(S + W[k].T @ (X - A @ S), max(theta[k, 0] * scale + theta[k, 1] * noise, 0))
        A = A - (A @ S - X) @ S.T / (L[k] * np.linalg.norm(S @ S.T))
        A = A / np.maximum(np.linalg.norm(A, axis=0), 1)
    return A, S


@pytest.fixture
def network(mixture, rng):
    _, A, S = mixture
    return disturb(LPALM(6).initialize(A), rng)


def test_is_equation_8(network, rng):
    X, _, _ = make_mixture(rng, t=5000, snr_db=20)  # more pixels than a block
    A, S = plain_lpalm(network, X)
    found = network.double().separate(X)
    np.testing.assert_allclose(found.spectra, A, rtol=1e-10)
    np.testing.assert_allclose(found.sources, S, atol=1e-10 * np.abs(S).max())
    assert found.n_iter == 6


@pytest.mark.parametrize("s_update", S_UPDATES)
def test_training_and_inference_agree(s_update, mixture, rng):
    network = disturb(UnrolledPALM(s_update, n_layers=6).initialize(mixture[1]), rng)
    batch = np.stack([make_mixture(rng, snr_db=25)[0] for _ in range(3)])
    A, S = network.double()(torch.as_tensor(batch))
    for k, X in enumerate(batch):
        found = network.separate(X)
        np.testing.assert_allclose(A[k].detach(), found.spectra, rtol=1e-10)
        np.testing.assert_allclose(S[k].detach(), found.sources, atol=1e-12)


@pytest.mark.parametrize("s_update", S_UPDATES)
@pytest.mark.parametrize("a_update", ["ista-ll", "explicit", "known"])
def test_gradients(s_update, a_update, rng):
    X, A, S = make_mixture(rng, m=6, n=2, t=12, snr_db=20)
    network = disturb(UnrolledPALM(s_update, a_update, 3).initialize(A), rng, 0.01).double()
    names, values = zip(*network.named_parameters())
    data = torch.as_tensor(X)[None]
    known = torch.as_tensor(A)[None] if a_update == "known" else None

    def outputs(*parameters):
        return torch.func.functional_call(network, dict(zip(names, parameters)), (data, known))

    # The spectra never depend on a parameter that only the last layer's sources see, or on none at all when known.
    torch.autograd.gradcheck(outputs, values, atol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 1e-4)])
@pytest.mark.parametrize("factor", [1e-12, 1e-3, 7.0, 1e12])
@pytest.mark.parametrize("updates", [("lista-cp", "ista-ll"), *((name, "known") for name in S_UPDATES)])
def test_scale(updates, rng, dtype, tolerance, factor):
    X, A, _ = make_mixture(rng, snr_db=20)
    network = disturb(UnrolledPALM(*updates, n_layers=6).initialize(A), rng)
    known = {"spectra": A} if "known" in updates else {}
    X = X.astype(dtype)
    once, scaled = network.separate(X, **known), network.separate(X * dtype(factor), **known)
    assert scaled.sources.dtype == dtype
    np.testing.assert_allclose(scaled.spectra, once.spectra, atol=tolerance)
    np.testing.assert_allclose(scaled.sources / factor, once.sources, atol=tolerance * np.abs(once.sources).max())


def test_tiling_and_permuting_pixels(network, rng):
    X, _, _ = make_mixture(rng, snr_db=20)
    once, tiled = network.separate(X), network.separate(np.tile(X, 3))
    np.testing.assert_allclose(tiled.spectra, once.spectra, rtol=1e-9)
    np.testing.assert_allclose(tiled.sources, np.tile(once.sources, 3), atol=1e-9)
    order = rng.permutation(X.shape[1])
    np.testing.assert_allclose(network.separate(X[:, order]).sources, once.sources[:, order], atol=1e-9)


def test_known_spectra_reach_the_lasso_solution(rng):
    # Unlearned ISTA-LLT is ISTA: its fixed point meets the optimality conditions of the lasso, A^T (X - A S) in
    # lambda * sign(S), where the step times lambda is the threshold.
    X, A, S = make_mixture(rng, t=50, snr_db=20)
    network = ISTALLT(3000).initialize(A).double()
    lipschitz = network.s_part.inverse_step[0].item()
    scale = np.linalg.norm(X) / np.sqrt(X.shape[1])
    with torch.no_grad():
        network.theta[:, 0] = 0.1 / lipschitz
    found = network.separate(X, spectra=A).sources
    correlation = A.T @ (X - A @ found) / (0.1 * scale)
    np.testing.assert_allclose(correlation[found != 0], np.sign(found[found != 0]), atol=1e-6)
    assert np.abs(correlation).max() < 1 + 1e-6
    assert 0.05 < np.mean(found == 0) < 0.95


@pytest.mark.parametrize("make", [LISTA, LISTACP, ISTALLT])
def test_relatives_start_as_the_same_ista(make, mixture):
    X, A, S = mixture
    found = make(40).initialize(A).separate(X, spectra=A).sources
    L = 1.001 * np.linalg.norm(A, 2) ** 2
    theta = 1e-5 / L * np.linalg.norm(X) / np.sqrt(X.shape[1])
    expected = np.zeros_like(S)
    for _ in range(40):
        expected = soft(expected + A.T @ (X - A @ expected) / L, theta)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_explicit_step_decreases_the_residual(mixture):
    X, A, S = mixture
    network = UnrolledPALM("lista-cp", "explicit", 60).initialize(A).double()
    data = torch.as_tensor(X)[None]
    residuals = [torch.linalg.norm(data - A @ S).item() for A, S in network.layers(data)]
    assert residuals[-1] < 0.1 * residuals[0]


def test_columns_never_exceed_unit_norm(network, rng):
    X, _, _ = make_mixture(rng, snr_db=5)
    for A, _ in network.double().layers(torch.as_tensor(X)[None]):
        assert torch.linalg.vector_norm(A, dim=1).max() <= 1 + 1e-12


def test_separating_leaves_the_network_alone(network, mixture):
    X, _, _ = mixture
    before = {name: value.clone() for name, value in network.float().state_dict().items()}
    network.separate(X)
    for name, value in network.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[name])


class OwnISTALLT(torch.nn.Module):
    """ISTA-LLT as somebody else would write it, without our base class."""

    def __init__(self, n_layers, m, n):
        super().__init__()
        self.steps = torch.nn.Parameter(torch.zeros(n_layers))

    def initialize(self, spectra):
        inverse = 1.001 * torch.linalg.matrix_norm(spectra, 2) ** 2
        self.steps.fill_(1 / inverse)
        return inverse

    def operators(self, layer, A):
        return torch.eye(A.shape[2], dtype=A.dtype) - self.steps[layer] * A.mT @ A, self.steps[layer] * A.mT

    def project(self, X):
        return None

    advance = SourceUpdate.advance


class HalfStep(SpectraUpdate):
    """Half the step of ISTA-LL that nothing was learned for."""

    def inverse_step(self, layer, C):
        return 2 * 1.001 * torch.linalg.matrix_norm(C, keepdim=True).clamp_min(1e-30)


@pytest.mark.parametrize("a_update", ["ista-ll", "known"])
def test_own_source_update_is_as_good_as_ours(a_update, rng):
    X, A, _ = make_mixture(rng, snr_db=20)
    ours, own = (UnrolledPALM(s, a_update, 5).initialize(A).double() for s in ("ista-llt", OwnISTALLT))
    with torch.no_grad():
        ours.s_part.inverse_step *= torch.linspace(1, 2, 5)
        own.s_part.steps /= torch.linspace(1, 2, 5)
    known = {"spectra": A} if a_update == "known" else {}
    expected = ours.separate(X, **known)
    for found in (own.separate(X, **known), own.copy().separate(X, **known)):
        np.testing.assert_allclose(found.spectra, expected.spectra, rtol=1e-5)
        np.testing.assert_allclose(found.sources, expected.sources, atol=1e-5 * np.abs(expected.sources).max())


def test_own_update_of_the_spectra(rng):
    X, A, _ = make_mixture(rng, snr_db=20)
    own = UnrolledPALM(a_update=HalfStep, n_layers=5).initialize(A).double()
    ours = LPALM(5).initialize(A).double()
    with torch.no_grad():
        ours.a_part.L *= 2
    np.testing.assert_allclose(own.separate(X).spectra, ours.separate(X).spectra, rtol=1e-5)


def test_our_classes_stand_for_their_names():
    assert UnrolledPALM(IstaLLTUpdate, KnownUpdate, 4).settings == ISTALLT(4).settings


class NoOperators(SourceUpdate):
    def initialize(self, spectra):
        return 1.0


class NoModule:
    moves = True
    initialize = inverse_step = None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"s_update": NoOperators},
            "s_update is the class NoOperators, which has no operators; make it a subclass",
        ),
        ({"s_update": HalfStep}, "which has no operators, project, advance; make it a subclass of SourceUpdate"),
        ({"a_update": NoModule}, "NoModule, which is no torch.nn.Module; make it a subclass of SpectraUpdate"),
        ({"a_update": torch.nn.Linear}, "has no moves, initialize, inverse_step"),
        ({"s_update": OwnISTALLT(1, 2, 2)}, "must be one of .*, or a class such as SourceUpdate describes"),
        ({"s_update": "fista"}, "s_update is 'fista', but must be one of 'lista-cp'"),
        ({"a_update": "none"}, "a_update is 'none'"),
        ({"n_layers": 0}, "at least one layer"),
    ],
)
def test_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        UnrolledPALM(**arguments)


def test_bad_data(network, mixture):
    X, A, S = mixture
    with pytest.raises(ValueError, match="no parameters yet"):
        LPALM().separate(X)
    with pytest.raises(ValueError, match="X has 19 energies .* trained for 20"):
        network.separate(X[:-1])
    with pytest.raises(ValueError, match="finds the spectra itself"):
        network.separate(X, spectra=A)
    with pytest.raises(ValueError, match="needs the spectra"):
        LISTACP().initialize(A).separate(X)
    with pytest.raises(ValueError, match="2 columns, .* 3 components"):
        LISTACP().initialize(A).separate(X, spectra=A[:, :2])
    with pytest.raises(ValueError, match="zero everywhere"):
        network.separate(0 * X)
    with pytest.raises(ValueError, match="1 values that are NaN"):
        network.separate(np.where(X == X.max(), np.nan, X))
    with pytest.raises(ValueError, match="must be a matrix"):
        network.separate(X[0])
