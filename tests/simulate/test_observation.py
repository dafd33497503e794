import shutil
import subprocess
import tracemalloc

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.time import Time
from scipy import stats

from astro_lpalm import EventCube
from astro_lpalm.instrument import Response
from astro_lpalm.simulate import ParticleBackground, simulate_events
from astro_lpalm.spectra import Synchrotron

CENTER = SkyCoord(350.866, 58.815, unit="deg")
EDGES = [1.0, 2.0, 3.0, 5.0, 6.0] * u.keV
SPECTRA = np.array([[4.0, 1.0], [3.0, 1.0], [2.0, 0.0], [1.0, 8.0]])
SETTINGS = {"center": CENTER, "pixel_scale": 1.2 * u.arcsec, "seed": 1}


def blobs(level=40.0, shape=(30, 41)):
    y, x = np.indices(shape)
    return level * np.array([np.exp(-((y - 9) ** 2 + (x - 12) ** 2) / 60), (x > 25) * (y > 12) * 0.5])


def bin_again(events, shape=(30, 41), edges=EDGES, scale=1.2 * u.arcsec, center=CENTER):
    return EventCube.from_events(
        events, energy_edges=edges, pixel_scale=scale, center=center, size=(shape[1], shape[0]) * scale
    )


@pytest.fixture(scope="module")
def events():
    return simulate_events(blobs(), SPECTRA, EDGES, **SETTINGS)


def test_number_of_events_is_drawn_not_fixed():
    numbers = [len(simulate_events(np.full((1, 5, 5), 4.0), [[1.0]], [1, 2] * u.keV, **SETTINGS | {"seed": s})[1].data)
               for s in range(60)]  # fmt: skip
    # Poisson of mean 100: the sample variance over the mean is chi-square / 59, and so is the mean normal.
    assert abs(np.mean(numbers) - 100) < 3.3 * 10 / np.sqrt(60)
    assert 0.5 < np.var(numbers, ddof=1) / 100 < 1.7


def test_same_seed_same_events(events):
    again = simulate_events(blobs(), SPECTRA, EDGES, **SETTINGS)
    other = simulate_events(blobs(), SPECTRA, EDGES, **SETTINGS | {"seed": 2})
    generator = simulate_events(blobs(), SPECTRA, EDGES, **SETTINGS | {"seed": np.random.default_rng(1)})
    for name in events["EVENTS"].columns.names:
        np.testing.assert_array_equal(again["EVENTS"].data[name], events["EVENTS"].data[name])
        np.testing.assert_array_equal(generator["EVENTS"].data[name], events["EVENTS"].data[name])
    assert len(other["EVENTS"].data) != len(events["EVENTS"].data)


def test_only_the_ratios_of_a_spectrum_count(events):
    again = simulate_events(blobs(), SPECTRA * [1e-3, 50], EDGES, **SETTINGS)
    np.testing.assert_allclose(again["EVENTS"].data["energy"], events["EVENTS"].data["energy"], rtol=1e-6)


@pytest.mark.parametrize("pixel", [(0, 0), (3, 37), (29, 40), (15, 2)])
@pytest.mark.parametrize("scale", [0.3, 0.492, 1.476, 4.0])
def test_source_comes_back_where_it_was_put(pixel, scale):
    images = np.zeros((1, 30, 41))
    images[0][pixel] = 4e4
    scale = scale * u.arcsec
    events = simulate_events(images, [[1.0]], [1, 2] * u.keV, **SETTINGS | {"pixel_scale": scale})
    # On a grid of its own, a third as fine: the middle of the counts is the middle of the pixel.
    cube = EventCube.from_events(events, energy_edges=[1, 2] * u.keV, pixel_scale=scale / 3)
    y, x = np.indices(cube.data.shape[1:])
    weights = cube.data[0] / cube.data.sum()
    found = cube.wcs.pixel_to_world((weights * x).sum(), (weights * y).sum())
    # Rows go up to the north, columns to the west.
    north = ((pixel[0] + 0.5) - 15) * scale
    west = ((pixel[1] + 0.5) - 20.5) * scale
    expected = CENTER.directional_offset_by(0 * u.deg, north)
    east, up = (offset.to(u.arcsec) for offset in CENTER.spherical_offsets_to(found))
    assert abs(east + west) < 0.1 * scale
    assert abs(up - north) < 0.1 * scale
    assert abs(found.dec - expected.dec) < 0.1 * scale
    # And on the grid of the images, all of it in its pixel.
    again = bin_again(events, edges=[1, 2] * u.keV, scale=scale).data[0]
    assert again[pixel] >= 0.998 * len(events["EVENTS"].data)  # positions in single precision round over the edge


