"""What the workers of a Dask cluster do is what one process does, and a lost one loses nothing."""

import os
import signal

import numpy as np
import pytest
from astropy.utils.exceptions import AstropyUserWarning
from numpy.testing import assert_allclose, assert_array_equal

from astro_lpalm import TrainingSet, separate, separate_many
from astro_lpalm._cluster import run_each
from astro_lpalm.sources import SourceLibrary
from astro_lpalm.spectra import SpectralLibrary
from astro_lpalm.training.synthesis import Synthesis

from . import toy

OPTIONS = {"smooth": False}
SETTINGS = {"n_samples": 120, "n_pixels": 30, "sources": "images", "progress": False}


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed", reason="needs dask.distributed (extra 'distributed')")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def assert_same(one, other):
    for name in ("X", "A", "S"):
        assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_resamplings_and_fields_are_the_same(client, tmp_path):
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


def test_a_training_set_is_the_same_bit_for_bit(client):
    alone, together = (TrainingSet.from_file("pwn-acis", client=each, **SETTINGS)[0] for each in (None, client))
    assert_same(together, alone)


def test_a_lost_worker_loses_no_field(client, tmp_path):
    cubes = [toy.cube(seed=seed) for seed in range(1, 5)]
    workers = [*client.scheduler_info()["workers"]]
    client.retire_workers(workers[:1])
    found = separate_many(cubes, toy.model(), client=client, **OPTIONS)
    assert not any(each.failed for each in found)
    assert np.isfinite([each.result.sources.sum() for each in found]).all()


def test_the_last_of_the_workers_loses_nothing_when_it_is_killed(client):
    spectra, sources = SpectralLibrary.from_file("pwn-acis"), SourceLibrary.from_file("pwn-acis")
    synthesis = Synthesis(spectra, sources, 30, 20.0, "counts", "pixels", 0.0)
    tasks = [(20, seed) for seed in range(12)]
    alone = [*run_each(synthesis, tasks)]
    *others, last = client.run(os.getpid).items()
    if others:
        client.retire_workers([address for address, _ in others])
    together = run_each(synthesis, tasks, client)
    found = [next(together)]
    os.kill(last[1], signal.SIGTERM)
    found += together
    assert last[1] not in client.run(os.getpid).values()
    for one, other in zip(found, alone, strict=True):
        for array, expected in zip(one, other, strict=True):
            assert_array_equal(array, expected)
