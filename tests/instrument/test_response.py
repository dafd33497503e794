from itertools import pairwise

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, issparse

from astro_lpalm.data import read_table
from astro_lpalm.instrument import Response
from astro_lpalm.missions import approximate_response
from astro_lpalm.spectra import EmissionLine, Synchrotron, integrate

from .ogip_files import AREA, CHANNEL_EDGES, CONTIGUOUS, ENERGY_EDGES, REDISTRIBUTION, make_arf, make_rmf, save

FINE = np.linspace(0.5, 7.0, 651)
REAL = {
    "3c273": ("3c273.arf", "3c273.rmf"),
    "acis_snr": ("acis_snr.arf", "acis_snr.rmf.gz"),
    "acisf01575": ("acisf01575_001N001_r0085_arf3.fits.gz", "acisf01575_001N001_r0085_rmf3.fits.gz"),
}


@pytest.fixture
def response():
    return Response(AREA[:, None] * REDISTRIBUTION, ENERGY_EDGES, CHANNEL_EDGES)


def plain_fold(flux, area, redistribution):
    """Counts of one spectrum, a photon energy and a channel at a time."""
    counts = np.zeros(redistribution.shape[1])
    for photons, square_cm, row in zip(flux, area, redistribution):
        for channel, probability in enumerate(row):
            counts[channel] += photons * square_cm * probability
    return counts


@pytest.mark.parametrize("order", [1, -1], ids=["matrix first", "ebounds first"])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("layout", ["variable", "fixed", "scalar"])
def test_files_of_every_layout_fold_as_a_plain_loop_does(tmp_path, layout, first, order):
    matrix = CONTIGUOUS if layout == "scalar" else REDISTRIBUTION
    arf = save([make_arf()], tmp_path / "a.arf.gz")
    rmf = save(make_rmf(matrix, layout=layout, first=first)[::order], tmp_path / "a.rmf")
    response = Response.read(arf, str(rmf))
    flux = np.random.default_rng(0).random((2, 3, 5))
    rate = response.fold(flux)
    assert rate.shape == (2, 3, 7)
    for index in np.ndindex(2, 3):
        assert_allclose(rate[index], plain_fold(flux[index], AREA, matrix), rtol=1e-14)
    assert response.first_channel == first
    assert_array_equal(response.energy_edges, ENERGY_EDGES * u.keV)
    assert_array_equal(response.channel_edges, CHANNEL_EDGES * u.keV)
    assert_allclose(response.area, AREA * matrix.sum(axis=1) * u.cm**2)


def test_a_matrix_that_holds_the_area_needs_no_arf(tmp_path):
    rmf = save(make_rmf(AREA[:, None] * REDISTRIBUTION, content="FULL"), tmp_path / "full.rsp")
    assert_array_equal(Response.read(None, rmf).matrix.toarray(), AREA[:, None] * REDISTRIBUTION)
    arf = save([make_arf()], tmp_path / "a.arf")
    with pytest.raises(ValueError, match="full.rsp' holds the effective area already .*a.arf' would count it twice"):
        Response.read(arf, rmf)


@pytest.mark.parametrize("content", ["REDIST", "DETECTOR", ""])
def test_a_matrix_without_the_area_needs_one(tmp_path, content):
    rmf = save(make_rmf(content=content), tmp_path / "a.rmf")
    with pytest.raises(ValueError, match=f"a.rmf' does not hold the .* '{content or 'not given'}', .*give the ARF"):
        Response.read(None, rmf)


def test_swapped_files_are_told(tmp_path):
    arf, rmf = save([make_arf()], tmp_path / "a.arf"), save(make_rmf(), tmp_path / "a.rmf")
    with pytest.raises(ValueError, match=r"a.arf' holds no redistribution .* Response.read\(arf, rmf\), in this order"):
        Response.read(rmf, arf)
    with pytest.raises(ValueError, match=r"a.rmf' holds no effective area .* Response.read\(arf, rmf\), in this order"):
        Response.read(rmf, rmf)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (
            [0.25, 0.5, 1, 1.6, 2, 3],
            "of the ARF's edge 3 is 1.6 keV, 0.2 of a bin from the nearest, 1.5 keV, of the RMF's",
        ),
        ([0.2, 0.5, 1, 1.5, 2, 3], "edge 0 is 0.2 keV, 0.2 of a bin from the nearest, 0.25 keV"),
        ([0.25, 0.5, 1, 1.5, 2, 3, 4], "edge 6 is 4 keV, 1 of a bin from the nearest, 3 keV"),
        ([0.25, 0.5, 1], "of the ARF's there are 2 bins, not 5, of the RMF's"),
        ([0.25, 0.75, 1], "edge 1 is 0.75 keV, 1 of a bin from the nearest, 0.5 keV"),
        ([0.25, 0.5005, 1, 1.5, 2, 3], "edge 1 is 0.5005 keV, 0.002 of a bin"),
    ],
)
def test_energy_grids_that_do_not_match_are_refused(tmp_path, edges, message):
    arf = save([make_arf(np.array(edges), np.ones(len(edges) - 1))], tmp_path / "a.arf")
    rmf = save(make_rmf(), tmp_path / "a.rmf")
    with pytest.raises(
        ValueError, match=rf"a.arf' \({len(edges) - 1} bins\) .*a.rmf' \(5 bins\) .*different .*{message}"
    ):
        Response.read(arf, rmf)


