"""Photon fluxes in energy bins."""

import astropy.units as u
import numpy as np
from astropy.modeling import CompoundModel

from .models import SpectralModel, photon_flux_density

__all__ = ["check_energy_edges", "integrate"]

_FLUX = u.photon / (u.cm**2 * u.s)
_WIDEST = 0.01  # keV; wider bins are split, so that a product of models may be taken bin by bin
_STEEPEST = 1.02  # ratio of the edges of the widest bin at low energies


def check_energy_edges(energy_edges):
    """Check edges of energy bins.

    Parameters
    ----------
    energy_edges : `~astropy.units.Quantity` or array
        Shape (m + 1,); keV where there is no unit.

    Returns
    -------
    edges : array
        In keV.

    Raises
    ------
    ValueError
        If they are not at least two, finite, positive and increasing energies.

    Examples
    --------
    >>> from astro_lpalm.spectra import check_energy_edges
    >>> check_energy_edges([0.5, 2, 7])
    array([0.5, 2. , 7. ])
    """
    try:
        edges = u.Quantity(energy_edges, dtype=float)
        edges = edges.value if edges.unit == u.dimensionless_unscaled else edges.to_value(u.keV)
    except (TypeError, ValueError, u.UnitsError) as error:
        msg = f"energy_edges must be energies, in keV where they have no unit; got {energy_edges!r} ({error})."
        raise ValueError(msg) from error
    if edges.ndim != 1 or edges.size < 2 or not (np.all(np.diff(edges) > 0) and edges[0] > 0 and edges[-1] < np.inf):
        msg = f"energy_edges must be two or more finite, positive, increasing energies; got {energy_edges!r}."
        raise ValueError(msg)
    return edges


def integrate(model, energy_edges):
    """Photon flux of a model in each energy bin.

    Lines are integrated by the error function, so that one narrower than a bin keeps all its photons; anything
    else by quadrature in bins of at most 10 eV. Sums and products of models (absorption times a spectrum) are
    followed to their parts.

    Parameters
    ----------
    model : `~astropy.modeling.Model`
        A spectrum in photon / (cm2 s keV): a model of this package, of astropy, or an expression of them.
    energy_edges : `~astropy.units.Quantity` or array
        Shape (m + 1,); keV where there is no unit.

    Returns
    -------
    flux : `~astropy.units.Quantity`
        Shape (m,), photon / (cm2 s).

    Raises
    ------
    ValueError
        If the edges are not positive and increasing, or the model is a factor rather than a spectrum.

    Examples
    --------
    >>> from astro_lpalm.spectra import Synchrotron, integrate
    >>> print(integrate(Synchrotron(photon_index=2.0), [1, 2, 4]).round(6))
    [0.5  0.25] ph / (s cm2)
    """
    edges = check_energy_edges(energy_edges)
    if isinstance(model, SpectralModel) and model.output_unit != photon_flux_density:
        msg = f"{type(model).__name__} is a factor, not a spectrum; multiply it with a spectrum and integrate that."
        raise ValueError(msg)
    pieces = np.maximum(np.diff(edges) / _WIDEST, np.log(edges[1:] / edges[:-1]) / np.log(_STEEPEST))
    pieces = np.ceil(pieces - 1e-6).astype(int)
    starts = np.concatenate([[0], np.cumsum(pieces)])
    fine = np.interp(np.arange(starts[-1] + 1), starts, edges)
    return np.add.reduceat(_bins(model, fine), starts[:-1]) * _FLUX


def _bins(model, edges):
    if isinstance(model, CompoundModel) and model.op in ("+", "-", "*"):
        left, right = _bins(model.left, edges), _bins(model.right, edges)
        if model.op == "*":  # in so narrow a bin one factor is a line at most, and the other smooth
            return left * right / np.diff(edges)
        return left + right if model.op == "+" else left - right
    if isinstance(model, SpectralModel):
        return model.integral(edges, *model.plain_parameters)
    width = np.diff(edges)
    nodes = edges[:-1, None] + width[:, None] * (0.5 + np.array([-0.5, 0.5]) / np.sqrt(3))
    has_units = any(getattr(model, name).unit is not None for name in model.param_names)
    values = model(nodes * u.keV if has_units or model.input_units else nodes)
    if isinstance(values, u.Quantity):
        values = values.to_value(u.dimensionless_unscaled if values.unit.is_equivalent("") else photon_flux_density)
    return 0.5 * width * values.sum(axis=1)
