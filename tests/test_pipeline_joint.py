"""Several observations together: better than each alone, and than their sum."""

import astropy.units as u
import numpy as np
import pytest
from astropy.utils.exceptions import AstropyUserWarning
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm import EventCube, Instrument, Separation, separate
from astro_lpalm.forward import ExpectedBackground
from astro_lpalm.separation import GMCA
from astro_lpalm.trust import SeparationWarning

from . import skies

SEEDS = range(4)


@pytest.fixture(scope="module")
def model():
    return skies.model()


@pytest.fixture(scope="module")
def results(model):
    return [separate(skies.observe(seed), model, instrument=skies.instruments()) for seed in SEEDS]


@pytest.fixture(scope="module")
def result(results):
    return results[0]


@pytest.fixture(scope="module")
def alone(model):
    """Each observation alone, without the smooth images that parameters do not depend on."""
    return [
        separate(cube, model, instrument=instrument, smooth=False)
        for cube, instrument in zip(skies.observe(0), skies.instruments())
    ]


def truth(model):
    amplitudes, flux = skies.AMPLITUDES, model.physics.energy_flux(skies.THETA)
    return np.array(
        [*model.physics.values(skies.THETA), *(v for a, f in zip(amplitudes, flux) for v in (a, a * f))], dtype=float
    )


def errors(table):
    return 0.5 * (table["error_low"] + table["error_high"])


def test_parameters_and_amplitudes_are_those_of_the_sky(model, results):
    pulls = np.array([(each.parameters["value"] - truth(model)) / errors(each.parameters) for each in results])
    assert np.abs(pulls.mean(axis=0)).max() < 1.7
    assert np.abs(pulls.mean()) < 0.4
    assert 0.6 < np.std(pulls) < 1.4


def test_better_than_either_alone(result, alone):
    one, two = (errors(each.parameters) for each in alone)
    together = errors(result.parameters)
    decided = ~(alone[0].parameters["undecided"] | alone[1].parameters["undecided"])
    assert np.all(together[decided] < 1.05 * np.minimum(one, two)[decided])
    expected = 1 / np.hypot(1 / one, 1 / two)
    assert 0.7 < np.median((together / expected)[decided]) < 1.2


def test_all_counts_are_shared_out(model, result):
    cubes = skies.observe(0)
    total = sum(cube.data[:, ~cube.pixel_mask].sum() for cube in cubes)
    assert result.cube.data.sum() == total
    assert_allclose(result.diagnostics["counts"].value.sum(), total, rtol=2e-3)
    assert_allclose(sum(np.nansum(each.data) for each in result.smooth_images.values()), total, rtol=2e-3)
    # as long as the mean response would have to look
    first, second = 3e4 * skies.gaps()[0], 2e4 * skies.gaps()[1]
    areas = [
        model.physics.rates(skies.THETA).sum(),
        model.through(skies.instruments()[1]).physics.rates(skies.THETA).sum(),
    ]
    expected = (areas[0] * first + areas[1] * second) / (3 * areas[0] + 2 * areas[1]) * 5
    assert_allclose(result.cube.exposure.to_value(u.s), expected, rtol=0.05)
    assert not result.cube.pixel_mask[np.any(skies.gaps(), axis=0)].any()
    assert result.diagnostics.meta["reduced_chi_square"] == pytest.approx(1, abs=0.05)
    assert_allclose(result.diagnostics["goodness"], 1, atol=0.15)


def test_images_and_spectra_are_those_of_the_sum(model, result):
    rates = [model.physics.rates(skies.THETA), model.through(skies.instruments()[1]).physics.rates(skies.THETA)]
    for k, (name, image) in enumerate(result.images.items()):
        seen = [t * r[:, k] * skies.AMPLITUDES[k] for t, r in zip(skies.SECONDS, rates)]
        expected = sum(spectrum.sum() * gap for spectrum, gap in zip(seen, skies.gaps())) * skies.shapes()[k]
        pulls = (image.data - expected) / image.uncertainty.array
        assert 0.75 < np.nanstd(pulls) < 1.25
        assert abs(np.nanmean(pulls)) < 0.1
        smooth = result.smooth_images[name].data
        assert np.nansum((smooth - expected) ** 2) < 0.5 * np.nansum((image.data - expected) ** 2)
        spectrum = sum(s * np.sum(gap * skies.shapes()[k]) for s, gap in zip(seen, skies.gaps()))
        pulls = (result.spectra[name].value - spectrum) / result.spectra[f"{name}_err"].value
        assert np.sqrt(np.mean(pulls**2)) < 2