def test_center_in_another_frame(events):
    galactic = simulate_events(blobs(), SPECTRA, EDGES, **SETTINGS | {"center": CENTER.galactic})
    header = galactic["EVENTS"].header
    assert header["TCTYP3"] == "RA---TAN"
    np.testing.assert_allclose([header["TCRVL3"], header["TCRVL4"]], [350.866, 58.815], rtol=1e-12)


@pytest.mark.parametrize("scale", [1.2 * u.arcsec, 0.02 * u.arcmin, (1.2 * u.arcsec).to(u.rad)])
def test_scale_in_any_unit_of_angle(events, scale):
    found = simulate_events(blobs(), SPECTRA, EDGES, **SETTINGS | {"pixel_scale": scale})
    np.testing.assert_allclose(found["EVENTS"].data["x"], events["EVENTS"].data["x"], rtol=1e-6)


def test_energies_in_any_unit(events):
    found = simulate_events(blobs(), SPECTRA, EDGES.to(u.J), **SETTINGS)
    np.testing.assert_allclose(found["EVENTS"].data["energy"], events["EVENTS"].data["energy"], rtol=1e-6)


def test_energies_are_spread_within_their_bin():
    events = simulate_events(np.full((1, 10, 10), 300.0), [[1.0], [2.0]], [1, 2, 6] * u.keV, **SETTINGS)
    energy = events["EVENTS"].data["energy"].astype(float)
    assert events["EVENTS"].columns["energy"].unit == "eV"
    low = energy[energy < 2000]
    assert stats.binomtest(len(low), len(energy), 1 / 3).pvalue > 0.001
    assert stats.kstest(low, stats.uniform(1000, 1000).cdf).pvalue > 0.001
    assert stats.kstest(energy[energy >= 2000], stats.uniform(2000, 4000).cdf).pvalue > 0.001


