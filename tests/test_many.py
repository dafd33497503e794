import pytest
from astropy.utils.exceptions import AstropyUserWarning
from numpy.testing import assert_array_equal

from astro_lpalm import separate, separate_many
from astro_lpalm.results import Separation

from . import toy

OPTIONS = {"smooth": False}


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
