import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import minimize

from astro_lpalm.separation import fit_again, fit_parameters, nearest_parameters
from astro_lpalm.separation.descent import cut_normal, intervals, profile_sources

X = np.linspace(0.0, 1.0, 20)


@dataclass
class Toy:
    """A power law and a bump; only the first two parameters change anything."""

    n_idle: int = 0

    @property
    def bounds(self):
        return np.array([np.zeros(2 + self.n_idle), np.ones(2 + self.n_idle)])

    def spectra(self, theta):
        steep, place = np.moveaxis(np.asarray(theta)[..., :2, np.newaxis], -2, 0)
        A = np.stack([np.exp(-(1 + 3 * steep) * X), 0.02 + np.exp(-(((X - place) / 0.15) ** 2))], axis=-1)
        return A / A.sum(axis=-2, keepdims=True)

    def jacobian(self, theta):
        steps = 1e-6 * np.eye(len(theta))
        slopes = [(self.spectra(theta + step) - self.spectra(theta - step)) / 2e-6 for step in steps]
        return self.spectra(theta), np.stack(slopes, axis=-1)

    def values(self, theta):
        return 10 * np.asarray(theta)

    def slopes(self, theta):
        return np.full(len(theta), 10.0)


TRUTH = np.array([0.4, 0.6])


def draw(rng, counts=2e4, blocks=8, overlap=0.3, theta=TRUTH, model=None):
    S = rng.dirichlet(np.ones(blocks), size=2) * counts * blocks * [[0.5], [0.5]]
    S[0] = (1 - overlap) * S[0] + overlap * S[1]
    return rng.poisson((model or Toy()).spectra(theta) @ S), S


def test_exact_counts_give_the_truth(rng):
    _, S = draw(rng)
    fit = fit_parameters(Toy().spectra(TRUTH) @ S, Toy(), tolerance=1e-12)
    assert fit.converged
    np.testing.assert_allclose(fit.theta, TRUTH, atol=1e-6)
    np.testing.assert_allclose(fit.values, 10 * TRUTH, atol=1e-5)
    np.testing.assert_allclose(fit.sources, S, rtol=1e-4)
    np.testing.assert_allclose(fit.fluxes, S.sum(axis=1), rtol=2e-4)  # of spectra averaged over the errors
    np.testing.assert_allclose(fit.goodness, 0, atol=1e-6)


def test_end_is_the_maximum_of_the_likelihood_and_does_not_depend_on_the_start(rng):
    Y, _ = draw(rng)
    fits = [fit_parameters(Y, Toy(), start, tolerance=1e-10) for start in ([0.5, 0.5], [0.1, 0.7], [[1, 0], [0, 0.4]])]
    np.testing.assert_allclose([fit.theta for fit in fits[1:]], [fits[0].theta] * 2, atol=1e-5)

    def minus(theta):
        return profile_sources(Y.astype(float), Toy().spectra(theta), np.zeros(Y.shape))[1]

    other = minimize(minus, TRUTH, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8})
    np.testing.assert_allclose(fits[0].theta, other.x, atol=1e-4)
    np.testing.assert_allclose(-fits[0].log_likelihood, other.fun, rtol=1e-12)


def test_profiled_sources_are_at_the_maximum_and_some_are_zero(rng):
    A = Toy().spectra(TRUTH)
    S = rng.gamma(0.5, 1000, size=(2, 40)) * (rng.random((2, 40)) < 0.7)
    Y, floor = rng.poisson(A @ S + 0.1).astype(float), np.full((20, 40), 0.1)
    found, value = profile_sources(Y, A, floor)
    gradient = A.T @ (1 - Y / (A @ found + floor))
    assert np.all(found >= 0)
    assert np.any(found == 0)
    assert gradient.min() > -1e-4
    np.testing.assert_allclose(gradient[found > 1], 0, atol=1e-5)
    again, same = profile_sources(Y, A, floor, rng.random((2, 40)) * 1000)
    np.testing.assert_allclose(again, found, atol=1e-2)
    np.testing.assert_allclose(value, same, rtol=1e-12)


