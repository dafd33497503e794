"""All that is torch runs on the device that is asked for."""

import astropy.units as u
import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from astro_lpalm import separate

from . import other_device, skies
from .other_device import NAME


def test_devices_do_not_mix():
    with other_device.other_device():
        there = torch.ones((2, 3), device=NAME)
        assert there.device.type == NAME
        for here in (torch.ones(3), torch.ones(2, 1)):
            with pytest.raises(RuntimeError, match="of the CPU"):
                there * here
        with pytest.raises(RuntimeError):
            there.numpy()
        assert (there + torch.as_tensor(np.ones(3, np.float32), device=NAME)).cpu().numpy().sum() == 12
        assert (there * torch.tensor(2.0)).sum().item() == 12
        there[0] = 5
        assert there[:, 0].cpu().tolist() == [5, 1]


def of_one(**given):
    return separate(skies.observe(0)[0], skies.model(), maps="thermal.kT", n_samples=2, progress=False, **given)


def of_several(**given):
    cubes = skies.observe(0, blurs=(0, 2 / 2.3548 / 1.476))
    instruments = skies.instruments(psf=2 * u.arcsec)
    return separate(cubes, skies.model(), instrument=instruments, progress=False, **given)


@pytest.mark.filterwarnings("ignore::astro_lpalm.trust.SeparationWarning")
@pytest.mark.parametrize("separated", [of_one, of_several])
def test_separations_are_the_same(separated):
    with other_device.other_device() as operations:
        expected = separated()
        assert not operations.n_there
        found = separated(device=NAME)
    assert operations.n_there > 1000
    for name in found.names:
        assert_array_equal(found.images[name].data, expected.images[name].data)
        assert_array_equal(found.smooth_images[name].data, expected.smooth_images[name].data)
    for name, each in expected.parameter_maps.get("thermal", {}).items():
        assert_array_equal(found.parameter_maps["thermal"][name].data, each.data)
    for name, drawn in expected.samples.items():
        assert_array_equal(found.samples[name], drawn)
