import numpy as np
import pytest

from astro_lpalm import load_model
from astro_lpalm.training import plot_history

from .. import toy


def test_curves_are_the_history(tmp_path):
    model, path = load_model("snr-acis"), tmp_path / "history.png"
    (axes,) = plot_history(model, path).axes
    sources, spectra, best = axes.get_lines()
    np.testing.assert_array_equal(sources.get_ydata(), [row["nmse_s"] for row in model.history])
    np.testing.assert_array_equal(spectra.get_ydata(), [row["nmse_a"] for row in model.history])
    kept = min(model.history, key=lambda row: row["validation_loss"])["epoch"]
    assert best.get_xdata()[0] == kept
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(FileExistsError, match=r"history\.png"):
        plot_history(model, path)


def test_model_without_history():
    with pytest.raises(ValueError, match="the model 'toy' has no history"):
        plot_history(toy.model())
