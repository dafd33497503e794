"""What the separation of several observations takes and gives."""

from dataclasses import dataclass, replace

from ..cube import EventCube
from ..forward import Fit, ForwardModel
from ..instrument import Vignetting
from ..trust import posterior_errors
from .separator import Solution

__all__ = ["JointSolution", "Observation", "joint_errors"]


@dataclass(frozen=True)
class Observation:
    """One observation, and what is known of it.

    Attributes
    ----------
    cube : `~astro_lpalm.cube.EventCube`
        In the energy bins of the solver.
    solver : object
        For its response; see `Separator.find`.
    forward : `~astro_lpalm.forward.ForwardModel`
        Of the cube's pixels.
    free : bool
        Whether the amplitude of the background is to be found.
    blur : callable, optional
    vignetting : `~astro_lpalm.instrument.Vignetting`, optional
        See `Separator.find`.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube, load_model
    >>> from astro_lpalm.forward import ForwardModel
    >>> from astro_lpalm.separator import Observation
    >>> model, wcs = load_model("pwn-acis"), WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> cube = EventCube(np.ones((65, 8, 8)), energy_edges=model.energy_edges, wcs=wcs)
    >>> Observation(cube, model, ForwardModel.of(cube)).free
    False
    """

    cube: EventCube
    solver: object
    forward: ForwardModel
    free: bool = False
    blur: object | None = None
    vignetting: Vignetting | None = None


@dataclass(frozen=True, kw_only=True)
class JointSolution(Solution):
    """What the joint separation of several observations has found, as a solution of their summed cube.

    Attributes
    ----------
    stacked : `~astro_lpalm.forward.Fit`
        The same of the counts of all observations, their bins one after the other.
    known : object
        What a solver of the summed cube would know: ``component_names`` and ``physics``, whose ``rates`` are the counts
        of the summed cube for an amplitude of one.

    Examples
    --------
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
    >>> solution.fit.mixing.shape, solution.stacked.mixing.shape
    ((65, 2), (130, 2))
    """

    stacked: Fit
    known: object

    @property
    def physics(self):
        """Spectra of parameters, of the summed cube."""
        return self.known.physics


def joint_errors(solution):
    """Find the errors of a joint solution from the curvature of the likelihood of all observations.

    Parameters
    ----------
    solution : JointSolution

    Returns
    -------
    `~astro_lpalm.trust.Errors`
        In the bins of the summed cube.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube, Separator, load_model
    >>> from astro_lpalm.forward import ForwardModel
    >>> from astro_lpalm.separator import Observation, find_jointly, joint_errors
    >>> model, wcs = load_model("pwn-acis"), WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> images = np.stack([np.full((8, 8), 200.0), 50.0 * np.indices((8, 8))[0]])
    >>> counts = np.tensordot(model.physics.spectra([0.5] * len(model.physics.parameters)), images, 1)
    >>> cube = EventCube(counts, energy_edges=model.energy_edges, wcs=wcs, exposure=np.full((8, 8), 20) * u.ks)
    >>> observation = Observation(cube, model, ForwardModel.of(cube))
    >>> solution = find_jointly(Separator(smooth=False), [observation, observation])
    >>> joint_errors(solution).covariance.shape
    (2, 65, 65)
    """
    errors = posterior_errors(solution.stacked, solution.physical, solution.amplitude_error)
    (n, rows, _), m = errors.covariance.shape, len(solution.fit.mixing)
    return replace(errors, covariance=errors.covariance.reshape(n, rows // m, m, rows // m, m).sum(axis=(1, 3)))
