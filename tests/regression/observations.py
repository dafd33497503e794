"""Five observations, and the figures of their separations that a change of the code must leave as they are.

    python -m tests.regression.observations             # how far each figure is from the reference
    python -m tests.regression.observations --write     # make the reference, ``reference.fits`` beside this file, anew

Make it anew only for a change that is meant to be seen in results, and say in its commit which, and why.
"""

import os
import sys
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from astro_lpalm import EventCube, SeparationWarning, load_model, separate
from astro_lpalm.demo import remnant_images
from astro_lpalm.forward import ExpectedBackground
from astro_lpalm.spectra import SpectralLibrary

REFERENCE = Path(__file__).with_name("reference.fits")
DATA = os.environ.get("ASTRO_LPALM_DATA")
SHARES = {"synchrotron": 0.3, "thermal": 0.6, "iron_red": 0.06, "iron_blue": 0.04}
_BLOCKS = 12  # along each side of an image
_BACKGROUND = 1.0 + 0.5 * np.sin(np.arange(65) / 5)


def demo():
    """The kind of remnant that the demo has, deep."""
    return separate(_remnant(96, 3e6, seed=0), "snr-acis", smooth=False, progress=False)


def few_counts():
    """Two thousand photons, drawn again for their errors."""
    return separate(_remnant(48, 2000, seed=1), "snr-acis", smooth=False, n_resamplings=3, seed=4, progress=False)


def mosaic():
    """Two pointings with exposure maps, gaps between their chips, and a mask."""
    cubes = []
    for number, shift in enumerate((-9, 9)):
        y, x = np.indices((80, 72))
        exposure = np.exp(-((x - 36 - shift) ** 2 + (y - 40) ** 2) / 4000) * 30 * u.ks
        exposure[:, 20 + 3 * number] = exposure[50 - number] = 0 * u.ks
        relative = (exposure / exposure.max()).value
        cubes.append(_remnant((80, 72), 4e5, seed=2, photons=number, exposure=exposure, relative=relative))
    mask = np.zeros((80, 72), dtype=bool)
    mask[30:34, 40:43] = True
    return separate(EventCube.merge(cubes).with_mask(mask), "snr-acis", smooth=False, n_resamplings=2, progress=False)


def free_background():
    """A background of unknown amplitude that is not small."""
    cube = _remnant(64, 3e5, seed=3, background=1e5)
    background = ExpectedBackground(_BACKGROUND / _BACKGROUND.sum() * 5e4, free=True)
    return separate(cube, "snr-acis", smooth=False, background=background, n_resamplings=2, progress=False)


def msh1552():
    """The real nebula and remnant MSH 15-52, its pulsar masked."""
    pulsar = SkyCoord(228.4817, -59.1358, unit="deg")
    cube = EventCube.from_events(
        Path(DATA) / "events" / "msh1552_obs754_evt2.fits.gz", energy_edges=load_model("snr-acis").energy_edges,
        pixel_scale=3.936 * u.arcsec, center=pulsar, size=10 * u.arcmin,
    )  # fmt: skip
    mask = np.zeros(cube.data.shape[1:], dtype=bool)
    x, y = (round(float(value)) for value in cube.wcs.world_to_pixel(pulsar))
    mask[y - 2 : y + 3, x - 2 : x + 3] = True
    return separate(cube.with_mask(mask), "snr-acis", smooth=False, progress=False)


OBSERVATIONS = {each.__name__: each for each in (demo, few_counts, mosaic, free_background, msh1552)}
REAL = ("msh1552",)


