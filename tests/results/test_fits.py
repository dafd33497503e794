import gzip
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.cube import EventCube
from astro_lpalm.results import Separation


def read_wcs(header, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)  # MJD-OBS is completed from DATE-OBS
        return WCS(header, **kwargs)


@pytest.fixture
def path(told, tmp_path):
    path = tmp_path / "components.fits"
    told.write(path)
    return path


def test_is_not_taken_for_a_cube(path):
    with pytest.raises(ValueError, match=r"components.fits': it holds the components .* Separation.read\(...\).cube"):
        EventCube.read(path)


def test_layout(told, path):
    with fits.open(path, checksum=True) as output:
        assert [hdu.name for hdu in output] == [
            *("PRIMARY", "SYNCHROTRON", "THERMAL", "IRON_1"),
            *("SPECTRA", "MIXING", "EBOUNDS", "RESIDUAL", "DIAGNOSTICS"),
        ]
        assert output[0].data is None
        for name in told.names:
            assert output[name].header["BUNIT"] == "count"
            assert_allclose(output[name].data, told.images[name].data, rtol=1e-6)
        assert_array_equal(output["MIXING"].data["iron_1"], told.mixing[:, 2])
        assert_allclose(output["SPECTRA"].data["thermal"], told.spectra["thermal"].value)
        assert_array_equal(output["SPECTRA"].data["energy_hi"], output["EBOUNDS"].data["E_MAX"])
        assert output["SPECTRA"].columns["thermal"].unit == "count"
        assert output["RESIDUAL"].data.shape == told.cube.data.shape
        assert output["DIAGNOSTICS"].header["FIT N_ITER"] == 25
        assert all("CHECKSUM" in hdu.header and "DATASUM" in hdu.header for hdu in output)


def test_images_add_up_to_the_data(told, path):
    kept = ~told.cube.pixel_mask
    with fits.open(path) as output:
        mixing = np.array([output["MIXING"].data[name] for name in told.names]).T
        images = np.array([output[name].data for name in told.names])
        model = np.tensordot(mixing / mixing.sum(axis=0), images, 1)
        data = model + output["RESIDUAL"].data
    assert_allclose(data[:, kept], told.cube.data[:, kept], atol=1e-4)
    assert np.isnan(data[:, ~kept]).all()


def test_primary_header(path):
    header = fits.getheader(path)
    assert header["CREATOR"].startswith("astro_lpalm ")
    assert header["ORIGIN"] == "astro_lpalm"
    assert len(header["DATE"]) == len("2026-01-01T00:00:00")
    assert header["MODEL"] == "snr-acis"
    assert header.comments["MODEL"] == "the model"
    assert header["MODELSUM"] == "a1b2c3"
    assert list(header["HISTORY"]) == ["separated", "refined"]
    assert (header["TELESCOP"], header["OBS_ID"], header["EXPOSURE"]) == ("CHANDRA", "4634", 148600.5)
    assert header["DATE-OBS"] == "2004-04-28T12:00:00"
    assert "CTYPE1" not in header


def test_sky_coordinates_are_the_input_s(told, path, tmp_path):
    told.cube.write(tmp_path / "cube.fits")
    expected = read_wcs(fits.getheader(tmp_path / "cube.fits")).celestial
    with fits.open(path) as output:
        for name in told.names:
            assert read_wcs(output[name].header).wcs.compare(expected.wcs)
            assert read_wcs(output[name].header, key="P").wcs.crval[0] == 4000.5
        assert read_wcs(output["RESIDUAL"].header).celestial.wcs.compare(expected.wcs)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("edges", [(0.5, 1, 2, 2.5, 4, 6, 7), (1, 2, 3, 4, 5, 6, 7)])
def test_files_pass_fitsverify(make_separation, mask, tmp_path, fitsverify, masked, edges):
    make_separation(mask=mask if masked else None, edges=edges).write(tmp_path / "out.fits")
    fitsverify(tmp_path / "out.fits")


def test_full_file_passes_fitsverify(path, fitsverify):
    fitsverify(path)


@pytest.mark.parametrize("name", ["out.fits", "out.fits.gz"])
def test_round_trip(told, tmp_path, name):
    told.write(tmp_path / name)
    again = Separation.read(tmp_path / name)
    assert again.names == told.names
    assert_array_equal(again.mixing, told.mixing)
    assert_allclose(again.sources, told.sources, rtol=1e-6)
    assert_array_equal(again.cube.pixel_mask, told.cube.pixel_mask)
    assert_array_equal(again.cube.energy_edges, told.cube.energy_edges)
    assert_allclose(again.cube.matrix(), told.cube.matrix(), atol=1e-4)
    assert again.cube.wcs.wcs.compare(told.cube.wcs.wcs)
    assert again.cube.celestial_header() == told.cube.celestial_header()
    for name in told.names:
        assert_allclose(again.images[name].data, told.images[name].data, rtol=1e-6)
        assert_allclose(again.spectra[name].value, told.spectra[name].value, rtol=1e-6)
    assert again.diagnostics.colnames == told.diagnostics.colnames
    for column in ("component", "distance", "energy", "note"):
        assert_array_equal(again.diagnostics[column], told.diagnostics[column])
    assert again.diagnostics.meta.keys() == told.diagnostics.meta.keys()
    assert again.diagnostics.meta["converged"] is True
    assert again.diagnostics.meta["threshold"] == 3.5
    assert again.header["MODELSUM"] == "a1b2c3"
    assert list(again.header["HISTORY"]) == ["separated", "refined"]


