"""The data of section 3.1: which spectra train, which test, and what is mixed with them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._files import open_fits
from ..sources import GeneralizedGaussian, SourceLibrary
from ..spectra import LibraryStatistics
from ..training import TrainingSet, add_noise

__all__ = ["COMPONENTS", "TRAINING_SETTINGS", "Protocol", "read_protocol", "read_spectra"]

#: Extensions of the authors' files, in the order of the columns of A.
COMPONENTS = ("SYNC", "THERM", "FE1", "FE2")

#: Settings of `~astro_lpalm.training.train` that did best on validation samples of section 3.1.
TRAINING_SETTINGS = {"epochs": 75, "batch_size": 4, "learning_rate": 2e-3}

_N_TEST = 150
_N_PIXELS = 500
_SHAPE = 0.3
_SNR_DB = 30.0
_RANK = 20


@dataclass(frozen=True)
class Protocol:
    """Section 3.1: four sources of 500 pixels, 30 dB, and test spectra unlike those that train.

    Attributes
    ----------
    training : `~astro_lpalm.training.TrainingSet`
        750 examples.
    X, A, S : `~numpy.ndarray`, shapes (150, 65, 500), (150, 65, 4), (150, 4, 500)
        Test data and their truth.
    """

    training: TrainingSet
    X: np.ndarray
    A: np.ndarray
    S: np.ndarray


def read_component_hdus(path):
    """Read the extensions of one of the authors' files, one for each of `COMPONENTS`, in double precision."""
    with open_fits(path) as hdulist:
        missing = [name for name in COMPONENTS if name not in hdulist]
        if missing:
            msg = f"'{path}' has no extension {missing[0]}; expected {', '.join(COMPONENTS)}."
            raise ValueError(msg)
        return [hdulist[name].data.astype(float) for name in COMPONENTS]


def read_spectra(directory):
    """Read the authors' simulated spectra, and which of them train and which test.

    The 150 samples of the lowest summed column cosine to the first test, the others train, as in the authors' program.

    Parameters
    ----------
    directory : str or `os.PathLike`
        Where ``spectra.fits`` is: an extension for each of `COMPONENTS`, (900, 65), unit-norm spectra.

    Returns
    -------
    spectra : `~numpy.ndarray`, shape (900, 65, 4)
        Mixing matrices.
    training, test : `~numpy.ndarray` of int, shapes (750,) and (150,)
        Indices into them, the test's in order of likeness.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If an extension is missing.
    """
    spectra = np.stack(read_component_hdus(Path(directory) / "spectra.fits"), axis=-1)
    likeness = np.einsum("imk,mk->i", spectra, spectra[0])
    test = np.argsort(likeness, kind="stable")[:_N_TEST]
    return spectra, np.setdiff1d(np.arange(len(spectra)), test), test


def read_protocol(directory, *, seed=0):
    """Make the training and test data of section 3.1 from the authors' simulated spectra.

    Sources are generalized Gaussian of shape 0.3, rows of unit norm; noise is white.

    Parameters
    ----------
    directory : str or `os.PathLike`
        See `read_spectra`, which also says which of them test.
    seed : int
        Of sources and noise.

    Returns
    -------
    `Protocol`

    Raises
    ------
    OSError, ValueError
        See `read_spectra`.
    """
    spectra, training, test = read_spectra(directory)
    rng = np.random.default_rng(seed)
    source = GeneralizedGaussian(fraction=1.0, scale=1.0, shape=_SHAPE)
    sources = SourceLibrary(dict.fromkeys(COMPONENTS, source))
    S = sources.draw(len(spectra), _N_PIXELS, rng)
    X = add_noise(spectra, S, _SNR_DB, rng)
    return Protocol(make_training_set(X[training], spectra[training], S[training]), X[test], spectra[test], S[test])


def make_training_set(X, A, S):
    """Make a training set whose spectra are also all that is known of the components."""
    library = LibraryStatistics.of_draws(A, _RANK)
    return TrainingSet.from_arrays(X, A, S, component_names=COMPONENTS, library=library)
