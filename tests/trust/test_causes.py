import warnings
from functools import partial
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from astro_lpalm import separate
from astro_lpalm.demo import remnant_images
from astro_lpalm.forward import ExpectedBackground, Fit, ForwardModel
from astro_lpalm.spectra import ParametricSpectra, SpectralLibrary
from astro_lpalm.trust import CauseSettings, SeparationWarning, find_causes
from astro_lpalm.trust.remedies import describe

from .. import toy
from .conftest import SHARES, SIZE, observe

separate = partial(separate, smooth=False)  # smooth images have no part in what is tested here


@pytest.fixture(scope="module")
def images(model):
    images = remnant_images(SIZE, 3)
    return 60 * SIZE**2 * np.stack([SHARES[name] * images[name] for name in model.component_names])


@pytest.fixture(scope="module")
def theta(model):
    return np.random.default_rng(5).uniform(0.2, 0.8, len(model.physics.parameters))


@pytest.fixture(scope="module")
def expected(model, images, theta):
    return np.tensordot(model.physics.spectra(theta), images, 1)


def judged(cube, model, **options):
    """The diagnostics' figures, and what is warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = separate(cube, model, **options)
    said = [str(each.message) for each in caught if issubclass(each.category, SeparationWarning)]
    return result.diagnostics.meta, said


def blob(y, x, width):
    rows, columns = np.indices((SIZE, SIZE))
    image = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2))
    return image / image.sum()


def with_more(expected, spectrum, share, image):
    return expected + share * expected.sum() * (spectrum / spectrum.sum())[:, None, None] * image


def test_good_data_have_no_cause(model, expected):
    meta, said = judged(observe(expected, model), model)
    assert "cause" not in meta
    assert not said


def test_an_energy_shift_is_named(model, images, theta):
    edges = model.energy_edges.to_value("keV")
    library = SpectralLibrary.from_file("snr-acis", energy_edges=(edges - 0.06) * u.keV)
    shifted = np.tensordot(ParametricSpectra.from_library(library).spectra(theta), images, 1)
    meta, said = judged(observe(shifted, model), model)
    assert meta["cause"] == "gain"
    assert "energies are off by +" in said[0]
    assert "RMF" in said[0]
    assert meta["gain_shift"] + 3e3 * meta["gain_stretch"] == pytest.approx(60, abs=25)


def test_a_wrong_area_is_named(model, expected, energies):
    factor = 1 + 0.35 * (energies > 2.1)
    meta, said = judged(observe(factor[:, None, None] * expected, model), model)
    assert meta["cause"] == "area"
    assert "ARF" in said[0]


def test_a_background_is_named_unless_it_is_declared(model, expected):
    spectrum = np.full(65, 0.2 * expected.sum() / 65)
    cube = observe(expected + spectrum[:, None, None] / SIZE**2, model)
    meta, said = judged(cube, model)
    assert meta["cause"] == "background"
    assert meta["background_counts"] == pytest.approx(spectrum.sum(), rel=0.1)
    assert "background=" in said[0]
    meta, said = judged(cube, model, background=ExpectedBackground(spectrum))
    assert not said


def test_a_point_source_is_found_where_it_is(model, expected, energies):
    cube = observe(with_more(expected, energies**-1.0, 0.04, blob(22, 40, 0.7)), model)
    meta, said = judged(cube, model)
    assert meta["cause"] == "point"
    assert np.hypot(meta["spot_y"] - 22, meta["spot_x"] - 40) < 2
    assert "with_mask" in said[0]


def test_a_missing_component_is_named_with_its_energy_and_place(model, expected, energies):
    line = np.exp(-(((energies - 4.5) / 0.1) ** 2) / 2)
    cube = observe(with_more(expected, line, 0.05, blob(20, 40, 8)), model)
    meta, said = judged(cube, model)
    assert meta["cause"] == "missing"
    assert "most unlike them at 4.5 keV" in said[0]
    ra, dec = (float(word) for word in said[0].split("around ")[1].split(" deg")[0].split())
    x, y = cube.wcs.world_to_pixel_values(ra, dec)
    assert np.hypot(x - 40, y - 20) < 12


def test_a_blur_that_changes_with_energy_is_named(model, expected):
    planes = [gaussian_filter(plane, width) for plane, width in zip(expected, np.linspace(0.3, 2.5, 65))]
    meta, said = judged(observe(np.stack(planes), model), model)
    assert meta["cause"] == "psf"
    assert "more blurred at high energies" in said[0]


def test_a_spectrum_that_varies_is_named_with_its_parameter(model, images, theta):
    k = [(each.component, each.name) for each in model.physics.parameters].index(("synchrotron", "photon_index"))
    field = gaussian_filter(np.random.default_rng(1).normal(size=(SIZE, SIZE)), 8, mode="wrap")
    field = (field - field.min()) / np.ptp(field)
    hard, soft = theta.copy(), theta.copy()
    hard[k], soft[k] = 0.0, 1.0
    varied = np.tensordot(model.physics.spectra(hard), (1 - field) * images, 1)
    varied += np.tensordot(model.physics.spectra(soft), field * images, 1)
    meta, said = judged(observe(varied, model), model)
    assert meta["cause"] == "varying"
    assert "photon_index of synchrotron" in said[0]
    assert "Make maps of what varies (maps=True), or separate its parts" in said[0]


@pytest.mark.parametrize(("name", "made"), [(("", "nh"), False), (("gas", ""), False), (("gas", "kT"), True)])
def test_maps_are_not_advised_where_there_can_be_none_or_are_some(name, made):
    shapes = SimpleNamespace(known=SimpleNamespace(names=[name]), has_maps=made)
    text, _ = describe(SimpleNamespace(name="varying", drop=100.0, detail={"drops": [(90.0, 0)]}), shapes)
    assert "maps" not in text
    assert "Separate its parts on their own" in text


def test_another_object_is_named(model, images):
    # Gas without the overabundant elements that a remnant's have, at the ends of the ranges and beyond.
    library = SpectralLibrary.from_file("pwn-acis")
    spectra = library.draw(1, seed=3)[0]
    spectra = spectra / spectra.sum(axis=0)
    cube = observe(np.tensordot(spectra, images[:2], 1), model)
    meta, _ = judged(cube, model)
    assert meta["cause"] in ("object", "missing")


def test_an_open_split_is_said(model, images, theta):
    alike = np.sum(images, axis=(1, 2))[:, None, None] * images.sum(axis=0) / images.sum()
    cube = observe(np.tensordot(model.physics.spectra(theta), alike, 1) / 400, model)
    meta, said = judged(cube, model)
    assert meta["cause"] == "split"
    assert "parameters are open" in said[0]


def test_settings_decide_what_is_spoken_of(model, expected, energies):
    factor = 1 + 0.35 * (energies > 2.1)
    cube = observe(factor[:, None, None] * expected, model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeparationWarning)
        fit = separate(cube, model).fit
    assert find_causes(fit, model.component_names, prior=model.prior)
    deaf = CauseSettings(least=dict.fromkeys(CauseSettings().least, 1e9))
    assert not find_causes(fit, model.component_names, prior=model.prior, settings=deaf)


def test_spectra_without_parameters_or_prior_can_be_judged():
    cube = toy.cube()
    rng = np.random.default_rng(0)
    A = rng.uniform(0.1, 1, (len(toy.EDGES) - 1, 2))
    fit = Fit(cube, ForwardModel(~cube.pixel_mask), A, np.linalg.pinv(A) @ cube.matrix())
    for cause in find_causes(fit, ["one", "two"]):
        assert "misfit" in cause.message


def test_few_energies_leave_nothing_to_judge_by(model, expected):
    cube = observe(expected, model).rebin(model.energy_edges[::13])
    A = np.random.default_rng(0).uniform(0.1, 1, (5, 4))
    fit = Fit(cube, ForwardModel(~cube.pixel_mask), A, np.linalg.pinv(A) @ cube.matrix())
    assert find_causes(fit, ["a", "b", "c", "d"]) == []
