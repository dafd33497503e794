"""What the gate for FITS files lets through, mends, warns of and refuses."""

import bz2
import gzip
import io
import lzma
import os
import threading
import tracemalloc
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from astro_lpalm import EventCube, load_model
from astro_lpalm._files import open_fits, read_image, write_fits
from astro_lpalm._fits_scan import HARMLESS_SIZE, LARGEST_RATIO

from . import toy

MENDED = "cards that are not FITS were mended or left out"


@pytest.fixture
def path(tmp_path):
    """An image and a table, by somebody else and without checksums."""
    table = fits.BinTableHDU.from_columns([fits.Column("A", "J", array=[1, 2, 3])], name="TABLE")
    fits.HDUList([fits.PrimaryHDU(np.arange(12.0).reshape(3, 4)), table]).writeto(tmp_path / "file.fits")
    return tmp_path / "file.fits"


def put(path, card, *, before=b"END", number=0):
    """Put a card, as it is, into the place of blanks before another one; or into that of the one that is there."""
    content = path.read_bytes()
    keyword, start = card[:8], 0
    for _ in range(number):
        start = content.index(b"XTENSION", start + 1)
    found = [i for i in range(start, start + 2880, 80) if content[i : i + 8] == keyword]
    end = next(i for i in range(start, start + 2880, 80) if content[i : i + 8] == before.ljust(8))
    at = found[0] if found else end
    parts = [content[:at], card.ljust(80)]
    parts += [content[at + 80 :]] if found else [content[at : at + 80], content[at + 160 :]]
    path.write_bytes(b"".join(parts))


@contextmanager
def opened(path, message):
    """A file that is warned of, and can be written again."""
    with ExitStack() as stack:
        with pytest.warns(AstropyUserWarning, match=message):
            hdulist = stack.enter_context(open_fits(path))
        yield hdulist
        hdulist.writeto(io.BytesIO(), output_verify="exception")


@pytest.mark.parametrize(
    ("card", "value"),
    [
        (b"ROLL_PNT= nan", "nan"),
        (b"OBSERVER= Dr Smith / no quotes", "Dr Smith"),
        (b"DATE-OBS= 2004-02-01T00:00:00", "2004-02-01T00:00:00"),
        (b"FOO     = 1.5e-03", 1.5e-3),
        (b"FOO= 3", 3),
        (b"foo     = 3", 3),
        (b"FOO     = 1E999", "1E999"),
        (b"FOO     = 'no end", "no end"),
        (b"FOO     = '\x1b[31mred'", "?[31mred"),
        (b"FOO     = 'caf\xe9'", "caf?"),
    ],
)
def test_cards_that_are_not_fits_are_mended(path, card, value):
    put(path, card)
    keyword = card[:8].decode().strip(" =3").upper()
    with opened(path, rf"file.fits': {MENDED}: {keyword} of extension 0 \(PRIMARY\) is now") as hdulist:
        assert hdulist[0].header[keyword] == value
        np.testing.assert_array_equal(hdulist[0].data, np.arange(12.0).reshape(3, 4))


def test_cards_that_cannot_be_mended_are_left_out(path):
    put(path, b"A B     = 3")
    with opened(path, rf"{MENDED}: A B of .* left out") as hdulist:
        assert "A B" not in hdulist[0].header


def test_a_cube_with_strange_cards_can_be_written(tmp_path):
    toy.cube().write(tmp_path / "cube.fits")
    put(tmp_path / "cube.fits", b"FOO     = 1.5e-03")
    with pytest.warns(AstropyUserWarning, match=r"FOO .* is now 0.0015; the header of extension 0 .*\(CHECKSUM\)"):
        cube = EventCube.read(tmp_path / "cube.fits")
    cube.write(tmp_path / "again.fits")
    assert EventCube.read(tmp_path / "again.fits").meta["FOO"] == 1.5e-3


def test_numbers_as_text_count_and_undefined_ones_are_absent(path):
    put(path, b"NAXIS2  = '3'")
    put(path, b"BZERO   = '1.0D0'")
    put(path, b"BSCALE  =")
    put(path, b"TNULL1  =", number=1)
    with open_fits(path) as hdulist:
        np.testing.assert_array_equal(hdulist[0].data, np.arange(12.0).reshape(3, 4) + 1)
        np.testing.assert_array_equal(hdulist[1].data["A"], [1, 2, 3])


