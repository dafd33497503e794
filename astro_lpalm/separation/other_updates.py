"""Updates of the sources that other unrollings have, which Fahes et al. (2022) name without comparing."""

import torch
from torch import nn

from .update_base import SourceUpdate, project_all, soft_threshold

__all__ = ["AdmmLLTUpdate", "AdmmUpdate", "AlistaUpdate", "DeepNMFUpdate"]

_FLOOR = 1e-9  # of P and Q in deep NMF, of the mean of |W^T X| in a pixel
_PENALTY = 0.1  # rho of unlearned ADMM, of the largest eigenvalue of A^T A


class _Admm(SourceUpdate):
    # ADMM for the lasso: x minimizes ||X - A x||^2 + rho ||x - z + u||^2, z is sparse, and u sums up how they differ.
    # With M = rho (A^T A + rho I)^-1 and V = (A^T A + rho I)^-1 A^T, x = V X + M (z - u).

    def __init__(self, n_layers, m, n):
        super().__init__(n_layers, m, n)
        self.step = nn.Parameter(torch.ones(n_layers))

    def advance(self, layer, state, M, VX, threshold):
        """Take the steps of ADMM; the sources are z, and the state is z and u."""
        if state is None:
            x, u = VX, 0.0
        else:
            z, u = state
            x = torch.baddbmm(VX, M, z - u)
        z = soft_threshold(x + u, threshold)
        return (z, u + self.step[layer] * (x - z)), z


class AdmmUpdate(_Admm):
    """ADMM with learned matrices, thresholds and steps (Zhou and Rodrigues 2021); A plays no part.

    A layer is x = W_k X + B_k (z - u), z = ST(x + u), u <- u + eta_k (x - z), and z are the sources. Unlearned,
    W = (A^T A + rho I)^-1 A^T, B = rho (A^T A + rho I)^-1 and eta = 1, with rho a tenth of the largest eigenvalue of
    A^T A. In that paper (IEEE Trans. Geosci. Remote Sens. 60, 5520018) sources are also positive.

    Examples
    --------
    >>> from astro_lpalm.separation import AdmmUpdate
    >>> {name: tuple(learned.shape) for name, learned in AdmmUpdate(25, 65, 4).named_parameters()}
    {'step': (25,), 'B': (25, 4, 4), 'W': (25, 4, 65)}
    """

    def __init__(self, n_layers, m, n):
        super().__init__(n_layers, m, n)
        self.B = nn.Parameter(torch.zeros(n_layers, n, n))
        self.W = nn.Parameter(torch.zeros(n_layers, n, m))

    def initialize(self, spectra):
        """Take the values of ADMM for these spectra; return rho."""
        rho = _PENALTY * torch.linalg.matrix_norm(spectra, 2) ** 2
        self.step[:] = 1.0
        self.B[:], self.W[:] = _ridge(spectra, rho)
        return rho

    def operators(self, layer, A):
        """Give M and V of a layer."""
        return self.B[layer].expand(len(A), -1, -1), self.W[layer].expand(len(A), -1, -1)

    def project(self, X):
        """Give V X of all layers at once."""
        return project_all(self.W, X)


class AdmmLLTUpdate(_Admm):
    """ADMM with the matrices of the present A; rho, thresholds and steps are learned, as ISTA-LLT learns steps only.

    Examples
    --------
    >>> from astro_lpalm.separation import AdmmLLTUpdate
    >>> {name: tuple(learned.shape) for name, learned in AdmmLLTUpdate(25, 65, 4).named_parameters()}
    {'step': (25,), 'log_rho': (25,)}
    """

    def __init__(self, n_layers, m, n):
        super().__init__(n_layers, m, n)
        self.log_rho = nn.Parameter(torch.zeros(n_layers))

    def initialize(self, spectra):
        """Take the values of ADMM for these spectra; return rho."""
        rho = _PENALTY * torch.linalg.matrix_norm(spectra, 2) ** 2
        self.step[:] = 1.0
        self.log_rho[:] = rho.log()
        return rho

    def operators(self, layer, A):
        """Give M and V of a layer."""
        return _ridge(A, self.log_rho[layer].exp())


