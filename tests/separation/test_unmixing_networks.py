"""Each network against its equations, written down as they stand."""

import numpy as np
import pytest
import torch

from astro_lpalm.separation import DNMF, MNNBU, VCA, SNMFNet
from astro_lpalm.separation.dnmf import _Layers, _Loss
from astro_lpalm.separation.snmfnet import generalized_threshold

from .test_fitting import make_unmixing


def values(network):
    return {name: parameter.detach().double().numpy() for name, parameter in network.named_parameters()}


def disturb(network, rng, size=0.1):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= torch.as_tensor(1 + size * rng.uniform(-1, 1, parameter.shape), dtype=torch.float32)
    return network


def test_mnnbu_is_its_equations(rng):
    X, _, _ = make_unmixing(rng, noise=0.02)
    X = 7 * X
    E = VCA(3).separate(X).spectra
    E = np.maximum(E / np.abs(E).max(), 0)
    network = MNNBU(3, sparsity=0.05)._build(X)
    L = np.linalg.norm(E, 2) ** 2
    start = values(network)
    np.testing.assert_allclose(start["W"], [E.T / L, E.T / L], rtol=1e-5)
    np.testing.assert_allclose(start["B"], np.eye(3) - E.T @ E / L, atol=1e-6)
    np.testing.assert_allclose(start["theta"], 0.05 / L, rtol=1e-5)
    np.testing.assert_allclose(start["D"], E, rtol=1e-5)
    p = values(disturb(network, rng))
    x = X / float(network.scale)
    S = np.maximum(p["W"][0] @ x - p["theta"][0], 0)
    S = np.maximum(p["W"][1] @ x + p["B"] @ S - p["theta"][1], 0)
    S = S / (S.sum(axis=0) + 1e-8)
    inputs = network.prepare(X)
    found = network.factorize(*inputs)
    np.testing.assert_allclose(found[1].detach(), S, atol=1e-5)
    np.testing.assert_allclose(found[0].detach(), p["D"] * float(network.scale), rtol=1e-6)
    assert network.loss(*inputs).item() == pytest.approx(np.mean((x - p["D"] @ S) ** 2), rel=1e-4)


