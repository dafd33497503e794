import astropy.units as u
import numpy as np
import pytest
import regions
from astropy.io import fits
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm import EventCube
from astro_lpalm.forward import least_squares
from astro_lpalm.forward.least_squares import expected_counts
from astro_lpalm.results import Separation
from astro_lpalm.trust.errors import spectrum_errors, variance_inflation


@pytest.fixture
def left():
    inside = np.zeros((8, 11), dtype=bool)
    inside[:, :4] = True
    return inside


def test_sums_over_the_pixels(told, left):
    table = told.region_spectra(left)
    columns = [column for name in told.names for column in (name, f"{name}_err")]
    assert table.colnames == ["energy_lo", "energy_hi", "data", *columns, "residual"]
    kept = ~told.cube.pixel_mask
    inside = left[kept]
    assert_allclose(table["data"].value, told.cube.data[:, left & kept].sum(axis=1, dtype=float))
    for name in told.names:
        assert table[name].unit == u.count
        assert_allclose(table[name].value.sum(), told.images[name].data[left & kept].sum())
    total = sum(table[name] for name in told.names) + table["residual"]
    assert_allclose(total.value, table["data"].value)
    assert table.meta["n_pixels"] == inside.sum()
    # 1e-3 degrees to the side of a pixel
    assert table.meta["area"].to_value(u.deg**2) == pytest.approx(1e-6 * inside.sum())


def test_parts_make_the_whole(told, left):
    whole = told.region_spectra(np.ones_like(left))
    parts = told.region_spectra(left), told.region_spectra(~left)
    for name in ("data", *told.names, "residual"):
        assert_allclose(parts[0][name].value + parts[1][name].value, whole[name].value)
    for name in told.names:
        assert_allclose(whole[name].value, told.spectra[name].value)


def test_of_region_files_and_shapes(make_separation, tmp_path):
    result = make_separation(shape=(30, 40))
    path = tmp_path / "box.reg"
    path.write_text("image\nbox(10.5,8.5,6,4)\n")
    from_file = result.region_spectra(path)
    assert from_file.meta["n_pixels"] == 24
    inside = np.zeros((30, 40), dtype=bool)
    inside[6:10, 7:13] = True
    assert_array_equal(from_file["data"], result.region_spectra(inside)["data"])
    circle = regions.CircleSkyRegion(result.cube.wcs.pixel_to_world(20, 15), 5.2e-3 * u.deg)
    y, x = np.mgrid[:30, :40]
    expected = result.region_spectra(np.hypot(x - 20, y - 15) < 5.2)
    assert_array_equal(result.region_spectra(circle)["data"], expected["data"])


def test_regions_without_pixels(told, left):
    with pytest.raises(ValueError, match="every pixel of the region is masked"):
        told.region_spectra(told.cube.pixel_mask)
    with pytest.raises(ValueError, match="mask has shape"):
        told.region_spectra(left[1:])


def test_errors_are_the_scatter_of_the_brightness(make_separation, left):
    # Spectra known from a field a hundred times as large; each draw is fitted anew.
    result = make_separation(scale=30)
    known = Separation(
        result.cube, result.mixing, result.sources, result.names, spectra_uncertainty=np.zeros(result.mixing.shape)
    )
    table = known.region_spectra(left)
    mean = (result.mixing @ result.sources).mean(axis=1)
    solve = np.linalg.pinv(result.mixing / np.sqrt(mean)[:, None]) / np.sqrt(mean)
    inside = left.ravel()
    draws = np.random.default_rng(2).poisson((result.mixing @ result.sources[:, inside]).sum(axis=1), size=(4000, 6))
    scatter = (draws @ solve.T).std(axis=0)
    for k, name in enumerate(result.names):
        assert_allclose(table[f"{name}_err"].value, result.mixing[:, k] * scatter[k], rtol=0.05)


def test_errors_of_spectra_count_by_share(make_separation, left):
    result = make_separation()
    given = np.full(result.mixing.shape, 1e4)
    again = Separation(result.cube, result.mixing, result.sources, result.names, spectra_uncertainty=given)
    share = result.sources[:, left.ravel()].sum(axis=1) / result.sources.sum(axis=1)
    for part, name in zip(share, result.names):
        assert_allclose(again.region_spectra(left)[f"{name}_err"].value, 1e4 * part, rtol=1e-2)
    own = spectrum_errors(result.fit)
    assert (result.region_spectra(left)["thermal_err"].value >= 0.999 * own[:, 1] * share[1]).all()


