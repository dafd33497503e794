import astropy.units as u
import numpy as np
import pytest
from astropy.visualization.wcsaxes import WCSAxes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.results import ParameterMap, Separation

from .local import with_maps

MAPS = [
    ("Synchrotron", "photon_index", ""),
    ("thermal", "kT", "keV"),
    ("thermal", "velocity", "km / s"),
    ("thermal", "tau", "s / cm3"),
    ("iron_1", "kT", "keV"),
]


def text_of(axes, gid):
    return [text.get_text() for text in axes.texts if text.get_gid() == gid]


def panels(figure):
    """Axes on the sky by their titles; the composite has none."""
    return {(text_of(axes, "title") or ["composite"])[0].split("  ")[0]: axes for axes in figure.axes}


def with_map(result, values, errors, undecided=None, unit="keV"):
    undecided = np.zeros(values.shape, dtype=bool) if undecided is None else undecided
    maps = [ParameterMap("thermal", "kT", unit, values, errors, undecided)]
    smooth = np.abs(result.fit.component_counts)
    return Separation(result.cube, result.mixing, result.sources, result.names, smooth=(smooth, smooth), maps=maps)


def test_every_image_and_map_has_a_panel(make_separation):
    result = with_maps(make_separation(n=4), MAPS)
    found = panels(result.plot(kind="maps"))
    assert [name for name in found if name != "composite"] == [
        *("Synchrotron", "Synchrotron photon index", "thermal", "thermal kT", "thermal velocity", "thermal tau"),
        *("iron_1", "iron_1 kT", "iron_2"),
    ]
    assert "composite" in found
    assert all(isinstance(axes, WCSAxes) for axes in found.values())
    assert_allclose(found["iron_2"].images[0].get_array(), result.smooth_images["iron_2"].data)
    shown = found["thermal kT"].images[0].get_array()
    assert_allclose(shown, result.parameter_maps["thermal"]["kT"].data)
    assert text_of(found["thermal velocity"], "unit") == ["km s⁻¹"]


@pytest.mark.parametrize("width", [88, 180])
@pytest.mark.parametrize("n_maps", [0, 1, 3, 5])
@pytest.mark.parametrize(("n", "shape"), [(3, (8, 11)), (3, (40, 8)), (4, (8, 40))])
def test_nothing_overlaps(make_separation, n, shape, n_maps, width):
    figure = with_maps(make_separation(n=n, shape=shape), MAPS[:n_maps]).plot(kind="maps", width=width * u.mm)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [axes.get_tightbbox(canvas.get_renderer()) for axes in figure.axes]
    assert len(boxes) == n + 1 + n_maps
    for i, one in enumerate(boxes):
        assert figure.bbox.padded(1).contains(*one.min)
        assert figure.bbox.padded(1).contains(*one.max)
        for other in boxes[i + 1 :]:
            overlap = np.minimum(one.max, other.max) - np.maximum(one.min, other.min)
            assert not (overlap > 3).all(), (one, other)


def test_maps_of_a_component_are_in_its_row(make_separation):
    found = panels(with_maps(make_separation(n=3), MAPS).plot(kind="maps"))
    rows = [found[name].get_position().y0 for name in ("thermal", "thermal kT", "thermal velocity", "thermal tau")]
    assert_allclose(rows, rows[0])


@pytest.mark.parametrize(("maps", "place"), [(MAPS[:1], -1), (MAPS[:4], 0)])
def test_the_composite_is_where_it_leaves_fewer_gaps(make_separation, maps, place):
    figure = with_maps(make_separation(n=2, shape=(11, 11)), maps).plot(kind="maps")
    assert list(panels(figure))[place] == "composite"


def test_images_alone_are_side_by_side(make_separation):
    figure = with_maps(make_separation(n=2, shape=(12, 10)), []).plot(kind="maps")
    assert np.ptp([axes.get_position().y0 for axes in figure.axes]) < 1e-6


def test_undecided_pixels_are_grey_and_set_no_limits(make_separation, mask):
    result = make_separation(mask=mask)
    values = np.linspace(0.5, 0.9, 65)
    undecided = np.arange(65) % 5 == 0
    values[undecided] = 50.0
    drawn = panels(with_map(result, values, np.full(65, 0.01), undecided).plot(kind="maps"))["thermal kT"].images[0]
    assert_array_equal(drawn.get_array().mask[~mask], undecided)
    assert drawn.get_array().mask[mask].all()
    assert drawn.cmap.get_bad()[0] == pytest.approx(0.8)
    assert (drawn.norm.vmin, drawn.norm.vmax) == pytest.approx((0.5, 0.9), abs=0.02)
    assert drawn.cmap.name == "viridis"


