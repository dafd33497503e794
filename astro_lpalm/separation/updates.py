"""The updates that unrolled solvers are made of, each holding the learned parameters of all layers.

An update of the sources gives two small matrices, M (n, n) and V (n, m), of S <- ST(M S + V X). An update of the
spectra gives the inverse step of A <- Pi(A + (X S^T - A S S^T) / L). Equation numbers are those of Fahes et al.
(ICLR 2022, arXiv:2112.05694).
"""

import torch
from torch import nn

__all__ = ["A_UPDATES", "S_UPDATES"]


def _lipschitz(spectra):
    return 1.001 * torch.linalg.matrix_norm(spectra, 2) ** 2


def _project(V, X):
    # V_k X for all layers k at once, (N, K, n, t): one large product instead of K thin ones
    return (V.reshape(-1, V.shape[-1]) @ X).unflatten(1, V.shape[:2])


class _ListaCP(nn.Module):
    """Equations (7) and (8): S + W_k^T (X - A S), with a learned W_k of the shape of A."""

    def __init__(self, n_layers, m, n):
        super().__init__()
        self.W = nn.Parameter(torch.zeros(n_layers, m, n))

    def initialize(self, spectra):
        lipschitz = _lipschitz(spectra)
        self.W[:] = spectra / lipschitz
        return lipschitz

    def operators(self, layer, A):
        V = self.W[layer].mT
        return torch.eye(A.shape[-1], dtype=A.dtype, device=A.device) - V @ A, V.expand(len(A), -1, -1)

    def project(self, X):
        return _project(self.W.mT, X)


class _IstaLLT(nn.Module):
    """Equation (11): S + A^T (X - A S) / L_k, with a learned L_k."""

    def __init__(self, n_layers, m, n):
        super().__init__()
        self.inverse_step = nn.Parameter(torch.ones(n_layers))

    def initialize(self, spectra):
        self.inverse_step[:] = _lipschitz(spectra)
        return _lipschitz(spectra)

    def operators(self, layer, A):
        V = A.mT / self.inverse_step[layer]
        return torch.eye(A.shape[-1], dtype=A.dtype, device=A.device) - V @ A, V

    def project(self, X):
        return None  # V moves with A, so it is not known before the layer is reached


class _Lista(nn.Module):
    """Equation (4): W1_k S + W2_k X, both learned; A plays no part."""

    def __init__(self, n_layers, m, n):
        super().__init__()
        self.W1 = nn.Parameter(torch.zeros(n_layers, n, n))
        self.W2 = nn.Parameter(torch.zeros(n_layers, n, m))

    def initialize(self, spectra):
        lipschitz = _lipschitz(spectra)
        self.W1[:] = torch.eye(spectra.shape[1], dtype=spectra.dtype) - spectra.mT @ spectra / lipschitz
        self.W2[:] = spectra.mT / lipschitz
        return lipschitz

    def operators(self, layer, A):
        return self.W1[layer].expand(len(A), -1, -1), self.W2[layer].expand(len(A), -1, -1)

    def project(self, X):
        return _project(self.W2, X)


class _IstaLL(nn.Module):
    """Equation (8) with a learned inverse step, as a multiple of ||S S^T||_F.

    The paper learns the inverse step itself, for sources of unit norm. Relative to the sources at hand it serves any
    flux and number of pixels, and a step that is stable for one observation is stable for all.
    """

    moves = True

    def __init__(self, n_layers, m, n):
        super().__init__()
        self.L = nn.Parameter(torch.ones(n_layers))

    def initialize(self):
        self.L[:] = 1.001

    def inverse_step(self, layer, C):
        norm = torch.linalg.matrix_norm(C, keepdim=True)
        return self.L[layer] * norm.clamp_min(torch.finfo(C.dtype).tiny)


class _Explicit(nn.Module):
    """The inverse step 1.001 ||S||_2^2 of PALM itself, nothing learned (Table 3)."""

    moves = True

    def __init__(self, n_layers, m, n):
        super().__init__()

    def initialize(self):
        pass

    def inverse_step(self, layer, C):
        # The smallest normal number keeps the step finite while the sources are still zero.
        return 1.001 * torch.linalg.matrix_norm(C, 2, keepdim=True).clamp_min(torch.finfo(C.dtype).tiny)


class _Known(_Explicit):
    """A is given and stays as it is (LISTA, LISTA-CP and ISTA-LLT as non-blind solvers)."""

    moves = False


S_UPDATES = {"lista-cp": _ListaCP, "ista-llt": _IstaLLT, "lista": _Lista}
A_UPDATES = {"ista-ll": _IstaLL, "explicit": _Explicit, "known": _Known}
