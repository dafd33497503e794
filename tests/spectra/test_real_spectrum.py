"""The library of the tutorial's kind, next to the spectrum of Cassiopeia A that Chandra took."""

import numpy as np
import pytest

from astro_lpalm.data import find_components_file
from astro_lpalm.instrument import PHA, Response
from astro_lpalm.spectra import SpectralLibrary


@pytest.fixture
def case(shared_data, tmp_path):
    # Not the response of this observation, which is not at hand, but of another remnant's with the same detector.
    arf, rmf = shared_data / "responses" / "acis_snr.arf", shared_data / "responses" / "acis_snr.rmf.gz"
    text = find_components_file("snr-acis").read_text()
    text = text.replace('instrument = "acis-s"', f'arf = "{arf}"\nrmf = "{rmf}"')
    path = tmp_path / "casa.toml"
    path.write_text(text.replace("n_bins = 65", "channels_per_bin = 7"))
    spectrum = PHA.read(shared_data / "responses" / "casa_obs4634.pi.gz")
    library = SpectralLibrary.from_file(path)
    return library, spectrum.rebin(Response.read(arf, rmf).channel_edges, library.energy_edges).value


def misfit(library, observed, components):
    """Largest relative residual of the best mixture of mean spectra and principal vectors."""
    statistics = library.statistics(10, n=500)
    basis = np.concatenate([np.vstack([statistics.mean[k], statistics.principal[k]]) for k in components]).T
    weighted = basis / observed[:, np.newaxis]
    found, *_ = np.linalg.lstsq(weighted, np.ones(len(observed)), rcond=None)
    return np.abs(1 - weighted @ found).max()


def test_library_reaches_the_spectrum_of_cassiopeia_a(case):
    library, observed = case
    assert observed.sum() == 5_414_823
    assert misfit(library, observed, range(4)) < 0.10
    assert misfit(library, observed, [0]) > 0.30  # synchrotron emission alone does not
    assert misfit(library, observed, [0, 2, 3]) > 0.20  # nor with lines of iron


def test_draws_spread_over_the_spectrum(case):
    library, observed = case
    draws = library.draw(500, seed=0)
    # A bright line of silicon and the continuum beside it: their ratio lies within the draws of a thermal component.
    line, beside = np.searchsorted(library.energy_edges.value, [1.86, 4.5]) - 1
    ratio = draws[:, line, 1] / draws[:, beside, 1]
    assert np.quantile(ratio, 0.05) < observed[line] / observed[beside] < np.quantile(ratio, 0.95)
