"""What the instrument makes of a spectrum."""

import math

import astropy.units as u
import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.special import erf

from ..grid.channels import check_energy_edges, summing_matrix
from ..grid.nesting import difference
from ._write_response import write_response
from .ogip import read_arf, read_rmf

__all__ = ["Response"]

_FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))

_MOST_PROBABLE = 1.5  # some files do not norm well


class Response:
    """Effective area and energy redistribution of an instrument: true photon energies to channels.

    Read one from an ARF and an RMF with `Response.read`, or describe one with `Response.from_resolution`.

    Parameters
    ----------
    matrix : array or `~scipy.sparse.csr_array`
        Shape (n_true, n_channel), cm2: the effective area times the probability that a photon of the true energy is
        counted in the channel.
    energy_edges : `~astropy.units.Quantity` or array
        Of the true energies, shape (n_true + 1,); keV where there is no unit. The first may be 0.
    channel_edges : `~astropy.units.Quantity` or array
        Of the channels, shape (n_channel + 1,); keV where there is no unit. The first may be 0.
    first_channel : int
        The number of the first channel.

    Raises
    ------
    ValueError
        If edges do not increase, shapes do not match, or the matrix is negative or not finite somewhere.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astro_lpalm.instrument import Response
    >>> response = Response([[300, 100, 0], [0, 200, 200]], energy_edges=[1, 2, 3], channel_edges=[0.8, 1.6, 2.4, 3.2])
    >>> response
    <Response: 2 true bins, 1 to 3 keV; 3 channels, 0.8 to 3.2 keV; up to 400 cm2>
    >>> print(response.fold([1, 2] * u.photon / u.cm**2 / u.s))
    [300. 500. 400.] ct / s
    """

    def __init__(self, matrix, energy_edges, channel_edges, *, first_channel=1):
        true, channels = check_energy_edges(energy_edges), check_energy_edges(channel_edges, "channel_edges")
        self.matrix = csr_array(matrix, dtype=float, copy=True)
        self.matrix.sum_duplicates()  # also puts each row in the order of channels
        self.energy_edges = true * u.keV
        self.channel_edges = channels * u.keV
        self.first_channel = first_channel
        if self.matrix.shape != (true.size - 1, channels.size - 1):
            msg = (
                f"the matrix has shape {self.matrix.shape}, but energy_edges has {true.size - 1} bins and "
                f"channel_edges {channels.size - 1}; give one row for each true bin, one column for each channel."
            )
            raise ValueError(msg)
        if not np.all((self.matrix.data >= 0) & np.isfinite(self.matrix.data)):
            msg = "the matrix must be finite and not negative: it is an area times a probability."
            raise ValueError(msg)

    @classmethod
    def read(cls, arf, rmf):
        """Read a response from OGIP files.

        Parameters
        ----------
        arf : str, `os.PathLike` or None
            The effective area; None where the matrix of ``rmf`` holds it already.
        rmf : str or `os.PathLike`
            The redistribution matrix and the energies of the channels. Both files may be gzipped.

        Returns
        -------
        response : Response
            Rows of an RMF sum to 1 only within its precision, often 1 %; they are taken as they are.

        Raises
        ------
        OSError
            If a file does not exist, is not FITS, or is truncated.
        ValueError
            If a file is of another kind or damaged, the two have different energy grids, or the area would be
            counted twice or not at all; names the file.

        Notes
        -----
        The files are those of OGIP memo CAL/GEN/92-002 (George et al.). Tables are found by HDUCLAS1 and HDUCLAS2,
        and by their names where these are missing. Channels are numbered from TLMIN of F_CHAN, or else as EBOUNDS
        numbers them. Whether the matrix holds the area is told by its HDUCLAS3 (FULL: yes; REDIST or DETECTOR: no).

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from astro_lpalm.instrument import Response
        >>> from astro_lpalm.missions import approximate_response
        >>> with TemporaryDirectory() as folder:
        ...     approximate_response([0.5, 1, 2, 7]).write(f"{folder}/source.arf", f"{folder}/source.rmf")
        ...     Response.read(f"{folder}/source.arf", f"{folder}/source.rmf").channel_edges
        <Quantity [0.5, 1. , 2. , 7. ] keV>
        """
        redistribution = read_rmf(rmf)
        matrix = redistribution.matrix
        if arf is None and redistribution.content != "FULL":
            msg = (
                f"the matrix of '{rmf}' does not hold the effective area (its HDUCLAS3 is "
                f"{redistribution.content or 'not given'!r}, not 'FULL'); give the ARF as well."
            )
            raise ValueError(msg)
        if arf is not None:
            edges, area = read_arf(arf)
            if redistribution.content == "FULL":
                msg = (
                    f"the matrix of '{rmf}' holds the effective area already (HDUCLAS3 is 'FULL'), and '{arf}' would "
                    "count it twice; read it with arf=None."
                )
                raise ValueError(msg)
            _check_same_grid(edges, arf, redistribution.energy_edges, rmf)
            _check_probabilities(matrix, rmf, arf)
            if not area.any():
                msg = f"the effective area in '{arf}' is zero at all energies; get a fresh copy."
                raise ValueError(msg)
            matrix = diags_array(area) @ matrix
        return cls(
            matrix,
            redistribution.energy_edges,
            redistribution.channel_edges,
            first_channel=redistribution.first_channel,
        )

    def write(self, arf, rmf, *, overwrite=False):
        """Write the response as OGIP files, which `read`, Sherpa and XSPEC take.

        Parameters
        ----------
        arf, rmf : str or `os.PathLike`
            The effective area, and the redistribution with the energies of the channels.
        overwrite : bool
            Whether existing files may be replaced.

        Raises
        ------
        ValueError
            If both have the same name.
        FileExistsError
            If a file exists and ``overwrite`` is false.
        OSError
            If a file cannot be written. Whatever goes wrong, either both files are written or none.
        """
        write_response(self, arf, rmf, overwrite=overwrite)

    @classmethod
    def from_resolution(cls, energy_edges, channel_edges, area, fwhm):
        """Make a response of an effective area and a Gaussian energy resolution.

        Parameters
        ----------
        energy_edges : `~astropy.units.Quantity` or array
            Of the true energies, shape (n_true + 1,).
        channel_edges : `~astropy.units.Quantity` or array
            Of the channels, shape (n_channel + 1,).
        area : `~astropy.units.Quantity` or array
            Effective area at the centre of each true bin, shape (n_true,), cm2 where there is no unit.
        fwhm : `~astropy.units.Quantity` or array
            Full width at half maximum at each true energy, shape (n_true,), keV where there is no unit.

        Returns
        -------
        response : Response
            Escape peak, tail and fluorescence are left out: they hold a few percent of the counts.

        Raises
        ------
        ValueError
            If edges do not increase, shapes do not match, or an area is negative or a width not positive.

        Examples
        --------
        >>> import numpy as np
        >>> from astro_lpalm.instrument import Response
        >>> true = np.linspace(1, 3, 201)
        >>> response = Response.from_resolution(true, [1, 2, 3], area=np.full(200, 400.0), fwhm=np.full(200, 0.1))
        >>> response.fold(np.ones(200)).round(-2)
        array([39300., 39300.])
        """
        true, channels = check_energy_edges(energy_edges), check_energy_edges(channel_edges, "channel_edges")
        area, fwhm = (np.asarray(u.Quantity(q, unit).value) for q, unit in ((area, u.cm**2), (fwhm, u.keV)))
        if area.shape != (len(true) - 1,) or fwhm.shape != area.shape:
            msg = f"area and fwhm need one value for each of {len(true) - 1} true bins; got {area.shape}, {fwhm.shape}."
            raise ValueError(msg)
        if not np.all((fwhm > 0) & np.isfinite(fwhm)):
            msg = f"fwhm must be positive widths; the smallest is {fwhm.min():g} keV."
            raise ValueError(msg)
        centre = 0.5 * (true[1:] + true[:-1])
        scale = np.sqrt(2) * fwhm / _FWHM_PER_SIGMA
        below = 0.5 * erf((channels - centre[:, None]) / scale[:, None])
        return cls(area[:, None] * np.diff(below, axis=1), true, channels)

    @property
    def area(self):
        """Effective area (cm2) of all channels together at each true energy, a `~astropy.units.Quantity` (n_true,)."""
        return self.matrix.sum(axis=1) * u.cm**2

    def fold(self, flux):
        """Count rates in the channels, of one spectrum or of thousands at once.

        Parameters
        ----------
        flux : `~astropy.units.Quantity` or array
            Photon / (cm2 s) in each true bin, shape (..., n_true).

        Returns
        -------
        rate : `~astropy.units.Quantity` or array
            Count / s in each channel, shape (..., n_channel); with a unit if ``flux`` has one.

        Raises
        ------
        ValueError
            If the last axis of ``flux`` is not that of the true bins, or its unit is another.

        Examples
        --------
        >>> import numpy as np
        >>> from astro_lpalm.spectra import Synchrotron, integrate
        >>> from astro_lpalm.missions import approximate_response
        >>> response = approximate_response(np.linspace(0.5, 7, 66))
        >>> rate = response.fold(integrate(Synchrotron(amplitude=1e-3), response.energy_edges))
        >>> rate.shape, str(rate.unit)
        ((65,), 'ct / s')
        """
        has_units = isinstance(flux, u.Quantity)
        try:
            plain = flux.to_value(u.photon / u.cm**2 / u.s) if has_units else np.asarray(flux, dtype=float)
        except u.UnitConversionError as error:
            msg = f"flux is in {flux.unit}; give photon / (cm2 s) in each bin, as integrate(model, energy_edges) does."
            raise ValueError(msg) from error
        n_true, n_channel = self.matrix.shape
        if plain.ndim == 0 or plain.shape[-1] != n_true:
            msg = (
                f"flux has shape {plain.shape}, and the response {n_true} true bins; integrate the model "
                "over response.energy_edges."
            )
            raise ValueError(msg)
        # Not dense: BLAS is faster on a full matrix, but rounds with the number of spectra and of threads.
        rate = (plain.reshape(-1, n_true) @ self.matrix).reshape(*plain.shape[:-1], n_channel)
        return rate * (u.count / u.s) if has_units else rate

    def rebin(self, channel_edges):
        """Sum neighbouring channels.

        Parameters
        ----------
        channel_edges : `~astropy.units.Quantity` or array
            New edges, shape (m + 1,), keV where there is no unit. Each must be that of a channel, within 1e-3 of the
            channel's width; they may cover fewer channels.

        Returns
        -------
        response : Response
            Its channels are numbered from 1.

        Raises
        ------
        ValueError
            If an edge is not that of a channel, or lies beyond the channels; says which, and what is near.

        Examples
        --------
        >>> from astro_lpalm.instrument import Response
        >>> response = Response([[300, 100, 0], [0, 200, 200]], [1, 2, 3], [0.8, 1.6, 2.4, 3.2])
        >>> response.rebin([0.8, 2.4]).matrix.toarray()
        array([[400.],
               [200.]])
        """
        summing = summing_matrix(self.channel_edges, channel_edges)
        return type(self)(self.matrix @ summing, self.energy_edges, channel_edges)

    def group(self, low, high, n_channels_per_bin):
        """Edges of energy bins of so many channels each, to rebin the response (and make a cube) with.

        Parameters
        ----------
        low, high : `~astropy.units.Quantity` or float
            The range to cover, in keV where there is no unit. The first bin begins at the edge of a channel that is
            nearest ``low``; the last may go beyond ``high``, so as to be whole.
        n_channels_per_bin : int

        Returns
        -------
        channel_edges : `~astropy.units.Quantity`
            Shape (m + 1,), keV.

        Raises
        ------
        ValueError
            If the range is empty or goes beyond the channels.

        Examples
        --------
        >>> from astro_lpalm.instrument import Response
        >>> response = Response([[1.0] * 10], energy_edges=[0, 1], channel_edges=[0.1 * i for i in range(11)])
        >>> response.group(0.21, 0.7, 2).round(3)
        <Quantity [0.2, 0.4, 0.6, 0.8] keV>
        """
        n, edges = n_channels_per_bin, self.channel_edges.value
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            msg = f"n_channels_per_bin is {n!r}; give a whole number, 1 or more."
            raise ValueError(msg)
        wanted = check_energy_edges(u.Quantity([u.Quantity(low, u.keV), u.Quantity(high, u.keV)]), "low and high")
        first, last = np.abs(edges - wanted[:, None]).argmin(axis=1)
        stop = first + n * max(1, math.ceil((last - first) / n))
        half = 0.5 * np.diff(edges)
        if wanted[0] < edges[0] - half[0] or wanted[1] > edges[-1] + half[-1] or stop >= edges.size:
            msg = (
                f"bins of {n} channels from {wanted[0]:g} to {wanted[1]:g} keV do not fit in the channels, which cover "
                f"{edges[0]:.6g} to {edges[-1]:.6g} keV; take a narrower range or fewer channels a bin."
            )
            raise ValueError(msg)
        return self.channel_edges[first : stop + 1 : n]

    def __repr__(self):
        n_true, n_channel = self.matrix.shape
        (low, high), (first, last) = (edges[[0, -1]].value for edges in (self.energy_edges, self.channel_edges))
        return (
            f"<Response: {n_true} true bins, {low:g} to {high:g} keV; {n_channel} channels, {first:g} to {last:g} keV; "
            f"up to {self.area.value.max():.3g} cm2>"
        )


def _check_probabilities(matrix, rmf, arf):
    largest = float(matrix.sum(axis=1).max())
    if largest > _MOST_PROBABLE:
        msg = (
            f"rows of the matrix of '{rmf}' have sums of up to {largest:.4g}, and are no probabilities, which the area "
            f"of '{arf}' could be multiplied by. If the matrix holds the area, read it with arf=None, and HDUCLAS3 "
            "'FULL' in its header; or else make it anew."
        )
        raise ValueError(msg)


def _check_same_grid(edges, arf, other, rmf):
    if differs := difference(edges, other, same=True):
        msg = (
            f"'{arf}' ({edges.size - 1} bins) and '{rmf}' ({other.size - 1} bins) have different energy grids; of the "
            f"ARF's {differs}, of the RMF's. Make both with the same grid."
        )
        raise ValueError(msg)
