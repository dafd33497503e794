import os

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.cube import EventCube
from astro_lpalm.grid import read_ebounds
from astro_lpalm.instrument import PHA, Response, response_on_bins
from astro_lpalm.missions import approximate_response
from astro_lpalm.results import Separation
from astro_lpalm.trust.errors import spectrum_errors

PHA_CARDS = {
    "HDUCLASS": "OGIP",
    "HDUCLAS1": "SPECTRUM",
    "HDUVERS": "1.2.1",
    "HDUCLAS3": "COUNT",
    "DETCHANS": 6,
    "TLMIN1": 1,
    "TLMAX1": 6,
    "CHANTYPE": "PI",
    "POISSERR": False,
    "EXPOSURE": 148600.5,
    "TELESCOP": "CHANDRA",
    "INSTRUME": "ACIS",
    "OBJECT": "Cas A",
    "RESPFILE": "none",
    "BACKFILE": "none",
    "ANCRFILE": "none",
    "AREASCAL": 1.0,
    "BACKSCAL": 1.0,
    "HDUCLAS2": "NET",
    "HDUCLAS4": "TYPE:I",
}

MANDATORY = {
    *("EXTNAME", "TELESCOP", "INSTRUME", "FILTER", "EXPOSURE", "AREASCAL", "BACKFILE", "BACKSCAL", "CORRFILE"),
    *("CORRSCAL", "RESPFILE", "ANCRFILE", "HDUCLASS", "HDUCLAS1", "HDUVERS", "POISSERR", "CHANTYPE", "DETCHANS"),
    *("CHANNEL", "COUNTS", "STAT_ERR", "SYS_ERR", "QUALITY", "GROUPING", "TLMIN1", "TLMAX1"),
}


def test_columns_and_keywords(told, tmp_path):
    paths = told.write_pha(tmp_path)
    assert [path.name for path in paths] == ["Synchrotron.pha", "thermal.pha", "iron_1.pha"]
    for name, path in zip(told.names, paths):
        with fits.open(path, checksum=True) as output:
            spectrum, ebounds = output["SPECTRUM"], output["EBOUNDS"]
            assert_array_equal(spectrum.data["CHANNEL"], np.arange(1, 7))
            assert_array_equal(ebounds.data["CHANNEL"], spectrum.data["CHANNEL"])
            assert_array_equal(read_ebounds(ebounds), told.cube.energy_edges)
            assert_allclose(spectrum.data["COUNTS"], told.spectra[name].value)
            assert (spectrum.data["STAT_ERR"] >= 1).all()
            assert (spectrum.data["QUALITY"] == 0).all()
            assert (spectrum.data["GROUPING"] == 1).all()
            assert {key: spectrum.header[key] for key in PHA_CARDS} == PHA_CARDS
            assert spectrum.header["COMPNAME"] == name
            # The observation's own files have other channels; what they were is not lost.
            assert output[0].header["ANCRFILE"] == "source.arf"
            output.verify("exception")
            # OGIP/92-007: what a PHA file must say, in its header or in a column
            said = {*spectrum.header, *spectrum.columns.names}
            assert said >= MANDATORY, MANDATORY - said
            assert not {"QUALITY", "GROUPING"} & set(spectrum.header)


def test_of_a_prefix(told, tmp_path):
    paths = told.write_pha(tmp_path / "casa")
    assert [path.name for path in paths] == ["casa_Synchrotron.pha", "casa_thermal.pha", "casa_iron_1.pha"]
    assert all(path.is_file() for path in paths)
    paths[1].unlink()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        told.write_pha(tmp_path / "casa")
    assert not paths[1].exists()
    told.write_pha(tmp_path / "casa", overwrite=True)
    assert paths[1].is_file()


def test_long_names_are_kept(make_separation, tmp_path):
    name = "x" * 40
    result = make_separation(n=1)
    (path,) = Separation(result.cube, result.mixing, result.sources, [name]).write_pha(tmp_path)
    assert fits.getheader(path, "SPECTRUM")["COMPNAME"] == name  # a warning of its comment would be an error


def test_all_or_none(told, tmp_path, break_writing):
    break_writing(n_whole=2)
    with pytest.raises(OSError, match="no space"):
        told.write_pha(tmp_path)
    assert not list(tmp_path.iterdir())