def test_pulls_of_fluxes_and_parameters_are_normal(rng):
    pulls = []
    for _ in range(50):
        Y, S = draw(rng, overlap=0.5)
        fit = fit_parameters(Y, Toy())
        assert fit.converged
        true = S.sum(axis=1)
        pulls.append([*(fit.fluxes - true) / fit.flux_errors, *(fit.values - 10 * TRUTH) / fit.errors])
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 0.45)  # three times the error of a mean of 50
    assert np.all(np.abs(np.std(pulls, axis=0) - 1) < 0.3)


def test_errors_of_fluxes_have_what_the_split_leaves_open(rng):
    # of the same counts: apart, each block shows one spectrum as it is; all together, the parameters must tell
    S = np.array([[1e4, 1.0], [1.0, 1e4]])
    apart = fit_parameters(Toy().spectra(TRUTH) @ S, Toy())
    together = fit_parameters((Toy().spectra(TRUTH) @ S).sum(axis=1, keepdims=True), Toy())
    np.testing.assert_allclose(together.fluxes, apart.fluxes, rtol=1e-3)
    assert np.all(together.flux_errors > 1.1 * apart.flux_errors)


def test_sum_of_fluxes_is_known_as_counts_are(rng):
    Y, _ = draw(rng)
    fit = fit_parameters(Y, Toy())
    np.testing.assert_allclose(fit.fluxes.sum(), Y.sum(), rtol=1e-3)
    np.testing.assert_allclose(fit.flux_covariance.sum(), Y.sum(), rtol=0.05)


def test_covariances_of_counts_add_up(rng):
    fit = fit_parameters(draw(rng)[0], Toy())
    np.testing.assert_allclose(fit.counts_covariance.sum(axis=(1, 2)), np.diag(fit.flux_covariance), rtol=1e-6)
    np.testing.assert_allclose(fit.spectra_covariance.sum(axis=(1, 2)), 0, atol=1e-12)  # their sums are one


def test_parameters_the_data_do_not_decide_are_told(rng):
    fit = fit_parameters(draw(rng)[0], Toy(n_idle=1))
    assert fit.undecided.tolist() == [False, False, True]
    np.testing.assert_allclose(fit.errors[2], 10 / np.sqrt(12), rtol=0.05)  # of a uniform distribution
    np.testing.assert_allclose(fit.intervals[:, 2], [1.6, 8.4], atol=0.3)


def test_parameter_beyond_its_range_is_at_the_limit(rng):
    Y, _ = draw(rng, theta=np.array([1.3, 0.5]))
    fit = fit_parameters(Y, Toy())
    assert fit.converged
    assert fit.at_limit.tolist() == [True, False]
    assert fit.theta[0] == 1
    assert fit.errors[0] > 0


def test_counts_drawn_again_are_fitted_from_where_the_fit_of_the_others_has_ended(rng):
    Y, _ = draw(rng)
    background = np.full((20, 8), 300.0)
    start = fit_parameters(Y + background, Toy(), background=background, free_background=True)
    drawn = rng.poisson(Y + background)
    whole = fit_parameters(drawn, Toy(), background=background, free_background=True)
    begun = start.theta, start.background_amplitude
    spectra, amplitude = fit_again(drawn, Toy(), *begun, background=background, free_background=True)
    error = np.sqrt(np.diagonal(whole.spectra_covariance, axis1=1, axis2=2)).T
    assert np.abs(whole.spectra - start.spectra).max() > 0.3 * error.max()  # so that it had to move
    assert np.all(np.abs(spectra - whole.spectra) < 0.2 * error)  # of averages over 400 draws
    assert abs(amplitude - whole.background_amplitude) < 0.05 * whole.background_error
    _, amplitude = fit_again(drawn, Toy(), start.theta, background=background)
    assert amplitude == 1.0


def test_free_background_is_found(rng):
    Y, S = draw(rng)
    background = np.outer(np.linspace(0.1, 1, 20), np.linspace(200, 400, 8))
    fit = fit_parameters(Y + rng.poisson(1.5 * background), Toy(), background=background, free_background=True)
    assert abs(fit.background_amplitude - 1.5) < 4 * fit.background_error < 0.4
    assert np.all(np.abs(fit.fluxes - S.sum(axis=1)) < 4 * fit.flux_errors)
    fixed = fit_parameters(Y + rng.poisson(1.5 * background), Toy(), background=1.5 * background)
    assert fixed.background_amplitude == 1
    assert np.all(fixed.flux_errors < fit.flux_errors)


