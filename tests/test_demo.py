import shutil
import subprocess
import time

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from astro_lpalm import EventCube, demo, load_model
from astro_lpalm.demo import remnant_images, run_demo
from astro_lpalm.results import Separation

FILES = {"events.fits", "cube.fits", "components.fits", "components.png", "summary.ecsv"}
COMPONENTS = ["synchrotron", "thermal", "iron_red", "iron_blue"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "in" / "a new one"


@pytest.fixture(scope="module")
def summary(directory):
    start = time.monotonic()
    table = run_demo(directory)
    table.meta["whole"] = time.monotonic() - start
    return table


@pytest.fixture
def small(monkeypatch):
    """The demo on a remnant with a ninth of the pixels and a tenth of the photons."""
    monkeypatch.setattr(demo, "_SIZE", 80)
    monkeypatch.setattr(demo, "_COUNTS", {name: counts / 10 for name, counts in demo._COUNTS.items()})


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_it_separates_well(summary):
    assert list(summary["component"]) == COMPONENTS
    assert np.all(summary["image_correlation"] > 0.9)
    assert np.all(summary["spectral_cosine"] > 0.98)
    # What it reaches with some room to spare: so much can only be lost by a mistake.
    assert np.all(summary["image_correlation"] > 0.97)
    assert np.all(summary["spectral_cosine"] > 0.999)
    assert np.all(summary["image_nmse"] < 0.06)
    np.testing.assert_allclose(summary["counts"], summary["true_counts"], rtol=0.05)


def test_it_is_quick(summary):
    steps = summary.meta["seconds"]
    assert list(steps) == ["simulate", "bin", "separate", "write"]
    assert sum(steps.values()) == pytest.approx(summary.meta["whole"], rel=0.5, abs=3)
    assert summary.meta["whole"] < 120


def test_columns_of_the_table_agree_with_each_other(summary):
    angle = summary["spectral_angle"]
    assert angle.unit == u.deg
    np.testing.assert_allclose(np.cos(angle.quantity), summary["spectral_cosine"], rtol=1e-12)


def test_files(summary, directory):
    assert {path.name for path in directory.iterdir()} == FILES
    back = Table.read(directory / "summary.ecsv")
    assert back.colnames == summary.colnames
    assert list(back["component"]) == COMPONENTS
    np.testing.assert_allclose(back["image_correlation"], summary["image_correlation"], atol=1e-4)
    assert back.meta["seconds"] == summary.meta["seconds"]
    assert (directory / "components.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("ignore:'datfix' made the change:astropy.wcs.FITSFixedWarning")
def test_files_belong_together(summary, directory):
    cube = EventCube.read(directory / "cube.fits")
    result = Separation.read(directory / "components.fits")
    with fits.open(directory / "events.fits") as hdulist:
        energy = hdulist["EVENTS"].data["energy"]
        assert cube.data.sum() == np.count_nonzero((energy >= 500) & (energy < 7000))
    np.testing.assert_array_equal(cube.energy_edges, load_model("snr-acis").energy_edges)
    assert list(result.names) == COMPONENTS
    assert result.header["MODELSUM"] == load_model("snr-acis").checksum
    np.testing.assert_allclose(result.diagnostics["counts"].value, summary["counts"], rtol=1e-4, atol=1)
    with fits.open(directory / "cube.fits") as before, fits.open(directory / "components.fits") as after:
        sky = WCS(before[0].header).celestial
        assert all(WCS(after[name].header).wcs.compare(sky.wcs) for name in COMPONENTS)


def test_summary_measures_against_the_truth(summary, directory):
    # The images of the file, compared with the truth once more and in another way.
    result = Separation.read(directory / "components.fits")
    truth = remnant_images(240, 0)
    for row, name in zip(summary, COMPONENTS):
        image, expected = result.images[name].data, demo._COUNTS[name] * truth[name]
        assert row["image_nmse"] == pytest.approx(np.sum((image - expected) ** 2) / np.sum(expected**2), rel=1e-3)
        assert row["true_counts"] == demo._COUNTS[name]


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="needs fitsverify")
@pytest.mark.parametrize("name", ["events.fits", "cube.fits", "components.fits"])
def test_files_are_clean_fits(summary, directory, name):
    found = subprocess.run(["fitsverify", str(directory / name)], capture_output=True, text=True)
    assert "found 0 warning(s) and 0 error(s)" in found.stdout, found.stdout


def test_second_run_does_nothing(summary, directory, monkeypatch):
    monkeypatch.setattr(demo, "load_model", lambda name: pytest.fail("nothing must be computed"))
    before = contents(directory)
    with pytest.raises(FileExistsError, match="events.fits' exists already"):
        run_demo(directory)
    assert contents(directory) == before


@pytest.mark.parametrize("name", sorted(FILES))
def test_any_file_of_its_own_stops_it(tmp_path, monkeypatch, name):
    monkeypatch.setattr(demo, "load_model", lambda name: pytest.fail("nothing must be computed"))
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match=f"{name}' exists already"):
        run_demo(tmp_path)
    assert contents(tmp_path) == {name: b"mine"}


def test_overwrite_and_seed(small, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    first = run_demo(tmp_path, seed=3)
    components = fits.getdata(tmp_path / "components.fits", "iron_red")
    again = run_demo(str(tmp_path), seed=3, overwrite=True)
    for name in first.colnames:
        np.testing.assert_array_equal(first[name], again[name])
    np.testing.assert_array_equal(fits.getdata(tmp_path / "components.fits", "iron_red"), components)
    other = run_demo(tmp_path, seed=4, overwrite=True)
    assert not np.any(other["image_nmse"] == first["image_nmse"])
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"notes.txt"}
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("options", [{"device": "nodevice"}, {"seed": -1}])
def test_nothing_is_left_of_a_demo_that_cannot_run(small, tmp_path, options):
    with pytest.raises((RuntimeError, ValueError)):
        run_demo(tmp_path / "demo", **options)
    assert list(tmp_path.iterdir()) == []


def test_directory_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match="file' is a file, not a directory"):
        run_demo(tmp_path / "file")
    assert contents(tmp_path) == {"file": b"mine"}


def test_directory_that_cannot_be_made(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "load_model", lambda name: pytest.fail("nothing must be computed"))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match="file' is a file, not a directory"):
        run_demo(tmp_path / "file" / "new" / "demo")


def test_remnant_images():
    images, again = remnant_images(60, 5), remnant_images(60, 5)
    assert list(images) == COMPONENTS
    for name, image in images.items():
        np.testing.assert_array_equal(image, again[name])
        assert image.shape == (60, 60)
        assert image.min() >= 0
        assert image.sum() == pytest.approx(1)
    assert not np.array_equal(images["thermal"], remnant_images(60, 6)["thermal"])
    # The two lobes of iron lie on opposite sides.
    overlap = np.sum(images["iron_red"] * images["iron_blue"])
    norms = np.sqrt(np.sum(images["iron_red"] ** 2) * np.sum(images["iron_blue"] ** 2))
    assert overlap < 0.1 * norms
