import numpy as np
import pytest
from astropy.utils.exceptions import AstropyUserWarning
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm import separate, separate_many
from astro_lpalm.results import Separation

from . import toy

OPTIONS = {"smooth": False}


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed", reason="needs dask.distributed (extra 'distributed')")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_fields_are_separated_as_each_alone():
    cubes = [toy.cube(seed=seed) for seed in (1, 2)]
    found = separate_many(cubes, toy.model(), **OPTIONS)
    assert [each.name for each in found] == ["field_1", "field_2"]
    for each, cube in zip(found, cubes):
        assert_array_equal(each.result.sources, separate(cube, toy.model(), **OPTIONS).sources)


def test_one_that_fails_leaves_the_others_alone(tmp_path):
    toy.cube().write(tmp_path / "good.fits")
    (tmp_path / "out").mkdir()
    with pytest.warns(AstropyUserWarning, match="field 'missing' could not be separated: FileNotFoundError"):
        lost, good = separate_many(
            [tmp_path / "missing.fits", tmp_path / "good.fits"], toy.model(), output=tmp_path / "out", **OPTIONS
        )
    assert lost.failed
    assert "FileNotFoundError" in lost.error
    assert good.result == tmp_path / "out" / "good.fits"
    assert Separation.read(good.result).names == toy.model().component_names


def test_refuses_what_would_be_lost(tmp_path):
    with pytest.raises(ValueError, match="there are no fields"):
        separate_many([], toy.model())
    with pytest.raises(ValueError, match="several fields are called 'a'"):
        separate_many(["1/a.fits", "2/a.fits"], toy.model())
    with pytest.raises(ValueError, match="background is a list of 1, but there are 2 fields"):
        separate_many(["a.fits", "b.fits"], toy.model(), background=[None])
    (tmp_path / "a.fits").touch()
    with pytest.raises(FileExistsError):
        separate_many(["a.fits"], toy.model(), output=tmp_path)


def test_a_cluster_gives_the_same(client, tmp_path):
    cube, model = toy.cube(), toy.model()
    alone, together = (
        separate(cube, model, n_resamplings=4, progress=False, client=each, **OPTIONS) for each in (None, client)
    )
    assert_allclose(together.spectra_uncertainty, alone.spectra_uncertainty, rtol=1e-6)
    cube.write(tmp_path / "good.fits")
    with pytest.warns(AstropyUserWarning, match="field 'missing' could not be separated"):
        found = separate_many([tmp_path / "good.fits", tmp_path / "missing.fits"], model, client=client, **OPTIONS)
    assert_allclose(found[0].result.sources, separate(cube, model, **OPTIONS).sources, rtol=1e-5)
    assert [each.failed for each in found] == [False, True]


def test_a_lost_worker_loses_no_field(client, tmp_path):
    cubes = [toy.cube(seed=seed) for seed in range(1, 5)]
    workers = [*client.scheduler_info()["workers"]]
    client.retire_workers(workers[:1])
    found = separate_many(cubes, toy.model(), client=client, **OPTIONS)
    assert not any(each.failed for each in found)
    assert np.isfinite([each.result.sources.sum() for each in found]).all()
