import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.sources import GeneralizedGaussian, SourceLibrary
from astro_lpalm.transforms import Starlet, Wavelet

SYNC, THERMAL = GeneralizedGaussian(0.76, 1.0, 0.35), GeneralizedGaussian(0.35, 2.0, 0.52)
COMPONENTS = {"synchrotron": SYNC, "thermal": THERMAL}


def maps(seed=0):
    """Two images of different sparsity: squares of random brightness, and noise everywhere."""
    rng = np.random.default_rng(seed)
    squares = np.zeros((80, 90))
    for y, x in rng.integers(5, 70, size=(40, 2)):
        squares[y : y + 5, x : x + 5] += rng.exponential()
    return {"squares": squares, "noise": rng.normal(size=(80, 90))}


def test_draws_have_unit_rows_and_the_components_statistics():
    sources = SourceLibrary(COMPONENTS).draw(200, 1000, seed=0)
    assert sources.shape == (200, 2, 1000)
    assert sources.dtype == np.float64
    assert_allclose(np.linalg.norm(sources, axis=2), 1, rtol=1e-12)
    assert_allclose(np.mean(sources != 0, axis=(0, 2)), [0.76, 0.35], atol=1e-3)
    # Unit rows keep the ratio of moments, and with it the shape, of long rows
    long = SourceLibrary(COMPONENTS).draw(1, 200_000, seed=0)[0]
    for row, component in zip(long, COMPONENTS.values()):
        assert_allclose(GeneralizedGaussian.fit(row).shape, component.shape, rtol=0.03)


def test_samples_and_components_are_independent():
    sources = SourceLibrary({"a": GeneralizedGaussian(1, 1.0, 2.0), "b": GeneralizedGaussian(1, 1.0, 2.0)}).draw(
        5, 2000, seed=0
    )
    correlations = np.corrcoef(sources.reshape(10, 2000)) - np.eye(10)
    assert np.abs(correlations).max() < 5 / np.sqrt(2000)


def test_amplitudes_are_log_uniform_in_their_range():
    library = SourceLibrary(COMPONENTS | {"fixed": SYNC}, amplitudes={"thermal": (0.03, 3.0), "fixed": 0.5})
    norms = np.linalg.norm(library.draw(2000, 20, seed=0), axis=2)
    assert_allclose(norms[:, 0], 1)
    assert_allclose(norms[:, 2], 0.5)
    assert 0.03 <= norms[:, 1].min() < 0.031
    assert 2.9 < norms[:, 1].max() <= 3
    assert abs(np.mean(np.log10(norms[:, 1] / 0.3))) < 4 * (2 / np.sqrt(12)) / np.sqrt(2000)
    assert library.amplitudes == {"synchrotron": (1, 1), "thermal": (0.03, 3), "fixed": (0.5, 0.5)}


def test_no_row_is_all_zeros_however_sparse():
    sources = SourceLibrary({"sparse": GeneralizedGaussian(1e-6, 1.0, 0.3)}).draw(500, 20, seed=0)
    assert_array_equal(np.count_nonzero(sources, axis=2), 1)
    assert_allclose(np.abs(sources).max(axis=2), 1)
    assert set(np.argmax(np.abs(sources), axis=2).ravel()) == set(range(20))


def test_the_same_seed_gives_the_same_sources():
    library = SourceLibrary(COMPONENTS, amplitudes={"thermal": (0.1, 1)})
    first = library.draw(3, 50, seed=1)
    assert_array_equal(first, library.draw(3, 50, np.random.default_rng(1)))
    assert not np.array_equal(first, library.draw(3, 50, seed=2))


def test_components_keep_their_order():
    library = SourceLibrary({"b": SYNC, "a": THERMAL})
    assert library.component_names == ["b", "a"]
    assert repr(library) == "<SourceLibrary of b, a>"


@pytest.mark.parametrize("transform", ["starlet", Starlet(2), Wavelet("haar"), "db2-stationary"], ids=str)
def test_from_images_fits_the_finest_details(transform):
    from astro_lpalm.transforms import get_transform

    images = maps()
    library = SourceLibrary.from_images(images, transform, method="likelihood", negligible=1e-9)
    assert library.component_names == ["squares", "noise"]
    for name, image in images.items():
        details = get_transform(transform).forward(image)[0][0]
        assert library.components[name] == GeneralizedGaussian.fit(details, negligible=1e-9)
    # White noise stays Gaussian, and its standard deviation is scale / sqrt(2)
    noise = library.components["noise"]
    sigma = get_transform(transform).noise[0]
    assert noise.fraction == 1
    assert_allclose((noise.shape, noise.scale / np.sqrt(2)), (2, sigma), rtol=0.1)
    assert library.components["squares"].fraction < 0.8


def test_from_images_leaves_masked_pixels_out():
    images, mask = maps(), np.zeros((80, 90), dtype=bool)
    mask[:, 60:] = True
    expected = SourceLibrary.from_images(images, mask=mask)
    for image in images.values():
        image[mask] = np.nan
    assert SourceLibrary.from_images(images, mask=mask).components == expected.components
    assert_allclose(expected.components["noise"].shape, 2, rtol=0.1)
    assert expected.components["noise"].fraction == 1
    with pytest.raises(ValueError, match=r"'squares': 2400 pixels are NaN or infinite; mask them"):
        SourceLibrary.from_images(images)


