import warnings

import numpy as np
import pytest

from astro_lpalm import EventCube, separate
from astro_lpalm.data import find_components_file
from astro_lpalm.demo import remnant_images
from astro_lpalm.spectra import ParametricSpectra, SpectralLibrary
from astro_lpalm.trust import SeparationWarning

from .. import toy

SHARES = 0.3, 0.6, 0.05, 0.05


@pytest.mark.parametrize(("tau", "seed"), [(3e10, 0), (1e11, 1)])
def test_plasma_that_is_still_ionizing_is_named(tau, seed):
    text = find_components_file("snr-acis").read_text(encoding="utf-8")
    text = text.replace('model = "Thermal"', 'model = "NEI"').replace("ionization = [0.5, 1.0]", f"tau = {tau}")
    spectra = ParametricSpectra.from_library(SpectralLibrary.from_text(text))
    images = remnant_images(48, seed)
    sources = np.array([300 * 48**2 * share * images[name] for share, name in zip(SHARES, spectra.component_names)])
    expected = np.einsum("ik,kyx->iyx", spectra.spectra(np.full(len(spectra.parameters), 0.5)), sources)
    counts = np.random.default_rng(seed).poisson(expected).astype(np.float32)
    cube = EventCube(counts, energy_edges=spectra.library.energy_edges, wcs=toy.wcs())
    with pytest.warns(SeparationWarning) as caught:
        result = separate(cube, "snr-acis", smooth=False, progress=False)
    assert "the plasma of thermal is not in equilibrium" in str(caught[0].message)
    assert '"NEI" or "PlaneShock"' in str(caught[0].message)
    assert result.diagnostics.meta["cause"] == "ages"


@pytest.mark.parametrize(("tau", "part"), [(None, 0.75), (3e10, 0.3)], ids=["in equilibrium", "ionizing"])
def test_what_maps_explain_is_no_other_age(tau, part):
    text = find_components_file("snr-acis").read_text(encoding="utf-8")
    if tau is not None:
        text = text.replace('model = "Thermal"', 'model = "NEI"').replace("ionization = [0.5, 1.0]", f"tau = {tau}")
    spectra = ParametricSpectra.from_library(SpectralLibrary.from_text(text))
    size, names = 64, [(each.component, each.name) for each in spectra.parameters]
    images = remnant_images(size, 7)
    sources = np.array([150 * size**2 * share * images[name] for share, name in zip(SHARES, spectra.component_names)])
    # from side to side the gas gets hotter, over part of the range of kT
    x = np.indices((size, size))[1] / size
    levels = np.linspace(0.5 - part / 2, 0.5 + part / 2, 16)
    theta = np.full((len(levels), len(names)), 0.5)
    theta[:, names.index(("thermal", "kT"))] = levels
    expected = np.zeros((65, size, size))
    nearest = np.rint(x * (len(levels) - 1)).astype(int)
    for level, made in enumerate(spectra.spectra(theta)):
        expected += np.einsum("ik,kyx->iyx", made, sources * (nearest == level))
    counts = np.random.default_rng(0).poisson(expected).astype(np.float32)
    cube = EventCube(counts, energy_edges=spectra.library.energy_edges, wcs=toy.wcs())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = separate(cube, "snr-acis", maps=("thermal.kT",), progress=False)
    said = [str(each.message) for each in caught if issubclass(each.category, SeparationWarning)]
    assert result.diagnostics.meta.get("cause") == (None if tau is None else "ages"), said


def test_other_ages_of_thermal_components_only():
    spectra = ParametricSpectra.from_library(SpectralLibrary.from_file("snr-acis"))
    theta = np.full(len(spectra.parameters), 0.5)
    ages = spectra.spectra_of_ages(theta)
    assert list(ages) == ["thermal"]
    np.testing.assert_allclose(ages["thermal"].sum(axis=1), 1.0)
    own = spectra.spectra(theta)[:, 1]
    change = np.abs(ages["thermal"] - own).sum(axis=1)
    assert change.min() > 0.02  # no age is equilibrium
    elements = spectra.spectra_of_elements(theta)
    assert elements.shape[2:] == (12, 65)
    assert elements.min() >= 0
