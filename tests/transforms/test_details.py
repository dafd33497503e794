import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.transforms import Starlet, Wavelet, detail_matrix

TRANSFORMS = [
    Starlet(),
    Starlet(2),
    Starlet(3),
    Wavelet("db4"),
    Wavelet("haar", 2),
    Wavelet("db4", stationary=True),
    Wavelet("haar", 2, stationary=True),
]
every_transform = pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: f"{t}-{t.n_scales}")
every_starlet = pytest.mark.parametrize("transform", TRANSFORMS[:3], ids=lambda t: f"{t}-{t.n_scales}")


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def holes(ny, nx):
    """A mask with a hole, a masked column, and a lone pixel left in a masked corner."""
    mask = np.zeros((ny, nx), dtype=bool)
    mask[5:11, 7:12] = mask[:, 20] = mask[-4:, -4:] = True
    mask[-2, -2] = False
    return mask


@every_transform
@pytest.mark.parametrize("n_images", [1, 3, 19])  # fewer than a block, and several blocks with one left over
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_matrix_is_the_details(transform, n_images, dtype):
    x = (100 + images(n_images, 29, 34)).astype(dtype)
    original = x.copy()
    matrix = detail_matrix(transform, x)
    details, _ = transform.forward(x)
    parts = [(detail / level).reshape(n_images, -1) for detail, level in zip(details, transform.noise)]
    assert matrix.dtype == dtype
    assert_allclose(matrix, np.concatenate(parts, axis=1), rtol=20 * np.finfo(dtype).eps, atol=1e-3 * (dtype == "f4"))
    assert_array_equal(x, original)
    assert detail_matrix(transform, x, dtype=np.float32).dtype == np.float32


@every_starlet
@pytest.mark.parametrize("fill", [np.nan, np.inf, 1e30])
def test_masked_pixels_are_left_out(transform, fill):
    x, mask = 100 + images(2, 30, 33), holes(30, 33)
    expected = detail_matrix(transform, x, mask)
    assert expected.shape == (2, transform.n_scales * np.count_nonzero(~mask))
    filled = np.where(mask, fill, x)
    assert_array_equal(detail_matrix(transform, filled, mask), expected)


