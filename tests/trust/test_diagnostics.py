import re
import warnings
from functools import partial

import numpy as np
import pytest
from astropy.utils.exceptions import AstropyUserWarning
from numpy.testing import assert_allclose

from astro_lpalm import EventCube, load_model, separate
from astro_lpalm.demo import remnant_images
from astro_lpalm.results import Separation
from astro_lpalm.sources import SourceLibrary
from astro_lpalm.spectra import SpectralLibrary
from astro_lpalm.trust.diagnostics import SeparationWarning, _expected_c, block_chi_square

from .. import toy
from .conftest import SHARES, SIZE, observe

separate = partial(separate, smooth=False)  # smooth images have no part in what is tested here


def remnant(model, counts=30, seed=1):
    """Expected counts (m, ny, nx) of a remnant with spectra of the model's library."""
    images = remnant_images(SIZE, seed)
    A = SpectralLibrary.from_file("snr-acis").draw(1, seed)[0]
    S = np.stack([SHARES[name] * images[name].ravel() for name in model.component_names])
    return counts * SIZE**2 * ((A / A.sum(axis=0)) @ S).reshape(-1, SIZE, SIZE)


def messages(cube, model, **options):
    """What separating the cube warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        separate(cube, model, **options)
    assert all(issubclass(each.category, AstropyUserWarning) for each in caught)
    return [str(each.message) for each in caught if issubclass(each.category, SeparationWarning)]


def blob(y, x, width):
    rows, columns = np.indices((SIZE, SIZE))
    image = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2))
    return image / image.sum()


@pytest.mark.parametrize("counts", [3, 30, 300])
@pytest.mark.parametrize("seed", [0, 1])
def test_good_data_pass_in_silence(model, counts, seed):
    result = separate(observe(remnant(model, counts, seed), model, seed), model)  # a warning would be an error
    figures = result.diagnostics.meta
    assert figures["residual_sigma"] < 10
    assert figures["structure_sigma"] > 100
    assert 0.8 < figures["reduced_cstat"] < 1.2
    assert 5 < figures["snr_db"] < 45
    assert np.all(result.diagnostics["library_distance"] < 5)


def missing_component(expected, energies):
    line = np.exp(-(((energies - 4.5) / 0.1) ** 2) / 2)
    return expected + 0.05 * expected.sum() * (line / line.sum())[:, None, None] * blob(20, 40, 8)


def wrong_gain(expected, energies):
    return np.concatenate([np.zeros_like(expected[:1]), expected[:-1]])


def shuffled_energies(expected, energies):
    return expected[np.random.default_rng(0).permutation(len(expected))]


def point_source(expected, energies):
    spectrum = energies**-1.5
    return expected + 0.03 * expected.sum() * (spectrum / spectrum.sum())[:, None, None] * blob(30, 30, 0.7)


@pytest.mark.parametrize("fault", [missing_component, wrong_gain, shuffled_energies, point_source])
@pytest.mark.parametrize("counts", [10, 100])
def test_faults_are_seen(model, energies, fault, counts):
    cube = observe(fault(remnant(model, counts), energies), model)
    assert any("sigma" in message for message in messages(cube, model))


def test_a_point_source_is_located(model, energies):
    cube = observe(point_source(remnant(model, 100), energies), model)
    (message,) = (message for message in messages(cube, model) if "point source" in message)
    ra, dec = (float(word) for word in message.split("a spot at ")[1].split(" deg")[0].split())
    x, y = cube.wcs.world_to_pixel_values(ra, dec)
    assert np.hypot(x - 30, y - 30) < 2


@pytest.mark.parametrize("counts", [3, 100])
def test_an_empty_field_is_said_to_be_empty(model, counts):
    spectrum = remnant(model, counts).mean(axis=(1, 2), keepdims=True)
    cube = observe(np.broadcast_to(spectrum, (len(spectrum), SIZE, SIZE)), model)
    assert any("nothing in it that could tell components apart" in message for message in messages(cube, model))


def test_a_model_of_other_components_is_seen(model):
    cube = toy.cube()
    wrong = toy.model()
    wrong.prior = type(wrong.prior)(
        wrong.prior.mean[:, ::-1].copy(), wrong.prior.principal, wrong.prior.spread, wrong.prior.remainder
    )
    cube = EventCube(np.roll(cube.data, 3, axis=0), energy_edges=toy.EDGES, wcs=toy.wcs())
    assert any("outside its library" in message for message in messages(cube, wrong))


def test_a_flux_is_not_counts(model):
    cube = observe(remnant(model, 30), model)
    flux = EventCube(cube.data / 2e4, energy_edges=cube.energy_edges, wcs=cube.wcs)
    first, *others = messages(flux, model)
    assert "of the variance that counts have: is the cube a flux" in first
    assert others


def test_what_is_negative_has_no_c_statistic(model, tmp_path):
    cube = observe(remnant(model, 30), model)
    net = EventCube(cube.data - 0.05, energy_edges=cube.energy_edges, wcs=cube.wcs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)
        result = separate(net, model)
    assert "reduced_cstat" not in result.diagnostics.meta
    result.write(tmp_path / "net.fits")  # where NaN has no place


def test_an_unusual_signal_to_noise_ratio_is_said(model):
    loud = load_model("snr-acis")
    loud.description |= {"SNR_LOW": 60.0, "SNR_HIGH": 80.0}
    separate(observe(remnant(model, 30), model), loud)  # a low one does no harm: the counts had the last word
    said = messages(observe(remnant(model, 30), model), loud, refine=False)
    assert any(re.search("signal-to-noise ratio .* is .* dB, but .* trained for 60 to 80 dB", each) for each in said)
    loud.description |= {"SNR_LOW": -80.0, "SNR_HIGH": -60.0}
    with pytest.warns(SeparationWarning, match="signal-to-noise ratio .* is .* dB, but .* trained for -80 to -60 dB"):
        separate(observe(remnant(model, 30), model), loud)


@pytest.fixture(scope="module")
def honest():
    """Function for the expected counts of 32 x 32 pixels with images and spectra of the model's libraries."""
    spectra = SpectralLibrary.from_file("snr-acis").draw(20, seed=0)
    images = SourceLibrary.from_file("snr-acis").draw_images(20, (32, 32), seed=0)

    def expected(counts, index):
        cube = np.tensordot(spectra[index] / np.linalg.norm(spectra[index], axis=0), images[index], 1)
        return counts / cube.sum() * cube

    return expected


