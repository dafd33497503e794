"""Event lists as an observatory would have recorded them, from known images and spectra."""

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time

from .cube.energies import as_energy_edges

__all__ = ["simulate_events"]

# Layout of Chandra's sky coordinates and pulse-height channels (ACIS level-2 event lists).
_SKY_PIXEL = 0.492 * u.arcsec
_SKY_CENTER, _SKY_SIZE = 4096.5, 8192
_CHANNEL_WIDTH = 14.6 * u.eV
_OVERFLOW_CHANNEL = 1024


def simulate_events(images, spectra, energy_edges, *, center, pixel_scale, seed, exposure=50 * u.ks, name="simulated"):
    """Simulate an event list in the layout of a Chandra ACIS level-2 file.

    Every component is a Poisson process: the numbers of events in its pixels are drawn from its image, their positions
    are uniform within the pixel, and their energies follow its spectrum. No point spread function is applied.

    Parameters
    ----------
    images : array_like, shape (n, ny, nx)
        Expected counts of each component in each pixel; the first axis of an image is declination, upwards, and the
        second is right ascension, which falls to the right.
    spectra : array_like, shape (m, n)
        Shape of each component's spectrum of detected energies, in its columns: counts in each bin. Only ratios count.
    energy_edges : `~astropy.units.Quantity`, shape (m + 1,)
        Edges of the bins of ``spectra``.
    center : `~astropy.coordinates.SkyCoord`
        Sky position of the middle of the images.
    pixel_scale : `~astropy.units.Quantity`
        Angle that a pixel of the images subtends.
    seed : int or `numpy.random.Generator`
        The same seed gives the same events.
    exposure : `~astropy.units.Quantity`
        Exposure time to note down; it does not change the number of counts.
    name : str
        Name of the object.

    Returns
    -------
    `~astropy.io.fits.HDUList`
        A primary header, ``EVENTS`` (time, ccd_id, x, y, energy in eV, pi, grade) and ``GTI``.

    Raises
    ------
    ValueError
        If shapes do not fit, images or spectra are negative or not finite, a component that has counts has no spectrum,
        energy edges are not increasing, an angle or energy lacks its unit, or the images exceed Chandra's.

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
    edges = as_energy_edges(energy_edges).to_value(u.eV)
    images, spectra = _check(images, spectra, edges)
    scale = _check_scale(pixel_scale, images.shape[1:])
    rng = np.random.default_rng(seed)
    rows, columns, energies = [], [], []
    for image, spectrum in zip(images, spectra.T):
        counts = rng.poisson(image)
        row, column = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), counts.shape[1])
        rows.append(row.astype(np.float32))
        columns.append(column.astype(np.float32))
        energies.append(_draw_energies(spectrum, edges, len(row), rng))
    y, x, energy = (np.concatenate(parts) for parts in (rows, columns, energies))
    half = np.array(images.shape[1:], dtype=np.float32) / 2
    y = _SKY_CENTER + scale * (y + rng.random(len(y), dtype=np.float32) - half[0])
    x = _SKY_CENTER + scale * (x + rng.random(len(x), dtype=np.float32) - half[1])
    times = np.sort(rng.uniform(0.0, exposure.to_value(u.s), len(x)))
    order = rng.permutation(len(x))
    return _hdulist(times, x[order], y[order], energy[order], center, exposure, name)


def _check(images, spectra, edges):
    images, spectra = np.asarray(images, dtype=float), np.asarray(spectra, dtype=float)
    expected = (len(edges) - 1, len(images))
    if images.ndim != 3 or spectra.shape != expected:
        msg = (
            f"images has shape {images.shape} and spectra {spectra.shape}; expected (n, ny, nx) and, for "
            f"{len(edges)} energy edges, (m, n) = {expected}."
        )
        raise ValueError(msg)
    for what, array in (("images", images), ("spectra", spectra)):
        if not np.all(array >= 0) or not np.isfinite(array).all():
            msg = f"{what} must not be negative, NaN or infinite: they are expected counts."
            raise ValueError(msg)
    missing = np.flatnonzero(images.any(axis=(1, 2)) & ~spectra.any(axis=0))
    if missing.size:
        msg = f"component {missing[0]} has counts in its image, but its spectrum is zero at all energies."
        raise ValueError(msg)
    return images, spectra


def _check_scale(pixel_scale, shape):
    try:
        scale = float(u.Quantity(pixel_scale) / _SKY_PIXEL)
    except TypeError as error:
        msg = f"pixel_scale={pixel_scale!r} must be an angle with a unit, for instance 1 * astropy.units.arcsec."
        raise ValueError(msg) from error
    if not 0 < scale * max(shape) <= _SKY_SIZE:
        msg = (
            f"images of {shape[1]} x {shape[0]} pixels of {pixel_scale} do not fit on Chandra's sky image of "
            f"{_SKY_SIZE} x {_SKY_SIZE} pixels of {_SKY_PIXEL}."
        )
        raise ValueError(msg)
    return scale


def _draw_energies(spectrum, edges, n, rng):
    # Inverse of the cumulative spectrum, straight within a bin: energies are uniform inside each bin.
    cumulative = np.concatenate([[0.0], np.cumsum(spectrum)])
    return np.interp(rng.random(n) * cumulative[-1], cumulative, edges).astype(np.float32)


def _hdulist(times, x, y, energy, center, exposure, name):
    channel = np.clip(np.floor(energy / _CHANNEL_WIDTH.to_value(u.eV)).astype(np.int32) + 1, 1, _OVERFLOW_CHANNEL)
    table = Table(
        {
            "time": times,
            "ccd_id": np.full(len(x), 7, dtype=np.int16),
            "x": x.astype(np.float32),
            "y": y.astype(np.float32),
            "energy": energy,
            "pi": channel,
            "grade": np.zeros(len(x), dtype=np.int16),
        }
    )
    for column, unit in (("time", "s"), ("x", "pixel"), ("y", "pixel"), ("energy", "eV"), ("pi", "chan")):
        table[column].unit = unit
    events = fits.BinTableHDU(table, name="EVENTS")
    _write_sky_coordinates(events, center.icrs)
    gti = fits.BinTableHDU(Table({"START": [0.0], "STOP": [exposure.to_value(u.s)]}), name="GTI")
    for hdu, kind in ((events, "EVENTS"), (gti, "GTI")):
        hdu.header.update(
            {
                "HDUCLASS": "OGIP",
                "HDUCLAS1": kind,
                "TELESCOP": "CHANDRA",
                "INSTRUME": "ACIS",
                "DETNAM": "ACIS-7",
                "OBJECT": name,
                "DATE-OBS": "2000-01-01T00:00:00",
                "EXPOSURE": exposure.to_value(u.s),
                "ONTIME": exposure.to_value(u.s),
                "LIVETIME": exposure.to_value(u.s),
                "TIMESYS": "TT",
                "TIMEUNIT": "s",
            }
        )
    gti.header["TUNIT1"] = gti.header["TUNIT2"] = "s"
    events.header["CONTENT"] = "EVT2"
    primary = fits.PrimaryHDU()
    primary.header["ORIGIN"] = ("astro_lpalm", "simulated, not observed")
    primary.header["DATE"] = (Time.now().isot[:19], "UTC of writing")
    return fits.HDUList([primary, events, gti])


def _write_sky_coordinates(hdu, center):
    axes = (("x", "RA---TAN", center.ra.deg, -1.0), ("y", "DEC--TAN", center.dec.deg, 1.0))
    for name, kind, value, sign in axes:
        index = hdu.columns.names.index(name) + 1
        hdu.header[f"TLMIN{index}"] = 0.5
        hdu.header[f"TLMAX{index}"] = _SKY_SIZE + 0.5
        hdu.header[f"TCTYP{index}"] = kind
        hdu.header[f"TCRVL{index}"] = value
        hdu.header[f"TCRPX{index}"] = _SKY_CENTER
        hdu.header[f"TCDLT{index}"] = sign * _SKY_PIXEL.to_value(u.deg)
        hdu.header[f"TCUNI{index}"] = "deg"
    pi = hdu.columns.names.index("pi") + 1
    hdu.header[f"TLMIN{pi}"], hdu.header[f"TLMAX{pi}"] = 1, _OVERFLOW_CHANNEL
    hdu.header["RADESYS"], hdu.header["EQUINOX"] = "ICRS", 2000.0
    hdu.header["RA_NOM"], hdu.header["DEC_NOM"], hdu.header["ROLL_NOM"] = center.ra.deg, center.dec.deg, 0.0
