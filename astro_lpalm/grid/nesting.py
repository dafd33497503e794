"""The one comparison of energy edges: whether they are the same, or all among others, but for rounding."""

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["difference", "find_edges", "told_apart"]

_OF_BIN = 1e-3  # of the narrower bin at an edge: what is written with a few digits less is still that edge
_SINGLE = 2 * float(np.finfo(np.float32).eps)  # relative: files have energies in single precision, whatever the bins
_FEWEST_DIGITS, _MOST_DIGITS = 6, 17


def find_edges(wanted: ArrayLike, edges: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find energies among the edges of bins.

    Parameters
    ----------
    wanted : array_like, shape (k,)
        Energies in keV.
    edges : array_like, shape (n + 1,)
        Increasing edges of energy bins in keV.

    Returns
    -------
    nearest : `~numpy.ndarray` of int, shape (k,)
        Which of the edges is nearest to each.
    distance : `~numpy.ndarray`, shape (k,)
        How far away it is, in widths of the narrower of the bins that end there.
    is_edge : `~numpy.ndarray` of bool, shape (k,)
        Whether it is that edge: no more than a thousandth of that width away, or the rounding of single precision.

    Examples
    --------
    >>> from astro_lpalm.grid.nesting import find_edges
    >>> find_edges([0.5, 1.9, 7.0001], [0.5, 1.0, 2.0, 7.0])[2]
    array([ True, False,  True])
    """
    wanted, edges = np.asarray(wanted, dtype=float), np.asarray(edges, dtype=float)
    width = np.diff(edges)
    nearest = np.searchsorted(0.5 * (edges[1:] + edges[:-1]), wanted)
    narrower = np.minimum(np.append(width, width[-1]), np.append(width[0], width))[nearest]
    away = np.abs(wanted - edges[nearest])
    return nearest, away / narrower, away <= np.maximum(_OF_BIN * narrower, _SINGLE * edges[nearest])


def difference(one: ArrayLike, other: ArrayLike, *, same: bool = False) -> str:
    """Say why the edges of one grid are not all among those of another, or not the same, but for rounding.

    Parameters
    ----------
    one, other : array_like, shape (k + 1,) and (n + 1,)
        Increasing edges of energy bins in keV.
    same : bool
        Whether all of the other must be there.

    Returns
    -------
    text : str
        About the first edge that is not, for messages; empty where all are. See `find_edges` for what rounding is.

    Examples
    --------
    >>> from astro_lpalm.grid.nesting import difference
    >>> difference([0.5, 1.500001, 2.5], [0.5, 1.0, 1.5, 2.0, 2.5])
    ''
    >>> difference([0.5, 1.002, 2.0], [0.5, 1.0, 1.5, 2.0, 2.5])
    'edge 1 is 1.002 keV, 0.004 of a bin from the nearest, 1 keV'
    >>> difference([0.5, 1.5, 2.5], [0.5, 1.0, 1.5, 2.0, 2.5], same=True)
    'there are 2 bins, not 4'
    """
    one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    nearest, distance, is_edge = find_edges(one, other)
    if not is_edge.all():
        first = int(is_edge.argmin())
        here, there = told_apart(one[first], other[nearest[first]])
        return f"edge {first} is {here} keV, {distance[first]:.2g} of a bin from the nearest, {there} keV"
    if (np.diff(nearest) == 0).any():
        first = int(np.diff(nearest).argmin())
        here, there = told_apart(*one[first : first + 2])
        return f"edges {first} and {first + 1}, {here} and {there} keV, are within a thousandth of a bin"
    return f"there are {len(one) - 1} bins, not {len(other) - 1}" if same and len(one) != len(other) else ""


def told_apart(one: float, other: float) -> tuple[str, str]:
    """Write two numbers with as many digits as tell them apart, and six at least.

    Parameters
    ----------
    one, other : float

    Returns
    -------
    one, other : str

    Examples
    --------
    >>> from astro_lpalm.grid.nesting import told_apart
    >>> told_apart(10.00004, 10.0)
    ('10.00004', '10')
    """
    for digits in range(_FEWEST_DIGITS, _MOST_DIGITS + 1):
        texts = f"{one:.{digits}g}", f"{other:.{digits}g}"
        if texts[0] != texts[1]:
            break
    return texts
