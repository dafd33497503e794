import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.cube import EventCube
from astro_lpalm.forward import ExpectedBackground
from astro_lpalm.instrument import PHA

from ..cube.conftest import make_events
from ..cube.test_exposure import plane

EDGES = [0.5, 1, 2, 4] * u.keV
EXPOSURE = np.ones((6, 8))
EXPOSURE[:, 4:] = 0.5
EXPOSURE[2] = 0


def cube(data=None, *, wcs=None, time=1000.0, **options):
    data = np.ones((3, 6, 8)) if data is None else data
    settings = {"energy_edges": EDGES, "wcs": wcs or plane(shape=(6, 8)), "meta": fits.Header({"EXPOSURE": time})}
    return EventCube(data, **settings | options)


def pha(tmp_path, counts, n_channel=1024, exposure=4000.0, backscale=1e-6, **cards):
    channel = np.arange(1, n_channel + 1)
    columns = [fits.Column("CHANNEL", "J", array=channel), fits.Column("COUNTS", "J", array=counts)]
    hdu = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    hdu.header.update({"TELESCOP": "CHANDRA", "INSTRUME": "ACIS", "EXPOSURE": exposure, "BACKSCAL": backscale})
    hdu.header.update({"HDUCLASS": "OGIP", "HDUCLAS1": "SPECTRUM", "DETCHANS": n_channel, "TLMIN1": 1} | cards)
    hdu.writeto(tmp_path / "background.pi", overwrite=True)
    return PHA.read(tmp_path / "background.pi")


# Spectra


def test_a_spectrum_is_spread_like_the_exposure():
    made = cube(exposure=EXPOSURE * u.ks)
    expected = ExpectedBackground([30, 60, 0]).expected(made)
    assert expected.shape == made.matrix().shape
    share = EXPOSURE[EXPOSURE > 0] / EXPOSURE.sum()
    assert_allclose(expected, np.outer([30, 60, 0], share))
    even = ExpectedBackground([30, 60, 0] * u.count, scale=2).expected(cube())
    assert_allclose(even, np.outer([60, 120, 0], np.full(48, 1 / 48)))


def test_finer_spectra_are_binned():
    spectrum = ExpectedBackground(np.arange(1, 8), energy_edges=np.linspace(0.5, 4, 8) * u.keV)
    assert_allclose(spectrum.expected(cube()).spectrum(), [1, 2 + 3, 4 + 5 + 6 + 7])
    # an edge in the middle of a bin parts it evenly
    uneven = ExpectedBackground([8.0, 4.0, 2.0, 6.0] * 5, energy_edges=np.linspace(0, 6, 21) * u.keV)
    widths = 0.3
    density = np.array([8.0, 4.0, 2.0, 6.0] * 5) / widths
    grid = np.linspace(0, 6, 60001)
    values = density[np.minimum((grid / widths).astype(int), 19)]
    sums = [values[(grid >= low) & (grid < high)].sum() * 1e-4 for low, high in zip(EDGES.value, EDGES.value[1:])]
    assert_allclose(uneven.expected(cube()).spectrum(), sums, rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, -2, 3],), "the background must be finite, not negative, and not zero everywhere"),
        (([0, 0, 0],), "not zero everywhere"),
        ((np.ones((3, 2)),), r"the background's spectrum has shape \(3, 2\)"),
    ],
)
def test_unsuitable_spectra(arguments, message):
    with pytest.raises(ValueError, match=message):
        ExpectedBackground(*arguments)


def test_unsuitable_settings():
    with pytest.raises(ValueError, match="scale=-1 must be a positive number"):
        ExpectedBackground([1, 2], scale=-1)
    with pytest.raises(ValueError, match=r"has shape \(2,\); expected \(3,\)"):
        ExpectedBackground([1, 2], energy_edges=EDGES)
    with pytest.raises(ValueError, match="a background cube has its own"):
        ExpectedBackground(cube(), energy_edges=EDGES)


