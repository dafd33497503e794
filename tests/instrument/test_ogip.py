import gzip
import re

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.instrument.ogip import read_arf, read_channels, read_rmf

from .ogip_files import (
    AREA,
    CHANNEL_EDGES,
    CONTIGUOUS,
    ENERGY_EDGES,
    REDISTRIBUTION,
    make_arf,
    make_pha,
    make_rmf,
    save,
)


@pytest.mark.parametrize("order", [1, -1], ids=["matrix first", "ebounds first"])
@pytest.mark.parametrize("first", [0, 1, 5])
@pytest.mark.parametrize("layout", ["variable", "fixed", "scalar"])
def test_every_layout_gives_the_same_matrix(tmp_path, layout, first, order):
    matrix = CONTIGUOUS if layout == "scalar" else REDISTRIBUTION
    path = save(make_rmf(matrix, layout=layout, first=first)[::order], tmp_path / "a.rmf")
    rmf = read_rmf(path)
    assert_array_equal(rmf.matrix.toarray(), matrix)
    assert_array_equal(rmf.energy_edges, ENERGY_EDGES)
    assert_array_equal(rmf.channel_edges, CHANNEL_EDGES)
    assert (rmf.first_channel, rmf.content) == (first, "REDIST")


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("tlmin", ["CHANNEL", None])
def test_without_tlmin_of_f_chan_ebounds_tells_the_first_channel(tmp_path, tlmin, first):
    rmf = read_rmf(save(make_rmf(first=first, tlmin=tlmin), tmp_path / "a.rmf"))
    assert rmf.first_channel == first
    assert_array_equal(rmf.matrix.toarray(), REDISTRIBUTION)


def test_tlmin_of_f_chan_goes_before_the_numbers_in_ebounds(tmp_path):
    matrix, ebounds = make_rmf()
    ebounds.data["CHANNEL"] -= 1
    assert_array_equal(read_rmf(save([matrix, ebounds], tmp_path / "a.rmf")).matrix.toarray(), REDISTRIBUTION)


@pytest.mark.parametrize("name", ["MATRIX", "SPECRESP MATRIX", "RSP_MATRIX", "ODD"])
@pytest.mark.parametrize("has_classes", [True, False])
def test_tables_are_found_by_class_or_else_by_name(tmp_path, name, has_classes):
    matrix, ebounds = make_rmf(name=name)
    arf = make_arf()
    for hdu in () if has_classes else (matrix, ebounds, arf):
        for key in ("HDUCLASS", "HDUCLAS1", "HDUCLAS2", "HDUCLAS3"):
            hdu.header.remove(key, ignore_missing=True)
    path = save([arf, matrix, ebounds], tmp_path / "all.fits.gz")
    assert_array_equal(read_arf(path)[1], AREA)
    if name == "ODD" and not has_classes:
        with pytest.raises(ValueError, match="all.fits.gz' holds no redistribution matrix .*SPECRESP, ODD, EBOUNDS"):
            read_rmf(path)
    else:
        is_full = name == "SPECRESP MATRIX" and not has_classes
        assert read_rmf(path).content == ("REDIST" if has_classes else "FULL" if is_full else "")


@pytest.mark.parametrize(("unit", "factor"), [("eV", 1e3), ("KeV", 1), ("MeV", 1e-3), (None, 1)])
@pytest.mark.parametrize(("area_unit", "area"), [("cm^2", 1), ("m**2", 1e-4), (None, 1)])
def test_units(tmp_path, unit, factor, area_unit, area):
    path = tmp_path / "all.fits"
    tables = make_rmf(energy_edges=ENERGY_EDGES * factor, channel_edges=CHANNEL_EDGES * factor, unit=unit)
    save([make_arf(ENERGY_EDGES * factor, AREA * area, unit=unit, area_unit=area_unit), *tables], path)
    edges, values = read_arf(path)
    assert_allclose(values, AREA, rtol=1e-6)
    assert_allclose(edges, ENERGY_EDGES, rtol=1e-6)
    assert_allclose(read_rmf(path).energy_edges, ENERGY_EDGES, rtol=1e-6)
    assert_allclose(read_rmf(path).channel_edges, CHANNEL_EDGES, rtol=1e-6)


def test_first_energies_may_be_zero(tmp_path):
    true, channels = (np.where(edges == edges[0], 0, edges) for edges in (ENERGY_EDGES, CHANNEL_EDGES))
    rmf = read_rmf(save(make_rmf(energy_edges=true, channel_edges=channels), tmp_path / "a.rmf"))
    assert_array_equal(rmf.energy_edges, true)
    assert_array_equal(rmf.channel_edges, channels)


