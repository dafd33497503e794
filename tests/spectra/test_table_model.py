import itertools
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from scipy.interpolate import RegularGridInterpolator

from astro_lpalm.spectra import SpectralModel, Synchrotron, photon_flux_density
from astro_lpalm.spectra.integration import integrate
from astro_lpalm.spectra.table_model import read_table_model

from .table_files import ENERGIES, ramp, read_made

# --- the two real files


@pytest.fixture(scope="module")
def rcs(shared_data):
    path = shared_data / "tables" / "xspec-tablemodel-RCS.mod.gz"
    return read_table_model(path), fits.getdata(path, "SPECTRA"), path


@pytest.fixture(scope="module")
def pcfabs(shared_data):
    path = shared_data / "tables" / "testpcfabs.mod.gz"
    return read_table_model(path), fits.getdata(path, "SPECTRA"), path


def test_real_additive_table_gives_back_its_rows(rcs):
    model, spectra, path = rcs
    assert issubclass(model, SpectralModel)
    assert model.param_names == ("amplitude", "tau", "beta", "T")
    assert model.output_unit == photon_flux_density
    assert model.source_file == path
    assert path.name in repr(model(tau=2))
    assert (model.tau.bounds, model.beta.bounds, model.T.bounds) == ((1, 10), (0.1, 0.5), (0.1, 1.3))
    low, high = (fits.getdata(path, "ENERGIES")[name] for name in ("ENERG_LO", "ENERG_HI"))
    edges = np.append(low, high[-1]).astype(float)
    rows = [0, 123, 349]
    values = spectra["PARAMVAL"][rows].astype(float).T[:, :, None]
    flux = model.integral(edges, np.full((3, 1), 2.0), *values)
    np.testing.assert_allclose(flux, 2 * spectra["INTPSPEC"][rows], rtol=1e-12)
    wide = model.integral(edges[[0, 200, -1]], np.ones((3, 1)), *values)
    expected = np.add.reduceat(spectra["INTPSPEC"][rows].astype(float), [0, 200], axis=1)
    np.testing.assert_allclose(wide, expected, rtol=1e-6)


def test_real_additive_table_is_linear_between_its_rows(rcs):
    model, spectra, path = rcs
    point = spectra["PARAMVAL"].astype(float)
    tau, beta, kT = (np.unique(column) for column in point.T)
    corners = np.isin(point[:, 0], tau[1:3]) & np.isin(point[:, 1], beta[:2]) & np.isin(point[:, 2], kT[4:6])
    assert corners.sum() == 8
    expected = spectra["INTPSPEC"][corners].mean(axis=0, dtype=float)
    energy = fits.getdata(path, "ENERGIES")
    edges = np.append(energy["ENERG_LO"], energy["ENERG_HI"][-1]).astype(float)
    flux = model.integral(edges, 1.0, tau[1:3].mean(), beta[:2].mean(), kT[4:6].mean())
    np.testing.assert_allclose(flux, expected, rtol=1e-6)


def test_real_multiplicative_table_is_logarithmic_between_its_rows(pcfabs):
    model, spectra, path = pcfabs
    assert model.param_names == ("nH", "fract")
    assert model.output_unit == u.dimensionless_unscaled
    assert model.methods == {"nH": "logarithmic", "fract": "linear"}
    point, rows = spectra["PARAMVAL"], spectra["INTPSPEC"].astype(float)
    one, ten = (rows[np.isclose(point[:, 0], nh) & np.isclose(point[:, 1], 1)][0] for nh in (1.0, 10.0))
    energy = fits.getdata(path, "ENERGIES")
    middle = (energy["ENERG_LO"] + energy["ENERG_HI"]).astype(float) / 2
    np.testing.assert_allclose(model.density(middle, 10.0, 1.0), ten, rtol=1e-12)
    np.testing.assert_allclose(model.density(middle, np.sqrt(10), 1.0), (one + ten) / 2, rtol=1e-6)
    np.testing.assert_allclose(
        model.density(middle, np.sqrt(10), 0.95)[700], 0.475 * (one + ten)[700] + 0.05, rtol=1e-5
    )
    # from 0 to 1e-5 there is no logarithm: linear
    zero, small = (rows[np.isclose(point[:, 0], nh, atol=0) & (point[:, 1] == 1)][0] for nh in (0.0, 1e-5))
    np.testing.assert_allclose(model.density(middle, 5e-6, 1.0), (zero + small) / 2, rtol=1e-6)
    low, high = energy["ENERG_LO"][99].astype(float), energy["ENERG_HI"][99].astype(float)
    seen = integrate(model(nH=1.0, fract=1.0) * Synchrotron(photon_index=2.0), [low, high])
    assert seen.value[0] == pytest.approx(one[99] * (1 / low - 1 / high), rel=1e-6)