def test_free_backgrounds_of_several_observations(rng):
    class Twice(Toy):  # two observations by the same instrument
        def spectra(self, theta):
            return 0.5 * np.concatenate([super().spectra(theta)] * 2, axis=-2)

    Y, S = draw(rng, model=Twice())
    background = np.outer(np.tile(np.linspace(0.1, 1, 20), 2), np.linspace(200, 400, 8))
    true = np.repeat([0.7, 1.5], 20)[:, np.newaxis] * background
    Y = Y + rng.poisson(true)
    fit = fit_parameters(Y, Twice(), background=background, free_background=[True, True])
    assert np.all(np.abs(fit.background_amplitude - [0.7, 1.5]) < 4 * fit.background_error)
    assert np.all(fit.background_error < 0.1)
    assert np.all(np.abs(fit.fluxes - S.sum(axis=1)) < 4 * fit.flux_errors)
    np.testing.assert_allclose(fit.background_draws.std(axis=0), fit.background_error, rtol=0.2)
    np.testing.assert_allclose(np.sum(fit.background_directions**2, axis=0), fit.background_error**2)
    ways = np.einsum("qik,qjk->kij", fit.directions, fit.directions)
    np.testing.assert_allclose(ways, fit.spectra_covariance, atol=1e-12)
    known = np.concatenate([0.7 * background[:20], background[20:]])
    one = fit_parameters(Y, Twice(), background=known, free_background=[False, True])
    assert one.background_amplitude[0] == 1
    assert one.background_error[0] == 0
    assert abs(one.background_amplitude[1] - 1.5) < 4 * one.background_error[1]
    assert np.all(one.background_draws[:, 0] == 1)
    with pytest.raises(ValueError, match="free_background is of 3 observations, but counts has 40 rows"):
        fit_parameters(Y, Twice(), background=background, free_background=[True] * 3)


def test_block_without_counts_has_no_sources(rng):
    Y, _ = draw(rng)
    fit = fit_parameters(np.column_stack([Y, np.zeros(20)]), Toy())
    assert np.all(fit.sources[:, -1] == 0)
    np.testing.assert_allclose(fit.theta, fit_parameters(Y, Toy()).theta, atol=1e-9)


def test_nearest_parameters_are_those_of_the_spectra():
    theta = nearest_parameters(Toy().spectra(TRUTH) * [3.0, 0.1], Toy())
    np.testing.assert_allclose(theta, TRUTH, atol=1e-5)


def test_same_counts_give_the_same_numbers(rng):
    Y, _ = draw(rng)
    first, second = fit_parameters(Y, Toy()), fit_parameters(Y, Toy())
    np.testing.assert_array_equal(first.covariance, second.covariance)


def test_wrong_input_is_told(rng):
    Y, _ = draw(rng)
    with pytest.raises(ValueError, match="counts has 1 negative values, so it is no counts"):
        fit_parameters(np.where(np.arange(Y.size).reshape(Y.shape) == 7, -1, Y), Toy())
    with pytest.raises(ValueError, match=r"start has shape \(3,\), but the model has 2 parameters"):
        fit_parameters(Y, Toy(), [0.5, 0.5, 0.5])
    with pytest.raises(ValueError, match=r"background has shape \(3, 3\), but must have that of the counts, \(20, 8\)"):
        fit_parameters(Y, Toy(), background=np.ones((3, 3)))
    with pytest.raises(ValueError, match="background has values that are negative, NaN or infinite"):
        fit_parameters(Y, Toy(), background=-np.ones(Y.shape))
    with pytest.raises(ValueError, match="free_background is true, but there is no background"):
        fit_parameters(Y, Toy(), free_background=True)


def test_intervals_have_the_likeliest_value_within():
    draws = np.random.default_rng(0).normal(size=(20_000, 4))
    low, high = intervals(draws, np.array([0.0, -1.5, 2.5, -9.0]))
    shares = ((draws > low) & (draws < high)).mean(axis=0)
    np.testing.assert_allclose(shares, 0.6827, atol=1e-3)
    np.testing.assert_allclose([low[0], high[0]], [-1, 1], atol=0.05)
    assert low[1] < -1.7
    assert high[2] > 2.6
    assert low[3] == draws[:, 3].min()  # beyond all of them