def test_edges_of_a_fine_grid_survive_single_precision(tmp_path):
    edges = 0.0146 * np.arange(1, 2000)
    matrix, ebounds = make_rmf(np.eye(5, 1998), channel_edges=edges)
    ebounds.data["E_MAX"][:-1] = np.nextafter(ebounds.data["E_MAX"][:-1], np.float32(0))
    found = read_rmf(save([matrix, ebounds], tmp_path / "a.rmf")).channel_edges
    assert_allclose(found, edges, rtol=1e-6)
    assert np.all(np.diff(found) > 0)


def test_overlapping_groups_add_up(tmp_path):
    matrix, ebounds = make_rmf()
    matrix.data["F_CHAN"][2][1] = 1  # two channels on top of the first
    found = read_rmf(save([matrix, ebounds], tmp_path / "a.rmf")).matrix.toarray()
    assert_array_equal(found[2] * 8, [6, 2, 0, 0, 0, 0, 0])


def put(table, column, row, value):
    def damage(matrix, ebounds):
        hdu = {"MATRIX": matrix, "EBOUNDS": ebounds}[table]
        hdu.data[column][row] = value

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            put("EBOUNDS", "E_MIN", 3, 1.25),
            "EBOUNDS: E_MIN to E_MAX of row 4 is 1.25 to 1.5 keV, after 0.75 to 1: .*gap",
        ),
        (put("EBOUNDS", "E_MAX", 6, 2.25), "row 7 is 2.5 to 2.25 keV"),
        (put("EBOUNDS", "E_MAX", 2, np.nan), "row 3 is 0.75 to nan keV"),
        (put("EBOUNDS", "E_MAX", 6, np.inf), "row 7 is 2.5 to inf keV"),
        (put("EBOUNDS", "E_MIN", 0, -0.1), "row 1 is -0.1 to 0.5 keV: "),
        (put("EBOUNDS", "CHANNEL", 2, 4), "CHANNEL of row 3 is 4, after 2; channels must be consecutive"),
        (
            lambda matrix, ebounds: ebounds.columns.change_unit("E_MIN", "Angstrom"),
            "the unit of E_MIN is 'Angstrom', which is not one of energy",
        ),
        (
            lambda matrix, ebounds: ebounds.columns.change_name("E_MAX", "EMAX"),
            "no column E_MAX, only CHANNEL, E_MIN, EMAX",
        ),
        (
            lambda matrix, ebounds: matrix.header.set("DETCHANS", 1024),
            r"there are 7 channels, and 1024 \(DETCHANS\) in the matrix",
        ),
        (lambda matrix, ebounds: matrix.header.set("DETCHANS", "all"), "DETCHANS is 'all', and must be a number"),
        (lambda matrix, ebounds: matrix.header.set("TLMIN4", "one"), "TLMIN4 is 'one', and must be a number"),
        (put("EBOUNDS", "E_MAX", 2, np.uint32(0x7FA00000).view(np.float32)), "row 3 is 0.75 to nan keV"),
        (put("MATRIX", "F_CHAN", 4, np.array([6])), "row 5 has channels 6 to 8, but EBOUNDS only 7, from 1 on"),
        (put("MATRIX", "F_CHAN", 0, np.array([0])), "row 1 has channels 0 to 0, but EBOUNDS"),
        (put("MATRIX", "N_CHAN", 0, np.array([-1])), "row 1 has channels 1 to -1"),
        (put("MATRIX", "N_CHAN", 1, np.array([4])), "MATRIX of row 2 has 3 values, not 4"),
        (put("MATRIX", "N_GRP", 4, 2), "F_CHAN of row 5 has 1 values, not 2"),
        (put("MATRIX", "N_GRP", 4, -1), "N_GRP of row 5 is negative"),
        (put("MATRIX", "MATRIX", 2, np.array([0.1, -0.5, 0.1])), r"MATRIX is -0.5 at 1 to 1.5 keV \(row 3\)"),
        (put("MATRIX", "MATRIX", 2, np.array([0.1, 0.5, np.nan])), r"MATRIX is nan at 1 to 1.5 keV \(row 3\)"),
        (put("MATRIX", "ENERG_HI", 1, 0.75), "ENERG_LO to ENERG_HI of row 3 is 1 to 1.5 keV, after 0.5 to 0.75"),
    ],
)
def test_a_damaged_rmf_is_refused(tmp_path, damage, message):
    tables = make_rmf()
    damage(*tables)
    path = save(tables, tmp_path / "bad.rmf")
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}', table .*{message}"):
        read_rmf(path)


