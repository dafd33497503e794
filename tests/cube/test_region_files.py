import time

import astropy.units as u
import numpy as np
import pytest
import regions
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from regions import PixCoord

from astro_lpalm.cube import EventCube
from astro_lpalm.cube.region import is_region_table, read_region

X0, X1, Y0, Y1 = 4060, 4130, 4070, 4130
GRID = {"energy": (1, 5) * u.keV, "n_energy": 1, "bounds": (X0, X1, Y0, Y1)}
X, Y = np.meshgrid(np.arange(X0 + 0.5, X1), np.arange(Y0 + 0.5, Y1))  # pixel centres
CX, CY = 4095.0, 4100.0
RADIUS, ANGLE = np.hypot(X - CX, Y - CY), np.rad2deg(np.arctan2(Y - CY, X - CX)) % 360
EVERYTHING = np.ones(X.shape, dtype=bool)


def turned(degrees, center=(CX, CY)):
    """Coordinates along axes that are turned anticlockwise around a centre."""
    x, y, angle = X - center[0], Y - center[1], np.deg2rad(degrees)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def box(width, height, degrees=0.0, center=(CX, CY)):
    along, across = turned(degrees, center)
    return (abs(along) < width / 2) & (abs(across) < height / 2)


def ellipse(a, b, degrees=0.0):
    along, across = turned(degrees)
    return (along / a) ** 2 + (across / b) ** 2 < 1


def circle(x, y, radius):
    return np.hypot(X - x, Y - y) < radius


@pytest.fixture
def kept(events, tmp_path):
    """Function that gives the pixels which a region file of this text keeps."""

    def kept(text, name="source.reg"):
        path = tmp_path / name
        path.write_text(text)
        return ~EventCube.from_events(events, region=path, **GRID).pixel_mask

    return kept


SHAPES = {
    "circle(4095,4100,9.3)": RADIUS < 9.3,
    "annulus(4095,4100,5.2,12.3)": (RADIUS > 5.2) & (RADIUS < 12.3),
    "annulus(4095,4100,5.2,7,12.3)": (RADIUS > 5.2) & (RADIUS < 12.3),
    "annulus(4095,4100,0,12.3)": RADIUS < 12.3,
    "ellipse(4095,4100,14.2,6.1,30)": ellipse(14.2, 6.1, 30),
    "ellipse(4095,4100,14.2,6.1)": ellipse(14.2, 6.1),
    "ellipse(4095,4100,7.1,3.3,14.2,6.6,30)": ellipse(14.2, 6.6, 30) & ~ellipse(7.1, 3.3, 30),
    "box(4095,4100,20,12)": box(20, 12),
    "box(4095,4100,20,12,6,4,0)": None,
    "box(4095,4100,6,4,20,12,25)": box(20, 12, 25) & ~box(6, 4, 25),
    "rotbox(4095,4100,20,12,-40)": box(20, 12, -40),
    "rectangle(4080,4090,4110,4110)": (X > 4080) & (X < 4110) & (Y > 4090) & (Y < 4110),
    "rectangle(4110,4110,4080,4090)": (X > 4080) & (X < 4110) & (Y > 4090) & (Y < 4110),
    "rotrectangle(4085,4095,4105,4105,25)": box(20, 10, 25),
    "pie(4095,4100,5.2,15.3,20,101)": (RADIUS > 5.2) & (RADIUS < 15.3) & (ANGLE > 20) & (ANGLE < 101),
    "pie(4095,4100,0,15.3,200,100)": (RADIUS < 15.3) & ((ANGLE > 200) | (ANGLE < 100)),
    "pie(4095,4100,5.2,15.3,0,360)": (RADIUS > 5.2) & (RADIUS < 15.3),
    "panda(4095,4100,20,101,4,5.2,15.3,1)": (RADIUS > 5.2) & (RADIUS < 15.3) & (ANGLE > 20) & (ANGLE < 101),
    "sector(4095,4100,-33,62)": (ANGLE > 327) | (ANGLE < 62),
    "field()": EVERYTHING,
}


