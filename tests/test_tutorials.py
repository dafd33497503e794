"""Each tutorial runs as the notebook that the documentation offers, from its first cell to its last."""

import shutil
from pathlib import Path

import pytest

# What the extra "notebooks" installs, for `tox -e notebooks`: they take minutes.
nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
sphinx_gallery = pytest.importorskip("sphinx_gallery.notebook")

TUTORIALS = sorted((Path(__file__).parents[1] / "docs" / "tutorials").glob("plot_*.py"))
SECONDS_OF_A_CELL = 1800


def test_there_are_tutorials():
    assert len(TUTORIALS) >= 7


@pytest.mark.parametrize("script", TUTORIALS, ids=lambda script: script.stem)
def test_tutorial_runs_as_a_notebook(script, tmp_path, monkeypatch):
    copy = Path(shutil.copy(script, tmp_path))
    sphinx_gallery.python_to_jupyter_cli([str(copy)])
    notebook = nbformat.read(copy.with_suffix(".ipynb"), as_version=4)
    monkeypatch.delenv("MPLBACKEND", raising=False)  # figures are shown as in any notebook
    folder = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=SECONDS_OF_A_CELL, resources=folder).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    shown = {kind for cell in cells for output in cell.outputs for kind in output.get("data", ())}
    assert "image/png" in shown