@pytest.mark.parametrize(
    ("background", "message"),
    [
        (ExpectedBackground([1, 2]), "has 2 bins, but the cube, in the model's energies, has 3 bins from 0.5 to 4 keV"),
        (ExpectedBackground([1, 2], energy_edges=[0.5, 1, 3] * u.keV), "must cover the same range"),
        (ExpectedBackground([1, 2], energy_edges=[0.5, 2, 4] * u.keV), "with the same bins or finer ones"),
        (ExpectedBackground(cube(energy_edges=[0.5, 1, 3, 4] * u.keV)), "the energy grids do not nest"),
        (ExpectedBackground(cube(wcs=plane(shape=(6, 8), shift=(0.1, 0)))), "the background is on other pixels"),
        (ExpectedBackground(cube(mask=EXPOSURE == 0)), "the background is masked in 8 pixels where the observation"),
        (ExpectedBackground(cube(meta=None)), "a header has no EXPOSURE"),
    ],
)
def test_backgrounds_of_something_else(background, message):
    with pytest.raises(ValueError, match=message):
        background.expected(cube())


# Cubes


def test_a_blank_field_counts_by_the_ratio_of_exposure_times():
    blank = np.arange(1.0, 145).reshape(3, 6, 8)
    observed = cube(exposure=EXPOSURE)
    found = ExpectedBackground(cube(blank, time=50_000.0)).expected(observed)
    assert_allclose(found, blank[:, EXPOSURE > 0] / 50)
    assert_allclose(ExpectedBackground(cube(blank), scale=0.1).expected(observed), blank[:, EXPOSURE > 0] / 10)
    coarse = cube(np.ones((2, 6, 8)), energy_edges=[0.5, 2, 4] * u.keV)
    assert_allclose(ExpectedBackground(cube(blank)).expected(coarse)[0], (blank[0] + blank[1]).ravel())


def test_blank_events_are_binned_like_the_observation(events, cube):
    blank = EventCube.from_events(
        make_events(events.data["x"], events.data["y"], energy=events.data["energy"]), like=cube
    )
    assert_array_equal(ExpectedBackground(blank).expected(cube), cube.matrix())


# PHA files


def test_scale_of_a_chandra_spectrum(tmp_path):
    # 1e-6 of 8192 x 8192 pixels of 0.492 arcsec is 16.24 square arcsec; the cube has 40 exposed pixels of 1 arcsec2,
    # half of them at half the exposure.
    counts = np.zeros(1024, dtype=int)
    counts[99], counts[-1] = 1000, 10**6  # channel 100: 1.4454 to 1.46 keV; and the overflow channel
    observed = cube(exposure=EXPOSURE)
    found = ExpectedBackground.from_pha(pha(tmp_path, counts), observed)
    area = 1e-6 * (8192 * 0.492) ** 2
    assert found.scale == pytest.approx(1000 / 4000 * 30 / area, rel=1e-6)
    assert_allclose(found.expected(observed).spectrum(), [0, 1000 * found.scale, 0])
    assert found.expected(observed)[1][0] == pytest.approx(1000 * found.scale / 30)


