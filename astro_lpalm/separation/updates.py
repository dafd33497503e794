"""The updates that unrolled solvers are made of, each holding the learned parameters of all layers.

An update of the sources gives two small matrices, M (n, n) and V (n, m), of S <- ST(M S + V X), and may take another
step with them. An update of the spectra gives the inverse step of A <- Pi(A + (X S^T - A S S^T) / L). Equation numbers
are those of Fahes et al. (ICLR 2022, arXiv:2112.05694).

Updates of your own are subclasses of `SourceUpdate` and `SpectraUpdate`, or any other `torch.nn.Module` with the same
attributes; :class:`~astro_lpalm.separation.UnrolledPALM` takes the classes in the place of a name. They are made as
``Update(n_layers, m, n)`` for m energies and n components, and shapes have N examples and t pixels.
"""

import torch
from torch import nn

from .other_updates import AdmmLLTUpdate, AdmmUpdate, AlistaUpdate, DeepNMFUpdate
from .update_base import SourceUpdate, SpectraUpdate, lipschitz, project_all

__all__ = [
    "A_UPDATES",
    "S_UPDATES",
    "ExplicitUpdate",
    "IstaLLTUpdate",
    "IstaLLUpdate",
    "KnownUpdate",
    "ListaCPUpdate",
    "ListaUpdate",
]


class ListaCPUpdate(SourceUpdate):
    """Equations (7) and (8): S + W_k^T (X - A S), with a learned W_k of the shape of A.

    Examples
    --------
    >>> from astro_lpalm.separation import ListaCPUpdate
    >>> {name: tuple(learned.shape) for name, learned in ListaCPUpdate(25, 65, 4).named_parameters()}
    {'W': (25, 65, 4)}
    """

    def __init__(self, n_layers, m, n):
        super().__init__(n_layers, m, n)
        self.W = nn.Parameter(torch.zeros(n_layers, m, n))

    def initialize(self, spectra):
        """Take the values of ISTA for these spectra."""
        inverse = lipschitz(spectra)
        self.W[:] = spectra / inverse
        return inverse

    def operators(self, layer, A):
        """Give M and V of a layer."""
        V = self.W[layer].mT
        return torch.eye(A.shape[-1], dtype=A.dtype, device=A.device) - V @ A, V.expand(len(A), -1, -1)

    def project(self, X):
        """Give V X of all layers at once."""
        return project_all(self.W.mT, X)


class IstaLLTUpdate(SourceUpdate):
    """Equation (11): S + A^T (X - A S) / L_k, with a learned L_k.

    Examples
    --------
    >>> from astro_lpalm.separation import IstaLLTUpdate
    >>> {name: tuple(learned.shape) for name, learned in IstaLLTUpdate(25, 65, 4).named_parameters()}
    {'inverse_step': (25,)}
    """

    def __init__(self, n_layers, m, n):
        super().__init__(n_layers, m, n)
        self.inverse_step = nn.Parameter(torch.ones(n_layers))

    def initialize(self, spectra):
        """Take the values of ISTA for these spectra."""
        self.inverse_step[:] = lipschitz(spectra)
        return lipschitz(spectra)

    def operators(self, layer, A):
        """Give M and V of a layer."""
        V = A.mT / self.inverse_step[layer]
        return torch.eye(A.shape[-1], dtype=A.dtype, device=A.device) - V @ A, V


class ListaUpdate(SourceUpdate):
    """Equation (4): W1_k S + W2_k X, both learned; A plays no part.

    Examples
    --------
    >>> from astro_lpalm.separation import ListaUpdate
    >>> {name: tuple(learned.shape) for name, learned in ListaUpdate(25, 65, 4).named_parameters()}
    {'W1': (25, 4, 4), 'W2': (25, 4, 65)}
    """

    def __init__(self, n_layers, m, n):
        super().__init__(n_layers, m, n)
        self.W1 = nn.Parameter(torch.zeros(n_layers, n, n))
        self.W2 = nn.Parameter(torch.zeros(n_layers, n, m))

    def initialize(self, spectra):
        """Take the values of ISTA for these spectra."""
        inverse = lipschitz(spectra)
        self.W1[:] = torch.eye(spectra.shape[1], dtype=spectra.dtype) - spectra.mT @ spectra / inverse
        self.W2[:] = spectra.mT / inverse
        return inverse

    def operators(self, layer, A):
        """Give M and V of a layer."""
        return self.W1[layer].expand(len(A), -1, -1), self.W2[layer].expand(len(A), -1, -1)

    def project(self, X):
        """Give V X of all layers at once."""
        return project_all(self.W2, X)


