import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csr_array

from astro_lpalm.transforms import Starlet


@pytest.mark.parametrize("shape", [(40, 57), (65, 64)])
@pytest.mark.parametrize("n_scales", [1, 2, 4])
@pytest.mark.parametrize("stride", [2, 4, 32])
@pytest.mark.parametrize("masked", [False, True])
def test_thinned_details_are_those_of_all(shape, n_scales, stride, masked):
    rng = np.random.default_rng(0)
    images, mask = rng.poisson(0.3, (3, *shape)), rng.random(shape) < 0.1 if masked else None
    seen = 1 if mask is None else ~mask
    starlet = Starlet(n_scales)
    details = starlet.forward(images.astype(float), mask)[0]
    noise = starlet.photon_noise(images.sum(axis=0), mask)
    few = starlet.photon_noise(images.sum(axis=0), mask, stride)
    for given in (images, csr_array(images.reshape(3, -1))):
        thinned = starlet.thinned(given, shape, stride, mask)
        for scale, (found, expected) in enumerate(zip(thinned, details)):
            step = max(stride // 2, 1) if scale == 0 else stride
            assert_allclose(found, expected[:, ::step, ::step], atol=1e-12)
            assert_allclose(few[scale] * seen[::step, ::step] if masked else few[scale],
                            (noise[scale] * seen)[::step, ::step], rtol=1e-9)  # fmt: skip


def test_what_masked_pixels_hold_does_not_matter():
    images, mask = np.random.default_rng(0).normal(size=(2, 40, 40)), np.zeros((40, 40), dtype=bool)
    mask[10:15, 20:30] = True
    expected = Starlet(3).thinned(images, (40, 40), 4, mask)
    images[:, mask] = np.nan
    for found, before in zip(Starlet(3).thinned(images, (40, 40), 4, mask), expected):
        assert_allclose(found, before, atol=1e-14)
