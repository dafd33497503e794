"""Point spread functions that change with energy and place."""

import pickle
from itertools import pairwise

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from numpy.testing import assert_allclose

from astro_lpalm.grid.sky import pointing
from astro_lpalm.instrument import PSF
from astro_lpalm.instrument.psf_nodes import chosen_nodes, mean_tents, tents

SHAPE = 24, 30
EDGES = np.linspace(0.5, 7, 14) * u.keV
AXIS = SkyCoord(350.8, 58.8, unit="deg")
PIXEL = 2 * u.arcsec


def plane(pixel=PIXEL):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [350.8, 58.8], [8, 6]
    wcs.wcs.cdelt = pixel.to_value(u.deg) * np.array([-1, 1])
    return wcs


def rings(*widths):
    """Images of 15 x 15 pixels, of Gaussians of so many pixels, a little lopsided."""
    y, x = np.indices((15, 15)) - 7
    return np.array([np.exp(-((y - 0.3) ** 2 + x**2) / 2 / width**2) for width in widths])


def arrived(terms, image, energy):
    places = [1.0 if term.places is None else term.places for term in terms]
    return sum(term.energies[energy] * term.kernel.blur(w * image) for term, w in zip(terms, places))


def weights(terms):
    """The sums of all weights, (m, ny, nx)."""
    return sum(
        term.energies[:, None, None] * (np.ones(SHAPE) if term.places is None else term.places) for term in terms
    )


BY_ENERGY = {"energies": [1, 3, 6] * u.keV}
BY_ANGLE = {"off_axis": [0, 0.4, 0.8] * u.arcmin, "axis": AXIS}
PSFS = {
    "gaussian": PSF(3 * u.arcsec),
    "image": PSF(rings(2)[0], PIXEL),
    "king": PSF.king(4 * u.arcsec, 1.8),
    "widths by energy": PSF([3, 4, 6] * u.arcsec, **BY_ENERGY),
    "images by energy": PSF(rings(1, 1.5, 2.5), PIXEL, **BY_ENERGY),
    "kings by energy": PSF.king([3, 4, 5] * u.arcsec, [1.5, 1.6, 2.0], **BY_ENERGY),
    "widths by angle": PSF([3, 4, 8] * u.arcsec, **BY_ANGLE),
    "images by angle": PSF(rings(1, 1.5, 2.5), PIXEL, **BY_ANGLE),
    "widths by both": PSF(np.arange(3, 12).reshape(3, 3) * u.arcsec, **BY_ENERGY, **BY_ANGLE),
    "images by both": PSF(rings(*np.linspace(1, 3, 9)).reshape(3, 3, 15, 15), PIXEL, **BY_ENERGY, **BY_ANGLE),
}


@pytest.mark.parametrize("psf", PSFS.values(), ids=PSFS)
def test_no_photon_is_lost_but_over_the_edges(psf):
    terms = psf.terms(plane(), SHAPE, EDGES)
    assert len(terms) == (1 if psf.energies is None else 3) * (1 if psf.off_axis is None else 3)
    assert_allclose(weights(terms), 1, rtol=1e-12)
    wide = tuple(np.pad(term.places, 400, mode="edge") if term.places is not None else None for term in terms)
    point = np.zeros((824, 830))
    point[410, 415] = 5.0
    for energy in (0, 6, 12):
        found = sum(
            term.energies[energy] * term.kernel.blur(point if places is None else places * point)
            for term, places in zip(terms, wide)
        )
        assert found.sum() == pytest.approx(5, rel=1e-6)


@pytest.mark.parametrize("name", ["gaussian", "image", "king"])
def test_one_that_is_the_same_everywhere_is_one_blur(name):
    psf = PSFS[name]
    (term,) = psf.terms(plane(), SHAPE, EDGES)
    assert term.places is None
    assert_allclose(term.energies, np.ones(13))
    image = np.random.default_rng(0).random(SHAPE)
    assert_allclose(term.kernel.blur(image), psf.on_pixels(PIXEL).blur(image), rtol=1e-9)
    assert_allclose(psf.terms(PIXEL, SHAPE, EDGES)[0].kernel.blur(image), term.kernel.blur(image), rtol=1e-9)


def test_the_kernel_at_an_energy_is_between_those_given():
    psf, image = PSFS["images by energy"], np.random.default_rng(0).random(SHAPE)
    terms = psf.terms(plane(), SHAPE, EDGES)
    normal = psf.profile / psf.profile.sum(axis=(1, 2), keepdims=True)
    centres = 0.5 * (EDGES[1:] + EDGES[:-1]).value
    for energy in (0, 2, 8, 12):  # away from the nodes, where the mean over a bin is that in its middle
        kernel = sum(np.interp(centres[energy], [1, 3, 6], one) * each for one, each in zip(np.eye(3), normal))
        assert_allclose(arrived(terms, image, energy), PSF(kernel).on_pixels(PIXEL).blur(image), rtol=1e-9)