def test_grids_that_differ_by_single_precision_match(tmp_path):
    edges = np.nextafter(ENERGY_EDGES.astype(np.float32), np.float32(9))
    arf, rmf = save([make_arf(edges)], tmp_path / "a.arf"), save(make_rmf(), tmp_path / "a.rmf")
    assert_array_equal(Response.read(arf, rmf).energy_edges, ENERGY_EDGES * u.keV)


def test_units_go_in_and_out(response):
    flux = np.arange(1.0, 6.0)
    plain = response.fold(flux)
    assert type(plain) is np.ndarray
    rate = response.fold(1e4 * flux * u.photon / u.m**2 / u.s)
    assert rate.unit == u.count / u.s
    assert_allclose(rate.value, plain)
    with pytest.raises(ValueError, match=r"flux is in ph / \(keV s cm2\); give photon / \(cm2 s\) in each bin"):
        response.fold(flux * u.photon / u.cm**2 / u.s / u.keV)


def test_a_spectrum_folds_the_same_alone_and_among_others():
    response = approximate_response(FINE)
    flux = np.random.default_rng(2).random((50, response.matrix.shape[0]))
    assert_array_equal(response.fold(flux), [response.fold(spectrum) for spectrum in flux])


def test_repr_and_sparse_input(response):
    assert repr(response) == ("<Response: 5 true bins, 0.25 to 3 keV; 7 channels, 0.125 to 3 keV; up to 400 cm2>")
    assert issparse(response.matrix)
    assert response.matrix.has_sorted_indices
    again = Response(csr_array(response.matrix), ENERGY_EDGES * 1e3 * u.eV, CHANNEL_EDGES, first_channel=0)
    assert_array_equal(again.matrix.toarray(), response.matrix.toarray())
    assert_allclose(again.energy_edges, response.energy_edges)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"matrix": np.ones((7, 5))},
            r"the matrix has shape \(7, 5\), but energy_edges has 5 bins and channel_edges 7",
        ),
        ({"matrix": np.full((5, 7), -1.0)}, "finite and not negative"),
        ({"matrix": np.full((5, 7), np.nan)}, "finite and not negative"),
        ({"energy_edges": ENERGY_EDGES[::-1]}, "energy_edges must be two or more finite, increasing energies"),
        ({"channel_edges": [-1, 0, 1]}, "channel_edges must be .* the first 0 or more"),
        ({"channel_edges": [1, 2] * u.s}, "channel_edges must be energies, in keV"),
    ],
)
def test_what_makes_no_response(change, message):
    good = {"matrix": np.ones((5, 7)), "energy_edges": ENERGY_EDGES, "channel_edges": CHANNEL_EDGES}
    with pytest.raises(ValueError, match=message):
        Response(**(good | change))


@pytest.mark.parametrize("kept", [[0, 1, 2, 3, 4, 5, 6, 7], [0, 3, 7], [2, 3, 6], [6, 7]])
def test_rebinning_conserves_counts(response, kept):
    flux = np.random.default_rng(1).random((4, 5))
    edges = np.float32(CHANNEL_EDGES[kept] * (1 + 1e-7))
    coarse = response.rebin(edges * u.keV)
    assert_array_equal(coarse.channel_edges.value, edges.astype(float))
    expected = np.stack([response.fold(flux)[:, a:b].sum(axis=1) for a, b in pairwise(kept)], axis=1)
    assert_allclose(coarse.fold(flux), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([0.5, 1.0, 1.2, 2.0], r"energy_edges\[2\] = 1.2 keV lies inside a channel, that of 1 to 1.5 keV"),
        ([0.5, 1.001], r"energy_edges\[1\] = 1.001 keV lies inside a channel, that of 1 to 1.5"),
        ([0.5, 2, 3.2], r"energy_edges\[2\] = 3.2 keV lies beyond the channels, which cover 0.125 to 3 keV"),
        ([0.1, 2], r"energy_edges\[0\] = 0.1 keV lies beyond the channels"),
        ([0.5, 1, 1.0001, 2], r"no channel lies between energy_edges\[1\] = 1 and 1.0001 keV"),
        ([2, 1], "energy_edges must be .* increasing"),
    ],
)
def test_edges_that_do_not_nest_are_refused(response, edges, message):
    with pytest.raises(ValueError, match=message):
        response.rebin(edges)


