"""What lists say of themselves, against what is done with them."""

import logging
import shutil

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from numpy.testing import assert_array_equal

from astro_lpalm.cube import EventCube
from astro_lpalm.cube.event_checks import describe_empty_bins

from .conftest import make_events

GRID = {"energy": (1, 5) * u.keV, "n_energy": 8, "bounds": (4080, 4120, 4090, 4120)}

# That its data are no longer those of its DATASUM is true of this list.
damaged_m82 = pytest.mark.filterwarnings("ignore:.*m82_obs10027.*changed since it was written")


def with_columns(hdu, *columns):
    more = fits.BinTableHDU.from_columns(hdu.columns + fits.ColDefs(columns), header=hdu.header, name="EVENTS")
    more.header["TELESCOP"] = "CHANDRA"
    return more


def gti(intervals, name="GTI", **cards):
    start, stop = np.array(intervals, dtype=float).T
    columns = [fits.Column(key, "D", unit="s", array=values) for key, values in (("START", start), ("STOP", stop))]
    hdu = fits.BinTableHDU.from_columns(columns, name=name)
    hdu.header.update(cards)
    return hdu


def saved(tmp_path, *hdus):
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "evt.fits", overwrite=True)
    return tmp_path / "evt.fits"


# Good times: the events of the fixture are at 0, 1, ..., 9999 s


@pytest.mark.parametrize(
    "tables",
    [
        [gti([(0, 9999)])],
        [gti([(6000, 9999), (0, 6000)])],
        [gti([(0, 4000)], "GTI00001"), gti([(3000, 9999)], "STDGTI02")],
        [gti([(0, 9999)], "INTERVALS", HDUCLAS1="GTI"), gti([(5, 8)])],
        [gti([(-100, 9899)], TIMEZERO=100.0)],
        [gti([(0.49, 9998.51)])],  # half a frame
        [gti([(0.0, 9999.0)], CCD_ID=7), gti([(2, 3)], CCD_ID=1)],  # no CCD in the list
        [fits.BinTableHDU.from_columns([fits.Column("A", "D", array=[1.0])], name="GTI")],
    ],
)
def test_events_in_good_times_give_no_warning(events, tmp_path, tables):
    events.header["TIMEDEL"] = 1.0
    assert EventCube.from_events(saved(tmp_path, events, *tables), **GRID).data.sum() > 1000


def test_events_outside_the_good_times_are_warned_of(events, tmp_path):
    path = saved(tmp_path, events, gti([(0, 999), (2000, 8999.5)]))
    with pytest.warns(AstropyUserWarning, match=r"evt.fits': 2000 of 10000 events are outside .*\(GTI\).* dmcopy"):
        cube = EventCube.from_events(path, **GRID)
    assert_array_equal(cube.data, EventCube.from_events(events, **GRID).data)  # counted all the same
    with fits.open(path) as hdulist, pytest.warns(AstropyUserWarning, match="2000 of 10000 events are outside"):
        EventCube.from_events(hdulist, **GRID)


def test_each_ccd_has_its_own_good_times(events, tmp_path):
    hdu = with_columns(events, fits.Column("ccd_id", "I", array=np.arange(10_000) % 2))
    first, second = gti([(0, 9999)], CCD_ID=0, EXTVER=0), gti([(0, 4999)], CCD_ID=1, EXTVER=1)
    with pytest.warns(AstropyUserWarning, match="2500 of 10000 events are outside"):
        EventCube.from_events(saved(tmp_path, hdu, first, second), **GRID)


def test_good_times_that_cannot_be_read(events, tmp_path):
    columns = [fits.Column(key, "3A", array=["abc", "def"]) for key in ("START", "STOP")]
    path = saved(tmp_path, events, fits.BinTableHDU.from_columns(columns, name="GTI"))
    with pytest.warns(AstropyUserWarning, match="evt.fits': the good time intervals of table GTI cannot be read .*abc"):
        assert EventCube.from_events(path, **GRID).data.sum() > 1000


# Flags


