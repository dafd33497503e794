import numpy as np
import pytest

from astro_lpalm.spectra import (
    ParametricSpectra,
    PhotoelectricAbsorption,
    Prior,
    SpectralLibrary,
    TBAbs,
    Thermal,
    read_spectra_settings,
)

GOOD = """
[energy]
range = [0.5, 7.0]
n_bins = 13
[response]
instrument = "acis-s"
[absorption]
nh = [0.8, 1.6]
[training]
anything = "goes"
[[components]]
name = "hot"
model = "Thermal"
[components.parameters]
kT = {range = [0.5, 2.0], scale = "log"}
Si = [1, 3]
Fe = 0.5
[components.source]
whatever = 1
[[components]]
name = "line"
model = "EmissionLine"
[components.parameters]
energy = [6.6, 6.7]
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "components.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_file_is_read(write):
    settings = read_spectra_settings(write(GOOD))
    np.testing.assert_allclose(settings.energy_edges, np.linspace(0.5, 7, 14))
    assert (settings.instrument, settings.nh) == ("acis-s", Prior(0.8, 1.6))
    hot = settings.components[0]
    assert (hot.name, hot.model) == ("hot", Thermal)
    assert hot.priors == {"kT": Prior(0.5, 2.0, "log"), "Si": Prior(1.0, 3.0), "Fe": Prior(0.5, 0.5)}
    drawn = SpectralLibrary.from_file(write(GOOD)).draw_parameters(50, seed=0)
    assert np.all(drawn["hot"]["Fe"] == 0.5)
    assert drawn["hot"]["Si"].min() >= 1
    assert drawn["hot"]["Si"].max() <= 3


def test_absorption_may_be_left_out_and_edges_given(write):
    text = GOOD.replace("range = [0.5, 7.0]\nn_bins = 13", "edges = [0.5, 1, 2, 7]").replace(
        "[absorption]\nnh = [0.8, 1.6]", ""
    )
    library = SpectralLibrary.from_file(write(text))
    np.testing.assert_allclose(library.energy_edges.value, [0.5, 1, 2, 7])
    assert np.all(library.draw_parameters(3)["nh"] == 0)


def test_the_absorption_and_the_epoch_may_be_named(write):
    settings = read_spectra_settings(write(GOOD))
    assert (settings.absorption, settings.epoch) == (PhotoelectricAbsorption, None)
    text = GOOD.replace("[0.8, 1.6]", '[0.8, 1.6]\nmodel = "TBAbs"').replace('"acis-s"', '"acis-s"\nepoch = 2009')
    settings = read_spectra_settings(write(text))
    assert (settings.absorption, settings.nh, settings.epoch) == (TBAbs, Prior(0.8, 1.6), 2009)
    old, new = (np.asarray(each.response.matrix.sum()) for each in (read_spectra_settings(write(GOOD)), settings))
    assert new < old


def test_what_the_shared_absorption_is_decides_the_spectra(write):
    text = GOOD.replace("n_bins = 13", "n_bins = 65").replace("[0.8, 1.6]", '1.0\nmodel = "TBAbs"')
    library = SpectralLibrary.from_file(write(text))
    again = SpectralLibrary.from_text(library.text)
    np.testing.assert_array_equal(library.draw(3, seed=1), again.draw(3, seed=1))
    clear = SpectralLibrary.from_file(write(text.replace("nh = 1.0", "nh = 0.0"))).draw(3, seed=1)[..., 1]
    seen = library.draw(3, seed=1)[..., 1]  # an iron line, which all that is absorbed leaves as it is
    np.testing.assert_allclose(seen, clear, atol=2e-3)
    thick = text.replace("1.0\nmodel", "100.0\nmodel").replace('"EmissionLine"', '"Synchrotron"')
    thick = SpectralLibrary.from_file(write(thick.replace("energy = [6.6, 6.7]", "photon_index = [2.0, 2.1]")))
    edges = thick.response.energy_edges.value
    centre = 0.5 * (edges[1:] + edges[:-1])
    spectrum = thick.response.fold(centre**-2.05 * TBAbs(nh=100.0)(centre))
    drawn = thick.draw(40, seed=2)[..., 1].mean(axis=0)
    np.testing.assert_allclose(drawn, spectrum / np.linalg.norm(spectrum), rtol=0.03, atol=1e-3)


def test_tabulated_spectra_have_the_absorption_of_the_file(write):
    text = GOOD.replace("Si = [1, 3]\n", "").replace("[0.8, 1.6]", '[0.8, 1.6]\nmodel = "TBAbs"')
    library = SpectralLibrary.from_file(write(text))
    exact, tabulated = (ParametricSpectra.from_library(library, tolerance=tolerance) for tolerance in (None, 1e-3))
    theta = exact.scaled(tabulated.values(np.full(len(tabulated.parameters), 0.3)))
    np.testing.assert_allclose(tabulated.spectra(np.full(len(theta), 0.3)), exact.spectra(theta), rtol=5e-3, atol=1e-6)
    wabs = ParametricSpectra.from_library(
        SpectralLibrary.from_file(write(text.replace("TBAbs", "PhotoelectricAbsorption")))
    )
    hot, other = exact.spectra(theta)[:, 0], wabs.spectra(theta)[:, 0]
    assert np.abs(other - hot).sum() > 0.1


BAD = {
    "unknown model": (
        ('"Thermal"', '"Apec"'),
        "component 'hot': unknown model = 'Apec'; choose from Synchrotron, SynchrotronRolloff, Thermal, NEI",
    ),
    "unknown parameter": (("kT =", "kt ="), "component 'hot', parameters: unknown key 'kt' = .*allowed are kT, O, Ne"),
    "amplitude": (("Fe = 0.5", "amplitude = 0.5"), "unknown key 'amplitude' = 0.5"),
    "no priors": (("[components.parameters]\nenergy = [6.6, 6.7]", ""), "component 'line': no priors: write"),
    "empty priors": (("energy = [6.6, 6.7]", ""), "component 'line': no priors: write"),
    "range reversed": (("[1, 3]", "[3, 1]"), r"component 'hot', parameters.Si: range is \[3.0, 1.0\]; .*lower first"),
    "range of three": (("[1, 3]", "[1, 2, 3]"), r"parameters.Si: \[1, 2, 3\] is not a prior; give a number"),
    "range of text": (("[1, 3]", '"many"'), "parameters.Si: 'many' is not a prior"),
    "range of truth": (("[1, 3]", "true"), "parameters.Si: True is not a prior"),
    "range without end": (("[1, 3]", "[1, inf]"), r"parameters.Si\[2\]: inf is not finite"),
    "unknown scale": (('"log"', '"ln"'), "parameters.kT: scale is 'ln'; choose 'linear' or 'log'"),
    "unknown key of a prior": (('scale = "log"', 'step = "log"'), "parameters.kT: .*is not a prior"),
    "log of zero": (("[0.5, 2.0], scale", "[0, 2.0], scale"), r"parameters.kT: range is \[0.0, 2.0\] with scale 'log'"),
    "beyond bounds": (("[1, 3]", "[-1, 3]"), "parameters.Si: -1 to 3 goes beyond what it may be, 0 to inf"),
    "negative column": (("[0.8, 1.6]", "-1"), "absorption.nh: -1 goes beyond"),
    "unknown key of absorption": (("nh =", "NH ="), r"absorption: unknown key 'NH' = \[0.8, 1.6\]; allowed are nh, m"),
    "unknown absorption": (
        ("nh =", 'model = "wabs"\nnh ='),
        "absorption: unknown model = 'wabs'; choose from PhotoelectricAbsorption, TBAbs",
    ),
    "absorption a number": (("nh =", "model = 1\nnh ="), "absorption: unknown model = 1; choose from Photoelectric"),
    "epoch of another instrument": (
        ('"acis-s"', '"epic-pn"\nepoch = 2004'),
        "response.instrument = 'epic-pn', epoch = 2004: .*epic-pn has no known contamination",
    ),
    "epoch before launch": (('"acis-s"', '"acis-s"\nepoch = 1999.0'), "epoch = 1999.0: .*known from 1999.6 to 2016.9"),
    "epoch a text": (('"acis-s"', '"acis-s"\nepoch = "2004"'), "epoch = '2004': epoch is '2004'; the contamination"),
    "epoch of a response": (
        ('instrument = "acis-s"', 'rmf = "components.toml"\nepoch = 2004'),
        "response.epoch: 2004 goes with an instrument; a response has its own",
    ),
    "unknown table": (("[training]", "[trainin]"), "top level: unknown key 'trainin' = .*allowed are energy, response"),
    "unknown key of a component": (('model = "Th', 'modle = 1\nmodel = "Th'), "component 1: unknown key 'modle' = 1"),
    "unknown key of the response": (
        ('instrument = "acis-s"', 'arff = "a"'),
        "response: unknown key 'arff' = 'a'; allowed are instrument, epoch, arf, rmf",
    ),
    "no instrument": (('instrument = "acis-s"', ""), "response: got nothing; give either instrument, or arf and rmf"),
    "no rmf": (('instrument = "acis-s"', 'arf = "a"'), "response: got arf; give either instrument, or arf and rmf"),
    "instrument and rmf": (('"acis-s"', '"acis-s"\nrmf = "a"'), "response: got instrument, rmf; give either"),
    "rmf no text": (('instrument = "acis-s"', "rmf = 3"), "response.rmf: 3 is not the name of a file"),
    "channels of no file": (
        ("n_bins = 13", "channels_per_bin = 3"),
        "energy.channels_per_bin: channels are those of an RMF; give arf and rmf",
    ),
    "unknown instrument": (('"acis-s"', '"pn"'), "response.instrument = 'pn': .*choose from acis-s, acis-i"),
    "instrument a list": (('"acis-s"', "[1]"), r"response.instrument = \[1\]"),
    "beyond the response": (("[0.5, 7.0]", "[0.1, 7.0]"), "tabulated from 0.3 to 10 keV"),
    "unknown key of energy": (
        ("n_bins", "bins"),
        "energy: unknown key 'bins' = 13; allowed are range, n_bins, edges, channels_per_bin",
    ),
    "no bins": (("n_bins = 13", ""), "energy: got range; give either edges, or range and n_bins, or range and chan"),
    "model and table": (('model = "EmissionLine"', 'model = "EmissionLine"\ntable = "a"'), "give either model .one of"),
    "neither": (
        ('model = "EmissionLine"', ""),
        r"'line': give either model \(one of Synchrotron, .* or table \(a file\)",
    ),
    "table no text": (('model = "EmissionLine"', "table = 1"), "component 'line', table: 1 is not the name of a file"),
    "redshift": (("Fe = 0.5", "Fe = 0.5\n[components.redshift]\nz = 1"), "component 'hot', redshift: {'z': 1} is not"),
    "beyond redshift": (('model = "T', 'redshift = -1\nmodel = "T'), "'hot', redshift: -1 goes beyond .*-0.9 to inf"),
    "no list of factors": (
        ('model = "T', 'factors = 3\nmodel = "T'),
        r"component 'hot', factors: 3 is no list; write \[\[components.factors\]\]",
    ),
    "no factor": (('model = "T', 'factors = [3]\nmodel = "T'), "component 'hot', factor 1: 3 is not a table"),
    "unknown factor": (
        ('model = "T', 'factors = [{model = "Thermal"}]\nmodel = "T'),
        "component 'hot', factor 1: unknown model = 'Thermal'; choose from PhotoelectricAbsorption, TBAbs",
    ),
    "unknown parameter of a factor": (
        ('model = "T', 'factors = [{model = "PhotoelectricAbsorption", parameters = {nH = 1}}]\nmodel = "T'),
        "component 'hot', factor 1, parameters: unknown key 'nH' = 1; allowed are nh",
    ),
    "unknown key of a factor": (
        ('model = "T', 'factors = [{name = "x", model = "PhotoelectricAbsorption"}]\nmodel = "T'),
        "component 'hot', factor 1: unknown key 'name' = 'x'; allowed are model, table, parameters",
    ),
    "bins and edges": (
        ("n_bins = 13", "edges = [1, 2]"),
        "energy: got range, edges; give either edges, or range and n_bins, or range and channels_per_bin",
    ),
    "energies reversed": (("[0.5, 7.0]", "[7.0, 0.5]"), "energy.range: .*increasing energies"),
    "energies of text": (("[0.5, 7.0]", '["a", "b"]'), r"energy.range: \['a', 'b'\] are not energies"),
    "one energy": (("[0.5, 7.0]", "7.0"), "energy.range: 7.0 is not a range"),
    "half a bin": (("n_bins = 13", "n_bins = 6.5"), "energy.n_bins: 6.5 is not a number of bins"),
    "duplicate names": (('name = "line"', 'name = "hot"'), "components: component names must differ in more than case"),
    "name a number": (('name = "line"', "name = 1"), "component 2: name = 1 is not a name"),
    "name of the absorption": (('name = "line"', 'name = "nh"'), "components: component name 'nh' is taken"),
    "no name": (('name = "line"', ""), "component 2: 'name' is missing"),
    "no components": ((GOOD[GOOD.index("[[components]]") :], ""), "top level: 'components' is missing"),
    "no energy": (("[energy]\nrange = [0.5, 7.0]\nn_bins = 13", ""), "top level: 'energy' is missing"),
    "not TOML": (("[energy]", "[energy"), "is not a TOML file"),
}


@pytest.mark.parametrize("change", BAD)
def test_what_is_wrong_is_named(write, change):
    (old, new), message = BAD[change]
    assert old in GOOD
    path = write(GOOD.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as caught:
        SpectralLibrary.from_file(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'components = []\nenergy = {edges = [1, 2]}\nresponse = {instrument = "acis-s"}',
            "components: there are none",
        ),
        (
            'components = [1]\nenergy = {edges = [1, 2]}\nresponse = {instrument = "acis-s"}',
            "component 1: 1 is not a table",
        ),
        ('components = []\nenergy = 3\nresponse = {instrument = "acis-s"}', "energy: 3 is not a table"),
    ],
)
def test_values_in_place_of_tables(write, text, message):
    with pytest.raises(ValueError, match=message):
        read_spectra_settings(write(text))


def test_a_missing_file_says_what_is_packaged(tmp_path):
    with pytest.raises(FileNotFoundError, match="no components file 'nothing'; .*pwn-acis, snr-acis"):
        SpectralLibrary.from_file("nothing")
    with pytest.raises(FileNotFoundError, match="no components file"):
        SpectralLibrary.from_file(tmp_path / "snr-acis.toml")
