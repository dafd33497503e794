"""Lists of every mission: energies, places and counts, without an option."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from astro_lpalm.cube import EventCube

from ..instrument.ogip_files import make_pha, make_rmf, save
from .layouts import LAYOUTS, LINE, SOURCE, energies, listed


def check(cube, source, line, width, *, n_line):
    """The line is in its bin, or the next where a channel reaches into it; the source within half a pixel."""
    spectrum = cube.data.sum(axis=(1, 2))
    edges = cube.energy_edges.to_value(u.keV)
    brightest = int(spectrum.argmax())
    assert edges[brightest] - width <= line <= edges[brightest + 1] + width
    assert spectrum[brightest] > 0.5 * n_line
    image = cube.data[brightest].astype(float)
    y, x = np.indices(image.shape)
    peak = np.unravel_index(image.argmax(), image.shape)
    near = np.hypot(y - peak[0], x - peak[1]) < 8
    middle = [np.average(v[near], weights=image[near]) for v in (x, y)]
    np.testing.assert_allclose(middle, cube.wcs.world_to_pixel(source), atol=0.5)


# A flat spectrum that begins at 1.7 keV looks filtered, as it is.
filtered = pytest.mark.filterwarnings("ignore:.*was the list filtered in energy")


@filtered
@pytest.mark.parametrize("place", ["table", "primary"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_line_is_where_it_is(name, place, tmp_path):
    hdulist = listed(name, instrument_in=place)
    hdulist.writeto(tmp_path / "evt.fits")
    for given in (hdulist, tmp_path / "evt.fits"):
        cube = EventCube.from_events(given)
        check(cube, SOURCE, LINE, LAYOUTS[name][-1], n_line=900)
        assert cube.data.sum() == 1500
    assert 0.4 * u.arcsec < u.Quantity(cube.wcs.proj_plane_pixel_scales()[0]) < 8 * u.arcsec
    ctype = "RA---SIN" if "erosita" in name else "RA---TAN"
    assert cube.wcs.wcs.ctype[0] == ctype


@filtered
def test_coordinates_as_the_software_of_xmm_newton_has_them():
    hdulist, expected = listed("pn"), EventCube.from_events(listed("pn"))
    header = hdulist[1].header
    for number, axis in ((hdulist[1].columns.names.index(name) + 1, name) for name in "XY"):
        for key in ("CTYP", "CRVL", "CRPX", "CDLT", "CUNI"):
            header[f"REF{axis}{key}"] = header.pop(f"T{key}{number}")
    cube = EventCube.from_events(hdulist)
    np.testing.assert_array_equal(cube.data, expected.data)
    assert cube.wcs.wcs.compare(expected.wcs.wcs)


@filtered
@pytest.mark.parametrize("name", ["xrt", "erosita", "nustar"])
def test_right_ascensions_are_projected(name, tmp_path):
    hdulist = listed(name, positions="RADEC")
    cube = EventCube.from_events(hdulist)
    check(cube, SOURCE, LINE, LAYOUTS[name][-1], n_line=900)
    assert cube.data.sum() == 1500
    assert cube.wcs.wcs.ctype[0] == ("RA---SIN" if name == "erosita" else "RA---TAN")
    np.testing.assert_allclose(cube.wcs.wcs.crval, [83.63, 22.01])
    # round a centre of one's own, in pixels of one's own, and back
    cube = EventCube.from_events(hdulist, center=SOURCE, size=3 * u.arcmin, pixel_scale=4 * u.arcsec)
    np.testing.assert_allclose(cube.wcs.wcs.crval, [SOURCE.ra.deg, SOURCE.dec.deg])
    np.testing.assert_allclose(
        cube.wcs.world_to_pixel(SOURCE), [(n - 1) / 2 for n in cube.data.shape[:0:-1]], atol=1e-6
    )
    check(cube, SOURCE, LINE, LAYOUTS[name][-1], n_line=900)
    cube.write(tmp_path / "cube.fits")
    assert EventCube.read(tmp_path / "cube.fits").wcs.wcs.compare(cube.wcs.wcs)


@filtered
def test_right_ascensions_on_both_sides_of_zero_and_without_a_pointing():
    hdulist = listed("xrt", positions="RADEC")
    table = hdulist[1]
    for key in ("RA_PNT", "DEC_PNT"):
        del table.header[key]
    table.data["RA"] = (table.data["RA"] - SOURCE.ra.deg) % 360
    table.columns["RA"].unit = table.columns["DEC"].unit = "deg"
    check(EventCube.from_events(hdulist), SkyCoord(0, SOURCE.dec.deg, unit="deg"), LINE, 0.01, n_line=900)


def test_right_ascensions_in_other_units():
    hdulist = listed("xrt", positions="RADEC")
    hdulist[1].columns["RA"].unit = "mm"
    with pytest.raises(ValueError, match="the unit of RA is 'mm', which is not one of angle; expected deg"):
        EventCube.from_events(hdulist)
    hdulist = listed("xrt", positions="RADEC")
    hdulist[1].data["DEC"] *= 60
    with pytest.raises(ValueError, match="DEC has values beyond -90 to 90 degrees"):
        EventCube.from_events(hdulist)


@pytest.mark.parametrize(("telescope", "instrument"), [("CHANDRA", "HRC-I"), ("ROSAT", "HRI"), ("ROSAT", "HRI-2")])
def test_lists_without_energies_are_refused_with_the_reason(telescope, instrument):
    hdulist = listed("pspc")
    hdulist[1].header["TELESCOP"], hdulist[1].header["INSTRUME"] = telescope, instrument
    with pytest.raises(ValueError, match=r"HR[CI], whose PI tells no energies: its pulse heights hardly depend"):
        EventCube.from_events(hdulist)


@filtered
@pytest.mark.parametrize(
    ("name", "flag", "harmless", "remedy"),
    [
        ("pn", 0x20000, 0x4, "SAS by evselect expression='#XMMEA_EP'"),
        ("mos", 0x10000, 0x800, "0x766ba000"),
        ("erosita", -(2**31), 0x1, "evtool flag=0xc00fff30"),
    ],
)
def test_flags_that_mean_harm(name, flag, harmless, remedy):
    flags = np.full(1500, harmless)
    with warnings.catch_warnings():
        warnings.simplefilter("error", AstropyUserWarning)
        warnings.filterwarnings("ignore", message=".*was the list filtered")
        EventCube.from_events(listed(name, FLAG=flags))
    flags[:20] = flag
    with pytest.warns(AstropyUserWarning, match=rf"FLAG bits are set for 20 of 1500 events\. .*{remedy}"):
        assert EventCube.from_events(listed(name, FLAG=flags)).data.sum() == 1500


@filtered
@pytest.mark.parametrize("name", ["pn", "erosita", "nustar"])
def test_negative_channels_are_no_energies(name, caplog):
    hdulist = listed(name)
    hdulist[1].data["PI"][:7] = -10
    with caplog.at_level("INFO", logger="astro_lpalm"):
        assert EventCube.from_events(hdulist).data.sum() == 1493
    assert "7 without an energy" in caplog.text
    hdulist = listed("xrt")
    hdulist[1].data["PI"][:7] = -10
    with pytest.raises(ValueError, match="PI is not a channel from 0 to 1023 for 7 of 1500 events"):
        EventCube.from_events(hdulist)


# Energies of channels that are given


@filtered
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("form", ["rmf", "pha"])
def test_energies_from_a_response(tmp_path, first, form):
    edges = np.geomspace(0.1, 12, 400)  # unlike any mission's
    rng = np.random.default_rng(7)
    pi = np.searchsorted(edges, energies(rng)) - 1 + first
    save(make_rmf(np.eye(5, 399), channel_edges=edges, first=first), tmp_path / "a.rmf")
    save([make_pha(np.ones(399), RESPFILE="a.rmf")], tmp_path / "a.pha")
    for known in ("xrt", None):
        hdulist = listed("xrt", PI=pi, ENERGY=np.full(1500, 5000))  # ENERGY is overridden
        hdulist[1].columns["ENERGY"].unit = "eV"
        if known is None:
            hdulist[1].header["INSTRUME"] = "UNKNOWN"
        cube = EventCube.from_events(hdulist, ebounds=tmp_path / f"a.{form}")
        check(cube, SOURCE, LINE, 0.03, n_line=900)
        assert cube.data.sum() == 1500


@filtered
@pytest.mark.parametrize(
    ("channel_energy", "zero", "width"),
    [(20 * u.eV, 0, 0.02), ([1.0, 0.005] * u.keV, 1.0, 0.005), ((-30 * u.eV, 30 * u.eV), -0.03, 0.03)],
)
def test_energies_from_a_scale(channel_energy, zero, width):
    pi = np.floor((energies(np.random.default_rng(7)) - zero) / width).astype(int)
    hdulist = listed("xis", PI=pi)
    cube = EventCube.from_events(hdulist, channel_energy=channel_energy)
    check(cube, SOURCE, LINE, width, n_line=900)


def test_what_cannot_be_energies_of_channels(tmp_path):
    hdulist = listed("xrt")
    save(make_rmf(), tmp_path / "short.rmf")
    for given, message in (
        ({"channel_energy": 10}, "channel_energy=10 must be energies with a unit"),
        ({"channel_energy": -1 * u.eV}, "must be the width of a channel, a positive energy"),
        ({"channel_energy": [1, 2, 3] * u.eV}, "or two energies"),
        ({"channel_energy": 1 * u.eV, "ebounds": "a.rmf"}, "give either ebounds or channel_energy"),
        ({"ebounds": tmp_path / "short.rmf"}, "PI is not a channel from 1 to 7 for 1500 of 1500 events"),
    ):
        with pytest.raises(ValueError, match=message):
            EventCube.from_events(hdulist, **given)
    with pytest.raises(TypeError, match="ebounds must be the name of an RMF or PHA file, not list"):
        EventCube.from_events(hdulist, ebounds=[1, 2])
    with pytest.raises(FileNotFoundError, match="no.rmf"):
        EventCube.from_events(hdulist, ebounds=tmp_path / "no.rmf")
    hdulist[1].columns.del_col("PI")
    with pytest.raises(ValueError, match="neither ENERGY nor PI"):
        EventCube.from_events(hdulist, channel_energy=1 * u.eV)


# The layouts of the cases


@filtered
@pytest.mark.parametrize("place", ["table", "primary", "nowhere"])
def test_the_layouts_of_the_cases(shared_data, tmp_path, monkeypatch, place):
    monkeypatch.syspath_prepend(shared_data.parent / "cases")
    missions = pytest.importorskip("missions")
    source = SkyCoord(*missions.source(), unit="deg")
    for name, (*_, channel, _, _, _) in missions.LISTS.items():
        path = tmp_path / f"{name}.fits"
        missions.write(name, path, mission_in=place)
        if place == "nowhere" or name == "chandra_hrc":
            expected = "tells no energies" if place != "nowhere" else "an instrument that the headers do not name"
            with pytest.raises(ValueError, match=expected):
                EventCube.from_events(path)
            continue
        cube = EventCube.from_events(path)
        check(cube, source, 3.0, 1 / (channel(2.0) - channel(1.0)), n_line=2000)
        with fits.open(path) as hdulist:
            energy = hdulist[1].data["PI"] / (channel(2.0) - channel(1.0)) - channel(0) / (channel(2.0) - channel(1.0))
        assert abs(cube.data.sum() - np.count_nonzero(energy < 7)) <= 5  # 7 keV within a channel
