import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm.data import read_table
from astro_lpalm.spectra import ApproximateResponse, EmissionLine, Synchrotron, approximate_acis_response, integrate

FINE = np.linspace(0.5, 7.0, 651)


@pytest.mark.parametrize("instrument", ["acis-s", "acis-i"])
@pytest.mark.parametrize("energy", [1.2, 3.5, 5.5])
def test_folding_conserves_photons_times_area(instrument, energy):
    response = approximate_acis_response(FINE, instrument)
    rate = response.fold(integrate(EmissionLine(amplitude=2.0, energy=energy, sigma=0.0), response.energy_edges))
    table = read_table("acis_effective_area")
    area = np.interp(energy, table["energy"].value, table[instrument].value)
    assert rate.unit == u.count / u.s
    assert rate.sum().value == pytest.approx(2.0 * area, rel=5e-3)


@pytest.mark.parametrize(
    ("instrument", "energy", "fwhm"), [("acis-s", 1.49, 0.095), ("acis-s", 5.9, 0.150), ("acis-i", 5.9, 0.190)]
)
def test_a_narrow_line_has_the_stated_width(instrument, energy, fwhm):
    response = approximate_acis_response(FINE, instrument)
    rate = response.fold(integrate(EmissionLine(energy=energy, sigma=0.0), response.energy_edges)).value
    centre = 0.5 * (FINE[1:] + FINE[:-1])
    above = centre[rate > rate.max() / 2]
    assert centre[rate.argmax()] == pytest.approx(energy, abs=0.011)
    assert above[-1] - above[0] + 0.01 == pytest.approx(fwhm, abs=0.016)
    mean = np.average(centre, weights=rate)
    sigma = np.sqrt(np.average((centre - mean) ** 2, weights=rate))
    assert mean == pytest.approx(energy, abs=0.006)
    assert 2.3548 * sigma == pytest.approx(fwhm, rel=0.02)


def test_grids_and_shapes():
    response = approximate_acis_response(np.linspace(0.5, 7, 66) * u.keV)
    true = response.energy_edges
    assert true.unit == response.channel_edges.unit == u.keV
    assert len(response.channel_edges) == 66
    assert np.max(np.diff(true.value)) <= 0.01 + 1e-12
    assert true[0].value == pytest.approx(0.3)
    assert true[-1].value == pytest.approx(7.4)
    flux = np.random.default_rng(0).random((2, 3, len(true) - 1))
    rate = response.fold(flux)
    assert type(rate) is np.ndarray
    assert rate.shape == (2, 3, 65)
    np.testing.assert_allclose(rate[1, 2], response.fold(flux[1, 2]))


def test_coarser_channels_hold_the_sum_of_finer_ones():
    fine, coarse = (approximate_acis_response(edges) for edges in (FINE, FINE[::10]))
    flux = integrate(Synchrotron(), fine.energy_edges)
    np.testing.assert_allclose(fine.fold(flux).reshape(65, 10).sum(axis=1), coarse.fold(flux), rtol=1e-10)


def test_the_true_grid_is_fine_enough():
    coarse = approximate_acis_response(np.linspace(0.5, 7, 66))
    true = np.linspace(*coarse.energy_edges[[0, -1]].value, 4 * (len(coarse.energy_edges) - 1) + 1)
    fwhm = 1e-3 * np.sqrt(95.0**2 + (150.0**2 - 95.0**2) * (0.5 * (true[1:] + true[:-1]) - 1.49) / (5.9 - 1.49))
    table = read_table("acis_effective_area")
    area = np.interp(0.5 * (true[1:] + true[:-1]), table["energy"].value, table["acis-s"].value)
    fine = ApproximateResponse(true, coarse.channel_edges, area, fwhm)
    line = Synchrotron(photon_index=2.5) + EmissionLine(energy=1.865, sigma=0.0)
    rates = [r.fold(integrate(line, r.energy_edges)).value for r in (coarse, fine)]
    np.testing.assert_allclose(*rates, rtol=0.02, atol=1e-3 * rates[1].max())


@pytest.mark.parametrize(
    ("edges", "instrument", "message"),
    [
        ([1, 2], "acis", "no approximate response for the instrument 'acis'; choose from acis-s, acis-i"),
        ([2, 1], "acis-s", "increasing energies"),
        ([0.1, 2], "acis-s", "run from 0.1 to 2 keV; .* tabulated from 0.3 to 10 keV"),
        ([1, 12], "acis-i", "run from 1 to 12 keV"),
    ],
)
def test_what_the_acis_response_refuses(edges, instrument, message):
    with pytest.raises(ValueError, match=message):
        approximate_acis_response(edges, instrument)


@pytest.mark.parametrize("flux", [np.ones(65), np.ones((711, 2)), 1.0])
def test_a_flux_on_another_grid_is_refused(flux):
    response = approximate_acis_response(np.linspace(0.5, 7, 66))
    with pytest.raises(ValueError, match="flux has shape .*710 true bins"):
        response.fold(flux)


def test_area_and_width_need_the_true_bins():
    with pytest.raises(ValueError, match=r"one value for each of 2 true bins; got \(3,\), \(2,\)"):
        ApproximateResponse([1, 2, 3], [1, 3], np.ones(3), np.ones(2))


# One observation of 2001, 3.4' off axis, and one of 2016, when contamination had taken most of what lies below 2 keV.
# The edges of iridium at 2.0 to 2.25 keV, where the area halves within 50 eV, are left out.
@pytest.mark.parametrize(
    ("name", "low", "high"), [("acisf01575_001N001_r0085_arf3.fits.gz", 0.5, 6.0), ("acis_snr.arf", 2.25, 7.0)]
)
def test_effective_area_agrees_with_real_observations(shared_data, name, low, high):
    with fits.open(shared_data / "responses" / name) as hdus:
        arf = hdus["SPECRESP"].data
        energy, real = 0.5 * (arf["ENERG_LO"] + arf["ENERG_HI"]), arf["SPECRESP"]
    table = read_table("acis_effective_area")
    use = (energy > low) & (energy < high) & ((energy < 2.0) | (energy > 2.25))
    ratio = np.interp(energy[use], table["energy"].value, table["acis-s"].value) / real[use]
    assert np.all(np.abs(ratio - 1) < 0.25 + 0.05 * (energy[use] < 1))


@pytest.mark.parametrize("energy", [1.49, 3.0, 5.9, 6.7])
def test_resolution_agrees_with_a_real_observation(shared_data, energy):
    with fits.open(shared_data / "responses" / "acis_snr.rmf.gz") as hdus:
        ebounds, matrix = hdus["EBOUNDS"].data, hdus[1].data if "MATRIX" in hdus[1].columns.names else hdus[2].data
        row = matrix[np.searchsorted(matrix["ENERG_HI"], energy)]
        start, values = int(np.atleast_1d(row["F_CHAN"])[0]), row["MATRIX"][: int(np.atleast_1d(row["N_CHAN"])[0])]
        centre = 0.5 * (ebounds["E_MIN"] + ebounds["E_MAX"])[start - 1 : start - 1 + len(values)]
    above = centre[values > values.max() / 2]
    real = above[-1] - above[0] + 0.0146
    response = approximate_acis_response(FINE)
    rate = response.fold(integrate(EmissionLine(energy=energy, sigma=0.0), response.energy_edges)).value
    width = np.ptp(FINE[:-1][rate > rate.max() / 2]) + 0.01
    assert width == pytest.approx(real, rel=0.15)
