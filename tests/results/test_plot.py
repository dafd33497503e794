import io
import subprocess
import sys

import astropy.units as u
import matplotlib as mpl
import numpy as np
import pytest
from astropy.visualization.wcsaxes import WCSAxes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import same_color, to_rgb
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.cube import EventCube
from astro_lpalm.results import Separation
from astro_lpalm.trust.errors import spectrum_errors


def parts(figure):
    """Axes on the sky, spectra axes and residual axes."""
    sky = [axes for axes in figure.axes if isinstance(axes, WCSAxes)]
    spectra, residuals = [axes for axes in figure.axes if not isinstance(axes, WCSAxes)]
    return sky, spectra, residuals


def draw(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=40)


def text_of(axes, gid):
    return [text.get_text() for text in axes.texts if text.get_gid() == gid]


def color_bar_of(axes):
    (bar,) = axes.child_axes
    return bar


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_one_image_per_component_in_place(make_separation, n):
    result = make_separation(n=n)
    sky, _, _ = parts(result.plot())
    assert len(sky) == n + (2 if n > 1 else 1)  # the composite, of more than one, and the misfit
    for axes, name in zip(sky, result.names):
        (title,) = text_of(axes, "title")
        assert title.split()[0] == name
        assert text_of(axes, "unit") == ["ct / pixel"]
        assert axes.wcs.wcs.compare(result.cube.wcs.wcs)
        assert_allclose(axes.images[0].get_array(), result.images[name].data)
        assert axes.images[0].origin == "lower"


@pytest.mark.parametrize("width", [88, 180])
@pytest.mark.parametrize(
    ("n", "shape"), [(1, (9, 9)), (2, (8, 11)), (3, (40, 8)), (3, (8, 40)), (4, (9, 9)), (5, (9, 9)), (6, (9, 9))]
)
def test_nothing_overlaps(make_separation, n, shape, width):
    figure = make_separation(n=n, shape=shape).plot(width=width * u.mm)
    assert figure.get_size_inches()[0] == pytest.approx(width / 25.4)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    sky, spectra, residuals = parts(figure)
    # The axes with all that is written around them; the two lower panels touch each other on purpose.
    boxes = [axes.get_tightbbox(renderer) for axes in [*sky, spectra]] + [residuals.get_window_extent()]
    for i, one in enumerate(boxes):
        assert figure.bbox.padded(1).contains(*one.min)
        assert figure.bbox.padded(1).contains(*one.max)
        for other in boxes[i + 1 :]:
            overlap = np.minimum(one.max, other.max) - np.maximum(one.min, other.min)
            assert not (overlap > 3).all(), (one, other)
    for axes in sky:
        texts = [text.get_window_extent(renderer) for text in axes.texts if text.get_text()]
        for i, one in enumerate(texts):
            assert all(not one.padded(-1).overlaps(other.padded(-1)) for other in texts[i + 1 :])


def test_sky_is_labelled_on_the_outside_only(make_separation):
    sky, _, _ = parts(make_separation(n=4, shape=(9, 9)).plot())
    lower = [axes.coords[0].get_axislabel() for axes in sky]
    left = [axes.coords[1].get_axislabel() for axes in sky]
    assert lower == ["", "", "", "R.A.", "", ""]  # once: those of neighbours would run into each other
    assert left == ["Dec.", "", "", "Dec.", "", ""]
    if hasattr(sky[0].coords[0], "get_ticklabel_visible"):  # not in astropy 6.1
        assert [axes.coords[0].get_ticklabel_visible() for axes in sky] == [bool(label) for label in lower]
        assert [axes.coords[1].get_ticklabel_visible() for axes in sky] == [bool(label) for label in left]


def test_color_bars_have_units_and_zero(make_separation):
    result = make_separation()
    sky, _, _ = parts(result.plot())
    images = [*sky[:3], sky[4]]
    assert [text_of(axes, "unit") for axes in images] == [*[["ct / pixel"]] * 3, ["$\\sigma$"]]
    for axes in images:
        bar, norm = color_bar_of(axes), axes.images[0].norm
        assert 0 in bar.get_xticks()
        assert all(norm.vmin <= tick <= norm.vmax for tick in bar.get_xticks())
        assert len(bar.get_xticks()) >= 3