def figures(name):
    """Figures of an observation's separation, arrays by name: spectra, images, errors, diagnostics."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeparationWarning)
        result = OBSERVATIONS[name]()
    names = result.names
    region = np.zeros(result.cube.data.shape[1:], dtype=bool)
    region[: len(region) // 2] = True
    regional = result.region_spectra(region)
    found = {
        "SPECTRA": np.column_stack([result.spectra[each].value for each in names]),
        "REGION": np.column_stack([regional[each].value for each in names]),
        "REGION_ERR": np.column_stack([regional[f"{each}_err"].value for each in names]),
        "IMAGES": np.array([_blocks(result.images[each].data) for each in names]),
        "PIXELS": np.array([np.nansum(result.images[each].data ** 2) for each in names]),
        "RESIDUAL": np.nansum(result.residuals.data, axis=(1, 2)),
    }
    if f"{names[0]}_err" in result.spectra.colnames:
        found["SPECTRA_ERR"] = np.column_stack([result.spectra[f"{each}_err"].value for each in names])
        found["IMAGES_ERR"] = np.array([_blocks(result.images[each].uncertainty.array) for each in names])
    for column in result.diagnostics.itercols():
        if column.info.name != "component":
            found[column.info.name.upper()] = np.asarray(column, dtype=float)
    numbers = {key: value for key, value in sorted(result.diagnostics.meta.items()) if not isinstance(value, str)}
    found |= {key.upper(): np.array([float(value)]) for key, value in numbers.items()}
    return found


def _blocks(image):
    # Sums over some hundred blocks: enough to see any change, and small enough to be kept.
    image = np.nan_to_num(image)
    rows, columns = (np.linspace(0, side, _BLOCKS, endpoint=False).astype(int) for side in image.shape)
    return np.add.reduceat(np.add.reduceat(image, rows, axis=0), columns, axis=1)


def _remnant(shape, counts, *, seed, photons=0, exposure=None, relative=1.0, background=0.0):
    rows, columns = np.broadcast_to(shape, 2)
    library = SpectralLibrary.from_file("snr-acis")
    spectra = library.draw(1, seed)[0]
    spectra /= spectra.sum(axis=0)
    images = remnant_images(max(rows, columns), seed)
    planes = np.array([SHARES[name] * counts * images[name][:rows, :columns] for name in library.component_names])
    mean = np.tensordot(spectra, planes, 1) * relative
    if background:
        mean = mean + (background / _BACKGROUND.sum() / mean[0].size * _BACKGROUND)[:, np.newaxis, np.newaxis]
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [350.85, 58.81]
    wcs.wcs.cdelt, wcs.wcs.crpix = [-1 / 3600, 1 / 3600], [columns / 2, rows / 2]
    data = np.random.default_rng([seed, photons]).poisson(mean).astype(np.int32)
    return EventCube(data, energy_edges=library.energy_edges, wcs=wcs, exposure=exposure, meta={"EXPOSURE": 3e4})


def write_reference(path=REFERENCE):
    """Write the figures of all observations: a table of one row for each."""
    hdus = [fits.PrimaryHDU()]
    for name in OBSERVATIONS:
        columns = [
            fits.Column(key, f"{values.size}D", dim=f"({','.join(map(str, values.shape[::-1]))})", array=[values])
            for key, values in figures(name).items()
        ]
        hdus.append(fits.BinTableHDU.from_columns(columns, name=name))
    fits.HDUList(hdus).writeto(path, overwrite=True)


def read_reference(name, path=REFERENCE):
    """Read what `write_reference` wrote of one observation."""
    with fits.open(path) as hdulist:
        return {key: np.atleast_1d(hdulist[name].data[key][0]) for key in hdulist[name].columns.names}


def difference(values, reference):
    """Largest difference, relative to the largest value of the reference."""
    return float(np.abs(values - reference).max() / max(np.abs(reference).max(), 1e-12))


def compare():
    """Print how far each observation's figures are from the reference, the farthest first."""
    for name in OBSERVATIONS:
        found, reference = figures(name), read_reference(name)
        moved = {key: difference(found[key], reference[key]) for key in reference if key in found}
        farthest = sorted(moved, key=moved.get, reverse=True)[:5]
        print(f"{name}:", ", ".join(f"{key} {moved[key]:.1e}" for key in farthest))
        if set(found) != set(reference):
            print(f"    not in both: {', '.join(set(found) ^ set(reference))}")


if __name__ == "__main__":
    write_reference() if "--write" in sys.argv else compare()