@pytest.mark.parametrize("form", ["32X", "J", "4B"])
def test_flagged_events_are_warned_of(events, tmp_path, form):
    shape = {"32X": (10_000, 32), "J": (10_000,), "4B": (10_000, 4)}[form]
    status = np.zeros(shape, dtype=bool if form == "32X" else int)
    clean = with_columns(events, fits.Column("status", form, array=status))
    clean.header["CONTENT"] = "EVT1"  # which filtered lists may say
    expected = EventCube.from_events(saved(tmp_path, clean), **GRID)
    status[:30] = 1
    flagged = with_columns(events, fits.Column("status", form, array=status))
    with pytest.warns(AstropyUserWarning, match=r"STATUS bits are set for 30 of 10000 events\. .* dmcopy .*status=0"):
        EventCube.from_events(saved(tmp_path, flagged), **GRID)
    flagged.header["CONTENT"] = "EVT1"
    with pytest.warns(AstropyUserWarning, match="30 of 10000 events, and CONTENT is EVT1: a list of level 1"):
        cube = EventCube.from_events(saved(tmp_path, flagged), **GRID)
    assert_array_equal(cube.data, expected.data)
    flagged.header["CONTENT"], flagged.header["TELESCOP"] = "EVENTS", "SUZAKU"
    EventCube.from_events(saved(tmp_path, flagged), **GRID)


# Filters


def test_empty_bins_at_the_ends():
    rng = np.random.default_rng(5)
    for counts in (200, 2000, 20_000, 10**6):  # steep, and with a threshold, but not cut
        energy = np.concatenate([rng.exponential(0.5, counts), 0.6 + rng.exponential(0.4, counts)])
        assert describe_empty_bins(np.histogram(energy, 65, (0.5, 7))[0]) == ""
    assert describe_empty_bins([0] * 20 + [5, 4] + [0] * 20) == ""  # so few that it may be chance
    assert describe_empty_bins(np.zeros(5)) == ""
    assert describe_empty_bins([0] * 4 + [15] * 15 + [0] * 46).startswith("46 of 65 bins are empty")
    assert describe_empty_bins([0] * 10 + [15] * 15 + [0] * 40).startswith("50 of 65 bins are empty")


def test_a_list_filtered_in_energy_is_warned_of(events, tmp_path):
    kept = (events.data["energy"] >= 500) & (events.data["energy"] < 2000)
    path = saved(tmp_path, fits.BinTableHDU(events.data[kept], events.header, name="EVENTS"))
    grid = {"bounds": GRID["bounds"]}
    with pytest.warns(AstropyUserWarning) as given:
        EventCube.from_events(path, **grid)
    (text,) = (str(each.message) for each in given)
    assert "evt.fits': 50 of 65 bins are empty: was the list filtered in energy? There are 65 bins from 0.5" in text
    EventCube.from_events(path, energy=(0.5, 2) * u.keV, n_energy=15, **grid)


@pytest.mark.parametrize(
    ("cards", "n_outside"),
    [
        ({"DSTYP5": "energy", "DSVAL5": "500:4000", "DSUNIT5": "eV"}, 2),
        ({"DSTYP5": "energy", "DSVAL5": "500:4000"}, 2),  # in the column's own unit
        ({"DSTYP5": "ENERGY", "DSVAL5": "0.5:4.0", "DSUNIT5": "keV"}, 2),
        ({"DSTYP5": "energy", "DSVAL5": ":3900"}, 3),
        ({"DSTYP5": "energy", "DSVAL5": "1500:"}, 1),
        ({"DSTYP5": "pi", "DSVAL5": "104:1024"}, 1),
        ({"DSTYP5": "energy", "DSVAL5": "500:2000", "2DSVAL5": "500:4000"}, 2),
        ({"DSTYP5": "energy", "DSVAL5": "300:4000,6000:7000", "DSTYP6": "pi", "DSVAL6": "1:300"}, 2),
        ({"DSTYP5": "energy", "DSVAL5": "500:7000"}, 0),
        ({"DSTYP5": "pi", "DSVAL5": "69:343"}, 0),
        ({"DSTYP5": "grade", "DSVAL5": "0:0,2:2"}, 0),
        ({"DSTYP5": "energy", "DSVAL5": "TABLE"}, 0),
    ],
)
def test_filters_that_the_header_tells_of(events, cards, n_outside):
    events.header.update(cards)
    if not n_outside:
        EventCube.from_events(events, **GRID)
        return
    with pytest.warns(AstropyUserWarning, match=f"DSTYP5 = .*: {n_outside} of 8 bins are partly or wholly outside"):
        EventCube.from_events(events, **GRID)


# Tables


