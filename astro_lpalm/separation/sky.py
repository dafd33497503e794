"""Settings of the fit of smooth images of all components, and maps of the parameters that vary."""

from dataclasses import dataclass

import numpy as np

from .sky_run import SkyRun

__all__ = ["SkyFitter"]


@dataclass(frozen=True)
class SkyFitter:
    """Settings of the fit of smooth images and maps.

    Parameters
    ----------
    deviation, slope : float
        Of the logarithms of images, before anything is learned: standard deviation, and slope of the power spectrum.
    map_slope : float
        The slope of maps.
    mean_deviation : float
        Standard deviation of the mean of a map, in parts of the range.
    coarsest : int
        The coarsest pixels leave at least so many along the longer side.
    n_rounds : int
        Largest number of rounds, each with fields, prior and physical parameters, on the coarsest pixels.
    n_learned : int
        How often the prior is learned on each size of pixels, at most.
    lattice : int
        Squares along the longer side, for which the precision of the data is looked at.
    n_draws : int
        Of the parameters, in each round: for errors of the fluxes that tell whether these change.
    settled : float
        Rounds end when no flux changes by more than this part of its error; learning, when the fields, on average,
        do not.
    ready : float
        More maps are asked for when no flux changes by more than that: a map that is still changing leaves what others
        would be taken in for.
    known : float
        A map is decided where its variance is less than this part of the prior's.
    n_products, exact : int, float
        Products with the Fisher matrix for a draw, at most, and the part of its equations that may be left.
    seed : int
        Of the draws.

    Examples
    --------
    >>> import numpy as np
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.separation import SkyData, SkyFitter
    >>> physics = load_model("pwn-acis").physics
    >>> spectra = physics.spectra([0.5] * len(physics.parameters))
    >>> images = np.stack([np.full(256, 500.0), np.linspace(100, 400, 256)])
    >>> counts = np.random.default_rng(0).poisson(spectra @ images)
    >>> data, blocks = SkyData(counts, np.ones((16, 16), dtype=bool)), np.zeros((16, 16), dtype=int)
    >>> fit = SkyFitter()([data], spectra, images.sum(axis=1), blocks)
    >>> fit.converged, round(float(fit.images[1, 0].mean() / fit.images[1, -1].mean()), 1)
    (True, 0.3)
    """

    deviation: float = 2.5
    slope: float = 2.6
    map_slope: float = 4.0
    mean_deviation: float = 0.3
    coarsest: int = 48
    n_rounds: int = 15
    n_learned: int = 15
    lattice: int = 24
    n_draws: int = 800
    settled: float = 0.1
    ready: float = 0.5
    known: float = 0.25
    n_products: int = 1000
    exact: float = 1e-2
    seed: int = 0

    def __post_init__(self):
        for name in ("coarsest", "n_rounds", "lattice"):
            if not getattr(self, name) > 0:
                msg = f"{name} is {getattr(self, name)}, but must be positive."
                raise ValueError(msg)

    def __call__(
        self, data, spectra, fluxes, blocks, *, physics=None, physical=None, vary=None, n_samples=0, device=None
    ):
        """Fit.

        Parameters
        ----------
        data : list of SkyData
            Of the same pixels; the rows of ``spectra`` are theirs, one after the other. Of several, ``physical`` is
            fitted again with what the images say that each has seen of each block.
        spectra : array_like, shape (m, n)
            Of unit sum.
        fluxes : array_like, shape (n,)
            Counts of each component, to begin with.
        blocks : array_like of int, shape (ny, nx)
            Blocks of pixels for the physical parameters; -1 outside.
        physics : object, optional
            Spectra of parameters; see `fit_parameters`.
        physical : PhysicalFit, optional
            With one spectrum a component. Without it the spectra stay as they are.
        vary : dict of int to float, or True, optional
            Parameters to make maps of, with the standard deviations of these in parts of their ranges; or whichever
            differ from place to place. By default none.
        n_samples : int
            Draws to give back.
        device : str or `torch.device`, optional

        Returns
        -------
        SkyFit

        Raises
        ------
        ValueError
            If parameters are to vary, but there are none, or more than three of a component, or such as belong to none.
        """
        if vary is not None and (physics is None or physical is None):
            msg = "vary asks for maps of parameters, but there are none; give physics, and physical, their fit."
            raise ValueError(msg)
        if isinstance(vary, dict):
            shared = [place for place in vary if physics.parameters[place].component not in physics.component_names]
            if shared:
                msg = f"vary has the parameters {shared}, which no component has alone; only such can have maps."
                raise ValueError(msg)
        # Photons come from outside of the image, too: without a place for these its border would be too bright.
        margin = min(max(each.reach for each in data), max(data[0].kept.shape))
        data, blocks = [each.with_margin(margin) for each in data], np.pad(blocks, margin, constant_values=-1)
        run = SkyRun(self, data, np.asarray(spectra, dtype=float), fluxes, blocks, physics, physical, device)
        return run.fit(vary, n_samples).without_margin(margin)
