"""The data of section 3.2: maps of Cassiopeia A mixed with the test spectra, and synthetic sources to train on."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..sources import SourceLibrary
from ..training import add_noise
from ..transforms import Starlet
from .protocol import COMPONENTS, make_training_set, read_components, read_spectra

__all__ = [
    "REALISTIC_TRAINING_SETTINGS",
    "Mixture",
    "RealisticMixtures",
    "make_realistic_training_set",
    "read_maps",
    "read_realistic",
]

#: Settings of `~astro_lpalm.training.train` for what `make_realistic_training_set` makes, found on validation samples.
REALISTIC_TRAINING_SETTINGS = {"epochs": 20, "batch_size": 4, "learning_rate": 2e-3}

_TRANSFORM = Starlet(1)
_SNR_DB = 30.0


@dataclass(frozen=True)
class Mixture:
    """An observation of known components.

    Attributes
    ----------
    cube : `~numpy.ndarray`, shape (m, ny, nx)
        Images at all energies, with noise.
    spectra : `~numpy.ndarray`, shape (m, n)
        The true mixing matrix.
    images : `~numpy.ndarray`, shape (n, ny, nx)
        The true sources.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.reproduce import Mixture, RealisticMixtures
    >>> rng = np.random.default_rng(0)
    >>> mixture = RealisticMixtures(rng.random((2, 16, 16)), rng.random((5, 8, 2)), shuffled=False)[3]
    >>> isinstance(mixture, Mixture), mixture.spectra.shape, mixture.images.shape
    (True, (8, 2), (2, 16, 16))
    """

    cube: np.ndarray
    spectra: np.ndarray
    images: np.ndarray


class RealisticMixtures(Sequence):
    """Mixtures of the same maps with different spectra, each made when it is asked for.

    The details and the coarse part of a source map (starlet of one scale), each scaled to unit l2 norm, add up to a
    source. A single mixture depends on the seed and its index alone.

    Parameters
    ----------
    maps : array_like, shape (n, ny, nx)
        A map of each component.
    spectra : array_like, shape (N, m, n)
        A mixing matrix for each mixture.
    shuffled : bool
        Whether the pixels of the details are shuffled, each source's in its own way, so that sources are independent.
    seed : int
        Of shuffling and noise.
    snr_db : float
        ``20 log10(||A S|| / ||noise||)`` in decibels; noise is white.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.reproduce import RealisticMixtures
    >>> rng = np.random.default_rng(0)
    >>> mixtures = RealisticMixtures(rng.random((2, 16, 16)), rng.random((5, 8, 2)), shuffled=True)
    >>> len(mixtures), mixtures[0].cube.shape
    (5, (8, 16, 16))
    """

    def __init__(self, maps, spectra, *, shuffled, seed=0, snr_db=_SNR_DB):
        details, coarse = _TRANSFORM.forward(np.asarray(maps, dtype=float))
        self._details, self._coarse = _unit_norm(details[0]), _unit_norm(coarse)
        self.spectra = np.asarray(spectra, dtype=float)
        self.shuffled, self.seed, self.snr_db = bool(shuffled), int(seed), float(snr_db)

    def __len__(self):
        return len(self.spectra)

    def __getitem__(self, index):
        index = range(len(self))[operator.index(index)]
        rng = np.random.default_rng([self.seed, index])
        details, A = self._details, self.spectra[index]
        if self.shuffled:
            flat = details.reshape(len(details), -1)
            details = np.stack([rng.permutation(row) for row in flat]).reshape(details.shape)
        images = details + self._coarse
        X = add_noise(A[np.newaxis], images.reshape(1, len(images), -1), self.snr_db, rng)
        return Mixture(X.reshape(-1, *images.shape[1:]), A, images)


def _unit_norm(images):
    return images / np.linalg.norm(images, axis=(1, 2), keepdims=True)


def read_maps(directory):
    """Read the authors' maps of the components, which they found by GMCA in an observation of Cassiopeia A.

    Parameters
    ----------
    directory : str or `os.PathLike`
        Where ``sources.fits`` is, with an extension for each of ``COMPONENTS``, of the same shape;
        or the authors' own ``real_sources.pkl``.

    Returns
    -------
    `~numpy.ndarray`, shape (4, 346, 346)

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
    >>> from astro_lpalm.reproduce import COMPONENTS, read_maps
    >>> maps = [fits.ImageHDU(np.ones((16, 16)), name=name) for name in COMPONENTS]
    >>> with TemporaryDirectory() as folder:
    ...     fits.HDUList([fits.PrimaryHDU(), *maps]).writeto(f"{folder}/sources.fits")
    ...     read_maps(folder).shape
    (4, 16, 16)
    """
    return np.stack(read_components(directory, "sources", "real_sources.pkl"))


def read_realistic(directory, *, shuffled, seed=0):
    """Make the test mixtures of section 3.2 of Fahes et al. (ICLR 2022, arXiv:2112.05694), one by one.

    What was put in as detail is not what the transform of a mixture gives back: the starlet is not a projection. The
    truth to hold separated details against is the transform of the true images.

    Parameters
    ----------
    directory : str or `os.PathLike`
        Where ``spectra.fits`` (see `read_spectra`) and ``sources.fits`` (see `read_maps`) are.
    shuffled : bool
        Whether the pixels of the details are shuffled, as in Table 2 of the paper; otherwise sources are partially
        correlated, as in its Fig. 9.
    seed : int
        Of shuffling and noise.

    Returns
    -------
    `RealisticMixtures`
        150 of them, with the test spectra of `read_spectra`.

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If an extension is missing.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astro_lpalm.reproduce import COMPONENTS, read_realistic
    >>> rng = np.random.default_rng(0)
    >>> arrays = {"spectra": rng.random((4, 12, 8)), "sources": rng.random((4, 16, 16))}
    >>> with TemporaryDirectory() as folder:
    ...     for file, values in arrays.items():
    ...         hdus = [fits.ImageHDU(array, name=name) for array, name in zip(values, COMPONENTS)]
    ...         fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(f"{folder}/{file}.fits")
    ...     mixtures = read_realistic(folder, shuffled=True)
    >>> len(mixtures), mixtures[0].cube.shape
    (2, (8, 16, 16))
    """
    spectra, _, test = read_spectra(directory)
    return RealisticMixtures(read_maps(directory), spectra[test], shuffled=shuffled, seed=seed)


def make_realistic_training_set(directory, *, n_pixels=1000, snr_db=(15.0, 35.0), seed=0):
    """Make the training set of section 3.2: training spectra, and sources with the statistics of the maps' details.

    Sources are zero in a part of the pixels and generalized Gaussian in the others, rows of unit norm, with fraction
    and shape fitted to the details of each map. The paper takes 3000 pixels; 1000 serve as well in a third of the time.
    The noise of its details is not known beforehand for a real observation, so a range of it is trained for.

    Parameters
    ----------
    directory : str or `os.PathLike`
        See `read_realistic`.
    n_pixels : int
        Of each example.
    snr_db : float or (float, float)
        Signal-to-noise ratio in decibels: one, or a range to draw from.
    seed : int
        Of sources and noise.

    Returns
    -------
    `~astro_lpalm.training.TrainingSet`
        750 examples, each with a mixing matrix of its own.

    Raises
    ------
    OSError, ValueError
        See `read_realistic`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astro_lpalm.reproduce import COMPONENTS, make_realistic_training_set
    >>> rng = np.random.default_rng(0)
    >>> arrays = {"spectra": rng.random((4, 12, 8)), "sources": rng.exponential(size=(4, 16, 16))}
    >>> with TemporaryDirectory() as folder:
    ...     for file, values in arrays.items():
    ...         hdus = [fits.ImageHDU(array, name=name) for array, name in zip(values, COMPONENTS)]
    ...         fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(f"{folder}/{file}.fits")
    ...     training_set = make_realistic_training_set(folder, n_pixels=100)
    >>> training_set
    <TrainingSet: 10 examples of SYNC, THERM, FE1, FE2; 8 energies, 100 pixels>
    """
    spectra, training, _ = read_spectra(directory)
    A = spectra[training]
    rng = np.random.default_rng(seed)
    sources = SourceLibrary.from_images(dict(zip(COMPONENTS, read_maps(directory))), _TRANSFORM)
    S = sources.draw(len(A), n_pixels, rng)
    low, high = np.broadcast_to(snr_db, 2)
    return make_training_set(add_noise(A, S, rng.uniform(low, high, size=len(A)), rng), A, S)
