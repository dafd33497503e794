import copy

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import NDData
from astropy.table import QTable, Table
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.cube import EventCube
from astro_lpalm.forward import least_squares
from astro_lpalm.results import Separation


def test_images_are_counts_summed_over_energy(make_separation, mask):
    result = make_separation(mask=mask)
    assert tuple(result.images) == result.names == ("Synchrotron", "thermal", "iron_1")
    for k, image in enumerate(result.images.values()):
        assert isinstance(image, NDData)
        assert image.unit == u.count
        expected = np.outer(result.mixing[:, k], result.sources[k]).sum(axis=0)
        assert_allclose(image.data[~mask], expected, rtol=1e-12)
        assert_array_equal(image.mask, mask)
        assert np.isnan(image.data[mask]).all()
        assert image.wcs.wcs.compare(result.cube.wcs.wcs)
    with pytest.raises(TypeError):
        result.images["thermal"] = None
    with pytest.raises(KeyError, match="no image of Thermal: there are Synchrotron, thermal, iron_1"):
        result.images["Thermal"]
    assert result.images.get("Thermal") is None
    assert repr(result.images).startswith("mappingproxy({'Synchrotron': NDData(")


def test_spectra_sum_over_the_field_and_to_the_images(make_separation, mask):
    result = make_separation(mask=mask)
    assert isinstance(result.spectra, QTable)
    assert result.spectra.colnames == ["energy_lo", "energy_hi", *result.names]
    assert_array_equal(result.spectra["energy_lo"].to_value("keV"), [0.5, 1, 2, 2.5, 4, 6])
    assert_array_equal(result.spectra["energy_hi"].to_value("keV"), [1, 2, 2.5, 4, 6, 7])
    for k, name in enumerate(result.names):
        assert result.spectra[name].unit == u.count
        assert_allclose(result.spectra[name].value, np.outer(result.mixing[:, k], result.sources[k]).sum(axis=1))
        assert_allclose(result.spectra[name].value.sum(), np.nansum(result.images[name].data))


def test_data_are_model_plus_residuals(make_separation, mask):
    result = make_separation(mask=mask)
    model = result.model_cube()
    assert isinstance(model, EventCube)
    assert_allclose(model.matrix(), result.mixing @ result.sources)
    assert_array_equal(model.pixel_mask, mask)
    assert_array_equal(model.energy_edges, result.cube.energy_edges)
    residuals = result.residuals
    assert residuals.unit == u.count
    assert residuals.mask.shape == residuals.data.shape == result.cube.data.shape
    assert np.isnan(residuals.data[:, mask]).all()
    assert residuals.mask[:, mask].all()
    assert not residuals.mask[:, ~mask].any()
    assert_allclose((model.data + residuals.data)[:, ~mask], result.cube.data[:, ~mask], rtol=1e-12)


@pytest.mark.parametrize(("given", "expected"), [("f4", "f4"), ("f8", "f8"), ("i2", "f4"), ("i8", "f8")])
def test_model_cube_has_the_digits_of_the_data(make_separation, given, expected):
    result = make_separation()
    cube = EventCube(result.cube.data.astype(given), energy_edges=result.cube.energy_edges, wcs=result.cube.wcs)
    assert Separation(cube, result.mixing, result.sources, result.names).model_cube().data.dtype == expected


def test_arrays_are_read_only_copies(make_separation):
    result = make_separation()
    mixing = np.array(result.mixing)
    again = Separation(result.cube, mixing, result.sources, result.names)
    mixing[:] = 0
    assert_array_equal(again.mixing, result.mixing)
    with pytest.raises(ValueError, match="read-only"):
        again.sources[0, 0] = 1


def test_diagnostics(told):
    table = told.diagnostics
    assert isinstance(table, QTable)
    assert table.colnames == ["component", "counts", "share", "distance", "energy", "note"]
    assert list(table["component"]) == list(told.names)
    assert_allclose(table["counts"].to_value(u.count), [told.spectra[name].value.sum() for name in told.names])
    assert_allclose(table["share"], table["counts"].value / (told.mixing @ told.sources).sum())
    assert table["energy"].unit == u.keV
    meta = dict(table.meta)
    assert meta.pop("reduced_chi_square") > 0
    assert meta == {"n_iter": 25, "converged": True, "solver": "LPALM", "threshold": 3.5}
    assert type(meta["n_iter"]) is int