# --- tables of our own


@pytest.mark.parametrize("shuffle", [None, 5])
@pytest.mark.parametrize("logarithmic", [False, True])
def test_three_parameters_agree_with_scipy_whatever_the_order_of_rows(tmp_path, shuffle, logarithmic):
    values = [1.0, 2.0, 5.0], [0.1, 0.3], [3.0, 4.0, 6.0, 10.0]
    cube = np.random.default_rng(0).uniform(size=(3, 2, 4, 5)).astype(np.float32)

    def spectrum(*point):
        return cube[tuple(int(np.argmin(np.abs(np.subtract(v, x)))) for v, x in zip(values, point))]

    parameters = [(name, int(logarithmic), v) for name, v in zip("abc", values)]
    model = read_made(tmp_path, parameters, spectrum, shuffle=shuffle)
    assert model.density(np.array([2.0]), *model().plain_parameters).dtype == float
    rng = np.random.default_rng(1)
    points = np.stack([rng.uniform(v[0], v[-1], size=40) for v in values])
    axis = np.log if logarithmic else np.asarray
    oracle = RegularGridInterpolator([axis(v) for v in values], cube.astype(float))(axis(points).T)
    flux = model.integral(ENERGIES, np.ones((40, 1)), *points[:, :, None])
    np.testing.assert_allclose(flux, oracle, rtol=1e-6)
    one = [model.integral(ENERGIES, 1.0, *point) for point in points.T]
    np.testing.assert_array_equal(flux, one)


def test_rebinning_conserves_photons_and_averages_factors(tmp_path):
    edges = np.array([0.5, 0.6, 1.7, 1.8, 3.0, 8.0])
    density = ramp(1.0) / np.diff(ENERGIES)
    fine = np.linspace(0.5, 8.0, 75001)
    in_fine = density[np.clip(np.searchsorted(ENERGIES, (fine[1:] + fine[:-1]) / 2) - 1, 0, 4)] * np.diff(fine)
    expected = [in_fine[(fine[:-1] >= a - 1e-9) & (fine[1:] <= b + 1e-9)].sum() for a, b in itertools.pairwise(edges)]
    additive = read_made(tmp_path, [("a", 0, [0.0, 1.0])], ramp)
    np.testing.assert_allclose(additive.integral(edges, 1.0, 1.0), expected, rtol=1e-9)
    assert additive.integral(edges, 1.0, 1.0).sum() == pytest.approx(ramp(1.0).sum())
    np.testing.assert_allclose(integrate(additive(a=1.0), edges).value, expected, rtol=1e-9)
    factor = read_made(tmp_path, [("a", 0, [0.0, 1.0])], lambda a: density, additive=False)
    np.testing.assert_allclose(factor.integral(edges, 1.0), expected, rtol=1e-6)
    assert factor(a=0.3)(2.0 * u.keV).unit == u.dimensionless_unscaled


