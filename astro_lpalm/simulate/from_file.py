"""Event lists of what a components file describes."""

from copy import deepcopy
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from .._files import read_image
from .._text import kind_of, shown
from ..data import read_components_file
from ..grid.resample import image_unit
from ..grid.sky import celestial_cards, celestial_wcs, is_upright, square_pixels
from ..instrument import PHA, PSF, Response
from ..instrument.psf_file import read_psf
from ..missions import approximate_response
from ..missions.chandra import ACIS_CHANNEL
from ..sources import SourceLibrary
from ..spectra import SpectralLibrary
from .drawn import drawn_parameters
from .event_list import SKY_SIZE, say_instrument
from .given import checked_center, checked_pixel_scale, instrument_of
from .observation import Observation
from .particles import ParticleBackground

__all__ = ["simulate_from_file"]

_UNITS = {"exposure": u.ks, "pixel_scale": u.arcsec, "size": u.arcsec}
_DEFAULTS = {"exposure": 50 * u.ks, "pixel_scale": 0.984 * u.arcsec, "size": 240 * u.arcsec, "counts": 1e6,
             "center": SkyCoord(0, 0, unit="deg"), "correlation": 1.0}  # fmt: skip
_SMALLEST = 1e-9  # of times and angles in their units; the largest is its inverse, and squares of all are finite
_RANGE = f" from {_SMALLEST:g} to {1 / _SMALLEST:g}"
_KEYS = ("exposure", "center", "pixel_scale", "size", "counts", "flux", "psf", "exposure_map", "background",
         "correlation")  # fmt: skip
# The channels of ACIS within the energies that the approximate response is tabulated for, 0.3 to 10 keV.
_APPROXIMATE_CHANNELS = np.arange(21, 685) * ACIS_CHANNEL


def simulate_from_file(components_toml, *, seed=0, **settings):
    """Simulate an event list of the components that a file describes.

    One spectrum of each component is drawn from the file's priors, and folded through its response into channels of
    14.6 eV (or those of its RMF). Its image is the one that ``[components.source]`` names under ``image``, or else is
    drawn from the source's statistics. The list has the columns of one of Chandra ACIS; TELESCOP, INSTRUME and PI are
    those of the instrument that the response is of, or UNKNOWN where its files do not say.

    Parameters
    ----------
    components_toml : str or `os.PathLike`
        A TOML file, or the name of a packaged one, with the tables of
        `SpectralLibrary.from_file <astro_lpalm.spectra.SpectralLibrary.from_file>` and
        `SourceLibrary.from_file <astro_lpalm.sources.SourceLibrary.from_file>`, and optionally ``[simulation]`` with
        the settings below. There numbers are in the units named here, a position is ``[ra, dec]`` in degrees or a
        text, and names of files are relative to its own directory.
    seed : int or `numpy.random.Generator`
        Decides spectra, images and photons, in this order: the same seed and another exposure show the same sky.
    **settings
        Settings that take the place of the file's:

        - ``exposure``: 50 ks by default.
        - ``center`` (`~astropy.coordinates.SkyCoord`), ``pixel_scale`` and ``size`` (side, or width and height; angles
          in arcsec): by default those of the images that are read, where they have a WCS, or else (0, 0), 0.984 arcsec
          and 240 arcsec.
        - ``counts``: expected counts in the file's energy range, a dict by name, or the total of all, of which the
          components have shares as their images' sums are; or ``flux``, the same in photon / (cm2 s), after
          absorption. By default 1e6 counts.
        - ``psf``: FWHM of a Gaussian (angle, arcsec), or the name of a file with images of it, in a layout that
          `PSF.read <astro_lpalm.instrument.PSF.read>` knows, whose pixels are as large as its header says, or else as
          those of the images.
        - ``exposure_map``: name of a file with an image (see `Observation`).
        - ``background``: count / s in all channels, flat in energy and on the detector, or a dict of ``rate``,
          ``spectrum`` (name of a PHA file) and ``image`` (name of a file).
        - ``correlation``: how much drawn images are alike, from 0 to 1 (see
          `SourceLibrary.draw_images <astro_lpalm.sources.SourceLibrary.draw_images>`); 1 by default.

    Returns
    -------
    events : `~astropy.io.fits.HDUList`
        See `simulate_events`.
    truth : `~astro_lpalm.results.Separation`
        Images and spectra that were simulated, in the energy bins of the file, and ``parameters``, those that were
        drawn.

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If a key or value is not allowed; names the file and the key, and says what is.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astro_lpalm.simulate import simulate_from_file
    >>> events, truth = simulate_from_file("pwn-acis", size=30 * u.arcsec, counts=1e4, seed=1)
    >>> truth.names
    ('nonthermal', 'thermal')
    """
    reader = _Reader(components_toml, settings)
    try:
        return _simulate(reader, SpectralLibrary.from_file(components_toml), np.random.default_rng(seed))
    except (OSError, ValueError) as error:
        if str(reader.path) in str(error):
            raise
        msg = f"'{reader.path}', simulation: {error}"
        raise kind_of(error)(msg) from error


