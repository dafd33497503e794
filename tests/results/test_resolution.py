"""Smooth images at a common resolution."""

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS

from astro_lpalm import EventCube, Separation


def result(smooth=True, mask=None):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1 / 3600, 1 / 3600]
    cube = EventCube(np.ones((2, 21, 21)), energy_edges=[1, 2, 3] * u.keV, wcs=wcs, mask=mask)
    t = int(np.sum(~cube.pixel_mask))
    image = np.zeros((21, 21))
    image[10, 10] = 100.0
    image = image[~cube.pixel_mask][np.newaxis]
    return Separation(cube, [[1.0], [1.0]], np.ones((1, t)), ["all"], smooth=(image, 0.1 * image) if smooth else None)


def test_a_point_becomes_as_wide_as_asked():
    blurred = result().smooth_images_at(4 * u.arcsec)["all"]
    assert blurred.data.sum() == pytest.approx(100.0, rel=1e-3)
    row = blurred.data[10] / blurred.data[10].max()
    assert np.interp(0.5, row[10::-1][::-1], np.arange(11)) == pytest.approx(10 - 2.05, abs=0.2)
    np.testing.assert_allclose(blurred.uncertainty.array, 0.1 * blurred.data)


def test_an_even_image_stays_even_beside_a_mask():
    mask = np.zeros((21, 21), dtype=bool)
    mask[:, :5] = True
    found = result(mask=mask)
    even = Separation(found.cube, found.mixing, found.sources, ["all"], smooth=(found.sources, found.sources))
    blurred = even.smooth_images_at(3 * u.arcsec)["all"]
    np.testing.assert_allclose(blurred.data[~mask], 1.0)
    assert np.isnan(blurred.data[mask]).all()


def test_it_says_what_is_missing():
    with pytest.raises(ValueError, match="smooth=True"):
        result(smooth=False).smooth_images_at(1 * u.arcsec)
    with pytest.raises(ValueError, match="positive angle"):
        result().smooth_images_at(-1 * u.arcsec)
