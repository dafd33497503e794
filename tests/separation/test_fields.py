import numpy as np
import pytest
import torch

from astro_lpalm.instrument import BlurTerm
from astro_lpalm.instrument.blur import GaussianBlur
from astro_lpalm.separation import ImageBlur
from astro_lpalm.separation.fields import FieldData, FieldPosterior
from astro_lpalm.sources import FieldGrid, FieldPrior, PowerSpectrum
from astro_lpalm.spectra import LocalSpectraTable

from .test_physical import Toy

SHAPE = (14, 16)
CASES = "plain", "masked", "exposure", "background", "blur", "terms", "two"


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def blur_of(case, shape, m=20):
    if case == "blur":
        return ImageBlur([BlurTerm(np.ones(m), None, GaussianBlur(1.2))], shape)
    hard, right = np.linspace(0, 1, m), np.tile(np.linspace(0, 1, shape[1]), (shape[0], 1))
    terms = [(1 - hard, 1 - right, 0.6), (1 - hard, right, 1.0), (hard, 1 - right, 1.4), (hard, right, 2.0)]
    return ImageBlur([BlurTerm(e, w, GaussianBlur(sigma)) for e, w, sigma in terms], shape)


def make(case="plain", shape=SHAPE, varying=((0,), ()), seed=0, brightness=4.0, slope=3.0):
    """Make a posterior of counts that its own fields sent out; those of the Toy, its first spectrum of a map."""
    rng, model = np.random.default_rng(seed), Toy()
    table = LocalSpectraTable(model, np.array([0.4, 0.6]), varying)
    grid = FieldGrid(shape)
    power = PowerSpectrum.power_law(0.7, slope, grid.longest, 0.5)
    maps = PowerSpectrum.power_law(0.15, slope, grid.longest, 0.1)
    prior = FieldPrior(grid, [power, power, *[maps] * len(table.fields)])
    means = np.array([brightness, brightness - 0.5, *[0.1] * len(table.fields)])
    mask = rng.random(shape) < (0.7 if case == "masked" else 2.0)
    pixels = np.flatnonzero(mask)
    exposure = np.full(len(pixels), 1.0)
    if case in ("exposure", "two"):
        exposure = rng.uniform(0.3, 1.0, len(pixels))
    floor = np.abs(rng.normal(1.0, 0.3, (20, len(pixels)))) if case in ("background", "two") else None

    def data(counts, blur):
        return FieldData(
            torch.as_tensor(counts, dtype=torch.float32),
            table.basis,
            torch.as_tensor(pixels),
            torch.as_tensor(exposure, dtype=torch.float32),
            None if floor is None else torch.as_tensor(floor, dtype=torch.float32),
            blur,
        )

    blurs = [blur_of(case, shape) if case in ("blur", "terms") else None]
    if case == "two":
        blurs = [None, blur_of("terms", shape)]
    white = grid.draw(len(prior), generator(seed))
    empty = [data(np.zeros((20, len(pixels))), each) for each in blurs]
    posterior = FieldPosterior(prior, empty, table, means)
    truth = posterior.state(white)
    posterior.data = [data(rng.poisson(expected(posterior, truth, each)), each.blur) for each in empty]
    return posterior, posterior.state(white)


def expected(posterior, state, data):
    """Give the expected counts of each pixel, (m, t), in double precision."""
    t = data.counts.shape[1]
    found = posterior.block_spectra(state, data, torch.arange(t), t).sum(axis=0)
    return found if data.background is None else found + data.background.numpy()


def slope(posterior, state):
    """Gradient of minus the logarithm of the posterior in the waves."""
    return posterior.prior.adjoint(posterior.gradient(state)[0]) + state.waves


@pytest.mark.parametrize("case", CASES)
def test_gradient_is_that_of_the_value(case):
    posterior, truth = make(case)
    grid = posterior.grid
    state = posterior.state(0.5 * truth.waves + 0.2 * grid.draw(3, generator(5)))
    found = slope(posterior, state)
    for field in range(3):
        way = torch.zeros_like(found)
        way[field] = found[field]  # steepest, so that the change stands out of the rounding errors
        step = 0.02 / float(posterior.prior.fields(way)[field].abs().max())
        there = [posterior.state(state.waves + sign * step * way).value for sign in (1, -1)]
        promised = float(grid.inner(found, way).sum())
        np.testing.assert_allclose((there[0] - there[1]) / (2 * step), promised, rtol=5e-3)


