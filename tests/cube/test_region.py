import functools
import operator
import re

import astropy.units as u
import numpy as np
import pytest
import regions
from astropy.coordinates import SkyCoord
from astropy.io import fits

from astro_lpalm.cube import EventCube

GRID = {"energy": (1, 5) * u.keV, "n_energy": 4, "bounds": (4060, 4130, 4070, 4130)}
CENTER, RADIUS = (4100.0, 4102.0), 9.0


def centers():
    return np.meshgrid(np.arange(4060.5, 4130), np.arange(4070.5, 4130))


def disc(center=CENTER, radius=RADIUS):
    x, y = centers()
    return np.hypot(x - center[0], y - center[1]) < radius


def write(tmp_path, text):
    path = tmp_path / "source.reg"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "# Region file format: DS9 version 4.1\nglobal color=green\nphysical\ncircle(4100,4102,9) # color=cyan\n",
        "physical;circle(4100,4102,9)\n",
        "# Region file format: CIAO version 1.0\ncircle(4100,4102,9)\n",
        "PHYSICAL\nCircle 4100 4102 9\n",
    ],
)
def test_physical_coordinates_are_sky_pixels(events, tmp_path, text):
    cube = EventCube.from_events(events, region=write(tmp_path, text), **GRID)
    np.testing.assert_array_equal(~cube.mask, disc())
    everything = EventCube.from_events(events, **GRID)
    assert cube.data.sum() == everything.data[:, disc()].sum()
    assert cube.data[:, cube.mask].sum() == 0


@pytest.mark.parametrize("form", ["fk5 file", "sky region", "pixel region", "list", "regions"])
def test_every_form_of_a_region(events, tmp_path, form):
    sky = EventCube.from_events(events, **GRID).wcs.pixel_to_world(4100 - 4060 - 0.5, 4102 - 4070 - 0.5)
    radius = 9.01 * 0.492 * u.arcsec
    region = regions.CircleSkyRegion(sky, radius)
    if form == "fk5 file":
        ra, dec = sky.ra.to_string("hour", sep=":", precision=6), sky.dec.to_string("deg", sep=":", precision=6)
        region = write(tmp_path, f'fk5\ncircle({ra},{dec},{radius.value:.5f}")\n')
    elif form == "pixel region":
        region = regions.CirclePixelRegion(regions.PixCoord(4099, 4101), 9.01)
    elif form == "list":
        region = [region]
    elif form == "regions":
        region = regions.Regions([region])
    cube = EventCube.from_events(events, region=region, **GRID)
    np.testing.assert_array_equal(~cube.mask, disc(radius=9.01))


def test_sexagesimal_positions_without_a_frame_are_on_the_sky(events, tmp_path):
    text = "circle(15:13:54.07,-59:08:24.2,0.1')\n"
    framed = EventCube.from_events(events, region=write(tmp_path, "fk5\n" + text), **GRID)
    bare = EventCube.from_events(events, region=write(tmp_path, text), **GRID)
    np.testing.assert_array_equal(bare.mask, framed.mask)
    assert 0 < np.count_nonzero(~bare.mask) < bare.mask.size


@pytest.mark.parametrize(
    "text",
    [
        "physical\ncircle(4100,4102,9)\n-circle(4104,4102,5)\n",
        "physical\n-circle(4104,4102,5)\ncircle(4100,4102,9)\n",
        "circle(4100,4102,9)\n!circle(4104,4102,5)\n",
        "circle(4100,4102,9)-circle(4104,4102,5)\n",
    ],
)
def test_exclusions(events, tmp_path, text):
    cube = EventCube.from_events(events, region=write(tmp_path, text), **GRID)
    np.testing.assert_array_equal(~cube.mask, disc() & ~disc((4104, 4102), 5))


def test_exclusions_alone_are_cut_out_of_the_whole(events, tmp_path):
    path = write(tmp_path, "physical\n-circle(4100,4102,9)\n")
    np.testing.assert_array_equal(EventCube.from_events(events, region=path, **GRID).mask, disc())
    cropped = EventCube.from_events(events, region=path)
    assert cropped.data.shape == EventCube.from_events(events).data.shape


def test_image_is_cropped_to_the_region(events, tmp_path):
    cube = EventCube.from_events(events, region=write(tmp_path, "circle(4100,4102,9)\n"), n_energy=2)
    assert cube.data.shape[1:] in {(18, 18), (19, 19), (20, 20)}
    assert not cube.mask[1].all()
    assert not cube.mask[-2].all()
    assert np.count_nonzero(~cube.mask) == pytest.approx(np.pi * 81, rel=0.03)
    # pixels follow those of the list's image, whose first one begins at 0.5
    assert cube.meta["CRVAL1P"] % 1 == 0.5


def test_rotbox_and_polygon_of_ciao(events, tmp_path):
    text = "rotbox(4095,4100,20,6,30)\npolygon(4061,4071,4071,4071,4071,4081)\n"
    x, y = centers()
    along = (x - 4095) * np.cos(np.pi / 6) + (y - 4100) * np.sin(np.pi / 6)
    across = -(x - 4095) * np.sin(np.pi / 6) + (y - 4100) * np.cos(np.pi / 6)
    expected = (abs(along) < 10) & (abs(across) < 3)
    triangle = (x - 4061 > y - 4071) & (x < 4071) & (y > 4071)
    cube = EventCube.from_events(events, region=write(tmp_path, text), **GRID)
    on_diagonal = x - 4061 == y - 4071
    np.testing.assert_array_equal(~cube.mask[~on_diagonal], (expected | triangle)[~on_diagonal])