def test_widths_at_the_energies_given_are_those():
    image = np.random.default_rng(0).random(SHAPE)
    narrow = [0.999, 1.001, 2.999, 3.001, 5.999, 6.001, 7, 50] * u.keV
    terms = PSFS["widths by energy"].terms(plane(), SHAPE, narrow)
    for energy, fwhm in ((0, 3), (2, 4), (4, 6), (6, 6)):
        assert_allclose(arrived(terms, image, energy), PSF(fwhm * u.arcsec).on_pixels(PIXEL).blur(image), rtol=1e-3)


def test_places_by_their_angle_from_the_axis():
    psf = PSFS["widths by both"]
    terms = psf.terms(plane(), SHAPE, [2.9999, 3.0001] * u.keV)
    point = np.zeros(SHAPE)
    for (y, x), fwhm in (((5, 7), 6), ((17, 7), 7), ((5, 19), 7)):  # on the axis, and 0.4 arcmin off it
        point[:] = 0
        point[y, x] = 1
        expected = PSF(fwhm * u.arcsec).on_pixels(PIXEL).blur(point)
        assert_allclose(arrived(terms, point, 0), expected, atol=2e-4)
    assert terms[0].places[5, 7] == pytest.approx(1, abs=1e-6)
    header = {"RA_PNT": AXIS.ra.deg, "DEC_PNT": AXIS.dec.deg}
    without = PSF(psf.profile, energies=psf.energies, off_axis=psf.off_axis)
    for one, other in zip(terms, without.terms(plane(), SHAPE, [2.9999, 3.0001] * u.keV, axis=pointing(header))):
        assert_allclose(one.places, other.places)
    assert pointing({"RA_PNT": 3.0}) is None
    assert pointing({"RA_PNT": 3.0, "DEC_PNT": 1.0, "RADESYS": "FK4"}).name == "fk4"


def test_terms_without_weight_are_left_out():
    psf = PSFS["widths by both"]
    assert len(psf.terms(plane(), (3, 3), EDGES)) == 3 * 2  # no further off than 0.4 arcmin
    assert [term.energies.tolist() for term in psf.terms(plane(), (1, 1), [8, 9] * u.keV)] == [[1.0], [1.0]]
    assert len(PSFS["widths by energy"].terms(plane(), SHAPE, [0.2, 0.4, 0.9] * u.keV)) == 1


def test_many_energies_become_few_terms():
    energies = np.linspace(0.4, 8, 77) * u.keV
    widths = 1.5 + 0.02 * energies.value**1.5
    psf = PSF(rings(*widths), PIXEL, energies=energies)
    terms = psf.terms(plane(), SHAPE, EDGES)
    assert 2 <= len(terms) <= 6
    assert_allclose(weights(terms), 1, rtol=1e-12)
    point = np.zeros((31, 31))
    point[15, 15] = 1
    normal = psf.profile / psf.profile.sum(axis=(1, 2), keepdims=True)
    exact = np.tensordot(mean_tents(EDGES.value, energies.value), normal, axes=1)
    errors = [np.abs(arrived(terms, point, e)[8:23, 8:23] - kernel).sum() for e, kernel in enumerate(exact)]
    assert 1e-4 < max(errors) < 0.02


@pytest.mark.parametrize("make", [PSF, lambda widths, **nodes: PSF.king(widths, 1.7, **nodes)])
def test_many_widths_become_few_terms(make):
    energies = np.linspace(0.4, 8, 77) * u.keV
    widths = (4 + 0.05 * energies.value**1.5) * u.arcsec
    terms = make(widths, energies=energies).terms(plane(), SHAPE, EDGES)
    assert 2 <= len(terms) <= 6
    point = np.zeros((801, 801))
    point[400, 400] = 1
    for e in (0, 6, 12):
        energy = 0.5 * (EDGES[e] + EDGES[e + 1])
        width = np.interp(energy.value, energies.value, widths.value) * u.arcsec
        expected = make(width).on_pixels(PIXEL).blur(point)
        assert np.abs(arrived(terms, point, e) - expected).sum() < 0.02


