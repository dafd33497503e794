import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm.cube import EventCube
from astro_lpalm.forward import BackgroundCounts, ExpectedBackground, ForwardModel
from astro_lpalm.instrument import PSF, BlurTerm, ExposureMaps, Instrument, Response

SHAPE, M, N = (7, 9), 5, 2
KEPT = np.ones(SHAPE, dtype=bool)
KEPT[3, 4] = KEPT[0] = False
T = np.count_nonzero(KEPT)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def sky(rng):
    return rng.random((M, N)), 100 * rng.random((N, T))


def separable(rng):
    return BackgroundCounts.separable(rng.random(M), rng.random(T))


def of_two(rng):
    return BackgroundCounts(rng.random((M, 2)), rng.random((2, T)))


def blank_field(rng):
    return BackgroundCounts.of(rng.poisson(3, (M, T)))


@pytest.fixture(params=[separable, of_two, blank_field])
def background(request, rng):
    return request.param(rng).scaled(1.5)


# Background


def test_background_is_what_it_is_made_of(background):
    whole = background.matrix()
    assert whole.shape == background.shape == (M, T)
    assert_allclose(background[1:3], whole[1:3])
    assert_allclose(background[2], whole[2])
    assert_allclose(background.spectrum(), whole.sum(axis=1))
    assert_allclose(background.image(), whole.sum(axis=0))
    assert_allclose(background.scaled(2).matrix(), 2 * whole)
    assert_allclose(background.of_pixels([1, 4]).matrix(), whole[:, [1, 4]])
    labels = np.arange(T) % 3
    sums = np.stack([whole[:, labels == k].sum(axis=1) for k in range(3)], axis=1)
    assert_allclose(background.sums(labels), sums)
    rows = np.random.default_rng(1).random((2, M))
    assert_allclose(background.project(rows), rows @ whole)
    own, kept = np.arange(2 * T) % 2 == 1, np.arange(2 * T) > 1
    there = background.in_image(own, kept).matrix()
    assert_allclose(there[:, 1::2], whole[:, 1:])
    assert not there[:, ::2].any()


@pytest.mark.parametrize("other", [separable, blank_field])
def test_backgrounds_one_below_the_other(rng, background, other):
    more = other(rng).scaled(0.4)
    stacked = BackgroundCounts.stacked([background, None, more], M)
    expected = np.concatenate([background.matrix(), np.zeros((M, T)), more.matrix()])
    assert_allclose(stacked.matrix(), expected, rtol=1e-6)
    assert BackgroundCounts.stacked([None, None], M) is None


def test_a_separable_background_takes_no_more_than_its_spectrum_and_shape():
    background = BackgroundCounts.separable(np.ones(65), np.ones(10**6))
    assert background.values.nbytes + background.shares.matrix().nbytes < 1e7  # of 520 MB


# Expected counts


def test_expected_counts(sky, background):
    A, S = sky
    exposure = np.linspace(0.1, 1, 63).reshape(SHAPE)
    model = ForwardModel(KEPT, exposure, background=background)
    assert_allclose(model.expected(A, S), A @ (S * exposure[KEPT]) + background.matrix())
    assert_allclose(model.net(model.expected(A, S), dtype=float), A @ (S * exposure[KEPT]), atol=1e-12)
    assert_allclose(np.stack(list(model.rows(A, S))), model.expected(A, S))


def test_nothing_but_mixing(sky):
    A, S = sky
    assert_allclose(ForwardModel(KEPT).expected(A, S), A @ S)


def test_drawn_counts_have_the_expected_mean(sky, background):
    A, S = sky
    model = ForwardModel(KEPT, background=background)
    drawn = np.mean([model.draw(A, S, seed) for seed in range(400)], axis=0)
    expected = model.expected(A, S)
    assert np.abs((drawn - expected) / np.sqrt(expected / 400)).max() < 5
    assert_array_equal(model.draw(A, S, 1), model.draw(A, S, 1))


