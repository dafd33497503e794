import pickle

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS

from astro_lpalm.instrument import PSF

KERNEL = np.array([[0, 1, 0, 0, 4], [2, 3, 0, 1, 0], [0, 0, 0, 0, 1]], dtype=float)


def header(scale=0.5, rotation=0.0, mirror=1, unit="deg"):
    """Cards of an image with a celestial WCS, of pixels of so many arcsec."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [83.6, 22.0], [3, 2]
    step = np.broadcast_to(scale, 2) / 3600
    c, s = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
    wcs.wcs.cd = np.array([[-mirror * c, -s], [-mirror * s, c]]) * step[:, np.newaxis]
    return wcs.to_header()


def moments(kernel):
    """Mean displacement (y, x), and variance along each."""
    shares = kernel / kernel.sum()
    places = [np.arange(side) - side // 2 for side in kernel.shape]
    sums = shares.sum(axis=1), shares.sum(axis=0)
    means = np.array([np.sum(place * each) for place, each in zip(places, sums)])
    return means, np.array([np.sum((place - mean) ** 2 * each) for place, mean, each in zip(places, means, sums)])


def test_fwhm():
    blur = PSF(2 * u.arcmin).on_pixels(0.5 * u.arcsec)
    assert np.exp(-0.5 * (60 / 0.5 / blur.sigma) ** 2) == pytest.approx(0.5)


@pytest.mark.parametrize("psf", [PSF(KERNEL), PSF(KERNEL, 0.5 * u.arcsec), PSF(KERNEL, 0.5000001 / 3600 * u.deg)])
def test_an_image_of_the_same_pixels_stays_as_it_is(psf):
    np.testing.assert_allclose(psf.on_pixels(0.5 * u.arcsec).kernel, KERNEL / 12, atol=1e-6)


@pytest.mark.parametrize("scale", [0.07, 0.25, 0.5, 0.8, 1.0, 1.3, 2.0, 5.5])
def test_no_photon_is_lost_and_the_mean_displacement_stays(scale):
    kernel = PSF(KERNEL, scale * u.arcsec).on_pixels(1 * u.arcsec).kernel
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() >= 0
    # With the larger pixels of the image a mean of sampled densities, so to a small part of its pixels.
    np.testing.assert_allclose(
        moments(kernel)[0], scale * moments(KERNEL)[0], atol=1e-12 if scale <= 1 else 0.03 * scale
    )


@pytest.mark.parametrize("n", [2, 3, 5])
def test_finer_pixels_are_those_of_an_image_that_is_blurred_and_binned(n):
    image = np.random.default_rng(0).gamma(0.5, size=(17, 23))
    fine = PSF(KERNEL).on_pixels(1 * u.arcsec).blur(np.kron(image, np.full((n, n), 1 / n**2)))
    expected = fine.reshape(17, n, 23, n).sum(axis=(1, 3))
    found = PSF(KERNEL, 1 / n * u.arcsec).on_pixels(1 * u.arcsec).blur(image)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("pixel", [0.5, 1.0, 1.7, 3.0])
def test_the_image_of_a_gaussian_does_what_the_gaussian_does(pixel):
    offsets = (np.arange(101) - 50) * 0.1
    gaussian = np.exp(-4 * np.log(2) * (offsets**2 + offsets[:, np.newaxis] ** 2) / 1.5**2)
    image = np.random.default_rng(0).gamma(0.5, size=(23, 31))
    found = PSF(gaussian, 0.1 * u.arcsec).on_pixels(pixel * u.arcsec).blur(image)
    expected = PSF(1.5 * u.arcsec).on_pixels(pixel * u.arcsec).blur(image)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


def test_coarser_pixels_leave_no_holes():
    offsets = (np.arange(15) - 7) * 1.0
    gaussian = np.exp(-4 * np.log(2) * (offsets**2 + offsets[:, np.newaxis] ** 2) / 4**2)
    point = np.zeros((61, 61))
    point[30, 30] = 1
    found = PSF(gaussian, 1 * u.arcsec).on_pixels(0.25 * u.arcsec).blur(point)
    expected = PSF(4 * u.arcsec).on_pixels(0.25 * u.arcsec).blur(point)
    np.testing.assert_allclose(found, expected, atol=0.08 * expected.max())


def test_read(tmp_path):
    fits.writeto(tmp_path / "psf.fits", KERNEL, header(0.5))
    psf = PSF.read(tmp_path / "psf.fits")
    np.testing.assert_array_equal(psf.profile, KERNEL)
    assert psf.pixel_scale.to_value(u.arcsec) == pytest.approx(0.5)
    assert repr(psf) == "<PSF: image of 5 x 3 pixels of 0.5 arcsec>"
    assert PSF.read(str(tmp_path / "psf.fits"), pixel_scale=2 * u.arcsec).pixel_scale == 2 * u.arcsec
    assert PSF.of(tmp_path / "psf.fits").pixel_scale.to_value(u.arcsec) == pytest.approx(0.5)
    assert PSF.of(psf) is psf
    again = pickle.loads(pickle.dumps(psf))
    np.testing.assert_array_equal(again.on_pixels(1 * u.arcsec).kernel, psf.on_pixels(1 * u.arcsec).kernel)


@pytest.mark.parametrize(("unit", "step"), [("arcsec", 0.5), ("deg", -0.5 / 3600), ("arcmin", 0.5 / 60)])
def test_read_an_image_in_detector_coordinates(tmp_path, unit, step):
    cards = {"CTYPE1": "DETX", "CTYPE2": "DETY", "CUNIT1": unit, "CUNIT2": unit, "CDELT1": step, "CDELT2": abs(step)}
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(KERNEL, fits.Header(cards), name="PSF")]).writeto(
        tmp_path / "a.fits"
    )
    assert PSF.read(f"{tmp_path / 'a.fits'}[PSF]").pixel_scale.to_value(u.arcsec) == pytest.approx(0.5)


NO_SCALE = "a.fits.*no celestial WCS, nor CDELT in an angle .*; give pixel_scale"


@pytest.mark.parametrize(
    ("image", "cards", "message"),
    [
        (KERNEL, {}, NO_SCALE),
        (KERNEL, {"CDELT1": 0.1, "CDELT2": 0.1, "CUNIT1": "mm", "CUNIT2": "mm"}, NO_SCALE),
        (KERNEL, {"CDELT1": 0.1, "CDELT2": 0.1}, NO_SCALE),
        (KERNEL, {"CDELT1": 0.1, "CDELT2": 0.2, "CUNIT1": "arcsec", "CUNIT2": "arcsec"}, "a.fits.*must be square"),
        (KERNEL, header(rotation=20), "a.fits.*must have square pixels, north up and east to the left"),
        (KERNEL, header(mirror=-1), "a.fits.*must have square pixels, north up and east to the left"),
        (KERNEL, header(scale=(0.5, 0.6)), "a.fits.*must have square pixels"),
        (KERNEL[:, :4], header(), r"a.fits.*psf has shape \(3, 4\), which has no pixel in the middle"),
        (-KERNEL, header(), "a.fits.*must be finite, not negative, and not zero everywhere"),
        (
            KERNEL[np.newaxis],
            header(),
            "a.fits.*1 planes along axis 3 .*, of which the energy is not known",
        ),
    ],
)
def test_files_that_cannot_be_used(tmp_path, image, cards, message):
    fits.writeto(tmp_path / "a.fits", image, fits.Header(cards))
    with pytest.raises(ValueError, match=message):
        PSF.read(tmp_path / "a.fits")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file '.*missing.fits'"):
        PSF.read(tmp_path / "missing.fits")


@pytest.mark.parametrize(
    ("psf", "message"),
    [
        (0.5, r"psf has shape \(\), which has no pixel in the middle; give the FWHM"),
        (0.5 * u.keV, "is not a point spread function; give the FWHM of a Gaussian as an angle"),
        ("wide", "psf='wide' is not a point spread function"),
        (0 * u.arcsec, "is not a positive angle"),
        (-1 * u.arcsec, "is not a positive angle"),
        ([1, 2] * u.arcsec, "is not a positive angle"),
        (np.inf * u.arcsec, "is not a positive angle"),
        (np.ones((3, 4)), r"psf has shape \(3, 4\), which has no pixel in the middle"),
        (np.ones(3), r"psf has shape \(3,\)"),
        (np.zeros((3, 3)), "must be finite, not negative, and not zero everywhere"),
        (-np.ones((3, 3)), "must be finite, not negative, and not zero everywhere"),
        (np.full((3, 3), np.nan), "must be finite, not negative, and not zero everywhere"),
    ],
)
def test_bad_input(psf, message):
    with pytest.raises(ValueError, match=message):
        PSF(psf)


@pytest.mark.parametrize("scale", [0 * u.arcsec, -1 * u.arcsec, 1 * u.keV, 0.5, [1, 2] * u.arcsec, "small"])
def test_bad_pixel_scales(scale):
    with pytest.raises(ValueError, match="pixel_scale=.* must be a positive angle with a unit"):
        PSF(KERNEL, scale)
    with pytest.raises(ValueError, match="pixel_scale=.* must be a positive angle with a unit"):
        PSF(KERNEL).on_pixels(scale)


def test_a_gaussian_has_no_pixels():
    with pytest.raises(ValueError, match=r"pixel_scale=1.0 arcsec belongs to an image of the psf"):
        PSF(1 * u.arcsec, 1 * u.arcsec)


def test_pixels_that_would_not_fit_in_memory():
    with pytest.raises(ValueError, match="number of pixels of the psf on the images = .* GiB of memory"):
        PSF(KERNEL, 1 * u.deg).on_pixels(1e-3 * u.arcsec)


def test_pixels_by_their_wcs():
    image = PSF(KERNEL, 0.5 * u.arcsec)
    np.testing.assert_allclose(
        image.on_pixels(WCS(header(0.8))).kernel, image.on_pixels(0.8 * u.arcsec).kernel, atol=1e-9
    )
    for turned in (header(rotation=90), header(mirror=-1)):
        with pytest.raises(ValueError, match="the images are turned or mirrored against that of the psf"):
            image.on_pixels(WCS(turned))
        PSF(1 * u.arcsec).on_pixels(WCS(turned))
    with pytest.raises(ValueError, match="pixels of the images are 0.5 x 0.6 arcsec; they must be square"):
        PSF(1 * u.arcsec).on_pixels(WCS(header(scale=(0.5, 0.6))))


def test_an_image_beside_its_middle_is_warned_of(recwarn):
    y, x = np.mgrid[-15:16, -15:16]
    middle = np.exp(-(x**2 + y**2) / 18)
    comet = middle + 0.3 * np.exp(-((x - 6) ** 2 + y**2) / 60)  # its mean is 3 pixels from the brightest
    PSF(comet, pixel_scale=1 * u.arcsec)
    PSF(np.roll(middle, 1, axis=1), pixel_scale=1 * u.arcsec)
    assert not recwarn.list
    for image in (np.roll(middle, 5, axis=1), np.roll(comet, 5, axis=1)):
        with pytest.warns(AstropyUserWarning, match=r"brightest 5, 0 pixels \(x, y\) from its middle, on average"):
            PSF(np.stack([middle, image]), pixel_scale=1 * u.arcsec, energies=[1, 5] * u.keV)
