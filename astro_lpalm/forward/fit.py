"""Spectra and images beside the counts that they are to explain."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from ..cube import EventCube, LaidOutCounts, StackedCounts
from .counts import BackgroundCounts
from .least_squares import demixing_matrix, expected_counts
from .local import LocalSpectra
from .model import ForwardModel

__all__ = ["Fit"]


@dataclass(frozen=True)
class Fit:
    """What components expect of an observation: images and errors, residuals and diagnostics all ask it.

    Parameters
    ----------
    cube : `~astro_lpalm.cube.EventCube`
        The data.
    forward : ForwardModel
        Of the same pixels.
    mixing : `~numpy.ndarray`, shape (m, n)
        The spectrum of each component, in the cube's energy bins.
    images : `~numpy.ndarray`, shape (n, t)
        How much of each spectrum reaches each pixel: the counts detected are ``mixing @ images`` and the background.
    local : `LocalSpectra`, optional
        Spectra that differ from pixel to pixel. What is expected then has these, with as many counts of each component
        in each pixel as there are with the spectra of ``mixing``, which are those of the field.
    made_of : Fit, optional
        Where the cube is the sum of several: the fit of their bins one after the other, which has made the images.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.forward import Fit, ForwardModel
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> cube = EventCube([[[9.0, 4.0]], [[1.0, 6.0]]], energy_edges=[0.5, 2, 7] * u.keV, wcs=wcs)
    >>> fit = Fit(cube, ForwardModel(~cube.pixel_mask), np.array([[0.8], [0.2]]), np.array([[10.0, 10.0]]))
    >>> fit.expected()
    array([[8., 8.],
           [2., 2.]])
    >>> round(fit.residual_squares, 6)
    34.0
    """

    cube: EventCube
    forward: ForwardModel
    mixing: np.ndarray
    images: np.ndarray
    local: LocalSpectra | None = None
    made_of: "Fit | None" = None

    @property
    def component_counts(self) -> np.ndarray:
        """Counts of each component in each pixel, summed over the energies, (n, t)."""
        return self.images * self.mixing.sum(axis=0)[:, np.newaxis]

    def component_spectra(self, pixels: slice | np.ndarray = np.s_[:]) -> np.ndarray:
        """Sum the counts of each component over the pixels, or some of them, at each energy, (m, n)."""
        if self.local is None:
            return self.mixing * self.images[:, pixels].sum(axis=1)
        return self.local.of_pixels(pixels).totals(self.component_counts[:, pixels])

    def expected_rows(self, energies: slice = np.s_[:]) -> Iterator[np.ndarray]:
        """Walk through the expected counts energy by energy, (t,) each, or those of some energies."""
        background = self.forward.background
        background = None if background is None else background.of_energies(energies)
        if self.local is not None:
            return self.local.expected_rows(self.component_counts, background, energies)
        return ForwardModel(self.forward.kept, background=background).rows(self.mixing[energies], self.images)

    def rows(self, energies: slice = np.s_[:]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Walk through data and expected counts energy by energy, (t,) each: a cube may be large."""
        counts, numbers = self.cube.counts, range(len(self.mixing))[energies]
        for energy, expected in zip(numbers, self.expected_rows(energies)):
            yield counts[energy], expected

    @cached_property
    def residual_squares(self) -> float:
        """The squares of what is left of the counts, summed."""
        background = self.forward.background
        if self.local is not None or (background is not None and not background.is_separable):
            return float(sum(np.vdot(data - expected, data - expected) for data, expected in self.rows()))
        A, S = self.mixing.astype(float), self.images
        if background is not None:  # a component as any other
            A = np.column_stack([A, background.amplitude * background.values])
            S = np.vstack([S, background.shares.matrix()])
        with_data, with_each_other = self.cube.counts.moments(S), LaidOutCounts(S).moments(S)
        squares = self.cube.counts.squares() - 2 * np.vdot(A, with_data) + np.vdot(A.T @ A, with_each_other)
        return max(float(squares), 0.0)

    def expected(self) -> np.ndarray:
        """Lay out the expected counts, (m, t)."""
        return np.stack(list(self.expected_rows()))

    def expected_spectrum(self) -> np.ndarray:
        """Sum the expected counts of each energy, (m,)."""
        total = self.component_spectra().sum(axis=1)
        return total if self.forward.background is None else total + self.forward.background.spectrum()

    def about_means(self) -> Self:
        """Give the same expectation by spectra that are the same everywhere: a fit without local spectra.

        By how much the local ones differ is part of its background, negative in places.
        """
        if self.local is None:
            return self
        background = self.forward.background
        amounts = self.local.coefficients * self.component_counts[self.local.owners]
        spectra, shares = [self.local.basis, -self.mixing], [LaidOutCounts(amounts), LaidOutCounts(self.images)]
        if background is not None:
            spectra, shares = [*spectra, background.amplitude * background.values], [*shares, background.shares]
        background = BackgroundCounts(np.hstack(spectra), StackedCounts(shares))
        return replace(self, forward=replace(self.forward, background=background), local=None)

    def with_images(self) -> Self:
        """Give the fit that has the images which the local spectra find in the counts by least squares."""
        projected = self.forward.project(self.local.rows(self.variance), self.cube.counts)
        counts = self.local.solve(projected, self.variance)
        return replace(self, images=counts / self.mixing.sum(axis=0)[:, np.newaxis])

    @cached_property
    def counts(self) -> np.ndarray:
        """Counts of each energy, (m,)."""
        return self.cube.counts.spectrum()

    @cached_property
    def variance(self) -> np.ndarray:
        """What least squares weighs the energies with: the counts that can be expected of the field, (m,).

        With the spectra of ``mixing``, even where there are local ones.
        """
        background = 0.0 if self.forward.background is None else self.forward.background.spectrum()
        return expected_counts(self.mixing, self.counts, background)

    @cached_property
    def demixing(self) -> np.ndarray:
        """The matrix, (n, m), that makes images of counts by weighted least squares.

        It is that of the spectra of ``mixing``; with local ones, `LocalSpectra.least_squares` makes images.
        """
        return demixing_matrix(self.mixing, self.variance)
