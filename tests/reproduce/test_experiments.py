import re
import shutil

import numpy as np
import pytest
from astropy.table import Table

from astro_lpalm.cli import main
from astro_lpalm.cli.reproduce import NAMES
from astro_lpalm.model import Model
from astro_lpalm.reproduce import EXPERIMENTS, Workspace, experiment, format_table, workspace
from astro_lpalm.separation import nmse

PAPER = {
    "table1": {"PALM": 0.0176, "PALM, the paper's threshold": 0.0176, "LPALM": 0.00085},
    "table2": {
        "MNNBU, one image": 0.0962, "SNMF-Net, one image": 0.27, "DNMF, one image": 0.0466, "LISTA, one image": 0.0067,
        "LPALM, one image": 0.0002, "MNNBU, others": 0.4785, "SNMF-Net, others": 0.3053, "DNMF, others": 0.5469,
        "LISTA, others": 0.0088, "LPALM, others": 0.0009, "MNNBU, retrained": 0.3181, "SNMF-Net, retrained": 0.3073,
        "DNMF, retrained": 0.0922,
    },
    "table3": {
        "LISTA-CP, ISTA-LL (LPALM)": 0.00085, "LISTA-CP, explicit": 0.00097, "ISTA-LLT, ISTA-LL": 0.7943,
        "ISTA-LLT, explicit": 0.7948,
    },
    "table4": {"unsupervised": 0.568, "sources": 0.00115, "spectra": 0.00191, "sources + spectra": 0.00112},
    "init": {"PALM": 0.0201, "LPALM": 0.001},
    "fig2": {"PALM, threshold 0.002": 0.00872},
    "fig8": {},
    "fixed": {},
    "fig10": {},
    "partial": {"LPALM": 0.046},
}  # fmt: skip


