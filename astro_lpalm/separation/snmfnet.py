"""SNMF-Net: unfolded sparsity-constrained non-negative matrix factorization."""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

from .fitting import FittingSolver, UnmixingNetwork, first_fall
from .vca import VCA

__all__ = ["SNMFNet"]

# What keeps inverse steps and sums away from zero, in the units of spectra whose largest value is 1.
_STEP_OFFSET = 0.1
_SUM_OFFSET = 1e-4


class SNMFNet(FittingSolver):
    r"""SNMF-Net, fitted to the data that it separates.

    Every layer takes a gradient step with a learned matrix and an lp threshold for the sources, which are then kept
    between 0 and 1 and divided by their sum, and a gradient step for the spectra:

    .. math::

        S &\leftarrow \mathrm{GT}_{\theta_k, p_k}(S - t_k W_k^T (A S - X)) \\
        A &\leftarrow \max(A - u_k (A S - X) S_0^T, 0)

    (Xiong, Zhou, Tao, Lu and Qian 2021, IEEE Trans. Geosci. Remote Sens. 60, 5510816). The start A0, S0 is that of
    `VCA`, and the loss is the mean over the layers of ``||X - A S||^2``.

    Parameters
    ----------
    n_components : int
        Number of components n.
    n_layers : int
        Number of layers K.
    epochs : int
        Steps of Adam, each of which sees all pixels.
    learning_rate : float
        Of the steps t and exponents p, divided by 5 until the first step of Adam lowers the loss; epochs 2 and 4 divide
        it by 25. The other parameters have 1e-6. After epoch 100, every 50, all are divided by 1.5.
    seed : int
        Of VCA.
    progress : bool
        Whether to show progress on a terminal.

    Notes
    -----
    Abundances must sum to one, as for `VCA`. Data are divided by the largest value of A0. The start of the parameters:
    t = 1 / (||A0||^2 + 0.1), u = 1 / (||S0||^2 + 0.1), theta = 0.01 t for each component, p = 0.5, and W_k the matrix
    with the smallest product ``W^T A0`` of unit diagonal.

    `FittingSolver.fit` returns the learned parameters of the layers. Applied to other data they work on the VCA and
    FCLS start of those, in the order of components of the data of the fit.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import SNMFNet, align, nmse
    >>> rng = np.random.default_rng(0)
    >>> A = np.array([[1.0, 0.1], [0.5, 0.4], [0.1, 0.9]])
    >>> X = A @ rng.dirichlet([0.3, 0.3], 200).T
    >>> bool(nmse(align(SNMFNet(2, epochs=20).separate(X), A).spectra, A) < 1e-3)
    True
    """

    _BETAS = (0.9, 0.9)
    _WEIGHT_DECAY = 1e-3

    def __init__(self, n_components, *, n_layers=9, epochs=500, learning_rate=2.0, seed=0, progress=False):
        super().__init__(n_components, epochs=epochs, learning_rate=learning_rate, seed=seed, progress=progress)
        if n_layers < 1:
            msg = f"n_layers is {n_layers}, but a network needs at least one layer."
            raise ValueError(msg)
        self.n_layers = int(n_layers)

    def _build(self, X):
        return _Network(self.n_components, self.n_layers, self.seed).initialize(X)

    def _optimizer(self, network, inputs):
        def make(rate):
            return self._adam(
                [
                    {"params": [network.step, network.p], "lr": rate},
                    {"params": [network.spectra_step, network.W, network.theta], "lr": 1e-6},
                ]
            )

        rates = self.learning_rate / 5.0 ** np.arange(10)
        return make(first_fall(network, inputs, make, rates))

    def _schedule(self, epoch, optimizer):
        if epoch in (2, 4):
            optimizer.param_groups[0]["lr"] /= 25.0
        if epoch > 100 and epoch % 50 == 0:
            for group in optimizer.param_groups:
                group["lr"] /= 1.5


