import astropy.units as u
import numpy as np
import pytest
from numpy.testing import assert_allclose

from astro_lpalm.instrument import Response, merge_responses
from astro_lpalm.missions import approximate_response

CHANNELS = np.linspace(0.5, 7, 14)


def test_counts_of_the_mean_are_those_of_the_parts():
    parts = [approximate_response(CHANNELS, name) for name in ("acis-s", "acis-i")]
    times = [12.0, 30.0] * u.ks
    merged = merge_responses(parts, times)
    flux = np.random.default_rng(0).random(len(merged.energy_edges) - 1)
    expected = sum(time * part.fold(flux) for time, part in zip(times, parts))
    assert_allclose(times.sum() * merged.fold(flux), expected, rtol=1e-12)
    assert_allclose(merge_responses(parts[:1], [3]).matrix.toarray(), parts[0].matrix.toarray())
    assert_allclose(merge_responses(parts, [0, 5]).matrix.toarray(), parts[1].matrix.toarray())


def test_real_responses(shared_data):
    folder = shared_data / "responses"
    response = Response.read(folder / "3c273.arf", folder / "3c273.rmf")
    merged = merge_responses([response, response], [1, 2])
    assert_allclose(merged.matrix.data, response.matrix.data)
    assert merged.first_channel == response.first_channel


@pytest.mark.parametrize(
    ("other", "weights", "message"),
    [
        (CHANNELS, [1], r"2 responses and weights of shape \(1,\)"),
        (CHANNELS, [1, -1], "not negative, and not all zero"),
        (CHANNELS, [0, 0], "not all zero"),
        (CHANNELS[:-1], [1, 1], "response 2 has .* as energy_edges"),
    ],
)
def test_what_cannot_be_merged(other, weights, message):
    with pytest.raises(ValueError, match=message):
        merge_responses([approximate_response(CHANNELS), approximate_response(other)], weights)


def test_other_channels():
    edges = [1, 2, 3]
    with pytest.raises(
        ValueError, match="response 2 has 2 bins from 1 to 3.1 keV as channel_edges, the first 2 from 1 to 3 keV"
    ):
        merge_responses(
            [Response(np.ones((2, 2)), edges, edges), Response(np.ones((2, 2)), edges, [1, 2, 3.1])], [1, 1]
        )
