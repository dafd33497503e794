import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.instrument import PHA, Response
from astro_lpalm.missions import approximate_response
from astro_lpalm.results import Separation

from .. import toy
from .conftest import contents, run

REGION = 'icrs\ncircle(350.85, 58.81, 12")\n'
FILES = {"hard.pha", "soft.pha"}


@pytest.fixture
def components(here):
    """Components of a cube that was exposed for 1000 s, next to files of a response and a region."""
    cube, spectra = toy.cube(meta=fits.Header({"EXPOSURE": 1e3})), toy.spectra()
    sources = toy.images().reshape(2, -1) / spectra.sum(axis=0)[:, np.newaxis]
    result = Separation(cube, spectra, sources, toy.NAMES, spectra_uncertainty=np.full((12, 2), 321.0))
    result.write(here / "components.fits")
    approximate_response(np.linspace(0.9, 4.1, 321) * u.keV).write(here / "source.arf", here / "source.rmf")
    (here / "part.reg").write_text(REGION)
    return Separation.read(here / "components.fits")


def spectrum(path):
    data = fits.getdata(path, "SPECTRUM")
    return data["COUNTS"], data["STAT_ERR"]


@pytest.mark.parametrize("prefix", ["pha", "pha/toy"])
def test_of_the_field(components, here, capsys, prefix):
    (here / "pha").mkdir()
    assert run("spectra", "components.fits", "-o", prefix) == 0
    names = [f"{prefix}/{name}.pha" if prefix == "pha" else f"{prefix}_{name}.pha" for name in toy.NAMES]
    assert capsys.readouterr() == ("".join(f"{name}\n" for name in names), "")
    assert {f"pha/{name}" for name in contents(here / "pha")} == set(names)
    for name, path in zip(toy.NAMES, names):
        counts, error = spectrum(path)
        assert counts.sum() == pytest.approx(1e5, rel=1e-5)
        assert_allclose(counts, components.spectra[name].value)
        assert (error >= 321).all()


def test_of_a_region_with_the_response(components, here):
    how = ("--region", "part.reg", "--arf", "source.arf", "--rmf", "source.rmf", "--quiet")
    assert run("spectra", "components.fits", "-o", ".", *how) == 0
    (here / "same").mkdir()
    components.write_pha(here / "same", response=("source.arf", "source.rmf"), region="part.reg")
    for name in FILES:
        assert_array_equal(spectrum(name), spectrum(f"same/{name}"))
        pha = PHA.read(name)
        assert (pha.ancrfile, pha.respfile) == ("response.arf", "response.rmf")
        assert pha.counts.value.sum() < 9e4  # of 1e5 in the field
    written = Response.read("response.arf", "response.rmf")
    assert_allclose(written.channel_edges.to_value(u.keV), toy.EDGES.value)
    assert_array_equal(
        written.matrix.toarray(), Response.read("same/response.arf", "same/response.rmf").matrix.toarray()
    )


def test_rmf_that_holds_the_area(components, here):
    with fits.open("source.rmf") as rmf, fits.open("source.arf") as arf:
        matrix = next(hdu for hdu in rmf if hdu.header.get("HDUCLAS1") == "RESPONSE" and "MATRIX" in hdu.columns.names)
        area = arf[1].data["SPECRESP"]
        matrix.data["MATRIX"] = np.array([row * a for row, a in zip(matrix.data["MATRIX"], area)], dtype=object)
        matrix.header["HDUCLAS3"] = "FULL"
        rmf.writeto("source.rsp", checksum=True)
    assert run("spectra", "components.fits", "-o", "one", "--rmf", "source.rsp", "--quiet") == 0
    assert run("spectra", "components.fits", "-o", "two", "--arf", "source.arf", "--rmf", "source.rmf", "--quiet") == 0
    one, two = (Response.read(f"{name}_response.arf", f"{name}_response.rmf") for name in ("one", "two"))
    assert_allclose(one.matrix.toarray(), two.matrix.toarray(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("region", [True, False])
def test_table(components, here, region):
    how = ("--region", "part.reg") if region else ()
    assert run("spectra", "components.fits", "-o", ".", "--table", "spectra.ecsv", *how, "--quiet") == 0
    assert set(contents(here)) >= {"spectra.ecsv", *FILES}
    table = QTable.read("spectra.ecsv")
    inside = "part.reg" if region else np.ones((28, 33), dtype=bool)
    expected = components.region_spectra(inside)
    assert table.colnames == expected.colnames
    for name in table.colnames:
        assert_allclose(table[name], expected[name])
        assert table[name].unit == expected[name].unit
    assert table.meta["n_pixels"] == expected.meta["n_pixels"]
    assert (table.meta["n_pixels"] == 28 * 33) is not region
    assert_allclose(table["data"], table["soft"] + table["hard"] + table["residual"])


def test_what_exists_is_not_replaced(components, here, fails):
    (here / "hard.pha").write_text("precious")
    fails("'hard.pha' exists already", "spectra", "components.fits", "-o", ".")
    (here / "spectra.ecsv").write_text("precious")
    fails("'spectra.ecsv' exists already", "spectra", "components.fits", "-o", "new", "--table", "spectra.ecsv")
    how = ("-o", ".", "--table", "spectra.ecsv", "--overwrite", "--quiet")
    assert run("spectra", "components.fits", *how) == 0
    assert len(QTable.read("spectra.ecsv")) == len(spectrum("hard.pha")[0]) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "missing/toy"], "there is no directory 'missing'"),
        (["-o", ".", "--table", "missing/toy.ecsv"], "there is no directory 'missing'"),
        (
            ["-o", ".", "--table", "components.fits", "--overwrite"],
            "'components.fits' is the file that it would be made of",
        ),
        (
            ["-o", ".", "--region", "away.reg", "--table", "away.reg", "--overwrite"],
            "'away.reg' is the file that it would be made of",
        ),
        (["-o", ".", "--arf", "source.arf"], "--arf source.arf needs --rmf"),
        (["-o", ".", "--rmf", "source.rmf"], "'source.rmf' does not hold the effective area .*; give the ARF as well"),
        (["-o", ".", "--arf", "source.arf", "--rmf", "no.rmf"], "there is no file 'no.rmf'"),
        (["-o", ".", "--region", "no.reg"], "there is no mask file 'no.reg'"),
        (["-o", ".", "--region", "away.reg"], "the region leaves no pixel of the image"),
    ],
)
def test_what_cannot_be_done(components, here, fails, options, message):
    (here / "away.reg").write_text('icrs\ncircle(10.0, 10.0, 5")\n')
    fails(message, "spectra", "components.fits", *options)


def test_no_exposure(files, fails, here):
    result = Separation(toy.cube(), toy.spectra(), toy.images().reshape(2, -1), toy.NAMES)
    result.write(here / "components.fits")
    approximate_response(toy.EDGES).write(here / "source.arf", here / "source.rmf")
    how = ("--arf", "source.arf", "--rmf", "source.rmf")
    fails("no EXPOSURE", "spectra", "components.fits", "-o", ".", *how)
    fails("is not a file written by Separation.write", "spectra", files / "cube.fits", "-o", ".")
