import re
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm import EventCube, load_model, separate
from astro_lpalm.forward import ExpectedBackground, count_blocks
from astro_lpalm.forward.least_squares import expected_counts
from astro_lpalm.results import Separation
from astro_lpalm.separation import LPALM, Factorization, nmse, refine, refine_counts
from astro_lpalm.transforms import Starlet, Wavelet, detail_matrix, get_transform

from . import toy

# Data on which the diagnostics warn, as they ought to; what is tested here is something else.
untrusted = pytest.mark.filterwarnings("ignore::astro_lpalm.trust.diagnostics.SeparationWarning")

HALVED = np.linspace(1, 4, 25) * u.keV  # two of its bins to one of the toy's
FINER = np.linspace(0.5, 4.5, 33) * u.keV  # two of its bins to one of the toy's, and more on both sides


class Ideal:
    """A solver that knows the spectra; a factor between its spectra and sources is free."""

    def __init__(self, spectra, factor=1.0):
        self.spectra, self.factor = spectra, factor

    def separate(self, X):
        self.seen = X
        return Factorization(self.factor * self.spectra, np.linalg.pinv(self.spectra) @ X / self.factor)


def assert_same(one, other):
    assert one.names == other.names
    assert_array_equal(one.mixing, other.mixing)
    assert_array_equal(one.sources, other.sources)


def stack(separation):
    return np.array([image.data for image in separation.images.values()])


@pytest.fixture(scope="module")
def model():
    return toy.model()


@pytest.fixture(scope="module")
def cube():
    return toy.cube()


@pytest.fixture(scope="module")
def result(cube, model):
    return separate(cube, model)


@pytest.fixture
def cube_path(cube, tmp_path):
    path = tmp_path / "cube.fits"
    cube.write(path)
    return path


# What it takes


def test_every_kind_of_cube(cube, model, result, cube_path):
    assert_same(separate(cube_path, model), result)
    assert_same(separate(str(cube_path), model), result)
    assert_same(separate(cube.to_hdulist(), model), result)
    assert_same(separate(cube.to_hdulist()[0], model), result)
    with fits.open(cube_path) as hdulist:
        assert_same(separate(hdulist, model), result)
        assert_same(separate(hdulist[0], model), result)


def test_every_kind_of_model(cube, model, result, tmp_path):
    path = tmp_path / "toy.fits"
    model.write(path)
    assert_same(separate(cube, path), result)
    assert_same(separate(cube, str(path)), result)
    # A network by itself is a solver like any other: the component names are not its business.
    plain = separate(cube, model, refine=False)
    bare = separate(cube, model.network)
    assert bare.names == ("component_1", "component_2")
    assert_array_equal(bare.sources, plain.sources)
    assert "MODEL" not in bare.header


@pytest.mark.parametrize(
    ("name", "components"),
    [("snr-acis", ("synchrotron", "thermal", "iron_red", "iron_blue")), ("pwn-acis", ("nonthermal", "thermal"))],
)
def test_packaged_model_by_name(name, components):
    model = load_model(name)
    spectra = model.physics.spectra(np.full(len(model.physics.parameters), 0.5))
    data = np.random.default_rng(0).poisson(np.einsum("ik,kyx->iyx", spectra, toy.images(len(components))))
    cube = EventCube(data, energy_edges=np.linspace(0.5, 7, 66) * u.keV, wcs=toy.wcs())
    result = separate(cube, name)
    assert_same(result, separate(cube, model))
    assert result.names == components
    assert result.header["MODEL"] == name
    assert_allclose(stack(result).sum(axis=(1, 2)), 1e5, rtol=0.05)


# Energies


def split_bins(cube):
    """Spread each bin's counts over two halves, with counts below and above the range; nothing may depend on it."""
    rng = np.random.default_rng(8)
    data = np.zeros((32, *cube.data.shape[1:]), dtype=np.int32)
    first = rng.binomial(cube.data, 0.4)
    data[4:28:2], data[5:28:2] = first, cube.data - first
    data[:4], data[28:] = rng.poisson(50, size=(2, 4, *cube.data.shape[1:]))
    return EventCube(data, energy_edges=FINER, wcs=toy.wcs())


def test_finer_cube_is_rebinned(cube, model, result):
    found = separate(split_bins(cube), model)
    assert_same(found, result)
    assert_array_equal(found.cube.energy_edges, toy.EDGES)
    assert_array_equal(found.cube.data, cube.data)


