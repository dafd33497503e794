"""PALM unrolled into layers whose parameters are learned: LPALM and its relatives, one class.

Every member of the family alternates the same two updates,

    S <- ST_theta(M S + V X),        A <- Pi(A + (X S^T - A S S^T) / L),

and they differ only in the small matrices M (n, n) and V (n, m) and in the step 1/L (see
:mod:`astro_lpalm.separation.updates`). Written this way a layer needs X only in the two products V X and X S^T, and
never forms the residual X - A S, which has the size of the data.

Thresholds are relative to the power and the noise that are measured on X, and the step on A to the sources at hand:
scaling X scales S and leaves A as it is, and repeating the pixels repeats those of S.
"""

from copy import deepcopy

import numpy as np
import torch
from torch import nn

from ..forward.matrices import check_data
from .base import Factorization
from .update_base import SourceUpdate, SpectraUpdate
from .updates import A_UPDATES, S_UPDATES, named_update

__all__ = ["ISTALLT", "LISTA", "LISTACP", "LPALM", "UnrolledPALM"]

# Pixels handled at once outside training: small enough for a block of X to stay in the processor's cache while both
# products with it are taken, large enough for the products to be efficient.
_BLOCK = 4096


class UnrolledPALM(nn.Module):
    """Unrolled proximal alternating linearized minimization, with learned layers.

    Parameters
    ----------
    s_update : {"lista-cp", "ista-llt", "lista", "admm", "admm-llt", "alista", "deep-nmf"} or type
        How the sources are updated: with learned matrices W_k (equations 7 and 8), with learned steps and thresholds
        (equation 11), or with fully learned matrices (equation 4); by ADMM, with learned matrices
        (`~astro_lpalm.separation.AdmmUpdate`) or those of A (`~astro_lpalm.separation.AdmmLLTUpdate`); with weights
        computed from A (`~astro_lpalm.separation.AlistaUpdate`); by multiplication
        (`~astro_lpalm.separation.DeepNMFUpdate`); or a class of your own, as
        `~astro_lpalm.separation.SourceUpdate` describes.
    a_update : {"ista-ll", "explicit", "known"} or type
        How the spectra are updated: a gradient step of learned or of explicit length, or not at all, for a known A;
        or a class of your own, as `~astro_lpalm.separation.SpectraUpdate` describes.
    n_layers : int
        Number of layers K.

    Notes
    -----
    The equations are those of Fahes et al. (ICLR 2022, arXiv:2112.05694). A new object has no parameters yet:
    `initialize` makes them from one example, and :func:`astro_lpalm.training.train` learns them.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import UnrolledPALM
    >>> rng = np.random.default_rng(0)
    >>> A, S = np.abs(rng.normal(size=(8, 2))), rng.laplace(size=(2, 100))
    >>> A /= np.linalg.norm(A, axis=0)
    >>> network = UnrolledPALM("lista-cp", "ista-ll", n_layers=3).initialize(A)
    >>> network.separate(A @ S).sources.shape
    (2, 100)
    """

    def __init__(self, s_update="lista-cp", a_update="ista-ll", n_layers=25):
        super().__init__()
        s_update = named_update("s_update", s_update, S_UPDATES, SourceUpdate)
        a_update = named_update("a_update", a_update, A_UPDATES, SpectraUpdate)
        if n_layers < 1:
            msg = f"n_layers is {n_layers}, but a network needs at least one layer."
            raise ValueError(msg)
        self.settings = {"s_update": s_update, "a_update": a_update, "n_layers": int(n_layers)}
        self.n_energies = self.n_components = None

    @property
    def n_layers(self):
        """Number of layers."""
        return self.settings["n_layers"]

    def allocate(self, n_energies, n_components):
        """Make the parameters for m energies and n components, all zero; return the network."""
        self.n_energies, self.n_components = int(n_energies), int(n_components)
        sizes = (self.n_layers, self.n_energies, self.n_components)
        s_update, a_update = self.settings["s_update"], self.settings["a_update"]
        self.s_part = S_UPDATES.get(s_update, s_update)(*sizes)
        self.a_part = A_UPDATES.get(a_update, a_update)(*sizes)
        # A threshold is theta[0] + theta[1] * (noise of a pixel), in units of the root mean power of a pixel.
        self.theta = nn.Parameter(torch.zeros(self.n_layers, 2))
        return self

    def initialize(self, spectra):
        """Make the parameters and give them the values of unlearned PALM.

        Parameters
        ----------
        spectra : array_like, shape (m, n)
            An example of a mixing matrix A. Its columns fix the order of the components.

        Returns
        -------
        network : `UnrolledPALM`
            This object.
        """
        spectra = torch.as_tensor(np.asarray(spectra), dtype=torch.float64)
        self.allocate(*spectra.shape)
        with torch.no_grad():
            lipschitz = self.s_part.initialize(spectra)
            self.a_part.initialize()
            self.theta[:, 0] = 1e-5 / lipschitz
        return self

    def forward(self, X, spectra=None, statistics=None):
        """Separate a batch of data, keeping what gradients need.

        Parameters
        ----------
        X : `torch.Tensor`, shape (N, m, t)
        spectra : `torch.Tensor`, shape (N, m, n), optional
            The known spectra, for ``a_update="known"``.
        statistics : tuple of `torch.Tensor`, optional
            What `measure` returns for X, where it is known already.

        Returns
        -------
        A : `torch.Tensor`, shape (N, m, n)
        S : `torch.Tensor`, shape (N, n, t)
        """
        *_, last = self.layers(X, spectra, statistics)
        return last

    def layers(self, X, spectra=None, statistics=None):
        """Yield (A, S) of a batch after each layer; the parameters are those of `forward`."""
        scale, noise = self.measure(X) if statistics is None else statistics
        A = self._start(X, spectra)
        projected, state = self.s_part.project(X), None
        for layer in range(self.n_layers):
            M, V = self.s_part.operators(layer, A)
            VX = V @ X if projected is None else projected[:, layer]
            state, S = self.s_part.advance(layer, state, M, VX, self._threshold(layer, scale, noise))
            if self.a_part.moves:
                A = self._update_spectra(layer, A, X @ S.mT, S @ S.mT, scale**2 * X.shape[2])
            yield A, S

    def measure(self, X):
        """Measure the power and the noise of data, which thresholds and steps are relative to.

        Parameters
        ----------
        X : `torch.Tensor`, shape (N, m, t)

        Returns
        -------
        scale : `torch.Tensor`, shape (N, 1, 1)
            Root mean power of a pixel, ``||X||_F / sqrt(t)``.
        noise : `torch.Tensor`, shape (N, 1, 1)
            Standard deviation of white noise: root mean of the m - n smallest eigenvalues of X X^T / t, where n
            components leave nothing else.
        """
        moments = X @ X.mT / X.shape[2]
        eigenvalues = torch.linalg.eigvalsh(moments)
        noise = eigenvalues[:, : max(X.shape[1] - self.n_components, 1)].mean(dim=1).clamp_min(0.0).sqrt()
        scale = eigenvalues.sum(dim=1).sqrt()
        return scale[:, None, None], noise[:, None, None]

    @torch.no_grad()
    def separate(self, X, spectra=None):
        """Separate one observation.

        Parameters
        ----------
        X : array_like, shape (m, t)
            Data, m energies by t pixels.
        spectra : array_like, shape (m, n), optional
            The known mixing matrix, for ``a_update="known"``.

        Returns
        -------
        `~astro_lpalm.separation.Factorization`
            In the precision of X (float32 or float64).

        Raises
        ------
        ValueError
            If X does not fit the network, or the network has no parameters.
        """
        X, spectra = check_data(X, spectra)
        self._check_fit(X, spectra)
        dtype = torch.float32 if X.dtype == np.float32 else torch.float64
        network = self if self.theta.dtype == dtype else self.copy().to(dtype)
        data = torch.as_tensor(X, device=self.theta.device)[None]
        if spectra is not None:
            spectra = torch.as_tensor(spectra, dtype=dtype, device=self.theta.device)[None]
        A, S = network._run(data, spectra)
        return Factorization(A[0].cpu().numpy(), S[0].cpu().numpy(), n_iter=self.n_layers)

    def copy(self):
        """Return a network of its own with the same settings and parameters."""
        return deepcopy(self)

    def _run(self, X, spectra):
        # `layers` without gradients, the pixels in blocks.
        scale, noise = self.measure(X)
        A = self._start(X, spectra)
        blocks = X.split(_BLOCK, dim=2)
        states, sources = [None] * len(blocks), [None] * len(blocks)
        for layer in range(self.n_layers):
            M, V = self.s_part.operators(layer, A)
            threshold = self._threshold(layer, scale, noise)
            P, C = torch.zeros_like(A), torch.zeros_like(M)
            for i, data in enumerate(blocks):
                states[i], S = self.s_part.advance(layer, states[i], M, V @ data, threshold)
                sources[i] = S
                if self.a_part.moves:
                    P += data @ S.mT
                    C += S @ S.mT
            if self.a_part.moves:
                A = self._update_spectra(layer, A, P, C, scale**2 * X.shape[2])
        return A, torch.cat(sources, dim=2)

    def _start(self, X, spectra):
        if spectra is not None:
            return spectra
        # Columns that are all the same: the learned W_k alone decide which source comes first.
        shape = (X.shape[0], self.n_energies, self.n_components)
        return X.new_full(shape, self.n_energies**-0.5)

    def _threshold(self, layer, scale, noise):
        return (self.theta[layer, 0] * scale + self.theta[layer, 1] * noise).clamp_min(0.0)

    def _update_spectra(self, layer, A, P, C, power):
        # P = X S^T and C = S S^T, divided by the power of X to keep them within range at any flux.
        C = C / power
        A = A + (P / power - A @ C) / self.a_part.inverse_step(layer, C)
        return A / torch.linalg.vector_norm(A, dim=1, keepdim=True).clamp_min(1.0)

    def _check_fit(self, X, spectra):
        if self.n_energies is None:
            msg = "this network has no parameters yet; train it, or call initialize(spectra) first."
            raise ValueError(msg)
        if X.shape[0] != self.n_energies:
            msg = f"X has {X.shape[0]} energies (rows), but the network was trained for {self.n_energies}."
            raise ValueError(msg)
        if (spectra is not None) == self.a_part.moves:
            msg = (
                "this network needs the spectra: call separate(X, spectra=A)."
                if spectra is None
                else "this network finds the spectra itself: call separate(X) without them."
            )
            raise ValueError(msg)
        if spectra is not None and spectra.shape[1] != self.n_components:
            msg = f"spectra has {spectra.shape[1]} columns, but the network has {self.n_components} components."
            raise ValueError(msg)


