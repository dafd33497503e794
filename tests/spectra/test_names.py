"""What the parameters of components are called that a components file puts together of several models."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.modeling.models import RedshiftScaleFactor
from astropy.table import Table

from astro_lpalm.simulate.drawn import drawn_parameters
from astro_lpalm.spectra import ModelComponent, ParametricSpectra, SpectralLibrary, Synchrotron, Thermal

from .table_files import make_table, ramp

FILE = """
[energy]
range = [0.5, 7.0]
n_bins = 13
[response]
instrument = "acis-s"
[absorption]
nh = [0.8, 1.6]
[[components]]
name = "cool"
model = "Thermal"
redshift = [0.0, 0.1]
[components.parameters]
kT = [0.5, 2.0]
Fe = [0.3, 1.0]
[[components.factors]]
model = "PhotoelectricAbsorption"
[components.factors.parameters]
nh = [0.0, 1.0]
[[components.factors]]
model = "TBAbs"
[components.factors.parameters]
nh = [1.0, 2.0]
[[components]]
name = "far"
model = "Synchrotron"
redshift = 1.0
[components.parameters]
photon_index = [1.5, 2.5]
cutoff = [5.0, 50.0]
"""
NAMES = {"nh": "1e+22 / cm2", "nh_2": "1e+22 / cm2", "redshift": "", "kT": "keV", "Fe": ""}
OLD = {"nh": "nh_0", "nh_2": "nh_1", "redshift": "z_2", "kT": "kT_3", "Fe": "Fe_3"} | {
    "photon_index": "photon_index_1",
    "cutoff": "cutoff_1",
}


@pytest.fixture(scope="module")
def library():
    return SpectralLibrary.from_text(FILE)


def older(spectra):
    """Extensions as they were when astropy named the parameters."""
    hdus = fits.HDUList([fits.PrimaryHDU(), *spectra.to_hdus()])
    table = Table(hdus["PARAMETERS"].data)
    table["NAME"] = [OLD[row["NAME"]] if row["COMPONENT"] else row["NAME"] for row in table]
    table["UNIT"] = ["" if row["COMPONENT"] else row["UNIT"] for row in table]
    hdus["PARAMETERS"] = fits.BinTableHDU(table, name="PARAMETERS")
    return hdus


def test_parameters_are_called_as_in_the_models_of_the_file(library):
    spectra = ParametricSpectra.from_library(library)
    assert {each.name: each.unit for each in spectra.parameters if each.component == "cool"} == NAMES
    assert {each.name: each.unit for each in spectra.parameters if each.component == "far"} == {
        "photon_index": "",
        "cutoff": "keV",
    }
    assert spectra.amplitude_units == ("1e+14 / cm5", "ph / (keV s cm2)")
    assert list(library.components[0].priors) == list(NAMES)
    assert library.summary(rank=1, n=2).meta["cool"].startswith("nh 0 to 1, nh_2 1 to 2, redshift 0 to 0.1, kT 0.5")
    table = drawn_parameters(library, library.draw_parameters(1, seed=0))
    assert dict(zip(table["parameter"][1:6], table["unit"][1:6])) == NAMES


def test_of_equal_names_the_first_is_the_models(tmp_path):
    make_table([("nh", 0, [1.0, 3.0])], ramp, REDSHIFT=True).writeto(tmp_path / "a.mod")
    text = FILE.replace('model = "Thermal"', 'table = "a.mod"').replace("kT = [0.5, 2.0]\nFe = [0.3, 1.0]", "nh = 2.0")
    (tmp_path / "components.toml").write_text(text, encoding="utf-8")
    component = SpectralLibrary.from_file(tmp_path / "components.toml").components[0]
    assert list(component.priors) == ["nh_2", "nh_3", "redshift_2", "nh"]
    assert component.priors["nh"].high == component.priors["nh_3"].high == 2.0


def test_knots_are_those_of_the_plasma_that_is_shifted(library):
    spectra = ParametricSpectra.from_library(library)
    alone = ParametricSpectra.from_library(
        SpectralLibrary.from_text(FILE.split("redshift")[0] + "[components.parameters]\nkT = [0.5, 2.0]\n")
    )
    (found,), (expected,) = spectra.sources[0].knots.values(), alone.sources[0].knots.values()
    assert len(found) == len(expected) > 3


def test_expressions_of_the_user_keep_astropys_names_and_have_units(library):
    model = RedshiftScaleFactor() | (Thermal() + Synchrotron())
    component = ModelComponent("both", model, {"kT_1": [0.5, 2.0], "cutoff_2": [5, 50], "z_0": [0.0, 1.0]})
    own = SpectralLibrary([component], library.energy_edges, response=library.response)
    parameters = ParametricSpectra.from_library(own).parameters
    assert [(each.name, each.unit) for each in parameters] == [("kT_1", "keV"), ("cutoff_2", "keV"), ("z_0", "")]
    names = [*"zakonmgscfivuqpr", "x"][: len(model.param_names)]
    with pytest.raises(ValueError, match="component 'both': names are z, a.* give one for each of z_0, amplitude_1"):
        ModelComponent("both", model, {"z": 1.0}, names[:3])


def test_older_files_are_read_under_the_names_of_now(library):
    spectra = ParametricSpectra.from_library(library)
    again = ParametricSpectra.from_hdulist(older(spectra), library.text)
    assert again.parameters == spectra.parameters
    theta = np.random.default_rng(0).random((3, len(spectra.parameters)))
    np.testing.assert_allclose(again.spectra(theta), spectra.spectra(theta), rtol=1e-4, atol=1e-7)


def test_older_tables_keep_their_names_only_without_a_components_file():
    head, _, far = FILE.split("[[components]]")
    library = SpectralLibrary.from_text(f"{head}[[components]]{far}")
    spectra = ParametricSpectra.from_library(library, tolerance=0.1)
    assert not spectra.exact_components
    assert ParametricSpectra.from_hdulist(older(spectra), library.text).parameters == spectra.parameters
    again = ParametricSpectra.from_hdulist(older(spectra))
    assert [each.name for each in again.parameters] == ["nh", "photon_index_1", "cutoff_1"]
