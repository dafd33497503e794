"""Cubes as NDData: slices, the mask that broadcasts, and the WCS of all three axes."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import StdDevUncertainty
from astropy.wcs import WCS, FITSFixedWarning
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.cube import EventCube
from astro_lpalm.grid.sky import sky_of_image

from .test_cube import EDGES, image_hdu

UNEVEN = [1, 1.5, 2.5, 4, 5] * u.keV


@pytest.fixture(autouse=True)
def _quiet_wcs():
    """Reading a WCS with a date warns that MJD-OBS was set: astropy's business, not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        yield


@pytest.fixture
def full(cube):
    """A cube with all that can go along with a slice."""
    mask = np.zeros(cube.data.shape[1:], dtype=bool)
    mask[4:7, 8] = True
    exposure = np.linspace(50, 100, mask.size).reshape(mask.shape) * u.s
    return cube.with_mask(mask).with_exposure(exposure)


@pytest.mark.parametrize(
    ("item", "view"),
    [
        (slice(2, 5), (slice(2, 5), slice(None), slice(None))),
        (slice(-3, None), (slice(5, 8), slice(None), slice(None))),
        (np.s_[:, 2:14, 3:18], (slice(0, 8), slice(2, 14), slice(3, 18))),
        (np.s_[..., ::1], (slice(None),) * 3),
        (np.s_[...], (slice(None),) * 3),
        (np.s_[..., 3:9, :], (slice(None), slice(3, 9), slice(None))),
        (np.s_[1:99, ..., -9:-2], (slice(1, 8), slice(None), slice(11, 18))),
        (np.s_[1:4, 2:9, 3:12, ...], (slice(1, 4), slice(2, 9), slice(3, 12))),
    ],
)
def test_everything_goes_along_with_a_slice(full, tmp_path, item, view):
    part = full[item]
    assert isinstance(part, EventCube)
    assert np.shares_memory(part.data, full.data)
    full[item].write(tmp_path / "part.fits")
    for each in (part, EventCube.read(tmp_path / "part.fits")):
        assert_array_equal(each.data, full.data[view])
        assert_array_equal(each.mask, full.mask[view[1:]])
        assert_array_equal(each.exposure, full.exposure[view[1:]])
        start, stop, _ = view[0].indices(full.n_energy)
        assert_array_equal(each.energy_edges, full.energy_edges[start : stop + 1])
        assert each.meta["OBJECT"] == "SIMULATED"
        assert each.wcs.wcs.compare(part.wcs.wcs)
        # The same place on the sky, and among the pixels of the event list, in whichever way the header tells it.
        y0, x0 = (each.indices(n)[0] for each, n in zip(view[1:], full.data.shape[1:]))
        place = full.wcs.pixel_to_world(x0 + 1.5, y0 + 2)
        assert_allclose(each.wcs.world_to_pixel(place), (1.5, 2), atol=1e-7)
        header = each.to_hdulist()[0].header
        assert (header["CTYPE1P"], header["CTYPE1"]) == ("x", "RA---TAN")
        physical = [WCS(h, key="P", naxis=2).pixel_to_world_values(*p) for h, p in pixels(header, full, x0, y0)]
        assert_allclose(*physical)
        assert_allclose(*[(p[0] + 1 - h["LTV1"]) / h["LTM1_1"] for h, p in pixels(header, full, x0, y0)])
        grids = [sky_of_image(c.celestial_header(), c.wcs, c.data.shape[1:])[1] for c in (each, full)]
        assert grids[0].x0 == grids[1].x0 + x0 * grids[1].bin_factor
        assert_allclose(each.wcs3d.pixel_to_world_values(1, 2, 0)[2], middle(part), rtol=1e-12)


def pixels(header, whole, x0, y0):
    """Headers of a part and of the whole, each with the same pixel."""
    return (header, (1.5, 2)), (whole.to_hdulist()[0].header, (x0 + 1.5, y0 + 2))


def middle(cube):
    return cube.energy_edges[:2].mean().to_value(u.J)


def test_slices_of_slices_are_slices(full):
    once, twice = full[3:6, 4:12, 5:15], full[1:7, 2:, 1:][2:5, 2:10, 4:14]
    assert_array_equal(once.data, twice.data)
    assert once.wcs.wcs.compare(twice.wcs.wcs)
    assert once.celestial_header() == twice.celestial_header()


def test_slice_of_a_foreign_cube_keeps_its_coordinates():
    whole = EventCube.from_hdu(image_hdu())
    part = whole[1:, 2:, 1:4]
    header = part.to_hdulist()[0].header
    assert header["CRPIX1"] == 2.25
    assert header["CRPIX2"] == pytest.approx(0.123456789012345, abs=1e-15)
    assert header["CD1_2"] == 1.1e-5
    lone = EventCube.from_hdu(fits.PrimaryHDU(part.data, part.meta))  # with the third axis of the header it came with
    assert u.allclose(lone.energy_edges, EDGES[1:])
    assert lone.wcs.wcs.compare(part.wcs.wcs)


