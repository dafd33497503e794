import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.optimize import minimize
from scipy.special import gammaln

from astro_lpalm.forward import count_blocks
from astro_lpalm.separation import CountRefinement, Factorization, nmse, poisson_sources, refine_counts
from astro_lpalm.separation import poisson as poisson_module
from astro_lpalm.spectra import SpectralPrior


def bumps(m=12, n=3):
    energies = np.linspace(0, 1, m)[:, np.newaxis]
    A = 0.1 + np.exp(-(((energies - np.linspace(0.2, 0.8, n)) / 0.2) ** 2))
    return A / np.linalg.norm(A, axis=0)


def library(mean, spread):
    """Everything may vary by as much."""
    m, n = mean.shape
    principal = np.broadcast_to(np.eye(m), (n, m, m))
    return SpectralPrior(mean=mean.T, principal=principal, spread=np.full((n, m), spread), remainder=np.zeros((n, m)))


def sparse_sources(rng, n=3, t=60, counts=2000.0):
    return rng.gamma(0.4, counts, size=(n, t))


def log_likelihood(X, A, S, background=0.0):
    fit = A @ S + background
    return np.sum(X * np.log(fit) - fit)


def test_one_component_is_the_sum_of_counts(rng):
    X = rng.poisson(bumps(n=1) @ rng.gamma(1.0, 20.0, size=(1, 50)))
    found = refine_counts(X, Factorization(np.ones((12, 1)), None), library(bumps(n=1), 1e4), tolerance=1e-9)
    total = X.sum(axis=1)
    np.testing.assert_allclose(found.spectra[:, 0], total / np.linalg.norm(total), rtol=1e-5)


def test_strict_library_is_an_order(rng):
    A = bumps()
    X = rng.poisson(A @ sparse_sources(rng))
    other = A + 0.05 * rng.random(A.shape)
    other /= np.linalg.norm(other, axis=0)
    found = refine_counts(X, Factorization(A, None), library(other, 0.0))
    assert np.abs(found.spectra - other).max() < 0.005 < np.abs(A - other).max()


def test_bound_of_one_component_is_the_integral(rng):
    Y, p = rng.poisson(5.0, size=(6, 4)).astype(float), rng.dirichlet(np.ones(6))[:, np.newaxis]
    a, bound = CountRefinement()._source_posterior(Y, p, np.zeros_like(Y), np.ones((1, 4)))
    np.testing.assert_allclose(a[0], 0.4 + Y.sum(axis=0), rtol=1e-3)
    exact = (Y * np.log(p)).sum(axis=0) + gammaln(0.4 + Y.sum(axis=0))
    np.testing.assert_allclose(bound, exact, atol=1e-3)


def test_bound_of_two_components_is_below_the_integral():
    p, y = np.array([[0.6, 0.1], [0.3, 0.3], [0.1, 0.6]]), np.array([[7.0], [4.0], [5.0]])
    background = np.full((3, 1), 0.5)

    def integrand(w, v):  # over u = w^10, which takes away the peak of u^-0.9 at zero
        u = np.array([v, w]) ** 10
        fit = p @ u + background[:, 0]
        return 100 * np.exp(np.sum(y[:, 0] * np.log(fit)) - u.sum() - 20)

    exact = np.log(dblquad(integrand, 0, 1.6, 0, 1.6, epsabs=1e-6)[0]) + 20
    _, bound = CountRefinement(sparsity=0.1)._source_posterior(y, p, background, np.full((2, 1), 5.0))
    assert exact - 1.5 < bound < exact


def test_sources_end_where_the_bound_is_largest(rng):
    Y, A = rng.poisson(bumps() @ sparse_sources(rng, counts=10.0)).astype(float), bumps()
    floor = np.full_like(Y, 0.1)
    a, bound = CountRefinement()._source_posterior(Y, A, floor, np.full((3, 60), 2.0))
    for _ in range(20):
        trial = a * np.exp(0.1 * rng.standard_normal(a.shape))
        assert CountRefinement()._bound(Y, A / A.sum(axis=0), floor, trial).sum() < bound.sum()


