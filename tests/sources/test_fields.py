import numpy as np
import pytest
import torch

from astro_lpalm.sources import FieldGrid, FieldPrior, PowerSpectrum


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make(shape=(40, 48), pitch=1.0, n=1, deviation=1.0, slope=2.6, mean_deviation=1.0, correlation=None):
    grid = FieldGrid(shape, pitch)
    powers = [PowerSpectrum.power_law(deviation, slope, grid.longest, mean_deviation) for _ in range(n)]
    return FieldPrior(grid, powers, correlation)


def dense(prior):
    """Make a field of each padded pixel of white noise: (F ny nx, F Ny Nx)."""
    grid, n = prior.grid, len(prior)
    basis = torch.eye(n * grid.n_waves).reshape(-1, n, *grid.padded)
    waves = torch.fft.rfft2(basis, norm="ortho")
    return torch.stack([prior.fields(each).reshape(-1) for each in waves], dim=1).double().numpy()


def test_power_law_has_the_deviation_and_slope_that_were_asked_for():
    power = PowerSpectrum.power_law(0.7, 2.6, 100.0)
    np.testing.assert_allclose(power.deviation, 0.7, rtol=1e-3)
    k = np.array([0.01, 0.03, 0.2, 0.7, 1.5])  # between knots, and beyond them
    np.testing.assert_allclose(power.density(k), power.density(0.01) * (k / 0.01) ** -2.6, rtol=1e-10)
    assert np.isfinite(power.density(np.zeros(1)))


@pytest.mark.parametrize("slope", [2.0, 3.5])
def test_fields_have_the_power_spectrum(slope):
    prior = make((60, 64), deviation=0.5, slope=slope, mean_deviation=0.0, n=60)
    grid = prior.grid
    drawn = prior.fields(grid.draw(60, generator()))
    assert drawn.shape == (60, 60, 64)
    k, n, _ = grid.rings
    waves = prior.coloured(grid.draw(60, generator(1))).numpy()
    measured = np.mean([grid.ring_means(np.abs(each) ** 2) for each in waves], axis=0)
    expected = grid.ring_means(prior.spectra[0].density(np.maximum(grid.k, 1e-9)))
    np.testing.assert_allclose(measured, expected, rtol=0.02, atol=5 * expected.max() / np.sqrt(60 * n.min()))
    np.testing.assert_array_less(np.abs(measured / expected - 1), 5 * np.sqrt(2 / (60 * n)))
    np.testing.assert_allclose(np.polyfit(np.log(k), np.log(measured), 1)[0], -slope, atol=0.1)
    variance = (expected * n).sum() / grid.n_waves
    assert 0.2 < variance < 0.45  # 0.25, but that there are few of the longest waves, and corners of the Fourier plane
    np.testing.assert_allclose(drawn.double().var(dim=0).mean(), variance, rtol=0.1)


def test_mean_has_its_own_deviation():
    prior = make((20, 20), n=400, deviation=1e-3, mean_deviation=2.0)
    means = prior.fields(prior.grid.draw(400, generator())).mean(dim=(-2, -1))
    np.testing.assert_allclose(means.std(), 2.0, rtol=0.15)


def test_binned_fields_have_the_statistics_of_fine_ones():
    n = 200
    fine, coarse = make((64, 64), n=n, slope=3.0), make((32, 32), pitch=2.0, n=n, slope=3.0)
    drawn = fine.fields(fine.grid.draw(n, generator()))
    binned = torch.nn.functional.avg_pool2d(drawn, 2).double()
    other = coarse.fields(coarse.grid.draw(n, generator(1))).double()

    def structure(fields, lag):  # the scale by scale variance, whatever the mean
        return float(((fields[..., lag:, :] - fields[..., :-lag, :]) ** 2).mean())

    for lag in (4, 8):
        np.testing.assert_allclose(structure(other, lag), structure(binned, lag), rtol=0.12)