@pytest.mark.parametrize(
    ("card", "number", "message"),
    [
        (b"NAXIS2  =", 0, "extension 0: NAXIS2 has no value"),
        (b"NAXIS2  = 'three'", 0, "NAXIS2 is 'three', but must be a whole number"),
        (b"NAXIS2  = nan", 0, "the card NAXIS2 of extension 0 cannot be read: a header is damaged"),
        (b"NAXIS2  = -3", 0, "NAXIS2 is -3, but must not be negative"),
        (
            b"NAXIS2  = 1099511627776",
            0,
            r"extension 0 \(PRIMARY\) should end at byte 351843\d+, but the file has 11520",
        ),
        (b"NAXIS   = 999", 0, "has 999 axes"),
        (b"BITPIX  = 7", 0, "BITPIX is 7, but must be one of 8, 16"),
        (b"NAXIS3  = 1", 0, None),
        (b"TFIELDS = 1000000000", 1, r"extension 1 \(TABLE\): TFIELDS is 1000000000, but a table has at most 999"),
        (b"PCOUNT  = 1099511627776", 1, r"should end at byte 109951163\d+"),
        (b"GCOUNT  = 2", 1, "is a table, but not of bytes in rows"),
        (b"TFORM1  = 'D'", 1, r"its columns \(TFORMn\) take 8 bytes, its rows \(NAXIS1\) have 4"),
        (b"TFORM1  = '?'", 1, r"TFORM1 is '\?', which is no format"),
        (b"TFIELDS = 2", 1, "has no TFORM2"),
        (b"THEAP   = 7", 1, "THEAP is 7, outside its data"),
        (b"ZTABLE  = T", 1, "is a table that fpack compressed: unpack the file first, with 'funpack'"),
        (b"ZTABLE  = 1", 1, "ZTABLE is 1, but must be T or F"),
        (b"XTENSION= 'IM", 1, "the card XTENSION of extension 1 cannot be read"),
    ],
)
@pytest.mark.parametrize("compress", [False, True])
def test_claims_are_held_against_the_file(path, card, number, message, compress):
    put(path, card, number=number)
    if compress:
        path.write_bytes(gzip.compress(path.read_bytes()))
    if message is None:
        with open_fits(path) as hdulist:
            assert hdulist[0].data.shape == (3, 4)
        return
    with pytest.raises(OSError, match=rf"cannot read '.*file.fits' as a FITS file \(.*{message}"), open_fits(path):
        pytest.fail("it claims what is not there")


def test_two_cards_that_contradict_each_other(path):
    put(path, b"EXTEND  = T")
    content = path.read_bytes().replace(b"EXTEND  = T".ljust(80), b"NAXIS1  = 5".ljust(80))
    path.write_bytes(content)
    with pytest.raises(OSError, match="has two cards NAXIS1, 4 and 5"), open_fits(path):
        pytest.fail("which of them?")


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files_are_read(path, packed):
    path.write_bytes(packed(path.read_bytes()))
    with open_fits(path) as hdulist:
        np.testing.assert_array_equal(hdulist[1].data["A"], [1, 2, 3])


@pytest.mark.parametrize(("magic", "program"), [(b"PK\3\4", "unzip"), (b"\x1f\x9d", "uncompress")])
def test_archives_name_the_program(path, magic, program):
    path.write_bytes(magic + bytes(100))
    with pytest.raises(OSError, match=f"it is compressed: unpack it first, with '{program}'"), open_fits(path):
        pytest.fail("it cannot be read")


@pytest.mark.parametrize("head", [b"", "FITS"])
def test_gzip_bombs_take_no_memory(tmp_path, head):
    size = HARMLESS_SIZE + (64 << 20)
    if head:
        header = fits.PrimaryHDU().header
        header["BITPIX"], header["NAXIS"] = 8, 1
        header.insert("NAXIS", ("NAXIS1", size), after=True)
        head = header.tostring().encode()
    with gzip.open(tmp_path / "bomb.fits.gz", "wb", compresslevel=1) as file:
        file.write(head)
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        message = "unpacks to more than" if head else "does not begin with SIMPLE"
        with pytest.raises(OSError, match=rf"bomb.fits.gz'.*{message}"), open_fits(tmp_path / "bomb.fits.gz"):
            pytest.fail("there is nothing in it")
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_sparse_cubes_are_no_bombs(tmp_path):
    data = np.zeros((64, 512, 512), np.int32)
    data[3, 4, 5] = 1
    fits.PrimaryHDU(data).writeto(tmp_path / "cube.fits.gz")
    assert data.nbytes > LARGEST_RATIO * (tmp_path / "cube.fits.gz").stat().st_size
    with open_fits(tmp_path / "cube.fits.gz") as hdulist:
        assert hdulist[0].data.sum() == 1


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (b"ZNAXIS1 = 1099511627776", r"would have 200 times the size"),
        (b"ZNAXIS2 = 9", r"\[4, 9\] in tiles of \[4, 1\] is not one of 3 tiles"),
        (b"ZTILE1  = 0", r"is not one of 3 tiles"),
        (b"ZBITPIX = 3", "ZBITPIX is 3"),
    ],
)
def test_tile_bombs(tmp_path, card, message):
    image = fits.CompImageHDU(np.arange(12, dtype=np.int32).reshape(3, 4), name="IMAGE")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(tmp_path / "tiles.fits")
    put(tmp_path / "tiles.fits", card, number=1)
    if b"ZNAXIS1" in card:
        put(tmp_path / "tiles.fits", b"ZTILE1  = 1099511627776", number=1)
    with pytest.raises(OSError, match=rf"tiles.fits'.*{message}"), open_fits(tmp_path / "tiles.fits"):
        pytest.fail("it claims what is not there")


