import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import convolve1d

from astro_lpalm.transforms import Starlet

RNG_SEED = 0


def plain_starlet(image, n_scales):
    """Transcription of the definition, with dilated filters and scipy's own mirror."""
    details, smooth = [], image
    for scale in range(n_scales):
        taps = np.zeros(4 * 2**scale + 1)
        taps[:: 2**scale] = np.array([1, 4, 6, 4, 1]) / 16
        finer = smooth
        for axis in (-2, -1):
            smooth = convolve1d(smooth, taps, axis=axis, mode="mirror")
        details.append(finer - smooth)
    return details, smooth


def noise(*shape):
    return np.random.default_rng(RNG_SEED).normal(size=shape)


def hole(ny=60, nx=50):
    """Mask with a hole, a corner, a single pixel, a column and one lone pixel left inside the hole."""
    mask = np.zeros((ny, nx), dtype=bool)
    mask[15:42, 10:35] = True
    mask[:9, -7:] = True
    mask[50, 20] = True
    mask[:, 3] = True
    mask[25, 20] = False
    return mask


def as_given(x, kind):
    return torch.from_numpy(x) if kind == "torch" else x


both_kinds = pytest.mark.parametrize("kind", ["numpy", "torch"])


@both_kinds
@pytest.mark.parametrize("shape", [(40, 57), (3, 17, 21), (700, 9, 9)])
@pytest.mark.parametrize("n_scales", [1, 3])
def test_follows_the_definition(kind, shape, n_scales):
    x = noise(*shape)
    details, coarse = Starlet(n_scales).forward(as_given(x, kind))
    expected_details, expected_coarse = plain_starlet(x, n_scales)
    assert_allclose(coarse, expected_coarse, atol=1e-14)
    for detail, expected in zip(details, expected_details):
        assert_allclose(detail, expected, atol=1e-14)


def test_impulse_spreads_as_the_outer_product_of_the_filter():
    image = np.zeros((9, 9))
    image[4, 4] = 256
    (detail,), coarse = Starlet().forward(image)
    taps = np.zeros(9)
    taps[2:7] = [1, 4, 6, 4, 1]
    assert_array_equal(coarse, np.outer(taps, taps))
    assert_array_equal(detail, image - coarse)


def test_noise_is_the_norm_of_the_filters():
    n_scales, size = 4, 129
    impulse = np.zeros((size, size))
    impulse[size // 2, size // 2] = 1
    details, _ = Starlet(n_scales).forward(impulse)
    assert_allclose(Starlet(n_scales).noise, [np.linalg.norm(detail) for detail in details], rtol=1e-12)


def test_constant_regions_have_details_of_exactly_zero():
    image = np.full((40, 40), 0.1)
    image[:10] = 3.7
    (detail,), _ = Starlet().forward(image)
    assert_array_equal(detail[12:], 0)
    assert np.all(detail[8:12] != 0)


@both_kinds
@pytest.mark.parametrize("n_scales", [1, 4])
def test_masked_constant_has_no_detail(kind, n_scales):
    mask = hole()
    image = np.where(mask, 1e9, 5.0)
    details, coarse = Starlet(n_scales).forward(as_given(np.stack([image, 2 * image]), kind), mask)
    for detail in details:
        assert_allclose(detail, 0, atol=1e-13)
    assert_allclose(coarse[0], np.where(mask, 0, 5), rtol=1e-14)


@both_kinds
def test_masked_values_never_leak(kind):
    mask, x, transform = hole(), noise(2, 60, 50), Starlet(3)
    with_zeros, with_nonsense = np.where(mask, 0, x), x.copy()
    with_nonsense[:, mask] = np.nan
    with_nonsense[0, 20, 15] = np.inf
    expected, coarse = transform.forward(with_zeros, mask)
    found, found_coarse = transform.forward(as_given(with_nonsense, kind), mask)
    assert_allclose(found_coarse, coarse, atol=1e-14)
    for detail, value in zip(found, expected):
        assert_allclose(detail, value, atol=1e-14)


@both_kinds
def test_masked_images_come_back_where_they_are_not_masked(kind):
    mask, x, transform = hole(), 100 + noise(2, 60, 50), Starlet(3)
    details, coarse = transform.forward(as_given(x, kind), mask)
    for detail in details:
        assert_array_equal(np.asarray(detail)[:, mask], 0)
    back = np.asarray(transform.inverse(details, coarse))
    assert_allclose(back[:, ~mask], x[:, ~mask], rtol=1e-14)
    assert_array_equal(back[:, mask], 0)


def test_smoothing_with_a_mask_is_the_weighted_mean_of_what_is_left():
    mask, x = hole(), noise(60, 50)
    _, coarse = Starlet().forward(x, mask)
    y, x0 = 14, 22  # next to the hole
    weights = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) * ~mask[y - 2 : y + 3, x0 - 2 : x0 + 3]
    assert 0 < np.count_nonzero(weights) < 25
    assert_allclose(coarse[y, x0], np.sum(weights * x[y - 2 : y + 3, x0 - 2 : x0 + 3]) / weights.sum(), rtol=1e-13)


