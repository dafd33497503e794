"""Observations of known images and spectra: what is expected, and event lists drawn from it."""

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from .._names import check_component_names
from ..cube import EventCube
from ..forward import BackgroundCounts, ForwardModel
from ..grid.energies import as_energy_edges
from ..instrument import ExposureMaps, Instrument
from .event_list import SKY_PIXEL, event_list, snap_to_channels
from .given import (
    check_images_and_spectra,
    checked_center,
    checked_pixel_scale,
    checked_time,
    fold_fluxes,
    plain_values,
    relative_exposure,
)
from .photons import draw_events

__all__ = ["Observation", "simulate_events"]


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
    response : `~astro_lpalm.instrument.Response`, or as `~astro_lpalm.instrument.Instrument` takes it, optional
        Its channels are the bins of detected energy.
    center : `~astropy.coordinates.SkyCoord`
        Sky position of the middle of the images.
    pixel_scale : `~astropy.units.Quantity`
        Angle that a pixel of the images subtends.
    exposure : `~astropy.units.Quantity`
        Exposure time. Images in counts are left as they are.
    exposure_map : array_like or `~astropy.units.Quantity`, shape (ny, nx), or ExposureMaps, optional
        Exposure of each pixel relative to the full one, 10 at most. A map in units of time is divided by ``exposure``,
        one in other units (cm2 s) by its largest value. Where it differs with energy,
        `~astro_lpalm.instrument.ExposureMaps`.
    psf : `~astro_lpalm.instrument.PSF`, `~astropy.units.Quantity`, array_like, str or path, optional
        Point spread function; or the full width at half maximum of a Gaussian, an image of it in pixels of
        ``pixel_scale`` with sides of an odd number of pixels, or the name of a FITS file. Photons that it takes beyond
        the images are lost. Where it changes with the angle off the optical axis and does not say where that is, it
        is in the middle of the images.
    background : ParticleBackground, optional
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
    >>> from astro_lpalm.missions import approximate_response
    >>> observation = Observation(
    ...     np.full((1, 20, 20), 1e-6) * u.photon / (u.cm**2 * u.s), [Synchrotron(photon_index=2.0)],
    ...     response=approximate_response(np.linspace(0.5, 7, 66) * u.keV),
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
        instrument, self.exposure = Instrument(response=response, psf=psf), checked_time(exposure)
        self.center, self.name = checked_center(center), name
        self.pixel_scale = checked_pixel_scale(pixel_scale, np.shape(images)[1:])
        if response is None:
            images = plain_values(images, u.count, "images, without a response,")
            spectra = np.asarray(spectra, dtype=float)
        else:
            images, spectra = fold_fluxes(images, spectra, instrument.response, self.exposure, self.pixel_scale)
            energy_edges = instrument.response.channel_edges
        edges = as_energy_edges(energy_edges)
        self.energy_edges = snap_to_channels(edges.to_value(u.eV)) / 1e3 * u.keV
        check_images_and_spectra(images, spectra, ("energy_edges", len(edges)))
        self.psf = instrument.psf
        self.images = images
        self._maps = exposure_map if isinstance(exposure_map, ExposureMaps) else None
        if self._maps is not None:
            exposure_map = self._maps.exposures_on(self.wcs, images.shape[1:]).mean(axis=0)
        self.exposure_map = relative_exposure(exposure_map, images.shape[1:], self.exposure)
        names = component_names or [f"component_{k + 1}" for k in range(len(images))]
        if len(names) != len(images):
            msg = f"component_names is {names}, but there are {len(images)} images; give one name for each."
            raise ValueError(msg)
        self.n_sources = len(images)
        if background is not None:
            exposed = np.ones(images.shape[1:], dtype=bool) if self.exposure_map is None else self.exposure_map > 0
            image, spectrum = background.counts(self.energy_edges, self.exposure, exposed)
            images, spectra = np.concatenate([images, [image]]), np.column_stack([spectra, spectrum])
            names = [*names, "background"]
        total = spectra.sum(axis=0)
        self.component_names = check_component_names(names)
        self.images, self.spectra = images, spectra / np.where(total > 0, total, 1.0)

    def _forward(self, spectra, energy_edges):
        # What the sky is seen through, and what comes on top of it in the bins of these spectra, which are all.
        background = None
        if len(self.images) > self.n_sources:
            background = BackgroundCounts.separable(spectra[:, -1], self.images[-1].ravel())
        kept = np.ones(self.images.shape[1:], dtype=bool)
        terms = () if self.psf is None else self.psf.terms(self.wcs, kept.shape, energy_edges, axis=self.center)
        vignetting = None if self._maps is None else self._maps.on(self.wcs, kept.shape, energy_edges)[1]
        return ForwardModel(kept, self.exposure_map, terms, background=background, vignetting=vignetting)

    def _sky(self):
        return self.images[: self.n_sources].reshape(self.n_sources, -1)

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
        forward = self._forward(self.spectra, self.energy_edges)
        detected = forward.detected(self._sky(), self.spectra[:, : self.n_sources])
        images[: self.n_sources] = detected.reshape(self.n_sources, *images.shape[1:])
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
        edges = self.energy_edges if energy_edges is None else energy_edges
        data = self._forward(spectra, edges).expected(spectra[:, : self.n_sources], self._sky())
        data = data.reshape(-1, *self.images.shape[1:])
        header = fits.Header({"OBJECT": self.name, "EXPOSURE": self.exposure.to_value(u.s)})
        return EventCube(data, energy_edges=edges, wcs=self.wcs, meta=header)

    def truth(self, energy_edges=None, *, parameters=None):
        """Give what a perfect separation of the expected cube would find.

        Parameters
        ----------
        energy_edges : `~astropy.units.Quantity`, shape (m + 1,), optional
            By default the observation's own.
        parameters : `~astropy.table.QTable`, optional
            Those of the spectra, where they are known.

        Returns
        -------
        truth : `~astro_lpalm.results.Separation`
            Its residuals are zero.
        """
        from ..results import Separation  # a later room, which only this needs

        cube, spectra = self.expected_cube(energy_edges), self.expected_spectra(energy_edges)
        norm = np.linalg.norm(spectra, axis=0)
        sources = norm[:, np.newaxis] * self.expected_images().reshape(len(norm), -1)
        return Separation(
            cube, spectra / np.where(norm > 0, norm, 1.0), sources, self.component_names, parameters=parameters
        )

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
            self.images, self.spectra, self.energy_edges.to_value(u.eV),
            forward=self._forward(self.spectra, self.energy_edges), n_sources=self.n_sources,
            scale=float(self.pixel_scale / SKY_PIXEL), exposure=self.exposure.to_value(u.s), seed=seed,
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