def test_mnnbu_learning_rates():
    solver = MNNBU(2)
    optimizer = solver._optimizer(torch.nn.Linear(1, 1), ())
    rates = []
    for epoch in range(1, 501):
        solver._schedule(epoch, optimizer)
        rates.append(optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(rates[:99], 0.002)
    np.testing.assert_allclose([rates[99], rates[148], rates[149], rates[499]], 0.002 / 1.2 ** np.array([1, 1, 2, 9]))


def plain_snmfnet(p, M0, A0, X):
    """The layers of SNMF-Net in the notation of its paper: M has the spectra and A the abundances."""
    M, A, losses = M0, A0, []
    for k in range(len(p["step"])):
        t, t2, theta, q, W = p["step"][k], p["spectra_step"][k], p["theta"][k], p["p"][k], p["W"][k]
        Z = A - t * W.T @ (M @ A - X)
        base = 2 * (1 - q) * theta
        tau = base ** (1 / (2 - q)) + q * theta * base ** ((q - 1) / (2 - q))
        A = np.where(Z > tau, Z - q * theta * np.maximum(Z, 1e-30) ** (q - 1), 0)
        A = np.maximum(np.minimum(A, 1), 0)
        A = A / (A.sum(axis=0) + 1e-4)
        M = np.maximum(M - t2 * (M @ A - X) @ A0.T, 0)
        losses.append(np.sum((M @ A - X) ** 2))
    return M, A, np.mean(losses)


def test_snmfnet_is_its_equations(rng):
    X, _, _ = make_unmixing(rng, noise=0.05)
    X = 7 * X
    start = VCA(3).separate(X)
    scale = np.abs(start.spectra).max()
    network = SNMFNet(3, n_layers=4)._build(X)
    p = values(network)
    M0, A0 = start.spectra / scale, start.sources
    step = 1 / (np.linalg.norm(M0, 2) ** 2 + 0.1)
    np.testing.assert_allclose(p["step"], step, rtol=1e-5)
    np.testing.assert_allclose(p["spectra_step"], 1 / (np.linalg.norm(A0, 2) ** 2 + 0.1), rtol=1e-5)
    np.testing.assert_allclose(p["theta"], 0.01 * step, rtol=1e-5)
    np.testing.assert_allclose(p["p"], 0.5)
    for W in p["W"]:
        np.testing.assert_allclose(W.T @ M0, np.eye(3), atol=1e-5)
    p = values(disturb(network, rng))
    M, A, loss = plain_snmfnet(p, M0, A0, X / scale)
    inputs = network.prepare(X)
    found = network.factorize(*inputs)
    np.testing.assert_allclose(found[0].detach(), M * scale, atol=1e-4 * scale)
    np.testing.assert_allclose(found[1].detach(), A, atol=1e-4)
    assert network.loss(*inputs).item() == pytest.approx(loss, rel=1e-4)


def test_snmfnet_learning_rates(rng):
    X, _, _ = make_unmixing(rng, noise=0.05)
    solver = SNMFNet(3, epochs=1)
    network = solver._build(X)
    inputs = network.prepare(X)
    before = values(network)
    optimizer = solver._optimizer(network, inputs)
    for name, value in values(network).items():
        np.testing.assert_array_equal(value, before[name])  # trying rates leaves no trace
    rates = []
    for epoch in range(1, 501):
        solver._schedule(epoch, optimizer)
        rates.append([group["lr"] for group in optimizer.param_groups])
    first = rates[0][0]
    assert np.isclose(np.log(2 / first) / np.log(5) % 1, [0, 1]).any()  # 2, 2/5, 2/25, ...
    divisors = np.array([25, 625, 625 * 1.5, 625 * 1.5**8])
    np.testing.assert_allclose([rates[k][0] for k in (1, 3, 149, 499)], first / divisors)
    np.testing.assert_allclose([rates[k][1] for k in (0, 148, 149, 499)], 1e-6 / np.array([1, 1, 1.5, 1.5**8]))
    # With the rate that was found the loss falls, and with the one before it does not.
    assert first < 2
    for rate, falls in ((first, True), (5 * first, False)):
        network.load_state_dict({name: torch.as_tensor(value) for name, value in before.items()})
        step = torch.optim.Adam([network.step, network.p], lr=rate, betas=(0.9, 0.9), weight_decay=1e-3)
        loss = network.loss(*inputs)
        loss.backward()
        step.step()
        with torch.no_grad():
            network.keep_in_bounds()
            assert (network.loss(*inputs) < loss) == falls


@pytest.mark.parametrize("p", [1e-4, 0.3, 0.5, 0.9])
def test_generalized_threshold_balances_the_penalty(p):
    theta = 0.2
    s = (2 * (1 - p) * theta) ** (1 / (2 - p))
    tau = s + p * theta * s ** (p - 1)
    # At z = tau the minimum of (z - s)^2 / 2 + theta s^p away from zero is as deep as that at zero.
    assert 0.5 * (tau - s) ** 2 + theta * s**p == pytest.approx(0.5 * tau**2)
    z = torch.tensor([[-1.0, 0.0, 0.999 * tau, 1.001 * tau, 3.0]], dtype=torch.float64)
    found = generalized_threshold(z, torch.tensor([[theta]], dtype=torch.float64), torch.tensor(p, dtype=torch.float64))
    expected = [0, 0, 0, *(v - p * theta * v ** (p - 1) for v in (1.001 * tau, 3.0))]
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)