@pytest.mark.parametrize("counts", [30, 1000])
def test_wrong_components_are_exchanged_where_counts_decide(rng, counts):
    A, step = bumps(n=4), CountRefinement(sparsity=0.1)
    truth, wrong = np.full((4, 40), 0.1), np.full((4, 40), 0.1)
    truth[[0, 1]] = counts / 2
    wrong[[0, 2]] = counts / 2  # for which nothing leads back, step by step
    Y = rng.poisson(A / A.sum(axis=0) @ truth).astype(float)
    floor = np.zeros_like(Y)
    _, right = step._source_posterior(Y, A, floor, truth)
    a, before = step._source_posterior(Y, A, floor, wrong)
    found, gain = step._likelier_sources(Y, A, floor, a)
    after = step._bound(Y, A / A.sum(axis=0), floor, found)
    assert gain == pytest.approx((after - before).sum())
    changed = (found != a).any(axis=0)
    assert np.all((after - before)[changed] > 3)
    assert (after > right - 3).all() if counts > 100 else not changed.all()
    assert (before < right - 10).all() == (counts > 100)


def test_posterior_never_falls_and_ends_at_a_maximum(rng):
    A, S = bumps(), sparse_sources(rng, counts=50.0)
    X, known = rng.poisson(A @ S + 0.2).astype(float), library(bumps(), 0.1)
    options = {"background": 0.2, "tolerance": 1e-4}
    found = refine_counts(X, Factorization(A + 0.1 * rng.random(A.shape), None), known, **options)
    assert found.converged
    assert found.n_iter == len(found.history["log_posterior"]) > 2
    assert np.all(np.diff(found.history["log_posterior"]) >= 0)
    # Sources are started anew, so another maximum next to this one may be found, but no other spectra.
    again = refine_counts(X, found, known, **options)
    assert again.history["log_posterior"][-1] == pytest.approx(found.history["log_posterior"][-1], abs=10)
    np.testing.assert_allclose(again.spectra, found.spectra, atol=0.03)


def test_gradient_is_that_of_the_bound(rng):
    A = bumps()
    Y = rng.poisson(A @ sparse_sources(rng, counts=50.0)).astype(float)
    floor, mean, factors = np.full_like(Y, 0.3), A, np.broadcast_to(1e-3 * np.eye(12), (3, 12, 12))
    z = rng.standard_normal((3, 12))

    def value(z):
        spectra, _ = poisson_module._spectra(mean, factors, z)
        a, bound = CountRefinement()._source_posterior(Y, spectra, floor, np.full((3, 60), 2.0))
        for _ in range(5):
            a, bound = CountRefinement()._source_posterior(Y, spectra, floor, a)
        return bound.sum() - 0.5 * np.sum(z**2), a

    _, a = value(z)
    step = CountRefinement()._newton_step(Y, poisson_module._spectra(mean, factors, z)[0], floor, a, z, factors)
    gained = [value(z + size * step)[0] for size in (-0.1, 0.1, 1.0)]
    slope = (gained[1] - gained[0]) / 0.2
    # A Newton step gains half of what its slope promises; a quadratic function, exactly so.
    assert gained[2] - value(z)[0] == pytest.approx(0.5 * slope, rel=0.25)


def test_few_counts_do_not_bias_the_spectra():
    # 100 simulations of 40 blocks of some 12 counts. Fitted sources, by alternating the two closed forms of expectation
    # maximization, show what is avoided.
    A = bumps(n=2)
    sums = {"fitted": [], "averaged over": []}
    for seed in range(100):
        rng = np.random.default_rng(seed)
        S = rng.gamma(0.3, 12.0, size=(2, 40))
        X = rng.poisson(A @ S).astype(float)
        sums["averaged over"].append(refine_counts(X, Factorization(A, None), library(A, 0.3), sparsity=0.1).spectra)
        fitted, sources = A, S + 0.1
        for _ in range(30):
            sources = sources * (fitted.T @ (X / (fitted @ sources + 1e-9))) / fitted.sum(axis=0)[:, np.newaxis]
            fitted = fitted * ((X / (fitted @ sources + 1e-9)) @ sources.T) / sources.sum(axis=1)
        sums["fitted"].append(fitted / np.linalg.norm(fitted, axis=0))
    bias = {name: np.linalg.norm(np.mean(each, axis=0) - A) for name, each in sums.items()}
    assert bias["averaged over"] < 0.5 * bias["fitted"]
    assert bias["averaged over"] < 0.05