class AlistaUpdate(SourceUpdate):
    """S + gamma_k W^T (X - A S) with the weights of least coherence with A; steps and thresholds are learned.

    Those weights are the W with the smallest ``||W^T A||_F`` of all whose ``W^T A`` has a diagonal of ones: the rows of
    the pseudo-inverse of A, divided by what the diagonal of ``pinv(A) A`` is (Liu, Chen, Wang and Yin, ICLR 2019). That
    paper has more components than data, and computes them once. Spectra of full rank leave no coherence, and a step of
    one goes to the least-squares sources at once. It is for known spectra: those that a blind network starts from are
    all alike, and so would be these weights.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import AlistaUpdate, UnrolledPALM
    >>> A, S = np.array([[0.6, 0.0], [0.8, 1.0]]), np.array([[1.0, 0.0], [2.0, -3.0]])
    >>> UnrolledPALM(AlistaUpdate, "known", n_layers=1).initialize(A).separate(A @ S, A).sources.round(2)
    array([[ 1.,  0.],
           [ 2., -3.]])
    """

    def __init__(self, n_layers, m, n):
        super().__init__(n_layers, m, n)
        self.step = nn.Parameter(torch.ones(n_layers))

    def initialize(self, spectra):
        """Take steps of one; return the inverse step, one too."""
        self.step[:] = 1.0
        return 1.0

    def operators(self, layer, A):
        """Give M and V of a layer."""
        V = self.step[layer] * least_coherent(A).mT
        return torch.eye(A.shape[-1], dtype=A.dtype, device=A.device) - V @ A, V


class DeepNMFUpdate(SourceUpdate):
    """Multiplicative updates with learned spectra of each layer, deep NMF (Hershey, Le Roux and Weninger 2014).

    Details have both signs, and data and sources of that paper (arXiv:1409.2574) have one. So S = P - Q, neither of
    which is negative, and [P; Q] are the sources of the spectra [W_k, -W_k]; where spectra have both signs,
    multiplicative updates are those of Ding, Li and Jordan (2010, IEEE Trans. Pattern Anal. Mach. Intell. 32, 45). With
    C = W_k^T X and G = W_k^T W_k,

        P <- P sqrt((max(C, 0) + G Q) / (max(-C, 0) + G P + theta_k)),

    and Q likewise with -C in the place of C. The threshold theta_k is the weight of the l1 norm. W_k is kept
    non-negative by taking its absolute values, and A plays no part.

    Examples
    --------
    >>> from astro_lpalm.separation import DeepNMFUpdate
    >>> {name: tuple(learned.shape) for name, learned in DeepNMFUpdate(25, 65, 4).named_parameters()}
    {'W': (25, 65, 4)}
    """

    def __init__(self, n_layers, m, n):
        super().__init__(n_layers, m, n)
        self.W = nn.Parameter(torch.zeros(n_layers, m, n))

    def initialize(self, spectra):
        """Take these spectra for all layers; return 1, as the threshold is no step times a weight, but that weight."""
        self.W[:] = spectra
        return 1.0

    def operators(self, layer, A):
        """Give G and W^T of a layer, in the place of M and V."""
        W = self.W[layer].abs()
        return (W.mT @ W).expand(len(A), -1, -1), W.mT.expand(len(A), -1, -1)

    def project(self, X):
        """Give V X of all layers at once."""
        return project_all(self.W.abs().mT, X)

    def advance(self, layer, state, M, VX, threshold):
        """Multiply P and Q, which are the state and start alike in all components of a pixel."""
        level = VX.abs().mean(dim=1, keepdim=True)
        P, Q = (level.expand_as(VX),) * 2 if state is None else state
        tiny = torch.finfo(VX.dtype).tiny  # pixels that are zero stay so
        up, down = VX.clamp_min(0.0) + M @ Q + tiny, (-VX).clamp_min(0.0) + M @ P + tiny
        # By logarithms and above a floor, as gradients are infinite where P or Q is zero.
        P = torch.maximum(P * (0.5 * (up.log() - (down + threshold).log())).exp(), _FLOOR * level)
        Q = torch.maximum(Q * (0.5 * (down.log() - (up + threshold).log())).exp(), _FLOOR * level)
        return (P, Q), P - Q


def least_coherent(A):
    """Give the W, (N, m, n), with the smallest ||W^T A||_F of all whose W^T A has a diagonal of ones."""
    inverse = torch.linalg.pinv(A)
    return (inverse / (inverse * A.mT).sum(dim=-1, keepdim=True)).mT


def _ridge(A, rho):
    identity = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    inverse = torch.linalg.inv(A.mT @ A + rho * identity)
    return rho * inverse, inverse @ A.mT