@pytest.mark.parametrize("shape", [(40, 48), (17, 5), (1, 9), (9, 1), (1, 1)])
def test_adjoint_and_inverse(shape):
    prior = make(shape, n=2, correlation=[[1.0, -0.6], [-0.6, 1.0]])
    waves, images = prior.grid.draw(2, generator()), torch.randn((2, *shape), generator=generator(1))
    fields = prior.fields(waves)
    assert fields.shape == (2, *shape)
    there = float((fields * images).sum(dtype=torch.float64))
    back = float(prior.grid.inner(waves, prior.adjoint(images)).sum())
    np.testing.assert_allclose(back, there, rtol=1e-4, atol=1e-4 * float(prior.grid.inner(waves, waves).sum()) ** 0.5)
    torch.testing.assert_close(prior.white(prior.coloured(waves)), waves, rtol=1e-4, atol=1e-4)


def test_inner_products_are_those_of_the_white_noise():
    grid = FieldGrid((7, 12))
    a, b = torch.randn((2, 3, *grid.padded), generator=generator(), dtype=torch.float32)
    waves = [torch.fft.rfft2(each, norm="ortho") for each in (a, b)]
    torch.testing.assert_close(grid.inner(*waves), (a * b).sum(dim=(-2, -1)).double(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(grid.weights.sum(), grid.n_waves - 1)
    k, n, ring = grid.rings
    assert np.all(np.diff(k) > 0)
    np.testing.assert_allclose(n.sum(), grid.n_waves - 1)
    np.testing.assert_allclose(grid.ring_means(np.ones(grid.k.shape)), 1)
    assert np.count_nonzero(ring == 0) == 1


def test_field_without_a_mean_has_a_finite_inverse():
    prior = make((8, 8), mean_deviation=0.0)
    waves = prior.grid.draw(1, generator())
    back = prior.white(prior.coloured(waves))
    assert torch.isfinite(torch.view_as_real(back)).all()
    torch.testing.assert_close(back[..., 1:], waves[..., 1:], rtol=1e-4, atol=1e-4)


def test_correlated_fields_are_correlated():
    rho = 0.8
    prior = make((64, 64), n=2, slope=1.0, mean_deviation=0.0, correlation=[[1.0, rho], [rho, 1.0]])
    found = [
        np.corrcoef(prior.fields(prior.grid.draw(2, generator(seed))).reshape(2, -1).numpy())[0, 1] for seed in range(8)
    ]
    np.testing.assert_allclose(np.mean(found), rho, atol=0.05)


@pytest.mark.parametrize("shape", [(48, 40), (33, 21)])  # the padded sides of the second do not fit each other
def test_finer_pixels_keep_the_field(shape):
    half = tuple(-(-side // 2) for side in shape)
    coarse, fine = make(half, pitch=2.0, slope=4.0, n=2), make(shape, slope=4.0, n=2)
    waves = coarse.grid.draw(2, generator(3))
    moved = fine.fields(coarse.transferred(waves, fine))
    before = coarse.fields(waves)
    even = moved[:, : shape[0] // 2 * 2, : shape[1] // 2 * 2]
    after = torch.nn.functional.avg_pool2d(even, 2)
    there = before[:, : shape[0] // 2, : shape[1] // 2]
    assert (after - there).std() < 0.1 * there.std()


def transposed(prior, waves):
    factor = prior.factor.T.to(waves.dtype)
    return torch.einsum("ij,j...->i...", factor, prior.amplitudes * waves)


def test_conditioner_is_exact_for_an_even_precision():
    prior = make((12, 10), n=2, correlation=[[1.0, 0.5], [0.5, 1.0]])
    waves = prior.grid.draw(2, generator())
    precision = torch.tensor([3.0, 0.5])
    one = prior.conditioner(precision[:, None, None])
    # of 1 + A^T p A, where the padding is seen too, the part of one component alone
    for i in range(2):
        alone = torch.zeros_like(waves)
        alone[i] = waves[i]
        whole = torch.fft.irfft2(prior.coloured(alone), s=prior.grid.padded, norm="ortho") * precision[:, None, None]
        image = alone + transposed(prior, torch.fft.rfft2(whole, norm="ortho"))
        torch.testing.assert_close(one[i] * image[i], waves[i], rtol=1e-3, atol=1e-3)


def test_covariances_of_an_even_precision_are_those_of_the_posterior():
    correlation = [[1.0, 0.7], [0.7, 1.0]]
    prior = make((20, 22), n=2, deviation=0.8, correlation=correlation)
    precision = np.array([[6.0, 2.0], [2.0, 3.0]])
    A = dense(prior)
    information = np.kron(precision, np.eye(20 * 22))
    exact = A @ np.linalg.solve(np.eye(A.shape[1]) + A.T @ information @ A, A.T)
    exact = np.diag(exact).reshape(2, 20, 22)
    by_ring, found = prior.covariances([(np.broadcast_to(precision[:, :, None, None], (2, 2, 5, 11)), None)])
    assert found.shape == (2, 5, 11)
    np.testing.assert_allclose(found, np.broadcast_to(found[:, :1, :1], found.shape), rtol=1e-10)
    np.testing.assert_allclose(found[:, 2, 5], exact[:, 6:-6, 6:-6].mean(axis=(1, 2)), rtol=0.03)
    np.testing.assert_allclose(np.sqrt(found[:, 2, 5]), np.sqrt(exact.mean(axis=(1, 2))), rtol=0.08)
    # without data there is the prior
    rings, alone = prior.covariances([(np.zeros((2, 2, 1, 1)), None)])
    np.testing.assert_allclose(rings, np.broadcast_to(correlation, rings.shape), atol=1e-10)
    np.testing.assert_allclose(alone[:, 0, 0], np.sum(A**2, axis=1).reshape(2, -1).mean(axis=1), rtol=0.02)
    assert np.all(by_ring[:, 0, 0] < rings[:, 0, 0])


def test_variances_follow_the_precision_from_place_to_place():
    prior = make((32, 32), slope=1.5, mean_deviation=0.0)
    precision = np.full((1, 1, 32, 32), 0.2)
    precision[..., 16:] = 20.0
    A = dense(prior)
    weights = precision.ravel()[:, np.newaxis]
    exact = np.diag(A @ np.linalg.solve(np.eye(A.shape[1]) + A.T @ (weights * A), A.T)).reshape(32, 32)
    found = prior.covariances([(precision, None)])[1][0]
    for columns in (slice(3, 11), slice(20, 29)):
        np.testing.assert_allclose(found[:, columns].mean(), exact[:, columns].mean(), rtol=0.1)
    assert found[:, 5].mean() > 4 * found[:, 25].mean()


def noisy(prior, precision, seed):
    """The waves of the posterior's maximum, of fields that were seen everywhere with this noise."""
    grid, n = prior.grid, len(prior)
    white = grid.draw(n, generator(seed))
    noise = torch.fft.rfft2(torch.randn((n, *grid.padded), generator=generator(seed + 1)), norm="ortho")
    return prior.coloured(white) + noise / precision**0.5


def learn(start, seen, precision, n_steps, correlated=0):
    """Steps of learning, from waves that were seen on all padded pixels, with the exact posterior of each."""
    prior, F = start, len(start)
    for _ in range(n_steps):
        size = prior.amplitudes.double().numpy().reshape(F, -1)
        data = seen.numpy().astype(complex).reshape(F, -1)
        covariance = prior.correlation[:, :, None] * size[:, None] * size[None]
        gain = np.linalg.solve((covariance + np.eye(F)[:, :, None] / precision).transpose(2, 0, 1), data.T[..., None])
        mean = np.einsum("ijw,wj->iw", covariance, gain[..., 0]).reshape(seen.shape)
        waves = prior.white(torch.as_tensor(mean, dtype=torch.complex64))
        left, _ = prior.covariances([(precision * np.eye(F)[:, :, None, None], None)])
        prior = prior.learned(waves, left, correlated)
    return prior


@pytest.mark.parametrize("correlated", [0, 1])
def test_power_spectrum_is_learned(correlated):
    truth = make((80, 80), n=1, deviation=0.6, slope=3.2, mean_deviation=1.0)
    start = make((80, 80), n=1, deviation=2.5, slope=2.0, mean_deviation=1.0)
    precision = 40.0
    k = truth.grid.rings[0]
    used = k < 0.12  # where there is more signal than noise
    assert truth.spectra[0].density(k[used]).min() > 1 / precision
    errors = []
    for seed in range(6):
        found = learn(start, noisy(truth, precision, 2 * seed), precision, 12, correlated).spectra[0]
        errors.append(np.log(found.density(k[used]) / truth.spectra[0].density(k[used])))
    assert np.log(start.spectra[0].density(k[used]) / truth.spectra[0].density(k[used])).mean() > 1.5
    assert np.abs(np.mean(errors)) < 0.15
    assert np.std(errors) < 0.5
    assert abs(found.deviation - 0.6) < 0.15


def test_correlation_is_learned_of_those_fields_that_may_have_one():
    rho, found = 0.8, []
    correlation = np.array([[1.0, rho, 0.0], [rho, 1.0, 0.0], [0.0, 0.0, 1.0]])
    truth = make((64, 64), n=3, deviation=0.8, slope=2.0, correlation=correlation)
    for seed in range(4):
        new = learn(make((64, 64), n=3, deviation=0.8, slope=2.0), noisy(truth, 50.0, 10 * seed), 50.0, 8, correlated=2)
        found.append(new.correlation[0, 1])
        assert new.correlation[0, 2] == new.correlation[1, 2] == 0
        np.testing.assert_allclose(np.diag(new.correlation), 1)
    np.testing.assert_allclose(np.mean(found), rho, atol=0.07)


def test_a_correlation_stays_positive_definite():
    # the same field twice: the correlation goes to one, and must leave something to invert
    prior = make((24, 24), n=2, deviation=0.8)
    same = prior.coloured(prior.grid.draw(1, generator()).repeat(2, 1, 1))
    for _ in range(10):
        prior = prior.learned(prior.white(same), np.zeros((len(prior.grid.rings[0]), 2, 2)), correlated=2)
    assert 0.9 < prior.correlation[0, 1] < 1
    assert np.linalg.eigvalsh(prior.correlation).min() > 0
    assert torch.isfinite(prior.factor).all()


def test_field_that_is_not_seen_fades_slowly():
    prior = make((24, 24), n=2, deviation=0.8, slope=3.0)
    left, _ = prior.covariances([(np.zeros((2, 2, 1, 1)), None)])
    new = prior.learned(prior.grid.zeros(2), left, correlated=2)
    for each in new.spectra:
        assert np.all(np.abs(each.logarithms - prior.spectra[0].logarithms) < np.log(100) + 0.5)
    np.testing.assert_allclose(new.correlation, np.eye(2), atol=1e-12)
    for _ in range(30):  # and then there are still numbers
        left, _ = new.covariances([(np.zeros((2, 2, 1, 1)), None)])
        new = new.learned(new.grid.zeros(2), left, correlated=2)
    assert torch.isfinite(new.amplitudes).all()
    assert torch.isfinite(torch.view_as_real(new.white(new.coloured(new.grid.draw(2, generator()))))).all()


def test_blurred_data_count_as_sharp_ones_where_the_blur_leaves_all():
    prior = make((24, 24), n=1, deviation=0.8)
    precision = np.full((1, 1, 4, 4), 5.0)
    sharp = prior.covariances([(precision, None)])
    for part, like in ((np.ones_like, precision), (np.zeros_like, 0 * precision)):
        found = prior.covariances([(precision, part)])
        np.testing.assert_allclose(found[0], prior.covariances([(like, None)])[0])
    both = prior.covariances([(0.25 * precision, None), (3 * precision, lambda k: 0.5)])
    np.testing.assert_allclose(both[0], sharp[0], rtol=1e-10)


def test_fitted_spectrum_is_the_one_that_was_measured():
    grid = FieldGrid((200, 200))
    k, n, _ = grid.rings
    start = PowerSpectrum.power_law(1.0, 2.0, grid.longest)
    truth = PowerSpectrum.power_law(0.3, 3.5, grid.longest)
    found = start.fitted(k, n, truth.density(k))
    few = n < 300  # waves: there what is known beforehand counts, too
    np.testing.assert_allclose(found.density(k[~few]), truth.density(k[~few]), rtol=0.05)
    np.testing.assert_allclose(found.density(k[few]), truth.density(k[few]), rtol=0.3)
