import numpy as np
import pytest
from scipy import ndimage, stats

from astro_lpalm.instrument.blur import GaussianBlur, KernelBlur

KERNEL = np.array([[0, 1, 0, 0, 4], [2, 3, 0, 1, 0], [0, 0, 0, 0, 1]], dtype=float)


def image():
    return np.random.default_rng(0).gamma(0.5, size=(23, 31))


@pytest.mark.parametrize(("sigma", "finer"), [(0.1, 45), (0.7, 15), (3.0, 9), (30.0, 9)])
def test_gaussian_is_that_of_a_finely_sampled_image(sigma, finer):
    # Photons start anywhere in their pixels, so that the image in smaller pixels is a mosaic of equal ones.
    fine = np.kron(image(), np.full((finer, finer), 1 / finer**2))
    expected = ndimage.gaussian_filter(fine, finer * sigma, mode="constant", truncate=8)
    expected = expected.reshape(23, finer, 31, finer).sum(axis=(1, 3))
    np.testing.assert_allclose(GaussianBlur(sigma).blur(image()), expected, atol=4e-3)


@pytest.mark.parametrize("sigma", [1e-6, 0.2, 5.0])
def test_gaussian_loses_nothing_and_is_never_negative(sigma):
    point = np.zeros((201, 301))
    point[100, 150] = 1.0
    blurred = GaussianBlur(sigma).blur(point)
    assert blurred.min() >= 0
    assert blurred.sum() == pytest.approx(1, abs=1e-12)
    # A displacement d ends in the pixel floor(d) or the next, with the chances 1 - f and f, f its fraction: the mean
    # square is that of d and of f (1 - f), whose Fourier series is 1/6 - sum of cos(2 pi k d) / (pi k)^2.
    k = np.arange(1, 100_000)
    expected = sigma**2 + 1 / 6 - np.sum(np.exp(-2 * (np.pi * k * sigma) ** 2) / (np.pi * k) ** 2)
    y, x = np.indices(point.shape)
    for axis, middle in ((y, 100), (x, 150)):
        assert np.sum(blurred * (axis - middle) ** 2) == pytest.approx(expected, rel=1e-9, abs=2e-6)


def test_gaussian_displacements():
    displacements = GaussianBlur(1.7).displacements(20_000, np.random.default_rng(1))
    for each in displacements:
        assert stats.kstest(each, stats.norm(scale=1.7).cdf).pvalue > 0.001
    assert abs(np.corrcoef(displacements)[0, 1]) < 3.3 / np.sqrt(20_000)


def test_kernel_is_convolved():
    expected = ndimage.convolve(image(), KERNEL / 12, mode="constant")
    np.testing.assert_allclose(KernelBlur(KERNEL).blur(image()), expected, atol=1e-13)
    assert KernelBlur(KERNEL).blur(np.eye(30)).min() >= 0


def test_kernel_displacements_follow_it():
    dy, dx = KernelBlur(KERNEL).displacements(60_000, np.random.default_rng(1))
    found = np.zeros((3, 5))
    np.add.at(found, (dy + 1, dx + 2), 1)
    assert not found[KERNEL == 0].any()
    assert stats.chisquare(found[KERNEL > 0], 5000 * KERNEL[KERNEL > 0]).pvalue > 0.001