def test_thinned(sky, background):
    A, S = sky
    for exposure in (None, np.linspace(0.1, 1, 63).reshape(SHAPE)):
        model = ForwardModel(KEPT, exposure, background=background)
        assert_allclose(model.thinned(0.3).expected(A, S), 0.3 * model.expected(A, S))


def test_blocks(sky, background):
    A, S = sky
    model = ForwardModel(KEPT, np.linspace(0.1, 1, 63).reshape(SHAPE), background=background)
    labels = np.arange(T) % 4
    sums = np.stack([model.detected(S)[:, labels == k].sum(axis=1) for k in range(4)], axis=1)
    expected = model.expected(A, S)
    wanted = np.stack([expected[:, labels == k].sum(axis=1) for k in range(4)], axis=1)
    assert_allclose(model.blocks(labels).expected(A, sums), wanted)


@pytest.mark.parametrize("side", [1, 3, 4, 20])
def test_tiles_make_up_the_whole(sky, background, side):
    A, S = sky
    exposure = np.linspace(0.1, 1, 63).reshape(SHAPE)
    blur = PSF(np.random.default_rng(4).random((3, 3))).on_pixels(1 * u.arcsec)
    model = ForwardModel(KEPT, exposure, (BlurTerm(np.ones(M), None, blur),), background=background)
    whole, seen = np.zeros((M, T)), np.zeros(T, dtype=int)
    for tile in model.tiles(side, halo=1):
        part = tile.model.expected(A, S[:, tile.pixels])
        whole[:, tile.pixels[tile.core]] = part[:, tile.core]
        seen[tile.pixels[tile.core]] += 1
    assert_array_equal(seen, 1)
    assert_allclose(whole, model.expected(A, S))


# Of a cube


def cube(rotation=0.0, **options):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [350.8, 58.8], [5, 4]
    wcs.wcs.cdelt = [-2 / 3600, 2 / 3600]
    c, s = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
    wcs.wcs.pc = [[c, -s], [s, c]]
    data = np.random.default_rng(0).poisson(20, (M, *SHAPE))
    return EventCube(data, energy_edges=np.arange(1, M + 2) * u.keV, wcs=wcs, mask=~KEPT, **options)


def test_of_a_cube_alone_sources_are_what_reaches_the_pixels(sky):
    A, S = sky
    spectrum = ExpectedBackground(np.arange(1.0, M + 1))
    seen = cube(exposure=np.linspace(0.1, 1, 63).reshape(SHAPE) * u.s)
    model = ForwardModel.of(seen, background=spectrum)
    assert_array_equal(model.kept, KEPT)
    assert_allclose(model.expected(A, S), A @ S + spectrum.expected(seen).matrix())
    counts = spectrum.expected(seen)
    assert_allclose(ForwardModel.of(seen, background=counts).expected(A, S), A @ S + counts.matrix())


def test_of_a_cube_and_an_instrument(rng):
    response = Response(rng.random((8, 10)), np.arange(9.0) + 1, 0.5 * np.arange(11) + 1)
    exposure = np.linspace(0.5, 1, 63).reshape(SHAPE) * 30 * u.ks
    psf = PSF(rng.random((3, 5)), pixel_scale=2 * u.arcsec)
    spectrum = ExpectedBackground(np.arange(1.0, M + 1))
    model = ForwardModel.of(cube(), Instrument(response, psf, exposure), spectrum)
    A, S = rng.random((8, N)), 100 * rng.random((N, T))
    images = np.zeros((N, *SHAPE))
    images[:, KEPT] = S
    blurred = np.array([psf.on_pixels(2 * u.arcsec).blur(image)[KEPT] for image in images])
    relative = exposure.value[KEPT] / exposure.value[KEPT].max()
    folded = response.matrix.toarray().reshape(8, 5, 2).sum(axis=2).T @ A
    background = np.outer(np.arange(1.0, M + 1), relative / relative.sum())  # spread as the instrument's exposure is
    assert_allclose(model.expected(A, S), folded @ (blurred * relative) + background)