def test_diagnostics_from_a_dict_or_only_fit_values(make_separation):
    assert_array_equal(make_separation(diagnostics={"snr": [3, 2, 1]}).diagnostics["snr"], [3, 2, 1])
    assert make_separation(diagnostics=Table(meta={"n_iter": 7})).diagnostics.meta["n_iter"] == 7


def test_reduced_chi_square_is_one_for_poisson_noise(make_separation):
    # A least-squares fit, whose sources have taken up part of the noise, in pixels of few counts.
    result = make_separation(shape=(120, 120), scale=1.0)
    X = result.cube.matrix()
    good = Separation(result.cube, result.mixing, least_squares(X, result.mixing, X.mean(axis=1)), result.names)
    assert good.diagnostics.meta["reduced_chi_square"] == pytest.approx(1, abs=0.01)
    fitted = least_squares(X, result.mixing[:, :2], X.mean(axis=1))
    missing = Separation(result.cube, result.mixing[:, :2], fitted, result.names[:2])
    assert missing.diagnostics.meta["reduced_chi_square"] > 1.3


def test_changing_what_it_gives_changes_nothing(make_separation, tmp_path):
    result = make_separation()
    name = result.names[0]
    counts, spectrum = result.images[name].data.copy(), result.spectra[name].copy()
    result.spectra[name][:] = 0
    result.images[name].data[:] = 0
    result.write(tmp_path / "components.fits")
    again = Separation.read(tmp_path / "components.fits")
    for one in (result, again):
        assert_allclose(one.images[name].data, counts, rtol=1e-5, atol=1e-4)
        assert_allclose(one.spectra[name].value, spectrum.value, rtol=1e-5)


def test_no_chi_square_without_degrees_of_freedom(make_separation):
    cube = make_separation().cube
    result = Separation(cube, np.eye(6), cube.matrix(), list("abcdef"))
    assert "reduced_chi_square" not in result.diagnostics.meta
    assert_array_equal(result.residuals.data, 0)


def test_a_component_of_zeros_is_kept(make_separation):
    result = make_separation()
    mixing = result.mixing * [1, 0, 1]
    result = Separation(result.cube, mixing, result.sources, result.names)
    assert_array_equal(result.images["thermal"].data, 0)
    assert result.diagnostics["share"][1] == 0
    nothing = Separation(result.cube, result.mixing, 0 * result.sources, result.names)
    assert_array_equal(nothing.diagnostics["share"], 0)


def test_uncertainty_is_where_values_are(make_separation, mask):
    spectra, images = np.full((6, 3), 2.0), np.full((3, np.count_nonzero(~mask)), 0.5)
    result = make_separation(mask=mask, spectra_uncertainty=spectra, image_uncertainty=images)
    assert_array_equal(result.spectra_uncertainty, spectra)
    assert result.spectra.colnames[2:4] == ["Synchrotron", "Synchrotron_err"]
    assert_array_equal(result.spectra["thermal_err"], spectra[:, 1] * u.count)
    assert tuple(result.image_uncertainty) == result.names
    for name, image in result.images.items():
        assert image.uncertainty.uncertainty_type == "std"
        assert image.uncertainty.unit == u.count
        assert_array_equal(image.uncertainty.array, np.where(mask, np.nan, 0.5))
        assert_array_equal(result.image_uncertainty[name], image.uncertainty.array)
    result.cube = result.cube.with_exposure(np.full((8, 11), 4.0) * u.s)
    assert_array_equal(result.flux_images["thermal"].uncertainty.array, np.where(mask, np.nan, 0.125))
    assert result.flux_images["thermal"].uncertainty.unit == u.count / u.s
    plain = make_separation()
    assert plain.spectra_uncertainty is plain.image_uncertainty is plain.images["thermal"].uncertainty is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"spectra_uncertainty": np.ones((3, 6))}, r"spectra_uncertainty has shape \(3, 6\); expected \(6, 3\)"),
        ({"image_uncertainty": np.ones((3, 8, 11))}, r"image_uncertainty has shape \(3, 8, 11\); expected \(3, 88\)"),
        ({"spectra_uncertainty": -np.ones((6, 3))}, "spectra_uncertainty has negative values"),
        ({"image_uncertainty": np.full((3, 88), np.nan)}, "NaN or infinite"),
    ],
)
def test_uncertainty_that_does_not_fit(make_separation, given, message):
    with pytest.raises(ValueError, match=message):
        make_separation(**given)


