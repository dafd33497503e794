"""Spectra as observed: OGIP PHA files."""

import logging
import warnings
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from .._headers import exposure_time, header_text
from ..grid.channels import check_energy_edges, summing_matrix
from .ogip_table import describe_tables, find_tables, open_tables

__all__ = ["PHA"]

logger = logging.getLogger(__name__)

_BAD = (1, 5)  # QUALITY: bad by software, and by the user; 2 is doubtful, as groupings leave it of their last channels


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
        Shape (n,), integers; zeros where the file has none. ``counts`` are those of the file whatever they say, and
        those of single channels: a grouping is for fits of the spectrum alone.
    backscale, areascale : float or array
        BACKSCAL and AREASCAL; shape (n,) where the file has a column.
    backfile, respfile, ancrfile : str or None
        Background, RMF and ARF that the file names.
    first_channel, n_channel : int
        The number of the instrument's first channel (TLMIN), and how many it has (DETCHANS).
    header : `~astropy.io.fits.Header`
        Of the extension that the spectrum is from.
    errors : `~astropy.units.Quantity` or None
        Shape (n,), count: STAT_ERR, or with POISSERR the square root of the counts; and SYS_ERR, which is a fraction,
        added in squares. None where the file does not say.
    path : str or `os.PathLike`
        The file, for messages.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from astropy.io import fits
    >>> from astropy.table import Table
    >>> from astro_lpalm.instrument import PHA
    >>> table = fits.BinTableHDU(Table({"CHANNEL": [1, 2, 3, 4], "COUNTS": [0, 12, 30, 8]}), name="SPECTRUM")
    >>> table.header.update(EXPOSURE=5e4, HDUCLASS="OGIP", HDUCLAS1="SPECTRUM")
    >>> with TemporaryDirectory() as folder:
    ...     table.writeto(f"{folder}/source.pi")
    ...     observed = PHA.read(f"{folder}/source.pi")
    >>> observed.counts, observed.exposure
    (<Quantity [ 0., 12., 30.,  8.] ct>, <Quantity 50000. s>)
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
    errors: u.Quantity | None
    path: object

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
            counts = _counts(table, exposure)
            return cls(
                channel=channel,
                counts=counts * u.count,
                exposure=exposure * u.s,
                quality=np.broadcast_to(_value(table, "QUALITY", 0, int), channel.shape).copy(),
                grouping=np.broadcast_to(_value(table, "GROUPING", 0, int), channel.shape).copy(),
                backscale=_value(table, "BACKSCAL", 1.0, float),
                areascale=_value(table, "AREASCAL", 1.0, float),
                **{key.lower(): _file_name(table, key) for key in ("BACKFILE", "RESPFILE", "ANCRFILE")},
                first_channel=first_channel,
                n_channel=n_channel,
                header=table.header.copy(),
                errors=_errors(table, counts, exposure),
                path=path,
            )

    def area_counts(self):
        """Give the counts that would be expected of the nominal area: those of the file over AREASCAL.

        Returns
        -------
        counts : array
            Shape (n_channel,), in all of the instrument's channels. Where BACKSCAL is a column, they are those of its
            mean. Without the channels that QUALITY says are bad (1 and 5).

        Raises
        ------
        ValueError
            If AREASCAL or a column BACKSCAL is not positive where there are counts.

        Warns
        -----
        `~astropy.utils.exceptions.AstropyUserWarning`
            If channels with counts are bad or doubtful.
        """
        used = self.counts.value != 0
        scale = np.broadcast_to(self.areascale, self.channel.shape).astype(float)
        if np.ndim(self.backscale) and used.any():
            scale = scale * self.backscale / np.mean(self.backscale[used])
        good = np.isfinite(scale) & (scale > 0)
        if not good[used].all():
            row = int(np.flatnonzero(used & ~good)[0])
            areascale, backscale = (
                np.broadcast_to(each, scale.shape)[row] for each in (self.areascale, self.backscale)
            )
            msg = (
                f"'{self.path}': AREASCAL is {areascale:g} and BACKSCAL {backscale:g} in channel {self.channel[row]}, "
                "and counts are divided by them: they must be positive. Correct them."
            )
            raise ValueError(msg)
        bad = np.isin(self.quality, _BAD)
        self._warn_of_quality(bad)
        counts = np.zeros(self.n_channel)
        kept = used & ~bad
        counts[self.channel[kept] - self.first_channel] = self.counts.value[kept] / scale[kept]
        return counts

    def _warn_of_quality(self, bad):
        flagged = (self.quality != 0) & (self.counts.value != 0)
        if flagged.any():
            kinds = " and ".join(map(str, np.unique(self.quality[flagged])))
            msg = (
                f"'{self.path}': QUALITY is {kinds} in {np.count_nonzero(flagged)} channels with "
                f"{self.counts.value[flagged].sum():g} counts; those of bad channels (1 and 5), "
                f"{self.counts.value[bad].sum():g}, are left out, so that nothing is expected there. Choose energies "
                "without these channels."
            )
            warnings.warn(msg, AstropyUserWarning, stacklevel=3)

    def rebin(self, channel_edges, energy_edges, *, per_area=False):
        """Sum the counts into energy bins of whole channels.

        Parameters
        ----------
        channel_edges : `~astropy.units.Quantity` or array
            Energies of all the instrument's channels, shape (n_channel + 1,), as `Response.read` has them.
        energy_edges : `~astropy.units.Quantity` or array
            Shape (m + 1,), each one that of a channel, as `Response.group` makes them; keV where there is no unit.
        per_area : bool
            Whether to take `area_counts` instead of the counts as they are.

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
        if per_area:
            return (self.area_counts() @ summing) * u.count
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
    exposure = exposure_time(table.header, table.where)
    if exposure is None:
        text = "EXPOSURE is None, and must be a positive number of seconds; add it to the header."
        raise table.error(text)
    return exposure


def _errors(table, counts, exposure):
    """Find the standard deviations of the counts, where the file says what they are."""
    squares = None
    if "STAT_ERR" in table:
        # A file of rates has the errors of rates.
        squares = (table.numbers("STAT_ERR") * (exposure if _is_rate(table) else 1.0)) ** 2
    elif header_text(table.header, "POISSERR", table.where).upper() in ("T", "TRUE"):
        squares = np.maximum(counts, 0.0)
    if squares is None:
        return None
    return np.sqrt(squares + (_value(table, "SYS_ERR", 0.0, float) * counts) ** 2) * u.count


def _is_rate(table):
    return "COUNTS" not in table and "RATE" in table


def _counts(table, exposure):
    name = "RATE" if _is_rate(table) else "COUNTS"
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
    name = header_text(table.header, key, table.where)
    return None if name.lower() in ("", "none") else name