def test_two_tables_of_events(events, tmp_path):
    halves = [
        fits.BinTableHDU(events.data[rows], events.header, name="EVENTS") for rows in (slice(6000), slice(6000, None))
    ]
    path = saved(tmp_path, *halves)
    with pytest.warns(
        AstropyUserWarning, match="has 2 tables of events, with 6000, 4000 events: only the first is read"
    ):
        EventCube.from_events(path, **GRID)
    with fits.open(path) as hdulist:
        both = EventCube.from_events([hdulist[1], hdulist[2]], **GRID)
    assert_array_equal(both.data, EventCube.from_events(events, **GRID).data)


def test_other_tables_that_hold_no_photons_are_no_matter(events, tmp_path):
    empty = fits.BinTableHDU(events.data[:0], events.header, name="EVENTS")
    other = fits.BinTableHDU.from_columns([fits.Column("TIME", "D", array=[1.0])], name="REJECTED")
    other.header["HDUCLAS1"] = "EVENTS"
    cube = EventCube.from_events(saved(tmp_path, events, empty, other), **GRID)
    assert_array_equal(cube.data, EventCube.from_events(events, **GRID).data)


def test_columns_that_hold_no_numbers(events, tmp_path):
    n = len(events.data)
    others = {"vector": ("9E", np.ones((n, 9)), r"float32, shape \(9,\)"), "text": ("4A", ["abcd"] * n, "str")}
    for form, values, held in others.values():
        columns = [column for column in events.columns if column.name != "x"]
        hdu = fits.BinTableHDU.from_columns([*columns, fits.Column("x", form, array=values)], name="EVENTS")
        hdu.header["TELESCOP"], hdu.header["INSTRUME"] = "CHANDRA", "ACIS"
        path = saved(tmp_path, hdu)
        with pytest.raises(
            ValueError, match="evt.fits': the column x must hold one number for each event, but it holds"
        ):
            EventCube.from_events(path)
        with pytest.raises(ValueError, match=f"the table 'EVENTS': the column x must hold one number .* {held}"):
            EventCube.from_events(hdu)


def test_a_table_of_a_closed_file(events, tmp_path):
    with fits.open(saved(tmp_path, events)) as hdulist:
        table = hdulist["EVENTS"]
    with pytest.raises(ValueError, match="the file of the table 'EVENTS' was closed before the columns x, y, energy"):
        EventCube.from_events(table, **GRID)
    with fits.open(saved(tmp_path, events)) as hdulist:
        pass
    with pytest.raises(ValueError, match="evt.fits' was closed before its tables were read; give the file's name"):
        EventCube.from_events(hdulist, **GRID)


# Several lists


def test_one_observation_given_twice(events):
    events.header.update({"OBS_ID": "754", "TSTART": 5.0})
    alone = EventCube.from_events(events, **GRID)
    with pytest.warns(AstropyUserWarning, match="observations 1 and 2 are the same one: OBS_ID 754, .* give it once"):
        twice = EventCube.from_events([events, events], **GRID)
    assert_array_equal(twice.data, 2 * alone.data)
    with pytest.warns(AstropyUserWarning, match="observations 2 and 3 are the same one"):
        EventCube.merge([EventCube.from_events(make_events([4100.0], [4100.0], energy=[2000]), **GRID), alone, alone])


def test_one_file_given_twice(events, tmp_path):
    path = saved(tmp_path, events)
    link = tmp_path / "link.fits"
    link.symlink_to(path)
    for second in (path, str(path), link):
        with pytest.warns(AstropyUserWarning, match="evt.fits' and '.*fits' are one file: its photons count twice"):
            EventCube.from_events([path, second], **GRID)


@pytest.mark.parametrize(("key", "value"), [("OBI_NUM", 1), ("TSTART", 9.0), ("INSTRUME", "ACIS-2"), ("OBS_ID", "755")])
def test_parts_of_an_observation_are_not_the_same(events, key, value):
    events.header.update({"OBS_ID": "754", "TSTART": 5.0, "OBI_NUM": 0})
    other = events.copy()
    other.header[key] = value
    assert EventCube.from_events([events, other], **GRID).data.sum() > 0


def elsewhere(events, shift):
    data = events.data
    other = make_events(data["x"], data["y"], energy=data["energy"], pi=data["pi"])
    other.columns["y"].coord_ref_value += shift
    return other