def test_halves_are_as_good_as_the_whole(model):
    whole = skies.observe(1, exposures=np.ones((2, skies.SIDE, skies.SIDE)))[0]
    half = np.random.default_rng(0).binomial(whole.data, 0.5)
    parts = [
        EventCube(data, energy_edges=skies.EDGES, wcs=whole.wcs, meta={"OBS_ID": name, "EXPOSURE": 1.5e4})
        for name, data in (("a", half), ("b", whole.data - half))
    ]
    together, as_one = separate(parts, model), separate(whole, model)
    assert_allclose(together.parameters["value"], as_one.parameters["value"], rtol=1e-4)
    assert_allclose(errors(together.parameters), errors(as_one.parameters), rtol=1e-3)
    assert_allclose(together.diagnostics["counts_err"], as_one.diagnostics["counts_err"], rtol=1e-3)
    for name in together.names:
        ours, theirs = together.images[name], as_one.images[name]
        assert np.abs((ours.data - theirs.data) / ours.uncertainty.array).max() < 1e-3
        ours, theirs = together.smooth_images[name], as_one.smooth_images[name]
        assert np.sqrt(np.mean(((ours.data - theirs.data) / ours.uncertainty.array) ** 2)) < 0.3  # one more round


def test_the_order_does_not_matter(model, result):
    other = separate(skies.observe(0)[::-1], model, instrument=skies.instruments()[::-1])
    assert_allclose(other.parameters["value"], result.parameters["value"], rtol=2e-3)
    assert_allclose(other.diagnostics["counts"], result.diagnostics["counts"], rtol=2e-3)


def test_part_of_the_field_is_seen_by_one_only(model):
    left, right = np.ones((2, skies.SIDE, skies.SIDE))
    left[:, 26:], right[:, :14] = 0, 0
    left[:3], right[:3] = 0, 0
    found = separate(skies.observe(2, exposures=(left, right)), model, instrument=skies.instruments())
    assert_array_equal(found.cube.pixel_mask, (left + right) == 0)
    pulls = (found.parameters["value"] - truth(model)) / errors(found.parameters)
    assert np.abs(pulls).max() < 4
    for name in found.names:
        assert np.isfinite(found.images[name].data[3:]).all()
        assert np.isfinite(found.smooth_images[name].data[3:]).all()
    assert found.diagnostics.meta["reduced_chi_square"] == pytest.approx(1, abs=0.06)


def test_each_has_its_own_point_spread_function(model):
    instruments = [Instrument(psf=1.5 * u.arcsec), *skies.instruments(psf=6 * u.arcsec)[1:]]
    blurs = [width / 2.3548 / 1.476 for width in (1.5, 6.0)]  # pixels
    cubes = skies.observe(3, exposures=np.ones((2, skies.SIDE, skies.SIDE)), blurs=blurs, width=0.7)
    found = separate(cubes, model, instrument=instruments)
    without = separate(cubes, model, instrument=skies.instruments())
    image = skies.shapes(0.7)[0] * found.diagnostics["counts"].value[0]
    ours, theirs = (np.sum((each.smooth_images["nonthermal"].data - image) ** 2) for each in (found, without))
    assert ours < 0.7 * theirs
    # blocks of the one are brighter than those of the other, as it blurs more
    assert_allclose(found.diagnostics["goodness"], 1, atol=0.15)
    assert without.diagnostics["goodness"].max() > 1.15


def test_each_has_its_own_background(model):
    level = 0.5
    cubes = skies.observe(4, background=(0.0, level))
    spectrum = np.full(65, level * np.sum(skies.gaps()[1]))
    for given in (spectrum, ExpectedBackground(spectrum)):
        found = separate(cubes, model, instrument=skies.instruments(), background=[None, given])
        pulls = (found.parameters["value"] - truth(model)) / errors(found.parameters)
        assert np.abs(pulls).max() < 4
        background = found.background.matrix()
        assert_allclose(background.sum(), spectrum.sum(), rtol=1e-4)
        assert_array_equal(background[:, skies.gaps()[1][~found.cube.pixel_mask] == 0], 0)
        assert found.diagnostics.meta["reduced_chi_square"] == pytest.approx(1, abs=0.06)


