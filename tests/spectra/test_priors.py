import numpy as np
import pytest

from astro_lpalm.spectra import Prior


@pytest.mark.parametrize(
    ("prior", "expected"),
    [(Prior(2.0, 4.0), 3.0), (Prior(1.0, 100.0, "log"), 99 / np.log(100)), (Prior(5.0, 5.0), 5.0)],
)
def test_priors_have_their_mean_and_range(prior, expected):
    values = prior.draw(40000, seed=0)
    assert values.mean() == pytest.approx(expected, rel=0.02)
    assert values.min() >= prior.low
    assert values.max() <= prior.high


@pytest.mark.parametrize(
    ("value", "prior", "text"),
    [
        (3, Prior(3.0, 3.0), "3"),
        ([-1, 2.5], Prior(-1.0, 2.5), "-1 to 2.5"),
        ((1, 2), Prior(1.0, 2.0), "1 to 2"),
        ({"range": [1, 10], "scale": "log"}, Prior(1.0, 10.0, "log"), "1 to 10 (log)"),
        ({"range": 4.0}, Prior(4.0, 4.0), "4"),
    ],
)
def test_a_prior_is_read_and_said(value, prior, text):
    assert Prior.parse(value) == prior
    assert str(prior) == text


@pytest.mark.parametrize("value", ["a", [1], [1, 2, 3], True, [1, True], None, {"scale": "log"}, {"rnge": [1, 2]}])
def test_what_is_no_prior_is_refused(value):
    with pytest.raises(ValueError, match="is not a prior; give a number, .low, high. or"):
        Prior.parse(value)


def test_bounds_are_kept():
    assert Prior(0.0, 5.0).within((0, None)) == Prior(0.0, 5.0)
    assert Prior(0.1, 1.3).within((float(np.float32(0.1)), float(np.float32(1.3)))) == Prior(0.1, 1.3)
    with pytest.raises(ValueError, match="-1 to 5 goes beyond what it may be, 0 to inf"):
        Prior(-1.0, 5.0).within((0, None))
    with pytest.raises(ValueError, match="7 goes beyond what it may be, -inf to 5"):
        Prior.parse(7, (None, 5))