@pytest.fixture(scope="module")
def small():
    """Short runs in the place of long ones, for all tests of the module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("astro_lpalm.reproduce.protocol._N_PIXELS", 40)
        patch.setattr("astro_lpalm.reproduce.fig2._MAX_ITER", 30)
        patch.setattr("astro_lpalm.reproduce.table2._QUICK_EPOCHS", 2)
        patch.setattr(workspace, "_QUICK_SAMPLES", 2)
        patch.setattr(workspace, "_QUICK_EPOCHS", 1)
        yield patch


@pytest.fixture(scope="module")
def finished(small, data, tmp_path_factory):
    """Everything, quick, as the command line does it."""
    output = tmp_path_factory.mktemp("parent") / "output"
    arguments = ["reproduce", "all", "--data", str(data), "-o", str(output), "--quick", "--quiet"]
    assert main(arguments) == 0
    return output


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "output")
    return tmp_path / "output"


def times(folder):
    return {path: path.stat().st_mtime_ns for part in ("rows", "models") for path in (folder / part).rglob("*.*")}


def test_the_paper_s_figures():
    assert tuple(EXPERIMENTS) == NAMES
    for name, figures in PAPER.items():
        rows = EXPERIMENTS[name].rows
        column = f"{EXPERIMENTS[name].figure}_median"
        assert {row.name: row.paper[column] for row in rows if column in row.paper} == figures
        assert len({row.slug for row in rows}) == len(rows)
        assert any(row.kind == "oracle" for row in rows)
    palm = EXPERIMENTS["init"].rows[0].paper
    assert (palm["nmse_s_best"], palm["nmse_s_worst"], palm["nmse_s_std"]) == (0.0201, 0.473, 0.176)


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_files_of_an_experiment(finished, name):
    table = Table.read(finished / f"{name}.ecsv")
    chosen, figure = EXPERIMENTS[name], EXPERIMENTS[name].figure
    assert list(table["method"]) == [row.name for row in chosen.rows if row.quick]
    assert table.meta["quick"] is True
    assert table.meta["seed"] == 0
    assert "(quick: few epochs and samples)" in table.meta["title"]
    assert set(table["samples"]) <= {1, 2}
    for row in table:
        slug = next(r.slug for r in chosen.rows if r.name == row["method"])
        values = Table.read(finished / "rows" / name / f"{slug}.ecsv")[figure]
        assert row[f"{figure}_median"] == pytest.approx(np.median(values))
        assert row[f"{figure}_mean"] == pytest.approx(np.mean(values))
        assert row[f"{figure}_worst"] == pytest.approx(np.max(values))
        paper = PAPER[name].get(row["method"])
        if paper is not None:
            assert row[f"paper_{figure}_median"] == paper
    assert table.meta["oracle"] == min(table[f"{figure}_median"][table["kind"] == "oracle"]) > 0
    assert np.all(table["seconds"] > 0)
    picture = (finished / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000
    assert "A quick run" in format_table(table)


def test_models_are_shared_and_named_by_their_settings(finished):
    names = [path.name for path in (finished / "models").iterdir()]
    assert all(re.fullmatch(r"(synthetic|realistic)-[a-z-]+-\d+-[a-z+]+-[0-9a-f]{12}[.]fits", name) for name in names)
    # One for each configuration, however many rows use it: 3 variants, 4 losses, K = 5, 12 with known spectra, 6 with
    # such as do not vary, and LPALM and LISTA of section 3.2, besides LPALM itself.
    assert len(names) == 29
    model = Model.read(finished / "models" / next(name for name in names if "-5-log-" in name))
    assert model.network.n_layers == 5
    assert len(model.history) == 1


def test_what_is_done_is_not_done_again(copy, data, small, monkeypatch, capsys):
    before = times(copy)

    def fail(*args, **kwargs):
        pytest.fail("computed again")

    monkeypatch.setattr(workspace, "train", fail)
    monkeypatch.setattr(experiment._Part, "measure", fail)
    monkeypatch.setattr(experiment, "save_figure", lambda *args, **kwargs: None)  # drawing takes longest
    assert main(["reproduce", "all", "--data", str(data), "-o", str(copy), "--quick"]) == 0
    out, _ = capsys.readouterr()
    for name, chosen in EXPERIMENTS.items():
        assert f"{chosen.title} (quick: few epochs and samples)" in out
        assert f"These are {copy / name}.ecsv and .png." in out
    assert times(copy) == before


def test_a_row_that_is_missing_is_done_alone(copy, data, small, monkeypatch):
    before, table = times(copy), Table.read(copy / "table1.ecsv")
    path = copy / "rows" / "table1" / "lpalm.ecsv"
    path.unlink()
    monkeypatch.setattr(workspace, "train", None)  # the model is there
    again = EXPERIMENTS["table1"].run(Workspace(data, copy, quick=True, progress=False))
    np.testing.assert_allclose(again["nmse_s_median"], table["nmse_s_median"], rtol=1e-6)
    changed = {name for name, time in times(copy).items() if time != before[name]}
    assert changed == {path}


def test_a_row_goes_on_from_the_sample_it_reached(copy, data, small, monkeypatch):
    shutil.rmtree(copy / "rows" / "partial")
    expected = Table.read(copy / "partial.ecsv")
    measured, measure = [], experiment._Part.measure

    def interrupted(part, index):
        measured.append((part.row.name, index))
        if len(measured) == 7:
            raise KeyboardInterrupt
        measure(part, index)

    monkeypatch.setattr(experiment, "_WRITE_EVERY", -1.0)
    monkeypatch.setattr(experiment._Part, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        EXPERIMENTS["partial"].run(Workspace(data, copy, quick=True, progress=False))
    again = EXPERIMENTS["partial"].run(Workspace(data, copy, quick=True, progress=False))
    rows = [row.name for row in EXPERIMENTS["partial"].rows]
    assert sorted(measured) == sorted([*((name, i) for name in rows for i in (0, 6)), measured[6]])
    np.testing.assert_allclose(again["nmse_a_median"], expected["nmse_a_median"], rtol=1e-6)


def test_an_interrupted_training_leaves_a_checkpoint(data, small, tmp_path, monkeypatch):
    train, seen = workspace.train, []

    def spy(*args, checkpoint, **settings):
        seen.append(checkpoint)
        model = train(*args, checkpoint=checkpoint, **settings)
        assert checkpoint.exists()
        return model

    monkeypatch.setattr(workspace, "train", spy)
    Workspace(data, tmp_path, quick=True, progress=False).model(n_layers=2)
    assert not seen[0].exists()
    assert [path.name for path in (tmp_path / "models").iterdir()] == [seen[0].name.replace(".checkpoint", "")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--quick", "--seed", "1"], r"table1.ecsv' is of a run with other settings, seed 0 \(now 1\); choose another"),
        ([], r"epochs 1 \(now None\), quick True \(now False\)"),
    ],
)
def test_other_settings_are_an_error(finished, data, small, capsys, options, message):
    before = times(finished)
    assert main(["reproduce", "table1", "--data", str(data), "-o", str(finished), *options]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("astro-lpalm reproduce: '")
    assert re.search(message, err)
    assert times(finished) == before


def test_other_samples_or_data_are_an_error(finished, data, small, tmp_path):
    with pytest.raises(ValueError, match=r"palm.ecsv' is of a run with other settings, samples 2 \(now 3\)"):
        EXPERIMENTS["table1"].run(Workspace(data, finished, quick=True, n_samples=3))
    shutil.copy(data / "spectra.fits", tmp_path)
    other = Workspace(tmp_path, finished, quick=True)
    other.maps = np.ones((4, 32, 32))
    with pytest.raises(ValueError, match=r"other settings, data [0-9a-f]{16} \(now [0-9a-f]{16}\)"):
        EXPERIMENTS["table1"].run(other)


def test_files_of_others_are_left_alone(data, tmp_path):
    (tmp_path / "table1.ecsv").write_text("mine\n")
    with pytest.raises(ValueError, match=r"cannot read '.*table1.ecsv' .*remove it, or choose another"):
        EXPERIMENTS["table1"].run(Workspace(data, tmp_path, quick=True))
    Table({"a": [1]}).write(tmp_path / "table1.ecsv", overwrite=True)
    with pytest.raises(ValueError, match="was not written by astro-lpalm reproduce; move it"):
        EXPERIMENTS["table1"].run(Workspace(data, tmp_path, quick=True))


def test_the_output_is_a_file(data, tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(NotADirectoryError, match=r"taken' is a file; give the name of a directory for results"):
        EXPERIMENTS["table1"].run(Workspace(data, tmp_path / "taken", quick=True))


def test_no_such_row(data, tmp_path):
    with pytest.raises(ValueError, match="table1 has no row 'LISTA'; its rows are: PALM; PALM, the paper's"):
        EXPERIMENTS["table1"].compute(Workspace(data, tmp_path), ["LISTA", "PALM"])


@pytest.mark.parametrize("options", [{"n_samples": 0}, {"epochs": -1}])
def test_bad_options(data, tmp_path, options):
    with pytest.raises(ValueError, match=r"(n_samples is 0|epochs is -1), but must be at least 1"):
        Workspace(data, tmp_path, **options)


def test_the_oracle_of_the_real_spectra(shared_data, tmp_path):
    # What least squares reaches, written out once more.
    reached = Workspace(shared_data / "casa", tmp_path, n_samples=3, progress=False)
    table, _ = EXPERIMENTS["table1"].compute(reached, ["AMCA", "oracle"])
    data = reached.protocol
    assert len(data.X) == 150
    oracle = [nmse(np.linalg.lstsq(A, X.astype(float), rcond=None)[0], S) for X, A, S in zip(data.X, data.A, data.S)]
    assert table["nmse_s_median"][1] == pytest.approx(np.median([oracle[i] for i in (0, 74, 149)]), rel=1e-5)
    assert 0.5e-4 < np.median(oracle) < 2e-4
    assert table["nmse_s_median"][1] < table["nmse_s_median"][0]
    assert not (tmp_path / "models").exists()
