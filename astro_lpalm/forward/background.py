"""Counts that are in a cube but belong to no component: a blank field, or a spectrum spread like the exposure."""

import re
import warnings
from copy import copy

import astropy.units as u
import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs.utils import proj_plane_pixel_area

from .._headers import exposure_time, header_number, header_text
from ..cube.cube import EventCube
from ..cube.observations import same_grid
from ..grid.energies import as_energy_edges, describe_grid
from ..grid.nesting import difference, find_edges
from ..missions import find, known_missions
from .counts import BackgroundCounts

__all__ = ["ExpectedBackground"]

_SAME_SCALE = 0.01  # relative: scales of CCDs that differ by less are as good as one


class ExpectedBackground:
    """The background that is expected in a cube.

    Parameters
    ----------
    counts : EventCube or array_like, shape (m,)
        A cube on the same pixels, such as events of a blank field binned with ``like=`` the observation's cube; or a
        spectrum, which is spread over the unmasked pixels in proportion to the exposure, evenly where that is unknown.
    energy_edges : `~astropy.units.Quantity`, shape (m + 1,), optional
        Energy bins of the spectrum; by default those of the observation's cube.
    scale : float, optional
        What the counts are multiplied by. By default 1 for a spectrum, which then is of the counts in all unmasked
        pixels; for a cube the scale that CIAO's ``blanksky`` has written into its list (BKGSCALn), or else the ratio
        of the exposure times (EXPOSURE in the headers).
    free : bool
        Whether the amplitude, over and above the scale, is fitted to the observation, one number for all of it.

    Raises
    ------
    ValueError
        If there are negative counts or none, the energy bins are others in number, or the scale is not positive.

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        In `expected`, if a blank-sky list has different scales for different CCDs: their mean is taken.

    Notes
    -----
    The counts are taken as exact: a blank field should hold many more than ``scale`` leaves of it. Otherwise a free
    amplitude comes out too small, in simulations by a fifth where the blank field is only as deep as the observation.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astro_lpalm.forward import ExpectedBackground
    >>> ExpectedBackground([120, 80, 40], energy_edges=[0.5, 2, 4, 7] * u.keV, free=True)
    <ExpectedBackground: 240 counts in 3 bins from 0.5 to 7 keV, 1.5 to 3 keV wide; amplitude free>
    """

    def __init__(self, counts, *, energy_edges=None, scale=None, free=False):
        if scale is not None and not 0 < scale < np.inf:
            msg = f"scale={scale} must be a positive number, such as a ratio of exposure times."
            raise ValueError(msg)
        self.counts, self.scale, self.free, self._part = counts, scale, free, 1.0
        if isinstance(counts, EventCube):
            if energy_edges is not None:
                msg = "energy_edges belong to a spectrum; a background cube has its own."
                raise ValueError(msg)
            self.energy_edges, values = counts.energy_edges, counts.counts.spectrum()
            is_negative = counts.counts.n_negative() > 0
        else:
            if isinstance(counts, u.Quantity):
                counts = counts.to_value(u.count)
            try:
                self.counts = values = np.array(counts, dtype=float)
            except (TypeError, ValueError):
                msg = f"a background must be a cube or counts in energy bins, not {type(counts).__name__}."
                raise TypeError(msg) from None
            self.energy_edges = None if energy_edges is None else as_energy_edges(energy_edges)
            expected = "one" if energy_edges is None else f"({len(self.energy_edges) - 1},)"
            if values.ndim != 1 or (energy_edges is not None and len(self.energy_edges) != values.size + 1):
                msg = f"the background's spectrum has shape {values.shape}; expected {expected}, a value for each bin."
                raise ValueError(msg)
            is_negative = values.min() < 0
        if not np.isfinite(values).all() or is_negative or not values.any():
            msg = "the background must be finite, not negative, and not zero everywhere: it is expected counts."
            raise ValueError(msg)

    @classmethod
    def from_pha(cls, pha, cube, *, channel_edges=None, scale=None, free=False):
        """Take the spectrum of a PHA file.

        Parameters
        ----------
        pha : `~astro_lpalm.instrument.PHA`
            The spectrum of a region, or field, without a source.
        cube : EventCube
            The observation.
        channel_edges : `~astropy.units.Quantity`, shape (n_channel + 1,), optional
            Energies of its channels, as `~astro_lpalm.instrument.Response` has them. By default those of the mission
            that the header names, where it is known: `astro_lpalm.missions.find`.
        scale : float, optional
            What its counts are multiplied by to be those in the cube's unmasked pixels. By default, where the area
            that the mission's BACKSCAL means is known, the ratio of the exposure times, times that of the areas: the
            unmasked pixels, each weighted by its relative exposure, to the one that BACKSCAL says. An exposure map in
            units of time is taken at its word. Counts are divided by AREASCAL in any case, and those of channels that
            QUALITY calls bad are left out.
        free : bool
            As in `ExpectedBackground`.

        Returns
        -------
        background : ExpectedBackground

        Raises
        ------
        ValueError
            If the channels' energies or the scale are not given, and cannot be known.
        """
        where = f"'{pha.path}'"
        mission = find(pha.header, where)
        edges = None if mission is None else mission.channel_edges
        is_known = edges is not None and pha.n_channel == len(edges) - 1
        if channel_edges is None:
            if not is_known:
                telescope, instrument = (header_text(pha.header, key, where) for key in ("TELESCOP", "INSTRUME"))
                msg = (
                    f"what energies the {pha.n_channel} channels of {telescope or 'an unknown telescope'} {instrument} "
                    "have is not known here; give channel_edges, such as those of a Response."
                )
                raise ValueError(msg)
            channel_edges = edges
        counts = pha.area_counts()
        if is_known and mission.overflow is not None:
            counts[-1] = 0  # the overflow channel, which is the last, has no energy
        if scale is None:
            scale = _pha_scale(pha, cube, mission)
        return cls(counts, energy_edges=channel_edges, scale=scale, free=free)

    def expected(self, cube):
        """Give the counts expected in a cube's unmasked pixels.

        Parameters
        ----------
        cube : EventCube
            The observation.

        Returns
        -------
        counts : `~astro_lpalm.forward.BackgroundCounts`
            A matrix of shape (n_energy, n_pixels), in the order of `~astro_lpalm.cube.EventCube.matrix`, kept as what
            it is made of; before the amplitude, where that is free.

        Raises
        ------
        ValueError
            If the energies or the pixels are not those of the cube, or a scale cannot be known.
        """
        if isinstance(self.counts, EventCube):
            return self._of_cube(cube).scaled(self._part)
        spectrum = self.counts * self._part * (1.0 if self.scale is None else self.scale)
        exposure = cube.relative_exposure[~cube.pixel_mask]
        return BackgroundCounts.separable(self._rebinned(spectrum, cube.energy_edges), exposure / exposure.sum())

    def thinned(self, part):
        """Give the background of an observation of which only part of the photons are looked at.

        Parameters
        ----------
        part : float

        Returns
        -------
        background : ExpectedBackground
            With as many times the expected counts.
        """
        other = copy(self)
        other._part *= part
        return other

    def _of_cube(self, cube):
        blank = self.counts.rebin(cube.energy_edges)
        if not same_grid(cube, blank):
            msg = f"the background is on other pixels than the observation: {blank!r}, {cube!r}; bin it with like=."
            raise ValueError(msg)
        missing = np.count_nonzero(blank.pixel_mask & ~cube.pixel_mask)
        if missing:
            msg = f"the background is masked in {missing} pixels where the observation is not; mask both alike."
            raise ValueError(msg)
        scale = self.scale
        if scale is None:
            scale = _blank_sky_scale(cube, blank)
        return BackgroundCounts.of(blank.counts.in_image(~blank.pixel_mask, ~cube.pixel_mask)).scaled(scale)

    def _rebinned(self, spectrum, energy_edges):
        """Bring counts to other bins; within its own the spectrum is flat."""
        if self.energy_edges is None:
            if spectrum.size != len(energy_edges) - 1:
                msg = (
                    f"the background's spectrum has {spectrum.size} bins, but the cube, in the model's energies, has "
                    f"{describe_grid(energy_edges)}; give energy_edges with it."
                )
                raise ValueError(msg)
            return spectrum
        own, wanted = self.energy_edges.value, energy_edges.value
        differs = difference(wanted, own)
        _, _, is_edge = find_edges(wanted[[0, -1]], own)
        covers = (own[0] <= wanted[0] or is_edge[0]) and (own[-1] >= wanted[-1] or is_edge[1])
        here = own[:-1][(own[1:] > wanted[0]) & (own[:-1] < wanted[-1])]
        widest = np.diff(own)[np.searchsorted(own, here)].max(initial=0.0)
        if not covers or (differs and widest > np.diff(wanted).min()):
            msg = (
                f"the background has {describe_grid(self.energy_edges)}, the cube {describe_grid(energy_edges)}, of "
                f"which {differs}; the background must cover the same range, with the same bins or finer ones."
            )
            raise ValueError(msg)
        return np.diff(np.interp(wanted, own, np.concatenate([[0.0], np.cumsum(spectrum)])))

    def __repr__(self):
        if isinstance(self.counts, EventCube):
            what = repr(self.counts)
        else:
            grid = "one bin for each of the cube" if self.energy_edges is None else describe_grid(self.energy_edges)
            what = f"{self.counts.sum():g} counts in {grid}"
        scale = "" if self.scale is None else f"; times {self.scale:.4g}"
        return f"<{type(self).__name__}: {what}{scale}; amplitude {'free' if self.free else 'fixed'}>"


