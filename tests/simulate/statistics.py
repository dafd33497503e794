"""How well counts agree with what is expected of them."""

import numpy as np
from scipy import stats


def deviation(counts, expected, least=0.05):
    """Pearson's chi square of Poisson counts, in standard deviations from what it should be.

    The sum of (n - mu)^2 / mu has the mean 1 and the variance 2 + 1 / mu for each.
    """
    sure = expected > least
    chi_square = np.sum((counts - expected)[sure] ** 2 / expected[sure])
    return (chi_square - sure.sum()) / np.sqrt(np.sum(2 + 1 / expected[sure]))


def check_poisson(counts, expected):
    """Counts in each cell, and their sums along each axis, are Poisson variables; true for about 995 seeds of 1000."""
    assert counts.shape == expected.shape
    assert abs(deviation(counts, expected)) < stats.norm.isf(0.0005)
    for axes in ((1, 2), (0, 1), (0, 2), (0, 1, 2)):
        mean, found = np.atleast_1d(expected.sum(axis=axes)), np.atleast_1d(counts.sum(axis=axes))
        chi_square = np.sum((found - mean)[mean > 5] ** 2 / mean[mean > 5])
        assert 0.0005 < stats.chi2.sf(chi_square, np.sum(mean > 5)) < 0.9995
    # Positions in single precision: a few in ten thousand are rounded over the edge of a pixel.
    assert counts[expected < 1e-12].sum() < 5e-4 * counts.sum()