@pytest.mark.parametrize("meta", [None, {"OBJECT": "a mapping"}])
def test_slice_of_a_cube_without_a_header(cube, meta):
    sip = WCS(fits.Header({"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "CRPIX1": 5.0, "CRPIX2": 6.0,
                           "CRVAL1": 20.0, "CRVAL2": 30.0, "CDELT1": -1e-3, "CDELT2": 1e-3, "A_ORDER": 2,
                           "A_2_0": 1e-3, "B_ORDER": 2, "B_0_2": 1e-3}))  # fmt: skip
    whole = EventCube(cube.data, energy_edges=cube.energy_edges, wcs=sip, meta=meta)
    part = whole[:, 3:, 2:]
    assert sip.pixel_to_world(9, 9).separation(part.wcs.pixel_to_world(7, 6)).arcsec < 1e-9
    again = EventCube.from_hdu(part.to_hdulist())
    assert sip.pixel_to_world(9, 9).separation(again.wcs.pixel_to_world(7, 6)).arcsec < 1e-6
    assert part.mask is part.exposure is part.uncertainty is None


def test_a_slice_is_a_cube_of_its_own(full):
    full.uncertainty = StdDevUncertainty(np.sqrt(full.data + 1.0))
    part = full[2:4, 1:9]
    assert_array_equal(part.uncertainty.array, full.uncertainty.array[2:4, 1:9])
    before = full.celestial_header()
    part.meta["OBJECT"], part.wcs.wcs.crval, part.mask = "another", [1.0, 2.0], None
    assert full.meta["OBJECT"] == "SIMULATED"
    assert full.celestial_header() == before
    assert full.mask.any()


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        (0, TypeError, r"the index 0 would drop an axis of the cube; 0:1 keeps it, and cube.data\[...\] gives"),
        (np.s_[:, np.int64(-3)], TypeError, r"the index -3 would drop an axis .* -3:-2 keeps it"),
        (np.s_[-1], TypeError, "-1: keeps it"),
        (None, TypeError, r"takes slices of \(energy, y, x\), as in cube.*, not NoneType"),
        (np.ones((15, 20), dtype=bool), TypeError, "not ndarray; mask pixels with with_mask"),
        ([1, 2], TypeError, "not list"),
        (np.s_[:, :, :, :], IndexError, r"three axes, \(energy, y, x\), but was given 4 slices"),
        (np.s_[..., :, ...], IndexError, "given 1 slices and 2 ellipses"),
        (np.s_[::2], ValueError, "slice in energy has a step of 2, .*; rebin adds up energy bins"),
        (np.s_[:, :, ::-1], ValueError, "slice in x has a step of -1, .*; bin the events again for larger pixels"),
        (np.s_[5:5], ValueError, "the slice 5:5 in energy is empty: the cube has 8 there, 0 to 7"),
        (np.s_[:, 15:], ValueError, "the slice 15: in y is empty: the cube has 15 there, 0 to 14"),
        (
            np.s_[1 * u.keV : 2 * u.keV],
            TypeError,
            "in energy goes from .*1.* keV.* whole numbers. rebin takes energies",
        ),
        (np.s_[:, 1.0:2.0], TypeError, "slice in y goes from 1.0 to 2.0, but must be in whole numbers"),
    ],
)
def test_what_is_no_slice_of_a_cube(cube, item, error, message):
    with pytest.raises(error, match=message):
        cube[item]


def test_slices_of_masked_or_empty_places_are_refused(full):
    with pytest.raises(ValueError, match="every pixel is masked"):
        full[:, 4:7, 8:9]


def test_the_mask_broadcasts_against_the_data(full):
    masked = np.ma.array(full.data, mask=np.broadcast_to(full.mask, full.data.shape))
    assert masked.sum() == full.matrix().sum()
    assert_array_equal(np.where(full.mask, 0, full.data).sum(), masked.sum())


@pytest.mark.parametrize("edges", [None, UNEVEN])
@pytest.mark.parametrize("kind", ["events", "CD matrix", "no header"])
@pytest.mark.filterwarnings("ignore:No observer defined on WCS")  # astropy 7.0 says so of energies, too
def test_wcs3d_has_sky_and_energy(cube, edges, kind):
    if kind == "CD matrix":
        edges = None if edges is None else [0.5, 0.7, 1.2, 2, 5] * u.keV
        cube = EventCube.from_hdu(image_hdu(), edges)
    elif edges is not None:
        cube = cube.rebin(edges)
    if kind == "no header":
        cube = EventCube(cube.data, energy_edges=cube.energy_edges, wcs=cube.wcs)
    wcs = cube.wcs3d
    assert wcs.world_axis_physical_types == ["pos.eq.ra", "pos.eq.dec", "em.energy"]
    assert wcs.array_shape == cube.data.shape
    n = cube.n_energy
    at_edges = wcs.pixel_to_world_values(np.ones(n + 1), np.ones(n + 1), np.arange(n + 1) - 0.5)[2]
    assert_allclose((at_edges * u.J).to_value("keV"), cube.energy_edges.value, rtol=1e-12)
    sky, energy = wcs.pixel_to_world(3, 4, 2)
    assert_allclose(energy.to_value("keV"), cube.energy_edges[2:4].mean().value)
    assert sky.separation(cube.wcs.pixel_to_world(3, 4)).arcsec < 1e-6
    assert wcs.world_to_array_index(sky, energy) == (2, 4, 3)
