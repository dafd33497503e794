from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import trapezoid

from astro_lpalm.separation import fit_parameters, variation, varying_parameters
from astro_lpalm.separation.blocks import Blocks

from .test_physical import TRUTH, Toy


@dataclass(frozen=True)
class Name:
    component: str
    name: str


@dataclass
class Named(Toy):
    """The Toy with names; a third parameter, named last, does the same to the first spectrum as its steepness."""

    @property
    def bounds(self):
        return np.array([np.zeros(3), np.ones(3)])

    parameters = (Name("law", "steep"), Name("bump", "place"), Name("law", "steep again"))
    component_names = "law", "bump"

    def spectra(self, theta):
        theta = np.asarray(theta, dtype=float)
        return super().spectra(np.stack([theta[..., 0] + theta[..., 2] - 0.5, theta[..., 1]], axis=-1))


THETA = np.array([*TRUTH, 0.5])


def counts(rng, width=0.0, blocks=20, per_block=2e4, place=0, exact=False):
    """Counts of blocks whose parameter differs from one to the other."""
    theta = np.tile(THETA, (blocks, 1))
    shift = rng.standard_normal(blocks)
    theta[:, place] += width * (shift - shift.mean() if blocks > 1 else shift)
    S = rng.uniform(0.2, 0.8, (2, blocks)) * per_block
    expected = np.einsum("bmn,nb->mb", Named().spectra(theta), S)
    return (expected if exact else rng.poisson(expected)), theta


def test_nothing_varies_where_there_is_only_noise(rng):
    for _ in range(5):
        Y, _ = counts(rng)
        assert varying_parameters(Y, Named(), THETA) == {}


@pytest.mark.parametrize(("place", "width"), [(0, 0.08), (1, 0.03)])
def test_what_varies_is_found_with_its_width(rng, place, width):
    Y, _ = counts(rng, width, place=place, blocks=40)
    found = varying_parameters(Y, Named(), THETA)
    assert list(found) == [place]  # and no other that stands for how it is not linear
    np.testing.assert_allclose(found[place], width, rtol=0.6)  # of steps of 1.43


def test_of_parameters_that_do_the_same_it_is_the_first(rng):
    Y, _ = counts(rng, 0.08, place=2)
    assert list(varying_parameters(Y, Named(), THETA)) == [0]
    assert list(varying_parameters(Y, Named(), THETA, candidates=[[2, 0], [1]])) == [2]
    assert varying_parameters(Y, Named(), THETA, candidates=[[], [1]]).keys() <= {1}


def test_known_parameters_are_not_named_again(rng):
    Y, theta = counts(rng, 0.08)
    assert varying_parameters(Y, Named(), THETA, known=(0,)) == {}
    assert varying_parameters(Y, Named(), THETA, known={0: 0.1}, most=1) == {}
    # what the map explains leaves nothing to vary
    local = Named().spectra(theta) / Named().spectra(THETA)
    assert varying_parameters(Y, Named(), THETA, local=local) == {}


def test_known_parameter_leaves_others_to_be_found(rng):
    theta = np.tile(THETA, (40, 1))
    theta[:, :2] += 0.08 * rng.standard_normal((40, 2))
    S = rng.uniform(0.2, 0.8, (2, 40)) * 2e4
    Y = rng.poisson(np.einsum("bmn,nb->mb", Named().spectra(theta), S))
    assert list(varying_parameters(Y, Named(), THETA, known=(0,))) == [1]
    assert len(varying_parameters(Y, Named(), THETA)) == 1  # one at a time


def test_background_and_empty_blocks_are_no_variation(rng):
    Y, _ = counts(rng)
    floor = np.outer(np.linspace(1, 0, 20) ** 4, np.linspace(0, 3000, 20))
    Y = Y + rng.poisson(floor)
    Y[:, 0] = 0
    assert varying_parameters(Y, Named(), THETA, background=floor) == {}
    assert varying_parameters(Y, Named(), THETA) != {}
    assert varying_parameters(np.zeros((20, 3)), Named(), THETA) == {}


def test_evidence_is_the_integral_over_the_deviation(rng):
    Y, _ = counts(rng, 0.05, blocks=1, per_block=400)
    blocks = Blocks(Y.astype(float), np.zeros(Y.shape), Named())
    gradients, fisher = blocks.of_each(THETA)
    width = 0.05
    closed = variation._evidence(gradients, fisher, {0: width})
    shifts = np.linspace(-0.3, 0.3, 601)
    values = [-blocks.evaluate(THETA + shift * np.eye(3)[0], None)[0] for shift in shifts]
    values = np.array(values) - values[300]
    whole = trapezoid(np.exp(values - 0.5 * (shifts / width) ** 2), shifts) / (width * np.sqrt(2 * np.pi))
    # the same to second order, of sources that follow
    quadratic = gradients[0, 0] * shifts - 0.5 * fisher[0, 0, 0] * shifts**2
    exact = trapezoid(np.exp(quadratic - 0.5 * (shifts / width) ** 2), shifts) / (width * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(closed, np.log(exact), rtol=1e-6)
    np.testing.assert_allclose(closed, np.log(whole), atol=0.1)


def test_evidence_of_two_parameters_is_that_of_their_normal_distribution(rng):
    Y, _ = counts(rng, 0.05, blocks=3, per_block=400)
    gradients, fisher = Blocks(Y.astype(float), np.zeros(Y.shape), Named()).of_each(THETA)
    T = np.diag([0.1**2, 0.2**2])
    g, F = gradients[:, [0, 1]], fisher[:, :2, :2]
    expected = sum(
        0.5 * each @ np.linalg.solve(own + np.linalg.inv(T), each) - 0.5 * np.linalg.slogdet(np.eye(2) + own @ T)[1]
        for each, own in zip(g, F)
    )
    np.testing.assert_allclose(variation._evidence(gradients, fisher, {0: 0.1, 1: 0.2}), expected, rtol=1e-8)
    assert variation._evidence(gradients, fisher, {}) == 0


def test_gradients_and_fisher_matrices_of_blocks_are_those_of_all(rng):
    Y, _ = counts(rng, 0.05, blocks=6)
    blocks = Blocks(Y.astype(float), np.zeros(Y.shape), Named())
    gradients, fisher = blocks.of_each(THETA)
    _, gradient, curvature, _ = blocks.evaluate(THETA, None)
    np.testing.assert_allclose(gradients.sum(axis=0), -gradient, rtol=1e-3, atol=1e-3 * np.abs(gradient).max())
    np.testing.assert_allclose(fisher.sum(axis=0), curvature, rtol=1e-6, atol=1e-6 * curvature.max())
    step = 1e-4
    for place in range(3):
        for b in range(6):
            alone = Blocks(Y[:, b : b + 1].astype(float), np.zeros((20, 1)), Named())
            ends = [alone.evaluate(THETA + sign * step * np.eye(3)[place], None)[0] for sign in (1, -1)]
            np.testing.assert_allclose(gradients[b, place], -(ends[0] - ends[1]) / (2 * step), rtol=0.02, atol=0.5)


def test_parameters_are_taken_of_a_fit(rng):
    Y, _ = counts(rng, 0.08)
    toy = Named()
    fit = fit_parameters(Y, toy, THETA)
    assert list(varying_parameters(Y, toy, fit.theta)) == [0]