def test_smooth_emission_does_not_ring_at_the_edge_of_a_mask():
    yy, xx = np.mgrid[:60, :50]
    image = 100 * np.exp(-((yy - 30) ** 2 + (xx - 25) ** 2) / (2 * 20**2))
    mask = hole()
    ringing = Starlet().forward(np.where(mask, 0, image))[0][0][~mask]
    details = Starlet().forward(image, mask)[0][0][~mask]
    assert np.abs(ringing).max() > 30  # what the mask would do without care
    assert np.abs(details).max() < 3


def test_an_empty_mask_changes_nothing():
    x = noise(2, 30, 31)
    with_mask, without = Starlet(2).forward(x, np.zeros((30, 31), dtype=bool)), Starlet(2).forward(x)
    assert_allclose(with_mask[1], without[1], atol=1e-15)
    assert_allclose(with_mask[0][1], without[0][1], atol=1e-15)


@both_kinds
@pytest.mark.parametrize("kind_of_mask", ["numpy", "torch"])
def test_masks_may_be_arrays_or_tensors(kind, kind_of_mask):
    x, mask = noise(60, 50), hole()
    details, _ = Starlet().forward(as_given(x, kind), as_given(mask, kind_of_mask))
    assert_array_equal(np.asarray(details[0]) == 0, mask)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((50, 60), dtype=bool), r"mask has shape \(50, 60\).*\(60, 50\)"),
        (np.zeros((2, 60, 50), dtype=bool), r"mask has shape \(2, 60, 50\)"),
        (np.ones((60, 50), dtype=bool), "excludes every pixel"),
    ],
)
def test_bad_masks_are_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        Starlet().forward(np.ones((2, 60, 50)), mask)


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_flow_through_tensors(masked):
    x = torch.from_numpy(noise(2, 60, 50)).requires_grad_()
    mask = hole() if masked else None
    details, coarse = Starlet(2).forward(x, mask)
    Starlet(2).inverse(details, coarse).sum().backward()
    assert_allclose(x.grad.numpy(), np.broadcast_to(1.0 if mask is None else ~mask, x.shape), atol=1e-12)


def test_complex_tensors_are_refused():
    with pytest.raises(ValueError, match=r"real numbers.*complex64"):
        Starlet().forward(torch.ones(8, 8, dtype=torch.complex64))


def test_arrays_do_not_import_torch():
    code = (
        "import sys, numpy as np\n"
        "from astro_lpalm.transforms import Starlet, Wavelet\n"
        "for transform in (Starlet(), Wavelet()):\n"
        "    transform.inverse(*transform.forward(np.ones((2, 32, 32))))\n"
        "Starlet().forward(np.ones((8, 8)), np.eye(8))\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("mask", [None, np.eye(256, dtype=bool)])
def test_memory_is_the_result_and_less_than_an_image_stack(mask):
    x = np.ones((48, 256, 256), dtype=np.float32)
    tracemalloc.start()
    try:
        result = Starlet(2).forward(x, mask)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(result[0]) == 2
    assert peak < 3.5 * x.nbytes
