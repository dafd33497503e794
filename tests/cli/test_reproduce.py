import pytest

from astro_lpalm.reproduce import EXPERIMENTS

from .conftest import run


def test_no_data(here, fails):
    fails("there is no '.*spectra.fits', nor the authors' 'spectra.npy' beside it", "reproduce", "table1",
          "--data", "nowhere", "-o", "out")  # fmt: skip
    assert not (here / "out").exists()


def test_no_such_experiment(here, capsys):
    with pytest.raises(SystemExit) as stop:
        run("reproduce", "table5", "--data", "data", "-o", "out")
    assert stop.value.code == 2
    assert "invalid choice: 'table5'" in capsys.readouterr().err


def test_help_names_the_experiments(capsys):
    with pytest.raises(SystemExit):
        run("reproduce", "--help")
    out = " ".join(capsys.readouterr().out.split())
    assert ", ".join(EXPERIMENTS) in out


def test_interrupted(here, capsys, monkeypatch):
    def run_experiment(self, workspace):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(EXPERIMENTS["table1"]), "run", run_experiment)
    assert run("reproduce", "table1", "--data", "d", "-o", "out") == 130
    message = "astro-lpalm reproduce: interrupted; 'out' keeps what is done, and the same command goes on.\n"
    assert capsys.readouterr() == ("", message)


def test_bad_samples(here, fails):
    fails("n_samples is 0, but must be at least 1", "reproduce", "table1", "--data", "d", "-o", "out", "--samples", 0)