def test_lists_of_different_fields(events):
    whole = {"energy": (1, 5) * u.keV, "n_energy": 1}
    with pytest.warns(AstropyUserWarning, match=r"Its events lie around RA, Dec = 228.* 1 deg from those of the first"):
        EventCube.from_events([events, elsewhere(events, 1.0)], bin_factor=64, **whole)
    EventCube.from_events([events, elsewhere(events, 0.1)], bin_factor=64, **whole)  # a mosaic
    for shift in (1.0, 40.0, 120.0):
        other = elsewhere(events, shift)
        with pytest.raises(ValueError, match=r" deg from the image: is it of another field of the sky"):
            EventCube.from_events([events, other], **GRID)
        like = EventCube.from_events(events, **GRID)
        with pytest.raises(ValueError, match="is it of another field of the sky"):
            EventCube.from_events(other, like=like)


@pytest.mark.parametrize("value", ["long", 0.0, -5.0])
def test_exposures_that_cannot_be_added(events, tmp_path, value):
    events.header["EXPOSURE"] = value
    path = saved(tmp_path, events)
    with pytest.raises(ValueError, match=f"evt.fits': EXPOSURE is {value!r}, "):
        EventCube.from_events([path, shutil.copy(path, tmp_path / "other.fits")], **GRID)
    expected = "but must be a finite number" if value == "long" else "and must be a positive number of seconds"
    with pytest.raises(ValueError, match=f"evt.fits': EXPOSURE is {value!r}, {expected}"):
        EventCube.from_events(path, **GRID)
    if value == "long":
        return
    events.header["EXPOSURE"] = 5.0
    cube = EventCube.from_events(events, **GRID)
    cube.meta["EXPOSURE"] = value
    with pytest.raises(ValueError, match=f"cube 1: EXPOSURE is {value!r}, and must be a positive number of seconds"):
        EventCube.merge([cube, cube])


def test_exposures_as_text_and_without_a_value(events, tmp_path):
    events.header["EXPOSURE"], events.header["TSTART"] = "20000.0", "1.5D3"
    path = saved(tmp_path, events)
    merged = EventCube.from_events([path, shutil.copy(path, tmp_path / "other.fits")], **GRID)
    assert (merged.meta["EXPOSURE"], merged.meta["TSTART"]) == (40000.0, 1500.0)
    events.header["EXPOSURE"] = events.header["TSTART"] = None
    path = saved(tmp_path, events)
    other = shutil.copy(path, tmp_path / "other.fits")
    assert not {"EXPOSURE", "TSTART"} & set(EventCube.from_events([path, other], **GRID).meta)
    assert "EXPOSURE" not in EventCube.from_events(path, **GRID).meta


# Whole sky pixels


def whole_pixels(form="I", n=400_000, side=120):
    x, y = np.random.default_rng(2).integers(1, side + 1, (2, n))
    hdu = make_events(x, y, energy=np.full(n, 2000.0), sky_format=form)
    for axis in (hdu.columns.names.index(name) + 1 for name in "xy"):
        hdu.header[f"TLMIN{axis}"], hdu.header[f"TLMAX{axis}"] = (0.5, side + 0.5) if form == "E" else (1, side)
    return hdu


def scatter(cube):
    image = cube.data[0, :-1, :-1].astype(float)  # the last ones may be cut
    return image.std() / np.sqrt(image.mean())


@pytest.mark.parametrize("form", ["I", "J", "E"])
def test_pixels_that_cut_through_sky_pixels_are_warned_of(form):
    hdu, grid = whole_pixels(form), {"n_energy": 1}
    for factor, good in (
        (1.5, "bin_factor=1 .* or bin_factor=2"),
        (2.12, "bin_factor=2 .* or bin_factor=3"),
        (0.5, "bin_factor=1 "),
    ):
        with pytest.warns(AstropyUserWarning, match=f"positions are whole sky pixels, of 0.492 arcsec, .*{good}"):
            cube = EventCube.from_events(hdu, bin_factor=factor, **grid)
        assert scatter(cube) > 1.2
    with pytest.warns(AstropyUserWarning, match=r"pixels of 2.03252 of them \(1 arcsec\).*pixel_scale=0.984 arcsec"):
        EventCube.from_events(hdu, pixel_scale=1 * u.arcsec, **grid)
    for good in ({"bin_factor": 2}, {"pixel_scale": 3 * 0.492 * u.arcsec}, {}):
        assert scatter(EventCube.from_events(hdu, **good, **grid)) < 1.1