@pytest.mark.parametrize("transform", [Starlet(3), Wavelet("haar", 2, stationary=True)], ids=str)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("stride", [2, 4, 8])
def test_stride(transform, masked, stride):
    masked = masked and isinstance(transform, Starlet)
    x, mask = images(10, 32, 36), holes(32, 36) if masked else None
    noise = transform.photon_noise(np.random.default_rng(1).poisson(20, size=(32, 36)), mask)
    details, _ = transform.forward(x, mask)
    parts = []
    for step, detail, level in zip((stride // 2, stride, stride), details, noise):
        chosen = np.zeros((32, 36), dtype=bool)
        chosen[::step, ::step] = True
        if detail.shape != x.shape:
            continue
        parts.append((detail / level)[:, chosen if mask is None else chosen & ~mask])
    if parts:
        matrix = detail_matrix(transform, x, mask, noise, stride=stride)
        assert_allclose(matrix, np.concatenate(parts, axis=1), rtol=1e-12, atol=1e-14)


def test_stride_leaves_decimated_details_alone():
    x = images(2, 32, 32)
    assert_array_equal(detail_matrix(Wavelet("db4"), x, stride=4), detail_matrix(Wavelet("db4"), x))


@every_starlet
def test_mask_of_no_pixel_changes_nothing(transform):
    x = images(2, 30, 33)
    assert_allclose(
        detail_matrix(transform, x, np.zeros((30, 33), dtype=bool)), detail_matrix(transform, x), atol=1e-14
    )


@pytest.mark.parametrize("transform", TRANSFORMS[3:], ids=lambda t: f"{t}-{t.n_scales}")
def test_wavelets_say_that_they_take_no_mask(transform):
    x, mask = images(2, 30, 33), holes(30, 33)
    with pytest.raises(ValueError, match="cannot leave out masked pixels; use the 'starlet'"):
        detail_matrix(transform, x, mask)
    assert detail_matrix(transform, x, np.zeros_like(mask)).shape == detail_matrix(transform, x).shape


@every_transform
def test_mixtures_of_images_become_mixtures_of_rows(transform):
    x, A = images(2, 30, 33), np.array([[1.0, 0.5], [0.0, 2.0], [-3.0, 1.0], [1e3, 1e-3]])
    mixed = np.einsum("ik,kyx->iyx", A, x)
    assert_allclose(detail_matrix(transform, mixed), A @ detail_matrix(transform, x), atol=1e-10)


@every_starlet
def test_mixtures_behind_a_mask(transform):
    x, A, mask = images(2, 30, 33), np.array([[1.0, 0.5], [0.0, 2.0], [-3.0, 1.0]]), holes(30, 33)
    mixed = np.where(mask, np.nan, np.einsum("ik,kyx->iyx", A, x))
    assert_allclose(detail_matrix(transform, mixed, mask), A @ detail_matrix(transform, x, mask), atol=1e-12)


@every_transform
def test_white_noise_of_unit_variance_gives_rows_of_unit_variance(transform):
    # Every scale by itself, so that no scale makes up for another.
    matrix = detail_matrix(transform, images(16, 192, 192, seed=4))
    scales = [np.size(detail[0]) for detail in transform.forward(np.zeros((1, 192, 192)))[0]]
    assert matrix.shape == (16, sum(scales))
    for part in np.split(matrix, np.cumsum(scales)[:-1], axis=1):
        assert part.std() == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("transform", [Starlet(2), Wavelet("haar", 2)], ids=str)
def test_scales_stay_in_order(transform):
    x = images(1, 32, 32)
    details, _ = transform.forward(x)
    matrix = detail_matrix(transform, x)
    first = details[0].size
    assert_allclose(matrix[0, :first], details[0].ravel() / transform.noise[0])
    assert_allclose(matrix[0, first:], details[1].ravel() / transform.noise[1])


# Details in units of their photon noise


@every_transform
def test_noise_that_is_given_divides(transform):
    x, counts = 100 + images(2, 32, 32), np.random.default_rng(1).poisson(20, size=(32, 32))
    noise = transform.photon_noise(counts)
    matrix = detail_matrix(transform, x, noise=noise)
    details, _ = transform.forward(x)
    expected = np.concatenate([(d / level).reshape(2, -1) for d, level in zip(details, noise)], axis=1)
    assert_allclose(matrix, expected, rtol=1e-12)


@every_starlet
def test_noise_that_is_given_beside_a_mask(transform):
    x, mask = 100 + images(2, 30, 33), holes(30, 33)
    counts = np.where(mask, np.nan, np.random.default_rng(1).poisson(20, size=(30, 33)))
    noise = transform.photon_noise(counts, mask)
    assert all(np.isfinite(level).all() and np.all(level > 0) for level in noise)
    matrix = detail_matrix(transform, np.where(mask, np.nan, x), mask, noise)
    assert np.isfinite(matrix).all()


@every_starlet
def test_photon_noise_is_that_of_poisson_counts(transform):
    # A field that brightens from left to right by a factor of a hundred.
    mean = np.geomspace(20, 2000, 200) * np.ones((160, 1))
    draws = np.random.default_rng(2).poisson(mean, size=(20, 160, 200)).astype(float)
    details, _ = transform.forward(draws - mean)
    levels = transform.photon_noise(draws[0])
    for detail, level in zip(details, levels):
        scaled = (detail / level)[:, 20:-20, 20:-20]
        assert scaled.std() == pytest.approx(1, rel=0.05)
        for part in np.split(scaled, 4, axis=2):
            assert part.std() == pytest.approx(1, rel=0.1)


def test_mean_that_photon_noise_is_taken_from():
    # Scale j has twice the extent of smooth image j: its noise follows smooth image j + 1, as far as there is one.
    counts = np.random.default_rng(3).poisson(np.geomspace(100, 1000, 48) * np.ones((40, 1)))
    levels = Starlet(3).photon_noise(counts)
    for level, unit, n_scales in zip(levels, Starlet(3).noise, (2, 3, 3)):
        assert_allclose(level, unit * np.sqrt(Starlet(n_scales).forward(counts)[1]), rtol=1e-12)


@every_starlet
def test_photon_noise_of_hardly_any_photons_has_a_floor(transform):
    floor = transform.photon_noise(np.zeros((30, 33)))
    for level, unit in zip(floor, transform.noise):
        assert_allclose(level, np.sqrt(10) * unit**2)
    one = np.zeros((30, 33))
    one[10, 10] = 1
    assert all(np.all(level >= least) for level, least in zip(transform.photon_noise(one), floor))
    assert all(np.all(level > 0) for level in transform.photon_noise(np.full((30, 33), -5.0)))


@pytest.mark.parametrize("transform", TRANSFORMS[3:], ids=lambda t: f"{t}-{t.n_scales}")
def test_photon_noise_of_wavelets_is_their_own(transform):
    assert transform.photon_noise(np.ones((32, 32))) == transform.noise


@every_starlet
@pytest.mark.parametrize("masked", [False, True])
def test_photon_noise_is_that_of_counts(transform, masked):
    # The scatter of the details over many realizations of a sky that brightens a hundredfold from left to right.
    rng = np.random.default_rng(3)
    expected = np.broadcast_to(np.geomspace(20.0, 2000.0, 48), (40, 48))
    mask = np.zeros(expected.shape, dtype=bool)
    mask[:, :4] = masked
    counts = rng.poisson(expected, (400, *expected.shape)).astype(float)
    details, _ = transform.forward(counts, mask)
    maps = transform.photon_noise(counts[0], mask)
    assert len(maps) == transform.n_scales
    for detail, noise in zip(details, maps):
        inner = (slice(12, -12), slice(16, -12))  # away from borders, where fewer pixels are averaged
        ratio = detail.std(axis=0)[inner] / noise[inner]
        assert_allclose(np.median(ratio), 1, atol=0.08)
        assert_allclose(ratio, 1, atol=0.45)
        assert np.isfinite(noise).all()
        assert noise.min() > 0


def test_photon_noise_of_an_empty_image_is_positive():
    assert all(np.all(noise > 0) for noise in Starlet(3).photon_noise(np.zeros((20, 20))))


def test_photon_noise_of_a_wavelet_is_the_same_everywhere():
    assert Wavelet("haar", 2).photon_noise(np.ones((16, 16))) == list(Wavelet("haar", 2).noise)


@every_starlet
def test_details_in_units_of_a_map_of_noise(transform):
    x, mask = 100 + images(3, 32, 32), holes(32, 32)
    noise = transform.photon_noise(x.sum(axis=0), mask)
    matrix = detail_matrix(transform, x, mask, noise)
    first = matrix[:, : np.count_nonzero(~mask)] * noise[0][~mask]
    plain = detail_matrix(transform, x, mask)[:, : first.shape[1]] * transform.noise[0]
    assert_allclose(first, plain, rtol=1e-12)