def test_maps(model):
    y, x = np.mgrid[: skies.SIDE, : skies.SIDE] / skies.SIDE
    kT = 0.45 + 0.25 * np.sin(2 * np.pi * x) * np.cos(np.pi * y)
    weights, squares, amplitudes = skies.shapes()[1], [], []

    def error(found):
        parameter = model.physics.parameters[2]
        made = found.parameter_maps["thermal"]["kT"]
        return np.sqrt(np.nansum(weights * (made.data - parameter.value(kT)) ** 2))

    for seed in (5, 6, 7):
        cubes = skies.observe(seed, kT=kT)
        together = separate(cubes, model, instrument=skies.instruments(), maps="thermal.kT", n_samples=2)
        one = separate(cubes[0], model, maps="thermal.kT")
        squares.append([error(together) ** 2, error(one) ** 2])
        for found, seen in ((together, 1.0), (one, weights[skies.gaps()[0] > 0].sum())):
            table = found.parameters[found.parameters["parameter"] == "amplitude"]
            amplitudes.append(table["value"][1] / skies.AMPLITUDES[1] / seen)
            assert abs(amplitudes[-1] - 1) < 3.5 * errors(table)[1] / skies.AMPLITUDES[1]
    assert abs(np.mean(amplitudes) - 1) < 0.1  # of these skies 0.94 +- 0.01
    both, single = np.mean(squares, axis=0)
    assert both < 0.95 * single
    assert together.samples["thermal_kT"].shape == (2, skies.SIDE, skies.SIDE)
    assert_allclose(
        np.nansum(together.samples["thermal"], axis=(1, 2)), together.diagnostics["counts"].value[1], rtol=0.05
    )


def test_maps_that_the_data_ask_for(model, result, caplog):
    y, x = np.mgrid[: skies.SIDE, : skies.SIDE] / skies.SIDE
    kT = 0.45 + 0.3 * np.sin(2 * np.pi * x)
    found = separate(skies.observe(6, kT=kT), model, instrument=skies.instruments(), maps=True)
    assert "kT" in found.parameter_maps["thermal"]
    # what differs between the observations, as gaps do, is no reason for one
    none = "no parameter varies beyond the errors: no maps"
    assert none not in caplog.text
    with caplog.at_level("INFO", logger="astro_lpalm"):
        steady = separate(skies.observe(0), model, instrument=skies.instruments(), maps=True)
    assert not steady.parameter_maps
    assert none in caplog.text


def test_it_says_what_was_separated(result, tmp_path):
    lines = [str(line) for line in result.header["HISTORY"]]
    assert "together with others: OBS_ID 1, EXPOSURE 30000.0, " in lines[1]
    assert any("OBS_ID 2, EXPOSURE 20000.0, " in line for line in lines)
    assert any(line.startswith("observed with <Instrument") for line in lines)
    result.write(tmp_path / "components.fits")
    again = Separation.read(tmp_path / "components.fits")
    for name in result.names:
        assert_allclose(again.images[name].data, result.images[name].data, rtol=1e-6)
    assert_allclose(again.residuals.data, result.residuals.data, atol=1e-4)


def test_errors_of_each_response(model):
    instruments = [Instrument(area_error=0.03), *skies.instruments(area_error=0.03)[1:]]
    found = separate(skies.observe(0), model, instrument=instruments, smooth=False)
    names = found.parameters["parameter"][found.parameters["component"] == "response"]
    assert len(names) == 10
    assert {name[-2:] for name in names} == {"_1", "_2"}


def changed(cube, **options):
    kept = {"energy_edges": cube.energy_edges, "wcs": cube.wcs, "exposure": cube.exposure, "meta": cube.meta}
    return EventCube(options.pop("data", cube.data), **kept | options)


def test_other_pixels(model):
    first, second = skies.observe(0)
    with pytest.raises(ValueError, match="cube 2 is on another pixel grid than the first.*like=the first cube"):
        separate([first, second[:, 1:]], model)


def test_no_exposure_time(model):
    first, second = skies.observe(0)
    second = changed(second, exposure=None, meta={})
    with pytest.raises(ValueError, match="exposure time of observation 2 is not known.*or its header EXPOSURE"):
        separate([first, second], model)


def test_exposure_by_header_is_enough(model):
    exposures = np.ones((2, skies.SIDE, skies.SIDE))
    cubes = skies.observe(0, exposures=exposures)
    with_maps = separate(cubes, model, instrument=skies.instruments(), smooth=False)
    plain = [changed(cube, exposure=None) for cube in cubes]
    without = separate(plain, model, instrument=skies.instruments(), smooth=False)
    assert_allclose(without.parameters["value"], with_maps.parameters["value"], rtol=1e-6)