def test_images_begin_between_whole_sky_pixels():
    hdu, grid = whole_pixels(), {"n_energy": 1, "bin_factor": 2}
    cube = EventCube.from_events(hdu, n_energy=1)
    center = cube.wcs.pixel_to_world(55.3, 60.4)
    cube = EventCube.from_events(hdu, center=center, size=20 * u.arcsec, **grid)
    assert [cube.meta[f"CRVAL{axis}P"] % 1 for axis in (1, 2)] == [0.5, 0.5]
    assert cube.wcs.pixel_to_world((cube.data.shape[2] - 1) / 2, (cube.data.shape[1] - 1) / 2).separation(
        center
    ) < 0.36 * u.arcsec  # fmt: skip
    for bounds in ((11, 30, 11, 30), (10.5, 30.5, 10.5, 30.5), (10.2, 30.9, 10.9, 30.2)):
        cube = EventCube.from_events(hdu, bounds=bounds, **grid)
        assert (cube.meta["CRVAL1P"], cube.data.shape) == (10.5, (1, 10, 10))
    with pytest.raises(ValueError, match="hold no sky pixel, whose centres are whole numbers; widen them"):
        EventCube.from_events(hdu, bounds=(10.2, 10.4, 1, 5), **grid)
    with pytest.warns(AstropyUserWarning, match="the image's edges x0 = 11, y0 = 11 cut through them"):
        EventCube.from_events(whole_pixels("E"), bounds=(11, 31, 11, 31), **grid)


def test_like_is_checked_for_stripes_as_well():
    like = EventCube.from_events(make_events([1.2, 100.4], [1.2, 100.4], energy=[1500] * 2), n_energy=1, bin_factor=1.5)
    with pytest.warns(AstropyUserWarning, match="pixels of 1.5 of them"):
        EventCube.from_events(whole_pixels(), like=like)


def test_whole_sky_pixels_make_no_pattern_on_other_pixels(caplog):
    hdu = whole_pixels()
    turned = whole_pixels()
    for name, roll in (("x", 0.0), ("y", 30.0)):
        turned.header[f"TCROT{turned.columns.names.index(name) + 1}"] = roll
    inside = {"n_energy": 1, "bounds": (4067, 4126, 4067, 4126), "bin_factor": 2}
    for each in (hdu, turned):  # around the tangent point, so that the turned image lies on the other
        each.data["x"] += 4036
        each.data["y"] += 4036
        for axis in (each.columns.names.index(n) + 1 for n in "xy"):
            each.header[f"TLMIN{axis}"], each.header[f"TLMAX{axis}"] = 1, 8192
    like = EventCube.from_events(hdu, **inside)
    with caplog.at_level(logging.INFO, logger="astro_lpalm"):
        cubes = [EventCube.from_events(turned, like=like) for _ in range(2)]
    assert scatter(cubes[0]) < 1.1
    assert_array_equal(cubes[0].data, cubes[1].data)
    assert caplog.text.count("the table 'EVENTS': events are spread over their sky pixels") == 2
    assert list(cubes[0].meta["HISTORY"]) == ["events spread over their sky pixels"]


# Real lists


@damaged_m82
def test_exposure_beyond_the_good_times_is_logged(shared_data, caplog):
    with caplog.at_level(logging.INFO, logger="astro_lpalm"):
        EventCube.from_events(shared_data / "events" / "m82_obs10027.fits", bin_factor=8)
        assert "EXPOSURE is 18279.3 s, but the good time intervals (GTI) add up to 945.336 s" in caplog.text
        caplog.clear()
        EventCube.from_events(shared_data / "events" / "obs1479_evt2.fits.gz", bin_factor=8)
    assert "EXPOSURE" not in caplog.text


@damaged_m82
@pytest.mark.parametrize(
    "name", ["m82_obs10027.fits", "m82_obs10027_noenergy.fits", "msh1552_obs754_evt2.fits.gz", "obs1479_evt2.fits.gz"]
)
def test_real_lists_give_no_warning(shared_data, name):
    assert EventCube.from_events(shared_data / "events" / name, bin_factor=8).data.sum() > 400
