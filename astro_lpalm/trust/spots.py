"""Misfit pixel by pixel: of a point source, and of a point spread function that changes with energy."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter

from ..forward.least_squares import floored

__all__ = ["Spot", "blurred", "brightest_spot", "whitened"]

_SMOOTH = 1.5  # pixels, over which counts are smoothed to tell how noisy a pixel is
_LEAST_COUNTS = 1.0  # a pixel: with fewer, a single photon would decide
_N_BANDS = 10
_WIDTHS = 0.6, 1.0  # of point sources, pixels, standard deviation
_BLURS = (0.7, 1.5), (1.5, 3.0)
_LEAST_SHARE = 0.1  # of the counts, of a component in which a blur is looked for
_MOST_PIXELS = 1 << 21
_REACH = 3.0  # standard deviations of the widest blur
_SAME = 1e-6
_DISTINCT = 0.05


@dataclass(frozen=True)
class _Whitened:
    """Counts in units of the noise that the field's mean spectrum has, along spectra that no component can take up."""

    data: object
    counts: np.ndarray
    scale: np.ndarray
    share: np.ndarray
    basis: np.ndarray
    fit: object
    kept: np.ndarray
    images: np.ndarray
    background: object
    pitch: int
    made_of: object

    def away(self, spectra):
        """Whiten spectra (q, m), and take the components out of them."""
        T = spectra * self.scale
        return T - (T @ self.basis) @ self.basis.T

    def project(self, T):
        """Give the residuals, (q, t), along what `away` made, in which the components have no part."""
        rows = (T * self.scale).astype(np.float32)
        found = self.data.project(rows)
        return found if self.background is None else found - self.background.project(rows)

    def image(self, values):
        """Lay pixels (t,) out as an image; what is masked is zero."""
        image = np.zeros(self.kept.shape, dtype=np.float32)
        image[self.kept] = values
        return image

    def smooth(self, values):
        """Average pixels (t,) over their neighbours, as far as these are observed."""
        return (gaussian_filter(self.image(values), _SMOOTH) / self.seen)[self.kept]

    @cached_property
    def seen(self):
        """How much of a pixel's neighbours is observed."""
        return np.maximum(gaussian_filter(self.kept.astype(np.float32), _SMOOTH), 1e-3)