def _simulate(reader, library, rng):
    exposure, psf, exposure_map = reader.get("exposure"), reader.psf(), reader.exposure_map()
    sky = reader.sky(library.component_names)
    parameters = drawn_parameters(library, library.draw_parameters(1, deepcopy(rng)))
    photons, spectra, response = _draw_spectra(library, reader, rng)
    images = reader.images(library.component_names, sky, rng)
    # What the library's energy range has of all counts, and of all photons.
    band = library.energy_edges[[0, -1]].value
    in_band = _within(spectra, response.channel_edges.value, band)
    if not in_band.all():
        name = library.component_names[int(np.argmin(in_band))]
        reader.fail("energy", f"component '{name}' has no counts from {band[0]:g} to {band[1]:g} keV.")
    kind, brightness = reader.brightness(library.component_names, images.sum(axis=(1, 2)))
    if kind == "flux":
        photons_in_band = _within(photons, response.energy_edges.value, band)
        brightness = brightness * exposure.to_value(u.s) * in_band / photons_in_band
    images *= (brightness / in_band * spectra.sum(axis=0) / images.sum(axis=(1, 2)))[:, np.newaxis, np.newaxis]
    observation = Observation(
        images, spectra, response.channel_edges, center=sky.center, pixel_scale=sky.pixel_scale, exposure=exposure,
        exposure_map=exposure_map, psf=psf, background=reader.background(response),
        component_names=library.component_names, name=reader.path.stem,
    )  # fmt: skip
    events = observation.draw(rng)
    say_instrument(events, *instrument_of(reader.tables["response"], reader.path.parent))
    for key, value in reader.response_files().items():
        events["EVENTS"].header[key] = value
    return events, observation.truth(library.energy_edges, parameters=parameters)


def _draw_spectra(library, reader, rng):
    """Draw photons in true bins, shape (n_true, n), and the counts that they give, shape (n_channel, n)."""
    response = reader.response()
    true = response.energy_edges
    identity = Response(np.eye(len(true) - 1), true, true)
    absorbed = {"nh": library.nh, "absorption": library.absorption}
    unfolded = SpectralLibrary(library.components, true, response=identity, **absorbed)
    photons = unfolded.draw(1, rng)[0]
    return photons, np.asarray(response.fold(photons.T)).T, response


def _within(spectra, edges, band):
    cumulative = np.vstack([np.zeros(spectra.shape[1]), np.cumsum(spectra, axis=0)])
    return np.array([np.diff(np.interp(band, edges, column))[0] for column in cumulative.T])


@dataclass
class _Sky:
    """Where the images lie, and those that are read from files, by name."""

    center: SkyCoord
    pixel_scale: u.Quantity
    shape: tuple
    images: dict = field(default_factory=dict)