def test_coarser_pixels():
    fine = np.random.default_rng(0).random(SHAPE)
    psf = PSFS["images by energy"]
    at_fine = psf.terms(plane(), SHAPE, EDGES)
    for n in (2, 3):
        coarse_shape = SHAPE[0] // n, SHAPE[1] // n
        coarse = psf.terms(plane()[::n, ::n], coarse_shape, EDGES)
        sums = fine.reshape(coarse_shape[0], n, coarse_shape[1], n).sum(axis=(1, 3))
        spread = np.kron(sums, np.full((n, n), 1 / n**2))
        for energy in (0, 5, 12):
            wanted = arrived(at_fine, spread, energy).reshape(coarse_shape[0], n, coarse_shape[1], n).sum(axis=(1, 3))
            assert_allclose(arrived(coarse, sums, energy), wanted, rtol=1e-9)
    both = PSFS["widths by both"].terms(plane()[::2, ::2], (12, 15), EDGES)
    fine = PSFS["widths by both"].terms(plane(), SHAPE, EDGES)
    means = fine[0].places.reshape(12, 2, 15, 2).mean(axis=(1, 3))
    assert_allclose(both[0].places, means, atol=0.02)  # half a pixel off would be 0.04


# King profiles


@pytest.mark.parametrize(("pixel", "core", "slope"), [(0.2, 4, 1.5), (0.5, 4, 2.5), (1.0, 6, 1.6), (4.0, 5, 1.5)])
def test_encircled_fraction_of_a_king_profile(pixel, core, slope):
    blur = PSF.king(core * u.arcsec, slope).on_pixels(pixel * u.arcsec)
    kernel, half = blur.kernel, blur.kernel.shape[0] // 2
    y, x = np.indices(kernel.shape) - half
    radii, cut = np.hypot(y, x) * pixel, min(60.0, np.sqrt(1000 ** (1 / (slope - 1)) - 1)) * core
    for radius in (4 * core, 10 * core):
        fraction = 1 - (1 + (radius / core) ** 2) ** (1 - slope)
        inside = fraction / (1 - (1 + (cut / core) ** 2) ** (1 - slope))
        assert kernel[radii <= radius].sum() == pytest.approx(inside, abs=2e-3 + 2e-3 * pixel)
    assert kernel.sum() == pytest.approx(1)
    assert cut <= half * pixel <= cut + 2 * pixel


@pytest.mark.parametrize(("core", "slope"), [(2, 1.6), (10, 30.0)])
def test_a_king_profile_is_integrated_over_pixels(core, slope):
    fine = PSF.king(core * u.arcsec, slope).on_pixels(0.2 * u.arcsec)
    image = np.random.default_rng(0).random((6, 7))
    spread = np.kron(image, np.full((15, 15), 1 / 225))
    expected = fine.blur(spread).reshape(6, 15, 7, 15).sum(axis=(1, 3))
    found = PSF.king(core * u.arcsec, slope).on_pixels(3 * u.arcsec).blur(image)
    assert_allclose(found, expected, rtol=2e-4)


def test_photons_of_a_king_profile_go_as_far():
    blur = PSF.king(4 * u.arcsec, 2.0).on_pixels(1 * u.arcsec)
    dy, dx = blur.displacements(100_000, np.random.default_rng(0))
    within = np.mean(np.hypot(dy, dx) < 12)
    assert within == pytest.approx(1 - 1 / 10, abs=0.005)


def test_a_steep_king_profile_is_a_gaussian():
    point = np.zeros((41, 41))
    point[20, 20] = 1
    core = 2 / np.sqrt(2 ** (1 / 400.0) - 1)
    king = PSF.king(core * u.arcsec, 400.0).on_pixels(0.5 * u.arcsec).blur(point)
    gaussian = PSF(4 * u.arcsec).on_pixels(0.5 * u.arcsec).blur(point)
    assert_allclose(king, gaussian, atol=5e-3 * gaussian.max())


# Nodes


def test_tents():
    x = np.linspace(-1, 9, 50)
    nodes = np.array([0.0, 1.0, 4.0])
    assert_allclose(tents(x, nodes).sum(axis=1), 1)
    assert_allclose(tents(x, nodes) @ nodes, np.clip(x, 0, 4))
    assert_allclose(tents(x, nodes[:1]), 1)


def test_mean_tents_are_means_over_bins():
    rng = np.random.default_rng(0)
    edges, nodes = np.cumsum(rng.random(8)), np.cumsum(rng.random(5))
    many = [tents(np.linspace(a, b, 20001), nodes) for a, b in pairwise(edges)]
    expected = [0.5 * (each[1:] + each[:-1]).mean(axis=0) for each in many]
    assert_allclose(mean_tents(edges, nodes), expected, atol=1e-7)


def test_nodes_that_interpolation_does_not_miss_are_not_chosen():
    nodes = np.arange(7.0)
    shares = np.stack([nodes, 10 - nodes], axis=-1)[:, None] / 10
    chosen, _ = chosen_nodes(lambda some: tents(np.linspace(0, 6, 9), some), nodes, shares, 1e-9)
    assert chosen.tolist() == [0, 6]
    shares[3] = [[0.9, 0.1]]
    chosen, weights = chosen_nodes(lambda some: tents(np.linspace(0, 6, 9), some), nodes, shares, 1e-9)
    assert chosen.tolist() == [0, 2, 3, 4, 6]
    assert_allclose(weights.sum(axis=1), 1)