def test_errors_of_one_component_are_those_of_counting(make_separation, tmp_path):
    # One component in equal pixels: its spectrum is the counts of the field, and their noise is Poisson's.
    result = make_separation(n=1)
    result = Separation(result.cube, result.mixing, np.full((1, 88), 50.0), ["only"])
    (path,) = result.write_pha(tmp_path)
    data = fits.getdata(path, "SPECTRUM")
    assert_allclose(data["STAT_ERR"], np.sqrt(np.maximum(data["COUNTS"], 1)))


def test_errors_are_the_scatter_of_least_squares(make_separation, tmp_path):
    result = make_separation()
    rng = np.random.default_rng(1)
    draws = rng.poisson(result.mixing @ result.sources, size=(2000, *result.cube.matrix().shape))
    spectra = draws @ np.linalg.pinv(result.sources) * result.sources.sum(axis=1)
    errors = [fits.getdata(path, "SPECTRUM")["STAT_ERR"] for path in result.write_pha(tmp_path)]
    assert_allclose(np.array(errors).T, np.maximum(spectra.std(axis=0), 1), rtol=0.08)


def test_files_pass_fitsverify(told, make_separation, tmp_path, fitsverify):
    for path in [*told.write_pha(tmp_path), *make_separation(n=2).write_pha(tmp_path / "plain")]:
        fitsverify(path)


def test_what_is_not_known_is_said_to_be_so(make_separation, tmp_path, fitsverify):
    result = make_separation()
    cube = EventCube(result.cube.data, energy_edges=result.cube.energy_edges, wcs=result.cube.wcs)
    (path,) = Separation(cube, result.mixing[:, :1], result.sources[:1], ["only"]).write_pha(tmp_path)
    header = fits.getheader(path, "SPECTRUM")
    assert (header["TELESCOP"], header["INSTRUME"], header["EXPOSURE"]) == ("UNKNOWN", "UNKNOWN", 1)
    assert "not known" in header.comments["EXPOSURE"]
    fitsverify(path)


@pytest.mark.parametrize(("value", "expected"), [("20000.0", 20000.0), (None, 1.0), (50, 50.0)])
def test_whatever_the_exposure_says_the_file_can_be_read(told, tmp_path, value, expected):
    told.cube.meta["EXPOSURE"], told.cube.meta["FILTER"] = value, None
    told.header.pop("EXPOSURE", None)
    for path in told.write_pha(tmp_path):
        pha = PHA.read(path)
        assert pha.exposure.value == pha.header["EXPOSURE"] == expected
        assert pha.header["FILTER"] == "none"
        assert (pha.errors.value >= 1).all()


@pytest.mark.parametrize("value", [0.0, -5.0, "long"])
def test_an_exposure_that_is_none_is_refused(told, tmp_path, value):
    told.cube.meta["EXPOSURE"] = value
    told.header.pop("EXPOSURE", None)
    with pytest.raises(ValueError, match=f"the cube's header: EXPOSURE is {value!r}, "):
        told.write_pha(tmp_path)
    assert not list(tmp_path.iterdir())


def test_read_as_an_observed_spectrum(told, tmp_path):
    for name, path in zip(told.names, told.write_pha(tmp_path)):
        pha = PHA.read(path)
        assert_allclose(pha.counts.value, told.spectra[name].value)
        assert pha.exposure.value == 148600.5
        assert (pha.first_channel, pha.n_channel) == (1, 6)
        assert pha.respfile is pha.ancrfile is pha.backfile is None


def test_given_uncertainty_counts_where_it_is_larger(make_separation, tmp_path):
    result = make_separation()
    noise = spectrum_errors(result.fit)
    given = noise * np.where(np.arange(6) < 3, 5, 0.1)[:, np.newaxis]
    again = Separation(result.cube, result.mixing, result.sources, result.names, spectra_uncertainty=given)
    errors = [fits.getdata(path, "SPECTRUM")["STAT_ERR"] for path in again.write_pha(tmp_path)]
    assert_allclose(np.array(errors).T, np.maximum(noise, given))


@pytest.mark.parametrize(("scale", "low", "high"), [(3, 0.85, 1.2), (1, 0.95, 1.6), (0.2, 1.2, 5)])
def test_noise_in_the_images_does_not_make_the_errors_small(make_separation, scale, low, high):
    # From 8 to half a count in a pixel: what the images show is mostly noise, which must not pass for structure.
    result = make_separation(shape=(150, 150), scale=scale)
    weight = 1 / np.sqrt(result.model_cube().matrix().mean(axis=1, keepdims=True))
    fitted = np.linalg.pinv(result.mixing * weight) @ (result.cube.matrix() * weight)
    known = spectrum_errors(result.fit)
    found = spectrum_errors(Separation(result.cube, result.mixing, fitted, result.names).fit)
    plain = fitted.sum(axis=1) * np.sqrt(np.maximum(result.mixing @ fitted, 0) @ np.linalg.pinv(fitted) ** 2)
    bright = known > 1.01
    assert low < (found / known)[bright].min()
    assert (found / known)[bright].max() < high
    assert np.median((plain / known)[bright]) < 0.85  # without the correction


