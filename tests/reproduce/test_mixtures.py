import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm.reproduce import (
    COMPONENTS,
    RealisticMixtures,
    make_realistic_training_set,
    read_protocol,
    read_realistic,
    read_spectra,
)
from astro_lpalm.separation import nmse
from astro_lpalm.transforms import Starlet


def toy_mixtures(**settings):
    rng = np.random.default_rng(0)
    maps = rng.standard_exponential((3, 24, 20)) * (rng.random((3, 24, 20)) < 0.3)
    spectra = rng.random((4, 12, 3))
    return RealisticMixtures(maps, spectra / np.linalg.norm(spectra, axis=1, keepdims=True), **settings)


def parts(images):
    """What was added up to make the images: the mixture's own recipe keeps no record of it."""
    details, coarse = Starlet(1).forward(images)
    return details[0], coarse


@pytest.mark.parametrize("shuffled", [True, False])
def test_a_mixture(shuffled):
    mixtures = toy_mixtures(shuffled=shuffled)
    mixture = mixtures[1]
    assert (mixture.cube.shape, mixture.spectra.shape, mixture.images.shape) == ((12, 24, 20), (12, 3), (3, 24, 20))
    np.testing.assert_array_equal(mixture.spectra, mixtures.spectra[1])
    clean = np.tensordot(mixture.spectra, mixture.images, 1)
    noise = mixture.cube - clean
    assert 20 * np.log10(np.linalg.norm(clean) / np.linalg.norm(noise)) == pytest.approx(30.0, abs=1e-3)
    level = noise.std(axis=(1, 2))
    np.testing.assert_allclose(level, level.mean(), rtol=0.15)  # white: 480 pixels tell it to 3 %


def test_details_and_coarse_parts_have_unit_norm():
    # By the recipe written out once more, without the class.
    rng = np.random.default_rng(0)
    maps = rng.standard_exponential((3, 24, 20)) * (rng.random((3, 24, 20)) < 0.3)
    details, coarse = parts(maps)
    expected = details / np.sqrt((details**2).sum(axis=(1, 2)))[:, None, None]
    expected = expected + coarse / np.sqrt((coarse**2).sum(axis=(1, 2)))[:, None, None]
    np.testing.assert_allclose(toy_mixtures(shuffled=False)[0].images, expected, rtol=1e-12, atol=1e-15)


def test_shuffled_details_are_the_same_values_in_other_places():
    plain, shuffled = toy_mixtures(shuffled=False), toy_mixtures(shuffled=True)
    details = shuffled[0].images - shuffled._coarse
    for found, given in zip(details, plain[0].images - plain._coarse):
        np.testing.assert_allclose(np.sort(found.ravel()), np.sort(given.ravel()), atol=1e-14)
        assert abs(np.corrcoef(found.ravel(), given.ravel())[0, 1]) < 0.2
    moved = [np.argmax(np.abs(detail)) for detail in details]
    unmoved = [np.argmax(np.abs(detail)) for detail in plain[0].images - plain._coarse]
    assert moved != unmoved
    # every mixture and every source has an order of its own
    assert not np.allclose(shuffled[0].images, shuffled[1].images)
    np.testing.assert_array_equal(plain[0].images, plain[1].images)


def test_a_mixture_depends_on_seed_and_index_alone():
    first, second = toy_mixtures(shuffled=True), toy_mixtures(shuffled=True)
    second[0], second[3]
    np.testing.assert_array_equal(first[2].cube, second[2].cube)
    np.testing.assert_array_equal(first[-2].cube, first[2].cube)
    assert not np.allclose(first[2].cube, toy_mixtures(shuffled=True, seed=1)[2].cube)
    assert len(list(first)) == len(first) == 4
    with pytest.raises(IndexError):
        first[4]


def test_real_mixtures_have_the_test_spectra_of_section_3_1(shared_data):
    mixtures = read_realistic(shared_data / "casa", shuffled=True, seed=3)
    spectra, training, test = read_spectra(shared_data / "casa")
    assert len(mixtures) == len(test) == 150
    assert len(training) == 750
    assert not set(training) & set(test)
    cosines = np.einsum("imk,mk->i", spectra, spectra[0])
    assert cosines[test].max() <= cosines[training].min()
    data = read_protocol(shared_data / "casa")
    np.testing.assert_array_equal(mixtures.spectra, data.A)
    np.testing.assert_array_equal(data.training.A, spectra[training].astype(np.float32))
    mixture = mixtures[7]
    assert mixture.cube.shape == (65, 346, 346)
    assert mixture.cube.dtype == np.float32
    # The known fact about the data that decides what the truth is: forward details are not those put in.
    details = mixture.images - mixtures._coarse
    assert 0.03 < nmse(parts(mixture.images)[0].reshape(4, -1), details.reshape(4, -1)) < 0.3


def test_training_set_has_the_statistics_of_the_maps(shared_data):
    training_set = make_realistic_training_set(shared_data / "casa", n_pixels=200, snr_db=(15, 35), seed=1)
    assert training_set.component_names == COMPONENTS
    assert (training_set.X.shape, training_set.S.shape) == ((750, 65, 200), (750, 4, 200))
    np.testing.assert_allclose(np.linalg.norm(training_set.S, axis=2), 1, rtol=1e-5)
    # The paper: 0.76, 0.35, 0.27, 0.15 of the pixels are not zero.
    np.testing.assert_allclose((training_set.S != 0).mean(axis=(0, 2)), [0.76, 0.35, 0.27, 0.15], atol=0.01)
    signal = training_set.A @ training_set.S
    noise = np.linalg.norm(training_set.X - signal, axis=(1, 2))
    snr = 20 * np.log10(np.linalg.norm(signal, axis=(1, 2)) / noise)
    assert 15 <= snr.min() + 1e-3 < 16
    assert 34 < snr.max() - 1e-3 <= 35
    np.testing.assert_array_equal(training_set.A, read_protocol(shared_data / "casa").training.A)
    again = make_realistic_training_set(shared_data / "casa", n_pixels=200, snr_db=(15, 35), seed=1)
    np.testing.assert_array_equal(again.X, training_set.X)


def test_library_is_of_the_training_spectra_alone(shared_data):
    library = make_realistic_training_set(shared_data / "casa", n_pixels=20).prior
    spectra, training, _ = read_spectra(shared_data / "casa")
    np.testing.assert_allclose(library.mean, spectra[training].mean(axis=0).T, rtol=1e-12)
    assert library.principal.shape == (4, 20, 65)


def test_missing_extension(tmp_path):
    hdus = [fits.ImageHDU(np.ones((2, 3)), name=name) for name in COMPONENTS[:3]]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "spectra.fits")
    with pytest.raises(ValueError, match=r"spectra.fits' has no FE2; expected SYNC, THERM, FE1, FE2"):
        read_realistic(tmp_path, shuffled=True)
    with pytest.raises(FileNotFoundError):
        read_realistic(tmp_path / "nowhere", shuffled=True)
