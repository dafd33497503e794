import gzip
import logging
import tracemalloc

import astropy.units as u
import numpy as np
import pytest
import regions
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS, FITSFixedWarning

from astro_lpalm.cube import EventCube

from .conftest import make_events

GRID = {"energy": (1, 5) * u.keV, "n_energy": 8, "bounds": (4080, 4120, 4090, 4120)}


def histogram(hdu, bin_factor=1, energy_edges=None):
    """The cube that `numpy.histogramdd` makes: the same half-open bins, found by searching."""
    data = hdu.data
    edges = np.linspace(1000, 5000, 9) if energy_edges is None else energy_edges
    y, x = np.arange(4090, 4121, bin_factor), np.arange(4080, 4121, bin_factor)
    sample = np.stack([data["energy"].astype(float), data["y"].astype(float), data["x"].astype(float)], axis=1)
    return np.histogramdd(sample, bins=(edges, y, x))[0]


@pytest.mark.parametrize("bin_factor", [1, 2, 5])
def test_counts_are_those_of_a_histogram(events, bin_factor):
    cube = EventCube.from_events(events, bin_factor=bin_factor, **GRID)
    expected = histogram(events, bin_factor)
    assert 1000 < expected.sum() < 9000
    np.testing.assert_array_equal(cube.data, expected)
    assert cube.data.dtype == np.int32
    assert cube.data.dtype.isnative


def test_uneven_energy_edges(events):
    edges = [1.0, 1.3, 2.7, 5.0] * u.keV
    cube = EventCube.from_events(events, energy_edges=edges, bounds=GRID["bounds"])
    np.testing.assert_array_equal(cube.data, histogram(events, energy_edges=edges.to_value(u.eV)))
    assert u.allclose(cube.energy_edges, edges)


def test_lower_edges_are_included_and_upper_ones_are_not():
    hdu = make_events([10, 12, 10, 11.99], [20, 20, 22, 21.99], energy=[1000, 1500, 1500, 1999.9])
    cube = EventCube.from_events(hdu, energy=(1, 2) * u.keV, n_energy=2, bounds=(10, 12, 20, 22))
    assert cube.data[0, 0, 0] == 1
    assert cube.data[1, 1, 1] == 1
    assert cube.data.sum() == 2


def test_energies_on_the_edges_fall_above_them():
    # 0.5 + 7 * 0.1 is not 1.2 in floating point
    energy = np.arange(500, 7000, 100)
    hdu = make_events(np.full(65, 5.0), np.full(65, 5.0), energy=energy)
    cube = EventCube.from_events(hdu, bounds=(4, 6, 4, 6))
    np.testing.assert_array_equal(cube.data.sum(axis=(1, 2)), 1)
    edges = np.linspace(0.5, 7, 66)
    edges[1] += 1e-3  # no longer uniform: found by searching
    counts = EventCube.from_events(hdu, energy_edges=edges * u.keV, bounds=(4, 6, 4, 6)).data.sum(axis=(1, 2))
    np.testing.assert_array_equal(counts, [2, 0, *np.ones(63)])


@pytest.mark.parametrize("form", ["file", "gzip", "hdulist", "hdu", "copy"])
def test_every_form_of_input_gives_the_same_cube(events, tmp_path, form):
    hdulist = fits.HDUList([fits.PrimaryHDU(), events])
    path = tmp_path / ("events.fits.gz" if form == "gzip" else "events.fits")
    hdulist.writeto(path)
    given = {"file": str(path), "gzip": path, "hdulist": hdulist, "hdu": events, "copy": events.copy()}[form]
    cube = EventCube.from_events(given, **GRID)
    np.testing.assert_array_equal(cube.data, histogram(events))
    assert cube.meta["OBJECT"] == "SIMULATED"
    assert cube.meta["EXPOSURE"] == 1000


def test_table_needs_the_coordinates_that_astropy_drops(events, tmp_path):
    events.writeto(tmp_path / "events.fits")
    table = Table.read(tmp_path / "events.fits", hdu=1)
    with pytest.raises(ValueError, match=r"carry no celestial coordinates.*pass the file or its HDU"):
        EventCube.from_events(table, **GRID)
    table.meta.update({key: events.header[key] for key in events.header if key.startswith("TC")})
    np.testing.assert_array_equal(EventCube.from_events(table, **GRID).data, histogram(events))
    table = QTable(table)
    table["energy"] = table["energy"].to(u.keV)
    np.testing.assert_array_equal(EventCube.from_events(table, **GRID).data, histogram(events))