def flux(response, index, norm=2e-3):
    """Power law in each true bin of a response, photon / (cm2 s)."""
    edges = np.maximum(response.energy_edges.value, 1e-3)
    return norm * (edges[1:] ** (1 - index) - edges[:-1] ** (1 - index)) / (1 - index)


@pytest.fixture
def response():
    """Channels of 14.6 eV, which the bins of the cube below cut."""
    return approximate_response(0.0146 * np.arange(28, 500))


@pytest.fixture
def folded(make_separation, response):
    """Two power laws through the response, without noise, of known slopes."""
    edges, exposure = np.linspace(0.5, 7, 66), 148600.5
    low, high = (np.clip((each - 0.0146 * 28) / 0.0146, 0, 471) for each in (edges[:-1], edges[1:]))
    cumulative = [np.append(0, np.cumsum(exposure * response.fold(flux(response, index)))) for index in (2.0, 3.5)]
    spectra = [np.interp(high, np.arange(472), each) - np.interp(low, np.arange(472), each) for each in cumulative]
    mixing, sources = np.transpose(spectra), np.random.default_rng(0).gamma(0.5, size=(2, 88))
    sources /= sources.sum(axis=1, keepdims=True)
    like = make_separation().cube
    cube = EventCube((mixing @ sources).reshape(65, 8, 11), energy_edges=edges * u.keV, wcs=like.wcs, meta=like.meta)
    return Separation(cube, mixing, sources, ["hard", "soft"])


def test_response_is_written_with_the_same_channels(folded, response, tmp_path):
    paths = folded.write_pha(tmp_path / "casa", response=response)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("casa_hard.pha", "casa_response.arf", "casa_response.rmf", "casa_soft.pha"),
    ]
    for path, index in zip(paths, (2.0, 3.5)):
        pha = PHA.read(path)
        assert (pha.ancrfile, pha.respfile) == ("casa_response.arf", "casa_response.rmf")
        written = Response.read(tmp_path / pha.ancrfile, tmp_path / pha.respfile)
        assert (written.first_channel, written.matrix.shape[1]) == (pha.first_channel, pha.n_channel)
        assert_allclose(written.channel_edges.value, folded.cube.energy_edges.value)
        assert_allclose(written.fold(flux(written, index)) * pha.exposure.value, pha.counts.value, rtol=1e-9)
    for name in ("casa_response.arf", "casa_response.rmf"):
        with fits.open(tmp_path / name, checksum=True) as output:
            assert (output[1].header["TELESCOP"], output[1].header["INSTRUME"]) == ("CHANDRA", "ACIS")
            assert output[-1].header.get("DETCHANS", 65) == 65


def test_files_with_a_response_pass_fitsverify(folded, response, tmp_path, fitsverify):
    folded.write_pha(tmp_path, response=response)
    for path in tmp_path.iterdir():
        fitsverify(path)


def test_channels_that_bins_are_made_of_are_summed(response):
    edges = response.group(0.5, 7, 7)
    assert_allclose(response_on_bins(response, edges).matrix.toarray(), response.rebin(edges).matrix.toarray())


def test_channels_that_bins_cut(response):
    # A response made for the bins themselves knows the shape of a line within a channel.
    edges = np.linspace(0.5, 7, 66) * u.keV
    exact = approximate_response(edges)
    cut = response_on_bins(response, edges)
    rates = cut.fold(flux(cut, 2.0)), exact.fold(flux(exact, 2.0))
    assert_allclose(rates[0], rates[1], rtol=2e-3)


