import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.grid.nesting import difference, find_edges, told_apart

EDGES = np.array([0.5, 0.7, 1.5, 7.0])  # the narrower bin at each edge: 0.2, 0.2, 0.8 and 5.5 keV wide
NARROWER = np.array([0.2, 0.2, 0.8, 5.5])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("edge", range(4))
def test_a_thousandth_of_the_narrower_bin_is_rounding(edge, sign):
    for share, is_same in ((0.5e-3, True), (2e-3, False)):
        wanted = EDGES.copy()
        wanted[edge] += sign * share * NARROWER[edge]
        nearest, distance, is_edge = find_edges(wanted, EDGES)
        assert_array_equal(nearest, range(4))
        assert_allclose(distance[edge], share, rtol=1e-9)
        assert is_edge.tolist() == [is_same or each != edge for each in range(4)]
        assert (difference(wanted, EDGES) == "") == is_same


def test_single_precision_is_rounding_however_narrow_the_bins():
    for width in (0.1, 1e-2, 5e-4):  # the last: a calorimeter's bins, of 2000 to a few times the rounding at 12 keV
        edges = np.arange(0.3, 12, width)
        assert difference(edges.astype(np.float32), edges, same=True) == ""
        assert difference(edges, np.nextafter(edges.astype(np.float32), np.float32(0)), same=True) == ""
        assert difference(edges + 0.01 * width, edges) != ""


@pytest.mark.parametrize(
    ("one", "message"),
    [
        ([0.5, 0.7004, 7.0], "edge 1 is 0.7004 keV, 0.002 of a bin from the nearest, 0.7 keV"),
        ([0.5, 0.70020001, 7.0], "edge 1 is 0.7002 keV, 0.001 of a bin from the nearest, 0.7 keV"),
        ([0.4, 0.7, 7.0], "edge 0 is 0.4 keV, 0.5 of a bin from the nearest, 0.5 keV"),
        ([0.5, 9.0, 70.0], "edge 1 is 9 keV, 0.36 of a bin from the nearest, 7 keV"),
        ([0.5, 0.7, 0.7001, 7.0], "edges 1 and 2, 0.7 and 0.7001 keV, are within a thousandth of a bin"),
    ],
)
def test_what_differs_is_said(one, message):
    assert difference(one, EDGES) == message
    assert difference(one, EDGES, same=True) == message


def test_the_same_and_some():
    assert difference(EDGES[1:], EDGES) == ""
    assert difference(EDGES[1:], EDGES, same=True) == "there are 2 bins, not 3"
    assert difference(EDGES, EDGES[1:]) == "edge 0 is 0.5 keV, 0.25 of a bin from the nearest, 0.7 keV"


def test_digits_that_tell():
    assert told_apart(10.00002, 10.0) == ("10.00002", "10")
    assert told_apart(1 + 2e-16, 1.0) == ("1.0000000000000002", "1")
    assert told_apart(2.0, 2.0) == ("2", "2")
