"""DNMF: unfolded multiplicative updates of non-negative matrix factorization."""

import torch
from torch import nn

from .fcls import nonnegative_least_squares, solve_moments
from .fitting import FittingSolver, UnmixingNetwork

__all__ = ["DNMF"]

_EPS = 1e-7


class DNMF(FittingSolver):
    r"""Deep non-negative matrix factorization, fitted to the data that it separates.

    Every layer is a multiplicative update with matrices of its own,

    .. math:: s \leftarrow s \odot \frac{\max(V_k x, 0)}{U_k s + \lambda s + \lambda + \epsilon}, \qquad s_0 = 1,

    and the spectra are the non-negative least squares solution for the sources of the last layer (Nasser, Eldar and
    Sharan 2022, J. Comput. Biol. 29, 45). The loss is the mean over pixels of
    ``||x - A s||^2 / 2 + lambda sum(s) + lambda ||s||^2 / 2``.

    Parameters
    ----------
    n_components : int
        Number of components n.
    penalty : float
        The weight lambda of both penalties, for data of unit mean square.
    n_layers : int
        Number of layers.
    epochs : int
        Steps of Adam, each of which sees all pixels.
    learning_rate : float
        Of all epochs.
    seed : int
        Of the start.
    progress : bool
        Whether to show progress on a terminal.

    Notes
    -----
    Data are divided by the root of their mean square, and need not be non-negative: where noise makes a product with
    the non-negative V negative, it counts as zero. V and U start at 0.1; V is made to differ by a tenth at random, as
    components that start alike would remain so.

    `FittingSolver.fit` returns the learned layers. Applied to other data they give the sources there, from which the
    spectra there follow by non-negative least squares.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import DNMF
    >>> rng = np.random.default_rng(0)
    >>> A = np.array([[1.0, 0.1], [0.5, 0.4], [0.1, 0.9]])
    >>> found = DNMF(2, epochs=10).separate(A @ rng.exponential(size=(2, 200)))
    >>> found.history["loss"][-1] < found.history["loss"][0]
    True
    """

    def __init__(
        self, n_components, *, penalty=0.0, n_layers=10, epochs=1500, learning_rate=8e-4, seed=0, progress=False
    ):
        super().__init__(n_components, epochs=epochs, learning_rate=learning_rate, seed=seed, progress=progress)
        if not penalty >= 0:
            msg = f"penalty is {penalty}, but must be positive or 0."
            raise ValueError(msg)
        if n_layers < 1:
            msg = f"n_layers is {n_layers}, but a network needs at least one layer."
            raise ValueError(msg)
        self.penalty, self.n_layers = float(penalty), int(n_layers)

    def _build(self, X):
        return _Network(len(X), self.n_components, self.n_layers, self.penalty, self.seed)


class _Network(UnmixingNetwork):
    def __init__(self, n_energies, n_components, n_layers, penalty, seed):
        super().__init__()
        self.penalty = penalty
        self.U = nn.Parameter(torch.full((n_layers, n_components, n_components), 0.1))
        noise = torch.rand((n_layers, n_components, n_energies), generator=torch.Generator().manual_seed(seed))
        self.V = nn.Parameter(0.1 + 0.02 * (noise - 0.5))

    def prepare(self, X):
        X = torch.as_tensor(X, dtype=torch.float32)
        scale = torch.linalg.vector_norm(X) / X.numel() ** 0.5
        return X / scale, scale

    def sources(self, X):
        return _Layers.apply(X, self.V, self.U, self.penalty)

    def loss(self, X, scale):
        return _Loss.apply(self.sources(X), X, self.penalty)

    def keep_in_bounds(self):
        self.U.clamp_(min=0.0)
        self.V.clamp_(min=0.0)

    def factorize(self, X, scale):
        S = self.sources(X)
        return nonnegative_least_squares(X.mT.numpy(), S.mT.numpy()).T, S * scale


def _fit_spectra(gram, cross):
    # The spectra that fit best, as rows: for each energy the problem of `solve_moments`, whose unknowns are its values.
    if not (gram.isfinite().all() and cross.isfinite().all()):
        return torch.full_like(cross, torch.nan)  # a fit that diverged, which its loss shall say
    return torch.as_tensor(solve_moments(gram.numpy(), cross.numpy()), dtype=cross.dtype)


class _Loss(torch.autograd.Function):
    # The loss at the best spectra. As they are the best, how they change with S does not matter to its gradient.

    @staticmethod
    def forward(ctx, S, X, penalty):
        gram, cross = S @ S.mT, S @ X.mT
        D = _fit_spectra(gram, cross)
        ctx.save_for_backward(S, X, D)
        ctx.penalty = penalty
        misfit = torch.linalg.vector_norm(X) ** 2 - 2.0 * (D * cross).sum() + ((D @ D.mT) * gram).sum()
        return (0.5 * misfit + penalty * (S.sum() + 0.5 * gram.trace())) / X.shape[1]

    @staticmethod
    def backward(ctx, gradient):
        S, X, D = ctx.saved_tensors
        M = D @ D.mT + ctx.penalty * torch.eye(len(S), dtype=S.dtype)
        return (M @ S - D @ X + ctx.penalty) * (gradient / X.shape[1]), None, None


class _Layers(torch.autograd.Function):
    # All layers. Its own gradient: what autograd derives from a quotient and products takes twice as many passes.

    @staticmethod
    def forward(ctx, X, V, U, penalty):
        n = V.shape[1]
        projected = (V.flatten(0, 1) @ X).clamp_(min=0.0).unflatten(0, V.shape[:2])
        mixing = U + penalty * torch.eye(n, dtype=U.dtype)
        offset = X.new_full((1, 1), penalty + _EPS)
        sources, inverses = [torch.ones_like(projected[0])], []
        for P, M in zip(projected, mixing):
            inverses.append(torch.addmm(offset, M, sources[-1]).reciprocal_())
            sources.append(sources[-1] * P * inverses[-1])
        ctx.save_for_backward(X, projected, mixing, *sources, *inverses)
        return sources[-1]

    @staticmethod
    def backward(ctx, gradient):
        X, projected, mixing, *saved = ctx.saved_tensors
        K, n = projected.shape[:2]
        sources, inverses = saved[: K + 1], saved[K + 1 :]
        to_projected, to_mixing = torch.empty_like(projected), torch.empty_like(mixing)
        for k in reversed(range(K)):
            # What is zero stays so, whatever the parameters: a product with V was negative and taken to be zero.
            gradient = gradient * inverses[k] * sources[k + 1].sign()
            torch.mul(gradient, sources[k], out=to_projected[k])
            to_denominator = gradient * sources[k + 1]
            to_mixing[k] = -to_denominator @ sources[k].mT
            gradient = torch.addmm(gradient * projected[k], mixing[k].mT, to_denominator, alpha=-1.0)
        return None, (to_projected.flatten(0, 1) @ X.mT).unflatten(0, (K, n)), to_mixing, None
