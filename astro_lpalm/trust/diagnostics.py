"""What speaks against a separation: structure in the residuals, spectra unlike their libraries, unusual data.

Figures are given in any case; a warning where one is far outside what good data give.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from scipy.special import gammaln, xlogy

from ..forward.least_squares import demixing_matrix, expected_counts
from .causes import CauseSettings, find_causes
from .errors import reduced_chi_square

__all__ = ["SeparationWarning", "block_chi_square", "diagnose"]

_BLOCK_SIZES = (4, 8, 16, 32)
_FEWEST_COUNTS = 500  # in a block: with fewer, chi square has a long tail
_LIBRARY_ERROR = 0.02  # relative, of spectra: no library is better than that
_FLOOR = 0.1  # expectations made of noisy images may be too small or negative: not below this part of the mean spectrum
_LEAST_EXPECTED = 0.25  # counts at an energy of a block: where next to none are expected, a single one would decide
_LARGE_RESIDUAL = 10.0  # sigma
_LEAST_CHI_SQUARE = 0.2  # reduced; of counts it is near 1 even where there is less than one a pixel
_LARGE_DISTANCE = 5.0  # sigma, of the library and photons together: what drawn spectra do not reach
_LEAST_STRUCTURE = 6.0  # sigma
_SNR_MARGIN = 6.0  # dB
_LARGEST_MEAN = 200  # counts, above which the expected C is that of normal noise


class SeparationWarning(AstropyUserWarning):
    """A reason not to trust a separation.

    Examples
    --------
    A field of even brightness has nothing to tell its components apart by:

    >>> import warnings
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube, SeparationWarning, load_model, separate
    >>> model, wcs = load_model("pwn-acis"), WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> expected = np.multiply.outer(100 * model.prior.mean.sum(axis=0), np.ones((16, 16)))
    >>> cube = EventCube(np.random.default_rng(0).poisson(expected), energy_edges=model.energy_edges, wcs=wcs)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", SeparationWarning)
    ...     result = separate(cube, model, refine=False, smooth=False)
    >>> print(str(caught[1].message).partition(" within")[0])
    the field is of even brightness
    """


def diagnose(
    fit, names, *, prior=None, snr_db=None, snr_range=None, by_counts=False, physical=None, physics=None, settings=None
):
    """Judge a separation.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`
        Spectra and images beside the counts.
    names : sequence of str
        Of the components.
    prior : `~astro_lpalm.spectra.SpectralPrior`, optional
        What was known of the spectra.
    snr_db : float, optional
        Signal-to-noise ratio of what the solver was given.
    snr_range : (float, float), optional
        Lowest and highest ratio that it was made for.
    by_counts : bool
        Whether the likelihood of the counts had the last word on the spectra. Then causes of a misfit can be told,
        and a low ratio is no reason for doubt: from the network's spectra they come out as well as from the true ones.
    physical : `~astro_lpalm.separation.PhysicalFit`, optional
        The fit of the components' physical parameters.
    physics : object, optional
        Its model, such as `~astro_lpalm.spectra.ParametricSpectra`.
    settings : CauseSettings, optional
        When causes are named.

    Returns
    -------
    columns : dict of str to `~numpy.ndarray`
        A value for each component: ``library_distance``, in standard deviations, where there is a prior.
    figures : dict of str to float
        ``residual_sigma``: the largest excess of chi square over its expectation, in its standard deviations, over all
        square blocks of pixels of several sizes, and over the whole field. ``reduced_cstat``: the C statistic (Cash
        1979) of the blocks, over its expectation. ``structure_sigma``: how much more the image of all counts varies
        than a field of even brightness. ``snr_db``, where it was given. ``cause``, where data and model disagree: the
        likeliest one (`~astro_lpalm.trust.find_causes`), and what was fitted for it.
    messages : list of str
        What is far from what good data give, in one line each.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.forward import Fit, ForwardModel
    >>> from astro_lpalm.trust import diagnose
    >>> A, S = np.array([[0.6, 0.1], [0.3, 0.3], [0.1, 0.6]]), 100.0 * np.indices((8, 8)).reshape(2, -1)
    >>> counts = np.random.default_rng(0).poisson(A @ S).reshape(3, 8, 8)
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> cube = EventCube(counts, energy_edges=[0.5, 1, 2, 7] * u.keV, wcs=wcs)
    >>> fit = Fit(cube, ForwardModel(~cube.pixel_mask), A, S)
    >>> columns, figures, messages = diagnose(fit, ["soft", "hard"])
    >>> sorted(figures), messages
    (['reduced_cstat', 'residual_sigma', 'structure_sigma'], [])
    """
    columns, figures, messages, local, fit = {}, {}, [], fit, fit.about_means()
    finest = _SquareBlocks.of(fit, _BLOCK_SIZES[0])
    where = _judge_residuals(_residuals(finest, fit.mixing), fit.cube.wcs, figures)
    causes = []
    if fit.cube.counts.n_negative() == 0:  # the statistics are those of counts
        figures["reduced_cstat"] = _reduced_cstat(finest.twice_as_large(), fit.mixing)
        if by_counts:  # spectra that were not fitted to the counts need no fault to disagree with them
            causes = find_causes(local, names, physical=physical, physics=physics, prior=prior, settings=settings)
            messages += _judge_causes(causes, settings or CauseSettings(), figures)
            messages += _judge_split(physical, names, settings or CauseSettings(), figures)
    if where and not causes:
        messages.append(where)
    figures["structure_sigma"] = _structure(fit.cube)
    if figures["structure_sigma"] < _LEAST_STRUCTURE:
        messages.append(
            f"the field is of even brightness within its noise ({figures['structure_sigma']:.1f} sigma): there is "
            "nothing in it that could tell components apart."
        )
    if prior is not None:  # whoever makes solvers tries them on data without noise
        chi_square = reduced_chi_square(fit)
        if chi_square is not None and chi_square < _LEAST_CHI_SQUARE:
            messages.insert(  # all else that is warned of follows from it
                0,
                f"the residuals have only {chi_square:.2g} of the variance that counts have: is the cube a flux, a "
                "rate or smoothed? Noise and uncertainties are those of counts.",
            )
        columns["library_distance"] = prior.distance(fit.mixing)
        counts = fit.mixing.sum(axis=0) * fit.images.sum(axis=1)
        messages += [
            f"component {name} lies {distance:.0f} sigma outside its library: is it what the model takes it for?"
            for name, distance in zip(names, prior.distance(fit.mixing, counts))
            if distance > _LARGE_DISTANCE
        ]
    if snr_db is not None:
        figures["snr_db"] = snr_db
        low, high = (-np.inf, np.inf) if snr_range is None else snr_range
        if (snr_db < low - _SNR_MARGIN and not by_counts) or snr_db > high + _SNR_MARGIN:
            messages.append(
                f"the signal-to-noise ratio of the details is {snr_db:.0f} dB, but the model was trained for {low:g} "
                f"to {high:g} dB."
            )
    return columns, figures, messages


def block_chi_square(fit, size):
    r"""Compare data and model in square blocks of pixels.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`
    size : int
        Pixels along each side of a block.

    Returns
    -------
    excess : `~numpy.ndarray`, shape (ceil(ny / size), ceil(nx / size))
        :math:`\chi^2` over all energies minus its expectation, in its standard deviations, as Poisson noise and an
        error of 2 % of the spectra have them; NaN in blocks of fewer than 500 counts.

    Notes
    -----
    The residuals :math:`r = (1 - A D) x` of images :math:`S = D X` have the covariance
    :math:`R \Lambda R^T, R = 1 - A D`, for expected counts :math:`\Lambda`. Each energy's squares are divided by their
    own variance, so that the expectation is the number of energies m; the variance is
    :math:`2 m^2 / \mathrm{tr} R`, and :math:`\sum_i R_{ii}^4 \lambda_i / \sigma_i^4` for what Poisson noise has more
    of large values than normal noise.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.forward import Fit, ForwardModel
    >>> from astro_lpalm.trust import block_chi_square
    >>> A, S = np.array([[0.6, 0.1], [0.3, 0.3], [0.1, 0.6]]), 100.0 * np.indices((8, 8)).reshape(2, -1)
    >>> counts = (A @ S).reshape(3, 8, 8)
    >>> counts[2, :4, :4] += 30  # of no component
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> cube = EventCube(counts, energy_edges=[0.5, 1, 2, 7] * u.keV, wcs=wcs)
    >>> fit = Fit(cube, ForwardModel(~cube.pixel_mask), A, S)
    >>> block_chi_square(fit, 4).round()
    array([[38., -1.],
           [-1., -1.]])
    """
    blocks = _SquareBlocks.of(fit, size)
    return _excess(blocks, fit.mixing, _residual_operator(fit.mixing, blocks))


@dataclass(frozen=True)
class _SquareBlocks:
    """Sums over square blocks of pixels, b of them, those at the far edges with what is left for them.

    ``counts`` are those of the data, ``images`` (n, b), ``background`` `BackgroundCounts` or None.
    """

    shape: tuple
    counts: object
    images: np.ndarray
    background: object

    @classmethod
    def of(cls, fit, size):
        y, x = (np.arange(side) // size for side in fit.forward.kept.shape)
        labels = (y[:, np.newaxis] * (x[-1] + 1) + x)[fit.forward.kept]
        found = cls(fit.forward.kept.shape, fit.cube.counts, fit.images, fit.forward.background)
        return found._merged(labels, (int(y[-1]) + 1, int(x[-1]) + 1))

    def _merged(self, labels, shape):
        n = shape[0] * shape[1]
        background = None if self.background is None else self.background.merged(labels, n)
        images = np.stack([np.bincount(labels, row, n) for row in self.images])
        return _SquareBlocks(shape, self.counts.merged(labels, n), images, background)

    def twice_as_large(self, factor=2):
        """Give blocks that are so many times larger."""
        y, x = (np.arange(side) // factor for side in self.shape)
        shape = int(y[-1]) + 1, int(x[-1]) + 1
        return self._merged((y[:, np.newaxis] * shape[1] + x).ravel(), shape)

    def whole(self):
        """Give one block of all."""
        return self._merged(np.zeros(self.images.shape[1], dtype=int), (1, 1))

    def below(self):
        """Give the background at each energy, (m,), or zeros."""
        return np.zeros(self.counts.shape[0]) if self.background is None else self.background.spectrum()

    def totals(self, A):
        """Give what is expected in each block, at all energies together, (b,)."""
        total = A.sum(axis=0) @ self.images
        return total if self.background is None else total + self.background.image()

    def expected(self, A, blocks):
        """Lay out what is expected in some blocks, (m, k)."""
        found = A @ self.images[:, blocks]
        return found if self.background is None else found + self.background.of_pixels(blocks).matrix()


def _blocks(plane, size):
    # Sums over square blocks, those at the far edges with what is left for them.
    rows, columns = (np.arange(0, length, size) for length in plane.shape)
    return np.add.reduceat(np.add.reduceat(plane, rows, axis=0, dtype=np.float64), columns, axis=1)


def _residual_operator(A, blocks):
    variance = expected_counts(A, blocks.counts.spectrum(), blocks.below())
    return np.eye(len(A)) - A @ demixing_matrix(A, variance)


def _residuals(blocks, A):
    # Excess of chi square in blocks of each size, from the sums over the smallest, and over the whole field.
    R = _residual_operator(A, blocks)
    yield _BLOCK_SIZES[0], _excess(blocks, A, R)
    for smaller, size in pairwise(_BLOCK_SIZES):
        blocks = blocks.twice_as_large(size // smaller)
        yield size, _excess(blocks, A, R)
    yield None, _excess(blocks.whole(), A, R)


def _excess(blocks, A, R):
    m, total = len(A), np.maximum(blocks.totals(A), 0.0)
    mean = np.maximum(A @ blocks.images.sum(axis=1) + blocks.below(), 0.0)
    mean = mean / max(mean.sum(), np.finfo(float).tiny)
    excess, enough = np.full(total.size, np.nan), np.flatnonzero(total >= _FEWEST_COUNTS)
    if enough.size:
        expected = blocks.expected(A, enough)
        residual = blocks.counts.of_pixels(enough).matrix() - expected
        least = np.maximum(_FLOOR * mean[:, np.newaxis] * total[enough], _LEAST_EXPECTED)
        expected = np.maximum(expected, least)
        variance = R**2 @ expected + (_LIBRARY_ERROR * expected) ** 2
        known = (variance > 0).all(axis=0)
        residual, expected, variance, enough = residual[:, known], expected[:, known], variance[:, known], enough[known]
        # The residuals of a model with as many components as energies are zero.
        freedom = max(np.trace(R), 1.0)
        spread = 2 * m**2 / freedom + (np.diag(R)[:, np.newaxis] ** 4 * expected / variance**2).sum(axis=0)
        excess[enough] = ((residual**2 / variance).sum(axis=0) - m) / np.sqrt(spread)
    return excess.reshape(blocks.shape)


def _judge_residuals(residuals, wcs, figures):
    """Give a message where a residual is large."""
    largest = [(np.nanmax(excess), size, excess) for size, excess in residuals if np.isfinite(excess).any()]
    if not largest:
        return None
    sigma, size, excess = max(largest, key=lambda each: each[0])
    figures["residual_sigma"] = float(sigma)
    if sigma <= _LARGE_RESIDUAL:
        return None
    where = "over the whole field"
    if size is not None:
        y, x = (size * (index + 0.5) - 0.5 for index in np.unravel_index(np.nanargmax(excess), excess.shape))
        position = wcs.pixel_to_world(x, y).to_string(precision=4)
        where = f"in {size} x {size} pixels around {position} deg"
    return (
        f"the residuals are {sigma:.0f} sigma larger than noise {where}, in none of the ways that known causes have: "
        "look at them there, at which energies they are."
    )


def _judge_causes(causes, settings, figures):
    """Name the likeliest cause, and the next one if it explains nearly as much."""
    if not causes:
        return []
    first, *others = causes
    figures |= {"cause": first.name, **first.figures}
    nearly = [each for each in others[:1] if settings.nearly * first.drop < each.drop <= first.drop]
    return [first.message, *(f"or, nearly as likely, {each.message}" for each in nearly)]


def _judge_split(physical, names, settings, figures):
    """Say which component's counts are open."""
    if physical is None:
        return []
    fluxes, errors = np.maximum(physical.fluxes, 0.0), physical.flux_errors
    undecided = np.count_nonzero(physical.undecided)
    most = settings.open_error if undecided > settings.open_undecided * len(physical.undecided) else settings.open_split
    is_open = (errors > most * fluxes) & (fluxes + errors > settings.open_part * fluxes.sum())
    if not is_open.any():
        return []
    figures.setdefault("cause", "split")
    k = np.flatnonzero(is_open)[np.argmax(errors[is_open])]
    partner = np.argmin(physical.flux_covariance[k] / np.maximum(errors, np.finfo(float).tiny))
    return [
        f"{names[k]} has {fluxes[k]:.0f} +- {errors[k]:.0f} counts, and {undecided} of {len(physical.undecided)} "
        f"parameters are open: their ranges, rather than the data, decide what it shares with {names[partner]}. More "
        "counts help, or a model with narrower ranges."
    ]


