"""MNN-BU: blind unmixing by two unfolded iterations of sparse coding and a linear decoder."""

import torch
from torch import nn

from .fitting import FittingSolver, UnmixingNetwork
from .vca import VCA

__all__ = ["MNNBU"]


class MNNBU(FittingSolver):
    r"""Model-inspired neural network for blind unmixing, fitted to the data that it separates.

    An encoder of two unfolded iterations of sparse coding gives the sources of a pixel x,

    .. math:: s \leftarrow \max(W_k x + B_k s - \theta_k, 0), \qquad s_0 = 0,

    divided by their sum; a linear decoder D gives back ``D s``. Both are fitted to the mean squared difference from x,
    and the columns of D are the spectra (Qian, Xiong, Qian and Zhou 2020, IEEE Trans. Geosci. Remote Sens. 58, 7418).

    **This is a reconstruction.** No program of that paper was ever released, and what its text leaves open was decided
    here: see Notes.

    Parameters
    ----------
    n_components : int
        Number of components n.
    sparsity : float
        The l1 weight lambda that the thresholds start from, where the largest value of the spectra is 1.
    epochs : int
        Steps of Adam, each of which sees all pixels.
    learning_rate : float
        Of the first 99 epochs; from epoch 100 it is divided by 1.2 every 50.
    seed : int
        Of VCA.
    progress : bool
        Whether to show progress on a terminal.

    Notes
    -----
    Abundances must sum to one, as for `VCA`. Its spectra E are where W = E^T / L, B = I - E^T E / L, theta = lambda / L
    and D = E start, with L the largest eigenvalue of E^T E. Data are divided by the largest value of E, and D is kept
    between 0 and 1. Every component has its own threshold.

    `FittingSolver.fit` returns the fitted encoder and decoder. Applied to other data they give the sources there, and
    the spectra of the data of the fit.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import MNNBU, align, nmse
    >>> rng = np.random.default_rng(0)
    >>> A = np.array([[1.0, 0.1], [0.5, 0.4], [0.1, 0.9]])
    >>> X = A @ rng.dirichlet([0.3, 0.3], 200).T
    >>> bool(nmse(align(MNNBU(2, epochs=100).separate(X), A).spectra, A) < 1e-3)
    True
    """

    def __init__(self, n_components, *, sparsity=1e-3, epochs=500, learning_rate=0.002, seed=0, progress=False):
        super().__init__(n_components, epochs=epochs, learning_rate=learning_rate, seed=seed, progress=progress)
        if not sparsity >= 0:
            msg = f"sparsity is {sparsity}, but must be positive or 0."
            raise ValueError(msg)
        self.sparsity = float(sparsity)

    def _build(self, X):
        return _Network(VCA(self.n_components, seed=self.seed).separate(X).spectra, self.sparsity)

    def _schedule(self, epoch, optimizer):
        if epoch >= 100 and epoch % 50 == 0:
            for group in optimizer.param_groups:
                group["lr"] /= 1.2


class _Network(UnmixingNetwork):
    def __init__(self, spectra, sparsity):
        super().__init__()
        E = torch.as_tensor(spectra, dtype=torch.float32)
        self.register_buffer("scale", E.abs().max())
        E = (E / self.scale).clamp(0.0, 1.0)
        L = torch.linalg.matrix_norm(E, 2) ** 2
        self.D = nn.Parameter(E)
        self.W = nn.Parameter((E.mT / L).repeat(2, 1, 1))
        self.B = nn.Parameter(torch.eye(E.shape[1]) - E.mT @ E / L)  # the first block has none, as s starts at zero
        self.theta = nn.Parameter(torch.full((2, E.shape[1], 1), sparsity) / L)

    def prepare(self, X):
        X = torch.as_tensor(X, dtype=torch.float32) / self.scale
        return X, torch.linalg.vector_norm(X, dtype=torch.float64) ** 2

    def loss(self, X, power):
        # ||X - D S||^2 without the residual: all products with X are one.
        projected = torch.cat([*self.W, self.D.mT]) @ X
        S = self._encode(projected)
        cross = (projected[2 * len(S) :] * S).sum(dtype=torch.float64)
        return (power - 2.0 * cross + ((self.D.mT @ self.D) * (S @ S.mT)).sum()) / X.numel()

    def _encode(self, projected):
        first, second = projected[: 2 * len(self.B)].unflatten(0, (2, -1))
        S = torch.relu(first - self.theta[0])
        S = torch.relu(torch.addmm(second - self.theta[1], self.B, S))
        return S / (S.sum(dim=0) + 1e-8)

    def keep_in_bounds(self):
        self.D.clamp_(0.0, 1.0)

    def factorize(self, X, power):
        return self.D * self.scale, self._encode(self.W.flatten(0, 1) @ X)
