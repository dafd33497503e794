"""Energies and angles at which a point spread function is given, and linear interpolation between few of them."""

import numpy as np

__all__ = ["chosen_nodes", "mean_tents", "tents"]

_MANY = 4  # nodes that are all taken


def tents(x, nodes):
    """Give the weights of linear interpolation between nodes, and of the nearest one beyond them.

    Parameters
    ----------
    x : `~numpy.ndarray`, any shape
    nodes : `~numpy.ndarray`, shape (n,)
        Increasing.

    Returns
    -------
    `~numpy.ndarray`, shape (..., n)
        Not negative, with a sum of one for each x.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.instrument.psf_nodes import tents
    >>> tents(np.array([0.0, 1.5, 2.0]), np.array([1.0, 3.0]))
    array([[1.  , 0.  ],
           [0.75, 0.25],
           [0.5 , 0.5 ]])
    """
    return np.stack([np.interp(x, nodes, one) for one in np.eye(len(nodes))], axis=-1)


def mean_tents(edges, nodes):
    """Give the means of `tents` over bins, (m, n) for m + 1 edges: exact, as weights are linear from node to node."""
    points = np.unique(np.concatenate([edges, nodes[(nodes > edges[0]) & (nodes < edges[-1])]]))
    weights = tents(points, nodes)
    pieces = 0.5 * np.diff(points)[:, np.newaxis] * (weights[1:] + weights[:-1])
    sums = np.add.reduceat(pieces, np.searchsorted(points, edges[:-1]))
    return sums / sums.sum(axis=1, keepdims=True)


def chosen_nodes(weigh, nodes, shares, error):
    """Choose the nodes that are needed.

    Those without weight are left out. Of more than four, as many are taken as needed, first the outermost ones and
    then ever the one that interpolation between those taken misses most.

    Parameters
    ----------
    weigh : callable
        Of nodes: gives their weights, shape (..., n).
    nodes : `~numpy.ndarray`, shape (n,)
    shares : `~numpy.ndarray`, shape (n, k, p)
        What share of the photons lands where, for each node and k others: sums of one.
    error : float
        How much of the photons, summed over all places, interpolation may put to another place at any other node.

    Returns
    -------
    chosen : `~numpy.ndarray` of int
        Indices of nodes.
    weights : `~numpy.ndarray`, shape (..., n_chosen)
        Theirs.
    """
    weights = weigh(nodes)
    used = np.flatnonzero(weights.reshape(-1, len(nodes)).any(axis=0))
    if len(used) > _MANY:
        used = used[_enough(nodes[used], shares[used], error)]
    return used, weigh(nodes[used])


def _enough(nodes, shares, error):
    chosen = [0, len(nodes) - 1]
    while True:
        between = np.tensordot(tents(nodes, nodes[chosen]), shares[chosen], axes=1)
        missed = np.abs(between - shares).sum(axis=-1).max(axis=-1)
        if missed.max() <= error:
            return chosen
        chosen = sorted([*chosen, int(np.argmax(missed))])
