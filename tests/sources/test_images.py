import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from astro_lpalm.sources import GeneralizedGaussian, ImageStatistics, SourceLibrary
from astro_lpalm.transforms import Starlet

NAMES = ("SYNC", "THERM", "FE1", "FE2")
TOML = """
[[components]]
name = "one"
[components.source]
{one}
[[components]]
name = "two"
[components.source]
fraction = 0.4
shape = 0.5
amplitude = [0.1, 1.0]
"""


@pytest.fixture(scope="module")
def library():
    components = {"one": GeneralizedGaussian(0.7, 1.0, 0.4), "two": GeneralizedGaussian(0.3, 1.0, 0.5)}
    return SourceLibrary(components, amplitudes={"two": (0.1, 0.5)})


@pytest.fixture(scope="module")
def maps(request):
    # `shared_data` skips; it has the scope of a test, so the maps are kept here.
    return {}


@pytest.fixture
def real_library(shared_data, maps):
    if not maps:
        with fits.open(shared_data / "casa" / "sources.fits") as hdulist:
            images = {name: hdulist[name].data.astype(float) for name in NAMES}
        maps["images"], maps["library"] = images, SourceLibrary.from_images(images, Starlet(4), negligible=1e-6)
    return maps["images"], maps["library"]


def degrees(images, n_scales=3):
    """Correlation of details and of their moduli between components, (2, scales, pairs), the mean over draws."""
    pairs = np.triu_indices(images.shape[1], 1)
    details = [each.reshape(*images.shape[:2], -1) for each in Starlet(n_scales).forward(images)[0]]
    return np.array(
        [
            [np.mean([np.corrcoef(change(d))[pairs] for d in each], axis=0) for each in details]
            for change in (list, np.abs)
        ]
    )


def drawn(library, n, side, dial, seed=0):
    return library.images.draw(n, (side, side), np.random.default_rng(seed), dial)


def test_draws(library):
    images = library.draw_images(3, (48, 64), seed=1)
    assert images.shape == (3, 2, 48, 64)
    assert images.min() >= 0
    norm = np.linalg.norm(images, axis=(2, 3))
    np.testing.assert_allclose(norm[:, 0], 1)
    assert np.all((norm[:, 1] >= 0.1) & (norm[:, 1] <= 0.5))
    assert len(np.unique(norm[:, 1].round(9))) == 3
    np.testing.assert_array_equal(images, library.draw_images(3, (48, 64), seed=1))
    assert not np.array_equal(images, library.draw_images(3, (48, 64), seed=2))


@pytest.mark.parametrize("shape", [(16, 20), (64, 64), (96, 50)])
def test_every_image_has_the_fraction_of_details(library, shape):
    details = Starlet().forward(library.images.draw(5, shape, np.random.default_rng(0)))[0][0]
    fractions = np.mean(details != 0, axis=(2, 3))
    # up to the 25 details around one pixel
    np.testing.assert_allclose(fractions, np.tile([0.7, 0.3], (5, 1)), atol=25.1 / np.prod(shape))


@pytest.mark.parametrize(("fraction", "shape"), [(0.76, 0.35), (0.2, 0.5), (1.0, 0.7), (1.0, 1.3), (0.7, 0.8)])
def test_details_of_images_have_the_shape_asked_for(fraction, shape):
    images = drawn(SourceLibrary({"one": GeneralizedGaussian(fraction, 1.0, shape)}), 60, 96, 0.0)
    found = GeneralizedGaussian.fit(Starlet().forward(images)[0][0], method="moments").shape
    assert found == pytest.approx(shape, rel=0.12)


def test_shapes_that_images_cannot_have_are_said():
    library = SourceLibrary({"one": GeneralizedGaussian(0.15, 1.0, 1.5)})
    with pytest.warns(AstropyUserWarning, match=r"shapes of \[1\.5\] in fractions of \[0\.15\] cannot be drawn"):
        library.draw_images(1, (32, 32), 0)


def test_structure_is_that_of_the_sky_not_of_noise(library):
    images = drawn(library, 20, 64, 1.0)
    neighbours = [np.corrcoef(image[:, 1:].ravel(), image[:, :-1].ravel())[0, 1] for image in images[:, 0]]
    assert np.median(neighbours) > 0.7  # white noise: 0
    # Neither do they go on at the opposite border, as periodic fields would.
    borders = [np.corrcoef(images[:, 0, :, i].ravel(), images[:, 0, :, j].ravel())[0, 1] for i, j in ((0, 1), (0, -1))]
    assert borders[1] < borders[0] - 0.3


