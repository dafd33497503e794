"""Smooth images and maps of parameters on skies that vary, blur and overlap: prints tables.

    python benchmarks/maps.py [worlds] [lines] [psf] [stationary] [--seeds 10] [--first-seed 0] [--worlds varying ...]
                              [--counts 30 300] [--own]

Skies are those of cases/worlds.py beside ASTRO_LPALM_DATA, separated by `separate(cube, "snr-acis", maps=True)`; all
parameters are free. For each kind of world and number of counts a pixel, mean and scatter over the seeds:

- worlds: bias of the fluxes of synchrotron and thermal emission and pulls (error over stated error); NMSE of all smooth
  images, how many times that is below the NMSE of least squares with the true mean spectra, and the share of counts by
  which the sum of the images is off; rms error of the maps of ln kT, photon index and velocity, weighted with the
  component's image, and the scatter of their pulls where they are decided; seconds. With --own, counts are drawn again
  with this package's spectra for the same parameters (see fluxes.py).
- lines: one iron line whose velocity goes from one end of +-2000 or +-4000 km/s to the other, over a thermal continuum:
  flux bias, and rms error of the velocity in parts of the range.
- psf: worlds blurred by a Gaussian of 2 pixels FWHM, and by one that grows from 1.5 to 3 pixels with energy: NMSE of
  smooth images against the unblurred truth, with and without the point spread function given, and of least squares; and
  the width of filaments of one pixel.
- stationary: worlds where nothing varies: maps made, and images with maps=True and without.
"""

import argparse
import time
import warnings
from dataclasses import replace

import astropy.units as u
import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS
from fluxes import TRUTH, load_worlds
from scipy.ndimage import gaussian_filter

from astro_lpalm import EventCube, Instrument, load_model, separate
from astro_lpalm.forward import demixing_matrix
from astro_lpalm.instrument import PSF
from astro_lpalm.separation import Factorization
from astro_lpalm.spectra import ParametricSpectra, SpectralLibrary

KINDS = "varying", "varying:0.3", "casa", "separate"
MAPS = {"kT": np.log, "photon_index": np.asarray, "velocity": np.asarray}


def nmse(found, true):
    """Squared error over the squares of the truth."""
    return float(np.sum((found - true) ** 2) / np.sum(true**2))


def spread(values, scale=1.0, digits=1):
    """Format mean and scatter."""
    values = scale * np.asarray([value for value in values if np.isfinite(value)])
    if not len(values):
        return "-"
    scatter = values.std(ddof=1) if len(values) > 1 else 0.0
    return f"{values.mean():+.{digits}f} +- {scatter:.{digits}f}"


