from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.forward import LocalSpectra
from astro_lpalm.results import ParameterMap, Separation

from .local import with_maps


@pytest.fixture
def mapped(make_separation, mask):
    return with_maps(make_separation(mask=mask, background=np.full((6, 65), 0.5)))


def rebuilt(result, **changes):
    given = {"local": result.local, "smooth": result.smooth, "maps": result.maps, "background": result.background}
    return Separation(result.cube, result.mixing, result.sources, result.names, **given | changes)


def test_spectra_and_model_are_the_local_ones(mapped):
    counts, local, kept = mapped.fit.component_counts, mapped.local, ~mapped.cube.pixel_mask
    expected = np.zeros((6, 65))
    for r, k in enumerate(local.owners):
        expected += np.outer(local.basis[:, r], local.coefficients[r] * counts[k])
    assert_allclose(mapped.model_cube().data[:, kept], expected + 0.5)
    assert_allclose(mapped.residuals.data[:, kept], mapped.cube.data[:, kept] - expected - 0.5)
    total = sum(mapped.spectra[name].value for name in mapped.names)
    assert_allclose(total, expected.sum(axis=1))
    for name in mapped.names:
        assert_allclose(mapped.spectra[name].value.sum(), np.nansum(mapped.images[name].data))
    mean = rebuilt(mapped, local=None)
    assert np.abs(mean.spectra["thermal"] - mapped.spectra["thermal"]).max() > 1 * u.ct
    assert_array_equal(mapped.diagnostics["counts"], mean.diagnostics["counts"])


def test_region_has_its_own_spectrum(mapped):
    left = np.zeros((8, 11), dtype=bool)
    left[:, :4] = True
    table = mapped.region_spectra(left)
    inside = left[~mapped.cube.pixel_mask]
    expected = mapped.local.of_pixels(inside).totals(mapped.fit.component_counts[:, inside])
    assert_allclose(table["iron_1"].value, expected[:, 2])
    parts = sum(table[name] for name in mapped.names) + table["residual"]
    assert_allclose(parts.value, table["data"].value - 0.5 * inside.sum())


def test_smooth_images(mapped, make_separation):
    image = mapped.smooth_images["thermal"]
    assert list(mapped.smooth_images) == list(mapped.names)
    assert image.unit == u.ct
    assert image.wcs.wcs.compare(mapped.cube.wcs.wcs)
    assert_array_equal(image.mask, mapped.cube.pixel_mask)
    assert_array_equal(image.data[~image.mask], mapped.smooth[0][1])
    assert_array_equal(image.uncertainty.array[~image.mask], mapped.smooth[1][1])
    assert np.isnan(image.data[image.mask]).all()
    with pytest.raises(TypeError):
        mapped.smooth_images["thermal"] = image
    assert make_separation().smooth_images is None


def test_parameter_maps(mapped, make_separation):
    assert list(mapped.parameter_maps) == ["thermal"]
    assert list(mapped.parameter_maps["thermal"]) == ["kT", "velocity"]
    found, given = mapped.parameter_maps["thermal"]["kT"], mapped.maps[0]
    kept = ~mapped.cube.pixel_mask
    assert found.unit == u.keV
    assert found.wcs.wcs.compare(mapped.cube.wcs.wcs)
    assert_array_equal(found.data[kept], given.values)
    assert_array_equal(found.uncertainty.array[kept], given.errors)
    assert_array_equal(found.mask[kept], given.undecided)
    assert found.mask[~kept].all()
    assert np.isnan(found.data[~kept]).all()
    assert given.undecided.any()
    with pytest.raises(TypeError):
        mapped.parameter_maps["thermal"]["kT"] = found
    assert make_separation().parameter_maps == {}
    with pytest.raises(KeyError, match="no map of kt: there are kT, velocity"):
        mapped.parameter_maps["thermal"]["kt"]
    with pytest.raises(KeyError, match="no maps of hot: there are thermal"):
        mapped.parameter_maps["hot"]
    with pytest.raises(
        KeyError, match=r"no maps of thermal: .* nothing varies; .*maps=\['thermal.kT'\]\) asks for one"
    ):
        make_separation().parameter_maps["thermal"]
    with pytest.raises(KeyError, match="no image of Thermal: there are .*, thermal"):
        mapped.smooth_images["Thermal"]
    assert "maps: thermal kT, thermal velocity" in repr(mapped)
    assert "maps" not in repr(make_separation())


