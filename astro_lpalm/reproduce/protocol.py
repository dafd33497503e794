"""The data of section 3.1: which spectra train, which test, and what is mixed with them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._files import open_fits
from ..sources import GeneralizedGaussian, SourceLibrary
from ..spectra import SpectralLibrary
from ..training import TrainingSet, add_noise

__all__ = ["COMPONENTS", "Protocol", "read_protocol"]

#: Extensions of the authors' files, in the order of the columns of A.
COMPONENTS = ("SYNC", "THERM", "FE1", "FE2")

_N_TEST = 150
_N_PIXELS = 500
_SHAPE = 0.3
_SNR_DB = 30.0


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


def read_protocol(directory, *, seed=0):
    """Make the training and test data of section 3.1 from the authors' simulated spectra.

    The 150 samples of the lowest summed column cosine to the first test, the others train, as in the authors' program.
    Sources are generalized Gaussian of shape 0.3, rows of unit norm; noise is white.

    Parameters
    ----------
    directory : str or `os.PathLike`
        Where ``spectra.fits`` is: an extension for each of `COMPONENTS`, (900, 65), unit-norm spectra.
    seed : int
        Of sources and noise.

    Returns
    -------
    `Protocol`

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If an extension is missing.
    """
    path = Path(directory) / "spectra.fits"
    with open_fits(path) as hdulist:
        missing = [name for name in COMPONENTS if name not in hdulist]
        if missing:
            msg = f"'{path}' has no extension {missing[0]}; expected {', '.join(COMPONENTS)}."
            raise ValueError(msg)
        spectra = np.stack([hdulist[name].data.astype(float) for name in COMPONENTS], axis=-1)
    likeness = np.einsum("imk,mk->i", spectra, spectra[0])
    test = np.argsort(likeness, kind="stable")[:_N_TEST]
    training = np.setdiff1d(np.arange(len(spectra)), test)
    rng = np.random.default_rng(seed)
    source = GeneralizedGaussian(fraction=1.0, scale=1.0, shape=_SHAPE)
    sources = SourceLibrary(dict.fromkeys(COMPONENTS, source))
    S = sources.draw(len(spectra), _N_PIXELS, rng)
    X = add_noise(spectra, S, _SNR_DB, rng)
    # The energies of these spectra were not published: bins are numbered, and only their number matters here.
    known = SpectralLibrary.from_arrays(
        {name: spectra[training, :, k] for k, name in enumerate(COMPONENTS)}, np.arange(1, spectra.shape[1] + 2)
    )
    training_set = TrainingSet.from_arrays(
        X[training], spectra[training], S[training], component_names=COMPONENTS, library=known.statistics(rank=20)
    )
    return Protocol(training_set, X[test], spectra[test], S[test])
