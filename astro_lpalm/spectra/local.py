"""Spectra around mean parameters as sums of few vectors, for parameters that differ from pixel to pixel."""

from itertools import product

import numpy as np
import torch
from numpy.polynomial import chebyshev

__all__ = ["LocalSpectraTable"]

_DEGREES = {1: 14, 2: 10, 3: 7}  # of the polynomials, for so many parameters of a component
_N_NODES = {1: 24, 2: 14, 3: 9}
_TOLERANCE = 1e-3  # of a spectrum, in units of its own noise: vectors that hold less are left out
_MOST_VECTORS = 32  # of a component: lines that move over many fine bins need that many
_PIXELS_AT_ONCE = 4096
_STEEP, _EDGE = 4.0, 0.01  # of the sigmoid that keeps parameters in their ranges


class LocalSpectraTable:
    r"""Spectra of all components where some parameters are fields.

    The spectra of a component at the nodes of its varying parameters are parted by a singular value decomposition,
    weighted by the counts of each bin, into a few vectors B; their coefficients c are polynomials of the parameters:
    :math:`a(\theta) = B\,c(\theta)`, of unit sum. Of one or two parameters all bins together are wrong by less than
    1 % of the counts, of three by 2 %.

    Parameters
    ----------
    model : object
        ``spectra(theta)`` gives (..., m, n) of unit sum for scaled parameters (..., p), such as `ParametricSpectra`.
    theta : array_like, shape (p,)
        Scaled parameters that do not vary.
    varying : sequence of sequence of int
        For each component those of its parameters that are fields, at most three.
    device : str or `torch.device`, optional

    Attributes
    ----------
    basis : `torch.Tensor`, shape (m, R)
    owners : `~numpy.ndarray` of int, shape (R,)
        The component that each vector belongs to.
    fields : list of (int, int)
        Component and parameter of each field, q of them.

    Raises
    ------
    ValueError
        If more than three parameters of a component vary.

    Examples
    --------
    >>> import torch
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.spectra import LocalSpectraTable
    >>> physics = load_model("pwn-acis").physics
    >>> table = LocalSpectraTable(physics, [0.5] * len(physics.parameters), [(), (2,)])
    >>> coefficients, _ = table.coefficients(torch.tensor([[0.1, 0.9]]))
    >>> own = table.owners == 1
    >>> (table.basis[:, own] @ coefficients[own]).sum(dim=0).round(decimals=3)
    tensor([1., 1.])
    """

    def __init__(self, model, theta, varying, device=None):
        self.fields = [(k, place) for k, places in enumerate(varying) for place in places]
        parts, self._polynomials = [], []
        for k, places in enumerate(varying):
            if len(places) > max(_DEGREES):
                msg = f"{len(places)} parameters of component {k} are to vary; at most {max(_DEGREES)} can."
                raise ValueError(msg)
            vectors, polynomial = _table(model, np.asarray(theta, dtype=float), k, list(places))
            parts.append(vectors)
            columns = [self.fields.index((k, place)) for place in places]
            self._polynomials.append((columns, *_as_tensors(polynomial, device)))
        self.owners = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
        self.basis = torch.as_tensor(np.concatenate(parts, axis=1), dtype=torch.float32, device=device)

    @classmethod
    def fixed(cls, spectra, device=None):
        """Make the table of spectra, (m, n), that are the same everywhere."""
        spectra = np.asarray(spectra, dtype=float)
        return cls(_Fixed(spectra), (), [()] * spectra.shape[1], device)

    @staticmethod
    def inside(values):
        """Give the scaled parameters, 0 to 1, of unbounded ones, and their derivatives: a sigmoid of slope one."""
        x = torch.sigmoid(_STEEP * values)
        return x, _STEEP * x * (1 - x)

    @staticmethod
    def outside(x):
        """Give the unbounded parameter of a scaled one."""
        x = np.clip(x, _EDGE, 1 - _EDGE)
        return np.log(x / (1 - x)) / _STEEP

    def coefficients(self, x):
        """Give the coefficients of all vectors, and their derivatives.

        Parameters
        ----------
        x : `torch.Tensor`, shape (q, t)
            Scaled parameters of each pixel.

        Returns
        -------
        coefficients : `torch.Tensor`, shape (R, t)
        derivatives : list of q `torch.Tensor`
            In each field, of the coefficients of its component: (R_k, t).
        """
        found = torch.empty((len(self.owners), x.shape[-1]), device=x.device)
        derivatives = [None] * len(self.fields)
        for k, (columns, terms, weights) in enumerate(self._polynomials):
            own = torch.as_tensor(np.flatnonzero(self.owners == k), device=x.device)
            if not columns:
                found[own] = weights.T
                continue
            for column in columns:
                derivatives[column] = torch.empty((len(own), x.shape[-1]), device=x.device)
            # the terms of a few pixels stay in the processor's cache
            for first in range(0, x.shape[-1], _PIXELS_AT_ONCE):
                at = slice(first, first + _PIXELS_AT_ONCE)
                powers = [_chebyshev(x[column, at], int(terms[:, i].max())) for i, column in enumerate(columns)]
                factors = [values[terms[:, i]] for i, (values, _) in enumerate(powers)]
                found[own, at] = weights.T @ _product(factors)
                for i, column in enumerate(columns):
                    changed = [*factors[:i], powers[i][1][terms[:, i]], *factors[i + 1 :]]
                    derivatives[column][:, at] = weights.T @ _product(changed)
        return found, derivatives


