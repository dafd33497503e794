import os
from pathlib import Path

import pytest


def pytest_configure(config):
    """Have one thread for each of several processes, which would be in one another's way otherwise."""
    if getattr(config.option, "numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared_data():
    """Directory of the real spectra, maps, event lists and responses that are not part of the package."""
    directory = os.environ.get("ASTRO_LPALM_DATA")
    if not directory:
        pytest.skip("needs real data: set ASTRO_LPALM_DATA to its directory")
    return Path(directory)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """A cache directory of the tests, which those of the user have nothing to do with."""
    folder = tmp_path_factory.mktemp("cache") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder
