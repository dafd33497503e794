"""Two observations of unlike roll, response and PSF: each alone, their stack, and together. Prints a table.

    python benchmarks/joint.py [--seeds 10] [--first-seed 0] [--counts 30] [--pixels 64] [--no-maps]

Skies are the images of cases/worlds.py beside ASTRO_LPALM_DATA ("varying"), with the spectra of snr-acis, whose kT
differs from place to place as the world's does. The first observation is ACIS-S with a PSF of 2 pixels FWHM, the
second one EPIC MOS with 3 pixels, of about as many counts; gaps of three pixels cross the field, in the second turned
by 35 degrees, and one of its corners is not seen. The stack is the sum of both with the mean response, the summed
exposure and the sharper PSF, which is better than the mean one: that sharpens too much. All are separated with
maps=["thermal.kT"], everything free. Mean and scatter over the seeds:

- NMSE of the smooth images of synchrotron and thermal emission, over the exposure, against the unblurred truth: of the
  pixels that both have seen, and of the whole field, where what is not seen is zero;
- error of their energy fluxes before absorption, of the pixels that were seen, with the pulls, and of synchrotron's
  photon index and the mean kT;
- rms error of the map of ln kT, weighted with the thermal image.
"""

import argparse
import time
import warnings

import astropy.units as u
import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from fluxes import TRUTH, load_worlds
from scipy.ndimage import gaussian_filter

from astro_lpalm import EventCube, Instrument, load_model, separate
from astro_lpalm.instrument import merge_responses
from astro_lpalm.missions import approximate_response

WIDTHS = 2.0, 3.0  # pixels of 1 arcsec, FWHM
SECONDS = 1e5, 1e5
TURNS = 0.0, 35.0
SHOWN = "synchrotron", "thermal"


def exposures(n):
    """Relative exposures: gaps, turned, and a corner that the second observation does not see."""
    y, x = np.indices((n, n)) - n / 2 + 0.5
    found = []
    for turn in np.radians(TURNS):
        across = np.abs(x * np.cos(turn) + y * np.sin(turn) - 0.1 * n)
        along = np.abs(y * np.cos(turn) - x * np.sin(turn) + 0.15 * n)
        found.append(np.where((across < 1.5) | (along < 1.5), 0.0, 1.0))
    found[1][(x + y) > 0.6 * n] = 0.0
    return found


