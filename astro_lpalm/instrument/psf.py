"""Point spread functions as they are given: the width of a Gaussian, a King profile, or images."""

import os
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Self

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from numpy.typing import ArrayLike

from .._files import naming
from ..grid.energies import as_energy_edges
from ..grid.sky import is_upright, square_pixels
from .blur import BlurTerm, GaussianBlur, KernelBlur
from .psf_checks import checked_nodes, checked_profile, checked_slope, positive_angle, range_text
from .psf_file import read_psf
from .psf_nodes import chosen_nodes, mean_tents, tents
from .psf_profiles import encircled_by_gaussian, encircled_by_king, king_image, regridded

__all__ = ["PSF"]

_FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))
_ERROR = 0.02  # part of the photons that few energies and angles in place of many may put elsewhere


@dataclass(frozen=True, eq=False, repr=False)
class PSF:
    """Point spread function: where the photons of a point source land.

    The same at all energies and places, or changing with the energy, the angle off the optical axis, or both. Read one
    from a FITS file with `PSF.read`; `PSF.king` makes one of King profiles.

    Parameters
    ----------
    profile : `~astropy.units.Quantity`, or array_like of shape (ky, kx)
        Full width at half maximum of a round Gaussian, as an angle; or an image, of which only ratios count. Its sides
        have an odd number of pixels, the one in the middle stands for no displacement, and its axes are those of the
        images that are blurred. With energies or angles, an array of widths, or a stack of images: the first axis is
        that of ``energies``, the next one that of ``off_axis``, of those that are given.
    pixel_scale : `~astropy.units.Quantity`, optional
        Angle that a pixel of the image subtends. By default it is in the pixels, whatever they are, of what is blurred;
        then coarser pixels cannot be asked for.
    energies : `~astropy.units.Quantity`, shape (n_e,), optional
        Photon energies that the profiles belong to, increasing. Between them images, not widths, are interpolated
        linearly; beyond them the nearest one holds.
    off_axis : `~astropy.units.Quantity`, shape (n_theta,), optional
        Angles from the optical axis that the profiles belong to, increasing; interpolated as energies are. The form is
        the same all around the axis: images are not turned with the azimuth.
    axis : `~astropy.coordinates.SkyCoord`, optional
        The optical axis. By default what the header of the observation says (RA_PNT, DEC_PNT).
    slope : float or array_like, optional
        Makes the profiles King profiles; see `PSF.king`.

    Raises
    ------
    ValueError
        If the profile is neither a positive angle nor such an image, if there are not as many as energies and angles,
        if these do not increase, or the pixel scale is not a positive angle.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astro_lpalm.instrument import PSF
    >>> point = np.zeros((5, 5))
    >>> point[2, 2] = 100
    >>> psf = PSF(0.5 * u.arcsec)
    >>> psf
    <PSF: Gaussian, FWHM 0.5 arcsec>
    >>> psf.on_pixels(0.984 * u.arcsec).blur(point)[2].round(1)
    array([ 0. ,  7.1, 68.5,  7.1,  0. ])
    >>> PSF([[0, 1, 0], [1, 4, 1], [0, 1, 0]], pixel_scale=0.492 * u.arcsec)
    <PSF: image of 3 x 3 pixels of 0.492 arcsec>
    >>> PSF([0.5, 0.9] * u.arcsec, energies=[1, 7] * u.keV)
    <PSF: Gaussian, FWHM 0.5 to 0.9 arcsec, at 2 energies from 1 to 7 keV>
    """

    profile: u.Quantity | np.ndarray
    pixel_scale: u.Quantity | None = None
    _: KW_ONLY
    energies: u.Quantity | None = None
    off_axis: u.Quantity | None = None
    axis: SkyCoord | None = None
    slope: float | np.ndarray | None = None

    def __post_init__(self):
        checked = {
            "energies": checked_nodes(self.energies, "energies", u.keV),
            "off_axis": checked_nodes(self.off_axis, "off_axis", u.arcmin),
        }
        shape = tuple(len(nodes) for nodes in checked.values() if nodes is not None)
        checked["profile"] = checked_profile(self.profile, shape)
        is_image = not isinstance(checked["profile"], u.Quantity)
        if self.slope is not None:
            checked["slope"] = checked_slope(self.slope, is_image, shape)
        if self.pixel_scale is not None:
            if not is_image:
                form = "Gaussian" if self.slope is None else "King profile"
                msg = f"pixel_scale={self.pixel_scale} belongs to an image of the psf; a {form} has none: leave it out."
                raise ValueError(msg)
            checked["pixel_scale"] = positive_angle(self.pixel_scale, "pixel_scale")
        if self.axis is not None and not (
            isinstance(self.axis, SkyCoord) and self.axis.isscalar and self.off_axis is not None
        ):
            given = " ".join(repr(self.axis).split())
            msg = f"axis={given} must be one astropy.coordinates.SkyCoord, of a psf that has off_axis angles."
            raise ValueError(msg)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def king(
        cls,
        core_radius: u.Quantity,
        slope: float | ArrayLike,
        *,
        energies: u.Quantity | None = None,
        off_axis: u.Quantity | None = None,
        axis: SkyCoord | None = None,
    ) -> Self:
        r"""Make a PSF of King profiles, :math:`I(r) \propto (1 + (r / r_0)^2)^{-\alpha}`.

        XMM-Newton's calibration files have its parameters (XRTn_XPSF, extension KING_PARAMS; XMM-Newton Calibration
        Access and Data Handbook, "Encircled energy"). A profile is cut off where 99.9 % of its photons are inside,
        :math:`1 - (1 + (r / r_0)^2)^{1 - \alpha}`, or at 60 core radii, as far as XMM-Newton's profiles are known (5
        arcmin), where that is nearer; what is inside is then all.

        Parameters
        ----------
        core_radius : `~astropy.units.Quantity`
            The angle :math:`r_0`; with energies or angles an array, of the shape that `PSF` tells.
        slope : float or array_like
            The slope :math:`\alpha`, greater than 1: one, or as many as core radii.
        energies, off_axis, axis
            As `PSF` takes them.

        Returns
        -------
        PSF

        Raises
        ------
        ValueError
            If a core radius is not a positive angle or a slope not greater than 1, or see `PSF`.

        Examples
        --------
        >>> import astropy.units as u
        >>> from astro_lpalm.instrument import PSF
        >>> PSF.king([5.1, 4.8] * u.arcsec, [1.5, 1.4], energies=[1.5, 6] * u.keV)
        <PSF: King profile, core radius 4.8 to 5.1 arcsec, slope 1.4 to 1.5, at 2 energies from 1.5 to 6 keV>
        """
        if not isinstance(core_radius, u.Quantity):
            msg = f"core_radius={core_radius!r} must be a positive angle with a unit, such as 5 * astropy.units.arcsec."
            raise ValueError(msg)
        return cls(core_radius, slope=slope, energies=energies, off_axis=off_axis, axis=axis)

    @classmethod
    def read(
        cls, path: str | os.PathLike, *, pixel_scale: u.Quantity | None = None, axis: SkyCoord | None = None
    ) -> Self:
        """Read the FITS images of a point spread function.

        Parameters
        ----------
        path : str or `os.PathLike`
            The file, or ``"file.fits[EXTENSION]"``.
        pixel_scale : `~astropy.units.Quantity`, optional
            Angle that a pixel subtends; by default what the header says.
        axis : `~astropy.coordinates.SkyCoord`, optional
            The optical axis, where the images change with the angle from it.

        Returns
        -------
        PSF

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If there is no image, it is no point spread function, its pixel scale is not known, or how images depend on
            energy and angle is not told in one of the ways below; names the file.

        Notes
        -----
        These layouts are known; energies and angles are never guessed:

        - One image, as CIAO makes it of simulated rays (MARX, SAOTrace): the same at all energies and places. The
          first of several of which none tells its energy, with a warning.
        - Several two-dimensional images, as OGIP memo CAL/GEN/92-027 has them, each with ENERGY, its unit in the card's
          comment ([keV] or [eV]), or else ENERG_LO and ENERG_HI (keV, of which it is the middle); where the off-axis
          angle changes, with THETA (arcmin, or what the comment says). There must be one for each pair, of one PHI.
        - A three-dimensional image whose third axis is energy, and a four-dimensional one whose fourth axis is the
          off-axis angle. Linear axes tell it by their WCS (CTYPE3 = 'ENERGY' or 'ENERG', CTYPE4 = 'THETA' or 'OFFAXIS',
          with CUNIT, CRVAL, CRPIX, CDELT); others by the tables ENERGIES, with a column ENERGY, or EBOUNDS, and THETAS,
          with a column THETA, which count if there are both.

        The scale is that of the celestial WCS; north must be up, and east to the left. Images in coordinates of a
        detector tell it by CDELT where CUNIT is an angle; how they are turned is up to the caller.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> import astropy.units as u
        >>> import numpy as np
        >>> from astropy.io import fits
        >>> from astro_lpalm.instrument import PSF
        >>> with TemporaryDirectory() as folder:
        ...     fits.PrimaryHDU(np.ones((5, 5))).writeto(f"{folder}/psf.fits")
        ...     psf = PSF.read(f"{folder}/psf.fits", pixel_scale=0.5 * u.arcsec)
        >>> psf.pixel_scale
        <Quantity 0.5 arcsec>
        """
        with naming(path):
            given = read_psf(path)
            if pixel_scale is not None:
                given["pixel_scale"] = pixel_scale
            if given["pixel_scale"] is None:
                msg = (
                    "the psf's header has no celestial WCS, nor CDELT in an angle (CUNIT), so how large its pixels are "
                    "is not known; give pixel_scale."
                )
                raise ValueError(msg)
            return cls(**given, axis=axis)

    @classmethod
    def of(cls, psf: Self | u.Quantity | ArrayLike | str | os.PathLike) -> Self:
        """Take a PSF as it is, make one of a width or an image, or read the file of that name."""
        if isinstance(psf, cls):
            return psf
        return cls.read(psf) if isinstance(psf, str | os.PathLike) else cls(psf)

    @property
    def is_gaussian(self) -> bool:
        """Whether it is a Gaussian, and neither a King profile nor an image."""
        return self.slope is None and not self.is_image

    @property
    def is_image(self) -> bool:
        """Whether it is made of images, and not of widths."""
        return not isinstance(self.profile, u.Quantity)

    @property
    def _shape(self):
        return tuple(1 if nodes is None else len(nodes) for nodes in (self.energies, self.off_axis))

    def on_pixels(self, pixels: u.Quantity | WCS) -> object:
        """Make the blur of images of a given size of pixels.

        An image of other pixels is brought to these: its photons are displaced by whole pixels of its own, and start
        anywhere in a pixel of what is blurred. Where its pixels are the larger ones, the density is interpolated
        linearly between them. No photon is lost, and the mean displacement stays.

        Parameters
        ----------
        pixels : `~astropy.units.Quantity` or `~astropy.wcs.WCS`
            Angle that a pixel subtends, or the celestial WCS of the images, whose pixels must be square. With an image
            of the PSF that has a scale, north must be up and east to the left, as it is there.

        Returns
        -------
        blur : object
            ``blur(image)``, its adjoint ``unblur(image)``, and ``displacements(n, rng)`` of n photons, in pixels.

        Raises
        ------
        ValueError
            If the pixels are no positive angle, not square, or turned against the image of the PSF; or if this changes
            with energy or place, so that one blur does not do: see `terms`.
        """
        scale = self._scale_of(pixels)
        if self.energies is not None or self.off_axis is not None:
            msg = f"{self!r} is not one blur, as it changes with energy or place; ask for its terms."
            raise ValueError(msg)
        return self._blur((0, 0), scale)

    def terms(
        self,
        pixels: u.Quantity | WCS,
        shape: tuple[int, int],
        energy_edges: u.Quantity,
        *,
        axis: SkyCoord | None = None,
    ) -> tuple[BlurTerm, ...]:
        """Make the few blurs of which all energies and places of images are mixtures.

        The profiles at the energies and angles for which it is given are these blurs, with the weights of linear
        interpolation; for a bin the mean of them, as if its photons were spread evenly over it. Of more than four
        energies (or angles) in use only as many are taken as needed for that at most 2 % of the photons are put
        elsewhere than between all of them.

        Parameters
        ----------
        pixels : `~astropy.units.Quantity` or `~astropy.wcs.WCS`
            As `on_pixels` takes them; where the PSF changes with the place, a WCS. Pixels may be binned:
            ``wcs[::2, ::2]`` is that of twice as large ones.
        shape : tuple of int
            Of the images, (ny, nx).
        energy_edges : `~astropy.units.Quantity`, shape (m + 1,)
            Edges of the energy bins: those of detected energies, which stand for the photons'.
        axis : `~astropy.coordinates.SkyCoord`, optional
            The optical axis, where the PSF has none of its own.

        Returns
        -------
        tuple of BlurTerm
            One, with weights of one, of a PSF that is the same everywhere.

        Raises
        ------
        ValueError
            See `on_pixels`; or if the optical axis is needed and not known.

        Examples
        --------
        >>> import astropy.units as u
        >>> from astro_lpalm.instrument import PSF
        >>> psf = PSF([0.5, 0.9] * u.arcsec, energies=[1, 7] * u.keV)
        >>> for term in psf.terms(0.5 * u.arcsec, (20, 20), [0.5, 1, 3, 5, 7] * u.keV):
        ...     print(round(term.kernel.sigma, 2), term.energies.round(2))
        0.42 [1.   0.83 0.5  0.17]
        0.76 [0.   0.17 0.5  0.83]
        """
        scale, edges = self._scale_of(pixels), as_energy_edges(energy_edges).value
        shares, n_changing = self._shares(), sum(n > 1 for n in self._shape)
        rows, columns, energies, places = [0], [0], np.ones((len(edges) - 1, 1)), None
        if self.energies is not None:
            weigh = partial(mean_tents, edges)
            rows, energies = chosen_nodes(weigh, self.energies.value, shares, _ERROR / max(n_changing, 1))
        if self.off_axis is not None:
            weigh = partial(tents, self._angles(pixels, shape, axis))
            others = shares[rows].swapaxes(0, 1)
            columns, places = chosen_nodes(weigh, self.off_axis.value, others, _ERROR / max(n_changing, 1))
        return tuple(
            BlurTerm(energies[:, i], None if len(columns) == 1 else places[..., j], self._blur((row, column), scale))
            for i, row in enumerate(rows)
            for j, column in enumerate(columns)
        )

    def _scale_of(self, pixels):
        if not isinstance(pixels, WCS):
            return positive_angle(pixels, "pixel_scale")
        scale = square_pixels(pixels, "the images")
        if self.is_image and self.pixel_scale is not None and not is_upright(pixels):
            msg = (
                "the images are turned or mirrored against that of the psf, which has north up and east to the "
                "left; bin the events so, or give the width of a Gaussian."
            )
            raise ValueError(msg)
        return scale

    def _angles(self, pixels, shape, axis):
        """Angle of each pixel from the optical axis, in arcmin."""
        axis = axis if self.axis is None else self.axis
        if axis is None or not isinstance(pixels, WCS):
            what = "the optical axis, as axis= of the PSF, or as RA_PNT and DEC_PNT in the header of the observation"
            msg = (
                "the psf changes with the angle off the optical axis, so where pixels are must be known; give "
                f"{what if axis is None else 'the WCS of the images'}."
            )
            raise ValueError(msg)
        y, x = np.indices(shape)
        return pixels.pixel_to_world(x, y).separation(axis).to_value(u.arcmin)

    def _shares(self):
        """Give the share of photons that lands at each place, (n_e, n_theta, p): pixels, or rings."""
        if self.is_image:
            shares = self.profile.reshape(*self._shape, -1)
            return shares / shares.sum(axis=-1, keepdims=True)
        widths = self.profile.value.reshape(*self._shape, 1)
        radii = np.geomspace(1e-2 * widths.min(), 1e2 * widths.max(), 500)
        if self.slope is None:
            inside = encircled_by_gaussian(radii, widths / _FWHM_PER_SIGMA)
        else:
            inside = encircled_by_king(radii, widths, self.slope.reshape(*self._shape, 1))
        return np.diff(inside, prepend=0.0, append=1.0)

    def _blur(self, place, scale):
        profile = self.profile.reshape(*self._shape, *self.profile.shape[-2:] * self.is_image)[place]
        if self.is_image:
            if self.pixel_scale is None:
                return KernelBlur(profile)
            return KernelBlur(regridded(profile, float((self.pixel_scale / scale).to_value(u.one))))
        width = float(profile.value) / scale.to_value(u.arcsec)
        if self.slope is None:
            return GaussianBlur(width / _FWHM_PER_SIGMA)
        return KernelBlur(king_image(width, float(self.slope.reshape(self._shape)[place])))

    def __repr__(self):
        if self.is_image:
            sides = " x ".join(map(str, self.profile.shape[:-3:-1]))
            pixels = "as large as those of what is blurred" if self.pixel_scale is None else f"of {self.pixel_scale:g}"
            form = f"{'image' if self.profile.ndim == 2 else 'images'} of {sides} pixels {pixels}"
        elif self.slope is None:
            form = f"Gaussian, FWHM {range_text(self.profile)}"
        else:
            form = f"King profile, core radius {range_text(self.profile)}, slope {range_text(self.slope)}"
        nodes = (("energies", self.energies), ("off-axis angles", self.off_axis))
        where = [f"{len(each)} {what} from {range_text(each)}" for what, each in nodes if each is not None]
        return f"<PSF: {form}{', at ' if where else ''}{' and '.join(where)}>"