CHANGING = {
    "energy": PSF([2, 8] * u.arcsec, energies=[1, 6] * u.keV),
    "angle": PSF([2, 8] * u.arcsec, off_axis=[0, 12] * u.arcsec),
    "both": PSF([[2, 8], [4, 9]] * u.arcsec, energies=[1, 6] * u.keV, off_axis=[0, 12] * u.arcsec),
}
POINTING = {"RA_PNT": 350.8, "DEC_PNT": 58.8}


@pytest.mark.parametrize("psf", CHANGING.values(), ids=CHANGING)
def test_a_psf_that_changes_is_applied_by_energy_and_place(rng, psf):
    exposure = np.linspace(0.1, 1, 63).reshape(SHAPE)
    seen = cube(meta=fits.Header(POINTING), exposure=exposure)
    model = ForwardModel.of(seen, Instrument(psf=psf), ExpectedBackground(np.arange(1.0, M + 1)))
    assert model.blur_terms[0].kernel.sigma < model.blur_terms[-1].kernel.sigma
    A, S = rng.random((M, N)), 100 * rng.random((N, T))
    images = np.zeros((N, *SHAPE))
    images[:, KEPT] = S
    energy = np.arange(M) + 1.5
    by_energy = {1: [np.ones(M)], 2: [(6 - energy) / 5, (energy - 1) / 5]}[1 if psf.energies is None else 2]
    y, x = np.indices(SHAPE) - np.array([3, 4])[:, None, None]
    off = np.minimum(2 * np.hypot(y, x) / 12, 1)
    by_place = [np.ones(SHAPE)] if psf.off_axis is None else [1 - off, off]
    widths = psf.profile.reshape(len(by_energy), len(by_place))
    expected = model.background.matrix()
    for e, row in zip(by_energy, widths):
        for w, width in zip(by_place, row):
            blur = PSF(width).on_pixels(2 * u.arcsec).blur
            expected = (
                expected + e[:, None] * (A @ np.array([blur(w * image)[KEPT] for image in images])) * exposure[KEPT]
            )
    assert_allclose(model.expected(A, S), expected, rtol=1e-5)
    assert_allclose(np.stack(list(model.rows(A, S))), model.expected(A, S))
    assert_allclose(model.thinned(0.3).expected(A, S), 0.3 * model.expected(A, S))


@pytest.mark.parametrize("psf", [None, 3 * u.arcsec, CHANGING["energy"]], ids=["none", "one", "by energy"])
def test_exposure_that_differs_with_energy(rng, psf):
    maps = rng.uniform(0.5, 1, (2, *SHAPE))
    instrument = Instrument(psf=psf, exposure=ExposureMaps(maps * 30 * u.ks, [1, 6] * u.keV))
    model = ForwardModel.of(cube(), instrument, ExpectedBackground(np.arange(1.0, M + 1)))
    A, S = rng.random((M, N)), 100 * rng.random((N, T))
    energy = np.arange(M) + 1.5
    exposure = np.stack([(6 - e) / 5 * maps[0] + (e - 1) / 5 * maps[1] for e in energy])[:, KEPT]
    exposure /= maps.mean(axis=0)[KEPT].max()
    even = ForwardModel.of(cube(), Instrument(psf=psf))
    expected = exposure * even.expected(A, S) + model.background.matrix()
    assert_allclose(model.expected(A, S), expected, rtol=1e-5)
    # seen from the other side
    Y, more = rng.random((M, T)), model.background.matrix()
    assert_allclose(np.vdot(model.adjoint(A, Y), S), np.vdot(Y, expected - more), rtol=1e-5)
    assert_allclose(np.vdot(model.adjoint_spectra(S, Y), A), np.vdot(Y, expected - more), rtol=1e-5)
    alone = model.expected(A, S * [[1], [0]]) - more
    assert_allclose(model.detected(S, A)[0], alone.sum(axis=0) / A[:, 0].sum())
    if psf is None:
        whole = np.zeros((M, T))
        for tile in model.tiles(3):
            whole[:, tile.pixels[tile.core]] = tile.model.expected(A, S[:, tile.pixels])[:, tile.core]
        assert_allclose(whole, model.expected(A, S))


