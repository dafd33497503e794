"""A mission: whose files it knows, and what energies their channels have."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from .._headers import header_text

__all__ = ["Mission"]


@dataclass(frozen=True, kw_only=True)
class Mission:
    """An instrument of a mission, and what its files mean.

    Parameters
    ----------
    name : str
        For messages, such as "Chandra ACIS".
    telescope : str
        What TELESCOP says, in any case.
    instruments : tuple of str
        What INSTRUME begins with, in any case: one of these.
    first_channel, last_channel : int
        Of the column PI. A column of numbers with fractions is in the channels of their whole parts.
    channel_width : `~astropy.units.Quantity`
        Energy from one channel to the next.
    first_energy : `~astropy.units.Quantity`
        Where the first channel begins.
    overflow : int, optional
        The channel that holds all energies above it, and so has none of its own.
    negative_is_none : bool
        Whether an event whose channel is negative has no energy: it is left out, where otherwise it is an error.
    no_energies : str
        Why the channels tell no energies, where they do not: such a list is refused.
    needs_telescope : bool
        Whether a file without TELESCOP is none of this mission's; where not, INSTRUME alone tells.
    flags_are_bad : bool
        Whether an event with certain bits of a column set is none to be counted.
    flag_column : str
        Which column has these bits.
    bad_flags : int, optional
        Which bits of a column of whole numbers; all of them if not given.
    flag_remedy : str
        How to remove such events, for messages: "with CIAO by dmcopy ...".
    projection : {'TAN', 'SIN'}
        How RA and DEC are projected, in a list that has no X and Y.
    sky_pixel : `~astropy.units.Quantity`
        Side of a sky pixel of such a list.
    bin_factor : int
        Sky pixels to the side of an image's pixel, where none is asked for.
    is_in_pha : bool
        Whether the channels of PHA files are those of the column PI.
    backscal_area : `~astropy.units.Quantity`, optional
        Solid angle of a region whose spectrum has a BACKSCAL of 1; by default not known.

    Raises
    ------
    TypeError, ValueError
        If the names are not texts, or the channels or their energies cannot be.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astro_lpalm.missions import Mission
    >>> sxi = Mission(
    ...     name="Hitomi SXI",
    ...     telescope="HITOMI",
    ...     instruments=("SXI",),
    ...     first_channel=0,
    ...     last_channel=4095,
    ...     channel_width=6 * u.eV,
    ... )
    >>> print(sxi.energies([100, 500]))
    [0.603 3.003] keV
    >>> sxi.matches({"TELESCOP": "HITOMI", "INSTRUME": "SXI"})
    True
    """

    name: str
    telescope: str
    instruments: tuple[str, ...]
    first_channel: int = 0
    last_channel: int = 0
    channel_width: u.Quantity = np.nan * u.keV
    first_energy: u.Quantity = 0 * u.keV
    overflow: int | None = None
    negative_is_none: bool = False
    no_energies: str = ""
    needs_telescope: bool = True
    flags_are_bad: bool = False
    flag_column: str = "STATUS"
    bad_flags: int | None = None
    flag_remedy: str = ""
    projection: str = "TAN"
    sky_pixel: u.Quantity = 0.5 * u.arcsec
    bin_factor: int = 1
    is_in_pha: bool = True
    backscal_area: u.Quantity | None = None

    def __post_init__(self):
        if isinstance(self.instruments, str) or not all(isinstance(text, str) and text for text in self.instruments):
            msg = f"instruments of {self.name} are {self.instruments!r}; expected a tuple of texts, such as ('XRT',)."
            raise TypeError(msg)
        if self.projection not in ("TAN", "SIN"):
            msg = f"the projection of {self.name} is {self.projection!r}; expected 'TAN' or 'SIN'."
            raise ValueError(msg)
        if self.no_energies:
            return
        edges = self.lower_edges(np.arange(self.first_channel, self.last_channel + 2))
        if len(edges) < 2 or not (np.isfinite(edges).all() and (np.diff(edges) > 0).all()):
            msg = (
                f"the channels {self.first_channel} to {self.last_channel} of {self.name} must be one or more, with "
                f"finite energies that rise; they are {edges}."
            )
            raise ValueError(msg)
        if self.overflow not in (None, self.last_channel):
            msg = f"the overflow channel of {self.name} is {self.overflow}; expected the last, {self.last_channel}."
            raise ValueError(msg)

    def matches(self, header, where: str = "the header") -> bool:
        """Tell whether a header says that its file is one of this mission and instrument.

        Parameters
        ----------
        header : `~astropy.io.fits.Header` or mapping
        where : str
            What the header belongs to, for messages.

        Returns
        -------
        bool
        """
        telescope, instrument = (header_text(header, key, where).upper() for key in ("TELESCOP", "INSTRUME"))
        is_ours = telescope == self.telescope.upper() or not (telescope or self.needs_telescope)
        return is_ours and instrument.startswith(tuple(text.upper() for text in self.instruments))

    def lower_edges(self, channels) -> u.Quantity:
        """Give the energies at which channels begin.

        Parameters
        ----------
        channels : int or array_like
            May be the one after the last, or infinite.

        Returns
        -------
        edges : `~astropy.units.Quantity`
            In keV, of the shape of ``channels``.
        """
        number = np.asarray(channels, dtype=float) - self.first_channel
        return (self.first_energy + number * self.channel_width).to(u.keV)

    def energies(self, channels) -> u.Quantity:
        """Give the energies of PI channels: those of their centres.

        Parameters
        ----------
        channels : int or array_like of int

        Returns
        -------
        energies : `~astropy.units.Quantity`
            In keV, of the shape of ``channels``; infinite for the overflow channel.

        Raises
        ------
        ValueError
            If there is no such channel, or channels tell no energies.
        """
        if self.no_energies:
            msg = f"PI of {self.name} tells no energies: {self.no_energies}."
            raise ValueError(msg)
        channels = np.asarray(channels)
        outside = ~((channels >= self.first_channel) & (channels <= self.last_channel))
        if outside.any():
            msg = (
                f"PI channels of {self.name} are {self.first_channel} to {self.last_channel}; {outside.sum()} of the "
                f"{channels.size} given are none of these, {channels[outside][0]} for instance."
            )
            raise ValueError(msg)
        centres = 0.5 * (self.lower_edges(channels) + self.lower_edges(channels + 1.0))  # narrow integers may be full
        return centres if self.overflow is None else np.where(channels == self.overflow, np.inf, centres)

    @property
    def channel_edges(self) -> u.Quantity | None:
        """Energy edges of the channels of PHA files, shape (n_channel + 1,); None where those are others, or none."""
        if self.no_energies or not self.is_in_pha:
            return None
        return self.lower_edges(np.arange(self.first_channel, self.last_channel + 2))

    @property
    def overflow_energy(self) -> u.Quantity:
        """Energy at which the overflow channel begins; infinite where there is none."""
        return np.inf * u.keV if self.overflow is None else self.lower_edges(self.overflow)
