import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm._headers import exposure_time, header_number, header_text


@pytest.mark.parametrize("value", [20000, 20000.0, "20000.0", " 2e4 ", "2.0D4", "2.0d+04", np.float32(20000)])
def test_numbers_and_texts_that_are_numbers(value):
    assert header_number({"EXPOSURE": value}, "EXPOSURE", "'f.fits'") == 20000.0


@pytest.mark.parametrize("value", [None, "", "   ", fits.card.Undefined()])
def test_undefined_is_absent(value):
    assert header_number({"EXPOSURE": value}, "EXPOSURE", "'f.fits'", default=7.0) == 7.0
    assert header_text({"EXPOSURE": value}, "EXPOSURE", "'f.fits'", default="none") == "none"


def test_absent():
    assert header_number(fits.Header(), "EXPOSURE", "'f.fits'") is None


@pytest.mark.parametrize("value", ["about an hour", True, np.nan, np.inf, "nan", 1j, "0x10", "1_0", [1]])
def test_anything_else_names_file_and_keyword(value):
    with pytest.raises(ValueError, match=r"'f\.fits': EXPOSURE is .*, but must be a finite number"):
        header_number({"EXPOSURE": value}, "EXPOSURE", "'f.fits'")


def test_whole_numbers():
    assert header_number({"TLMIN4": "1.0"}, "TLMIN4", "'f.fits'", kind=int) == 1
    assert isinstance(header_number({"TLMIN4": 1.0}, "TLMIN4", "'f.fits'", kind=int), int)
    with pytest.raises(ValueError, match=r"TLMIN4 is 0\.5, but must be a whole number"):
        header_number({"TLMIN4": 0.5}, "TLMIN4", "'f.fits'", kind=int)


def test_large_whole_numbers_are_exact():
    assert header_number({"SEED": 2**62 + 1}, "SEED", "'f.fits'", kind=int) == 2**62 + 1


def test_a_card_that_cannot_be_read():
    header = fits.Header.fromstring("EXPOSURE= nan".ljust(80))
    with pytest.raises(ValueError, match="'f.fits': the card EXPOSURE cannot be read"):
        header_number(header, "EXPOSURE", "'f.fits'")


def test_exposure_times_are_positive():
    assert exposure_time({"EXPOSURE": "2.0D4"}, "EXPOSURE") == 20000.0
    assert exposure_time({"LIVETIME": None}, "'f.fits'", "LIVETIME") is None
    for value in (0, -1.5, "0.0"):
        with pytest.raises(ValueError, match=rf"'f\.fits': ONTIME is {value!r}, and must be a positive number"):
            exposure_time({"ONTIME": value}, "'f.fits'", "ONTIME")