def test_reversed_channels_are_refused(tmp_path):
    matrix, ebounds = make_rmf()
    for key in ("E_MIN", "E_MAX"):
        ebounds.data[key] = ebounds.data[key][::-1].copy()
    with pytest.raises(ValueError, match="row 2 is 2 to 2.5 keV, after 2.5 to 3: .* increase"):
        read_rmf(save([matrix, ebounds], tmp_path / "bad.rmf"))


@pytest.mark.parametrize(
    ("area", "message"),
    [
        ([1, 2, -3, 4, 5], r"SPECRESP is -3 at 1 to 1.5 keV \(row 3\)"),
        ([1, np.nan, 3, 4, 5], r"SPECRESP is nan at 0.5 to 1 keV \(row 2\)"),
    ],
)
def test_a_damaged_arf_is_refused(tmp_path, area, message):
    path = save([make_arf(area=np.array(area))], tmp_path / "bad.arf")
    with pytest.raises(ValueError, match=f"bad.arf', table SPECRESP: {message}"):
        read_arf(path)


def test_an_area_in_another_unit_is_refused(tmp_path):
    path = save([make_arf(area_unit="count/s")], tmp_path / "bad.arf")
    with pytest.raises(ValueError, match="the unit of SPECRESP is 'count/s', which is not one of area"):
        read_arf(path)


def test_what_a_file_lacks_or_has_twice(tmp_path):
    matrix, ebounds = make_rmf()
    with pytest.raises(ValueError, match=r"a.rmf' holds no table of channel energies \(EBOUNDS\): .* MATRIX"):
        read_rmf(save([matrix], tmp_path / "a.rmf"))
    with pytest.raises(ValueError, match=r"b.rmf' holds 2 tables that are each a table of channel energies"):
        read_rmf(save([matrix, ebounds, ebounds.copy()], tmp_path / "b.rmf"))
    with pytest.raises(ValueError, match="c.rmf' holds no redistribution matrix .* no tables in it"):
        read_rmf(save([], tmp_path / "c.rmf"))


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path, suffix, kept):
    path = save(make_rmf(), tmp_path / f"a.rmf{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(OSError, match="a.rmf.* truncated"):
        read_rmf(path)


def test_a_heap_that_ends_too_early_is_refused(tmp_path):
    path = save(make_rmf(), tmp_path / "bad.rmf")
    content = bytearray(path.read_bytes())
    row = 4 + 4 + 2 + 3 * 8
    start = content.index(np.array([0.25, 0.5], ">f4").tobytes())
    content[start + row - 4 : start + row] = np.array([1 << 20], ">i4").tobytes()  # where the first row's MATRIX lies
    path.write_bytes(content)
    with pytest.raises((ValueError, OSError), match="bad.rmf"):
        read_rmf(path)


def test_a_damaged_header_is_refused(tmp_path):
    path = save(make_rmf(), tmp_path / "bad.rmf")
    path.write_bytes(path.read_bytes().replace(b"TTYPE5  = 'N_CHAN  '", b"TTYPE5  = 'N_CHAN   "))
    with pytest.raises(OSError, match="cannot read .*bad.rmf.*TTYPE5.* a header is damaged"):
        read_rmf(path)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (("N_GRP", "E", {"array": [1, 1.5, 1, 1, 1]}), "the column N_GRP must have whole numbers"),
        (("N_GRP", "2I", {"array": np.ones((5, 2))}), "N_GRP must have one number a row; its format is 2I"),
        (("F_CHAN", "E", {"array": [1, np.nan, 1, 1, 1]}), "the column F_CHAN must have whole numbers"),
        (("MATRIX", "4A", {"array": ["a"] * 5}), "the column MATRIX must have numbers; its format is 4A"),
    ],
)
def test_columns_of_another_kind_are_refused(tmp_path, column, message):
    matrix, ebounds = make_rmf(np.eye(5, 7), layout="scalar")
    columns = [fits.Column(*column[:2], **column[2]) if held.name == column[0] else held for held in matrix.columns]
    changed = fits.BinTableHDU.from_columns(columns, header=matrix.header, name="MATRIX")
    with pytest.raises(ValueError, match=f"bad.rmf', table MATRIX: .*{message}"):
        read_rmf(save([changed, ebounds], tmp_path / "bad.rmf"))


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "a.rmf"
    with pytest.raises(FileNotFoundError, match="there is no file .*a.rmf"):
        read_rmf(path)
    path.write_text("0.5 1.0 400\n")
    with pytest.raises(OSError, match="cannot read .*a.rmf' as a FITS file"):
        read_rmf(path)


# Several matrices, and unsigned variable-length columns


