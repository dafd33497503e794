"""Several observations together: one sky, seen by each through its own response, PSF, exposure and background."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import astropy.units as u
import numpy as np

from .._headers import exposure_time
from ..cube import EventCube, StackedCounts
from ..forward import BackgroundCounts, Fit, ForwardModel
from ..separation import ImageBlur, SkyData, fit_parameters, nearest_parameters
from ..spectra import JointSpectra
from .detected import by_owner, in_counts, local_spectra
from .observation import JointSolution
from .search import Search, as_factorization

__all__ = ["find_jointly"]

_TINY = 1e-30


def find_jointly(separator, observations):
    """Separate several observations together.

    Parameters
    ----------
    separator : Separator
    observations : list of Observation
        On the same pixels and in the same energy bins.

    Returns
    -------
    JointSolution

    Raises
    ------
    ValueError
        If pixels or bins differ, an exposure time is not known, components have no physical parameters, the data are no
        counts, or something is asked for that there is for one observation only.

    Examples
    --------
    The same observation twice:

    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube, Separator, load_model
    >>> from astro_lpalm.forward import ForwardModel
    >>> from astro_lpalm.separator import Observation, find_jointly
    >>> model, wcs = load_model("pwn-acis"), WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> images = np.stack([np.full((8, 8), 200.0), 50.0 * np.indices((8, 8))[0]])
    >>> counts = np.tensordot(model.physics.spectra([0.5] * len(model.physics.parameters)), images, 1)
    >>> cube = EventCube(counts, energy_edges=model.energy_edges, wcs=wcs, exposure=np.full((8, 8), 20) * u.ks)
    >>> observation = Observation(cube, model, ForwardModel.of(cube))
    >>> solution = find_jointly(Separator(smooth=False), [observation, observation])
    >>> (solution.fit.component_counts.sum(axis=1) / images.sum(axis=(1, 2))).round(2)
    array([2., 2.])
    """
    _check(separator, observations)
    seconds = np.array([_seconds(each.cube, number) for number, each in enumerate(observations, start=1)])
    joint = JointSpectra([each.solver.physics for each in observations], seconds)
    number = int(np.argmax([each.cube.counts.spectrum().sum() for each in observations]))
    first = observations[number]
    search = Search(
        separator, first.solver, getattr(first.solver, "prior", None), joint, first.forward, False, True, None
    )
    search.check_maps()
    search.check_smooth([(each.cube, each.blur) for each in observations])
    found, details = search.start(first.cube)
    theta = joint.of_one(number, nearest_parameters(found.spectra, first.solver.physics))
    stack = _Stack.of(observations, seconds, joint.spectra(theta))
    blocks = separator.blocks(stack.cube, large=True)
    physical = fit_parameters(
        stack.sums(blocks),
        joint,
        theta,
        background=stack.background_sums(blocks),
        free_background=[each.free for each in observations],
        local=stack.local(joint.spectra(theta), blocks),
    )
    sky = None
    if separator.smooth:
        labels = np.full(stack.kept.shape, -1)
        labels[stack.kept] = blocks
        sky = replace(separator.sky, seed=separator.seed)(
            stack.sky_data(observations, separator.device),
            physical.common_spectra,
            np.maximum(physical.fluxes, 0.0),
            labels,
            physics=joint,
            physical=physical,
            vary=search.vary(),
            n_samples=separator.n_samples,
            device=separator.device,
        )
        physical = sky.physical
    return _solution(stack.with_amplitudes(physical.background_amplitude), joint, physical, sky, search, details)


def _check(separator, observations):
    for number, each in enumerate(observations, start=1):
        if not separator.refine or getattr(each.solver, "physics", None) is None:
            why = "refine is false" if not separator.refine else f"those of {each.solver!r} have none"
            msg = (
                f"several observations are separated by the physical parameters of the components, but {why}; take a "
                "model that has such, or separate the sum of the cubes, EventCube.merge."
            )
            raise ValueError(msg)
        if each.cube.counts.n_negative():
            msg = (
                f"the cube of observation {number} has negative values, so it is no counts; take the cube that nothing "
                "was subtracted from, and give the background separately."
            )
            raise ValueError(msg)
    if separator.n_resamplings:
        msg = (
            "n_resamplings draws the photons of one observation again; of several, leave it out: errors follow from "
            "the likelihood."
        )
        raise ValueError(msg)


@dataclass(frozen=True)
class _Stack:
    """Several observations on the pixels that any of them has.

    ``cube`` is their sum; its exposure is the time that the mean response would need. ``seconds`` (o,) are the exposure
    times, ``counts`` o of `Counts`, (m, t), each as its cube is kept, ``exposures`` (o, t) the relative ones, 0 where
    one sees nothing, ``backgrounds`` o of `BackgroundCounts` or None, ``vignettings`` o of `Vignetting` or None.
    """

    cube: EventCube
    seconds: np.ndarray
    counts: list
    exposures: np.ndarray
    backgrounds: list
    vignettings: list

    @classmethod
    def of(cls, observations, seconds, spectra):
        cubes = [each.cube for each in observations]
        exposures = [np.where(cube.pixel_mask, 0.0, cube.relative_exposure) for cube in cubes]
        shares = spectra.reshape(len(cubes), -1).sum(axis=1) / spectra.sum()
        summed = EventCube.merge(
            cube.with_exposure(exposure * share * seconds.sum() * u.s)
            for cube, exposure, share in zip(cubes, exposures, shares)
        )
        kept, counts, backgrounds = ~summed.pixel_mask, [], []
        for each in observations:
            own, background = each.forward.kept, each.forward.background
            counts.append(each.cube.counts.in_image(own, kept))
            backgrounds.append(None if background is None else background.in_image(own, kept))
        exposures = np.array([each[kept] for each in exposures])
        vignettings = [None if each.vignetting is None else each.vignetting.of_pixels(kept) for each in observations]
        return cls(summed, seconds, counts, exposures, backgrounds, vignettings)

    @property
    def kept(self):
        return ~self.cube.pixel_mask

    def with_amplitudes(self, amplitudes):
        scaled = [None if each is None else each.scaled(by) for each, by in zip(self.backgrounds, amplitudes)]
        return replace(self, backgrounds=scaled)

    def sums(self, blocks):
        return np.concatenate([X.sums(blocks) for X in self.counts])

    def background_sums(self, blocks):
        shape = self.cube.n_energy, blocks.max() + 1
        return np.concatenate([np.zeros(shape) if each is None else each.sums(blocks) for each in self.backgrounds])

    def local(self, spectra, blocks):
        """Give the factors, (b, o m, n), that make of spectra, (o m, n), what is seen of them in blocks, of unit sum.

        The mean of the exposure over a block is weighted with the brightness of its pixels.
        """
        shares = spectra.reshape(len(self.counts), -1, spectra.shape[1]).sum(axis=1)  # (o, n)
        net = sum(X.image() for X in self.counts)
        net = net - sum(each.image() for each in self.backgrounds if each is not None)
        bright = np.maximum(net, 0.0) / np.maximum(shares.mean(axis=1) @ self.exposures, _TINY)
        bright += 1e-6 * bright.mean() + _TINY  # in blocks without any
        whole = np.bincount(blocks, bright)
        seen = np.array([np.bincount(blocks, bright * each) / whole for each in self.exposures])  # (o, b)
        m = self.cube.n_energy
        seen = np.repeat(seen[:, :, np.newaxis], m, axis=2)  # (o, b, m)
        for number, (X, vignetting) in enumerate(zip(self.counts, self.vignettings)):
            if vignetting is not None:
                own = spectra[number * m : (number + 1) * m]
                seen[number] *= vignetting.in_blocks(own, X.image(), blocks)
        seen = seen.transpose(1, 0, 2).reshape(len(whole), -1, 1)
        return seen / (seen * spectra).sum(axis=1, keepdims=True)

    def sky_data(self, observations, device):
        found = []
        for each, X, seen, background in zip(observations, self.counts, self.exposures, self.backgrounds):
            exposure = np.zeros(self.kept.shape)
            exposure[self.kept] = seen
            blur, more = _blur_on(each.blur, device), {"free": each.free, "vignetting": each.vignetting}
            found.append(SkyData(X.by_columns(), self.kept, exposure, background, blur, **more))
        return found

    def fit(self, local, spectra):
        """Images by least squares of all observations: the fit of their bins one after the other."""
        cube = SimpleNamespace(counts=StackedCounts(self.counts), is_lazy=self.cube.is_lazy)
        background = BackgroundCounts.stacked(self.backgrounds, self.cube.n_energy)
        forward = ForwardModel(self.kept, background=background)
        return Fit(cube, forward, _unit(spectra), None, local).with_images()

    def summed(self, fit):
        """Give the fit of the summed cube that has the same images."""
        m, background = self.cube.n_energy, fit.forward.background
        if background is not None:
            background = replace(background, values=_added(background.values, m))
        local = replace(fit.local, basis=_added(fit.local.basis, m))
        mixing = _unit(_added(fit.mixing, m))
        images = fit.component_counts / mixing.sum(axis=0)[:, np.newaxis]
        return Fit(self.cube, ForwardModel(self.kept, background=background), mixing, images, local, made_of=fit)


def _solution(stack, joint, physical, sky, search, details):
    kept = stack.kept
    if sky is None:
        spectra = physical.common_spectra
        basis, owners = spectra, np.arange(spectra.shape[1])
        parts = np.split(spectra, len(stack.counts))
        coefficients = np.ones((len(owners), kept.sum()))
        seen = [
            (part, each * coefficients, owners)
            if vignetting is None
            else vignetting.expanded(part, each * coefficients, owners)
            for part, each, vignetting in zip(parts, stack.exposures, stack.vignettings)
        ]
    else:
        seen, basis, coefficients, owners = sky.detected, sky.basis, sky.coefficients[:, kept], sky.owners
    stacked = stack.fit(local_spectra(seen), physical.spectra)
    fit = stack.summed(stacked)
    n = len(fit.images)
    # counts of the summed cube for one at full exposure in all observations
    sums = np.split(basis, len(stack.counts))
    left = [
        part.sum(axis=0)[:, np.newaxis] if vignetting is None else vignetting.transmission(part)
        for part, vignetting in zip(sums, stack.vignettings)
    ]
    gains = [by_owner(coefficients * each, owners, n) for each in left]
    gain = sum(each * own for each, own in zip(stack.exposures, gains))
    if sky is None:
        emitted = np.maximum(fit.component_counts, 0.0) / np.maximum(gain, _TINY) + _TINY
        detected = [(each * own * emitted).sum(axis=1) for each, own in zip(stack.exposures, gains)]
        weights = [each / part.sum(axis=0) / emitted.sum(axis=1) for each, part in zip(detected, sums)]
    else:
        # Of the smooth images each is expected to detect so much, over what it would with full exposure everywhere.
        detected = np.array([by_owner(a * b.sum(axis=0)[:, np.newaxis], o, n).sum(axis=1) for b, a, o in seen])
        emitted = np.maximum(sky.images[:, kept].sum(axis=1), _TINY)
        shares = joint.spectra(physical.theta).reshape(len(seen), -1, n).sum(axis=1)
        weights = detected / emitted / np.maximum(shares, _TINY)
    physics = JointSpectra(joint.models, stack.seconds[:, np.newaxis] * np.array(weights), summed=True)
    known = SimpleNamespace(component_names=joint.component_names, physics=physics)
    pattern = gain / stack.cube.relative_exposure[kept]
    if sky is not None:
        sky, pattern = in_counts(sky, fit, pattern)
    found = as_factorization(physical)
    amplitudes = physical.background_amplitude, physical.background_error
    return JointSolution(
        fit, found, details, *amplitudes, physical, True, search, sky, pattern, stacked=stacked, known=known
    )


def _added(rows, m):
    """Add what stands one after the other, m rows each."""
    return rows.reshape(-1, m, rows.shape[1]).sum(axis=0)


def _unit(spectra):
    return spectra / np.linalg.norm(spectra, axis=0)


def _blur_on(blur, device):
    return None if blur is None else lambda pitch, shape, margin: ImageBlur(blur(pitch, shape, margin), shape, device)


def _seconds(cube, number):
    """Exposure time where the exposure is full (s)."""
    if cube.exposure is not None and cube.exposure.unit.is_equivalent(u.s):
        return float(cube.exposure.to_value(u.s)[~cube.pixel_mask].max())
    time = exposure_time(cube.meta or {}, f"the header of cube {number}")
    if time is None:
        msg = (
            f"the exposure time of observation {number} is not known, so it cannot be compared with the others; give "
            "its instrument an exposure, its cube a map of it in s (EventCube.with_exposure), or its header EXPOSURE."
        )
        raise ValueError(msg)
    return time
