import logging
import re

import astropy.units as u
import numpy as np
import pytest
from astropy.utils.exceptions import AstropyUserWarning
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.instrument import PHA, Response

from .ogip_files import CHANNEL_EDGES, make_pha, save

COUNTS = np.array([0, 3, 1, 4, 1, 5, 9])
REAL = {
    "3c273.pi": (736, 38564.608926889, 2.5264364698914e-06, "3c273.rmf"),
    "3c273_bg.pi": (216, 38564.608926889, 1.872535141462e-05, None),
    "acisf01575_001N001_r0085_pha3.fits.gz": (
        855,
        37664.157219191,
        2.2426552620567e-06,
        "acisf01575_001N001_r0085_rmf3.fits",
    ),
    "casa_obs4634.pi.gz": (5436791, 50000.0, 403056, None),
}


@pytest.mark.parametrize("first", [0, 1, 3])
def test_columns_and_keywords(tmp_path, first):
    hdu = make_pha(
        COUNTS, first=first, QUALITY=2, GROUPING=1, BACKSCAL=0.5, BACKFILE="none", RESPFILE="a.rmf", ANCRFILE=" "
    )
    pha = PHA.read(save([hdu], tmp_path / "a.pi"))
    assert_array_equal(pha.channel, np.arange(7) + first)
    assert_array_equal(pha.counts, COUNTS * u.count)
    assert pha.exposure == 100 * u.s
    assert_array_equal(pha.quality, [2] * 7)
    assert_array_equal(pha.grouping, [1] * 7)
    assert (pha.backscale, pha.areascale) == (0.5, 1.0)
    assert (pha.backfile, pha.respfile, pha.ancrfile) == (None, "a.rmf", None)
    assert (pha.first_channel, pha.n_channel) == (first, 7)
    assert pha.header["HDUCLAS2"] == "TOTAL"
    assert repr(pha) == "<PHA: 7 channels, 23 counts in 100 s>"


def test_columns_go_before_keywords(tmp_path):
    columns = [
        ("QUALITY", "I", {"array": [0, 0, 5, 0, 0, 0, 2]}),
        ("GROUPING", "I", {"array": [1, -1, -1, 1, 1, 1, 1]}),
        ("BACKSCAL", "E", {"array": np.arange(7) / 8}),
        ("AREASCAL", "E", {"array": np.ones(7)}),
    ]
    pha = PHA.read(save([make_pha(COUNTS, columns=columns, QUALITY=0, BACKSCAL=3.0)], tmp_path / "a.pi"))
    assert_array_equal(pha.quality, columns[0][2]["array"])
    assert_array_equal(pha.grouping, columns[1][2]["array"])
    assert_array_equal(pha.backscale, np.arange(7) / 8)
    assert_array_equal(pha.areascale, np.ones(7))


def test_rates_are_multiplied_by_the_exposure_of_the_spectrum(tmp_path, caplog):
    hdu = make_pha(COUNTS / 50, column="RATE", EXPOSURE=50.0)
    path = save([hdu], tmp_path / "a.pi")
    with caplog.at_level(logging.INFO):
        assert_allclose(PHA.read(path).counts.value, COUNTS)
    assert "a.pi' has count rates; they are multiplied by the exposure of 50 s" in caplog.text


@pytest.mark.parametrize(
    ("contents", "expected"),
    [(("BKG", "TOTAL"), 1), (("TOTAL", "BKG"), 0), (("BKG", "NET", "TOTAL"), 2), (("BKG", ""), 1), (("BKG",), 0)],
)
def test_the_source_is_taken_and_not_the_background(tmp_path, contents, expected):
    tables = [make_pha(COUNTS + i, content=content) for i, content in enumerate(contents)]
    pha = PHA.read(save(tables, tmp_path / "a.pi"))
    assert_array_equal(pha.counts.value, COUNTS + expected)


