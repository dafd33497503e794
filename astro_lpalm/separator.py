"""Separator: the settings of a separation, and its steps from counts to spectra and images."""

import logging
import warnings
from dataclasses import dataclass, replace

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from .cube import EventCube
from .forward import (
    Fit,
    ForwardModel,
    background_amplitude,
    block_sums,
    check_data,
    count_blocks,
    demixing_matrix,
    expected_counts,
)
from .separation import Factorization, align, refine, refine_counts
from .transforms import Starlet, detail_matrix, get_transform
from .trust import check_photons, resample

__all__ = ["Separator", "Solution"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Solution:
    """What a separation has found.

    Attributes
    ----------
    fit : `~astro_lpalm.forward.Fit`
        Spectra and images beside the counts, the background with its amplitude.
    factorization : `~astro_lpalm.separation.Factorization`
        How the spectra were found: rounds, and whether they converged.
    details : `~numpy.ndarray`, shape (m, t)
        What the solver was given.
    amplitude, amplitude_error : float
        What the background was found to be best multiplied by, and the error of that; 1 and 0 where it is not free.
    search : object
        How they were found, to find them again.
    """

    fit: Fit
    factorization: Factorization
    details: np.ndarray
    amplitude: float
    amplitude_error: float
    search: object

    @property
    def by_counts(self) -> bool:
        """Whether the likelihood of the counts had the last word on the spectra."""
        return self.search.blocks is not None


@dataclass(frozen=True)
class Separator:
    """How observations are separated. What it prints as goes into the files of results.

    The details of every energy, in units of their photon noise, go to the solver, which finds the spectra; they are
    refined on the details and then on the counts of blocks of pixels, where the solver has a ``prior``; the images
    follow by least squares.

    Parameters
    ----------
    transform : str or transform
        See `astro_lpalm.transforms.get_transform`.
    n_scales : int
        Scales of a transform chosen by name, as far as they fit into the images: where counts are few, the details of
        the coarser ones stand out from the noise.
    n_details : int
        So many details are enough for the spectra; of large images every second, fourth, ... is taken along both axes.
    refine : bool
        Whether spectra are refined by what the solver's ``prior`` knows of them.
    n_blocks, counts_in_block : int, float
        The largest number of blocks of pixels that the counts are summed over, and the counts each should have.
    n_smooth : int
        Starlet scales over which counts are smoothed to tell how noisy pixels are, when a background's amplitude is
        found: so many that a pixel's own noise has no part in it.
    n_resamplings : int
        How often the photons are drawn again for the uncertainty of spectra and images; 0 for never.
    seed : int
        Of the resampling.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> from astro_lpalm.separator import Separator
    >>> Separator(n_resamplings=50).n_scales
    4
    """

    transform: object = "starlet"
    n_scales: int = 4
    n_details: int = 50_000
    refine: bool = True
    n_blocks: int = 256
    counts_in_block: float = 100.0
    n_smooth: int = 5
    n_resamplings: int = 0
    seed: int = 0

    def __post_init__(self):
        for name in ("n_scales", "n_details", "n_blocks", "counts_in_block", "n_smooth"):
            if not getattr(self, name) > 0:
                msg = f"{name} is {getattr(self, name)}, but must be positive."
                raise ValueError(msg)

    def find(self, cube: EventCube, solver: object, forward: ForwardModel, *, free: bool = False) -> Solution:
        """Separate an observation.

        Parameters
        ----------
        cube : `~astro_lpalm.cube.EventCube`
            In the solver's energy bins.
        solver : object
            With ``separate(X) -> Factorization`` and, if it likes, ``prior``, a `SpectralPrior
            <astro_lpalm.spectra.SpectralPrior>`, and ``start(X)``, which finds spectra to begin the refinement with.
        forward : `~astro_lpalm.forward.ForwardModel`
            Of the cube's pixels.
        free : bool
            Whether the amplitude of the background is found as well.

        Returns
        -------
        Solution

        Raises
        ------
        ValueError
            If the data cannot be separated.
        """
        X = cube.matrix(dtype=np.float32)
        if self.n_resamplings:  # an error now, not when all is computed
            check_photons(X, self.n_resamplings)
        search = _Search(self, solver, self._prior(solver), forward, free, self._blocks(cube, X, solver))
        found, details = search.spectra(cube, X)
        check_data(X, found.spectra)  # whatever a solver may give
        log.info("the spectra took %d rounds, converged: %s", found.n_iter, found.converged)
        best, error = search.amplitude(cube, X, found.spectra)
        forward = forward.with_amplitude(max(best, 0.0))
        below = 0.0 if forward.background is None else forward.background.spectrum()
        variance = expected_counts(found.spectra, X.sum(axis=1, dtype=float), below)
        images = demixing_matrix(found.spectra, variance).astype(np.float32) @ forward.net(X)
        return Solution(Fit(cube, forward, found.spectra, images), found, details, best, error, search)

    def resample(self, solution: Solution, *, progress: bool = True) -> tuple[np.ndarray, np.ndarray, float]:
        """Find the uncertainty of a solution by drawing the photons again.

        Parameters
        ----------
        solution : Solution
        progress : bool
            Whether to show progress on a terminal.

        Returns
        -------
        spectra_uncertainty, image_uncertainty, amplitude_uncertainty
            See `astro_lpalm.trust.resample`.
        """
        search, spectra = solution.search, solution.fit.mixing

        def find_again(drawn, rng):
            # What is known beforehand is uncertain, too: spectra that follow from it rather than from the data would
            # come out the same each time. So the library's means are drawn again along with the photons.
            again = search if search.prior is None else replace(search, prior=search.prior.perturbed(rng))
            X = drawn.matrix(dtype=np.float32)
            found, _ = again.spectra(drawn, X)
            if not hasattr(search.solver, "component_names"):  # whose order is open
                found = align(found, spectra)
            return found.spectra, max(again.amplitude(drawn, X, found.spectra)[0], 0.0)

        with warnings.catch_warnings():  # what the refinement had to say was said of the observation itself
            warnings.simplefilter("ignore", AstropyUserWarning)
            return resample(
                solution.fit.cube, spectra, find_again, self.n_resamplings, search.forward.background,
                max(solution.amplitude, 0.0), seed=self.seed, progress=progress,
            )  # fmt: skip

    def _prior(self, solver):
        return getattr(solver, "prior", None) if self.refine else None

    def _blocks(self, cube, X, solver):
        """Give the block of each pixel; None where there is no prior for their counts, or these are no counts."""
        if self._prior(solver) is None:
            return None
        if X.min() < 0:
            _warn_of_negative_counts(X)
            return None
        image = cube.data.sum(axis=0, dtype=float)
        return count_blocks(image, cube.pixel_mask, n_most=self.n_blocks, fewest=self.counts_in_block)

    def transform_of(self, cube: EventCube) -> object:
        """Give the transform that the images of a cube go through."""
        return get_transform(self.transform, self.n_scales, side=min(cube.data.shape[1:]))

    def details(self, cube: EventCube, forward: ForwardModel) -> np.ndarray:
        """Give the details of all energies, in units of their noise, as the solver gets them.

        Where the cube has an exposure map, they are taken of the counts divided by it, so that the edges of the
        exposure are no details of the sources.

        Parameters
        ----------
        cube : `~astro_lpalm.cube.EventCube`
        forward : `~astro_lpalm.forward.ForwardModel`
            Whose background is taken away first.

        Returns
        -------
        `~numpy.ndarray`, shape (m, t)
        """
        transform = self.transform_of(cube)
        mask = cube.pixel_mask if cube.pixel_mask.any() else None
        exposure = cube.relative_exposure
        # Counts over exposure have that many times the variance of as many counts.
        noise = transform.photon_noise(cube.data.sum(axis=0, dtype=float) / exposure, mask)
        if cube.exposure is not None:
            # Only details that lie on the pixels have noise that differs between them.
            noise = [level / np.sqrt(exposure) if np.ndim(level) else level for level in noise]
        n_pixels, stride = np.count_nonzero(~cube.pixel_mask), 1
        # A stride of s leaves 1 / s^2 of the details, four times as many of the finest.
        while n_pixels * (transform.n_scales + 3) / (2 * stride) ** 2 >= self.n_details:
            stride *= 2
        images = _Images(cube, forward, None if cube.exposure is None else exposure)
        return detail_matrix(transform, images, mask, noise, stride=stride, dtype=np.float32)


@dataclass(frozen=True)
class _Search:
    """How spectra are found in a cube, and found again where its photons are drawn anew."""

    separator: Separator
    solver: object
    prior: object
    forward: ForwardModel
    free: bool
    blocks: np.ndarray | None

    def spectra(self, cube, X):
        """Find them in details, then in the counts of blocks; X is the cube's matrix. Return them and the details."""
        details = self.separator.details(cube, self.forward)
        if hasattr(self.solver, "start"):
            found = self.solver.start(details, thinned=self.prior is not None)
        else:
            found = self.solver.separate(details)
        if self.prior is None:
            return found, details
        try:
            found = refine(details, found, self.prior)
        except np.linalg.LinAlgError as error:
            n = found.spectra.shape[1]
            msg = f"there is too little in the data to find {n} spectra by: a few counts only?"
            raise ValueError(msg) from error
        log.debug("the refinement of the details took %d rounds, converged: %s", found.n_iter, found.converged)
        if self.blocks is None:
            return found, details
        forward = self.forward.with_amplitude(max(self.amplitude(cube, X, found.spectra)[0], 0.0))
        below = forward.blocks(self.blocks).background
        below = None if below is None else below.matrix()
        return refine_counts(block_sums(X, self.blocks), found, self.prior, background=below), details

    def amplitude(self, cube, X, spectra):
        """Return what the background is best multiplied by, and the error of that; X is the cube's matrix."""
        if not self.free:
            return 1.0, 0.0
        mask, exposure, n_smooth = cube.pixel_mask, cube.relative_exposure, self.separator.n_smooth
        scales = Starlet(min(n_smooth, Starlet().largest_n_scales(min(mask.shape))))
        _, smooth = scales.forward(cube.data.sum(axis=0, dtype=float) / exposure, mask)
        background = self.forward.background
        counts = np.maximum((exposure * smooth)[~mask], background.image().mean())
        return background_amplitude(X, spectra, background, counts)


@dataclass(frozen=True)
class _Images:
    """Images of the energies without background, over the exposure, made when they are asked for."""

    cube: object
    forward: ForwardModel
    exposure: np.ndarray | None

    @property
    def shape(self):
        return self.cube.data.shape

    def __len__(self):
        return len(self.cube.data)

    def __getitem__(self, energies):
        images = self.cube.data[energies]
        if self.forward.background is not None:
            images = images.astype(float)
            images[:, self.forward.kept] -= self.forward.background[energies]
        return images if self.exposure is None else images / self.exposure


def _warn_of_negative_counts(X):
    msg = (
        f"the cube has {np.count_nonzero(X < 0)} negative values, so it is no counts: the spectra are refined on the "
        "details only. Take the cube that nothing was subtracted from, and give the background separately."
    )
    warnings.warn(msg, AstropyUserWarning, stacklevel=4)