def _blank_sky_scale(cube, blank):
    """Find how a blank field compares: by the scales that CIAO's blanksky gives for each CCD, or by the times."""
    where = "the background's header"
    cards = {key: header_number(blank.meta, key, where) for key in blank.meta if re.fullmatch(r"BKGSCAL(E|\d+)", key)}
    scales = np.array([value for value in cards.values() if value is not None])
    method = header_text(blank.meta, "BKGMETH", where)
    scale = 1.0
    if scales.size:
        if not scales.min() > 0:
            msg = f"{where}: BKGSCALn are {scales.tolist()}, and must be positive; correct them, or give scale."
            raise ValueError(msg)
        scale = float(scales.mean())
        if np.ptp(scales) > _SAME_SCALE * scale:
            msg = (
                f"the background has other scales for other CCDs, {cards}: their mean, {scale:.4g}, is taken for all. "
                "Give scale, or bin the observation and the blank field CCD by CCD."
            )
            warnings.warn(msg, AstropyUserWarning, stacklevel=3)
        if method.lower() != "particle-rate":  # which alone is a ratio of rates, not of counts
            return scale
    times = [exposure_time(each.meta, of) for each, of in ((cube, "the cube's header"), (blank, where))]
    if None in times:
        msg = "a header has no EXPOSURE, so how the background compares is not known; give scale."
        raise ValueError(msg)
    return scale * times[0] / times[1]


