"""Networks that are fitted to the very data they separate, without a truth: what they have in common."""

import operator
import warnings

import numpy as np
import torch
from astropy.utils.exceptions import AstropyUserWarning
from torch import nn

from .._progress import Progress
from ..forward.matrices import check_data
from .base import Factorization

__all__ = ["FittedNetwork", "FittingSolver", "UnmixingNetwork"]


class UnmixingNetwork(nn.Module):
    """What a `FittingSolver` asks of the network that it fits, which computes in single precision.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import MNNBU
    >>> X = np.random.default_rng(0).random((3, 100))
    >>> network = MNNBU(2, epochs=5).fit(X).network
    >>> [tuple(factor.shape) for factor in network.factorize(*network.prepare(X))]
    [(3, 2), (2, 100)]
    """

    def prepare(self, X):
        """Return, as a tuple, what the other methods take for data X, (m, t): tensors of what never changes."""
        raise NotImplementedError

    def loss(self, *inputs):
        """Return the loss, differentiable in the parameters."""
        raise NotImplementedError

    def keep_in_bounds(self):
        """Bring the parameters back to where they are allowed."""

    def factorize(self, *inputs):
        """Return A, (m, n), and S, (n, t)."""
        raise NotImplementedError


class FittedNetwork:
    """A network that was fitted to one observation: a solver for others of the same energies.

    Parameters
    ----------
    network : `UnmixingNetwork`
    history : dict of str to list of float
        The loss of each epoch.
    n_energies : int
        Number of energies m.
    converged : bool
        Whether the loss was finite to the end.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import MNNBU
    >>> X = np.random.default_rng(0).random((3, 100))
    >>> fitted = MNNBU(2, epochs=5).fit(X)
    >>> len(fitted.history["loss"]), fitted.separate(X).sources.shape
    (5, (2, 100))
    """

    def __init__(self, network, history, n_energies, converged=True):
        self.network, self.history, self.n_energies, self.converged = network, history, n_energies, converged

    @torch.no_grad()
    def separate(self, X):
        """Apply the fitted network.

        Parameters
        ----------
        X : array_like, shape (m, t)
            Data, m energies by t pixels: those that it was fitted to, or others.

        Returns
        -------
        `~astro_lpalm.separation.Factorization`
            Computed in single precision, in the precision of X. ``history["loss"]`` has the loss of each epoch of the
            fit, whose number is ``n_iter``.

        Raises
        ------
        ValueError
            If X does not fit the network.
        """
        X, _ = check_data(X)
        if len(X) != self.n_energies:
            msg = f"X has {len(X)} energies (rows), but the network was fitted to {self.n_energies}."
            raise ValueError(msg)
        A, S = (np.asarray(factor, dtype=X.dtype) for factor in self.network.factorize(*self.network.prepare(X)))
        return Factorization(A, S, n_iter=len(self.history["loss"]), converged=self.converged, history=self.history)


class FittingSolver:
    """A solver that fits a network to the data at hand, all pixels at once, by Adam.

    Parameters
    ----------
    n_components : int
        Number of components n.
    epochs : int
        Steps of the optimizer, each of which sees all pixels.
    learning_rate : float
        Of the first epochs.
    seed : int
        Of all that is random.
    progress : bool
        Whether to show progress on a terminal.

    Notes
    -----
    A subclass gives ``_build``, and may give ``_optimizer`` and ``_schedule``.

    Examples
    --------
    Fitted to half of the pixels, and applied to the others:

    >>> import numpy as np
    >>> from astro_lpalm.separation import SNMFNet
    >>> X = np.random.default_rng(0).random((3, 100))
    >>> SNMFNet(2, epochs=5).fit(X[:, :50]).separate(X[:, 50:]).sources.shape
    (2, 50)
    """

    _BETAS = (0.9, 0.999)
    _WEIGHT_DECAY = 0.0

    def __init__(self, n_components, *, epochs, learning_rate, seed=0, progress=False):
        self.n_components, self.epochs = operator.index(n_components), operator.index(epochs)
        for name, value in (("n_components", self.n_components), ("epochs", self.epochs)):
            if value < 1:
                msg = f"{name} is {value}, but must be at least 1."
                raise ValueError(msg)
        if not learning_rate > 0:
            msg = f"learning_rate is {learning_rate}, but must be positive."
            raise ValueError(msg)
        self.learning_rate, self.seed, self.progress = float(learning_rate), seed, progress

    def separate(self, X):
        """Fit the network to data, and separate them with it.

        Parameters
        ----------
        X : array_like, shape (m, t)
            Data, m energies by t pixels.

        Returns
        -------
        `~astro_lpalm.separation.Factorization`
            See `FittedNetwork.separate`.

        Raises
        ------
        ValueError
            If X is not finite, or too small for this number of components.
        """
        return self.fit(X).separate(X)

    def fit(self, X):
        """Fit the network to data, for others to be separated with it, too.

        Parameters
        ----------
        X : array_like, shape (m, t)
            Data, m energies by t pixels.

        Returns
        -------
        `FittedNetwork`
            With the weights of the epoch of the lowest loss.

        Raises
        ------
        ValueError
            If X is not finite, or too small for this number of components.

        Warns
        -----
        `~astropy.utils.exceptions.AstropyUserWarning`
            If the loss stops being finite; the best weights until then are kept.
        """
        X, _ = check_data(X)
        if self.n_components > min(X.shape):
            msg = f"X has shape {X.shape}, too small for {self.n_components} components: take fewer."
            raise ValueError(msg)
        network = self._build(X)
        inputs = network.prepare(X)
        optimizer = self._optimizer(network, inputs)
        losses, best = [], _copy(network)
        meter = Progress(self.epochs, f"fitting {type(self).__name__}", show=self.progress)
        for epoch in range(1, self.epochs + 1):
            self._schedule(epoch, optimizer)
            loss = _gradient(network, inputs)
            if not np.isfinite(loss):
                break
            if not losses or loss < min(losses):
                best = _copy(network)
            losses.append(loss)
            _step(network, optimizer)
            meter.step(f"loss {loss:.3e}")
        network.load_state_dict(best)
        if len(losses) < self.epochs:
            msg = f"the loss of {type(self).__name__} stopped being finite in epoch {epoch}: try a lower learning_rate."
            warnings.warn(msg, AstropyUserWarning, stacklevel=2)
        return FittedNetwork(network, {"loss": losses}, len(X), converged=len(losses) == self.epochs)

    def _build(self, X):
        """Return the network, before it is fitted."""
        raise NotImplementedError

    def _optimizer(self, network, inputs):
        return self._adam([{"params": network.parameters(), "lr": self.learning_rate}])

    def _adam(self, groups):
        return torch.optim.Adam(groups, betas=self._BETAS, weight_decay=self._WEIGHT_DECAY)

    def _schedule(self, epoch, optimizer):
        """Set the learning rates before an epoch, the first of which is 1."""


def first_fall(network, inputs, make_optimizer, rates):
    """Return the first of the learning rates with which one step from here lowers the loss, or the last of them."""
    start = _copy(network)
    for rate in rates:
        before = _gradient(network, inputs)
        _step(network, make_optimizer(rate))
        with torch.no_grad():
            after = float(network.loss(*inputs))
        network.load_state_dict(start)
        if after < before:
            break
    return rate


def _gradient(network, inputs):
    network.zero_grad()
    loss = network.loss(*inputs)
    loss.backward()
    return float(loss.detach())


def _step(network, optimizer):
    optimizer.step()
    with torch.no_grad():
        network.keep_in_bounds()


def _copy(network):
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