@pytest.mark.parametrize("text", [text for text, expected in SHAPES.items() if expected is not None])
@pytest.mark.parametrize("header", ["", "physical\n"])
def test_shapes_in_sky_pixels(kept, header, text):
    np.testing.assert_array_equal(kept(header + text), SHAPES[text])


def test_areas(kept):
    # Squares whose edges are those of pixels have the area that they say.
    assert kept("box(4090,4100,20,10)").sum() == 200
    assert kept("rectangle(4080,4090,4110,4110)-box(4095,4100,10,10)").sum() == 30 * 20 - 100
    assert kept("box(4090,4100,20,10)*box(4095,4100,20,10)").sum() == 150
    assert kept("box(4090,4100,20,10)+box(4095,4100,20,10)").sum() == 250
    assert kept("polygon(4080,4090,4110,4090,4110,4110,4080,4110)").sum() == 600
    # Round ones to a fraction of their circumference in pixels.
    assert kept("circle(4095,4100,25)").sum() == pytest.approx(np.pi * 25**2, abs=20)
    assert kept("ellipse(4095,4100,28,14,37)").sum() == pytest.approx(np.pi * 28 * 14, abs=20)
    assert kept("pie(4095,4100,10,25,15,105)").sum() == pytest.approx(np.pi * (25**2 - 10**2) / 4, abs=15)


A, B, C = circle(4090, 4100, 12), circle(4100, 4100, 12), circle(4095, 4108, 6)
TERMS = ("circle(4090,4100,12)", "circle(4100,4100,12)", "circle(4095,4108,6)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{a}+{b}", A | B),
        ("{a}|{b}", A | B),
        ("{a}\n{b}", A | B),
        ("{a};{b}", A | B),
        ("{a} || # color=red\n{b} ||", A | B),
        ("{a}*{b}", A & B),
        ("{a} & {b}", A & B),
        ("{a}*!{b}", A & ~B),
        ("{a}&-{b}", A & ~B),
        ("!{b}*{a}", A & ~B),
        ("{a}*{b}*!{c}", A & B & ~C),
        ("{a}*{b}+{c}", (A & B) | C),
        ("{c}+{a}*{b}", (A & B) | C),
        ("{a}*!{b}\n{c}", (A & ~B) | C),
        ("{a}-{b}", A & ~B),
        ("{a}+{b}-{c}", (A | B) & ~C),
        ("-{c}\n{a}\n{b}", (A | B) & ~C),
        ("{a}\n!{b}\n-{c}", A & ~B & ~C),
        ("!{a}*!{b}", ~A & ~B),
        ("-{a}", ~A),
        ("field()-{a}", ~A),
    ],
)
def test_combinations(kept, text, expected):
    np.testing.assert_array_equal(kept(text.format(**dict(zip("abc", TERMS)))), expected)


def test_image_coordinates_are_those_of_the_image_that_is_masked(events, tmp_path):
    path = tmp_path / "image.reg"
    path.write_text("image\nbox(10.5,8.5,6,4)\n-circle(10.5,8.5,1)\n")
    expected = np.zeros((30, 35), dtype=bool)
    expected[6:10, 7:13] = True  # pixel 1 is centred on 1, so 8 to 13 and 7 to 10 of those in the file
    binned = EventCube.from_events(events, **GRID, bin_factor=2)
    inside = np.hypot(*np.meshgrid(np.arange(35) - 9.5, np.arange(30) - 7.5)) < 1
    np.testing.assert_array_equal(binned.with_mask(path).pixel_mask, expected & ~inside)
    masked = EventCube.from_events(events, **GRID, bin_factor=2, region=path)
    np.testing.assert_array_equal(~masked.pixel_mask, expected & ~inside)
    with pytest.raises(ValueError, match="the region is in image coordinates, which depend on how that image"):
        EventCube.from_events(events, region=path)