def test_pha_of_a_region_is_data_minus_the_others(told, left, tmp_path):
    table = told.region_spectra(left)
    for path, name in zip(told.write_pha(tmp_path, region=left), told.names):
        with fits.open(path) as output:
            spectrum = output["SPECTRUM"]
            others = sum(table[other].value for other in told.names if other != name)
            assert_allclose(spectrum.data["COUNTS"], table["data"].value - others)
            kept = ~told.cube.pixel_mask
            assert spectrum.header["BACKSCAL"] == pytest.approx((left & kept).sum() / kept.sum())


def test_a_fit_of_a_region_s_spectrum_is_as_precise_as_one_of_all_components(told, left, tmp_path):
    table = told.region_spectra(left)
    expected = (table["data"] - table["residual"]).value
    assert (expected > 1).all()
    together = np.linalg.inv(told.mixing.T / expected @ told.mixing)
    for k, path in enumerate(told.write_pha(tmp_path, region=left)):
        error = fits.getdata(path, "SPECTRUM")["STAT_ERR"]
        alone = 1 / np.sum((told.mixing[:, k] / error) ** 2)
        assert alone == pytest.approx(together[k, k])


def test_inflation_of_spectra_that_have_nothing_in_common():
    assert_allclose(variance_inflation(np.eye(4)[:, :3], np.arange(1.0, 5)), 1)
    assert_allclose(variance_inflation(np.array([[1, 1], [0, 1.0]]), np.ones(2)), 2)


@pytest.mark.parametrize("n_counts", [500, 5000, 50000])
def test_errors_of_few_counts_are_their_scatter(n_counts):
    # 32 x 32 pixels of 40 energies, in most of which nothing is seen: each draw is fitted anew, with its own weights.
    energy = np.linspace(0.5, 7, 40)[:, None]
    mixing = np.hstack([energy**-2.5, np.exp(-((energy - 1.5) ** 2)) + 1e-3, np.exp(-(((energy - 6.5) / 0.3) ** 2))])
    mixing /= mixing.sum(axis=0)
    y, x = np.mgrid[:32, :32] / 31
    places = [(0.3, 0.3), (0.7, 0.4), (0.4, 0.8)]
    images = np.stack([np.exp(-20 * ((y - row) ** 2 + (x - column) ** 2)) for row, column in places]).reshape(3, -1)
    images *= n_counts / images.sum()
    left = (np.arange(1024) % 32 < 16).reshape(32, 32)
    rng, found, errors, spectra, of_spectra = np.random.default_rng(0), [], [], [], []
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    for _ in range(150):
        X = rng.poisson(mixing @ images)
        sources = least_squares(X, mixing, expected_counts(mixing, X.sum(axis=1)))
        cube = EventCube(X.reshape(40, 32, 32), energy_edges=np.linspace(0.5, 7, 41) * u.keV, wcs=wcs)
        result = Separation(cube, mixing, sources, ["hard", "soft", "line"], spectra_uncertainty=np.zeros((40, 3)))
        table = result.region_spectra(left)
        found.append([table[name].value.sum() for name in result.names])
        errors.append([table[f"{name}_err"].value.sum() for name in result.names])
        spectra.append(X @ np.linalg.pinv(images) * images.sum(axis=1))
        of_spectra.append(spectrum_errors(result.fit))
    # 150 draws tell a scatter to 6 %.
    assert_allclose(np.mean(errors, axis=0), np.std(found, axis=0), rtol=0.2)
    bias = np.mean(found, axis=0) - images.reshape(3, 32, 32)[:, left].sum(axis=1)
    assert np.all(np.abs(bias) < 4 * np.std(found, axis=0) / np.sqrt(150))
    # Where images are mostly noise, at half a count a pixel, they tell less of the spectra than was in the draws: the
    # errors are on the safe side. 150 draws tell the scatter in one energy to 6 %, the worst of 120 to 20 %.
    ratio = np.mean(of_spectra, axis=0) / np.maximum(np.std(spectra, axis=0), 1)
    assert ratio.min() > 0.8
    assert np.median(ratio) < (2 if n_counts == 500 else 1.15)
