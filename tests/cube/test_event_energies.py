import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning

from astro_lpalm.cube import EventCube
from astro_lpalm.grid import read_ebounds
from astro_lpalm.grid.units import energy_unit

from .conftest import make_events

WIDE = {"bounds": (4000, 4200, 4000, 4200)}


def listed(tmp_path, hdu, **primary):
    """The file of a list, with cards in its primary header."""
    hdulist = fits.HDUList([fits.PrimaryHDU(), hdu])
    hdulist[0].header.update(primary)
    hdulist.writeto(tmp_path / "evt.fits", overwrite=True)
    return tmp_path / "evt.fits"


def channels_only(events, telescope, instrument):
    hdu = make_events(events.data["x"], events.data["y"], pi=events.data["pi"])
    for key, value in (("TELESCOP", telescope), ("INSTRUME", instrument)):
        hdu.header[key] = value
        if value is None:
            del hdu.header[key]
    return hdu


@pytest.mark.parametrize(
    ("table", "primary", "message"),
    [
        ((None, None), ("SWIFT", "UVOT"), "PI channel of SWIFT UVOT has is not known"),
        ((None, None), (None, None), "an instrument that the headers do not name"),
        (("SWIFT", "UVOT"), ("CHANDRA", "ACIS"), "PI channel of SWIFT UVOT has is not known"),
        (("EP", "WXT"), (None, None), "PI channel of EP WXT has is not known"),
        ((None, "XRT"), ("CHANDRA", None), "PI channel of CHANDRA XRT has is not known"),
        (("CHANDRA", None), (None, None), "PI channel of CHANDRA has is not known"),
    ],
)
def test_channels_of_an_unknown_instrument_are_refused(events, tmp_path, table, primary, message):
    cards = {key: value for key, value in zip(("TELESCOP", "INSTRUME"), primary) if value}
    path = listed(tmp_path, channels_only(events, *table), **cards)
    with pytest.raises(
        ValueError, match=rf"evt.fits' has no ENERGY.*{message}.*give ebounds.*add a column ENERGY with its unit"
    ):
        EventCube.from_events(path)


@pytest.mark.parametrize("telescope", ["CHANDRA", None])
def test_the_primary_header_may_name_the_instrument(events, tmp_path, telescope):
    expected = EventCube.from_events(channels_only(events, "CHANDRA", "ACIS"), **WIDE)
    path = listed(tmp_path, channels_only(events, None, None), INSTRUME="acis", EXPOSURE=5.0, TELESCOP=telescope or "")
    with fits.open(path) as hdulist:
        cubes = [EventCube.from_events(given, **WIDE) for given in (path, hdulist)]
    for cube in cubes:
        np.testing.assert_array_equal(cube.data, expected.data)
        assert (cube.meta["INSTRUME"], cube.meta["EXPOSURE"]) == ("acis", 1000)  # the table's own goes first


@pytest.mark.parametrize("unit", ["keV", "KeV", "KEV", "kev", " keV ", "eV", "ev", "EV", "MeV", "erg"])
def test_units_in_every_spelling(events, unit, tmp_path):
    scale = {"kev": 1e-3, "ev": 1.0, "mev": 1e-6, "erg": (1 * u.eV).to_value(u.erg)}[unit.strip().lower()]
    hdu = make_events(
        events.data["x"], events.data["y"], energy=events.data["energy"] * scale, unit=unit.strip(), sky_format="D"
    )
    number = hdu.columns.names.index("energy") + 1
    hdu.header[f"TUNIT{number}"] = unit
    cube = EventCube.from_events(listed(tmp_path, hdu), n_energy=7, **WIDE)
    assert abs(cube.data.sum() - EventCube.from_events(events, n_energy=7, **WIDE).data.sum()) <= 1


def test_what_is_no_unit_of_energy():
    assert energy_unit("KEV") == u.keV
    assert [energy_unit(text) for text in ("chan", "s", "", "adu", "what")] == [None] * 5
    table = fits.BinTableHDU.from_columns([fits.Column(n, "E", array=[1, 2], unit="KEV") for n in ("E_MIN", "E_MAX")])
    table.data["E_MAX"] = [2, 3]
    assert u.allclose(read_ebounds(table), [1, 2, 3] * u.keV)
    table.columns["E_MAX"].unit = "chan"
    with pytest.raises(ValueError, match=r"the unit of E_MAX in '' is 'chan'"):
        read_ebounds(table)


@pytest.mark.parametrize(("scale", "unit"), [(1, "eV"), (1e-3, "keV")])
def test_a_unit_that_is_missing_follows_from_the_values(events, scale, unit):
    hdu = make_events(events.data["x"], events.data["y"], energy=events.data["energy"] * scale, unit=None)
    with pytest.warns(AstropyUserWarning, match=f"ENERGY has no unit; it is taken as {unit}, since its values run"):
        cube = EventCube.from_events(hdu, n_energy=7, **WIDE)
    assert abs(cube.data.sum() - EventCube.from_events(events, n_energy=7, **WIDE).data.sum()) <= 1