@pytest.mark.parametrize("how", ["files", "one file"])
def test_response_from_files(folded, response, tmp_path, how):
    arf, rmf = tmp_path / "source.arf", tmp_path / "source.rmf"
    response.write(arf, rmf)
    given = (str(arf), rmf)
    if how == "one file":
        given = rmf
        with fits.open(rmf, mode="update") as output:
            output["MATRIX"].header["HDUCLAS3"] = "FULL"
    (tmp_path / "out").mkdir()
    folded.write_pha(tmp_path / "out", response=given)
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_responses_that_do_not_fit(folded, response, tmp_path):
    with pytest.raises(ValueError, match=r"energies from 0.5 to 7 keV, and the response channels from 0.5986 to"):
        folded.write_pha(tmp_path, response=response.rebin(response.channel_edges[13:]))
    with pytest.raises(TypeError, match="response must be a Response, or the names of an ARF and an RMF, not 3"):
        folded.write_pha(tmp_path, response=3)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        folded.write_pha(tmp_path, response=(tmp_path / "no.arf", tmp_path / "no.rmf"))
    cube = EventCube(folded.cube.data, energy_edges=folded.cube.energy_edges, wcs=folded.cube.wcs)
    with pytest.raises(ValueError, match="has no EXPOSURE"):
        Separation(cube, folded.mixing, folded.sources, folded.names).write_pha(tmp_path, response=response)
    assert not list(tmp_path.iterdir())


def test_the_response_itself_is_not_replaced(folded, response, tmp_path):
    given = tmp_path / "response.arf", tmp_path / "response.rmf"
    response.write(*given)
    before = [path.read_bytes() for path in given]
    with pytest.raises(ValueError, match=r"response.rmf' is the response itself.* choose another prefix"):
        folded.write_pha(tmp_path, response=str(given[1]), overwrite=True)
    with pytest.raises(ValueError, match=r"response.arf' is the response itself"):
        folded.write_pha(tmp_path / ".." / tmp_path.name, response=given, overwrite=True)
    assert [path.read_bytes() for path in given] == before
    assert len(list(tmp_path.iterdir())) == 2


def test_the_response_itself_by_another_name(folded, response, tmp_path):
    response.write(tmp_path / "mine.arf", tmp_path / "mine.rmf")
    os.link(tmp_path / "mine.arf", tmp_path / "response.arf")
    with pytest.raises(ValueError, match=r"response.arf' is the response itself"):
        folded.write_pha(tmp_path, response=(tmp_path / "mine.arf", tmp_path / "mine.rmf"), overwrite=True)


def test_the_region_is_not_replaced(folded, tmp_path):
    region = tmp_path / f"{folded.names[0]}.pha"
    region.write_text("fk5\ncircle(1, 2, 3)\n")
    with pytest.raises(ValueError, match=r".pha' is the file that it would be made of; choose another name"):
        folded.write_pha(tmp_path, region=region, overwrite=True)
    assert region.read_text() == "fk5\ncircle(1, 2, 3)\n"


def test_all_or_none_with_a_response(folded, response, tmp_path, break_writing):
    break_writing(n_whole=3)
    with pytest.raises(OSError, match="no space"):
        folded.write_pha(tmp_path, response=response)
    assert not list(tmp_path.iterdir())


def test_sherpa_fits_what_went_in(folded, response, tmp_path):
    ui = pytest.importorskip("sherpa.astro.ui")
    for path, index in zip(folded.write_pha(tmp_path, response=response), (2.0, 3.5)):
        ui.clean()
        ui.load_pha(str(path), use_errors=True)
        ui.set_source(ui.powlaw1d.law)
        law = ui.get_model_component("law")
        law.gamma, law.ampl = 2.7, 1e-3
        ui.set_stat("chi2")
        ui.fit()
        found = ui.get_fit_results()
        assert found.succeeded
        assert found.numpoints == 65
        assert found.statval < 1e-6
        assert_allclose(found.parvals, [index, 2e-3], rtol=1e-5)


@pytest.mark.parametrize(("value", "expected"), [("148600.5", 148600.5), (" 1.0D3 ", 1000.0), (None, 1.0), (7, 7.0)])
def test_exposure_times_of_every_kind(make_separation, tmp_path, value, expected):
    separation = make_separation()
    separation.cube.meta["EXPOSURE"] = value
    path = separation.write_pha(tmp_path / "spectrum")[0]
    assert PHA.read(path).exposure.to_value(u.s) == expected


@pytest.mark.parametrize("value", [0.0, -1.0, "0"])
def test_exposure_times_that_are_none(make_separation, tmp_path, value):
    separation = make_separation()
    separation.cube.meta["EXPOSURE"] = value
    with pytest.raises(ValueError, match=r"header: EXPOSURE is '?-?[01][.0]*'?, and must be a positive number"):
        separation.write_pha(tmp_path / "spectrum")
    separation.cube.meta["EXPOSURE"] = "an hour"
    with pytest.raises(ValueError, match="EXPOSURE is 'an hour', but must be a finite number"):
        separation.write_pha(tmp_path / "spectrum")
    assert not list(tmp_path.iterdir())