@pytest.mark.parametrize("first", [0, 1])
def test_rebinning_conserves_counts(tmp_path, first):
    pha = PHA.read(save([make_pha(COUNTS, first=first)], tmp_path / "a.pi"))
    assert_array_equal(pha.rebin(CHANNEL_EDGES, CHANNEL_EDGES), COUNTS * u.count)
    assert_array_equal(pha.rebin(CHANNEL_EDGES * u.keV, [500, 1000, 2000] * u.eV).value, [3 + 1, 4 + 1])
    with pytest.raises(ValueError, match=r"energy_edges\[1\] = 1.2 keV lies inside a channel, that of 1 to 1.5 keV"):
        pha.rebin(CHANNEL_EDGES, [0.5, 1.2])
    with pytest.raises(ValueError, match="channel_edges are those of 6 channels, and the spectrum .* with 7"):
        pha.rebin(CHANNEL_EDGES[1:], [0.5, 1])


def test_rebinning_sums_channels_as_the_response_does(tmp_path):
    # A response that is a diagonal of counts: folding a flux of ones gives the spectrum itself.
    response = Response(np.diag(COUNTS), CHANNEL_EDGES, CHANNEL_EDGES)
    pha = PHA.read(save([make_pha(COUNTS)], tmp_path / "a.pi"))
    for edges in (response.group(0.6, 2.0, 2), response.group(0.125, 3, 7)):
        assert_array_equal(pha.rebin(response.channel_edges, edges).value, response.rebin(edges).fold(np.ones(7)))


def test_exposure_as_text(tmp_path):
    assert PHA.read(save([make_pha(COUNTS, EXPOSURE="2.0D4")], tmp_path / "a.pi")).exposure == 20000 * u.s


def test_channels_that_are_left_out_have_no_counts(tmp_path):
    hdu = make_pha(COUNTS[:3], first=3, TLMIN1=1, DETCHANS=7)
    pha = PHA.read(save([hdu], tmp_path / "a.pi"))
    assert_array_equal(pha.rebin(CHANNEL_EDGES, CHANNEL_EDGES).value, [0, 0, *COUNTS[:3], 0, 0])


@pytest.mark.parametrize("column", ["COUNTS", "RATE"])
def test_errors(tmp_path, column):
    time = 50.0 if column == "RATE" else 1.0
    given = {"columns": [("STAT_ERR", "D", {"array": np.arange(7) / time})]}
    hdu = make_pha(COUNTS / time, column=column, EXPOSURE=50.0, SYS_ERR=0.5, **given)
    assert_allclose(PHA.read(save([hdu], tmp_path / "a.pi")).errors.value, np.hypot(np.arange(7), COUNTS / 2))
    hdu = make_pha(COUNTS / time, column=column, EXPOSURE=50.0, POISSERR=True)
    assert_allclose(PHA.read(save([hdu], tmp_path / "b.pi")).errors.value, np.sqrt(COUNTS))
    hdu = make_pha(COUNTS / time, column=column, EXPOSURE=50.0, POISSERR=False)
    assert PHA.read(save([hdu], tmp_path / "c.pi")).errors is None


def test_counts_of_the_nominal_area(tmp_path):
    columns = [("AREASCAL", "E", {"array": [0, 1, 1, 2, 2, 0.5, 0.5]}), ("GROUPING", "I", {"array": [1, -1] * 3 + [1]})]
    pha = PHA.read(save([make_pha(COUNTS[:6], columns=[], first=1, DETCHANS=7)], tmp_path / "a.pi"))
    assert_array_equal(pha.area_counts(), [*COUNTS[:6], 0])
    pha = PHA.read(save([make_pha(COUNTS, columns=columns)], tmp_path / "b.pi"))
    assert_array_equal(pha.area_counts(), [0, 3, 1, 2, 0.5, 10, 18])
    assert_array_equal(pha.rebin(CHANNEL_EDGES, [0.5, 1, 2], per_area=True).value, [4, 2.5])
    pha = PHA.read(save([make_pha(COUNTS, QUALITY=5)], tmp_path / "c.pi"))
    with pytest.warns(
        AstropyUserWarning, match=r"c.pi': QUALITY is 5 in 6 channels with 23 counts; .* 23, are left out"
    ):
        assert not pha.area_counts().any()


