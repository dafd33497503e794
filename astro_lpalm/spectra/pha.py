"""Spectra as observed: OGIP PHA files."""

import logging
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.io import fits

from .channels import check_energy_edges, summing_matrix
from .ogip import describe_tables, find_tables, open_tables

__all__ = ["PHA"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class PHA:
    """Counts in the channels of an instrument, read from a PHA file (OGIP/92-007).

    Attributes
    ----------
    channel : array
        Numbers of the channels, shape (n,), as the file has them.
    counts : `~astropy.units.Quantity`
        Shape (n,), count. A file of rates has been multiplied by its exposure.
    exposure : `~astropy.units.Quantity`
        Seconds, of the spectrum itself: other extensions may have other exposures.
    quality, grouping : array
        Shape (n,), integers; zeros where the file has none. ``counts`` are those of the file whatever they say.
    backscale, areascale : float or array
        BACKSCAL and AREASCAL; shape (n,) where the file has a column.
    backfile, respfile, ancrfile : str or None
        Background, RMF and ARF that the file names.
    first_channel, n_channel : int
        The number of the instrument's first channel (TLMIN), and how many it has (DETCHANS).
    header : `~astropy.io.fits.Header`
        Of the extension that the spectrum is from.

    Examples
    --------
    >>> from astro_lpalm.spectra import PHA, Response
    >>> observed = PHA.read("source.pi")  # doctest: +SKIP
    >>> response = Response.read(observed.ancrfile, observed.respfile)  # doctest: +SKIP
    >>> observed.rebin(response.channel_edges, response.group(0.5, 7, 7))  # doctest: +SKIP
    """

    channel: np.ndarray
    counts: u.Quantity
    exposure: u.Quantity
    quality: np.ndarray
    grouping: np.ndarray
    backscale: float | np.ndarray
    areascale: float | np.ndarray
    backfile: str | None
    respfile: str | None
    ancrfile: str | None
    first_channel: int
    n_channel: int
    header: fits.Header

    @classmethod
    def read(cls, path):
        """Read a spectrum.

        Parameters
        ----------
        path : str or `os.PathLike`
            A PHA file of type I, gzipped or not, with COUNTS or RATE. Of several spectra in it, that of the source is
            taken (HDUCLAS2 TOTAL, or else NET), not the background (BKG).

        Returns
        -------
        pha : PHA

        Raises
        ------
        OSError
            If there is no such file, or it is not FITS or truncated.
        ValueError
            If there is no spectrum of a source in it, or several, or the spectrum is damaged; names the file.
        """
        with open_tables(path) as hdulist:
            table = _source_table(hdulist, path)
            channel = table.numbers("CHANNEL", int)
            first_channel, n_channel = _check_channels(table, channel)
            exposure = _exposure(table)
            return cls(
                channel=channel,
                counts=_counts(table, exposure) * u.count,
                exposure=exposure * u.s,
                quality=np.broadcast_to(_value(table, "QUALITY", 0, int), channel.shape).copy(),
                grouping=np.broadcast_to(_value(table, "GROUPING", 0, int), channel.shape).copy(),
                backscale=_value(table, "BACKSCAL", 1.0, float),
                areascale=_value(table, "AREASCAL", 1.0, float),
                **{key.lower(): _file_name(table, key) for key in ("BACKFILE", "RESPFILE", "ANCRFILE")},
                first_channel=first_channel,
                n_channel=n_channel,
                header=table.header.copy(),
            )

    def rebin(self, channel_edges, energy_edges):
        """Sum the counts into energy bins of whole channels.

        Parameters
        ----------
        channel_edges : `~astropy.units.Quantity` or array
            Energies of all the instrument's channels, shape (n_channel + 1,), as `Response.read` has them.
        energy_edges : `~astropy.units.Quantity` or array
            Shape (m + 1,), each one that of a channel, as `Response.group` makes them; keV where there is no unit.

        Returns
        -------
        counts : `~astropy.units.Quantity`
            Shape (m,), count.

        Raises
        ------
        ValueError
            If there is not one channel for each of the instrument's, or an edge is not that of a channel.
        """
        edges = check_energy_edges(channel_edges, "channel_edges")
        if edges.size != self.n_channel + 1:
            msg = (
                f"channel_edges are those of {edges.size - 1} channels, and the spectrum is of an instrument with "
                f"{self.n_channel}; give the channel_edges of its own response, before any rebinning."
            )
            raise ValueError(msg)
        summing = summing_matrix(edges, energy_edges)
        # A file may leave out channels without counts.
        counts = np.zeros(self.n_channel)
        counts[self.channel - self.first_channel] = self.counts.value
        return (counts @ summing) * u.count

    def __repr__(self):
        return f"<PHA: {self.channel.size} channels, {self.counts.value.sum():g} counts in {self.exposure.value:g} s>"


def _source_table(hdulist, path):
    found = find_tables(hdulist, path, "SPECTRUM", None, ("SPECTRUM",))
    if not found:
        msg = f"'{path}' holds no spectrum (table SPECTRUM): {describe_tables(hdulist)}."
        raise ValueError(msg)
    content = [str(table.header.get("HDUCLAS2", "")).strip().upper() for table in found]
    # A file with nothing but a background is one that was asked for.
    best = next((kind for kind in ("TOTAL", "NET", "", "BKG") if kind in content), content[0])
    found = [table for table, kind in zip(found, content) if kind == best]
    if len(found) > 1 or any(key in found[0] and found[0].column(key).ndim > 1 for key in ("COUNTS", "RATE")):
        msg = f"'{path}' holds several spectra (a type II file, for instance); write the one you want to its own file."
        raise ValueError(msg)
    return found[0]


def _check_channels(table, channel):
    """First channel and number of channels of the instrument."""
    first = table.first_channel("CHANNEL")
    if first is None:
        first = min(1, int(channel.min(initial=1)))
    n_channel = table.keyword("DETCHANS", int(channel.max(initial=first)) - first + 1)
    outside = (channel < first) | (channel >= first + n_channel)
    if channel.size == 0 or outside.any() or np.unique(channel).size < channel.size:
        which = f"; channel {channel[outside.argmax()]} is none of them" if outside.any() else ""
        text = f"CHANNEL must have different numbers from {first} to {first + n_channel - 1} (DETCHANS){which}."
        raise table.error(text)
    return first, n_channel


def _exposure(table):
    exposure = table.header.get("EXPOSURE")
    if not isinstance(exposure, (int, float)) or not 0 < exposure < np.inf:
        text = f"EXPOSURE is {exposure!r}, and must be a positive number of seconds."
        raise table.error(text)
    return float(exposure)


def _counts(table, exposure):
    name = "COUNTS" if "COUNTS" in table or "RATE" not in table else "RATE"
    counts = table.numbers(name)
    if not np.all(np.isfinite(counts)):
        text = f"{name} of row {int(np.isfinite(counts).argmin()) + 1} is not finite."
        raise table.error(text)
    if name == "RATE":
        logger.info("'%s' has count rates; they are multiplied by the exposure of %g s", table.path, exposure)
        counts *= exposure
    return counts


def _value(table, name, default, dtype):
    """Read a column if there is one, or else a keyword."""
    return table.numbers(name, dtype) if name in table else table.keyword(name, default, dtype)


def _file_name(table, key):
    name = str(table.header.get(key, "")).strip()
    return None if name.lower() in ("", "none") else name