def _pha_scale(pha, cube, mission):
    time = exposure_time(cube.meta, "the cube's header")
    if mission is None or mission.backscal_area is None or time is None:
        known = ", ".join(each.name for each in known_missions() if each.backscal_area is not None)
        msg = (
            f"how the spectrum compares with the cube is only known for {known}, with EXPOSURE in the cube's header "
            "and BACKSCAL in the spectrum's; give scale."
        )
        raise ValueError(msg)
    backscale = np.mean(pha.backscale if not np.ndim(pha.backscale) else pha.backscale[pha.counts.value != 0])
    if not backscale > 0:
        msg = f"'{pha.path}': BACKSCAL is {backscale:g}, and must be positive; correct it, or give scale."
        raise ValueError(msg)
    seconds = time * cube.relative_exposure
    if cube.exposure is not None and cube.exposure.unit.is_equivalent(u.s):
        # Of merged observations no pixel need have been seen in all the time that EXPOSURE is the sum of.
        seconds = np.minimum(cube.exposure.to_value(u.s), time)
    exposed = seconds[~cube.pixel_mask].sum() * proj_plane_pixel_area(cube.wcs) * u.deg**2
    return float((exposed / (pha.exposure.to_value(u.s) * backscale * mission.backscal_area)).to_value(u.one))