@pytest.mark.parametrize("names", [("Y", "PI", "ENERGY", "X"), ("energy", "Time", "X", "y")])
def test_columns_in_any_place_and_case(events, names):
    data = events.data
    hdu = make_events(data["x"], data["y"], energy=data["energy"], pi=data["pi"], names=names)
    cube = EventCube.from_events(hdu, **GRID)
    np.testing.assert_array_equal(cube.data, histogram(events))
    assert cube.wcs.wcs.crval == pytest.approx([228.4753161, -59.14006548])


def test_scaled_columns(events, tmp_path):
    # unsigned integers are stored with an offset, TZERO
    columns = [column.copy() for column in events.columns]
    whole = np.floor(events.data["x"]).astype(np.uint16)
    place = {key: getattr(columns[1], f"coord_{key}") for key in ("type", "ref_value", "ref_point", "inc")}
    columns[1] = fits.Column("x", "I", bzero=32768, array=whole, **{f"coord_{key}": v for key, v in place.items()})
    fits.BinTableHDU.from_columns(columns, header=events.header, name="EVENTS").writeto(tmp_path / "scaled.fits")
    cube = EventCube.from_events(tmp_path / "scaled.fits", **{**GRID, "bounds": (4080, 4119, 4090, 4120)})
    np.testing.assert_array_equal(cube.data, histogram(events))


