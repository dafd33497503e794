import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.cube import EventCube, read_ebounds
from astro_lpalm.results import Separation

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
    "ANCRFILE": "source.arf",
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
            assert {key: spectrum.header[key] for key in PHA_CARDS} == PHA_CARDS
            assert spectrum.header["COMPNAME"] == name


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
