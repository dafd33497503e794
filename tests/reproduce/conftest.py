import numpy as np
import pytest
from astropy.io import fits

from astro_lpalm.reproduce import COMPONENTS


def write(path, arrays):
    hdus = [fits.ImageHDU(array, name=name) for name, array in zip(COMPONENTS, arrays)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)


@pytest.fixture(scope="session")
def arrays():
    """Spectra and maps of the form of the authors' own, but few and small."""
    rng = np.random.default_rng(1)
    energies = np.linspace(0, 1, 24)
    peaks = rng.normal([0.15, 0.4, 0.65, 0.9], 0.02, size=(42, 4)).T[..., np.newaxis]
    spectra = np.exp(-0.5 * ((energies - peaks) / 0.1) ** 2)
    maps = rng.standard_exponential((4, 32, 32)) * (rng.random((4, 32, 32)) < 0.25)
    return spectra / np.linalg.norm(spectra, axis=2, keepdims=True), maps / maps.sum(axis=(1, 2), keepdims=True)


@pytest.fixture(scope="session")
def data(tmp_path_factory, arrays):
    """Directory with the two FITS files."""
    folder = tmp_path_factory.mktemp("data")
    for name, array in zip(("spectra.fits", "sources.fits"), arrays):
        write(folder / name, array)
    return folder
