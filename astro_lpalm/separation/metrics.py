"""How far an estimate is from the truth, and which estimate belongs to which truth."""

from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

__all__ = ["align", "nmse", "sdr", "spectral_angle"]


def nmse(estimate, truth, *, axis=None):
    """Compute the normalized mean squared error, ``||estimate - truth||_F^2 / ||truth||_F^2``.

    Equation (10) of Fahes et al. (ICLR 2022, arXiv:2112.05694).

    Parameters
    ----------
    estimate, truth : array_like
        Arrays of the same shape. A stack of matrices, (N, rows, columns), gives one figure for each.
    axis : int, optional
        What to sum over, for one figure a component: 1 for sources (n, t), 0 for spectra (m, n). By default, over all
        of a matrix.

    Returns
    -------
    float or `~numpy.ndarray`, shape (N,) or (n,)

    Raises
    ------
    ValueError
        If the shapes differ or a truth is zero everywhere.

    Examples
    --------
    >>> from astro_lpalm.separation import nmse
    >>> float(nmse([[1.0, 0.0]], [[1.0, 1.0]]))
    0.5
    >>> nmse([[1.0, 0.0], [0.0, 2.0]], [[1.0, 1.0], [0.0, 2.0]], axis=1).tolist()
    [0.5, 0.0]
    """
    estimate, truth = np.asarray(estimate, dtype=float), np.asarray(truth, dtype=float)
    if estimate.shape != truth.shape:
        msg = f"estimate has shape {estimate.shape} and truth {truth.shape}; they must be the same."
        raise ValueError(msg)
    if axis is None and truth.ndim > 2:
        axis = tuple(range(truth.ndim - 2, truth.ndim))
    power = np.sum(truth**2, axis=axis)
    if not np.all(power):
        msg = "truth is zero everywhere, so no error can be measured relative to it."
        raise ValueError(msg)
    return np.sum((estimate - truth) ** 2, axis=axis) / power


def sdr(estimate, truth, *, axis=1):
    """Compute the signal-to-distortion ratio of each component in decibels, ``-10 log10`` of its `nmse`.

    All that differs from the truth counts as distortion, its scale too: `align` first where a method leaves that open.

    Parameters
    ----------
    estimate, truth : array_like, shape (n, t) or (m, n)
    axis : int, optional
        What to sum over: 1 for sources (n, t), 0 for spectra (m, n), `None` for one figure of the whole.

    Returns
    -------
    `~numpy.ndarray`, shape (n,), or float
        Infinite where the two are the same.

    Raises
    ------
    ValueError
        If the shapes differ or a truth is zero everywhere.

    Examples
    --------
    >>> from astro_lpalm.separation import sdr
    >>> sdr([[1.1, 0.0], [0.0, 1.01]], [[1.0, 0.0], [0.0, 1.0]]).round(6).tolist()
    [20.0, 40.0]
    """
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(nmse(estimate, truth, axis=axis))


def spectral_angle(estimate, truth):
    """Compute the angle between corresponding spectra, whatever their scale.

    Parameters
    ----------
    estimate, truth : array_like, shape (m, n)
        Spectra in columns.

    Returns
    -------
    `~numpy.ndarray`, shape (n,)
        Angles in radians, 0 for spectra of the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import spectral_angle
    >>> angles = spectral_angle(np.eye(2), [[3.0, 1.0], [0.0, 1.0]])
    >>> np.allclose(angles, [0.0, np.pi / 4])
    True
    """
    estimate, truth = np.asarray(estimate, dtype=float), np.asarray(truth, dtype=float)
    norms = np.linalg.norm(estimate, axis=0) * np.linalg.norm(truth, axis=0)
    return np.arccos(np.clip(np.sum(estimate * truth, axis=0) / norms, -1.0, 1.0))


def align(factorization, truth, *, sign=True, scale=True):
    """Order the components of a blind factorization like those of the truth, with the truth's signs and norms.

    A blind method leaves the order open, and most leave sign and scale open too. The order is the assignment that
    maximizes the summed cosine between spectra, absolute where the sign is open; each spectrum then takes the sign and
    the l2 norm of its counterpart, and its source the inverse factor, so that the product of the two does not change.

    Parameters
    ----------
    factorization : `~astro_lpalm.separation.Factorization`
    truth : array_like, shape (m, n)
        True spectra in columns.
    sign : bool
        Whether the method leaves signs open. Otherwise they stay as they are, as those of non-negative spectra should.
    scale : bool
        Whether the method leaves norms open. Otherwise they stay as they are, as where sources sum to one.

    Returns
    -------
    `~astro_lpalm.separation.Factorization`

    Raises
    ------
    ValueError
        If the two have different shapes.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import Factorization, align
    >>> truth = np.array([[0.6, 0.8], [0.8, 0.6]])
    >>> swapped = Factorization(spectra=truth[:, ::-1] * [-2, 1], sources=np.array([[5.0], [6.0]]))
    >>> aligned = align(swapped, truth)
    >>> np.allclose(aligned.spectra, truth), aligned.sources.tolist()
    (True, [[6.0], [-10.0]])
    >>> align(swapped, truth, scale=False).sources.tolist()
    [[6.0], [-5.0]]
    """
    truth = np.asarray(truth, dtype=float)
    if factorization.spectra.shape != truth.shape:
        msg = f"the spectra have shape {factorization.spectra.shape}, but the true ones have {truth.shape}."
        raise ValueError(msg)
    norms = np.linalg.norm(factorization.spectra, axis=0)
    safe_norms = np.where(norms > 0, norms, 1.0)
    true_norms = np.linalg.norm(truth, axis=0)
    cosines = (truth / true_norms).T @ (factorization.spectra / safe_norms)
    _, order = linear_sum_assignment(np.abs(cosines) if sign else cosines, maximize=True)
    factors = np.ones(len(order))
    if sign:
        factors[cosines[np.arange(len(order)), order] < 0] = -1.0
    if scale:
        factors *= np.where(norms[order] > 0, true_norms / safe_norms[order], 1.0)
    return replace(
        factorization,
        spectra=factorization.spectra[:, order] * factors,
        sources=factorization.sources[order] / factors[:, np.newaxis],
    )