def test_generalized_threshold_at_its_ends():
    z = torch.linspace(-1, 2, 31, dtype=torch.float64)[None]
    one, theta = torch.tensor(1.0, dtype=torch.float64), torch.tensor([[0.25]], dtype=torch.float64)
    np.testing.assert_allclose(generalized_threshold(z, theta, one), (z - 0.25).clamp_min(0), atol=1e-12)
    np.testing.assert_allclose(generalized_threshold(z, 0 * theta, 0.5 * one), z.clamp_min(0), atol=1e-12)
    np.testing.assert_allclose(generalized_threshold(z, -theta, 0.5 * one), z.clamp_min(0), atol=1e-12)


def test_gradient_of_the_generalized_threshold(rng):
    z = torch.as_tensor(rng.uniform(-1, 3, (3, 40)))
    theta, p = torch.tensor([[0.1], [0.2], [0.3]], dtype=torch.float64), torch.tensor(0.6, dtype=torch.float64)
    for value in (z, theta, p):
        value.requires_grad_()
    torch.autograd.gradcheck(generalized_threshold, (z, theta, p))


def plain_dnmf(X, V, U, penalty):
    S = np.ones((V.shape[1], X.shape[1]))
    for k in range(len(V)):
        S = S * np.maximum(V[k] @ X, 0) / (U[k] @ S + penalty * S + penalty + 1e-7)
    return S


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_dnmf_is_its_equations(penalty, rng):
    X, _, _ = make_unmixing(rng, noise=0.3)
    solver = DNMF(3, penalty=penalty, n_layers=4)
    network = disturb(solver._build(X), rng)
    p, x = values(network), X / np.sqrt(np.mean(X**2))
    S = plain_dnmf(x, p["V"], p["U"], penalty)
    assert np.mean(S == 0) < 0.2
    inputs = network.prepare(X)
    with torch.no_grad():
        A, found = (np.asarray(factor) for factor in network.factorize(*inputs))
    np.testing.assert_allclose(found, S * np.sqrt(np.mean(X**2)), rtol=1e-3, atol=1e-4)
    # No spectrum can be improved, neither up nor, where it is not zero, down.
    slope = (A @ found - X) @ found.T
    scale = np.linalg.norm(X) * np.linalg.norm(found)
    assert slope.min() > -1e-5 * scale
    assert np.abs(slope[A > 0]).max() < 1e-5 * scale
    residual = np.linalg.norm(x - A @ S) ** 2
    expected = (0.5 * residual + penalty * S.sum() + 0.5 * penalty * np.sum(S**2)) / X.shape[1]
    assert network.loss(*inputs).item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("penalty", [0.0, 0.5])
def test_gradient_of_dnmf(penalty, rng):
    # That of the loss, too: at the best spectra it does not matter that they move.
    X = torch.as_tensor(make_unmixing(rng, m=6, n=2, t=12)[0])
    V = torch.as_tensor(rng.uniform(0.05, 0.2, (3, 2, 6))).requires_grad_()
    U = torch.as_tensor(rng.uniform(0.05, 0.2, (3, 2, 2))).requires_grad_()
    torch.autograd.gradcheck(lambda V, U: _Layers.apply(X, V, U, penalty), (V, U))
    torch.autograd.gradcheck(lambda V, U: _Loss.apply(_Layers.apply(X, V, U, penalty), X, penalty), (V, U))


def test_gradient_of_dnmf_in_empty_pixels(rng):
    # Whole pixels below zero, whose sources are zero in every layer: they add nothing, and nothing overflows.
    X, _, _ = make_unmixing(rng, m=6, n=2, t=12)
    data = torch.as_tensor(np.hstack([X, -X, 0 * X]), dtype=torch.float32)
    gradients = []
    for tensor in (data, data[:, :12]):
        V, U = torch.full((10, 2, 6), 0.1, requires_grad=True), torch.full((10, 2, 2), 0.1, requires_grad=True)
        S = _Layers.apply(tensor, V, U, 0.0)
        (S**2).sum().backward()
        gradients.append((V.grad, U.grad))
    assert torch.all(S[:, 12:] == 0)
    for found, expected in zip(*gradients):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
