from importlib import resources

import numpy as np
import pytest

from astro_lpalm.data import find_components_file, read_table

FOLDER = resources.files("astro_lpalm.data")


@pytest.mark.parametrize("name", ["absorption", "acis_effective_area", "lines"])
def test_tables_are_small_positive_and_say_where_they_come_from(name):
    table = read_table(name)
    assert {"source", "sources", "method"} & set(table.meta)
    assert len(FOLDER.joinpath(f"{name}.ecsv").read_bytes()) < 100_000
    first = next(column for column in ("energy", "energy_lo") if column in table.colnames)
    assert table[first].unit == "keV"
    if name == "lines":
        assert all(np.min(np.asarray(table[column])) > 0 for column in ("energy", "emissivity", "peak_kT", "width_low"))
    else:
        assert np.all(np.diff(table[first].value) > 0)


def test_a_file_beside_is_preferred_to_a_packaged_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_components_file("snr-acis").parent != tmp_path
    (tmp_path / "snr-acis").write_text("mine")
    assert find_components_file("snr-acis").read_text() == "mine"