class IstaLLUpdate(SpectraUpdate):
    """Equation (8) with a learned inverse step, as a multiple of ||S S^T||_F.

    The paper learns the inverse step itself, for sources of unit norm. Relative to the sources at hand it serves any
    flux and number of pixels, and a step that is stable for one observation is stable for all.

    Examples
    --------
    >>> import torch
    >>> from astro_lpalm.separation import IstaLLUpdate
    >>> update = IstaLLUpdate(n_layers=25, m=65, n=2)
    >>> round(update.inverse_step(0, 5 * torch.eye(2)[None]).item(), 3)
    7.071
    """

    def __init__(self, n_layers, m, n):
        super().__init__(n_layers, m, n)
        self.L = nn.Parameter(torch.ones(n_layers))

    def initialize(self):
        """Take a step that cannot overshoot."""
        self.L[:] = 1.001

    def inverse_step(self, layer, C):
        """Give the inverse step of a layer."""
        norm = torch.linalg.matrix_norm(C, keepdim=True)
        return self.L[layer] * norm.clamp_min(torch.finfo(C.dtype).tiny)


class ExplicitUpdate(SpectraUpdate):
    """The inverse step 1.001 ||S||_2^2 of PALM itself, nothing learned (Table 3).

    Examples
    --------
    >>> import torch
    >>> from astro_lpalm.separation import ExplicitUpdate
    >>> round(ExplicitUpdate(n_layers=25, m=65, n=2).inverse_step(0, 5 * torch.eye(2)[None]).item(), 3)
    5.005
    """

    def inverse_step(self, layer, C):
        """Give the inverse step of a layer."""
        # The smallest normal number keeps the step finite while the sources are still zero.
        return 1.001 * torch.linalg.matrix_norm(C, 2, keepdim=True).clamp_min(torch.finfo(C.dtype).tiny)


class KnownUpdate(ExplicitUpdate):
    """A is given and stays as it is (LISTA, LISTA-CP and ISTA-LLT as non-blind solvers).

    Examples
    --------
    >>> from astro_lpalm.separation import KnownUpdate, UnrolledPALM
    >>> A = [[0.6, 0.0], [0.8, 1.0]]
    >>> UnrolledPALM("lista", KnownUpdate, n_layers=2).initialize(A).separate([[0.6], [2.8]], A).spectra.tolist()
    [[0.6, 0.0], [0.8, 1.0]]
    """

    moves = False


S_UPDATES = {
    "lista-cp": ListaCPUpdate,
    "ista-llt": IstaLLTUpdate,
    "lista": ListaUpdate,
    "admm": AdmmUpdate,
    "admm-llt": AdmmLLTUpdate,
    "alista": AlistaUpdate,
    "deep-nmf": DeepNMFUpdate,
}
A_UPDATES = {"ista-ll": IstaLLUpdate, "explicit": ExplicitUpdate, "known": KnownUpdate}


def named_update(name, value, known, base):
    """Give the name of an update, or the class of one that has none; an error for what is neither.

    ``known`` has the classes by their names, and ``base`` is the class that says what is asked of them.
    """
    if isinstance(value, str) and value in known:
        return value
    if not isinstance(value, type):
        names = ", ".join(map(repr, known))
        msg = f"{name} is {value!r}, but must be one of {names}, or a class such as {base.__name__} describes."
        raise ValueError(msg)
    asked = [attribute for attribute in vars(base) if not attribute.startswith("_")]
    unwritten = getattr(value, "__abstractmethods__", ())
    missing = [attribute for attribute in asked if attribute in unwritten or not hasattr(value, attribute)]
    if missing or not issubclass(value, nn.Module):
        lacks = f"has no {', '.join(missing)}" if missing else "is no torch.nn.Module"
        msg = f"{name} is the class {value.__qualname__}, which {lacks}; make it a subclass of {base.__name__}."
        raise ValueError(msg)
    return next((key for key, update in known.items() if update is value), value)
