"""The data of section 3.1: which spectra train, which test, and what is mixed with them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._files import open_fits
from ..sources import GeneralizedGaussian, SourceLibrary
from ..spectra import SpectralPrior
from ..training import TrainingSet, add_noise
from ._array_pickle import read_pickled_arrays

__all__ = ["COMPONENTS", "TRAINING_SETTINGS", "Protocol", "read_protocol", "read_spectra"]

#: Extensions of the authors' files, in the order of the columns of A.
COMPONENTS = ("SYNC", "THERM", "FE1", "FE2")

#: Settings of `~astro_lpalm.training.train` that did best on validation samples of section 3.1.
TRAINING_SETTINGS = {"epochs": 75, "batch_size": 4, "learning_rate": 2e-3}

_TEST_SHARE = 6  # of 900
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

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.reproduce import Protocol
    >>> from astro_lpalm.training import TrainingSet
    >>> rng = np.random.default_rng(0)
    >>> A, S = rng.random((12, 8, 2)), rng.laplace(size=(12, 2, 50))
    >>> protocol = Protocol(TrainingSet.from_arrays(A[:10] @ S[:10], A[:10], S[:10]), A[10:] @ S[10:], A[10:], S[10:])
    >>> len(protocol.training), len(protocol.X)
    (10, 2)
    """

    training: TrainingSet
    X: np.ndarray
    A: np.ndarray
    S: np.ndarray


def read_components(directory, stem, pickled):
    """Read one of the authors' two files, as FITS or as they published it.

    Parameters
    ----------
    directory : str or `os.PathLike`
        Where the file is.
    stem : str
        Name of the FITS file without its ending; it has an extension for each of `COMPONENTS`.
    pickled : str
        Name of the authors' own file, which is read where there is no such FITS file.

    Returns
    -------
    list of `~numpy.ndarray`
        In the order of `COMPONENTS`, double precision.

    Raises
    ------
    OSError
        If neither file is there, or it cannot be read.
    ValueError
        If a component is missing, or the pickle holds anything but arrays.
    """
    path = Path(directory) / f"{stem}.fits"
    if path.exists():
        with open_fits(path) as hdulist:
            arrays = {name: hdulist[name].data.astype(float) for name in COMPONENTS if name in hdulist}
    elif path.with_name(pickled).exists():
        path = path.with_name(pickled)
        arrays = {name.upper(): array for name, array in read_pickled_arrays(path).items()}
    else:
        msg = f"there is no '{path}', nor the authors' '{pickled}' beside it; check the name of the data directory."
        raise FileNotFoundError(msg)
    missing = [name for name in COMPONENTS if name not in arrays]
    if missing:
        msg = f"'{path}' has no {missing[0]}; expected {', '.join(COMPONENTS)}."
        raise ValueError(msg)
    return [arrays[name] for name in COMPONENTS]


def read_spectra(directory):
    """Read the authors' simulated spectra, and which of them train and which test.

    The sixth of the samples, 150, of the lowest summed column cosine to the first test, the others train, as in the
    authors' program.

    Parameters
    ----------
    directory : str or `os.PathLike`
        Where ``spectra.fits`` is, with an extension for each of ``COMPONENTS``, (900, 65), unit-norm spectra; or the
        authors' own ``spectra.npy``.

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

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astro_lpalm.reproduce import COMPONENTS, read_spectra
    >>> rng = np.random.default_rng(0)
    >>> spectra = [fits.ImageHDU(rng.dirichlet(np.ones(8), 12), name=name) for name in COMPONENTS]
    >>> with TemporaryDirectory() as folder:
    ...     fits.HDUList([fits.PrimaryHDU(), *spectra]).writeto(f"{folder}/spectra.fits")
    ...     [array.shape for array in read_spectra(folder)]
    [(12, 8, 4), (10,), (2,)]
    """
    arrays = read_components(directory, "spectra", "spectra.npy")
    # The authors' program takes as many of each component as there are of the one that has fewest.
    spectra = np.stack([array[: min(map(len, arrays))] for array in arrays], axis=-1)
    likeness = np.einsum("imk,mk->i", spectra, spectra[0])
    test = np.argsort(likeness, kind="stable")[: len(spectra) // _TEST_SHARE]
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

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astro_lpalm.reproduce import COMPONENTS, read_protocol
    >>> rng = np.random.default_rng(0)
    >>> spectra = [fits.ImageHDU(rng.dirichlet(np.ones(8), 12), name=name) for name in COMPONENTS]
    >>> with TemporaryDirectory() as folder:
    ...     fits.HDUList([fits.PrimaryHDU(), *spectra]).writeto(f"{folder}/spectra.fits")
    ...     protocol = read_protocol(folder, seed=1)
    >>> len(protocol.training), protocol.X.shape
    (10, (2, 8, 500))
    """
    spectra, training, test = read_spectra(directory)
    rng = np.random.default_rng(seed)
    source = GeneralizedGaussian(fraction=1.0, scale=1.0, shape=_SHAPE)
    sources = SourceLibrary(dict.fromkeys(COMPONENTS, source))
    S = sources.draw(len(spectra), _N_PIXELS, rng)
    X = add_noise(spectra, S, _SNR_DB, rng)
    return Protocol(make_training_set(X[training], spectra[training], S[training]), X[test], spectra[test], S[test])


def perturb_spectra(training_set, largest, seed):
    """Mix the sources of a training set with its mean spectra instead, and Gaussian perturbations of them.

    Parameters
    ----------
    training_set : `~astro_lpalm.training.TrainingSet`
    largest : float
        Each example has a standard deviation of its own, from 0 to this, the same for all values of its spectra, whose
        columns have unit norm before and after.
    seed : int
        Of perturbations and noise.

    Returns
    -------
    `~astro_lpalm.training.TrainingSet`
        Observations of the perturbed spectra, 30 dB as those of `read_protocol`.
    """
    X, A = mix_perturbed(training_set, training_set.S, largest, [seed, 3])
    return make_training_set(X, A, training_set.S)


def mix_perturbed(training_set, S, largest, seed):
    """Mix sources, (N, n, t), as `perturb_spectra` does; return X, (N, m, t), and A, (N, m, n)."""
    rng = np.random.default_rng(seed)
    mean = training_set.A.mean(axis=0, dtype=float)
    mean /= np.linalg.norm(mean, axis=0)
    A = mean + rng.uniform(0.0, largest, (len(S), 1, 1)) * rng.standard_normal((len(S), *mean.shape))
    A /= np.linalg.norm(A, axis=1, keepdims=True)
    return add_noise(A, S, _SNR_DB, rng), A


def make_training_set(X, A, S):
    """Make a training set whose spectra are also all that is known of the components."""
    prior = SpectralPrior.of_draws(A, _RANK)
    return TrainingSet.from_arrays(X, A, S, component_names=COMPONENTS, prior=prior)
