"""Whoever compares energy edges takes the same ones for the same, and says which differ."""

import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest

from astro_lpalm import EventCube
from astro_lpalm.forward import ExpectedBackground
from astro_lpalm.instrument import PHA, Response, merge_responses, response_on_bins
from astro_lpalm.spectra import ModelComponent, SpectralLibrary, Synchrotron

from . import toy
from .instrument.ogip_files import make_arf, make_pha, make_rmf, save

WIDTH = 0.01
EDGES = np.arange(101) * WIDTH + 10.0  # where six digits do not tell a thousandth of a bin


def cube(edges, shape=(4, 5)):
    return EventCube(np.ones((len(edges) - 1, *shape)), energy_edges=edges * u.keV, wcs=toy.wcs())


def new_folder(tmp_path):
    return Path(tempfile.mkdtemp(dir=tmp_path))


def response(edges):
    return Response(np.eye(100), EDGES, edges)


def merge_cubes(edges, tmp_path):
    EventCube.merge([cube(EDGES), cube(edges)])


def rebin(edges, tmp_path):
    cube(EDGES).rebin(edges * u.keV)


def background(edges, tmp_path):
    ExpectedBackground(np.ones(100), energy_edges=edges * u.keV).expected(cube(EDGES))


def blank_field(edges, tmp_path):
    ExpectedBackground(cube(edges), scale=1).expected(cube(EDGES))


def channels(edges, tmp_path):
    response(EDGES).rebin(edges)


def counts_of_channels(edges, tmp_path):
    PHA.read(save([make_pha(np.arange(100.0))], new_folder(tmp_path) / "a.pha")).rebin(EDGES, edges)


def library_of_models(edges, tmp_path):
    components = [ModelComponent(name, Synchrotron, {"photon_index": (1.4, 2.4)}) for name in ("one", "two")]
    SpectralLibrary(components, edges, response=response(EDGES))


def library_of_arrays(edges, tmp_path):
    path = new_folder(tmp_path) / "library.fits"
    SpectralLibrary.from_arrays({"one": np.ones((3, 100)), "two": np.ones((3, 100))}, EDGES).write(path, n=3)
    SpectralLibrary.from_file(path, energy_edges=edges)


def merge_of_responses(edges, tmp_path):
    merge_responses([response(EDGES), response(edges)], [1, 1])


def area_and_redistribution(edges, tmp_path):
    folder = new_folder(tmp_path)
    arf = save([make_arf(edges, np.ones(100))], folder / "a.arf")
    rmf = save(make_rmf(np.eye(100), EDGES, EDGES), folder / "a.rmf")
    Response.read(arf, rmf)


COMPARERS = [
    rebin, merge_cubes, background, blank_field, channels, counts_of_channels, library_of_models, library_of_arrays,
    merge_of_responses, area_and_redistribution,
]  # fmt: skip


@pytest.mark.parametrize("compare", COMPARERS, ids=lambda each: each.__name__)
def test_edges_within_a_thousandth_of_a_bin_are_the_same(compare, tmp_path):
    for edges in (EDGES, EDGES + 0.5e-3 * WIDTH, EDGES - 0.5e-3 * WIDTH, EDGES.astype(np.float32)):
        compare(edges, tmp_path)


@pytest.mark.parametrize("compare", COMPARERS, ids=lambda each: each.__name__)
def test_edges_two_thousandths_of_a_bin_away_are_others(compare, tmp_path):
    compare(EDGES, tmp_path)
    moved = EDGES.copy()
    moved[50] += 2e-3 * WIDTH
    with pytest.raises(ValueError, match=r"10\.50002"):
        compare(moved, tmp_path)


def test_bins_at_the_end_of_the_channels_may_go_beyond_by_a_thousandth():
    wide = response_on_bins(response(EDGES), (EDGES[::10] + 0.5e-3 * WIDTH) * u.keV)
    np.testing.assert_array_equal(wide.matrix.toarray(), response(EDGES).rebin(EDGES[::10]).matrix.toarray())
    with pytest.raises(ValueError, match=r"from 10.00002 to 11.00002 keV, and the .* from 10 to 11 keV"):
        response_on_bins(response(EDGES), (EDGES[::10] + 2e-3 * WIDTH) * u.keV)
