"""Missions: which is found, what their channels mean, and one that a user adds."""

from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import EntryPoint

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from astro_lpalm import missions
from astro_lpalm.cube import EventCube
from astro_lpalm.forward import ExpectedBackground
from astro_lpalm.missions import Mission, registry
from astro_lpalm.missions.chandra import ACIS

from ..cube.conftest import make_events
from ..forward.test_background import cube as observed
from ..forward.test_background import pha

XRT = Mission(
    name="My camera",
    telescope="MINE",
    instruments=("CAM",),
    first_channel=0,
    last_channel=1023,
    channel_width=10 * u.eV,
)
NOT_A_MISSION = "Mine"


class Grating(Mission):
    """Channels that are equally wide in the logarithm of the energy."""

    def lower_edges(self, channels):
        return 0.1 * 10 ** (np.asarray(channels, dtype=float) / 50) * u.keV


LOGARITHMIC = Grating(
    name="LOG",
    telescope="LOG",
    instruments=("LOG",),
    first_channel=0,
    last_channel=99,
    channel_width=np.nan * u.keV,
)


@pytest.fixture
def register(monkeypatch):
    """Register objects of this module, or other places, as installed packages would."""

    def register(*values):
        points = [EntryPoint(f"mission-{n}", value, "astro_lpalm.missions") for n, value in enumerate(values)]
        monkeypatch.setattr(registry, "entry_points", lambda group: [p for p in points if p.group == group])
        registry.known_missions.cache_clear()

    yield register
    registry.known_missions.cache_clear()


def own_list(energy=None, channels=None, telescope="MINE", instrument="CAM"):
    """A list of whole sky pixels, and PI from 0 in steps of 10 eV."""
    channels = np.floor(np.asarray(energy) / 0.01) if channels is None else np.asarray(channels)
    hdu = make_events(np.full(channels.size, 500), np.full(channels.size, 500), pi=channels, sky_format="I")
    hdu.header["TELESCOP"], hdu.header["INSTRUME"] = telescope, instrument
    return hdu


# Which mission a file is of


@pytest.mark.parametrize(
    ("telescope", "instrument", "is_acis"),
    [
        ("CHANDRA", "ACIS", True),
        ("chandra", "acis", True),
        (None, "ACIS-7", True),
        ("MINE", "ACIS", False),
        ("CHANDRA", None, False),
        (None, None, False),
    ],
)
def test_acis_is_found_and_nothing_else(register, telescope, instrument, is_acis):
    register()  # as in a checkout whose entry points were never installed
    header = fits.Header({"TELESCOP": telescope, "INSTRUME": instrument})
    assert missions.find(header) is (ACIS if is_acis else None)


def test_a_mission_may_need_its_telescope(register):
    register(f"{__name__}:XRT")
    assert missions.find({"TELESCOP": "Mine", "INSTRUME": "CAM"}) is XRT
    assert missions.find({"INSTRUME": "CAM"}) is None


def test_missions_are_loaded_once_and_kept_once(register, monkeypatch):
    register("astro_lpalm.missions.chandra:ACIS", f"{__name__}:XRT", f"{__name__}:XRT")
    assert missions.known_missions() == (*registry._OURS, XRT)
    monkeypatch.setattr(registry, "entry_points", None)
    assert missions.find({"TELESCOP": "MINE", "INSTRUME": "CAM"}) is XRT


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("no_such_module_of_mine:XRT", r"cannot be loaded \(ModuleNotFoundError: No module named 'no_such"),
        (f"{__name__}:MISSING", r"cannot be loaded \(AttributeError: .*MISSING"),
        (f"{__name__}:NOT_A_MISSION", "is of type str, not a Mission"),
    ],
)
def test_a_broken_mission_is_named_and_left_out(register, value, problem):
    register(value, f"{__name__}:XRT")
    with pytest.warns(AstropyUserWarning, match=rf"the mission mission-0 = '{value}', .* {problem}.*it is left out"):
        assert missions.known_missions() == (*registry._OURS, XRT)
    missions.known_missions()  # warned of once: warnings are errors here


# What channels mean


def test_energies_of_acis():
    assert u.allclose(ACIS.energies([[1, 2], [500, 1023]]), [[7.3, 21.9], [7292.7, 14928.5]] * u.eV, rtol=1e-12)
    assert ACIS.energies(1024) == np.inf * u.keV
    assert u.allclose(ACIS.channel_edges, np.arange(1025) * 14.6 * u.eV, rtol=1e-12)
    assert u.isclose(ACIS.overflow_energy, 1023 * 14.6 * u.eV)


def test_energies_of_narrow_integers_and_of_channels_that_do_not_exist():
    assert u.allclose(XRT.energies(np.array([0, 255], dtype=np.uint8)), [5, 2555] * u.eV)
    assert XRT.overflow_energy == np.inf * u.keV
    with pytest.raises(
        ValueError, match="PI channels of My camera are 0 to 1023; 2 of the 3 given .*, -1 for instance"
    ):
        XRT.energies([-1, 5, 1024])


