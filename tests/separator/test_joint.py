"""Steps of the separation of several observations together."""

import astropy.units as u
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.forward import ForwardModel
from astro_lpalm.inputs import on_common_bins
from astro_lpalm.separator import Observation, Separator, find_jointly, joint_errors

from .. import skies


@pytest.fixture(scope="module")
def observations():
    found = []
    for cube, instrument in zip(skies.observe(0), skies.instruments()):
        cube, model = on_common_bins(cube, skies.model(), instrument)
        found.append(Observation(cube, model, ForwardModel.of(cube)))
    return found


@pytest.fixture(scope="module")
def solution(observations):
    return find_jointly(Separator(smooth=False), observations)


def test_the_rates_of_the_summed_cube_are_its_counts(solution):
    physics, theta = solution.physics, skies.THETA
    # of the true amplitudes, in the exposures that the light of each component has had
    expected = physics.rates(theta).sum(axis=0) * skies.AMPLITUDES
    assert np.all(np.abs(expected - solution.physical.fluxes) < 3 * solution.physical.flux_errors)
    assert_allclose(expected.sum(), solution.fit.counts.sum(), rtol=0.01)
    spectra = solution.fit.component_spectra()
    assert_allclose(spectra / spectra.sum(axis=0), physics.spectra(solution.physical.theta), atol=5e-3)


def test_bins_of_all_are_added(solution):
    stacked, fit = solution.stacked, solution.fit
    assert stacked.mixing.shape == (130, 2)
    assert_allclose(stacked.component_spectra().reshape(2, 65, 2).sum(axis=0), fit.component_spectra(), rtol=1e-6)
    assert_allclose(stacked.component_counts, fit.component_counts)
    assert_allclose(stacked.expected()[:65] + stacked.expected()[65:], fit.expected(), rtol=1e-6)
    assert_allclose(stacked.counts.reshape(2, 65).sum(axis=0), fit.counts)


def test_pixels_that_one_has_not_seen_are_those_of_the_other(solution):
    kept = solution.fit.forward.kept
    expected = solution.stacked.expected()
    for rows, gaps in zip((expected[:65], expected[65:]), skies.gaps()):
        assert_array_equal(rows[:, gaps[kept] == 0], 0)
        assert rows[:, gaps[kept] > 0].sum() > 0


def test_errors_are_those_of_the_summed_cube(solution):
    errors = joint_errors(solution)
    assert errors.covariance.shape == (2, 65, 65)
    assert errors.images.shape == solution.fit.images.shape
    assert_allclose(errors.counts, solution.physical.flux_errors, rtol=0.02)


def test_without_smooth_images_there_are_none(solution):
    assert solution.sky is None
    assert solution.by_physics
    assert solution.by_counts


def test_one_alone_is_as_it_is(observations):
    one = observations[0]
    alone = Separator(smooth=False).find(one.cube, one.solver, one.forward)
    found = find_jointly(Separator(smooth=False), [one])
    assert_allclose(found.physical.values, alone.physical.values, rtol=1e-3)
    assert_allclose(found.fit.component_counts.sum(axis=1), alone.fit.component_counts.sum(axis=1), rtol=1e-3)


def test_exposures_that_are_times_need_no_header(observations):
    def seen(exposures):
        cubes = [each.cube.with_exposure(exposure) for each, exposure in zip(observations, exposures)]
        for cube in cubes:
            cube.meta.clear()
        return [Observation(cube, each.solver, each.forward) for cube, each in zip(cubes, observations)]

    times = seen([each.cube.exposure for each in observations])
    assert find_jointly(Separator(smooth=False), times).fit.cube.exposure.unit == u.s
    areas = seen([each.cube.exposure * u.cm**2 for each in observations])
    with pytest.raises(ValueError, match="the exposure time of observation 1 is not known"):
        find_jointly(Separator(smooth=False), areas)


@pytest.mark.parametrize("number", [-3, 2.5])
def test_samples_are_counted_by_whole_numbers(number):
    with pytest.raises(ValueError, match=f"n_samples is {number}, but must be a whole number, 0 for none"):
        Separator(n_samples=number)
