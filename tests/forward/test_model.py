import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.forward import BackgroundCounts, ForwardModel
from astro_lpalm.instrument import get_blur

SHAPE, M, N = (7, 9), 5, 2
KEPT = np.ones(SHAPE, dtype=bool)
KEPT[3, 4] = KEPT[0] = False
T = np.count_nonzero(KEPT)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def sky(rng):
    return rng.random((M, N)), 100 * rng.random((N, T))


def separable(rng):
    return BackgroundCounts.separable(rng.random(M), rng.random(T))


def blank_field(rng):
    return BackgroundCounts.of(rng.poisson(3, (M, T)))


@pytest.fixture(params=[separable, blank_field])
def background(request, rng):
    return request.param(rng).scaled(1.5)


# Background


def test_background_is_what_it_is_made_of(background):
    whole = background.matrix()
    assert whole.shape == background.shape == (M, T)
    assert_allclose(background[1:3], whole[1:3])
    assert_allclose(background[2], whole[2])
    assert_allclose(background.spectrum(), whole.sum(axis=1))
    assert_allclose(background.image(), whole.sum(axis=0))
    assert_allclose(background.scaled(2).matrix(), 2 * whole)
    assert_allclose(background.of_pixels([4, 1]).matrix(), whole[:, [4, 1]])
    labels = np.arange(T) % 3
    sums = np.stack([whole[:, labels == k].sum(axis=1) for k in range(3)], axis=1)
    assert_allclose(background.sums(labels), sums)


def test_a_separable_background_takes_no_more_than_its_spectrum_and_shape():
    background = BackgroundCounts.separable(np.ones(65), np.ones(10**6))
    assert background.values.nbytes + background.shares.nbytes < 1e7  # of 520 MB


# Expected counts


def test_expected_counts(sky, background):
    A, S = sky
    exposure = np.linspace(0.1, 1, 63).reshape(SHAPE)
    model = ForwardModel(KEPT, exposure, background=background)
    assert_allclose(model.expected(A, S), A @ (S * exposure[KEPT]) + background.matrix())
    assert_allclose(model.net(model.expected(A, S), dtype=float), A @ (S * exposure[KEPT]), atol=1e-12)
    assert_allclose(np.stack(list(model.rows(A, S))), model.expected(A, S))


def test_nothing_but_mixing(sky):
    A, S = sky
    assert_allclose(ForwardModel(KEPT).expected(A, S), A @ S)


def test_drawn_counts_have_the_expected_mean(sky, background):
    A, S = sky
    model = ForwardModel(KEPT, background=background)
    drawn = np.mean([model.draw(A, S, seed) for seed in range(400)], axis=0)
    expected = model.expected(A, S)
    assert np.abs((drawn - expected) / np.sqrt(expected / 400)).max() < 5
    assert_array_equal(model.draw(A, S, 1), model.draw(A, S, 1))


def test_thinned(sky, background):
    A, S = sky
    for exposure in (None, np.linspace(0.1, 1, 63).reshape(SHAPE)):
        model = ForwardModel(KEPT, exposure, background=background)
        assert_allclose(model.thinned(0.3).expected(A, S), 0.3 * model.expected(A, S))


def test_blocks(sky, background):
    A, S = sky
    model = ForwardModel(KEPT, np.linspace(0.1, 1, 63).reshape(SHAPE), background=background)
    labels = np.arange(T) % 4
    sums = np.stack([model.detected(S)[:, labels == k].sum(axis=1) for k in range(4)], axis=1)
    expected = model.expected(A, S)
    wanted = np.stack([expected[:, labels == k].sum(axis=1) for k in range(4)], axis=1)
    assert_allclose(model.blocks(labels).expected(A, sums), wanted)


@pytest.mark.parametrize("side", [1, 3, 4, 20])
def test_tiles_make_up_the_whole(sky, background, side):
    A, S = sky
    exposure = np.linspace(0.1, 1, 63).reshape(SHAPE)
    blur = get_blur(np.random.default_rng(4).random((3, 3)), 1.0)
    model = ForwardModel(KEPT, exposure, blur, background=background)
    whole, seen = np.zeros((M, T)), np.zeros(T, dtype=int)
    for tile in model.tiles(side, halo=1):
        part = tile.model.expected(A, S[:, tile.pixels])
        whole[:, tile.pixels[tile.core]] = part[:, tile.core]
        seen[tile.pixels[tile.core]] += 1
    assert_array_equal(seen, 1)
    assert_allclose(whole, model.expected(A, S))
