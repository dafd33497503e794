"""What an installation is, and whether it separates a small simulated sky as it should."""

import os
import platform
import sys
import tempfile
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import astropy.units as u
import numpy as np
import torch
from astropy.coordinates import SkyCoord
from astropy.table import Table

from . import __version__
from ._cache import cache_directory
from .cube import EventCube
from .demo import remnant_images
from .model import load_model, packaged_models
from .pipeline import separate
from .separation import spectral_angle
from .simulate import simulate_events

__all__ = ["examine"]

_PACKAGES = "numpy", "scipy", "astropy", "torch", "matplotlib", "PyWavelets", "regions"
_SIZE, _PIXEL, _SEED = 48, 4 * u.arcsec, 0
_COUNTS = {"synchrotron": 1e5, "thermal": 2e5, "iron_red": 1.5e4, "iron_blue": 1e4}
# They are 2.3 % and 0.8 degrees; with seeds 1 to 5 up to 13 % and 1.4 degrees.
_WORST_COUNTS, _WORST_ANGLE = 0.1, 3.0


def examine(*, device=None):
    """Examine the installation.

    A sky of 48 x 48 pixels and 325,000 photons is simulated and separated by the packaged model ``snr-acis``; it is as
    it should be if all components have their counts within 10 % and their spectra within 3 degrees.

    Parameters
    ----------
    device : str or `torch.device`, optional
        Where the network runs.

    Returns
    -------
    `~astropy.table.Table`
        Rows of ``what``, ``state`` ("ok", "bad", or empty where there is nothing to judge) and ``details``.

    Examples
    --------
    >>> from astro_lpalm.doctor import examine
    >>> report = examine()
    >>> bool((report["state"] != "bad").all())
    True
    """
    rows = [*_versions(), *_computer(), *_files()]
    rows += _trial(device)
    return Table(rows=rows, names=("what", "state", "details"))


def _versions():
    yield "astro_lpalm", "", f"{__version__} in {Path(__file__).parent}"
    yield "Python", "", f"{sys.version.split()[0]}, {platform.platform()}"
    for name in _PACKAGES:
        try:
            yield name, "ok", version(name)
        except PackageNotFoundError:
            yield name, "bad", "is not installed: pip install it"


def _computer():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits = [f"{name}={os.environ[name]}" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ]
    threads = f"{torch.get_num_threads()} of PyTorch on {cores} cores{', ' if limits else ''}{', '.join(limits)}"
    yield "threads", "bad" if torch.get_num_threads() > 4 * cores else "ok", threads
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    kernels = torch.backends.cpu.get_cpu_capability()
    yield "kernels", "", f"NumPy's BLAS: {blas.get('name', 'unknown')} {blas.get('version', '')}; PyTorch's: {kernels}"
    devices = ["cpu", *(f"cuda:{k} ({torch.cuda.get_device_name(k)})" for k in range(torch.cuda.device_count()))]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    yield "devices", "", ", ".join(devices)


def _files():
    names = packaged_models()
    try:
        sums = ", ".join(f"{name} {load_model(name).checksum}" for name in names)
        yield "packaged models", "ok" if names else "bad", sums or "there are none: install the package again"
    except (OSError, ValueError) as error:
        yield "packaged models", "bad", f"{error}: install the package again"
    for name, folder in (("cache", cache_directory()), ("temporary files", Path(tempfile.gettempdir()))):
        there = next(each for each in (folder, *folder.parents) if each.exists())
        is_good = os.access(there, os.W_OK)
        yield name, "ok" if is_good else "bad", f"{folder}{'' if is_good else ' cannot be written to'}"


def _trial(device):
    start = time.monotonic()
    try:
        counts, angle = _separated(device)
    except Exception as error:  # whatever it is, it is what is wrong here
        yield "trial", "bad", f"{type(error).__name__}: {error}"
        return
    seconds = time.monotonic() - start
    is_good = counts < _WORST_COUNTS and angle < _WORST_ANGLE
    details = f"counts within {counts:.1%}, spectra within {angle:.1f} degrees, in {seconds:.1f} s"
    yield "trial", "ok" if is_good else "bad", details


def _separated(device):
    """Separate a simulated sky; the largest relative error of counts, and the largest angle between spectra."""
    model = load_model("snr-acis")
    spectra = model.prior.mean.T.astype(float)
    images = remnant_images(_SIZE, _SEED)
    images = np.array([_COUNTS[name] * images[name] for name in model.component_names])
    center = SkyCoord(0, 0, unit="deg")
    events = simulate_events(images, spectra, model.energy_edges, center=center, pixel_scale=_PIXEL, seed=_SEED)
    cube = EventCube.from_events(events, model=model, pixel_scale=_PIXEL, center=center, size=_SIZE * _PIXEL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a sky this small and of mean spectra, which no parameters have
        result = separate(cube, model, smooth=False, device=device)
    found, true = result.diagnostics["counts"].value, images.sum(axis=(1, 2))
    return np.abs(found / true - 1).max(), np.rad2deg(spectral_angle(result.mixing, spectra)).max()
