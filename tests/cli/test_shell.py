"""How the command behaves in a shell: signals, pipes, disks that are full, and names with control characters."""

import errno
import io
import logging
import os
import re
import signal
import subprocess
import sys

import pytest
from astropy.io import fits

from astro_lpalm import EventCube
from astro_lpalm._shell import in_shell, printable
from astro_lpalm.training import checkpoint

from .. import toy
from .conftest import contents, run

as_in_a_shell = pytest.mark.skipif(os.name != "posix", reason="needs the signals and pipes of POSIX")
PROGRAM = [sys.executable, "-m", "astro_lpalm"]


def test_python_m(files, here):
    done = subprocess.run([*PROGRAM, "info", files / "cube.fits"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "12 bins from 1 to 4 keV" in done.stdout
    assert subprocess.run([*PROGRAM, "bin"], capture_output=True).returncode == 2


# Signals


def interrupt(monkeypatch, target, name, after=0, error=KeyboardInterrupt):
    """Interrupt a function when it has been called so many times."""
    function, calls = getattr(target, name), []

    def interrupted(*arguments, **settings):
        calls.append(1)
        if len(calls) > after:
            raise error
        return function(*arguments, **settings)

    monkeypatch.setattr(target, name, interrupted)


def test_interrupted_and_nothing_kept(files, here, capsys, monkeypatch):
    interrupt(monkeypatch, EventCube, "from_events")
    assert run("bin", files / "events.fits", "-o", "cube.fits") == 130
    assert capsys.readouterr() == ("", "astro-lpalm bin: interrupted, and nothing was kept.\n")
    assert contents(here) == {}


def test_interrupted_while_writing(files, here, capsys, monkeypatch):
    interrupt(monkeypatch, fits.HDUList, "writeto", after=1)
    settings = ["-o", "events.fits", "--truth", "truth.fits", "--size", 30, "--counts", 1e3, "--quiet"]
    assert run("simulate", files / "components.toml", *settings) == 130
    assert capsys.readouterr() == ("", "astro-lpalm simulate: interrupted; kept: 'events.fits'.\n")
    assert set(contents(here)) == {"events.fits"}


@pytest.mark.parametrize(
    ("options", "epochs", "message"),
    [
        (
            ["--no-checkpoint"],
            2,
            r"interrupted after 2 of 9 epochs, and nothing was kept; with a checkpoint \(--checkpoint FILE\) a train",
        ),
        (
            ["--checkpoint", "c.fits"],
            2,
            "interrupted; 'c.fits' keeps 2 of 9 epochs, and the same training goes on from",
        ),
        ([], 2, r"interrupted; '\S*cache/astro_lpalm/training-[0-9a-f]{16}.fits' keeps 2 of 9 epochs, and the same"),
        (["--checkpoint", "c.fits"], 0, "interrupted in the first of 9 epochs, and nothing was kept"),
    ],
)
def test_interrupted_training(files, here, capsys, monkeypatch, options, epochs, message):
    from astro_lpalm.training.train import _Run

    settings = ["-o", "model.fits", "--epochs", 9, "--n-layers", 1, "--quiet", *options]
    interrupt(monkeypatch, _Run, "one_epoch", after=epochs)
    assert run("train", files / "components.toml", *settings) == 130
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert re.search(message, err)
    assert set(contents(here)) == ({"c.fits"} if "c.fits" in options and epochs else set())


def test_interrupted_while_the_checkpoint_is_written(files, here, capsys, monkeypatch):
    settings = ["-o", "model.fits", "--epochs", 9, "--n-layers", 1, "--quiet", "--checkpoint", "c.fits"]
    interrupt(monkeypatch, checkpoint, "write_fits", after=3)
    assert run("train", files / "components.toml", *settings) == 130
    assert "'c.fits' keeps 3 of 9 epochs" in capsys.readouterr().err
    with fits.open("c.fits") as hdulist:
        assert [len(hdu.data) for hdu in hdulist[1:] if hdu.header["ARRAY"] == "history/epoch"] == [3]


@as_in_a_shell
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(files, here, number, code):
    """While a file is written: its temporary is gone, and one line says so."""
    program = f"""
import os, signal, sys
from astropy.io import fits
from astro_lpalm.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores in what it runs in the background
def writeto(self, name, **settings):
    assert os.path.exists(name)
    os.kill(os.getpid(), {int(number)})
fits.HDUList.writeto = writeto
sys.exit(main())
"""
    command = [sys.executable, "-c", program, "bin", str(files / "events.fits"), "-o", "cube.fits", "--quiet"]
    done = subprocess.run([*command, "--energy", "1", "4"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == "astro-lpalm bin: interrupted, and nothing was kept.\n"
    assert list(here.iterdir()) == []


@as_in_a_shell
def test_signals_are_left_as_they_were(files):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    streams = sys.stdout, sys.stderr
    assert run("info", files / "cube.fits") == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    assert (sys.stdout, sys.stderr) == streams


# Output that nobody reads, or that has no room


@as_in_a_shell
@pytest.mark.parametrize("arguments", [["info", "cube.fits"], ["--help"]])
def test_closed_pipe_is_silent(files, here, arguments):
    arguments = [files / each if each == "cube.fits" else each for each in arguments]
    process = subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() in (0, 141)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_has_no_room(files):
    with open("/dev/full", "w") as full:
        done = subprocess.run([*PROGRAM, "info", files / "cube.fits"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    message = "cannot write to <stdout> (No space left on device); free some space, or send it elsewhere.\n"
    assert done.stderr.endswith(message)
    assert done.stderr.count("\n") == 1


def test_without_any_output(files, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert run("info", files / "cube.fits") == 0


@pytest.mark.parametrize("command", ["bin", "simulate", "train", "separate"])
def test_full_disk(files, here, fails, monkeypatch, command):
    def writeto(self, name, **settings):
        with open(name, "w") as file:
            file.write("half of")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fits.HDUList, "writeto", writeto)
    arguments = {
        "bin": ["events.fits", "-o", "new.fits", "--energy", 1, 4],
        "simulate": ["components.toml", "-o", "new.fits", "--size", 30, "--counts", 1e3],
        "train": ["components.toml", "-o", "trained.fits", "--checkpoint", "new.fits", "--n-layers", 1],
        "separate": ["cube.fits", "model.fits", "-o", "new.fits"],
    }
    there = [files / each if (files / str(each)).exists() else each for each in arguments[command]]
    fails("cannot write 'new.fits': the disk or the quota is full; free some space, or choose another", command, *there)


# Text that a terminal would obey

ESCAPE = "\x1b[2J\x1b]0;title\x07\x9b31m"
NAME = f"no{ESCAPE}\r\u202e.fits"
SHOWN = r"no\x1b[2J\x1b]0;title\x07\x9b31m"


def is_plain(text):
    return all(each.isprintable() or each in "\n\t" for each in text)


def test_printable():
    assert printable("a\tb\nç Å ✓") == "a\tb\nç Å ✓"
    assert printable(NAME) == SHOWN + r"\r\u202e.fits"
    assert printable("\udcff") == r"\udcff"  # a byte of a name that is no UTF-8


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", NAME],
        ["bin", NAME, "-o", "new.fits"],
        ["bin", "events.fits", "-o", f"{NAME}.zip"],
        ["bin", "events.fits", "-o", f"missing/{NAME}"],
        ["bin", "events.fits", "-o", "new.fits", "--region", NAME],
        ["separate", "cube.fits", NAME, "-o", "new.fits"],
        ["separate", "cube.fits", "model.fits", "-o", "new.fits", "--transform", ESCAPE],
        ["train", NAME, "-o", "new.fits"],
        ["spectra", NAME, "-o", "new", "--table", ESCAPE],
    ],
)
def test_names_in_errors(files, here, capsys, arguments):
    arguments = [files / each if (files / each).exists() else each for each in arguments]
    assert run(*arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert r"\x1b[2J" in err
    assert is_plain(err)
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[ESCAPE], ["bin", "e.fits", "-o", "c.fits", "--n-energy", ESCAPE]])
def test_wrong_usage(here, capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        run(*arguments)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert r"\x1b[2J" in err or r"\\x1b[2J" in err
    assert is_plain(err)


def test_what_files_say(files, here, capsys):
    (here / "c.toml").write_text(toy.COMPONENTS + r'"\u001b[2J\u0007" = 1')
    assert run("train", "c.toml", "-o", "new.fits") == 1
    assert r"'\x1b[2J\x07'" in capsys.readouterr().err
    (here / "c.reg").write_text(f"fk5\ncircle(350.8, 58.8, {ESCAPE})\n")
    assert run("bin", files / "events.fits", "-o", "new.fits", "--region", "c.reg") == 1
    err = capsys.readouterr().err
    assert r"\x1b[2J" in err
    assert is_plain(err)


def test_all_that_is_written(capsys):
    def speak():
        print(NAME)
        print(NAME, file=sys.stderr)
        log, handler = logging.getLogger("astro_lpalm.test"), logging.StreamHandler()
        log.addHandler(handler)
        log.warning(NAME)
        log.removeHandler(handler)
        return 7

    assert in_shell(speak) == 7
    out, err = capsys.readouterr()
    assert SHOWN in out
    assert err.count(SHOWN) == 2
    assert is_plain(out + err)


def test_traceback(here):
    done = subprocess.run([*PROGRAM, "info", NAME, "--debug"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback (most recent call last)" in done.stderr
    assert f"FileNotFoundError: there is no file '{SHOWN}" in done.stderr
    assert is_plain(done.stderr)


def test_encoding_of_the_terminal(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert in_shell(lambda: print("modèle \udcff") or 0) == 0
    assert stream.buffer.getvalue() == b"mod\\xe8le \\udcff\n"


def test_progress_is_drawn_on_the_terminal(monkeypatch):
    from astro_lpalm._progress import Progress

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert in_shell(lambda: Progress(2, "training").step("loss 1") or 0) == 0
    assert terminal.getvalue().startswith("\rtraining 1/2 ")
