import errno
import gzip
import os
import platform
import re
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm._files import check_files, check_output, complete_or_nothing, open_fits, write_fits

as_root = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")


@pytest.fixture
def three(tmp_path):
    """A file of three images, of which the last is a mask, and where each begins."""
    path = tmp_path / "three.fits"
    images = [np.ones((3, 4, 5)), np.arange(2000.0).reshape(40, 50), np.ones((4, 5), np.uint8)]
    hdulist = [fits.PrimaryHDU(images[0]), fits.ImageHDU(images[1], name="A"), fits.ImageHDU(images[2], name="MASK")]
    fits.HDUList(hdulist).writeto(path, checksum=True)
    with fits.open(path) as written:
        starts = [hdu.fileinfo()["hdrLoc"] for hdu in written]
    return path, starts


def test_complete_file_takes_its_place(tmp_path):
    path = tmp_path / "result.v2.fits.gz"
    with complete_or_nothing(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith(".v2.fits.gz")
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_file_has_ordinary_permissions(tmp_path):
    path, plain = tmp_path / "result", tmp_path / "plain"
    before = os.umask(0o022)
    try:
        plain.write_text("")
        with complete_or_nothing(path) as temporary:
            temporary.write_text("")
    finally:
        assert os.umask(before) == 0o022
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [None, "old"])
def test_failure_leaves_everything_as_it_was(tmp_path, old, interruption):
    path = tmp_path / "result.fits"
    if old is not None:
        path.write_text(old)

    def write():
        with complete_or_nothing(path, overwrite=True) as temporary:
            temporary.write_text("half of")
            raise interruption

    with pytest.raises(interruption):
        write()
    assert [each.read_text() for each in tmp_path.iterdir()] == ([] if old is None else [old])


def test_existing_file_is_replaced_only_when_told(tmp_path):
    path = tmp_path / "result.fits"
    path.write_text("old")
    for check in (check_output, lambda path: complete_or_nothing(path).__enter__()):
        with pytest.raises(FileExistsError, match=r"result.fits' exists already.*overwrite=True \(--overwrite\)"):
            check(path)
    assert path.read_text() == "old"
    check_output(path, overwrite=True)
    with complete_or_nothing(str(path), overwrite=True) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("overwrite", [False, True])
def test_places_where_nothing_can_be_written(tmp_path, overwrite):
    file = tmp_path / "file"
    file.write_text("old")
    for path, kind, message in [
        (tmp_path, IsADirectoryError, "it is a directory; give the name of a file"),
        (tmp_path / "missing" / "result.fits", FileNotFoundError, "no directory '.*missing'; create it first"),
        (file / "result.fits", NotADirectoryError, "file' is a file, not a directory"),
    ]:
        with pytest.raises(kind, match=message):
            check_output(path, overwrite=overwrite)
        with pytest.raises(kind, match=message), complete_or_nothing(path, overwrite=overwrite):
            pytest.fail("nothing must be written")
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == "old"