def quietly(cube, *args, **kwargs):
    """Separate without warnings; gives the result and seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)
        start = time.perf_counter()
        result = separate(cube, *args, progress=False, **kwargs)
        return result, time.perf_counter() - start


def least_squares(world):
    """Images by least squares with the true mean spectra."""
    A = np.array([spectrum / spectrum.sum() for spectrum in world.spectra.values()]).T
    X = world.counts.reshape(len(A), -1)
    solve = demixing_matrix(A, np.maximum(X.sum(axis=1), 1.0))
    return (solve @ X).reshape(-1, *world.counts.shape[1:])


def figures(world, result):
    """Compare a result with the truth: a dict of numbers."""
    found, unbiased = {}, least_squares(world)
    errors = dict(zip(result.names, result.diagnostics["counts_err"].value))
    for k, (name, image) in enumerate(world.images.items()):
        counts = np.nansum(result.images[name].data)
        smooth = result.smooth_images[name].data
        found[f"bias {name}"] = counts / image.sum() - 1
        found[f"pull {name}"] = (counts - image.sum()) / errors[name]
        found[f"nmse {name}"] = nmse(smooth, image)
        found[f"gain {name}"] = nmse(unbiased[k], image) / found[f"nmse {name}"]
    found["total"] = sum(image.data.sum() for image in result.smooth_images.values()) / world.counts.sum() - 1
    for component, maps in result.parameter_maps.items():
        for parameter, made in maps.items():
            found[f"made {component} {parameter}"] = 1.0
            if parameter not in MAPS or component not in ("thermal", "synchrotron"):
                continue
            value, true = MAPS[parameter](made.data), MAPS[parameter](world.maps[parameter])
            error = made.uncertainty.array / (made.data if parameter == "kT" else 1.0)
            image = world.images[component]
            found[f"rms {parameter}"] = np.sqrt(np.average((value - true) ** 2, weights=image))
            found[f"pulls {parameter}"] = np.sqrt(np.mean(((value - true) / error)[~made.mask] ** 2))
            found[f"decided {parameter}"] = np.average(~made.mask, weights=image)
    return found


def with_own_spectra(world, physics, seed):
    """Draw the counts of a world again, with the spectra of a model in each pixel."""
    n = len(world.counts[0])
    theta = np.tile([TRUTH[each.component][each.name] for each in physics.parameters], (n * n, 1)).astype(float)
    for p, each in enumerate(physics.parameters):
        if each.name in world.maps and each.component in ("thermal", "synchrotron"):
            theta[:, p] = world.maps[each.name].ravel()
    made, expected, totals = physics.spectra(physics.scaled(theta)), 0.0, {}  # (t, m, n)
    for k, name in enumerate(world.images):
        part = made[..., k].T * world.images[name].ravel()
        expected, totals[name] = expected + part, part.sum(axis=1)
    counts = np.random.default_rng([seed, 5]).poisson(expected).reshape(-1, n, n)
    return replace(world, counts=counts, spectra=totals)


def worlds(options, world):
    """Print the table of the worlds."""
    physics = load_model("snr-acis").physics
    for kind in options.worlds:
        for counts in options.counts:
            rows = []
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                sky = world(kind, counts, seed)
                if options.own:
                    sky = with_own_spectra(sky, physics, seed)
                result, seconds = quietly(sky.cube(), "snr-acis", maps=True)
                rows.append(figures(sky, result) | {"seconds": seconds})
            show(f"{kind}, {counts:g} counts a pixel", rows)


def show(title, rows):
    """Print what is known of the rows."""

    def column(key):
        return [row.get(key, np.nan) for row in rows]

    print(f"\n{title} ({len(rows)} seeds; {np.mean(column('seconds')):.1f} s)")
    names = [key.removeprefix("nmse ") for key in rows[0] if key.startswith("nmse ")]
    for name in names:
        print(
            f"  {name:<12} flux {spread(column(f'bias {name}'), 100):>14} %, pull "
            f"{spread(column(f'pull {name}'), digits=2)}; NMSE {np.mean(column(f'nmse {name}')):.2e}, "
            f"{np.mean(column(f'gain {name}')):.1f} times below least squares "
            f"(least {np.min(column(f'gain {name}')):.1f})"
        )
    print(f"  sum of the smooth images {spread(column('total'), 100, 3)} %")
    keys = sorted({key for row in rows for key in row})
    for key in keys:
        if key.startswith("rms "):
            name = key.removeprefix("rms ")
            print(
                f"  {name:<12} made in {np.isfinite(column(key)).sum()}; rms error {spread(column(key), digits=4)}; "
                f"rms of pulls {spread(column(f'pulls {name}'), digits=2)}; "
                f"decided {np.nanmean(column(f'decided {name}')):.0%}"
            )
    others = {key.removeprefix("made "): int(np.nansum(column(key))) for key in keys if key.startswith("made ")}
    print(f"  maps: {', '.join(f'{name} {times}' for name, times in others.items()) or 'none'}", flush=True)


_LINES = """
[energy]
range = [4.0, 8.0]
n_bins = 40

[response]
instrument = "acis-i"

[absorption]
nh = 1.0

[[components]]
name = "continuum"
model = "Synchrotron"
[components.parameters]
photon_index = [1.5, 3.5]

[[components]]
name = "iron"
model = "EmissionLine"
[components.parameters]
energy = 6.65
velocity = [-6000.0, 6000.0]
sigma = [1000.0, 3000.0]
"""


class _Library:
    """A solver that knows the components' spectra and nothing else."""

    def __init__(self, text):
        library = SpectralLibrary.from_text(text)
        self.energy_edges, self.component_names = library.energy_edges, library.component_names
        self.physics, self._mean = ParametricSpectra.from_library(library, tolerance=1e-3), library.draw(200, seed=0)

    def separate(self, X):
        return Factorization(self._mean.mean(axis=0), None, 0, True, {})