def test_region_files_of_others(shared_data):
    events = shared_data / "events" / "msh1552_obs754_evt2.fits.gz"
    with fits.open(events) as hdulist:
        data = hdulist["EVENTS"].data
        kept = (data["energy"] >= 1000) & (data["energy"] < 7000)
        inside = np.hypot(data["x"][kept] - 4072, data["y"][kept] - 4127) < 60.8654 / 0.492
    grid = {"energy": (1, 7) * u.keV, "n_energy": 2, "bin_factor": 2}
    three = EventCube.from_events(events, region=shared_data / "regions" / "msh1552_three_regions.reg", **grid)
    assert np.count_nonzero(~three.mask) == pytest.approx(3 * np.pi * (60.8654 / 0.984) ** 2, rel=0.01)
    assert three.data.sum() > np.count_nonzero(inside)
    torus = EventCube.from_events(events, region=shared_data / "regions" / "msh1552_torus_region.reg", **grid)
    assert 0 < torus.data.sum() < three.data.sum()
    observation = shared_data / "events" / "obs1479_evt2.fits.gz"
    cube = EventCube.from_events(observation, region=shared_data / "regions" / "obs1479.reg", **grid)
    assert cube.data.sum() > 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# Region file format: DS9 version 4.1\nfk5\n", "holds no shape"),
        ("", "holds no shape"),
        ('fk5\ncircle(48:00:00,59:00:00,5")\n', "the region"),
        ("physical\ncircle(100,100,5)\n", "the region leaves no pixel of the image.* lies off the image"),
        ("physical\ncircle(4100,4100,0.01)\n", "smaller than a pixel"),
        ("circle(4100,4100,3)*circle(4120,4100,3)\n", "the region leaves no pixel of the image"),
    ],
)
def test_unusable_region_files(events, tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        EventCube.from_events(events, region=write(tmp_path, text), **GRID)


@pytest.mark.parametrize("grid", [GRID, {}])
@pytest.mark.parametrize("text", ['fk5\ncircle(48.5d,59.1d,5")\n', "physical\ncircle(-900,100,5)\n"])
def test_region_files_off_the_image_are_named(events, tmp_path, grid, text):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=f"^'{path}': the region"):
        EventCube.from_events(events, region=path, **grid)


def test_region_off_the_list_without_bounds(events):
    region = regions.CirclePixelRegion(regions.PixCoord(-500, 20), 5)
    with pytest.raises(ValueError, match=r"y1 = \(-50\d\.5, .*\) in sky pixels, lies off the list's sky image"):
        EventCube.from_events(events, region=region)
    opposite = regions.CircleSkyRegion(SkyCoord(48.5, 59.1, unit="deg"), 5 * u.arcsec)
    with pytest.raises(ValueError, match=r"the region cannot be projected.* lies 180 deg from .*in another field"):
        EventCube.from_events(events, region=opposite)


def of_another_field(kind, degrees):
    center = SkyCoord(228.4753161, -59.14006548, unit="deg").directional_offset_by(35 * u.deg, degrees * u.deg)
    if kind == "polygon":
        return regions.PolygonSkyRegion(center.directional_offset_by([0, 90, 180] * u.deg, 1 * u.arcmin))
    size = 1 * u.arcmin
    if kind == "circle":
        return regions.CircleSkyRegion(center, size)
    return {"box": regions.RectangleSkyRegion, "ellipse": regions.EllipseSkyRegion}[kind](center, size, size, 9 * u.deg)


@pytest.mark.parametrize("kind", ["circle", "box", "ellipse", "polygon"])
@pytest.mark.parametrize("degrees", [3, 50, 89.9, 91, 140, 179.9])
@pytest.mark.parametrize("include", [True, False])
def test_region_of_another_field(events, kind, degrees, include):
    region = of_another_field(kind, degrees)
    region.meta["include"] = include
    for grid in (GRID, {}) if include else (GRID,):
        with pytest.raises(ValueError, match="deg from the image's centre, in another field of the sky") as caught:
            EventCube.from_events(events, region=region, **grid)
        said = float(re.search(r"lies (\S+) deg from", str(caught.value))[1])
        assert said == pytest.approx(degrees, abs=0.1)
    with pytest.raises(ValueError, match="in another field|exclusions only"):
        EventCube.from_events(events, **GRID).with_mask(region)


def test_exclusions_next_to_the_image_are_no_error(events):
    region = of_another_field("circle", 0.5)
    region.meta["include"] = False
    assert not EventCube.from_events(events, region=region, **GRID).pixel_mask.any()


def test_compounds_are_nested_as_deep_as_said(events):
    disk = regions.CirclePixelRegion(regions.PixCoord(4099, 4101), RADIUS)
    deep = functools.reduce(operator.or_, [disk] * 101)
    np.testing.assert_array_equal(~EventCube.from_events(events, region=deep, **GRID).mask, disc())
    with pytest.raises(ValueError, match="nested more than 100 deep; give the shapes as a list"):
        EventCube.from_events(events, region=functools.reduce(operator.or_, [disk] * 5000), **GRID)


def test_region_of_an_unsuitable_type(events, tmp_path):
    with pytest.raises(TypeError, match="region must be a region file's name"):
        EventCube.from_events(events, region=3)
    with pytest.raises(TypeError, match="region must be a region file's name"):
        EventCube.from_events(events, region=["circle"])
    with pytest.raises(ValueError, match="empty list"):
        EventCube.from_events(events, region=[])
    with pytest.raises(FileNotFoundError, match="there is no region file"):
        EventCube.from_events(events, region=tmp_path / "none.reg")
    fits.PrimaryHDU().writeto(tmp_path / "table.reg")
    with pytest.raises(ValueError, match=r"has no table of regions, which has columns SHAPE, X and Y"):
        EventCube.from_events(events, region=tmp_path / "table.reg")