def test_maps_fade_where_they_are_not_known(make_separation):
    result = make_separation()
    errors = np.repeat([0.01, 2.0], 44)
    drawn = panels(with_map(result, np.linspace(0.5, 0.9, 88), errors).plot(kind="maps"))["thermal kT"].images[0]
    opacity = drawn.get_alpha().ravel()
    assert opacity[:44].min() > 0.95
    assert opacity[44:].max() < 0.5


def test_colours_of_both_signs_are_even_about_zero(make_separation):
    result = make_separation()
    values = np.linspace(-300, 900, 88)
    drawn = panels(with_map(result, values, np.ones(88), unit="km / s").plot(kind="maps"))["thermal kT"].images[0]
    assert drawn.cmap.name == "RdBu_r"
    assert drawn.norm.vmin == -drawn.norm.vmax
    values = np.linspace(-10, 900, 88)  # hardly any are negative
    drawn = panels(with_map(result, values, np.ones(88), unit="km / s").plot(kind="maps"))["thermal kT"].images[0]
    assert drawn.cmap.name == "viridis"


def test_noise_does_not_fill_the_colours(make_separation):
    drawn = panels(with_map(make_separation(), np.linspace(1, 1.01, 88), np.full(88, 0.5)).plot(kind="maps"))
    norm = drawn["thermal kT"].images[0].norm
    assert norm.vmax - norm.vmin == pytest.approx(1.0)
    drawn = panels(with_map(make_separation(), np.linspace(-1, 1, 88), np.full(88, 9.0)).plot(kind="maps"))
    assert drawn["thermal kT"].images[0].norm.vmax == 9


@pytest.mark.parametrize("scale", [2e11, 3e-7])
def test_powers_of_ten_are_with_the_unit(make_separation, scale):
    values = scale * np.linspace(1, 2, 88)
    axes = panels(with_map(make_separation(), values, 0.1 * values, unit="s / cm3").plot(kind="maps"))["thermal kT"]
    assert text_of(axes, "unit") == [{2e11: "10¹¹ s cm⁻³", 3e-7: "10⁻⁷ s cm⁻³"}[scale]]
    (bar,) = axes.child_axes
    ticks = [text.get_text() for text in bar.get_xticklabels()]
    assert len(ticks) >= 2
    assert all(len(tick) <= 4 for tick in ticks)


def test_the_typical_error_is_of_what_is_decided(make_separation):
    errors, undecided = np.where(np.arange(88) < 60, 0.02, 5.0), np.arange(88) >= 60
    axes = panels(with_map(make_separation(), np.linspace(1, 2, 88), errors, undecided).plot(kind="maps"))["thermal kT"]
    assert text_of(axes, "error") == ["\N{PLUS-MINUS SIGN} 0.02"]
    assert len(axes.child_axes) == 1


def test_a_map_that_is_undecided_everywhere_has_no_colours(make_separation):
    result = with_map(make_separation(), np.ones(88), np.ones(88), np.full(88, True))
    axes = panels(result.plot(kind="maps"))["thermal kT"]
    assert text_of(axes, "error") == []
    assert axes.child_axes == []
    assert text_of(axes, "title")[0].startswith("thermal kT")


def test_what_is_hardly_known_sets_no_limits(make_separation):
    values, errors = np.linspace(1, 2, 88), np.full(88, 0.1)
    values[:20], errors[:20] = 9, 5
    norm = panels(with_map(make_separation(), values, errors).plot(kind="maps"))["thermal kT"].images[0].norm
    assert norm.vmax < 2.1


@pytest.mark.parametrize("undecided", [False, True])
def test_maps_of_nothing_can_be_drawn(make_separation, undecided):
    result = with_map(make_separation(), np.zeros(88), np.zeros(88), np.full(88, undecided))
    dark = 0 * result.sources
    for sources in (result.sources, dark):
        again = Separation(result.cube, result.mixing, sources, result.names, smooth=(dark, dark), maps=result.maps)
        FigureCanvasAgg(again.plot(kind="maps")).draw()


def test_maps_without_smooth_images(make_separation):
    result = with_maps(make_separation(), MAPS)
    result = Separation(result.cube, result.mixing, result.sources, result.names, maps=result.maps)
    found = panels(result.plot(kind="maps"))
    assert_allclose(found["thermal"].images[0].get_array(), result.images["thermal"].data)
    assert not found["thermal kT"].collections  # contours of noise


def test_what_cannot_be_drawn(make_separation):
    with pytest.raises(ValueError, match="neither smooth images nor maps to draw: separate with maps=True"):
        make_separation().plot(kind="maps")
    with pytest.raises(ValueError, match="kind='map' with panels=None: kind must be 'summary' or 'maps'"):
        make_separation().plot(kind="map")
    with pytest.raises(ValueError, match="panels are the summary's"):
        with_maps(make_separation()).plot(kind="maps", panels=["images"])