class Sky:
    """A world with own spectra, and its two observations."""

    def __init__(self, world, model, instruments, counts, seed, n):
        sky = world("varying", counts, seed, n)
        self.images = np.array([*sky.images.values()])
        self.names, self.kT = list(sky.images), sky.maps["kT"]
        physics = model.physics
        self.theta = physics.scaled([TRUTH[each.component][each.name] for each in physics.parameters])
        (self.place,) = [i for i, each in enumerate(physics.parameters) if each.name == "kT"]
        # amplitudes of the images: as many counts in the first observation as the world has
        at = physics.rates(self.theta)
        self.amplitudes = self.images / (at.sum(axis=0) * SECONDS[0])[:, np.newaxis, np.newaxis]
        self.thermal = self.names.index("thermal")
        rng, self.cubes = np.random.default_rng([seed, 11]), []
        for number, (instrument, exposure) in enumerate(zip(instruments, exposures(n))):
            expected = self._expected(model.through(instrument).physics) * SECONDS[number]
            width = np.hypot(WIDTHS[number] / 2.3548, 12**-0.5)  # as of a point, seen by pixels
            expected = gaussian_filter(expected, (0, width, width), mode="constant")
            cube = EventCube(
                rng.poisson(expected * exposure).astype(np.float32),
                energy_edges=sky.edges * u.keV,
                wcs=sky.cube().wcs,
                exposure=exposure * SECONDS[number] * u.s,
                meta={"OBS_ID": f"{number}", "EXPOSURE": SECONDS[number]},
            )
            self.cubes.append(cube)

    def _expected(self, physics):
        rates, k = physics.rates(self.theta), self.thermal
        expected = np.einsum("ik,kyx->iyx", rates, self.amplitudes) - np.multiply.outer(rates[:, k], self.amplitudes[k])
        nodes = np.linspace(0, 1, 60)
        thetas = np.tile(self.theta, (len(nodes), 1))
        thetas[:, self.place] = nodes
        table = physics.rates(thetas)[..., k]
        x = np.clip(physics.parameters[self.place].scaled(self.kT), 0, 1) * (len(nodes) - 1)
        low = np.minimum(x.astype(int), len(nodes) - 2)
        part = (x - low)[..., np.newaxis]
        local = table[low] * (1 - part) + table[low + 1] * part
        return expected + (local * self.amplitudes[k][..., np.newaxis]).transpose(2, 0, 1)

    def figures(self, result, physics):
        """Compare a result with the truth."""
        found, table, kept = {}, result.parameters, ~result.cube.pixel_mask
        flux = self.amplitudes[:, kept].sum(axis=1) * physics.energy_flux(self.theta)
        local = np.tile(self.theta, (np.count_nonzero(kept), 1))
        local[:, self.place] = np.clip(physics.parameters[self.place].scaled(self.kT[kept]), 0, 1)
        flux[self.thermal] = self.amplitudes[self.thermal][kept] @ physics.energy_flux(local)[:, self.thermal]
        for name in SHOWN:
            k = self.names.index(name)
            smooth = np.nan_to_num(result.smooth_images[name].data) / result.cube.relative_exposure
            smooth *= self.images[k][~result.cube.pixel_mask].sum() / smooth.sum()
            both = ~(self.cubes[0].pixel_mask | self.cubes[1].pixel_mask)
            for where, seen in (("nmse", both), ("whole", np.ones_like(both))):
                off = smooth - self.images[k]
                found[f"{where} {name}"] = np.sum(off[seen] ** 2) / np.sum(self.images[k][seen] ** 2)
            (row,) = table[(table["component"] == name) & (table["parameter"] == "flux")]
            found[f"flux {name}"] = row["value"] / flux[k] - 1
            found[f"pull {name}"] = (row["value"] - flux[k]) / (0.5 * (row["error_low"] + row["error_high"]))
        mean = np.average(self.kT, weights=self.images[self.thermal])
        for name, true in (("photon_index", TRUTH["synchrotron"]["photon_index"]), ("kT", mean)):
            (row,) = table[table["parameter"] == name]
            found[name] = row["value"] / true - 1
        if "thermal" in result.parameter_maps:
            made = result.parameter_maps["thermal"]["kT"].data
            weights = np.where(np.isfinite(made), self.images[self.thermal], 0.0)
            off = np.where(np.isfinite(made), np.log(np.nan_to_num(made, nan=1.0) / self.kT), 0.0)
            found["map"] = np.sqrt(np.average(off**2, weights=weights))
        return found


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--counts", type=float, default=30)
    parser.add_argument("--pixels", type=int, default=64)
    parser.add_argument("--no-maps", action="store_true")
    options = parser.parse_args()
    model, world = load_model("snr-acis"), load_worlds()
    responses = [approximate_response(model.energy_edges, name) for name in ("acis-s", "epic-mos")]
    instruments = [Instrument(response=each, psf=width * u.arcsec) for each, width in zip(responses, WIDTHS)]
    stacked = Instrument(response=merge_responses(responses, SECONDS), psf=WIDTHS[0] * u.arcsec)
    rows = {name: [] for name in ("first alone", "second alone", "stack", "together")}
    maps = {} if options.no_maps else {"maps": "thermal.kT"}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        sky = Sky(world, model, instruments, options.counts, seed, options.pixels)
        given = {
            "first alone": (sky.cubes[0], instruments[0]),
            "second alone": (sky.cubes[1], instruments[1]),
            "stack": (EventCube.merge(sky.cubes), stacked),
            "together": (sky.cubes, instruments),
        }
        for name, (cube, instrument) in given.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AstropyUserWarning)
                start = time.perf_counter()
                result = separate(cube, model, instrument=instrument, **maps)
            rows[name].append(sky.figures(result, model.physics) | {"seconds": time.perf_counter() - start})
            print(seed, name, {key: round(float(value), 4) for key, value in rows[name][-1].items()}, flush=True)
    show(rows)


def show(rows):
    """Print mean and scatter."""
    keys = [*dict.fromkeys(key for each in rows.values() for row in each for key in row)]
    print(f"\n{'':22}" + "".join(f"{name:>24}" for name in rows))
    for key in keys:
        line = f"{key:<22}"
        for each in rows.values():
            values = np.array([row.get(key, np.nan) for row in each])
            scatter = values.std(ddof=1) if len(values) > 1 else 0.0
            line += f"{values.mean():>14.4f} +- {scatter:<7.4f}"
        print(line)


if __name__ == "__main__":
    main()
