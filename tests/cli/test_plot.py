import astropy.units as u
import pytest
from matplotlib.image import imread

from astro_lpalm.results import Separation

from .conftest import run


@pytest.mark.parametrize(("given", "width"), [([], 180), (["--width", 88], 88), (["--width", "8.8cm"], 88)])
def test_width(files, here, given, width):
    assert run("separate", files / "cube.fits", files / "model.fits", "-o", "components.fits", "--quiet") == 0
    assert run("plot", "components.fits", "-o", "figure.png", "--panels", "images", "misfit", *given) == 0
    Separation.read("components.fits").plot("same.png", panels=["images", "misfit"], width=width * u.mm)
    assert (imread("figure.png") == imread("same.png")).all()
    assert imread("figure.png").shape[1] == pytest.approx(width / 25.4 * 300, abs=1)


def test_panels_that_are_none(capsys):
    with pytest.raises(SystemExit):
        run("plot", "components.fits", "-o", "figure.png", "--panels", "image")
    assert "invalid choice: 'image'" in capsys.readouterr().err


def test_kind(files, here, capsys):
    given = files / "cube.fits", files / "model.fits"
    assert run("separate", *given, "-o", "components.fits", "--quiet", "--no-smooth") == 0
    result = Separation.read("components.fits")
    counts = result.fit.component_counts
    smooth = (abs(counts), abs(counts))
    Separation(result.cube, result.mixing, result.sources, result.names, smooth=smooth).write("smooth.fits")
    capsys.readouterr()
    assert run("plot", "components.fits", "-o", "figure.png", "--kind", "maps") == 1
    assert "there are neither smooth images nor maps to draw" in capsys.readouterr().err
    assert run("plot", "smooth.fits", "-o", "figure.png", "--kind", "maps") == 0
    Separation.read("smooth.fits").plot("same.png", kind="maps")
    assert (imread("figure.png") == imread("same.png")).all()
