"""Approximate responses, against what is published of the instruments."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.modeling.models import PowerLaw1D
from scipy.integrate import trapezoid

from astro_lpalm.data import read_table
from astro_lpalm.missions import APPROXIMATE, approximate_response
from astro_lpalm.spectra import EmissionLine, PhotoelectricAbsorption, integrate

# Counts / s of a power law in an energy band per erg / (cm2 s) in the same band, 1e11: index, nH (1e22 / cm2), bands.
# XMM-Newton: Mateos et al. (2009, A&A 496, 879), thin filter. eROSITA: ecfxa, https://github.com/ruizca/ecfxa.
FACTORS = {
    "epic-pn": (1.7, 0.03, {(0.5, 1.0): 8.121, (1.0, 2.0): 5.867, (2.0, 4.5): 1.953}, 0.06),
    "epic-mos": (1.7, 0.03, {(0.5, 1.0): 1.746, (1.0, 2.0): 2.041, (2.0, 4.5): 0.737}, 0.06),
    "erosita": (1.7, 0.0316, {(0.5, 1.0): 13.717, (1.0, 2.0): 10.124, (2.0, 5.0): 1.544, (5.0, 8.0): 0.274}, 0.11),
}


@pytest.mark.parametrize("instrument", FACTORS)
def test_areas_agree_with_published_conversion_factors(instrument):
    index, nh, bands, within = FACTORS[instrument]
    table = read_table(APPROXIMATE[instrument].table)
    energy = np.linspace(0.4, 8, 4000)
    area = np.interp(energy, table["energy"].value, table[instrument].value)
    flux = PowerLaw1D(alpha=index)(energy) * PhotoelectricAbsorption(nh=nh)(energy)
    for (low, high), published in bands.items():
        inside = (energy >= low) & (energy <= high)
        erg = trapezoid((energy * flux)[inside], energy[inside]) * (1 * u.keV).to_value(u.erg)
        factor = trapezoid((area * flux)[inside], energy[inside]) / erg / 1e11
        assert factor == pytest.approx(published, rel=within), (low, high)


@pytest.mark.parametrize(
    ("instrument", "energy", "fwhm"),
    [("epic-pn", 1.0, 80), ("epic-pn", 6.4, 150), ("epic-mos", 1.0, 70), ("erosita", 1.49, 77), ("erosita", 6.4, 138)],
)
def test_a_narrow_line_has_the_published_width(instrument, energy, fwhm):
    edges = np.linspace(0.5, 7.5, 1401)
    response = approximate_response(edges, instrument)
    rate = response.fold(integrate(EmissionLine(energy=energy, sigma=0.0), response.energy_edges)).value
    centre = 0.5 * (edges[1:] + edges[:-1])
    mean = np.average(centre, weights=rate)
    assert mean == pytest.approx(energy, abs=0.006)
    assert 2.3548 * np.sqrt(np.average((centre - mean) ** 2, weights=rate)) == pytest.approx(1e-3 * fwhm, rel=0.03)


def test_what_cannot_be_approximated():
    with pytest.raises(
        ValueError, match="no approximate response for the instrument 'rgs'; choose from acis-s, acis-i, .*erosita"
    ):
        approximate_response([1, 2], "rgs")
    with pytest.raises(ValueError, match="the approximate erosita response is tabulated from 0.3 to 10 keV"):
        approximate_response([0.1, 2], "erosita")


def area(instrument, epoch, energies):
    response = approximate_response([0.3, 10.0], instrument, epoch=epoch)
    edges = response.energy_edges.value
    return np.interp(energies, 0.5 * (edges[1:] + edges[:-1]), np.asarray(response.matrix.sum(axis=1)).ravel())


@pytest.mark.parametrize("instrument", ["acis-s", "acis-i"])
@pytest.mark.parametrize(("epoch", "depth"), [(2000.5, 0.186), (2004.0, 0.525), (2008.0, 0.682), (2012.0, 0.892)])
def test_contamination_has_the_published_optical_depth(instrument, epoch, depth):
    # at 0.67 keV, in the middle of the filters: calibration file acisD1999-08-13contamN0007
    clean = area(instrument, 1999.6, [0.67])[0]
    assert -np.log(area(instrument, epoch, [0.67])[0] / clean) == pytest.approx(depth - 0.009, abs=0.005)


def test_contamination_takes_away_low_energies_more_from_year_to_year():
    energies = np.array([0.6, 0.65, 0.8, 1.0, 1.5, 3.0])  # the edges of oxygen and fluorine are below or between
    areas = np.array([area("acis-s", epoch, energies) for epoch in (2000, 2002, 2004.3, 2009.7, 2013, 2016.9)])
    assert np.all(np.diff(areas[:, :4], axis=0) < 0)
    assert np.all(np.diff(areas[-1] / areas[0]) > 0)
    np.testing.assert_allclose(areas[-1, -1], areas[0, -1], rtol=0.04)


def test_without_an_epoch_the_area_is_the_packaged_one():
    table = read_table("acis_effective_area")
    energies = np.array([0.5, 1.0, 4.0])
    expected = np.interp(energies, table["energy"].value, table["acis-s"].value)
    np.testing.assert_allclose(area("acis-s", None, energies), expected, rtol=0.02)
    np.testing.assert_allclose(area("acis-s", 2002.2, energies), expected, rtol=0.06)  # of this optical depth, 0.4


@pytest.mark.parametrize(
    ("instrument", "epoch", "message"),
    [
        ("epic-pn", 2004.0, "epoch is 2004.0, but epic-pn has no known contamination; leave it out .acis-s, acis-i"),
        ("acis-s", 1999.5, "epoch is 1999.5; the contamination is known from 1999.6 to 2016.92: give a year"),
        ("acis-i", 2021, "epoch is 2021; .*, such as 2004.3, or the response of the observation itself"),
        ("acis-s", "2004", "epoch is '2004'; the contamination is known"),
        ("acis-s", True, "epoch is True; the contamination is known"),
        ("acis-s", np.nan, "epoch is nan; the contamination is known"),
    ],
)
def test_epochs_that_are_not_known(instrument, epoch, message):
    with pytest.raises(ValueError, match=message):
        approximate_response([1, 2], instrument, epoch=epoch)


def test_areas_at_an_epoch_are_those_of_real_observations(shared_data):
    # at the edges of iridium (2.05 to 2.15 keV) too; the contaminant of 2016 was found with the second
    energies = np.array([0.5, 0.6, 0.7, 0.8, 1.0, 1.5, 1.8, 1.98, 2.06, 2.1, 2.2, 2.5, 4.0, 6.0])
    for epoch, name in ((2001.76, "acisf01575_001N001_r0085_arf3.fits.gz"), (2016.91, "acis_snr.arf")):
        with fits.open(shared_data / "responses" / name) as hdulist:
            data = hdulist["SPECRESP"].data
            real = np.interp(energies, 0.5 * (data["ENERG_LO"] + data["ENERG_HI"]), data["SPECRESP"])
        np.testing.assert_allclose(area("acis-s", epoch, energies), real, rtol=0.17)
