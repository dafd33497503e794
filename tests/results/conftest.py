import shutil
import subprocess

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astro_lpalm.cube import EventCube
from astro_lpalm.results import Separation

NAMES = ("Synchrotron", "thermal", "iron_1")
MIXING = np.array([[3.0, 1, 0], [4, 2, 0], [2, 4, 1], [1, 1, 4], [0, 1, 6], [1, 0, 1]])


def sky_header():
    """What an image of Chandra has: rotated celestial and physical coordinates, the observation, long strings."""
    cards = [
        ("TELESCOP", "CHANDRA"),
        ("INSTRUME", "ACIS"),
        ("OBS_ID", "4634"),
        ("OBJECT", "Cas A"),
        ("TITLE", "A title that is long, as those of proposals often are, " * 2),
        ("EXPOSURE", 148600.5, "[s] exposure time"),
        ("DATE-OBS", "2004-04-28T12:00:00"),
        ("FP_TEMP", 153.0),
        ("RADESYS", "ICRS"),
        ("EQUINOX", 2000.0),
    ]
    for axis, kind, value, step in ((1, "RA---TAN", 350.85, -1e-3), (2, "DEC--TAN", 58.815, 1e-3)):
        cards += [(f"CTYPE{axis}", kind), (f"CRVAL{axis}", value), (f"CRPIX{axis}", 3.25 * axis)]
        cards += [(f"CDELT{axis}", step), (f"CUNIT{axis}", "deg")]
        cards += [(f"CTYPE{axis}P", "xy"[axis - 1]), (f"CRVAL{axis}P", 4000.5), (f"CRPIX{axis}P", 0.5)]
        cards += [(f"CDELT{axis}P", 4.0), (f"PC{axis}_{axis}", 0.8)]
    return fits.Header([*cards, ("PC1_2", -0.6), ("PC2_1", 0.6)])


@pytest.fixture
def make_separation():
    """Make a separation with Poisson noise, of 6 energies and n components, from a seed."""

    def make(n=3, *, shape=(8, 11), mask=None, edges=(0.5, 1, 2, 2.5, 4, 6, 7), seed=0, scale=30.0, **kwargs):
        rng = np.random.default_rng(seed)
        mixing = MIXING[:, np.arange(n) % 3] / np.linalg.norm(MIXING, axis=0)[np.arange(n) % 3]
        sources = scale * rng.gamma(0.5, size=(n, *shape))
        data = rng.poisson(np.tensordot(mixing, sources, 1))
        hdu = fits.ImageHDU(data.astype(np.float32), sky_header())
        cube = EventCube.from_hdu(hdu, energy_edges=edges * u.keV)
        cube = EventCube(data, energy_edges=cube.energy_edges, wcs=cube.wcs, mask=mask, meta=cube.meta)
        names = [*NAMES, "iron_2", "Mg", "argon"][:n]
        return Separation(cube, mixing, sources[:, ~cube.pixel_mask], names, **kwargs)

    return make


@pytest.fixture
def mask():
    excluded = np.zeros((8, 11), dtype=bool)
    excluded[2:4, 5:] = excluded[7] = True
    return excluded


@pytest.fixture
def told(make_separation, mask):
    """A separation with everything that it can be given."""
    diagnostics = Table(
        {"distance": [1.5, 2.5, -1.0], "energy": [1, 2, 6] * u.keV, "note": ["good", "", "faint"]},
        meta={"n_iter": np.int64(25), "converged": True, "solver": "LPALM", "threshold": 3.5},
    )
    header = fits.Header([("MODEL", "snr-acis", "the model"), ("MODELSUM", "a1b2c3"), ("ANCRFILE", "source.arf")])
    header["HISTORY"] = "separated"
    header["HISTORY"] = "refined"
    return make_separation(mask=mask, diagnostics=diagnostics, header=header)


@pytest.fixture
def fitsverify():
    """Function that fails where HEASARC's verifier finds an error or a warning in a file."""
    program = shutil.which("fitsverify")
    if not program:
        pytest.skip("fitsverify is not installed")

    def verify(path):
        done = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
        assert "found 0 warning(s) and 0 error(s)" in done.stdout, done.stdout

    return verify


@pytest.fixture
def break_writing(monkeypatch):
    """Function after which writing FITS stops in the middle of a file, once ``n_whole`` have been written."""
    whole, calls = fits.HDUList.writeto, []

    def break_writing(n_whole=0):
        def writeto(self, path, **kwargs):
            calls.append(path)
            whole(self, path, **kwargs)
            if len(calls) > n_whole:
                with open(path, "r+b") as file:
                    file.truncate(3000)
                msg = "no space left on device"
                raise OSError(msg)

        monkeypatch.setattr(fits.HDUList, "writeto", writeto)

    return break_writing