def test_whole_number_coordinates_are_pixel_centres():
    hdu = make_events([1, 2, 4], [1, 1, 3], energy=[1000, 1000, 1000], sky_format="I")
    for axis in (2, 3):
        hdu.header[f"TLMIN{axis}"], hdu.header[f"TLMAX{axis}"] = 1, 4
    for bounds in (None, (1, 4, 1, 3)):
        cube = EventCube.from_events(hdu, n_energy=1, bounds=bounds)
        np.testing.assert_array_equal(cube.data[0], [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
        assert cube.meta["CRVAL1P"] == 0.5


def test_pi_only(events):
    data = events.data
    pi = data["pi"].copy()
    pi[:10] = 1024
    hdu = make_events(data["x"], data["y"], pi=pi)
    cube = EventCube.from_events(hdu, energy=(0, 100) * u.keV, n_energy=1, bounds=(4000, 4200, 4000, 4200))
    assert cube.data.sum() == len(pi) - 10
    edges = np.array([100, 150, 200]) * 14.6 * u.eV
    cube = EventCube.from_events(hdu, energy_edges=edges, bounds=(4000, 4200, 4000, 4200))
    inside = [np.count_nonzero((pi > low) & (pi <= low + 50)) for low in (100, 150)]
    np.testing.assert_array_equal(cube.data.sum(axis=(1, 2)), inside)


def test_pi_of_another_instrument_is_refused():
    hdu = make_events([1.0], [1.0], pi=[100])
    hdu.header["TELESCOP"] = "NUSTAR"
    with pytest.raises(ValueError, match="what energy a PI channel of NUSTAR ACIS has is not known"):
        EventCube.from_events(hdu)


def test_log_accounts_for_every_event(caplog):
    x = [5, 5, 5, 5, 5, 50, np.nan, 7.5]
    energy = [1000, 16000, 9000, 100, 2000, 1000, 1000, 1000]
    hdu = make_events(x, np.full(8, 5.0), energy=energy, pi=[69, 1024, 617, 7, 137, 69, 69, 69])
    circle = regions.CirclePixelRegion(regions.PixCoord(4.5, 4.5), 1)
    with caplog.at_level(logging.INFO, logger="astro_lpalm"):
        cube = EventCube.from_events(hdu, bounds=(0, 10, 0, 10), region=circle)
    assert cube.data.sum() == 2
    assert (
        "2 of 8 events counted; left out: 1 in the overflow channel PI 1024, 2 outside the energy range, 1 without a "
        "position (NaN), 1 outside the image, 1 outside the region"
    ) in caplog.text


def test_default_is_the_model_grid_cropped_to_the_selected_events():
    hdu = make_events([100.2, 110.7, 300.0], [50.5, 60.2, 300.0], energy=[1000, 6999, 9000])
    cube = EventCube.from_events(hdu)
    assert cube.data.shape == (65, 10, 12)
    assert u.allclose(cube.energy_edges[[0, -1]], [0.5, 7] * u.keV)
    assert (cube.meta["CRVAL1P"], cube.meta["CRVAL2P"]) == (99.5, 50.5)
    assert cube.data.sum() == 2
    whole = EventCube.from_events(hdu, bin_factor=4, n_energy=1)
    assert (whole.meta["CRVAL1P"], whole.meta["CRVAL2P"]) == (96.5, 48.5)
    assert whole.data.sum() == 2


def test_default_leaves_out_what_is_off_the_lists_image():
    hdu = make_events([100.0, 9000.0, np.nan], [50.0, 60.0, 60.0], energy=[1000, 1000, 1000])
    cube = EventCube.from_events(hdu, n_energy=1)
    assert cube.data.shape == (1, 1, 1)
    at_the_corner = make_events([8192.5, 8190.0], [8192.4, 8192.5], energy=[1000, 1000])
    with pytest.raises(ValueError, match="2 outside the image"):
        EventCube.from_events(at_the_corner, n_energy=1, bounds=(8191, 8192.5, 8190, 8192))


def test_pixel_scale_center_and_size(events):
    center = SkyCoord(228.4753161, -59.14006548, unit="deg")
    cube = EventCube.from_events(
        events, pixel_scale=1 * u.arcsec, center=center, size=(20, 0.5) * u.Unit("arcsec"), n_energy=1
    )
    assert cube.data.shape == (1, 1, 20)
    cube = EventCube.from_events(events, pixel_scale=1 * u.arcsec, center=center, size=20 * u.arcsec, n_energy=1)
    assert cube.data.shape == (1, 20, 20)
    assert cube.wcs.wcs.cdelt * 3600 == pytest.approx([-1, 1])
    middle = cube.wcs.pixel_to_world(9.5, 9.5)
    assert middle.separation(center) < 1e-6 * u.arcsec


def test_last_pixel_is_whole_where_the_bins_do_not_fit():
    hdu = make_events([1.0, 10.5, 11.5, 12.5], [1.0, 1.0, 1.0, 1.0], energy=np.full(4, 1000))
    cube = EventCube.from_events(hdu, bounds=(0, 10, 0, 4), bin_factor=4, n_energy=1)
    np.testing.assert_array_equal(cube.data, [[[1, 0, 2]]])


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
@pytest.mark.parametrize(("bin_factor", "energy", "name"), [(1, (2, 5), "bin1"), (10, (0, 1000), "bin10")])
def test_agrees_with_ciao_dmcopy(shared_data, bin_factor, energy, name):
    with fits.open(shared_data / "events" / f"obs1479_dmcopy_{name}.fits.gz") as hdulist:
        expected, header = hdulist[0].data, hdulist[0].header
    cube = EventCube.from_events(
        shared_data / "events" / "obs1479_evt2.fits.gz",
        energy=energy * u.keV,
        n_energy=1,
        bounds=(4000, 4100, 4000, 4100),
        bin_factor=bin_factor,
    )
    np.testing.assert_array_equal(cube.data[0], expected)
    ours = cube.celestial_header()
    stems = ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CUNIT", "WCSTY", "LTV", "LTM", "MTYPE", "MFORM", "EQUINOX")
    keywords = [key for key in header if key.startswith(stems)]
    assert len(keywords) == 29
    for key in keywords:
        tolerant = isinstance(header[key], float)
        assert ours[key] == (pytest.approx(header[key], rel=1e-13) if tolerant else header[key]), key
    assert ours["RADESYS"] == header["RADECSYS"]
    for key in ("TELESCOP", "OBS_ID", "EXPOSURE", "DATE-OBS"):
        assert cube.meta[key] == header[key]
    written = cube.to_hdulist()[0].header
    for system in ("", "P"):
        for hdr in (ours, written):
            theirs = WCS(header, key=system or " ").wcs_pix2world([[3, 7]], 1)
            wcs = WCS(hdr, key=system or " ", naxis=2)
            np.testing.assert_allclose(wcs.wcs_pix2world([[3, 7]], 1), theirs, rtol=1e-12)


def test_ciao_energies_without_an_energy_column(shared_data):
    edges = np.array([50, 200, 480]) * 14.6 * u.eV  # on the channels' edges, both lists say the same
    grid = {"energy_edges": edges, "bounds": (3900, 4800, 3500, 4400), "bin_factor": 20}
    lists = []
    for name in ("m82_obs10027.fits", "m82_obs10027_noenergy.fits"):
        with pytest.warns(AstropyUserWarning, match=rf"{name}': the data of extension 1 \(EVENTS\).*\(DATASUM\)"):
            lists.append(EventCube.from_events(shared_data / "events" / name, **grid))  # both are parts of the original
    with_energy, without = lists
    assert with_energy.data.sum() > 3000
    np.testing.assert_array_equal(with_energy.data, without.data)


def test_pulsar_of_msh1552_is_where_it_is(shared_data):
    pulsar = SkyCoord("15:13:55.6 -59:08:09", unit=("hourangle", "deg"))
    cube = EventCube.from_events(
        shared_data / "events" / "msh1552_obs754_evt2.fits.gz",
        center=pulsar,
        size=2 * u.arcmin,
        pixel_scale=0.5 * u.arcsec,
    )
    image = cube.data.sum(axis=0)
    assert image.shape == (240, 240)
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert cube.wcs.pixel_to_world(column, row).separation(pulsar) < 1 * u.arcsec


@pytest.mark.parametrize("bad", [np.nan, -5.0, np.inf])
def test_bad_energies(events, bad):
    events.data["energy"][[3, 5]] = bad
    with pytest.raises(ValueError, match="ENERGY is not finite and not negative for 2 of 10000 events"):
        EventCube.from_events(events, **GRID)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"energy": (0.5, 7.0)}, r"energy=\(0.5, 7.0\) must be energies with a unit"),
        ({"energy": (0.5, 7.0) * u.m}, "must be energies with a unit"),
        ({"energy": (7, 0.5) * u.keV}, "energy must be finite, not negative and increasing"),
        ({"energy": (1, 2, 3) * u.keV}, "energy must be a pair"),
        ({"energy_edges": [1, 3, 2] * u.keV}, "energy_edges must be finite, not negative and increasing"),
        ({"energy_edges": [1, 2] * u.keV, "n_energy": 3}, "either energy_edges or energy and n_energy"),
        ({"n_energy": 0}, "n_energy=0 must be a positive whole number"),
        ({"bin_factor": 2, "pixel_scale": 1 * u.arcsec}, "either bin_factor or pixel_scale"),
        ({"bin_factor": -1}, "bin_factor=-1 must be a positive number"),
        ({"pixel_scale": 0.5}, "pixel_scale=0.5 must be an angle with a unit"),
        ({"bounds": (1, 2, 3)}, "bounds=.* must be four numbers"),
        ({"bounds": (2, 1, 3, 4)}, "must be finite, with x0 < x1"),
        ({"bounds": (1, 2, 3, 4), "size": 1 * u.arcmin}, "either bounds or center and size"),
        ({"size": 1 * u.arcmin}, "center and size must be given together"),
        ({"center": (228.4, -59.1), "size": 1 * u.arcmin}, "center must be a single astropy SkyCoord"),
        ({"center": SkyCoord(48, 59, unit="deg"), "size": 1 * u.arcmin}, "other side of the sky"),
        ({"center": SkyCoord(228, -59, unit="deg"), "size": -1 * u.arcmin}, "positive, finite"),
        ({"bounds": (1, 2, 3, 4)}, r"none of the 10000 events is selected .* outside the image"),
        ({"energy": (90, 95) * u.keV}, "none of the 10000 events lies between 90 keV and 95 keV"),
        (
            {"bounds": (0, 8192, 0, 8192), "bin_factor": 0.001},
            "GiB, more than there is memory; use a larger bin_factor",
        ),
    ],
)
def test_unsuitable_arguments(events, arguments, message):
    with pytest.raises(ValueError, match=message):
        EventCube.from_events(events, **arguments)


