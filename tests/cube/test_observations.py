import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import pixel_to_pixel
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.cube import EventCube

from .conftest import make_events
from .test_exposure import map_hdu

GRID = {"energy": (1, 5) * u.keV, "n_energy": 4, "bounds": (4080, 4120, 4090, 4120), "bin_factor": 2}


def sky(hdu):
    """WCS of a list's sky pixels, written by hand."""
    x, y = (hdu.columns[name] for name in ("x", "y"))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [x.coord_type, y.coord_type]
    wcs.wcs.crval = [x.coord_ref_value, y.coord_ref_value]
    wcs.wcs.crpix = [x.coord_ref_point, y.coord_ref_point]
    wcs.wcs.cdelt = [x.coord_inc, y.coord_inc]
    return wcs


def seen_from(hdu, crval, roll=0.0, **cards):
    """The same photons in another observation's sky pixels, with its tangent point and roll angle."""
    wcs = sky(hdu)
    wcs.wcs.crval = crval
    c, s = np.cos(np.deg2rad(roll)), np.sin(np.deg2rad(roll))
    wcs.wcs.pc = [[c, s], [-s, c]]  # as CROTA2 has it, where the first axis runs backwards
    x, y = pixel_to_pixel(sky(hdu), wcs, hdu.data["x"] - 1.0, hdu.data["y"] - 1.0)
    other = make_events(x + 1, y + 1, energy=hdu.data["energy"], pi=hdu.data["pi"], sky_format="D")
    for number, (name, value) in enumerate(zip(("x", "y"), crval)):
        column = other.columns[name]
        column.coord_ref_value = value
        if roll:
            other.header[f"TCROT{other.columns.names.index(name) + 1}"] = roll if number else 0.0
    other.header.update(cards)
    return other


def part(hdu, rows, **cards):
    some = fits.BinTableHDU(hdu.data[rows], hdu.header, name="EVENTS")
    some.header.update(cards)
    return some


# Events on common pixels


@pytest.mark.parametrize(
    ("crval", "roll"), [((228.9, -59.0), 0), ((228.4753161, -59.14006548), 57), ((227, -58.5), 200)]
)
def test_other_aim_points_and_rolls_come_to_the_same_sky(events, crval, roll):
    # Events at whole pixels' centres, so that rounding cannot carry them over an edge.
    centred = make_events(
        np.floor(events.data["x"]) + 0.5, np.floor(events.data["y"]) + 0.5, energy=events.data["energy"],
        pi=events.data["pi"], sky_format="D",
    )  # fmt: skip
    expected = EventCube.from_events(centred, **GRID)
    both = EventCube.from_events([centred, seen_from(centred, crval, roll)], **GRID)
    assert_array_equal(both.data, 2 * expected.data)
    assert both.wcs.wcs.compare(expected.wcs.wcs)
    alone = EventCube.from_events(seen_from(centred, crval, roll), like=expected)
    assert_array_equal(alone.data, expected.data)
    assert_array_equal(alone.energy_edges, expected.energy_edges)


def test_default_image_holds_all_events(events):
    away = seen_from(events, (228.4753161, -59.14006548))
    away.data["x"] += 300
    both = EventCube.from_events([events, away], energy=(0.1, 10) * u.keV)
    assert both.data.sum() == 2 * len(events.data)
    assert 300 < both.data.shape[2] < 500
    # Whole pixels of the first list's image: of the default image's edges each is a sky pixel's.
    assert (both.meta["CRVAL1P"] - 0.5) % 1 == 0


@pytest.mark.parametrize("bin_factor", [1, 2])
def test_split_in_two_is_merged_to_the_same(events, bin_factor):
    first = np.random.default_rng(3).random(len(events.data)) < 0.3
    grid = GRID | {"bin_factor": bin_factor}
    halves = [part(events, first), part(events, ~first)]
    whole, merged = EventCube.from_events(events, **grid), EventCube.from_events(halves, **grid)
    assert_array_equal(merged.data, whole.data)
    assert merged.data.dtype == whole.data.dtype
    assert merged.wcs.wcs.compare(whole.wcs.wcs)
    one_by_one = EventCube.from_events(halves[0], **grid)
    one_by_one = EventCube.merge([one_by_one, EventCube.from_events(halves[1], like=one_by_one)])
    assert_array_equal(one_by_one.data, whole.data)
    assert one_by_one.meta["CRVAL1P"] == whole.meta["CRVAL1P"]


