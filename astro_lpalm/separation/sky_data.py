"""Observations on the pixels of images, and on larger ones; and what was found of them."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ..cube import PhotonCounts
from ..forward import BackgroundCounts, block_sums
from ..instrument import Vignetting
from ..sources import FieldGrid, FieldPrior
from .columns import PhotonColumns, SeparableColumns
from .fields import FieldData
from .physical import PhysicalFit

__all__ = ["SkyData", "SkyFit", "SkyLevel"]

_TINY = 1e-30
_FAINT = 1e-4  # of a spectrum's peak
_MANY = 1 << 24  # cells of photons, from which on they are not laid out
_SAME = 1 / 64  # of a range: parameters that differ by less have one spectrum where there is one for each


@dataclass(frozen=True)
class SkyData:
    """Counts of one observation in the pixels of an image.

    Attributes
    ----------
    counts : `~numpy.ndarray` or `~astro_lpalm.cube.PhotonCounts`, shape (m, t)
        Photons are laid out a few pixels at a time.
    kept : `~numpy.ndarray` of bool, shape (ny, nx)
        The observed pixels, in C order the columns of ``counts``.
    exposure : `~numpy.ndarray`, shape (ny, nx), optional
        Relative exposure.
    background : `~astro_lpalm.forward.BackgroundCounts`, optional
        Expected counts that belong to no component.
    blur : callable, optional
        ``blur(pitch, shape, margin)`` gives what the point spread function does to images, an `ImageBlur`: of pixels
        that are so many times larger, that begin so many of the original ones before the first.
    margin : int
        Pixels around the image as it was given.
    free : bool
        Whether the background's amplitude is fitted together with physical parameters.
    vignetting : `~astro_lpalm.instrument.Vignetting`, optional
        On the pixels of the images, (R, ny, nx): how many times the exposure that of each energy is.

    Raises
    ------
    ValueError
        If there is not one column of counts for each observed pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.separation import SkyData
    >>> data = SkyData(np.ones((5, 6)), np.ones((2, 3), dtype=bool))
    >>> data.sums(np.array([[0, 0, 1], [0, 0, 1]]), 2)[0][0]
    array([4., 2.])
    """

    counts: np.ndarray | PhotonCounts
    kept: np.ndarray
    exposure: np.ndarray | None = None
    background: BackgroundCounts | None = None
    blur: object | None = None
    margin: int = 0
    free: bool = False
    vignetting: Vignetting | None = None

    def __post_init__(self):
        n_columns, n_kept = self.counts.shape[1], np.count_nonzero(self.kept)
        if n_columns != n_kept:
            msg = f"counts has {n_columns} columns, but kept has {n_kept} observed pixels; give one column for each."
            raise ValueError(msg)

    @property
    def reach(self):
        """How many pixels outside of the image photons come from that are seen in it."""
        return 0 if self.blur is None else self.blur(1, self.kept.shape, self.margin).reach

    def with_margin(self, margin):
        """Give the same observation on images that have so many pixels more on all sides, which it does not see."""
        exposure = None if self.exposure is None else np.pad(self.exposure, margin)
        vignetting = self.vignetting
        if vignetting is not None:
            places = np.pad(vignetting.places, ((0, 0), (margin, margin), (margin, margin)))
            vignetting = Vignetting(vignetting.energies, places)
        return replace(
            self,
            kept=np.pad(self.kept, margin),
            exposure=exposure,
            margin=self.margin + margin,
            vignetting=vignetting,
        )

    def sums(self, blocks, n_blocks):
        """Sum counts and background over blocks of pixels, (ny, nx): two of (m, n_blocks)."""
        counts, floor = np.zeros((2, self.counts.shape[0], n_blocks))
        labels = blocks[self.kept]
        if labels.size:
            counts[:, : labels.max() + 1] = np.asarray(_merged(self.counts, labels))
        if labels.size and self.background is not None:
            floor[:, : labels.max() + 1] = self.background.sums(labels)
        return counts, floor


@dataclass(frozen=True)
class SkyFit:
    """Smooth images and maps.

    Attributes
    ----------
    images, image_errors : `~numpy.ndarray`, shape (n, ny, nx)
        Counts of each component in each pixel at full exposure, where nothing is blurred: not negative.
    fields : list of (int, int)
        Component and parameter of each map, q of them.
    maps, map_errors : `~numpy.ndarray`, shape (q, ny, nx)
        Scaled parameters.
    undecided : `~numpy.ndarray` of bool, shape (q, ny, nx)
        Where the data say little of the map, and the prior decides.
    basis : `~numpy.ndarray`, shape (m, R)
    coefficients : `~numpy.ndarray`, shape (R, ny, nx)
        Of the local spectra, which are of unit sum.
    owners : `~numpy.ndarray` of int, shape (R,)
        The component of each vector.
    physical : PhysicalFit or None
        With the local spectra, where parameters vary.
    samples : tuple of `~numpy.ndarray`
        Draws of images, (N, n, ny, nx), and of maps, (N, q, ny, nx); empty without any.
    unsolved : float
        Largest part of the equations of a draw that was left unsolved.
    prior : `~astro_lpalm.sources.FieldPrior`
    converged : bool
    detected : list of tuple
        Of several observations, or one whose exposure differs with energy, what each is expected to detect: vectors
        (m, R), how much of each there is in the observed pixels (R, t), and the component of each (R,).

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.separation import SkyData, SkyFitter
    >>> spectra = load_model("pwn-acis").prior.mean.T
    >>> images = np.stack([np.full(16, 500.0), np.linspace(100, 400, 16)])
    >>> data = SkyData(np.random.default_rng(0).poisson(spectra @ images), np.ones((4, 4), dtype=bool))
    >>> fit = SkyFitter()([data], spectra, images.sum(axis=1), np.zeros((4, 4), dtype=int))
    >>> fit.images.shape, fit.fields, bool(fit.images.min() >= 0)
    ((2, 4, 4), [], True)
    """

    images: np.ndarray
    image_errors: np.ndarray
    fields: list
    maps: np.ndarray
    map_errors: np.ndarray
    undecided: np.ndarray
    basis: np.ndarray
    coefficients: np.ndarray
    owners: np.ndarray
    physical: PhysicalFit | None
    samples: tuple
    unsolved: float
    prior: FieldPrior
    converged: bool
    detected: list = field(default_factory=list)

    def local_brightness(self, physics, kept):
        """Tell how bright components with maps are, over what the means of the maps would make of their counts.

        Parameters
        ----------
        physics : object
            With ``rates(theta)``, (..., m, n), and ``energy_flux(theta)``, (..., n), of unit amplitude.
        kept : `~numpy.ndarray` of bool, shape (ny, nx)
            The pixels that are asked for.

        Returns
        -------
        `~numpy.ndarray`, shape (2, n)
            Of their amplitudes, and of their energy fluxes; one for components without maps.
        """
        found = np.ones((2, len(self.images)))
        for k in {k for k, _ in self.fields}:
            rows = [j for j, (owner, _) in enumerate(self.fields) if owner == k]
            steps, at = np.unique(np.round(self.maps[rows][:, kept] / _SAME), axis=1, return_inverse=True)
            theta = np.tile(self.physical.theta, (steps.shape[1] + 1, 1))  # the last one are the means
            theta[:-1, [self.fields[j][1] for j in rows]] = steps.T * _SAME
            amplitudes = 1.0 / physics.rates(theta)[..., k].sum(axis=-1)  # of a count a second
            fluxes = amplitudes * physics.energy_flux(theta)[..., k]
            weights = np.bincount(at.ravel(), self.images[k][kept])
            if weights.any():
                found[:, k] = [np.average(each[:-1], weights=weights) / each[-1] for each in (amplitudes, fluxes)]
        return found

    def without_margin(self, margin):
        """Give the same without so many pixels on all sides."""
        if not margin:
            return self
        inner = np.s_[..., margin:-margin, margin:-margin]
        names = "images", "image_errors", "maps", "map_errors", "undecided", "coefficients"
        return replace(
            self,
            samples=tuple(each[inner] for each in self.samples),
            **{name: getattr(self, name)[inner] for name in names},
        )


class SkyLevel:
    """The data on pixels that are so many times larger.

    Parameters
    ----------
    data : list of SkyData
    blocks : `~numpy.ndarray` of int, shape (ny, nx)
        Blocks of the original pixels.
    pitch : int
    device : str or `torch.device` or None

    Attributes
    ----------
    grid : `~astro_lpalm.sources.FieldGrid`
    blocks : list of `torch.Tensor` of int
        Of each observation, the block of each pixel.
    n_blocks : int
    """

    def __init__(self, data, blocks, pitch, device):
        shape = blocks.shape
        ny, nx = (-(-side // pitch) for side in shape)
        self.grid, self.pitch, self.n_blocks = FieldGrid((ny, nx), pitch, device), pitch, blocks.max() + 1
        y, x = np.indices(shape)
        coarse = (y // pitch) * nx + x // pitch
        self._seen, self.blocks = [], []
        for each in data:
            index, labels = np.unique(coarse[each.kept], return_inverse=True)
            exposure = np.ones(shape) if each.exposure is None else each.exposure
            counts = each.counts if pitch == 1 else _merged(each.counts, labels)
            shares, energies = exposure[each.kept], None
            if each.vignetting is None:
                share = np.bincount(labels, shares) / pitch**2
            else:
                places, energies = each.vignetting.of_pixels(each.kept).places, each.vignetting.energies
                share = np.stack([np.bincount(labels, shares * place) for place in places]) / pitch**2
                energies = _tensor(energies, device)
            floor, amplitude = None, 1.0
            if each.background is not None:
                background = each.background if pitch == 1 else each.background.merged(labels)
                floor, amplitude = _background_of(background, device), background.amplitude
            blur = None if each.blur is None else each.blur(pitch, (ny, nx), each.margin)
            pixels = torch.as_tensor(index, device=device)
            self._seen.append(
                FieldData(
                    _columns_of(counts, device), None, pixels, _tensor(share, device), floor, blur, amplitude, energies
                )
            )
            own = _most_frequent(labels, blocks[each.kept], self.n_blocks)
            self.blocks.append(torch.as_tensor(own, device=device))

    def seen(self, basis, amplitudes):
        """Give the data with the vectors of the local spectra, and the amplitudes of backgrounds."""
        found, first = [], 0
        for each, amplitude in zip(self._seen, amplitudes):
            last = first + each.counts.shape[0]
            found.append(replace(each, basis=basis[first:last], amplitude=float(amplitude) * each.amplitude))
            first = last
        return found

    def local_spectra(self, posterior, state, base):
        """Give the spectra of the blocks in units of those of the mean parameters, (m, n): shape (b, m, n)."""
        pairs = zip(posterior.data, self.blocks)
        sums = [posterior.block_spectra(state, data, labels, self.n_blocks) for data, labels in pairs]
        whole = np.concatenate(sums, axis=1)  # (n, m, b)
        whole = whole / np.maximum(whole.sum(axis=1, keepdims=True), _TINY)
        base = base.T[:, :, np.newaxis]
        # Beside a line there are a few counts in a million, or twice as many where it has moved: no matter of a ratio.
        seen = (base > _FAINT * base.max(axis=1, keepdims=True)) & (whole.sum(axis=1, keepdims=True) > 0)
        if len(posterior.data) == 1 and posterior.data[0].blur is None and posterior.data[0].energies is None:
            seen &= np.isin(np.arange(posterior.n), [k for k, _ in posterior.table.fields])[:, np.newaxis, np.newaxis]
        others = 1.0 if len(sums) == 1 else _of_each(whole, base, [each.shape[1] for each in sums])
        return np.where(seen, whole / np.maximum(base, _TINY), others).transpose(2, 1, 0)

    def deviations(self, posterior, state):
        """Tell how far a map's means in the blocks may be from that of the map: {place: covariance (b, b)}."""
        grid, prior, found = self.grid, posterior.prior, {}
        labels = torch.cat(self.blocks)
        pixels = torch.cat([data.pixels for data in posterior.data])
        for j, (k, place) in enumerate(posterior.table.fields):
            row = posterior.n + j
            slopes = posterior.table.inside(state.fields[row].reshape(-1)[pixels])[1]
            members = torch.zeros((self.n_blocks, grid.shape[0] * grid.shape[1]), device=slopes.device)
            members.index_put_((labels, pixels), state.images[k, pixels], accumulate=True)
            whole = members.sum(dim=1, keepdim=True)
            members = members / whole.clamp_min(_TINY) - members.sum(dim=0) / whole.sum().clamp_min(_TINY)
            members[:, pixels] *= slopes
            waves = torch.fft.rfft2(members.reshape(-1, *grid.shape), s=grid.padded, norm="ortho")
            waves = (waves * prior.amplitudes[row] * torch.sqrt(grid.twice)).reshape(len(members), -1)
            found[place] = (waves @ waves.conj().T).real.double().cpu().numpy()
        return found