class _Fixed:
    def __init__(self, spectra):
        self._spectra = spectra

    def spectra(self, _):
        return self._spectra


def _table(model, theta, k, places):
    if not places:
        return model.spectra(theta)[:, [k]], ([()], np.ones((1, 1)))
    dim = len(places)
    nodes = 0.5 + 0.5 * chebyshev.chebpts1(_N_NODES[dim])
    points = np.array(list(product(nodes, repeat=dim)))
    thetas = np.tile(theta, (len(points), 1))
    thetas[:, places] = points
    table = model.spectra(thetas)[..., k].T  # (m, N)
    scale = np.sqrt(np.maximum(table.mean(axis=1, keepdims=True), 1e-6 * table.mean()))
    left, sizes, right = np.linalg.svd(table / scale, full_matrices=False)
    n = min(int(np.count_nonzero(sizes > _TOLERANCE * sizes[0])), _MOST_VECTORS)
    terms = [term for term in product(range(_DEGREES[dim] + 1), repeat=dim) if sum(term) <= _DEGREES[dim]]
    values = [chebyshev.chebvander(2 * column - 1, _DEGREES[dim]) for column in points.T]
    features = np.prod([value[:, [term[i] for term in terms]] for i, value in enumerate(values)], axis=0)
    wanted = (sizes[:n, np.newaxis] * right[:n]).T  # (N, n)
    weights = np.linalg.lstsq(features, wanted, rcond=None)[0]
    return scale * left[:, :n], (terms, weights)


def _as_tensors(polynomial, device):
    terms, weights = polynomial
    return (
        torch.as_tensor(np.array(terms, dtype=int).reshape(len(terms), -1), device=device),
        torch.as_tensor(weights, dtype=torch.float32, device=device),
    )


def _chebyshev(x, degree):
    """Chebyshev polynomials of 2 x - 1, and their derivatives in x: (degree + 1, t) each."""
    y = 2 * x - 1
    values, slopes = [torch.ones_like(y), y], [torch.zeros_like(y), torch.full_like(y, 2.0)]
    for _ in range(degree - 1):
        slopes.append(4 * values[-1] + 2 * y * slopes[-1] - slopes[-2])
        values.append(2 * y * values[-1] - values[-2])
    return torch.stack(values[: degree + 1]), torch.stack(slopes[: degree + 1])


def _product(factors):
    whole = factors[0]
    for factor in factors[1:]:
        whole = whole * factor
    return whole
