"""Exposure that differs with energy: maps at a few energies, and what they are in the bins of a cube."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from .._files import naming, open_fits
from ..grid.energies import as_energy_edges
from ..grid.sky import celestial_cards
from .exposure import checked_exposure, open_exposure, read_exposure
from .psf_checks import checked_nodes
from .psf_file import plane_nodes
from .psf_nodes import mean_tents

__all__ = ["ExposureMaps", "Vignetting"]

_TOLERANCE = 1e-3  # of the largest singular value: patterns that hold less are left out


@dataclass(frozen=True, eq=False)
class Vignetting:
    r"""How the exposure of pixels depends on energy, relative to its mean over energies.

    In bin i and pixel j the exposure is as many times that mean as :math:`V_{ij} = \sum_r e_{ir}\, p_{rj}`.

    Parameters
    ----------
    energies : `~numpy.ndarray`, shape (m, R)
        The factors e of the energy bins.
    places : `~numpy.ndarray`, shape (R, ...)
        The factors p of pixels; of either sign.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.instrument import Vignetting
    >>> vignetting = Vignetting(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[1.0, 1.2], [1.0, 0.8]]))
    >>> vignetting.transmission(np.array([[3.0], [1.0]]) / 4)
    array([[1.  , 1.15]])
    """

    energies: np.ndarray
    places: np.ndarray

    def of_pixels(self, pixels: np.ndarray | tuple) -> Self:
        """Give that of some pixels: a mask, indices, or slices."""
        return type(self)(self.energies, self.places[(slice(None), *np.index_exp[pixels])])

    def transmission(self, spectra: np.ndarray) -> np.ndarray:
        """Give the part of vectors, (m, R), that is left in each pixel, summed over the energies: (R, t)."""
        return np.tensordot(spectra.T @ self.energies, self.places, 1)

    def expanded(self, basis, amounts, owners):
        """Give vectors, (m, R), their amounts in pixels, (R, t), and their owners, (R,), as they are detected."""
        n = self.energies.shape[1]
        vectors = np.concatenate([basis * each[:, np.newaxis] for each in self.energies.T], axis=1)
        return vectors, np.concatenate([amounts * place for place in self.places]), np.tile(owners, n)

    def in_blocks(self, spectra: np.ndarray, counts: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Give the mean over blocks of pixels, (b, m).

        Parameters
        ----------
        spectra : `~numpy.ndarray`, shape (m, n)
        counts : `~numpy.ndarray`, shape (t,)
            Detected in each pixel: by these over what is left of the spectra pixels are weighted.
        labels : `~numpy.ndarray` of int, shape (t,)
            The block of each pixel.
        """
        left = self.transmission(spectra.mean(axis=1, keepdims=True) / spectra.mean(axis=1).sum())[0]
        bright = np.maximum(counts, 0.0) / np.maximum(left, 1e-3)
        bright += 1e-6 * bright.mean() + 1e-30  # in blocks without any
        whole = np.bincount(labels, bright)
        sums = np.stack([np.bincount(labels, bright * each) for each in self.places], axis=1)
        return sums / whole[:, np.newaxis] @ self.energies.T