@pytest.mark.parametrize("case", CASES)
def test_fisher_matrix_is_that_of_poisson_counts(case):
    posterior, truth = make(case)
    _, fisher = posterior.gradient(truth)
    prior, grid = posterior.prior, posterior.grid
    a, b = (grid.draw(3, generator(seed)) for seed in (3, 4))
    fields = [prior.fields(each) for each in (a, b)]
    products = [float((x * fisher(y)).sum(dtype=torch.float64)) for x, y in (fields, fields[::-1])]
    size = [float((x * fisher(x)).sum(dtype=torch.float64)) for x in fields]
    assert min(size) > 0
    np.testing.assert_allclose(*products, atol=1e-5 * max(size))
    step, whole = 1e-3, 0.0
    there = [posterior.state(truth.waves + sign * step * a) for sign in (1, -1)]
    for each in posterior.data:
        change = (expected(posterior, there[0], each) - expected(posterior, there[1], each)) / (2 * step)
        whole += np.sum(change**2 / expected(posterior, truth, each))
    np.testing.assert_allclose(size[0], whole, rtol=2e-3)


@pytest.mark.parametrize("case", CASES)
def test_maximum_is_reached(case):
    posterior, truth = make(case)
    start = posterior.state(posterior.grid.zeros(3))
    end, n, converged = posterior.maximize(start.waves, n_rounds=30, tolerance=1e-5)
    assert converged
    assert n < 30
    assert end.value < truth.value < start.value
    # what a Newton step would still gain
    fisher = posterior.gradient(end)[1]
    step, *_ = posterior.solve(fisher, -slope(posterior, end), fisher.conditioner, 200, 1e-4)
    left = -float(posterior.grid.inner(slope(posterior, end), step).sum())
    assert left < 0.1
    for image, true in zip(end.images, truth.images):
        assert torch.log(image / true).std() < 0.7 * torch.log(true).std()
    again, *_ = posterior.maximize(start.waves, n_rounds=30, tolerance=1e-5)
    torch.testing.assert_close(again.waves, end.waves, rtol=0, atol=0)


@pytest.mark.parametrize("case", ["plain", "masked", "blur", "two"])
def test_what_is_left_of_a_solution_is_its_error(case):
    posterior, truth = make(case, shape=(40, 36), brightness=5.0, slope=2.6)
    y = np.linspace(-4, 4, 40)[:, None] + np.zeros(36)  # a thousand times brighter on one side than on the other
    posterior.means = posterior.means + torch.as_tensor(np.stack([y, y, 0 * y]), dtype=torch.float32)
    _, fisher = posterior.gradient(posterior.state(truth.waves))
    prior, inner = posterior.prior, posterior.grid.inner
    wanted = prior.adjoint(fisher.draw(generator(2))) + posterior.grid.draw(3, generator(3))

    def size(waves):
        return float(inner(waves, waves + prior.adjoint(fisher(prior.fields(waves)))).sum()) ** 0.5

    exact, left, _ = posterior.solve(fisher, wanted, fisher.conditioner, 1000, 1e-4)
    assert left < 1e-4
    for tolerance in (0.1, 1e-2):
        found, left, n = posterior.solve(fisher, wanted, fisher.conditioner, 200, tolerance)
        assert left < tolerance
        assert n < 80
        assert left < size(found - exact) / size(exact) < 6 * left


@pytest.mark.parametrize("case", ["plain", "masked", "terms", "two"])
def test_draws_have_the_covariance_of_the_curvature(case):
    posterior, truth = make(case, shape=(5, 6), brightness=2.0)
    _, fisher = posterior.gradient(truth)
    grid, n = posterior.grid, 3 * 30
    units = torch.eye(n).reshape(n, 3, 5, 6)
    F = np.stack([fisher(each).reshape(-1).double().numpy() for each in units])
    np.testing.assert_allclose(F, F.T, atol=1e-5 * F.max())
    white = torch.fft.rfft2(torch.eye(3 * grid.n_waves).reshape(-1, 3, *grid.padded), norm="ortho")
    A = np.stack([posterior.prior.fields(each).reshape(-1).double().numpy() for each in white], axis=1)
    exact = A @ np.linalg.solve(np.eye(A.shape[1]) + A.T @ F @ A, A.T)
    gen, n_draws, drawn = generator(1), 250, []
    for _ in range(n_draws):
        waves, left, _ = posterior.draw(fisher, gen)
        assert left < 1e-2
        drawn.append(posterior.prior.fields(waves).reshape(-1).double().numpy())
    found = np.cov(np.array(drawn).T)
    np.testing.assert_allclose(np.diag(found) / np.diag(exact), 1, atol=5 * np.sqrt(2 / n_draws))
    np.testing.assert_allclose(np.mean(np.diag(found) / np.diag(exact)), 1, atol=0.06)
    sizes = np.sqrt(np.diag(exact))
    difference = (found - exact) / np.outer(sizes, sizes)
    assert np.sqrt(np.mean(difference**2)) < 2 / np.sqrt(n_draws)
    assert np.abs(difference).max() < 7 / np.sqrt(n_draws)