@pytest.mark.parametrize("n", [2, 3, 4, 6, 7])
def test_composite_has_all_components_in_the_colours_of_their_spectra(make_separation, n):
    result = make_separation(n=6)
    rng = np.random.default_rng(0)
    mixing, sources = rng.random((6, n)), 1 + rng.random((n, 8, 11))
    names = [*result.names, "neon"][:n]
    sources[1] = 1e-3  # the second is the faintest, which is left out where there are more than colours
    sources[0, 0] = 20  # and one row is of the first alone
    sources[1:, 0] = 0
    figure = Separation(result.cube, mixing, sources.reshape(n, -1), names).plot()
    sky, spectra, _ = parts(figure)
    composite = next(axes for axes in sky if axes.images and axes.images[0].get_array().ndim == 3)
    shown = {text.get_text(): text for text in composite.texts}
    assert list(shown) == [name for name in names if n < 7 or name != names[1]]
    lines = {patch.get_label(): patch.get_edgecolor() for patch in spectra.patches}
    assert all(same_color(text.get_color(), lines[name]) for name, text in shown.items())
    rgb = composite.images[0].get_array()
    first = np.array(to_rgb(lines[names[0]]))
    assert_allclose(rgb[0, 0], first / first.max(), atol=1e-6)
    assert rgb.max() <= 1
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = [text.get_window_extent(renderer) for text in shown.values()]
    panel = composite.get_window_extent()
    assert all(box.x1 <= panel.x1 + 1 for box in boxes)
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


def test_misfit_is_noise_for_a_model_that_fits(make_separation):
    result = make_separation(shape=(60, 60), scale=3)
    weight = 1 / np.sqrt(result.cube.matrix().mean(axis=1))
    fitted = np.linalg.pinv(result.mixing * weight[:, None]) @ (result.cube.matrix() * weight[:, None])
    misfit = parts(Separation(result.cube, result.mixing, fitted, result.names).plot())[0][-1].images[0].get_array()
    assert abs(np.mean(misfit)) < 0.1
    data = np.array(result.cube.data)
    data[3, 20:25, 30:35] += 40  # a line that no component has
    cube = EventCube(data, energy_edges=result.cube.energy_edges, wcs=result.cube.wcs)
    fitted = np.linalg.pinv(result.mixing * weight[:, None]) @ (cube.matrix() * weight[:, None])
    misfit = parts(Separation(cube, result.mixing, fitted, result.names).plot())[0][-1].images[0].get_array()
    assert misfit[20:25, 30:35].min() > 4


def test_misfit_of_few_counts_is_that_of_blocks(make_separation):
    result = make_separation(shape=(128, 100), scale=0.1, mask=np.arange(12800).reshape(128, 100) % 100 == 7)
    weight = 1 / np.sqrt(result.cube.matrix().mean(axis=1))
    fitted = np.linalg.pinv(result.mixing * weight[:, None]) @ (result.cube.matrix() * weight[:, None])
    axes = parts(Separation(result.cube, result.mixing, fitted, result.names).plot())[0][-1]
    misfit = axes.images[0].get_array()
    assert text_of(axes, "title") == ["misfit  (16 px)"]
    assert_array_equal(misfit.mask, result.cube.mask)
    blocks = misfit[::16, ::16]
    assert_array_equal(misfit[~misfit.mask], np.repeat(np.repeat(blocks, 16, 0), 16, 1)[:, :100][~misfit.mask])
    assert 0.6 < blocks.std() < 1.5  # of pixels, it would be a tenth


@pytest.mark.parametrize(
    ("panels", "n_sky", "n_other"),
    [(["images"], 3, 0), ("spectra", 0, 2), (("composite", "spectra"), 1, 2), (["misfit"], 1, 0), (None, 5, 2)],
)
def test_panels(make_separation, panels, n_sky, n_other):
    figure = make_separation().plot(panels=panels)
    on_sky = [isinstance(axes, WCSAxes) for axes in figure.axes]
    assert (on_sky.count(True), on_sky.count(False)) == (n_sky, n_other)
    draw(figure)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"panels": ["image"]}, r"panels=\('image',\) must be some of images, composite, misfit, spectra"),
        ({"panels": []}, "must be some of images"),
        ({"width": 88 * u.keV}, "must be a length"),
        ({"width": 8.8 * u.mm}, "width is 8.8 mm; take 60 to 500 mm"),
    ],
)
def test_settings_that_cannot_be(make_separation, settings, message):
    with pytest.raises(ValueError, match=message):
        make_separation().plot(**settings)


def test_bands_are_the_standard_deviations(make_separation):
    result = make_separation()
    widths = np.diff(result.cube.energy_edges.value)
    for given in (None, np.full(result.mixing.shape, 7.0)):
        again = Separation(result.cube, result.mixing, result.sources, result.names, spectra_uncertainty=given)
        expected = spectrum_errors(result.fit) if given is None else given
        _, spectra, _ = parts(again.plot())
        bands = {patch.get_gid(): patch.get_data() for patch in spectra.patches if patch.get_gid()}
        for k, name in enumerate(result.names):
            band = bands[f"band of {name}"]
            shown = np.isfinite(band.values)
            assert shown.sum() >= 3
            assert_allclose((band.values - band.baseline)[shown] * widths[shown], 2 * expected[shown, k])


