import numpy as np
import pytest
from astropy.io import fits

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


def correlations(images):
    """Correlation of the moduli of the details between components, (scales, pairs)."""
    pairs = np.triu_indices(len(images), 1)
    details, _ = Starlet(4).forward(images)
    return np.array([np.corrcoef(np.abs(each).reshape(len(images), -1))[pairs] for each in details])


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
    # The share of pixels with emission is the fraction of the details, over many draws.
    share = (library.draw_images(40, (64, 64), seed=0) > 0).mean(axis=(0, 2, 3))
    np.testing.assert_allclose(share, [0.7, 0.3], atol=0.06)


def test_structure_is_that_of_the_sky_not_of_noise(library):
    images = library.draw_images(20, (64, 64), seed=0)
    neighbours = [np.corrcoef(image[:, 1:].ravel(), image[:, :-1].ravel())[0, 1] for image in images[:, 0]]
    assert np.median(neighbours) > 0.8  # white noise: 0


def test_correlation_is_a_dial(library):
    moduli = [correlations_of_draws(library, dial) for dial in (0.0, 0.5, 1.0)]
    assert abs(moduli[0]) < 0.03
    assert moduli[0] + 0.05 < moduli[1] < moduli[2] - 0.05


def correlations_of_draws(library, dial):
    draws = library.draw_images(40, (96, 96), seed=3, correlation=dial)
    return np.mean([correlations(each) for each in draws])


def test_real_maps_give_their_distribution_and_power_back(real_library):
    images, library = real_library
    draws = library.images.draw(6, (346, 346), np.random.default_rng(0), 0.0)
    for k, image in enumerate(images.values()):
        expected = np.quantile(image, [0.9, 0.99]) / image.mean()
        found = np.quantile(draws[:, k], [0.9, 0.99]) / draws[:, k].mean()
        np.testing.assert_allclose(found, expected, rtol=0.2)
        assert np.mean(draws[:, k] == 0) == pytest.approx(np.mean(image == 0), abs=0.03)


@pytest.mark.parametrize("scale", [0, 1, 2])
def test_real_maps_give_their_correlation_back(real_library, scale):
    images, library = real_library
    measured = correlations(np.stack(list(images.values())))[scale]
    draws = library.images.draw(8, (346, 346), np.random.default_rng(0), 1.0)
    found = np.mean([correlations(each)[scale] for each in draws], axis=0)
    np.testing.assert_allclose(found, measured, atol=0.15)
    assert found[0] > 0.3  # synchrotron and thermal emission share the most
    independent = library.images.draw(8, (346, 346), np.random.default_rng(0), 0.0)
    assert np.all(np.abs(np.mean([correlations(each)[scale] for each in independent], axis=0)) < 0.05)


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
    return library.draw_details(70, 2000, 4, correlation=dial, transform=Starlet(1))


def test_rare_component_is_never_missing():
    rare = SourceLibrary({"rare": GeneralizedGaussian(0.002, 1.0, 0.4), "other": GeneralizedGaussian(0.5, 1.0, 0.4)})
    assert np.all(rare.draw_images(30, (24, 24), seed=0).any(axis=(2, 3)))
    assert np.all(rare.draw_details(30, 40, seed=0).any(axis=2))


def test_small_reference_images():
    rng = np.random.default_rng(0)
    y, x = np.indices((20, 24))
    image = np.exp(-((x - 9) ** 2 + (y - 8) ** 2) / 30) + 0.01 * rng.random((20, 24))
    statistics = ImageStatistics.of_images(np.stack([image, image[::-1] ** 2]))
    assert np.isfinite(statistics.power).all()
    assert np.isfinite(statistics.correlation).all()
    assert statistics.draw(2, (150, 150), rng).shape == (2, 2, 150, 150)


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
