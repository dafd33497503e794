"""How spectra are found in a cube, and found again where its photons are drawn anew."""

import logging
import warnings
from dataclasses import dataclass, replace

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from .._memory import physical_memory
from ..forward import ForwardModel, background_amplitude
from ..separation import (
    Factorization,
    ImageBlur,
    SkyData,
    align,
    block_goodness,
    fit_again,
    fit_parameters,
    library_errors,
    nearest_parameters,
)
from ..transforms import Starlet

__all__ = ["CubeImages", "Search", "as_factorization", "warn_of_negative_counts"]

log = logging.getLogger(__name__)

_FIELDS = 50  # images of each component that smooth images take where the cube is not laid out
_MAP_WIDTH = 0.15  # of a range: how much a parameter varies of which a map is asked for, to begin with


@dataclass(frozen=True)
class Search:
    """How spectra are found in a cube, and found again where its photons are drawn anew."""

    separator: object
    solver: object
    prior: object
    physics: object
    forward: ForwardModel
    free: bool
    is_counts: bool
    blur: object | None = None
    vignetting: object | None = None  # of the whole images

    def spectra(self, cube, X):
        """Find them in details, then in the counts of blocks; X is the cube's counts.

        Returned are the details, the fit of physical parameters, and whether the spectra are those of it, too.
        """
        found, details = self.start(cube)
        if not self.is_counts:
            return found, details, None, False
        physical = None
        if self.physics is not None:
            physical = self.parameters(cube, X, nearest_parameters(found.spectra, self.physics))
            only = self.prior is None or self.separator.maps or self.vignetting is not None
            if only or physical.misfit < self.separator.bad_fit:
                return as_factorization(physical), details, physical, True
        if self.prior is None:
            return found, details, None, False
        found = self._on_counts(cube, X, found)
        if physical is not None and not self._fits_better(cube, X, found, physical):
            return as_factorization(physical), details, physical, True
        return found, details, physical, False

    def start(self, cube):
        """Find spectra in the details, which are returned as well."""
        details = self.separator.details(cube, self.forward)
        if hasattr(self.solver, "start"):
            found = self.solver.start(details, thinned=self.prior is not None)
        else:
            found = self.solver.separate(details)
        if self.prior is not None:
            found = self._refined(details, found)
        return found, details

    def check_vignetting(self):
        """Say so, where nothing can be made of an exposure that differs with energy."""
        if self.vignetting is None:
            return
        if self.physics is None or not self.is_counts or self.separator.n_resamplings:
            why = "nothing is known of the solver's spectra" if self.physics is None else "the cube is no counts"
            if self.separator.n_resamplings:
                why = "photons drawn again (n_resamplings) are separated without it"
            msg = (
                f"the exposure differs with energy, which only a fit of physical parameters takes into account, but "
                f"{why}; give one exposure map for all energies, or take what is in the way out."
            )
            raise ValueError(msg)

    def check_maps(self):
        """Say so, where there can be no maps, or not of these parameters."""
        maps, physics = self.separator.maps, self.physics
        if not maps:
            return
        if physics is None or not self.is_counts:
            why = "nothing is known of the solver's spectra" if physics is None else "the cube is no counts"
            if physics is None and not self.separator.refine:
                why = "refine is false"
            msg = f"there can be no maps of parameters, as {why}; leave maps out."
            raise ValueError(msg)
        if maps is not True:
            self._places()

    def check_smooth(self, observed):
        """Say so, where smooth images of photons, or of stored planes, would take more memory than there is.

        Observations are given as pairs of a cube and what blurs it, or None.
        """
        cubes = [cube for cube, _ in observed]
        if not (self.separator.smooth and self.is_counts and any(cube.is_sparse or cube.is_lazy for cube in cubes)):
            return
        cube, n = cubes[0], len(getattr(self.solver, "component_names", None) or [None])  # or more
        n_cells, n_pixels = (int(np.prod(cube.shape[axis:], dtype=object)) for axis in (0, 1))
        # Counts are not laid out, but what blurs make of them, and stored ones on pixels twice as large.
        n_numbers = _FIELDS * n * n_pixels + n_cells * sum(blur is not None for _, blur in observed)
        n_numbers += n_cells // 4 * sum(each.is_lazy for each in cubes)
        if 4 * n_numbers > physical_memory():
            msg = (
                f"smooth images of a cube of {cube.shape} take {n_numbers / 2**28:.3g} GiB, more than there is memory; "
                "give smooth=False, larger pixels, or a part of the field."
            )
            raise ValueError(msg)

    def _places(self):
        """Give the parameters that maps names, with widths to begin with."""
        own = {
            f"{each.component}.{each.name}": place
            for place, each in enumerate(self.physics.parameters)
            if each.component
        }
        found = {}
        for name in self.separator.maps:
            places = [place for known, place in own.items() if name in (known, known.split(".", 1)[1])]
            if not places:
                msg = f"maps names {name!r}, which is no parameter with a range; there are {', '.join(own)}."
                raise ValueError(msg)
            found |= dict.fromkeys(places, _MAP_WIDTH)
        return found

    def vary(self):
        """Give what `SkyFitter` is to make maps of."""
        maps = self.separator.maps
        return self._places() if maps and maps is not True else maps or None

    def sky(self, fit, X, physical):
        """Make smooth images of a fit, and maps."""
        separator, cube, kept = self.separator, fit.cube, fit.forward.kept
        blocks = np.full(kept.shape, -1)
        blocks[kept] = separator.blocks(cube, large=True)
        free = self.free and physical is not None
        data = SkyData(
            X.by_columns(), kept,
            exposure=None if cube.exposure is None else cube.relative_exposure,
            background=(self if free else fit).forward.background, free=free,
            blur=None if self.blur is None else self._blur, vignetting=self.vignetting,
        )  # fmt: skip
        totals = fit.mixing.sum(axis=0)
        return replace(separator.sky, seed=separator.seed)(
            [data], np.maximum(fit.mixing / totals, 0.0), totals * np.maximum(fit.images.sum(axis=1), 0.0), blocks,
            physics=self.physics, physical=physical, vary=self.vary(), n_samples=separator.n_samples,
            device=separator.device,
        )  # fmt: skip

    def _blur(self, pitch, shape, margin):
        return ImageBlur(self.blur(pitch, shape, margin), shape, self.separator.device)

    def _on_counts(self, cube, X, found):
        counts, background = self._summed(cube, X, found.spectra, large=False)
        return self.separator.count_refinement(counts, found, self.prior, background=background)

    def _fits_better(self, cube, X, found, physical):
        counts, background = self._summed(cube, X, found.spectra, large=True)
        goodness = block_goodness(counts, found.spectra, background)
        log.debug("reduced chi-square %.2f by physical parameters, %.2f without", physical.goodness, goodness)
        return goodness - 1 < 0.5 * (physical.goodness - 1)

    def _summed(self, cube, X, spectra=None, *, large):
        """Sum the counts and the background over blocks; the latter, for given spectra, of the amplitude they ask."""
        blocks, forward = self.separator.blocks(cube, large=large), self.forward
        if spectra is not None:
            forward = forward.with_amplitude(max(self.amplitude(cube, X, spectra)[0], 0.0))
        background = forward.blocks(blocks).background
        return X.sums(blocks), None if background is None else background.matrix()

    def library_errors(self, solution):
        """Find the errors of spectra that the library and the counts of large blocks leave."""
        X = solution.fit.cube.counts
        counts, background = self._summed(solution.fit.cube, X, solution.fit.mixing, large=True)
        return library_errors(counts, solution.fit.mixing, self.prior, background=background)

    def again(self, drawn, rng, solution):
        """Find spectra and background's amplitude in photons that were drawn about those of a solution."""
        found, *_ = self.spectra(drawn, drawn.counts)
        if not hasattr(self.solver, "component_names"):  # whose order is open
            found = align(found, solution.fit.mixing)
        return found.spectra, max(self.amplitude(drawn, drawn.counts, found.spectra)[0], 0.0)

    def redraw(self, solution):
        """Give the blocks whose counts decide the spectra, and what finds these anew: see `Redraw`.

        None twice where the spectra are found in the pixels.
        """
        if not solution.by_counts or (self.free and not solution.by_physics):
            return None, None
        blocks = self.separator.blocks(solution.fit.cube, large=solution.by_physics)
        forward = self.forward if self.free else solution.fit.forward
        background = forward.blocks(blocks).background
        return blocks, Redraw(
            self.separator.count_refinement,
            self.physics if solution.by_physics else None,
            self.prior,
            solution.physical.theta if solution.by_physics else solution.fit.mixing,
            max(solution.amplitude, 0.0),
            None if background is None else background.matrix(),
            self.free,
        )

    def _refined(self, details, found):
        try:
            found = self.separator.refinement(details, found, self.prior)
        except np.linalg.LinAlgError as error:
            n = found.spectra.shape[1]
            msg = f"there is too little in the data to find {n} spectra by: a few counts only?"
            raise ValueError(msg) from error
        log.debug("the refinement of the details took %d rounds, converged: %s", found.n_iter, found.converged)
        return found

    def parameters(self, cube, X, start):
        """Fit the physical parameters to the counts of blocks."""
        counts, background = self._summed(cube, X, large=True)
        given = {"background": background, "free_background": [self.free]}
        if self.vignetting is None:
            return fit_parameters(counts, self.physics, start, **given)
        labels, vignetting = self.separator.blocks(cube, large=True), self.vignetting.of_pixels(self.forward.kept)
        for _ in range(2):  # of the spectra that are found
            A = self.physics.spectra(start)
            seen = vignetting.in_blocks(A, X.image(), labels)[:, :, np.newaxis]
            found = fit_parameters(
                counts, self.physics, start, local=seen / (seen * A).sum(axis=1, keepdims=True), **given
            )
            start = found.theta
        return found

    def amplitude(self, cube, X, spectra, physical=None):
        """Return what the background is best multiplied by, and the error of that; X is the cube's counts."""
        if physical is not None:
            return physical.background_amplitude.item(), physical.background_error.item()
        if not self.free:
            return 1.0, 0.0
        mask, exposure, n_smooth = cube.pixel_mask, cube.relative_exposure, self.separator.n_smooth
        scales = Starlet(min(n_smooth, Starlet().largest_n_scales(min(mask.shape))))
        _, smooth = scales.forward(cube.image() / exposure, mask)
        background = self.forward.background
        counts = np.maximum((exposure * smooth)[~mask], background.image().mean())
        return background_amplitude(X, spectra, background, counts)


