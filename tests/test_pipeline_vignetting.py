"""Separations where mirrors lose more of the photons off their axis the harder these are."""

import astropy.units as u
import numpy as np
import pytest
from numpy.testing import assert_allclose

from astro_lpalm import EventCube, Instrument, separate
from astro_lpalm.cube import planes
from astro_lpalm.forward import ExpectedBackground
from astro_lpalm.instrument import ExposureMaps
from astro_lpalm.separation import GMCA

from . import skies, toy
from .cube.test_planes import Stored
from .test_sparse import same

# With so many counts, the little that maps leave unexplained is warned of, whatever the exposure.
pytestmark = pytest.mark.filterwarnings("ignore::astro_lpalm.trust.SeparationWarning")

N, SECONDS = skies.SIDE, 4e5
Y, X = np.mgrid[:N, :N] - N / 2 + 0.5
ENERGIES = skies.EDGES.value[:-1] + 0.05
KT = 0.45 + 0.25 * np.sin(2 * np.pi * X / N)  # scaled


def seen(energy):
    """A fifth is lost at the edges at 1 keV, half at 6 keV."""
    return 1 - np.interp(energy, [1, 6], [0.2, 0.5]) * np.minimum((X**2 + Y**2) / (N / 2) ** 2, 1.5)


def maps(seconds=SECONDS):
    return ExposureMaps([seen(energy) * seconds * u.s for energy in (1, 3, 6)], [1, 3, 6] * u.keV)


def observe(seed=0, kT=KT, seconds=SECONDS, background=0.0):
    theta = np.tile(skies.THETA, (N, N, 1))
    theta[..., 2] = kT
    rates = skies.model().physics.rates(theta).astype(float)
    images = skies.shapes(4.0) * np.array(skies.AMPLITUDES)[:, np.newaxis, np.newaxis] * seconds
    expected = np.einsum("yxik,kyx->iyx", rates, images) * np.array([seen(energy) for energy in ENERGIES])
    counts = np.random.default_rng(seed).poisson(expected + background)
    return EventCube(counts, energy_edges=skies.EDGES, wcs=toy.wcs(), meta={"EXPOSURE": seconds})


def pulls(found, model):
    """Absorption, photon index and both amplitudes, in units of their errors."""
    table = found.parameters
    rows = table[np.isin(table["parameter"], ["nh", "photon_index", "amplitude"])]
    truth = [*model.physics.values(skies.THETA)[:2], *skies.AMPLITUDES]
    return (rows["value"] - truth) / (0.5 * (rows["error_low"] + rows["error_high"]))


@pytest.fixture(scope="module")
def model():
    return skies.model()


@pytest.fixture(scope="module")
def results(model):
    """With exposure by energy, and with its mean."""
    mean = maps().exposures_on(toy.wcs(), (N, N)).mean(axis=0)
    given = {"maps": "thermal.kT", "n_samples": 2}
    return [separate(observe(1), model, instrument=Instrument(exposure=each), **given) for each in (maps(), mean)]


def test_maps_are_right_with_it_and_wrong_without(results, model):
    parameter, weights, off = model.physics.parameters[2], skies.shapes(4.0)[1], []
    for each in results:
        made = each.parameter_maps["thermal"]["kT"]
        off.append(np.average((made.data - parameter.value(KT))[~made.mask], weights=weights[~made.mask]))
    assert abs(off[0]) < 0.015
    assert abs(off[0]) < 0.5 * abs(off[1])


def test_parameters_amplitudes_and_counts_are_right_with_it(results, model):
    good, bad = (pulls(each, model) for each in results)
    assert np.all(np.abs(good) < 3)
    assert np.abs(bad).max() > 8
    found = results[0]
    assert found.diagnostics.meta["reduced_chi_square"] == pytest.approx(1, abs=0.06)
    smooth = [np.nansum(found.smooth_images[name].data) for name in found.names]
    assert_allclose(smooth, found.diagnostics["counts"].value, rtol=0.02)
    for name, total in zip(found.names, smooth):
        assert_allclose(np.nansum(found.samples[name], axis=(1, 2)), total, rtol=0.05)


def test_without_maps_and_without_smooth_images(model):
    cube = observe(1, kT=0.45, background=0.5)
    background = ExpectedBackground(np.full(65, 0.4 * N * N), free=True)
    for options in ({}, {"smooth": False}):
        instrument = Instrument(exposure=maps())
        found = separate(cube, model, instrument=instrument, background=background, **options)
        assert np.all(np.abs(pulls(found, model)) < 3.5)
        assert found.diagnostics.meta["reduced_chi_square"] == pytest.approx(1, abs=0.06)


def test_jointly_with_another(model):
    instruments = [Instrument(exposure=maps()), Instrument(exposure=maps(SECONDS / 2))]
    given = [[observe(2, kT=kT), observe(3, kT=kT, seconds=SECONDS / 2)] for kT in (KT, 0.45)]
    found = separate(given[0], model, instrument=instruments, maps="thermal.kT")
    assert np.all(np.abs(pulls(found, model)) < 3.5)
    # without smooth images all components are taken to be alike within a block
    table = separate(given[1], model, instrument=instruments, smooth=False).parameters
    assert_allclose(table["value"][table["parameter"] == "amplitude"], skies.AMPLITUDES, rtol=0.1)


def test_what_knows_no_physical_parameters(model):
    cube, instrument = observe(), Instrument(exposure=maps())
    with pytest.raises(ValueError, match="exposure differs with energy.*nothing is known of the solver's spectra"):
        separate(cube, GMCA(2), instrument=instrument)
    with pytest.raises(ValueError, match="photons drawn again"):
        separate(cube, model, instrument=instrument, n_resamplings=5)


def test_a_stored_cube_is_not_laid_out(model, monkeypatch):
    given = {"instrument": Instrument(exposure=maps()), "smooth": False}
    whole = observe(1)
    stored = EventCube(Stored(whole.data, most=4), energy_edges=skies.EDGES, wcs=toy.wcs(), meta=whole.meta)
    expected = separate(whole, model, **given)
    monkeypatch.setattr(planes, "physical_memory", lambda: 4 * 8 * N * N)  # four planes of the 65
    found = separate(stored, model, **given)
    assert found.cube.is_lazy
    same(found.parameters["value"], expected.parameters["value"])
    for name, image in found.images.items():
        same(image.data, expected.images[name].data)
        same(found.image_uncertainty[name], expected.image_uncertainty[name])
    for name in ("reduced_chi_square", "reduced_cstat", "structure_sigma"):
        same(found.diagnostics.meta[name], expected.diagnostics.meta[name])