@pytest.mark.parametrize("energies", [(40, 79), (100, 190), (1, 300), (0, 0), (1e4, 1e5, 1, 2)])
def test_a_unit_that_does_not_follow_is_asked_for(energies):
    values = np.concatenate([np.linspace(*pair, 50) for pair in np.reshape(energies, (-1, 2))])
    with pytest.raises(ValueError, match=r"ENERGY has no unit, and its values .* may be eV or keV; write the unit"):
        EventCube.from_events(
            make_events(np.full(values.size, 5.5), np.full(values.size, 5.5), energy=values, unit=None)
        )


@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("null", [0, -99])
def test_events_without_a_channel_are_left_out_and_counted(tmp_path, caplog, null, offset):
    channels = np.array([100, 0, 200, 0, 300])
    hdu = make_events(np.full(5, 5.5), np.full(5, 5.5), pi=np.where(channels == 0, null, channels - offset))
    number = hdu.columns.names.index("pi") + 1
    hdu.header[f"TNULL{number}"] = null
    path = listed(tmp_path, hdu)
    if offset:  # the null value is the stored one
        fits.setval(path, f"TZERO{number}", value=offset, ext=1)
    with caplog.at_level(logging.INFO, logger="astro_lpalm"), fits.open(path) as hdulist:
        cubes = [EventCube.from_events(given, n_energy=1) for given in (path, hdulist)]
    assert [cube.data.sum() for cube in cubes] == [3, 3]
    assert caplog.text.count("3 of 5 events counted; left out: 2 without an energy (TNULL)") == 2


@pytest.mark.filterwarnings("ignore:Invalid keyword for column:astropy.io.fits.verify.VerifyWarning")
@pytest.mark.parametrize(("value", "n_counted"), [(None, 2), ("7", 1)])
def test_null_values_that_are_undefined_or_text(tmp_path, value, n_counted):
    path = listed(tmp_path, make_events([5.5, 5.5], [5.5, 5.5], pi=[100, 7]))
    with fits.open(path, mode="update") as hdulist:
        hdulist[1].header["TNULL4"] = value
    assert EventCube.from_events(path, energy=(0, 5) * u.keV, n_energy=1).data.sum() == n_counted
    with fits.open(path, mode="update") as hdulist:
        hdulist[1].header["TNULL4"] = "none"
    with pytest.raises(OSError, match="evt.fits' .*TNULL4 is 'none', but must be a whole number"):
        EventCube.from_events(path)


def test_bins_that_cut_channels_have_their_part_of_them():
    energy = np.random.default_rng(3).uniform(
        1000, 3000, 200_000
    )  # 6 or 7 channels of 14.6 eV have their middle in a bin
    hdu = make_events(np.full(energy.size, 5.5), np.full(energy.size, 5.5), pi=np.floor(energy / 14.6).astype(int) + 1)
    found = EventCube.from_events(hdu, energy=(1.1, 2.9) * u.keV, n_energy=18).data.sum(axis=(1, 2))
    np.testing.assert_allclose(found, 10_000, atol=4 * 100)
    again = EventCube.from_events(hdu, energy=(1.1, 2.9) * u.keV, n_energy=18).data.sum(axis=(1, 2))
    np.testing.assert_array_equal(found, again)


def test_masked_channels_of_a_table(events):
    hdu = channels_only(events, "CHANDRA", "ACIS")
    table = Table(hdu.data, masked=True)
    table.meta.update(dict(hdu.header.items()))
    table["pi"].mask[-100:] = True
    with_all, without = (EventCube.from_events(each, **WIDE) for each in (hdu, table))
    kept = fits.BinTableHDU(hdu.data[:-100], hdu.header, name="EVENTS")
    np.testing.assert_array_equal(without.data, EventCube.from_events(kept, **WIDE).data)
    assert without.data.sum() < with_all.data.sum()


def test_positions_without_a_value(caplog):
    hdu = make_events([3, -1, 5], [3, 3, 3], energy=[1000.0] * 3, sky_format="J")
    hdu.header[f"TNULL{hdu.columns.names.index('x') + 1}"] = -1
    with caplog.at_level(logging.INFO, logger="astro_lpalm"):
        assert EventCube.from_events(hdu, n_energy=1).data.sum() == 2
    assert "2 of 3 events counted; left out: 1 without a position (NaN)" in caplog.text


@pytest.mark.parametrize("value", [None, "8192.5", 8192.5])
def test_limits_without_a_value_or_as_text(tmp_path, value):
    hdu = make_events([10.2, 9000.0], [10.2, 10.2], energy=[1000.0, 1000.0])
    number = hdu.columns.names.index("x") + 1
    hdu.header[f"TLMAX{number}"] = value
    cube = EventCube.from_events(listed(tmp_path, hdu), n_energy=1)
    assert cube.data.sum() == (2 if value is None else 1)
    hdu.header[f"TLMAX{number}"] = "wide"
    with pytest.raises(ValueError, match=rf"evt.fits': TLMAX{number} is 'wide', but must be a finite number"):
        EventCube.from_events(listed(tmp_path, hdu), n_energy=1)


def test_what_is_drawn_is_told_in_the_cubes_history(events, tmp_path):
    cube = EventCube.from_events(channels_only(events, "CHANDRA", "ACIS"), n_energy=4)
    cube.write(tmp_path / "cube.fits")
    again = EventCube.read(tmp_path / "cube.fits")
    assert list(again.meta["HISTORY"]) == ["energies drawn within PI channels, by Chandra ACIS"]
    assert "HISTORY" not in EventCube.from_events(events, n_energy=4).meta