def _of_each(whole, base, sizes):
    """Give what each observation has seen, of so many energies each, over what it has on average: (n, m, b)."""
    ends = np.cumsum(sizes)[:-1]
    pairs = zip(np.split(whole, ends, axis=1), np.split(base, ends, axis=1))
    parts = [each.sum(axis=1, keepdims=True) / np.maximum(own.sum(axis=1, keepdims=True), _TINY) for each, own in pairs]
    found = np.concatenate([np.repeat(part, size, axis=1) for part, size in zip(parts, sizes)], axis=1)
    return np.where(whole.sum(axis=1, keepdims=True) > 0, found, 1.0)


def _merged(counts, labels):
    """Merge pixels of an array, (m, t), or of photons."""
    return counts.merged(labels) if isinstance(counts, PhotonCounts) else block_sums(counts, labels)


def _columns_of(counts, device):
    """Give what columns of counts are taken from: laid out, where that is not much."""
    if isinstance(counts, PhotonCounts) and counts.shape[0] * counts.shape[1] > _MANY:
        return PhotonColumns(counts, device)
    return _tensor(counts, device)


def _background_of(background, device):
    """Give what columns of a background of unit amplitude are taken from."""
    shares = _columns_of(background.shares.by_columns(), device)
    return SeparableColumns(_tensor(background.values, device), shares) if background.is_separable else shares


def _tensor(values, device):
    return torch.as_tensor(np.ascontiguousarray(values, dtype=np.float32), device=device)


def _most_frequent(labels, blocks, n_blocks):
    """Give the block that most pixels of each label are in."""
    pairs, n = np.unique(labels * n_blocks + blocks, return_counts=True)
    pairs = pairs[np.argsort(n, kind="stable")]
    found = np.zeros(labels.max() + 1, dtype=int)
    found[pairs // n_blocks] = pairs % n_blocks  # the last one stays
    return found