def test_many_counts_reach_the_bound_of_fisher():
    # Errors are compared with the inverse of the information, from its definition: derivatives of A S in all unknowns.
    A, rng = bumps(m=8, n=2), np.random.default_rng(3)
    S = rng.gamma(0.5, 1e5, size=(2, 20)) + 1e3
    spread, (m, n), t = 0.02, A.shape, S.shape[1]
    weights = 1 / (A @ S)
    jacobian = np.zeros((m, t, m * n + n * t))
    for i in range(m):
        for k in range(n):
            jacobian[i, :, i * n + k] = S[k]
    for j in range(t):
        for k in range(n):
            jacobian[:, j, m * n + k * t + j] = A[:, k]
    flat = jacobian.reshape(m * t, -1)
    information = (flat * weights.reshape(-1, 1)).T @ flat
    information[range(m * n), range(m * n)] += 1 / spread**2
    covariance = np.linalg.inv(information)[: m * n, : m * n]
    # Only the shapes of spectra are compared, so the direction of each column is taken out.
    across = np.kron(np.eye(m), np.eye(n)) - np.einsum("ik,jl,kl->ikjl", A, A, np.eye(n)).reshape(m * n, m * n)
    expected = np.trace(across @ covariance @ across)
    errors = []
    for _ in range(40):
        truth = A + spread * rng.standard_normal(A.shape)  # a draw from the library
        X = rng.poisson(truth @ S).astype(float)
        truth /= np.linalg.norm(truth, axis=0)
        found = refine_counts(X, Factorization(A, None), library(A, spread), tolerance=1e-4)
        errors.append(np.sum((found.spectra - truth) ** 2))
    assert 0.5 * expected < np.mean(errors) < 1.3 * expected


def test_background_is_taken_into_account(rng):
    A, S = bumps(), sparse_sources(rng, counts=1000.0)
    background = np.linspace(0, 80, 12)[:, np.newaxis] * np.ones(60)
    X = rng.poisson(A @ S + background)
    known, start = library(A, 0.1), Factorization(A, None)
    error = nmse(refine_counts(X, start, known, background=background).spectra, A)
    assert error < 0.4 * nmse(refine_counts(X, start, known).spectra, A)
    found = refine_counts(X, start, known, background=background)
    assert found.sources.sum() == pytest.approx(S.sum(), rel=0.05)


@pytest.mark.parametrize("background", [None, np.arange(12.0)[:, np.newaxis]], ids=["column", "none"][::-1])
def test_blocks_are_sums(rng, background):
    A = bumps()
    X = rng.poisson(A @ sparse_sources(rng, t=60) + (0 if background is None else background))
    blocks = rng.permutation(np.repeat(np.arange(20), 3))
    summed = np.stack([X[:, blocks == number].sum(axis=1) for number in range(20)], axis=1)
    known, start = library(A, 0.05), Factorization(A, None)
    found = refine_counts(X, start, known, blocks=blocks, background=background)
    more = None if background is None else 3 * background
    np.testing.assert_allclose(found.spectra, refine_counts(summed, start, known, background=more).spectra, rtol=1e-6)
    assert found.sources.shape == (3, 60)


def test_nothing_where_there_is_nothing(rng):
    A, S = bumps(), sparse_sources(rng, counts=100.0)
    S[2] = 0.0
    X = rng.poisson(A @ S)
    X[:, 5:9], X[3] = 0, 0
    known = library(A, 0.05)
    found = refine_counts(X, Factorization(A + 0.05 * rng.random(A.shape), None), known)
    assert np.isfinite(found.spectra).all()
    assert np.isfinite(found.sources).all()
    assert np.all(found.spectra >= 0)
    np.testing.assert_allclose(np.linalg.norm(found.spectra, axis=0), 1.0)
    assert np.all(found.spectra[3, :2] < 0.5 * A[3, :2])  # an energy without counts
    assert np.linalg.norm(found.spectra[:, 2] - A[:, 2]) < 0.1  # a component without counts


def test_precision_and_norm_of_the_start(rng):
    A = bumps()
    X, known = rng.poisson(A @ sparse_sources(rng)), library(A, 0.05)
    found = refine_counts(X, Factorization(A, None), known)
    single = refine_counts(X.astype(np.float32), Factorization(1000 * A, None), known)
    assert single.spectra.dtype == single.sources.dtype == np.float32
    np.testing.assert_allclose(single.spectra, found.spectra, atol=1e-5)


def test_poisson_sources_are_the_most_likely_ones(rng):
    A = bumps()
    X = rng.poisson(A @ rng.gamma(0.5, 20.0, size=(3, 6)) + 0.5).astype(float)
    S = poisson_sources(X, A, background=0.5, n_rounds=20000)
    for x, s in zip(X.T, S.T):
        best = minimize(
            lambda s, x: -log_likelihood(x, A, s, 0.5),
            np.ones(3),
            args=(x,),
            jac=lambda s, x: A.sum(axis=0) - A.T @ (x / (A @ s + 0.5)),
            bounds=[(0, None)] * 3,
            tol=1e-14,
        )
        np.testing.assert_allclose(s, best.x, atol=2e-2)