def test_model_without_energies_takes_the_rows_as_they_are(cube, model, result):
    elsewhere = EventCube(cube.data, energy_edges=2 * toy.EDGES, wcs=toy.wcs())
    found = separate(elsewhere, toy.model(energy_edges=None))
    assert_same(found, result)
    assert_array_equal(found.cube.energy_edges, 2 * toy.EDGES)
    with pytest.raises(ValueError, match="X has 32 energies .* trained for 12"):
        separate(split_bins(cube), toy.model(energy_edges=None))


# The physical scale


@pytest.mark.parametrize("transform", ["starlet", "db4", "db4-stationary", Starlet(3), Wavelet("haar", 2)], ids=str)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_ideal_solver_gives_the_true_images(n, transform):
    result = separate(toy.cube(n, seed=None), Ideal(toy.spectra(n)), transform=transform)
    truth = toy.images(n)
    assert_allclose(stack(result), truth, atol=1e-5 * truth.max())
    assert_allclose(result.diagnostics["counts"].value, truth.sum(axis=(1, 2)), rtol=1e-5)
    expected = truth.sum(axis=(1, 2)) * toy.spectra(n) / toy.spectra(n).sum(axis=0)
    assert_allclose([result.spectra[name].value for name in result.names], expected.T, rtol=1e-5)
    assert abs(result.residuals.data).max() < 1e-5 * truth.max()


def test_images_are_least_squares_weighted_for_photon_noise():
    A, cube = toy.spectra(), toy.cube()
    weighted = A / expected_counts(A, cube.data.sum(axis=(1, 2)))[:, np.newaxis]
    expected = np.linalg.solve(A.T @ weighted, weighted.T @ cube.matrix()).reshape(2, 28, 33)
    expected *= A.sum(axis=0)[:, np.newaxis, np.newaxis]
    assert_allclose(stack(separate(cube, Ideal(A))), expected, rtol=1e-3, atol=1e-2)
    unweighted = np.einsum("ki,iyx->kyx", np.linalg.pinv(A), cube.data)
    assert np.abs(unweighted - expected).max() > 10


def test_large_images_are_thinned_for_the_solver():
    solver = Ideal(toy.spectra())
    large = EventCube(np.tile(toy.cube().data, (1, 12, 12)), energy_edges=toy.EDGES, wcs=toy.wcs())
    result = separate(large, solver)
    # 336 x 396 pixels in four scales: every second pixel of the finest, every fourth of the others
    assert solver.seen.shape == (12, 168 * 198 + 3 * 84 * 99)
    assert result.sources.shape == (2, 336 * 396)
    # What it finds is what it would have found in all of them.
    transform, model = Starlet(4), toy.model()
    noise = transform.photon_noise(large.data.sum(axis=0))
    every = model.separate(detail_matrix(transform, large.data, None, noise), refine=False).spectra
    assert np.all((every * separate(large, model, refine=False).mixing).sum(axis=0) > 0.9999)


def test_counts_of_the_components_within_noise():
    A, cube = toy.spectra(), toy.cube()
    result = separate(cube, Ideal(A))
    truth = toy.images().sum(axis=(1, 2))
    # Least squares weighted with the variance of counts: its covariance is that of a total, summed over the pixels.
    weighted = A / cube.data.mean(axis=(1, 2))[:, np.newaxis]
    demixing = np.linalg.solve(A.T @ weighted, weighted.T)
    sigma = np.sqrt(np.einsum("ki,i->k", demixing**2, cube.data.sum(axis=(1, 2)))) * A.sum(axis=0)
    assert np.all(np.abs(stack(result).sum(axis=(1, 2)) - truth) < 3 * sigma)
    assert np.all(sigma < 0.01 * truth)