def test_from_images_passes_amplitudes_on():
    assert SourceLibrary.from_images(maps(), amplitudes={"noise": (0.1, 1)}).amplitudes["noise"] == (0.1, 1)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((30, 30)), "'bad': it is all zeros"),
        (np.full((30, 30), 0.1), "'bad': it is constant"),
        (np.ones((2, 30, 30)), r"'bad': it must have shape \(ny, nx\), but its shape is \(2, 30, 30\)"),
        (np.ones((2, 2)) * [1, 2], "'bad'.*too small for even one scale"),
        (np.eye(3), "'bad'.*only 9 are not zero"),
    ],
)
def test_from_images_refuses_degenerate_images(image, message):
    with pytest.raises(ValueError, match=f"component {message}"):
        SourceLibrary.from_images({"good": maps()["noise"], "bad": image})


@pytest.mark.parametrize(
    ("components", "amplitudes", "error", "message"),
    [
        ({}, None, ValueError, "at least one component"),
        ({"a": 0.5}, None, TypeError, r"'a' must be a GeneralizedGaussian, not 0\.5"),
        (
            COMPONENTS,
            {"iron": 1},
            ValueError,
            r"given for \['iron'\], but the components are \['synchrotron', 'thermal'\]",
        ),
        (COMPONENTS, {"thermal": 0}, ValueError, r"'thermal': amplitude must be .* not 0"),
        (COMPONENTS, {"thermal": (1, 0.5)}, ValueError, r"'thermal': amplitude must be .* not \(1, 0\.5\)"),
        (COMPONENTS, {"thermal": (1, 2, 3)}, ValueError, "'thermal': amplitude must be"),
        (COMPONENTS, {"thermal": (1, np.inf)}, ValueError, "'thermal': amplitude must be"),
        (COMPONENTS, {"thermal": "ab"}, ValueError, "'thermal': amplitude must be"),
    ],
)
def test_bad_libraries_are_refused(components, amplitudes, error, message):
    with pytest.raises(error, match=message):
        SourceLibrary(components, amplitudes)


@pytest.mark.parametrize(("n", "t"), [(0, 5), (5, 0), (-1, 5)])
def test_draw_needs_samples_and_pixels(n, t):
    with pytest.raises(ValueError, match=f"n={n} samples of t={t} pixels"):
        SourceLibrary(COMPONENTS).draw(n, t, seed=0)


GOOD_FILE = """
[energy]
range = [0.5, 7.0]
[[components]]
name = "synchrotron"
model = "Synchrotron"
[components.source]
fraction = 0.76
shape = 0.35
amplitude = [0.3, 1.0]
[[components]]
name = "thermal"
[components.source]
fraction = 1
shape = 0.52
"""


def test_from_file_reads_the_source_tables(tmp_path):
    path = tmp_path / "components.toml"
    path.write_text(GOOD_FILE)
    library = SourceLibrary.from_file(path)
    assert library.components == {
        "synchrotron": GeneralizedGaussian(0.76, 1.0, 0.35),
        "thermal": GeneralizedGaussian(1.0, 1.0, 0.52),
    }
    assert library.amplitudes == {"synchrotron": (0.3, 1.0), "thermal": (1.0, 1.0)}
    assert SourceLibrary.from_file(str(path)).component_names == ["synchrotron", "thermal"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "fraction = 0.76",
            "fraction = 76",
            r"component 'synchrotron', \[components\.source\]: fraction must be .* not 76",
        ),
        ("shape = 0.35", "shape = 'sharp'", r"component 'synchrotron'.*shape must be .* not 'sharp'"),
        ("fraction = 1", "", r"component 'thermal'.*the key 'fraction' is missing"),
        ("shape = 0.52", "", r"component 'thermal'.*the key 'shape' is missing"),
        (
            "shape = 0.52",
            "shape = 0.52\nbeta = 1",
            r"component 'thermal'.*unknown key 'beta'; allowed are fraction, shape",
        ),
        ("[0.3, 1.0]", "[1.0, 0.3]", r"component 'synchrotron': amplitude must be .* not \[1\.0, 0\.3\]"),
        ('"thermal"', '"synchrotron"', "component 2: name 'synchrotron' is another component's already"),
        ('name = "thermal"', "", "component 2: name must be a text.* not None"),
        (
            "[components.source]\nfraction = 1\nshape = 0.52",
            "",
            r"component 'thermal'.*no such table; it needs the keys",
        ),
        (GOOD_FILE, "[energy]", r"no \[\[components\]\]"),
        (GOOD_FILE, "components = 3", r"no \[\[components\]\]"),
        ("[energy]", "[energy", "is not a TOML file"),
        ("[energy]", "\0", "is not a text file, so it cannot be a components file"),
    ],
)
def test_from_file_names_file_component_and_key(tmp_path, old, new, message):
    path = tmp_path / "components.toml"
    assert old in GOOD_FILE
    path.write_text(GOOD_FILE.replace(old, new))
    with pytest.raises(ValueError, match=rf"components\.toml'.*{message}"):
        SourceLibrary.from_file(path)


def test_from_file_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no components file '.*none\.toml'"):
        SourceLibrary.from_file(tmp_path / "none.toml")


def test_from_file_that_is_binary(tmp_path):
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary\.toml' begins as UTF-16, but is not"):
        SourceLibrary.from_file(path)