class _Reader:
    """What a file and the caller say; every error begins with the file and the key."""

    def __init__(self, components_toml, settings):
        self.path, self.tables = read_components_file(components_toml)
        table = self.tables.get("simulation", {})
        self.check_keys("simulation", table, _KEYS)
        for key in settings:
            if key not in _KEYS:
                msg = f"unknown setting {key!r}; allowed are {', '.join(_KEYS)}."
                raise ValueError(msg)
        self.given = {key: value for key, value in settings.items() if value is not None}
        if {"counts", "flux"} & set(self.given):  # the caller's one of the two replaces the file's other
            table = {key: value for key, value in table.items() if key not in ("counts", "flux")}
        self.table = table

    def fail(self, key, problem):
        msg = f"'{self.path}', {key}: {problem}"
        raise ValueError(msg)

    def check_keys(self, key, table, allowed):
        if not isinstance(table, dict):
            self.fail(key, f"{shown(table)} is no table; write [{key}] with any of the keys {', '.join(allowed)}.")
        for name in table:
            if name not in allowed:
                self.fail(key, f"unknown key {shown(name)}; allowed are {', '.join(allowed)}.")

    def get(self, key):
        """Give a setting, with its unit: the caller's, or the file's, or the default."""
        if key in self.given:
            try:
                return u.Quantity(self.given[key]).to(_UNITS[key]) if key in _UNITS else self.given[key]
            except (u.UnitConversionError, TypeError) as error:
                msg = f"{key}={self.given[key]!r} must have a unit, such as {_DEFAULTS[key]}."
                raise ValueError(msg) from error
        if key not in self.table:
            return _DEFAULTS.get(key)
        value = self.table[key]
        if key == "center":
            return self._position(value)
        if key in _UNITS:
            sides = value if key == "size" and isinstance(value, list) and len(value) == 2 else [value]
            if not all(_is_positive(side) for side in sides):
                several = ", or two" if key == "size" else ""
                self.fail(
                    f"simulation.{key}", f"{shown(value)} is not a positive number of {_UNITS[key]}{several}{_RANGE}."
                )
            return value * _UNITS[key]
        return value

    def _position(self, value):
        try:
            if isinstance(value, str):
                sexagesimal = ":" in value or len(value.split()) > 2
                return SkyCoord(value, unit=(u.hourangle, u.deg) if sexagesimal else u.deg)
            if isinstance(value, list) and len(value) == 2 and all(_is_number(each) for each in value):
                return SkyCoord(*value, unit=u.deg)
            problem = "it is neither"
        except (TypeError, ValueError) as error:
            problem = error
        return self.fail("simulation.center", f"{shown(value)} is not a position; give [ra, dec] in degrees, or a text "
                                              f"such as '23:23:27.8 +58:48:42' ({problem}).")  # fmt: skip

    def file(self, key, name):
        """Path of a file: the caller's as it is, the components file's relative to its directory."""
        if not isinstance(name, str | Path):
            self.fail(key, f"{shown(name)} is not the name of a file.")
        return Path(name) if key.partition(".")[2].partition(".")[0] in self.given else self.path.parent / name

    def image(self, key, name):
        """Read an image: values and header."""
        path = self.file(key, name)
        try:
            return read_image(path)
        except ValueError as error:
            return self.fail(key, error)

    def response(self):
        table = self.tables["response"]
        if "instrument" in table:
            return approximate_response(_APPROXIMATE_CHANNELS, table["instrument"], epoch=table.get("epoch"))
        arf = table.get("arf")
        return Response.read(None if arf is None else self.path.parent / arf, self.path.parent / table["rmf"])

    def response_files(self):
        table = self.tables["response"]
        files = {"ANCRFILE": table.get("arf"), "RESPFILE": table.get("rmf")}
        return {key: Path(name).name for key, name in files.items() if name is not None}

    def sky(self, names):
        """Find the grid of the images: those that are read have one already."""
        images, header, first = {}, None, None
        for name, component in zip(names, self.tables["components"]):
            key = f"component '{name}', source"
            source = component.get("source", {})
            if not isinstance(source, dict):
                self.fail(key, f"{shown(source)} is no table; write [components.source].")
            file, key = source.get("image"), f"{key}.image"
            if file is None:
                continue
            image, own = self.image(key, file)
            if first is not None and image.shape != images[first].shape:
                self.fail(key, f"the image has shape {image.shape}, but that of '{first}' {images[first].shape}.")
            if not np.isfinite(image).all() or image.min() < 0 or not image.any():
                self.fail(key, "the image must be finite, not negative, and not zero everywhere.")
            images[name], header, first = image, header or own, first or name
        center, scale = self._place(header, images[first].shape) if images else (None, None)
        pixel_scale = self.get("pixel_scale") if scale is None or self._says("pixel_scale") else scale
        center = checked_center(self.get("center") if center is None or self._says("center") else center)
        if images and not self._says("size"):
            return _Sky(center, pixel_scale, images[first].shape, images)
        size = self.get("size")
        if size.shape not in ((), (1,), (2,)) or not np.all(size > 0):
            msg = f"size={size} must be one or two positive angles."
            raise ValueError(msg)
        pixel_scale = checked_pixel_scale(pixel_scale, (1, 1))
        width, height = np.broadcast_to((size / pixel_scale).to_value(u.dimensionless_unscaled), 2)
        shape = tuple(max(1, int(np.ceil(side - 1e-6))) for side in (height, width))
        if max(shape) > SKY_SIZE:  # before the memory for them is asked for
            made = f"{shape[1]:.6g} x {shape[0]:.6g} pixels of {pixel_scale}"
            msg = f"size={size} makes {made}; at most {SKY_SIZE} to a side."
            raise ValueError(msg)
        if images and shape != images[first].shape:
            self.fail("simulation.size", f"it makes images of shape {shape}, but that of '{first}' has the shape "
                                         f"{images[first].shape}; leave size out.")  # fmt: skip
        return _Sky(center, pixel_scale, shape, images)

    def _says(self, key):
        return key in self.given or key in self.table

    def _place(self, header, shape):
        """Centre and pixel scale of an image, from its WCS; both None where it has none."""
        wcs = (
            celestial_wcs(celestial_cards(header)) if not (self._says("center") and self._says("pixel_scale")) else None
        )
        if wcs is None:
            return None, None
        if not is_upright(wcs):
            self.fail("simulation", "the image's WCS is rotated, or its pixels are not square; give center and "
                                    "pixel_scale, which then hold without it.")  # fmt: skip
        scale = square_pixels(wcs, "the image")
        return wcs.pixel_to_world((shape[1] - 1) / 2, (shape[0] - 1) / 2).icrs, scale

    def images(self, names, sky, rng):
        """Read or draw the images, shape (n, ny, nx)."""
        if len(sky.images) == len(names):
            return np.array([sky.images[name] for name in names])
        correlation = self.get("correlation")
        if not _is_number(correlation) or not 0 <= correlation <= 1:
            self.fail("simulation.correlation", f"{shown(correlation)} is not a number from 0 to 1.")
        drawn = SourceLibrary.from_file(self.path).draw_images(1, sky.shape, rng, correlation=correlation)[0]
        return np.array([sky.images.get(name, image) for name, image in zip(names, drawn)], dtype=float)

    def brightness(self, names, sums):
        """Tell whether counts or fluxes are given, and those of each component."""
        kinds = [kind for kind in ("counts", "flux") if self._says(kind)] or ["counts"]
        if len(kinds) > 1:
            self.fail("simulation", "give either counts or flux, not both.")
        kind = kinds[0]
        value = self.get(kind)
        if isinstance(value, dict):
            self.check_keys(f"simulation.{kind}", value, names)
            missing = [name for name in names if name not in value]
            if missing:
                self.fail(f"simulation.{kind}", f"'{missing[0]}' is missing; give a number for each component, or one "
                                                "for all together.")  # fmt: skip
            values = [value[name] for name in names]
        else:
            values = [value]
        for each in values:
            if not _is_number(each) or not each >= 0:
                unit = "counts" if kind == "counts" else "photon / (cm2 s)"
                self.fail(f"simulation.{kind}", f"{shown(each)} is not a number of {unit}, 0 or more.")
        return kind, np.array(values, dtype=float) if isinstance(value, dict) else value * sums / sums.sum()

    def psf(self):
        value = self.get("psf")
        if isinstance(value, str | Path):
            try:
                return PSF(**read_psf(self.file("simulation.psf", value)))
            except ValueError as error:
                return self.fail("simulation.psf", error)
        if value is not None and not isinstance(value, u.Quantity):
            if not _is_positive(value):
                self.fail(
                    "simulation.psf",
                    f"{shown(value)} is not a FWHM in arcsec, nor the name of a file; a FWHM is{_RANGE}.",
                )
            return value * u.arcsec
        return value

    def exposure_map(self):
        name = self.get("exposure_map")
        if name is None:
            return None
        values, header = self.image("simulation.exposure_map", name)
        try:
            return values * image_unit(header, f"'{name}'")
        except ValueError as error:
            return self.fail("simulation.exposure_map", error)

    def background(self, response):
        value = self.get("background")
        if value is None:
            return None
        key = "simulation.background"
        table = value if isinstance(value, dict) else {"rate": value}
        self.check_keys(key, table, ("rate", "spectrum", "image"))
        rate = table.get("rate")
        if not isinstance(rate, u.Quantity) and (not _is_number(rate) or not rate >= 0):
            self.fail(f"{key}.rate", f"{shown(rate)} is not a number of counts per second, 0 or more.")
        spectrum = image = None
        if "image" in table:
            image = self.image(f"{key}.image", table["image"])[0]
        if "spectrum" in table:
            observed = PHA.read(self.file(f"{key}.spectrum", table["spectrum"]))
            channels = response.channel_edges
            if "rmf" not in self.tables["response"]:  # the approximate response has not all of ACIS's channels
                channels = np.arange(observed.n_channel + 1) * ACIS_CHANNEL
            spectrum = observed.rebin(channels, response.channel_edges, per_area=True).value
        return ParticleBackground(rate, spectrum, image)


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool) and np.isfinite(value)


def _is_positive(value):
    return _is_number(value) and _SMALLEST <= value <= 1 / _SMALLEST