def test_model_and_residuals_add_up_to_the_data(result, cube):
    assert_allclose(result.model_cube().data + result.residuals.data, cube.data, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("factor", [-2.0, 1e-3, 1e6])
def test_units_of_the_solver_do_not_matter(cube, factor):
    expected = separate(cube, Ideal(toy.spectra()))
    found = separate(cube, Ideal(toy.spectra(), factor))
    assert_allclose(stack(found), stack(expected), atol=1e-6 * stack(expected).max())
    assert_allclose(found.spectra["component_2"], expected.spectra["component_2"], rtol=1e-5)


@untrusted
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_images_follow_the_scale_of_the_data(factor):
    cube = toy.cube(seed=None)
    scaled = EventCube(factor * cube.data, energy_edges=toy.EDGES, wcs=toy.wcs())
    expected, found = separate(cube, Ideal(toy.spectra())), separate(scaled, Ideal(toy.spectra()))
    assert_allclose(stack(found) / factor, stack(expected), atol=1e-5 * stack(expected).max())


def test_input_is_left_alone(model, cube_path):
    cube = EventCube.read(cube_path)
    before = cube.data.copy()
    separate(cube, model)
    assert_array_equal(cube.data, before)
    assert cube.mask is None


def test_the_same_twice(cube, model, result):
    assert_same(separate(cube, model), result)


# Masks


MASK = np.zeros((28, 33), dtype=bool)
MASK[3:9, 4:12] = MASK[:, 20] = MASK[-5:, :6] = True


def masked(fill, dtype=np.float64):
    cube = toy.cube()
    return EventCube(np.where(MASK, fill, cube.data).astype(dtype), energy_edges=toy.EDGES, wcs=toy.wcs(), mask=MASK)


@pytest.mark.parametrize("refine", [False, True])
def test_nothing_leaks_from_under_the_mask(model, refine):
    expected = separate(masked(0.0), model, refine=refine)
    for fill in (np.nan, np.inf, -1e30):
        found = separate(masked(fill), model, refine=refine)
        assert_same(found, expected)
        assert found.sources.shape == (2, np.count_nonzero(~MASK))
        assert_array_equal(np.isnan(stack(found)), np.broadcast_to(MASK, (2, 28, 33)))
        assert_array_equal(found.images["soft"].mask, MASK)
        assert_array_equal(found.spectra["soft"], expected.spectra["soft"])
        assert_array_equal(found.diagnostics["counts"], expected.diagnostics["counts"])
    assert_same(separate(masked(10**6, np.int32), model, refine=refine), expected)


def test_ideal_solver_beside_a_mask():
    cube = toy.cube(seed=None)
    cube = EventCube(np.where(MASK, np.nan, cube.data), energy_edges=toy.EDGES, wcs=toy.wcs(), mask=MASK)
    result = separate(cube, Ideal(toy.spectra()))
    truth = toy.images()
    assert_allclose(stack(result)[:, ~MASK], truth[:, ~MASK], atol=1e-5 * truth.max())


def test_mask_of_no_pixel_changes_nothing(cube, model, result):
    unmasked = EventCube(cube.data, energy_edges=toy.EDGES, wcs=toy.wcs(), mask=np.zeros((28, 33), dtype=bool))
    assert_same(separate(unmasked, model), result)
    assert_same(separate(unmasked, model, transform="db4"), separate(cube, model, transform="db4"))


def test_wavelet_with_a_mask_is_refused(model):
    with pytest.raises(ValueError, match="cannot leave out masked pixels; use the 'starlet'"):
        separate(masked(0.0), model, transform="db4")


# Sky


def test_images_lie_where_the_cube_lies(result, cube):
    for image in (*result.images.values(), result.residuals):
        assert image.wcs.wcs.compare(cube.wcs.wcs)


def test_sky_survives_the_files(model, cube_path, tmp_path):
    separate(cube_path, model).write(tmp_path / "components.fits")
    with fits.open(cube_path) as before, fits.open(tmp_path / "components.fits") as after:
        sky = WCS(before[0].header).celestial
        for name in toy.NAMES:
            assert WCS(after[name].header).wcs.compare(sky.wcs)
            assert after[name].data.shape == (28, 33)


# Settings


def test_refinement(cube, model, result):
    plain = separate(cube, model, refine=False)
    assert plain.diagnostics.meta["n_iter"] == 3
    assert result.diagnostics.meta["converged"]
    truth = toy.spectra()
    error = [np.linalg.norm(each.mixing / np.linalg.norm(each.mixing, axis=0) - truth) for each in (plain, result)]
    assert error[1] < 0.2 * error[0]


class Refined:
    """The model up to where the refinement of the counts begins."""

    def __init__(self, model):
        self.model = model

    def separate(self, X):
        return refine(X, self.model.network.separate(X), self.model.prior)


def test_refinement_goes_from_details_to_counts(cube, model, result):
    start = Factorization(separate(cube, Refined(model)).mixing, None)
    blocks = count_blocks(cube.data.sum(axis=0))
    expected = refine_counts(cube.matrix(dtype=np.float32), start, model.prior, blocks=blocks)
    assert_allclose(result.mixing, expected.spectra, rtol=1e-6)
    assert nmse(result.mixing, toy.spectra()) < nmse(start.spectra, toy.spectra())


def test_what_is_no_counts_is_refined_by_its_details_only(cube, model):
    data = cube.data.copy()
    data[:, 3, 4] = -1.0
    cube = EventCube(data, energy_edges=toy.EDGES, wcs=toy.wcs())
    with pytest.warns(AstropyUserWarning, match="the cube has 12 negative values, so it is no counts: the spectra are"):
        found = separate(cube, model)
    assert_array_equal(found.sources, separate(cube, Refined(model)).sources)


@pytest.mark.filterwarnings("ignore::astro_lpalm.trust.SeparationWarning")
def test_more_may_be_subtracted_than_there_is(cube, model):
    below = EventCube(cube.data - 2.0 * cube.data.mean(), energy_edges=toy.EDGES, wcs=toy.wcs())
    assert below.data.sum() < 0
    with pytest.warns(AstropyUserWarning, match="negative values, so it is no counts"):
        found = separate(below, model)
    assert all(np.isfinite(found.images[name].uncertainty.array).all() for name in found.names)


def test_device(cube, model, result):
    assert_same(separate(cube, model, device="cpu"), result)
    with pytest.raises(RuntimeError, match="nodevice"):
        separate(cube, model, device="nodevice")


@untrusted
def test_solver_sees_details_without_offset_and_with_unit_noise():
    flat = EventCube(
        np.random.default_rng(3).poisson(np.full((12, 96, 96), 40.0)), energy_edges=toy.EDGES, wcs=toy.wcs()
    )
    solver = Ideal(toy.spectra())
    separate(flat, solver, transform=Starlet(3))
    assert solver.seen.shape == (12, 3 * 96 * 96)
    assert solver.seen.dtype == np.float32
    for scale in np.split(solver.seen, 3, axis=1):
        # In units of the photon noise of the sum over energy: each of twelve equal bins has a twelfth of its variance.
        assert_allclose(scale.std(axis=1), 12**-0.5, rtol=0.1)
        assert np.all(np.abs(scale.mean(axis=1)) < 0.05)


def test_default_transform_fits_small_images():
    cube = toy.cube(seed=None)
    small = EventCube(cube.data[:, 10:15, 10:16], energy_edges=toy.EDGES, wcs=toy.wcs())
    result = separate(small, Ideal(toy.spectra()))
    truth = toy.images()[:, 10:15, 10:16]
    assert_allclose(stack(result), truth, atol=1e-5 * truth.max())
    line = EventCube(cube.data[:, 10:11], energy_edges=toy.EDGES, wcs=toy.wcs())
    with pytest.raises(ValueError, match="images of 1 x 33 pixels: they are too small for even one scale"):
        separate(line, Ideal(toy.spectra()))


@pytest.mark.parametrize("bad", ["curvelet", ""])
def test_unknown_transform(cube, model, bad):
    with pytest.raises(ValueError, match=f"there is no transform '{bad}'"):
        separate(cube, model, transform=bad)


def test_cube_without_structure_says_so(model):
    flat = EventCube(np.full((12, 16, 16), 7.0), energy_edges=toy.EDGES, wcs=toy.wcs())
    with pytest.raises(ValueError, match="zero everywhere"):
        separate(flat, model)


@untrusted
def test_many_components(tmp_path):
    n = 9
    network = LPALM(2).initialize(toy.spectra(n))
    result = separate(toy.cube(n), network)
    assert result.names == tuple(f"component_{k + 1}" for k in range(n))
    assert np.isfinite(stack(result)).all()
    result.write(tmp_path / "components.fits")
    with fits.open(tmp_path / "components.fits") as hdulist:
        assert [hdu.name for hdu in hdulist][1 : n + 1] == [name.upper() for name in result.names]


def test_one_component_takes_all(tmp_path):
    cube = toy.cube(1)
    result = separate(cube, toy.model(1))
    assert result.names == ("number_0",)
    assert_allclose(result.images["number_0"].data.sum(), cube.data.sum(), rtol=0.01)


# Provenance


def test_header_tells_model_and_transform(result, model, cube, tmp_path):
    assert result.header["MODEL"] == "toy"
    assert result.header["MODELSUM"] == model.checksum
    assert separate(cube, model, transform=Starlet(3)).header["TRANSFRM"] == "Starlet(n_scales=3)"
    result.write(tmp_path / "components.fits")
    header = fits.getheader(tmp_path / "components.fits")
    assert header["MODEL"] == "toy"
    assert header["MODELSUM"] == model.checksum
    assert re.match(r"\d{4}-\d\d-\d\dT", header["DATE"])
    back = Separation.read(tmp_path / "components.fits")
    assert back.names == toy.NAMES
    assert_allclose(stack(back), stack(result), rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("length", [1, 40, 60, 90])
@pytest.mark.parametrize("transform", ["coif3-stationary", Starlet(2)], ids=str)
def test_names_of_any_length(cube, tmp_path, length, transform):
    large = EventCube(np.tile(cube.data, (1, 2, 2)), energy_edges=toy.EDGES, wcs=toy.wcs())
    result = separate(large, toy.model(name=length * "x"), transform=transform, refine=False)
    result.write(tmp_path / "components.fits")
    header = Separation.read(tmp_path / "components.fits").header
    assert header["MODEL"] == length * "x"
    assert header["TRANSFRM"] == repr(get_transform(transform))  # of which there is room for one scale


def test_bad_solver_is_found_out(cube):
    class Nonsense:
        def separate(self, X):
            return Factorization(np.full((12, 2), np.nan), np.zeros((2, X.shape[1])))

    with pytest.raises(ValueError, match="spectra has 24 values that are NaN"):
        separate(cube, Nonsense())


def test_the_log_says_how_it_went(cube, model, result, caplog):
    with caplog.at_level("INFO", logger="astro_lpalm"):
        separate(cube, model)
    n_iter, converged = (result.diagnostics.meta[key] for key in ("n_iter", "converged"))
    assert caplog.messages == [f"the spectra took {n_iter} rounds, converged: {converged}"]


def test_header_tells_how_it_was_made(cube, model):
    background = ExpectedBackground(np.ones(12), scale=0.5, free=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)
        found = separate(cube, Ideal(toy.spectra()), background=background, n_resamplings=2, seed=5, progress=False)
    assert [str(line) for line in found.header["HISTORY"]] == [
        "components found by astro_lpalm.separate with Ideal",
        "uncertainties from 2 resamplings, seed 5",
        "background multiplied by 0.5, its amplitude free",
    ]
    assert "n_resamplings=2, seed=5" in found.header["SEPARATR"]
    assert "refine=False" in separate(cube, model, refine=False).header["SEPARATR"]


class Named(Ideal):
    """A user's solver that says what it knows: it is treated as a model of our own is."""

    component_names, energy_edges = toy.NAMES, toy.EDGES

    def __init__(self, spectra, prior):
        super().__init__(spectra)
        self.prior = prior


@untrusted  # every photon is there twice, so that the noise is no Poisson noise
def test_a_solver_that_says_what_it_knows(cube, model):
    finer = EventCube(np.repeat(cube.data, 2, axis=0), energy_edges=HALVED, wcs=toy.wcs())
    solver = Named(toy.spectra() + 0.02, model.prior)
    found = separate(finer, solver, n_resamplings=2, progress=False)
    assert found.names == toy.NAMES
    assert found.cube.n_energy == cube.n_energy
    assert set(found.diagnostics.colnames) >= {"library_distance", "counts", "share"}
    assert nmse(found.mixing, toy.spectra()) < 0.1 * nmse(toy.spectra() + 0.02, toy.spectra())
    assert found.image_uncertainty is not None
    assert "library_distance" not in separate(cube, Ideal(toy.spectra())).diagnostics.colnames


def test_bins_without_counts_are_the_first_thing_said(model):
    data = toy.cube().data.copy()
    data[5:] = 0
    cube = EventCube(data, energy_edges=toy.EDGES, wcs=toy.wcs())
    with pytest.warns(AstropyUserWarning) as given:
        separate(cube, model)
    assert str(given[0].message).startswith("7 of 12 bins are empty: was the list filtered in energy?")