def test_correlation_is_a_dial(library):
    found = [degrees(drawn(library, 60, 96, dial, seed=3)).mean(axis=(1, 2)) for dial in (0.0, 0.4, 0.7, 1.0)]
    assert np.all(np.abs(found[0]) < 0.03)
    assert np.all(np.diff(found, axis=0) > 0.01)


@pytest.mark.parametrize(("side", "n"), [(64, 80), (346, 6)])
def test_real_maps_give_their_correlation_back(real_library, side, n):
    images, library = real_library
    measured = degrees(np.stack(list(images.values()))[np.newaxis])
    found = degrees(drawn(library, n, side, 1.0))
    # Over the three scales the mean is matched; at a scale by itself it may differ somewhat more.
    np.testing.assert_allclose(found.mean(axis=1), measured.mean(axis=1), atol=0.08)
    np.testing.assert_allclose(found, measured, atol=0.16)
    assert np.corrcoef(found.ravel(), measured.ravel())[0, 1] > 0.9  # pairs that have more in common keep more
    assert np.all(np.abs(degrees(drawn(library, n, side, 0.0))) < 0.09)  # 3 standard deviations


def test_real_maps_give_the_statistics_of_their_details_back(real_library):
    images, library = real_library
    draws = drawn(library, 4, 346, 1.0)
    for k, name in enumerate(images):
        details = Starlet(4).forward(draws[:, k])[0]
        fits = [GeneralizedGaussian.fit(each, method="moments", negligible=1e-6) for each in details]
        for fit, reference in zip(fits, library.scales[name]):
            assert fit.fraction == pytest.approx(reference.fraction, abs=0.18)
            assert fit.shape == pytest.approx(reference.shape, rel=0.5)


def test_slope_is_that_of_the_reference():
    statistics = ImageStatistics([1.0], [0.8], [2.4], np.eye(1), np.eye(1))
    steeper = ImageStatistics([1.0], [0.8], [3.4], np.eye(1), np.eye(1))
    for truth in (statistics, steeper):
        images = truth.draw(3, (160, 160), np.random.default_rng(0))[:, 0]
        found = [ImageStatistics.of_images(image[np.newaxis], [1.0], [0.8]).slopes[0] for image in images]
        assert np.mean(found) == pytest.approx(truth.slopes[0], abs=0.3)


def test_scales_of_the_real_maps(real_library):
    _, library = real_library
    fractions = [library.components[name].fraction for name in NAMES]
    assert set(library.scales) == set(NAMES)
    for name in NAMES:
        assert len(library.scales[name]) == 4
        assert library.scales[name][0] == library.components[name]
        grown = [each.fraction for each in library.scales[name]]
        assert grown == sorted(grown)  # details of a coarser scale reach farther from the emission
    np.testing.assert_allclose(fractions, [0.74, 0.33, 0.25, 0.13], atol=0.02)


def test_details(library):
    sources = library.draw_details(70, 200, seed=4)  # more than a chunk of images
    assert sources.shape == (70, 2, 200)
    norm = np.linalg.norm(sources, axis=2)
    np.testing.assert_allclose(norm[:, 0], 1)
    assert np.all((norm[:, 1] > 0.099) & (norm[:, 1] < 0.501))
    np.testing.assert_array_equal(sources, library.draw_details(70, 200, seed=4))
    alike, independent = (
        np.mean([np.corrcoef(np.abs(each))[0, 1] for each in one_scale(library, dial)]) for dial in (1.0, 0.0)
    )
    assert alike > 0.08 + independent
    assert abs(independent) < 0.05
    assert library.draw_details(2, 10_000, seed=0).shape == (2, 2, 10_000)


def one_scale(library, dial):
    return library.draw_details(100, 2000, 4, correlation=dial, transform=Starlet(1), counts=None)


def test_details_are_in_units_of_photon_noise(library):
    # Where it is bright there is more noise, so that few values are far above the others.
    plain, faint, bright = (
        np.mean(np.abs(library.draw_details(40, 2000, 0, counts=counts)).max(axis=2)) for counts in (None, 0.01, 1000.0)
    )
    assert bright < 0.8 * plain
    assert bright < faint <= 1.05 * plain  # a faint image has the noise of the fewest counts nearly everywhere


@pytest.mark.parametrize("counts", [0, (2, 1), "many", (1, np.inf)])
def test_counts_out_of_range(library, counts):
    with pytest.raises(ValueError, match=r"counts must be a positive number or a range \[low, high\], not"):
        library.draw_details(1, 32, 0, counts=counts)


def test_noise_has_no_images():
    with pytest.raises(ValueError, match=r"shapes \[2\.\].*details of images have shapes below 2"):
        SourceLibrary({"noise": GeneralizedGaussian(1.0, 1.0, 2.0)}).draw_images(1, (32, 32), 0)