@as_root
def test_directory_without_permission(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(PermissionError, match="permission denied; choose a directory"):
        check_output(folder / "result.fits")
    with pytest.raises(PermissionError, match="permission denied"), complete_or_nothing(folder / "result.fits"):
        pytest.fail("nothing must be written")


def test_name_that_the_file_system_refuses(tmp_path):
    with pytest.raises(OSError, match="File name too long"), complete_or_nothing(tmp_path / (300 * "x")):
        pytest.fail("nothing must be written")


@pytest.mark.parametrize("compress", [False, True])
def test_whole_file_is_read(three, compress):
    path, _ = three
    if compress:
        path = path.with_suffix(".fits.gz")
        path.write_bytes(gzip.compress(three[0].read_bytes()))
    with open_fits(str(path), checksum=True) as hdulist:
        assert [hdu.name for hdu in hdulist] == ["PRIMARY", "A", "MASK"]
        np.testing.assert_array_equal(hdulist["A"].data, np.arange(2000.0).reshape(40, 50))


@pytest.mark.filterwarnings("ignore")  # an error of its own, not one that pytest makes of astropy's warnings
@pytest.mark.parametrize(
    ("hdu", "offset"),
    [(0, 100), (0, 2880), (0, 3000), (1, 1000), (1, 2880), (1, 2880 + 7000), (2, 80), (2, 2879), (2, 2880), (2, 2885)],
)
def test_truncated_wherever_it_is_cut(three, hdu, offset):
    path, starts = three
    path.write_bytes(path.read_bytes()[: starts[hdu] + offset])
    with pytest.raises(OSError, match="cannot read '.*three.fits' as a FITS .*or is truncated"), open_fits(path):
        pytest.fail("a part must not be taken for the whole")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_truncated_compression(three, share):
    path, _ = three
    content = gzip.compress(path.read_bytes())
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(OSError, match="cannot read '.*three.fits'.*or is truncated"), open_fits(path):
        pytest.fail("a part must not be taken for the whole")


_MAGIC = {"gzip": b"\x1f\x8b", "zip": b"PK\3\4", "bzip2": b"BZh9", "xz": b"\xfd7zXZ\x00", "compress": b"\x1f\x9d"}


@pytest.mark.parametrize("content", [b"", b"hello\n", b"SIMPLE", 2880 * b" ", *_MAGIC.values()])
def test_other_kinds_of_file(tmp_path, content):
    path = tmp_path / "other.fits"
    path.write_bytes(content)
    with pytest.raises(OSError, match="cannot read '.*other.fits' as a FITS .*another kind of file"), open_fits(path):
        pytest.fail("this is no FITS file")


@pytest.mark.parametrize("name", ["missing.fits", "."])
def test_no_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="there is no file '.*'; check the name"), open_fits(tmp_path / name):
        pytest.fail("there is nothing to open")


def test_checksums_catch_a_flipped_bit_anywhere(three):
    path, starts = three
    content = path.read_bytes()
    index = content.index(b"EXTNAME = 'A") + 11
    for position, extension in [(2880 + 17, 0), (index, 1), (starts[1] + 2 * 2880 + 5, 1), (starts[2] + 2880 + 3, 2)]:
        damaged = bytearray(content)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        message = rf"three.fits': the checksum of extension {extension} \(.*missing or wrong"
        with pytest.raises(OSError, match=message), open_fits(path, checksum=True):
            pytest.fail("this file is damaged")


def test_checksums_must_be_there(tmp_path):
    path = tmp_path / "plain.fits"
    fits.PrimaryHDU(np.ones(3)).writeto(path)
    with open_fits(path) as hdulist:
        assert hdulist[0].data.sum() == 3
    with pytest.raises(OSError, match=r"extension 0 \(PRIMARY\) is missing or wrong"), open_fits(path, checksum=True):
        pytest.fail("it has no checksums")


def test_errors_of_the_block_pass_through_and_the_file_is_closed(three):
    path, _ = three
    with pytest.raises(KeyError, match="mine"), open_fits(path) as hdulist:
        hdulist["mine"]
    assert hdulist._file.closed


def test_fits_files_are_written_with_checksums(tmp_path):
    path = tmp_path / "new.fits"
    primary, image = fits.PrimaryHDU(), fits.ImageHDU(np.arange(6.0), name="LINE")
    primary.header["LONG"] = 100 * "x"
    write_fits(fits.HDUList([primary, image]), path)
    with open_fits(path, checksum=True) as hdulist:
        assert hdulist[0].header["LONG"] == 100 * "x"
        assert hdulist[0].header["LONGSTRN"] == "OGIP 1.0"
        assert "LONGSTRN" not in hdulist["LINE"].header
        np.testing.assert_array_equal(hdulist["LINE"].data, np.arange(6.0))
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="new.fits' exists already"):
        write_fits(fits.HDUList([fits.PrimaryHDU()]), path)
    assert path.read_bytes() == before
    write_fits(fits.HDUList([fits.PrimaryHDU()]), path, overwrite=True)
    assert fits.getheader(path)["NAXIS"] == 0
    with pytest.raises(IndexError):
        fits.getheader(path, 1)


def test_what_a_link_points_to_is_replaced(tmp_path):
    target, link = tmp_path / "real.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    with complete_or_nothing(link, overwrite=True) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_ordinary_file_is_kept(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="no ordinary file"):
        check_output(pipe, overwrite=True)
    assert not pipe.is_file()


# Two at a time, disks that are full, runs that were killed


