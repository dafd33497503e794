"""How an `EventCube` is made, of event lists, other cubes and images, and how it is written."""

import numpy as np

from .._files import naming, open_fits, write_fits
from .._notebook import card, sparkline, thumbnail
from ..grid import describe_grid
from ..grid.sky import celestial_cards, celestial_wcs
from .binning import bin_events, is_several
from .images import cube_hdulist, read_image
from .observations import add_up, merge_headers
from .selection import choose_energy_edges, energies_of

__all__ = ["CubeIO"]


class CubeIO:
    """What an `EventCube` has from files and has for files; a mix-in, as `~astropy.nddata.NDIOMixin` is one."""

    @classmethod
    def from_events(
        cls,
        events,
        *,
        energy=None,
        n_energy=None,
        energy_edges=None,
        bin_factor=None,
        pixel_scale=None,
        bounds=None,
        center=None,
        size=None,
        region=None,
        mask=None,
        exposure=None,
        like=None,
        model=None,
        ebounds=None,
        channel_energy=None,
        sparse=None,
    ):
        """Count the events of a list, or of several, into a cube.

        Parameters
        ----------
        events : str, `os.PathLike`, `~astropy.io.fits.HDUList`, table HDU or `~astropy.table.Table`, or list of these
            The event list, with columns X, Y and ENERGY or PI. Without ENERGY, the energy of an event is drawn
            within its PI channel (of a known mission), the same each time, and an overflow channel is left out. Without
            X and Y, RA and DEC are projected on the plane that touches the sky in ``center``, or the pointing. An event
            that TNULL says to have no energy or position is left out too. Of several tables of events the first is
            read, with a warning; give the HDUs as a list to add them up. Several observations, whatever their aim
            points and roll angles, go onto the tangent plane of the first, or that of ``like``; `merge` adds them up.
        energy : `~astropy.units.Quantity`, shape (2,), optional
            Lowest and highest energy; 0.5 to 7 keV if not given.
        n_energy : int, optional
            Number of equal energy bins; 65 if not given.
        energy_edges : `~astropy.units.Quantity`, shape (n_energy + 1,), optional
            Edges of the energy bins, instead of ``energy`` and ``n_energy``.
        bin_factor : float, optional
            Side of a pixel in sky pixels of the list; the mission's if not given, which is 1 but where sky pixels are
            far smaller than the telescope can tell apart (XMM-Newton, eROSITA: 80; ROSAT: 15). A list with whole
            numbers for positions needs a whole number.
        pixel_scale : `~astropy.units.Quantity`, optional
            Side of a pixel as an angle, instead of ``bin_factor``.
        bounds : tuple of 4 float, optional
            x0, x1, y0, y1, the edges of the image in sky pixels, counted from 1 as FITS does. As with CIAO's
            ``[bin x=x0:x1:b]``, pixel edges lie at x0, x0 + b, ..., and columns of whole numbers have their first
            and last values for bounds. Where b does not divide the width, the last pixel ends beyond x1.
        center : `~astropy.coordinates.SkyCoord`, optional
            Centre of the image, together with ``size`` instead of ``bounds``. Where positions are whole numbers, the
            image begins at the nearest edge between two sky pixels.
        size : `~astropy.units.Quantity`, optional
            Side of the image, or its width and height, as angles; rounded up to whole pixels.
        region : str, `os.PathLike`, `~regions.Region` or list of `~regions.Region`, optional
            A DS9 or CIAO region file, or shapes. Pixels whose centres lie outside are masked, and events outside
            are not counted. Exclusions hold whatever their order. Pixel shapes are in sky pixels of the list.
        mask, exposure
            As `with_mask` and `with_exposure` take them; of several observations ``exposure`` is a list, with one
            for each.
        like : EventCube, optional
            A cube whose pixels the new one gets, and whose energy bins, where no others are asked for: of a blank
            field, for instance, or of another instrument.
        model : str, `os.PathLike` or Model, optional
            The model that the cube is for: its energy bins are taken. A file, or the name of a packaged one, will do.
        ebounds : str or `os.PathLike`, optional
            An RMF, or a PHA file that names one, whose EBOUNDS tells the energies of PI channels, in place of the
            mission's and of ENERGY.
        channel_energy : `~astropy.units.Quantity`, optional
            The same as a scale: width of a channel, channel 0 beginning at 0; or where channel 0 begins, and the
            width.
        sparse : bool, optional
            Whether the cube keeps its photons (`~astro_lpalm.cube.Photons`) rather than an array. If not given, it
            does where it has 16 million cells or more, and less than one event in 20 of them; the log says so.

        Returns
        -------
        cube : EventCube
            Of 32-bit integers; its sum is the number of selected events. The log (level INFO) says how many events
            were left out and why.

        Raises
        ------
        FileNotFoundError, OSError
            If a file does not exist, is not FITS or is truncated.
        TypeError
            If ``events`` or ``region`` is of an unsuitable type.
        ValueError
            If arguments contradict each other or lack a unit, a column or its coordinates are missing, there are no
            energies and the channels are not those of an instrument that is known, an energy is NaN or negative, the
            region is off the image, no event is selected, or the cube is too large for memory.

        Warns
        -----
        `~astropy.utils.exceptions.AstropyUserWarning`
            If a list speaks against what is done with it: events outside its good time intervals or with STATUS bits
            set, bins outside the energies that it was filtered to, ENERGY without a unit (which its values tell), more
            than one table of events, pixels that cut through whole sky pixels; or if lists are of different fields, or
            one observation is given twice.

        Notes
        -----
        Without ``bounds`` or ``center``, the image is the list's own (TLMIN and TLMAX of X and Y), cropped to the
        bounding box of the region or, without one, to the events within the energy range.

        A bin or a pixel contains its lower edge and not its upper one, as in CIAO's filters.

        Examples
        --------
        >>> import astropy.units as u
        >>> from astropy.io import fits
        >>> from astro_lpalm import EventCube
        >>> x = fits.Column("X", "E", coord_type="RA---TAN", coord_ref_value=350.85, coord_ref_point=4096.5,
        ...                 coord_inc=-1.3667e-4, coord_unit="deg", array=[4096.2, 4096.4, 4098.0])
        >>> y = fits.Column("Y", "E", coord_type="DEC--TAN", coord_ref_value=58.81, coord_ref_point=4096.5,
        ...                 coord_inc=1.3667e-4, coord_unit="deg", array=[4097.0, 4097.1, 4096.0])
        >>> energy = fits.Column("ENERGY", "E", unit="eV", array=[1820, 6700, 900])
        >>> table = fits.BinTableHDU.from_columns([x, y, energy], name="EVENTS")
        >>> cube = EventCube.from_events(table, energy=(0.5, 7) * u.keV, n_energy=2, bounds=(4095, 4099, 4095, 4099))
        >>> cube.data.sum(axis=(1, 2))
        array([2, 1])
        >>> cube.data.shape
        (2, 4, 4)
        """
        if like is not None and not isinstance(like, CubeIO):
            msg = f"like must be an EventCube, not {type(like).__name__}; EventCube.read reads one from a file."
            raise TypeError(msg)
        if model is not None:
            if any(given is not None for given in (energy, n_energy, energy_edges)):
                msg = "give either model, whose energy bins are taken, or energy, n_energy or energy_edges, not both."
                raise ValueError(msg)
            energy_edges = energies_of(model)
        elif like is not None and energy is n_energy is energy_edges is None:
            energy_edges = like.energy_edges
        edges = choose_energy_edges(energy, n_energy, energy_edges)
        channels = {"ebounds": ebounds, "channel_energy": channel_energy}
        where = {"bin_factor": bin_factor, "pixel_scale": pixel_scale, "bounds": bounds, "center": center, "size": size}

        def cubes():
            for counts, outside, header, of_this in bin_events(
                events, edges, where, region, exposure, like, channels, sparse
            ):
                wcs = celestial_wcs(celestial_cards(header))
                cube = cls(counts, energy_edges=edges, wcs=wcs, mask=outside, meta=header)
                yield cube if of_this is None else cube.with_exposure(of_this)

        cube = cls.merge(cubes()) if is_several(events) else next(cubes())
        return cube if mask is None else cube.with_mask(mask)

    @classmethod
    def merge(cls, cubes):
        """Add up cubes of several observations.

        Parameters
        ----------
        cubes : iterable of EventCube
            On the same pixels and energy bins: those of ``from_events(..., like=the first)``.

        Returns
        -------
        cube : EventCube
            Counts and exposures are sums, relative exposures being multiplied by the exposure time (EXPOSURE) first.
            Pixels that are masked in one cube add nothing to either, so that another fills its gaps; without
            exposures they are masked in the sum. The header has what is common to all, the sums of EXPOSURE,
            LIVETIME and ONTIME, and a HISTORY.

        Raises
        ------
        ValueError
            If there is no cube, pixels or energies differ, or some have exposures and others do not, or in other
            units.

        Examples
        --------
        >>> import astropy.units as u
        >>> import numpy as np
        >>> from astropy.wcs import WCS
        >>> from astro_lpalm import EventCube
        >>> wcs = WCS(naxis=2)
        >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
        >>> cube = EventCube(np.ones((3, 4, 6)), energy_edges=[0.5, 1.5, 4, 7] * u.keV, wcs=wcs)
        >>> EventCube.merge([cube, cube]).data[:, 0, 0]
        array([2., 2., 2.])
        """
        data, exposure, mask, headers, first = add_up(cubes)
        header = merge_headers(headers)
        wcs = celestial_wcs(celestial_cards(header))
        return cls(
            data,
            energy_edges=first.energy_edges,
            wcs=first.wcs if wcs is None else wcs,
            mask=mask if mask.any() else None,
            meta=header,
            exposure=exposure,
        )

    @classmethod
    def from_hdu(cls, hdu, energy_edges=None):
        """Take a cube from a 3-D image.

        Parameters
        ----------
        hdu : image HDU or `~astropy.io.fits.HDUList`
            Axes (energy, y, x), with a celestial WCS on x and y; further ones of one pixel are left out. Of a list,
            the first 3-D image is taken, with the energies of an EBOUNDS table, the mask (nonzero = excluded) of a
            MASK image and the exposure of an EXPOSURE image.
        energy_edges : `~astropy.units.Quantity`, shape (n_energy + 1,), optional
            Edges of the energy bins. If not given they are those of the EBOUNDS table, which is the authority, of the
            table that Gammapy names in BANDSHDU, or of the third axis: energies, frequencies or wavelengths, linear
            or tabulated (-TAB).

        Returns
        -------
        cube : EventCube

        Raises
        ------
        TypeError
            If ``hdu`` is something else.
        ValueError
            If there is no 3-D image, no energy grid, no celestial WCS, or the data cannot be used.

        Examples
        --------
        >>> import astropy.units as u
        >>> import numpy as np
        >>> from astropy.wcs import WCS
        >>> from astro_lpalm import EventCube
        >>> wcs = WCS(naxis=2)
        >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
        >>> cube = EventCube(np.ones((3, 4, 6)), energy_edges=[0.5, 1.5, 4, 7] * u.keV, wcs=wcs)
        >>> EventCube.from_hdu(cube.to_hdulist()).energy_edges
        <Quantity [0.5, 1.5, 4. , 7. ] keV>
        """
        data, header, wcs, edges, mask, exposure = read_image(hdu, energy_edges)
        return cls(data, energy_edges=edges, wcs=wcs, mask=mask, meta=header, exposure=exposure)

    @classmethod
    def read(cls, path, energy_edges=None, *, memmap=None):
        """Read a cube from a FITS file.

        Parameters
        ----------
        path : str or `os.PathLike`
            The file.
        energy_edges : `~astropy.units.Quantity`, shape (n_energy + 1,), optional
            As in `from_hdu`.
        memmap : bool, optional
            Whether the counts stay in the file, from which a few planes are read whenever they are asked for
            (`~astro_lpalm.cube.Planes`). If not given, they do where they take more than a quarter of the machine's
            memory; the log says so. The file must then stay as it is for as long as the cube is used.

        Returns
        -------
        cube : EventCube

        Raises
        ------
        FileNotFoundError, OSError
            If the file does not exist, is not FITS or is truncated.
        ValueError
            If it does not hold a usable cube; see `from_hdu`. If the counts cannot stay in the file, as it is
            compressed, or they are scaled.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> import astropy.units as u
        >>> import numpy as np
        >>> from astropy.wcs import WCS
        >>> from astro_lpalm import EventCube
        >>> wcs = WCS(naxis=2)
        >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
        >>> cube = EventCube(np.ones((3, 4, 6)), energy_edges=[0.5, 1.5, 4, 7] * u.keV, wcs=wcs)
        >>> with TemporaryDirectory() as folder:
        ...     cube.write(f"{folder}/cube.fits")
        ...     EventCube.read(f"{folder}/cube.fits").data.shape
        (3, 4, 6)
        """
        with naming(path), open_fits(path, memmap=False) as hdulist:
            data, header, wcs, edges, mask, exposure = read_image(hdulist, energy_edges, path, memmap)
            return cls(data, energy_edges=edges, wcs=wcs, mask=mask, meta=header, exposure=exposure)

    def write(self, path, *, overwrite=False):
        """Write the cube to a FITS file.

        Parameters
        ----------
        path : str or `os.PathLike`
            The file.
        overwrite : bool
            Whether an existing file may be replaced.

        Raises
        ------
        FileExistsError
            If the file exists and ``overwrite`` is false.
        OSError
            If it cannot be written.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from astropy.io import fits
        >>> import astropy.units as u
        >>> import numpy as np
        >>> from astropy.wcs import WCS
        >>> from astro_lpalm import EventCube
        >>> wcs = WCS(naxis=2)
        >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
        >>> cube = EventCube(np.ones((3, 4, 6)), energy_edges=[0.5, 1.5, 4, 7] * u.keV, wcs=wcs)
        >>> with TemporaryDirectory() as folder:
        ...     cube.write(f"{folder}/cube.fits")
        ...     fits.getdata(f"{folder}/cube.fits", "EBOUNDS").names
        ['CHANNEL', 'E_MIN', 'E_MAX']
        """
        if self.is_lazy:
            hdulist = cube_hdulist(self, by_plane=True)
            write_fits(hdulist, path, overwrite=overwrite, large={"PRIMARY": self._data})
        else:
            write_fits(self.to_hdulist(), path, overwrite=overwrite)

    def to_hdulist(self):
        """Lay the cube out as FITS.

        Returns
        -------
        hdulist : `~astropy.io.fits.HDUList`
            The counts as a 3-D primary image, or, of a cube of photons, as the compressed image COUNTS; the EBOUNDS
            table and, where there are any, a MASK image (1 = excluded) and an EXPOSURE image.

        Raises
        ------
        ValueError
            If the counts are stored elsewhere and larger than memory; `write` writes them plane by plane.
        """
        return cube_hdulist(self)

    def _repr_html_(self):
        kept = ~self.pixel_mask
        meta = self.meta or {}
        seen = " ".join(str(meta[key]).strip() for key in ("OBJECT", "TELESCOP", "INSTRUME", "OBS_ID") if key in meta)
        image = np.where(kept, self.image(), np.nan)
        spectrum = self.counts.spectrum() / np.diff(self.energy_edges.value)
        middle = self.wcs.pixel_to_world(*((size - 1) / 2 for size in self.shape[:0:-1]))
        rows = {"observation": seen} if seen else {}
        rows |= {
            "counts": f"{np.nansum(image):,.0f}",
            "pixels": f"{image.shape[1]} x {image.shape[0]}, {np.count_nonzero(~kept)} of them masked",
            "middle": f"{middle.to_string('hmsdms', precision=1)} ({middle.frame.name})",
            "energies": describe_grid(self.energy_edges),
            "exposure": "no map" if self.exposure is None else f"up to {self.exposure.max():.4g}",
        }
        pictures = [
            (thumbnail(image), "counts", "all energies"),
            (sparkline([spectrum], ["#0072B2"]), "spectrum", "counts per energy, three decades at most"),
        ]
        return card(type(self).__name__, rows, pictures)
