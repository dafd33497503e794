"""Responses and table models that a components file names."""

import astropy.units as u
import numpy as np
import pytest
from astropy.modeling.models import RedshiftScaleFactor

from astro_lpalm._files import write_fits
from astro_lpalm.instrument import Response
from astro_lpalm.spectra import (
    PhotoelectricAbsorption,
    Prior,
    SpectralLibrary,
    Synchrotron,
    Thermal,
    integrate,
    read_spectra_settings,
    read_table_model,
)

from ..instrument.ogip_files import CHANNEL_EDGES, make_arf, make_rmf, save
from .table_files import make_table, ramp

# the true energies of the response go on beyond those of the tables
pytestmark = pytest.mark.filterwarnings("ignore:.*is tabulated from:astropy.utils.exceptions.AstropyUserWarning")

FILE = """
[energy]
edges = [0.5, 1.0, 2.0, 3.0]
[response]
arf = "calibration/a.arf"
rmf = "calibration/a.rmf"
[absorption]
nh = [0.2, 0.4]
[[components]]
name = "hot"
model = "Thermal"
redshift = [0.0, 0.3]
[components.parameters]
kT = [1.0, 3.0]
[[components.factors]]
model = "PhotoelectricAbsorption"
[components.factors.parameters]
nh = [0.0, 1.0]
[[components.factors]]
table = "factor.mod"
[components.factors.parameters]
depth = [1, 3]
[[components]]
name = "tabulated"
table = "spectrum.mod"
[components.parameters]
kT = [1, 2.9]
[[components]]
name = "nonthermal"
model = "Synchrotron"
[components.parameters]
photon_index = 2.0
"""


@pytest.fixture
def write(tmp_path):
    (tmp_path / "calibration").mkdir()
    save([make_arf()], tmp_path / "calibration" / "a.arf")
    save(make_rmf(), tmp_path / "calibration" / "a.rmf")
    save(make_rmf(content="FULL"), tmp_path / "calibration" / "full.rsp")
    write_fits(make_table([("kT", 0, [1.0, 3.0])], ramp), tmp_path / "spectrum.mod")
    write_fits(make_table([("depth", 0, [1.0, 3.0])], ramp, additive=False), tmp_path / "factor.mod")

    def write(*changes):
        text = FILE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "components.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_draw_is_what_files_and_parameters_say(write):
    path = write()
    library = SpectralLibrary.from_file(path)
    spectra, parameters = library.draw(4, seed=3), library.draw_parameters(4, seed=3)
    response = Response.read(path.parent / "calibration/a.arf", path.parent / "calibration/a.rmf").rebin([0.5, 1, 2, 3])
    assert list(parameters["hot"]) == ["nh", "depth", "redshift", "kT"]
    factor, spectrum = read_table_model(path.parent / "factor.mod"), read_table_model(path.parent / "spectrum.mod")
    for i in range(4):
        nh, depth, z, kT = (values[i] for values in parameters["hot"].values())
        models = {
            "hot": PhotoelectricAbsorption(nh) * factor(depth) * (RedshiftScaleFactor(z) | Thermal(kT=kT)),
            "tabulated": spectrum(kT=parameters["tabulated"]["kT"][i]),
            "nonthermal": Synchrotron(photon_index=2.0),
        }
        for k, name in enumerate(library.component_names):
            absorbed = PhotoelectricAbsorption(nh=parameters["nh"][i]) * models[name]
            rate = response.fold(integrate(absorbed, response.energy_edges)).value
            np.testing.assert_allclose(spectra[i, :, k], rate / np.linalg.norm(rate), rtol=1e-6)


def test_what_the_file_names_is_told(write):
    settings = read_spectra_settings(write())
    assert (settings.instrument, settings.arf.name, settings.rmf.name) == (None, "a.arf", "a.rmf")
    np.testing.assert_allclose(settings.response.channel_edges.value, [0.5, 1, 2, 3])
    hot = settings.components[0]
    assert hot.priors["redshift"] == Prior(0.0, 0.3)
    assert hot.priors["depth"] == Prior(1.0, 3.0)


def test_bins_of_whole_channels(write):
    path = write(("edges = [0.5, 1.0, 2.0, 3.0]", "range = [0.55, 2.9]\nchannels_per_bin = 2"))
    np.testing.assert_allclose(SpectralLibrary.from_file(path).energy_edges.value, CHANNEL_EDGES[[1, 3, 5, 7]])
    given = SpectralLibrary.from_file(path, energy_edges=[500, 2000] * u.eV)
    np.testing.assert_allclose(given.energy_edges.value, [0.5, 2.0])
    with pytest.raises(
        ValueError, match="components.toml', energy_edges, given in place of the file's: .*0.6 keV lies"
    ):
        SpectralLibrary.from_file(path, energy_edges=[0.6, 2.0])