def test_masked_pixels_do_not_matter():
    image = SourceLibrary({"a": GeneralizedGaussian(0.5, 1.0, 0.4)}).draw_images(2, (90, 80), seed=0)[:, 0]
    mask = np.zeros((90, 80), dtype=bool)
    mask[:, 70:] = True
    first = SourceLibrary.from_images({"a": image[0], "b": image[1]}, mask=mask).images
    image[:, mask] = np.nan
    second = SourceLibrary.from_images({"a": image[0], "b": image[1]}, mask=mask).images
    np.testing.assert_array_equal(first.slopes, second.slopes)
    np.testing.assert_array_equal(first.moduli, second.moduli)


def test_rare_component_is_never_missing():
    rare = SourceLibrary({"rare": GeneralizedGaussian(0.002, 1.0, 0.22), "other": GeneralizedGaussian(0.5, 1.0, 0.4)})
    assert np.all(rare.draw_images(30, (24, 24), seed=0).any(axis=(2, 3)))
    assert np.all(rare.draw_details(30, 40, seed=0).any(axis=2))


def test_small_reference_images():
    y, x = np.indices((20, 24))
    image = np.exp(-((x - 9) ** 2 + (y - 8) ** 2) / 30) + 0.01 * np.random.default_rng(0).random((20, 24))
    library = SourceLibrary.from_images({"one": image, "two": image[::-1] ** 2})
    assert np.isfinite(library.images.moduli).all()
    assert library.draw_images(2, (70, 70), seed=0).shape == (2, 2, 70, 70)


@pytest.mark.parametrize("correlation", [-0.1, 1.5, "much", None])
def test_correlation_out_of_range(library, correlation):
    for draw in (lambda: library.draw_images(1, (32, 32), 0, correlation=correlation),
                 lambda: library.draw_details(1, 32, 0, correlation=correlation)):  # fmt: skip
        with pytest.raises(ValueError, match=r"correlation is .* but must lie between 0 \(none\) and 1"):
            draw()


def test_images_of_different_shapes():
    rng = np.random.default_rng(0)
    images = {"one": rng.random((40, 40)), "two": rng.random((40, 41))}
    with pytest.raises(ValueError, match=r"component 'two': its shape is \(40, 41\), but that of 'one' is \(40, 40\)"):
        SourceLibrary.from_images(images)


def write_toml(directory, one):
    path = directory / "components.toml"
    path.write_text(TOML.format(one=one))
    return path


def test_image_in_a_components_file(tmp_path):
    image = SourceLibrary({"a": GeneralizedGaussian(0.5, 1.0, 0.4)}).draw_images(1, (90, 80), seed=0)[0, 0]
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(image, name="MAP")]).writeto(tmp_path / "maps.fits")
    expected = SourceLibrary.from_images({"one": image}, Starlet(4)).components["one"]
    for name in ("maps.fits", "maps.fits[MAP]"):
        library = SourceLibrary.from_file(write_toml(tmp_path, f'image = "{name}"'))
        assert library.components["one"] == expected
        assert library.components["two"] == GeneralizedGaussian(0.4, 1.0, 0.5)
    both = SourceLibrary.from_file(write_toml(tmp_path, 'image = "maps.fits"\nfraction = 0.3\nshape = 0.7'))
    assert both.components["one"] == GeneralizedGaussian(0.3, 1.0, 0.7)


@pytest.mark.parametrize(
    ("one", "error", "message"),
    [
        ('image = "none.fits"', FileNotFoundError, "there is no file .*none.fits"),
        ("image = 3", ValueError, "component 'one'.*image = 3 is not the name of a file"),
        ('image = "flat.fits[NONE]"', ValueError, r"has no two-dimensional image called 'NONE'"),
        ('image = "flat.fits"', ValueError, "components.toml': reference image of component 'one': it is constant"),
        ("shape = 0.4", ValueError, "component 'one'.*the key 'fraction' is missing"),
        ('image = "flat.fits"\nshape = 0.4', ValueError, "the key 'fraction' is missing"),
        ("slope = 2", ValueError, "unknown key 'slope'; allowed are fraction, shape, amplitude, image"),
    ],
)
def test_bad_source_tables(tmp_path, one, error, message):
    fits.PrimaryHDU(np.ones((30, 30))).writeto(tmp_path / "flat.fits")
    with pytest.raises(error, match=message):
        SourceLibrary.from_file(write_toml(tmp_path, one))


def test_images_too_small_for_structure(library):
    with pytest.raises(ValueError, match="images of 1 x 1 pixels have no structure; ask for 8 or more"):
        library.draw_images(1, (1, 1), 0)
