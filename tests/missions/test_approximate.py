"""Approximate responses, against what is published of the instruments."""

import astropy.units as u
import numpy as np
import pytest
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
