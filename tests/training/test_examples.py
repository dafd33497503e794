from pathlib import Path

import numpy as np
import pytest

from astro_lpalm.data import packaged_files
from astro_lpalm.sources import SourceLibrary
from astro_lpalm.spectra import SpectralLibrary
from astro_lpalm.training import TrainingSet, train

IN_DOCS = Path(__file__).parents[2] / "docs" / "components"
EXAMPLES = sorted([*packaged_files(".toml").values(), *IN_DOCS.glob("*.toml")])


def test_which_examples_there_are():
    names = {path.stem for path in EXAMPLES}
    packaged = {"snr-acis", "snr-nei-acis", "pwn-acis", "snr-xmm-pn", "snr-erosita"}
    assert names == packaged | {"cluster-acis", "tycho-acis", "middle-aged-snr-acis"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_read_drawn_from_and_trained_on(path):
    library = SpectralLibrary.from_file(path)
    assert library.component_names == SourceLibrary.from_file(path).component_names
    spectra = library.draw(100, seed=0)
    assert np.linalg.cond(spectra.mean(axis=0)) < 20  # the components are not alike
    training_set, settings = TrainingSet.from_file(path, seed=0, n_samples=20, n_pixels=60)
    vars(training_set)["physics"] = None  # tables take a minute; those of the packaged models are tested on their own
    model = train(training_set, **settings | {"epochs": 2, "n_layers": 3, "batch_size": 4}, progress=False)
    assert list(model.component_names) == library.component_names
    assert len(model.history) == 2
    assert all(np.isfinite(row["validation_loss"]) for row in model.history)
    np.testing.assert_allclose(model.energy_edges, library.energy_edges)
