import copy
import shutil
import subprocess
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS, FITSFixedWarning

from astro_lpalm.cube import EventCube
from astro_lpalm.grid import ebounds_hdu


def image_hdu(shape=(4, 5, 6), **cards):
    """A cube as another program might write it: CD matrix, old RADECSYS, dates, a linear energy axis in eV."""
    data = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
    hdu = fits.PrimaryHDU(data)
    hdu.header.update(
        {
            "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 228.4753161448812, "CRVAL2": -59.14006547860123,
            "CRPIX1": 3.25, "CRPIX2": 2.123456789012345, "CD1_1": -1.23456789e-4, "CD1_2": 1.1e-5, "CD2_1": 1.2e-5,
            "CD2_2": 1.23456789e-4, "CUNIT1": "deg", "CUNIT2": "deg", "CTYPE3": "ENERGY", "CUNIT3": "eV", "CRPIX3": 1.0,
            "CRVAL3": 750.0, "CD3_3": 500.0, "RADECSYS": "FK5", "EQUINOX": 2000.0, "DATE-OBS": "2000-08-14T09:59:15",
            "MJD-OBS": 51770.41615740741, "TIMESYS": "TT", "MJDREF": 50814.0, "TSTART": 82720000.5, "TSTOP": 82740000.5,
            "OBJECT": "MSH 15-52", "WCSAXES": 3,
        }
    )  # fmt: skip
    hdu.header.update(cards)
    return hdu


EDGES = [0.5, 1.0, 1.5, 2.0, 2.5] * u.keV