def test_draws_within_bounds_have_the_moments_of_a_cut_normal_distribution():
    # of two independent parameters the first is cut at zero, half of a normal distribution
    draws = cut_normal(np.array([0.0, 0.5]), np.zeros(2), np.diag([100.0, 400.0]), np.array([[0.0, 0.0], [1.0, 1.0]]))
    np.testing.assert_allclose(draws.mean(axis=0), [0.1 * np.sqrt(2 / np.pi), 0.5], atol=0.004)
    np.testing.assert_allclose(draws.std(axis=0), [0.1 * np.sqrt(1 - 2 / np.pi), 0.05], rtol=0.04)
    assert draws.min() >= 0


def test_few_counts_give_large_errors_and_no_failure(rng):
    for counts in (3, 30, 300):
        Y, S = draw(rng, counts=counts, blocks=1)
        if Y.any():
            fit = fit_parameters(Y, Toy())
            assert np.all(np.isfinite(fit.flux_errors))
            assert np.all(np.abs(fit.fluxes - S.sum(axis=1)) < 5 * fit.flux_errors)


def in_blocks(rng, width=0.0, blocks=8, per_block=2e4, exact=False):
    """Counts of blocks whose first parameter differs from the truth, and the spectra there."""
    theta = np.tile(TRUTH, (blocks, 1))
    theta[:, 0] += width * rng.standard_normal(blocks)
    theta[:, 0] += TRUTH[0] - theta[:, 0].mean()
    S = rng.uniform(0.2, 0.8, (2, blocks)) * per_block
    A = Toy().spectra(theta)
    expected = np.einsum("bmn,nb->mb", A, S)
    return (expected if exact else rng.poisson(expected)), S, A / Toy().spectra(TRUTH)


def same(first, second, rtol=1e-10):
    for field in dataclasses.fields(first):
        np.testing.assert_allclose(
            getattr(first, field.name), getattr(second, field.name), rtol=rtol, atol=1e-10, err_msg=field.name
        )


def test_local_spectra_of_ones_and_no_deviations_change_nothing(rng):
    Y, _ = draw(rng)
    fit = fit_parameters(Y, Toy())
    same(fit_parameters(Y, Toy(), local=np.ones((8, 20, 2))), fit, rtol=1e-5)
    same(fit_parameters(Y, Toy(), deviations={}), fit)
    same(fit_parameters(Y, Toy(), deviations={0: np.zeros((8, 8)), 1: np.zeros((8, 8))}), fit, rtol=1e-7)


@pytest.mark.parametrize("empty", [False, True])
def test_local_spectra_undo_a_change_from_block_to_block(rng, empty):
    Y, S, local = in_blocks(rng, 0.2, exact=True)
    if empty:
        Y, S = Y * (np.arange(8) != 3), S * (np.arange(8) != 3)
    fit = fit_parameters(Y, Toy(), local=local, tolerance=1e-12)
    np.testing.assert_allclose(fit.theta, TRUTH, atol=1e-5)
    np.testing.assert_allclose(fit.sources, S, rtol=1e-3)
    np.testing.assert_allclose(fit.fluxes, S.sum(axis=1), rtol=2e-3)
    np.testing.assert_allclose(fit.goodness, 0, atol=1e-6)
    mean = np.einsum("kb,bik->ik", S / S.sum(axis=1, keepdims=True), local * Toy().spectra(TRUTH))
    np.testing.assert_allclose(fit.spectra, mean, rtol=0.01)
    np.testing.assert_allclose(fit.spectra.sum(axis=0), 1, rtol=1e-3)
    without = fit_parameters(Y, Toy(), tolerance=1e-12)
    assert np.abs(without.fluxes - S.sum(axis=1)).max() > 5 * np.abs(fit.fluxes - S.sum(axis=1)).max()


def test_pulls_with_local_spectra_are_normal(rng):
    pulls = []
    for _ in range(30):
        Y, S, local = in_blocks(rng, 0.2)
        fit = fit_parameters(Y, Toy(), local=local)
        pulls.append([*(fit.fluxes - S.sum(axis=1)) / fit.flux_errors, *(fit.values - 10 * TRUTH) / fit.errors])
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 0.6)
    assert np.all(np.abs(np.std(pulls, axis=0) - 1) < 0.4)