@pytest.mark.parametrize("side", [2, 3, 20])
def test_tiles_keep_the_places_of_a_psf(rng, side):
    where = {"energies": [1, 6] * u.keV, "off_axis": [0, 12] * u.arcsec}
    psf = PSF(rng.random((2, 2, 3, 3)), 2 * u.arcsec, **where)
    model = ForwardModel.of(cube(meta=fits.Header(POINTING)), Instrument(psf=psf))
    A, S = rng.random((M, N)), 100 * rng.random((N, T))
    whole = np.zeros((M, T))
    for tile in model.tiles(side, halo=1):
        whole[:, tile.pixels[tile.core]] = tile.model.expected(A, S[:, tile.pixels])[:, tile.core]
    assert_allclose(whole, model.expected(A, S), rtol=1e-9)


def test_images_as_detected_at_all_energies(rng):
    model = ForwardModel.of(cube(), Instrument(psf=CHANGING["energy"]))
    A, S = rng.random((M, N)), 100 * rng.random((N, T))
    A[:, 1] /= A[:, 1].sum()
    for k in range(N):
        alone = model.expected(A[:, [k]], S[[k]]).sum(axis=0)
        assert_allclose(model.detected(S, A)[k], alone / A[:, k].sum())
    with pytest.raises(ValueError, match="changes with energy, and images with the spectra; give these as well"):
        model.detected(S)
    assert np.isfinite(model.detected(S, np.zeros((M, N)))).all()
    places = ForwardModel.of(cube(meta=fits.Header(POINTING)), Instrument(psf=CHANGING["angle"]))
    assert_allclose(places.detected(S, A), places.detected(S))


def test_where_the_optical_axis_is_must_be_known():
    with pytest.raises(ValueError, match="give the optical axis, as axis= of the PSF, or as RA_PNT and DEC_PNT"):
        ForwardModel.of(cube(), Instrument(psf=CHANGING["angle"]))


def test_the_exposure_is_that_of_the_instrument_or_else_the_cubes():
    exposure = np.linspace(0.1, 1, 63).reshape(SHAPE)
    own = ForwardModel.of(cube(exposure=exposure), Instrument(psf=3 * u.arcsec))
    assert_allclose(own.exposure[KEPT], exposure[KEPT] / exposure[KEPT].max())
    assert_allclose(ForwardModel.of(cube(exposure=exposure), Instrument(exposure=50 * u.ks)).exposure, 1)
    assert ForwardModel.of(cube(), Instrument(psf=3 * u.arcsec)).exposure is None
    with pytest.warns(match="of the counts lie in pixels with less than 1 %"):
        model = ForwardModel.of(cube(), Instrument(exposure=np.where(np.arange(9) == 5, 0, exposure)))
    assert not model.kept[:, 5].any()


def test_what_an_instrument_cannot_do_for_a_cube():
    lopsided = np.random.default_rng(0).random((3, 3))
    with pytest.raises(ValueError, match="the images are turned or mirrored against that of the psf"):
        ForwardModel.of(cube(30.0), Instrument(psf=PSF(lopsided, 2 * u.arcsec)))
    ForwardModel.of(cube(30.0), Instrument(psf=PSF(lopsided)))  # of the pixels' own axes
    ForwardModel.of(cube(30.0), Instrument(psf=3 * u.arcsec))
    with pytest.raises(ValueError, match=r"exposure has shape \(9, 7\), but the cube's images have \(7, 9\)"):
        ForwardModel.of(cube(), Instrument(exposure=np.ones((9, 7))))
    narrow = Response(np.ones((2, 2)), [1, 2, 3], [1, 2, 3])
    with pytest.raises(ValueError, match="the cube has energies from 1 to 6 keV, and the response channels from 1 to"):
        ForwardModel.of(cube(), Instrument(response=narrow))