def unsigned(matrix, rows):
    """The same table, whose columns of these numbers are stored with TZERO = 32768, as tools write unsigned ones."""
    columns = []
    for number, column in enumerate(matrix.columns, start=1):
        values = matrix.data[column.name]
        if number in rows:
            held = np.empty(len(values), dtype=object)
            held[:] = [(np.asarray(row, dtype=int) - 32768).astype(np.int16) for row in values]
            values = held
        columns.append(fits.Column(column.name, column.format, unit=column.unit, array=values))
    table = fits.BinTableHDU.from_columns(columns, name=matrix.name)
    table.header.update({key: matrix.header[key] for key in ("HDUCLAS1", "HDUCLAS2", "HDUCLAS3", "DETCHANS", "TLMIN4")})
    return table


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("gzipped", [False, True])
def test_unsigned_columns_of_variable_length(tmp_path, first, gzipped):
    matrix, ebounds = make_rmf(first=first)
    table = unsigned(matrix, (4, 5))
    for number in (4, 5):  # renamed in the file: astropy would scale what it writes
        table.header[f"XSCAL{number}"], table.header[f"XZERO{number}"] = 1, 32768
    fits.HDUList([fits.PrimaryHDU(), table, ebounds]).writeto(tmp_path / "x.rmf")
    content = (tmp_path / "x.rmf").read_bytes().replace(b"XSCAL", b"TSCAL").replace(b"XZERO", b"TZERO")
    path = tmp_path / ("u.rmf.gz" if gzipped else "u.rmf")
    path.write_bytes(gzip.compress(content) if gzipped else content)
    found, expected = read_rmf(path), read_rmf(save([matrix, ebounds], tmp_path / "s.rmf"))
    np.testing.assert_array_equal(found.matrix.toarray(), expected.matrix.toarray())
    assert found.first_channel == first


def test_matrices_add_up(tmp_path):
    whole, ebounds = make_rmf()
    core, rest = np.where(REDISTRIBUTION > 0.3, REDISTRIBUTION, 0), np.where(REDISTRIBUTION > 0.3, 0, REDISTRIBUTION)
    parts = [make_rmf(part)[0] for part in (core, rest)]
    parts[1].ver = 2
    found = read_rmf(save([parts[0], ebounds, parts[1]], tmp_path / "two.rmf"))
    expected = read_rmf(save([whole, ebounds], tmp_path / "one.rmf"))
    np.testing.assert_allclose(found.matrix.toarray(), expected.matrix.toarray(), rtol=1e-12)
    np.testing.assert_array_equal(found.energy_edges, expected.energy_edges)
    parts[1].header["HDUCLAS3"] = "FULL"
    with pytest.raises(ValueError, match=r"mixed.rmf' holds matrices of different contents \(HDUCLAS3\): REDIST, FULL"):
        read_rmf(save([parts[0], ebounds, parts[1]], tmp_path / "mixed.rmf"))


def test_matrices_on_different_energies_add_up(tmp_path):
    rng = np.random.default_rng(2)
    fine_edges, coarse_edges = np.linspace(0.25, 3, 12), np.array([0.25, 1.0, 2.0, 3.5])
    fine, coarse = rng.uniform(0.1, 1, (11, 7)), rng.uniform(0.1, 1, (3, 7))
    tables = [make_rmf(each, edges)[0] for each, edges in ((fine, fine_edges), (coarse, coarse_edges))]
    found = read_rmf(save([*tables, make_rmf()[1]], tmp_path / "two.rmf"))
    np.testing.assert_allclose(found.energy_edges, np.append(fine_edges, 3.5), rtol=1e-6)
    centre = 0.5 * (found.energy_edges[1:] + found.energy_edges[:-1])
    expected = np.vstack([fine, np.zeros(7)]) + coarse[np.searchsorted(coarse_edges, centre) - 1]
    np.testing.assert_allclose(found.matrix.toarray(), expected, rtol=1e-6)


def test_channels_of_an_rmf_and_of_a_spectrum(tmp_path):
    save(make_rmf(first=0), tmp_path / "a.rmf")
    save([make_pha(np.ones(7), RESPFILE="a.rmf")], tmp_path / "a.pha")
    for name in ("a.rmf", "a.pha"):
        first, edges = read_channels(tmp_path / name)
        assert first == 0
        np.testing.assert_allclose(edges, CHANNEL_EDGES)
    with pytest.raises(ValueError, match=r"b.pha' holds no table of channel energies \(EBOUNDS\)"):
        read_channels(save([make_pha(np.ones(7), RESPFILE="none")], tmp_path / "b.pha"))