def test_poisson_sources_climb_and_keep_the_counts(rng):
    A = bumps()
    X = rng.poisson(A @ sparse_sources(rng, counts=5.0)).astype(float)
    steps = [poisson_sources(X, A, n_rounds=n) for n in (1, 2, 3, 10, 30)]
    likelihoods = [log_likelihood(X, A, S + 1e-300) for S in steps]
    assert np.all(np.diff(likelihoods) > 0)
    for S in steps:
        assert S.min() >= 0
        np.testing.assert_allclose((A @ S).sum(axis=0), X.sum(axis=0), atol=1e-9)


def test_blocks_have_about_the_same_counts(rng):
    y, x = np.indices((40, 50)) - 20
    image = rng.poisson(20 * np.exp(-(y**2 + x**2) / 200))
    mask = np.zeros(image.shape, dtype=bool)
    mask[:, 30:35] = True
    labels = count_blocks(image, mask, n_most=16)
    sums = np.bincount(labels, weights=image[~mask])
    assert labels.shape == (np.count_nonzero(~mask),)
    assert len(sums) == 16
    assert sums.max() < 1.5 * sums.min()
    for number in range(16):  # each block fills its rectangle
        place = np.zeros(image.shape, dtype=bool)
        place[~mask] = labels == number
        rows, columns = np.flatnonzero(place.any(axis=1)), np.flatnonzero(place.any(axis=0))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert np.all(place[box] | mask[box])


@pytest.mark.parametrize(
    ("image", "options", "n_blocks"),
    [
        (np.full((8, 8), 100), {"n_most": 8}, 8),
        (np.full((8, 8), 100), {"n_most": 7}, 4),
        (np.full((8, 8), 100), {"fewest": 1000}, 4),
        (np.full((2, 2), 1e4), {}, 4),
        (np.full((8, 8), 100), {}, 16),
        (np.full((8, 8), 100), {"per_root": 0}, 64),
        (np.zeros((8, 8)), {}, 1),
        (np.pad([[1e5]], 3), {"n_most": 4}, 4),
    ],
)
def test_number_of_blocks(image, options, n_blocks):
    labels = count_blocks(image, **options)
    assert np.array_equal(np.unique(labels), np.arange(n_blocks))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"X": -np.ones((12, 5))}, "X has values that are negative"),
        ({"X": np.zeros((12, 5))}, "zero everywhere"),
        ({"background": -1.0}, "background has values that are negative"),
        ({"background": np.ones((3, 5))}, r"background has shape \(3, 5\)"),
        ({"background": np.nan}, "background has values"),
        ({"blocks": np.zeros(4, dtype=int)}, "blocks must be 5 whole numbers"),
        ({"blocks": np.zeros(5)}, "type float64"),
        ({"prior": library(bumps(n=2), 0.1)}, "library's spectra"),
        ({"factorization": Factorization(np.ones((11, 3)), None)}, "spectra has 11 energies"),
    ],
)
def test_refine_counts_says_what_is_wrong(change, match):
    given = {"X": np.ones((12, 5)), "factorization": Factorization(bumps(), None), "prior": library(bumps(), 0.1)}
    with pytest.raises(ValueError, match=match):
        refine_counts(**given | change)


def test_poisson_sources_say_what_is_wrong():
    with pytest.raises(ValueError, match="spectra has negative values"):
        poisson_sources(np.ones((12, 5)), -bumps())
    with pytest.raises(ValueError, match="X has values that are negative"):
        poisson_sources(-np.ones((12, 5)), bumps())


def test_settings(rng):
    A = bumps()
    X, prior = rng.poisson(A @ sparse_sources(rng)), library(A, 0.05)
    start = Factorization(A + 0.05 * rng.random(A.shape), None)
    expected = refine_counts(X, start, prior, n_rounds=2, sparsity=0.3)
    found = CountRefinement(n_rounds=2, sparsity=0.3)(X, start, prior)
    assert found.n_iter == 2
    np.testing.assert_array_equal(found.spectra, expected.spectra)
    assert not np.array_equal(found.spectra, refine_counts(X, start, prior, n_rounds=2).spectra)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sparsity", 0.0, "sparsity is 0, but must be positive"),
        ("decisive_gain", -1.0, "decisive_gain is -1.0, but must be a number from zero up"),
        ("source_rounds", 2.5, "source_rounds is 2.5, but must be a whole number from zero up"),
    ],
)
def test_bad_settings(name, value, message):
    with pytest.raises(ValueError, match=message):
        CountRefinement(**{name: value})
