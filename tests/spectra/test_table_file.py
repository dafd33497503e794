import gzip

import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from astro_lpalm._files import complete_or_nothing, write_fits
from astro_lpalm.spectra.table_model import read_table_model

from .table_files import ENERGIES, make_table, ramp, read_made


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("log nH", "log_nH"),
        ("Photon-Index ", "Photon_Index"),
        ("lambda", "lambda_"),
        ("2kT", "p_2kT"),
        ("amplitude", "amplitude_"),
        ("bounds", "bounds_"),
        ("name", "name_"),
        ("[Fe/H]", "Fe_H"),
        ("??", "parameter"),
    ],
)
def test_names_become_identifiers(tmp_path, name, expected):
    model = read_made(tmp_path, [(name, 0, [0.0, 1.0])], ramp)
    assert model.param_names == ("amplitude", expected)
    assert model.names_in_file == {expected: name.strip()}
    assert model(**{expected: 1.0})(0.7) == pytest.approx(4.0)


def test_two_names_that_become_one_stay_apart(tmp_path):
    model = read_made(tmp_path, [("k T", 0, [0.0, 1.0]), ("k-T", 0, [0.0, 1.0])], ramp)
    assert model.param_names == ("amplitude", "k_T", "k_T_")


def test_gzipped_double_precision_and_single_valued_tables(tmp_path):
    hdus = make_table([("a", 1, [1.0, 4.0]), ("b", 0, [3.0])], lambda a, b: ramp(a), energy_type="D")
    spectra = fits.ColDefs([fits.Column(c.name, c.format.replace("E", "D"), array=c.array) for c in hdus[3].columns])
    hdus[3] = fits.BinTableHDU.from_columns(spectra, name="SPECTRA")
    write_fits(hdus, tmp_path / "plain.mod")
    with complete_or_nothing(tmp_path / "made.mod.gz") as path:
        path.write_bytes(gzip.compress((tmp_path / "plain.mod").read_bytes()))
    model = read_table_model(tmp_path / "made.mod.gz")
    assert model.b.fixed
    np.testing.assert_allclose(model.integral(ENERGIES, 1.0, 2.0, 3.0), (ramp(1.0) + ramp(4.0)) / 2, rtol=1e-15)


def test_ends_of_ranges_are_the_decimal_numbers_that_were_meant(tmp_path):
    model = read_made(tmp_path, [("a", 0, [0.1, 0.3, 0.7])], ramp)
    assert model.a.bounds == (0.1, 0.7)
    for a in (0.1, 0.7, float(np.float32(0.1)), float(np.float32(0.7))):
        assert model.integral(ENERGIES, 1.0, a)[0] == pytest.approx(1 + a)


def test_bins_narrower_than_float32_keep_their_photons(tmp_path):
    edges = np.array([0.5, 1.0, 1.0 + 1e-9, 1.0 + 2e-9, 4.0, 4.0 + 1e-9])
    model = read_made(tmp_path, [("a", 0, [0.0, 1.0])], ramp, edges=edges)
    with pytest.warns(AstropyUserWarning, match="was asked for"):
        assert model.integral(np.array([0.5, 8.0]), 1.0, 0.0) == pytest.approx(ramp().sum())


def test_energies_in_ev_are_keV(tmp_path):
    hdus = make_table([("a", 0, [0.0, 1.0])], ramp, edges=ENERGIES * 1000)
    for k in (1, 2):
        hdus["ENERGIES"].header[f"TUNIT{k}"] = "eV"
    write_fits(hdus, tmp_path / "made.mod")
    np.testing.assert_allclose(read_table_model(tmp_path / "made.mod").integral(ENERGIES, 1.0, 0.0), ramp())


def test_a_repeated_row_is_no_harm(tmp_path):
    model = read_made(tmp_path, [("a", 0, [0.0, 0.0, 1.0])], ramp)  # as a table of extragalactic absorption has it
    np.testing.assert_allclose(model.integral(ENERGIES, 1.0, 0.25), ramp(0.25))


def test_frozen_and_out_of_range_initial_values(tmp_path):
    hdus = make_table([("a", 0, [0.0, 1.0]), ("b", 0, [0.0, 1.0])], ramp)
    hdus["PARAMETERS"].data["DELTA"][0] = -0.1
    hdus["PARAMETERS"].data["INITIAL"][1] = 90
    write_fits(hdus, tmp_path / "made.mod")
    with pytest.warns(AstropyUserWarning, match=r"INITIAL of 'b' is 90, outside 0 to 1; the nearer is taken"):
        model = read_table_model(tmp_path / "made.mod")
    assert (model.a.fixed, model.b.fixed, model.b.default) == (True, False, 1.0)