def test_one_of_two_at_the_same_moment(tmp_path):
    """Both write before either puts its file in place: one succeeds, the other says that the name is taken."""
    for number in range(10):
        path, barrier = tmp_path / f"{number}.fits", threading.Barrier(2)

        def write(text, path=path, barrier=barrier):
            with complete_or_nothing(path) as temporary:
                temporary.write_text(text)
                barrier.wait(timeout=60)
            return text

        with ThreadPoolExecutor(2) as pool:
            results = [pool.submit(write, text) for text in ("one", "two")]
        errors = [result.exception() for result in results]
        (winner,) = [result.result() for result, error in zip(results, errors) if error is None]
        (loser,) = [error for error in errors if error is not None]
        assert isinstance(loser, FileExistsError)
        assert re.search(rf"{number}.fits' exists already; choose another name", str(loser))
        assert path.read_text() == winner
    assert len(list(tmp_path.iterdir())) == 10


def no_links(monkeypatch):
    def link(*names):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)


def test_file_system_without_links(tmp_path, monkeypatch):
    no_links(monkeypatch)
    test_one_of_two_at_the_same_moment(tmp_path)
    with complete_or_nothing(tmp_path / "0.fits", overwrite=True) as temporary:
        temporary.write_text("new")
    assert (tmp_path / "0.fits").read_text() == "new"


def test_name_is_free_again_where_the_last_step_fails(tmp_path, monkeypatch):
    no_links(monkeypatch)

    def replace(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(tmp_path), "replace", replace)
    with pytest.raises(KeyboardInterrupt), complete_or_nothing(tmp_path / "new.fits") as temporary:
        temporary.write_text("new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError("2687100 requested and 1310720 written"),  # NumPy's
    ],
)
@pytest.mark.parametrize("old", [None, "old"])
def test_full_disk(tmp_path, monkeypatch, error, old):
    path = tmp_path / "cube.fits"
    if old is not None:
        path.write_text(old)

    def writeto(self, name, **settings):
        with open(name, "w") as file:
            file.write("half of")
        raise error

    monkeypatch.setattr(fits.HDUList, "writeto", writeto)
    message = r"cannot write '\S*/cube.fits': the disk or the quota is full; free some space, or choose another dir"
    with pytest.raises(OSError, match=f"^{message}"):
        write_fits(fits.HDUList([fits.PrimaryHDU()]), path, overwrite=True)
    assert [each.read_text() for each in tmp_path.iterdir()] == ([] if old is None else [old])


def test_full_disk_names_the_file_that_was_written(tmp_path):
    """Of several, and not by a temporary name."""

    def write():
        with ExitStack() as stack:
            _, temporary = [stack.enter_context(complete_or_nothing(tmp_path / name)) for name in ("a.pha", "b.pha")]
            stack.enter_context(complete_or_nothing(temporary, overwrite=True))
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"^cannot write '\S*/b.pha': the disk"):
        write()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="needs limits of the size of a file")
@pytest.mark.parametrize("name", ["cube.fits", "cube.fits.gz"])
def test_file_that_may_grow_no_more(tmp_path, name):
    code = f"""
import resource
import numpy as np
from astropy.io import fits
from astro_lpalm._files import write_fits
resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))
try:
    write_fits(fits.HDUList([fits.PrimaryHDU(np.random.default_rng(0).random(10000))]), {name!r})
except OSError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"cannot write '{name}': the disk or the quota is full")
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_writing_stay_what_they_are(tmp_path):
    with pytest.raises(OSError, match="Input/output error"), complete_or_nothing(tmp_path / "new.fits"):
        raise OSError(errno.EIO, "Input/output error")


@pytest.mark.skipif(os.name != "posix", reason="elsewhere nothing can be asked after a process")
def test_leftovers_of_a_killed_run_are_removed(tmp_path):
    code = """
import os, signal
from astro_lpalm._files import complete_or_nothing
with complete_or_nothing("cube.fits") as temporary:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path)
    (left,) = tmp_path.iterdir()
    elsewhere = tmp_path / left.name.replace("-lpalm-", "-lpalm-9", 1).replace(platform.node(), "another-machine")
    elsewhere.touch()
    (tmp_path / ".astro-lpalm-notes").touch()
    with complete_or_nothing(tmp_path / "first.fits") as running, complete_or_nothing(tmp_path / "second.fits"):
        assert running.exists()
    assert {each.name for each in tmp_path.iterdir()} == {
        "first.fits",
        "second.fits",
        elsewhere.name,
        ".astro-lpalm-notes",
    }