@pytest.mark.parametrize("counts", [500, 1000, 2000, 5000])
def test_few_counts_are_judged_as_many_are(model, honest, counts):
    cubes = [observe(honest(counts, index), model, index) for index in range(20)]
    with warnings.catch_warnings():  # any other warning would be an error
        warnings.filterwarnings("ignore", ".* parameters are open", SeparationWarning)
        results = [separate(cube, model) for cube in cubes]
    assert np.mean([each.diagnostics.meta["reduced_chi_square"] for each in results]) == pytest.approx(1, abs=0.05)
    # All photons are shared out, but for one or two in energies in which the spectra have next to nothing.
    shared = [each.diagnostics["counts"].value.sum() / cube.data.sum() for each, cube in zip(results, cubes)]
    assert np.mean(shared) == pytest.approx(1, abs=1e-3)
    assert np.abs(np.subtract(shared, 1)).max() < 3 / counts


def test_blocks_of_the_true_model_have_the_expected_chi_square(model):
    # Their mean excess is nothing, and its scatter one standard deviation, where images are fitted to true spectra.
    expected, A = remnant(model, 30), SpectralLibrary.from_file("snr-acis").draw(1, 1)[0]
    excess = []
    for seed in range(5):
        cube = observe(expected, model, seed)
        X = cube.matrix()
        weighted = A / np.maximum(X.mean(axis=1), 1e-3)[:, None]
        S = np.linalg.solve(weighted.T @ A, weighted.T @ X)
        excess.append(block_chi_square(Separation(cube, A, S, model.component_names).fit, 16))
    assert abs(np.nanmean(excess)) < 1
    assert 0.3 < np.nanstd(excess) < 1.5


@pytest.mark.parametrize("mean", [0.01, 0.5, 3.0, 40.0, 1000.0])
def test_expected_c_statistic(mean):
    x = np.random.default_rng(0).poisson(mean, 400_000)
    with np.errstate(divide="ignore", invalid="ignore"):
        c = 2 * (mean - x + np.where(x > 0, x * np.log(x / mean), 0))
    assert_allclose(_expected_c(np.array([mean]))[0], c.mean(), rtol=0.03)
