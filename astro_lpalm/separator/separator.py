"""The settings of a separation, and its steps from counts to spectra and images."""

import logging
import warnings
from dataclasses import dataclass, field, fields, replace

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from .._notebook import card
from ..cube import EventCube
from ..forward import Fit, ForwardModel, LocalSpectra, check_data, count_blocks, demixing_matrix, expected_counts
from ..instrument import Vignetting
from ..separation import CountRefinement, Factorization, PhysicalFit, Refinement, SkyFit, SkyFitter
from ..spectra import LibrarySpectra
from ..transforms import detail_matrix, get_transform
from ..trust import Errors, check_photons, least_squares_errors, posterior_errors, resample
from .detected import in_counts, local_spectra
from .search import CubeImages, Search, warn_of_negative_counts

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
    amplitude, amplitude_error : float, or `~numpy.ndarray`, shape (o,)
        What the background was found to be best multiplied by, and the error of that; 1 and 0 where it is not free.
        Of several observations, those of each.
    physical : `~astro_lpalm.separation.PhysicalFit` or None
        The fit of the components' physical parameters, where they have such.
    by_physics : bool
        Whether the spectra are those of it; otherwise something else fits much better.
    search : object
        How they were found, to find them again.
    sky : `~astro_lpalm.separation.SkyFit` or None
        Smooth images, and maps of the parameters that vary.
    pattern : `~numpy.ndarray`, shape (n, t), or float
        What smooth images are to be multiplied by to be counts of the cube: they have its exposure, but not how the
        energies' share in it differs from pixel to pixel.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube, Separator
    >>> from astro_lpalm.forward import ForwardModel
    >>> from astro_lpalm.separation import GMCA
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> expected = np.tensordot([[4.0, 1.0], [2.0, 2.0], [1.0, 4.0]], np.indices((16, 16)), 1)
    >>> cube = EventCube(np.random.default_rng(0).poisson(expected), energy_edges=[0.5, 1, 2, 7] * u.keV, wcs=wcs)
    >>> solution = Separator(smooth=False).find(cube, GMCA(2), ForwardModel.of(cube))
    >>> solution.fit.images.shape, solution.physical, solution.by_counts
    ((2, 256), None, False)
    """

    fit: Fit
    factorization: Factorization
    details: np.ndarray
    amplitude: float | np.ndarray
    amplitude_error: float | np.ndarray
    physical: PhysicalFit | None
    by_physics: bool
    search: object
    sky: SkyFit | None = None
    pattern: object = 1.0

    @property
    def physics(self) -> object | None:
        """What spectra of parameters are, where there are such."""
        return self.search.physics

    @property
    def by_counts(self) -> bool:
        """Whether the likelihood of the counts had the last word on the spectra."""
        return self.search.is_counts and (self.search.prior is not None or self.by_physics)


@dataclass(frozen=True)
class Separator:
    """How observations are separated. What it prints as goes into the files of results.

    The details of every energy, in units of their photon noise, go to the solver, which finds the spectra. Where the
    solver has a ``prior``, they are refined on the details. The counts have the last word: where the solver has
    ``physics``, by a fit of the components' physical parameters; otherwise by a refinement of the spectra. The images
    follow by least squares. Smooth ones, and maps of parameters, follow from a posterior probability of all pixels
    together.

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
        Whether spectra are refined by what the solver's ``prior`` and ``physics`` know of them.
    refinement : `~astro_lpalm.separation.Refinement`
        Of the spectra on the details.
    count_refinement : `~astro_lpalm.separation.CountRefinement`
        Of the spectra on the counts.
    n_blocks, counts_in_block : int, float
        The largest number of blocks of pixels that the counts are summed over for that, and the counts each should
        have.
    n_large_blocks, counts_in_large_block : int, float
        The same for the fit of physical parameters, which sources of many small blocks would bias, and for errors.
    bad_fit : float
        Excess of the blocks' chi-square, in its standard deviations, from which on the spectra of physical parameters
        are compared with those of the refinement, which have more freedom: these are taken if they leave less than half
        as much above noise.
    n_smooth : int
        Starlet scales over which counts are smoothed to tell how noisy pixels are, when a background's amplitude is
        found: so many that a pixel's own noise has no part in it.
    smooth : bool
        Whether smooth images are made.
    maps : bool or sequence of str
        Whether parameters are let vary from place to place, those that the data ask for; or the names of these, such as
        "thermal.kT". Where components have no physical parameters they are the coefficients of principal vectors
        (`~astro_lpalm.spectra.LibrarySpectra`), "c1" and so on.
    sky : `~astro_lpalm.separation.SkyFitter`
        Of the smooth images and the maps.
    n_samples : int
        Draws of smooth images and maps to keep.
    n_resamplings : int
        How often the photons are drawn again for the uncertainty of spectra and images; 0 for never.
    seed : int
        Of the resampling and the samples.
    device : str, optional
        Where smooth images and maps are made; by default on the CPU.

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
    refinement: Refinement = field(default_factory=Refinement)
    count_refinement: CountRefinement = field(default_factory=CountRefinement)
    n_blocks: int = 256
    counts_in_block: float = 100.0
    n_large_blocks: int = 32
    counts_in_large_block: float = 1e4
    bad_fit: float = 10.0
    n_smooth: int = 5
    smooth: bool = True
    maps: object = False
    sky: SkyFitter = field(default_factory=SkyFitter)
    n_samples: int = 0
    n_resamplings: int = 0
    seed: int = 0
    device: str | None = None

    def __post_init__(self):
        sizes = "n_blocks", "counts_in_block", "n_large_blocks", "counts_in_large_block", "bad_fit"
        for name in ("n_scales", "n_details", *sizes, "n_smooth"):
            if not getattr(self, name) > 0:
                msg = f"{name} is {getattr(self, name)}, but must be positive."
                raise ValueError(msg)
        if self.n_samples != int(self.n_samples) or self.n_samples < 0:
            msg = f"n_samples is {self.n_samples}, but must be a whole number, 0 for none."
            raise ValueError(msg)
        if isinstance(self.maps, str):
            object.__setattr__(self, "maps", (self.maps,))
        if self.maps and self.n_resamplings:
            msg = "maps and their errors come from one posterior; leave n_resamplings out, or maps."
            raise ValueError(msg)
        if (self.maps or self.n_samples) and not self.smooth:
            msg = "maps and samples are of smooth images, which smooth=False leaves out."
            raise ValueError(msg)

    def _repr_html_(self):
        usual = type(self)()
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        chosen = {name: repr(value) for name, value in values.items() if value != getattr(usual, name)}
        others = {name: repr(value) for name, value in values.items() if name not in chosen}
        return card("Separator", {**{f"{name} (chosen)": value for name, value in chosen.items()}, **others})

    def find(
        self,
        cube: EventCube,
        solver: object,
        forward: ForwardModel,
        *,
        free: bool = False,
        blur: object | None = None,
        vignetting: Vignetting | None = None,
    ) -> Solution:
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
        blur : callable, optional
            ``blur(pitch, shape, margin)`` gives the terms of the point spread function (`PSF.terms
            <astro_lpalm.instrument.PSF.terms>`) on images of pixels that are so many times larger, and begin so many
            pixels before the cube's first.
        vignetting : `~astro_lpalm.instrument.Vignetting`, optional
            On the cube's images: how many times its exposure that of each energy is.

        Returns
        -------
        Solution

        Raises
        ------
        ValueError
            If the data cannot be separated.
        """
        X = cube.counts
        if self.n_resamplings:  # an error now, not when all is computed
            check_photons(X, self.n_resamplings)
        is_counts = X.n_negative() == 0
        prior, physics = (getattr(solver, name, None) if self.refine else None for name in ("prior", "physics"))
        if not is_counts and (prior is not None or physics is not None):
            warn_of_negative_counts(X)
        if self.maps and physics is None and prior is not None:
            physics = LibrarySpectra(prior, solver.component_names)
        search = Search(self, solver, prior, physics, forward, free, is_counts, blur, vignetting)
        search.check_maps()
        search.check_vignetting()
        search.check_smooth([(cube, blur)])
        found, details, physical, by_physics = search.spectra(cube, X)
        check_data(X.spectrum()[:, np.newaxis], found.spectra)  # whatever a solver may give
        log.info("the spectra took %d rounds, converged: %s", found.n_iter, found.converged)
        best, error = search.amplitude(cube, X, found.spectra, physical if by_physics else None)
        forward = forward.with_amplitude(max(best, 0.0))
        fit = _by_least_squares(cube, X, forward, found.spectra)
        sky = search.sky(fit, X, physical if by_physics else None) if self.smooth and is_counts else None
        pattern = 1.0
        if sky is not None and (sky.fields or sky.detected):
            physical = sky.physical
            best, error = search.amplitude(cube, X, physical.spectra, physical)
            fit = _by_local_spectra(replace(fit, forward=search.forward.with_amplitude(best)), sky)
        elif vignetting is not None:
            even = np.ones(fit.images.shape), np.arange(len(fit.images))
            seen = vignetting.of_pixels(forward.kept).expanded(physical.common_spectra, *even)
            fit = _with_local_spectra(fit, physical.spectra, local_spectra([seen]))
        if sky is not None and vignetting is not None:
            sky, pattern = in_counts(sky, fit, vignetting.of_pixels(forward.kept).transmission(physical.common_spectra))
        return Solution(fit, found, details, best, error, physical, by_physics, search, sky, pattern)

    def errors(self, solution: Solution, *, progress: bool = True, client: object | None = None) -> Errors:
        """Find the errors of a solution.

        From photons that are drawn again, where ``n_resamplings`` says so; otherwise from the curvature of the
        likelihood, where physical parameters were fitted, or of the posterior probability, where the solver has a
        ``prior``; and from the photon noise of least squares elsewhere.

        Parameters
        ----------
        solution : Solution
        progress : bool
            Whether to show the progress of resampling on a terminal.
        client : ``dask.distributed.Client``, optional
            Whose workers do the resamplings.

        Returns
        -------
        `~astro_lpalm.trust.Errors`
        """
        if self.n_resamplings:
            return self.resample(solution, progress=progress, client=client)
        if solution.by_physics:
            return posterior_errors(solution.fit, solution.physical, solution.amplitude_error)
        if solution.by_counts:
            return posterior_errors(solution.fit, solution.search.library_errors(solution), solution.amplitude_error)
        return replace(least_squares_errors(solution.fit), amplitude=solution.amplitude_error)

    def resample(self, solution: Solution, *, progress: bool = True, client: object | None = None) -> Errors:
        """Find the errors of a solution by drawing the photons again.

        Parameters
        ----------
        solution : Solution
        progress : bool
            Whether to show progress on a terminal.
        client : ``dask.distributed.Client``, optional
            Whose workers find the spectra.

        Returns
        -------
        `~astro_lpalm.trust.Errors`
            See `astro_lpalm.trust.resample`.
        """
        search = solution.search
        blocks, find = search.redraw(solution)
        find = find or (lambda drawn, rng: search.again(drawn, rng, solution))
        with warnings.catch_warnings():  # what the refinement had to say was said of the observation itself
            warnings.simplefilter("ignore", AstropyUserWarning)
            return resample(
                solution.fit, find, self.n_resamplings, search.forward.background, max(solution.amplitude, 0.0),
                blocks=blocks, seed=self.seed, progress=progress, client=client,
            )  # fmt: skip

    def blocks(self, cube: EventCube, *, large: bool) -> np.ndarray:
        """Give the block of each pixel; those of few counts for the refinement, or large ones."""
        n_most, fewest = self.n_blocks, self.counts_in_block
        if large:
            n_most, fewest = self.n_large_blocks, self.counts_in_large_block
        return count_blocks(cube.image(), cube.pixel_mask, n_most=n_most, fewest=fewest)

    def transform_of(self, cube: EventCube) -> object:
        """Give the transform that the images of a cube go through."""
        return get_transform(self.transform, self.n_scales, side=min(cube.shape[1:]))

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
        n_pixels, stride = np.count_nonzero(~cube.pixel_mask), 1
        # A stride of s leaves 1 / s^2 of the details, four times as many of the finest.
        while n_pixels * (transform.n_scales + 3) / (2 * stride) ** 2 >= self.n_details:
            stride *= 2
        # Counts over exposure have that many times the variance of as many counts.
        is_thin = hasattr(transform, "thinned")
        noise = transform.photon_noise(cube.image() / exposure, mask, **({"stride": stride} if is_thin else {}))
        if cube.exposure is not None:
            # Only details that lie on the pixels have noise that differs between them.
            steps = [max(stride // 2, 1), *[stride] * len(noise)] if is_thin else [1] * len(noise)
            noise = [
                level / np.sqrt(exposure[::step, ::step]) if np.ndim(level) else level
                for level, step in zip(noise, steps)
            ]
        images = CubeImages(cube, forward, None if cube.exposure is None else exposure)
        return detail_matrix(transform, images, mask, noise, stride=stride, dtype=np.float32)


def _by_least_squares(cube, X, forward, spectra):
    """Make images by weighted least squares."""
    below = 0.0 if forward.background is None else forward.background.spectrum()
    variance = expected_counts(spectra, X.spectrum(), below)
    images = forward.project(demixing_matrix(spectra, variance).astype(np.float32), X)
    return Fit(cube, forward, spectra, images)


def _by_local_spectra(fit, sky):
    """Make the same where spectra differ from pixel to pixel."""
    if sky.detected:
        local = local_spectra(sky.detected)
    else:
        local = LocalSpectra(sky.basis, sky.coefficients[:, fit.forward.kept], sky.owners)
    return _with_local_spectra(fit, sky.physical.spectra, local)


def _with_local_spectra(fit, spectra, local):
    mixing = spectra / np.linalg.norm(spectra, axis=0)
    return Fit(fit.cube, fit.forward, mixing, None, local).with_images()