def whitened(fit):
    """Whiten the counts of a fit; of images of many pixels, these are merged, two by two, four by four ..."""
    kept, pitch = fit.forward.kept, 1
    while kept.size > _MOST_PIXELS * pitch**2:
        pitch *= 2
    data, images, background = fit.cube.counts, fit.images, fit.forward.background
    made_of = None if fit.made_of is None else fit.made_of.cube.counts
    if pitch > 1:
        y, x = (np.arange(side) // pitch for side in kept.shape)
        labels = (y[:, np.newaxis] * (x[-1] + 1) + x)[kept]
        seen = np.bincount(labels, minlength=(y[-1] + 1) * (x[-1] + 1)) > 0
        place = (np.cumsum(seen) - 1)[labels]
        data, images = data.merged(place), np.stack([np.bincount(place, image) for image in images])
        kept = seen.reshape(y[-1] + 1, x[-1] + 1)
        background = None if background is None else background.merged(place)
        made_of = None if made_of is None else made_of.merged(place)
    share = floored(fit.variance)
    share = share / share.sum()
    scale = 1.0 / np.sqrt(share)
    basis = np.linalg.qr(fit.mixing * scale[:, np.newaxis])[0]
    white = _Whitened(data, None, scale, share, basis.astype(float), fit, kept, images, background, pitch, made_of)
    return replace(white, counts=np.maximum(white.smooth(data.image()), _LEAST_COUNTS))


@dataclass(frozen=True)
class Spot:
    """The pixel where a point source explains most.

    Attributes
    ----------
    drop : float
        Of chi square, beyond what noise makes of it in any one pixel, where the source's own counts are noise, too.
    gain : float
        The same with the noise of what is around, as without the source.
    y, x : int
        Pixel.
    width : float
        Standard deviation of the source, in pixels that may be merged ones.
    pitch : int
        How many pixels were merged along each side.
    """

    drop: float
    gain: float
    y: int
    x: int
    width: float
    pitch: int = 1


def brightest_spot(white):
    """Find the place where a point source of any broad spectrum explains most of the residuals."""
    share = white.share
    # bands of the same counts: photons that are rare in a spectrum would have too much weight
    band = np.minimum((_N_BANDS * (np.cumsum(share) - share / 2)).astype(int), _N_BANDS - 1)
    T = white.away(share * (band == np.arange(_N_BANDS)[:, np.newaxis]))
    _, sizes, T = np.linalg.svd(T, full_matrices=False)
    T = T[sizes > _DISTINCT * sizes[0]]
    inverse, scaled = 1.0 / white.counts, ((T * white.scale) ** 2).astype(np.float32)
    drops, gains = (np.zeros((len(_WIDTHS), *white.kept.shape), dtype=np.float32) for _ in range(2))
    for residual, own in zip(white.project(T), white.data.project(scaled)):  # few pixels, as whitened
        plane = white.image(residual * inverse)
        around = np.maximum(white.smooth(own), white.counts)
        for k, width in enumerate(_WIDTHS):
            signal = gaussian_filter(plane, width, mode="constant") ** 2
            # a pixel may be brighter than its neighbours, and its spectrum not the field's: its own noise decides
            drops[k] += _drop(white, signal, np.maximum(own, around), width)
            gains[k] += _drop(white, signal, around, width)
    k, y, x = np.unravel_index(np.argmax(drops), drops.shape)
    drop, gain = (float(each[k, y, x]) - len(T) for each in (drops, gains))
    middle, sides = white.pitch // 2, white.fit.forward.kept.shape
    y, x = (min(int(at) * white.pitch + middle, side - 1) for at, side in zip((y, x), sides))
    return Spot(drop, gain, y, x, _WIDTHS[k], white.pitch)


def _drop(white, signal, variance, width):
    """Give the squares of a spot's amplitudes, over their variance, in each pixel."""
    # of a Gaussian, the square is a narrower one
    power = gaussian_filter(white.image(variance / white.counts**2), width / np.sqrt(2), mode="constant")
    return np.where(white.kept, signal / np.maximum(power / (4 * np.pi * width**2), 1e-12), 0.0)


def blurred(white, spot=None):
    """Find what a blur of each bright component explains that changes with energy, away from a point source.

    Parameters
    ----------
    white : object
        What `whitened` gave.
    spot : Spot, optional
        Around which nothing is looked at.

    Returns
    -------
    drop : float
        Of chi square, beyond what noise makes of it.
    sharper : bool
        Whether bright places are sharper at high energies than at low ones.
    """
    fit, shape = white.fit, white.kept.shape
    used = white.kept.copy()
    if spot is not None:
        y, x = np.indices(shape)
        used &= np.hypot(y - spot.y // white.pitch, x - spot.x // white.pitch) > _REACH * _BLURS[-1][-1]
    spectra = fit.mixing / fit.mixing.sum(axis=0)
    images = white.images * fit.mixing.sum(axis=0)[:, np.newaxis]
    totals = images.sum(axis=1)
    energy = np.linspace(0, 1, len(spectra))
    used = used[white.kept]
    weight = np.where(used, 1.0 / white.counts, 0.0)
    # what has made the images: of several observations each has weights of its own for the same bins
    made, data = (fit, white.data) if fit.made_of is None else (fit.made_of, white.made_of)
    own = data.moments(weight[np.newaxis])[:, 0]
    rows = made.demixing * made.mixing.sum(axis=0)[:, np.newaxis]
    # spectra that are wrong everywhere leave residuals like the images themselves, which no blur is blamed for
    like_images = np.linalg.pinv((images * weight) @ images.T, hermitian=True) @ (images * weight)
    templates, patterns, bias = [], [], []
    for k in np.flatnonzero(totals > _LEAST_SHARE * totals.sum()):
        image = white.image(images[k])
        for narrow, wide in _BLURS:
            centre = np.zeros(shape)
            centre[shape[0] // 2, shape[1] // 2] = 1
            pattern = (gaussian_filter(image, wide) - gaussian_filter(image, narrow))[white.kept]
            alike = like_images @ pattern
            at_centre = (gaussian_filter(centre, wide) - gaussian_filter(centre, narrow)).min()
            # a pixel's residual and its own part of the pattern have noise in common: what that makes is taken away
            common = own * (at_centre * rows[k] - alike @ rows)
            for power in (1, 2):
                T = white.away(spectra[:, k] * energy**power)
                templates.append(T)
                patterns.append(np.where(used, pattern - alike @ images, 0.0))
                bias.append(np.sum((T * white.scale) @ common.reshape(-1, len(T)).T))
    if not templates:
        return 0.0, False
    T, G = np.array(templates), np.array(patterns) / white.counts
    along = np.sum(white.project(T) * G, axis=1) - bias
    matrix = (T @ T.T) * (G @ np.array(patterns).T)
    size = np.sqrt(np.diag(matrix))
    values, vectors = np.linalg.eigh(matrix / np.outer(size, size))
    told = values > _SAME * values[-1]
    found = (vectors[:, told].T @ (along / size)) / np.sqrt(values[told])
    return float(found @ found) - np.count_nonzero(told), bool(np.sum((along / size)[::2]) < 0)
