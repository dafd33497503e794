"""What updates of unrolled solvers are asked for, and what they have in common."""

from abc import ABC, abstractmethod

import torch
from torch import nn

__all__ = ["SourceUpdate", "SpectraUpdate"]


class SourceUpdate(nn.Module, ABC):
    """What an update of the sources S, (N, n, t), is asked for.

    Parameters
    ----------
    n_layers, m, n : int
        Numbers of layers, of energies and of components. The parameters made here may be zero.

    Examples
    --------
    ISTA of a constant step that is learned:

    >>> import torch
    >>> from astro_lpalm.separation import SourceUpdate, UnrolledPALM
    >>> class OneStep(SourceUpdate):
    ...     def __init__(self, n_layers, m, n):
    ...         super().__init__(n_layers, m, n)
    ...         self.step = torch.nn.Parameter(torch.zeros(1))
    ...
    ...     def initialize(self, spectra):
    ...         largest = torch.linalg.matrix_norm(spectra, 2) ** 2
    ...         self.step[:] = 1 / largest
    ...         return largest
    ...
    ...     def operators(self, layer, A):
    ...         V = self.step * A.mT
    ...         return torch.eye(A.shape[-1], dtype=A.dtype, device=A.device) - V @ A, V
    >>> UnrolledPALM(OneStep, n_layers=3).initialize([[0.6, 0.0], [0.8, 1.0]]).n_layers
    3
    """

    def __init__(self, n_layers, m, n):
        super().__init__()

    @abstractmethod
    def initialize(self, spectra):
        """Give the parameters, in place and without gradients, the values of unlearned PALM.

        Parameters
        ----------
        spectra : `torch.Tensor`, shape (m, n)
            An example of A, in double precision.

        Returns
        -------
        float or `torch.Tensor`, shape ()
            The inverse step of ISTA, which the first thresholds are divided by: the largest eigenvalue of A^T A, or
            a little more.
        """

    @abstractmethod
    def operators(self, layer, A):
        """Give M, shape (N, n, n), and V, (N, n, m), of a layer for the present A, (N, m, n)."""

    def project(self, X):
        """Give V X of all layers, (N, n_layers, n, t); None where V depends on A, so that they are found one by one."""

    def advance(self, layer, state, M, VX, threshold):
        """Take the step of a layer for some of the pixels; unless written anew, S <- ST(M S + V X).

        Parameters
        ----------
        layer : int
        state : object
            What the layer before returned as such; None for the first layer, where sources are zero.
        M : `torch.Tensor`, shape (N, n, n)
            What `operators` gave.
        VX : `torch.Tensor`, shape (N, n, t)
        threshold : `torch.Tensor`, shape (N, 1, 1)
            Positive or 0, in units of S.

        Returns
        -------
        state : object
            All that the next layer needs of this one; here S.
        S : `torch.Tensor`, shape (N, n, t)
        """
        S = soft_threshold(VX if state is None else torch.baddbmm(VX, M, state), threshold)
        return S, S


class SpectraUpdate(nn.Module, ABC):
    """What an update of the spectra A, (N, m, n), is asked for; parameters as for `SourceUpdate`.

    Attributes
    ----------
    moves : bool
        Whether A is updated at all. Where it is not, the network is given the spectra.

    Examples
    --------
    Steps by the trace of S S^T, which is not less than its largest eigenvalue:

    >>> from astro_lpalm.separation import SpectraUpdate, UnrolledPALM
    >>> class Cautious(SpectraUpdate):
    ...     def inverse_step(self, layer, C):
    ...         return C.diagonal(dim1=1, dim2=2).sum(dim=1)[:, None, None].clamp_min(1e-30)
    >>> network = UnrolledPALM("lista-cp", Cautious, n_layers=3).initialize([[0.6, 0.0], [0.8, 1.0]])
    >>> network.separate([[0.6, 1.2, 0.0], [2.8, 1.6, 3.0]]).spectra.shape
    (2, 2)
    """

    moves = True

    def __init__(self, n_layers, m, n):
        super().__init__()

    def initialize(self):
        """Give the parameters, in place and without gradients, the values of unlearned PALM; here there are none."""

    @abstractmethod
    def inverse_step(self, layer, C):
        """Give the inverse step L of a layer, to be broadcast to (N, 1, 1), for C = S S^T / ||X||^2, (N, n, n)."""


def soft_threshold(values, threshold):
    """Give sign(v) max(0, |v| - threshold) for values (N, n, t) and thresholds (N, 1, 1)."""
    return _SoftThreshold.apply(values, threshold)


class _SoftThreshold(torch.autograd.Function):
    # Its own gradient: what autograd derives from clamp takes several passes over the values, this takes two.

    @staticmethod
    def forward(ctx, values, threshold):
        shrunk = values - values.clamp(-threshold, threshold)
        ctx.save_for_backward(shrunk)
        return shrunk

    @staticmethod
    def backward(ctx, gradient):
        (shrunk,) = ctx.saved_tensors
        sign = shrunk.sign()
        return gradient * sign.abs(), -(gradient * sign).sum(dim=(1, 2), keepdim=True)


def lipschitz(spectra):
    """Give the inverse step of ISTA, a little more than the largest eigenvalue of A^T A."""
    return 1.001 * torch.linalg.matrix_norm(spectra, 2) ** 2


def project_all(V, X):
    """Give V_k X for all layers k, (N, K, n, t): one large product instead of K thin ones."""
    return (V.reshape(-1, V.shape[-1]) @ X).unflatten(1, V.shape[:2])
