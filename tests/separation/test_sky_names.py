import numpy as np
import pytest

from astro_lpalm.separation import SkyData, SkyFitter, fit_parameters
from astro_lpalm.spectra import ParametricSpectra, SpectralLibrary

COMPONENTS = """
[energy]
range = [0.5, 7.0]
n_bins = 32
[response]
instrument = "acis-s"
[[components]]
name = "soft"
model = "Synchrotron"
[components.parameters]
photon_index = [3.0, 5.0]
[[components]]
name = "hard"
model = "Synchrotron"
[components.parameters]
photon_index = [0.5, 1.5]
"""


@pytest.mark.parametrize("place", [0, 1])
def test_maps_are_of_the_parameters_that_were_asked_for(place):
    physics = ParametricSpectra.from_library(SpectralLibrary.from_text(COMPONENTS))
    side = 16
    y, x = np.indices((side, side)) / side
    images = 2e4 * np.stack([np.exp(-x), np.exp(x - 1)])
    theta = np.full((side * side, 2), 0.5)
    theta[:, place] = 0.3 + 0.4 * y.ravel()
    expected = np.einsum("tmn,nt->mt", physics.spectra(theta), images.reshape(2, -1))
    counts = np.random.default_rng(0).poisson(expected).astype(float)
    blocks = (4 * y).astype(int) * 4 + (4 * x).astype(int)
    sums = np.stack([counts[:, blocks.ravel() == b].sum(axis=1) for b in range(16)], axis=1)
    physical = fit_parameters(sums, physics)
    data = [SkyData(counts, np.ones((side, side), dtype=bool))]
    fit = SkyFitter(n_rounds=4)(
        data, physical.spectra, physical.fluxes, blocks, physics=physics, physical=physical, vary={place: 0.15}
    )
    assert fit.fields == [(place, place)]
    assert np.corrcoef(fit.maps[0].ravel(), theta[:, place])[0, 1] > 0.9