@pytest.mark.parametrize("frame", ["fk5", "icrs", "galactic", "fk4", "b1950", "ecliptic", "J2000"])
def test_frames_of_the_sky(events, kept, frame):
    wcs = EventCube.from_events(events, **GRID).wcs
    center = wcs.pixel_to_world(CX - X0 - 0.5, CY - Y0 - 0.5)
    name = {"b1950": "fk4", "J2000": "fk5", "ecliptic": "barycentricmeanecliptic"}.get(frame, frame)
    there = center.transform_to(name).spherical
    position = f"{there.lon.deg:.8f},{there.lat.deg:.8f}"
    np.testing.assert_array_equal(kept(f'{frame}\ncircle({position},{0.492 * 9.3}")'), RADIUS < 9.3)
    assert kept(f"{frame}\nannulus({position},0.05',{0.492 * 12.3 / 3600}d)").sum() == pytest.approx(
        np.pi * (12.3**2 - (3 / 0.492) ** 2), rel=0.03
    )


def test_angles_on_the_sky_are_those_of_ds9(events, kept):
    # North is up and east to the left here, so that axes on the sky are those of pixels, and angles start from +x.
    center = EventCube.from_events(events, **GRID).wcs.pixel_to_world(CX - X0 - 0.5, CY - Y0 - 0.5)
    position = f"{center.ra.deg:.8f},{center.dec.deg:.8f}"
    sides = f'{0.492 * 20}",{0.492 * 12}"'
    for text, expected in (
        (f"box({position},{sides},30)", box(20, 12, 30)),
        (f'ellipse({position},{0.492 * 14.2}",{0.492 * 6.1}",30)', ellipse(14.2, 6.1, 30)),
        (f'pie({position},{0.492 * 5.2}",{0.492 * 15.3}",20,101)', SHAPES["pie(4095,4100,5.2,15.3,20,101)"]),
        (f"sector({position},-33,62)", SHAPES["sector(4095,4100,-33,62)"]),
    ):
        # The pixels' axes turn by a little across the field.
        assert np.count_nonzero(kept("icrs\n" + text) != expected) <= 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "circle(4100,4100,9)\nhexagon(1,2,3)\n",
            r"line 2, 'hexagon\(1,2,3\)': the shape 'hexagon' is unknown",
        ),
        ("# text\n\npoint(4100,4100)\n", "line 3, .*the shape 'point' has no area"),
        ("circle(4100,4100,9)&point(4100,4100)", "line 1, .*the shape 'point' has no area"),
        ("physical\ncircle(4100,4100,9x)", "line 2, .*'9x' is not a number"),
        ('physical\ncircle(4100,4100,-9")', "line 2, .*radius"),
        ('image\ncircle(4100,4100,9")', "line 2, .*is not a number of pixels"),
        ("epanda(4095,4100,0,90,1,5,3,10)", "epanda cannot have 8 arguments, but 10 or 11"),
        ("circle(4100,4100)", "line 1, .*circle cannot have 2 arguments, but 3"),
        ("circle(4100,4100,nine)", "'nine' is not a number"),
        ("circle(4100,4100,-9)", "line 1, .*radius"),
        ("detector\ncircle(4100,4100,9)", "line 1, 'detector': coordinates of the system 'detector' cannot be placed"),
        ("somewhere\ncircle(4100,4100,9)", "line 1, 'somewhere': it is neither a shape nor a coordinate system"),
        ("circle(4100,4100,9", "line 1, .*expected shapes such as circle"),
        ("circle(4100,4100,9) and box(4100,4100,9,9)", "expected shapes such as circle"),
        ("*circle(4100,4100,9)", "there is no shape before the first one"),
        ("fk5\nrectangle(228.4,-59.1,228.5,-59.2)", "line 2, .*must be in pixels; write it as a box"),
        ("polygon(4100,4100,4110,4100,4110)", "polygon cannot have 5 arguments, but 6 or 8"),
    ],
)
def test_files_that_cannot_be_read(kept, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        kept(text, "bad.reg")
    assert "bad.reg" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("circle(4100,4100,inf)", "line 1, .*'inf' is out of range"),
        ("circle(nan,4100,5)", "'nan' is out of range"),
        ("circle(4100,4100,1e300)", r"'1e300' is out of range; give a finite number, at most 1e\+09"),
        ("circle(4100,4100,0)", "a radius or a side must be above zero, but is '0'"),
        ("box(4100,4100,4,-4)", "a radius or a side must be above zero, but is '-4'"),
        ("annulus(4100,4100,0,0)", "above zero"),
        ("annulus(4100,4100,5,3)", "outer_radius must be greater"),
        ("box(4100,4100,4,4,inf)", "'inf' is out of range"),
        ("sector(4100,4100,nan,4)", "'nan' is out of range"),
        ("fk5\ncircle(228.4,-59.1,inf)", "line 2, .*'inf' is out of range"),
        ("fk5\ncircle(228.4,-59.1,1e9')", "line 2, .*at most 360 degrees"),
        ("fk5\ncircle(228.4,-99.1,1')", "line 2, .*Latitude"),
        (f"fk5\ncircle({'1:' * 100},-59,1')", r"line 2, .*'1:1:.*\.\.\..*' is not an angle, such as"),
        ("circle(4100,4100,\x1b[31m9)", r"'circle\(4100,4100,\\x1b\[31m9\)': '\\x1b\[31m9' is not a number"),
        ("\x1b]0;title\x07()", r"line 1, '\\x1b\]0;|line 1, '\\x1b\]0'"),
    ],
)
def test_numbers_and_characters_that_cannot_be(kept, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        kept(text, "bad.reg")
    assert str(caught.value).isprintable()


LONG = 60_000


ENDLESS = {
    "dashes": "-" * LONG,
    "word": "a" * LONG,
    "brackets": "(" * LONG,
    "commas": "," * LONG,
    "spaces": f"x{' ' * LONG}y",
    "open shapes": "circle(" * (LONG // 7),
    "words": "a " * LONG,
    "spaces after": f"circle(1,2,3){' ' * LONG}x",
    "spaces before": f"circle{' ' * LONG}(",
    "commas in": f"circle({',' * LONG})",
    "bars": "| " * LONG + "x",
    "digits": f"circle(1,2,{'9' * LONG})",
    "colons": f"fk5\ncircle({'1:' * LONG},2,3)",
    "dashes after": f"circle(1,2,3) {'-' * LONG}",
    "letters beyond ASCII": "é" * LONG,
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_time_and_messages_do_not_grow_with_what_is_wrong(tmp_path, kind):
    path = tmp_path / "long.reg"
    path.write_text(ENDLESS[kind])
    start = time.process_time()
    with pytest.raises(ValueError, match=r"long.reg' cannot be read: line \d, '.*\.\.\.") as caught:
        read_region(path)
    assert time.process_time() - start < 2
    assert len(str(caught.value)) < 600


def test_thousands_of_shapes_are_intersected(kept):
    chain = "*".join(["circle(4090,4100,12)"] * 2000)
    np.testing.assert_array_equal(kept(chain), A)
    np.testing.assert_array_equal(kept(chain + "*!circle(4095,4108,6)" * 2001), A & ~C)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_encodings_and_line_ends(tmp_path, encoding, end):
    text = end.join(
        ["# die Größe é… " if encoding != "latin-1" else "# Größe é", "physical", "circle(4095,4100,9.3) # ö"]
    )
    (tmp_path / "coded.reg").write_bytes(text.encode(encoding))
    shapes = read_region(tmp_path / "coded.reg")
    assert len(shapes) == 1
    assert shapes[0].radius == 9.3


def test_files_that_are_no_text(tmp_path):
    path = tmp_path / "bad.reg"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match="bad.reg' is not a text file, so it cannot be a region file"):
        read_region(path)
    path.write_bytes(b"\xff\xfea")
    with pytest.raises(ValueError, match="bad.reg' begins as UTF-16, but is not"):
        read_region(path)
    with path.open("wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(ValueError, match="bad.reg' is larger than 16 MiB, so it is hardly a region file"):
        read_region(path)


def test_brackets_in_names_of_files(cube, tmp_path):
    folder = tmp_path / "d[1]"
    folder.mkdir()
    path = folder / "source[2].reg"
    path.write_text("circle(4095,4100,5)")
    np.testing.assert_array_equal(cube.with_mask(path).mask, cube.with_mask(str(path)).mask)
    table = folder / "regions[3].fits"
    region_table([("Circle", CX, CY, 5, 0, 1)]).writeto(table)
    np.testing.assert_array_equal(cube.with_mask(f"{table}[REGION]").mask, cube.with_mask(path).mask)


def region_table(rows):
    """FITS table of regions, of (shape, x, y, radii, angles, component)."""
    shapes, *numbers, components = zip(*rows)
    x, y, radii, angles = (
        fits.Column(name, f"{n}D", array=[np.append(value, np.full(n - np.size(value), np.nan)) for value in values])
        for name, n, values in zip(("X", "Y", "R", "ROTANG"), (4, 4, 2, 2), numbers)
    )
    shapes, components = fits.Column("SHAPE", "16A", array=shapes), fits.Column("COMPONENT", "I", array=components)
    hdu = fits.BinTableHDU.from_columns([x, y, shapes, radii, angles, components])
    hdu.name = "REGION"
    return hdu


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("Circle", CX, CY, 9.3, 0, 1)], RADIUS < 9.3),
        ([("ROTBOX", CX, CY, [20, 12], 25, 1)], box(20, 12, 25)),
        ([("BOX", CX, CY, [20, 12], np.nan, 1)], box(20, 12)),
        ([("Ellipse", CX, CY, [14.2, 6.1], 30, 1)], ellipse(14.2, 6.1, 30)),
        ([("Pie", CX, CY, [5.2, 15.3], [20, 101], 1)], SHAPES["pie(4095,4100,5.2,15.3,20,101)"]),
        ([("Sector", CX, CY, np.nan, [-33, 62], 1)], SHAPES["sector(4095,4100,-33,62)"]),
        ([("Rectangle", [4080, 4110], [4090, 4110], np.nan, np.nan, 1)], SHAPES["rectangle(4080,4090,4110,4110)"]),
        # No pixel centre lies on an edge.
        (
            [("Polygon", [4079.5, 4110, 4110], [4090, 4090, 4120.5], np.nan, 0, 1)],
            (Y > 4090) & (X < 4110) & (Y - X < 10.5),
        ),
        # Rows of a component are intersected, components united.
        ([("Circle", 4090, 4100, 12, 0, 1), ("Circle", 4100, 4100, 12, 0, 1)], A & B),
        ([("Circle", 4090, 4100, 12, 0, 1), ("Circle", 4100, 4100, 12, 0, 2)], A | B),
        ([("Circle", 4090, 4100, 12, 0, 1), ("!Circle", 4100, 4100, 12, 0, 1)], A & ~B),
        ([("Circle", 4090, 4100, 12, 0, 1), ("!Circle", 4095, 4108, 6, 0, 1), ("Circle", 4100, 4100, 12, 0, 2)],
         A & ~C | B),
    ],
)  # fmt: skip
def test_tables_of_regions(events, tmp_path, rows, expected):
    path = tmp_path / "regions.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(name="OTHER"), region_table(rows)]).writeto(path)
    assert is_region_table(path)
    for name in (str(path), f"{path}[region]"):
        np.testing.assert_array_equal(~EventCube.from_events(events, region=name, **GRID).pixel_mask, expected)
    assert not is_region_table(f"{path}[OTHER]")


