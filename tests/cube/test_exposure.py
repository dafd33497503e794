import shutil
import subprocess

import astropy.units as u
import numpy as np
import pytest
import regions
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.cube import EventCube

from .. import toy

NY, NX = 24, 30


def plane(scale=1.0, shape=(NY, NX), *, ctype=("RA---TAN", "DEC--TAN"), crval=(228.475, -59.14), shift=(0, 0), roll=0):
    """WCS of an image around the same place, with pixels of so many arcsec."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ctype, crval
    wcs.wcs.crpix = [(shape[1] + 1) / 2 + shift[0], (shape[0] + 1) / 2 + shift[1]]
    wcs.wcs.cdelt = [-scale / 3600, scale / 3600]
    c, s = np.cos(np.deg2rad(roll)), np.sin(np.deg2rad(roll))
    wcs.wcs.pc = [[c, -s], [s, c]]
    return wcs


def cube(**options):
    data = np.random.default_rng(0).poisson(4.0, (3, NY, NX))
    return EventCube(data, energy_edges=[0.5, 1, 2, 7] * u.keV, wcs=plane(), **options)


def map_hdu(data, wcs, unit="s", **cards):
    header = wcs.to_header()
    header["BUNIT"] = unit
    header.update(cards)
    return fits.ImageHDU(data, header)


def ramp(wcs, shape):
    """Exposure that is linear over the sky plane, 5 to 7 ks over the cube."""
    x, y = plane().world_to_pixel(wcs.pixel_to_world(*np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))))
    return 5000 + 40 * x + 30 * y


# Reading


@pytest.mark.parametrize("scale", [1.0, 0.25, 0.4, 3.0])
@pytest.mark.parametrize(("shift", "roll"), [((0, 0), 0), ((3.3, -2.7), 0), ((0.5, 0.1), 33.0)])
def test_a_linear_ramp_stays_one(scale, shift, roll):
    shape = tuple(int(60 / scale) + 6 for _ in range(2))
    wcs = plane(scale, shape, shift=shift, roll=roll)
    found = cube().with_exposure(map_hdu(ramp(wcs, shape), wcs)).exposure
    x, y = np.meshgrid(np.arange(NX), np.arange(NY))
    assert_allclose(found.to_value(u.s), 5000 + 40 * x + 30 * y, rtol=1e-9)


def test_a_finer_map_is_averaged():
    fine = np.random.default_rng(1).uniform(1, 2, (4 * NY, 4 * NX))
    found = cube().with_exposure(map_hdu(fine, plane(0.25, fine.shape))).exposure.value
    assert_allclose(found, fine.reshape(NY, 4, NX, 4).mean(axis=(1, 3)), rtol=1e-6)


def test_a_map_on_the_same_pixels_is_taken_as_it_is(tmp_path):
    exposure = np.random.default_rng(2).uniform(1, 2, (NY, NX))
    assert_array_equal(cube().with_exposure(map_hdu(exposure, plane())).exposure.value, exposure)
    bare = fits.ImageHDU(exposure)
    with pytest.warns(
        AstropyUserWarning, match="the exposure map has no celestial WCS, but as many pixels as the cube"
    ):
        assert_array_equal(cube().with_exposure(bare).exposure, exposure * u.one)
    fits.HDUList([fits.PrimaryHDU(), bare, map_hdu(2 * exposure, plane())]).writeto(tmp_path / "map.fits")
    with pytest.warns(AstropyUserWarning, match="taken to be on the very same; write the WCS"):
        assert_array_equal(cube().with_exposure(tmp_path / "map.fits").exposure.value, exposure)
    assert_array_equal(cube(exposure=exposure * u.ks).exposure, exposure * u.ks)


def test_another_frame_and_projection():
    galactic = plane().pixel_to_world(NX / 2 - 0.5, NY / 2 - 0.5).galactic
    wcs = plane(0.5, (140, 140), ctype=("GLON-SIN", "GLAT-SIN"), crval=(galactic.l.deg, galactic.b.deg), roll=10)
    found = cube().with_exposure(map_hdu(ramp(wcs, (140, 140)), wcs)).exposure.value
    x, y = np.meshgrid(np.arange(NX), np.arange(NY))
    assert_allclose(found, 5000 + 40 * x + 30 * y, rtol=1e-6)


def test_there_is_none_beyond_the_edges_of_the_map():
    small = plane(1.0, (10, 12))
    with pytest.warns(AstropyUserWarning, match=r"8\d\.\d% of the counts lie in pixels"):
        found = cube().with_exposure(map_hdu(np.full((10, 12), 5.0), small))
    y, x = np.indices((NY, NX))
    inside = (np.abs(x - (NX - 1) / 2) < 6) & (np.abs(y - (NY - 1) / 2) < 5)
    assert_allclose(found.exposure.value, 5.0 * inside, rtol=1e-12)
    assert_array_equal(found.pixel_mask, ~inside)


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("s", u.s), ("sec", u.s), ("cm**2 s", u.cm**2 * u.s), ("", u.one),
        ("cm**2 s counts/photon", u.cm**2 * u.s * u.count / u.photon),
    ],
)  # fmt: skip
def test_units_are_kept(written, unit, tmp_path):
    found = cube().with_exposure(map_hdu(np.full((NY, NX), 3.0), plane(), written))
    assert found.exposure.unit == unit
    found.write(tmp_path / "cube.fits")
    again = EventCube.read(tmp_path / "cube.fits").exposure
    assert again.unit == unit
    assert_array_equal(again, found.exposure)


BAD = np.where(np.arange(NX) == 4, -1.0, 2.0) * np.ones((NY, 1))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (BAD, "exposure must be finite, not negative, .* and 24 that are negative"),
        (map_hdu(BAD, plane()), "not negative"),
        (np.zeros((NY, NX)), "not zero everywhere"),
        (np.full((NY, NX), np.inf), "720 values that are not finite"),
        (np.ones((NX, NY)), r"exposure has shape \(30, 24\), but the cube's images have \(24, 30\)"),
        (np.ones((NY, NX)) * u.cm**2, r"exposure is in cm2; give a time \(s\)"),
        (map_hdu(np.ones((NY, NX)), plane(), "erg"), "exposure is in erg"),
        (map_hdu(np.ones((NY, NX)), plane(), "bananas"), r"is in 'bananas' \(BUNIT\), which is no unit"),
        (
            map_hdu(np.ones((9, 9)), plane(shape=(9, 9), crval=(229, -59))),
            "around 229.0000 -59.0000 .* does not overlap with the",
        ),
        (fits.ImageHDU(np.ones((9, 9))), r"no celestial WCS and shape \(9, 9\)"),
        (fits.ImageHDU(np.ones((2, 9, 9)), name="E"), "the HDU 'E' has 3 axes"),
    ],
)
def test_unusable_exposures(given, message):
    with pytest.raises(ValueError, match=message):
        cube().with_exposure(given)


def test_exposures_of_another_kind():
    with pytest.raises(
        TypeError, match="the exposure map must be a FITS file's name, an image HDU or an array, not int"
    ):
        cube().with_exposure(3)
    with pytest.raises(FileNotFoundError, match="there is no file 'none.fits'"):
        cube().with_exposure("none.fits")


def test_counts_without_exposure_are_suspicious():
    exposure = np.ones((NY, NX))
    exposure[:, :2] = 0
    with pytest.warns(AstropyUserWarning, match=r"[67]\.\d% of the counts lie in pixels with less than 1 %"):
        cube().with_exposure(exposure)
    data = cube().data * (exposure > 0)
    EventCube(data, energy_edges=cube().energy_edges, wcs=plane()).with_exposure(exposure)  # warnings are errors


# What becomes of it


def test_pixels_without_exposure_are_masked(tmp_path):
    exposure = np.full((NY, NX), 2.0)
    exposure[3] = 0.0199
    exposure[4] = 0.0201
    exposure[:, 5] = 0.0
    own = np.zeros((NY, NX), dtype=bool)
    own[7, 7] = True
    made = cube(exposure=exposure * u.ks, mask=own)
    expected = own.copy()
    expected[:, 5] = expected[3] = True
    assert_array_equal(made.mask, expected)
    assert cube(exposure=np.ones((NY, NX))).mask is None
    assert made.exposure[0, 0] == 2 * u.ks
    made.exposure[:] = 0 * u.s  # a copy
    made.write(tmp_path / "cube.fits")
    for again in (EventCube.read(tmp_path / "cube.fits"), made.rebin([0.5, 2, 7] * u.keV), made.with_mask(own)):
        assert_array_equal(again.exposure, exposure * u.ks)
        assert_array_equal(again.mask, expected)
    with fits.open(tmp_path / "cube.fits") as hdulist:
        assert [hdu.name for hdu in hdulist] == ["PRIMARY", "EBOUNDS", "MASK", "EXPOSURE"]
        assert hdulist["EXPOSURE"].header["BUNIT"] == "ks"
        assert WCS(hdulist["EXPOSURE"].header).wcs.compare(WCS(hdulist["MASK"].header).wcs)
    assert "exposure up to 2 ks" in repr(made)


def test_relative_exposure():
    exposure = np.full((NY, NX), 2.0)
    exposure[0], exposure[1] = 0.0, 1.0
    relative = cube(exposure=exposure).relative_exposure
    assert_array_equal(relative[:3, 0], [1, 0.5, 1])  # the first is masked
    most = np.zeros((NY, NX), dtype=bool)
    most[2:] = True
    assert_array_equal(cube(exposure=exposure, mask=most).relative_exposure, 1.0)
    assert_array_equal(cube().relative_exposure, 1.0)


def test_exposure_image_of_another_shape():
    hdulist = cube(exposure=np.ones((NY, NX))).to_hdulist()
    hdulist["EXPOSURE"].data = np.ones((4, 5))
    with pytest.raises(ValueError, match=r"the EXPOSURE image has shape \(4, 5\)"):
        EventCube.from_hdu(hdulist)


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="needs fitsverify")
def test_fitsverify_finds_nothing(tmp_path):
    cube(exposure=np.ones((NY, NX)) * u.cm**2 * u.s).write(tmp_path / "cube.fits")
    report = subprocess.run(["fitsverify", tmp_path / "cube.fits"], capture_output=True, text=True, check=False).stdout
    assert "0 warning(s) and 0 error(s)" in report, report


# Masks


def test_masks_from_images(tmp_path):
    bad = np.zeros((NY, NX))
    bad[:, 9] = 2
    assert_array_equal(cube().with_mask(bad).mask, bad > 0)
    assert_array_equal(cube().with_mask((bad > 0).tolist()).mask, bad > 0)
    map_hdu(bad, plane()).writeto(tmp_path / "mask.fits.gz")
    assert_array_equal(cube().with_mask(tmp_path / "mask.fits.gz").mask, bad > 0)
    # Of a finer image, one excluded pixel excludes the whole of the cube's; beyond its edges nothing is.
    fine = np.zeros((40, 40))
    fine[21, 18], fine[0, 0] = 1, np.nan
    found = cube().with_mask(map_hdu(fine, plane(0.25, fine.shape))).mask
    assert_array_equal(np.argwhere(found), [[7, 10], [12, 14]])
    with pytest.raises(ValueError, match="the mask, around 229.0000 .* does not overlap"):
        cube().with_mask(map_hdu(bad, plane(crval=(229, -59))))


def test_masks_from_regions(tmp_path, events):
    center = plane().pixel_to_world(10, 8)
    circle = regions.CircleSkyRegion(center, 2.5 * u.arcsec)
    y, x = np.indices((NY, NX))
    expected = np.hypot(x - 10, y - 8) < 2.5
    assert_array_equal(cube().with_mask(circle).mask, expected)
    circle.write(str(tmp_path / "sources.reg"), format="ds9")
    assert_array_equal(cube().with_mask(tmp_path / "sources.reg").mask, expected)
    with pytest.raises(ValueError, match="in sky pixels .* but the cube's header does not say what these are"):
        cube().with_mask(regions.CirclePixelRegion(regions.PixCoord(3, 4), 2))
    (tmp_path / "excluded.reg").write_text('icrs; -circle(228.5, -59.1, 3")')
    with pytest.raises(ValueError, match="the mask is a region of exclusions only, .* give it as region instead"):
        cube().with_mask(tmp_path / "excluded.reg")
    with pytest.raises(FileNotFoundError, match="there is no mask file 'none.reg'"):
        cube().with_mask("none.reg")
    with pytest.raises(ValueError, match=r"mask has shape \(2, 2\)"):
        cube().with_mask(np.ones((2, 2)))
    # a table of regions is no image
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("SHAPE", "16A", array=["CIRCLE"]),
            fits.Column("X", "D", unit="pixel", array=[4096.5]),
            fits.Column("Y", "D", unit="pixel", array=[4100.5]),
            fits.Column("R", "D", unit="pixel", array=[4.0]),
        ],
        name="REGION",
    )
    table.header["HDUCLAS1"] = "REGION"
    table.writeto(tmp_path / "region.fits")
    # Sky pixels of an event list count from 1, shapes of the regions package from 0.
    (tmp_path / "physical.reg").write_text("physical\ncircle(4096.5, 4100.5, 4)\n")
    binned = {"bounds": (4080, 4120, 4090, 4120), "bin_factor": 2}
    made = EventCube.from_events(events, mask=tmp_path / "physical.reg", **binned)
    ys, xs = np.meshgrid(np.arange(4091, 4120, 2), np.arange(4081, 4120, 2), indexing="ij")
    assert_array_equal(made.mask, np.hypot(xs - 4096.5, ys - 4100.5) < 4)
    assert_array_equal(EventCube.from_events(events, mask=tmp_path / "region.fits", **binned).mask, made.mask)
    kept = EventCube.from_events(events, region=tmp_path / "physical.reg", **binned)
    assert_array_equal(kept.mask, ~made.mask)


def test_exposure_of_an_event_list(events):
    bounds = (4080, 4120, 4090, 4120)
    plain = EventCube.from_events(events, bounds=bounds)
    exposure = np.linspace(0.5, 1, 30)[:, np.newaxis] * np.ones(40) * u.ks
    made = EventCube.from_events(events, bounds=bounds, exposure=exposure)
    assert_array_equal(made.exposure, exposure)
    assert_array_equal(made.data, plain.data)
    place = SkyCoord(0, 0, unit="deg")
    with pytest.raises(ValueError, match="does not overlap"):
        EventCube.from_events(
            events, bounds=bounds, exposure=map_hdu(exposure.value, plane(crval=(place.ra.deg, place.dec.deg)))
        )


def test_a_matrix_goes_back_into_the_cube():
    cube = toy.cube(mask=np.eye(28, 33, dtype=bool), exposure=np.ones((28, 33)) * u.ks)
    other = cube.with_matrix(2 * cube.matrix())
    np.testing.assert_array_equal(other.matrix(), 2 * cube.matrix())
    np.testing.assert_array_equal(other.pixel_mask, cube.pixel_mask)
    np.testing.assert_array_equal(other.exposure, cube.exposure)
    assert not other.data[:, cube.pixel_mask].any()
    assert cube.with_matrix(cube.matrix().astype(int)).data.dtype == np.float32
