"""What holds for every transform."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.transforms import Starlet, Wavelet, get_transform

TRANSFORMS = [
    Starlet(),
    Starlet(3),
    Wavelet("haar"),
    Wavelet("db4", 2),
    Wavelet("sym3", 2, stationary=True),
    Wavelet("haar", 3, stationary=True),
]
every_transform = pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: f"{t}-{t.n_scales}")


def images(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@every_transform
@pytest.mark.parametrize("shape", [(32, 32), (33, 46), (3, 35, 30), (2, 3, 31, 29)])
def test_inverse_gives_the_images_back(transform, shape):
    x = 1e6 + images(*shape)
    details, coarse = transform.forward(x)
    assert_allclose(transform.inverse(details, coarse), x, rtol=3e-15)


@every_transform
def test_shapes_keep_the_leading_axes(transform):
    details, coarse = transform.forward(images(2, 3, 31, 30))
    assert len(details) == len(transform.noise) == transform.n_scales
    assert coarse.shape == (2, 3, 31, 30)
    assert all(detail.shape[:2] == (2, 3) for detail in details)


@every_transform
def test_leading_axes_are_independent_images(transform):
    x = images(2, 3, 31, 30)
    details, coarse = transform.forward(x)
    one_details, one_coarse = transform.forward(x[1, 2])
    assert_allclose(coarse[1, 2], one_coarse, atol=1e-14)
    for detail, one in zip(details, one_details):
        assert_allclose(detail[1, 2], one, atol=1e-14)


@every_transform
def test_is_linear(transform):
    x, y = images(2, 33, 34)
    mixed = transform.forward(2 * x - 3 * y)
    of_x, of_y = transform.forward(x), transform.forward(y)
    assert_allclose(mixed[1], 2 * of_x[1] - 3 * of_y[1], atol=1e-12)
    for detail, dx, dy in zip(mixed[0], of_x[0], of_y[0]):
        assert_allclose(detail, 2 * dx - 3 * dy, atol=1e-12)


@every_transform
@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("f4", np.float32), (">f4", np.float32), ("f8", np.float64), (">f8", np.float64), ("i2", np.float64)],
)
def test_precision_is_kept_and_integers_become_float64(transform, dtype, expected):
    x = (10 * images(2, 30, 31)).astype(dtype)
    original = x.copy()
    details, coarse = transform.forward(x)
    back = transform.inverse(details, coarse)
    assert {array.dtype for array in (*details, coarse, back)} == {np.dtype(expected)}
    assert_allclose(back, x, atol=50 * np.finfo(expected).eps)
    assert_array_equal(x, original)


@every_transform
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_agree_with_arrays(transform, dtype):
    x = images(2, 3, 31, 30, dtype=np.float32)
    details, coarse = transform.forward(torch.from_numpy(x).to(dtype))
    expected_details, expected_coarse = transform.forward(x.astype(str(dtype).removeprefix("torch.")))
    tolerance = 20 * torch.finfo(dtype).eps
    assert_allclose(coarse.numpy(), expected_coarse, atol=tolerance)
    for detail, expected in zip(details, expected_details):
        assert detail.dtype == dtype
        assert_allclose(detail.numpy(), expected, atol=tolerance)
    back = transform.inverse(details, coarse)
    assert isinstance(back, torch.Tensor)
    assert_allclose(back.numpy(), x, atol=tolerance)


@every_transform
def test_noise_is_that_of_transformed_white_noise(transform):
    details, _ = transform.forward(images(12, 256, 256))
    assert_allclose([detail.std() for detail in details], transform.noise, rtol=0.02)


@every_transform
def test_constant_images_have_no_detail(transform):
    details, coarse = transform.forward(np.full((2, 30, 33), 7.3))
    assert_allclose(coarse, 7.3, rtol=1e-9)
    for detail in details:
        assert_allclose(detail, 0, atol=1e-9)  # the tabulated filters of some wavelets end at the 11th digit


@every_transform
def test_inverse_wants_all_scales(transform):
    details, coarse = transform.forward(images(32, 32))
    with pytest.raises(ValueError, match=rf"details at {transform.n_scales} scale.*{len(details) + 1} were given"):
        transform.inverse([*details, details[0]], coarse)


@every_transform
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.ones(32), r"shape \(\.\.\., ny, nx\).*\(32,\)"),
        (np.ones((3, 0, 5)), "at least one pixel"),
        (np.ones((32, 32), dtype=complex), "real numbers.*complex128"),
    ],
)
def test_images_that_are_none_are_refused(transform, bad, message):
    with pytest.raises(ValueError, match=message):
        transform.forward(bad)


@every_transform
def test_too_many_scales_say_how_many_there_can_be(transform):
    shape = (32, 19)
    allowed = {"starlet": 4, "haar": 4, "db4": 1, "sym3-stationary": 1, "haar-stationary": 4}[str(transform)]
    largest = get_transform(str(transform), n_scales=allowed)
    x = images(*shape)
    assert_allclose(largest.inverse(*largest.forward(x)), x, atol=1e-13)
    with pytest.raises(ValueError, match=rf"n_scales={allowed + 1} is too large.*32 x 19.*{allowed} at most"):
        get_transform(str(transform), n_scales=allowed + 1).forward(x)
    with pytest.raises(ValueError, match="too small for even one scale"):
        transform.forward(images(1, 1))


@pytest.mark.parametrize("transform", [Starlet(2), Wavelet("db2", 2), Wavelet("coif1", 2, stationary=True)], ids=str)
def test_get_transform_takes_the_name_of_a_transform(transform):
    assert get_transform(str(transform), n_scales=2) == transform
    assert get_transform(transform) is transform


@pytest.mark.parametrize("name", ["stralet", "db4-", "bior2.2", "starlet-stationary", ""])
def test_get_transform_refuses_unknown_names(name):
    with pytest.raises(ValueError, match="'starlet' or an orthogonal wavelet"):
        get_transform(name)


@pytest.mark.parametrize("thing", [None, 3, Starlet])
def test_get_transform_refuses_what_is_no_transform(thing):
    with pytest.raises(TypeError, match="an object with forward, inverse"):
        get_transform(thing)


@pytest.mark.parametrize("kind", [Starlet, lambda n_scales: Wavelet("haar", n_scales)])
def test_n_scales_must_be_a_positive_integer(kind):
    with pytest.raises(ValueError, match="at least 1, not 0"):
        kind(n_scales=0)
    with pytest.raises(TypeError, match=r"whole number, not 1\.5"):
        kind(n_scales=1.5)
    assert type(kind(n_scales=np.int64(2)).n_scales) is int