def test_tables_that_cannot_be_read(tmp_path):
    path = tmp_path / "regions.fits"
    region_table([("Circle", CX, CY, 9, 0, 1), ("Circle", CX, CY, np.nan, 0, 1)]).writeto(path)
    with pytest.raises(ValueError, match=r"regions.fits.*row 2 of REGION, 'circle': its row lacks a number"):
        read_region(path)
    region_table([("Blob", CX, CY, 9, 0, 1)]).writeto(path, overwrite=True)
    with pytest.raises(ValueError, match="row 1 of REGION, 'blob': the shape 'blob' is unknown"):
        read_region(path)
    with pytest.raises(ValueError, match="has no extension BKGREG"):
        read_region(f"{path}[BKGREG]")


def test_files_of_the_same_regions_in_two_frames(shared_data):
    # The sky pixels of the CIAO file are those of a list whose WCS the fk5 file allows to be found: compare areas.
    folder, pixel = shared_data / "regions", 0.492 / 3600
    shapes = [read_region(folder / name) for name in ("test01_ciao_physical.reg", "test01_fk5.reg")]
    assert [shape.meta["include"] for shape in shapes[0]] == [False, True, True, True]
    assert [shape.meta["include"] for shape in shapes[1]] == [False, True, True, True]
    for physical, sky in zip(*shapes):
        if hasattr(physical, "width"):
            assert sky.width.to_value(u.deg) / pixel == pytest.approx(physical.width, rel=1e-4)
            assert sky.angle.to_value(u.deg) == pytest.approx(physical.angle.to_value(u.deg))
        elif hasattr(physical, "radius"):
            assert sky.radius.to_value(u.deg) / pixel == pytest.approx(physical.radius, rel=1e-4)
        else:
            distances = sky.vertices[0].separation(sky.vertices).deg / pixel
            x, y = physical.vertices.x, physical.vertices.y
            expected = np.hypot(x - x[0], y - y[0])
            np.testing.assert_allclose(distances, expected, atol=0.1)