# What is read, and what is written


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("ev.fits", "ev[1].fits", "d[1]/ev.fits", "other.fits"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "soft.fits").symlink_to("ev.fits")
    os.link("ev.fits", "hard.fits")
    (tmp_path / "linked").symlink_to("d[1]")
    return tmp_path


@pytest.mark.parametrize(
    ("output", "given"),
    [
        ("ev.fits", "ev.fits"),
        ("ev.fits", "./ev.fits"),
        ("d[1]/../ev.fits", "ev.fits"),
        ("ev.fits", "ev.fits[EVENTS]"),
        ("ev.fits", "ev.fits[EVENTS][energy=500:7000]"),
        ("ev.fits", "ev.fits+1"),
        ("ev[1].fits", "ev[1].fits"),
        ("ev[1].fits", "ev[1].fits[EVENTS]"),
        ("d[1]/ev.fits", "d[1]/ev.fits"),
        ("d[1]/ev.fits", "linked/ev.fits[2]"),
        ("soft.fits", "ev.fits"),
        ("ev.fits", "soft.fits"),
        ("hard.fits", "ev.fits"),
    ],
)
def test_no_output_is_an_input(inputs, output, given):
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=f"'{re.escape(output)}' is the file that it would be made of; choose"):
            check_files({"--output": output}, [None, "other.fits", given], overwrite=overwrite)


def test_outputs_that_are_no_input(inputs):
    check_files({"--output": "new.fits", "--truth": None, "--table": "other.fits"}, ["ev.fits"], overwrite=True)
    check_files({"--output": "new.fits"}, ["new.fits", "Synchrotron", "nul\0", 300 * "x"])  # no such files
    with pytest.raises(FileExistsError, match="'other.fits' exists already"):
        check_files({"--output": "new.fits", "--table": "other.fits"}, ["ev.fits"])
    check_files({"--output": "new.fits", "--checkpoint": "other.fits"}, ["ev.fits"], renewed=["--checkpoint"])
    with pytest.raises(FileNotFoundError, match="there is no directory 'missing'"):
        check_files({"--output": "new.fits", "--checkpoint": "missing/c.fits"}, renewed=["--checkpoint"])


@pytest.mark.parametrize("second", ["new.fits", "./new.fits", "d[1]/../new.fits", "later.fits"])
def test_no_two_outputs_are_one(inputs, second):
    (inputs / "later.fits").symlink_to("new.fits")
    with pytest.raises(ValueError, match="--output and --checkpoint are both 'new.fits'; give each a name of its own"):
        check_files({"--output": "new.fits", "--checkpoint": second}, overwrite=True, renewed=["--checkpoint"])


def test_link_into_a_directory_that_is_not_there(tmp_path):
    (tmp_path / "link.fits").symlink_to("missing/new.fits")
    with pytest.raises(FileNotFoundError, match="a link into a directory that does not exist, '.*missing'; create it"):
        check_output(tmp_path / "link.fits")


@pytest.mark.parametrize(
    "name", ["c.zip", "c.fits.xz", "c.FITS.BZ2", "c.fits.Z", "c.tar.gz", "c.png", "c.toml", "c.h5"]
)
def test_names_of_other_formats(tmp_path, name):
    ending = re.search(r"\.((tar|fits)(?=\.gz)\.)?\w+$", name)[0]
    message = (
        rf"{name}': a FITS file cannot end in '{re.escape(ending)}'; give a name that ends in .fits, or in .fits.gz"
    )
    with pytest.raises(ValueError, match=message):
        write_fits(fits.HDUList([fits.PrimaryHDU()]), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["c", "c.fits", "c.fits.gz", "c.FIT", "c_0.5-7.0keV", "c.zip.fits", "c.rmf", "c.pha.gz"]
)
def test_names_of_fits_files(tmp_path, name):
    write_fits(fits.HDUList([fits.PrimaryHDU(np.ones(3))]), tmp_path / name)
    with open_fits(tmp_path / name, checksum=True) as hdulist:
        assert hdulist[0].data.sum() == 3