def flip(path, number):
    """Flip a bit of the data of an HDU."""
    with fits.open(path) as hdulist:
        at = hdulist[number].fileinfo()["datLoc"]
    content = bytearray(path.read_bytes())
    content[at + 3] ^= 4
    path.write_bytes(content)


def test_wrong_data_of_our_own_are_refused(tmp_path):
    write_fits(fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones(5), name="A")]), tmp_path / "ours.fits")
    assert fits.getheader(tmp_path / "ours.fits")["CREATOR"].startswith("astro_lpalm ")
    with open_fits(tmp_path / "ours.fits"):
        pass
    flip(tmp_path / "ours.fits", 1)
    with pytest.raises(OSError, match=r"ours.fits': the checksum of extension 1 \(A\) is missing or wrong"):
        open_fits(tmp_path / "ours.fits").__enter__()


def test_a_cube_that_keeps_the_name_of_another_program_is_our_own(tmp_path):
    cube = toy.cube()
    cube.meta = fits.Header({"CREATOR": "CIAO"})
    cube.write(tmp_path / "cube.fits")
    flip(tmp_path / "cube.fits", 0)
    with pytest.raises(OSError, match=r"checksum of extension 0 \(PRIMARY\) is missing or wrong"):
        EventCube.read(tmp_path / "cube.fits")


def test_wrong_data_of_others_are_warned_of(path):
    with fits.open(path) as hdulist:
        hdulist.writeto(path, checksum=True, overwrite=True)
    with open_fits(path):
        pass
    flip(path, 1)
    with opened(path, r"file.fits': the data of extension 1 \(TABLE\) changed .*\(DATASUM\)") as hdulist:
        assert hdulist[1].data["A"][0] == 5


def test_a_header_of_others_may_have_been_edited(path):
    with fits.open(path) as hdulist:
        hdulist.writeto(path, checksum=True, overwrite=True)
    put(path, b"OBJECT  = 'other'")
    with open_fits(path) as hdulist:
        assert hdulist[0].header["OBJECT"] == "other"


def test_weights_that_are_not_those_of_the_header(tmp_path):
    toy.model().write(tmp_path / "model.fits")
    with fits.open(tmp_path / "model.fits") as hdulist:
        hdulist["WEIGHT_THETA"].data[0, 0] += 1
        hdulist.writeto(tmp_path / "changed.fits", checksum=True)
    message = rf"changed.fits': its weights have the fingerprint \w+, but its header says {toy.model().checksum}"
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path / "changed.fits")


def test_parts_of_files_by_the_names_that_ciao_and_cfitsio_have(path):
    for name in ("[TABLE]", "[ table ]", "+1"):
        with open_fits(f"{path}{name}") as hdulist:
            assert [hdu.name for hdu in hdulist] == ["PRIMARY", "TABLE"]
            assert hdulist[0].data is None
            np.testing.assert_array_equal(hdulist[1].data["A"], [1, 2, 3])
    assert read_image(f"{path}+0")[0].shape == (3, 4)
    with pytest.raises(ValueError, match="file.fits' has no extension 7; it has PRIMARY, TABLE, counted from 0"):
        open_fits(f"{path}+7").__enter__()
    for part in ("[energy=500:7000]", "[TABLE][A=1:2]", "[1]", "[bin x=1:2]"):
        with pytest.raises(FileNotFoundError, match=r"of CIAO's virtual files only '.*file.fits\[NAME\]'.*--energy"):
            open_fits(f"{path}{part}").__enter__()


def test_brackets_and_signs_that_are_part_of_the_name(path):
    for name in ("file[TABLE].fits", "x[TABLE]", "y+1"):
        other = path.with_name(name)
        other.write_bytes(path.read_bytes())
        with open_fits(other) as hdulist:
            assert hdulist[0].data is not None


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs pipes with names")
def test_pipes_are_read_once(path):
    end, start = os.pipe()

    def pour():
        with open(start, "wb") as pipe:
            pipe.write(path.read_bytes())

    thread = threading.Thread(target=pour)
    thread.start()
    with open_fits(f"/dev/fd/{end}") as hdulist:
        np.testing.assert_array_equal(hdulist[1].data["A"], [1, 2, 3])
    thread.join()
    with pytest.raises(OSError, match="it is empty; a pipe can be read only once"):
        open_fits(f"/dev/fd/{end}").__enter__()
    with pytest.raises(OSError, match="it is a pipe, which can be read only once, and this needs it twice"):
        open_fits(f"/dev/fd/{end}", headers_only=True).__enter__()
    os.close(end)