def test_a_matrix_that_holds_the_area_needs_no_arf(write):
    path = write(('arf = "calibration/a.arf"\n', ""), ("a.rmf", "full.rsp"))
    assert read_spectra_settings(path).arf is None
    assert SpectralLibrary.from_file(path).draw(2, seed=0).shape == (2, 3, 3)


BAD = {
    "edges inside channels": (
        ("edges = [0.5, 1.0, 2.0, 3.0]", "range = [0.5, 3.0]\nn_bins = 4"),
        r"energy.range: energy_edges\[1\] = 1.125 keV lies inside a channel, that of 1 to 1.5 keV.*"
        r"Or let the channels make the bins: range = \[0.5, 3\] with channels_per_bin = 1",
    ),
    "edges beyond channels": (
        ("3.0]", "3.5]"),
        r"energy.edges: .*= 3.5 keV lies beyond the channels, .* 0.125 to 3 keV",
    ),
    "range beyond channels": (
        ("edges = [0.5, 1.0, 2.0, 3.0]", "range = [0.5, 7.0]\nchannels_per_bin = 2"),
        "energy.channels_per_bin: bins of 2 channels from 0.5 to 7 keV do not fit in the channels, .* 0.125 to 3 keV",
    ),
    "no channels": (
        ("edges = [0.5, 1.0, 2.0, 3.0]", "range = [0.5, 3.0]\nchannels_per_bin = 0"),
        "energy.channels_per_bin: 0 is not a number of channels; give a whole number, 1 or more",
    ),
    "area twice": (("a.rmf", "full.rsp"), "response: the matrix of .*full.rsp' holds the effective area already"),
    "no area": (('arf = "calibration/a.arf"\n', ""), "response: the matrix of .* does not hold the effective area"),
    "files exchanged": (('arf = "calibration/a.arf"', 'arf = "calibration/a.rmf"'), "response: '.*a.rmf'"),
    "a factor for a spectrum": (
        ('"spectrum.mod"', '"factor.mod"'),
        "component 'tabulated', table: '.*factor.mod' is a factor, but here stands a spectrum",
    ),
    "a spectrum for a factor": (
        ('"factor.mod"', '"spectrum.mod"'),
        "component 'hot', factor 2, table: '.*spectrum.mod' is a spectrum, but here stands a factor",
    ),
    "unknown parameter": (("depth =", "kT ="), "component 'hot', factor 2, parameters: unknown key 'kT' .*are depth"),
    "amplitude of a table": (
        ("kT = [1, 2.9]", "amplitude = 1"),
        "component 'tabulated', parameters: unknown key 'amplitude' = 1",
    ),
    "beyond the table": (
        ("[1, 2.9]", "[1, 3.1]"),
        "component 'tabulated', parameters.kT: 1 to 3.1 goes beyond .*1 to 3",
    ),
    "no priors": (
        ('table = "spectrum.mod"\n[components.parameters]\nkT = [1, 2.9]', 'table = "spectrum.mod"'),
        "component 'tabulated': no priors: write .components.parameters. with ranges of some of kT",
    ),
}


@pytest.mark.parametrize("change", BAD)
def test_what_is_wrong_is_named(write, change):
    change, message = BAD[change]
    with pytest.raises(ValueError, match=f"components.toml', {message}"):
        SpectralLibrary.from_file(write(change))


@pytest.mark.parametrize(
    ("old", "key"),
    [
        ("calibration/a.rmf", "response.rmf"),
        ("calibration/a.arf", "response.arf"),
        ("factor.mod", "component 'hot', factor 2, table"),
    ],
)
def test_files_that_are_missing_or_damaged(write, old, key):
    with pytest.raises(
        FileNotFoundError, match=rf"components.toml', {key}: there is no file '.*x\.y'; names are relative"
    ):
        SpectralLibrary.from_file(write((old, "x.y")))
    path = write()
    (path.parent / old).write_bytes(b"nothing")
    with pytest.raises(OSError, match=r"components.toml', .*cannot read '.*' as a FITS file"):
        SpectralLibrary.from_file(path)


def test_a_real_response(shared_data, write):
    files = {name: shared_data / "responses" / name for name in ("acis_snr.arf", "acis_snr.rmf.gz")}
    path = write(
        ("edges = [0.5, 1.0, 2.0, 3.0]", "range = [0.5, 7.0]\nchannels_per_bin = 7"),
        ("calibration/a.arf", str(files["acis_snr.arf"])),
        ("calibration/a.rmf", str(files["acis_snr.rmf.gz"])),
    )
    library = SpectralLibrary.from_file(path)
    np.testing.assert_allclose(np.diff(library.energy_edges.value), 7 * 0.0146, rtol=1e-3)
    assert library.draw(5, seed=0).shape == (5, 64, 3)
    text = path.read_text().replace("channels_per_bin = 7", "n_bins = 65")
    path.write_text(text)
    with pytest.raises(ValueError, match=r"energy.range: .* range = \[0.5, 7\] with channels_per_bin = 7"):
        SpectralLibrary.from_file(path)