def test_a_real_list_split_in_two(shared_data, tmp_path):
    path = shared_data / "events" / "msh1552_obs754_evt2.fits.gz"
    grid = {"pixel_scale": 4 * u.arcsec, "n_energy": 13}
    whole = EventCube.from_events(path, **grid)
    with fits.open(path) as hdulist:
        early = hdulist["EVENTS"].data["time"] < np.median(hdulist["EVENTS"].data["time"])
        for name, rows in (("early", early), ("late", ~early)):
            part(hdulist["EVENTS"], rows).writeto(tmp_path / f"{name}.fits", checksum=True)
    merged = EventCube.from_events([tmp_path / "early.fits", tmp_path / "late.fits"], **grid)
    assert_array_equal(merged.data, whole.data)
    assert merged.meta["EXPOSURE"] == pytest.approx(2 * whole.meta["EXPOSURE"])
    assert merged.meta["OBS_ID"] == "754"
    assert len([line for line in merged.meta["HISTORY"] if "OBS_ID 754" in line]) == 2


def test_lists_of_different_kinds(events):
    # keV instead of eV, and channels alone
    kev = make_events(
        events.data["x"], events.data["y"], energy=events.data["energy"] / 1e3, unit="keV", sky_format="D"
    )
    channels = make_events(events.data["x"], events.data["y"], pi=events.data["pi"])
    both = EventCube.from_events([events, kev], **GRID)
    assert_array_equal(both.data, 2 * EventCube.from_events(events, **GRID).data)
    mixed = EventCube.from_events([kev, channels], **GRID)
    assert_array_equal(
        mixed.data, EventCube.from_events(kev, **GRID).data + EventCube.from_events(channels, **GRID).data
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exposure": [np.ones((15, 20))]}, "there are 2 event lists; give a list of as many exposure maps"),
        ({"exposure": np.ones((15, 20))}, "there are 2 event lists; give a list of as many exposure maps"),
        ({"like": None, "bounds": (1, 20, 1, 20)}, "none of the 10000 events is selected"),
    ],
)
def test_unsuitable_arguments(events, options, message):
    with pytest.raises(ValueError, match=message):
        EventCube.from_events([events, events], **GRID | options)


def test_sky_that_does_not_overlap(events):
    elsewhere = seen_from(events, (228.4753161, -59.14006548))
    for name, value in (("x", 48.0), ("y", 59.0)):
        elsewhere.columns[name].coord_ref_value = value
    with pytest.raises(ValueError, match=r"none of the 10000 events is selected .* \d{4} without a position"):
        EventCube.from_events([events, elsewhere], **GRID)


def test_like_takes_the_place_of_a_grid(events, cube):
    with pytest.raises(ValueError, match="give either like, whose pixels are taken, or bin_factor, bounds, not both"):
        EventCube.from_events(events, like=cube, bin_factor=2, bounds=(1, 2, 1, 2))
    with pytest.raises(TypeError, match="like must be an EventCube, not str"):
        EventCube.from_events(events, like="cube.fits")
    with pytest.raises(ValueError, match="events is an empty list"):
        EventCube.from_events([])
    coarse = EventCube.from_events(events, like=cube, energy=(1, 5) * u.keV, n_energy=2)
    assert_array_equal(coarse.data[0], cube.data[:4].sum(axis=0))


# Cubes added up


def exposed(events, exposure, mask=None, **cards):
    made = EventCube.from_events(part(events, slice(None), **cards), **GRID)
    return EventCube(
        made.data, energy_edges=made.energy_edges, wcs=made.wcs, meta=made.meta, exposure=exposure, mask=mask
    )


def test_exposures_are_added_and_gaps_filled(events):
    one, two = np.full((15, 20), 3.0), np.full((15, 20), 2.0)
    one[:, 4], two[6], one[0, 0], two[0, 0] = 0, 0, 0, 0
    bad = np.zeros((15, 20), dtype=bool)
    bad[9, 9] = True
    first, second = exposed(events, one * u.ks), exposed(events, two * 1000 * u.s, bad)
    merged = EventCube.merge([first, second])
    expected = np.full((15, 20), 5.0)
    expected[:, 4], expected[6], expected[9, 9], expected[6, 4], expected[0, 0] = 2, 3, 3, 0, 0
    assert_allclose(merged.exposure.to_value(u.ks), expected)
    assert merged.exposure.unit == u.ks
    assert_array_equal(merged.mask, expected == 0)
    shares = (one > 0).astype(int) + ((two > 0) & ~bad)
    assert_array_equal(merged.data, first.data * shares)
    # without exposures, what is missing from one cannot be made up for
    first, second = exposed(events, None), exposed(events, None, bad)
    assert_array_equal(EventCube.merge([first, second]).mask, bad)
    assert_array_equal(EventCube.merge(iter([first])).data, first.data)