def _reduced_cstat(blocks, A):
    used = np.flatnonzero(blocks.counts.image() >= _FEWEST_COUNTS)
    x, mean = blocks.counts.of_pixels(used).matrix(), blocks.expected(A, used)
    known = (mean > 0).all(axis=0)
    x, mean = x[:, known], mean[:, known]
    if not known.any():
        whole = blocks.whole()
        x, mean = whole.counts.matrix(), np.maximum(whole.expected(A, np.arange(1)), np.finfo(float).tiny)
    statistic = 2 * (mean - x + xlogy(x, x) - xlogy(x, mean)).sum()
    freedom = max(1.0 - A.shape[1] / len(A), 1.0 / len(A))
    return float(statistic / (freedom * _expected_c(mean).sum()))


def _expected_c(mean):
    # Expectation of C for Poisson counts about a mean: its sum over the counts, interpolated, and 1 + 1 / (6 mean)
    # above (Kaastra 2017, A&A 605, A51).
    grid = np.geomspace(1e-4, _LARGEST_MEAN, 300)
    counts = np.arange(2 * _LARGEST_MEAN + 1)[:, np.newaxis]
    probability = np.exp(xlogy(counts, grid) - grid - gammaln(counts + 1))
    c = 2 * (grid - counts + xlogy(counts, counts) - xlogy(counts, grid))
    return np.where(mean < _LARGEST_MEAN, np.interp(mean, grid, (probability * c).sum(axis=0)), 1 + 1 / (6 * mean))


def _structure(cube):
    # Chi square of the blocks' counts against a field that is as bright everywhere, given the exposure.
    image = np.where(cube.pixel_mask, 0.0, cube.image())
    expected = np.where(cube.pixel_mask, 0.0, cube.relative_exposure)
    size = max(1, min(_BLOCK_SIZES[1], min(image.shape) // 4))  # small images have some blocks, too
    counts, expected = (_blocks(each, size) for each in (image, expected))
    expected *= counts.sum() / expected.sum()
    used = expected > 1
    freedom = max(np.count_nonzero(used) - 1, 1)
    return float((((counts - expected)[used] ** 2 / expected[used]).sum() - freedom) / np.sqrt(2 * freedom))
