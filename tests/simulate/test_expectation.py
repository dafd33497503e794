"""What is simulated and then binned is what was expected, but for Poisson noise."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from scipy import ndimage, stats

from astro_lpalm import EventCube
from astro_lpalm.instrument import PHA, PSF, ExposureMaps, Response
from astro_lpalm.simulate import Observation, ParticleBackground
from astro_lpalm.spectra import EmissionLine, Synchrotron, integrate

from .statistics import check_poisson, deviation

SHAPE = (30, 41)
WHERE = {"center": SkyCoord(350.866, 58.815, unit="deg"), "pixel_scale": 1.2 * u.arcsec}
CHANNELS = np.arange(1025) * 14.6 * u.eV
CUBE_EDGES = CHANNELS[35:501:8]  # 0.511 to 7.3 keV, of whole channels
MODELS = [Synchrotron(photon_index=2.0), EmissionLine(energy=3.0, sigma=3000.0)]
FLUX = u.photon / u.cm**2 / u.s


def blobs():
    y, x = np.indices(SHAPE)
    return np.array([np.exp(-((y - 9) ** 2 + (x - 12) ** 2) / 60), (x > 25) * (y > 12) * 0.5])


def acis():
    """A response like ACIS's: channels in single precision, the first of which begins a little above zero."""
    true = np.linspace(0.3, 11, 1071)
    channels = CHANNELS.to_value(u.keV).astype(np.float32).astype(float)
    channels[0] = 0.00146
    centre = 0.5 * (true[1:] + true[:-1])
    return Response.from_resolution(true, channels, 500 * np.exp(-((centre - 1.5) ** 2) / 8), 0.05 + 0.02 * centre)


def observation(door, **options):
    if door == "counts":
        images, spectra = 40 * blobs(), np.array([[4.0, 1.0], [3.0, 1.0], [2.0, 0.0], [1.0, 8.0]])
        return Observation(images, spectra, [1, 2, 3, 5, 6] * u.keV, **WHERE | options)
    images = 2e-6 * blobs() * FLUX
    return Observation(images, MODELS, response=acis(), **WHERE | options)


def bin_again(events, edges):
    return EventCube.from_events(
        events, energy_edges=edges, pixel_scale=WHERE["pixel_scale"], center=WHERE["center"],
        size=SHAPE[::-1] * WHERE["pixel_scale"],
    )  # fmt: skip


def vignetting():
    y, x = np.indices(SHAPE)
    exposure = 1.3 * np.exp(-((y - 15) ** 2 + (x - 20) ** 2) / 600)
    exposure[:, 11:13] = 0  # a gap between chips
    return exposure


KERNEL = np.array([[0, 1, 0, 0, 4], [2, 3, 0, 1, 0], [0, 0, 0, 0, 1]], dtype=float)
WIDER = np.pad(KERNEL, ((1, 1), (0, 0)))
OPTIONS = {
    "plain": {},
    "exposure map": {"exposure_map": vignetting()},
    "gaussian": {"psf": 4 * u.arcsec},
    "kernel": {"psf": KERNEL},
    "by energy": {"psf": PSF([2, 9] * u.arcsec, energies=[1.2, 5] * u.keV)},
    "by energy and place": {
        "psf": PSF(
            np.array([WIDER, np.eye(5), np.eye(5)[::-1], WIDER.T]).reshape(2, 2, 5, 5),
            1.2 * u.arcsec,
            energies=[1.2, 5] * u.keV,
            off_axis=[2, 20] * u.arcsec,
        ),
        "exposure_map": vignetting(),
    },
    "exposure by energy": {"exposure_map": ExposureMaps([vignetting(), vignetting() ** 4], [1.2, 5] * u.keV)},
    "background": {"background": ParticleBackground(0.05 * u.count / u.s)},
    "all": {"exposure_map": vignetting(), "psf": 4 * u.arcsec, "background": ParticleBackground(0.05)},
}