def LPALM(n_layers=25):
    """LPALM, equation (8): LISTA-CP sources, spectra by gradient steps of learned length.

    Examples
    --------
    >>> from astro_lpalm.separation import LPALM
    >>> network = LPALM(n_layers=10).initialize([[0.6, 0.0], [0.8, 1.0]])
    >>> network.separate([[0.6, 1.2, 0.0], [2.8, 1.6, 3.0]]).spectra.shape
    (2, 2)
    """
    return UnrolledPALM("lista-cp", "ista-ll", n_layers)


def LISTACP(n_layers=25):
    """LISTA-CP, equation (7), for known spectra.

    Examples
    --------
    >>> from astro_lpalm.separation import LISTACP
    >>> A = [[0.6, 0.0], [0.8, 1.0]]
    >>> LISTACP(n_layers=10).initialize(A).separate([[0.6], [2.8]], A).sources.shape
    (2, 1)
    """
    return UnrolledPALM("lista-cp", "known", n_layers)


def ISTALLT(n_layers=25):
    """ISTA with learned steps and thresholds, equation (11), for known spectra.

    Examples
    --------
    >>> from astro_lpalm.separation import ISTALLT
    >>> A = [[0.6, 0.0], [0.8, 1.0]]
    >>> ISTALLT(n_layers=10).initialize(A).separate([[0.6], [2.8]], A).sources.shape
    (2, 1)
    """
    return UnrolledPALM("ista-llt", "known", n_layers)


def LISTA(n_layers=25):
    """LISTA, equation (4), which needs no spectra and returns those it was given.

    Examples
    --------
    >>> from astro_lpalm.separation import LISTA
    >>> A = [[0.6, 0.0], [0.8, 1.0]]
    >>> LISTA(n_layers=10).initialize(A).separate([[0.6], [2.8]], A).sources.shape
    (2, 1)
    """
    return UnrolledPALM("lista", "known", n_layers)