@dataclass(frozen=True)
class Redraw:
    """What finds spectra in counts of blocks that were drawn about those observed, from where the search has ended.

    ``start`` are the parameters of ``physics``, or, where there is none, spectra; ``amplitude`` is the background's.
    """

    refinement: object
    physics: object | None
    prior: object | None
    start: np.ndarray
    amplitude: float
    background: np.ndarray | None
    free: bool

    def __call__(self, counts, rng):
        if self.physics is not None:
            spectra, amplitude = fit_again(
                counts, self.physics, self.start, self.amplitude, background=self.background, free_background=self.free
            )
            return spectra / np.linalg.norm(spectra, axis=0), float(amplitude)
        # What is known beforehand is uncertain, too: spectra that follow from it rather than from the data would
        # come out the same each time. So the library's means are drawn again along with the photons.
        prior, start = self.prior.perturbed(rng), Factorization(self.start, None)
        return self.refinement(counts, start, prior, background=self.background).spectra, 1.0


@dataclass(frozen=True)
class CubeImages:
    """Images of the energies without background, over the exposure, made when they are asked for."""

    cube: object
    forward: ForwardModel
    exposure: np.ndarray | None

    @property
    def shape(self):
        """That of the cube."""
        return self.cube.shape

    def __len__(self):
        return self.cube.n_energy

    def __getitem__(self, energies):
        images = self.cube.planes(energies)
        if self.forward.background is not None:
            images = images.astype(float)
            images[:, self.forward.kept] -= self.forward.background[energies]
        return images if self.exposure is None else images / self.exposure

    def thinned(self, transform, energies, stride, mask):
        """Give the thinned details of some energies; of photons without laying them out."""
        shape = self.shape[1:]
        if not self.cube.is_sparse:
            return transform.thinned(self[energies], shape, stride, mask)
        photons = self.cube.photons.matrix[energies].astype(float)
        if self.exposure is not None:
            photons.data /= self.exposure.ravel()[photons.indices]
        details, background = transform.thinned(photons, shape, stride, mask), self.forward.background
        if background is None:
            return details
        is_separable = background.is_separable
        below = background.amplitude * background.shares.matrix() if is_separable else background[energies]
        images = np.zeros((len(below), *shape))
        images[:, self.forward.kept] = below
        below = transform.thinned(images if self.exposure is None else images / self.exposure, shape, stride, mask)
        if is_separable:
            below = [np.tensordot(background.values[energies], each, 1) for each in below]
        return [detail - each for detail, each in zip(details, below)]


def as_factorization(physical):
    """Give the spectra of physical parameters as those of a solver."""
    spectra = physical.spectra / np.linalg.norm(physical.spectra, axis=0)
    history = {"log_likelihood": [physical.log_likelihood]}
    return Factorization(spectra.astype(np.float32), None, physical.n_iter, physical.converged, history)


def warn_of_negative_counts(X):
    """Warn that the counts of a cube are none."""
    msg = (
        f"the cube has {X.n_negative()} negative values, so it is no counts: the spectra are refined on the "
        "details only. Take the cube that nothing was subtracted from, and give the background separately."
    )
    warnings.warn(msg, AstropyUserWarning, stacklevel=5)