def test_table_of_chandra_s_source_catalog(shared_data):
    path = shared_data / "regions" / "binary_region_table.fits"
    (source,) = read_region(path)
    assert source.area == pytest.approx(1791.68, abs=0.01)  # ROI_AREA in its header
    (background,) = read_region(f"{path}[BKGREG]")
    x, y = np.meshgrid(np.arange(2800, 3400), np.arange(4300, 4800))
    # ROIBAREA excludes a streak as well, which the table does not list.
    assert np.count_nonzero(background.contains(PixCoord(x, y))) == pytest.approx(42646, rel=0.02)


# Parts of turned rings, shapes without an area, and physical shapes whose sizes are angles


@pytest.mark.parametrize("name", ["epanda", "bpanda"])
@pytest.mark.parametrize("turn", [0, 30])
def test_parts_of_turned_rings(kept, name, turn):
    along, across = turned(turn)
    own = np.rad2deg(np.arctan2(across, along)) % 360
    if name == "epanda":
        ring = ellipse(20, 10, turn) & ~ellipse(8, 4, turn)
        sizes = "8,4,20,10"
    else:
        ring = box(40, 20, turn) & ~box(16, 8, turn)
        sizes = "16,8,40,20"
    for start, stop in ((20, 130), (300, 60)):
        expected = ring & ((own - start) % 360 < (stop - start) % 360)
        found = kept(f"{name}({CX},{CY},{start},{stop},3,{sizes},2,{turn})")
        assert np.count_nonzero(found != expected) <= 2
        if turn == 0:
            np.testing.assert_array_equal(kept(f"{name}({CX},{CY},{start},{stop},3,{sizes},2)"), found)
    np.testing.assert_array_equal(kept(f"{name}({CX},{CY},0,360,4,{sizes},1,{turn})"), ring)


