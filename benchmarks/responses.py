"""The approximate response of ACIS-S next to real ones: effective area and width of a line, by energy.

    python benchmarks/responses.py DIRECTORY [ARF ...]

DIRECTORY holds the files named below; more ARFs of the chip S3 may follow. Each area is divided by the real one, both
averaged over 0.1 keV: with the contamination of the epoch of the observation, and as it is without an epoch. Widths
(full, at half of the largest) are divided by those of the real redistribution.
"""

import argparse
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.time import Time

from astro_lpalm.instrument import Response
from astro_lpalm.missions import approximate_response

GRATING = "ObsID 459"  # seen through one: its area is none of ACIS alone
RESPONSES = {
    GRATING: ("3c273.arf", "3c273.rmf"),
    "ObsID 1575": ("acisf01575_001N001_r0085_arf3.fits.gz", "acisf01575_001N001_r0085_rmf3.fits.gz"),
    "ObsID 19919": ("acis_snr.arf", "acis_snr.rmf.gz"),
}
ENERGIES = np.array([0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5, 1.8, 2.0, 2.2, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
HALF_BIN = 0.05  # keV
CHANNELS = 0.0146 * np.arange(21, 681)  # keV


def approximate(epoch):
    """Approximate response in channels as wide as those of PI."""
    return approximate_response(CHANNELS, "acis-s", epoch=epoch)


def areas(energy, area):
    """Mean of an effective area around each of the energies."""
    return np.array([area[np.abs(energy - each) < HALF_BIN].mean() for each in ENERGIES])


def centres(edges):
    """Centres of bins, keV."""
    edges = edges.to_value(u.keV)
    return 0.5 * (edges[1:] + edges[:-1])


def widths(response):
    """Full width at half maximum of a line at each of the energies, eV."""
    true, channels = centres(response.energy_edges), centres(response.channel_edges)
    density = 1 / np.diff(response.channel_edges.to_value(u.keV))
    found = []
    for each in ENERGIES:
        line = response.matrix[[np.argmin(np.abs(true - each))]].toarray()[0] * density
        half, above = 0.5 * line.max(), np.flatnonzero(line >= 0.5 * line.max())
        first, last = np.array([above[0] - 1, above[0]]), np.array([above[-1] + 1, above[-1]])
        found.append(1e3 * np.diff([np.interp(half, line[flank], channels[flank]) for flank in (first, last)])[0])
    return np.array(found)


def real_area(path):
    """Name, epoch, energies (keV) and effective area of an ARF."""
    with fits.open(path) as hdulist:
        data, header = hdulist["SPECRESP"].data, hdulist["SPECRESP"].header
        energy = 0.5 * (data["ENERG_LO"] + data["ENERG_HI"])
        epoch = Time(header["DATE-OBS"]).decimalyear
        return f"ObsID {header['OBS_ID']}", epoch, energy.astype(float), data["SPECRESP"].astype(float)


def show(what, values):
    """Print a row of the table."""
    print(f"{what:<28}" + " ".join(f"{value:5.2f}" for value in values))


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("arf", nargs="*", type=Path)
    options = parser.parse_args()
    files = {name: (options.directory / arf, options.directory / rmf) for name, (arf, rmf) in RESPONSES.items()}
    show("keV", ENERGIES)
    for path in [arf for name, (arf, _) in files.items() if name != GRATING] + options.arf:
        name, epoch, *real = real_area(path)
        for when in (epoch, None):
            response = approximate(when)
            area = areas(centres(response.energy_edges), np.asarray(response.matrix.sum(axis=1)).ravel())
            show(f"area, {name}, {'no epoch' if when is None else f'{when:.2f}'}", area / areas(*real))
    ours = widths(approximate(None))
    for name, (arf, rmf) in files.items():
        show(f"width, {name}", ours / widths(Response.read(arf, rmf)))


if __name__ == "__main__":
    main()
