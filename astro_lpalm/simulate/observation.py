"""Observations of known images and spectra: what is expected, and event lists drawn from it."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from .._names import check_component_names
from ..cube import EventCube
from ..grid.energies import as_energy_edges
from ..instrument.psf import get_blur
from .event_list import SKY_PIXEL, event_list, snap_to_channels
from .given import (
    check_images_and_spectra,
    checked_center,
    checked_exposure,
    checked_exposure_map,
    checked_pixel_scale,
    fold_fluxes,
    plain_values,
)
from .photons import draw_events

__all__ = ["Background", "Observation", "simulate_events"]


@dataclass(frozen=True)
class Background:
    """Counts that do not come through the telescope: neither blurred, nor fewer where the exposure map is low.

    Parameters
    ----------
    rate : float or `~astropy.units.Quantity`
        Total count / s over the image and all energy bins.
    spectrum : array_like, shape (m,), optional
        Counts in each energy bin or channel, of which only ratios count. By default the same per keV.
    image : array_like, shape (ny, nx), optional
        Relative brightness. By default flat where there is any exposure.

    Examples
    --------
    >>> from astro_lpalm.simulate import Background
    >>> Background(0.5)
    Background(rate=0.5, spectrum=None, image=None)
    """

    rate: float
    spectrum: np.ndarray | None = None
    image: np.ndarray | None = None


class Observation:
    """Component images and spectra, and how they are observed: everything but chance.

    An image says how many photons come from where, a spectrum how they are spread over energy: only the ratios within
    a spectrum count. Without a response images are in counts and spectra are of detected energies, so that nothing but
    Poisson noise need be added. With a response images are in photon / (cm2 s) and spectra are of true energies.

    Parameters
    ----------
    images : array_like or `~astropy.units.Quantity`, shape (n, ny, nx)
        Each component's expected counts in each pixel. With a response: its photon / (cm2 s) over all of
        ``response.energy_edges``, or that per solid angle if the unit says so. The first axis of an image is
        declination, upwards, and the second is right ascension, which falls to the right.
    spectra : array_like, shape (m, n), or with a response: array_like, shape (n_true, n), or sequence of n models
        Each component's spectrum in a column, counts in each bin; with a response, photons in each true bin, or models
        that `~astro_lpalm.spectra.integrate` takes (a model's own amplitude does not count either).
    energy_edges : `~astropy.units.Quantity`, shape (m + 1,), optional
        Edges of the bins of detected energy, where there is no response.
    response : `~astro_lpalm.instrument.Response`, optional
        Its channels are the bins of detected energy.
    center : `~astropy.coordinates.SkyCoord`
        Sky position of the middle of the images.
    pixel_scale : `~astropy.units.Quantity`
        Angle that a pixel of the images subtends.
    exposure : `~astropy.units.Quantity`
        Exposure time. Images in counts are left as they are.
    exposure_map : array_like or `~astropy.units.Quantity`, shape (ny, nx), optional
        Exposure of each pixel relative to the full one, 10 at most. A map in units of time is divided by ``exposure``,
        one in other units (cm2 s) by its largest value.
    psf : `~astropy.units.Quantity` or array_like, optional
        Full width at half maximum of a Gaussian point spread function, or an image of it in pixels of ``pixel_scale``
        with sides of an odd number of pixels. The same at all energies and places. Photons that it takes beyond the
        images are lost.
    background : Background, optional
    component_names : sequence of str, optional
        By default ``component_1``, ``component_2``, ...
    name : str
        Name of the object.

    Attributes
    ----------
    images : `~numpy.ndarray`, shape (n, ny, nx)
        Counts expected from each component at full exposure, before the blur; last, the background.
    spectra : `~numpy.ndarray`, shape (m, n)
        Their spectra of detected energy, which sum to one.
    energy_edges : `~astropy.units.Quantity`, shape (m + 1,)
        Those of ACIS channels, but for rounding, are set to whole multiples of 14.6 eV.
    component_names : tuple of str
        The last is "background" where there is one.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is negative or not finite, a component that has counts has no spectrum, a unit is
        missing or wrong, or the images exceed Chandra's.

    Examples
    --------
    >>> import numpy as np
    >>> import astropy.units as u
    >>> from astropy.coordinates import SkyCoord
    >>> from astro_lpalm.simulate import Observation
    >>> from astro_lpalm.spectra import Synchrotron
    >>> from astro_lpalm.missions import approximate_acis_response
    >>> observation = Observation(
    ...     np.full((1, 20, 20), 1e-6) * u.photon / (u.cm**2 * u.s), [Synchrotron(photon_index=2.0)],
    ...     response=approximate_acis_response(np.linspace(0.5, 7, 66) * u.keV),
    ...     center=SkyCoord(350.86, 58.81, unit="deg"), pixel_scale=1 * u.arcsec, psf=0.8 * u.arcsec,
    ... )
    >>> observation.expected_cube().data.shape
    (65, 20, 20)
    >>> events = observation.draw(seed=0)
    """

    def __init__(self, images, spectra, energy_edges=None, *, response=None, center, pixel_scale, exposure=50 * u.ks,
                 exposure_map=None, psf=None, background=None, component_names=None, name="simulated"):  # fmt: skip
        if (energy_edges is None) == (response is None):
            msg = "give either energy_edges, for spectra of detected energies, or response, for those of true energies."
            raise ValueError(msg)
        self.exposure = checked_exposure(exposure)
        self.center, self.name = checked_center(center), name
        self.pixel_scale = checked_pixel_scale(pixel_scale, np.shape(images)[1:])
        if response is None:
            images = plain_values(images, u.count, "images, without a response,")
            spectra = np.asarray(spectra, dtype=float)
        else:
            images, spectra = fold_fluxes(images, spectra, response, self.exposure, self.pixel_scale)
            energy_edges = response.channel_edges
        edges = as_energy_edges(energy_edges)
        self.energy_edges = snap_to_channels(edges.to_value(u.eV)) / 1e3 * u.keV
        check_images_and_spectra(images, spectra, ("energy_edges", len(edges)))
        self.blur = get_blur(psf, self.pixel_scale.to_value(u.arcsec))
        self.exposure_map = checked_exposure_map(exposure_map, images.shape[1:], self.exposure)
        names = component_names or [f"component_{k + 1}" for k in range(len(images))]
        if len(names) != len(images):
            msg = f"component_names is {names}, but there are {len(images)} images; give one name for each."
            raise ValueError(msg)
        self.n_sources = len(images)
        if background is not None:
            image, spectrum = self._background(background, images.shape[1:])
            images, spectra = np.concatenate([images, [image]]), np.column_stack([spectra, spectrum])
            names = [*names, "background"]
        total = spectra.sum(axis=0)
        self.component_names = check_component_names(names)
        self.images, self.spectra = images, spectra / np.where(total > 0, total, 1.0)

    def _background(self, background, shape):
        rate = float(plain_values(background.rate, u.count / u.s, "the background's rate"))
        image, spectrum = background.image, background.spectrum
        if image is None:
            image = np.ones(shape) if self.exposure_map is None else np.where(self.exposure_map > 0, 1.0, 0.0)
        spectrum = np.diff(self.energy_edges.value) if spectrum is None else np.asarray(spectrum, dtype=float)
        image = np.asarray(image, dtype=float)
        for what, array, expected in (("image", image, shape), ("spectrum", spectrum, (len(self.energy_edges) - 1,))):
            if array.shape != expected:
                msg = f"the background's {what} has shape {array.shape}; expected {expected}."
                raise ValueError(msg)
            if not np.isfinite(array).all() or array.min() < 0 or not array.any():
                msg = f"the background's {what} must be finite, not negative, and not zero everywhere."
                raise ValueError(msg)
        if not 0 <= rate < np.inf:
            msg = f"the background's rate is {background.rate}; give counts per second, 0 or more."
            raise ValueError(msg)
        return rate * self.exposure.to_value(u.s) * image / image.sum(), spectrum

    @property
    def wcs(self):
        """Celestial coordinates of the images, `~astropy.wcs.WCS`."""
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
        wcs.wcs.crval = [self.center.ra.deg, self.center.dec.deg]
        wcs.wcs.crpix = [(side + 1) / 2 for side in self.images.shape[:0:-1]]
        wcs.wcs.cdelt = self.pixel_scale.to_value(u.deg) * np.array([-1, 1])
        wcs.wcs.radesys = "ICRS"
        return wcs

    def expected_images(self):
        """Give the counts expected from each component after blur and exposure map, shape (n, ny, nx)."""
        images = self.images.copy()
        for image in images[: self.n_sources]:
            if self.blur is not None:
                image[:] = np.maximum(self.blur.blur(image), 0.0)  # rounding errors go below zero
            if self.exposure_map is not None:
                image *= self.exposure_map
        return images

    def expected_spectra(self, energy_edges=None):
        """Give the share of each component's counts in bins of energy, shape (m, n).

        Parameters
        ----------
        energy_edges : `~astropy.units.Quantity`, shape (m + 1,), optional
            By default the observation's own. Energies are uniform within those, so the wanted ones need not nest.
        """
        if energy_edges is None:
            return self.spectra
        wanted, own = as_energy_edges(energy_edges).value, self.energy_edges.value
        cumulative = np.vstack([np.zeros(self.spectra.shape[1]), np.cumsum(self.spectra, axis=0)])
        return np.diff([np.interp(wanted, own, column) for column in cumulative.T]).T

    def expected_cube(self, energy_edges=None):
        """Make the mean of the cubes that binned event lists of this observation give, on the images' own pixels.

        Parameters
        ----------
        energy_edges : `~astropy.units.Quantity`, shape (m + 1,), optional
            By default the observation's own.

        Returns
        -------
        cube : `~astro_lpalm.cube.EventCube`
        """
        spectra = self.expected_spectra(energy_edges)
        data = np.tensordot(spectra, self.expected_images(), axes=1)
        edges = self.energy_edges if energy_edges is None else energy_edges
        header = fits.Header({"OBJECT": self.name, "EXPOSURE": self.exposure.to_value(u.s)})
        return EventCube(data, energy_edges=edges, wcs=self.wcs, meta=header)

    def truth(self, energy_edges=None):
        """Give what a perfect separation of the expected cube would find.

        Parameters
        ----------
        energy_edges : `~astropy.units.Quantity`, shape (m + 1,), optional
            By default the observation's own.

        Returns
        -------
        truth : `~astro_lpalm.results.Separation`
            Its residuals are zero.
        """
        from ..results import Separation  # a later room, which only this needs

        cube, spectra = self.expected_cube(energy_edges), self.expected_spectra(energy_edges)
        norm = np.linalg.norm(spectra, axis=0)
        sources = norm[:, np.newaxis] * self.expected_images().reshape(len(norm), -1)
        return Separation(cube, spectra / np.where(norm > 0, norm, 1.0), sources, self.component_names)

    def draw(self, seed):
        """Draw an event list.

        Parameters
        ----------
        seed : int or `numpy.random.Generator`
            The same seed gives the same events.

        Returns
        -------
        events : `~astropy.io.fits.HDUList`
            A primary header, ``EVENTS`` (time, ccd_id, x, y, energy in eV, pi, grade) and ``GTI``.

        Raises
        ------
        ValueError
            If more than 1e9 events are expected.
        """
        rows = draw_events(
            self.images, self.spectra, self.energy_edges.to_value(u.eV), n_sources=self.n_sources,
            scale=float(self.pixel_scale / SKY_PIXEL), exposure=self.exposure.to_value(u.s),
            exposure_map=self.exposure_map, blur=self.blur, seed=seed,
        )  # fmt: skip
        return event_list(rows, center=self.center, exposure=self.exposure.to_value(u.s), name=self.name)


def simulate_events(images, spectra, energy_edges=None, *, seed, **observation):
    """Simulate an event list in the layout of a Chandra ACIS level-2 file.

    Every component is a Poisson process: the numbers of photons from its pixels are drawn from its image, their
    positions are uniform within the pixel, and their energies follow its spectrum, uniformly within a bin or channel.
    A point spread function displaces each photon on its own, and an exposure map decides whether it is counted.

    Parameters
    ----------
    images, spectra, energy_edges
        As `Observation` takes them.
    seed : int or `numpy.random.Generator`
        The same seed gives the same events.
    **observation
        ``center`` and ``pixel_scale``, and what else `Observation` takes.

    Returns
    -------
    `~astropy.io.fits.HDUList`
        A primary header, ``EVENTS`` (time, ccd_id, x, y, energy in eV, pi, grade) and ``GTI``.

    Raises
    ------
    ValueError
        See `Observation`.

    Examples
    --------
    >>> import numpy as np
    >>> import astropy.units as u
    >>> from astropy.coordinates import SkyCoord
    >>> from astro_lpalm.simulate import simulate_events
    >>> events = simulate_events(
    ...     np.full((1, 4, 4), 2.0), np.ones((3, 1)), [1, 2, 3, 4] * u.keV,
    ...     center=SkyCoord(350.86, 58.81, unit="deg"), pixel_scale=1 * u.arcsec, seed=0,
    ... )
    >>> events["EVENTS"].columns.names
    ['time', 'ccd_id', 'x', 'y', 'energy', 'pi', 'grade']
    """
    return Observation(images, spectra, energy_edges, **observation).draw(seed)