@pytest.mark.parametrize("said", ["background", "width=2 background", "source=0", "include = 0", "tag={a} BACKGROUND"])
def test_shapes_that_ds9_sets_apart_count_with_a_warning(kept, said):
    text = "physical\ncircle(4095,4100,9) # color=blue\ncircle(4110,4100,3)"
    with pytest.warns(AstropyUserWarning, match=r"1 line\(s\) say background, source=0 or include=0, but their shapes"):
        found = kept(f"{text} # {said}\n")
    np.testing.assert_array_equal(found, kept(text))
    with pytest.warns(AstropyUserWarning, match=r"1 line\(s\) say background"):
        kept(f"global source=0 include=1\n{text}")


@pytest.mark.parametrize("said", ["tag={background}", 'text="source=0"', "source=1 include=1", "backgrounds"])
def test_other_properties_of_ds9_are_no_matter(kept, said):
    excluded = "-circle(4095,4100,3) # background"  # as CIAO's regions are saved by DS9
    assert kept(f"physical\ncircle(4095,4100,9) # {said}\n# background\n{excluded}").any()


def test_shapes_without_an_area_are_left_out_with_a_notice(kept):
    text = "physical\npoint(4100,4100) # point=x\ncircle(4095,4100,9)\n-point(1,2)\ntext(4100,4100) # text={a}\n"
    with pytest.warns(AstropyUserWarning, match=r"3 shape\(s\) without an area \(point, text\) are left out"):
        found = kept(text)
    np.testing.assert_array_equal(found, circle(4095, 4100, 9))


