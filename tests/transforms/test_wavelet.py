import numpy as np
import pytest
import pywt
import torch
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.transforms import Wavelet


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape)


def test_haar_details_are_differences_of_neighbours():
    (detail,), coarse = Wavelet("haar").forward(np.array([[1.0, 2.0], [3.0, 8.0]]))
    # (rows differ, columns differ, both) / 2, and the mean that is left
    assert_allclose(detail[:, 0, 0], [(1 + 2 - 3 - 8) / 2, (1 - 2 + 3 - 8) / 2, (1 - 2 - 3 + 8) / 2])
    assert_allclose(coarse, 3.5)


def test_is_orthogonal_where_nothing_is_padded():
    x = noise(64, 32)
    details, coarse = Wavelet("db4", 2).forward(x)
    energy = sum(np.sum(detail**2) for detail in details) + np.sum(coarse**2)
    assert_allclose(energy, np.sum(x**2), rtol=1e-12)


def test_coarse_image_is_the_usual_approximation():
    x = noise(64, 32)
    _, coarse = Wavelet("db2", 3).forward(x)
    coefficients = pywt.wavedec2(x, "db2", "periodization", 3)
    only_approximation = [coefficients[0], *[(None, None, None)] * 3]
    assert_allclose(coarse, pywt.waverec2(only_approximation, "db2", "periodization"), atol=1e-13)


@pytest.mark.parametrize("stationary", [False, True])
def test_details_are_those_of_the_mirrored_image(stationary):
    x = noise(45, 38)
    details, _ = Wavelet("db2", 3, stationary=stationary).forward(x)
    mirrored = np.pad(x, ((0, 3), (0, 2)), mode="reflect")
    whole, _ = Wavelet("db2", 3, stationary=stationary).forward(mirrored)
    for detail, expected in zip(details, whole):
        assert_allclose(detail, expected, atol=1e-14)


def test_stationary_details_move_with_the_image():
    x, transform = noise(32, 32), Wavelet("sym2", 2, stationary=True)
    details, _ = transform.forward(x)
    moved, _ = transform.forward(np.roll(x, (1, 3), axis=(0, 1)))
    for detail, expected in zip(moved, details):
        assert_allclose(detail, np.roll(expected, (1, 3), axis=(-2, -1)), atol=1e-13)


@pytest.mark.parametrize("stationary", [False, True])
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_masks_are_refused_unless_empty(stationary, kind):
    transform, mask = Wavelet("db2", stationary=stationary), np.zeros((32, 32), dtype=bool)
    expected, _ = transform.forward(noise(32, 32))
    assert_array_equal(transform.forward(noise(32, 32), kind(mask))[0][0], expected[0])
    mask[3, 4] = True
    with pytest.raises(ValueError, match=r"cannot leave out masked pixels; use the 'starlet'"):
        transform.forward(noise(32, 32), kind(mask))