def test_maps_of_each_list(events):
    first = EventCube.from_events(events, **GRID)
    hdu = map_hdu(np.full((15, 20), 2.0), first.wcs, "cm2 s")
    merged = EventCube.from_events([events, events, events], exposure=[hdu] * 3, **GRID)
    assert_array_equal(merged.exposure, np.full((15, 20), 6.0) * u.cm**2 * u.s)


def test_relative_exposures_count_by_their_times(events):
    ones = np.ones((15, 20))
    merged = EventCube.merge([exposed(events, ones, EXPOSURE=100.0), exposed(events, ones / 2, EXPOSURE=300.0)])
    assert_allclose(merged.exposure.to_value(u.s), 250)
    timeless = exposed(events, ones)
    del timeless.meta["EXPOSURE"]
    with pytest.raises(ValueError, match="relative exposure maps can only be added with the exposure times"):
        EventCube.merge([timeless, timeless])


def test_header_of_the_merged(events):
    cards = {
        "LIVETIME": 990.0,
        "ONTIME": 1010.0,
        "TSTART": 50.0,
        "TSTOP": 60.0,
        "OBS_ID": "12",
        "DATE-END": "2000-09-01",
    }
    later = {**cards, "TSTART": 80.0, "TSTOP": 95.0, "OBS_ID": "34", "EXPOSURE": 500.0, "DATE-END": "2001-01-02"}
    later["DATE-OBS"] = "2001-01-01T00:00:00"
    header = EventCube.from_events(
        [part(events, slice(None), **later), part(events, slice(None), **cards)], **GRID
    ).meta
    assert (header["EXPOSURE"], header["LIVETIME"], header["ONTIME"]) == (1500, 1980, 2020)
    assert (header["TSTART"], header["TSTOP"]) == (50, 95)
    assert (header["DATE-OBS"], header["DATE-END"]) == ("2000-08-14T09:59:15", "2001-01-02")
    assert (header["OBJECT"], header["TELESCOP"]) == ("SIMULATED", "CHANDRA")
    assert "OBS_ID" not in header
    history = "\n".join(header["HISTORY"])
    assert "merged from 2 observations" in history
    assert "OBS_ID 34, DATE-OBS 2001-01-01T00:00:00, EXPOSURE 500.0" in history
    no_ontime = part(events, slice(None), **cards | {"OBS_ID": "56"})
    del no_ontime.header["ONTIME"]
    assert "ONTIME" not in EventCube.from_events([part(events, slice(None), **cards), no_ontime], **GRID).meta


def test_merged_cube_is_written_and_read(events, tmp_path):
    merged = EventCube.from_events([events, events], exposure=[np.ones((15, 20)) * u.ks] * 2, **GRID)
    merged.write(tmp_path / "cube.fits")
    again = EventCube.read(tmp_path / "cube.fits")
    assert_array_equal(again.data, merged.data)
    assert_array_equal(again.exposure, merged.exposure)
    assert list(again.meta["HISTORY"]) == list(merged.meta["HISTORY"])
    assert again.wcs.wcs.compare(merged.wcs.wcs)


def test_cubes_that_do_not_belong_together(events):
    first = EventCube.from_events(events, **GRID)
    ones = np.ones((15, 20))
    for other, message in (
        (
            EventCube.from_events(events, **GRID | {"bounds": (4081, 4121, 4090, 4120)}),
            "cube 2 is on another pixel grid",
        ),
        (
            EventCube.from_events(events, **GRID | {"bounds": (4080, 4122, 4090, 4120)}),
            "cube 2 is on another pixel grid",
        ),
        (EventCube.from_events(events, **GRID | {"n_energy": 5}), "cube 2 has 5 bins from 1 to 5 keV"),
        (exposed(events, ones * u.s), "cube 2 has an exposure map, unlike those before it"),
    ):
        with pytest.raises(ValueError, match=message):
            EventCube.merge([first, other])
    with pytest.raises(ValueError, match="the exposure of cube 2 is in 'cm2 s' and that of the ones before it in 's'"):
        EventCube.merge([exposed(events, ones * u.s), exposed(events, ones * u.cm**2 * u.s)])
    with pytest.raises(ValueError, match="there are no cubes to merge"):
        EventCube.merge([])