@pytest.mark.parametrize("where", [{}, {"bounds": (4080, 4120, 4090, 4120)}])
def test_energies_a_thousand_times_off(events, where):
    meant = r"energies without a unit are in keV: did you mean 0.5 to 7\?$"
    with pytest.raises(ValueError, match=f"(?i){meant}"):
        EventCube.from_events(events, energy=(500, 7000) * u.keV, **where)
    with pytest.raises(ValueError, match="none of the") as caught:
        EventCube.from_events(events, energy=(90000, 95000) * u.keV, **where)
    assert "did you mean" not in str(caught.value)
    assert "TUNIT" not in str(caught.value)
    number = events.columns.names.index("energy") + 1
    events.columns[number - 1].unit = events.header[f"TUNIT{number}"] = "keV"
    with pytest.raises(ValueError, match="look like eV, though they are said to be keV: correct TUNITn"):
        EventCube.from_events(events, energy=(0.5, 7) * u.keV, **where)


@pytest.mark.parametrize("name", ["snr", "model.fits"])
def test_a_model_that_is_not_there(events, name):
    with pytest.raises(FileNotFoundError, match=f"'{name}' is neither a file nor a packaged model; .* snr-acis"):
        EventCube.from_events(events, model=name)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("time", "y", "energy"),
            "has no sky coordinates X and Y: its columns are time, y, energy",
        ),
        (
            ("time", "x", "y"),
            "has neither ENERGY nor PI: its columns are time, x, y. Take the list .* or add a column ENERGY",
        ),
    ],
)
def test_missing_columns(events, names, message):
    hdu = fits.BinTableHDU.from_columns([column for column in events.columns if column.name in names], name="EVENTS")
    with pytest.raises(ValueError, match=message):
        EventCube.from_events(hdu)