# Number of events, sums of their PI and of their X, for a seed of 3.
AS_EVER = {
    "plain": (12087, 2958872, 49543376.5),
    "exposure map": (10810, 2636464, 44309195.8),
    "gaussian": (11587, 2814925, 47482582.4),
    "kernel": (11670, 2831927, 47827571.7),
    "background": (14605, 3559424, 59859006.7),
    "all": (12963, 3140241, 53125023.3),
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("door", ["counts", "flux"])
def test_binned_events_follow_the_expected_cube(door, options):
    observed = observation(door, **OPTIONS[options])
    edges = observed.energy_edges if door == "counts" else CUBE_EDGES
    expected = observed.expected_cube(edges)
    cube = bin_again(observed.draw(seed=1), edges)
    check_poisson(cube.data, expected.data)
    corners = [0, 40.0, 3.5], [0, 29.0, 17.5]
    assert np.all(cube.wcs.pixel_to_world(*corners).separation(expected.wcs.pixel_to_world(*corners)) < 1e-6 * u.arcsec)


@pytest.mark.parametrize(
    "options",
    ["exposure map", "gaussian", "kernel", "background", "by energy", "by energy and place", "exposure by energy"],
)
def test_the_test_above_would_notice(options):
    with_it, without = observation("counts", **OPTIONS[options]), observation("counts")
    cube = bin_again(with_it.draw(seed=1), without.energy_edges)
    assert deviation(cube.data, without.expected_cube().data) > 6


def test_expected_cube_of_counts_by_hand():
    background = ParticleBackground(0.02, spectrum=[1, 0, 3, 0], image=np.arange(30)[:, None] * np.ones(41))
    observed = observation("counts", exposure_map=vignetting(), psf=KERNEL, background=background, exposure=20 * u.ks)
    images = [vignetting() * ndimage.convolve(40 * image, KERNEL / 12, mode="constant") for image in blobs()]
    spectra = np.array([[0.4, 0.1], [0.3, 0.1], [0.2, 0.0], [0.1, 0.8]])
    expected = np.einsum("ik,kyx->iyx", spectra, images)
    ramp = np.arange(30)[:, None] * np.ones(41)
    expected += 0.02 * 20_000 * np.array([0.25, 0, 0.75, 0])[:, None, None] * ramp / ramp.sum()
    np.testing.assert_allclose(observed.expected_cube().data, expected, atol=1e-12)
    assert observed.component_names == ("component_1", "component_2", "background")


def test_expected_cube_of_fluxes_by_hand():
    response = acis()
    spectra = [integrate(model, response.energy_edges).value for model in MODELS]
    expected = np.zeros((1024, *SHAPE))
    for image, spectrum in zip(2e-6 * blobs(), spectra):
        expected += 50_000 * (spectrum / spectrum.sum() @ response.matrix)[:, None, None] * image
    observed = observation("flux")
    np.testing.assert_allclose(observed.expected_cube().data, expected, rtol=1e-10)
    rebinned = expected[35:499].reshape(58, 8, *SHAPE).sum(axis=1)
    np.testing.assert_allclose(observed.expected_cube(CUBE_EDGES).data, rebinned, rtol=1e-9, atol=1e-12)
    # Other ways to say the same.
    arrays = Observation(2e-6 * blobs(), np.transpose(spectra), response=response, **WHERE)
    mixed = Observation(2e-6 * blobs() * FLUX, [MODELS[0], 7 * spectra[1]], response=response, **WHERE)
    surface = 2e-6 * blobs() * FLUX / (1.2 * u.arcsec) ** 2
    bright = Observation(surface.to(FLUX / u.sr), MODELS, response=response, **WHERE)
    for same in (arrays, mixed, bright):
        np.testing.assert_allclose(same.expected_cube().data, expected, rtol=1e-9)
    longer = observation("flux", exposure=100 * u.ks)
    np.testing.assert_allclose(longer.expected_cube().data, 2 * expected, rtol=1e-10)


def test_expected_spectra_in_bins_that_do_not_nest():
    observed = observation("counts")
    found = observed.expected_spectra([0.5, 1.5, 2.25, 4, 9] * u.keV)
    np.testing.assert_allclose(found[:, 0], [0.2, 0.2 + 0.075, 0.225 + 0.1, 0.1 + 0.1])
    cube = bin_again(observed.draw(seed=3), [0.5, 1.5, 2.25, 4, 9] * u.keV)
    check_poisson(cube.data, observed.expected_cube([0.5, 1.5, 2.25, 4, 9] * u.keV).data)


def test_truth_is_the_expected_cube_taken_apart():
    observed = observation("flux", component_names=["continuum", "line"], **OPTIONS["all"])
    truth = observed.truth(CUBE_EDGES)
    assert truth.names == ("continuum", "line", "background")
    expected = observed.expected_cube(CUBE_EDGES).data
    np.testing.assert_allclose(truth.model_cube().data, expected, atol=1e-12)
    assert np.abs(truth.residuals.data).max() < 1e-12
    np.testing.assert_allclose(np.linalg.norm(truth.mixing, axis=0), 1)
    for name, image, spectrum in zip(truth.names, observed.expected_images(), observed.expected_spectra(CUBE_EDGES).T):
        np.testing.assert_allclose(truth.images[name].data, image * spectrum.sum(), rtol=1e-10)
        np.testing.assert_allclose(truth.spectra[name].value, spectrum * image.sum(), rtol=1e-10)


@pytest.mark.parametrize("seed", [0, 1])
def test_channels_follow_the_folded_spectrum(seed):
    observed = observation("flux")
    events = observed.draw(seed)["EVENTS"].data
    found = np.bincount(events["pi"], minlength=1025)[1:]
    rates = [acis().fold(integrate(model, acis().energy_edges).value) for model in MODELS]
    photons = [integrate(model, acis().energy_edges).value.sum() for model in MODELS]
    expected = 50_000 * 2e-6 * blobs().sum(axis=(1, 2)) / photons @ np.array(rates)
    sure = expected > 5
    assert stats.chi2.sf(np.sum((found - expected)[sure] ** 2 / expected[sure]), sure.sum()) > 0.001
    energy = events["energy"]
    np.testing.assert_array_equal(events["pi"], np.floor(energy.astype(float) / 14.6) + 1)
    np.testing.assert_array_equal(events["pi"], energy // np.float32(14.6) + 1)  # as others may compute it
    within = energy.astype(float) / 14.6 % 1
    assert stats.kstest(within, stats.uniform.cdf).pvalue > 0.001


@pytest.mark.parametrize("first", [0.0, 0.00146, 0.0073])
def test_channels_in_single_precision_are_moved_to_where_they_belong(first):
    edges = CHANNELS.to_value(u.keV).astype(np.float32).astype(float)
    edges[0] = first
    observed = Observation(np.ones((1, 2, 2)), np.ones((1024, 1)), edges * u.keV, **WHERE)
    np.testing.assert_allclose(observed.energy_edges, CHANNELS, rtol=1e-14)
    part = Observation(np.ones((1, 2, 2)), np.ones((100, 1)), edges[200:301] * u.keV, **WHERE)
    np.testing.assert_allclose(part.energy_edges, CHANNELS[200:301], rtol=1e-14)


@pytest.mark.parametrize("edges", [CHANNELS[::2], CHANNELS * 1.001, CHANNELS + 1 * u.eV, [0.5, 1.0, 7.0] * u.keV])
def test_other_bins_are_left_where_they_are(edges):
    observed = Observation(np.ones((1, 2, 2)), np.ones((len(edges) - 1, 1)), edges, **WHERE)
    np.testing.assert_allclose(observed.energy_edges.to(u.eV), edges.to(u.eV), rtol=1e-14)


def test_position_of_a_lopsided_kernel():
    # The photons of a star come down where the kernel has them: up is up, and right is right.
    image = np.zeros((1, *SHAPE))
    image[0, 20, 10] = 3e4
    observed = Observation(image, [[1.0]], [1, 2] * u.keV, psf=KERNEL, **WHERE)
    found = bin_again(observed.draw(0), [1, 2] * u.keV).data[0]
    np.testing.assert_allclose(found[19:22, 8:13], 3e4 * KERNEL / 12, atol=400)
    assert found[19:22, 8:13].sum() > 0.999 * found.sum()


def test_background_keeps_out_of_gaps_and_is_not_vignetted():
    dark = {"images": np.zeros((1, *SHAPE)), "spectra": [[1.0]], "energy_edges": [1, 2] * u.keV}
    observed = Observation(
        **dark, background=ParticleBackground(1.0), exposure_map=vignetting(), psf=9 * u.arcsec, **WHERE
    )
    expected = np.full(SHAPE, 50_000 / (30 * 39))
    expected[:, 11:13] = 0
    np.testing.assert_allclose(observed.expected_cube().data[0], expected)
    check_poisson(bin_again(observed.draw(2), [1, 2] * u.keV).data, expected[np.newaxis])


def test_default_background_is_flat_in_energy():
    dark = {"images": np.zeros((1, *SHAPE)), "spectra": np.ones((3, 1)), "energy_edges": [1, 2, 4, 8] * u.keV}
    observed = Observation(**dark, background=ParticleBackground(1.0), **WHERE)
    np.testing.assert_allclose(observed.spectra[:, 1], [1 / 7, 2 / 7, 4 / 7])


@pytest.mark.parametrize("unit", ["ks", "cm2 s", ""])
def test_units_of_the_exposure_map(unit):
    values = vignetting() * {"ks": 50, "cm2 s": 3e7, "": 1}[unit]
    observed = observation("counts", exposure_map=values * u.Unit(unit))
    expected = vignetting() / (vignetting().max() if unit == "cm2 s" else 1)
    np.testing.assert_allclose(observed.exposure_map, expected, rtol=1e-12)


def test_photons_of_each_energy_go_as_far_as_its_point_spread_function_says():
    point = np.zeros((1, *SHAPE))
    point[0, 15, 20] = 1e5
    psf = PSF([2, 9] * u.arcsec, energies=[1.5, 4.5] * u.keV)
    observed = Observation(point, [[1.0], [1.0], [1.0]], [1, 2, 4, 5] * u.keV, psf=psf, **WHERE)
    cube = bin_again(observed.draw(0), observed.energy_edges)
    check_poisson(cube.data, observed.expected_cube().data)
    # The first bin is half below 1.5 keV, where the narrow one holds, and then a little of the wide one.
    part = 0.5 * 0.25 / 3
    narrow, wide = (PSF(width * u.arcsec).on_pixels(1.2 * u.arcsec).blur(point[0]) / 3 for width in (2, 9))
    np.testing.assert_allclose(
        observed.expected_cube().data[0], (1 - part) * narrow + part * wide, rtol=1e-6, atol=1e-6
    )
    np.testing.assert_allclose(observed.expected_cube().data[1], 0.5 * (narrow + wide), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(observed.expected_images()[0], observed.expected_cube().data.sum(axis=0), rtol=1e-9)


def test_photons_that_leave_the_images_are_lost():
    observed = observation("counts", psf=2 * u.arcmin)
    events = observed.draw(4)["EVENTS"].data
    mean = observed.expected_images().sum()
    assert mean < 0.3 * observed.images.sum()
    assert abs(len(events) - mean) < 3.3 * np.sqrt(mean)
    assert np.all(np.abs(events["x"] - 4096.5) <= 41 / 2 * 1.2 / 0.492 * (1 + 1e-6))
    assert np.all(np.abs(events["y"] - 4096.5) <= 30 / 2 * 1.2 / 0.492 * (1 + 1e-6))


@pytest.mark.parametrize("name", ["3c273", "acis_snr"])
def test_real_response(shared_data, name):
    files = {"3c273": ("3c273.arf", "3c273.rmf"), "acis_snr": ("acis_snr.arf", "acis_snr.rmf.gz")}[name]
    response = Response.read(*(shared_data / "responses" / file for file in files))
    image = 2e-2 * np.ones((1, 4, 4)) * FLUX / 16
    events = Observation(image, MODELS[:1], response=response, **WHERE).draw(0)["EVENTS"].data
    flux = integrate(MODELS[0], response.energy_edges)
    expected = (response.fold(flux) * 50 * u.ks * 2e-2 / flux.value.sum()).to_value(u.count)
    found = np.bincount(events["pi"], minlength=1025)[1:]
    sure = expected > 5
    assert sure.sum() > 300
    assert stats.chi2.sf(np.sum((found - expected)[sure] ** 2 / expected[sure]), sure.sum()) > 0.001
    np.testing.assert_array_equal(events["pi"], np.minimum(events["energy"] // 14.6 + 1, 1024))


def test_real_background_spectrum(shared_data):
    folder = shared_data / "responses"
    response, observed = Response.read(folder / "3c273.arf", folder / "3c273.rmf"), PHA.read(folder / "3c273_bg.pi")
    dark = Observation(np.zeros((1, 4, 4)), MODELS[:1], response=response, **WHERE,
                       background=ParticleBackground(0.2, observed.counts.value))  # fmt: skip
    found = np.bincount(dark.draw(0)["EVENTS"].data["pi"], minlength=1025)[1:]
    expected = 10_000 * observed.counts.value / observed.counts.value.sum()
    assert not found[expected == 0].any()
    sure = expected > 5
    assert stats.chi2.sf(np.sum((found - expected)[sure] ** 2 / expected[sure]), sure.sum()) > 0.001


def test_the_instrument_by_its_files(tmp_path):
    response = acis()
    response.write(tmp_path / "a.arf", tmp_path / "a.rmf")
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.6 / 3600, 0.6 / 3600]
    fits.writeto(tmp_path / "psf.fits", KERNEL, wcs.to_header())
    images = 2e-6 * blobs() * FLUX
    named = Observation(images, MODELS, response=(tmp_path / "a.arf", tmp_path / "a.rmf"), psf=tmp_path / "psf.fits",
                        **WHERE)  # fmt: skip
    same = Observation(images, MODELS, response=response, psf=PSF(KERNEL, 0.6 * u.arcsec), **WHERE)
    np.testing.assert_allclose(named.expected_cube().data, same.expected_cube().data, rtol=1e-6, atol=1e-12)
    check_poisson(bin_again(named.draw(0), CUBE_EDGES).data, named.expected_cube(CUBE_EDGES).data)


@pytest.mark.parametrize("options", AS_EVER)
def test_the_same_events_as_ever_for_a_seed(options):
    events = observation("counts", **OPTIONS[options]).draw(seed=3)["EVENTS"].data
    assert (len(events), int(events["pi"].sum()), round(float(events["x"].sum(dtype=float)), 1)) == AS_EVER[options]


def test_what_is_expected_has_no_rounding_below_zero():
    point = np.zeros((1, *SHAPE))
    point[0, 3, 4] = 1e5
    observed = Observation(point, [[1.0]], [1, 2] * u.keV, psf=KERNEL, **WHERE)
    assert observed.expected_cube().data.min() == 0
