"""The forward model: what counts an observation is expected to have."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import matmul
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from ..cube import Counts, EventCube
from ..grid.sky import pointing
from ..instrument import BlurTerm, Instrument, Vignetting
from .background import ExpectedBackground
from .counts import BackgroundCounts
from .operators import Blur, Expose, Identity, Operator, Redistribute, Sum

__all__ = ["ForwardModel", "Tile"]


@dataclass(frozen=True)
class ForwardModel:
    r"""Expected counts of component spectra and images: those that reach the pixels, and the background.

    .. math:: \lambda = R\, A\; E\,(P * S) + B

    with spectra A and sources S; the point spread function P, the exposure E, the response R and the background B are
    left out where there are none. Whatever compares a model with counts, or makes counts of one, asks here.

    A point spread function that changes with energy and place is a sum of few blurs,

    .. math:: \lambda_i = \sum_j e_{ji}\, (R A)_i\; E\,(P_j * (w_j S)) + B_i

    with weights e of the energies of the data, which stand for those of the photons, and w of the places where they
    come from. An exposure that differs with energy is such a sum, too, with weights of where they arrive.
    Sources are on observed pixels only, and what they send to others is lost: near the edges of an image or a mask
    photons from beyond have no part in the model.

    Parameters
    ----------
    kept : `~numpy.ndarray` of bool, shape (ny, nx)
        The observed pixels, t of them, in C order the columns of matrices.
    exposure : `~numpy.ndarray`, shape (ny, nx), optional
        Relative exposure.
    vignetting : `~astro_lpalm.instrument.Vignetting`, optional
        On these pixels, (R, ny, nx): how many times that the exposure is in each energy bin.
    blur_terms : tuple of `~astro_lpalm.instrument.BlurTerm`
        Point spread function on these pixels, as `PSF.terms <astro_lpalm.instrument.PSF.terms>` makes it; none where
        images are as they are. One alone holds for all energies and places, and its weights are not asked for.
    response : Operator, optional
        `Redistribute`, where spectra are of true energies.
    background : `BackgroundCounts`, optional
        Counts that belong to no component.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.forward import BackgroundCounts, ForwardModel
    >>> background = BackgroundCounts.separable([2.0, 4.0], [0.5, 0.5])
    >>> model = ForwardModel(np.ones((1, 2), dtype=bool), exposure=np.array([[1.0, 0.5]]), background=background)
    >>> A, S = np.array([[1.0], [3.0]]), np.array([[4.0, 4.0]])
    >>> model.expected(A, S)
    array([[ 5.,  3.],
           [14.,  8.]])
    """

    kept: np.ndarray
    exposure: np.ndarray | None = None
    blur_terms: tuple[BlurTerm, ...] = ()
    response: Operator | None = None
    background: BackgroundCounts | None = None
    vignetting: Vignetting | None = None

    @classmethod
    def of(
        cls,
        cube: EventCube,
        instrument: Instrument | None = None,
        background: ExpectedBackground | BackgroundCounts | None = None,
    ) -> Self:
        """Make the model of a cube's counts.

        Parameters
        ----------
        cube : `~astro_lpalm.cube.EventCube`
            The observation.
        instrument : `~astro_lpalm.instrument.Instrument`, optional
            What it does. Sources are then of the sky at full exposure, and with a response spectra of true energies.
            The exposure is the instrument's, or the cube's own where that has none. Without an instrument sources are
            what reaches the pixels, whatever the exposure there is.
        background : `ExpectedBackground` or `BackgroundCounts`, optional
            Counts that belong to no component.

        Returns
        -------
        ForwardModel
            Of the cube's unmasked pixels; with an exposure of the instrument, those of ``cube.with_exposure``, which
            masks what has hardly any.

        Raises
        ------
        ValueError
            If the response does not cover the energies, the exposure map or the PSF does not go with the pixels, or the
            background with the cube.

        Examples
        --------
        >>> import astropy.units as u
        >>> import numpy as np
        >>> from astropy.wcs import WCS
        >>> from astro_lpalm import EventCube, Instrument
        >>> wcs = WCS(naxis=2)
        >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1 / 3600, 1 / 3600]
        >>> cube = EventCube(np.ones((2, 1, 3)), energy_edges=[1, 2, 3] * u.keV, wcs=wcs)
        >>> model = ForwardModel.of(cube, Instrument(psf=1 * u.arcsec))
        >>> model.expected([[1.0], [2.0]], [[0.0, 100.0, 0.0]]).round(1)
        array([[11.1, 44.1, 11.1],
               [22.1, 88.1, 22.1]])
        """
        shape = cube.shape[1:]
        if instrument is not None and instrument.exposure is not None:
            cube = cube.with_exposure(instrument.exposure_on(cube.wcs, shape))
        if isinstance(background, ExpectedBackground):
            background = background.expected(cube)
        kept = ~cube.pixel_mask
        if instrument is None:
            return cls(kept, background=background)
        exposure, response = cube.relative_exposure, instrument.response_on(cube.energy_edges)
        return cls(
            kept,
            exposure=None if cube.exposure is None else exposure,
            blur_terms=instrument.blur_terms(cube.wcs, shape, cube.energy_edges, axis=pointing(cube.meta)),
            response=None if response is None else Redistribute(response),
            background=background,
            vignetting=instrument.vignetting_on(cube.wcs, shape, cube.energy_edges),
        )

    @cached_property
    def _alike(self):
        """Weights of energies, and blur terms that have them."""
        groups = {}
        for term in self.blur_terms:
            groups.setdefault(np.asarray(term.energies).tobytes(), []).append(term)
        if len(groups) < 2:
            return ((1.0, self.blur_terms),)
        return tuple((terms[0].energies, terms) for terms in groups.values())

    @cached_property
    def _exposed(self):
        """Weights of energies, and the exposure of pixels, (t,), that goes with them."""
        exposure = None if self.exposure is None else self.exposure[self.kept]
        if self.vignetting is None:
            return ((1.0, exposure),)
        exposure = 1.0 if exposure is None else exposure
        parts = zip(self.vignetting.energies.T, self.vignetting.of_pixels(self.kept).places)
        return tuple((each, exposure * place) for each, place in parts)

    @cached_property
    def _weights(self):
        """Of the energies, for each operator of the sky."""
        return [blurred * exposed for blurred, _ in self._alike for exposed, _ in self._exposed]

    @cached_property
    def sky(self) -> tuple[Operator, ...]:
        """What becomes of images: an operator of (n, t) for all energies, or one for each of few weights of these."""
        found = []
        for _, terms in self._alike:
            blur = [Sum(*(_blurred(term, self.kept) for term in terms))] if terms else []
            for _, exposure in self._exposed:
                exposed = [] if exposure is None else [Expose(exposure)]
                found.append(reduce(matmul, [*exposed, *blur] or [Identity()]))
        return tuple(found)

    @property
    def n_pixels(self) -> int:
        """Number t of observed pixels."""
        return int(np.count_nonzero(self.kept))

    def detected(self, S: ArrayLike, A: ArrayLike | None = None) -> np.ndarray:
        """Give images as they reach the pixels: blurred and exposed.

        Parameters
        ----------
        S : array_like, shape (n, t)
            Sources, at full exposure.
        A : array_like, shape (m, n), or (m_true, n) where there is a response, optional
            Their spectra, which are needed where blur or exposure change with energy.

        Returns
        -------
        `~numpy.ndarray`, shape (n, t)
            Where that is so, the mean over energies as they are detected.

        Raises
        ------
        ValueError
            If the blur changes with energy, and there are no spectra.
        """
        if len(self.sky) == 1:
            return self.sky[0].forward(S)
        if A is None:
            msg = "the blur, or the exposure, changes with energy, and images with the spectra; give these as well: A."
            raise ValueError(msg)
        spectra = np.maximum(self.spectra(A), 0)
        total = spectra.sum(axis=0)
        shares = np.where(total > 0, spectra, 1.0) / np.where(total > 0, total, len(spectra))
        return sum((each @ shares)[:, np.newaxis] * sky.forward(S) for each, sky in zip(self._weights, self.sky))

    def _seen(self, S):
        """Images behind each operator of the sky, one below the other: (operators n, t)."""
        return self.sky[0].forward(S) if len(self.sky) == 1 else np.concatenate([each.forward(S) for each in self.sky])

    def _mixing(self, A):
        """Spectra of these, (m, operators n)."""
        A = self.spectra(A)
        if len(self.sky) == 1:
            return A
        return np.concatenate([each[:, np.newaxis] * A for each in self._weights], axis=1)

    def spectra(self, A: ArrayLike) -> np.ndarray:
        """Give spectra in the energy bins of the data, (m, n)."""
        return np.asarray(A) if self.response is None else self.response.forward(A)

    def rows(self, A: ArrayLike, S: ArrayLike) -> Iterator[np.ndarray]:
        """Walk through the expected counts energy by energy, (t,) each, so that a large cube's are not laid out."""
        S, A = self._seen(S), self._mixing(A)
        S = np.asarray(S, dtype=np.result_type(S, A))  # once, not for each energy
        for energy, spectrum in enumerate(A):
            row = spectrum @ S
            yield row if self.background is None else row + self.background[energy]

    def expected(self, A: ArrayLike, S: ArrayLike) -> np.ndarray:
        """Compute the expected counts.

        Parameters
        ----------
        A : array_like, shape (m, n), or (m_true, n) where there is a response
            Mixing matrix.
        S : array_like, shape (n, t)
            Sources, at full exposure.

        Returns
        -------
        `~numpy.ndarray`, shape (m, t)
        """
        return np.stack(list(self.rows(A, S)))

    def adjoint(self, A: ArrayLike, Y: ArrayLike) -> np.ndarray:
        """Gradient in the sources, (n, t), of the sum of Y, (m, t), times the expected counts."""
        back = self._mixing(A).T @ np.asarray(Y)
        if len(self.sky) == 1:
            return self.sky[0].adjoint(back)
        return sum(sky.adjoint(part) for sky, part in zip(self.sky, np.split(back, len(self.sky))))

    def adjoint_spectra(self, S: ArrayLike, Y: ArrayLike) -> np.ndarray:
        """Gradient in the spectra, (m, n) or (m_true, n), of the sum of Y, (m, t), times the expected counts."""
        back = np.asarray(Y) @ self._seen(S).T
        if len(self.sky) > 1:
            parts = np.split(back, len(self.sky), axis=1)
            back = sum(each[:, np.newaxis] * part for each, part in zip(self._weights, parts))
        return back if self.response is None else self.response.adjoint(back)

    def draw(self, A: ArrayLike, S: ArrayLike, seed: int | np.random.Generator) -> np.ndarray:
        """Draw counts, (m, t), from the Poisson distributions of the expected ones."""
        rng = np.random.default_rng(seed)
        return np.stack([rng.poisson(row) for row in self.rows(A, S)])

    def net(self, X: ArrayLike, dtype: type | np.dtype = np.float32) -> np.ndarray:
        """Take the background away from counts, (m, t)."""
        net = np.array(X, dtype=dtype)
        if self.background is not None:
            for energy, row in enumerate(net):
                row -= self.background[energy].astype(dtype)
        return net

    def project(self, rows: np.ndarray, X: Counts) -> np.ndarray:
        """Multiply a matrix, (k, m), with counts without background: shape (k, t), in its precision."""
        found = X.project(rows)
        return found if self.background is None else found - self.background.project(rows)

    def with_amplitude(self, factor: float) -> Self:
        """Give the same model with as many times the background."""
        return self if self.background is None else replace(self, background=self.background.scaled(factor))

    def thinned(self, part: float) -> Self:
        """Give the model of an observation of which only part of the photons are looked at.

        Parameters
        ----------
        part : float
            From 0 to 1. Sources are those of all photons.

        Returns
        -------
        ForwardModel
        """
        exposure = np.full(self.kept.shape, float(part)) if self.exposure is None else part * self.exposure
        return replace(self.with_amplitude(part), exposure=exposure)

    def blocks(self, labels: ArrayLike) -> "ForwardModel":
        """Give the model of counts that are summed over blocks of pixels.

        Parameters
        ----------
        labels : array_like of int, shape (t,)
            The block of each pixel, from zero.

        Returns
        -------
        ForwardModel
            Its sources are those that reach the blocks, sums of `detected`: where the blur changes with energy, as if
            that were the same at all, so blocks should be large against the point spread function.
        """
        background = None if self.background is None else BackgroundCounts.of(self.background.sums(labels))
        kept = np.ones((1, int(np.max(labels)) + 1), dtype=bool)
        return ForwardModel(kept, response=self.response, background=background)

    def tiles(self, side: int, halo: int = 0) -> Iterator["Tile"]:
        """Part the image into square tiles.

        Parameters
        ----------
        side : int
            Pixels along each side of a tile; those at the far edges have what is left.
        halo : int
            How many pixels around a tile belong to its model as well: as far as a blur or a filter reaches.

        Yields
        ------
        Tile
            Row by row; one without observed pixels is left out.
        """
        index = np.full(self.kept.shape, -1)
        index[self.kept] = np.arange(self.n_pixels)
        ny, nx = self.kept.shape
        for y in range(0, ny, side):
            for x in range(0, nx, side):
                window = np.s_[max(y - halo, 0) : y + side + halo, max(x - halo, 0) : x + side + halo]
                inside = np.zeros(self.kept.shape, dtype=bool)
                inside[y : y + side, x : x + side] = True
                kept, pixels = self.kept[window], index[window]
                if not (inside & self.kept)[window].any():
                    continue
                pixels = pixels[kept]
                model = replace(
                    self,
                    kept=kept,
                    exposure=None if self.exposure is None else self.exposure[window],
                    vignetting=None if self.vignetting is None else self.vignetting.of_pixels(window),
                    blur_terms=tuple(_part_of(term, window) for term in self.blur_terms),
                    background=None if self.background is None else self.background.of_pixels(pixels),
                )
                yield Tile(pixels, inside[window][kept], model)


def _blurred(term, kept):
    blur = Blur(term.kernel, kept)
    return blur if term.places is None else blur @ Expose(term.places[kept])


def _part_of(term, window):
    return term if term.places is None else replace(term, places=term.places[window])


@dataclass(frozen=True)
class Tile:
    """A part of an image.

    Attributes
    ----------
    pixels : `~numpy.ndarray` of int, shape (t_tile,)
        Which of the whole model's pixels are in it, its halo included.
    core : `~numpy.ndarray` of bool, shape (t_tile,)
        Whether they are the tile's own: each pixel is in the core of one tile.
    model : ForwardModel
        Of these pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm.forward import ForwardModel
    >>> tiles = list(ForwardModel(np.ones((4, 6), dtype=bool)).tiles(3))
    >>> len(tiles), [int(tile.core.sum()) for tile in tiles]
    (4, [9, 9, 3, 3])
    """

    pixels: np.ndarray
    core: np.ndarray
    model: ForwardModel
