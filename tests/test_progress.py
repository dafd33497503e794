import io
import re
import sys
from types import SimpleNamespace

import pytest

from astro_lpalm import _progress
from astro_lpalm._notebook import in_notebook
from astro_lpalm._progress import Progress, time_text


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
        ["training 1/4", "[#####...............]", "30 s left", "loss 0.1"],
        ["training 2/4", "[##########..........]", "16 s left", "loss 0.1"],
        ["training 3/4", "[###############.....]", "10 s left", "loss 0.1"],
        ["training 4/4", "[####################]", "0 s left", "loss 0.1"],
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
    assert re.search(r"training 91/100  \[#{18}\.\.\]  45 s left", terminal.getvalue())


def test_silent_when_told(terminal):
    Progress(2, "training", show=False).step()
    assert terminal.getvalue() == ""


def test_silent_where_standard_error_is_no_terminal(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(_progress, "sys", SimpleNamespace(stderr=stream))
    Progress(2, "training").step()
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"), (7384, "2 h 03 min")],
)
def test_times_as_they_are_said(seconds, text):
    assert time_text(seconds) == text


def test_a_bar_in_a_notebook(monkeypatch, clock):
    shown = []

    class Handle:
        def update(self, html):
            shown[-1] = html.data

    def display(html, display_id):
        assert display_id
        shown.append(html.data)
        return Handle()

    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    html = SimpleNamespace(HTML=lambda text: SimpleNamespace(data=text), display=display)
    monkeypatch.setitem(sys.modules, "IPython.display", html)
    monkeypatch.setattr(_progress, "sys", SimpleNamespace(stderr=io.StringIO()))
    meter = Progress(3, "training")
    clock[0] += 40.0
    meter.step("a < b")
    clock[0] += 40.0
    meter.step("loss <0.1>")
    assert len(shown) == 1
    assert '<progress value="2" max="3">' in shown[0]
    assert "training 2/3, 40 s left" in shown[0]
    assert "loss &lt;0.1&gt;" in shown[0]
    Progress(3, "training", show=False).step()
    assert len(shown) == 1


def test_an_ipython_shell_on_a_terminal_is_no_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()))
    assert not in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not in_notebook()