def test_draws_are_the_same_of_the_same_seed():
    posterior, truth = make(shape=(5, 6))
    _, fisher = posterior.gradient(truth)
    first, second, other = (posterior.draw(fisher, generator(seed))[0] for seed in (1, 1, 2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.allclose(first, other)


@pytest.mark.parametrize("case", ["plain", "terms", "two"])
def test_covariances_of_the_prior_are_those_of_the_draws(case):
    posterior, truth = make(case, shape=(24, 24), varying=((), ()), brightness=2.0)
    posterior.prior.correlation[:] = np.eye(2)
    _, fisher = posterior.gradient(truth)
    variances = posterior.prior.covariances(fisher.lattice(12))[1]
    assert variances.shape == (2, 12, 12)
    gen = generator(1)
    drawn = torch.stack([posterior.prior.fields(posterior.draw(fisher, gen)[0]) for _ in range(60)])
    exact = drawn.double().var(dim=0)[:, 2:-2, 2:-2].mean(dim=(1, 2))
    np.testing.assert_allclose(np.sqrt(variances.mean(axis=(1, 2)) / exact.numpy()), 1, atol=0.12)
    prior = posterior.prior.covariances([(np.zeros((2, 2, 1, 1)), None)])[1]
    assert np.all(variances < 0.5 * prior)


def test_lattice_has_the_mean_precision_of_each_square():
    posterior, truth = make("masked", shape=(7, 10))
    _, fisher = posterior.gradient(truth)
    ((found, left),) = fisher.lattice(5)
    assert left is None
    assert found.shape == (3, 3, 4, 5)
    local = fisher.local.reshape(3, 3, 7, 10).numpy()
    np.testing.assert_allclose(found[:, :, 1, 2], local[:, :, 2:4, 4:6].mean(axis=(2, 3)), rtol=1e-5)
    np.testing.assert_allclose(found[:, :, 3, 0], local[:, :, 6:, :2].mean(axis=(2, 3)), rtol=1e-5)


def test_blurred_data_tell_less_of_small_scales():
    (sharp, truth), (blurred, _) = make("plain"), make("blur")
    by_ring = [each.prior.covariances(each.gradient(truth)[1].lattice(4))[0] for each in (sharp, blurred)]
    assert np.all(by_ring[1][:, 0, 0] > 0.95 * by_ring[0][:, 0, 0])
    assert by_ring[1][-1, 0, 0] > by_ring[0][-1, 0, 0] + 0.05


def test_images_hold_the_counts():
    posterior, _ = make(varying=((), ()), shape=(32, 32), brightness=3.0)
    end, *_ = posterior.maximize(posterior.grid.zeros(2), n_rounds=20)
    counts = float(posterior.data[0].counts.sum())
    np.testing.assert_allclose(float(end.images.sum()), counts, rtol=1e-2)


def test_nothing_in_a_pixel_nor_of_a_component():
    posterior, truth = make(varying=((), ()), shape=(16, 16), brightness=3.0)
    counts = torch.poisson(truth.images[0] * torch.as_tensor(Toy().spectra([0.4, 0.6])[:, :1]).float(), generator(2))
    counts[:, :5] = 0
    data = posterior.data[0]
    posterior.data = [FieldData(counts, data.basis, data.pixels, data.exposure)]
    end, _, converged = posterior.maximize(posterior.grid.zeros(2), n_rounds=30)
    assert converged
    assert torch.isfinite(end.images).all()
    assert float(end.images[1].sum()) < 0.05 * float(end.images[0].sum())
    np.testing.assert_allclose(float(end.images.sum()), float(counts.sum()), rtol=0.02)
    _, fisher = posterior.gradient(end)
    assert torch.isfinite(torch.view_as_real(posterior.draw(fisher, generator())[0])).all()


def test_no_counts_at_all_leave_finite_images():
    posterior, _ = make(varying=((), ()))
    data = posterior.data[0]
    posterior.data = [FieldData(torch.zeros_like(data.counts), data.basis, data.pixels, data.exposure)]
    end, *_ = posterior.maximize(posterior.grid.zeros(2), n_rounds=40)
    assert torch.isfinite(end.images).all()
    assert float(end.images.sum()) < 100


def test_steps_out_of_sight_are_shortened():
    # a start from which a full step of Newton's method would overflow
    posterior, truth = make(brightness=3.0)
    start = posterior.grid.zeros(3)
    start[:2, 0, 0] = -14.0 / 0.5  # e^-14 of the brightness
    end, _, converged = posterior.maximize(start, n_rounds=60, tolerance=1e-4)
    assert converged
    assert np.isfinite(end.value)
    assert abs(end.value - posterior.maximize(truth.waves, n_rounds=60, tolerance=1e-4)[0].value) < 5


@pytest.mark.parametrize("shape", [(1, 12), (12, 1), (1, 1), (2, 3)])
def test_thin_images(shape):
    posterior, truth = make(shape=shape)
    end, _, converged = posterior.maximize(posterior.grid.zeros(3), n_rounds=30)
    assert converged
    assert torch.isfinite(end.images).all()
    _, fisher = posterior.gradient(end)
    by_ring, variances = posterior.prior.covariances(fisher.lattice(48))
    assert np.isfinite(variances).all()
    new = posterior.prior.learned(end.waves, by_ring, correlated=2)
    assert torch.isfinite(new.amplitudes).all()
