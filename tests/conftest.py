import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data():
    """Directory of the real spectra, maps, event lists and responses that are not part of the package."""
    directory = os.environ.get("ASTRO_LPALM_DATA")
    if not directory:
        pytest.skip("needs real data: set ASTRO_LPALM_DATA to its directory")
    return Path(directory)