@pytest.fixture(autouse=True)
def _quiet_wcs():
    """Reading a WCS with a date warns that MJD-OBS was set, or MJDREF split: astropy's business, not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        yield


def test_round_trip_keeps_everything(cube, tmp_path):
    cube.write(tmp_path / "cube.fits")
    again = EventCube.read(tmp_path / "cube.fits")
    np.testing.assert_array_equal(again.data, cube.data)
    assert again.data.dtype == cube.data.dtype == np.int32
    assert u.allclose(again.energy_edges, cube.energy_edges, rtol=0, atol=0 * u.keV)
    assert again.wcs.wcs.compare(cube.wcs.wcs)
    assert again.mask is None
    assert again.meta["OBJECT"] == "SIMULATED"
    again.write(tmp_path / "again.fits")
    files = tmp_path / "cube.fits", tmp_path / "again.fits"
    assert fits.FITSDiff(*files, ignore_keywords=["CHECKSUM", "DATASUM"]).identical


def test_written_cube_layout(cube):
    hdulist = cube.to_hdulist()
    header = hdulist[0].header
    assert [hdu.name for hdu in hdulist] == ["PRIMARY", "EBOUNDS"]
    assert (header["CTYPE3"], header["CUNIT3"], header["CRPIX3"]) == ("ENERGY", "keV", 0.5)
    assert (header["CRVAL3"], header["CDELT3"], header["BUNIT"]) == (1.0, 0.5, "count")
    assert (header["CTYPE1P"], header["CRVAL1P"], header["CDELT1P"]) == ("x", 4080, 2)
    assert (header["TELESCOP"], header["EXPOSURE"], header["RADESYS"]) == ("CHANDRA", 1000, "ICRS")
    assert header["CRPIX1"] == (4096.5 - 4080) / 2 + 0.5
    # a reader that knows FITS WCS finds the energies in the unit that is written
    energy = WCS(header).wcs_pix2world([[1, 1, 1]], 1)[0, 2]
    assert energy == pytest.approx(1.25)
    uneven = cube.rebin([1, 1.5, 5] * u.keV).to_hdulist()
    assert "CTYPE3" not in uneven[0].header
    assert u.allclose(EventCube.from_hdu(uneven).energy_edges, [1, 1.5, 5] * u.keV)


def test_lone_hdu_is_read_from_its_linear_axis(cube):
    lone = EventCube.from_hdu(cube.to_hdulist()[0])
    assert u.allclose(lone.energy_edges, cube.energy_edges)
    assert u.allclose(EventCube.from_hdu(image_hdu()).energy_edges, EDGES)
    joules = image_hdu(CTYPE3="ENER", CUNIT3="J", CRVAL3=(750 * u.eV).to_value(u.J), CD3_3=(500 * u.eV).to_value(u.J))
    assert u.allclose(EventCube.from_hdu(joules).energy_edges, EDGES)


@pytest.mark.parametrize("edges", [None, [0.5, 1, 1.7, 2, 2.5] * u.keV])
def test_foreign_cube_keeps_its_coordinates_letter_by_letter(tmp_path, edges):
    hdu = image_hdu(PV2_1=0.0, LONPOLE=180.0)
    hdu.writeto(tmp_path / "input.fits")
    cube = EventCube.read(tmp_path / "input.fits", energy_edges=edges)
    cube.write(tmp_path / "output.fits")
    given, written = fits.getheader(tmp_path / "input.fits"), fits.getheader(tmp_path / "output.fits")
    assert WCS(written).celestial.wcs.compare(WCS(given).celestial.wcs)
    assert WCS(cube.celestial_header()).wcs.compare(WCS(given).celestial.wcs)
    assert cube.wcs.wcs.compare(WCS(given).celestial.wcs)
    assert "RADECSYS" not in written
    assert written["OBJECT"] == "MSH 15-52"
    again = EventCube.read(tmp_path / "output.fits")
    assert u.allclose(again.energy_edges, EDGES if edges is None else edges)
    np.testing.assert_array_equal(again.data, hdu.data)
    assert again.data.dtype == np.float32
    assert again.data.dtype.isnative


def test_cube_without_a_header_writes_its_wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["GLON-CAR", "GLAT-CAR"], [320.4, 0], [2, 1]
    wcs.wcs.cdelt = [-0.01, 0.01]
    cube = EventCube(np.ones((1, 2, 3)), energy_edges=[1, 2] * u.keV, wcs=wcs)
    again = EventCube.from_hdu(cube.to_hdulist())
    assert again.wcs.pixel_to_world(0, 0).separation(wcs.pixel_to_world(0, 0)) < 1e-9 * u.arcsec


def test_ebounds_is_the_authority():
    hdulist = fits.HDUList([image_hdu(), ebounds_hdu([1, 2, 3, 5, 7] * u.keV)])
    assert u.allclose(EventCube.from_hdu(hdulist).energy_edges, [1, 2, 3, 5, 7] * u.keV)
    assert u.allclose(EventCube.from_hdu(hdulist, energy_edges=EDGES).energy_edges, EDGES)


def test_first_cube_of_a_list_is_taken():
    cube = image_hdu()
    image = fits.ImageHDU(cube.data, cube.header)
    flat = fits.ImageHDU(np.ones((3, 3)))
    assert EventCube.from_hdu(fits.HDUList([fits.PrimaryHDU(), flat, image])).data.shape == (4, 5, 6)
    compressed = fits.CompImageHDU(cube.data, cube.header)
    assert EventCube.from_hdu(fits.HDUList([fits.PrimaryHDU(), compressed])).data.shape == (4, 5, 6)


@pytest.mark.parametrize("three_dimensional", [False, True])
def test_mask_and_matrix(tmp_path, three_dimensional):
    hdu = image_hdu()
    mask = np.zeros((5, 6), dtype=bool)
    mask[1, 2] = mask[4, 5] = True
    hdu.data[2, 1, 2] = np.nan
    given = mask if not three_dimensional else np.arange(4)[:, None, None] * mask > 2
    cube = EventCube(hdu.data, energy_edges=EDGES, wcs=WCS(hdu.header).celestial, mask=given)
    X = cube.matrix()
    assert X.shape == (4, 28)
    assert X.dtype == np.float64
    assert X.flags.c_contiguous
    assert cube.matrix(dtype=np.float32).dtype == np.float32
    images = cube.image_of(X)
    np.testing.assert_array_equal(images[:, ~mask], hdu.data[:, ~mask])
    assert np.isnan(images[:, mask]).all()
    assert cube.image_of(X[0]).shape == (5, 6)
    X[:] = 0  # a copy
    assert cube.data[0, 0, 0] == 1
    cube.write(tmp_path / "cube.fits")
    again = EventCube.read(tmp_path / "cube.fits")
    np.testing.assert_array_equal(again.mask, mask)
    np.testing.assert_array_equal(again.pixel_mask, mask)
    assert fits.getdata(tmp_path / "cube.fits", "MASK").dtype == np.uint8


def test_a_mask_that_is_assigned_is_checked(cube):
    given = (cube.data.sum(axis=0) > np.median(cube.data.sum(axis=0))).astype(int)
    changed = EventCube(cube.data, energy_edges=cube.energy_edges, wcs=cube.wcs)
    changed.mask = given
    assert changed.mask.dtype == bool
    assert changed.matrix().shape == (cube.n_energy, np.sum(given == 0))
    changed.mask = np.broadcast_to(given, cube.data.shape)
    assert changed.mask.shape == given.shape
    with pytest.raises(ValueError, match=r"mask has shape \(3,\)"):
        changed.mask = [0, 0, 1]
    changed.mask = None
    assert not changed.pixel_mask.any()


def test_unmasked_matrix_is_every_pixel(cube):
    assert not cube.pixel_mask.any()
    np.testing.assert_array_equal(cube.matrix(), cube.data.reshape(8, -1))
    assert cube.matrix().sum() == cube.data.sum()
    with pytest.raises(ValueError, match=r"shape \(7,\), but the cube has 300 unmasked pixels"):
        cube.image_of(np.zeros(7))


def test_rebin(cube):
    narrow = cube.rebin([1.5, 2, 4] * u.keV)
    np.testing.assert_array_equal(narrow.data[0], cube.data[1])
    np.testing.assert_array_equal(narrow.data[1], cube.data[2:6].sum(axis=0))
    assert narrow.data.dtype == np.int32
    assert cube.rebin([1, 5] * u.keV).data.sum() == cube.data.sum()
    same = cube.rebin(cube.energy_edges + 1e-8 * u.keV)
    np.testing.assert_array_equal(same.data, cube.data)
    np.testing.assert_array_equal(same.energy_edges, cube.energy_edges)
    assert narrow.wcs.wcs.compare(cube.wcs.wcs)


@pytest.mark.parametrize("edges", [[1, 1.7, 5], [0.5, 5], [1, 6], [1, 1.00001, 5]])
def test_rebin_needs_nested_edges(cube, edges):
    with pytest.raises(ValueError, match=r"the cube has 8 bins from 1 to 5 keV, each 0.5 keV wide, asked for were"):
        cube.rebin(edges * u.keV)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_values(bad):
    hdu = image_hdu()
    hdu.data[1, 2, 3] = hdu.data[2, 2, 3] = bad
    with pytest.raises(ValueError, match="1 unmasked pixels hold NaN or infinity.* an image extension MASK"):
        EventCube.from_hdu(hdu)
    mask = fits.ImageHDU((~np.isfinite(hdu.data).all(axis=0)).astype(np.uint8), name="MASK")
    assert EventCube.from_hdu(fits.HDUList([hdu, mask])).mask.sum() == 1


def changed(**cards):
    hdu = image_hdu()
    for key, value in cards.items():
        if value is None:
            hdu.header.remove(key)
        else:
            hdu.header[key] = value
    return hdu


@pytest.mark.parametrize(
    ("hdu", "message"),
    [
        (fits.PrimaryHDU(np.ones((3, 3))), r"a cube is a 3-D image .* PRIMARY \(3, 3\)"),
        (fits.PrimaryHDU(np.ones((2, 3, 3, 3))), r"a cube is a 3-D image .* PRIMARY \(2, 3, 3, 3\)"),
        (fits.PrimaryHDU(), "there is no image"),
        (fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((2, 2)))]), r"the images are \(unnamed\) \(2, 2\)"),
        (changed(CTYPE1=None, CTYPE2=None), "no celestial WCS on its first two FITS axes"),
        (changed(CTYPE1="LINEAR", CTYPE2="LINEAR"), "no celestial WCS .*CTYPE1='LINEAR'"),
        (changed(CTYPE1="DEC--TAN"), "the celestial WCS cannot be used"),
        (changed(CD1_1=0.0, CD2_1=0.0), "celestial WCS"),
        (changed(CUNIT3=None), "no EBOUNDS table and its third axis .* pass energy_edges"),
        (changed(CUNIT3="Hz"), "is not a linear or tabulated axis of energies"),
        (changed(CTYPE3="ENER-XYZ"), "is not a linear or tabulated axis"),
        (changed(CRVAL3=-100.0), "the third axis must be finite, not negative and increasing"),
        (fits.HDUList([image_hdu(), ebounds_hdu([1, 2] * u.keV)]), "the cube has 4 energies .* 1 bins from 1 to 2 keV"),
        (fits.HDUList([image_hdu(), fits.ImageHDU(np.ones((2, 2)), name="MASK")]), r"MASK image has shape \(2, 2\)"),
        (fits.PrimaryHDU(np.zeros((4, 5, 6)), image_hdu().header), "the cube is zero everywhere"),
    ],
)
def test_unusable_hdus(hdu, message):
    with pytest.raises(ValueError, match=message):
        EventCube.from_hdu(hdu)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": np.ones((5, 6))}, r"three dimensions, \(energy, y, x\), but the data have shape \(5, 6\)"),
        ({"data": np.ones((3, 5, 6))}, "3 energies need 4 edges, but energy_edges has 5"),
        ({"data": np.ones((4, 5, 6), dtype=complex)}, "integers or floating-point numbers, not complex128"),
        ({"data": np.ma.ones((4, 5, 6))}, "masked array"),
        ({"data": np.ones((4, 0, 6))}, "the cube is empty"),
        ({"energy_edges": [1, 3, 2, 4, 5] * u.keV}, "increasing"),
        ({"energy_edges": [1, 2, 3, 4, 5]}, "must be energies with a unit"),
        ({"wcs": None}, "wcs must be a celestial astropy WCS"),
        ({"wcs": WCS(naxis=2)}, "wcs must be a celestial astropy WCS"),
        ({"mask": np.zeros((6, 5))}, r"mask has shape \(6, 5\), but the cube needs \(5, 6\)"),
        ({"mask": np.ones((5, 6))}, "every pixel is masked"),
    ],
)
def test_unsuitable_arguments(change, message):
    arguments = {"data": np.ones((4, 5, 6)), "energy_edges": EDGES, "wcs": WCS(image_hdu().header).celestial}
    arguments.update(change)
    with pytest.raises(ValueError, match=message):
        EventCube(**arguments)


def test_types():
    with pytest.raises(TypeError, match=r"a cube comes from a 3-D image HDU or an HDUList, not str"):
        EventCube.from_hdu("cube.fits")
    cube = EventCube(np.ones((4, 5, 6)) * u.ct, energy_edges=EDGES, wcs=WCS(image_hdu().header))
    assert cube.wcs.naxis == 2
    assert cube.unit == u.count
    with pytest.warns(AstropyUserWarning, match="the cube is in 'Jy', but is taken as counts"):
        EventCube.from_hdu(image_hdu(BUNIT="Jy"))


def test_files_are_complete_or_absent(cube, tmp_path):
    path = tmp_path / "cube.fits"
    cube.write(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="exists already"):
        cube.write(path)
    assert path.read_bytes() == before
    cube.write(path, overwrite=True)
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        cube.write(tmp_path / "nowhere" / "cube.fits")
    path.write_bytes(before[:-3000])
    with pytest.raises(OSError, match="truncated"):
        EventCube.read(path)
    path.write_text("not FITS")
    with pytest.raises(OSError, match="cannot read"):
        EventCube.read(path)
    assert sorted(tmp_path.iterdir()) == [path]


def test_error_names_the_file(tmp_path):
    fits.PrimaryHDU(np.ones((3, 3))).writeto(tmp_path / "flat.fits")
    with pytest.raises(ValueError, match=r"flat.fits': a cube is a 3-D image"):
        EventCube.read(tmp_path / "flat.fits")


def test_truncated_gzip(cube, tmp_path):
    path = tmp_path / "cube.fits.gz"
    cube.write(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(OSError, match="truncated"):
        EventCube.read(path)


def test_repr_says_what_it_is(cube):
    text = repr(cube)
    assert "8 bins from 1 to 5 keV, each 0.5 keV wide; 20 x 15 pixels of 0.984 x 0.984 arcsec around 228.47" in text
    assert f"{cube.data.sum()} counts" in text
    assert str(cube) == text


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="needs fitsverify")
@pytest.mark.parametrize("kind", ["events", "masked", "foreign", "uneven"])
def test_fitsverify_finds_nothing(cube, tmp_path, kind):
    if kind == "masked":
        cube = EventCube(cube.data, energy_edges=cube.energy_edges, wcs=cube.wcs, mask=cube.data[0] > 9, meta=cube.meta)
    elif kind == "foreign":
        cube = EventCube.from_hdu(image_hdu())
    elif kind == "uneven":
        cube = cube.rebin([1, 2, 5] * u.keV)
    cube.write(tmp_path / "cube.fits")
    report = subprocess.run(["fitsverify", tmp_path / "cube.fits"], capture_output=True, text=True, check=False).stdout
    assert "0 warning(s) and 0 error(s)" in report, report


def test_headers_and_wcs_are_of_one_cube_alone(events, cube, tmp_path):
    header = fits.Header({"EXPOSURE": 5.0})
    mask, exposure = np.zeros(cube.data.shape[1:], dtype=bool), np.ones(cube.data.shape[1:]) * u.s
    mask[0] = True
    first = EventCube(cube.data, energy_edges=cube.energy_edges, wcs=cube.wcs, meta=header)
    first.write(tmp_path / "cube.fits")
    others = [
        first.with_mask(mask),
        first.with_exposure(exposure),
        first.with_matrix(first.matrix()),
        first.rebin(first.energy_edges),
        first.rebin(first.energy_edges[[0, 4, 8]]),
        EventCube.merge([first, first]),
        EventCube.from_hdu(first.to_hdulist()),
        EventCube.from_events(events, like=first),
        EventCube.read(tmp_path / "cube.fits"),
        copy.deepcopy(first),
    ]
    place = first.wcs.wcs.crval.copy()
    for other in others:
        other.meta["EXPOSURE"] = 99.0
        other.wcs.wcs.crval = [1.0, 2.0]
        other.mask = mask
        assert first.meta["EXPOSURE"] == header["EXPOSURE"] == 5.0
        np.testing.assert_array_equal(first.wcs.wcs.crval, place)
        np.testing.assert_array_equal(cube.wcs.wcs.crval, place)
        assert first.mask is None


def test_headers_of_hdus_are_not_those_of_cubes(events, cube):
    hdulist = cube.to_hdulist()
    EventCube.from_hdu(hdulist).meta["OBJECT"] = "another"
    EventCube.from_events(events, n_energy=2).meta["OBJECT"] = "another"
    assert hdulist[0].header["OBJECT"] == events.header["OBJECT"] == "SIMULATED"


def test_counts_are_shared_and_never_changed(cube):
    before = cube.data.copy()
    others = [cube.with_mask(np.eye(*cube.data.shape[1:])), cube.rebin(cube.energy_edges)]
    assert all(np.shares_memory(other.data, cube.data) for other in others)
    others.append(others[0].with_exposure(np.ones(cube.data.shape[1:])))
    for other in others:
        other.matrix()[:] = -1
        other.to_hdulist()
        other.with_matrix(other.matrix() + 1)
        other.image_of(other.matrix())[:] = -1
        other.energy_edges[0] = 9 * u.keV
        np.testing.assert_array_equal(cube.data, before)
    assert cube.energy_edges[0] == 1 * u.keV
