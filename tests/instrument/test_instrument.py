import pickle

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.testing import assert_allclose

from astro_lpalm import PSF, Instrument, Response

SHAPE = (6, 8)
EDGES = {"energy_edges": [1, 2, 3], "channel_edges": [1, 2, 3]}


def plane(shape=SHAPE, scale=2.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [228.5, -59.1]
    wcs.wcs.crpix = [(side + 1) / 2 for side in shape[::-1]]
    wcs.wcs.cdelt = [-scale / 3600, scale / 3600]
    return wcs


def ramp(shape=SHAPE):
    return np.arange(1.0, shape[1] + 1) * np.ones((shape[0], 1))


@pytest.fixture
def files(tmp_path):
    """An ARF, an RMF, the image of a PSF, and an exposure map of finer pixels, with a gap of NaN."""
    Response([[400, 0], [0, 200]], **EDGES).write(tmp_path / "a.arf", tmp_path / "a.rmf")
    fits.writeto(tmp_path / "psf.fits", np.ones((3, 3)), plane((3, 3)).to_header())
    exposure = (1000 * ramp((24, 32))).astype(np.float32)
    exposure[:, 10] = np.nan
    header = plane((24, 32), 0.5).to_header()
    header["BUNIT"] = "sec"
    fits.writeto(tmp_path / "map.fits", exposure, header)
    return {name: tmp_path / name for name in ("a.arf", "a.rmf", "psf.fits", "map.fits")}


def test_everything_by_its_file(files):
    instrument = Instrument((files["a.arf"], str(files["a.rmf"])), files["psf.fits"], files["map.fits"])
    assert_allclose(instrument.response_on([1, 2, 3] * u.keV).matrix.toarray(), [[400, 0], [0, 200]])
    assert_allclose(instrument.psf.on_pixels(2 * u.arcsec).kernel, np.full((3, 3), 1 / 9))
    assert_allclose(instrument.blur_terms(plane(), SHAPE, [1, 2] * u.keV)[0].kernel.kernel, np.full((3, 3), 1 / 9))
    exposure = instrument.exposure_on(plane(), SHAPE)
    assert exposure.unit == u.s
    assert_allclose(exposure[:, 0].value, 2500)
    assert_allclose(exposure[:, 2].value, 3 / 4 * 1000 * (9 + 10 + 12) / 3)  # a pixel in four has none
    assert repr(instrument) == (
        "<Instrument: Response: 2 true bins, 1 to 3 keV; 2 channels, 1 to 3 keV; up to 400 cm2; "
        "PSF: image of 3 x 3 pixels of 2 arcsec; exposure map of 32 x 24 pixels, up to 3.2e+04 sec>"
    )
    again = pickle.loads(pickle.dumps(instrument))
    assert_allclose(again.exposure_on(plane(), SHAPE), exposure)


def test_everything_as_it_is():
    response, psf = Response([[400, 0], [0, 200]], **EDGES), PSF(1 * u.arcsec)
    instrument = Instrument(response, psf, ramp() * u.ks)
    assert instrument.response is response
    assert instrument.psf is psf
    assert_allclose(instrument.exposure_on(plane(), SHAPE).to_value(u.s), 1000 * ramp())
    assert_allclose(Instrument(psf=1 * u.arcsec).psf.on_pixels(1 * u.arcsec).sigma, psf.on_pixels(1 * u.arcsec).sigma)
    assert_allclose(Instrument(exposure=fits.ImageHDU(ramp(), plane().to_header())).exposure_on(plane(), SHAPE), ramp())


@pytest.mark.parametrize("exposure", [30 * u.ks, 3, 3e7 * u.cm**2 * u.s])
def test_one_exposure_for_all_pixels(exposure):
    found = Instrument(exposure=exposure).exposure_on(plane(), SHAPE)
    assert found.shape == SHAPE
    assert np.all(found == exposure)


def test_nothing():
    instrument = Instrument()
    assert instrument.response_on([1, 2] * u.keV) is None
    assert instrument.blur_terms(plane(), SHAPE, [1, 2] * u.keV) == ()
    assert instrument.exposure_on(plane(), SHAPE) is None
    assert repr(instrument) == "<Instrument: no response; no PSF; no exposure>"


def test_scaled_integers(tmp_path):
    hdu = fits.PrimaryHDU(ramp(), plane().to_header())
    hdu.scale("int16", bscale=0.5, bzero=3)
    hdu.writeto(tmp_path / "map.fits")
    assert_allclose(Instrument(exposure=tmp_path / "map.fits").exposure_on(plane(), SHAPE), ramp())


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"response": 3}, TypeError, "response must be a Response, or the names of an ARF and an RMF, not 3"),
        ({"response": ("a.arf",)}, TypeError, "response must be a Response, or the names of an ARF and an RMF"),
        ({"response": ("missing.arf", "missing.rmf")}, FileNotFoundError, "there is no file 'missing.rmf'"),
        ({"psf": "missing.fits"}, FileNotFoundError, "there is no file 'missing.fits'"),
        ({"psf": 3}, ValueError, r"psf has shape \(\), which has no pixel in the middle; give the FWHM"),
        ({"psf": -1 * u.arcsec}, ValueError, "is not a positive angle"),
        ({"exposure": "missing.fits"}, FileNotFoundError, "there is no file 'missing.fits'"),
        ({"exposure": 3 * u.keV}, ValueError, "exposure is in keV; give a time"),
        ({"exposure": -3}, ValueError, "exposure must be finite, not negative"),
        ({"exposure": np.zeros(SHAPE)}, ValueError, "not zero everywhere"),
        ({"exposure": np.ones(4)}, ValueError, r"exposure has shape \(4,\); give one number, or an image"),
        (
            {"exposure": {}},
            TypeError,
            "must be a FITS file's name, an image HDU or an array, not dict",
        ),
        ({"exposure": [["long"]]}, ValueError, "exposure must be numbers, with or without a unit"),
    ],
)
def test_bad_input_is_refused_at_once(given, error, message):
    with pytest.raises(error, match=message):
        Instrument(**given)


def test_bad_files_are_named(files, tmp_path):
    fits.writeto(tmp_path / "negative.fits", -ramp(), plane().to_header())
    fits.writeto(tmp_path / "energy.fits", ramp(), fits.Header({"BUNIT": "keV"}))
    for name, message in (("negative", "not negative"), ("energy", "is in keV")):
        with pytest.raises(ValueError, match=f"{name}.fits.*{message}"):
            Instrument(exposure=tmp_path / f"{name}.fits")
    with pytest.raises(ValueError, match=r"a.arf.*"):
        Instrument(psf=files["a.arf"])
    with pytest.raises(ValueError, match="does not hold the effective area"):
        Instrument(response=files["a.rmf"])


def test_it_cannot_be_changed():
    with pytest.raises(AttributeError, match="cannot assign"):
        Instrument().psf = PSF(1 * u.arcsec)