def test_what_no_mission_can_be():
    settings = {"name": "M", "telescope": "M", "first_channel": 1, "last_channel": 10, "channel_width": 1 * u.eV}
    with pytest.raises(TypeError, match="instruments of M are 'CAM'; expected a tuple of texts"):
        Mission(instruments="CAM", **settings)
    with pytest.raises(ValueError, match="channels 1 to 0 of M must be one or more"):
        Mission(instruments=("CAM",), **settings | {"last_channel": 0})
    with pytest.raises(ValueError, match="channels 1 to 10 of M must be .* energies that rise"):
        Mission(instruments=("CAM",), **settings | {"channel_width": 0 * u.eV})
    with pytest.raises(ValueError, match="overflow channel of M is 5; expected the last, 10"):
        Mission(instruments=("CAM",), **settings, overflow=5)


# A mission that a user adds


def test_a_list_of_an_added_mission_is_binned(register):
    edges = np.array([2, 2.9, 2.99, 3.01, 3.1, 4]) * u.keV
    generator = np.random.default_rng(1)
    events = own_list(np.r_[np.full(500, 3.004), generator.uniform(3.2, 3.9, 200), generator.uniform(2, 2.8, 100)])
    register()
    with pytest.raises(ValueError, match=r"PI channel of MINE CAM has is not known .*only those of Chandra ACIS"):
        EventCube.from_events(events, energy_edges=edges)
    register(f"{__name__}:XRT")
    cube = EventCube.from_events(events, energy_edges=edges)
    assert cube.data.sum(axis=(1, 2)).tolist() == [100, 0, 500, 0, 200]
    # still others are refused, and the message says what is known
    other = own_list([3.0], telescope="XRISM", instrument="GATE")
    with pytest.raises(ValueError, match="channel of XRISM GATE .*only those of Chandra ACIS, .*My camera are"):
        EventCube.from_events(other)


def test_channels_of_an_added_mission_begin_and_end_where_it_says(register):
    register(f"{__name__}:XRT")
    cube = EventCube.from_events(
        own_list(channels=[0, 1, 1023]), energy_edges=[0.001, 0.01, 0.02, 10.23, 10.24] * u.keV
    )
    assert cube.data.sum(axis=(1, 2)).tolist() == [1, 1, 0, 1]
    with pytest.raises(ValueError, match="PI is not a channel from 0 to 1023 for 2 of 3 events"):
        EventCube.from_events(own_list(channels=[-1, 5, 1024]))


def test_channels_that_are_not_equally_wide(register):
    register(f"{__name__}:LOGARITHMIC")
    events = own_list(channels=[0, 50, 50, 99], telescope="LOG", instrument="LOG")
    edges = LOGARITHMIC.channel_edges[[0, 1, 50, 51, 99, 100]]
    cube = EventCube.from_events(events, energy_edges=edges)
    assert cube.data.sum(axis=(1, 2)).tolist() == [1, 0, 2, 0, 1]


def test_a_filter_in_channels_of_an_added_mission_is_told(register):
    register(f"{__name__}:XRT")
    events = own_list(np.random.default_rng(2).uniform(2.0, 4.0, 2000))
    events.header["DSTYP1"], events.header["DSVAL1"] = "pi", "200:399"
    cube_edges = np.linspace(2, 4, 11) * u.keV
    assert EventCube.from_events(events, energy_edges=cube_edges).data.sum() == 2000  # 2 to 4 keV: nothing to warn of
    with pytest.warns(
        AstropyUserWarning, match="DSTYP1 = 'pi', DSVAL1 = '200:399': 10 of 20 bins are partly or wholly"
    ):
        EventCube.from_events(events, energy_edges=np.linspace(2, 6, 21) * u.keV)


@pytest.mark.parametrize("flags_are_bad", [True, False])
def test_flags_of_an_added_mission(register, monkeypatch, flags_are_bad):
    monkeypatch.setattr(f"{__name__}.XRT", replace(XRT, flags_are_bad=flags_are_bad))
    register(f"{__name__}:XRT")
    events = own_list(np.full(10, 3.004))
    status = fits.ColDefs([fits.Column("STATUS", "16X", array=np.arange(160).reshape(10, 16) == 0)])
    events = fits.BinTableHDU.from_columns(events.columns + status, header=events.header)
    expected = (
        pytest.warns(AstropyUserWarning, match="STATUS bits are set for 1 of 10 events")
        if flags_are_bad
        else nullcontext()
    )
    with expected:
        assert EventCube.from_events(events, n_energy=1).data.sum() == 10


def test_a_background_spectrum_of_an_added_mission(register, tmp_path):
    counts = np.zeros(1024, dtype=int)
    counts[[150, 1023]] = 1000, 5  # channel 150: 1.5 to 1.51 keV; no channel is one of overflow
    spectrum = pha(tmp_path, counts, TELESCOP="MINE", INSTRUME="CAM")
    register(f"{__name__}:XRT")
    with pytest.raises(ValueError, match="only known for Chandra ACIS, .* give scale"):
        ExpectedBackground.from_pha(spectrum, observed())
    background = ExpectedBackground.from_pha(spectrum, observed(), scale=0.5)
    np.testing.assert_allclose(background.expected(observed()).spectrum(), [0, 500, 0])
    assert background.counts.sum() == 1005