PIXEL = 0.492  # arcsec, of the lists here


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'circle({CX},{CY},{9 * PIXEL}")', circle(CX, CY, 9)),
        (f"circle({CX},{CY},{9 * PIXEL / 60}')", circle(CX, CY, 9)),
        (f'box({CX},{CY},{30 * PIXEL}",{10 * PIXEL}",30)', box(30, 10, 30)),
        (f'circle({CX},{CY},{15 * PIXEL}")\n-circle({CX},{CY},{5 * PIXEL}")', circle(CX, CY, 15) & ~circle(CX, CY, 5)),
        (f'-circle({CX},{CY},{9 * PIXEL}")', ~circle(CX, CY, 9)),
        (f'circle({CX},{CY},15)&!circle({CX},{CY},{5 * PIXEL}")', circle(CX, CY, 15) & ~circle(CX, CY, 5)),
    ],
)
def test_physical_shapes_whose_sizes_are_angles(kept, text, expected):
    assert np.count_nonzero(kept(f"physical\n{text}") != expected) <= 2


def test_the_bounding_box_of_physical_shapes_whose_sizes_are_angles(events, tmp_path):
    (tmp_path / "a.reg").write_text(f'physical\ncircle({CX},{CY},{9.2 * PIXEL}")\n')
    (tmp_path / "b.reg").write_text(f"physical\ncircle({CX},{CY},9.2)\n")
    cubes = [EventCube.from_events(events, n_energy=1, region=tmp_path / name) for name in ("a.reg", "b.reg")]
    np.testing.assert_array_equal(cubes[0].data, cubes[1].data)
    whole = EventCube.from_events(events, **GRID)
    masks = [whole.with_mask(tmp_path / name).mask for name in ("a.reg", "b.reg")]
    np.testing.assert_array_equal(*masks)


def test_the_reader_is_known_to_the_regions_package(tmp_path):
    text = 'physical\nrotbox(4095,4100,30,10,30)\npie(4095,4100,3,9,0,90)\nfk5\n-circle(228.5,-59.1,9")\n'
    (tmp_path / "a.reg").write_text(text)
    for found in (regions.Regions.read(tmp_path / "a.reg", format="ciao"), regions.Regions.parse(text, format="ciao")):
        assert len(found) == 3
        assert found[0].contains(PixCoord(4094, 4099))
        assert [shape.meta["include"] for shape in found] == [True, True, False]
        assert isinstance(found[2], regions.CircleSkyRegion)
    with pytest.raises(ValueError, match="cannot be regions alone.* save it in fk5"):
        regions.Regions.parse('physical\ncircle(4095,4100,9")', format="ciao")
    with pytest.raises(ValueError, match="line 1, .*the shape 'hexagon' is unknown"):
        regions.Regions.parse("hexagon(1,2)", format="ciao")
