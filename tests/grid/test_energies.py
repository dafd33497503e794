import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm.grid import ebounds_hdu, read_ebounds

EDGES = [0.5, 0.7, 1.5, 7.0] * u.keV


def test_ebounds_round_trip():
    hdu = ebounds_hdu(EDGES.to(u.eV))
    assert hdu.name == "EBOUNDS"
    assert list(hdu.data["CHANNEL"]) == [1, 2, 3]
    assert (hdu.header["HDUCLASS"], hdu.header["HDUCLAS1"], hdu.header["HDUCLAS2"]) == ("OGIP", "RESPONSE", "EBOUNDS")
    assert hdu.columns["E_MIN"].unit == "keV"
    np.testing.assert_array_equal(read_ebounds(ebounds_hdu(EDGES)), EDGES)


def test_ebounds_of_responses(shared_data):
    for name in ("3c273.rmf", "acis_snr.rmf.gz"):
        with fits.open(shared_data / "responses" / name) as hdulist:
            edges = read_ebounds(hdulist["EBOUNDS"])
        assert len(edges) == 1024 + 1
        assert u.allclose(np.diff(edges)[1:], 14.6 * u.eV, rtol=1e-3)


def table(low, high, unit="keV"):
    columns = [fits.Column(name, "E", unit=unit, array=values) for name, values in (("E_MIN", low), ("e_max", high))]
    return fits.BinTableHDU.from_columns(columns, name="EBOUNDS")


def test_other_units_and_cases():
    assert u.allclose(read_ebounds(table([500, 700], [700, 1500], "eV")), EDGES[:3])
    assert u.allclose(read_ebounds(table([0.5, 0.7], [0.7, 1.5], None)), EDGES[:3], rtol=1e-6)


@pytest.mark.parametrize(
    ("hdu", "message"),
    [
        (table([1, 2], [1.5, 3]), "not contiguous"),
        (table([2, 1], [3, 2]), "increasing"),
        (fits.BinTableHDU.from_columns([fits.Column("E_MIN", "E", array=[1])]), "needs E_MIN and E_MAX"),
    ],
)
def test_unusable_tables(hdu, message):
    with pytest.raises(ValueError, match=message):
        read_ebounds(hdu)