def test_channels_and_the_overflow_channel():
    edges = [10.0, 14.9358, 20.0] * u.keV  # channel 1023 ends at 1023 * 14.6 eV
    events = simulate_events(np.full((1, 10, 10), 20.0), [[1.0], [1.0]], edges, **SETTINGS)
    table = events["EVENTS"].data
    above = table["energy"] >= 14935.8
    assert 0.4 < above.mean() < 0.6
    np.testing.assert_array_equal(table["pi"][above], 1024)
    np.testing.assert_array_equal(table["pi"][~above], table["energy"][~above] // 14.6 + 1)
    assert table["pi"][~above].max() <= 1023


def test_pi_alone_gives_nearly_the_same_cube(events):
    columns = [column for column in events["EVENTS"].columns if column.name != "energy"]
    table = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    for key, value in events["EVENTS"].header.items():
        if key.startswith(("TC", "TELESCOP", "INSTRUME", "RADESYS")):
            table.header[key] = value
    found, expected = bin_again(table).data.sum(axis=(1, 2)), bin_again(events).data.sum(axis=(1, 2))
    # An energy moves by 14.6 eV at most: into the next bin for that share of those beside an edge.
    assert abs(found.sum() - expected.sum()) < 0.005 * expected.sum()
    assert np.all(np.abs(found - expected) < 0.03 * expected.sum())


def test_layout_is_that_of_chandra(events):
    table = events["EVENTS"]
    header = table.header
    assert [hdu.name for hdu in events] == ["PRIMARY", "EVENTS", "GTI"]
    assert table.columns.names == ["time", "ccd_id", "x", "y", "energy", "pi", "grade"]
    assert (header["TELESCOP"], header["INSTRUME"], header["HDUCLAS1"]) == ("CHANDRA", "ACIS", "EVENTS")
    assert (header["TLMIN3"], header["TLMAX3"], header["TLMIN6"], header["TLMAX6"]) == (0.5, 8192.5, 1, 1024)
    assert header["TCDLT3"] == -header["TCDLT4"] == pytest.approx(-0.492 / 3600)
    assert header["TCRPX3"] == header["TCRPX4"] == 4096.5
    assert header["EXPOSURE"] == 50_000
    time = table.data["time"]
    assert np.all(np.diff(time) >= 0)
    assert events["GTI"].data["START"][0] <= time[0] < time[-1] <= events["GTI"].data["STOP"][0]


def test_time_tells_nothing_of_the_component(events):
    # Events are not sorted by component: the first half of the exposure looks like the second.
    x = events["EVENTS"].data["x"].astype(float)
    assert stats.ks_2samp(x[: len(x) // 2], x[len(x) // 2 :]).pvalue > 0.001


def test_exposure_is_noted():
    events = simulate_events(blobs(), SPECTRA, EDGES, **SETTINGS, exposure=2 * u.h)
    header = events["EVENTS"].header
    assert header["EXPOSURE"] == header["LIVETIME"] == header["ONTIME"] * header["DTCOR"] == 7200
    assert header["ONTIME"] == np.sum(events["GTI"].data["STOP"] - events["GTI"].data["START"])
    assert (header["TSTART"], header["TSTOP"]) == (events["GTI"].data["START"][0], events["GTI"].data["STOP"][0])
    start, stop = Time([header["DATE-OBS"], header["DATE-END"]], scale=header["TIMESYS"].lower())
    assert (stop - start).sec == pytest.approx(7200)
    assert start.mjd == header["MJDREF"] + header["TSTART"] / 86400
    assert stats.kstest(events["EVENTS"].data["time"], stats.uniform(0, 7200).cdf).pvalue > 0.001


def test_memory_is_little_more_than_the_events():
    images = np.full((2, 100, 100), 30.0)
    tracemalloc.start()
    events = simulate_events(images, SPECTRA, EDGES, **SETTINGS, psf=1 * u.arcsec, exposure_map=np.ones((100, 100)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    table = events["EVENTS"].data
    assert len(table) > 500_000
    # 28 bytes an event, 4 of the cell that each is from, 8 of its time; and temporaries of a fixed size.
    assert peak < 42 * len(table) + 12e6


def test_nothing_to_see():
    events = simulate_events(np.zeros((1, 4, 4)), [[0.0]], [1, 2] * u.keV, **SETTINGS)
    assert len(events["EVENTS"].data) == 0
    with pytest.raises(ValueError, match="holds no events"):
        bin_again(events)


ONE = {"images": np.ones((1, 4, 4)), "spectra": np.ones((2, 1)), "energy_edges": [1, 2, 3] * u.keV, **SETTINGS}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.ones((4, 4))}, r"images has shape \(4, 4\) .*expected \(n, ny, nx\)"),
        ({"spectra": np.ones((3, 1))}, r"spectra \(3, 1\).* for 3 energy edges, \(m, n\) = \(2, 1\)"),
        ({"spectra": np.ones((2, 2))}, r"spectra \(2, 2\)"),
        ({"images": -np.ones((1, 4, 4))}, "images must not be negative"),
        ({"images": np.full((1, 4, 4), np.nan)}, "images must not be negative, NaN or infinite"),
        ({"spectra": np.full((2, 1), np.inf)}, "spectra must not be negative, NaN or infinite"),
        ({"spectra": np.zeros((2, 1))}, "component 0 has counts in its image, but its spectrum is zero"),
        ({"energy_edges": [3, 2, 1] * u.keV}, "energy_edges must be finite, not negative and increasing"),
        ({"energy_edges": [-1, 2, 3] * u.keV}, "energy_edges must be finite, not negative and increasing"),
        ({"energy_edges": [1, 2, 3]}, "must be energies with a unit"),
        ({"energy_edges": [1, 2, 3] * u.m}, "must be energies with a unit"),
        ({"pixel_scale": 1.0}, "pixel_scale=1.0 must be an angle with a unit"),
        ({"pixel_scale": -1 * u.arcsec}, "must be a positive angle"),
        ({"pixel_scale": 1 * u.deg}, "4 x 4 pixels of 1.0 deg do not fit on Chandra's sky image of 8192 x 8192"),
        ({"pixel_scale": np.nan * u.deg}, "must be a positive angle"),
        ({"center": (350, 58)}, r"center must be a single astropy SkyCoord, not \(350, 58\)"),
        ({"exposure": 50}, "exposure=50 must be a positive time with a unit"),
        ({"exposure": 0 * u.s}, "must be a positive time with a unit"),
        ({"exposure": 50 * u.keV}, "must be a positive time with a unit"),
        ({"exposure_map": np.ones((3, 4))}, r"exposure_map has shape \(3, 4\), but the images have \(4, 4\)"),
        ({"exposure_map": np.zeros((4, 4))}, "exposure_map must be finite, not negative, and not zero everywhere"),
        ({"exposure_map": -np.ones((4, 4))}, "exposure_map must be finite, not negative"),
        ({"exposure_map": np.full((4, 4), 3e7)}, r"goes up to 3e\+07 times the full exposure: it looks"),
        ({"psf": 0.5}, "give the FWHM of a Gaussian as an angle"),
        ({"background": ParticleBackground(-1)}, "the background's rate is -1; give counts per second, 0 or more"),
        ({"background": ParticleBackground(1 * u.keV)}, "the background's rate must be in ct / s"),
        (
            {"background": ParticleBackground(1, spectrum=[1])},
            r"background's spectrum has shape \(1,\); expected \(2,\)",
        ),
        (
            {"background": ParticleBackground(1, spectrum=[0, 0])},
            "background's spectrum must be finite, not negative, and not",
        ),
        (
            {"background": ParticleBackground(1, image=np.ones(4))},
            r"background's image has shape \(4,\); expected \(4, 4\)",
        ),
        ({"background": ParticleBackground(1), "component_names": ["Background"]}, "must differ in more than case"),
        ({"component_names": ["one", "two"]}, "but there are 1 images; give one name for each"),
        ({"component_names": ["a b"]}, "component name 'a b' cannot name"),
        ({"energy_edges": None}, "give either energy_edges, .* or response"),
        ({"images": np.ones((1, 4, 4)) * u.keV}, "images, without a response, must be in ct"),
        ({"images": np.full((1, 4, 4), 1e12)}, r"1.6e\+13 events are expected, more than 1e\+09; check units"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        simulate_events(**ONE | change)


RESPONSE = Response(np.full((3, 2), 100.0), [1, 2, 3, 4], [1, 2.5, 4])
FLUX = {"images": np.ones((1, 4, 4)), "spectra": [Synchrotron()], "response": RESPONSE, **SETTINGS}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energy_edges": EDGES}, "give either energy_edges, .* or response"),
        ({"images": np.ones((1, 4, 4)) * u.count}, "images, with a response, must be in ph / ..* cm2"),
        (
            {"spectra": np.ones((2, 1))},
            r"spectra \(2, 1\).* for 4 edges of the response's true energies",
        ),
        ({"spectra": [Synchrotron(), Synchrotron()]}, r"spectra \(3, 2\); .* = \(3, 1\)"),
        ({"spectra": -np.ones((3, 1))}, "spectra must not be negative"),
        ({"spectra": np.zeros((3, 1))}, "component 0 has counts in its image, but its spectrum is zero"),
    ],
)
def test_bad_input_with_a_response(change, message):
    with pytest.raises(ValueError, match=message):
        simulate_events(**FLUX | change)


def test_input_is_left_alone():
    images, spectra = blobs(), SPECTRA.copy()
    simulate_events(images, spectra, EDGES, **SETTINGS)
    np.testing.assert_array_equal(images, blobs())
    np.testing.assert_array_equal(spectra, SPECTRA)


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="needs fitsverify")
def test_events_are_clean_fits(events, tmp_path):
    events.writeto(tmp_path / "events.fits", checksum=True)
    found = subprocess.run(["fitsverify", str(tmp_path / "events.fits")], capture_output=True, text=True)
    assert "found 0 warning(s) and 0 error(s)" in found.stdout, found.stdout
