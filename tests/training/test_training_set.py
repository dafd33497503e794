import astropy.units as u
import numpy as np
import pytest

from astro_lpalm.sources import GeneralizedGaussian, SourceLibrary
from astro_lpalm.spectra import SpectralLibrary
from astro_lpalm.training import TrainingSet, add_noise


@pytest.fixture
def libraries():
    rng = np.random.default_rng(3)
    edges = np.linspace(1, 5, 9) * u.keV
    spectra = SpectralLibrary.from_arrays({"a": 0.1 + rng.random((20, 8)), "b": 0.1 + rng.random((20, 8))}, edges)
    sources = SourceLibrary({name: GeneralizedGaussian(fraction=0.5, scale=1.0, shape=0.5) for name in "ab"})
    return spectra, sources


@pytest.mark.parametrize("noise", ["white", "counts"])
def test_noise_has_the_wanted_level(noise):
    rng = np.random.default_rng(0)
    A, S = rng.random((3, 6, 2)), rng.standard_normal((3, 2, 50))
    snr = np.array([10.0, 20.0, 40.0])
    X = add_noise(A, S, snr, 1, noise=noise)
    signal = A @ S
    found = 20 * np.log10(np.linalg.norm(signal, axis=(1, 2)) / np.linalg.norm(X - signal, axis=(1, 2)))
    np.testing.assert_allclose(found, snr, atol=0.02)


def test_noise_of_counts_follows_the_spectrum():
    A = np.array([[[1.0], [100.0]]])
    S = np.random.default_rng(0).standard_normal((1, 1, 20000))
    noise = add_noise(A, S, 10.0, 1, noise="counts") - A @ S
    assert noise[0, 1].std() / noise[0, 0].std() == pytest.approx(10, rel=0.03)


def test_synthesize(libraries):
    first, again = (TrainingSet.synthesize(*libraries, 5, (20.0, 30.0), 4, n_pixels=40, rank=3) for _ in range(2))
    assert first.X.shape == (5, 8, 40)
    np.testing.assert_array_equal(first.X, again.X)
    np.testing.assert_allclose(np.linalg.norm(first.A, axis=1), 1, rtol=1e-5)
    snr = 20 * np.log10(
        np.linalg.norm(first.A @ first.S, axis=(1, 2)) / np.linalg.norm(first.X - first.A @ first.S, axis=(1, 2))
    )
    assert np.all((snr > 19.9) & (snr < 30.1))
    assert np.ptp(snr) > 1
    assert first.component_names == ("a", "b")
    assert first.prior.principal.shape == (2, 3, 8)
    assert not np.array_equal(first.X, TrainingSet.synthesize(*libraries, 5, (20.0, 30.0), 5, n_pixels=40).X)


def test_synthesize_errors(libraries):
    spectra, sources = libraries
    other = SourceLibrary({name: GeneralizedGaussian(fraction=0.5, scale=1.0, shape=0.5) for name in "ba"})
    with pytest.raises(ValueError, match="same components in the same order"):
        TrainingSet.synthesize(spectra, other, 5, 30.0, 0)
    with pytest.raises(ValueError, match="n_samples is 1"):
        TrainingSet.synthesize(spectra, sources, 1, 30.0, 0)
    with pytest.raises(ValueError, match="noise is 'pink', but must be one of 'counts', 'white'"):
        TrainingSet.synthesize(spectra, sources, 5, 30.0, 0, noise="pink")
    with pytest.raises(ValueError, match="sources is 'maps', but must be one of 'pixels', 'images'"):
        TrainingSet.synthesize(spectra, sources, 5, 30.0, 0, sources="maps")


def test_sources_from_images(libraries):
    def moduli_correlation(correlation):
        drawn = TrainingSet.synthesize(
            *libraries, 40, 30.0, 2, n_pixels=3000, sources="images", correlation=correlation
        )
        assert drawn.S.shape == (40, 2, 3000)
        assert drawn.description["SOURCES"] == "images"
        return [np.corrcoef(np.abs(S))[0, 1] for S in drawn.S]

    none, full, some = (moduli_correlation(correlation) for correlation in (0.0, 1.0, (0.0, 1.0)))
    assert np.mean(none) < np.mean(some) < np.mean(full)
    pixels = TrainingSet.synthesize(*libraries, 40, 30.0, 2, n_pixels=3000)
    assert np.mean([np.corrcoef(np.abs(S))[0, 1] for S in pixels.S]) == pytest.approx(0, abs=0.02)


def test_from_arrays_errors():
    X, A, S = np.ones((4, 5, 7)), np.ones((4, 5, 2)), np.ones((4, 2, 7))
    with pytest.raises(ValueError, match="stacks of the same number"):
        TrainingSet.from_arrays(X[:3], A, S)
    with pytest.raises(ValueError, match="expected X"):
        TrainingSet.from_arrays(X, A, S[:, :, :6])
    with pytest.raises(ValueError, match="A has values that are NaN"):
        TrainingSet.from_arrays(X, np.full_like(A, np.nan), S)
    with pytest.raises(ValueError, match="source 1 of sample 2 is zero everywhere"):
        TrainingSet.from_arrays(X, A, S * ~((np.arange(4) == 2)[:, None, None] & (np.arange(2) == 1)[:, None]))
    with pytest.raises(ValueError, match="must differ in more than case"):
        TrainingSet.from_arrays(X, A, S, component_names=["a", "a"])
    with pytest.raises(ValueError, match="5 energies need 6"):
        TrainingSet.from_arrays(X, A, S, energy_edges=[1, 2, 3] * u.keV)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[training]\nsamples = 3", "training: unknown key 'samples'; allowed are n_samples"),
        ("training = 3", "training: 3 is no table"),
        ('[training]\nn_samples = "many"', "n_samples = 'many' is not a positive whole number"),
        ("[training]\nepochs = 2.5", "epochs = 2.5 is not a positive whole number"),
        ("[training]\nlearning_rate = 0", "learning_rate = 0 is not a positive number"),
        ("[training]\nsnr_db = [40, 10]", r"snr_db = \[40, 10\] is not a number of decibels or a range"),
        ('[training]\nsnr_db = ["a", 3]', "is not a number of decibels or a range"),
        ('[training]\nsources = "maps"', "training: sources is 'maps', but must be one of 'pixels', 'images'"),
        ('[training]\nnoise = "pink"', "training: noise is 'pink', but must be one of"),
        ("[training]\ncorrelation = [0.5, 2]", r"correlation = \[0.5, 2\] is not a number from 0 to 1"),
    ],
)
def test_from_file_refuses(tmp_path, text, message):
    path = tmp_path / "components.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        TrainingSet.from_file(path)


def test_repr_is_a_line(libraries):
    shown = repr(TrainingSet.synthesize(*libraries, 5, 30.0, 4, n_pixels=40))
    assert shown == "<TrainingSet: 5 examples of a, b; 8 energies, 40 pixels>"
