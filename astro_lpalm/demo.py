"""A remnant with known components, observed and separated: the whole journey on data made on the spot."""

import logging
import time
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from ._files import check_output, complete_or_nothing, write_fits
from .cube import EventCube
from .model import load_model
from .pipeline import separate
from .separation import nmse, spectral_angle
from .simulate import simulate_events
from .spectra import SpectralLibrary

__all__ = ["FILES", "remnant_images", "run_demo"]

log = logging.getLogger(__name__)

#: Names of the files that `run_demo` writes.
FILES = ("events.fits", "cube.fits", "components.fits", "components.png", "summary.ecsv")

_CENTER = SkyCoord(350.866, 58.815, unit="deg")  # that of Cassiopeia A
_PIXEL = 1.476 * u.arcsec  # three sky pixels
_SIZE = 240
_COUNTS = {"synchrotron": 1.0e6, "thermal": 2.0e6, "iron_red": 1.2e5, "iron_blue": 0.8e5}


def remnant_images(size, seed):
    """Make images of a young supernova remnant's components: filaments, a clumpy shell and two iron-rich lobes.

    Parameters
    ----------
    size : int
        Pixels along each side.
    seed : int or `numpy.random.Generator`

    Returns
    -------
    dict of str to `~numpy.ndarray`, shape (size, size)
        Images that each sum to one.
    """
    rng = np.random.default_rng(seed)
    y, x = (np.indices((size, size)) - (size - 1) / 2) / (0.42 * size)
    # The shock front is a circle with gentle dents.
    angle = np.arctan2(y, x)
    front = 1 + sum(rng.normal(0, 0.015) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(2, 7))
    radius = np.hypot(x, y) / front

    def clumps(contrast, slope):
        return np.exp(contrast * _random_field(size, slope, rng))

    def lobe(direction, width):
        return np.exp(-0.5 * (((angle - direction + np.pi) % (2 * np.pi) - np.pi) / width) ** 2)

    rim = np.exp(-0.5 * ((radius - 0.97) / 0.022) ** 2)
    inner = np.exp(-0.5 * ((radius - 0.62) / 0.16) ** 2)
    shell = np.exp(-0.5 * ((radius - 0.74) / 0.10) ** 2)
    images = {
        "synchrotron": rim * clumps(0.8, 2.2) + 0.25 * inner * clumps(1.6, 2.6),
        "thermal": shell * clumps(1.5, 2.2),
        "iron_red": np.exp(-0.5 * ((radius - 0.70) / 0.11) ** 2) * lobe(2.3, 0.55) * clumps(1.6, 2.0),
        "iron_blue": np.exp(-0.5 * ((radius - 0.66) / 0.12) ** 2) * lobe(-0.6, 0.50) * clumps(1.6, 2.0),
    }
    return {name: image * (radius < 1.1) / (image * (radius < 1.1)).sum() for name, image in images.items()}


def _random_field(size, slope, rng):
    # Gaussian field of unit variance whose amplitudes fall as a power of the spatial frequency
    frequency = np.hypot(np.fft.fftfreq(size)[:, np.newaxis], np.fft.rfftfreq(size)[np.newaxis])
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * frequency ** (-slope / 2), (size, size))
    return field / field.std()


def run_demo(directory, *, seed=0, device=None, overwrite=False):
    """Simulate a remnant's event list, bin it, separate it, and compare with the truth.

    Leaves ``events.fits``, ``cube.fits``, ``components.fits``, ``components.png`` and ``summary.ecsv``.

    Parameters
    ----------
    directory : str or `os.PathLike`
        Where the files go; made if there is no such directory.
    seed : int
        Decides the remnant and its photons.
    device : str or `torch.device`, optional
    overwrite : bool
        Whether files of these names may be replaced.

    Returns
    -------
    `~astropy.table.Table`
        Per component NMSE of the image, its correlation with the truth, cosine and angle between the spectra; the
        seconds that each step took are in its ``meta``.

    Raises
    ------
    FileExistsError
        If one of the files exists and ``overwrite`` is false; nothing is computed then.
    OSError
        If a file cannot be written.
    """
    directory = Path(directory)
    files_out = {name: directory / name for name in FILES}
    # A directory that is not there is made when the first file is there to go into it.
    new = next((each for each in (directory, *directory.parents) if each.parent.exists()), directory)
    for path in files_out.values() if directory.exists() else [new]:
        check_output(path, overwrite=overwrite)
    model = load_model("snr-acis")
    model.network.to(device)  # a device that is not there is found out before anything is written
    clock = _Clock()
    images, spectra, edges = _truth(model, seed)
    events = simulate_events(
        images, spectra, edges, center=_CENTER, pixel_scale=_PIXEL, seed=seed, name="simulated remnant"
    )
    directory.mkdir(parents=True, exist_ok=True)
    write_fits(events, files_out["events.fits"], overwrite=overwrite)
    clock.lap("simulate")
    cube = EventCube.from_events(
        files_out["events.fits"], energy_edges=model.energy_edges, pixel_scale=_PIXEL,
        center=_CENTER, size=_SIZE * _PIXEL,
    )  # fmt: skip
    cube.write(files_out["cube.fits"], overwrite=overwrite)
    clock.lap("bin")
    result = separate(files_out["cube.fits"], model)
    clock.lap("separate")
    result.write(files_out["components.fits"], overwrite=overwrite)
    result.plot(files_out["components.png"], overwrite=overwrite)
    clock.lap("write")
    summary = _compare(result, images, spectra, edges, model.energy_edges)
    summary.meta["seconds"] = clock.laps
    with complete_or_nothing(files_out["summary.ecsv"], overwrite=overwrite) as path:
        summary.write(path, overwrite=True)
    return summary


class _Clock:
    def __init__(self):
        self.laps, self.last = {}, time.monotonic()

    def lap(self, name):
        now = time.monotonic()
        self.laps[name], self.last = round(now - self.last, 2), now
        log.info("%s: %.1f s", name, self.laps[name])


def _truth(model, seed):
    # Spectra on bins far finer than the model's, so that binning the events has something to do.
    low, high = model.energy_edges[[0, -1]].to_value(u.keV)
    edges = np.linspace(low, high, 10 * (len(model.energy_edges) - 1) + 1) * u.keV
    library = SpectralLibrary.from_file("snr-acis", energy_edges=edges)
    spectra = library.draw(1, seed)[0]
    images = remnant_images(_SIZE, seed)
    counts = np.array([_COUNTS[name] * images[name] for name in library.component_names])
    return counts, spectra, edges


def _compare(result, images, spectra, edges, model_edges):
    binned = np.add.reduceat(spectra, np.searchsorted(edges.value * (1 + 1e-9), model_edges.value[:-1]), axis=0)
    table = Table({"component": list(result.names)})
    found = [result.images[name].data for name in result.names]
    table["counts"] = [round(float(image.sum())) for image in found]
    table["true_counts"] = [round(float(image.sum())) for image in images]
    table["image_nmse"] = [float(nmse(image, truth)) for image, truth in zip(found, images)]
    table["image_correlation"] = [float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in zip(found, images)]
    angles = spectral_angle(result.mixing, binned)
    table["spectral_angle"] = np.rad2deg(angles) * u.deg
    table["spectral_cosine"] = np.cos(angles)
    for name in table.colnames[3:]:
        table[name].info.format = ".4f"
    return table