def changed(**cards):
    def change(hdu):
        for key, value in cards.items():
            hdu.header[key] = value
            if value is None:
                del hdu.header[key]

    return change


def put(column, row, value):
    def change(hdu):
        hdu.data[column][row] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(EXPOSURE=None), "EXPOSURE is None, and must be a positive number of seconds"),
        (changed(EXPOSURE=0.0), "EXPOSURE is 0.0, and must be a positive number of seconds"),
        (changed(EXPOSURE=-20.0), "EXPOSURE is -20.0, and must be a positive number of seconds"),
        (changed(EXPOSURE="long"), "EXPOSURE is 'long'"),
        (changed(AREASCAL="wide"), "AREASCAL is 'wide'"),
        (
            changed(DETCHANS=5),
            r"CHANNEL must have different numbers from 1 to 5 \(DETCHANS\); channel 6 is none of them",
        ),
        (changed(TLMIN1=2), "CHANNEL must have different numbers from 2 to 8 .*; channel 1 is none of them"),
        (put("CHANNEL", 3, 3), "CHANNEL must have different numbers"),
        (put("COUNTS", 2, np.nan), "COUNTS of row 3 is not finite"),
        (lambda hdu: hdu.columns.change_name("COUNTS", "NUMBER"), "there is no column COUNTS, only CHANNEL, NUMBER"),
    ],
)
def test_a_damaged_spectrum_is_refused(tmp_path, change, message):
    hdu = make_pha(COUNTS)
    change(hdu)
    path = save([hdu], tmp_path / "bad.pi")
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}', table SPECTRUM: {message}"):
        PHA.read(path)


def test_other_files_are_refused(tmp_path):
    path = save([make_pha(COUNTS), make_pha(COUNTS)], tmp_path / "two.pi")
    with pytest.raises(ValueError, match="two.pi' holds several spectra"):
        PHA.read(path)
    many = make_pha(COUNTS, columns=[("RATE", "7D", {"array": np.ones((7, 7))})])
    with pytest.raises(ValueError, match="many.pi' holds several spectra"):
        PHA.read(save([many], tmp_path / "many.pi"))
    with pytest.raises(ValueError, match=r"none.pi' holds no spectrum \(table SPECTRUM\): there are no tables"):
        PHA.read(save([], tmp_path / "none.pi"))
    (tmp_path / "text.pi").write_text("1 2 3")
    with pytest.raises(OSError, match="cannot read .*text.pi"):
        PHA.read(tmp_path / "text.pi")


@pytest.mark.parametrize("name", REAL)
def test_real_spectra(shared_data, name):
    counts, exposure, backscale, respfile = REAL[name]
    pha = PHA.read(shared_data / "responses" / name)
    assert pha.counts.sum() == counts * u.count
    assert pha.exposure == exposure * u.s
    assert pha.backscale == pytest.approx(backscale)
    assert pha.respfile == respfile
    assert (pha.first_channel, pha.n_channel) == (1, 1024)
    assert (name == "3c273.pi") == bool(pha.grouping.any())
    response = Response.read(*(shared_data / "responses" / f"3c273.{kind}" for kind in ("arf", "rmf")))
    edges = response.group(0.5, 7, 7)
    first, last = np.searchsorted(response.channel_edges, edges[[0, -1]])
    assert pha.rebin(response.channel_edges, edges).sum() == pha.counts[first:last].sum()


def test_of_two_spectra_in_a_real_file_the_source_is_taken(shared_data):
    pha = PHA.read(shared_data / "responses" / "acisf01575_001N001_r0085_pha3.fits.gz")
    assert pha.header["HDUCLAS2"] == "TOTAL"
