"""Physical parameters as a table."""

import astropy.units as u
import numpy as np
from astropy.table import QTable

from .._headers import exposure_time

__all__ = ["component_exposures", "parameter_table", "with_formats"]

_SHARED = "all"  # components, as the absorption is


def parameter_table(physical, physics, exposures=None, brightness=None):
    """Tabulate the physical parameters of a separation.

    Parameters
    ----------
    physical : `~astro_lpalm.separation.PhysicalFit`
    physics : `~astro_lpalm.spectra.ParametricSpectra`
    exposures : array_like, shape (n,), optional
        Exposure time of each component (s); see `component_exposures`.
    brightness : array_like, shape (2, n), optional
        What the amplitude and the energy flux of each component are to be multiplied by, as its parameters are not the
        same everywhere; see `SkyFit.local_brightness <astro_lpalm.separation.SkyFit.local_brightness>`.

    Returns
    -------
    `~astropy.table.QTable`
        A row for each parameter that has a range: ``component`` ("all" for the absorption), ``parameter``, ``value``,
        ``error_low`` and ``error_high`` (distances to the ends of the 68 % interval), ``unit``, ``low`` and ``high``
        (its range), ``at_limit`` (whether the value is an end of the range) and ``undecided`` (whether the data say so
        little that the range decides). Plain numbers, as the units differ from row to row. With exposure times two
        more of each component, which have no range: ``amplitude``, in the unit of its model, and ``flux``, the energy
        flux before absorption in the band of the energy bins.

    Examples
    --------
    >>> from astro_lpalm import load_model
    >>> from astro_lpalm.results import parameter_table
    >>> from astro_lpalm.separation import fit_parameters
    >>> physics = load_model("pwn-acis").physics
    >>> spectra = physics.spectra([0.5] * len(physics.parameters))
    >>> table = parameter_table(fit_parameters(spectra @ [[3e4, 1e4], [1e4, 2e4]], physics), physics)
    >>> table["component", "parameter", "unit", "at_limit"][:3].pprint()
    component   parameter       unit    at_limit
    ---------- ------------ ----------- --------
           all           nh 1e+22 / cm2    False
    nonthermal photon_index                False
       thermal           kT         keV    False
    """
    low, high = physical.intervals
    rows = [
        (
            each.component or _SHARED,
            each.name,
            value,
            value - start,
            end - value,
            each.unit,
            each.low,
            each.high,
            *flags,
        )
        for each, value, start, end, *flags in zip(
            physics.parameters, physical.values, low, high, physical.at_limit, physical.undecided
        )
    ]
    if exposures is not None:
        rows += _brightness(physical, physics, np.asarray(exposures, dtype=float), brightness)
    names = "component", "parameter", "value", "error_low", "error_high", "unit", "low", "high", "at_limit", "undecided"
    table = QTable(rows=rows, names=names)
    for name in ("error_low", "error_high"):
        # The interval is that of what is possible: the likeliest value may lie beyond all of it, at a limit.
        table[name] = np.maximum(table[name], 0.0)
    return with_formats(table)


def with_formats(table):
    """Have the numbers of such a table printed with four digits; returns it."""
    for name in ("value", "error_low", "error_high", "low", "high"):
        table[name].info.format = ".4g"
    return table


def component_exposures(fit, left=1.0):
    """Find the exposure time that each component's photons had.

    Parameters
    ----------
    fit : `~astro_lpalm.forward.Fit`
    left : array_like, shape (n, t), optional
        What the exposure of the component's own photons is, over that of the cube.

    Returns
    -------
    `~numpy.ndarray`, shape (n,), or None
        In seconds: where the exposure differs between pixels, the mean over the component's photons before the
        exposure took its part. None where the header has no exposure time and the cube no map of it.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from astro_lpalm import EventCube
    >>> from astro_lpalm.forward import Fit, ForwardModel
    >>> from astro_lpalm.results import component_exposures
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.001, 0.001]
    >>> cube = EventCube([[[8.0, 5.0]]], energy_edges=[0.5, 7] * u.keV, wcs=wcs, exposure=[[40, 20]] * u.ks)
    >>> fit = Fit(cube, ForwardModel(~cube.pixel_mask), np.ones((1, 2)), np.array([[8.0, 0.0], [0.0, 5.0]]))
    >>> component_exposures(fit)
    array([40000., 20000.])
    """
    cube = fit.cube
    if cube.exposure is not None and cube.exposure.unit.is_equivalent(u.s):
        full = cube.exposure.to_value(u.s).max()
    elif "EXPOSURE" in cube.meta:
        full = exposure_time(cube.meta, "the cube's header")
    else:
        return None
    counts = fit.images.sum(axis=1, dtype=float)
    emitted = (fit.images / (left * cube.relative_exposure[fit.forward.kept])).sum(axis=1, dtype=float)
    there = (counts > 0) & (emitted > 0)
    return full * np.where(there, counts / np.where(there, emitted, 1.0), 1.0)


def _brightness(physical, physics, exposures, factors=None):
    # Of the parameters that are possible, each has its own counts for a unit of amplitude: errors go together.
    best = physical.theta[np.newaxis]
    rate, rates = (physics.rates(theta).sum(axis=-2) * exposures for theta in (best, physical.draws))
    flux, fluxes = (physics.energy_flux(theta) for theta in (best, physical.draws))
    value, draws = physical.fluxes / rate[0], physical.flux_draws / rates
    local, local_flux = np.ones((2, len(value))) if factors is None else factors
    rows = []
    for k, name in enumerate(physics.component_names):
        for what, unit, middle, drawn in (
            ("amplitude", physics.amplitude_units[k], local[k] * value[k], local[k] * draws[:, k]),
            (
                "flux",
                "erg / (s cm2)",
                local_flux[k] * value[k] * flux[0, k],
                local_flux[k] * draws[:, k] * fluxes[:, k],
            ),
        ):
            if np.isfinite(middle):
                start, end = np.quantile(drawn, [0.1587, 0.8413])
                rows.append((name, what, middle, middle - start, end - middle, unit, np.nan, np.nan, False, False))
    return rows
