"""What `astro-lpalm doctor` finds, and says of what is wrong."""

import pytest

from astro_lpalm import doctor
from astro_lpalm.cli import main


def states(report):
    return dict(zip(report["what"], report["state"]))


def test_this_installation_is_well(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for what in ("astro_lpalm", "torch", "threads", "kernels", "devices", "packaged models", "cache", "trial"):
        assert f"\n{what} " in f"\n{out}"
    assert " bad " not in out
    assert "counts within" in out


@pytest.fixture
def without_trial(monkeypatch):
    monkeypatch.setattr(doctor, "_separated", lambda device: (0.01, 0.5))


def test_a_bad_result_is_said(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_separated", lambda device: (0.5, 0.5))
    assert main(["doctor"]) == 1
    out, err = capsys.readouterr()
    assert "counts within 50.0%" in out
    assert "astro-lpalm doctor: not as it should be: trial. Please report it" in err


def test_a_trial_that_fails_is_said(monkeypatch):
    def fails(device):
        msg = "no such kernel"
        raise RuntimeError(msg)

    monkeypatch.setattr(doctor, "_separated", fails)
    report = doctor.examine()
    assert states(report)["trial"] == "bad"
    assert report["details"][-1] == "RuntimeError: no such kernel"


def test_a_missing_package_and_a_closed_cache_are_said(monkeypatch, without_trial):
    monkeypatch.setattr(doctor, "_PACKAGES", ("numpy", "no-such-package"))
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    found = states(doctor.examine())
    assert found["no-such-package"] == found["cache"] == "bad"
    assert found["numpy"] == "ok"


def test_a_damaged_model_is_said(monkeypatch, without_trial):
    def damaged(name):
        msg = f"{name} is damaged"
        raise OSError(msg)

    monkeypatch.setattr(doctor, "load_model", damaged)
    report = doctor.examine()
    assert states(report)["packaged models"] == "bad"
    assert any("is damaged: install the package again" in text for text in report["details"])


def test_too_many_threads_are_said(monkeypatch, without_trial):
    monkeypatch.setattr(doctor.torch, "get_num_threads", lambda: 10_000)
    assert states(doctor.examine())["threads"] == "bad"