def test_density_takes_any_shape_and_units(tmp_path):
    model = read_made(tmp_path, [("kT", 0, [0.0, 1.0])], ramp, units=["keV"])
    energy = np.array([[0.7, 1.2], [3.0, 7.9]])
    expected = 2 * np.array([[1.0, 2.0], [4.0, 5.0]]) / np.array([[0.5, 0.5], [1.5, 4.0]])
    np.testing.assert_allclose(model(kT=1.0)(energy), expected)
    np.testing.assert_allclose(model(kT=1000 * u.eV)(energy * 1000 * u.eV).value, expected)
    rows = model.density(energy.ravel(), 1.0, np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(rows, [expected.ravel() / 2, expected.ravel()])
    assert model.density(2.5, 1.0, 1.0) == pytest.approx(8 / 1.5)  # an edge belongs to the bin that it begins
    assert model.parameter_units == {"kT": u.keV}


@pytest.mark.parametrize("additive", [True, False])
def test_additional_parameters_are_multiplied_and_added(tmp_path, additive):
    def spectrum(a):
        return np.stack([ramp(a), np.arange(5) * a, np.full(5, 0.5)])

    parameters = [("Fe", None, (0.0, 5.0)), ("a", 0, [1.0, 3.0]), ("Ni", None, (0.0, 5.0))]
    model = read_made(tmp_path, parameters, spectrum, additive=additive)
    assert model.param_names[-3:] == ("Fe", "a", "Ni")
    assert list(model.methods.values()) == ["additional", "linear", "additional"]
    expected = ramp(2.0) + 4.0 * np.arange(5) * 2.0 + 0.1 * 0.5
    if additive:
        np.testing.assert_allclose(model.integral(ENERGIES, 3.0, 4.0, 2.0, 0.1), 3 * expected, rtol=1e-6)
    else:
        np.testing.assert_allclose(model.integral(ENERGIES, 4.0, 2.0, 0.1), expected * np.diff(ENERGIES), rtol=1e-6)


def test_a_table_may_have_additional_parameters_only(tmp_path):
    model = read_made(tmp_path, [("Fe", None, (0.0, 5.0))], lambda: np.stack([ramp(), np.ones(5)]))
    np.testing.assert_allclose(model.integral(ENERGIES, 1.0, 2.0), ramp() + 2)


def test_redshift_moves_photons_and_dilates_time(tmp_path):
    model = read_made(tmp_path, [("a", 0, [0.0, 1.0])], ramp, REDSHIFT=True)
    assert model.param_names == ("amplitude", "a", "redshift")
    z = np.array([[0.0], [1.0], [1.0]])
    seen = model.integral(ENERGIES / 2, 1.0, 0.0, z[1:])
    np.testing.assert_allclose(seen, [ramp() / 2] * 2, rtol=1e-12)
    with pytest.warns(AstropyUserWarning, match=r"0\.5 to 8 keV and was asked for 0\.6 to 16 keV"):
        mixed = model.integral(np.array([0.6, 2.0, 8.0]), 1.0, 0.0, z)
    np.testing.assert_allclose(mixed[1], mixed[2])
    np.testing.assert_allclose(mixed[1], [(0.3 / 0.5 * 2 + 3 + 4) / 2, 5 / 2])
    np.testing.assert_allclose(mixed[0], [0.4 / 0.5 + 2 + 3 / 2, 3 / 2 + 4 + 5])
    density = model.density(np.array([0.6]), 1.0, 0.0, z)
    np.testing.assert_allclose(density, [[1 / 0.5], [2 / 0.5], [2 / 0.5]])
    factor = read_made(tmp_path, [("a", 0, [0.0, 1.0])], ramp, additive=False, REDSHIFT=True)
    np.testing.assert_allclose(factor.integral(ENERGIES / 2, 0.0, 1.0), ramp() * np.diff(ENERGIES) / 2)


def test_energy_scale_stretches_the_table(tmp_path):
    model = read_made(tmp_path, [("a", 0, [0.0, 1.0])], ramp, ESCALE=True, REDSHIFT=True)
    assert model.param_names == ("amplitude", "a", "energy_scale", "redshift")
    np.testing.assert_allclose(model.integral(ENERGIES * 3, 1.0, 0.0, 3.0, 0.0), ramp())
    np.testing.assert_allclose(model.integral(ENERGIES, 1.0, 0.0, 2.0, 1.0), ramp() / 2)
    assert model.density(3.0, 1.0, 0.0, 3.0, 0.0) == pytest.approx(2 / 0.5 / 3)


def test_beyond_the_table_is_said_once_for_each_grid(tmp_path):
    model = read_made(tmp_path, [("a", 0, [0.0, 1.0])], ramp)
    edges = np.array([0.1, 0.4, 0.75, 8.0, 10.0])
    with pytest.warns(AstropyUserWarning, match=r"made\.mod.*0\.5 to 8 keV.*0\.1 to 10 keV.*0 below and 0 above"):
        flux = model.integral(edges, 1.0, 0.0)
    np.testing.assert_allclose(flux, [0, 0.5, 14.5, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.integral(edges, 1.0, 1.0)
        model.integral(edges * 0.9, 1.0, 1.0)  # as for another redshift
        model.integral(np.array([0.5 * (1 - 1e-7), 8.0]), 1.0, 1.0)
    with pytest.warns(AstropyUserWarning, match=r"asked for 0\.2 to 1 keV"):
        assert model(a=0.0)(np.array([0.2, 1.0])).tolist() == [0.0, 4.0]


@pytest.mark.parametrize(("keys", "outside"), [({}, (1, 1)), ({"LOELIMIT": 0.25, "HIELIMIT": -1.0}, (0.25, 1))])
def test_a_factor_has_its_limits_beyond_the_table(tmp_path, keys, outside):
    model = read_made(tmp_path, [("a", 0, [0.0, 1.0])], ramp, additive=False, **keys)
    edges = np.array([0.1, 0.5, 8.0, 9.0])
    with pytest.warns(AstropyUserWarning, match="is taken as"):
        flux = model.integral(edges, 0.0)
    np.testing.assert_allclose(flux[[0, 2]] / np.diff(edges)[[0, 2]], outside)


def test_exponential_table_is_of_optical_depths(tmp_path):
    read_made(tmp_path, [("a", 0, [0.0, 1.0])], ramp, additive=False)
    model = read_table_model(tmp_path / "made.mod", exponential=True)
    np.testing.assert_allclose(model.integral(ENERGIES, 0.5), np.exp(-ramp(0.5)) * np.diff(ENERGIES), rtol=1e-6)
    read_made(tmp_path, [("a", 0, [0.0, 1.0])], ramp)
    with pytest.raises(ValueError, match="is an additive table; exponential=True"):
        read_table_model(tmp_path / "made.mod", exponential=True)


def test_spectra_stay_float32_and_are_shared(tmp_path):
    model = read_made(tmp_path, [("a", 0, [0.0, 1.0])], ramp)
    assert model._table.spectra.dtype == np.float32
    assert np.shares_memory(model(a=0.1)._table.spectra, model(a=0.9)._table.spectra)


# --- what is refused


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_a_parameter_out_of_range_is_refused(tmp_path, value):
    model = read_made(
        tmp_path, [("a", 0, [0.0, 1.0]), ("Fe", None, (0.0, 5.0))], lambda a: np.stack([ramp(a), ramp(a)])
    )
    with pytest.raises(ValueError, match=rf"made\.mod.*'a' is {value:g}; it must lie in 0 to 1"):
        model.integral(ENERGIES, 1.0, np.array([[0.5], [value]]), 1.0)
    with pytest.raises(ValueError, match="'Fe' is 6; it must lie in 0 to 5"):
        model(a=0.1, Fe=6.0)(1.0)


def test_an_unknown_parameter_is_refused(tmp_path):
    model = read_made(tmp_path, [("a", 0, [0.0, 1.0])], ramp)
    with pytest.raises(ValueError, match=r"made\.mod' has no parameter 'kT'; its parameters are: amplitude, a\."):
        model(kT=1.0)
    assert model(a=0.5, name="mine", fixed={"a": True}).a.fixed