class _Network(UnmixingNetwork):
    def __init__(self, n_components, n_layers, seed):
        super().__init__()
        self.vca, self.n_layers = VCA(n_components, seed=seed), n_layers
        self.first_spectra = None

    def initialize(self, X):
        _, A0, S0, *_ = self.prepare(X)
        self.first_spectra = A0.numpy()
        step = 1.0 / (torch.linalg.matrix_norm(A0, 2) ** 2 + _STEP_OFFSET)
        K, n = self.n_layers, A0.shape[1]
        self.step = nn.Parameter(step.repeat(K))
        self.spectra_step = nn.Parameter((1.0 / (torch.linalg.matrix_norm(S0, 2) ** 2 + _STEP_OFFSET)).repeat(K))
        self.theta = nn.Parameter((0.01 * step).repeat(K, n, 1))
        self.p = nn.Parameter(torch.full((K,), 0.5))
        # W^T A0 = I is within reach of any A0 of full rank, and its norm is the least that its diagonal allows.
        self.W = nn.Parameter(torch.linalg.pinv(A0).mT.repeat(K, 1, 1))
        return self

    def prepare(self, X):
        start = self.vca.separate(X)
        order = slice(None) if self.first_spectra is None else _order_like(start.spectra, self.first_spectra)
        A0, S0 = (torch.as_tensor(f, dtype=torch.float32) for f in (start.spectra[:, order], start.sources[order]))
        scale = A0.abs().max()
        X = torch.as_tensor(X, dtype=torch.float32) / scale
        return X, A0 / scale, S0, X @ S0.mT, torch.linalg.vector_norm(X, dtype=torch.float64) ** 2, scale

    def layers(self, X, A, S0, cross):
        """Yield A and S after each layer."""
        projected = ((self.step[:, None, None] * self.W.mT).flatten(0, 1) @ X).unflatten(0, (self.n_layers, -1))
        identity, S = torch.eye(len(S0)), S0
        for k in range(self.n_layers):
            M = identity - self.step[k] * (self.W[k].mT @ A)
            Z = torch.addmm(projected[k], M, S)
            S = generalized_threshold(Z, self.theta[k], self.p[k]).clamp(0.0, 1.0)
            S = S / (S.sum(dim=0) + _SUM_OFFSET)
            A = torch.relu(A - self.spectra_step[k] * (A @ (S @ S0.mT) - cross))
            yield A, S

    def loss(self, X, A0, S0, cross, power, scale):
        # ||X - A S||^2 of all layers without a residual, and X S^T with one product.
        spectra, sources = zip(*self.layers(X, A0, S0, cross))
        crosses = (torch.cat(sources) @ X.mT).unflatten(0, (self.n_layers, -1))
        loss = power
        for A, S, XS in zip(spectra, sources, crosses):
            gram = (A.mT @ A).double() * (S @ S.mT).double()
            loss = loss + (gram.sum() - 2.0 * (A.mT.double() * XS.double()).sum()) / self.n_layers
        return loss

    def keep_in_bounds(self):
        self.p.clamp_(1e-4, 1.0)

    def factorize(self, X, A0, S0, cross, power, scale):
        *_, (A, S) = self.layers(X, A0, S0, cross)
        return A * scale, S


def generalized_threshold(z, theta, p):
    """Shrink by the lp penalty: ``z - p theta z^(p-1)`` above a threshold tau, and zero below.

    The threshold is ``tau = (2 (1-p) theta)^(1/(2-p)) + p theta (2 (1-p) theta)^((p-1)/(2-p))``. From there on, the
    minimum of ``(z - s)^2 / 2 + theta s^p`` over s is no longer at zero.

    Parameters
    ----------
    z : `torch.Tensor`, shape (n, t)
    theta : `torch.Tensor`, shape (n, 1)
    p : `torch.Tensor`, shape ()
        Between 0 and 1; with 1 this is the soft threshold of non-negative sources.

    Returns
    -------
    `torch.Tensor`, shape (n, t)
    """
    return _GeneralizedThreshold.apply(z, theta.clamp_min(0.0), p)


class _GeneralizedThreshold(torch.autograd.Function):
    # Its own gradient: what autograd derives from a power takes several times as long.

    @staticmethod
    def forward(ctx, z, theta, p):
        least = (2.0 * (1.0 - p) * theta) ** (1.0 / (2.0 - p))
        tau = least + torch.where(least > 0, p * theta * least ** (p - 1.0), theta)
        kept = (z > tau).to(z.dtype)
        safe = torch.maximum(z, tau.clamp_min(torch.finfo(z.dtype).tiny))
        power = safe ** (p - 1.0)
        ctx.save_for_backward(kept, safe, power, theta, p)
        return kept * (z - p * theta * power)

    @staticmethod
    def backward(ctx, gradient):
        kept, safe, power, theta, p = ctx.saved_tensors
        gradient = gradient * kept
        weighted = gradient * power
        total = weighted.sum(dim=1, keepdim=True)
        to_theta = -p * total
        to_p = -(theta * (total + p * (weighted * safe.log()).sum(dim=1, keepdim=True))).sum()
        return gradient + (p * (1.0 - p) * theta) * (weighted / safe), to_theta, to_p


def _order_like(spectra, others):
    # the assignment with the largest summed cosine; a spectrum of zeros has none
    unit, others = (A / np.maximum(np.linalg.norm(A, axis=0), np.finfo(A.dtype).tiny) for A in (spectra, others))
    return linear_sum_assignment(-others.T @ unit)[1]
