"""The forward model: what counts an observation is expected to have."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from .counts import BackgroundCounts
from .operators import Blur, Expose, Operator

__all__ = ["ForwardModel", "Tile"]


@dataclass(frozen=True)
class ForwardModel:
    r"""Expected counts of component spectra and images: those that reach the pixels, and the background.

    .. math:: \lambda = R\, A\; E\,(P * S) + B

    with spectra A and sources S; the point spread function P, the exposure E, the response R and the background B are
    left out where there are none. Whatever compares a model with counts, or makes counts of one, asks here.

    Parameters
    ----------
    kept : `~numpy.ndarray` of bool, shape (ny, nx)
        The observed pixels, t of them, in C order the columns of matrices.
    exposure : `~numpy.ndarray`, shape (ny, nx), optional
        Relative exposure.
    blur : object, optional
        Point spread function on these pixels: ``blur(image)`` and its adjoint ``unblur(image)``, such as
        `~astro_lpalm.instrument.get_blur` makes.
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
    blur: object | None = None
    response: Operator | None = None
    background: BackgroundCounts | None = None

    @cached_property
    def sky(self) -> Operator | None:
        """What becomes of images, an `Operator` of (n, t), or None."""
        parts = [] if self.exposure is None else [Expose(self.exposure[self.kept])]
        parts += [] if self.blur is None else [Blur(self.blur, self.kept)]
        return parts[0] @ parts[1] if len(parts) == 2 else parts[0] if parts else None

    @property
    def n_pixels(self) -> int:
        """Number t of observed pixels."""
        return int(np.count_nonzero(self.kept))

    def detected(self, S: ArrayLike) -> np.ndarray:
        """Give images as they reach the pixels: blurred and exposed, (n, t)."""
        return np.asarray(S) if self.sky is None else self.sky.forward(S)

    def spectra(self, A: ArrayLike) -> np.ndarray:
        """Give spectra in the energy bins of the data, (m, n)."""
        return np.asarray(A) if self.response is None else self.response.forward(A)

    def rows(self, A: ArrayLike, S: ArrayLike) -> Iterator[np.ndarray]:
        """Walk through the expected counts energy by energy, (t,) each, so that a large cube's are not laid out."""
        S = self.detected(S)
        for energy, spectrum in enumerate(self.spectra(A)):
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
        back = self.spectra(A).T @ np.asarray(Y)
        return back if self.sky is None else self.sky.adjoint(back)

    def adjoint_spectra(self, S: ArrayLike, Y: ArrayLike) -> np.ndarray:
        """Gradient in the spectra, (m, n) or (m_true, n), of the sum of Y, (m, t), times the expected counts."""
        back = np.asarray(Y) @ self.detected(S).T
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
            Its sources are those that reach the blocks, sums of `detected`.
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
                    background=None if self.background is None else self.background.of_pixels(pixels),
                )
                yield Tile(pixels, inside[window][kept], model)


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
    """

    pixels: np.ndarray
    core: np.ndarray
    model: ForwardModel