# What they are called, and what they cannot be


def test_they_say_what_they_are():
    assert repr(PSFS["king"]) == "<PSF: King profile, core radius 4 arcsec, slope 1.8>"
    assert repr(PSFS["images by both"]) == (
        "<PSF: images of 15 x 15 pixels of 2 arcsec, at 3 energies from 1 to 6 keV and 3 off-axis angles from 0 to 0.8 "
        "arcmin>"
    )
    assert repr(PSFS["widths by angle"]).endswith("FWHM 3 to 8 arcsec, at 3 off-axis angles from 0 to 0.8 arcmin>")
    assert PSFS["widths by both"].is_gaussian
    assert not PSFS["kings by energy"].is_gaussian
    again = pickle.loads(pickle.dumps(PSFS["images by both"]))
    assert_allclose(again.profile, PSFS["images by both"].profile)


@pytest.mark.parametrize("name", ["widths by energy", "images by angle"])
def test_one_that_changes_is_not_one_blur(name):
    with pytest.raises(ValueError, match="is not one blur, as it changes with energy or place; ask for its terms"):
        PSFS[name].on_pixels(PIXEL)


def test_where_pixels_are_must_be_known():
    with pytest.raises(ValueError, match="give the WCS of the images"):
        PSFS["widths by angle"].terms(PIXEL, SHAPE, EDGES)
    nowhere = PSF([1, 2] * u.arcsec, off_axis=[0, 5] * u.arcmin)
    with pytest.raises(ValueError, match="give the optical axis, as axis= of the PSF, or as RA_PNT and DEC_PNT"):
        nowhere.terms(plane(), SHAPE, EDGES)


WIDTHS = [1, 2] * u.arcsec
TWO = [1, 2] * u.keV


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"profile": 1 * u.arcsec, "energies": TWO}, r"psf has shape \(\), but widths for .* are of \(2,\)"),
        ({"profile": WIDTHS, "energies": [1, 2, 3] * u.keV}, r"psf has shape \(2,\), but widths for .* are of \(3,\)"),
        ({"profile": np.ones((3, 5, 5)), "energies": TWO}, r"shape \(3, 5, 5\), but images for .* begin with \(2,\)"),
        ({"profile": np.ones((2, 5, 5))}, r"psf has shape \(2, 5, 5\), but images for .* begin with \(\)"),
        ({"profile": np.ones((2, 4, 5)), "energies": TWO}, r"psf has shape \(2, 4, 5\), which has no pixel in the mid"),
        ({"profile": [np.ones((3, 3)), np.zeros((3, 3))], "energies": TWO}, "not zero everywhere"),
        ({"profile": WIDTHS, "energies": [2, 1] * u.keV}, "energies=.* must increase from 0 or more, and have a unit"),
        ({"profile": WIDTHS, "energies": [1, 2]}, "energies=.* must increase from 0 or more, and have a unit"),
        ({"profile": WIDTHS, "energies": TWO[0]}, "energies=.* must increase from 0 or more, and have a unit"),
        ({"profile": WIDTHS, "off_axis": [-1, 2] * u.arcmin}, "off_axis=.* must increase from 0 or more"),
        ({"profile": WIDTHS, "off_axis": [1, np.inf] * u.arcmin}, "off_axis=.* must increase from 0 or more"),
        ({"profile": WIDTHS, "energies": TWO, "axis": AXIS}, "axis=.* of a psf that has off_axis angles"),
        ({"profile": WIDTHS, "off_axis": [0, 1] * u.arcmin, "axis": (1, 2)}, "must be one astropy.*SkyCoord"),
        ({"profile": WIDTHS, "energies": TWO, "pixel_scale": PIXEL}, "belongs to an image of the psf; a Gaussian has"),
        ({"profile": np.ones((3, 3)), "slope": 2}, "slope=2 must be greater than 1, one number or as many as core"),
    ],
)
def test_bad_input(given, message):
    with pytest.raises(ValueError, match=message):
        PSF(**given)


@pytest.mark.parametrize(
    ("core", "slope", "message"),
    [
        (5, 1.5, "core_radius=5 must be a positive angle with a unit"),
        (-5 * u.arcsec, 1.5, "is not a positive angle"),
        (5 * u.arcsec, 1.0, "slope=1.0 must be greater than 1"),
        (5 * u.arcsec, [1.5, 2], r"slope=\[1.5, 2\] must be greater than 1, one number or as many"),
        (5 * u.arcsec, "steep", "slope='steep' must be greater than 1"),
    ],
)
def test_bad_king_profiles(core, slope, message):
    with pytest.raises(ValueError, match=message):
        PSF.king(core, slope)
