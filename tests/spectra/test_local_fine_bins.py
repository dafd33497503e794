import numpy as np
import torch

from astro_lpalm.spectra import LocalSpectraTable, ParametricSpectra, SpectralLibrary

COMPONENTS = """
[energy]
range = [3.0, 8.48]
n_bins = 375
[response]
instrument = "acis-s"
[[components]]
name = "thermal"
model = "Thermal"
[components.parameters]
kT = { range = [0.8, 6.0], scale = "log" }
velocity = [-10000.0, 10000.0]
sigma = 1000.0
Fe = 5.0
[[components]]
name = "synchrotron"
model = "Synchrotron"
[components.parameters]
photon_index = [1.0, 4.0]
"""


def test_lines_that_move_over_many_fine_bins_need_many_vectors():
    physics = ParametricSpectra.from_library(SpectralLibrary.from_text(COMPONENTS))
    table = LocalSpectraTable(physics, np.full(3, 0.5), [[0, 1], []])
    x = np.random.default_rng(0).uniform(0.1, 0.9, (2, 200))
    coefficients, _ = table.coefficients(torch.as_tensor(x, dtype=torch.float32))
    own = table.owners == 0
    found = (table.basis[:, own] @ coefficients[own]).T.numpy()
    exact = physics.spectra(np.vstack([x, np.full(200, 0.5)]).T)[..., 0]
    # what 10,000 photons of one pixel could tell: hardly more than one in chi-square
    assert (1e4 * (found - exact) ** 2 / exact).sum(axis=1).max() < 2