def test_round_trip_of_uncertainty(told, make_separation, mask, tmp_path, fitsverify):
    spectra = np.arange(18.0).reshape(6, 3)
    images = np.random.default_rng(3).gamma(2, size=told.sources.shape)
    given = {"spectra_uncertainty": spectra, "image_uncertainty": images}
    result = make_separation(mask=mask, **given)
    result.write(tmp_path / "out.fits")
    fitsverify(tmp_path / "out.fits")
    with fits.open(tmp_path / "out.fits") as output:
        assert_allclose(output["thermal_err"].data[~mask], images[1], rtol=1e-6)
        assert output["THERMAL_ERR"].header["BUNIT"] == "count"
        assert output["THERMAL_ERR"].header["CTYPE1"] == output["THERMAL"].header["CTYPE1"]
        assert_array_equal(output["SPECTRA"].data["iron_1_err"], spectra[:, 2])
    again = Separation.read(tmp_path / "out.fits")
    assert_array_equal(again.spectra_uncertainty, spectra)
    for k, name in enumerate(again.names):
        assert_allclose(again.image_uncertainty[name][~mask], images[k], rtol=1e-6)
    told.write(tmp_path / "without.fits")
    again = Separation.read(tmp_path / "without.fits")
    assert again.spectra_uncertainty is again.image_uncertainty is None


def test_second_trip_changes_nothing(path, tmp_path):
    Separation.read(path).write(tmp_path / "second.fits")
    with fits.open(path) as first, fits.open(tmp_path / "second.fits") as second:
        for name in ("PRIMARY", "THERMAL"):
            assert set(first[name].header) == set(second[name].header)
        for name in ("THERMAL", "RESIDUAL"):
            assert_allclose(second[name].data, first[name].data, rtol=1e-6, atol=1e-4)


def test_round_trip_of_zero_and_signed_components(make_separation, tmp_path):
    result = make_separation()
    mixing = result.mixing * [1, 0, -1]
    result = Separation(result.cube, mixing, result.sources, result.names)
    result.write(tmp_path / "out.fits")
    again = Separation.read(tmp_path / "out.fits")
    assert_allclose(again.mixing @ again.sources, mixing @ result.sources, rtol=1e-5, atol=1e-4)
    assert_allclose(again.cube.matrix(), result.cube.matrix(), atol=1e-4)


def test_never_overwrites_unasked(told, path, make_separation):
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        told.write(path)
    assert path.read_bytes() == before
    make_separation(n=2).write(path, overwrite=True)
    assert len(Separation.read(path).names) == 2


def test_nothing_is_half_written(told, path, break_writing):
    before = path.read_bytes()
    break_writing()
    with pytest.raises(OSError, match="no space"):
        told.write(path.with_name("new.fits"))
    with pytest.raises(OSError, match="no space"):
        told.write(path, overwrite=True)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == before


def test_unsuitable_places(told, tmp_path):
    with pytest.raises(OSError, match="it is a directory"):
        told.write(tmp_path)
    with pytest.raises(OSError, match="there is no directory"):
        told.write(tmp_path / "nowhere" / "out.fits")


def test_reading_what_is_no_separation(told, path, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        Separation.read(tmp_path / "none.fits")
    (tmp_path / "text.fits").write_text("not FITS")
    with pytest.raises(OSError, match="cannot read"):
        Separation.read(tmp_path / "text.fits")
    (tmp_path / "short.fits").write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(OSError, match="truncated"):
        Separation.read(tmp_path / "short.fits")
    packed = gzip.compress(path.read_bytes())
    (tmp_path / "short.fits.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(OSError, match="short.fits.gz"):
        Separation.read(tmp_path / "short.fits.gz")
    told.cube.write(tmp_path / "cube.fits")
    with pytest.raises(ValueError, match="no extension SPECTRA, MIXING, DIAGNOSTICS, RESIDUAL; give the output"):
        Separation.read(tmp_path / "cube.fits")


def remove_image(output):
    del output["THERMAL"]


def crop_image(output):
    output["THERMAL"].data = output["THERMAL"].data[1:]


def shorten_ebounds(output):
    output["EBOUNDS"].data = output["EBOUNDS"].data[1:]


def exchange_components(output):
    output["DIAGNOSTICS"].data["component"] = output["DIAGNOSTICS"].data["component"][::-1].copy()


def remove_sky(output):
    del output["RESIDUAL"].header["CTYPE*"]


def exchange_images(output):
    names = output["MIXING"].columns.names[:2]
    for name, other in zip(names, names[::-1]):
        output[name].name = f"{other}_NEW"
    for name in names:
        output[f"{name}_NEW"].name = name


def double_image(output):
    output["THERMAL"].data *= 2


def scale_mixing(output):
    output["MIXING"].data["thermal"][2] *= 3


def scale_spectra(output):
    output["SPECTRA"].data["thermal"] *= 3


@pytest.mark.parametrize(
    "damage",
    [
        remove_image,
        crop_image,
        shorten_ebounds,
        exchange_components,
        remove_sky,
        exchange_images,
        double_image,
        scale_mixing,
        scale_spectra,
    ],
)
def test_reading_what_does_not_belong_together(path, damage):
    with fits.open(path, mode="update") as output:
        damage(output)
    with pytest.raises(ValueError, match="do not belong together"):
        Separation.read(path)