def test_pha_beside_observations_that_hardly_overlap(tmp_path):
    # 1000 s each, of the two halves of the field: it has been seen for 1000 s everywhere, not for 2000 s.
    halves = [cube(exposure=(np.indices((6, 8))[1] // 4 == side) * u.ks) for side in (0, 1)]
    merged = EventCube.merge(halves)
    assert merged.meta["EXPOSURE"] == 2000
    spectrum = pha(tmp_path, np.full(1024, 5))
    whole = ExpectedBackground.from_pha(spectrum, cube(exposure=np.ones((6, 8)) * u.ks))
    assert ExpectedBackground.from_pha(spectrum, merged).scale == pytest.approx(whole.scale)


def test_pha_of_other_instruments(tmp_path):
    counts, channels = np.arange(1, 11), np.linspace(0, 5, 11) * u.keV
    other = pha(tmp_path, counts, 10, TELESCOP="XMM", INSTRUME="EMOS1")
    with pytest.raises(ValueError, match="the 10 channels of XMM EMOS1 have is not known here; give channel_edges"):
        ExpectedBackground.from_pha(other, cube())
    with pytest.raises(ValueError, match="only known for Chandra ACIS, .* give scale"):
        ExpectedBackground.from_pha(other, cube(), channel_edges=channels)
    found = ExpectedBackground.from_pha(other, cube(), channel_edges=channels, scale=0.5, free=True)
    assert_allclose(found.expected(cube()).spectrum(), [1, 3.5, 13])
    assert "times 0.5; amplitude free" in repr(found)


def test_a_real_background_spectrum(shared_data, events, cube):
    blank = PHA.read(shared_data / "responses" / "3c273_bg.pi")
    found = ExpectedBackground.from_pha(blank, cube)
    channels = np.arange(1, 1025)
    inside = (channels * 14.6 > 1014.6) & (channels * 14.6 < 4985.4)
    total = found.expected(cube).spectrum().sum() / found.scale
    assert blank.counts.value[inside].sum() <= total <= blank.counts.value.sum()


# What background files say of themselves


@pytest.mark.parametrize("form", ["keyword", "column", "text"])
def test_counts_are_divided_by_the_scale_of_the_area(tmp_path, form):
    counts = np.full(1024, 5)
    plain = ExpectedBackground.from_pha(pha(tmp_path, counts), cube()).expected(cube())
    spectrum = pha(tmp_path, counts, AREASCAL={"keyword": 0.5, "column": 3.0, "text": "0.5"}[form])
    if form == "column":
        spectrum = with_column(tmp_path, "AREASCAL", np.where(np.arange(1024) < 137, 0.25, 0.5))  # up to 2 keV
    found = ExpectedBackground.from_pha(spectrum, cube()).expected(cube())
    low, high = (4, 2) if form == "column" else (2, 2)
    assert_allclose(found[:2], low * plain[:2], rtol=2e-2)
    assert_allclose(found[2], high * plain[2], rtol=2e-2)
    scaled = ExpectedBackground.from_pha(spectrum, cube(), scale=1.0).expected(cube())
    assert_allclose(scaled[2].sum() / found[2].sum(), 1 / ExpectedBackground.from_pha(spectrum, cube()).scale)


def with_column(tmp_path, name, values):
    with fits.open(tmp_path / "background.pi") as hdulist:
        columns = hdulist[1].columns + fits.ColDefs([fits.Column(name, "D", array=values)])
        fits.BinTableHDU.from_columns(columns, header=hdulist[1].header).writeto(tmp_path / "column.pi", overwrite=True)
    return PHA.read(tmp_path / "column.pi")


def test_area_of_each_channel(tmp_path):
    counts = np.full(1024, 5)
    plain = ExpectedBackground.from_pha(pha(tmp_path, counts, backscale=2e-6), cube()).expected(cube())
    backscale = np.where(np.arange(1024) < 500, 2e-6, 1e-6)
    spectrum = with_column(tmp_path, "BACKSCAL", backscale)
    assert_allclose(ExpectedBackground.from_pha(spectrum, cube()).expected(cube()), plain)
    with_column(tmp_path, "BACKSCAL", np.where(np.arange(1024) == 80, 0, 1e-6))
    with pytest.raises(
        ValueError, match=r"column.pi': AREASCAL is 1 and BACKSCAL 0 in channel 81, .* must be positive"
    ):
        ExpectedBackground.from_pha(PHA.read(tmp_path / "column.pi"), cube())
    with pytest.raises(ValueError, match="background.pi': BACKSCAL is 0, and must be positive"):
        ExpectedBackground.from_pha(pha(tmp_path, counts, backscale=0.0), cube())
    with pytest.raises(ValueError, match=r"background.pi': AREASCAL is -1 and BACKSCAL 1e-06 in channel 1"):
        ExpectedBackground.from_pha(pha(tmp_path, counts, AREASCAL=-1.0), cube())


@pytest.mark.parametrize(("quality", "kept"), [(1, 0), (5, 0), (2, 1)])
def test_bad_channels_are_left_out_and_warned_of(tmp_path, quality, kept):
    plain = ExpectedBackground.from_pha(pha(tmp_path, np.full(1024, 5)), cube(), scale=1).expected(cube())
    flags = np.zeros(1024, dtype=int)
    flags[137:] = quality  # from 2 keV on
    spectrum = with_column(tmp_path, "QUALITY", flags)
    message = (
        rf"column.pi': QUALITY is {quality} in 887 channels with 4435 counts; .* \(1 and 5\), {4435 * (not kept)}, are"
    )
    with pytest.warns(AstropyUserWarning, match=message):
        found = ExpectedBackground.from_pha(spectrum, cube(), scale=1).expected(cube())
    assert_allclose(found[:2], plain[:2])
    assert_allclose(found[2].sum(), kept * plain[2].sum(), atol=2)
    flags[:] = 0
    flags[:20] = quality
    hdu_counts = np.where(np.arange(1024) < 20, 0, 5)
    pha(tmp_path, hdu_counts)
    ExpectedBackground.from_pha(with_column(tmp_path, "QUALITY", flags), cube(), scale=1)  # no counts there: no word


def blank(**cards):
    return cube(time=50_000.0, meta=fits.Header({"EXPOSURE": 50_000.0} | cards))


@pytest.mark.parametrize(
    ("cards", "scale"),
    [
        ({"BKGSCAL7": 0.03, "BKGMETH": "particle"}, 0.03),
        ({"BKGSCAL0": 0.03, "BKGSCAL1": "0.0301"}, 0.03005),
        ({"BKGSCALE": 0.03, "BKGMETH": "time"}, 0.03),
        ({"BKGSCAL7": 1.5, "BKGMETH": "particle-rate"}, 1.5 * 0.02),
        ({"BKGMETH": "time"}, 0.02),
    ],
)
def test_scale_of_a_blank_sky_list(cards, scale):
    assert_allclose(ExpectedBackground(blank(**cards)).expected(cube()), scale)
    assert_allclose(ExpectedBackground(blank(**cards), scale=0.1).expected(cube()), 0.1)


def test_scales_of_ccds_that_differ():
    with pytest.warns(
        AstropyUserWarning, match=r"other scales for other CCDs, .*'BKGSCAL3': 0.04.* 0.03, is taken for"
    ):
        assert_allclose(ExpectedBackground(blank(BKGSCAL2=0.02, BKGSCAL3=0.04)).expected(cube()), 0.03)
    with pytest.raises(ValueError, match=r"BKGSCALn are \[0.0\], and must be positive"):
        ExpectedBackground(blank(BKGSCAL2=0.0)).expected(cube())


def test_scales_come_with_the_events(events, cube):
    events.header["BKGSCAL7"], events.header["BKGMETH"] = 0.25, "particle"
    blank = EventCube.from_events(events, like=cube)
    assert_allclose(ExpectedBackground(blank).expected(cube), 0.25 * cube.matrix())


@pytest.mark.parametrize("value", [0.0, -3.0, "long"])
def test_exposures_that_are_none(tmp_path, value):
    message = f"EXPOSURE is {value!r}, "
    bad = cube(meta=fits.Header({"EXPOSURE": value}))
    with pytest.raises(ValueError, match=f"the cube's header: {message}"):
        ExpectedBackground(cube()).expected(bad)
    with pytest.raises(ValueError, match=f"the background's header: {message}"):
        ExpectedBackground(bad).expected(cube())
    with pytest.raises(ValueError, match=f"the cube's header: {message}"):
        ExpectedBackground.from_pha(pha(tmp_path, np.full(1024, 5)), bad)


def test_exposures_as_text_and_without_a_value():
    text = cube(meta=fits.Header({"EXPOSURE": "2000.0"}))
    assert_allclose(ExpectedBackground(cube()).expected(text), 2.0)
    with pytest.raises(ValueError, match="a header has no EXPOSURE"):
        ExpectedBackground(cube()).expected(cube(meta=fits.Header({"EXPOSURE": None})))