@dataclass(frozen=True, eq=False, repr=False)
class ExposureMaps:
    """Exposure maps at several energies, since mirrors lose more of the photons off their axis the harder these are.

    Between the energies maps are interpolated linearly, and beyond them the nearest one holds.

    Parameters
    ----------
    maps : sequence, or `~astropy.units.Quantity` or array_like, shape (k, ny, nx)
        For each energy what `Instrument` takes as an exposure map, such as a FITS file; all in one unit. Maps in s, and
        relative ones, are taken at their word. Of maps in cm2 s each is divided by its largest value on the cube's
        pixels: how the area depends on energy is what the response says, which must be that of this place.
    energies : `~astropy.units.Quantity`, shape (k,)
        Increasing.

    Raises
    ------
    OSError
        If a file cannot be read.
    TypeError, ValueError
        If there are not as many maps as energies, these do not increase, or a map is none or in another unit.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astro_lpalm.instrument import ExposureMaps
    >>> ExposureMaps(np.array([[[1.0, 0.8]], [[1.0, 0.5]]]) * 30 * u.ks, [1, 6] * u.keV)
    <ExposureMaps: 2 maps from 1 to 6 keV>
    """

    maps: Sequence | u.Quantity | np.ndarray
    energies: u.Quantity

    def __post_init__(self):
        energies = checked_nodes(self.energies, "energies", u.keV)
        if energies is None or len(self.maps) != len(energies):
            n = 0 if energies is None else len(energies)
            msg = f"there are {len(self.maps)} exposure maps at {n} energies; give one energy for each map."
            raise ValueError(msg)
        maps = []
        for each in self.maps:
            if isinstance(each, list | tuple | np.ndarray):
                maps.append(checked_exposure(each, np.shape(each)))
                continue
            with naming(each):
                maps.append(open_exposure(each))
        units = {_unit(each) for each in maps}
        if len(units) > 1:
            msg = f"the exposure maps are in different units, {', '.join(sorted(units))}; give all in one."
            raise ValueError(msg)
        object.__setattr__(self, "maps", tuple(maps))
        object.__setattr__(self, "energies", energies)

    @classmethod
    def read(cls, path: str | os.PathLike) -> Self:
        """Read a stack: a FITS image of three axes, the third of which is energy.

        Parameters
        ----------
        path : str or `os.PathLike`
            The file, or ``"file.fits[EXTENSION]"``. Energies are those of a table ENERGIES with a column ENERGY, of
            EBOUNDS, or of the axis itself: CTYPE3 = 'ENERGY', with CUNIT3, CRVAL3, CRPIX3 and CDELT3. They are never
            guessed. The unit of the maps is BUNIT.

        Returns
        -------
        ExposureMaps

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If there is no such image, or its energies are not told; names the file.
        """
        with naming(path), open_fits(path) as hdulist:
            stacks = [hdu for hdu in hdulist if hdu.is_image and hdu.header["NAXIS"] == 3 and hdu.data is not None]
            if len(stacks) != 1:
                msg = f"there are {len(stacks)} images of three axes; exposure maps over energy are one (y, x, energy)."
                raise ValueError(msg)
            (hdu,) = stacks
            nodes, cards = plane_nodes("energy", hdu.header, hdulist, "exposure"), celestial_cards(hdu.header)
            if "BUNIT" in hdu.header:
                cards["BUNIT"] = hdu.header["BUNIT"]
            order = np.argsort(nodes.value)
            planes = [fits.ImageHDU(np.array(hdu.data[i], dtype=float), cards) for i in order]
            return cls(planes, nodes[order])

    def exposures_on(self, wcs: WCS, shape: tuple[int, int]) -> u.Quantity:
        """Give the maps on the pixels of images, (k, ny, nx), those in cm2 s relative to their largest values."""
        planes = u.Quantity([read_exposure(each, wcs, shape) for each in self.maps])
        if planes.unit.is_equivalent(u.s) or planes.unit == u.dimensionless_unscaled:
            return planes
        peaks = planes.max(axis=(1, 2), keepdims=True)
        return planes / peaks * peaks.mean()

    def on(self, wcs: WCS, shape: tuple[int, int], energy_edges: u.Quantity) -> tuple[u.Quantity, Vignetting]:
        """Give the exposure in each pixel and energy bin of a cube.

        Parameters
        ----------
        wcs : `~astropy.wcs.WCS`
            Celestial, of the images.
        shape : tuple of int
            Theirs, (ny, nx).
        energy_edges : `~astropy.units.Quantity`, shape (m + 1,)

        Returns
        -------
        exposure : `~astropy.units.Quantity`, shape (ny, nx)
            The mean of the maps.
        vignetting : Vignetting
            How many times that it is in each bin.
        """
        planes = self.exposures_on(wcs, shape)
        mean = planes.mean(axis=0)
        ratios = np.where(mean.value > 0, planes.value / np.where(mean.value > 0, mean.value, 1.0), 1.0)
        weights = mean_tents(as_energy_edges(energy_edges).value, self.energies.value)
        left, sizes, right = np.linalg.svd(ratios.reshape(len(ratios), -1), full_matrices=False)
        used = sizes > _TOLERANCE * sizes[0]
        scale = np.sqrt(right.shape[1])
        places = (scale * right[used]).reshape(-1, *shape)
        return mean, Vignetting(weights @ (left[:, used] * sizes[used]) / scale, places)

    def __repr__(self):
        first, last = self.energies.value[[0, -1]]
        return f"<{type(self).__name__}: {len(self.maps)} maps from {first:g} to {last:g} keV>"


def _unit(exposure):
    return str(exposure.unit) if isinstance(exposure, u.Quantity) else exposure.header.get("BUNIT", "").strip()
