"""Spectra and images beside the counts that they are to explain."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..cube import EventCube
from .least_squares import demixing_matrix, expected_counts
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
    """

    cube: EventCube
    forward: ForwardModel
    mixing: np.ndarray
    images: np.ndarray

    def rows(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Walk through data and expected counts energy by energy, (t,) each: a cube may be large."""
        detected = ForwardModel(self.forward.kept, background=self.forward.background)
        for plane, expected in zip(self.cube.data, detected.rows(self.mixing, self.images)):
            yield plane[self.forward.kept], expected

    def expected(self) -> np.ndarray:
        """Lay out the expected counts, (m, t)."""
        return np.stack([expected for _, expected in self.rows()])

    def expected_spectrum(self) -> np.ndarray:
        """Sum the expected counts of each energy, (m,)."""
        total = self.mixing @ self.images.sum(axis=1)
        return total if self.forward.background is None else total + self.forward.background.spectrum()

    @cached_property
    def counts(self) -> np.ndarray:
        """Counts of each energy, (m,)."""
        return np.array([plane[self.forward.kept].sum(dtype=float) for plane in self.cube.data])

    @cached_property
    def variance(self) -> np.ndarray:
        """What least squares weighs the energies with: the counts that can be expected of the field, (m,)."""
        background = 0.0 if self.forward.background is None else self.forward.background.spectrum()
        return expected_counts(self.mixing, self.counts, background)

    @cached_property
    def demixing(self) -> np.ndarray:
        """The matrix, (n, m), that makes images of counts by weighted least squares."""
        return demixing_matrix(self.mixing, self.variance)