def test_unsuitable_lists(events, tmp_path):
    with pytest.raises(TypeError, match="events must be a FITS file's name, .* not int"):
        EventCube.from_events(3)
    with pytest.raises(ValueError, match="the HDUList has no EVENTS table: its extensions are PRIMARY"):
        EventCube.from_events(fits.HDUList([fits.PrimaryHDU()]))
    with pytest.raises(ValueError, match="holds no events"):
        EventCube.from_events(make_events([], [], energy=[]))
    with pytest.raises(ValueError, match="unit of ENERGY is s, which is not one of energy"):
        EventCube.from_events(make_events([1.0], [1.0], energy=[1], unit="s"))
    events.columns["x"].coord_type = events.columns["y"].coord_type = None
    with pytest.raises(ValueError, match="sky columns .* carry no celestial coordinates"):
        EventCube.from_events(events)


@pytest.mark.parametrize("kind", ["missing", "text", "truncated", "truncated gzip"])
def test_unreadable_files(events, tmp_path, kind):
    path = tmp_path / "events.fits"
    events.writeto(path)
    content = path.read_bytes()
    if kind == "missing":
        path.unlink()
    elif kind == "text":
        path.write_text("x, y, energy\n")
    elif kind == "truncated":
        path.write_bytes(content[:100_000])
    else:
        path = tmp_path / "events.fits.gz"
        path.write_bytes(gzip.compress(content)[:100_000])
    with pytest.raises(FileNotFoundError if kind == "missing" else OSError, match=r"there is no file|truncated"):
        EventCube.from_events(path)


def test_memory_is_that_of_the_columns_and_the_cube(events, tmp_path):
    big = fits.BinTableHDU(np.tile(events.data, 100), header=events.header, name="EVENTS")
    big.writeto(tmp_path / "events.fits")
    del big
    grid = {**GRID, "n_energy": 64}
    EventCube.from_events(tmp_path / "events.fits", **grid)
    tracemalloc.start()
    try:
        cube = EventCube.from_events(tmp_path / "events.fits", **grid)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    columns = 1_000_000 * 12  # x, y and energy, of 4 bytes each
    assert cube.data.sum() == 100 * histogram(events).sum()
    assert peak < columns + cube.data.nbytes + 4e6


def test_wcs_of_a_list_with_a_date_gives_no_warning(events, recwarn):
    EventCube.from_events(events, **GRID)
    assert not [warning for warning in recwarn if issubclass(warning.category, FITSFixedWarning)]


@pytest.mark.parametrize(
    ("key", "value"), [("TPC{x}_{y}", 0.1), ("TP{y}_{y}", 0.9), ("TC{x}_{x}", 1.0), ("TPV{x}_1", 0.2)]
)
def test_a_matrix_is_not_dropped(events, key, value):
    names = events.columns.names
    key = key.format(x=names.index("x") + 1, y=names.index("y") + 1)
    events.header[key] = value
    with pytest.raises(ValueError, match=f"the sky columns have {key} = {value}"):
        EventCube.from_events(events)


def test_a_matrix_of_identity_is_read(events):
    x, y = (events.columns.names.index(name) + 1 for name in "xy")
    expected = EventCube.from_events(events, bin_factor=4)
    events.header[f"TPC{x}_{x}"], events.header[f"TPC{x}_{y}"] = 1.0, 0.0
    assert EventCube.from_events(events, bin_factor=4).wcs.wcs.compare(expected.wcs.wcs)
