"""The amplitude of a background of known shape beside sources that are free in every pixel."""

import numpy as np
from numpy.typing import ArrayLike

from ..cube import Counts, LaidOutCounts
from .counts import BackgroundCounts
from .least_squares import demixing_matrix, expected_counts, floored
from .matrices import check_data

__all__ = ["background_amplitude"]

_ALIKE = 1.5  # pixels are summed with those that are expected to hold up to this many times the counts


def background_amplitude(
    X: ArrayLike, spectra: ArrayLike, background: BackgroundCounts | ArrayLike, expected: ArrayLike
) -> tuple[float, float]:
    r"""Fit the amplitude of a background jointly with the sources.

    Least squares over the sources S and the amplitude a of :math:`X = A S + a B`, with weights for photon noise. The
    sources are free in every pixel, so what of B looks like a mixture of the spectra is left to them, and a follows
    from the part of the energies that no mixture reaches (the theorem of Frisch, Waugh and Lovell). With
    :math:`P = 1 - A (A^T V A)^{-1} A^T V`, which takes away the mixtures, :math:`V` the inverse variance of the
    energies and :math:`w_j` that of pixel j,

    .. math:: a = \frac{\sum_j w_j\, b_j^T V P\, x_j}{\sum_j w_j\, b_j^T V P\, b_j}.

    Pixels of like weight are summed first, and j counts these sums: the denominator holds the squares of B, and those
    of the few counts that a blank field has in a pixel are mostly noise, which would make the amplitude too small.

    Parameters
    ----------
    X : `~astro_lpalm.cube.Counts` or array_like, shape (m, t)
    spectra : array_like, shape (m, n)
        Mixing matrix A.
    background : `BackgroundCounts` or array_like, shape (m, t)
        Expected counts B for an amplitude of 1.
    expected : array_like, shape (t,)
        Counts expected in each pixel, to weigh it with, such as those of a smoothed image. Only ratios count. Weights
        that follow the noise of the pixels themselves would make the amplitude too small.

    Returns
    -------
    amplitude : float
    error : float
        Its standard deviation from the Poisson noise of X, for spectra that are known exactly.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, or a pixel is expected to have no counts.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.forward import background_amplitude
    >>> A, S = np.array([[1.0], [1.0], [0.0]]), np.array([[5.0, 0.0, 2.0]])
    >>> B = np.outer([1.0, 1.0, 2.0], [1.0, 1.0, 0.5])
    >>> amplitude, error = background_amplitude(A @ S + 3 * B, A, B, [10, 4, 4])
    >>> round(amplitude, 9)
    3.0
    """
    if not isinstance(X, Counts):
        X = LaidOutCounts(check_data(X, spectra)[0])
    spectra, background = np.asarray(spectra, dtype=float), BackgroundCounts.of(background)
    expected = np.asarray(expected, dtype=float)
    if background.shape != X.shape or expected.shape != X.shape[1:] or not (expected > 0).all():
        msg = (
            f"background has shape {background.shape} and expected {expected.shape}; they must be {X.shape} and "
            f"{X.shape[1:]}, the latter positive."
        )
        raise ValueError(msg)
    X, background, expected = _summed(X, background, expected)
    # Its amplitude free, the background's spectrum is one more, when it comes to what is expected.
    variance = floored(expected_counts(np.column_stack([spectra, background.sum(axis=1)]), X.sum(axis=1)))
    beyond = background - spectra @ demixing_matrix(spectra, variance) @ background
    # P^T V = V P: the part of the background beyond the mixtures, weighted, is all that the data meet.
    weighted = beyond / variance[:, np.newaxis] / expected
    power = np.vdot(weighted, background)
    if not power > 1e-12 * np.vdot(background / variance[:, np.newaxis] / expected, background):
        msg = "the background's spectrum is a mixture of the components', so its amplitude cannot be found; fix it."
        raise ValueError(msg)
    amplitude = float(np.vdot(weighted, X) / power)
    return amplitude, float(np.sqrt(np.vdot(weighted**2, np.maximum(X, 0))) / power)


def _summed(X, background, expected):
    # Sums over pixels of like expectation, which weigh as their own expectation says.
    group = np.floor(np.log(expected / expected.min()) / np.log(_ALIKE)).astype(int)
    group = np.unique(group, return_inverse=True)[1]
    return X.sums(group), background.sums(group), np.bincount(group, expected)