def test_grouped_channels_nest(response):
    assert_allclose(response.group(0.7, 2.1, 2).value, [0.75, 1.5, 2.5])
    assert_allclose(response.group(500 * u.eV, 3, 3).to_value(u.keV), [0.5, 1.5, 3.0])
    assert_allclose(response.group(0.5, 0.55, 1).value, [0.5, 0.75])
    assert response.rebin(response.group(0, 3, 1)).matrix.shape == (5, 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.5, 3, 4), "bins of 4 channels from 0.5 to 3 keV do not fit in the channels, .* 0.125 to 3 keV"),
        ((0.5, 4, 1), "do not fit"),
        ((2, 1, 1), "low and high must be .*increasing"),
        ((0.5, 2, 0), "n_channels_per_bin is 0; give a whole number, 1 or more"),
        ((0.5, 2, 1.5), "n_channels_per_bin is 1.5"),
    ],
)
def test_what_cannot_be_grouped(response, arguments, message):
    with pytest.raises(ValueError, match=message):
        response.group(*arguments)


@pytest.mark.parametrize("name", REAL)
def test_folding_agrees_with_sherpa(shared_data, name):
    response = Response.read(*(shared_data / "responses" / file for file in REAL[name]))
    edges = response.energy_edges.value
    flux = 1e-3 * (1 / edges[:-1] - 1 / edges[1:]) * u.photon / u.cm**2 / u.s  # of 1e-3 E^-2, exactly
    oracle = fits.getdata(shared_data / "oracles" / f"{name}_powerlaw_folded.fits")
    counts = (response.fold(flux) * 1e4 * u.s).to_value(u.count)
    assert_allclose(response.channel_edges[:-1].value, oracle["e_min"])
    use = oracle["counts"] > 1e-6 * oracle["counts"].max()
    assert use.sum() > 600
    assert_allclose(counts[use], oracle["counts"][use], rtol=1e-12)
    assert_allclose(counts[~use], oracle["counts"][~use], atol=1e-12 * counts.max())
    # Our own integral of the model on the way in, and whole bins of channels on the way out.
    bins = response.group(0.5, 7, 7)
    rate = response.rebin(bins).fold(integrate(Synchrotron(amplitude=1e-3, photon_index=2), response.energy_edges))
    start = np.searchsorted(response.channel_edges.value, bins[:-1].value)
    expected = [oracle["counts"][i : i + 7].sum() for i in start]
    assert_allclose(rate.value * 1e4, expected, rtol=1e-5)


@pytest.mark.parametrize("name", REAL)
def test_real_matrices_are_taken_as_they_are(shared_data, name):
    arf, rmf = (shared_data / "responses" / file for file in REAL[name])
    response = Response.read(arf, rmf)
    area = fits.getdata(arf, "SPECRESP")["SPECRESP"]
    sums = response.area.value[area > 0] / area[area > 0]
    assert np.all((sums > 0.99) & (sums < 1.01))
    if name == "acis_snr":
        assert np.ptp(sums) > 0.01


@pytest.mark.parametrize("instrument", ["acis-s", "acis-i"])
@pytest.mark.parametrize("energy", [1.2, 3.5, 5.5])
def test_folding_conserves_photons_times_area(instrument, energy):
    response = approximate_response(FINE, instrument)
    rate = response.fold(integrate(EmissionLine(amplitude=2.0, energy=energy, sigma=0.0), response.energy_edges))
    table = read_table("acis_effective_area")
    area = np.interp(energy, table["energy"].value, table[instrument].value)
    assert rate.unit == u.count / u.s
    assert rate.sum().value == pytest.approx(2.0 * area, rel=5e-3)


