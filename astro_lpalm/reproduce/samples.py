"""What rows are measured on: sequences of observations with their truth, each made when it is asked for."""

import operator
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..transforms import Starlet
from .protocol import mix_perturbed

__all__ = []

_N_TUNING = 45
_N_STARTS = 15


@dataclass(frozen=True)
class Sample:
    """An observation in the domain where its sources are sparse, and its truth.

    Attributes
    ----------
    index : int
        Its place in the sequence that it is from.
    X, A, S : `~numpy.ndarray`, shapes (m, t), (m, n), (n, t)
    start : `~numpy.ndarray`, shape (m, n)
        Spectra of a training example, for solvers that start from some.
    cube, images : `~numpy.ndarray`, shapes (m, t) and (n, t), optional
        Data and sources in the pixel domain, where X and S are their details.
    coarse : `~numpy.ndarray`, shape (m, t), optional
        What the details leave over.
    seconds : float
        What it took to take the details.
    """

    index: int
    X: np.ndarray
    A: np.ndarray
    S: np.ndarray
    start: np.ndarray
    cube: np.ndarray | None = None
    images: np.ndarray | None = None
    coarse: np.ndarray | None = None
    seconds: float = 0.0


class _Samples(Sequence):
    # The last one is kept: all rows are measured on a sample before the next is made.
    def __init__(self, total, make):
        self.total, self.make, self.last = total, make, None

    def __len__(self):
        return self.total

    def __getitem__(self, index):
        index = range(self.total)[operator.index(index)]
        if self.last is None or self.last.index != index:
            self.last = self.make(index)
        return self.last


def test_samples(workspace):
    """Take the test data of section 3.1."""
    X, A, S = (getattr(workspace.protocol, name) for name in "XAS")
    return _Samples(len(X), lambda i: Sample(i, X[i].astype(float), A[i], S[i], _training_spectra(workspace, i)))


def fixed_samples(workspace):
    """Take the sources of section 3.1's test data, all mixed with the mean spectra of its training data."""
    data = workspace.protocol
    X, A = mix_perturbed(data.training, data.S, 0.0, [workspace.seed, 4])
    return _Samples(len(X), lambda i: Sample(i, X[i].astype(float), A[i], data.S[i], _training_spectra(workspace, i)))


def tuning_samples(workspace):
    """Take training data of section 3.1, on which the threshold of PALM is chosen (its Fig. 2)."""
    data = workspace.protocol.training
    chosen = spread_indices(len(data), min(_N_TUNING, len(data)))

    def make(index):
        X, A, S = (getattr(data, name)[chosen[index]].astype(float) for name in "XAS")
        return Sample(index, X, A, S, _training_spectra(workspace, chosen[index], of_training=True))

    return _Samples(len(chosen), make)


def one_sample_many_starts(workspace):
    """Take the first test sample, with the spectra of one training example after the other to start from (3.1.1)."""
    data = workspace.protocol
    X, A, S = data.X[0].astype(float), data.A[0], data.S[0]
    total = min(_N_STARTS, len(data.training))
    return _Samples(total, lambda i: Sample(i, X, A, S, _training_spectra(workspace, i)))


def shuffled_samples(workspace):
    """Take details of mixtures of the maps, shuffled so that sources are independent (Table 2)."""
    return _detail_samples(workspace, shuffled=True)


def real_samples(workspace):
    """Take details of mixtures of the maps as they are, partially correlated (Fig. 9)."""
    return _detail_samples(workspace, shuffled=False)


def _detail_samples(workspace, shuffled):
    mixtures = workspace.mixtures(shuffled)

    def make(index):
        mixture, starlet = mixtures[index], Starlet(1)
        m, n = mixture.spectra.shape
        images = mixture.images.reshape(n, -1)
        # What was put in as details is not what the transform of a mixture gives back: the truth is the transform.
        S = starlet.forward(mixture.images)[0][0].reshape(n, -1)
        start = time.monotonic()
        (details,), coarse = starlet.forward(mixture.cube)
        seconds = time.monotonic() - start
        X, coarse, cube = (array.reshape(m, -1) for array in (details, coarse, mixture.cube))
        return Sample(index, X, mixture.spectra, S, _training_spectra(workspace, index), cube, images, coarse, seconds)

    return _Samples(len(mixtures), make)


def _training_spectra(workspace, index, of_training=False):
    spectra, training, _ = workspace.spectra
    others = np.delete(training, index) if of_training else training
    return spectra[np.random.default_rng([workspace.seed, index]).choice(others)]


def spread_indices(total, n_samples):
    """Take so many of all samples, evenly spread: they are sorted by likeness."""
    return np.linspace(0, total - 1, n_samples).round().astype(int)