def test_maps_may_be_other_objects(mapped):
    plain = [SimpleNamespace(**vars(each)) for each in mapped.maps]
    again = rebuilt(mapped, maps=plain).maps
    assert all(isinstance(each, ParameterMap) for each in again)
    assert_array_equal(again[0].values, mapped.maps[0].values)
    with pytest.raises(ValueError, match="read-only"):
        again[0].values[0] = 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameter": "k T"}, "map of 'k T' of component 'thermal' cannot name a FITS extension"),
        ({"unit": "counts of sheep"}, "has the unit 'counts of sheep', which FITS files cannot have"),
        ({"values": [1.0, np.nan]}, "values has 1 values that are NaN"),
        ({"values": np.ones((1, 2))}, r"values has shape \(1, 2\); expected \(2,\)"),
        ({"errors": [1.0]}, r"errors has shape \(1,\); expected \(2,\)"),
        ({"errors": [1.0, -1.0]}, "errors has negative values"),
        ({"undecided": [0.0, 1.0]}, r"undecided is of type float64 and shape \(2,\); expected bool and \(2,\)"),
        ({"undecided": [True]}, r"undecided is of type bool and shape \(1,\)"),
    ],
)
def test_maps_that_cannot_be(changes, message):
    given = {"component": "thermal", "parameter": "kT", "unit": "keV", "values": [1.0, 2.0], "errors": [0.1, 0.2]}
    with pytest.raises(ValueError, match=message):
        ParameterMap(**{**given, "undecided": [False, True], **changes})


def test_what_does_not_belong_together(mapped):
    first = vars(mapped.maps[0])
    with pytest.raises(ValueError, match="map of 'kT' of component 'gas'; the components are"):
        rebuilt(mapped, maps=[SimpleNamespace(**first | {"component": "gas"})])
    few = {name: first[name][:5] for name in ("values", "errors", "undecided")}
    with pytest.raises(ValueError, match="has 5 values; expected 65"):
        rebuilt(mapped, maps=[SimpleNamespace(**first | few)])
    with pytest.raises(ValueError, match=r"smooth images has shape \(2, 65\); expected \(3, 65\)"):
        rebuilt(mapped, smooth=[each[:2] for each in mapped.smooth])
    with pytest.raises(ValueError, match="smooth must be a pair"):
        rebuilt(mapped, smooth=mapped.sources)
    with pytest.raises(ValueError, match=r"local has shape \(6, 3, 5\); expected \(6, 3, 65\)"):
        rebuilt(mapped, local=mapped.local.of_pixels(np.s_[:5]))
    with pytest.raises(TypeError, match="local must be LocalSpectra, not ndarray"):
        rebuilt(mapped, local=mapped.mixing)


@pytest.mark.parametrize(
    ("names", "parameters", "message"),
    [
        (["a", "b", "c_smooth"], [], "component name 'c_smooth' is taken by a part of the file"),
        (["a", "b", "local_basis"], [], "component name 'local_basis' is taken by a part of the file"),
        (["a", "b", "Mask"], [], "component name 'Mask' is taken by a part of the file"),
        (["a", "b", "counts"], [], "component name 'counts' is taken by a part of the file"),
        (["background_image", "b", "c"], [], "component name 'background_image' is taken by a part of the file"),
        (["background_spectrum", "b", "c"], [], "component name 'background_spectrum' is taken by a part of the file"),
        (["a", "a_kT", "b"], [("a", "kT")], "two parts of the file would be called A_KT"),
        (["a", "b", "c"], [("a", "kT"), ("a", "KT")], "two parts of the file would be called A_KT"),
        (["a", "b", "c"], [("b", "smooth")], "two parts of the file would be called B_SMOOTH"),
        (["a", "a_b", "c"], [("a", "b_c"), ("a_b", "c")], "two parts of the file would be called A_B_C"),
        (["mixing1", "local", "c"], [("local", "basis")], "two parts of the file would be called LOCAL_BASIS"),
    ],
)
def test_names_that_clash(mapped, names, parameters, message):
    nothing = np.ones(65)
    maps = [ParameterMap(*each, "", nothing, nothing, nothing > 2) for each in parameters]
    with pytest.raises(ValueError, match=message):
        Separation(mapped.cube, mapped.mixing, mapped.sources, names, maps=maps)


def test_file_is_verified(mapped, tmp_path, fitsverify):
    mapped.write(tmp_path / "components.fits")
    fitsverify(tmp_path / "components.fits")


