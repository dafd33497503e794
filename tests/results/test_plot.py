import io
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from astropy.visualization.wcsaxes import WCSAxes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from astro_lpalm.results import Separation


def parts(figure):
    """Image axes, spectra axes and residual axes."""
    images = [axes for axes in figure.axes if isinstance(axes, WCSAxes)]
    spectra, residuals = [axes for axes in figure.axes if not isinstance(axes, WCSAxes)]
    return images, spectra, residuals


def draw(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=40)


def color_bar_of(axes):
    (bar,) = axes.child_axes
    return bar


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_one_image_per_component_in_place(make_separation, n):
    result = make_separation(n=n)
    images, _, _ = parts(result.plot())
    assert len(images) == n
    for axes, name in zip(images, result.names):
        title = axes.get_title().splitlines()
        assert title[0] == name
        assert title[1].endswith("%)")
        assert "counts" in title[1]
        assert axes.wcs.wcs.compare(result.cube.wcs.wcs)
        assert_allclose(axes.images[0].get_array(), result.images[name].data)
        assert axes.images[0].origin == "lower"


@pytest.mark.parametrize(
    ("n", "shape"), [(2, (8, 11)), (3, (40, 8)), (3, (8, 40)), (4, (9, 9)), (5, (9, 9)), (6, (9, 9))]
)
def test_nothing_overlaps(make_separation, n, shape):
    figure = make_separation(n=n, shape=shape).plot()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    images, spectra, residuals = parts(figure)
    # The axes with all that is written around them; the two lower panels touch each other on purpose.
    boxes = [axes.get_tightbbox(renderer) for axes in [*images, spectra]] + [residuals.get_window_extent()]
    for i, one in enumerate(boxes):
        assert figure.bbox.padded(1).contains(*one.min)
        assert figure.bbox.padded(1).contains(*one.max)
        for other in boxes[i + 1 :]:
            overlap = np.minimum(one.max, other.max) - np.maximum(one.min, other.min)
            assert not (overlap > 3).all(), (one, other)


def test_sky_is_labelled_on_the_outside_only(make_separation):
    images, _, _ = parts(make_separation(n=6, shape=(9, 9)).plot())
    lower = [axes.coords[0].get_axislabel() for axes in images]
    left = [axes.coords[1].get_axislabel() for axes in images]
    assert lower == ["", "", "", *["Right ascension"] * 3]
    assert left == ["Declination", "", "", "Declination", "", ""]
    if hasattr(images[0].coords[0], "get_ticklabel_visible"):  # not in astropy 6.1
        assert [axes.coords[0].get_ticklabel_visible() for axes in images] == [bool(label) for label in lower]
        assert [axes.coords[1].get_ticklabel_visible() for axes in images] == [bool(label) for label in left]


def test_color_bars_have_units_and_zero(make_separation):
    images, _, _ = parts(make_separation().plot())
    bars = [color_bar_of(axes) for axes in images]
    assert [bar.get_ylabel() for bar in bars] == ["", "", "counts / pixel"]
    assert all(0 in bar.get_yticks() for bar in bars)
    for axes, bar in zip(images, bars):
        norm = axes.images[0].norm
        assert all(norm.vmin <= tick <= norm.vmax for tick in bar.get_yticks())
        assert len(bar.get_yticks()) >= 3


def test_limits_resist_noise_and_outliers(make_separation):
    result = make_separation(shape=(100, 100), n=2)
    sources = np.random.default_rng(0).normal(0, 1, (2, 10000))
    sources[0, :800] += 50
    sources[0, 0], sources[0, 1] = 1e5, -1e5
    images, _, _ = parts(Separation(result.cube, result.mixing, sources, ["a", "b"]).plot())
    scale = result.mixing[:, 0].sum()
    norm = images[0].images[0].norm
    assert 45 * scale < norm.vmax < 60 * scale
    assert -10 * scale < norm.vmin < 0
    assert norm(0) < 0.4


def test_spectra_are_counts_per_energy(make_separation):
    result = make_separation()
    _, spectra, residuals = parts(result.plot())
    assert spectra.get_yscale() == "log"
    assert spectra.get_ylabel() == "counts / keV"
    assert residuals.get_xlabel() == "Energy (keV)"
    assert "Residual" in residuals.get_ylabel()
    assert spectra.get_xlim() == residuals.get_xlim() == (0.5, 7)
    labels = [text.get_text() for text in spectra.get_legend().get_texts()]
    assert labels == ["data", "model", *result.names]
    steps = {patch.get_label(): patch.get_data() for patch in spectra.patches}
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
    assert len(parts(figure)[0]) == 3


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
