import numpy as np
import pytest
import torch

from astro_lpalm.forward import ForwardModel
from astro_lpalm.instrument import BlurTerm
from astro_lpalm.instrument.blur import GaussianBlur, KernelBlur
from astro_lpalm.separation import ImageBlur

M = 6


def crooked(rng, half=3):
    """A kernel without any symmetry."""
    return KernelBlur(rng.random((2 * half + 1, 2 * half - 1)) ** 3)


def terms(shape, rng):
    hard, right = np.linspace(0, 1, M), np.tile(np.linspace(0, 1, shape[1]), (shape[0], 1))
    return [
        BlurTerm(1 - hard, 1 - right, GaussianBlur(0.7)),
        BlurTerm(1 - hard, right, crooked(rng)),
        BlurTerm(hard, 1 - right, GaussianBlur(1.8)),
        BlurTerm(hard, right, GaussianBlur(3.0)),
    ]


def through(blur, images, basis):
    """Expected counts (m, pixels)."""
    channels = torch.as_tensor(images.reshape(len(images), -1), dtype=torch.float32)
    return (blur.basis(torch.as_tensor(basis, dtype=torch.float32)) @ blur.forward(channels)).numpy()


@pytest.mark.parametrize("shape", [(20, 24), (9, 31), (1, 12), (12, 1), (4, 5)])
def test_images_are_blurred_as_the_kernel_does(rng, shape):
    kernel, image = crooked(rng), rng.random(shape)
    blur = ImageBlur([BlurTerm(np.ones(M), None, kernel)], shape)
    found = blur.forward(torch.as_tensor(image).float().reshape(1, -1))
    np.testing.assert_allclose(found.numpy().reshape(shape), kernel.blur(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(20, 24), (7, 30)])
def test_counts_are_those_of_the_forward_model(rng, shape):
    A, S = rng.dirichlet(np.ones(M), size=2).T, 100 * rng.random((2, *shape))
    for given in (terms(shape, rng), terms(shape, rng)[:1]):
        single = len(given) == 1  # weights of one alone are not asked for
        own = [BlurTerm(np.ones(M), None, given[0].kernel)] if single else given
        expected = ForwardModel(np.ones(shape, dtype=bool), blur_terms=tuple(own)).expected(A, S.reshape(2, -1))
        np.testing.assert_allclose(through(ImageBlur(own, shape), S, A), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(20, 24), (1, 12)])
def test_adjoint(rng, shape):
    blur, n = ImageBlur(terms(shape, rng), shape), shape[0] * shape[1]
    a, b = (torch.as_tensor(rng.standard_normal(size), dtype=torch.float32) for size in ((3, n), (12, n)))
    there = (blur.forward(a) * b).sum(dtype=torch.float64)
    back = (a * blur.adjoint(b)).sum(dtype=torch.float64)
    np.testing.assert_allclose(back, there, rtol=1e-4, atol=1e-3)


def test_photons_are_lost_only_over_the_edges(rng):
    shape = (60, 60)
    blur, images = ImageBlur(terms(shape, rng), shape), np.zeros((1, *shape))
    images[0, 28:33, 28:33] = 10 * rng.random((5, 5))
    spectrum = rng.dirichlet(np.ones(M))[:, np.newaxis]
    np.testing.assert_allclose(through(blur, images, spectrum).sum(axis=1), images.sum() * spectrum[:, 0], rtol=1e-5)
    images[0, 0, 0] = 1e4
    assert through(blur, images, spectrum).sum() < 0.9 * images.sum()


def test_wide_kernel_does_not_come_back_at_the_other_edge():
    shape = (10, 16)
    image = torch.zeros((1, 160))
    image[0, 0] = 1.0
    found = ImageBlur([BlurTerm(np.ones(M), None, GaussianBlur(8.0))], shape).forward(image).numpy().reshape(shape)
    expected = GaussianBlur(8.0).blur(image.numpy().reshape(shape))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.all(np.diff(found[0]) < 0)


def test_part_of_a_wave_that_is_left(rng):
    k = np.array([0.0, 0.02, 0.05, 0.1, 0.2])
    alone = ImageBlur([BlurTerm(np.ones(M), None, GaussianBlur(1.5))], (64, 48))
    # a Gaussian and, from anywhere in a pixel to anywhere in another one, a triangle
    expected = np.exp(-0.5 * (2 * np.pi * k * 1.5) ** 2) * np.sinc(k) ** 2
    np.testing.assert_allclose(alone.transfer(k), expected, atol=0.01)
    energies = np.linspace(0, 0.5, M)
    both = ImageBlur(
        [BlurTerm(1 - energies, None, GaussianBlur(0.1)), BlurTerm(energies, None, GaussianBlur(20.0))], (64, 64)
    )
    np.testing.assert_allclose(both.transfer(np.array([0.0, 0.1])), [1, 0.75 * np.sinc(0.1) ** 2], atol=0.02)