def test_file(mapped, tmp_path):
    mapped.write(tmp_path / "components.fits")
    kept = ~mapped.cube.pixel_mask
    with fits.open(tmp_path / "components.fits", checksum=True) as output:
        names = [hdu.name for hdu in output]
        start = names.index("SYNCHROTRON_SMOOTH")
        assert names[start : start + 11] == [
            *(f"{name}_SMOOTH{kind}".upper() for name in mapped.names for kind in ("", "_ERR")),
            *("THERMAL_KT", "THERMAL_KT_ERR", "THERMAL_KT_PRIOR", "THERMAL_VELOCITY", "THERMAL_VELOCITY_ERR"),
        ]
        assert_allclose(output["THERMAL_SMOOTH"].data[kept], mapped.smooth[0][1], rtol=1e-6)
        shown = output["THERMAL_KT"]
        assert_array_equal(np.isnan(shown.data), mapped.parameter_maps["thermal"]["kT"].mask)
        assert_array_equal(np.isnan(output["THERMAL_KT_PRIOR"].data[kept]), ~mapped.maps[0].undecided)
        assert np.isfinite(output["THERMAL_KT_ERR"].data[kept]).all()
        assert shown.header["BUNIT"] == "keV"
        assert output["THERMAL_VELOCITY_ERR"].header["BUNIT"] == "km s-1"
        assert shown.data.dtype == np.dtype(">f4")
        assert all(shown.header[key] == output["THERMAL"].header[key] for key in ("CTYPE1", "CRVAL2", "PC1_2"))
        assert output["LOCAL_COEFFICIENTS"].data.shape == (6, 8, 11)
        assert list(output["LOCAL_BASIS"].data["component"]) == 2 * list(mapped.names)


@pytest.mark.parametrize("dtype", [float, np.float32])
def test_reading_gives_the_same(mapped, tmp_path, dtype):
    local = LocalSpectra(mapped.local.basis, mapped.local.coefficients.astype(dtype), mapped.local.owners)
    mapped = rebuilt(mapped, local=local)
    mapped.write(tmp_path / "components.fits")
    again = Separation.read(tmp_path / "components.fits")
    assert_allclose(again.local.basis, mapped.local.basis)
    assert_array_equal(again.local.owners, mapped.local.owners)
    assert_allclose(again.local.coefficients, mapped.local.coefficients, rtol=1e-6, atol=1e-7)
    assert_allclose(again.smooth, mapped.smooth, rtol=1e-6)
    assert len(again.maps) == len(mapped.maps)
    for one, other in zip(again.maps, mapped.maps):
        assert (one.component, one.parameter, u.Unit(one.unit)) == (other.component, other.parameter, other.unit)
        assert_allclose(one.values, other.values, rtol=1e-6, atol=1e-5)
        assert_allclose(one.errors, other.errors, rtol=1e-6)
        assert_array_equal(one.undecided, other.undecided)
    kept = ~mapped.cube.pixel_mask
    assert_allclose(again.cube.data[:, kept], mapped.cube.data[:, kept], atol=1e-4)
    assert_allclose(again.model_cube().data[:, kept], mapped.model_cube().data[:, kept], rtol=1e-5, atol=1e-4)
    assert_allclose(again.spectra["thermal"], mapped.spectra["thermal"], rtol=1e-5)
    assert again.diagnostics.meta["reduced_chi_square"] == pytest.approx(
        mapped.diagnostics.meta["reduced_chi_square"], rel=1e-4
    )
    again.write(tmp_path / "again.fits")
    with fits.open(tmp_path / "components.fits") as one, fits.open(tmp_path / "again.fits") as other:
        assert [hdu.name for hdu in one] == [hdu.name for hdu in other]


@pytest.mark.parametrize("unit", ["", "1e+22 / cm2", "s / cm3", "km / s"])
def test_units_come_back(mapped, tmp_path, unit):
    values = np.linspace(0, 1, 65)
    rebuilt(mapped, maps=[ParameterMap("thermal", "nH", unit, values, values, values > 2)]).write(tmp_path / "a.fits")
    assert Separation.read(tmp_path / "a.fits").parameter_maps["thermal"]["nH"].unit == u.Unit(unit)


def test_without_local_spectra_there_are_none(make_separation, tmp_path):
    make_separation().write(tmp_path / "components.fits")
    again = Separation.read(tmp_path / "components.fits")
    assert again.local is again.smooth is None
    assert again.maps == ()