@pytest.mark.parametrize("factor", [3, 1 / 3])
def test_exposures_that_are_wrong(model, factor):
    first, second = skies.observe(0)
    second = changed(second, exposure=factor * second.exposure, meta=dict(second.meta) | {"EXPOSURE": factor * 2e4})
    more, less = (1, 2) if factor > 1 else (2, 1)
    said = f"observation {more} has .* times the counts that all together make expect of it, observation {less} 0"
    with pytest.warns(SeparationWarning, match=said):
        separate([first, second], model, instrument=skies.instruments(), smooth=False)


def test_a_cube_that_is_given_twice(model):
    cube = skies.observe(0)[0]
    with pytest.warns(AstropyUserWarning, match="observations 1 and 2 are the same one: OBS_ID 1"):
        separate([cube, cube], model, smooth=False)


@pytest.mark.parametrize("options", [{"model": GMCA(2)}, {"refine": False}])
def test_without_physical_parameters(model, options):
    with pytest.raises(ValueError, match="separated by the physical parameters of the components, but"):
        separate(skies.observe(0), **{"model": model} | options)


def test_drawing_photons_again(model):
    with pytest.raises(ValueError, match="n_resamplings draws the photons of one observation again"):
        separate(skies.observe(0), model, n_resamplings=5)


@pytest.mark.parametrize("maps", [False, "thermal.kT"])
def test_free_backgrounds(model, maps):
    _, x = np.mgrid[: skies.SIDE, : skies.SIDE] / skies.SIDE
    kT = 0.45 + 0.25 * np.sin(2 * np.pi * x) if maps else None
    cubes = skies.observe(3, kT=kT, background=(0.3, 0.4))  # a quarter of the counts in the first
    levels = [each * gaps.sum() * np.ones(65) for each, gaps in zip((0.3 / 1.25, 0.4 / 0.8), skies.gaps())]
    background = [ExpectedBackground(level, free=True) for level in levels]
    given = {"instrument": skies.instruments(), "background": background, "maps": maps, "smooth": bool(maps)}
    found = separate(cubes, model, **given)
    meta = found.diagnostics.meta
    for number, true in ((1, 1.25), (2, 0.8)):
        amplitude, error = (meta[f"background_amplitude{key}_{number}"] for key in ("", "_error"))
        assert abs(amplitude - true) < 3 * error < 0.15
    expected = 65 * sum(level * gaps.sum() for level, gaps in zip((0.3, 0.4), skies.gaps()))
    assert_allclose(found.background.spectrum().sum(), expected, rtol=0.03)
    pulls = (found.parameters["value"] - truth(model))[-4::2] / errors(found.parameters)[-4::2]
    if not maps:
        assert np.all(np.abs(pulls) < 3)
    first = [background[0], ExpectedBackground(levels[1] * 0.8)]
    one = separate(cubes, model, **given | {"background": first})
    assert "background_amplitude_2" not in one.diagnostics.meta
    assert abs(one.diagnostics.meta["background_amplitude_1"] - 1.25) < 0.1


@pytest.mark.parametrize(("seed", "exposures"), [(1, skies.gaps()), (3, np.ones((2, skies.SIDE, skies.SIDE)))])
def test_a_background_of_one_alone_is_no_blur(model, seed, exposures):
    # images are made of each observation with weights of its own, which their noise has in common with residuals
    cubes = skies.observe(seed, exposures=exposures, background=(0.0, 0.2))
    background = [None, ExpectedBackground(0.2 * exposures[1].sum() * np.ones(65))]
    found = separate(cubes, model, instrument=skies.instruments(), background=background, smooth=False)
    assert "cause" not in found.diagnostics.meta


def test_negative_counts(model):
    first, second = skies.observe(0)
    with pytest.raises(ValueError, match="observation 2 has negative values, so it is no counts"):
        separate([first, changed(second, data=second.data - 1.0)], model)


def test_other_bins(model):
    first, second = skies.observe(0)
    fine = np.linspace(0.52, 6.98, 60) * u.keV
    second = changed(second, data=second.data[:59], energy_edges=fine)
    with pytest.warns(UserWarning, match="made anew"), pytest.raises(ValueError, match="cube 2 has 59 bins"):
        separate([first, second], model)


@pytest.mark.parametrize("name", ["instrument", "background"])
@pytest.mark.parametrize("given", [[None], "one"])
def test_lists_of_another_length(model, name, given):
    with pytest.raises(ValueError, match=f"{name} is .* but of 2 cubes each has its own: give a list of as many"):
        separate(skies.observe(0), model, **{name: given})


def test_no_cubes(model):
    with pytest.raises(ValueError, match="there are no cubes to separate"):
        separate([], model)