def test_limits_resist_noise_and_outliers(make_separation):
    result = make_separation(shape=(100, 100), n=2)
    sources = np.random.default_rng(0).normal(0, 1, (2, 10000))
    sources[0, :800] += 50
    sources[0, 0], sources[0, 1] = 1e5, -1e5
    sky, _, _ = parts(Separation(result.cube, result.mixing, sources, ["a", "b"]).plot())
    scale = result.mixing[:, 0].sum()
    norm = sky[0].images[0].norm
    assert 45 * scale < norm.vmax < 60 * scale
    assert -10 * scale < norm.vmin < 0
    assert norm(0) < 0.4


def test_spectra_are_counts_per_energy(make_separation):
    result = make_separation()
    _, spectra, residuals = parts(result.plot())
    assert spectra.get_yscale() == "log"
    assert spectra.get_ylabel() == "count / keV"
    assert residuals.get_xlabel() == "Energy (keV)"
    assert "Resid" in residuals.get_ylabel()
    assert spectra.get_xlim() == residuals.get_xlim() == (0.5, 7)
    labels = [text.get_text() for text in spectra.get_legend().get_texts()]
    assert labels == ["data", "model", *result.names]
    steps = {patch.get_label(): patch.get_data() for patch in spectra.patches if not patch.get_gid()}
    widths = np.diff(result.cube.energy_edges.value)
    for name in result.names:
        assert_allclose(steps[name].values, result.spectra[name].value / widths)
        assert_allclose(steps[name].edges, result.cube.energy_edges.value)
    assert_allclose(steps["model"].values, sum(steps[name].values for name in result.names))
    counts = result.cube.matrix().sum(axis=1)
    assert_allclose(spectra.containers[0].lines[0].get_ydata(), counts / widths)
    model = steps["model"].values * widths
    assert_allclose(residuals.containers[0].lines[0].get_ydata(), (counts - model) / np.sqrt(model))


def test_masked_pixels_are_grey_and_do_not_count(make_separation, mask):
    result = make_separation(mask=mask)
    figure = result.plot()
    images, spectra, _ = parts(figure)
    assert_allclose(np.ma.getmaskarray(images[0].images[0].get_array()), mask)
    assert images[0].images[0].cmap.get_bad()[0] == pytest.approx(0.8)
    widths = np.diff(result.cube.energy_edges.value)
    assert_allclose(
        spectra.containers[0].lines[0].get_ydata() * widths, result.cube.data[:, ~mask].sum(axis=1, dtype=float)
    )
    draw(figure)


def test_components_of_nothing_can_be_drawn(make_separation):
    result = make_separation()
    draw(Separation(result.cube, result.mixing, 0 * result.sources, result.names).plot())
    draw(Separation(result.cube, result.mixing, -result.sources, result.names).plot())


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_saving(make_separation, tmp_path, kind):
    path = tmp_path / f"components.{kind}"
    figure = make_separation().plot(path)
    assert isinstance(figure, Figure)
    start = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[kind]
    before = path.read_bytes()
    assert before.startswith(start)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        make_separation().plot(path)
    assert path.read_bytes() == before
    make_separation().plot(path, overwrite=True)
    assert list(tmp_path.iterdir()) == [path]


def test_saving_needs_a_format(make_separation, tmp_path):
    with pytest.raises(ValueError, match=r"[Ff]ormat"):
        make_separation().plot(tmp_path / "components.xyz")
    assert not list(tmp_path.iterdir())
    make_separation().plot(tmp_path / "components")
    assert (tmp_path / "components").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 1


def test_drawing_in_a_given_figure(make_separation):
    figure = Figure(figsize=(7, 6))
    assert make_separation().plot(figure=figure) is figure
    assert tuple(figure.get_size_inches()) == (7, 6)
    assert len(parts(figure)[0]) == 5


def test_no_global_state(make_separation, tmp_path):
    before = dict(mpl.rcParams)
    make_separation().plot(tmp_path / "components.png")
    assert dict(mpl.rcParams) == before


def test_no_torch_and_no_pyplot_are_loaded(make_separation, tmp_path):
    make_separation().write(tmp_path / "components.fits")
    code = (
        "import sys\n"
        "import astropy.visualization.wcsaxes\n"  # which loads pyplot itself in astropy 6.1
        "before = set(sys.modules)\n"
        "from astro_lpalm.results import Separation\n"
        "Separation.read(sys.argv[1]).plot(sys.argv[2])\n"
        "assert not {'torch', 'matplotlib.pyplot'} & (set(sys.modules) - before)\n"
    )
    arguments = [str(tmp_path / "components.fits"), str(tmp_path / "components.png")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    assert (tmp_path / "components.png").is_file()
