"""Component spectra in a part of the sky."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.wcs.utils import proj_plane_pixel_area

from ..cube.masking import read_mask
from ..trust.errors import region_errors, variance_inflation

__all__ = ["region_pixels", "region_table", "spectra_of_region"]


@dataclass(frozen=True)
class Spectra:
    """Spectra to be written.

    Attributes
    ----------
    counts, errors : `~numpy.ndarray`, shape (m, n)
    share : float
        Of the unmasked pixels.
    """

    counts: np.ndarray
    errors: np.ndarray
    share: float


def region_pixels(separation, region):
    """Find the unmasked pixels that lie in a region: shape (t,), of bool."""
    inside = read_mask(region, separation.cube, is_mask=False)[~separation.cube.pixel_mask]
    if not inside.any():
        msg = "every pixel of the region is masked in the cube, so that there are no counts in it."
        raise ValueError(msg)
    return inside


def region_table(separation, region):
    """Tabulate spectra in a region; see `Separation.region_spectra`."""
    inside, cube = region_pixels(separation, region), separation.cube
    counts = separation.fit.component_spectra(inside)
    errors = region_errors(separation.fit, inside, separation.spectra_uncertainty)
    data = cube.counts.of_pixels(np.flatnonzero(inside)).spectrum()
    table = QTable({"energy_lo": cube.energy_edges[:-1], "energy_hi": cube.energy_edges[1:], "data": data * u.count})
    for name, column, error in zip(separation.names, counts.T, errors.T):
        table[name], table[f"{name}_err"] = column * u.count, error * u.count
    table["residual"] = (data - _expected_in(separation, inside)) * u.count
    n_pixels = int(np.count_nonzero(inside))
    table.meta["n_pixels"] = n_pixels
    table.meta["area"] = (n_pixels * proj_plane_pixel_area(cube.wcs) * u.deg**2).to(u.arcmin**2)
    return table


def _expected_in(separation, inside):
    return np.array([expected[inside].sum() for _, expected in separation.fit.rows()])


def spectra_of_region(separation, region):
    """Subtract the other components from the data of a region; see the Notes of `Separation.write_pha`."""
    table, inside = region_table(separation, region), region_pixels(separation, region)
    residual = table["residual"].value
    counts = np.column_stack([table[name].value + residual for name in separation.names])
    variance = np.maximum(_expected_in(separation, inside), 1)
    errors = np.sqrt(np.outer(variance, variance_inflation(separation.mixing, variance)))
    return Spectra(counts, errors, float(inside.mean()))