@pytest.mark.parametrize(
    ("keys", "match"), [({"MODLUNIT": "erg/cm^2/s/keV"}, "MODLUNIT is"), ({"LOELIMIT": 1.0}, "taken as zero beyond")]
)
def test_what_the_format_does_not_mean_is_said(tmp_path, keys, match):
    with pytest.warns(AstropyUserWarning, match=match):
        read_made(tmp_path, [("a", 0, [0.0, 1.0])], ramp, **keys)


def spoil(change):
    hdus = make_table([("a", 0, [0.0, 1.0]), ("b", 0, [1.0, 2.0])], ramp)
    change(hdus)
    return hdus


def set_value(name, column, row, value):
    def change(hdus):
        hdus[name].data[column][row] = value

    return change


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda h: h[0].header.remove("HDUCLAS1"), "is no table model: HDUCLAS1 of its primary header is ''"),
        (lambda h: h[0].header.set("HDUCLAS1", "RESPONSE"), "HDUCLAS1 of its primary header is 'RESPONSE'"),
        (lambda h: h[0].header.remove("ADDMODEL"), "additive or multiplicative"),
        (lambda h: h[0].header.set("NXFLTEXP", 3), "NXFLTEXP = 3"),
        (lambda h: h.pop(1), "no PARAMETERS table"),
        (lambda h: h.pop(2), "no ENERGIES table"),
        (lambda h: h.pop(3), "no SPECTRA table"),
        (lambda h: h[1].columns.del_col("INITIAL"), "no column INITIAL"),
        (lambda h: h[3].columns.del_col("INTPSPEC"), "no column INTPSPEC"),
        (lambda h: h[1].header.set("NADDPARM", 1), "2 parameters, but NINTPARM and NADDPARM announce 2"),
        (lambda h: h[1].header.update(NINTPARM=1, NADDPARM=1), "no column ADDSP001"),
        (set_value("PARAMETERS", "NUMBVALS", 0, 5), "'a' must have 5 tabulated values"),
        (set_value("PARAMETERS", "NUMBVALS", 0, 0), "only 1 have tabulated values"),
        (set_value("PARAMETERS", "MINIMUM", 0, 4.0), "'a' has no range"),
        (set_value("PARAMETERS", "INITIAL", 0, np.nan), "'a' has no range"),
        (set_value("ENERGIES", "ENERG_LO", 2, 0.7), "row 3 of 5 does not follow"),
        (set_value("ENERGIES", "ENERG_HI", 4, np.nan), "row 5 of 5 does not follow"),
        (set_value("ENERGIES", "ENERG_HI", 1, 1.2), "row 3 of 5 does not follow"),
        (lambda h: h[2].columns.change_unit("ENERG_LO", "Angstrom"), "unit of ENERG_LO is 'Angstrom'"),
        (set_value("SPECTRA", "INTPSPEC", 2, np.nan), "spectrum of row 3 has values that are not finite"),
        (set_value("SPECTRA", "PARAMVAL", 1, [0.0, 1.4]), "row 2 is for 'b' = 1.4, which is not among"),
        (
            set_value("SPECTRA", "PARAMVAL", 1, [0.0, 1.0]),
            "2 x 2 spectra is not complete: there is none for a = 0, b = 2",
        ),
    ],
)
def test_a_damaged_table_is_refused(tmp_path, change, match):
    write_fits(spoil(change), tmp_path / "made.mod")
    with pytest.raises(ValueError, match=rf"made\.mod.*{match}"):
        read_table_model(tmp_path / "made.mod")


def test_incomplete_or_contradictory_rows_are_refused(tmp_path):
    hdus = spoil(lambda h: None)
    hdus[3].data = hdus[3].data[:3]
    write_fits(hdus, tmp_path / "made.mod")
    with pytest.raises(ValueError, match="there is none for a = 1, b = 2"):
        read_table_model(tmp_path / "made.mod")
    hdus = make_table([("a", 0, [0.0, 0.0, 1.0])], ramp)
    hdus[3].data["INTPSPEC"][0] = 9
    write_fits(hdus, tmp_path / "made.mod", overwrite=True)
    with pytest.raises(ValueError, match="rows 1 and 2 are for the same parameters, but not the same"):
        read_table_model(tmp_path / "made.mod")


def test_spectra_of_another_length_are_refused(tmp_path):
    write_fits(make_table([("a", 0, [0.0, 1.0])], ramp, edges=ENERGIES[:-1]), tmp_path / "made.mod")
    with pytest.raises(ValueError, match="must have 4 values each"):
        read_table_model(tmp_path / "made.mod")


def test_no_file_and_no_fits_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.mod"):
        read_table_model(tmp_path / "none.mod")
    (tmp_path / "text.mod").write_text("not a table")
    with pytest.raises(OSError, match=r"text\.mod.*as a FITS file"):
        read_table_model(tmp_path / "text.mod")