def lines(options, _):
    """Print what becomes of one line whose velocity goes across the field."""
    solver = _Library(_LINES)
    n, names = 64, [f"{each.component}.{each.name}" for each in solver.physics.parameters]
    y, x = (np.indices((n, n)) - (n - 1) / 2) / (n / 2)
    for largest in (2000.0, 4000.0):
        for counts in options.counts:
            rows = []
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                rng = np.random.default_rng([seed, 11])
                tilt = rng.uniform(0, 2 * np.pi)
                velocity = largest * np.clip(np.cos(tilt) * x + np.sin(tilt) * y, -1, 1)
                values = dict(zip(names, solver.physics.values(np.full(len(names), 0.5))))
                values |= {"continuum.photon_index": 2.5, "iron.sigma": 1500.0}
                table = np.tile([values[name] for name in names], (n * n, 1))
                table[:, names.index("iron.velocity")] = velocity.ravel()
                spectra = solver.physics.spectra(solver.physics.scaled(table))  # (t, m, n)
                image = np.exp(gaussian_filter(rng.normal(size=(n, n)), 4, mode="wrap") * 8)
                images = np.array([0.7, 0.3])[:, None, None] * counts * image / image.mean()
                images[1] *= np.exp(-(x**2 + y**2)) / np.exp(-(x**2 + y**2)).mean()
                expected = np.einsum("tmk,kt->mt", spectra, images.reshape(2, -1)).reshape(-1, n, n)
                wcs = world_wcs(n)
                cube = EventCube(rng.poisson(expected).astype(np.float32), energy_edges=solver.energy_edges, wcs=wcs)
                result, seconds = quietly(cube, solver, maps=True)
                row = {"seconds": seconds, "made": float("velocity" in result.parameter_maps.get("iron", {}))}
                for k, name in enumerate(result.names):
                    row[f"bias {name}"] = np.nansum(result.images[name].data) / images[k].sum() - 1
                if row["made"]:
                    off = result.parameter_maps["iron"]["velocity"].data - velocity
                    row["rms"] = np.sqrt(np.average(off**2, weights=images[1])) / (2 * largest)
                rows.append(row)
            bias = ", ".join(f"{name} {spread([row[f'bias {name}'] for row in rows], 100)} %" for name in result.names)
            rms = spread([row.get("rms", np.nan) for row in rows], 100)
            print(
                f"lines, +-{largest:g} km/s, {counts:g} counts a pixel: flux {bias}; velocity off by {rms} % of the "
                f"range, made in {sum(row['made'] for row in rows):.0f} of {len(rows)}",
                flush=True,
            )


def world_wcs(n):
    """Pixels of 1 arcsec."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [350.85, 58.81]
    wcs.wcs.crpix, wcs.wcs.cdelt = [n / 2 + 0.5] * 2, [-1 / 3600, 1 / 3600]
    return wcs


def stationary(options, world):
    """Print what becomes of worlds where nothing varies."""
    made, worse, beyond = [], [], []
    for seed in range(options.first_seed, options.first_seed + 2 * options.seeds):
        for kind in ("separate", "casa", "overlap:0.3"):
            counts = (3, 30, 300)[seed % 3]
            sky = world(kind, counts, seed)
            plain, _ = quietly(sky.cube(), "snr-acis")
            result, _ = quietly(sky.cube(), "snr-acis", maps=True)
            maps = {
                f"{component} {parameter}": each
                for component, those in result.parameter_maps.items()
                for parameter, each in those.items()
            }
            for name, each in maps.items():
                decided = ~each.mask
                value = each.data - np.average(each.data[decided]) if decided.any() else np.zeros(1)
                pulls = (value / each.uncertainty.array)[decided] if decided.any() else value
                beyond.append(np.sqrt(np.mean(pulls**2)))
                made.append(f"{kind} {counts} {seed}: {name} ({beyond[-1]:.2f} of its error)")
            for name, image in sky.images.items():
                worse.append(nmse(result.smooth_images[name].data, image) / nmse(plain.smooth_images[name].data, image))
    print(f"\nstationary: {len(worse) // 4} worlds, {len(made)} maps made")
    print(*(f"  {each}" for each in made), sep="\n")
    print(
        f"  NMSE of images over that without maps: mean {np.mean(worse):.3f}, largest {np.max(worse):.2f}", flush=True
    )


def blurred(world, images, widths, seed):
    """Draw the counts of a world again, with its images, (n, ny, nx), blurred by a Gaussian of each energy's FWHM."""
    rng = np.random.default_rng([seed, 7])
    spectra = np.array([spectrum / spectrum.sum() for spectrum in world.spectra.values()])
    counts = []
    for energy, width in enumerate(widths):
        plane = np.tensordot(spectra[:, energy], images, 1)
        counts.append(rng.poisson(gaussian_filter(plane, width / 2.3548, mode="constant")))
    cube = world.cube()
    return EventCube(np.array(counts, dtype=np.float32), energy_edges=cube.energy_edges, wcs=cube.wcs)


