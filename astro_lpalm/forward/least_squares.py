"""Weighted least squares: sources for known spectra. All that weighs by noise does it here, with one floor."""

import numpy as np
from numpy.typing import ArrayLike

from .matrices import check_data

__all__ = ["demixing_matrix", "expected_counts", "floored", "least_squares", "weighted_inverse"]

# No energy is trusted more than this fraction of the largest variance allows: one in which nearly nothing is expected
# would decide everything, though the spectra are not known so well there.
_FLOOR = 1e-4
_SAME = 1e-10  # relative singular values below it are rounding, of spectra that are combinations of others
_N_ROUNDS = 5  # from weights that are all the same; the third changes what is expected by 1e-3 or less


def floored(variance: ArrayLike) -> np.ndarray:
    """Raise variances to the floor that all weights have.

    Parameters
    ----------
    variance : array_like, shape (m,)
        Noise variance of each energy, up to a factor.

    Returns
    -------
    `~numpy.ndarray`, shape (m,)
        Positive. Where the variance is not, nothing is known of the noise, and the energy has that of the noisiest.

    Examples
    --------
    >>> from astro_lpalm.forward import floored
    >>> floored([4.0, 1e-9, 0.0])
    array([4.e+00, 4.e-04, 4.e+00])
    """
    variance = np.asarray(variance, dtype=float)
    largest = variance.max()
    if not largest > 0:
        return np.ones_like(variance)
    return np.where(variance > 0, np.maximum(variance, _FLOOR * largest), largest)


def weighted_inverse(spectra: ArrayLike, variance: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Solve X = A S + noise by least squares, with the noise's inverse variance as weight.

    Parameters
    ----------
    spectra : array_like, shape (m, n)
        Mixing matrix A.
    variance : array_like, shape (m,), optional
        Noise variance of each energy, which is taken as `floored`; the covariance is in its unit. Without it all
        energies have a variance of 1.

    Returns
    -------
    demixing : `~numpy.ndarray`, shape (n, m)
        The matrix D of the sources S = D X.
    covariance : `~numpy.ndarray`, shape (n, n)
        Of the errors of S in a pixel.

    Examples
    --------
    >>> from astro_lpalm.forward import weighted_inverse
    >>> demixing, covariance = weighted_inverse([[1.0], [1.0]], variance=[1.0, 3.0])
    >>> demixing.round(6), covariance.round(6)
    (array([[0.75, 0.25]]), array([[0.75]]))
    """
    spectra = np.asarray(spectra, dtype=float)
    weight = 1.0 / np.sqrt(np.ones(len(spectra)) if variance is None else floored(variance))
    inverse = np.linalg.pinv(spectra * weight[:, np.newaxis], rcond=_SAME)
    return inverse * weight, inverse @ inverse.T


def demixing_matrix(spectra: ArrayLike, variance: ArrayLike | None = None) -> np.ndarray:
    """Make the matrix D of weighted least squares, whose sources are S = D X; see `weighted_inverse`.

    Examples
    --------
    >>> from astro_lpalm.forward import demixing_matrix
    >>> demixing_matrix([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]).round(3)
    array([[ 0.667,  0.333, -0.333],
           [-0.333,  0.333,  0.667]])
    """
    return weighted_inverse(spectra, variance)[0]


def expected_counts(spectra: ArrayLike, counts: ArrayLike, background: ArrayLike = 0.0) -> np.ndarray:
    r"""Find what counts to expect in each energy, to weigh them with.

    Weights from the counts observed favour energies in which chance made few of them, so that photons are lost. With
    the expected ones, :math:`v = A s + b` for the least-squares :math:`s` of the field, the equations
    :math:`A^T (x - v) / v = 0` are those of the largest Poisson likelihood. Where there is no background, weights of
    any :math:`v = A s` share out all counts among the sources :math:`s'` found with them:
    :math:`0 = s^T A^T (x - A s') / v = \sum_i (x - A s')_i`. Only energies at the floor of the weights, in which next
    to nothing is expected, are an exception.

    Parameters
    ----------
    spectra : array_like, shape (m, n)
        Mixing matrix A.
    counts : array_like, shape (m,)
        Those of each energy, summed over pixels.
    background : array_like, shape (m,), or float
        Expected counts of no component.

    Returns
    -------
    `~numpy.ndarray`, shape (m,)

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.forward.least_squares import demixing_matrix, expected_counts
    >>> A, x = np.array([[4.0, 0.0], [2.0, 1.0], [0.0, 2.0]]), np.array([9.0, 8.0, 0.0])
    >>> expected = expected_counts(A, x)
    >>> float((A @ demixing_matrix(A, expected) @ x).sum().round(9))
    17.0
    """
    spectra, counts = np.asarray(spectra, dtype=float), np.asarray(counts, dtype=float)
    upward = np.where(spectra.sum(axis=0) < 0, -1.0, 1.0)
    expected = None
    for _ in range(_N_ROUNDS):
        sources = demixing_matrix(spectra, expected) @ (counts - background)
        # No component is expected to have negative counts, whatever noise made of them.
        expected = spectra @ (np.maximum(sources * upward, 0.0) * upward) + background
    return expected


def least_squares(X: ArrayLike, spectra: ArrayLike, variance: ArrayLike | None = None) -> np.ndarray:
    """Find the sources for known spectra.

    Parameters
    ----------
    X : array_like, shape (m, t)
        Data.
    spectra : array_like, shape (m, n)
        Mixing matrix A.
    variance : array_like, shape (m,), optional
        Noise variance of each energy, up to a factor; for counts, `expected_counts`. A row
        whose variance is not positive weighs as little as the noisiest, and none weighs more than ten thousand times as
        much. Without it all energies weigh the same, and the result is ``pinv(A) X``.

    Returns
    -------
    `~numpy.ndarray`, shape (n, t)

    Raises
    ------
    ValueError
        If shapes do not fit or a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.forward import least_squares
    >>> A, S = np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[2.0], [3.0]])
    >>> np.allclose(least_squares(A @ S, A), S)
    True
    """
    X, spectra = check_data(X, spectra)
    return demixing_matrix(spectra, variance).astype(X.dtype) @ X
