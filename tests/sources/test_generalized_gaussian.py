import warnings

import numpy as np
import pytest
from astropy.utils.exceptions import AstropyUserWarning
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.special import gamma, polygamma, psi

from astro_lpalm.sources import GeneralizedGaussian

SHAPES = [0.2, 0.35, 0.5, 1.0, 1.5, 2.0]


def errors_of_an_efficient_fit(scale, shape, count):
    """Cramer-Rao bounds on scale and shape: the best standard deviations that any fit to so many values can have.

    With z = |x / scale|**shape, which has a gamma distribution of parameter a = 1 / shape, the derivatives of the log
    density are (shape z - 1) / scale and constant - z log(z) / shape.
    """
    a = 1 / shape
    log_moment = a * psi(a + 1)  # E z log z
    information = np.empty((2, 2))
    information[0, 0] = shape / scale**2
    information[0, 1] = information[1, 0] = (a * log_moment - a * (a + 1) * psi(a + 2)) / scale
    information[1, 1] = (a * (a + 1) * (psi(a + 2) ** 2 + polygamma(1, a + 2)) - log_moment**2) / shape**2
    return np.sqrt(np.diag(np.linalg.inv(count * information)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fraction", [0.15, 1.0])
def test_draws_follow_the_density(shape, fraction):
    source = GeneralizedGaussian(fraction, scale=3e-4, shape=shape, loc=1e-4)
    values = source.draw(20_000, seed=5)
    nonzero = values[values != 0]
    assert abs(nonzero.size - fraction * values.size) < 1
    expected = stats.gennorm(shape, loc=1e-4, scale=3e-4)
    assert stats.kstest(nonzero, expected.cdf).pvalue > 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_variance_has_its_closed_form(shape):
    values = GeneralizedGaussian(1.0, scale=2.0, shape=shape).draw(400_000, seed=1)
    # Its uncertainty is that of a mean of squares, from the fourth moment.
    variance = 4 * gamma(3 / shape) / gamma(1 / shape)
    fourth = 16 * gamma(5 / shape) / gamma(1 / shape)
    assert abs(np.mean(values**2) - variance) < 4 * np.sqrt((fourth - variance**2) / values.size)
    assert abs(np.mean(values)) < 4 * np.sqrt(variance / values.size)


@pytest.mark.parametrize(
    ("shape", "same"),
    [(2.0, stats.norm(scale=3 / np.sqrt(2))), (1.0, stats.laplace(scale=3))],
    ids=["Gauss", "Laplace"],
)
def test_shapes_2_and_1_are_gaussian_and_laplace(shape, same):
    assert stats.kstest(GeneralizedGaussian(1, 3.0, shape).draw(50_000, seed=2), same.cdf).pvalue > 0.01


def test_zeros_are_at_random_places():
    values = GeneralizedGaussian(0.3, 1.0, 0.5).draw(100_000, seed=3)
    per_block = np.count_nonzero(values.reshape(100, 1000), axis=1)
    assert abs(per_block.mean() - 300) < 0.01
    assert 0.7 < per_block.var() / (1000 * 0.3 * 0.7) < 1.4
    halves = values[: len(values) // 2], values[len(values) // 2 :]
    assert stats.ks_2samp(*[half[half != 0] for half in halves]).pvalue > 0.01


def test_number_of_nonzeros_is_right_on_average_in_small_draws():
    source, rng = GeneralizedGaussian(0.25, 1.0, 1.0), np.random.default_rng(4)
    counts = [np.count_nonzero(source.draw(6, rng)) for _ in range(2000)]
    assert set(counts) == {1, 2}
    assert abs(np.mean(counts) - 1.5) < 4 * 0.5 / np.sqrt(2000)


def test_a_seed_is_an_integer_or_a_generator():
    source = GeneralizedGaussian(0.5, 1.0, 0.4)
    assert_array_equal(source.draw(100, seed=7), source.draw(100, np.random.default_rng(7)))
    assert not np.array_equal(source.draw(100, seed=7), source.draw(100, seed=8))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fraction", [0.15, 0.76])
def test_likelihood_fit_finds_the_truth_as_well_as_can_be(shape, fraction):
    t, scale, n_draws = 100_000, 2.5e-7, 6
    source = GeneralizedGaussian(fraction, scale, shape)
    fits = [GeneralizedGaussian.fit(source.draw(t, seed)) for seed in range(n_draws)]
    assert_allclose([fit.fraction for fit in fits], fraction, atol=1 / t)
    bounds = errors_of_an_efficient_fit(scale, shape, fraction * t)
    deviations = np.array([[fit.scale - scale, fit.shape - shape] for fit in fits]) / bounds
    # n_draws times the mean square is chi-square distributed if the fit reaches the Cramer-Rao bound
    assert np.all(n_draws * np.mean(deviations**2, axis=0) < stats.chi2(n_draws).ppf(0.999))
    assert np.all([fit.loc == 0 for fit in fits])


@pytest.mark.parametrize("shape", SHAPES)
def test_likelihood_fit_is_within_five_percent_at_1e5_values(shape):
    fits = [GeneralizedGaussian.fit(GeneralizedGaussian(0.9, 4.0, shape).draw(100_000, seed)) for seed in range(5)]
    assert_allclose(
        np.median([(fit.fraction, fit.scale, fit.shape) for fit in fits], axis=0), [0.9, 4.0, shape], rtol=0.05
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fraction", [0.15, 0.76, 1.0])
def test_every_fit_is_within_five_percent_where_that_can_be(shape, fraction):
    # Three standard deviations of the best fit there can be: within 5 % for every shape, and for scales of shapes from
    # 0.6 (all values) or 1.5 (15 % of them). Below, no fit can find the scale of every draw so well.
    t, truth = 100_000, np.array([4.0, shape])
    allowed = np.maximum(0.05, 3.5 * errors_of_an_efficient_fit(*truth, fraction * t) / truth)
    assert allowed[1] < 0.07
    for seed in range(4):
        fit = GeneralizedGaussian.fit(GeneralizedGaussian(fraction, 4.0, shape).draw(t, seed))
        assert fit.fraction == pytest.approx(fraction, abs=1 / t)
        assert np.all(np.abs(np.array([fit.scale, fit.shape]) / truth - 1) < allowed)


def test_likelihood_fit_agrees_with_scipy_where_scipy_can():
    values = GeneralizedGaussian(1.0, 3.0, 1.3).draw(3000, seed=0)
    fit = GeneralizedGaussian.fit(values)
    shape, _, scale = stats.gennorm.fit(values, floc=0)
    assert_allclose((fit.shape, fit.scale), (shape, scale), rtol=1e-3)


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0])
def test_moments_fit_finds_the_truth(shape):
    fit = GeneralizedGaussian.fit(GeneralizedGaussian(0.8, 4.0, shape).draw(400_000, seed=0), method="moments")
    assert_allclose((fit.fraction, fit.scale, fit.shape), (0.8, 4.0, shape), rtol=0.05)


def test_moments_fit_has_the_moments_of_the_values():
    values = stats.t(4).rvs(5000, random_state=0)  # not generalized Gaussian
    fit = GeneralizedGaussian.fit(values, method="moments")
    assert_allclose(fit.scale * gamma(2 / fit.shape) / gamma(1 / fit.shape), np.mean(np.abs(values)), rtol=1e-9)
    assert_allclose(fit.scale**2 * gamma(3 / fit.shape) / gamma(1 / fit.shape), np.mean(values**2), rtol=1e-9)


@pytest.mark.parametrize("method", ["likelihood", "moments"])
@pytest.mark.parametrize("factor", [1e-150, 1e150])
def test_fit_follows_the_unit_of_the_values(method, factor):
    values = GeneralizedGaussian(0.5, 1.0, 0.6).draw(2000, seed=0)
    fit, scaled = (GeneralizedGaussian.fit(v, method=method) for v in (values, factor * values))
    assert_allclose(
        (scaled.fraction, scaled.scale, scaled.shape), (fit.fraction, factor * fit.scale, fit.shape), rtol=1e-9
    )


def test_negligible_values_count_as_zeros():
    values = GeneralizedGaussian(0.5, 1.0, 0.6).draw(2000, seed=0)
    values[values == 0] = 1e-17
    values[0] = 100.0
    assert GeneralizedGaussian.fit(values, method="moments").fraction == 1
    largest = np.abs(values).max()
    fit = GeneralizedGaussian.fit(values, negligible=1e-3)
    assert fit == GeneralizedGaussian.fit(np.where(np.abs(values) > 1e-3 * largest, values, 0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(100), "100 values of which all are zero"),
        ([], "0 values of which only 0 are not zero"),
        ([0, 1.5, -2] + [0] * 50, "only 2 are not zero; at least 10"),
        (np.full(100, -3.0), "modulus 3; constant data"),
        (np.r_[np.zeros(9), np.full(50, 0.1), np.full(50, -0.1)], "constant data have no shape"),
        ([1, 2, np.nan, np.inf] * 10, "20 of 40 values are NaN or infinite"),
    ],
)
@pytest.mark.parametrize("method", ["likelihood", "moments"])
def test_degenerate_values_are_refused(values, message, method):
    with pytest.raises(ValueError, match=message):
        GeneralizedGaussian.fit(values, method=method)


@pytest.mark.parametrize("method", ["likelihood", "moments"])
@pytest.mark.parametrize(("shape", "nearest"), [(0.04, 0.1), (40.0, 10.0)])
def test_shapes_beyond_the_range_are_said(method, shape, nearest):
    values = GeneralizedGaussian(1.0, 1.0, shape).draw(20_000, seed=0)
    with pytest.warns(AstropyUserWarning, match=rf"shape between 0\.1 and 10.*nearest, {nearest:.3g}, is used"):
        fit = GeneralizedGaussian.fit(values, method=method)
    assert_allclose(fit.shape, nearest, rtol=2e-3)


def test_fit_refuses_unknown_options():
    with pytest.raises(ValueError, match="'likelihood' or 'moments', not 'mle'"):
        GeneralizedGaussian.fit([1, 2], method="mle")
    with pytest.raises(ValueError, match=r"negligible.*less than 1, not 1"):
        GeneralizedGaussian.fit([1, 2], negligible=1)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("fraction", 0),
        ("fraction", 1.01),
        ("fraction", "0.5"),
        ("scale", 0.0),
        ("scale", np.inf),
        ("shape", -1),
        ("shape", np.nan),
        ("shape", True),
        ("loc", np.nan),
        ("loc", None),
    ],
)
def test_parameters_out_of_range_are_refused(parameter, value):
    good = {"fraction": 0.5, "scale": 1.0, "shape": 1.0, "loc": 0.0}
    with pytest.raises(ValueError, match=f"{parameter} must be a number that is .*, not {value!r}".replace("(", r"\(")):
        GeneralizedGaussian(**good | {parameter: value})


def test_is_frozen_and_comparable():
    source = GeneralizedGaussian(0.5, np.float32(1), 1)
    assert source == GeneralizedGaussian(0.5, 1.0, 1.0, 0.0)
    with pytest.raises(AttributeError):
        source.shape = 2


def test_real_maps_have_the_published_statistics(shared_data):
    # The published fractions are those of details that are not exactly zero. The shapes are those of the moments of
    # details above about a millionth of the largest: below lie the far wings of edges of maps that had been
    # thresholded, orders of magnitude smaller, which carry no power.
    from astro_lpalm._files import open_fits
    from astro_lpalm.transforms import Starlet

    published = {"SYNC": (0.76, 0.35), "THERM": (0.35, 0.52), "FE1": (0.27, 0.51), "FE2": (0.15, 0.45)}
    with open_fits(shared_data / "casa" / "sources.fits") as hdulist, warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, (fraction, shape) in published.items():
            details = Starlet().forward(hdulist[name].data)[0][0]
            assert abs(GeneralizedGaussian.fit(details, method="moments").fraction - fraction) < 0.02
            assert abs(GeneralizedGaussian.fit(details, method="moments", negligible=1e-6).shape - shape) < 0.01