def psf(options, world):
    """Print what the point spread function does, and undoes."""
    cases = {
        "2 pixels": (lambda energy: np.full_like(energy, 2.0), Instrument(psf=2 * u.arcsec)),
        "1.5 to 3 pixels": (
            lambda energy: np.interp(energy, [0.5, 7.0], [1.5, 3.0]),
            Instrument(psf=PSF([1.5, 3.0] * u.arcsec, energies=[0.5, 7.0] * u.keV)),
        ),
    }
    for title, (width, instrument) in cases.items():
        for counts in options.counts:
            rows = []
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                sky = world("separate", counts, seed)
                images = np.array([*sky.images.values()])
                middle = 0.5 * (sky.edges[1:] + sky.edges[:-1])
                cube = blurred(sky, images, width(middle), seed)
                given, seconds = quietly(cube, "snr-acis", instrument=instrument)
                without, _ = quietly(cube, "snr-acis")
                row = {"seconds": seconds}
                for k, name in enumerate(sky.images):
                    row[f"with {name}"] = nmse(given.smooth_images[name].data, images[k])
                    row[f"without {name}"] = nmse(without.smooth_images[name].data, images[k])
                    row[f"least {name}"] = nmse(given.images[name].data, images[k])
                images[0], lines = with_filaments(images[0])
                cube = blurred(sky, images, width(middle), seed)
                for key, each in (("width", instrument), ("width before", None)):
                    made, _ = quietly(cube, "snr-acis", instrument=each)
                    row[key] = filament_width(made.smooth_images["synchrotron"].data, lines)
                rows.append(row)
            print(f"\npsf of {title}, {counts:g} counts a pixel ({np.mean([row['seconds'] for row in rows]):.1f} s)")
            for name in sky.images:
                given, without, least = (
                    np.array([row[f"{key} {name}"] for row in rows]) for key in ("with", "without", "least")
                )
                print(
                    f"  {name:<12} NMSE {given.mean():.2e}; {np.mean(without / given):.1f} times below that without "
                    f"the psf, {np.mean(least / given):.1f} (least {np.min(least / given):.1f}) below least squares"
                )
            print(
                f"  filaments of 1 pixel: FWHM {spread([row['width'] for row in rows], digits=2)} pixels, without the "
                f"psf {spread([row['width before'] for row in rows], digits=2)}",
                flush=True,
            )


def with_filaments(image):
    """Add bright lines of one pixel; gives the columns, too."""
    n = len(image)
    columns, image = [int(n * part) for part in (0.3, 0.5, 0.7)], image.copy()
    for column in columns:
        image[n // 4 : 3 * n // 4, column] += 10 * image.mean()
    return image, columns


def filament_width(image, columns):
    """Full width at half maximum of the mean profile across the lines, in pixels."""
    n, half = len(image), 6
    rows = image[n // 4 + 3 : 3 * n // 4 - 3]
    profile = np.mean([rows[:, c - half : c + half + 1].mean(axis=0) for c in columns], axis=0)
    profile = profile - np.median(np.r_[profile[:3], profile[-3:]])
    fine = np.linspace(0, 2 * half, 2001)
    level = np.interp(fine, np.arange(2 * half + 1), profile)
    return float(np.count_nonzero(level > 0.5 * profile[half]) * (fine[1] - fine[0]))


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"worlds": worlds, "lines": lines, "psf": psf, "stationary": stationary}
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=[*parts])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--worlds", nargs="+", default=list(KINDS))
    parser.add_argument("--counts", nargs="+", type=float, default=[30, 300])
    parser.add_argument("--own", action="store_true")
    options = parser.parse_args()
    for part in options.parts:
        parts[part](options, load_worlds())


if __name__ == "__main__":
    main()
