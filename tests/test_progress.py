import io
import re
from types import SimpleNamespace

import pytest

from astro_lpalm import _progress
from astro_lpalm._progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    # Not sys.stderr itself, which pytest changes between fixtures and tests.
    stream = Terminal()
    monkeypatch.setattr(_progress, "sys", SimpleNamespace(stderr=stream))
    return stream


@pytest.fixture
def clock(monkeypatch):
    """A clock that shows the time that a test sets."""
    now = [100.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    return now


def test_counts_and_tells_the_time_left(terminal, clock):
    meter = Progress(4, "training")
    shown = []
    for elapsed in (10.0, 16.0, 30.0, 40.0):
        clock[0] = 100.0 + elapsed
        meter.step("loss 0.1")
        shown.append(terminal.getvalue().split("\r")[-1])
    assert [re.split(" {2,}", line.strip()) for line in shown] == [
        ["training 1/4", "30 s left", "loss 0.1"],
        ["training 2/4", "16 s left", "loss 0.1"],
        ["training 3/4", "10 s left", "loss 0.1"],
        ["training 4/4", "0 s left", "loss 0.1"],
    ]
    # One line that is written over and over, and ended at the end; no rest of a longer note stays behind.
    assert terminal.getvalue().count("\n") == 1
    assert shown[-1].endswith("\n")
    assert len({len(line.rstrip("\n")) for line in shown}) == 1


def test_time_left_after_going_on_from_an_earlier_run(terminal, clock):
    meter = Progress(100, "training")
    meter.done = 90
    clock[0] += 5.0
    meter.step()
    assert re.search(r"training 91/100 +45 s left", terminal.getvalue())


def test_silent_when_told(terminal):
    Progress(2, "training", show=False).step()
    assert terminal.getvalue() == ""


def test_silent_where_standard_error_is_no_terminal(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(_progress, "sys", SimpleNamespace(stderr=stream))
    Progress(2, "training").step()
    assert stream.getvalue() == ""