def test_freedom_of_the_blocks_widens_errors(rng):
    Y, _ = draw(rng)
    fit = fit_parameters(Y, Toy())
    errors = [fit.errors]
    for width in (0.02, 0.1):
        free = fit_parameters(Y, Toy(), deviations={0: width**2 * np.eye(8)})
        np.testing.assert_allclose(free.theta, fit.theta, atol=1e-12)
        errors.append(free.errors)
        assert np.all(free.flux_errors > fit.flux_errors)
        assert np.linalg.eigvalsh(free.value_covariance).min() > 0
    assert np.all(np.diff(np.array(errors)[:, 0]) > 0)
    # blocks that are all free say of their common parameter what their scatter lets them
    np.testing.assert_allclose(errors[2][0], np.hypot(errors[0][0], 10 * 0.1 / np.sqrt(8)), rtol=0.2)


def test_errors_hold_where_blocks_deviate(rng):
    width, pulls, bare = 0.08, [], []
    for _ in range(30):
        theta = np.tile(TRUTH, (8, 1))
        theta[:, 0] += width * rng.standard_normal(8)
        S = rng.uniform(0.2, 0.8, (2, 8)) * 2e4
        Y = rng.poisson(np.einsum("bmn,nb->mb", Toy().spectra(theta), S))
        fit = fit_parameters(Y, Toy(), deviations={0: width**2 * np.eye(8)})
        pulls.append((fit.values[0] - 10 * TRUTH[0]) / fit.errors[0])
        fit = fit_parameters(Y, Toy())
        bare.append((fit.values[0] - 10 * TRUTH[0]) / fit.errors[0])
    assert np.std(pulls) < 1.4 < np.std(bare)
    assert np.std(pulls) > 0.6


def test_blocks_without_counts_have_no_part_in_deviations(rng):
    Y, _ = draw(rng)
    more = np.insert(Y, 3, 0, axis=1)
    known = rng.normal(0, 0.05, (8, 8))
    known = known @ known.T
    wide = np.insert(np.insert(known, 3, 0.3, axis=0), 3, 0.3, axis=1)
    first = fit_parameters(Y, Toy(), deviations={0: known})
    second = fit_parameters(more, Toy(), deviations={0: wide}, local=np.ones((9, 20, 2)))
    np.testing.assert_allclose(second.errors, first.errors, rtol=1e-5)
    np.testing.assert_allclose(second.flux_covariance, first.flux_covariance, rtol=1e-5)


def test_wrong_local_spectra_and_deviations_are_told(rng):
    Y, _ = draw(rng)
    for shape in ((7, 20, 2), (8, 20, 3), (8, 20), ()):
        with pytest.raises(ValueError, match=r"local has shape .*, but must have .*\(8, 20, 2\)"):
            fit_parameters(Y, Toy(), local=np.ones(shape))
    with pytest.raises(ValueError, match=r"deviations of parameter 0 have shape \(2, 2\), but must have .*\(8, 8\)"):
        fit_parameters(Y, Toy(), deviations={0: np.ones((2, 2))})


def test_flux_errors_are_those_of_the_whole_linear_problem(rng):
    # of sources of all blocks, common parameters, and deviations of the first one that are known beforehand
    Y, S = draw(rng, blocks=4, overlap=0.6)
    known = 0.05**2 * (0.7 * np.eye(4) + 0.3)
    fit = fit_parameters(Y, Toy(), deviations={0: known})
    A, D = Toy().jacobian(fit.theta)
    J, weights = np.zeros((4, 20, 8 + 2 + 4)), np.zeros((4, 20))
    for b in range(4):
        J[b, :, 2 * b : 2 * b + 2] = A
        J[b, :, 8:10] = np.einsum("mnp,n->mp", D, fit.sources[:, b])
        J[b, :, 10 + b] = J[b, :, 8]
        weights[b] = 1 / (A @ fit.sources[:, b])
    information = np.einsum("bmi,bm,bmj->ij", J, weights, J)
    information[10:, 10:] += np.linalg.inv(known)
    whole = np.linalg.inv(information)
    total = np.zeros((2, 14))
    total[0, 0:8:2] = total[1, 1:8:2] = 1
    np.testing.assert_allclose(fit.flux_covariance, total @ whole @ total.T, rtol=0.05, atol=0.02 * S.sum())
    np.testing.assert_allclose(fit.covariance, whole[8:10, 8:10], rtol=0.1, atol=0.02 * fit.covariance.max())
