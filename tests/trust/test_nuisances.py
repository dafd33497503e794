import numpy as np
import pytest
from numpy.testing import assert_allclose

from astro_lpalm.trust.nuisances import Area, Gain, spline_basis

EDGES = np.linspace(0.5, 7.0, 66)


def lines(shift=0.0, stretch=0.0, width=0.15):
    """Counts of three broad lines in the bins, the energies read with a shift and a stretch."""
    from scipy.special import ndtr

    centres = np.array([1.5, 3.0, 5.5]) * (1 + stretch) + shift
    return np.diff(ndtr((EDGES[:, np.newaxis] - centres) / width), axis=0)


@pytest.mark.parametrize(("shift", "stretch"), [(0.03, 0.0), (-0.08, 0.0), (0.0, 0.02), (0.02, -0.01)])
def test_gain_moves_lines(shift, stretch):
    moved, _ = Gain(EDGES).moved(np.array([shift, stretch]))
    # a stretch widens the lines as well, by its part of their width
    assert_allclose(moved @ lines(), lines(shift, stretch), atol=0.01)


def test_gain_without_a_shift_changes_nothing():
    moved, _ = Gain(EDGES).moved(np.zeros(2))
    assert_allclose(moved, np.eye(65), atol=1e-12)


def test_slopes_of_the_gain_are_its_derivatives():
    gain, y, step = Gain(EDGES), np.array([0.01, 0.005]), 1e-6
    _, slopes = gain.moved(y)
    for q in range(2):
        other = y + step * (np.arange(2) == q)
        assert_allclose((gain.moved(other)[0] - gain.moved(y)[0]) / step, slopes[..., q], rtol=1e-3, atol=5e-3)


def test_splines_add_up_to_one():
    assert_allclose(spline_basis(np.linspace(0.1, 3.0, 40)).sum(axis=1), 1)
    assert_allclose(Area(EDGES).basis.sum(axis=1), 1)