def test_repr(make_separation):
    text = repr(make_separation())
    assert text.count("\n") == 3
    for part in ("Synchrotron", "thermal", "iron_1", "(6, 8, 11)", "0.5 to 7 keV", "%", "counts"):
        assert part in text


def test_copy(told):
    again = copy.deepcopy(told)
    assert_array_equal(again.images["thermal"].data, told.images["thermal"].data)
    assert again.header == told.header


def test_cube_must_be_a_cube(make_separation):
    result = make_separation()
    with pytest.raises(TypeError, match="must be an EventCube, not ndarray"):
        Separation(result.cube.data, result.mixing, result.sources, result.names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, s, names: (a[:5], s, names), r"mixing has shape \(5, 3\); expected \(6, 3\)"),
        (lambda a, s, names: (a.T, s, names), r"mixing has shape \(3, 6\); expected \(6, 3\)"),
        (lambda a, s, names: (a, s[:, 1:], names), r"sources has shape \(3, 87\); expected \(3, 88\)"),
        (lambda a, s, names: (a, s.reshape(3, 8, 11), names), r"sources has shape \(3, 8, 11\)"),
        (lambda a, s, names: (a, s, names[:2]), r"mixing has shape \(6, 3\); expected \(6, 2\)"),
        (lambda a, s, names: (a + np.nan, s, names), "mixing has 18 values that are NaN or infinite"),
        (lambda a, s, names: (a, np.where(s == s.max(), np.inf, s), names), "sources has 1 values that are NaN"),
        (lambda a, s, names: (a - a.mean(axis=0) * [0, 1, 0] - a * [0, 0, 1], s, names), "sums to zero"),
        (lambda a, s, names: (a, s, []), "there are no component names"),
        (lambda a, s, names: (a, s, ["a", "b", "A"]), "must differ in more than case"),
    ],
)
def test_what_does_not_belong_together(make_separation, change, message):
    result = make_separation()
    mixing = np.array([[1.0, 1, 0], [1, -1, 1], [1, 2, 2], [1, -2, 0], [1, 3, 1], [1, -3, 1]])
    with pytest.raises(ValueError, match=message):
        Separation(result.cube, *change(mixing, result.sources, result.names))


@pytest.mark.parametrize("name", ["", "1", "iron blue", "fe-1", "éther", "_x", "a" * 41, "a.b", "a/b"])
def test_names_that_cannot_be_used(make_separation, name):
    result = make_separation()
    with pytest.raises(ValueError, match="cannot name a FITS extension"):
        Separation(result.cube, result.mixing, result.sources, ["a", name, "b"])


@pytest.mark.parametrize(
    "name", ["primary", "Spectra", "MIXING", "ebounds", "residual", "diagnostics", "energy_lo", "data", "iron_err"]
)
def test_names_that_are_taken(make_separation, name):
    result = make_separation()
    with pytest.raises(ValueError, match="is taken by a part of the file"):
        Separation(result.cube, result.mixing, result.sources, ["a", name, "b"])


@pytest.mark.parametrize(
    ("diagnostics", "message"),
    [
        ({"counts": [1, 2, 3]}, "no column called component, counts, share"),
        ({"snr": [1, 2]}, "diagnostics has 2 rows"),
        (Table(meta={"history": [1, 2]}), "diagnostics.meta has 'history'"),
        (Table(meta={"loss": np.nan}), "values finite numbers"),
        (Table(meta={"N ITER": 1}), "keys must be lower-case identifiers"),
        (Table(meta={"solver": "x" * 31}), "up to 30 characters"),
    ],
)
def test_diagnostics_that_do_not_fit(make_separation, diagnostics, message):
    with pytest.raises(ValueError, match=message):
        make_separation(diagnostics=diagnostics)