@pytest.mark.parametrize(
    ("instrument", "energy", "fwhm"), [("acis-s", 1.49, 0.095), ("acis-s", 5.9, 0.150), ("acis-i", 5.9, 0.190)]
)
def test_a_narrow_line_has_the_stated_width(instrument, energy, fwhm):
    response = approximate_response(FINE, instrument)
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
    response = approximate_response(np.linspace(0.5, 7, 66) * u.keV)
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
    fine, coarse = (approximate_response(edges) for edges in (FINE, FINE[::10]))
    flux = integrate(Synchrotron(), fine.energy_edges)
    np.testing.assert_allclose(fine.fold(flux).reshape(65, 10).sum(axis=1), coarse.fold(flux), rtol=1e-10)


def test_the_true_grid_is_fine_enough():
    coarse = approximate_response(np.linspace(0.5, 7, 66))
    true = np.linspace(*coarse.energy_edges[[0, -1]].value, 4 * (len(coarse.energy_edges) - 1) + 1)
    fwhm = 1e-3 * np.sqrt(95.0**2 + (150.0**2 - 95.0**2) * (0.5 * (true[1:] + true[:-1]) - 1.49) / (5.9 - 1.49))
    table = read_table("acis_effective_area")
    area = np.interp(0.5 * (true[1:] + true[:-1]), table["energy"].value, table["acis-s"].value)
    fine = Response.from_resolution(true, coarse.channel_edges, area, fwhm)
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
        approximate_response(edges, instrument)


@pytest.mark.parametrize("flux", [np.ones(65), np.ones((711, 2)), 1.0])
def test_a_flux_on_another_grid_is_refused(flux):
    response = approximate_response(np.linspace(0.5, 7, 66))
    with pytest.raises(ValueError, match="flux has shape .*710 true bins"):
        response.fold(flux)


def test_area_and_width_need_the_true_bins():
    with pytest.raises(ValueError, match=r"one value for each of 2 true bins; got \(3,\), \(2,\)"):
        Response.from_resolution([1, 2, 3], [1, 3], np.ones(3), np.ones(2))


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
    measured = Response.read(*(shared_data / "responses" / name for name in REAL["acis_snr"]))
    values = measured.matrix.toarray()[np.searchsorted(measured.energy_edges[1:].value, energy)]
    centre = 0.5 * (measured.channel_edges[1:] + measured.channel_edges[:-1]).value
    above = centre[values > values.max() / 2]
    real = above[-1] - above[0] + 0.0146
    response = approximate_response(FINE)
    rate = response.fold(integrate(EmissionLine(energy=energy, sigma=0.0), response.energy_edges)).value
    width = np.ptp(FINE[:-1][rate > rate.max() / 2]) + 0.01
    assert width == pytest.approx(real, rel=0.15)


@pytest.mark.parametrize("first_channel", [0, 1, 5])
def test_written_files_read_back(tmp_path, first_channel):
    rng = np.random.default_rng(4)
    matrix = rng.random((30, 20)) * (rng.random((30, 20)) < 0.4)
    matrix[[3, 17]] = 0.0  # true energies that nothing is counted of
    response = Response(matrix, np.linspace(0, 3, 31), np.linspace(0.1, 3.1, 21), first_channel=first_channel)
    arf, rmf = tmp_path / "a.arf", tmp_path / "b.rmf"
    response.write(arf, rmf)
    back = Response.read(arf, rmf)
    np.testing.assert_allclose(back.matrix.toarray(), matrix, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(back.energy_edges, response.energy_edges)
    np.testing.assert_array_equal(back.channel_edges, response.channel_edges)
    assert back.first_channel == first_channel
    with pytest.raises(FileExistsError, match=r"b\.rmf"):
        response.write(tmp_path / "new.arf", rmf)
    assert not (tmp_path / "new.arf").exists()


def test_one_name_for_both_files(tmp_path):
    response = Response([[1.0]], [1, 2], [1, 2])
    with pytest.raises(ValueError, match=r"x\.arf' cannot be both the ARF and the RMF"):
        response.write(tmp_path / "x.arf", tmp_path / "x.arf", overwrite=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("factor", "content"), [(AREA[:, None], "REDIST"), (AREA[:, None], ""), (100, "REDIST")])
def test_a_matrix_that_holds_more_than_it_says(tmp_path, factor, content):
    rmf = save(make_rmf(factor * REDISTRIBUTION, content=content), tmp_path / "odd.rmf")
    arf = save([make_arf()], tmp_path / "source.arf")
    with pytest.raises(ValueError, match=r"odd.rmf' have sums of up to \d+, and are no probabilities"):
        Response.read(arf, rmf)


def test_an_area_of_zero(tmp_path):
    files = save([make_arf(area=0 * AREA)], tmp_path / "none.arf"), save(make_rmf(), tmp_path / "source.rmf")
    with pytest.raises(ValueError, match="none.arf' is zero at all energies"):
        Response.read(*files)
