"""`EventCube`: counts on energy and sky, from event lists and images, to the matrix that solvers take and back."""

import copy

import astropy.units as u
import numpy as np
from astropy.nddata import NDData
from astropy.wcs.utils import proj_plane_pixel_scales

from .._files import naming
from ..grid.energies import as_energy_edges, describe_grid
from ..instrument.exposure import checked_exposure, read_exposure
from .checks import check_values, checked_mask, checked_wcs, native, nested_edges, warn_of_lost_counts
from .coordinates import celestial_header, full_wcs, moved_coordinates, whole_slices
from .counts import counts_of
from .exports import to_ndcube
from .io import CubeIO
from .masking import read_mask
from .photons import Photons
from .planes import Planes, is_stored

__all__ = ["EventCube"]


class EventCube(CubeIO, NDData):
    """Counts on a grid of energies and sky pixels.

    Parameters
    ----------
    data : array_like, Photons or Planes, shape (n_energy, ny, nx)
        Counts. Integers and floating-point numbers keep their type. An array is not copied where its byte order is
        the machine's, nor by methods that leave the counts as they are (`with_mask`, `with_exposure`): cubes are large.
        No method changes it; who changes it in place, changes it in all of these. `~astro_lpalm.cube.Photons` stay as
        they are: a cube that is mostly empty then takes no more memory than its photons. So do a memory map and an
        array of Dask, zarr or alike, which may be larger than memory: a few planes are read whenever they are asked
        for (`~astro_lpalm.cube.Planes`).
    energy_edges : `~astropy.units.Quantity`, shape (n_energy + 1,)
        Edges of the energy bins.
    wcs : `~astropy.wcs.WCS`
        Celestial coordinates of the image axes.
    mask : array_like of bool, shape (ny, nx) or (n_energy, ny, nx), optional
        True = excluded. A pixel that is excluded at any energy is excluded at all.
    meta : `~astropy.io.fits.Header`, optional
        The header that the cube came from. It is copied, as is the WCS.
    exposure : `~astropy.units.Quantity` or array_like, shape (ny, nx), optional
        Exposure of each pixel, the same at all energies: a time, an effective area times a time, or, without a unit,
        relative numbers. Pixels with less than 1 % of the largest exposure are masked.

    Attributes
    ----------
    data : `~numpy.ndarray`, shape (n_energy, ny, nx)
        Of photons, or planes that are stored elsewhere, an array that is laid out each time it is asked for: `counts`,
        `image`, `planes` and `shape` need none.
    mask : `~numpy.ndarray` of bool, shape (ny, nx), or None
        It holds at all energies: it broadcasts against ``data``.
    wcs : `~astropy.wcs.WCS`
        Two-dimensional and celestial; `wcs3d` has the energies too.
    unit : `~astropy.units.Unit`
        Counts.
    meta : mapping
        The header, or an empty mapping.
    exposure : `~astropy.units.Quantity`, shape (ny, nx), or None
        A copy, in the unit in which it was given.

    Raises
    ------
    ValueError
        If shapes do not agree, the WCS is not celestial, every pixel is masked or empty, an unmasked one holds
        NaN or infinity, or an exposure is negative or in another unit.

    See Also
    --------
    EventCube.from_events, EventCube.from_hdu, EventCube.read

    Notes
    -----
    ``cube[10:20]`` is a slice in energy, ``cube[:, 5:50, 8:40]`` one of the sky (y, x). It shares the counts; energies,
    WCS, header, mask and exposure go along. Slices have no steps, and an index would drop an axis: both are errors.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [350.85, 58.81]
    >>> wcs.wcs.cdelt, wcs.wcs.crpix = [-0.001, 0.001], [2, 1]
    >>> counts = np.arange(12).reshape(2, 2, 3)
    >>> cube = EventCube(counts, energy_edges=[0.5, 2, 7] * u.keV, wcs=wcs, mask=[[0, 0, 1], [0, 0, 0]])
    >>> cube.matrix()
    array([[ 0.,  1.,  3.,  4.,  5.],
           [ 6.,  7.,  9., 10., 11.]])
    >>> cube.image_of(cube.matrix().sum(axis=0))
    array([[ 6.,  8., nan],
           [12., 14., 16.]])
    >>> part = cube[1:, :, 1:]
    >>> part.data.shape, part.energy_edges
    ((1, 2, 2), <Quantity [2., 7.] keV>)
    """

    def __init__(self, data, *, energy_edges, wcs, mask=None, meta=None, exposure=None):
        if is_stored(data) and not isinstance(data, Photons):
            data = Planes.of(data)
        elif not isinstance(data, Photons):
            data = native(data.to_value(u.count) if isinstance(data, u.Quantity) else data)
        edges = as_energy_edges(energy_edges)
        if data.ndim != 3:
            msg = f"a cube has three dimensions, (energy, y, x), but the data have shape {data.shape}."
            raise ValueError(msg)
        if len(edges) != len(data) + 1:
            msg = (
                f"{len(data)} energies need {len(data) + 1} edges, but energy_edges has {len(edges)}: "
                f"{describe_grid(edges)}. The shape of the data, {data.shape}, must be (energy, y, x)."
            )
            raise ValueError(msg)
        self._energy_edges, self._exposure = edges, checked_exposure(exposure, data.shape[1:])
        # A header is changed by hand: it belongs to one cube alone, as does the WCS.
        super().__init__(data, mask=mask, wcs=checked_wcs(wcs).deepcopy(), meta=copy.deepcopy(meta), unit=u.count)

    def celestial_header(self):
        """Give the cards that an image on this grid must carry.

        Returns
        -------
        header : `~astropy.io.fits.Header`
            The 2-D celestial WCS, with the physical WCS, the reference frame and the date where the cube has them.

        Notes
        -----
        Where the cube came with a header, its cards are taken as they are: written anew they would be rounded.
        """
        return celestial_header(self.meta, self.wcs)

    @property
    def wcs3d(self):
        """Three-dimensional `~astropy.wcs.WCS`: the celestial axes and a third of energy.

        The third axis is in J, which the FITS standard prescribes. It is linear where bins are of equal width;
        otherwise it is tabulated (``ENER-TAB``) and linear within a bin. A copy; astropy cannot pickle the latter.
        """
        return full_wcs(self)

    def to_ndcube(self):
        """Make an ``ndcube.NDCube``, with the mask and `wcs3d`; see `astro_lpalm.cube.bridges.to_ndcube`.

        Returns
        -------
        ``ndcube.NDCube``

        Raises
        ------
        ImportError
            If ndcube is not installed.
        """
        return to_ndcube(self)

    @property
    def data(self):
        """Counts, `~numpy.ndarray` of shape (n_energy, ny, nx); of photons or stored planes, a new one each time.

        Raises
        ------
        ValueError
            If it is larger than memory.
        """
        return np.asarray(self._data)

    @property
    def is_sparse(self):
        """Whether the counts are kept as photons."""
        return isinstance(self._data, Photons)

    @property
    def is_lazy(self):
        """Whether the counts stay where they are stored, and are read plane by plane when they are asked for."""
        return isinstance(self._data, Planes)

    @property
    def photons(self):
        """Counts as `~astro_lpalm.cube.Photons`, which are made of an array of whole numbers where it has to be."""
        return self._data if self.is_sparse else Photons.of(self._data)

    @property
    def shape(self):
        """Numbers of energies and pixels, (n_energy, ny, nx)."""
        return self._data.shape

    @property
    def counts(self):
        """Counts of the unmasked pixels, `~astro_lpalm.cube.Counts`: what `matrix` lays out, without its memory."""
        return counts_of(self._data, self.mask)

    def image(self):
        """Sum the counts over the energies: `~numpy.ndarray` of shape (ny, nx), masked pixels included."""
        return self._data.image() if self.is_lazy else counts_of(self._data).image().reshape(self.shape[1:])

    def planes(self, energies):
        """Lay out the counts of a slice of energies, (k, ny, nx)."""
        return np.asarray(self._data[energies])

    def redrawn(self, rng):
        """Draw all counts again, from Poisson distributions about those of this cube.

        Parameters
        ----------
        rng : `numpy.random.Generator`

        Returns
        -------
        cube : EventCube
        """
        if self.is_sparse:
            return self._with(data=self._data.drawn(rng))
        if self.is_lazy:
            planes = self._data if self.mask is None else self._data.without(self.mask)
            return self._with(data=planes.drawn(rng))
        return self.with_matrix(rng.poisson(self.matrix(dtype=np.float32)))

    def __getitem__(self, item):
        slices = whole_slices(item, self.shape)
        energies, sky = slices[0], slices[1:]
        wcs, meta = moved_coordinates(self, slices)
        cube = self._with(
            data=self._data[slices],
            energy_edges=self._energy_edges[energies.start : energies.stop + 1],
            wcs=wcs,
            mask=None if self.mask is None else self.mask[sky],
            meta=meta,
            exposure=None if self._exposure is None else self._exposure[sky],
        )
        if self.uncertainty is not None:
            cube.uncertainty = self.uncertainty[slices]
        return cube

    @property
    def mask(self):
        """Excluded pixels: `~numpy.ndarray` of bool, shape (ny, nx), or None. What is assigned is checked.

        A pixel is excluded at all energies: the mask broadcasts against ``data``, and
        ``np.broadcast_to(cube.mask, cube.data.shape)`` is that of every count.
        """
        return self._mask

    @mask.setter
    def mask(self, value):
        mask = checked_mask(value, self.shape, self._exposure)
        check_values(self._data, mask)
        self._mask = mask

    @property
    def energy_edges(self):
        """Edges of the energy bins: `~astropy.units.Quantity` in keV, shape (n_energy + 1,)."""
        return self._energy_edges.copy()

    @property
    def n_energy(self):
        """Number of energy bins."""
        return self.shape[0]

    @property
    def pixel_mask(self):
        """Excluded pixels: `~numpy.ndarray` of bool, shape (ny, nx), all false without a mask."""
        return np.zeros(self.shape[1:], dtype=bool) if self.mask is None else self.mask.copy()

    @property
    def exposure(self):
        """Exposure of each pixel: a copy, `~astropy.units.Quantity` of shape (ny, nx), or None where it is unknown."""
        return None if self._exposure is None else self._exposure.copy()

    @property
    def relative_exposure(self):
        """Exposure divided by its largest value, shape (ny, nx): 1 in masked pixels, and where it is unknown."""
        if self._exposure is None:
            return np.ones(self.shape[1:])
        kept = ~self.pixel_mask
        return np.where(kept, self._exposure.value / self._exposure.value[kept].max(), 1.0)

    def with_exposure(self, exposure):
        """Give the same cube with an exposure map.

        Parameters
        ----------
        exposure : `~astropy.units.Quantity`, array_like, str, `os.PathLike` or image HDU
            Values on the cube's pixels; or a FITS image, of which a file may hold several
            (``"file.fits[EXTENSION]"``), with any celestial WCS: it is interpolated at the cube's pixels, or averaged
            over them where it is finer, and is zero beyond its edges. Its unit is BUNIT, without which it is relative.

        Returns
        -------
        cube : EventCube
            The counts are shared, not copied. Pixels with less than 1 % of the largest exposure are masked.

        Raises
        ------
        OSError, TypeError
            If ``exposure`` cannot be read, or is something else.
        ValueError
            If the image lies elsewhere on the sky, has a negative value or another unit; or every pixel is masked.

        Warns
        -----
        `~astropy.utils.exceptions.AstropyUserWarning`
            If more than 1 % of the counts lie where there is no exposure: it may belong to another observation.
        """
        with naming(exposure):
            exposure = read_exposure(exposure, self.wcs, self.shape[1:])
            cube = self._with(exposure=exposure)
        warn_of_lost_counts(self, exposure)
        return cube

    def with_mask(self, mask):
        """Give the same cube with more pixels masked.

        Parameters
        ----------
        mask : array_like, str, `os.PathLike`, image HDU, `~regions.Region` or list of `~regions.Region`
            What to exclude: nonzero values on the cube's pixels; the pixels that nonzero values or NaN of a FITS image
            with any celestial WCS touch; or those with their centres inside a region, such as the point sources of a
            DS9 or CIAO region file.

        Returns
        -------
        cube : EventCube
            The counts are shared, not copied.

        Raises
        ------
        OSError, TypeError
            If ``mask`` cannot be read, or is something else.
        ValueError
            If it lies elsewhere on the sky, or every pixel is masked.

        Examples
        --------
        >>> import astropy.units as u
        >>> import numpy as np
        >>> from astropy.wcs import WCS
        >>> from regions import CirclePixelRegion, PixCoord
        >>> from astro_lpalm import EventCube
        >>> wcs = WCS(naxis=2)
        >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
        >>> cube = EventCube(np.ones((3, 4, 6)), energy_edges=[0.5, 1.5, 4, 7] * u.keV, wcs=wcs)
        >>> cube.with_mask(CirclePixelRegion(PixCoord(1, 1), 1.2).to_sky(wcs)).mask.astype(int)
        array([[0, 1, 0, 0, 0, 0],
               [1, 1, 1, 0, 0, 0],
               [0, 1, 0, 0, 0, 0],
               [0, 0, 0, 0, 0, 0]])
        """
        with naming(mask):
            return self._with(mask=self.pixel_mask | read_mask(mask, self))

    def _with(self, **changed):
        kept = {
            "energy_edges": self._energy_edges,
            "wcs": self.wcs,
            "mask": self.mask,
            "meta": self.meta,
            "exposure": self._exposure,
        }
        return type(self)(changed.pop("data", self._data), **kept | changed)

    def matrix(self, dtype=np.float64):
        """Lay the unmasked pixels out as the matrix X that solvers take.

        Parameters
        ----------
        dtype : data type
            Floating-point type of the result.

        Returns
        -------
        X : `~numpy.ndarray`, shape (n_energy, n_pixels)
            A copy. The pixels are in C order: x varies fastest.
        """
        return self.counts.matrix(dtype)

    def with_matrix(self, X):
        """Give the same cube with other counts, the inverse of `matrix`.

        Parameters
        ----------
        X : array_like, shape (n_energy, n_pixels)

        Returns
        -------
        `EventCube`
            Zero in masked pixels; in single precision where X has no more digits.
        """
        X = np.asarray(X)
        dtype = np.float32 if np.issubdtype(X.dtype, np.integer) else np.result_type(X.dtype, np.float32)
        data = np.zeros(self.shape, dtype=dtype)
        data[:, ~self.pixel_mask] = X
        return self._with(data=data)

    def image_of(self, row):
        """Lay values of the unmasked pixels back on the sky.

        Parameters
        ----------
        row : array_like, shape (..., n_pixels)
            Values in the order of `matrix`.

        Returns
        -------
        image : `~numpy.ndarray` of floats, shape (..., ny, nx)
            NaN in masked pixels.

        Raises
        ------
        ValueError
            If the number of values is not that of the unmasked pixels.
        """
        row = np.asarray(row)
        kept = ~self.pixel_mask
        n_pixels = np.count_nonzero(kept)
        if row.ndim == 0 or row.shape[-1] != n_pixels:
            msg = f"the values have shape {row.shape}, but the cube has {n_pixels} unmasked pixels, the last axis."
            raise ValueError(msg)
        image = np.full((*row.shape[:-1], *kept.shape), np.nan, dtype=np.result_type(row.dtype, np.float32))
        image[..., kept] = row
        return image

    def rebin(self, energy_edges):
        """Add up energy bins into wider ones.

        Parameters
        ----------
        energy_edges : `~astropy.units.Quantity`, shape (n + 1,)
            New edges, each of which is an edge of this cube (to a thousandth of a bin); the range may be narrower.

        Returns
        -------
        cube : EventCube
            Where all bins stay as they are, the counts are shared, not copied.

        Raises
        ------
        ValueError
            If a new edge is not one of the cube's, or no counts are left.

        Examples
        --------
        >>> import astropy.units as u
        >>> import numpy as np
        >>> from astropy.wcs import WCS
        >>> from astro_lpalm import EventCube
        >>> wcs = WCS(naxis=2)
        >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
        >>> cube = EventCube(np.ones((3, 4, 6)), energy_edges=[0.5, 1.5, 4, 7] * u.keV, wcs=wcs)
        >>> cube.rebin([0.5, 1.5, 7] * u.keV).data[:, 0, 0]
        array([1., 2.])
        """
        old = self._energy_edges
        nearest = nested_edges(as_energy_edges(energy_edges), old)
        if nearest.size == old.size:
            return self._with()  # the very same bins: a copy of the counts would only take memory
        if self.is_sparse or self.is_lazy:
            return self._with(data=self._data.rebinned(nearest), energy_edges=old[nearest])
        # Narrow integers could overflow; floating-point numbers keep their type.
        dtype = self.data.dtype if self.data.dtype.kind == "f" else np.result_type(self.data.dtype, np.int32)
        data = np.add.reduceat(self.data[: nearest[-1]], nearest[:-1], axis=0, dtype=dtype)
        return self._with(data=data, energy_edges=old[nearest])

    def __repr__(self):
        ny, nx = self.shape[1:]
        scale = (proj_plane_pixel_scales(self.wcs) * u.deg).to_value(u.arcsec)
        middle = self.wcs.pixel_to_world((nx - 1) / 2, (ny - 1) / 2)
        kept, total = ~self.pixel_mask, self.counts.spectrum().sum()
        masked = "" if self.mask is None else f", {kept.size - np.count_nonzero(kept)} of {kept.size} pixels masked"
        if self._exposure is not None:
            masked += f", exposure up to {self._exposure.max():.4g}"
        kept_as = ", kept as photons" if self.is_sparse else ", read plane by plane" if self.is_lazy else ""
        return (
            f"<{type(self).__name__}: {describe_grid(self._energy_edges)}; {nx} x {ny} pixels of "
            f"{scale[0]:.4g} x {scale[1]:.4g} arcsec around {middle.to_string(precision=4)} ({middle.frame.name}); "
            f"{total:.10g} counts{masked}{kept_as}>"
        )

    __str__ = __repr__
